/* hand.c - what a person does to one run: cancel, pause, release, repin.
 *
 * Cancel and pause take hold in memory at once, as a fence; what is leased and covered goes back to
 * the store when that has the new state, and is stopped or put aside there. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/book.h"
#include "engine/runs.h"

struct handling {
  struct nm_control *control;
  struct nm_book *book; /* NULL where the run is not in memory */
  struct nm_fence *fence;
  size_t in_flight;
};

static struct nm_book *book_of_run(struct nm_engine *engine, int64_t run_id)
{
  for (size_t i = 0; i < engine->book_count; i++)
    if (nm_run_find(engine->books[i], run_id)) return engine->books[i];
  return NULL;
}

/* NULL where the request names no run; then it was answered. */
static struct handling *handle(struct nm_engine *engine, struct nm_control *control,
                               int64_t *run_id)
{
  if (!nm_json_i64(control->args, "run", run_id)) {
    nm_fail(&control->error, NM_EINVAL, "which run? args need \"run\"");
    nm_control_answer(control, NM_EINVAL, NULL);
    return NULL;
  }
  struct handling *handling = calloc(1, sizeof *handling);
  nm_require(handling != NULL);
  handling->control = control;
  handling->book = book_of_run(engine, *run_id);
  return handling;
}

static void end(struct nm_call *call, json_t *answer)
{
  struct handling *handling = call->data;
  int rc = call->u.head.rc;
  if (rc) handling->control->error = call->u.head.error;
  nm_control_answer(handling->control, rc, answer);
  free(handling);
  nm_call_destroy(call);
}

/* ---- cancel ---------------------------------------------------------------------------------- */

static void on_fenced(struct nm_call *call)
{
  struct handling *handling = call->data;
  struct nm_store_fence *fence = &call->u.fence;
  struct nm_control *control = handling->control;
  int rc = call->u.head.rc;
  if (rc && nm_call_may_try_again(call)) {
    nm_call_again(call);
    return;
  }
  if (handling->fence) {
    struct nm_running *run = nm_run_find(handling->book, fence->run_id);
    bool is_final = !rc || rc == NM_ECONFLICT || rc == NM_ENOTFOUND; /* over already */
    nm_book_fence_done(handling->book, handling->fence, !is_final);
    if (run && is_final) nm_run_over(run);
  }
  if (rc) {
    control->error = call->u.head.error;
    nm_control_answer(control, rc, NULL);
  } else {
    struct nm_log_ids ids = { .run = fence->run_id };
    nm_log(NM_LOG_INFO, "engine", &ids,
           "run is fenced by hand: %" PRId64 " messages stopped, %zu in flight", fence->stopped,
           fence->in_flight);
    nm_control_answer(control, NM_OK,
                      json_pack("{s:I,s:I,s:I}", "fenced_at", (json_int_t)fence->fenced_at_ms,
                                "stopped", (json_int_t)fence->stopped, "in_flight",
                                (json_int_t)fence->in_flight));
  }
  free(handling);
  nm_call_destroy(call);
}

void nm_control_run_cancel(struct nm_engine *engine, struct nm_control *control)
{
  int64_t run_id;
  struct handling *handling = handle(engine, control, &run_id);
  if (!handling) return;
  struct nm_call *call = nm_call_create(engine, NM_STORE_FENCE, 4096, on_fenced, handling);
  call->u.fence.run_id = run_id;
  if (handling->book) {
    struct nm_fence fence = { .run_id = run_id };
    handling->fence = nm_book_fence(handling->book, &fence, &call->u.fence.in_flight);
  }
  nm_call_submit(call);
}

/* ---- pause ----------------------------------------------------------------------------------- */

static void on_paused(struct nm_call *call)
{
  struct handling *handling = call->data;
  int rc = call->u.head.rc;
  if (rc && nm_call_may_try_again(call)) {
    nm_call_again(call);
    return;
  }
  struct nm_running *run =
      handling->book ? nm_run_find(handling->book, call->u.run_set.run_id) : NULL;
  if (run && !rc) {
    run->row.state = NM_RUN_PAUSED;
    run->row.is_parked = true;
  }
  if (handling->fence) nm_book_fence_done(handling->book, handling->fence, false);
  if (handling->book) nm_runs_wake(handling->book); /* its lane has room for the others */
  struct nm_log_ids ids = { .run = call->u.run_set.run_id };
  if (!rc)
    nm_log(NM_LOG_INFO, "engine", &ids, "run is paused by hand, %zu messages are in flight",
           handling->in_flight);
  json_int_t in_flight = (json_int_t)handling->in_flight;
  end(call, rc ? NULL : json_pack("{s:s,s:I}", "state", "paused", "in_flight", in_flight));
}

void nm_control_run_pause(struct nm_engine *engine, struct nm_control *control)
{
  int64_t run_id;
  struct handling *handling = handle(engine, control, &run_id);
  if (!handling) return;
  struct nm_call *call = nm_call_create(engine, NM_STORE_RUN_SET, 4096, on_paused, handling);
  call->u.run_set.run_id = run_id;
  call->u.run_set.from_states = 1u << NM_RUN_ACTIVE | 1u << NM_RUN_EXPANDED | 1u << NM_RUN_PAUSED;
  call->u.run_set.state = NM_RUN_PAUSED;
  call->u.run_set.reason = NM_TEXT("paused by hand");
  call->u.run_set.is_parking = true;
  if (handling->book) {
    struct nm_fence fence = { .run_id = run_id };
    handling->fence = nm_book_fence(handling->book, &fence, &handling->in_flight);
  }
  nm_call_submit(call);
}

/* ---- release --------------------------------------------------------------------------------- */

static void on_released(struct nm_call *call)
{
  const struct nm_store_run_release *release = &call->u.run_release;
  struct nm_log_ids ids = { .run = release->run_id };
  int rc = call->u.head.rc;
  if (rc && nm_call_may_try_again(call)) {
    nm_call_again(call);
    return;
  }
  if (rc) {
    end(call, NULL);
    return;
  }
  nm_log(NM_LOG_INFO, "engine", &ids,
         "run was %s and is released by hand: %" PRId64 " messages wait again, %" PRId64
         " held rows are played again",
         nm_run_state_name(release->was), release->unparked, release->rows);
  nm_engine_resume(call->engine); /* the run, and the lanes of its messages */
  end(call,
      json_pack("{s:s,s:s,s:I,s:I}", "state", "active", "was", nm_run_state_name(release->was),
                "waiting", (json_int_t)release->unparked, "rows", (json_int_t)release->rows));
}

void nm_control_run_release(struct nm_engine *engine, struct nm_control *control)
{
  int64_t run_id;
  struct handling *handling = handle(engine, control, &run_id);
  if (!handling) return;
  struct nm_call *call = nm_call_create(engine, NM_STORE_RUN_RELEASE, 4096, on_released, handling);
  call->u.run_release.run_id = run_id;
  nm_call_submit(call);
}

/* ---- repin ----------------------------------------------------------------------------------- */

static void take_generation(struct nm_running *run, const struct nm_store_run_repin *repin)
{
  struct nm_generation *active = run->book->active;
  nm_generation_unref(run->repin);
  run->repin = NULL;
  run->row.repin_generation_id = 0;
  /* A generation that comes to serve just now is offered in a moment. */
  if (active && active->id == repin->generation_id) active->references++;
  else active = NULL;
  if (repin->page > run->row.cursor_page && repin->is_changed) {
    run->row.repin_generation_id = repin->generation_id;
    run->row.repin_page = repin->page;
    run->repin = active;
  } else if (repin->is_changed) {
    nm_generation_unref(run->generation);
    run->row.generation_id = repin->generation_id;
    run->generation = active;
  } else {
    nm_generation_unref(active);
  }
  nm_run_soon(run);
}

static void on_repinned(struct nm_call *call)
{
  struct handling *handling = call->data;
  const struct nm_store_run_repin *repin = &call->u.run_repin;
  struct nm_running *run = handling->book ? nm_run_find(handling->book, repin->run_id) : NULL;
  json_t *answer = NULL;
  if (call->u.head.rc && nm_call_may_try_again(call)) {
    nm_call_again(call);
    return;
  }
  if (!call->u.head.rc) {
    struct nm_log_ids ids = { .run = repin->run_id };
    if (run) take_generation(run, repin);
    nm_log(NM_LOG_INFO, "engine", &ids, "run is repinned by hand from page %" PRId64 " on",
           repin->page);
    answer =
        json_pack("{s:I,s:b}", "page", (json_int_t)repin->page, "is_changed", repin->is_changed);
    int rc = nm_json_set_id(answer, "generation", repin->generation_id);
    nm_expect(rc == NM_OK);
  }
  end(call, answer);
}

void nm_control_run_repin(struct nm_engine *engine, struct nm_control *control)
{
  int64_t run_id;
  struct handling *handling = handle(engine, control, &run_id);
  if (!handling) return;
  struct nm_call *call = nm_call_create(engine, NM_STORE_RUN_REPIN, 4096, on_repinned, handling);
  call->u.run_repin.run_id = run_id;
  nm_call_submit(call);
}

/* ---- how far it is --------------------------------------------------------------------------- */

void nm_control_run_progress(struct nm_engine *engine, struct nm_control *control)
{
  int64_t run_id = 0;
  (void)nm_json_i64(control->args, "run", &run_id);
  struct nm_book *book = book_of_run(engine, run_id);
  const struct nm_running *run = book ? nm_run_find(book, run_id) : NULL;
  if (!run) {
    nm_control_answer(control, NM_ENOTFOUND, NULL);
    return;
  }
  const struct nm_run *row = &run->row;
  double rate = nm_speed_per_s(&run->speed, nm_clock_mono_ms());
  int64_t left = row->rows_fetched - row->made - row->repeated - row->skipped - row->held;
  bool goes_on = row->state == NM_RUN_ACTIVE || row->state == NM_RUN_EXPANDED;
  left = (left > 0 ? left : 0) + (run->waiting > 0 ? run->waiting : 0);
  json_t *answer = json_pack("{s:f}", "rate_per_s", (double)(int64_t)(rate * 10 + 0.5) / 10);
  /* Of those that are here; more may be fetched. */
  if (answer && goes_on && rate > 0)
    json_object_set_new(answer, "left_ms", json_integer((json_int_t)((double)left * 1000 / rate)));
  nm_control_answer(control, NM_OK, answer);
}
