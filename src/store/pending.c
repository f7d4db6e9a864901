/* The writer's memory: the id sequence, claims and recent keys, and undoing them with their
 * transaction. */
#include "store/internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

/* A claimed message is left out of what a cancel stops; SQL asks by this word. */
static void is_claimed(sqlite3_context *context, int count, sqlite3_value **values)
{
  const struct nm_claims *claims = sqlite3_user_data(context);
  (void)count;
  sqlite3_result_int(context, nm_claims_find(claims, sqlite3_value_int64(values[0])) != NULL);
}

static int add_function(struct nm_writer *writer, const char *name, struct nm_claims *claims)
{
  int rc = sqlite3_create_function_v2(writer->db.handle, name, 1, SQLITE_UTF8 | SQLITE_DIRECTONLY,
                                      claims, is_claimed, NULL, NULL, NULL);
  return rc == SQLITE_OK ? NM_OK : NM_ENOMEM;
}

/* The clock may have stepped back: never below what is there. */
static int load_last_id(struct nm_writer *writer)
{
  static const char *const largest[] = {
    "SELECT max(id) FROM events",      "SELECT max(id) FROM messages",
    "SELECT max(id) FROM runs",        "SELECT max(id) FROM pages",
    "SELECT max(id) FROM run_holds",   "SELECT max(id) FROM tombstones",
    "SELECT max(id) FROM updates",     "SELECT max(id) FROM batches",
    "SELECT max(id) FROM tenants",     "SELECT max(id) FROM generations",
    "SELECT max(activation) FROM generations", "SELECT max(id) FROM listeners",
    "SELECT max(id) FROM erasures",    "SELECT max(id) FROM old_accounts",
  };
  for (size_t i = 0; i < sizeof largest / sizeof largest[0]; i++) {
    int64_t id = 0;
    int rc = nm_db_number_values(&writer->db, &id, 0, largest[i], NULL, 0);
    if (rc) return rc;
    if (id > writer->last_id) writer->last_id = id;
  }
  return NM_OK;
}

static int load_recent(struct nm_writer *writer)
{
  int64_t now_ms = nm_clock_wall_ms();
  sqlite3_stmt *stmt;
  /* One hour more than the longest window: the sequence may run ahead of the clock, not behind. */
  int64_t oldest_ms = now_ms - NM_EVENT_DEDUP_WINDOW_MS - 3600 * 1000;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT id, identity, identity_until FROM events WHERE id > ?1"
                      " ORDER BY id DESC LIMIT ?2",
                      NM_I(oldest_ms < 0 ? 0 : oldest_ms * (1 << 20)), NM_I(NM_STORE_RECENT_MAX));
  while (rc == 0 && (rc = nm_db_step(&writer->db, stmt)) == 1) {
    struct nm_key key;
    int64_t until_ms = sqlite3_column_int64(stmt, 2);
    const void *bytes = sqlite3_column_blob(stmt, 1);
    rc = 0;
    if (until_ms <= now_ms || sqlite3_column_bytes(stmt, 1) != (int)sizeof key) continue;
    memcpy(&key, bytes, sizeof key);
    rc = nm_recent_add(&writer->recent, key, sqlite3_column_int64(stmt, 0), until_ms, now_ms);
  }
  return rc;
}

static int load_suppressed(struct nm_writer *writer)
{
  int64_t found = 0;
  int rc = nm_db_number_values(&writer->db, &found, 0, "SELECT 1 FROM suppressed LIMIT 1", NULL, 0);
  writer->has_suppressed = found != 0;
  return rc;
}

int nm_writer_init(struct nm_writer *writer)
{
  int rc = nm_db_exec(&writer->db,
                      "CREATE TEMP TABLE chosen (customer TEXT PRIMARY KEY) WITHOUT ROWID");
  if (!rc) rc = add_function(writer, "is_claimed_message", &writer->messages);
  if (!rc) rc = add_function(writer, "is_claimed_event", &writer->events);
  if (!rc) rc = add_function(writer, "is_claimed_batch", &writer->batches);
  if (!rc) rc = load_last_id(writer);
  if (!rc) rc = load_recent(writer);
  if (!rc) rc = nm_writer_load_tombstones(writer);
  if (!rc) rc = load_suppressed(writer);
  if (!rc) rc = nm_writer_recover(writer);
  nm_writer_watch_clock(writer);
  nm_writer_keep(writer);
  if (!rc) writer->fresh = nm_fresh_create();
  return rc;
}

void nm_writer_deinit(struct nm_writer *writer)
{
  nm_fresh_destroy(writer->fresh);
  nm_db_close(&writer->db);
  nm_recent_deinit(&writer->recent);
  nm_claims_deinit(&writer->events);
  nm_claims_deinit(&writer->messages);
  nm_claims_deinit(&writer->batches);
  free(writer->pending);
}

int64_t nm_writer_id(struct nm_writer *writer)
{
  int64_t now = writer->is_dense ? 0 : nm_clock_wall_ms() * (1 << 20);
  writer->last_id = now > writer->last_id ? now : writer->last_id + 1;
  return writer->last_id;
}

int nm_writer_note(struct nm_writer *writer, struct nm_pending pending)
{
  if (writer->pending_count == writer->pending_capacity) {
    size_t capacity = writer->pending_capacity ? writer->pending_capacity * 2 : 256;
    void *grown = realloc(writer->pending, capacity * sizeof *writer->pending);
    if (!grown) return NM_ENOMEM;
    writer->pending = grown;
    writer->pending_capacity = capacity;
  }
  writer->pending[writer->pending_count++] = pending;
  return NM_OK;
}

int nm_writer_claim(struct nm_writer *writer, struct nm_claims *claims, int64_t id, int64_t run_id)
{
  int rc = nm_writer_note(
    writer, (struct nm_pending){ .kind = NM_PENDING_CLAIMED, .claims = claims, .id = id });
  return rc ? rc : nm_claims_add(claims, id, run_id);
}

int nm_writer_release(struct nm_writer *writer, struct nm_claims *claims, int64_t id)
{
  return nm_writer_note(
    writer, (struct nm_pending){ .kind = NM_PENDING_RELEASED, .claims = claims, .id = id });
}

int nm_writer_set(struct nm_writer *writer, int64_t *number, int64_t value)
{
  struct nm_pending note = { .kind = NM_PENDING_NUMBER, .number = number, .number_was = *number };
  int rc = nm_writer_note(writer, note);
  if (!rc) *number = value;
  return rc;
}

void nm_writer_keep(struct nm_writer *writer)
{
  for (size_t i = 0; i < writer->pending_count; i++) {
    const struct nm_pending *pending = &writer->pending[i];
    if (pending->kind == NM_PENDING_RELEASED) nm_claims_remove(pending->claims, pending->id);
  }
  writer->pending_count = 0;
}

void nm_writer_undo(struct nm_writer *writer, size_t from)
{
  nm_fresh_forget(writer->fresh);
  writer->arrived_count = 0;
  while (writer->pending_count > from) {
    const struct nm_pending *pending = &writer->pending[--writer->pending_count];
    struct nm_claim *claim;
    switch (pending->kind) {
    case NM_PENDING_RECENT_ADDED:
      nm_recent_remove(&writer->recent, pending->key);
      break;
    case NM_PENDING_CLAIMED:
      nm_claims_remove(pending->claims, pending->id);
      break;
    case NM_PENDING_FENCED:
      claim = nm_claims_find(pending->claims, pending->id);
      if (claim) claim->is_fenced = false;
      break;
    case NM_PENDING_PARKED:
      claim = nm_claims_find(pending->claims, pending->id);
      if (claim) claim->is_parked = !claim->is_parked;
      break;
    case NM_PENDING_STATE:
      *pending->state = pending->was;
      break;
    case NM_PENDING_NUMBER:
      *pending->number = pending->number_was;
      break;
    case NM_PENDING_RELEASED:
      break;
    }
  }
}
