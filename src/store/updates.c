/* Updates at Optimove: coalesced while they wait, sent in batches, one unsettled call a customer.
 *
 * Further updates of a customer who stands in an unsettled batch are blocked rows, so that what
 * waits can be taken from the front without looking at what cannot go. */
#include "store/internal.h"

#include <stdlib.h>

#include "base/clock.h"

/* ---- planned --------------------------------------------------------------------------------- */

static int has_batched(struct nm_writer *writer, int64_t tenant_id, struct nm_text customer,
                       int64_t *out)
{
  return nm_db_number(&writer->db, out, 0,
                      "SELECT 1 FROM updates INDEXED BY updates_batched WHERE state = 2"
                      " AND tenant_id = ?1 AND customer = ?2 LIMIT 1",
                      NM_I(tenant_id), NM_T(customer));
}

static int insert_update(struct nm_writer *writer, const struct nm_plan *plan,
                         struct nm_update *update)
{
  int64_t is_blocked;
  int rc = has_batched(writer, plan->tenant_id, update->customer, &is_blocked);
  if (rc) return rc;
  update->id = nm_writer_id(writer);
  if (!is_blocked) writer->work |= NM_STORE_WORK_UPDATES;
  return nm_db_run(&writer->db,
                   "INSERT INTO updates (id, tenant_id, event_id, customer, field, value, state,"
                   " created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                   NM_I(update->id), NM_I(plan->tenant_id), NM_I(plan->event_id),
                   NM_T(update->customer), NM_T(update->field), NM_T(update->value),
                   NM_I(is_blocked ? NM_UPDATE_BLOCKED : NM_UPDATE_WAITING),
                   NM_I(nm_clock_wall_ms()));
}

/* Journal order decides which value is the newest, not the order of planning: a delayed event does
 * not overwrite what came after it. */
int nm_writer_add_update(struct nm_writer *writer, const struct nm_plan *plan,
                         struct nm_update *update)
{
  int64_t open = 0;
  int rc = nm_writer_is_suppressed(writer, plan->tenant_id, update->customer);
  if (rc) return rc < 0 ? rc : NM_OK;
  rc = nm_db_number(&writer->db, &open, 0,
                    "SELECT id FROM updates INDEXED BY updates_open WHERE state IN (0, 1)"
                    " AND tenant_id = ?1 AND customer = ?2 AND field = ?3",
                    NM_I(plan->tenant_id), NM_T(update->customer), NM_T(update->field));
  if (rc) return rc;
  if (open == 0) return insert_update(writer, plan, update);
  update->id = open;
  return nm_db_run(&writer->db,
                   "UPDATE updates SET value = ?2, event_id = ?3 WHERE id = ?1 AND event_id <= ?3",
                   NM_I(open), NM_T(update->value), NM_I(plan->event_id));
}

/* ---- batches --------------------------------------------------------------------------------- */

static int take_again(struct nm_writer *writer, struct nm_store_batch_take *take)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT id, state, attempts, repeats FROM batches INDEXED BY batches_open"
                      " WHERE state IN (0, 1, 2) AND tenant_id = ?1 AND (state = 0 OR due_at <= ?2)"
                      " AND NOT is_claimed_batch(id) ORDER BY id LIMIT 1",
                      NM_I(take->tenant_id), NM_I(take->now_ms));
  if (!rc) rc = nm_db_step(&writer->db, stmt);
  if (rc != 1) return rc;
  take->batch_id = sqlite3_column_int64(stmt, 0);
  take->was = (enum nm_batch_state)sqlite3_column_int64(stmt, 1);
  take->attempts = sqlite3_column_int(stmt, 2);
  take->repeats = sqlite3_column_int(stmt, 3) + (take->was == NM_BATCH_SENT);
  sqlite3_reset(stmt);
  return nm_db_run(&writer->db,
                   "UPDATE batches SET state = 0, due_at = 0, attempts = attempts + 1, repeats = ?2"
                   " WHERE id = ?1",
                   NM_I(take->batch_id), NM_I(take->repeats));
}

/* The customers whose updates have waited longest, each at most once. */
static int choose_customers(struct nm_writer *writer, const struct nm_store_batch_take *take,
                            int64_t *chosen)
{
  *chosen = 0;
  int rc = nm_db_run_values(&writer->db, "DELETE FROM temp.chosen", NULL, 0);
  if (rc) return rc;
  sqlite3_stmt *stmt;
  rc = nm_db_find(&writer->db, &stmt,
                  "SELECT customer FROM updates INDEXED BY updates_waiting WHERE state = 0"
                  " AND tenant_id = ?1 ORDER BY id",
                  NM_I(take->tenant_id));
  while (rc == 0 && *chosen < (int64_t)take->customers_max &&
         (rc = nm_db_step(&writer->db, stmt)) == 1) {
    rc = nm_db_run(&writer->db, "INSERT OR IGNORE INTO temp.chosen (customer) VALUES (?1)",
                   NM_T(nm_column_text(stmt, 0)));
    if (!rc) *chosen += nm_db_changes(&writer->db);
  }
  sqlite3_reset(stmt);
  return rc;
}

static int take_new(struct nm_writer *writer, struct nm_store_batch_take *take)
{
  int64_t chosen;
  int rc = choose_customers(writer, take, &chosen);
  if (rc || chosen == 0) return rc;

  int64_t id = nm_writer_id(writer);
  rc = nm_db_run(&writer->db,
                 "INSERT INTO batches (id, tenant_id, state, due_at, attempts, reason, created_at)"
                 " VALUES (?1, ?2, 0, 0, 1, '', ?3)",
                 NM_I(id), NM_I(take->tenant_id), NM_I(nm_clock_wall_ms()));
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "UPDATE updates SET state = 2, batch_id = ?1 WHERE id IN (SELECT id FROM ("
                   " SELECT u.id AS id, row_number() OVER (PARTITION BY u.customer ORDER BY u.id)"
                   " AS n FROM temp.chosen AS c CROSS JOIN updates AS u INDEXED BY updates_open"
                   " WHERE u.state IN (0, 1) AND u.tenant_id = ?2 AND u.customer = c.customer)"
                   " WHERE n <= ?3)",
                   NM_I(id), NM_I(take->tenant_id), NM_I(take->attributes_max));
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "UPDATE updates SET state = 1 WHERE id IN (SELECT u.id FROM temp.chosen AS c"
                   " CROSS JOIN updates AS u INDEXED BY updates_open WHERE u.state IN (0, 1)"
                   " AND u.tenant_id = ?1 AND u.customer = c.customer)",
                   NM_I(take->tenant_id));
  if (rc) return rc;
  take->batch_id = id;
  take->was = NM_BATCH_SENDING;
  take->attempts = 0;
  return NM_OK;
}

static int read_updates(struct nm_writer *writer, struct nm_store_batch_take *take)
{
  int64_t count = 0;
  sqlite3_stmt *stmt;
  int rc = nm_db_number(&writer->db, &count, 0,
                        "SELECT count(*) FROM updates WHERE state = 2 AND batch_id = ?1",
                        NM_I(take->batch_id));
  if (rc) return rc;
  struct nm_arena *arena = take->request.arena;
  take->updates = nm_arena_alloc(arena, ((size_t)count + 1) * sizeof *take->updates);
  if (!take->updates)
    return nm_fail(&take->request.error, NM_ENOMEM, "store: no memory for %lld updates",
                   (long long)count);
  rc = nm_db_find(&writer->db, &stmt,
                  "SELECT id, customer, field, value FROM updates INDEXED BY updates_of_batch"
                  " WHERE state = 2 AND batch_id = ?1 ORDER BY customer, id",
                  NM_I(take->batch_id));
  struct nm_row row = { .stmt = stmt, .arena = arena };
  while (rc == 0 && (rc = nm_db_step(&writer->db, stmt)) == 1) {
    rc = 0;
    if (take->count == (size_t)count) continue;
    take->updates[take->count++] = (struct nm_update){ .id = nm_row_i64(&row, 0),
                                                       .customer = nm_row_text(&row, 1),
                                                       .field = nm_row_text(&row, 2),
                                                       .value = nm_row_text(&row, 3) };
  }
  if (!rc && row.is_short)
    rc = nm_fail(&take->request.error, NM_ENOMEM, "store: no memory for %lld updates",
                 (long long)count);
  return rc;
}

int nm_writer_batch_take(struct nm_writer *writer, struct nm_store_batch_take *take)
{
  take->batch_id = 0;
  take->was = NM_BATCH_SENDING;
  take->attempts = take->repeats = 0;
  take->updates = NULL;
  take->count = 0;
  if (take->customers_max == 0 || take->attributes_max == 0)
    return nm_fail(&take->request.error, NM_EINVAL, "a batch of no customers or no attributes");
  int rc = NM_OK;
  if (take->retries_now)
    rc = nm_db_run(&writer->db,
                   "UPDATE batches INDEXED BY batches_open SET due_at = 0"
                   " WHERE state IN (0, 1, 2) AND state = 2 AND tenant_id = ?1",
                   NM_I(take->tenant_id));
  if (!rc) rc = take_again(writer, take);
  if (!rc && take->batch_id == 0) rc = take_new(writer, take);
  if (!rc && take->batch_id != 0) {
    rc = nm_writer_claim(writer, &writer->batches, take->batch_id, 0);
    if (!rc) rc = read_updates(writer, take);
  }
  if (rc) return rc;
  return nm_db_number(&writer->db, &take->next_due_ms, 0,
                      "SELECT min(due_at) FROM batches INDEXED BY batches_open"
                      " WHERE state IN (0, 1, 2) AND tenant_id = ?1 AND state <> 0"
                      " AND NOT is_claimed_batch(id)",
                      NM_I(take->tenant_id));
}

/* ---- settled --------------------------------------------------------------------------------- */

static int find_batch(struct nm_writer *writer, const struct nm_store_batch_finish *finish,
                      struct nm_error *err)
{
  int64_t state = -1;
  int rc = nm_db_number(&writer->db, &state, -1,
                        "SELECT state FROM batches WHERE id = ?1 AND tenant_id = ?2",
                        NM_I(finish->batch_id), NM_I(finish->tenant_id));
  if (rc) return rc;
  if (state < 0)
    return nm_fail(err, NM_ENOTFOUND, "there is no batch %lld", (long long)finish->batch_id);
  if (state == NM_BATCH_DONE || state == NM_BATCH_DEAD)
    return nm_fail(err, NM_ECONFLICT, "batch %lld is settled already", (long long)finish->batch_id);
  return NM_OK;
}

static int kill_named(struct nm_writer *writer, const struct nm_store_batch_finish *finish,
                      int64_t now_ms)
{
  for (size_t i = 0; i < finish->error_count; i++) {
    const struct nm_batch_error *error = &finish->errors[i];
    int rc = nm_db_run(&writer->db,
                       "UPDATE updates SET state = 3, reason = ?4, ended_at = ?5"
                       " WHERE state = 2 AND batch_id = ?1 AND (?2 = '' OR customer = ?2)"
                       " AND (?3 = '' OR field = ?3)",
                       NM_I(finish->batch_id), NM_T(error->customer), NM_T(error->field),
                       NM_T(error->reason), NM_I(now_ms));
    if (rc) return rc;
  }
  return NM_OK;
}

/* The customers of the batch may be written to again. */
static int unblock(struct nm_writer *writer, const struct nm_store_batch_finish *finish)
{
  int rc = nm_db_run(&writer->db,
                     "UPDATE updates SET state = 0 WHERE id IN (SELECT o.id FROM ("
                     " SELECT DISTINCT customer FROM updates INDEXED BY updates_of_batch"
                     " WHERE state = 2 AND batch_id = ?1) AS b"
                     " CROSS JOIN updates AS o INDEXED BY updates_open WHERE o.state IN (0, 1)"
                     " AND o.tenant_id = ?2 AND o.customer = b.customer)",
                     NM_I(finish->batch_id), NM_I(finish->tenant_id));
  if (!rc && nm_db_changes(&writer->db) > 0) writer->work |= NM_STORE_WORK_UPDATES;
  return rc;
}

static int settle(struct nm_writer *writer, const struct nm_store_batch_finish *finish,
                  int64_t now_ms)
{
  int rc = unblock(writer, finish);
  if (!rc && finish->state == NM_BATCH_DONE) rc = kill_named(writer, finish, now_ms);
  if (rc) return rc;
  bool is_done = finish->state == NM_BATCH_DONE;
  return nm_db_run(&writer->db,
                   "UPDATE updates SET state = ?2, reason = ?3, ended_at = ?4"
                   " WHERE state = 2 AND batch_id = ?1",
                   NM_I(finish->batch_id), NM_I(is_done ? NM_UPDATE_DONE : NM_UPDATE_DEAD),
                   NM_T(finish->reason), NM_I(now_ms));
}

int nm_writer_batch_finish(struct nm_writer *writer, struct nm_store_batch_finish *finish)
{
  int64_t now_ms = nm_clock_wall_ms();
  bool is_end = finish->state == NM_BATCH_DONE || finish->state == NM_BATCH_DEAD;
  int rc = find_batch(writer, finish, &finish->request.error);
  if (!rc && is_end) rc = settle(writer, finish, now_ms);
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "UPDATE batches SET state = ?2, due_at = ?3, reason = ?4, ended_at = ?5"
                   " WHERE id = ?1",
                   NM_I(finish->batch_id), NM_I(finish->state),
                   NM_I(is_end ? 0 : finish->due_at_ms), NM_T(finish->reason),
                   NM_I(is_end ? now_ms : 0));
  return rc ? rc : nm_writer_release(writer, &writer->batches, finish->batch_id);
}
