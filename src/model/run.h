/* run.h - one execution of a campaign on a channel: a row, its pages and a cursor. */
#pragma once

#include <stdint.h>

#include "base/text.h"
#include "model/effect.h"

enum nm_run_state {
  NM_RUN_ACTIVE = 0,
  NM_RUN_PAUSED = 1,
  NM_RUN_HELD = 2,      /* a person should release it; reason says why */
  NM_RUN_CANCELLED = 3, /* fenced: nothing of it is started any more */
  NM_RUN_EXPANDED = 4,  /* every row is a message, a mark or a repetition; messages may still
                         * wait */
  NM_RUN_DONE = 5,      /* and every message has its end */
  NM_RUN_FAILED = 6,    /* its recipients cannot be had; reason says why */
};

/* Why a run is held whose recipients were not all here when its tenant went to another baseUrl. */
#define NM_RUN_ACCOUNT_LEFT \
  "the tenant has left the account that this campaign is of: cancel it, or release it to ask the " \
  "new one"

struct nm_run {
  int64_t id;
  int64_t tenant_id;
  int64_t event_id;
  int64_t generation_id;   /* kept to its end */
  int64_t channel_id;
  enum nm_run_state state;
  struct nm_text campaign;
  struct nm_text stamp;    /* its event's TimeStamp */
  struct nm_text reason;   /* of held and failed */
  struct nm_quiet quiet;
  int64_t triggered_at_ms; /* its event's arrival */
  int64_t created_at_ms;
  int64_t fenced_at_ms;    /* 0 = not cancelled */
  /* fetching: rows received is the next $skip */
  int64_t rows_fetched;
  int64_t pages_fetched;
  bool is_fetched;         /* an empty page has come */
  /* expanding: the first row not yet expanded */
  int64_t cursor_page;     /* page number from 0 */
  int64_t cursor_row;
  /* counts */
  int64_t made;            /* messages made */
  int64_t repeated;        /* rows that came twice */
  int64_t skipped;         /* rows that are not to be messaged (control group, dropped by rules) */
  int64_t held;            /* rows that the rules held */
  int64_t sent, dead, stopped, expired;
  int64_t in_flight_at_fence;
  /* by hand */
  bool is_parked;              /* paused: its waiting messages too */
  int64_t repin_generation_id; /* 0 = none; the generation of pages from repin_page on */
  int64_t repin_page;
  int64_t play_until;          /* marks up to this id are played again; 0 = none */
  bool is_released;            /* no ceiling holds it any more */
  /* the guard */
  int64_t checked_at_ms;       /* it was looked at, and may be expanded; 0 = not yet */
};

/* "active", "cancelled", ... */
const char *nm_run_state_name(enum nm_run_state state);
