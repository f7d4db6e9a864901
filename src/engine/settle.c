#include "engine/settle.h"

#include "base/limits.h"

static int64_t longest(int64_t a, int64_t b)
{
  return a > b ? a : b;
}

static int64_t provider_wait_ms(const struct nm_outcome *outcome)
{
  if (outcome->retry_after_ms < 0) return 0;
  return outcome->retry_after_ms < NM_RETRY_AFTER_MAX_MS ? outcome->retry_after_ms
                                                        : NM_RETRY_AFTER_MAX_MS;
}

/* Waits again without having used up an attempt. */
static void defer(const struct nm_message *message, const struct nm_outcome *outcome,
                  const struct nm_settling *how, struct nm_finish *out)
{
  int64_t wait_ms = provider_wait_ms(outcome);
  if (wait_ms == 0) wait_ms = nm_backoff_wait_ms(&nm_backoff_pause, 1, how->random);
  out->state = NM_MESSAGE_WAITING;
  out->attempts = message->attempts;
  out->due_at_ms = how->now_ms + longest(wait_ms, how->lane_pause_ms);
}

/* When the first attempt that counts began; those of before schema 3 know only when they were
 * made. */
static int64_t first_attempt_ms(const struct nm_message *message, const struct nm_settling *how)
{
  if (message->first_attempt_ms > 0) return message->first_attempt_ms;
  if (message->attempts > 0) return message->created_at_ms;
  return how->started_at_ms > 0 ? how->started_at_ms : how->now_ms;
}

/* The budget counts from the first attempt: what waited long for its hour loses nothing of it. */
static bool is_used_up(const struct nm_settling *how, const struct nm_finish *out)
{
  return out->attempts >= NM_RETRY_ATTEMPTS_MIN &&
         how->now_ms - out->first_attempt_ms >= how->schedule->budget_ms;
}

static void try_again(const struct nm_message *message, const struct nm_outcome *outcome,
                      const struct nm_settling *how, struct nm_finish *out)
{
  int64_t wait_ms = provider_wait_ms(outcome);
  out->attempts = message->attempts + 1;
  out->first_attempt_ms = first_attempt_ms(message, how);
  if (is_used_up(how, out)) {
    out->state = NM_MESSAGE_DEAD;
    return;
  }
  if (outcome->retry_after_ms < 0)
    wait_ms = nm_backoff_wait_ms(how->schedule, out->attempts, how->random);
  out->state = NM_MESSAGE_WAITING;
  out->due_at_ms = how->now_ms + wait_ms;
}

static void end(const struct nm_message *message, enum nm_message_state state,
                struct nm_finish *out)
{
  out->state = state;
  out->attempts = message->attempts + 1;
}

void nm_settle(const struct nm_message *message, const struct nm_outcome *outcome,
               const struct nm_settling *how, struct nm_finish *out)
{
  out->message_id = message->id;
  out->run_id = message->run_id;
  out->has_attempt = true;
  out->first_attempt_ms = message->first_attempt_ms;
  out->outcome = outcome->kind;
  out->code = outcome->code;
  out->reason = outcome->reason;

  switch (outcome->kind) {
  case NM_OUTCOME_DELIVERED:
  case NM_OUTCOME_ACCEPTED: end(message, NM_MESSAGE_SENT, out); break;
  case NM_OUTCOME_RETRY:
    if (outcome->is_unreachable) defer(message, outcome, how, out);
    else try_again(message, outcome, how, out);
    break;
  case NM_OUTCOME_THROTTLED:
  case NM_OUTCOME_AUTH: defer(message, outcome, how, out); break;
  case NM_OUTCOME_DEAD_RECIPIENT:
  case NM_OUTCOME_REFUSED: end(message, NM_MESSAGE_DEAD, out); break;
  case NM_OUTCOME_UNKNOWN:
    if (how->hold_unknown) end(message, NM_MESSAGE_HELD, out);
    else try_again(message, outcome, how, out);
    break;
  }
}
