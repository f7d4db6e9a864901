/* fence.h - what a cancel covers.  Pure.
 *
 * A fence stands in memory from the moment the engine knows of a cancel until the store has it:
 * from then on the store gives out nothing that it covers.
 */
#pragma once

#include "base/zone.h"
#include "model/message.h"
#include "model/run.h"

struct nm_fence {
  struct nm_fence *next;
  int64_t run_id;          /* an operator's cancel of one run; 0 = by campaign */
  struct nm_text campaign; /* owned by who made the fence */
  int64_t channel_id;      /* 0 = all channels */
  int64_t stamp_ms;        /* the 4's TimeStamp; 0 = none or unreadable */
  int64_t arrived_at_ms;
};

bool nm_fence_covers_message(const struct nm_fence *fence, const struct nm_message *message,
                             const struct nm_zone *zone);
bool nm_fence_covers_run(const struct nm_fence *fence, const struct nm_run *run,
                         const struct nm_zone *zone);
