/* A tenant goes: what waits of it ends with a word, who it was is forgotten, and, where that is
 * asked for, all that is kept of it is deleted at once.  In slices: each call does a bounded piece,
 * the row of the tenant goes last, so that a crash leaves it to be done again. */
#include "store/internal.h"

#include "base/clock.h"

#define REASON "'the tenant was removed'"

/* What ends; ?1 tenant, ?2 rows, ?3 now. */
static const char *const endings[] = {
  "UPDATE messages SET state = 3, reason = " REASON ", content = '', ended_at = ?3 WHERE id IN"
  " (SELECT id FROM messages INDEXED BY messages_waiting WHERE state = 0 AND tenant_id = ?1"
  " LIMIT ?2)",
  "UPDATE messages SET state = 3, reason = " REASON ", content = '', ended_at = ?3 WHERE id IN"
  " (SELECT id FROM messages INDEXED BY messages_stuck_of_tenant WHERE state IN (2, 4)"
  " AND tenant_id = ?1 LIMIT ?2)",
  "UPDATE messages SET state = 3, reason = " REASON ", content = '', ended_at = ?3 WHERE id IN"
  " (SELECT id FROM messages INDEXED BY messages_parked WHERE state = 6 AND tenant_id = ?1"
  " LIMIT ?2)",
  "UPDATE events SET state = 4, reason = " REASON " WHERE ?3 > 0 AND id IN"
  " (SELECT id FROM events INDEXED BY events_new WHERE state = 0 AND tenant_id = ?1 LIMIT ?2)",
  "UPDATE events SET state = 4, reason = " REASON " WHERE ?3 > 0 AND id IN"
  " (SELECT id FROM events INDEXED BY events_delayed WHERE state = 1 AND tenant_id = ?1 LIMIT ?2)",
  "UPDATE events SET state = 4, reason = " REASON " WHERE ?3 > 0 AND id IN"
  " (SELECT id FROM events INDEXED BY events_held_of_tenant WHERE state = 3 AND tenant_id = ?1"
  " LIMIT ?2)",
  /* a run is done, too, while messages of it are held: those were stopped above */
  "UPDATE runs SET state = 3, reason = " REASON ", stopped = max(0, made - sent - dead - expired),"
  " open = 0, ended_at = ?3 WHERE id IN (SELECT id FROM runs WHERE (state IN (0, 1, 2, 4)"
  " OR open > 0 OR (state = 5 AND made > sent + dead + expired + stopped)) AND tenant_id = ?1"
  " LIMIT ?2)",
  "UPDATE updates SET state = 4, reason = " REASON ", ended_at = ?3 WHERE id IN"
  " (SELECT id FROM updates INDEXED BY updates_open WHERE state IN (0, 1) AND tenant_id = ?1"
  " LIMIT ?2)",
  "UPDATE updates SET state = 4, reason = " REASON ", ended_at = ?3 WHERE id IN"
  " (SELECT id FROM updates INDEXED BY updates_batched WHERE state = 2 AND tenant_id = ?1 LIMIT "
  "?2)",
  "UPDATE updates SET state = 4, reason = " REASON ", ended_at = ?3 WHERE id IN"
  " (SELECT id FROM updates INDEXED BY updates_dead_of_tenant WHERE state = 3 AND tenant_id = ?1"
  " LIMIT ?2)",
  "UPDATE batches SET state = 4, reason = " REASON ", ended_at = ?3 WHERE id IN"
  " (SELECT id FROM batches INDEXED BY batches_open WHERE state IN (0, 1, 2) AND tenant_id = ?1"
  " LIMIT ?2)",
  /* nobody can ask for a profile of a tenant that is no more, and no retention would take it */
  ("DELETE FROM profiles WHERE ?3 > 0 AND tenant_id = ?1 AND ext_id IN"
   " (SELECT ext_id FROM profiles WHERE tenant_id = ?1 LIMIT ?2)"),
  ("DELETE FROM caps WHERE ?3 > 0 AND tenant_id = ?1 AND (scope, window_from, window_until, person)"
   " IN (SELECT scope, window_from, window_until, person FROM caps WHERE tenant_id = ?1 LIMIT ?2)"),
  ("DELETE FROM preferences WHERE ?3 > 0 AND tenant_id = ?1 AND (channel, customer) IN"
   " (SELECT channel, customer FROM preferences WHERE tenant_id = ?1 LIMIT ?2)"),
};

enum { ENDINGS = sizeof endings / sizeof *endings, ENDING_MESSAGES = 3 };

/* What is deleted with --purge: found by id, since nothing is sorted by tenant; ?1 after, ?2
 * rows. */
static const struct {
  const char *find;
  const char *drop[6]; /* ?1 the id */
} purges[] = {
  { "SELECT id, tenant_id FROM events WHERE id > ?1 ORDER BY id LIMIT ?2",
    { "DELETE FROM events WHERE id = ?1" } },
  { "SELECT id, tenant_id FROM messages WHERE id > ?1 ORDER BY id LIMIT ?2",
    { "DELETE FROM attempts WHERE message_id = ?1", "DELETE FROM messages WHERE id = ?1" } },
  { "SELECT id, tenant_id FROM runs WHERE id > ?1 ORDER BY id LIMIT min(?2, 32)",
    { "DELETE FROM pages WHERE run_id = ?1", "DELETE FROM run_holds WHERE run_id = ?1",
      "DELETE FROM run_keys WHERE run_id = ?1", "DELETE FROM run_drops WHERE run_id = ?1",
      "DELETE FROM facts WHERE run_id = ?1", "DELETE FROM runs WHERE id = ?1" } },
  { "SELECT id, tenant_id FROM updates WHERE id > ?1 ORDER BY id LIMIT ?2",
    { "DELETE FROM updates WHERE id = ?1" } },
  { "SELECT id, tenant_id FROM batches WHERE id > ?1 ORDER BY id LIMIT ?2",
    { "DELETE FROM batches WHERE id = ?1" } },
};

enum { PURGES = sizeof purges / sizeof *purges };

/* Who it was; the tenant itself last. */
static const char *const forgotten[] = {
  "DELETE FROM listeners WHERE tenant_id = ?1",  "DELETE FROM templates WHERE tenant_id = ?1",
  "DELETE FROM generations WHERE tenant_id = ?1", "DELETE FROM tokens WHERE tenant_id = ?1",
  "DELETE FROM tombstones WHERE tenant_id = ?1", "DELETE FROM catch_ups WHERE tenant_id = ?1",
  "DELETE FROM suppressed WHERE tenant_id = ?1", "DELETE FROM cap_windows WHERE tenant_id = ?1",
  "DELETE FROM old_accounts WHERE tenant_id = ?1", "DELETE FROM tenants WHERE id = ?1",
};

static int end_some(struct nm_writer *writer, struct nm_store_tenant_remove *remove, int64_t *left)
{
  for (int i = 0; i < ENDINGS && *left > 0; i++) {
    int rc = nm_db_run(&writer->db, endings[i], NM_I(remove->tenant_id), NM_I(*left),
                       NM_I(nm_clock_wall_ms()));
    if (rc) return rc;
    int64_t changed = nm_db_changes(&writer->db);
    *left -= changed;
    if (i < ENDING_MESSAGES) remove->messages += changed;
  }
  return NM_OK;
}

static int drop(struct nm_writer *writer, int stage, int64_t id)
{
  for (size_t i = 0; i < sizeof purges[0].drop / sizeof purges[0].drop[0]; i++) {
    int rc = purges[stage].drop[i] ? nm_db_run(&writer->db, purges[stage].drop[i], NM_I(id)) : 0;
    if (rc) return rc;
  }
  return NM_OK;
}

/* A piece of one table; the next one when it is through. */
static int purge_some(struct nm_writer *writer, struct nm_store_tenant_remove *remove,
                      int64_t *left)
{
  sqlite3_stmt *stmt;
  int64_t seen = 0;
  int rc = nm_db_find(&writer->db, &stmt, purges[remove->stage].find, NM_I(remove->after_id),
                      NM_I(*left));
  while (rc == 0 && (rc = nm_db_step(&writer->db, stmt)) == 1) {
    remove->after_id = sqlite3_column_int64(stmt, 0);
    seen++;
    bool is_own = sqlite3_column_int64(stmt, 1) == remove->tenant_id;
    rc = is_own ? drop(writer, remove->stage, remove->after_id) : 0;
  }
  sqlite3_reset(stmt);
  if (rc) return rc;
  *left -= seen;
  if (seen > 0) return NM_OK;
  remove->stage++;
  remove->after_id = 0;
  return NM_OK;
}

int nm_writer_tenant_remove(struct nm_writer *writer, struct nm_store_tenant_remove *remove)
{
  int64_t left = (int64_t)remove->rows_max;
  remove->is_more = true;
  int rc = end_some(writer, remove, &left);
  while (!rc && left > 0 && remove->is_purge && remove->stage < PURGES)
    rc = purge_some(writer, remove, &left);
  if (rc || left <= 0 || (remove->is_purge && remove->stage < PURGES)) return rc;
  for (size_t i = 0; i < sizeof forgotten / sizeof *forgotten && !rc; i++)
    rc = nm_db_run(&writer->db, forgotten[i], NM_I(remove->tenant_id));
  if (!rc) remove->is_more = false;
  return rc;
}
