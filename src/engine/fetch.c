/* fetch.c - a run's pages are fetched one after the other, soon after the notice, and stored whole
 * before they are used: from then on nothing depends on Optimove.
 *
 * $skip is the number of rows received; the list ends with an empty page, never with a short one.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/point.h"
#include "engine/backoff.h"
#include "engine/runs.h"

enum { PAGE_SLACK_BYTES = 64 * 1024, SHOWN_AFTER = 3, REFUSED_WAIT_MS = 60 * 1000 };

static void try_later(struct nm_running *run, int64_t wait_ms)
{
  run->fetch_at_ms = nm_clock_mono_ms() + wait_ms;
  nm_alarm_within(&run->alarm, wait_ms);
}

/* ---- what did not come ----------------------------------------------------------------------- */

static void count_failure(struct nm_running *run, struct nm_text reason, int64_t wait_ms)
{
  int64_t now_ms = nm_clock_mono_ms();
  if (run->fetch_failures++ == 0) run->failing_since_ms = now_ms;
  if (now_ms - run->failing_since_ms >= NM_RUN_FETCH_BUDGET_MS) {
    nm_run_set(run, NM_RUN_FAILED, reason);
    return;
  }
  struct nm_log_ids ids = nm_run_ids(run);
  nm_log(NM_LOG_WARN, "engine", &ids, "page %lld did not come, again in %lld ms: %.*s",
         (long long)run->row.pages_fetched, (long long)wait_ms, NM_TEXT_ARG(reason));
  if (run->fetch_failures == SHOWN_AFTER) nm_run_set(run, NM_RUN_ACTIVE, reason);
  try_later(run, wait_ms);
}

static void note_failure(struct nm_running *run, const struct nm_optimove_answer *answer)
{
  struct nm_text reason = nm_text_from(answer->reason);
  int64_t wait_ms = nm_backoff_wait_ms(&nm_backoff_optimove, run->fetch_failures + 1,
                                       nm_engine_random(run->book->engine));
  if (answer->end == NM_OPTIMOVE_DENIED) {
    nm_run_set(run, NM_RUN_HELD, reason);
    return;
  }
  if (answer->retry_after_ms > wait_ms) wait_ms = answer->retry_after_ms;
  if (answer->end == NM_OPTIMOVE_REFUSED) {
    if (wait_ms < REFUSED_WAIT_MS) wait_ms = REFUSED_WAIT_MS;
    if (run->fetch_failures == 0) nm_run_set(run, NM_RUN_ACTIVE, reason);
  }
  count_failure(run, reason, wait_ms);
}

/* ---- what came ------------------------------------------------------------------------------- */

static void on_page_saved(struct nm_call *call)
{
  struct nm_running *run = call->data;
  struct nm_store_page_save *save = &call->u.page_save;
  int rc = call->u.head.rc;
  if (rc && nm_call_may_try_again(call)) {
    nm_call_again(call);
    return;
  }
  run->is_fetching = false;
  if (nm_run_answered(run)) {
    struct nm_log_ids ids = nm_run_ids(run);
    if (rc == NM_ECONFLICT) {
      nm_engine_resume(run->book->engine); /* cancelled, or paused by hand */
      try_later(run, 1000);
    } else if (rc) {
      nm_log(NM_LOG_ERROR, "engine", &ids, "page %lld could not be stored: %s",
             (long long)save->number, call->u.head.error.text);
      count_failure(run, nm_text_from(call->u.head.error.text), REFUSED_WAIT_MS);
    } else if (save->rows == 0) {
      run->row.is_fetched = true;
      nm_log(NM_LOG_INFO, "engine", &ids, "all recipients are here: %lld rows in %lld pages",
             (long long)run->row.rows_fetched, (long long)run->row.pages_fetched);
      nm_run_soon(run);
    } else {
      run->row.pages_fetched++;
      run->row.rows_fetched += save->rows;
      nm_run_soon(run);
    }
  }
  nm_call_destroy(call);
}

static void save_page(struct nm_running *run, const struct nm_optimove_answer *answer)
{
  size_t bytes = answer->rows > 0 ? answer->raw.len : 0;
  struct nm_call *call = nm_call_create(run->book->engine, NM_STORE_PAGE_SAVE,
                                        bytes + PAGE_SLACK_BYTES, on_page_saved, run);
  struct nm_store_page_save *save = &call->u.page_save;
  save->run_id = run->row.id;
  save->number = run->row.pages_fetched;
  save->rows = answer->rows;
  if (answer->rows > 0) {
    save->due_at_ms = nm_optimove_page_due(answer->raw, run->book->tenant);
    save->body = nm_arena_copy(call->u.head.arena, answer->raw);
    nm_require(save->body.ptr != NULL);
  }
  nm_call_submit(call);
}

static void on_page(void *data, const struct nm_optimove_answer *answer)
{
  struct nm_running *run = data;
  if (run->is_gone || run->is_fenced || answer->end != NM_OPTIMOVE_OK ||
      !nm_engine_is_running(run->book->engine)) {
    run->is_fetching = false;
    if (!nm_run_answered(run) || run->is_fenced || !nm_engine_is_running(run->book->engine)) return;
    note_failure(run, answer);
    return;
  }
  if (run->has_reason)
    nm_run_set(run, run->row.state, NM_TEXT("")); /* what was said of it is over */
  run->fetch_failures = 0;
  NM_POINT(page_fetched);
  save_page(run, answer); /* still the same busy: its answer ends it */
}

struct nm_optimove_execution nm_run_execution(const struct nm_running *run)
{
  return (struct nm_optimove_execution){ .tenant = run->book->tenant,
                                         .campaign = run->row.campaign,
                                         .channel_id = run->row.channel_id };
}

void nm_run_fetch(struct nm_running *run)
{
  struct nm_book *book = run->book;
  if (run->is_fetching || run->row.is_fetched) return;
  int64_t wait_ms = run->fetch_at_ms - nm_clock_mono_ms();
  if (wait_ms > 0) {
    nm_alarm_within(&run->alarm, wait_ms);
    return;
  }
  if (nm_run_pause_inactive(run)) return;
  struct nm_optimove_execution execution = nm_run_execution(run);
  int rc = book->account
               ? nm_optimove_recipients(book->account, &execution, NM_RUN_PAGE_ROWS_MAX,
                                        run->row.rows_fetched, on_page, run)
               : NM_ENOMEM;
  if (rc) {
    count_failure(run, NM_TEXT("the call to Optimove could not be made"), REFUSED_WAIT_MS);
    return;
  }
  run->is_fetching = true;
  run->busy++;
}
