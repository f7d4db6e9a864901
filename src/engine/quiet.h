/* quiet.h - hours in which nothing is sent.  Pure. */
#pragma once

#include "base/zone.h"
#include "model/effect.h"

/* 0 where sending is allowed at that instant, else the first instant at which it is again. */
int64_t nm_quiet_end_ms(struct nm_quiet quiet, const struct nm_zone *zone, int64_t wall_ms);

/* The first instant from wall_ms on at which sending is allowed. */
int64_t nm_quiet_allowed_ms(struct nm_quiet quiet, const struct nm_zone *zone, int64_t wall_ms);
