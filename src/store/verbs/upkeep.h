/* upkeep.h - by hand, by age, and at start: retry and drop, retain, resume. */
#pragma once

#include "model/run.h"
#include "store/verbs/request.h"

/* Puts held events, held or dead messages and dead updates back to waiting, due now, attempts from
 * 0.  An id that is none of these: NM_ENOTFOUND, error names it, and none is changed. */
struct nm_store_retry {
  struct nm_store_request request;
  const int64_t *ids;
  size_t count;
  int64_t now_ms;
  bool is_drop;   /* instead they end, dropped by hand */
  size_t retried; /* out: or dropped */
};

/* Deletes what is older than its age, a bounded number of rows a call. */
struct nm_store_retain {
  struct nm_store_request request;
  int64_t now_ms;
  int64_t events_age_ms, dead_age_ms;
  int64_t audit_age_ms; /* of the audit log; 0 = it is left as it is */
  size_t rows_max;
  bool is_more; /* out */
};

/* What an engine needs at start. */
struct nm_store_lane {
  int64_t tenant_id;
  struct nm_text provider;
};

struct nm_store_resume {
  struct nm_store_request request;
  struct nm_store_lane *lanes; /* out: those with waiting messages */
  size_t lane_count;
  struct nm_run *runs;         /* out: active, paused, expanded and held ones */
  size_t run_count;
  int64_t *update_tenants;     /* out: tenants with waiting updates or unsettled batches */
  size_t update_tenant_count;
};
