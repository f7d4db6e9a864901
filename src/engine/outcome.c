/* outcome.c - what an outcome means for its lane, its host and its message. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "engine/failover.h"
#include "engine/settle.h"

/* True where a provider's word on the account is said to both lanes. */
static bool is_same_account(const struct nm_lane *a, const struct nm_lane *b)
{
  static const char *const keys[] = { "apiKey", "user", "systemId", "serviceAccount", "teamId" };
  if (!a->settings || !b->settings || a->host != b->host) return false;
  if (!nm_text_equal(a->settings->adapter, b->settings->adapter)) return false;
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    if (!nm_text_equal(nm_json_string(a->settings->settings, keys[i]),
                       nm_json_string(b->settings->settings, keys[i])))
      return false;
  return true;
}

/* The whole account was told to wait: so do the other lanes that use it, of whatever tenant. */
static void throttle_account(const struct nm_lane *lane, int64_t wait_ms, struct nm_text reason)
{
  const struct nm_engine *engine = lane->book->engine;
  for (size_t i = 0; i < engine->book_count; i++)
    for (struct nm_lane *other = engine->books[i]->lanes; other; other = other->next)
      if (other != lane && nm_lane_pause_left_ms(other) == 0 && is_same_account(lane, other))
        nm_lane_pause(other, wait_ms, reason);
}

static void throttle(struct nm_lane *lane, const struct nm_outcome *outcome)
{
  if (outcome->scope == NM_SCOPE_MESSAGE || nm_lane_pause_left_ms(lane) > 0) return;
  lane->pauses++;
  lane->is_ill = false;
  int64_t wait_ms = outcome->retry_after_ms >= 0
                        ? outcome->retry_after_ms
                        : nm_backoff_ceiling_ms(&nm_backoff_pause, lane->pauses);
  if (wait_ms > NM_RETRY_AFTER_MAX_MS) wait_ms = NM_RETRY_AFTER_MAX_MS;
  nm_lane_pause(lane, wait_ms, outcome->reason);
  if (outcome->scope == NM_SCOPE_ACCOUNT) throttle_account(lane, wait_ms, outcome->reason);
}

static void stop_for_key(struct nm_lane *lane, const struct nm_outcome *outcome)
{
  struct nm_log_ids ids = nm_book_ids(lane->book);
  if (!lane->is_denied)
    nm_log(NM_LOG_ERROR, "engine", &ids, "provider %.*s refuses our key, its messages wait: %.*s",
           NM_TEXT_ARG(lane->name), NM_TEXT_ARG(outcome->reason));
  lane->is_denied = lane->is_ill = true;
  if (nm_lane_pause_left_ms(lane) == 0) nm_lane_pause(lane, NM_LANE_AUTH_PAUSE_MS, outcome->reason);
}

static void note_lane(struct nm_dispatch *dispatch, const struct nm_outcome *outcome)
{
  struct nm_lane *lane = dispatch->lane;
  if (outcome->kind == NM_OUTCOME_RETRY && outcome->is_unreachable)
    dispatch->was_unreachable = true;
  else if (outcome->kind != NM_OUTCOME_UNKNOWN) dispatch->was_reached = true;

  /* An answer that never comes is no delivery either. */
  if (outcome->kind == NM_OUTCOME_UNKNOWN ||
      (outcome->kind == NM_OUTCOME_RETRY && !outcome->is_unreachable))
    dispatch->had_failure = true;
  if (dispatch->outlet != lane->outlet) return; /* an answer to settings of before */
  if (outcome->kind == NM_OUTCOME_THROTTLED) {
    if (outcome->scope != NM_SCOPE_MESSAGE) dispatch->was_throttled = true;
    throttle(lane, outcome);
  }
  if (outcome->kind == NM_OUTCOME_AUTH) stop_for_key(lane, outcome);
  if (outcome->kind == NM_OUTCOME_DELIVERED || outcome->kind == NM_OUTCOME_ACCEPTED) {
    dispatch->had_success = true;
    lane->pauses = 0;
    lane->is_denied = lane->is_ill = false;
    if (nm_lane_pause_left_ms(lane) == 0) lane->reason[0] = '\0';
  }
}

/* How long the lane rests anyway. */
static int64_t rest_ms(const struct nm_lane *lane, const struct nm_outcome *outcome)
{
  if (outcome->kind == NM_OUTCOME_RETRY) {
    int64_t left_ms = lane->host->breaker.open_until_ms - nm_clock_mono_ms();
    return left_ms > 0 ? left_ms : 0;
  }
  return outcome->scope == NM_SCOPE_MESSAGE && outcome->kind == NM_OUTCOME_THROTTLED
             ? 0
             : nm_lane_pause_left_ms(lane);
}

static void log_end(const struct nm_lane *lane, const struct nm_message *message,
                    const struct nm_finish *end)
{
  struct nm_log_ids ids = nm_book_ids(lane->book);
  ids.event = message->event_id;
  ids.run = message->run_id;
  ids.message = message->id;
  enum nm_log_level level = end->state == NM_MESSAGE_DEAD || end->state == NM_MESSAGE_HELD
                                ? NM_LOG_INFO
                                : NM_LOG_DEBUG;
  if (end->state == NM_MESSAGE_DEAD) nm_metric_add(NM_METRIC_MESSAGES_DEAD, 1);
  char why[NM_ERROR_TEXT_MAX_BYTES];
  struct nm_text reason = nm_log_discreet(why, end->reason);
  nm_log(level, "engine", &ids, "%s by %.*s: %s%s%.*s", nm_outcome_name(end->outcome),
         NM_TEXT_ARG(lane->name), nm_message_state_name(end->state), reason.len > 0 ? ", " : "",
         NM_TEXT_ARG(reason));
}

/* A person who looks at the dead letter should know that it was tried, and for how long. */
static void say_given_up(const struct nm_outcome *outcome, struct nm_finish *end, char *out,
                         size_t size)
{
  bool is_given_up = end->state == NM_MESSAGE_DEAD && (outcome->kind == NM_OUTCOME_RETRY ||
                                                       outcome->kind == NM_OUTCOME_UNKNOWN);
  if (!is_given_up) return;
  int64_t tried_s = (end->ended_at_ms - end->first_attempt_ms) / 1000;
  int len = snprintf(out, size, "given up after %d attempts in %" PRId64 " s: %.*s", end->attempts,
                     tried_s, NM_TEXT_ARG(end->reason));
  if (len <= 0) return;
  end->reason = (struct nm_text){ out, (size_t)len < size ? (size_t)len : size - 1 };
}

/* Nothing was sent, and nobody says when it may be: another provider need not wait. */
static bool is_deferred(const struct nm_outcome *outcome, const struct nm_finish *end)
{
  return end->state == NM_MESSAGE_WAITING &&
         (outcome->kind == NM_OUTCOME_AUTH ||
          (outcome->kind == NM_OUTCOME_RETRY && outcome->is_unreachable));
}

void nm_dispatch_outcome(struct nm_dispatch *dispatch, struct nm_item *item,
                         const struct nm_outcome *outcome)
{
  struct nm_lane *lane = dispatch->lane;
  char given_up[NM_ERROR_TEXT_MAX_BYTES];
  struct nm_finish end = { .started_at_ms = dispatch->started_at_ms };

  nm_metric_add((enum nm_metric)((int)NM_METRIC_OUTCOME_DELIVERED + (int)outcome->kind), 1);
  note_lane(dispatch, outcome);
  end.ended_at_ms = nm_clock_wall_ms();
  struct nm_settling how = { .schedule = &lane->backoff,
                             .hold_unknown = lane->settings && lane->settings->hold_unknown,
                             .lane_pause_ms = rest_ms(lane, outcome),
                             .now_ms = end.ended_at_ms,
                             .random = nm_engine_random(lane->book->engine),
                             .started_at_ms = dispatch->started_at_ms };
  nm_settle(item->message, outcome, &how, &end);
  say_given_up(outcome, &end, given_up, sizeof given_up);
  bool ends_before =
      item->message->expires_at_ms != 0 && end.due_at_ms > item->message->expires_at_ms;
  if (end.state == NM_MESSAGE_WAITING && ends_before) end.due_at_ms = item->message->expires_at_ms;
  if (end.reason.len > NM_ERROR_TEXT_MAX_BYTES) end.reason.len = NM_ERROR_TEXT_MAX_BYTES;
  struct nm_lane *goes_by = lane;
  char moved[NM_LANE_REASON_MAX_BYTES];
  if (is_deferred(outcome, &end)) {
    struct nm_lane *other = nm_lane_move(lane, item->message, &end, moved, sizeof moved);
    if (other) {
      goes_by = other;
      end.due_at_ms = end.ended_at_ms;
    }
  }
  log_end(lane, item->message, &end);
  end.message = item->message;
  nm_finisher_add(goes_by, &end);
  if (end.state == NM_MESSAGE_WAITING && goes_by == lane)
    nm_lane_turn_later(lane, item->message, end.due_at_ms);
  nm_item_done(lane, item);
}

void nm_item_finish(struct nm_lane *lane, struct nm_item *item, enum nm_message_state state,
                    int64_t due_at_ms, struct nm_text reason)
{
  const struct nm_message *message = item->message;
  nm_finisher_add(lane, &(struct nm_finish){ .message_id = message->id, .run_id = message->run_id,
                                             .state = state, .due_at_ms = due_at_ms,
                                             .attempts = message->attempts, .reason = reason,
                                             .first_attempt_ms = message->first_attempt_ms,
                                             .message = message });
  nm_item_done(lane, item);
}
