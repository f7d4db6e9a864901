/* Cancels: the tombstone, the fence of runs, and the messages that still wait.
 *
 * What was triggered at a TimeStamp not later than the cancel's is stopped; where one of the two is
 * missing the order of arrival decides, which is the order of event ids.  A message that is out
 * (claimed) is not touched but marked: what becomes of it is told by its finish. */
#include "store/internal.h"

#include <stdlib.h>

#include "base/clock.h"

/* ---- tombstones ------------------------------------------------------------------------------ */

/* Most campaigns are never cancelled: a bit tells, so that their messages ask no table. */
static size_t bit_of(int64_t tenant_id, struct nm_text campaign)
{
  uint64_t hash = 0xCBF29CE484222325u ^ (uint64_t)tenant_id;
  for (size_t i = 0; i < campaign.len; i++)
    hash = (hash ^ (unsigned char)campaign.ptr[i]) * 0x100000001B3u;
  return (size_t)((hash ^ (hash >> 32)) % NM_TOMBSTONE_BITS);
}

static void mark_cancelled(struct nm_writer *writer, int64_t tenant_id, struct nm_text campaign)
{
  size_t bit = bit_of(tenant_id, campaign);
  writer->cancelled[bit / 64] |= (uint64_t)1 << (bit % 64);
}

static bool may_be_cancelled(const struct nm_writer *writer, int64_t tenant_id,
                             struct nm_text campaign)
{
  size_t bit = bit_of(tenant_id, campaign);
  return writer->cancelled[bit / 64] >> (bit % 64) & 1;
}

int nm_writer_load_tombstones(struct nm_writer *writer)
{
  sqlite3_stmt *stmt;
  int rc =
      nm_db_find_values(&writer->db, &stmt, "SELECT tenant_id, campaign FROM tombstones", NULL, 0);
  while (rc == 0 && (rc = nm_db_step(&writer->db, stmt)) == 1) {
    mark_cancelled(writer, sqlite3_column_int64(stmt, 0), nm_column_text(stmt, 1));
    rc = 0;
  }
  return rc;
}

int nm_writer_is_cancelled(struct nm_writer *writer, const struct nm_plan *plan,
                           struct nm_text campaign, int64_t channel_id, int64_t triggered_at_ms)
{
  int64_t found = 0;
  if (nm_text_is_empty(campaign) || !may_be_cancelled(writer, plan->tenant_id, campaign)) return 0;
  int rc = nm_db_number(&writer->db, &found, 0,
                        "SELECT 1 FROM tombstones WHERE tenant_id = ?1 AND campaign = ?2"
                        " AND channel_id IN (0, ?3) AND arrived_at > ?4"
                        " AND CASE WHEN stamp_ms <> 0 AND ?5 <> 0 THEN ?5 <= stamp_ms"
                        " ELSE ?6 < event_id END LIMIT 1",
                        NM_I(plan->tenant_id), NM_T(campaign), NM_I(channel_id),
                        NM_I(triggered_at_ms - NM_STORE_TOMBSTONE_MS), NM_I(plan->stamp_ms),
                        NM_I(plan->event_id));
  return rc ? rc : (int)found;
}

/* Marks what is out of one run; how many there are. */
static int mark_run(struct nm_writer *writer, int64_t run_id, int64_t *count)
{
  *count = 0;
  for (size_t i = 0; i < writer->messages.capacity; i++) {
    struct nm_claim *claim = &writer->messages.slots[i];
    if (claim->id == 0 || claim->run_id != run_id) continue;
    ++*count;
    if (claim->is_fenced) continue;
    claim->is_fenced = true;
    int rc = nm_writer_note(writer, (struct nm_pending){ .kind = NM_PENDING_FENCED,
                                                         .claims = &writer->messages,
                                                         .id = claim->id });
    if (rc) return rc;
  }
  return NM_OK;
}

static int stop_messages_of_run(struct nm_writer *writer, int64_t run_id, int64_t now_ms,
                                int64_t *stopped)
{
  int rc = nm_db_run(&writer->db,
                     "UPDATE messages INDEXED BY messages_waiting SET state = 3, ended_at = ?2,"
                     " reason = 'cancelled', content = ''"
                     " WHERE " NM_WAITS_OF_RUN " AND NOT is_claimed_message(id)",
                     NM_I(run_id), NM_I(now_ms));
  if (!rc) *stopped = nm_db_changes(&writer->db);
  return rc;
}

static int fence_run(struct nm_writer *writer, int64_t run_id, int64_t in_flight, int64_t now_ms,
                     int64_t *stopped)
{
  int rc = nm_writer_unpark(writer, run_id);
  if (!rc) rc = stop_messages_of_run(writer, run_id, now_ms, stopped);
  if (rc) return rc;
  return nm_db_run(
      &writer->db,
      "UPDATE runs SET state = 3, is_parked = 0, play_until = 0, fenced_at = ?2, ended_at = ?2,"
      " in_flight_at_fence = ?3, stopped = stopped + ?4, open = open - ?4,"
      " reason = 'cancelled' WHERE id = ?1",
      NM_I(run_id), NM_I(now_ms), NM_I(in_flight), NM_I(*stopped));
}

/* ---- an operator's --------------------------------------------------------------------------- */

int nm_writer_fence(struct nm_writer *writer, struct nm_store_fence *fence)
{
  struct nm_error *err = &fence->request.error;
  sqlite3_stmt *stmt;
  int rc = nm_db_find(&writer->db, &stmt, "SELECT state, fenced_at FROM runs WHERE id = ?1",
                      NM_I(fence->run_id));
  if (!rc) rc = nm_db_step(&writer->db, stmt);
  if (rc < 0) return rc;
  if (rc == 0) return nm_fail(err, NM_ENOTFOUND, "there is no run %lld", (long long)fence->run_id);
  int64_t state = sqlite3_column_int64(stmt, 0), fenced_at_ms = sqlite3_column_int64(stmt, 1);
  sqlite3_reset(stmt);
  fence->stopped = 0;
  fence->fenced_at_ms = fenced_at_ms;
  if (state == NM_RUN_CANCELLED) return NM_OK; /* it is what was asked for */
  if (state == NM_RUN_DONE)
    return nm_fail(err, NM_ECONFLICT, "run %lld is done", (long long)fence->run_id);

  int64_t claimed;
  rc = mark_run(writer, fence->run_id, &claimed);
  fence->fenced_at_ms = nm_clock_wall_ms();
  if (rc) return rc;
  return fence_run(writer, fence->run_id, (int64_t)fence->in_flight, fence->fenced_at_ms,
                   &fence->stopped);
}

/* ---- a 4's ----------------------------------------------------------------------------------- */

static int add_tombstone(struct nm_writer *writer, const struct nm_plan *plan)
{
  const struct nm_cancel *cancel = plan->cancel;
  mark_cancelled(writer, plan->tenant_id, cancel->campaign);
  return nm_db_run(&writer->db,
                   "INSERT INTO tombstones (id, tenant_id, event_id, campaign, channel_id,"
                   " stamp_ms, arrived_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                   NM_I(nm_writer_id(writer)), NM_I(plan->tenant_id), NM_I(plan->event_id),
                   NM_T(cancel->campaign), NM_I(cancel->channel_id), NM_I(cancel->stamp_ms),
                   NM_I(cancel->arrived_at_ms));
}

#define COVERED                                                                                    \
  "CASE WHEN stamp_ms <> 0 AND ?4 <> 0 THEN stamp_ms <= ?4 ELSE event_id < ?5 END"

static int find_runs(struct nm_writer *writer, const struct nm_plan *plan, struct nm_arena *arena)
{
  struct nm_cancel *cancel = plan->cancel;
  sqlite3_stmt *stmt;
  size_t capacity = 0;
  /* A failed run may have left messages that wait. */
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT id FROM runs INDEXED BY runs_of_campaign WHERE tenant_id = ?1"
                      " AND campaign = ?2 AND (?3 = 0 OR channel_id = ?3)"
                      " AND (state IN (0, 1, 2, 4) OR (state = 6 AND open > 0)) AND " COVERED
                      " ORDER BY id",
                      NM_I(plan->tenant_id), NM_T(cancel->campaign), NM_I(cancel->channel_id),
                      NM_I(cancel->stamp_ms), NM_I(plan->event_id));
  while (rc == 0 && (rc = nm_db_step(&writer->db, stmt)) == 1) {
    rc = 0;
    if (cancel->run_count == capacity) {
      int64_t *grown = nm_arena_alloc(arena, (capacity * 2 + 8) * sizeof *grown);
      if (!grown) {
        sqlite3_reset(stmt);
        return NM_ENOMEM;
      }
      if (capacity > 0) memcpy(grown, cancel->run_ids, capacity * sizeof *grown);
      cancel->run_ids = grown;
      capacity = capacity * 2 + 8;
    }
    cancel->run_ids[cancel->run_count++] = sqlite3_column_int64(stmt, 0);
  }
  return rc;
}

/* The engine counts what is in flight for the whole cancel: one run takes it all, several share it
 * by what is claimed of each, the last one takes the rest. */
static int fence_runs(struct nm_writer *writer, struct nm_cancel *cancel)
{
  int64_t left = (int64_t)cancel->in_flight;
  for (size_t i = 0; i < cancel->run_count; i++) {
    int64_t claimed, stopped;
    int rc = mark_run(writer, cancel->run_ids[i], &claimed);
    if (rc) return rc;
    bool is_last = i + 1 == cancel->run_count;
    int64_t share = is_last || claimed > left ? left : claimed;
    rc = fence_run(writer, cancel->run_ids[i], share, cancel->fenced_at_ms, &stopped);
    if (rc) return rc;
    left -= share;
    cancel->stopped += stopped;
  }
  return NM_OK;
}

static int mark_singles(struct nm_writer *writer, const struct nm_plan *plan)
{
  const struct nm_cancel *cancel = plan->cancel;
  sqlite3_stmt *stmt;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT id FROM messages INDEXED BY messages_open WHERE state = 0"
                      " AND run_id = 0 AND tenant_id = ?1 AND campaign = ?2"
                      " AND (?3 = 0 OR channel_id = ?3) AND " COVERED
                      " AND is_claimed_message(id)",
                      NM_I(plan->tenant_id), NM_T(cancel->campaign), NM_I(cancel->channel_id),
                      NM_I(cancel->stamp_ms), NM_I(plan->event_id));
  while (rc == 0 && (rc = nm_db_step(&writer->db, stmt)) == 1) {
    struct nm_claim *claim = nm_claims_find(&writer->messages, sqlite3_column_int64(stmt, 0));
    rc = 0;
    if (!claim || claim->is_fenced) continue;
    claim->is_fenced = true;
    rc = nm_writer_note(writer, (struct nm_pending){ .kind = NM_PENDING_FENCED,
                                                     .claims = &writer->messages,
                                                     .id = claim->id });
  }
  return rc;
}

static int stop_singles(struct nm_writer *writer, int64_t tenant_id, const struct nm_cancel *cancel,
                        int64_t event_id, int64_t now_ms, int64_t *stopped)
{
  int rc = nm_db_run(&writer->db,
                     "UPDATE messages INDEXED BY messages_open SET state = 3, ended_at = ?6,"
                     " reason = 'cancelled', content = '' WHERE state = 0 AND run_id = 0"
                     " AND tenant_id = ?1 AND campaign = ?2 AND (?3 = 0 OR channel_id = ?3)"
                     " AND " COVERED " AND NOT is_claimed_message(id)",
                     NM_I(tenant_id), NM_T(cancel->campaign), NM_I(cancel->channel_id),
                     NM_I(cancel->stamp_ms), NM_I(event_id), NM_I(now_ms));
  if (!rc) *stopped += nm_db_changes(&writer->db);
  return rc;
}

int nm_writer_cancel(struct nm_writer *writer, const struct nm_plan *plan, struct nm_arena *arena)
{
  struct nm_cancel *cancel = plan->cancel;
  cancel->run_ids = NULL;
  cancel->run_count = 0;
  cancel->stopped = 0;
  cancel->fenced_at_ms = nm_clock_wall_ms();
  if (nm_text_is_empty(cancel->campaign)) return NM_OK; /* names nothing to stop */
  int rc = add_tombstone(writer, plan);
  if (!rc) rc = find_runs(writer, plan, arena);
  if (!rc) rc = fence_runs(writer, cancel);
  if (!rc) rc = mark_singles(writer, plan);
  if (!rc)
    rc = stop_singles(writer, plan->tenant_id, cancel, plan->event_id, cancel->fenced_at_ms,
                      &cancel->stopped);
  return rc;
}

/* ---- at start -------------------------------------------------------------------------------- */

static int recover_runs(struct nm_writer *writer, int64_t now_ms)
{
  int64_t run_id = 0;
  do {
    int64_t stopped;
    int rc = nm_db_number(&writer->db, &run_id, 0,
                          "SELECT id FROM runs INDEXED BY runs_left WHERE open > 0 AND state = 3"
                          " AND id > ?1 ORDER BY id LIMIT 1",
                          NM_I(run_id));
    if (rc) return rc;
    if (run_id == 0) break;
    rc = stop_messages_of_run(writer, run_id, now_ms, &stopped);
    if (!rc)
      rc = nm_db_run(&writer->db,
                     "UPDATE runs SET stopped = stopped + ?2, open = open - ?2 WHERE id = ?1",
                     NM_I(run_id), NM_I(stopped));
    if (rc) return rc;
  } while (run_id != 0);
  return NM_OK;
}

/* What was out when its run was paused, and had no end, waits with it. */
static int recover_parked(struct nm_writer *writer)
{
  int64_t run_id = 0;
  for (;;) {
    int rc = nm_db_number(&writer->db, &run_id, 0,
                          "SELECT id FROM runs INDEXED BY runs_open WHERE state IN (0, 1, 2, 4)"
                          " AND is_parked = 1 AND id > ?1 ORDER BY id LIMIT 1",
                          NM_I(run_id));
    if (rc || run_id == 0) return rc;
    rc = nm_writer_park(writer, run_id);
    if (rc) return rc;
  }
}

static int recover_singles(struct nm_writer *writer, int64_t now_ms)
{
  sqlite3_stmt *stmt;
  int64_t stopped = 0;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT tenant_id, campaign, channel_id, stamp_ms, event_id FROM tombstones"
                      " WHERE arrived_at > ?1",
                      NM_I(now_ms - NM_STORE_TOMBSTONE_MS));
  while (rc == 0 && (rc = nm_db_step(&writer->db, stmt)) == 1) {
    struct nm_cancel cancel = {
      .campaign = nm_column_text(stmt, 1),
      .channel_id = sqlite3_column_int64(stmt, 2),
      .stamp_ms = sqlite3_column_int64(stmt, 3),
    };
    rc = stop_singles(writer, sqlite3_column_int64(stmt, 0), &cancel, sqlite3_column_int64(stmt, 4),
                      now_ms, &stopped);
  }
  return rc;
}

int nm_writer_recover(struct nm_writer *writer)
{
  int64_t now_ms = nm_clock_wall_ms();
  int rc = nm_db_exec(&writer->db, "BEGIN IMMEDIATE");
  if (rc) return rc;
  rc = recover_runs(writer, now_ms);
  if (!rc) rc = recover_parked(writer);
  if (!rc) rc = recover_singles(writer, now_ms);
  if (!rc) rc = nm_writer_recover_facts(writer, now_ms);
  if (!rc) rc = nm_writer_recover_clock(writer, now_ms);
  if (!rc) rc = nm_db_exec(&writer->db, "COMMIT");
  if (rc) sqlite3_exec(writer->db.handle, "ROLLBACK", NULL, NULL, NULL);
  return rc;
}
