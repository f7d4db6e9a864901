/* catchup.h - asks Optimove what it executed, after each look at the listeners: a campaign whose
 * notice never came (we were down, a listener was gone) is held for a person, or run. */
#pragma once

#include "engine/internal.h"

struct nm_catchup {
  struct nm_book *book;
  struct nm_alarm alarm;
  bool is_running;
  int64_t last_ended_at_ms; /* wall clock; 0 = it never looked */
  int64_t missed;           /* since the start */
  size_t waiting;           /* of the last look: their notice may still come */
  char problem[256];        /* of the last look; empty = none */
};

/* What an event of catch-up carries as its foreign id, until a person releases it. */
#define NM_CATCH_UP_MARK "catch-up"

void nm_catchup_open(struct nm_catchup *catchup, struct nm_book *book);

/* The listeners were looked at. */
void nm_catchup_soon(struct nm_catchup *catchup);

/* For connector status.  Gives. */
json_t *nm_catchup_status(const struct nm_catchup *catchup);
