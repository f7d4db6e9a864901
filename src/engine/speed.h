/* speed.h - how many a second, over the last half minute.  Pure. */
#pragma once

#include <stdint.h>

enum { NM_SPEED_SLOTS = 16, NM_SPEED_SLOT_MS = 2000 };

struct nm_speed {
  int64_t counts[NM_SPEED_SLOTS];
  int64_t slot;  /* the latest that was counted; monotonic time in slots */
  int64_t first; /* the first of all; 0 = nothing was counted yet */
};

void nm_speed_add(struct nm_speed *speed, int64_t mono_ms, int64_t count);
/* 0 where nothing was counted lately. */
double nm_speed_per_s(const struct nm_speed *speed, int64_t mono_ms);
