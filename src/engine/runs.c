/* runs.c - the runs of a tenant and their states. */
#include "engine/runs.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/failover.h"

enum { REST_MS = 1000 };

struct nm_log_ids nm_run_ids(const struct nm_running *run)
{
  struct nm_log_ids ids = nm_book_ids(run->book);
  ids.event = run->row.event_id;
  ids.run = run->row.id;
  return ids;
}

struct nm_running *nm_run_find(struct nm_book *book, int64_t id)
{
  for (struct nm_running *run = book->runs; run; run = run->next)
    if (run->row.id == id && !run->is_gone) return run;
  return NULL;
}

struct nm_running *nm_run_next(const struct nm_running *run)
{
  return run->next;
}

const struct nm_run *nm_run_row(const struct nm_running *run)
{
  return &run->row;
}

static bool is_stopped(const struct nm_running *run)
{
  return run->is_gone || run->is_fenced || !nm_engine_is_running(run->book->engine);
}

void nm_run_soon(struct nm_running *run)
{
  if (!run->is_gone) nm_engine_soon(run->book->engine, &run->job);
}

void nm_run_rest(struct nm_running *run)
{
  nm_alarm_within(&run->alarm, REST_MS);
}

void nm_runs_wake(struct nm_book *book)
{
  for (struct nm_running *run = book->runs; run; run = run->next) nm_run_soon(run);
}

static void on_run_turn(void *data)
{
  struct nm_running *run = data;
  if (is_stopped(run)) return;
  if (run->row.state != NM_RUN_ACTIVE) return;
  int64_t rest_ms = nm_engine_run_rest_ms(run->book->engine), began_ns = nm_clock_mono_ns();
  if (rest_ms > 0) {
    nm_alarm_within(&run->alarm, rest_ms);
    return;
  }
  nm_run_fetch(run);
  if (run->row.state == NM_RUN_ACTIVE) nm_run_expand(run);
  nm_engine_run_worked(run->book->engine, began_ns);
}

static void on_run_alarm(void *data)
{
  nm_run_soon(data);
}

/* ---- coming ---------------------------------------------------------------------------------- */

static struct nm_text own_text(struct nm_text text)
{
  char *copy = malloc(text.len + 1);
  nm_require(copy != NULL);
  if (text.len > 0) memcpy(copy, text.ptr, text.len);
  copy[text.len] = '\0';
  return (struct nm_text){ copy, text.len };
}

struct nm_running *nm_run_add(struct nm_book *book, const struct nm_run *row,
                              struct nm_generation *generation)
{
  struct nm_running *run = calloc(1, sizeof *run);
  nm_require(run != NULL);
  run->book = book;
  run->row = *row;
  run->row.campaign = own_text(row->campaign);
  run->row.stamp = own_text(row->stamp);
  run->row.reason = (struct nm_text){ NULL, 0 };
  run->generation = generation;
  if (generation) generation->references++;
  run->job = (struct nm_job){ .run = on_run_turn, .data = run };
  nm_alarm_open(&run->alarm, book->engine, on_run_alarm, run);
  nm_seen_init(&run->seen);
  run->is_rebuilt = row->cursor_page == 0 && row->cursor_row == 0;
  run->waiting = row->made - row->sent - row->dead - row->stopped - row->expired;
  run->parked_page = -1;
  run->next = book->runs;
  book->runs = run;
  nm_run_soon(run);
  return run;
}

void nm_run_merge(struct nm_book *book, const struct nm_run *row)
{
  struct nm_running *run = nm_run_find(book, row->id);
  if (!run) {
    struct nm_generation *active = book->active;
    bool is_active = active && active->id == row->generation_id;
    run = nm_run_add(book, row, is_active ? active : NULL);
    struct nm_log_ids ids = nm_run_ids(run);
    nm_log(NM_LOG_INFO, "engine", &ids, "run of campaign %.*s goes on at page %lld, row %lld (%s)",
           NM_TEXT_ARG(row->campaign), (long long)row->cursor_page, (long long)row->cursor_row,
           nm_run_state_name(row->state));
    return;
  }
  if (row->is_released && !run->row.is_released)
    nm_hour_add(&book->hour, nm_clock_wall_ms(), row->rows_fetched);
  run->row.play_until = row->play_until;
  run->row.is_released = row->is_released;
  if (run->row.state == row->state || run->is_fenced) return;
  run->row.is_parked = row->is_parked;
  run->row.state = row->state;
  run->fetch_failures = 0;
  run->fetch_at_ms = 0;
  /* Released by hand without rules to go on with: it is held again, with the reason. */
  if (run->book->engine->are_rules_in) nm_runs_check_generations(run->book);
  nm_run_soon(run);
}

void nm_runs_offer_generation(struct nm_book *book, const struct nm_generation *generation)
{
  struct nm_generation *counted = (struct nm_generation *)(uintptr_t)generation;
  for (struct nm_running *run = book->runs; run; run = run->next) {
    if (!run->repin && run->row.repin_generation_id == generation->id) {
      counted->references++;
      run->repin = counted;
    }
    if (run->generation || run->row.generation_id != generation->id) continue;
    counted->references++;
    run->generation = counted;
    nm_run_soon(run);
  }
}

static bool is_at_end(const struct nm_running *run)
{
  return run->row.is_fetched && run->row.cursor_page >= run->row.pages_fetched;
}

void nm_runs_check_generations(struct nm_book *book)
{
  for (struct nm_running *run = book->runs; run; run = run->next)
    if (!run->generation && run->row.state == NM_RUN_ACTIVE && !is_at_end(run))
      nm_run_set(run, NM_RUN_HELD,
                 NM_TEXT("the rules that this run began with are gone: run repin gives it the"
                         " active ones, then run release"));
}

void nm_run_turn_page(struct nm_running *run)
{
  if (run->row.repin_generation_id == 0 || run->row.cursor_page < run->row.repin_page) return;
  nm_generation_unref(run->generation);
  run->generation = run->repin;
  run->repin = NULL;
  run->row.generation_id = run->row.repin_generation_id;
  run->row.repin_generation_id = 0;
  struct nm_log_ids ids = nm_run_ids(run);
  nm_log(NM_LOG_INFO, "engine", &ids,
         "from page %lld on the run asks the rules it was given by hand",
         (long long)run->row.cursor_page);
}

/* ---- going ----------------------------------------------------------------------------------- */

void nm_run_drop_page(struct nm_running *run)
{
  nm_call_destroy(run->page);
  run->page = NULL;
}

static void free_run(void *data)
{
  struct nm_running *run = data;
  struct nm_running **at = &run->book->runs;
  while (*at && *at != run) at = &(*at)->next;
  if (nm_expect(*at == run)) *at = run->next;
  nm_run_drop_slice(run);
  nm_run_drop_page(run);
  nm_run_drop_mark(run);
  nm_seen_deinit(&run->seen);
  nm_generation_unref(run->generation);
  nm_generation_unref(run->repin);
  free((char *)(uintptr_t)run->row.campaign.ptr);
  free((char *)(uintptr_t)run->row.stamp.ptr);
  free(run);
}

static void free_if_alone(struct nm_running *run)
{
  if (!run->is_gone || run->busy > 0 || !run->alarm.is_open) return;
  nm_engine_forget(run->book->engine, &run->job);
  nm_alarm_close(&run->alarm, free_run);
}

void nm_run_over(struct nm_running *run)
{
  nm_feedback_soon(&run->book->feedback);
  if (run->is_gone) return;
  run->is_gone = true;
  free_if_alone(run);
}

bool nm_run_answered(struct nm_running *run)
{
  run->busy--;
  if (!run->is_gone) return true;
  free_if_alone(run);
  return false;
}

void nm_run_fence(struct nm_running *run)
{
  run->is_fenced = true;
}

void nm_run_unfence(struct nm_running *run)
{
  if (!run->is_fenced || run->is_gone) return;
  run->is_fenced = false;
  nm_run_soon(run);
}

void nm_runs_check_done(struct nm_running *run)
{
  if (run->row.state != NM_RUN_EXPANDED || run->waiting > 0 || run->is_gone) return;
  struct nm_log_ids ids = nm_run_ids(run);
  nm_log(NM_LOG_INFO, "engine", &ids, "run of campaign %.*s is done: %lld messages, %lld sent",
         NM_TEXT_ARG(run->row.campaign), (long long)run->row.made, (long long)run->row.sent);
  nm_run_over(run);
}

void nm_runs_message_ended(struct nm_book *book, int64_t run_id, enum nm_message_state state)
{
  struct nm_running *run = nm_run_find(book, run_id);
  if (!run) return;
  run->waiting--;
  if (state == NM_MESSAGE_SENT) {
    run->row.sent++;
    nm_speed_add(&run->speed, nm_clock_mono_ms(), 1);
  }
  nm_runs_check_done(run);
  /* Who rests because the channel has enough to do: not at every message. */
  if (run->waiting % 256 == 0 || run->waiting < 256) nm_runs_wake(book);
}

static struct nm_lane *lane_of(const struct nm_running *run)
{
  const struct nm_tenant *tenant = run->book->tenant;
  const struct nm_tenant_channel *channel = nm_tenant_find_channel(tenant, run->row.channel_id);
  if (!channel || tenant->chain_counts[channel->kind] == 0) return NULL;
  return nm_lane_find(run->book, nm_failover_choose(run->book, channel->kind, NULL));
}

bool nm_run_has_room(const struct nm_running *run)
{
  const struct nm_lane *lane = lane_of(run);
  int64_t waiting = 0;
  /* What is counted as waiting may be held by now: an idle lane knows better. */
  if (lane && nm_lane_is_idle(lane)) return true;
  for (const struct nm_running *other = run->book->runs; other; other = other->next)
    if (!other->is_gone && !other->is_fenced && !other->row.is_parked &&
        (other == run || lane_of(other) == lane))
      waiting += other->waiting;
  return waiting < (lane ? nm_lane_ahead_max(lane) : NM_RUN_AHEAD_MESSAGES);
}

/* ---- states ---------------------------------------------------------------------------------- */

static void on_set(struct nm_call *call)
{
  struct nm_running *run = call->data;
  struct nm_engine *engine = call->engine;
  int rc = call->u.head.rc;
  if (rc && nm_call_may_try_again(call)) {
    nm_call_again(call);
    return;
  }
  if (nm_run_answered(run)) {
    struct nm_log_ids ids = nm_run_ids(run);
    if (rc == NM_ECONFLICT) nm_engine_resume(engine); /* somebody else changed it: look */
    else if (rc)
      nm_log(NM_LOG_ERROR, "engine", &ids, "the run's state could not be stored: %s",
             call->u.head.error.text);
    else if (call->u.run_set.state == NM_RUN_FAILED) nm_run_over(run);
  }
  nm_call_destroy(call);
}

void nm_run_set(struct nm_running *run, enum nm_run_state state, struct nm_text reason)
{
  struct nm_log_ids ids = nm_run_ids(run);
  struct nm_call *call =
      nm_call_create(run->book->engine, NM_STORE_RUN_SET, 4096 + reason.len, on_set, run);
  struct nm_store_run_set *set = &call->u.run_set;
  if (state != NM_RUN_ACTIVE)
    nm_log(NM_LOG_WARN, "engine", &ids, "run is %s: %.*s", nm_run_state_name(state),
           NM_TEXT_ARG(reason));
  set->run_id = run->row.id;
  set->from_states = 1u << run->row.state;
  set->state = state;
  set->reason = nm_arena_copy(call->u.head.arena, reason);
  nm_require(set->reason.ptr != NULL);
  run->row.state = state;
  run->has_reason = reason.len > 0;
  run->busy++;
  nm_call_submit(call);
}

bool nm_run_pause_inactive(struct nm_running *run)
{
  const struct nm_tenant_connector *connector = &run->book->tenant->connector;
  if (connector->is_present && connector->is_active) return false;
  nm_run_set(run, NM_RUN_PAUSED, NM_TEXT("the connector is INACTIVE"));
  return true;
}

void nm_runs_leave_account(struct nm_book *book)
{
  for (struct nm_running *run = book->runs; run; run = run->next)
    if (run->row.state == NM_RUN_ACTIVE && !run->row.is_fetched)
      nm_run_set(run, NM_RUN_HELD, nm_text_from(NM_RUN_ACCOUNT_LEFT));
}

/* ---- the end --------------------------------------------------------------------------------- */

void nm_runs_close_alarms(struct nm_book *book)
{
  for (struct nm_running *run = book->runs; run; run = run->next) nm_alarm_close(&run->alarm, NULL);
}

void nm_runs_destroy(struct nm_book *book)
{
  while (book->runs) free_run(book->runs);
}
