/* Runs by hand: what waits of a run is put aside with it and comes back; rows that its rules held
 * are marked to be played again; another generation takes over. */
#include "store/internal.h"

#include "base/clock.h"

/* ---- put aside ------------------------------------------------------------------------------- */

/* A message that is out is not touched but marked: its finish puts it aside. */
static int mark_claims(struct nm_writer *writer, int64_t run_id, bool is_parked)
{
  for (size_t i = 0; i < writer->messages.capacity; i++) {
    struct nm_claim *claim = &writer->messages.slots[i];
    if (claim->id == 0 || claim->run_id != run_id || claim->is_parked == is_parked) continue;
    int rc = nm_writer_note(writer, (struct nm_pending){ .kind = NM_PENDING_PARKED,
                                                         .claims = &writer->messages,
                                                         .id = claim->id });
    if (rc) return rc;
    claim->is_parked = is_parked;
  }
  return NM_OK;
}

int nm_writer_park(struct nm_writer *writer, int64_t run_id)
{
  int rc = mark_claims(writer, run_id, true);
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "UPDATE messages INDEXED BY messages_waiting SET state = 6"
                   " WHERE " NM_WAITS_OF_RUN " AND NOT is_claimed_message(id)",
                   NM_I(run_id));
  if (!rc) rc = nm_db_run(&writer->db, "UPDATE runs SET is_parked = 1 WHERE id = ?1", NM_I(run_id));
  return rc;
}

int nm_writer_unpark(struct nm_writer *writer, int64_t run_id)
{
  int rc = mark_claims(writer, run_id, false);
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "UPDATE messages INDEXED BY messages_parked SET state = 0"
                   " WHERE state = 6 AND run_id = ?1",
                   NM_I(run_id));
  return rc;
}

/* ---- release --------------------------------------------------------------------------------- */

static int refuse_release(struct nm_error *err, int64_t run_id, int64_t state)
{
  bool is_over = state == NM_RUN_CANCELLED || state == NM_RUN_FAILED;
  return nm_fail(err, NM_ECONFLICT, "run %lld is %s%s", (long long)run_id,
                 nm_run_state_name((enum nm_run_state)state),
                 is_over ? ""
                         : ", and its rules held none of its rows: there is nothing to release");
}

int nm_writer_run_release(struct nm_writer *writer, struct nm_store_run_release *release)
{
  struct nm_error *err = &release->request.error;
  int64_t state, last_mark, rows;
  int rc = nm_db_number(&writer->db, &state, -1, "SELECT state FROM runs WHERE id = ?1",
                        NM_I(release->run_id));
  if (rc) return rc;
  if (state < 0)
    return nm_fail(err, NM_ENOTFOUND, "there is no run %lld", (long long)release->run_id);
  rc = nm_db_number(&writer->db, &last_mark, 0,
                    "SELECT coalesce(max(id), 0) FROM run_holds WHERE run_id = ?1",
                    NM_I(release->run_id));
  if (!rc)
    rc = nm_db_number(&writer->db, &rows, 0,
                      "SELECT coalesce(sum(count), 0) FROM run_holds WHERE run_id = ?1",
                      NM_I(release->run_id));
  if (rc) return rc;
  bool is_resting = state == NM_RUN_HELD || state == NM_RUN_PAUSED;
  bool is_over = state == NM_RUN_CANCELLED || state == NM_RUN_FAILED;
  if (is_over || (!is_resting && last_mark == 0))
    return refuse_release(err, release->run_id, state);

  int64_t is_page_gone;
  rc = nm_db_number(&writer->db, &is_page_gone, 0,
                    "SELECT 1 FROM run_holds AS h WHERE h.run_id = ?1 AND NOT EXISTS (SELECT 1"
                    " FROM pages AS p WHERE p.run_id = ?1 AND p.number = h.page) LIMIT 1",
                    NM_I(release->run_id));
  if (rc) return rc;
  if (is_page_gone)
    return nm_fail(err, NM_ECONFLICT, "run %lld is past its retention: its held rows are gone",
                   (long long)release->run_id);
  rc = nm_writer_unpark(writer, release->run_id);
  release->unparked = rc ? 0 : nm_db_changes(&writer->db);
  release->was = (enum nm_run_state)state;
  release->rows = rows;
  writer->work |= NM_STORE_WORK_MESSAGES;
  /* Whoever is done begins once more, and is done again when the marks are played. */
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "UPDATE runs SET state = 0, reason = '', ended_at = 0, is_parked = 0,"
                   " play_until = ?2, is_released = max(is_released, state = 2 AND sample <> ''),"
                   " checked_at = CASE WHEN state = 2 AND sample <> '' THEN ?3 ELSE checked_at END"
                   " WHERE id = ?1",
                   NM_I(release->run_id), NM_I(last_mark), NM_I(nm_clock_wall_ms()));
  return rc;
}

/* ---- playing --------------------------------------------------------------------------------- */

int nm_reader_mark_load(struct nm_db *db, struct nm_store_mark_load *load)
{
  sqlite3_stmt *stmt;
  load->mark_id = 0;
  int rc = nm_db_find(db, &stmt,
                      "SELECT id, page, count, rows FROM run_holds WHERE run_id = ?1 AND id <= ?2"
                      " ORDER BY id LIMIT 1",
                      NM_I(load->run_id), NM_I(load->play_until));
  if (!rc) rc = nm_db_step(db, stmt);
  if (rc != 1) return rc;
  struct nm_row row = { .stmt = stmt, .arena = load->request.arena };
  load->mark_id = nm_row_i64(&row, 0);
  load->page = nm_row_i64(&row, 1);
  load->count = nm_row_i64(&row, 2);
  load->rows = nm_row_text(&row, 3);
  sqlite3_reset(stmt);
  if (!row.is_short) return NM_OK;
  return nm_fail(&load->request.error, NM_ENOMEM, "store: no memory for a mark");
}

/* ---- repin ----------------------------------------------------------------------------------- */

int nm_writer_run_repin(struct nm_writer *writer, struct nm_store_run_repin *repin)
{
  struct nm_error *err = &repin->request.error;
  sqlite3_stmt *stmt;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT r.state, r.cursor_page, r.cursor_row, r.generation_id,"
                      " EXISTS (SELECT 1 FROM generations AS o WHERE o.id = r.generation_id),"
                      " coalesce((SELECT g.id FROM generations AS g"
                      " WHERE g.tenant_id = r.tenant_id AND g.is_active = 1), 0)"
                      " FROM runs AS r WHERE r.id = ?1",
                      NM_I(repin->run_id));
  if (!rc) rc = nm_db_step(&writer->db, stmt);
  if (rc < 0) return rc;
  if (rc == 0) return nm_fail(err, NM_ENOTFOUND, "there is no run %lld", (long long)repin->run_id);
  int64_t state = sqlite3_column_int64(stmt, 0), page = sqlite3_column_int64(stmt, 1);
  int64_t row = sqlite3_column_int64(stmt, 2), now = sqlite3_column_int64(stmt, 3);
  bool is_there = sqlite3_column_int(stmt, 4) != 0;
  repin->generation_id = sqlite3_column_int64(stmt, 5);
  sqlite3_reset(stmt);
  if (state != NM_RUN_ACTIVE && state != NM_RUN_PAUSED && state != NM_RUN_HELD)
    return nm_fail(err, NM_ECONFLICT, "run %lld is %s: none of its rows is to be expanded any more",
                   (long long)repin->run_id, nm_run_state_name((enum nm_run_state)state));
  if (repin->generation_id == 0)
    return nm_fail(err, NM_ECONFLICT, "no rules of its tenant are active");
  repin->is_changed = repin->generation_id != now;
  bool is_resting = state != NM_RUN_ACTIVE;
  repin->page = (row == 0 && is_resting) || !is_there ? page : page + 1;
  if (repin->page == page)
    return nm_db_run(&writer->db,
                     "UPDATE runs SET generation_id = ?2, repin_generation_id = 0, repin_page = 0"
                     " WHERE id = ?1",
                     NM_I(repin->run_id), NM_I(repin->generation_id));
  return nm_db_run(&writer->db,
                   "UPDATE runs SET repin_generation_id = CASE WHEN generation_id = ?2 THEN 0"
                   " ELSE ?2 END, repin_page = ?3 WHERE id = ?1",
                   NM_I(repin->run_id), NM_I(repin->generation_id), NM_I(repin->page));
}
