/* breaker.h - stops asking a host that cannot be reached, and tries it now and then.  Pure.
 *
 * Closed until FAILURES_MAX sends in a row found nobody there; then open for a second, doubling to
 * a minute; after each pause one send goes as a probe.  Any answer at all closes it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct nm_breaker {
  int failures;          /* in a row */
  int openings;          /* in a row */
  int64_t open_until_ms; /* monotonic; 0 = closed */
  bool is_probing;       /* the probe is under way */
};

enum nm_breaker_says {
  NM_BREAKER_CLOSED = 0,
  NM_BREAKER_OPEN = 1,  /* wait until open_until_ms, or for the probe under way */
  NM_BREAKER_PROBE = 2, /* one send with one message may try */
};

enum nm_breaker_says nm_breaker_ask(const struct nm_breaker *breaker, int64_t now_ms);

/* The probe was started. */
void nm_breaker_probe(struct nm_breaker *breaker);

/* A send ended: somebody answered, or nobody could be reached.  True where this opened the breaker
 * or closed an open one. */
bool nm_breaker_note(struct nm_breaker *breaker, bool is_reached, bool was_probe, int64_t now_ms);
