/* The guard: a run that is larger than its tenant allows, or than it was ever before, waits for a
 * person; decided where every other run's decision stands. */
#include "store/internal.h"

struct looked_at {
  int64_t tenant_id, channel_id, state, rows;
};

static int find(struct nm_writer *writer, struct nm_store_run_check *check, struct looked_at *out)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT tenant_id, channel_id, state, rows_fetched FROM runs WHERE id = ?1",
                      NM_I(check->run_id));
  if (!rc) rc = nm_db_step(&writer->db, stmt);
  if (rc < 0) return rc;
  if (rc == 0)
    return nm_fail(&check->request.error, NM_ENOTFOUND, "there is no run %lld",
                   (long long)check->run_id);
  *out = (struct looked_at){ sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1),
                             sqlite3_column_int64(stmt, 2), sqlite3_column_int64(stmt, 3) };
  sqlite3_reset(stmt);
  return NM_OK;
}

/* Recipients of the last run of this template and channel that passed; -1 = there was none. */
static int find_last(struct nm_writer *writer, const struct nm_store_run_check *check,
                     const struct looked_at *run, int64_t *rows)
{
  return nm_db_number(&writer->db, rows, -1,
                      "SELECT rows_fetched FROM runs INDEXED BY runs_of_template"
                      " WHERE tenant_id = ?1 AND channel_id = ?2 AND template_id = ?3"
                      " AND checked_at > 0 AND id <> ?4 AND state <> 3"
                      " ORDER BY checked_at DESC LIMIT 1",
                      NM_I(run->tenant_id), NM_I(run->channel_id), NM_I(check->template_id),
                      NM_I(check->run_id));
}

static int decide(struct nm_writer *writer, struct nm_store_run_check *check,
                  const struct looked_at *run)
{
  struct nm_arena *arena = check->request.arena;
  long long rows = (long long)run->rows;
  int64_t last = -1;
  if (check->run_max > 0 && run->rows > check->run_max) {
    check->reason = nm_arena_printf(arena, "%lld recipients are above the ceiling of %lld a run",
                                    rows, (long long)check->run_max);
    return check->reason.ptr ? NM_OK : NM_ENOMEM;
  }
  if (check->hour_max > 0 && check->made + run->rows > check->hour_max) {
    check->reason = nm_arena_printf(arena,
                                    "%lld recipients, with %lld messages made within the hour, are"
                                    " above the ceiling of %lld an hour",
                                    rows, (long long)check->made, (long long)check->hour_max);
    return check->reason.ptr ? NM_OK : NM_ENOMEM;
  }
  if (check->differs <= 1 || check->template_id == 0) return NM_OK;
  int rc = find_last(writer, check, run, &last);
  if (rc || last < 0) return rc;
  bool is_more = (double)run->rows > (double)last * check->differs;
  bool is_fewer = (double)run->rows * check->differs < (double)last;
  if (!is_more && !is_fewer) return NM_OK;
  check->reason =
      nm_arena_printf(arena,
                      "%lld recipients, and the last run of template %lld had %lld: more"
                      " than %g times as %s",
                      rows, (long long)check->template_id, (long long)last, check->differs,
                      is_more ? "many" : "few");
  return check->reason.ptr ? NM_OK : NM_ENOMEM;
}

int nm_writer_run_check(struct nm_writer *writer, struct nm_store_run_check *check)
{
  struct looked_at run = { 0 };
  check->reason = NM_TEXT("");
  int rc = find(writer, check, &run);
  if (rc) return rc;
  check->rows = run.rows;
  if (run.state != NM_RUN_ACTIVE)
    return nm_fail(&check->request.error, NM_ECONFLICT, "run %lld is %s", (long long)check->run_id,
                   nm_run_state_name((enum nm_run_state)run.state));
  rc = decide(writer, check, &run);
  if (rc) return rc;
  bool is_held = check->reason.len > 0;
  return nm_db_run(&writer->db,
                   "UPDATE runs SET state = ?2, reason = ?3, template_id = ?4, sample = ?5,"
                   " checked_at = ?6 WHERE id = ?1",
                   NM_I(check->run_id), NM_I(is_held ? NM_RUN_HELD : NM_RUN_ACTIVE),
                   NM_T(check->reason), NM_I(check->template_id),
                   NM_T(is_held ? check->sample : NM_TEXT("")), NM_I(is_held ? 0 : check->now_ms));
}
