/* lanes.h - the stream of messages of one tenant to one provider: leased, paced, sent, finished. */
#pragma once

#include "engine/backoff.h"
#include "engine/book.h"
#include "engine/bucket.h"
#include "engine/width.h"

enum { NM_LANE_REASON_MAX_BYTES = 200 };

/* Messages of one lease; freed with the last of them. */
struct nm_parcel;

/* One leased message. */
struct nm_item {
  struct nm_item *next;
  struct nm_parcel *parcel;
  const struct nm_message *message;
};

struct nm_parcel {
  struct nm_call *call; /* whose arena the messages live in */
  size_t open;
  struct nm_item items[];
};

struct nm_items {
  struct nm_item *first, *last;
  size_t count;
};

/* Whose turn it is, by person (turns.h). */
struct nm_turn;

struct nm_turns {
  struct nm_turn **slots;
  size_t capacity, count;
  size_t behind; /* messages that stand behind others */
};

/* A provider's instance; lives until the last of its sends has ended. */
struct nm_outlet {
  struct nm_outlet *next; /* all of the engine */
  struct nm_engine *engine;
  struct nm_provider *provider;
  const struct nm_adapter *adapter;
  size_t sends;
  bool is_retired, is_closing;
};

/* Half of a send whose answer proved that nothing was sent, but named nobody. */
struct nm_half {
  struct nm_half *next;
  struct nm_items items;
};

/* Messages that go out in one send. */
struct nm_dispatch {
  struct nm_send send; /* first */
  struct nm_dispatch *next, *before; /* in the lane's list */
  struct nm_lane *lane;
  struct nm_outlet *outlet;
  const struct nm_message **messages;
  struct nm_item **items;  /* NULL where the outcome came */
  struct nm_items split;   /* to be sent again in halves */
  size_t left;
  int64_t started_at_ms;
  int64_t started_mono_ms;
  bool is_probe, was_reached, was_unreachable, had_success, had_failure, was_throttled;
};

struct nm_lane {
  struct nm_lane *next;
  struct nm_book *book;
  struct nm_text name;        /* the provider's; owned */
  struct nm_tenant *tenant;   /* the version that `settings` lives in; one reference */
  const struct nm_tenant_provider *settings; /* NULL = the tenant has no such provider */
  struct nm_outlet *outlet;   /* NULL = could not be opened */
  struct nm_host *host;
  struct nm_bucket bucket;
  struct nm_width width;      /* how many sends may be under way */
  struct nm_backoff backoff;  /* when its messages are tried again */
  struct nm_job job;
  struct nm_alarm alarm;

  struct nm_items singles, rest; /* leased, to be sent */
  struct nm_items fenced;        /* leased, covered by a fence that the store does not have yet */
  struct nm_dispatch *sending;   /* under way */
  struct nm_half *halves;        /* to be sent before anything else */
  size_t in_flight;              /* messages under way */
  size_t send_count;             /* sends under way */

  bool is_ordered;               /* order = "recipient" */
  bool is_order_known;           /* who waits for another try since before is in turns */
  struct nm_turns turns;

  bool is_leasing;
  bool is_hungry;       /* the store has, or may have, messages that are due */
  bool is_urgent;       /* and single ones among them */
  size_t lease_max;     /* less after the memory of one lease did not do */
  int64_t next_due_ms;  /* wall clock; 0 = none known */
  int64_t next_look_ms; /* monotonic: when that was to come */

  int64_t paused_until_ms; /* monotonic */
  int pauses;              /* in a row */
  int failures;            /* sends in a row that delivered nothing and may be tried again */
  bool is_denied;          /* its key was refused, and that was said */
  bool is_ill;             /* it rests because it delivers nothing, not because it was asked to */
  bool is_left;            /* its messages go by another one, and that was said */
  char reason[NM_LANE_REASON_MAX_BYTES]; /* why it waits; empty = it does not */
};

/* The lane of a provider's name, made when it is not there. */
struct nm_lane *nm_lane_find(struct nm_book *book, struct nm_text provider);
struct nm_lane *nm_lane_next(const struct nm_lane *lane);

/* The tenant changed: opens the provider anew where its settings did. */
void nm_lane_refresh(struct nm_lane *lane);

/* A message of this lane waits from due_at_ms on. */
void nm_lane_message_made(struct nm_lane *lane, const struct nm_message *message);
void nm_lane_due(struct nm_lane *lane, int64_t due_at_ms);

/* There may be due messages that the engine did not make (start, by hand). */
void nm_lane_look(struct nm_lane *lane);

/* True where it has nothing to send, now or later. */
bool nm_lane_is_idle(const struct nm_lane *lane);

/* How many messages of runs may wait for this lane before runs rest. */
int64_t nm_lane_ahead_max(const struct nm_lane *lane);

/* How many messages one send may carry, as adapter and settings say; the lane has an outlet. */
size_t nm_lane_batch_max(const struct nm_lane *lane);

/* Rests; `reason` is shown. */
void nm_lane_pause(struct nm_lane *lane, int64_t wait_ms, struct nm_text reason);
int64_t nm_lane_pause_left_ms(const struct nm_lane *lane);

/* A message has its end in memory: frees its parcel with the last. */
void nm_item_done(struct nm_lane *lane, struct nm_item *item);
void nm_items_push(struct nm_items *items, struct nm_item *item);
struct nm_item *nm_items_pop(struct nm_items *items);

/* ---- order.c --------------------------------------------------------------------------------- */

/* A leased message that no fence covers: to be sent as soon as it is its turn. */
void nm_lane_queue(struct nm_lane *lane, struct nm_item *item);
/* It is tried again at due_at_ms, and nobody of its person goes before; call it before
 * nm_item_done. */
void nm_lane_turn_later(struct nm_lane *lane, const struct nm_message *message, int64_t due_at_ms);
/* It leaves the lane. */
void nm_lane_turn_over(struct nm_lane *lane, const struct nm_message *message);
/* Those that were tried before the start. */
void nm_lane_take_tried(struct nm_lane *lane, const struct nm_store_lease *lease);
/* Reads the order that the settings want. */
void nm_lane_set_order(struct nm_lane *lane);

/* ---- send.c ---------------------------------------------------------------------------------- */

/* Starts what may start now. */
void nm_lane_send(struct nm_lane *lane);

/* Closes an outlet once nothing of it is under way. */
void nm_outlet_retire(struct nm_outlet *outlet);
/* Closes all of them now; what is under way gets its outcome. */
void nm_outlets_close(struct nm_engine *engine);
/* Wakes every lane of a host: its breaker changed. */
void nm_lanes_wake_host(struct nm_engine *engine, const struct nm_host *host);

/* ---- outcome.c ------------------------------------------------------------------------------- */

/* One message of a send has its outcome: what it means for the lane, the host, the message. */
void nm_dispatch_outcome(struct nm_dispatch *dispatch, struct nm_item *item,
                         const struct nm_outcome *outcome);
/* Ends a leased message without an attempt: expired, held; or waiting, given back. */
void nm_item_finish(struct nm_lane *lane, struct nm_item *item, enum nm_message_state state,
                    int64_t due_at_ms, struct nm_text reason);

/* ---- finish.c -------------------------------------------------------------------------------- */

/* Outcomes are gathered and stored together: once a turn of the loop, or every few milliseconds
 * where many end one after the other.  Copies the item's reason. */
void nm_finisher_open(struct nm_engine *engine);
void nm_finisher_add(struct nm_lane *lane, const struct nm_finish *item);
/* True while nothing waits to be stored. */
bool nm_finisher_is_idle(const struct nm_engine *engine);
void nm_finisher_close_alarm(struct nm_engine *engine);
void nm_finisher_close(struct nm_engine *engine);

/* ---- the engine's end ------------------------------------------------------------------------ */

void nm_lanes_close_alarms(struct nm_book *book);
void nm_lanes_destroy(struct nm_book *book);
