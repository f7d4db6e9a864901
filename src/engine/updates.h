/* updates.h - a tenant's attribute updates on their way to Optimove. */
#pragma once

#include "engine/internal.h"

struct nm_updates {
  struct nm_book *book;
  struct nm_job job;
  struct nm_alarm alarm;
  bool is_wanted;    /* there may be something to take */
  bool retries_now;  /* another key: what was refused to the old one need not wait */
  bool is_busy;      /* a take, a call or a finish is under way */
  int64_t not_before_ms; /* monotonic: gathering */
};

void nm_updates_open(struct nm_updates *updates, struct nm_book *book);

/* There may be something to send; waits a moment for company. */
void nm_updates_poke(struct nm_updates *updates);

/* Updates are made with another key from now on. */
void nm_updates_key_changed(struct nm_updates *updates);
