/* messages.h - messages: what a lane may send (lease), and what became of it (finish). */
#pragma once

#include "model/message.h"
#include "store/verbs/events.h"

/* One that was tried before and waits. */
struct nm_store_tried {
  int64_t id;
  int64_t due_at_ms;
  struct nm_text customer, address;
};

struct nm_store_lease {
  struct nm_store_request request;
  int64_t tenant_id;
  struct nm_text provider;
  int64_t now_ms;
  size_t max;
  struct nm_message *messages; /* out: due ones by priority, due time, id; claimed until finish */
  size_t count, capacity;
  int64_t next_due_ms;         /* out: 0 = nothing waits beyond these */
  bool want_tried;             /* also all of the lane that have an attempt, due or not, by id */
  struct nm_store_tried *tried; /* out */
  size_t tried_count;
};

struct nm_finish {
  int64_t message_id;
  int64_t run_id;
  enum nm_message_state state; /* waiting again (due_at_ms); or its end: sent, dead, held, expired,
                                * stopped */
  int64_t due_at_ms;
  int attempts;                /* as they count now */
  bool has_attempt;            /* write one with what follows; never for a lease given back */
  enum nm_outcome_kind outcome;
  int code;
  struct nm_text reason;
  int64_t started_at_ms, ended_at_ms;
  int64_t first_attempt_ms;    /* of waiting again: as it stands now */
  struct nm_text provider;     /* of waiting again: to this provider's lane; empty = it stays */
  const struct nm_message *message; /* for whoever makes `log`; not the store's */
  struct nm_store_arrival *log; /* journaled with the message's end; NULL = nobody asks */
};

/* A message that a cancel stopped while it was in flight keeps its true outcome (sent) and counts
 * as in flight; one that would wait again becomes stopped. */
struct nm_store_finish {
  struct nm_store_request request;
  const struct nm_finish *items;
  size_t count;
};
