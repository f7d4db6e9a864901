/* reconciler.h - keeps a tenant's listeners at Optimove as they are wanted: at start, after a
 * change of the tenant or of what its rules route, and again by itself until it is so. */
#pragma once

#include "engine/internal.h"

struct nm_reconciler {
  struct nm_book *book;
  struct nm_alarm alarm;       /* the next try by itself */
  struct nm_alarm patience;    /* who waits is told in time */
  bool is_running, is_wanted;
  int failures;
  struct nm_control *waiting;  /* TENANT_SAVED that want the report; linked by task.mail */
  struct nm_control *next_waiting; /* of the round after the one that is running */
  int64_t *routed;             /* EventTypeIDs beyond 11, 13 and 4 */
  size_t routed_count;
};

void nm_reconciler_open(struct nm_reconciler *reconciler, struct nm_book *book);

/* Something changed: looks, soon.  `control` (may be NULL) is answered with the report. */
void nm_reconciler_want(struct nm_reconciler *reconciler, struct nm_control *control);

/* The rules changed: only where they route other types than before. */
void nm_reconciler_rules_changed(struct nm_reconciler *reconciler);

/* Only looks: CONNECTOR_PLAN. */
void nm_reconciler_plan(struct nm_book *book, struct nm_control *control);

/* Answers whoever waits. */
void nm_reconciler_stop(struct nm_reconciler *reconciler);
void nm_reconciler_deinit(struct nm_reconciler *reconciler);
