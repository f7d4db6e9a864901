#include "engine/guard.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

enum {
  LEARN_TRIES_MAX = 8,
  ROW_MAX_BYTES = 1024 * 1024, /* a larger one may be too much for the sample's arena */
  SAMPLE_ROWS = 5,
  HOUR_MS = 3600 * 1000,
  PAGE_ARENA_MAX_BYTES = NM_STORE_PAGE_MAX_BYTES + 64 * 1024,
  SAMPLE_ARENA_MAX_BYTES = 8 * 1024 * 1024,
};

/* ---- the hour -------------------------------------------------------------------------------- */

static void on_learnt(struct nm_call *call)
{
  struct nm_book *book = call->data;
  int64_t singles = 0, recipients = 0;
  if (call->u.head.rc && nm_call_may_try_again(call) && call->tries < LEARN_TRIES_MAX) {
    nm_call_again(call);
    return;
  }
  book->is_hour_asked = false;
  if (call->u.head.rc) {
    struct nm_log_ids ids = nm_book_ids(book);
    nm_log(NM_LOG_WARN, "engine", &ids, "the messages of the last hour could not be counted: %s",
           call->u.head.error.text);
  }
  (void)nm_json_i64(call->u.query.answer, "singles", &singles);
  (void)nm_json_i64(call->u.query.answer, "recipients", &recipients);
  json_decref(call->u.query.answer);
  json_decref((json_t *)(uintptr_t)call->u.query.args);
  /* What was counted meanwhile stands in the answer too, or comes once more: never too few. */
  nm_hour_add(&book->hour, nm_clock_wall_ms(), singles + recipients);
  book->is_hour_known = true;
  nm_runs_wake(book);
  nm_call_destroy(call);
}

void nm_guard_learn(struct nm_book *book)
{
  if (book->tenant->guard.hour == 0 || book->is_hour_known || book->is_hour_asked) return;
  struct nm_call *call = nm_call_create(book->engine, NM_STORE_QUERY, 4096, on_learnt, book);
  call->u.query.kind = NM_QUERY_MADE;
  call->u.query.args = json_pack("{s:I,s:I}", "tenant_id", (json_int_t)book->tenant_id, "since_ms",
                                 (json_int_t)(nm_clock_wall_ms() - HOUR_MS));
  nm_require(call->u.query.args != NULL);
  book->is_hour_asked = true;
  nm_call_submit(call);
}

bool nm_guard_is_full(const struct nm_book *book, int64_t now_ms, size_t more)
{
  int64_t ceiling = book->tenant->guard.hour;
  return ceiling > 0 && nm_hour_sum(&book->hour, now_ms) + (int64_t)more > ceiling;
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void on_checked(struct nm_call *call)
{
  struct nm_running *run = call->data;
  const struct nm_store_run_check *check = &call->u.run_check;
  int rc = call->u.head.rc;
  if (rc && nm_call_may_try_again(call)) {
    nm_call_again(call);
    return;
  }
  if (!nm_run_answered(run)) {
    nm_call_destroy(call);
    return;
  }
  struct nm_log_ids ids = nm_run_ids(run);
  run->is_loading = false;
  if (rc == NM_ECONFLICT) {
    nm_engine_resume(call->engine);
  } else if (rc) {
    nm_log(NM_LOG_ERROR, "engine", &ids, "the run's size could not be looked at: %s",
           call->u.head.error.text);
    nm_run_rest(run);
  } else if (check->reason.len > 0) {
    run->row.state = NM_RUN_HELD;
    nm_metric_add(NM_METRIC_RUNS_GUARDED, 1);
    nm_log(NM_LOG_WARN, "engine", &ids,
           "run of campaign %.*s is held: %.*s; run release lets it go",
           NM_TEXT_ARG(run->row.campaign), NM_TEXT_ARG(check->reason));
  } else {
    run->row.checked_at_ms = check->now_ms;
    nm_hour_add(&run->book->hour, check->now_ms, check->rows);
    nm_run_soon(run);
  }
  nm_call_destroy(call);
}

/* What the rules make of one recipient, in a word. */
static void add_fate(struct nm_running *run, const struct nm_recipient *recipient,
                     struct nm_arena *arena, json_t *out)
{
  struct nm_error error = { 0 };
  struct nm_effects effects = { 0 };
  struct nm_rules_moment moment = { .now_ms = nm_clock_wall_ms(), .is_recipient = true };
  int rc = nm_rules_serve_row(run->generation->rules, recipient->event, NULL, &moment, arena,
                              &effects, &error);
  if (rc) {
    json_object_set_new(out, "held", json_string(error.text));
  } else if (effects.count > 0) {
    const struct nm_effect *effect = &effects.items[0];
    struct nm_text word = effect->kind == NM_EFFECT_SEND ? effect->message : effect->reason;
    json_object_set_new(out,
                        effect->kind == NM_EFFECT_SEND ? "message" : nm_effect_name(effect->kind),
                        json_stringn(word.ptr ? word.ptr : "", word.len));
  }
}

/* The first recipients of the first page; *template_id is the first one's, and decides with which run
 * this one is compared.  NULL: out of memory; the arena is used up row by row. */
static json_t *sample_of(struct nm_running *run, struct nm_text page, struct nm_arena *arena,
                         int64_t *template_id)
{
  struct nm_optimove_execution execution = nm_run_execution(run);
  json_t *list = json_array();
  struct nm_rows rows;
  struct nm_text text;
  if (!list || nm_rows_open(&rows, page)) return list;
  while (json_array_size(list) < SAMPLE_ROWS && nm_rows_next(&rows, &text)) {
    struct nm_recipient recipient = { 0 };
    struct nm_error error = { 0 };
    nm_arena_reset(arena);
    int rc = nm_optimove_read_row(text, &execution, arena, &recipient, &error);
    bool is_short = rc == NM_ENOMEM && text.len <= ROW_MAX_BYTES;
    if (rc && !is_short) continue;
    json_t *one = is_short ? NULL
                           : json_pack("{s:s%,s:I}", "customer", recipient.customer.ptr,
                                       recipient.customer.len, "template",
                                       (json_int_t)recipient.template_id);
    if (*template_id == 0) *template_id = recipient.template_id;
    if (one && recipient.event) add_fate(run, &recipient, arena, one);
    if (!json_array_append_new(list, one)) continue;
    json_decref(list);
    return NULL;
  }
  return list;
}

static void submit_check(struct nm_running *run, struct nm_text page)
{
  const struct nm_tenant *tenant = run->book->tenant;
  struct nm_call *call = nm_call_create(run->book->engine, NM_STORE_RUN_CHECK,
                                        SAMPLE_ARENA_MAX_BYTES, on_checked, run);
  struct nm_store_run_check *check = &call->u.run_check;
  json_t *sample = sample_of(run, page, call->u.head.arena, &check->template_id);
  if (!sample) {
    run->is_loading = false;
    nm_run_rest(run);
    nm_call_destroy(call);
    return;
  }
  check->run_id = run->row.id;
  check->sample = nm_json_text(call->u.head.arena, sample);
  if (!check->sample.ptr) check->sample = NM_TEXT("[]");
  check->run_max = tenant->guard.run;
  check->hour_max = tenant->guard.hour;
  check->differs = tenant->guard.differs;
  check->now_ms = nm_clock_wall_ms();
  check->made = nm_hour_sum(&run->book->hour, check->now_ms);
  json_decref(sample);
  run->busy++;
  nm_call_submit(call);
}

static void on_page(struct nm_call *call)
{
  struct nm_running *run = call->data;
  if (nm_run_answered(run)) {
    if (call->u.head.rc || !run->generation) {
      run->is_loading = false;
      nm_run_rest(run);
    } else {
      submit_check(run, call->u.page_load.body);
    }
  }
  nm_call_destroy(call);
}

bool nm_run_guard(struct nm_running *run)
{
  const struct nm_tenant *tenant = run->book->tenant;
  bool is_off = tenant->guard.run == 0 && tenant->guard.hour == 0 && tenant->guard.differs <= 1;
  bool is_begun = run->row.cursor_page > 0 || run->row.cursor_row > 0;
  if (is_off || is_begun || run->row.is_released || run->row.checked_at_ms != 0) return false;
  if (!run->row.is_fetched) return true;
  if (tenant->guard.hour > 0 && !run->book->is_hour_known) {
    nm_guard_learn(run->book);
    return true;
  }
  struct nm_call *call =
      nm_call_create(run->book->engine, NM_STORE_PAGE_LOAD, PAGE_ARENA_MAX_BYTES, on_page, run);
  call->u.page_load.run_id = run->row.id;
  run->is_loading = true;
  run->busy++;
  nm_call_submit(call);
  return true;
}
