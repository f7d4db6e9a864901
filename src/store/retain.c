/* Deleting what is older than its age, a bounded number of rows a call.
 *
 * Each table is swept in the order of its ids, which is the order of time; where a sweep stopped is
 * remembered, so that rows which must stay are not looked at again by every call. */
#include "store/internal.h"

struct sweep {
  const char *find;    /* ?1 after this id, ?2 before this id, ?3 rows, ?4 events', ?5 dead ones'
                        * end; gives the id and whether it may go */
  const char *drop[5]; /* ?1 the id */
};

enum { AUDIT_TABLE = 8 }; /* its place below: there ?4 and ?5 are the audit log's end */

static const struct sweep sweeps[NM_RETAIN_TABLES] = {
  { "SELECT id, (state IN (2, 4, 5) AND received_at < ?4) OR (state = 3 AND received_at < ?5)"
    " FROM events WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
    { "DELETE FROM events WHERE id = ?1" } },
  { "SELECT id, (state IN (1, 3, 5) AND ended_at < ?4) OR (state IN (2, 4) AND ended_at < ?5)"
    " FROM messages WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
    { "DELETE FROM attempts WHERE message_id = ?1", "DELETE FROM messages WHERE id = ?1" } },
  /* Few at a time: a page is large, and to free it SQLite reads all of it. */
  { "SELECT id, NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = pages.run_id"
    " AND NOT (state IN (3, 5, 6) AND open = 0 AND ended_at < min(?4, ?5)))"
    " FROM pages WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT min(?3, 32)",
    { "DELETE FROM pages WHERE id = ?1" } },
  { "SELECT id, state IN (3, 5, 6) AND open = 0 AND ended_at < min(?4, ?5)"
    " AND NOT EXISTS (SELECT 1 FROM pages WHERE pages.run_id = runs.id)"
    " FROM runs WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
    { "DELETE FROM run_holds WHERE run_id = ?1", "DELETE FROM run_keys WHERE run_id = ?1",
      "DELETE FROM facts WHERE run_id = ?1", "DELETE FROM run_drops WHERE run_id = ?1",
      "DELETE FROM runs WHERE id = ?1" } },
  { "SELECT id, (state = 4 AND ended_at < ?4) OR (state = 3 AND ended_at < ?5)"
    " FROM updates WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
    { "DELETE FROM updates WHERE id = ?1" } },
  { "SELECT id, state IN (3, 4) AND ended_at < min(?4, ?5)"
    " FROM batches WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
    { "DELETE FROM batches WHERE id = ?1" } },
  { "SELECT id, arrived_at < min(?4, ?5) FROM tombstones"
    " WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
    { "DELETE FROM tombstones WHERE id = ?1" } },
  { "SELECT id, state = 3 AND saved_at < min(?4, ?5)"
    " FROM listeners WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
    { "DELETE FROM listeners WHERE id = ?1" } },
  { "SELECT id, begun_at < min(?4, ?5) FROM audit"
    " WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
    { "DELETE FROM audit WHERE id = ?1" } },
};

struct ages {
  int64_t events_end_ms, dead_end_ms, audit_end_ms;
  int64_t end_id;
};

static int drop(struct nm_writer *writer, const struct sweep *sweep, int64_t id)
{
  for (size_t i = 0; i < sizeof sweep->drop / sizeof sweep->drop[0] && sweep->drop[i]; i++) {
    int rc = nm_db_run(&writer->db, sweep->drop[i], NM_I(id));
    if (rc) return rc;
  }
  return NM_OK;
}

/* *left is how many rows may still be looked at. */
static int sweep_table(struct nm_writer *writer, int table, const struct ages *ages, int64_t *left)
{
  const struct sweep *sweep = &sweeps[table];
  bool is_audit = table == AUDIT_TABLE;
  sqlite3_stmt *stmt;
  int64_t seen = 0, last = 0;
  int rc = nm_db_find(&writer->db, &stmt, sweep->find, NM_I(writer->retain_after[table]),
                      NM_I(is_audit ? ages->audit_end_ms * (1 << 20) : ages->end_id), NM_I(*left),
                      NM_I(is_audit ? ages->audit_end_ms : ages->events_end_ms),
                      NM_I(is_audit ? ages->audit_end_ms : ages->dead_end_ms));
  while (rc == 0 && (rc = nm_db_step(&writer->db, stmt)) == 1) {
    last = sqlite3_column_int64(stmt, 0);
    seen++;
    rc = sqlite3_column_int(stmt, 1) ? drop(writer, sweep, last) : 0;
  }
  sqlite3_reset(stmt);
  if (rc) return rc;
  *left -= seen;
  writer->retain_after[table] = seen > 0 ? last : 0;
  return seen > 0;
}

int nm_writer_retain(struct nm_writer *writer, struct nm_store_retain *retain)
{
  int64_t left = (int64_t)retain->rows_max;
  int unfinished = 0;
  /* Identities and tombstones count for 48 hours, however short the ages are. */
  int64_t end_ms = retain->now_ms - NM_STORE_TOMBSTONE_MS;
  struct ages ages = { .events_end_ms = retain->now_ms - retain->events_age_ms,
                       .dead_end_ms = retain->now_ms - retain->dead_age_ms };
  if (retain->audit_age_ms > 0) ages.audit_end_ms = retain->now_ms - retain->audit_age_ms;
  if (ages.events_end_ms > end_ms) ages.events_end_ms = end_ms;
  if (ages.dead_end_ms > end_ms) ages.dead_end_ms = end_ms;
  end_ms = ages.events_end_ms > ages.dead_end_ms ? ages.events_end_ms : ages.dead_end_ms;
  ages.end_id = end_ms > 0 ? end_ms * (1 << 20) : 0;

  for (int i = 0; i < NM_RETAIN_TABLES; i++) {
    int table = (writer->retain_table + i) % NM_RETAIN_TABLES;
    int rc = left > 0 ? sweep_table(writer, table, &ages, &left) : 1;
    if (rc < 0) return rc;
    unfinished += rc;
  }
  int capped = nm_writer_retain_caps(writer, retain->now_ms, &left);
  if (capped < 0) return capped;
  unfinished += capped;
  /* The next call begins with another table, so that no table's turn never comes. */
  writer->retain_table = (writer->retain_table + 1) % NM_RETAIN_TABLES;
  retain->is_more = unfinished > 0;
  return NM_OK;
}
