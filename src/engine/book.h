/* book.h - what the engine knows of each tenant: who it is now, its rules, lanes, runs and updates.
 */
#pragma once

#include "base/log.h"
#include "engine/catchup.h"
#include "engine/feedback.h"
#include "engine/fence.h"
#include "engine/hour.h"
#include "engine/internal.h"
#include "engine/preferences.h"
#include "engine/reconciler.h"
#include "engine/updates.h"

struct nm_lane;
struct nm_running;

struct nm_book {
  struct nm_engine *engine;
  int64_t tenant_id;
  struct nm_tenant *tenant;          /* one reference; changed by refresh only */
  struct nm_generation *active;      /* one reference; NULL = none was proven */
  struct nm_optimove_account *account; /* NULL without a connector */
  struct nm_optimove_account *admin_account; /* for updates; may be the same */
  struct nm_lane *lanes;
  struct nm_running *runs;
  struct nm_fence *fences;           /* those that the store does not have yet */
  size_t fences_open;
  struct nm_hour hour;               /* messages made, for the guard */
  bool is_hour_known, is_hour_asked; /* what was before the start is in it */
  struct nm_updates updates;
  struct nm_reconciler reconciler;
  struct nm_catchup catchup;
  struct nm_feedback feedback;
  struct nm_preferences preferences;
};

/* The tenant's book, made when it is not there; NULL where there is no such tenant. */
struct nm_book *nm_book_find(struct nm_engine *engine, int64_t tenant_id);
struct nm_book *nm_book_by_name(struct nm_engine *engine, struct nm_text name);

/* A book for each tenant of the directory. */
void nm_books_open(struct nm_engine *engine);

/* Looks whether the tenant was saved anew; its lanes and its account follow. */
void nm_book_refresh(struct nm_book *book);

/* Takes a generation in: the active one, or one that runs began with. */
void nm_book_take_generation(struct nm_engine *engine, struct nm_generation *generation);

/* The zone that the tenant's rules name. */
const struct nm_zone *nm_book_zone(const struct nm_book *book);

/* For log lines. */
static inline struct nm_log_ids nm_book_ids(const struct nm_book *book)
{
  return (struct nm_log_ids){ .tenant = book->tenant->name };
}

/* Appends a line to warnings for each thing that rules and tenant name differently; also into the
 * log where `is_logged`. */
void nm_book_compare(const struct nm_book *book, json_t *warnings, bool is_logged);

/* ---- fences (fences.c) ----------------------------------------------------------------------- */

/* From now on nothing that it covers is started.  Copies the fence; gives how many messages that it
 * covers are in flight. */
struct nm_fence *nm_book_fence(struct nm_book *book, const struct nm_fence *what,
                               size_t *in_flight);

/* The store has it (is_kept false), or could not take it (then it stands until restart). */
void nm_book_fence_done(struct nm_book *book, struct nm_fence *fence, bool is_kept);

void nm_books_close_alarms(struct nm_engine *engine);
void nm_books_destroy(struct nm_engine *engine);
