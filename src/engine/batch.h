/* batch.h - what one take gave the planner, and what its events wait for before rules are asked:
 * their customers' profiles, Optimove's callbacks, rules that are suspended.  Between planner.c,
 * batch.c and suspended.c.
 */
#pragma once

#include "engine/book.h"
#include "engine/yield.h"

struct nm_batch;
struct nm_suspended;

struct nm_planner {
  struct nm_engine *engine;
  struct nm_job job;
  struct nm_alarm alarm;
  bool is_wanted;       /* there may be more to take */
  bool is_taking;
  struct nm_batch *current; /* the one whose rules run, or whose profiles come */
  size_t plans_open;
  size_t take_max;
  size_t alone;         /* takes of one event to come: for what was too much beside others */
  struct nm_suspended *suspended;
  struct nm_yield yield;
};

/* One event on its way. */
struct nm_slot {
  struct nm_event *event;
  struct nm_book *book;
  struct nm_store_profile *profile; /* NULL = none asked for */
  struct nm_fence *fence;           /* of a 4, until the store has it */
  struct nm_generation *generation; /* of a 13: the rules that its run keeps; one reference */
  int callback_rc;
  bool is_profile_lost;             /* it could not be read now */
  bool is_suspended;                /* with the rules that it would ask */
  bool was_held;                    /* instead of a plan that the store did not take */
};

/* What one take gave. */
struct nm_batch {
  struct nm_planner *planner;
  struct nm_call *take; /* its arena holds the events */
  struct nm_arena *arena; /* and this one what is made of them */
  struct nm_slot *slots;
  struct nm_plan *plans;
  size_t count, cancels; /* the first `cancels` are 4s */
  size_t next;           /* whose turn it is */
  size_t loads;          /* profiles and callbacks that are to come */
  struct nm_call **profiles;
  size_t profile_calls;
  size_t plans_open;
  bool is_planned;       /* nothing is left but the store's answers */
};

static inline struct nm_arena *nm_batch_arena(const struct nm_batch *batch)
{
  return batch->arena;
}

/* Asks for what its events need; the planner's job is woken when all of it is here. */
void nm_batch_load(struct nm_batch *batch);
void nm_batch_free_if_done(struct nm_batch *batch);

/* Events that wait because their rules are suspended: new again as soon as other rules serve. */
struct nm_suspended *nm_suspended_open(struct nm_engine *engine);
void nm_suspended_add(struct nm_suspended *suspended, const struct nm_plan *plan);
void nm_suspended_close_alarm(struct nm_suspended *suspended);
void nm_suspended_close(struct nm_suspended *suspended);
