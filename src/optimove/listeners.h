/* listeners.h - pure part of the reconciler: what is wanted, what is there, what to do about it. */
#pragma once

#include "optimove/optimove.h"

struct nm_listener {
  int64_t event_type;
  int64_t channel_id; /* 0 = without */
  struct nm_text url;
};

enum nm_listener_verdict {
  NM_LISTENER_FINE = 0,
  NM_LISTENER_MISSING = 1,  /* nobody listens on the pair */
  NM_LISTENER_STALE = 2,    /* ours, with an old URL or secret, or twice */
  NM_LISTENER_ORPHAN = 3,   /* ours, and nothing wants it */
  NM_LISTENER_CONFLICT = 4, /* somebody else's URL is on a pair that is wanted or that we are on */
};

struct nm_listener_finding {
  enum nm_listener_verdict verdict;
  struct nm_listener listener; /* the wanted one; of an orphan the one there */
  bool is_wanted;
  bool needs_clearing;         /* registering alone would leave more than one of ours */
  const char *why;             /* for people; empty where the verdict says it all */
  struct nm_text theirs;       /* of a conflict: their URL without its query */
};

struct nm_listener_list {
  struct nm_listener *items;
  size_t count;
};

/* What tells that a URL is ours: where it begins (the present URL up to the query, and those of the
 * journal), or its `k`, which nobody else can have, whatever host it names. */
struct nm_listener_own {
  const struct nm_text *prefixes;
  size_t prefix_count;
  const struct nm_text *secrets;
  size_t secret_count;
};

/* Wanted: 11 and 13 for each channel; 4 once without; every other routed type once without
 * (semantics.md, Listeners).  URLs carry `k` and `t`.  In the arena; items NULL = no memory. */
struct nm_listener_list nm_listeners_wanted(const struct nm_reconcile *what,
                                            struct nm_arena *arena);

/* What Optimove listed, read loosely; rows that are none are passed over. */
struct nm_listener_list nm_listeners_there(const json_t *rows, struct nm_arena *arena);

/* The part of our URLs that tells they are ours: up to the query. */
struct nm_text nm_listeners_own_prefix(const struct nm_reconcile *what, struct nm_arena *arena);

bool nm_listener_is_ours(struct nm_text url, const struct nm_listener_own *own);

/* Orphans come first, so that what is taken away goes before what is put there.  NULL = no memory.
 */
struct nm_listener_finding *nm_listeners_compare(struct nm_listener_list wanted,
                                                 struct nm_listener_list there,
                                                 const struct nm_listener_own *own,
                                                 struct nm_arena *arena, size_t *count);
