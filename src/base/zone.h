/* zone.h - time as clocks on the wall show it in a named zone ("Europe/Istanbul").
 *
 * Reads the system's tzdata files; daylight-saving edges are those of the zone.  A loaded zone is
 * immutable and lives as long as the process; any thread.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

struct nm_zone;

/* Where a local clock stands. */
struct nm_local {
  int year, month, day;      /* 2026, 1..12, 1..31 */
  int hour, minute, second;
  int weekday;               /* Monday 1 .. Sunday 7 */
  int offset_s;              /* east of UTC */
};

/* Finds a zone by name; "UTC" always exists.  NM_EINVAL for an unknown one.  Lends *out for
 * ever. */
NM_MUST_CHECK int nm_zone_find(const struct nm_zone **out, struct nm_text name);

void nm_zone_local(const struct nm_zone *zone, int64_t wall_ms, struct nm_local *out);

/* The instant at which the zone's clock shows the given time; where it shows it twice the first,
 * where never (a spring edge) the instant of the edge. */
int64_t nm_zone_instant(const struct nm_zone *zone, int year, int month, int day, int hour,
                        int minute, int second);

/* The first instant after wall_ms at which the zone's clock shows minute_of_day (0..1439). */
int64_t nm_zone_next_minute(const struct nm_zone *zone, int64_t wall_ms, int minute_of_day);

/* Reads "2026-11-23 09:30:00", also with T, without seconds or time, with Z or an offset, as a
 * time in the zone (UTC or the offset where it says so).  False on anything else. */
bool nm_zone_read(const struct nm_zone *zone, struct nm_text text, int64_t *out_ms);
