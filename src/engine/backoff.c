#include "engine/backoff.h"

const struct nm_backoff nm_backoff_messages = { 2000, 15 * 60 * 1000, 24 * 3600 * 1000 };
const struct nm_backoff nm_backoff_optimove = { 2000, 5 * 60 * 1000, 24 * 3600 * 1000 };
const struct nm_backoff nm_backoff_pause = { 1000, 60 * 1000, INT64_MAX };

static int64_t ms_of(double seconds, int64_t otherwise_ms)
{
  return seconds > 0 ? (int64_t)(seconds * 1000) : otherwise_ms;
}

struct nm_backoff nm_backoff_of(const struct nm_backoff *otherwise, double first_s, double most_s,
                                double give_up_s)
{
  struct nm_backoff out = { ms_of(first_s, otherwise->first_ms), ms_of(most_s, otherwise->max_ms),
                            ms_of(give_up_s, otherwise->budget_ms) };
  if (out.first_ms > out.max_ms && most_s <= 0) out.max_ms = out.first_ms;
  if (out.first_ms > out.max_ms) out.first_ms = out.max_ms;
  return out;
}

int64_t nm_backoff_ceiling_ms(const struct nm_backoff *schedule, int failures)
{
  int64_t ceiling_ms = schedule->first_ms;
  for (int i = 1; i < failures && ceiling_ms < schedule->max_ms; i++) ceiling_ms *= 2;
  return ceiling_ms < schedule->max_ms ? ceiling_ms : schedule->max_ms;
}

int64_t nm_backoff_wait_ms(const struct nm_backoff *schedule, int failures, uint64_t random)
{
  int64_t ceiling_ms = nm_backoff_ceiling_ms(schedule, failures);
  int64_t floor_ms = schedule->first_ms / 20;
  if (ceiling_ms <= floor_ms) return ceiling_ms;
  return floor_ms + (int64_t)(random % (uint64_t)(ceiling_ms - floor_ms + 1));
}
