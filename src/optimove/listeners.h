/* listeners.h - pure part of the reconciler: what is wanted, what is there, what to do about it. */
#pragma once

#include "optimove/optimove.h"

struct nm_listener {
  int64_t event_type;
  int64_t channel_id;  /* 0 = without */
  struct nm_text url;
};

enum nm_listener_verdict {
  NM_LISTENER_FINE = 0,
  NM_LISTENER_MISSING = 1,  /* nobody listens on the pair */
  NM_LISTENER_STALE = 2,    /* ours, with an old URL or secret, or twice */
  NM_LISTENER_ORPHAN = 3,   /* ours, and nothing wants it */
  NM_LISTENER_CONFLICT = 4, /* wanted, but somebody else's URL is on the pair */
};

struct nm_listener_finding {
  enum nm_listener_verdict verdict;
  struct nm_listener listener; /* the wanted one; of an orphan the one there */
};

struct nm_listener_list {
  struct nm_listener *items;
  size_t count;
};

/* Wanted: 11 and 13 for each channel; 4 once without; every other routed type once without
 * (semantics.md, Listeners).  URLs carry `k` and `t`.  In the arena; ptr NULL = no memory. */
struct nm_listener_list nm_listeners_wanted(const struct nm_reconcile *what, struct nm_arena *arena);

/* What Optimove listed, read loosely; rows that are none are passed over. */
struct nm_listener_list nm_listeners_there(const json_t *rows, struct nm_arena *arena);

/* The part of our URLs that tells they are ours: up to the query. */
struct nm_text nm_listeners_own_prefix(const struct nm_reconcile *what, struct nm_arena *arena);

/* Compares; also `known_urls` (prefixes journaled earlier, under another public URL) count as ours. */
struct nm_listener_finding *nm_listeners_compare(struct nm_listener_list wanted,
                                                 struct nm_listener_list there,
                                                 const struct nm_text *own_prefixes,
                                                 size_t prefix_count, struct nm_arena *arena,
                                                 size_t *count);
