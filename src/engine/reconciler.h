/* reconciler.h - keeps a tenant's listeners at Optimove as they are wanted: at start, after a
 * change of the tenant or of what its rules route, and again by itself until it is so. */
#pragma once

#include "engine/internal.h"

struct nm_reconciler {
  struct nm_book *book;
  struct nm_alarm alarm;       /* the next try by itself */
  struct nm_alarm patience;    /* who waits is told in time */
  bool is_running, is_wanted;
  bool is_by_schedule;         /* the next look is for drift; nobody asked for it */
  bool takes_over;             /* the next round also takes somebody else's URLs from our pairs */
  int failures;
  struct nm_control *waiting;  /* TENANT_SAVED that want the report; linked by task.mail */
  struct nm_control *next_waiting; /* of the round after the one that is running */
  int64_t *routed;             /* EventTypeIDs beyond 11, 13 and 4 */
  size_t routed_count;
  struct nm_wanted_template *templates; /* names borrow from the active rules */
  size_t template_count;
  uint64_t templates_hash;
  bool is_gone;                /* its tenant was removed */
  json_t *carried;             /* what earlier rounds did that those who wait were not told yet */
  json_t *last_report;         /* of the last round that ended; NULL = none yet */
  int last_rc;
  int64_t last_ended_at_ms;    /* wall clock */
  int64_t next_look_at_ms;     /* wall clock; 0 = none is set */
};

void nm_reconciler_open(struct nm_reconciler *reconciler, struct nm_book *book);

/* Something changed: looks, soon.  `control` (may be NULL) is answered with the report. */
void nm_reconciler_want(struct nm_reconciler *reconciler, struct nm_control *control);

/* The rules changed: only where they route other types than before. */
void nm_reconciler_rules_changed(struct nm_reconciler *reconciler);

/* What a round is told; the caller adds whom to tell. */
struct nm_reconcile nm_reconciler_describe(struct nm_reconciler *reconciler);

/* What operators ask of a connector (connector.c): CONNECTOR_PLAN, _APPLY, _STATUS, _TEST. */
void nm_connector_control(struct nm_book *book, struct nm_control *control);

/* PROVIDER_TEST (provider.c). */
void nm_provider_control(struct nm_book *book, struct nm_control *control);

/* CONNECTOR_TEST of a tenant that is not saved yet (control->payload). */
void nm_connector_try(struct nm_engine *engine, struct nm_control *control);

/* Answers whoever waits. */
void nm_reconciler_stop(struct nm_reconciler *reconciler);
void nm_reconciler_deinit(struct nm_reconciler *reconciler);

/* Answers whoever waits with the report of what was done last. */
void nm_reconciler_tell(struct nm_reconciler *reconciler, int rc, const json_t *report,
                        bool is_settled);

/* The tenant is leaving and Optimove has forgotten it, or that is not waited for (leaving.c): what
 * waits ends, the tenant goes, then who waits is told.  Takes report. */
void nm_leaving_go(struct nm_book *book, json_t *report);
