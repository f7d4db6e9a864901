/* clock.h - the wall clock for what people named, the monotonic clock for durations. */
#pragma once

#include <stdint.h>

/* Milliseconds since 1970-01-01 UTC. */
int64_t nm_clock_wall_ms(void);

/* Milliseconds and nanoseconds of a clock that never jumps. */
int64_t nm_clock_mono_ms(void);
int64_t nm_clock_mono_ns(void);

/* Nanoseconds of CPU time that the calling thread has used. */
int64_t nm_clock_thread_cpu_ns(void);
