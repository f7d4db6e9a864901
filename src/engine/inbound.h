/* inbound.h - another program's webhook: its rule makes events of it, which are journaled as any
 * others are.  Changes nothing. */
#pragma once

#include "engine/book.h"
#include "store/store.h"

/* What is to be done about a request, by the tenant's active rules.  Fills *plan; *effects (may be
 * NULL) gets what the rules said. */
void nm_inbound_plan(const struct nm_book *book, const struct nm_event *event, int64_t now_ms,
                     struct nm_arena *arena, struct nm_plan *plan, struct nm_effects *effects);
