/* erasures.h - drives the store's erasing of people: step by step, beside everything else. */
#pragma once

#include "engine/internal.h"

void nm_erasures_open(struct nm_engine *engine);
void nm_erasures_close_alarm(struct nm_engine *engine);
void nm_erasures_close(struct nm_engine *engine);

/* There may be a job (at start, or because one came in). */
void nm_erasures_wake(struct nm_engine *engine);

/* True where the message is for somebody whose erasing was begun while it was leased: it is not
 * sent. */
bool nm_erasures_cover(const struct nm_engine *engine, const struct nm_message *message);
