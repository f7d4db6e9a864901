/* feedback.h - what Optimove reports and we never heard of (catch-up), and what became of each run,
 * for its reports (tally, facts). */
#pragma once

#include "model/fact.h"
#include "model/run.h"
#include "store/verbs/events.h"

struct nm_store_missed {
  struct nm_store_arrival arrival; /* the notice that is made of it; its stamp is the day.  out: id,
                                    * 0 = none was made */
  int64_t from_ms;                 /* notices from then on are that day's */
};

/* What Optimove names of one channel against the notices that came.  The first look of all only
 * learns what was there before us. */
struct nm_store_catch_up {
  struct nm_store_request request;
  int64_t tenant_id, channel_id;
  int64_t now_ms;
  int64_t after_ms;                  /* so long after it was first seen a notice still may come */
  struct nm_store_missed *campaigns;
  size_t count;
  bool is_first;                     /* out */
  size_t waiting, missed;            /* out: not seen so long; made events of */
};

enum { NM_STORE_TALLIES_MAX = 256 };

/* What a run sent of one template by one provider. */
struct nm_store_count {
  int64_t template_id;
  struct nm_text provider;
  struct nm_text report_key; /* by what the provider's own reports are asked; empty = it has none */
  int64_t sent, dropped;     /* dropped: dead letters and expired ones */
};

/* The next run that has ended and was not told, counted in slices: submitted again while from_id is
 * not 0.  run.id 0: there is none. */
struct nm_store_tally {
  struct nm_store_request request;
  int64_t tenant_id;
  int64_t now_ms, after_ms;      /* so long after its end */
  struct nm_run run;             /* in: id 0 = find one; out: its counts */
  int64_t ended_at_ms;           /* out */
  int64_t from_id;               /* in and out; 0 = counted to the end */
  int64_t next_due_ms;           /* out, where there is none: when the next has rested; 0 = never */
  struct nm_store_count counts[NM_STORE_TALLIES_MAX]; /* in and out */
  size_t count;
};

/* A run's figures, each once, and the word that `run show` has of them (JSON).  NM_ECONFLICT where
 * it goes on again. */
struct nm_store_facts_save {
  struct nm_store_request request;
  int64_t tenant_id, run_id;
  const struct nm_fact *facts;
  size_t count;
  struct nm_text told;
};

/* Figures that are due, marked as being told before anybody is called. */
struct nm_store_facts_take {
  struct nm_store_request request;
  int64_t tenant_id, now_ms;
  struct nm_fact *facts; /* out */
  size_t count;
  int64_t next_due_ms;   /* out: 0 = none */
};

enum nm_fact_end {
  NM_FACT_TOLD = 0,
  NM_FACT_LATER = 1,   /* nothing was done: again at due_at_ms */
  NM_FACT_UNKNOWN = 2, /* the answer was lost: it is not told again by itself */
  NM_FACT_REFUSED = 3,
};

struct nm_store_facts_finish {
  struct nm_store_request request;
  const struct nm_fact *facts;
  size_t count;
  enum nm_fact_end end;
  int64_t due_at_ms;
  struct nm_text reason;
};
