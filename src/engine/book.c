/* book.c - the books of all tenants, found by id. */
#include <stdlib.h>

#include "base/log.h"
#include "engine/book.h"
#include "engine/lanes.h"
#include "engine/runs.h"

/* ---- finding --------------------------------------------------------------------------------- */

/* Where the id stands or belongs. */
static size_t place_of(const struct nm_engine *engine, int64_t tenant_id)
{
  size_t low = 0, high = engine->book_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (engine->books[middle]->tenant_id < tenant_id) low = middle + 1;
    else high = middle;
  }
  return low;
}

/* NULL where the tenant has none: without memory nobody would ask for it again. */
static void take_accounts(struct nm_book *book)
{
  const struct nm_engine *engine = book->engine;
  const struct nm_tenant *tenant = book->tenant;
  bool has_one = tenant->connector.is_present && engine->phase < NM_ENGINE_ENDING;
  book->account = nm_optimove_account(engine->optimove, tenant);
  book->admin_account = nm_optimove_admin_account(engine->optimove, tenant);
  nm_require(!has_one || (book->account && book->admin_account));
}

static struct nm_book *insert(struct nm_engine *engine, size_t at, struct nm_tenant *tenant)
{
  if (engine->book_count == engine->book_capacity) {
    size_t capacity = engine->book_capacity ? engine->book_capacity * 2 : 16;
    struct nm_book **books = realloc(engine->books, capacity * sizeof *books);
    nm_require(books != NULL);
    engine->books = books;
    engine->book_capacity = capacity;
  }
  struct nm_book *book = calloc(1, sizeof *book);
  nm_require(book != NULL);
  book->engine = engine;
  book->tenant_id = tenant->id;
  book->tenant = tenant;
  take_accounts(book);
  nm_updates_open(&book->updates, book);
  nm_reconciler_open(&book->reconciler, book);
  nm_catchup_open(&book->catchup, book);
  nm_feedback_open(&book->feedback, book);
  nm_preferences_open(&book->preferences, book);

  memmove(engine->books + at + 1, engine->books + at,
          (engine->book_count - at) * sizeof *engine->books);
  engine->books[at] = book;
  engine->book_count++;
  return book;
}

struct nm_book *nm_book_find(struct nm_engine *engine, int64_t tenant_id)
{
  size_t at = place_of(engine, tenant_id);
  if (at < engine->book_count && engine->books[at]->tenant_id == tenant_id)
    return engine->books[at];
  struct nm_tenant *tenant = nm_tenants_by_id(engine->env.tenants, tenant_id);
  return tenant ? insert(engine, at, tenant) : NULL;
}

struct nm_book *nm_book_by_name(struct nm_engine *engine, struct nm_text name)
{
  struct nm_tenant *tenant = nm_tenants_by_name(engine->env.tenants, name);
  if (!tenant) return NULL;
  struct nm_book *book = nm_book_find(engine, tenant->id);
  nm_tenant_unref(tenant);
  return book;
}

void nm_books_open(struct nm_engine *engine)
{
  size_t count = 0;
  struct nm_arena *arena = nm_arena_create(16 * 1024 * 1024);
  nm_require(arena != NULL);
  struct nm_tenant **all = nm_tenants_all(engine->env.tenants, arena, &count);
  nm_require(all != NULL);
  for (size_t i = 0; i < count; i++) {
    size_t at = place_of(engine, all[i]->id);
    if (at < engine->book_count && engine->books[at]->tenant_id == all[i]->id)
      nm_tenant_unref(all[i]);
    else insert(engine, at, all[i]);
  }
  nm_arena_destroy(arena);
}

/* ---- changes --------------------------------------------------------------------------------- */

void nm_book_refresh(struct nm_book *book)
{
  struct nm_tenant *fresh = nm_tenants_by_id(book->engine->env.tenants, book->tenant_id);
  if (!fresh || fresh == book->tenant) {
    nm_tenant_unref(fresh);
    return;
  }
  struct nm_tenant *old = book->tenant;
  struct nm_optimove_account *old_admin = book->admin_account;
  bool was_active = old->connector.is_present && old->connector.is_active;
  book->tenant = fresh;
  take_accounts(book);
  if (old->connector.is_present &&
      !nm_text_equal(old->connector.base_url, fresh->connector.base_url))
    nm_runs_leave_account(book);
  for (struct nm_lane *lane = book->lanes; lane; lane = nm_lane_next(lane)) nm_lane_refresh(lane);
  if (old_admin != book->admin_account) nm_updates_key_changed(&book->updates);
  if (!was_active && fresh->connector.is_present && fresh->connector.is_active)
    nm_updates_poke(&book->updates);
  nm_feedback_soon(&book->feedback);
  nm_preferences_soon(&book->preferences);
  nm_tenant_unref(old);
}

void nm_book_take_generation(struct nm_engine *engine, struct nm_generation *generation)
{
  struct nm_book *book = nm_book_find(engine, generation->tenant_id);
  if (!book) {
    nm_log(NM_LOG_WARN, "engine", NULL, "rules came for tenant %lld, which does not exist",
           (long long)generation->tenant_id);
    nm_generation_unref(generation);
    return;
  }
  nm_runs_offer_generation(book, generation);
  if (!generation->is_active) {
    nm_generation_unref(generation); /* runs that want it have references of their own */
    return;
  }
  struct nm_generation *old = book->active;
  book->active = generation;
  nm_generation_unref(old);
  struct nm_log_ids ids = nm_book_ids(book);
  nm_log(NM_LOG_INFO, "engine", &ids, "rules %.12s are active",
         nm_rules_facts(generation->rules)->digest);
  nm_book_compare(book, NULL, true);
  nm_reconciler_rules_changed(&book->reconciler);
}

const struct nm_zone *nm_book_zone(const struct nm_book *book)
{
  const struct nm_zone *zone = NULL;
  if (book->active) zone = nm_rules_facts(book->active->rules)->zone;
  if (!zone && book->tenant->connector.is_present) zone = book->tenant->connector.zone;
  if (!zone && nm_zone_find(&zone, NM_TEXT("UTC"))) return NULL;
  return zone;
}

/* ---- the end --------------------------------------------------------------------------------- */

void nm_books_close_alarms(struct nm_engine *engine)
{
  for (size_t i = 0; i < engine->book_count; i++) {
    struct nm_book *book = engine->books[i];
    nm_alarm_close(&book->updates.alarm, NULL);
    nm_alarm_close(&book->reconciler.alarm, NULL);
    nm_alarm_close(&book->reconciler.patience, NULL);
    nm_alarm_close(&book->catchup.alarm, NULL);
    nm_alarm_close(&book->feedback.alarm, NULL);
    nm_alarm_close(&book->preferences.alarm, NULL);
    nm_lanes_close_alarms(book);
    nm_runs_close_alarms(book);
  }
}

void nm_books_destroy(struct nm_engine *engine)
{
  for (size_t i = 0; i < engine->book_count; i++) {
    struct nm_book *book = engine->books[i];
    nm_runs_destroy(book);
    nm_lanes_destroy(book);
    nm_reconciler_deinit(&book->reconciler);
    while (book->fences) {
      struct nm_fence *next = book->fences->next;
      free(book->fences);
      book->fences = next;
    }
    nm_generation_unref(book->active);
    nm_tenant_unref(book->tenant);
    free(book);
  }
  free(engine->books);
}
