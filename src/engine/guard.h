/* guard.h - a run that is larger than its tenant allows is held before anything of it is sent. */
#pragma once

#include "engine/runs.h"

/* True while the run may not be expanded: its recipients are not all here, or it is being looked
 * at. */
bool nm_run_guard(struct nm_running *run);

/* Asks the store how many messages the tenant had within the last hour, where a ceiling needs it.
 */
void nm_guard_learn(struct nm_book *book);

/* True where the tenant had as many messages within the hour as it may, and `more` are made now. */
bool nm_guard_is_full(const struct nm_book *book, int64_t now_ms, size_t more);
