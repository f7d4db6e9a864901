/* hour.h - how many messages there were within the last hour, by minutes.  Pure. */
#pragma once

#include <stdint.h>

enum { NM_HOUR_MINUTES = 60 };

struct nm_hour {
  int64_t counts[NM_HOUR_MINUTES];
  int64_t minute; /* the latest that was counted, since 1970 */
};

void nm_hour_add(struct nm_hour *hour, int64_t now_ms, int64_t count);
/* Of the 60 minutes up to now; a minute counts whole. */
int64_t nm_hour_sum(const struct nm_hour *hour, int64_t now_ms);
