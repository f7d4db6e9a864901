/* updates.h - a tenant's attribute updates on their way to Optimove. */
#pragma once

#include "engine/internal.h"

enum { NM_UPDATES_REPEATED_MAX = 64 };

struct nm_updates {
  struct nm_book *book;
  struct nm_job job;
  struct nm_alarm alarm;
  bool is_wanted;    /* there may be something to take */
  bool is_busy;      /* a take, a call or a finish is under way */
  int64_t not_before_ms; /* monotonic: gathering */
  /* batches that were sent a second time because no callback came */
  int64_t repeated[NM_UPDATES_REPEATED_MAX];
  size_t repeated_count;
};

void nm_updates_open(struct nm_updates *updates, struct nm_book *book);

/* There may be something to send; waits a moment for company. */
void nm_updates_poke(struct nm_updates *updates);
