/* expand.c - stored pages into messages, a slice of rows at a time, only as far ahead as the
 * channel drains.
 *
 * collect: rows are read, control group and repetitions left out; then their profiles in one query;
 * then the rules over each; then one transaction with the messages, the marks of what was held, and
 * the cursor. After a restart the same rows before the cursor rebuild who came already, so nobody
 * is left out or gets a template twice.
 */
#include "engine/slice.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "engine/guard.h"
#include "engine/lanes.h"

enum {
  PAGE_ARENA_MAX_BYTES = NM_STORE_PAGE_MAX_BYTES + 64 * 1024,
  SLICE_ARENA_MAX_BYTES = 64 * 1024 * 1024,
  SLICE_TEXT_MAX_BYTES = SLICE_ARENA_MAX_BYTES / 16, /* of its rows; the rest is for what is made */
  PROFILES_ARENA_MAX_BYTES = 32 * 1024 * 1024,
  OVERRUNS_MAX = 5,     /* rows in a slice that overran before the run is held */
};

void nm_run_drop_slice(struct nm_running *run)
{
  struct nm_slice *slice = run->slice;
  if (!slice) return;
  run->slice = NULL;
  nm_call_destroy(slice->profiles);
  nm_call_destroy(slice->expand);
  nm_generation_unref(slice->generation);
  free(slice->rows);
  free(slice->mark_rows);
  free(slice);
}

/* ---- storing a slice ------------------------------------------------------------------------- */

static void note_expanded(struct nm_running *run, const struct nm_store_expand *expand)
{
  struct nm_lane *lane = NULL;
  if (expand->mark_id == 0) {
    run->row.cursor_page = expand->to_page;
    run->row.cursor_row = expand->to_row;
    nm_run_turn_page(run);
  }
  run->row.made += (int64_t)expand->message_count - expand->capped;
  run->row.repeated += expand->repeated;
  run->row.skipped += expand->skipped + expand->capped;
  for (size_t i = 0; i < expand->hold_count; i++) run->row.held += expand->holds[i].count;
  nm_metric_add(NM_METRIC_MESSAGES_PLANNED, (int64_t)expand->message_count - expand->capped);
  nm_metric_add(NM_METRIC_MESSAGES_CAPPED, expand->capped);
  for (size_t i = 0; i < expand->message_count; i++) {
    const struct nm_message *message = &expand->messages[i];
    if (message->state == NM_MESSAGE_CAPPED) continue;
    if (message->state != NM_MESSAGE_WAITING) { /* who was erased */
      run->row.stopped++;
      continue;
    }
    run->waiting++;
    if (!lane || !nm_text_equal(lane->name, message->provider))
      lane = nm_lane_find(run->book, message->provider);
    nm_lane_message_made(lane, message);
  }
}

static void note_end(struct nm_running *run)
{
  struct nm_log_ids ids = nm_run_ids(run);
  run->row.state = NM_RUN_EXPANDED;
  nm_log(NM_LOG_INFO, "engine", &ids,
         "run of campaign %.*s is expanded: %lld messages, %lld held, %lld skipped, %lld repeated",
         NM_TEXT_ARG(run->row.campaign), (long long)run->row.made, (long long)run->row.held,
         (long long)run->row.skipped, (long long)run->row.repeated);
  nm_seen_deinit(&run->seen);
  nm_run_drop_page(run);
  nm_runs_check_done(run);
}

/* What is known of who came is not the store's truth any more. */
static void forget_seen(struct nm_running *run)
{
  nm_seen_deinit(&run->seen);
  nm_seen_init(&run->seen);
  nm_run_drop_page(run);
  run->rebuilt_page = 0;
  run->is_rebuilt = run->row.cursor_page == 0 && run->row.cursor_row == 0;
}

static void on_expanded(struct nm_call *call)
{
  struct nm_running *run = call->data;
  int rc = call->u.head.rc;
  if (rc && nm_call_may_try_again(call)) {
    nm_call_again(call);
    return;
  }
  if (!nm_run_answered(run)) return; /* the run takes its slice along */
  struct nm_log_ids ids = nm_run_ids(run);
  bool is_end = call->u.expand.is_end;
  if (!rc) {
    note_expanded(run, &call->u.expand);
    nm_run_drop_slice(run); /* and the call with it */
    if (is_end) note_end(run);
    nm_run_soon(run);
    return;
  }
  if (rc == NM_ECONFLICT) nm_engine_resume(call->engine);
  else
    nm_log(NM_LOG_ERROR, "engine", &ids, "a slice could not be stored: %s",
           call->u.head.error.text);
  /* Nothing was written.  Who it is that came already is not known any more: it is rebuilt. */
  nm_run_drop_slice(run);
  forget_seen(run);
  nm_run_rest(run);
}

static void submit_slice(struct nm_slice *slice)
{
  struct nm_running *run = slice->run;
  struct nm_store_expand *expand = &slice->expand->u.expand;
  expand->run_id = run->row.id;
  expand->mark_id = slice->mark_id;
  expand->from_page = slice->mark_id ? slice->mark_page : run->row.cursor_page;
  expand->from_row = run->row.cursor_row;
  expand->to_page = slice->is_page_end ? run->page_number + 1 : run->page_number;
  expand->to_row = slice->is_page_end ? 0 : run->rows.number;
  expand->is_end =
      slice->is_page_end && run->row.is_fetched && expand->to_page >= run->row.pages_fetched &&
      run->row.play_until == 0;
  nm_slice_end_marks(slice);
  expand->holds = slice->marks;
  expand->hold_count = slice->mark_count;
  if (slice->is_page_end) nm_run_drop_page(run);
  run->busy++;
  nm_call_submit_bulk(slice->expand);
}

/* Rules over what is left of the slice, for as long as a turn allows. */
static void work_on_slice(struct nm_slice *slice)
{
  struct nm_running *run = slice->run;
  int64_t until_ns = nm_engine_run_turn_end_ns(run->book->engine);
  while (slice->next < slice->row_count) {
    nm_slice_run_rules(slice, slice->next++);
    if (slice->overruns >= OVERRUNS_MAX) {
      nm_run_drop_slice(run);
      forget_seen(run);
      nm_run_set(run, NM_RUN_HELD,
                 NM_TEXT("the rules overran their limits for one recipient after another"));
      return;
    }
    if (nm_clock_mono_ns() < until_ns) continue;
    nm_run_soon(run);
    return;
  }
  slice->is_ready = false;
  submit_slice(slice);
}

/* ---- collecting a slice ---------------------------------------------------------------------- */

static void on_profiles(struct nm_call *call)
{
  struct nm_running *run = call->data;
  if (!nm_run_answered(run)) {
    nm_call_destroy(call);
    return;
  }
  if (call->u.head.rc) {
    struct nm_log_ids ids = nm_run_ids(run);
    nm_log(NM_LOG_ERROR, "engine", &ids, "profiles could not be read: %s", call->u.head.error.text);
    nm_call_destroy(call);
    nm_run_drop_slice(run);
    forget_seen(run);
    nm_run_rest(run);
    return;
  }
  run->slice->profiles = call;
  run->slice->is_ready = true;
  nm_run_soon(run);
}

static void load_profiles(struct nm_slice *slice)
{
  struct nm_running *run = slice->run;
  struct nm_call *call = nm_call_create(run->book->engine, NM_STORE_PROFILES_LOAD,
                                        PROFILES_ARENA_MAX_BYTES, on_profiles, run);
  struct nm_store_profiles_load *load = &call->u.profiles;
  load->tenant_id = run->book->tenant_id;
  load->count = slice->row_count;
  load->profiles = nm_call_alloc(call, slice->row_count * sizeof *load->profiles);
  for (size_t i = 0; i < slice->row_count; i++)
    load->profiles[i].ext_id = slice->rows[i].recipient.customer;
  run->busy++;
  nm_call_submit(call);
}

/* Reads one row; where `seen` is given, *is_repeated tells who came already. */
static int read_row(struct nm_running *run, struct nm_text text, struct nm_arena *arena,
                    struct nm_slice_row *row, struct nm_seen *seen, bool *is_repeated)
{
  struct nm_error error = { 0 };
  *row = (struct nm_slice_row){ 0 };
  *is_repeated = false;
  struct nm_optimove_execution execution = nm_run_execution(run);
  int rc = nm_optimove_read_row(text, &execution, arena, &row->recipient, &error);
  if (!rc && row->recipient.customer.len > 0) {
    row->recipient.customer = nm_arena_copy(arena, row->recipient.customer);
    if (!row->recipient.customer.ptr) rc = nm_fail(&error, NM_ENOMEM, "out of memory");
  }
  if (rc) {
    row->trouble = nm_arena_printf(arena, "a recipient %s", error.text);
    if (row->trouble.len == 0) row->trouble = NM_TEXT("a recipient cannot be read");
    return NM_OK;
  }
  if (row->recipient.is_control_group || !seen) return NM_OK;
  return nm_seen_add(seen, row->recipient.customer, row->recipient.template_id, is_repeated);
}

static int add_row(struct nm_slice *slice, struct nm_text text)
{
  struct nm_running *run = slice->run;
  struct nm_slice_row *row = &slice->rows[slice->row_count];
  bool is_repeated;
  int64_t number = run->rows.number - 1;
  int rc = read_row(run, text, nm_slice_arena(slice), row, &run->seen, &is_repeated);
  if (rc) return rc;
  row->number = number;
  if (row->trouble.len == 0 && (row->recipient.is_control_group || is_repeated)) {
    if (is_repeated) slice->expand->u.expand.repeated++;
    else slice->expand->u.expand.skipped++;
    return NM_OK;
  }
  slice->row_count++;
  return NM_OK;
}

static struct nm_slice *open_slice(struct nm_running *run, struct nm_generation *generation,
                                   size_t rows_max)
{
  struct nm_slice *slice = calloc(1, sizeof *slice);
  nm_require(slice != NULL);
  slice->run = run;
  slice->generation = generation;
  generation->references++;
  slice->expand = nm_call_create(run->book->engine, NM_STORE_EXPAND, SLICE_ARENA_MAX_BYTES,
                                 on_expanded, run);
  slice->rows = calloc(rows_max ? rows_max : 1, sizeof *slice->rows);
  nm_require(slice->rows != NULL);
  run->slice = slice;
  return slice;
}

void nm_run_play_mark(struct nm_running *run, const struct nm_store_mark_load *mark,
                      struct nm_rows *rows, const json_t *numbers)
{
  size_t i, count = json_array_size(numbers);
  json_t *number;
  struct nm_text text;
  struct nm_slice *slice = open_slice(run, run->book->active, count);
  slice->mark_id = mark->mark_id;
  slice->mark_page = mark->page;
  json_array_foreach(numbers, i, number) {
    struct nm_slice_row *row = &slice->rows[slice->row_count];
    bool is_repeated;
    if (!nm_rows_skip_to(rows, json_integer_value(number)) || !nm_rows_next(rows, &text)) break;
    nm_require(read_row(run, text, nm_slice_arena(slice), row, NULL, &is_repeated) == NM_OK);
    row->number = json_integer_value(number);
    slice->row_count++;
  }
  if (slice->row_count > 0) load_profiles(slice);
  else submit_slice(slice);
}

/* A slice is one transaction, and single messages wait for its end: small ones while they come. */
static size_t slice_rows_max(const struct nm_engine *engine)
{
  return nm_engine_is_gentle(engine) ? NM_RUN_GENTLE_ROWS_MAX : NM_RUN_SLICE_ROWS_MAX;
}

static void collect_slice(struct nm_running *run)
{
  int64_t until_ns = nm_engine_run_turn_end_ns(run->book->engine);
  size_t rows_max = slice_rows_max(run->book->engine);
  struct nm_slice *slice = open_slice(run, run->generation, rows_max);
  struct nm_text text;
  size_t text_bytes = 0;
  while (slice->row_count < rows_max && text_bytes < SLICE_TEXT_MAX_BYTES) {
    if (!nm_rows_next(&run->rows, &text)) {
      slice->is_page_end = true;
      break;
    }
    nm_require(add_row(slice, text) == NM_OK);
    text_bytes += text.len;
    if (nm_clock_mono_ns() >= until_ns) break;
  }
  if (slice->row_count > 0) load_profiles(slice);
  else submit_slice(slice);
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void on_page_loaded(struct nm_call *call)
{
  struct nm_running *run = call->data;
  struct nm_store_page_load *load = &call->u.page_load;
  if (!nm_run_answered(run)) {
    nm_call_destroy(call);
    return;
  }
  struct nm_log_ids ids = nm_run_ids(run);
  run->is_loading = false;
  int rc = call->u.head.rc;
  if (!rc) rc = nm_rows_open(&run->rows, load->body);
  if (rc) {
    nm_log(NM_LOG_ERROR, "engine", &ids, "page %lld cannot be read: %s", (long long)load->number,
           call->u.head.error.text[0] ? call->u.head.error.text : nm_code_name(rc));
    nm_call_destroy(call);
    nm_run_rest(run);
    return;
  }
  run->page = call;
  run->page_number = load->number;
  run->page_due_ms = load->due_at_ms;
  nm_run_soon(run);
}

static void load_page(struct nm_running *run, int64_t number)
{
  struct nm_call *call = nm_call_create(run->book->engine, NM_STORE_PAGE_LOAD, PAGE_ARENA_MAX_BYTES,
                                        on_page_loaded, run);
  call->u.page_load.run_id = run->row.id;
  call->u.page_load.number = number;
  run->is_loading = true;
  run->busy++;
  nm_call_submit(call);
}

/* Who came before the cursor, a turn at a time; afterwards the cursor's page stands at the cursor.
 */
static void rebuild(struct nm_running *run)
{
  int64_t until_ns = nm_engine_run_turn_end_ns(run->book->engine);
  struct nm_text text;
  if (run->rebuilt_page == run->row.cursor_page && run->row.cursor_row == 0) {
    run->is_rebuilt = true;
    nm_run_drop_page(run);
    nm_run_soon(run);
    return;
  }
  if (!run->page) {
    load_page(run, run->rebuilt_page);
    return;
  }
  struct nm_arena *arena = nm_arena_create(SLICE_ARENA_MAX_BYTES);
  nm_require(arena != NULL);
  bool is_cursor_page = run->page_number == run->row.cursor_page;
  while (nm_clock_mono_ns() < until_ns) {
    if (is_cursor_page && run->rows.number >= run->row.cursor_row) {
      run->is_rebuilt = true;
      break;
    }
    if (!nm_rows_next(&run->rows, &text)) {
      run->rebuilt_page++;
      nm_run_drop_page(run);
      break;
    }
    struct nm_slice_row row;
    bool is_repeated;
    nm_require(read_row(run, text, arena, &row, &run->seen, &is_repeated) == NM_OK);
  }
  nm_arena_destroy(arena);
  nm_run_soon(run);
}

/* All pages are expanded, and the end was not known when the last of them was. */
static void submit_end(struct nm_running *run)
{
  struct nm_slice *slice = calloc(1, sizeof *slice);
  nm_require(slice != NULL);
  slice->run = run;
  slice->expand = nm_call_create(run->book->engine, NM_STORE_EXPAND, 4096, on_expanded, run);
  struct nm_store_expand *expand = &slice->expand->u.expand;
  expand->run_id = run->row.id;
  expand->from_page = expand->to_page = run->row.cursor_page;
  expand->from_row = expand->to_row = run->row.cursor_row;
  expand->is_end = true;
  run->slice = slice;
  run->busy++;
  nm_call_submit(slice->expand);
}

/* True where the page's hour has not come: it goes back to the store until then. */
static bool is_parked(struct nm_running *run)
{
  if (run->page_due_ms <= nm_clock_wall_ms()) return false;
  nm_alarm_due(&run->alarm, run->page_due_ms);
  return true;
}

void nm_run_expand(struct nm_running *run)
{
  if (run->is_loading) return;
  if (run->slice) {
    if (run->slice->is_ready) work_on_slice(run->slice);
    return;
  }
  if (nm_run_play(run)) return;
  if (run->row.cursor_page >= run->row.pages_fetched) {
    if (run->row.is_fetched) submit_end(run);
    return;
  }
  if (!run->generation) return;
  if (!run->is_rebuilt) {
    rebuild(run);
    return;
  }
  if (nm_run_guard(run) || !nm_run_has_room(run)) return;
  if (!run->page) {
    if (run->parked_page == run->row.cursor_page && is_parked(run)) return;
    if (!nm_run_pause_inactive(run)) load_page(run, run->row.cursor_page);
    return;
  }
  if (is_parked(run)) {
    run->parked_page = run->page_number;
    nm_run_drop_page(run);
    return;
  }
  if (run->page_number != run->row.cursor_page ||
      !nm_rows_skip_to(&run->rows, run->row.cursor_row)) {
    nm_run_drop_page(run);
    nm_run_soon(run);
    return;
  }
  collect_slice(run);
}
