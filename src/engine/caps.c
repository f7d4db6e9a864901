#include "engine/caps.h"

enum { HOUR_MS = 60 * 60 * 1000 };

/* Midnight some days from a local day; the zone reads a day beyond the month's end as no date does,
 * so the way there is through noon of the day before, by steps of 24 hours. */
static int64_t midnight(const struct nm_zone *zone, const struct nm_local *day, int days)
{
  struct nm_local local;
  int64_t noon_ms = nm_zone_instant(zone, day->year, day->month, day->day, 12, 0, 0);
  nm_zone_local(zone, noon_ms + (int64_t)days * 24 * HOUR_MS, &local);
  return nm_zone_instant(zone, local.year, local.month, local.day, 0, 0, 0);
}

void nm_caps_window(const struct nm_zone *zone, enum nm_cap_per per, int64_t wall_ms,
                    int64_t *from_ms, int64_t *until_ms)
{
  struct nm_local local;
  nm_zone_local(zone, wall_ms, &local);
  switch (per) {
  case NM_CAP_PER_HOUR: {
    /* Hours that pass, so that one which a clock shows twice is two. */
    int64_t into_ms = (wall_ms + (int64_t)local.offset_s * 1000) % HOUR_MS;
    *from_ms = wall_ms - (into_ms < 0 ? into_ms + HOUR_MS : into_ms);
    *until_ms = *from_ms + HOUR_MS;
    return;
  }
  case NM_CAP_PER_DAY:
    *from_ms = midnight(zone, &local, 0);
    *until_ms = midnight(zone, &local, 1);
    return;
  case NM_CAP_PER_WEEK:
    *from_ms = midnight(zone, &local, 1 - local.weekday);
    *until_ms = midnight(zone, &local, 8 - local.weekday);
    return;
  case NM_CAP_PER_MONTH: {
    bool is_last = local.month == 12;
    *from_ms = nm_zone_instant(zone, local.year, local.month, 1, 0, 0, 0);
    *until_ms = nm_zone_instant(zone, is_last ? local.year + 1 : local.year,
                                is_last ? 1 : local.month + 1, 1, 0, 0, 0);
    return;
  }
  }
}

void nm_caps_fill(const struct nm_zone *zone, const struct nm_effect *effect,
                  struct nm_arena *arena, struct nm_message *message)
{
  if (effect->cap_count == 0) return;
  struct nm_message_cap *caps = nm_arena_alloc(arena, effect->cap_count * sizeof *caps);
  if (!caps) return; /* the caller sees that they are missing */
  for (size_t i = 0; i < effect->cap_count; i++) {
    const struct nm_cap *cap = &effect->caps[i];
    caps[i] = (struct nm_message_cap){ .scope = cap->scope, .max = cap->max, .per = cap->per };
    nm_caps_window(zone, cap->per, message->due_at_ms, &caps[i].from_ms, &caps[i].until_ms);
  }
  message->caps = caps;
  message->cap_count = effect->cap_count;
}
