/* What an engine needs at start. */
#include "store/internal.h"

static void *allocate(struct nm_store_resume *resume, int64_t count, size_t size)
{
  void *out = nm_arena_alloc(resume->request.arena, (size_t)(count + 1) * size);
  if (!out)
    nm_fail(&resume->request.error, NM_ENOMEM, "store: no memory for %lld rows", (long long)count);
  return out;
}

#define LANES                                                                                      \
  "SELECT DISTINCT tenant_id, provider FROM messages INDEXED BY messages_waiting WHERE state = 0"

static int load_lanes(struct nm_db *db, struct nm_store_resume *resume)
{
  sqlite3_stmt *stmt;
  int64_t count = 0;
  int rc = nm_db_number_values(db, &count, 0, "SELECT count(*) FROM (" LANES ")", NULL, 0);
  if (rc) return rc;
  resume->lanes = allocate(resume, count, sizeof *resume->lanes);
  if (!resume->lanes) return NM_ENOMEM;
  rc = nm_db_find_values(db, &stmt, LANES " ORDER BY tenant_id, provider", NULL, 0);
  if (rc) return rc;
  struct nm_row row = { .stmt = stmt, .arena = resume->request.arena };
  while (resume->lane_count < (size_t)count && (rc = nm_db_step(db, stmt)) == 1)
    resume->lanes[resume->lane_count++] =
      (struct nm_store_lane){ .tenant_id = nm_row_i64(&row, 0), .provider = nm_row_text(&row, 1) };
  sqlite3_reset(stmt);
  if (rc >= 0 && row.is_short) return NM_ENOMEM;
  return rc < 0 ? rc : NM_OK;
}

static int load_runs(struct nm_db *db, struct nm_store_resume *resume)
{
  sqlite3_stmt *stmt;
  int64_t count = 0;
  int rc = nm_db_number_values(db, &count, 0,
                               "SELECT count(*) FROM runs INDEXED BY runs_open"
                               " WHERE state IN (0, 1, 2, 4)",
                               NULL, 0);
  if (rc) return rc;
  resume->runs = allocate(resume, count, sizeof *resume->runs);
  if (!resume->runs) return NM_ENOMEM;
  rc = nm_db_find_values(db, &stmt,
                         "SELECT " NM_RUN_COLUMNS " FROM runs INDEXED BY runs_open"
                         " WHERE state IN (0, 1, 2, 4) ORDER BY id",
                         NULL, 0);
  if (rc) return rc;
  struct nm_row row = { .stmt = stmt, .arena = resume->request.arena };
  while (resume->run_count < (size_t)count && (rc = nm_db_step(db, stmt)) == 1)
    nm_row_run(&row, &resume->runs[resume->run_count++]);
  sqlite3_reset(stmt);
  if (rc >= 0 && row.is_short) return NM_ENOMEM;
  return rc < 0 ? rc : NM_OK;
}

#define UPDATE_TENANTS                                                                             \
  "SELECT tenant_id FROM updates INDEXED BY updates_waiting WHERE state = 0 UNION"                 \
  " SELECT tenant_id FROM batches INDEXED BY batches_open WHERE state IN (0, 1, 2)"

static int load_update_tenants(struct nm_db *db, struct nm_store_resume *resume)
{
  sqlite3_stmt *stmt;
  int64_t count = 0;
  int rc = nm_db_number_values(db, &count, 0, "SELECT count(*) FROM (" UPDATE_TENANTS ")", NULL, 0);
  if (rc) return rc;
  resume->update_tenants = allocate(resume, count, sizeof *resume->update_tenants);
  if (!resume->update_tenants) return NM_ENOMEM;
  rc = nm_db_find_values(db, &stmt, UPDATE_TENANTS, NULL, 0);
  if (rc) return rc;
  while (resume->update_tenant_count < (size_t)count && (rc = nm_db_step(db, stmt)) == 1)
    resume->update_tenants[resume->update_tenant_count++] = sqlite3_column_int64(stmt, 0);
  sqlite3_reset(stmt);
  return rc < 0 ? rc : NM_OK;
}

int nm_reader_resume(struct nm_db *db, struct nm_store_resume *resume)
{
  resume->lane_count = 0;
  resume->run_count = 0;
  resume->update_tenant_count = 0;
  int rc = load_lanes(db, resume);
  if (!rc) rc = load_runs(db, resume);
  if (!rc) rc = load_update_tenants(db, resume);
  if (rc == NM_ENOMEM && resume->request.error.code == 0)
    nm_fail(&resume->request.error, rc, "store: the answer is larger than its arena");
  return rc;
}
