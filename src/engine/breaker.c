#include "engine/breaker.h"

#include "engine/backoff.h"

enum { FAILURES_MAX = 5 };

enum nm_breaker_says nm_breaker_ask(const struct nm_breaker *breaker, int64_t now_ms)
{
  if (breaker->open_until_ms == 0) return NM_BREAKER_CLOSED;
  if (breaker->is_probing || now_ms < breaker->open_until_ms) return NM_BREAKER_OPEN;
  return NM_BREAKER_PROBE;
}

void nm_breaker_probe(struct nm_breaker *breaker)
{
  breaker->is_probing = true;
}

bool nm_breaker_note(struct nm_breaker *breaker, bool is_reached, bool was_probe, int64_t now_ms)
{
  bool was_open = breaker->open_until_ms != 0;
  if (was_probe) breaker->is_probing = false;
  if (is_reached) {
    *breaker = (struct nm_breaker){ .is_probing = breaker->is_probing };
    return was_open;
  }
  breaker->failures++;
  /* What was under way when it opened says nothing new. */
  if (was_open && !was_probe) return false;
  if (!was_open && breaker->failures < FAILURES_MAX) return false;
  breaker->openings++;
  breaker->open_until_ms = now_ms + nm_backoff_ceiling_ms(&nm_backoff_pause, breaker->openings);
  return !was_open;
}
