#include "engine/hour.h"

static int64_t minute_of(int64_t now_ms)
{
  return now_ms / (60 * 1000);
}

void nm_hour_add(struct nm_hour *hour, int64_t now_ms, int64_t count)
{
  int64_t minute = minute_of(now_ms);
  /* A clock that was set back counts on in the latest minute. */
  if (minute - hour->minute > NM_HOUR_MINUTES) hour->minute = minute - NM_HOUR_MINUTES;
  while (hour->minute < minute) hour->counts[++hour->minute % NM_HOUR_MINUTES] = 0;
  hour->counts[hour->minute % NM_HOUR_MINUTES] += count;
}

int64_t nm_hour_sum(const struct nm_hour *hour, int64_t now_ms)
{
  int64_t sum = 0, gone = minute_of(now_ms) - hour->minute;
  for (int64_t back = 0; back < NM_HOUR_MINUTES - (gone > 0 ? gone : 0); back++)
    sum += hour->counts[(hour->minute + NM_HOUR_MINUTES - back) % NM_HOUR_MINUTES];
  return sum;
}
