#include "engine/planner.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "engine/batch.h"
#include "engine/inbound.h"
#include "engine/lanes.h"
#include "engine/runs.h"
#include "engine/shape.h"

enum {
  TAKE_ARENA_MAX_BYTES = 64 * 1024 * 1024,
  PLANS_ARENA_MAX_BYTES = 64 * 1024 * 1024,
  PLANS_MAX = 4,        /* batches at the store; beyond them no more is taken */
  TAKE_FAILED_WAIT_MS = 1000,
  PUT_OFF_WAIT_MS = 5000, /* for want of memory, or of a profile */
  TAKE_MAX_BACK = 64,   /* while it has stepped back: other tenants' events are among the next ones */
};

static bool is_cancel(const struct nm_event *event)
{
  return event->kind == NM_EVENT_CAMPAIGN && event->type == NM_EVENT_TYPE_CANCEL;
}

/* ---- after the plan is stored ---------------------------------------------------------------- */

static struct nm_log_ids slot_ids(const struct nm_slot *slot)
{
  struct nm_log_ids ids = { .event = slot->event->id };
  if (slot->book) ids.tenant = slot->book->tenant->name;
  return ids;
}

static const char *const state_names[] = {
  "new", "delayed", "planned", "held", "dropped", "skipped"
};

static void note_run(struct nm_slot *slot, const struct nm_run *row)
{
  struct nm_book *book = slot->book;
  struct nm_log_ids ids = slot_ids(slot);
  ids.run = row->id;
  nm_log(NM_LOG_INFO, "engine", &ids, "run of campaign %.*s on channel %" PRId64 " is %s%s%.*s",
         NM_TEXT_ARG(row->campaign), row->channel_id, nm_run_state_name(row->state),
         row->reason.len > 0 ? ": " : "", NM_TEXT_ARG(row->reason));
  if (row->state == NM_RUN_CANCELLED) return;
  nm_run_add(book, row, slot->generation);
}

static void note_cancel(struct nm_slot *slot, const struct nm_cancel *cancel)
{
  struct nm_book *book = slot->book;
  struct nm_log_ids ids = slot_ids(slot);
  for (size_t i = 0; i < cancel->run_count; i++) {
    struct nm_running *run = nm_run_find(book, cancel->run_ids[i]);
    if (run) nm_run_over(run);
  }
  nm_metric_add(NM_METRIC_MESSAGES_STOPPED, cancel->stopped);
  nm_log(NM_LOG_INFO, "engine", &ids,
         "campaign %.*s is fenced: %zu runs, %" PRId64 " messages stopped, %zu in flight",
         NM_TEXT_ARG(cancel->campaign), cancel->run_count, cancel->stopped, cancel->in_flight);
  if (slot->fence) nm_book_fence_done(book, slot->fence, false);
  slot->fence = NULL;
}

static void note_plan(struct nm_slot *slot, const struct nm_plan *plan)
{
  struct nm_log_ids ids = slot_ids(slot);
  struct nm_lane *lane = NULL;
  char why[NM_ERROR_TEXT_MAX_BYTES];
  struct nm_text reason = nm_log_discreet(why, plan->reason);
  nm_log(NM_LOG_INFO, "engine", &ids, "event is %s: %zu messages, %zu updates%s%.*s",
         state_names[plan->state], plan->message_count, plan->update_count,
         reason.len > 0 ? ", " : "", NM_TEXT_ARG(reason));
  if (plan->state == NM_EVENT_HELD) nm_metric_add(NM_METRIC_EVENTS_HELD, 1);
  if (plan->state == NM_EVENT_DELAYED)
    nm_alarm_due(&slot->book->engine->planner->alarm, plan->due_at_ms);
  if (slot->is_suspended && plan->state == NM_EVENT_DELAYED)
    nm_suspended_add(slot->book->engine->planner->suspended, plan);
  nm_metric_add(NM_METRIC_MESSAGES_PLANNED, (int64_t)plan->message_count);
  if (plan->message_count > 0) slot->book->engine->singles_at_ms = nm_clock_mono_ms();
  if (plan->cancel) note_cancel(slot, plan->cancel);
  if (plan->run) note_run(slot, plan->run);
  for (size_t i = 0; i < plan->message_count; i++) {
    const struct nm_message *message = &plan->messages[i];
    if (message->state == NM_MESSAGE_CAPPED) {
      nm_metric_add(NM_METRIC_MESSAGES_CAPPED, 1);
      continue;
    }
    if (message->state == NM_MESSAGE_STOPPED) nm_metric_add(NM_METRIC_MESSAGES_STOPPED, 1);
    if (!lane || !nm_text_equal(lane->name, message->provider))
      lane = nm_lane_find(slot->book, message->provider);
    nm_lane_message_made(lane, message);
  }
  if (plan->update_count > 0) nm_updates_poke(&slot->book->updates);
}

/* ---- storing plans --------------------------------------------------------------------------- */

static void submit_plans(struct nm_batch *batch, size_t first, size_t count);

/* One plan that the store does not take: the event is held instead, so that it is never lost from
 * sight. */
static void hold_instead(struct nm_batch *batch, size_t at, const char *why)
{
  struct nm_plan *plan = &batch->plans[at];
  struct nm_log_ids ids = slot_ids(&batch->slots[at]);
  batch->slots[at].was_held = true;
  nm_log(NM_LOG_ERROR, "engine", &ids, "the plan could not be stored, the event is held: %s", why);
  struct nm_text reason =
      nm_arena_printf(nm_batch_arena(batch), "its plan could not be stored: %s", why);
  *plan = (struct nm_plan){ .event_id = plan->event_id, .tenant_id = plan->tenant_id,
                            .state = NM_EVENT_HELD,
                            .reason = reason.ptr ? reason : NM_TEXT("its plan could not be stored"),
                            .generation_id = plan->generation_id };
}

static void give_up(struct nm_batch *batch, size_t first, size_t count, const char *why)
{
  for (size_t i = first; i < first + count; i++) {
    struct nm_slot *slot = &batch->slots[i];
    struct nm_log_ids ids = slot_ids(slot);
    nm_log(NM_LOG_ERROR, "engine", &ids, "event stays unplanned until restart: %s", why);
    /* Nothing that the cancel covers goes out meanwhile. */
    if (slot->fence) nm_book_fence_done(slot->book, slot->fence, true);
  }
}

static void on_planned(struct nm_call *call)
{
  struct nm_batch *batch = call->data;
  struct nm_planner *planner = batch->planner;
  size_t first = (size_t)(call->u.plan.plans - batch->plans), count = call->u.plan.count;
  int rc = call->u.head.rc;
  if (rc && nm_call_may_try_again(call)) {
    nm_call_again(call);
    return;
  }
  batch->plans_open--;
  planner->plans_open--;
  if (!rc) {
    for (size_t i = first; i < first + count; i++) note_plan(&batch->slots[i], &batch->plans[i]);
  } else if (rc == NM_EIO || rc == NM_ECLOSED) {
    give_up(batch, first, count, call->u.head.error.text);
  } else if (count > 1) {
    for (size_t i = first; i < first + count; i++) submit_plans(batch, i, 1);
  } else if (!batch->slots[first].was_held) {
    hold_instead(batch, first, call->u.head.error.text);
    submit_plans(batch, first, 1);
  } else {
    give_up(batch, first, count, call->u.head.error.text);
  }
  nm_call_destroy(call);
  if (nm_engine_is_running(planner->engine)) nm_engine_soon(planner->engine, &planner->job);
  nm_batch_free_if_done(batch);
}

static void submit_plans(struct nm_batch *batch, size_t first, size_t count)
{
  if (count == 0) return;
  struct nm_call *call = nm_call_create(batch->planner->engine, NM_STORE_PLAN, 16 * 1024 * 1024,
                                        on_planned, batch);
  call->u.plan.plans = batch->plans + first;
  call->u.plan.count = count;
  batch->plans_open++;
  batch->planner->plans_open++;
  nm_call_submit(call);
}

/* ---- rules over one event -------------------------------------------------------------------- */

/* It comes again soon. */
static void put_off(const struct nm_slot *slot, struct nm_text reason, struct nm_plan *plan)
{
  *plan = (struct nm_plan){ .event_id = slot->event->id,
                            .tenant_id = slot->event->tenant_id,
                            .state = NM_EVENT_DELAYED,
                            .reason = reason,
                            .due_at_ms = nm_clock_wall_ms() + PUT_OFF_WAIT_MS };
}

static void fence_cancel(struct nm_slot *slot, struct nm_cancel *cancel)
{
  struct nm_fence fence = { .campaign = cancel->campaign, .channel_id = cancel->channel_id,
                            .stamp_ms = cancel->stamp_ms, .arrived_at_ms = cancel->arrived_at_ms };
  slot->fence = nm_book_fence(slot->book, &fence, &cancel->in_flight);
}

static void plan_callback(struct nm_batch *batch, struct nm_slot *slot, struct nm_plan *plan)
{
  *plan = (struct nm_plan){ .event_id = slot->event->id, .tenant_id = slot->event->tenant_id,
                            .state = NM_EVENT_PLANNED };
  if (!slot->callback_rc) return;
  if (slot->callback_rc != NM_ENOTFOUND && slot->callback_rc != NM_ECONFLICT) {
    put_off(slot, NM_TEXT("it could not be compared with its batch"), plan);
    return;
  }
  plan->state = NM_EVENT_DROPPED;
  plan->reason = nm_arena_printf(nm_batch_arena(batch), "no update batch %.*s waits for an answer",
                                 NM_TEXT_ARG(slot->event->name));
  struct nm_log_ids ids = slot_ids(slot);
  if (!plan->reason.ptr) plan->reason = NM_TEXT("no update batch waits for it");
  nm_log(NM_LOG_WARN, "engine", &ids, "%.*s", NM_TEXT_ARG(plan->reason));
}

/* Rules that overran too often are left alone; but a 4 is always obeyed. */
static bool is_left_waiting(struct nm_batch *batch, struct nm_slot *slot, struct nm_plan *plan)
{
  const struct nm_generation *active = slot->book->active;
  if (!active || is_cancel(slot->event)) return false;
  int64_t left_ms = nm_rules_suspended_ms(active->rules, nm_clock_mono_ms());
  if (left_ms == 0) return false;
  struct nm_text reason =
      nm_arena_printf(nm_batch_arena(batch),
                      "rules of %.*s are suspended after %d overruns; edit the file",
                      NM_TEXT_ARG(slot->book->tenant->name), NM_RULES_OVERRUNS_MAX);
  *plan = (struct nm_plan){ .event_id = slot->event->id, .tenant_id = slot->event->tenant_id,
                            .state = NM_EVENT_DELAYED,
                            .reason = reason.ptr ? reason : NM_TEXT("the rules are suspended"),
                            .due_at_ms = nm_clock_wall_ms() + left_ms,
                            .generation_id = active->id };
  slot->is_suspended = true;
  return true;
}

static void note_overrun(const struct nm_slot *slot, const struct nm_plan *plan)
{
  struct nm_log_ids ids = slot_ids(slot);
  char why[NM_ERROR_TEXT_MAX_BYTES];
  struct nm_text reason = nm_log_discreet(why, plan->reason);
  if (!nm_rules_note_overrun(slot->book->active->rules, nm_clock_mono_ms())) return;
  nm_log(NM_LOG_WARN, "engine", &ids,
         "rules of %.*s are suspended after %d overruns; events wait until the file is edited: %.*s",
         NM_TEXT_ARG(slot->book->tenant->name), NM_RULES_OVERRUNS_MAX, NM_TEXT_ARG(reason));
}

/* A plan of which a part was refused by its arena may say something else than the rules said. */
static bool is_whole(struct nm_batch *batch, const struct nm_slot *slot, struct nm_plan *plan)
{
  struct nm_arena *arena = nm_batch_arena(batch);
  if (!nm_arena_has_refused(arena)) return true;
  /* A 4 that waits would let go out what it covers; the next start plans it first. */
  nm_require(nm_arena_was_full(arena) || !is_cancel(slot->event));
  if (nm_arena_was_full(arena) && batch->count == 1) {
    *plan = (struct nm_plan){ .event_id = slot->event->id, .tenant_id = slot->event->tenant_id,
                              .state = NM_EVENT_HELD,
                              .reason = NM_TEXT("its rules give more than there is room for"),
                              .generation_id = plan->generation_id };
    return true;
  }
  put_off(slot, NM_TEXT("out of memory"), plan);
  if (nm_arena_was_full(arena)) batch->planner->alone++;
  return false;
}

/* Asks the rules. */
static void plan_by_rules(struct nm_batch *batch, struct nm_slot *slot, const json_t *profile,
                          struct nm_plan *plan)
{
  const struct nm_rules_cost *cost =
      slot->book->active ? nm_rules_cost(slot->book->active->rules) : NULL;
  int64_t overruns = cost ? cost->overruns : 0;
  if (slot->event->kind == NM_EVENT_INBOUND)
    nm_inbound_plan(slot->book, slot->event, nm_clock_wall_ms(), nm_batch_arena(batch), plan, NULL);
  else
    nm_shape_plan(slot->book, slot->event, profile, nm_clock_wall_ms(), nm_batch_arena(batch), plan,
                  NULL);
  if (cost && cost->overruns > overruns) note_overrun(slot, plan);
  if (!is_whole(batch, slot, plan)) return;
  nm_hour_add(&slot->book->hour, nm_clock_wall_ms(), (int64_t)plan->message_count);
}

static void plan_slot(struct nm_batch *batch, size_t at)
{
  struct nm_slot *slot = &batch->slots[at];
  struct nm_plan *plan = &batch->plans[at];
  json_t *profile = NULL;
  if (!slot->book) {
    *plan = (struct nm_plan){ .event_id = slot->event->id,
                              .tenant_id = slot->event->tenant_id,
                              .state = NM_EVENT_HELD,
                              .reason = NM_TEXT("its tenant does not exist") };
    return;
  }
  if (slot->event->kind == NM_EVENT_CALLBACK) {
    plan_callback(batch, slot, plan);
    return;
  }
  int rc = NM_OK;
  if (slot->profile && slot->profile->body.len > 0 && !slot->is_profile_lost)
    rc = nm_json_parse(&profile, slot->profile->body, NULL);
  if (rc == NM_ENOMEM || slot->is_profile_lost) {
    put_off(slot, NM_TEXT("its profile could not be read"), plan);
    return;
  }
  bool is_waiting = is_left_waiting(batch, slot, plan);
  if (!is_waiting) plan_by_rules(batch, slot, rc ? NULL : profile, plan);
  json_decref(profile);
  if (plan->cancel) fence_cancel(slot, plan->cancel);
  if (plan->run) {
    slot->generation = slot->book->active; /* another may be active when the plan is stored */
    slot->generation->references++;
  }
}

/* Rules over what is left of the batch, for as long as a turn allows. */
static void work_on_batch(struct nm_planner *planner)
{
  struct nm_batch *batch = planner->current;
  int64_t until_ns = nm_engine_turn_end_ns(nm_clock_mono_ns());
  while (batch->next < batch->count) {
    plan_slot(batch, batch->next++);
    if (nm_clock_mono_ns() < until_ns) continue;
    nm_engine_soon(planner->engine, &planner->job);
    return;
  }
  planner->current = NULL;
  submit_plans(batch, batch->cancels, batch->count - batch->cancels);
  batch->is_planned = true;
  nm_batch_free_if_done(batch);
}

/* ---- taking ---------------------------------------------------------------------------------- */

/* 4s first, whatever else came with them: their fences stand before any rule of another runs. */
static void plan_cancels(struct nm_batch *batch)
{
  while (batch->cancels < batch->count && is_cancel(batch->slots[batch->cancels].event))
    plan_slot(batch, batch->cancels++);
  batch->next = batch->cancels;
  submit_plans(batch, 0, batch->cancels);
}

static void begin_batch(struct nm_planner *planner, struct nm_call *take)
{
  struct nm_batch *batch = calloc(1, sizeof *batch);
  nm_require(batch != NULL);
  batch->planner = planner;
  batch->take = take;
  batch->count = take->u.take.count;
  batch->slots = calloc(1, batch->count * (sizeof *batch->slots + sizeof *batch->plans));
  batch->arena = nm_arena_create(PLANS_ARENA_MAX_BYTES);
  nm_require(batch->slots != NULL && batch->arena != NULL);
  batch->plans = (struct nm_plan *)(void *)(batch->slots + batch->count);
  for (size_t i = 0; i < batch->count; i++) {
    struct nm_slot *slot = &batch->slots[i];
    slot->event = &take->u.take.events[i];
    slot->book = nm_book_find(planner->engine, slot->event->tenant_id);
    if (slot->book && (i == 0 || slot->book != batch->slots[i - 1].book))
      nm_book_refresh(slot->book);
  }
  planner->current = batch;
  plan_cancels(batch);
  nm_batch_load(batch);
}

/* Lanes may send once no 4 waits that came before. */
static void note_cleared(struct nm_planner *planner, const struct nm_store_take *take)
{
  struct nm_engine *engine = planner->engine;
  if (engine->is_cleared || (take->count > 0 && is_cancel(&take->events[take->count - 1]))) return;
  engine->is_cleared = true;
  for (size_t i = 0; i < engine->book_count; i++)
    for (struct nm_lane *lane = engine->books[i]->lanes; lane; lane = nm_lane_next(lane))
      nm_engine_soon(engine, &lane->job);
}

static void take_failed(struct nm_planner *planner, struct nm_call *call)
{
  nm_log(NM_LOG_ERROR, "engine", NULL, "events could not be taken: %s", call->u.head.error.text);
  if (call->u.head.rc == NM_ENOMEM && planner->take_max > 1) planner->take_max /= 2;
  nm_call_destroy(call);
  planner->is_wanted = true;
  nm_alarm_within(&planner->alarm, TAKE_FAILED_WAIT_MS);
}

/* The last of them: before it may stand what was delayed. */
static int64_t waited_ms(const struct nm_store_take *take)
{
  if (take->count == 0) return -1;
  int64_t waited = take->now_ms - take->events[take->count - 1].received_at_ms;
  return waited > 0 ? waited : 0; /* its clock may have been ahead */
}

static void on_taken(struct nm_call *call)
{
  struct nm_planner *planner = call->data;
  struct nm_store_take *take = &call->u.take;
  planner->is_taking = false;
  if (!nm_engine_is_running(planner->engine)) {
    nm_call_destroy(call);
    return;
  }
  if (call->u.head.rc) {
    take_failed(planner, call);
    return;
  }
  nm_yield_look(&planner->yield, nm_clock_mono_ms(), waited_ms(take));
  if (take->count > 0) planner->is_wanted = true;
  if (take->next_due_ms > 0) nm_alarm_due(&planner->alarm, take->next_due_ms);
  if (take->count > 0) begin_batch(planner, call);
  note_cleared(planner, take);
  if (take->count == 0) nm_call_destroy(call);
}

static void take(struct nm_planner *planner)
{
  struct nm_call *call =
      nm_call_create(planner->engine, NM_STORE_TAKE, TAKE_ARENA_MAX_BYTES, on_taken, planner);
  call->u.take.now_ms = nm_clock_wall_ms();
  call->u.take.max = planner->yield.is_back && planner->take_max > TAKE_MAX_BACK ? TAKE_MAX_BACK
                                                                                 : planner->take_max;
  if (planner->alone > 0) {
    planner->alone--;
    call->u.take.max = 1;
  }
  planner->is_taking = true;
  planner->is_wanted = false;
  nm_call_submit(call);
}

static void on_turn(void *data)
{
  struct nm_planner *planner = data;
  if (!nm_engine_is_running(planner->engine)) return;
  if (planner->current) {
    if (planner->current->loads == 0) work_on_batch(planner);
    if (planner->current) return;
  }
  if (planner->is_wanted && !planner->is_taking && planner->plans_open < PLANS_MAX) take(planner);
}

static void on_alarm(void *data)
{
  struct nm_planner *planner = data;
  nm_planner_wake(planner->engine);
}

void nm_planner_wake(struct nm_engine *engine)
{
  engine->planner->is_wanted = true;
  nm_engine_soon(engine, &engine->planner->job);
}

void nm_planner_open(struct nm_engine *engine)
{
  struct nm_planner *planner = calloc(1, sizeof *planner);
  nm_require(planner != NULL);
  planner->engine = engine;
  planner->take_max = NM_ENGINE_TAKE_MAX;
  planner->job = (struct nm_job){ .run = on_turn, .data = planner };
  nm_yield_open(&planner->yield);
  nm_alarm_open(&planner->alarm, engine, on_alarm, planner);
  planner->suspended = nm_suspended_open(engine);
  engine->planner = planner;
}

void nm_planner_close_alarm(struct nm_engine *engine)
{
  nm_alarm_close(&engine->planner->alarm, NULL);
  nm_suspended_close_alarm(engine->planner->suspended);
}

void nm_planner_close(struct nm_engine *engine)
{
  struct nm_batch *batch = engine->planner->current;
  if (batch) { /* taken and not planned: the store has them still */
    batch->is_planned = true;
    nm_batch_free_if_done(batch);
  }
  nm_suspended_close(engine->planner->suspended);
  free(engine->planner);
  engine->planner = NULL;
}
