#include "engine/yield.h"

#include <sys/resource.h>
#include <unistd.h>

#include "base/metrics.h"

enum {
  BACK_BY = 10,        /* a tenth of the share of a thread that is not back */
  FLOOD_PER_S = 4000,  /* below it there is time for both */
  LOOK_EVERY_MS = 50,
};

static bool set_nice(int nice)
{
  return setpriority(PRIO_PROCESS, (id_t)gettid(), nice) == 0; /* Linux: of the thread alone */
}

void nm_yield_open(struct nm_yield *yield)
{
  *yield = (struct nm_yield){ .nice = getpriority(PRIO_PROCESS, (id_t)gettid()) };
  /* One step is tried: where it cannot be taken back it is not felt either. */
  yield->is_allowed = set_nice(yield->nice + 1) && set_nice(yield->nice);
}

bool nm_yield_wanted(bool is_back, int64_t per_s, int64_t waited_ms)
{
  if (waited_ms < 0) return false;
  if (is_back) return per_s >= FLOOD_PER_S / 2 && waited_ms < NM_ENGINE_LAG_MAX_MS;
  return per_s >= FLOOD_PER_S && waited_ms < NM_ENGINE_LAG_MAX_MS / 2;
}

void nm_yield_look(struct nm_yield *yield, int64_t now_ms, int64_t waited_ms)
{
  int64_t elapsed_ms = now_ms - yield->looked_at_ms;
  if (!yield->is_allowed) return;
  if (elapsed_ms >= LOOK_EVERY_MS) {
    int64_t accepted = nm_metric_get(NM_METRIC_EVENTS_ACCEPTED);
    yield->per_s = (accepted - yield->accepted) * 1000 / elapsed_ms;
    yield->accepted = accepted;
    yield->looked_at_ms = now_ms;
  }
  bool is_wanted = nm_yield_wanted(yield->is_back, yield->per_s, waited_ms);
  if (is_wanted == yield->is_back) return;
  if (set_nice(is_wanted ? yield->nice + BACK_BY : yield->nice)) yield->is_back = is_wanted;
}
