#include "engine/quiet.h"

int64_t nm_quiet_end_ms(struct nm_quiet quiet, const struct nm_zone *zone, int64_t wall_ms)
{
  struct nm_local local;
  if (quiet.from_minute == quiet.to_minute) return 0;
  nm_zone_local(zone, wall_ms, &local);
  int minute = local.hour * 60 + local.minute;
  bool is_quiet = quiet.from_minute < quiet.to_minute
                      ? minute >= quiet.from_minute && minute < quiet.to_minute
                      : minute >= quiet.from_minute || minute < quiet.to_minute;
  return is_quiet ? nm_zone_next_minute(zone, wall_ms, quiet.to_minute) : 0;
}

int64_t nm_quiet_allowed_ms(struct nm_quiet quiet, const struct nm_zone *zone, int64_t wall_ms)
{
  int64_t end_ms = nm_quiet_end_ms(quiet, zone, wall_ms);
  return end_ms ? end_ms : wall_ms;
}
