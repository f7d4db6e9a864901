/* updates.h - what Optimove is told of people: attribute updates in batches, and unsubscribes until
 * it knows of them. */
#pragma once

#include "model/message.h"
#include "store/verbs/events.h"

enum nm_batch_state {
  NM_BATCH_SENDING = 0, /* taken; its call may be under way */
  NM_BATCH_SENT = 1,    /* taken by Optimove; its callback is to come by due_at_ms */
  NM_BATCH_RETRY = 2,   /* to be sent again at due_at_ms */
  NM_BATCH_DONE = 3,
  NM_BATCH_DEAD = 4,
};

/* A batch that is due again (RETRY, SENDING left by a crash, SENT without its callback in time), or
 * a new one out of what waits, without customers that stand in an unsettled batch. */
struct nm_store_batch_take {
  struct nm_store_request request;
  int64_t tenant_id;
  int64_t now_ms;
  size_t customers_max, attributes_max;
  bool retries_now;          /* those to be sent again later (RETRY) are due now */
  int64_t batch_id;          /* out: 0 = nothing to do */
  enum nm_batch_state was;   /* out: the state it was found in; SENDING for a new one */
  int attempts;              /* out: calls made so far */
  int repeats;               /* out: how often it was taken again because no callback had come */
  struct nm_update *updates; /* out: sorted by customer, then journal order */
  size_t count;
  int64_t next_due_ms;       /* out: 0 = none */
};

struct nm_batch_error {
  struct nm_text customer; /* empty = all */
  struct nm_text field;    /* empty = all of the customer */
  struct nm_text reason;
};

struct nm_store_batch_finish {
  struct nm_store_request request;
  int64_t tenant_id; /* a batch of another tenant is not found */
  int64_t batch_id;
  enum nm_batch_state state;
  int64_t due_at_ms;
  struct nm_text reason;               /* of dead and retry */
  const struct nm_batch_error *errors; /* done: those named become dead letters, the rest is done */
  size_t error_count;
};

/* Unsubscribes that Optimove does not know yet, of one kind of channel; count 0 = nobody. */
struct nm_store_preferences_load {
  struct nm_store_request request;
  int64_t tenant_id;
  enum nm_channel channel;   /* out */
  struct nm_text *customers; /* out: at most NM_OPTIMOVE_PREFERENCES_MAX */
  size_t count;
  int64_t last_id;           /* out: who says it again later has a higher one */
};

/* It knows them now: up to and with last_id they are forgotten. */
struct nm_store_preferences_done {
  struct nm_store_request request;
  int64_t tenant_id;
  enum nm_channel channel;
  const struct nm_text *customers;
  size_t count;
  int64_t last_id;
};
