/* control.h - what operators ask of the running daemon, and its answer: plain data, both ways.
 *
 * Whoever asks (api, main) posts a nm_control to the engine's port; the engine fills rc, error and
 * answer and returns the task.
 */
#pragma once

#include "base/port.h"
#include "json/json.h"

enum nm_control_verb {
  /* tenants and their connectors */
  NM_CONTROL_TENANT_SAVED = 0,      /* args {tenant}: reconcile; {done:[...], todo:[...],
                                     * warnings:[...]} */
  NM_CONTROL_CONNECTOR_PLAN = 4,    /* args {tenant} */
  NM_CONTROL_CONNECTOR_APPLY = 20,  /* args {tenant, take_over?}: as TENANT_SAVED; NM_ECONFLICT
                                     * where it is INACTIVE */
  NM_CONTROL_CONNECTOR_STATUS = 21, /* args {tenant}: what the last look found, when, and when the
                                     * next is */
  NM_CONTROL_CONNECTOR_TEST = 22,   /* args {tenant, for_save?}; payload: struct nm_tenant that is
                                     * not saved yet, borrowed, or NULL.  {ok, checks:[{what,
                                     * result, text}]}; NM_EDENIED with it: key refused */
  NM_CONTROL_PROVIDER_TEST = 23,    /* args {tenant, provider}: {ok, checks:[...]} as above */
  /* runs and the queue */
  NM_CONTROL_RUN_CANCEL = 2,        /* args {run} */
  NM_CONTROL_RUN_PAUSE = 30,        /* args {run}: {state, in_flight} */
  NM_CONTROL_RUN_RELEASE = 31,      /* args {run}: {state, was, rows}: held rows that are played
                                     * again */
  NM_CONTROL_RUN_REPIN = 32,        /* args {run}: {generation, page}: the active rules, from that
                                     * page on */
  NM_CONTROL_RUN_PROGRESS = 35,     /* args {run}: {rate_per_s, left_ms?}; NM_ENOTFOUND where it is
                                     * over */
  NM_CONTROL_QUEUE_CHANGED = 5,     /* something was put back to waiting by hand: look again */
  /* looking */
  NM_CONTROL_EXPLAIN = 3,           /* args {tenant, event}: today's rules over it, step by step */
  NM_CONTROL_EXPLAIN_MESSAGE = 33,  /* args {message: as the store shows it}: {waits: [{from_ms,
                                     * until_ms, cause, text}]} */
  NM_CONTROL_STATUS = 7,            /* lanes, runs, generations in memory */
  NM_CONTROL_METRICS = 34,          /* {text}: gauges of what is in memory, for Prometheus */
  /* from main */
  NM_CONTROL_SWAP_RULES = 1,        /* payload: struct nm_generation; takes it */
  NM_CONTROL_RULES_ARE_IN = 8,      /* every stored generation was handed over: events may be
                                     * planned; those of a tenant without one are held */
  NM_CONTROL_STOP = 6,              /* finish what is in flight, start nothing new, then answer */
  /* answered by main */
  NM_CONTROL_RELOAD = 9,            /* looks at the rules folder and the settings now;
                                     * {rules:[{file, tenant, verdict, digest, problems:[text]}],
                                     * settings:{applied:[key], restart:[key], problems:[text]}} */
  NM_CONTROL_ROLLBACK = 10,         /* args {tenant, generation?}: that one (or the one before)
                                     * serves until the file changes; {tenant, generation, digest,
                                     * was} */
  NM_CONTROL_PUBLISH = 11,          /* args {tenant, source, if_digest?, dry_run?}: keeper.h's
                                     * answer */
};

struct nm_control {
  struct nm_task task; /* first */
  enum nm_control_verb verb;
  json_t *args;        /* the asker's; the engine borrows it */
  void *payload;       /* for the verbs that name one */
  int rc;
  struct nm_error error;
  json_t *answer;      /* gives; NULL where the verb has none */
};
