/* events.h - events: into the journal (accept), out of it to be planned (take), and their effects
 * in one transaction with their own state (plan). */
#pragma once

#include "model/event.h"
#include "model/message.h"
#include "model/run.h"
#include "store/verbs/request.h"

struct nm_store_arrival {
  struct nm_event event;    /* all but id; tenant_id and received_at_ms filled */
  struct nm_text identity;  /* nm_event_identity() */
  int64_t window_ms;
  int64_t origin_id;        /* the inbound request that it was made of; 0 = none */
  int64_t id;               /* out: its own, or the first one's */
  bool is_duplicate;        /* out */
};

struct nm_store_accept {
  struct nm_store_request request;
  struct nm_store_arrival *arrivals;
  size_t count;
};

enum nm_event_state {
  NM_EVENT_NEW = 0,
  NM_EVENT_DELAYED = 1, /* planned anew when due */
  NM_EVENT_PLANNED = 2, /* its effects are in the store */
  NM_EVENT_HELD = 3,    /* a person should look; reason */
  NM_EVENT_DROPPED = 4, /* rightly nothing; reason */
  NM_EVENT_SKIPPED = 5, /* nothing asked for it; reason says what is missing */
};

struct nm_store_take {
  struct nm_store_request request;
  int64_t now_ms;
  size_t max;
  struct nm_event *events; /* out: new or due, 4s first, each tenant's by id; claimed until plan */
  size_t count;
  int64_t next_due_ms;     /* out: the earliest delayed one that is not due; 0 = none */
};

struct nm_cancel {
  struct nm_text campaign;
  int64_t channel_id;      /* 0 = all channels of the campaign */
  struct nm_text stamp;    /* TimeStamp of the 4 */
  int64_t stamp_ms;        /* read in the connector's zone; 0 = none or unreadable */
  int64_t arrived_at_ms;
  size_t in_flight;        /* counted by the engine when it stopped sending */
  int64_t fenced_at_ms;    /* out: when this was committed */
  int64_t *run_ids;        /* out: runs that it stopped */
  size_t run_count;
  int64_t stopped;         /* out: messages stopped, of runs and single ones */
};

struct nm_update {
  int64_t id;
  struct nm_text customer;
  struct nm_text field;
  struct nm_text value;
};

struct nm_plan {
  int64_t event_id;
  int64_t tenant_id;
  enum nm_event_state state;
  struct nm_text reason;
  int64_t due_at_ms;          /* delayed */
  int64_t generation_id;
  int64_t stamp_ms;           /* the event's TimeStamp as an instant; 0 = none: for tombstones */
  struct nm_message *messages; /* out: id and state (stopped where a tombstone covers it) */
  size_t message_count;
  struct nm_run *run;         /* NULL = none; out: id and state.  A second one of the campaign and
                               * channel within run_window_ms is made held, its reason names the
                               * first; a tombstone makes it cancelled */
  int64_t run_window_ms;      /* 12 h; 0 where the tenant allows repetition */
  struct nm_cancel *cancel;   /* NULL = none */
  struct nm_update *updates;  /* coalesced with what waits for the same customer and field */
  size_t update_count;
  struct nm_store_arrival *arrivals; /* events that an inbound request became: journaled with it */
  size_t arrival_count;
  bool is_capped;             /* out: messages of it are NM_MESSAGE_CAPPED and were not made; state
                               * and reason say so where nothing else is left of it */
  struct nm_text reason_before; /* the store's own */
  bool is_suppressed;           /* the store's own */
};

struct nm_store_plan {
  struct nm_store_request request;
  struct nm_plan *plans;
  size_t count;
};
