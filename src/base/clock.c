#include "base/clock.h"

#include <time.h>

static int64_t read_ns(clockid_t id)
{
  struct timespec now;
  clock_gettime(id, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t nm_clock_wall_ms(void)
{
  return read_ns(CLOCK_REALTIME) / 1000000;
}

int64_t nm_clock_mono_ms(void)
{
  return read_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t nm_clock_mono_ns(void)
{
  return read_ns(CLOCK_MONOTONIC);
}

int64_t nm_clock_thread_cpu_ns(void)
{
  return read_ns(CLOCK_THREAD_CPUTIME_ID);
}
