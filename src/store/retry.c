/* Put back to waiting by hand. */
#include "store/internal.h"

#include <stdio.h>

#include "base/clock.h"

static int retry_event(struct nm_writer *writer, int64_t id)
{
  int rc = nm_db_run(&writer->db,
                     "UPDATE events SET state = 0, reason = '', due_at = 0,"
                     " foreign_id = CASE kind WHEN 0 THEN '' ELSE foreign_id END"
                     " WHERE id = ?1 AND state = 3",
                     NM_I(id));
  if (rc || nm_db_changes(&writer->db) == 0) return rc;
  writer->work |= NM_STORE_WORK_EVENTS;
  return 1;
}

/* What a cancel covers is not started by hand either. */
static int check_cancelled(struct nm_writer *writer, int64_t id, int64_t run_id,
                           struct nm_error *err)
{
  int64_t is_cancelled = 0;
  int rc;
  if (run_id != 0)
    rc = nm_db_number(&writer->db, &is_cancelled, 0,
                      "SELECT state = 3 FROM runs WHERE id = ?1", NM_I(run_id));
  else
    rc = nm_db_number(&writer->db, &is_cancelled, 0,
                      "SELECT 1 FROM messages AS m JOIN tombstones AS t"
                      " ON t.tenant_id = m.tenant_id AND t.campaign = m.campaign"
                      " AND t.channel_id IN (0, m.channel_id) AND m.campaign <> ''"
                      " AND CASE WHEN m.stamp_ms <> 0 AND t.stamp_ms <> 0"
                      " THEN m.stamp_ms <= t.stamp_ms ELSE m.event_id < t.event_id END"
                      " WHERE m.id = ?1 LIMIT 1",
                      NM_I(id));
  if (rc || !is_cancelled) return rc;
  return nm_fail(err, NM_ECONFLICT, "message %lld was cancelled: it is not sent again",
                 (long long)id);
}

int nm_writer_find_stuck(struct nm_writer *writer, int64_t id, int64_t *state, int64_t *run_id)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT state, run_id FROM messages WHERE id = ?1 AND state IN (2, 4)",
                      NM_I(id));
  if (!rc) rc = nm_db_step(&writer->db, stmt);
  if (rc != 1) return rc;
  *state = sqlite3_column_int64(stmt, 0);
  *run_id = sqlite3_column_int64(stmt, 1);
  sqlite3_reset(stmt);
  return 1;
}

static int retry_message(struct nm_writer *writer, int64_t id, int64_t now_ms,
                         struct nm_error *err)
{
  int64_t state, run_id;
  int rc = nm_writer_find_stuck(writer, id, &state, &run_id);
  if (rc != 1) return rc;
  rc = check_cancelled(writer, id, run_id, err);
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "UPDATE messages SET state = 0, due_at = ?2, attempts = 0, first_attempt_at = 0,"
                   " reason = '', ended_at = 0 WHERE id = ?1",
                   NM_I(id), NM_I(now_ms));
  if (!rc && run_id != 0)
    rc = nm_db_run(&writer->db,
                   "UPDATE runs SET open = open + 1, dead = dead - ?2,"
                   " state = CASE state WHEN 5 THEN 4 ELSE state END,"
                   " ended_at = CASE state WHEN 5 THEN 0 ELSE ended_at END WHERE id = ?1",
                   NM_I(run_id), NM_I(state == NM_MESSAGE_DEAD));
  if (rc) return rc;
  writer->work |= NM_STORE_WORK_MESSAGES;
  return 1;
}

/* One open update a customer and field: where another waits already, the later event's value
 * stands in its place and this one is done with. */
static int join_update(struct nm_writer *writer, int64_t id, int64_t open, int64_t now_ms)
{
  char reason[48];
  snprintf(reason, sizeof reason, "joined with update %lld", (long long)open);
  int rc = nm_db_run(&writer->db,
                     "UPDATE updates SET (value, event_id) = (SELECT d.value, d.event_id"
                     " FROM updates AS d WHERE d.id = ?2) WHERE id = ?1"
                     " AND event_id < (SELECT d.event_id FROM updates AS d WHERE d.id = ?2)",
                     NM_I(open), NM_I(id));
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "UPDATE updates SET state = 4, reason = ?2, ended_at = ?3 WHERE id = ?1",
                   NM_I(id), NM_T(nm_text_from(reason)), NM_I(now_ms));
  return rc;
}

static int retry_update(struct nm_writer *writer, int64_t id, int64_t now_ms)
{
  int64_t is_dead, open, is_batched;
  int rc = nm_db_number(&writer->db, &is_dead, 0,
                        "SELECT 1 FROM updates WHERE id = ?1 AND state = 3", NM_I(id));
  if (rc || !is_dead) return rc;
  rc = nm_db_number(&writer->db, &open, 0,
                    "SELECT o.id FROM updates AS d CROSS JOIN updates AS o INDEXED BY updates_open"
                    " ON o.tenant_id = d.tenant_id AND o.customer = d.customer"
                    " AND o.field = d.field AND o.state IN (0, 1) WHERE d.id = ?1",
                    NM_I(id));
  if (!rc)
    rc = nm_db_number(&writer->db, &is_batched, 0,
                      "SELECT 1 FROM updates AS d CROSS JOIN updates AS o"
                      " INDEXED BY updates_batched ON o.tenant_id = d.tenant_id"
                      " AND o.customer = d.customer AND o.state = 2 WHERE d.id = ?1 LIMIT 1",
                      NM_I(id));
  if (!rc && open != 0) rc = join_update(writer, id, open, now_ms);
  else if (!rc)
    rc = nm_db_run(&writer->db,
                   "UPDATE updates SET state = ?2, batch_id = 0, reason = '', ended_at = 0"
                   " WHERE id = ?1",
                   NM_I(id), NM_I(is_batched ? NM_UPDATE_BLOCKED : NM_UPDATE_WAITING));
  if (rc) return rc;
  writer->work |= NM_STORE_WORK_UPDATES;
  return 1;
}

/* A held run stands in the same list, and is let go by another word. */
static int refuse_run(struct nm_writer *writer, int64_t id, struct nm_error *err)
{
  int64_t is_held;
  int rc = nm_db_number(&writer->db, &is_held, 0, "SELECT 1 FROM runs WHERE id = ?1 AND state = 2",
                        NM_I(id));
  if (rc || !is_held) return rc;
  return nm_fail(err, NM_ECONFLICT,
                 "%lld is a held run: run release lets it go, run cancel ends it; none was changed",
                 (long long)id);
}

int nm_writer_retry(struct nm_writer *writer, struct nm_store_retry *retry)
{
  struct nm_error *err = &retry->request.error;
  size_t retried = 0;
  if (retry->is_drop) return nm_writer_drop(writer, retry);
  for (size_t i = 0; i < retry->count; i++) {
    int64_t id = retry->ids[i];
    int rc = retry_event(writer, id);
    if (rc == 0) rc = retry_message(writer, id, retry->now_ms, err);
    if (rc == 0) rc = retry_update(writer, id, retry->now_ms);
    if (rc == 0) rc = refuse_run(writer, id, err);
    if (rc == 0)
      return nm_fail(err, NM_ENOTFOUND, "%lld is nothing held or dead; none was retried",
                     (long long)id);
    if (rc < 0) return rc;
    retried++;
  }
  retry->retried = retried;
  return NM_OK;
}
