#include "engine/speed.h"

void nm_speed_add(struct nm_speed *speed, int64_t mono_ms, int64_t count)
{
  int64_t slot = mono_ms / NM_SPEED_SLOT_MS + 1;
  if (speed->first == 0) speed->first = slot;
  if (slot - speed->slot > NM_SPEED_SLOTS) speed->slot = slot - NM_SPEED_SLOTS;
  while (speed->slot < slot) speed->counts[++speed->slot % NM_SPEED_SLOTS] = 0;
  speed->counts[slot % NM_SPEED_SLOTS] += count;
}

double nm_speed_per_s(const struct nm_speed *speed, int64_t mono_ms)
{
  int64_t now = mono_ms / NM_SPEED_SLOT_MS + 1, sum = 0, slots = 0;
  if (speed->first == 0) return 0;
  for (int64_t slot = now; slot > now - NM_SPEED_SLOTS && slot >= speed->first; slot--, slots++)
    if (slot <= speed->slot && slot > speed->slot - NM_SPEED_SLOTS)
      sum += speed->counts[slot % NM_SPEED_SLOTS];
  /* The slot at hand is not over yet. */
  double taken_ms = (double)((slots - 1) * NM_SPEED_SLOT_MS + mono_ms % NM_SPEED_SLOT_MS + 1);
  return taken_ms > 0 ? (double)sum * 1000 / taken_ms : 0;
}
