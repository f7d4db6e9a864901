/* backoff.h - when to try again: exponential with full jitter.  Pure. */
#pragma once

#include <stdint.h>

/* A schedule as data.  The first wait is at most first_ms, each later one may be twice as long, up
 * to max_ms; after budget_ms from the first attempt there is none. */
struct nm_backoff {
  int64_t first_ms;
  int64_t max_ms;
  int64_t budget_ms;
};

/* What a provider's `retry` says in seconds; what it leaves out, or 0, is the default's.  A first
 * wait above the most is the most. */
struct nm_backoff nm_backoff_of(const struct nm_backoff *otherwise, double first_s, double most_s,
                                double give_up_s);

/* Messages: within 2 s, doubling to 15 min, for 24 h. */
extern const struct nm_backoff nm_backoff_messages;

/* Optimove: within 2 s, doubling to 5 min, for 24 h. */
extern const struct nm_backoff nm_backoff_optimove;

/* What never gives up and must not be slow to come back: 1 s doubling to 60 s. */
extern const struct nm_backoff nm_backoff_pause;

/* The longest wait after `failures` failures in a row (1 = the first). */
int64_t nm_backoff_ceiling_ms(const struct nm_backoff *schedule, int failures);

/* A wait between a twentieth of the first and the ceiling; `random` is any 64 bits. */
int64_t nm_backoff_wait_ms(const struct nm_backoff *schedule, int failures, uint64_t random);
