/* planner.h - events into plans: taken in batches, shown to the rules with their customers'
 * profiles, stored together.  4s come first. */
#pragma once

#include "engine/book.h"

void nm_planner_open(struct nm_engine *engine);
/* There may be events. */
void nm_planner_wake(struct nm_engine *engine);
void nm_planner_close_alarm(struct nm_engine *engine);
void nm_planner_close(struct nm_engine *engine);
