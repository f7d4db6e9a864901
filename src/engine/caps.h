/* caps.h - frequency caps: the windows on the tenant's clock that a message falls into.  Pure; the
 * store counts. */
#pragma once

#include "base/arena.h"
#include "base/zone.h"
#include "model/message.h"

/* The calendar window that holds the instant: [*from_ms, *until_ms). */
void nm_caps_window(const struct nm_zone *zone, enum nm_cap_per per, int64_t wall_ms,
                    int64_t *from_ms, int64_t *until_ms);

/* Gives a message the caps of its effect, in the windows of the moment that it is due. */
void nm_caps_fill(const struct nm_zone *zone, const struct nm_effect *effect,
                  struct nm_arena *arena, struct nm_message *message);
