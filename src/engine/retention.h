/* retention.h - deletes what is older than the settings say, an hour after the last time, a little
 * at once. */
#pragma once

#include "engine/internal.h"

void nm_retention_open(struct nm_engine *engine);

/* The engine runs. */
void nm_retention_start(struct nm_engine *engine);
void nm_retention_close_alarm(struct nm_engine *engine);
