/* settle.h - what an outcome means for its message: the whole retry policy in one function.  Pure.
 */
#pragma once

#include "engine/backoff.h"
#include "model/message.h"
#include "store/store.h"

struct nm_settling {
  const struct nm_backoff *schedule;
  bool hold_unknown;       /* the provider's unknown = "hold" */
  int64_t lane_pause_ms;   /* how long the lane rests anyway (throttled, auth, breaker); 0 = not */
  int64_t now_ms;          /* wall clock */
  uint64_t random;
  int64_t started_at_ms;   /* of this attempt; 0 = now */
};

/* Fills state, due_at_ms, attempts, first_attempt_ms, outcome, code and reason (borrowed from the
 * outcome). */
void nm_settle(const struct nm_message *message, const struct nm_outcome *outcome,
               const struct nm_settling *how, struct nm_finish *out);
