/* play.c - rows that a run's rules held are played again, mark by mark, through the rules that
 * serve now: whatever held them was mended there.
 *
 * A mark goes with the transaction that stores what became of its rows, so each is played once,
 * also over a crash; what is held once more is marked anew, behind the last mark that was asked
 * for. */
#include "base/log.h"
#include "engine/runs.h"

enum {
  MARK_ARENA_MAX_BYTES = 4 * 1024 * 1024,
  PAGE_ARENA_MAX_BYTES = NM_STORE_PAGE_MAX_BYTES + 64 * 1024,
};

void nm_run_drop_mark(struct nm_running *run)
{
  nm_call_destroy(run->mark);
  nm_call_destroy(run->mark_page);
  run->mark = run->mark_page = NULL;
}

/* What was asked for came; false where it is of no use, and the call is gone. */
static bool has_come(struct nm_running *run, struct nm_call *call)
{
  bool is_open = nm_run_answered(run);
  if (is_open) run->is_loading = false;
  if (is_open && !call->u.head.rc) return true;
  if (is_open) {
    struct nm_log_ids ids = nm_run_ids(run);
    nm_log(NM_LOG_ERROR, "engine", &ids, "held rows cannot be read: %s",
           call->u.head.error.text[0] ? call->u.head.error.text : nm_code_name(call->u.head.rc));
    nm_run_rest(run);
  }
  nm_call_destroy(call);
  return false;
}

static void on_page(struct nm_call *call)
{
  struct nm_running *run = call->data;
  if (!has_come(run, call)) return;
  run->mark_page = call;
  nm_run_soon(run);
}

static void load_page(struct nm_running *run, int64_t number)
{
  struct nm_call *call =
      nm_call_create(run->book->engine, NM_STORE_PAGE_LOAD, PAGE_ARENA_MAX_BYTES, on_page, run);
  nm_call_destroy(run->mark_page);
  run->mark_page = NULL;
  call->u.page_load.run_id = run->row.id;
  call->u.page_load.number = number;
  run->is_loading = true;
  run->busy++;
  nm_call_submit(call);
}

static void on_mark(struct nm_call *call)
{
  struct nm_running *run = call->data;
  if (!has_come(run, call)) return;
  if (call->u.mark_load.mark_id == 0) {
    struct nm_log_ids ids = nm_run_ids(run);
    bool is_later = run->row.play_until > call->u.mark_load.play_until; /* released once more */
    if (!is_later) run->row.play_until = 0;
    nm_log(NM_LOG_INFO, "engine", &ids, "held rows were played again: %lld are still held",
           (long long)run->row.held);
    nm_call_destroy(call);
    nm_run_drop_mark(run);
  } else {
    run->mark = call;
  }
  nm_run_soon(run);
}

static void load_mark(struct nm_running *run)
{
  struct nm_call *call =
      nm_call_create(run->book->engine, NM_STORE_MARK_LOAD, MARK_ARENA_MAX_BYTES, on_mark, run);
  call->u.mark_load.run_id = run->row.id;
  call->u.mark_load.play_until = run->row.play_until;
  run->is_loading = true;
  run->busy++;
  nm_call_submit(call);
}

static void play(struct nm_running *run)
{
  const struct nm_store_mark_load *mark = &run->mark->u.mark_load;
  struct nm_rows rows;
  json_t *numbers = NULL;
  if (nm_rows_open(&rows, run->mark_page->u.page_load.body) ||
      nm_json_parse_any(&numbers, mark->rows, NULL)) {
    struct nm_log_ids ids = nm_run_ids(run);
    nm_log(NM_LOG_ERROR, "engine", &ids, "page %lld cannot be read", (long long)mark->page);
    nm_run_drop_mark(run);
    nm_run_rest(run);
    return;
  }
  run->row.held -= mark->count; /* what is held once more is counted again */
  nm_run_play_mark(run, mark, &rows, numbers);
  json_decref(numbers);
  nm_call_destroy(run->mark);
  run->mark = NULL;
}

bool nm_run_play(struct nm_running *run)
{
  if (run->row.play_until == 0) return false;
  if (!run->book->active) {
    nm_run_rest(run);
  } else if (!run->mark) {
    if (nm_run_has_room(run) && !nm_run_pause_inactive(run)) load_mark(run);
  } else if (!run->mark_page || run->mark_page->u.page_load.number != run->mark->u.mark_load.page) {
    load_page(run, run->mark->u.mark_load.page);
  } else {
    play(run);
  }
  return true;
}
