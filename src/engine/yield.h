/* yield.h - the engine's thread steps back while more comes in than can be planned beside it.
 *
 * Accepting an event and planning it share a processor that may be full.  Then what counts first is
 * that callers have their answer: the thread gives itself a higher nice value, which changes
 * nothing where a core is free, and takes it back when the flood ends or the oldest event has
 * waited NM_ENGINE_LAG_MAX_MS.  Only where the kernel allows taking it back (root, or RLIMIT_NICE);
 * else the thread stays as it is.  On the engine's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { NM_ENGINE_LAG_MAX_MS = 5000 };

struct nm_yield {
  int nice;          /* the thread's own */
  bool is_allowed;   /* and may be had again */
  bool is_back;      /* it has stepped back */
  int64_t looked_at_ms, accepted, per_s;
};

/* Finds out whether the kernel allows it. */
void nm_yield_open(struct nm_yield *yield);

/* Looks how fast events come; the oldest that waits for its plan has waited so long (-1: none
 * waits). */
void nm_yield_look(struct nm_yield *yield, int64_t now_ms, int64_t waited_ms);

/* Pure: whether it should be back, with so many events accepted a second. */
bool nm_yield_wanted(bool is_back, int64_t per_s, int64_t waited_ms);
