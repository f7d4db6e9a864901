/* fresh.h - what was just written and will be asked for at once: new events for the planner, new
 * messages for their lanes, handed on from memory instead of being looked for in tables.
 *
 * Everything here is a copy of rows that are written in the same transaction or were before; it may
 * be forgotten at any moment, and whoever asks then looks into the tables.  Whatever is not one of
 * the few verbs of traffic makes it forget all, and so does everything that is undone.
 * The writer's thread only.
 */
#pragma once

#include "store/store.h"

struct nm_fresh;
struct nm_fresh_item;

/* In order of their being written. */
struct nm_fresh_queue {
  struct nm_fresh_item *first, *last;
  size_t count;
  bool is_whole; /* nobody waits in the table who is not here, or taken */
};

/* A tenant's messages for one provider, by priority. */
struct nm_fresh_lane {
  int64_t tenant_id;
  int64_t number;      /* never used again */
  int64_t next_due_ms; /* the first in the table whose time has not come; 0 = none */
  struct nm_fresh_queue queues[2];
  size_t provider_len;
  char *provider;
};

struct nm_fresh *nm_fresh_create(void); /* NULL without memory: everything then comes from tables */
void nm_fresh_destroy(struct nm_fresh *fresh);

void nm_fresh_forget(struct nm_fresh *fresh);
/* A request was run: forgets, where it is not one of traffic. */
void nm_fresh_note_verb(struct nm_fresh *fresh, enum nm_store_verb verb);

/* ---- events ---------------------------------------------------------------------------------- */

enum nm_fresh_rank {
  NM_FRESH_CANCELS = 0,
  NM_FRESH_OTHERS = 1, /* in order */
  NM_FRESH_AHEAD = 2,  /* of tenants of whom nobody stands among the others: a few, and they go first */
};

/* Rank 0 are cancels; one of rank 1 may be put ahead. */
void nm_fresh_add_event(struct nm_fresh *fresh, const struct nm_event *event, int64_t id, int rank);
/* How many of all ranks are here; false where the table has to be asked instead. */
bool nm_fresh_count_events(const struct nm_fresh *fresh, size_t *count);
/* Copies the first of a rank into the arena.  1 = there was one, 0 = none, NM_ENOMEM = no room. */
int nm_fresh_take_event(struct nm_fresh *fresh, int rank, struct nm_arena *arena,
                        struct nm_event *out);
/* The table gave this one of rank 1, and those before it are taken. */
void nm_fresh_event_taken(struct nm_fresh *fresh, int64_t id);
/* The table was asked: all that waited is taken now, or not. */
void nm_fresh_events_asked(struct nm_fresh *fresh, bool is_all);

/* ---- messages -------------------------------------------------------------------------------- */

/* NULL where nothing is known of the lane. */
struct nm_fresh_lane *nm_fresh_find_lane(struct nm_fresh *fresh, int64_t tenant_id,
                                         struct nm_text provider);
struct nm_fresh_lane *nm_fresh_lane_numbered(struct nm_fresh *fresh, int64_t number);
void nm_fresh_add_message(struct nm_fresh *fresh, const struct nm_message *message, int64_t now_ms);
/* How many are here; false where the table has to be asked instead. */
bool nm_fresh_count_messages(const struct nm_fresh_lane *lane, int64_t now_ms, size_t *count);
/* As nm_fresh_take_event.  With arena NULL only looks: 1 and *out, which stays ours. */
int nm_fresh_take_message(struct nm_fresh *fresh, struct nm_fresh_lane *lane, int priority,
                          struct nm_arena *arena, struct nm_message *out);
/* The table was asked and gave all that is due; the next is due then.  NULL without memory. */
struct nm_fresh_lane *nm_fresh_lane_asked(struct nm_fresh *fresh, int64_t tenant_id,
                                          struct nm_text provider, int64_t next_due_ms);
/* A message goes back to the table: due then (0 = at once). */
void nm_fresh_lane_waits(struct nm_fresh *fresh, struct nm_fresh_lane *lane, int64_t due_at_ms);
void nm_fresh_forget_lane(struct nm_fresh *fresh, struct nm_fresh_lane *lane);
