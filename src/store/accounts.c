/* Accounts at Optimove that a tenant has left: their credentials stay, sealed as they were, until
 * our listeners and templates there are gone. */
#include "store/internal.h"

#include "base/clock.h"

/* The tenant is at another account now.  Catch-up learns anew what was there before us: what that
 * one executed earlier was never ours; and it is told nothing of campaigns of the old one. */
static int part_campaigns(struct nm_writer *writer, int64_t tenant_id, int64_t old_id)
{
  int rc =
      nm_db_run(&writer->db, "DELETE FROM catch_ups WHERE tenant_id = ?1", NM_I(tenant_id));
  return rc ? rc : nm_writer_facts_leave(writer, tenant_id, old_id);
}

/* At another account a campaign's number names somebody else's people: nobody asks there for the
 * rest of them unless a person says so. */
static int hold_fetching_runs(struct nm_writer *writer, int64_t tenant_id)
{
  return nm_db_run(&writer->db,
                   "UPDATE runs SET state = ?2, reason = ?3"
                   " WHERE tenant_id = ?1 AND state = ?4 AND is_fetched = 0",
                   NM_I(tenant_id), NM_I(NM_RUN_HELD), NM_T(nm_text_from(NM_RUN_ACCOUNT_LEFT)),
                   NM_I(NM_RUN_ACTIVE));
}

/* In the transaction that saves the tenant anew: what the journal says from now on is about the new
 * account. */
int nm_writer_retire_account(struct nm_writer *writer, int64_t tenant_id, bool keeps_host)
{
  int64_t id = nm_writer_id(writer);
  int rc = nm_db_run(&writer->db,
                     "INSERT INTO old_accounts (id, tenant_id, sealed, saved_at, is_same_host)"
                     " SELECT ?1, id, sealed, ?3, ?4 FROM tenants WHERE id = ?2",
                     NM_I(id), NM_I(tenant_id), NM_I(nm_clock_wall_ms()), NM_I(keeps_host));
  if (!rc && !keeps_host) rc = part_campaigns(writer, tenant_id, id);
  if (!rc && !keeps_host) rc = hold_fetching_runs(writer, tenant_id);
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "UPDATE listeners SET account_id = ?1 WHERE tenant_id = ?2 AND account_id = 0",
                   NM_I(id), NM_I(tenant_id));
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "UPDATE templates SET account_id = ?1 WHERE tenant_id = ?2 AND account_id = 0",
                   NM_I(id), NM_I(tenant_id));
  return rc;
}

/* Those that the present account's journal names too stand there already. */
static int keep_templates(struct nm_writer *writer, const struct nm_store_account_forget *forget)
{
  return nm_db_run(&writer->db,
                   "UPDATE OR IGNORE templates SET account_id = 0, state = ?3"
                   " WHERE tenant_id = ?1 AND account_id = ?2",
                   NM_I(forget->tenant_id), NM_I(forget->account_id), NM_I(NM_TEMPLATE_ADDING));
}

int nm_writer_account_forget(struct nm_writer *writer, struct nm_store_account_forget *forget)
{
  int64_t is_same_host = 0;
  int rc = nm_db_number(&writer->db, &is_same_host, 0,
                        "SELECT is_same_host FROM old_accounts WHERE id = ?1 AND tenant_id = ?2",
                        NM_I(forget->account_id), NM_I(forget->tenant_id));
  if (!rc && is_same_host && !forget->keeps_templates)
    rc = part_campaigns(writer, forget->tenant_id, forget->account_id);
  if (!rc) rc = nm_db_run(&writer->db, "DELETE FROM old_accounts WHERE id = ?1 AND tenant_id = ?2",
                     NM_I(forget->account_id), NM_I(forget->tenant_id));
  if (!rc)
    rc = nm_db_run(&writer->db, "DELETE FROM listeners WHERE tenant_id = ?1 AND account_id = ?2",
                   NM_I(forget->tenant_id), NM_I(forget->account_id));
  if (!rc && forget->keeps_templates) rc = keep_templates(writer, forget);
  if (!rc)
    rc = nm_db_run(&writer->db, "DELETE FROM templates WHERE tenant_id = ?1 AND account_id = ?2",
                   NM_I(forget->tenant_id), NM_I(forget->account_id));
  if (!rc && forget->doubts_present)
    rc = nm_db_run(&writer->db,
                   "UPDATE listeners SET state = ?2 WHERE tenant_id = ?1 AND account_id = 0"
                   " AND state <> ?3",
                   NM_I(forget->tenant_id), NM_I(NM_LISTENER_REGISTERING), NM_I(NM_LISTENER_GONE));
  return rc;
}

int nm_reader_accounts_load(struct nm_db *db, struct nm_store_accounts_load *load)
{
  sqlite3_stmt *stmt;
  int64_t count = 0;
  load->count = 0;
  int rc = nm_db_number(db, &count, 0, "SELECT count(*) FROM old_accounts WHERE tenant_id = ?1",
                        NM_I(load->tenant_id));
  if (rc)
    return rc;
  struct nm_arena *arena = load->request.arena;
  load->accounts = nm_arena_alloc(arena, (size_t)(count + 1) * sizeof *load->accounts);
  if (!load->accounts)
    return nm_fail(&load->request.error, NM_ENOMEM, "store: no memory");
  rc = nm_db_find(db, &stmt,
                  "SELECT id, sealed, saved_at FROM old_accounts WHERE tenant_id = ?1 ORDER BY id",
                  NM_I(load->tenant_id));
  struct nm_row row = { .stmt = stmt, .arena = arena };
  while (rc == 0 && load->count < (size_t)count && (rc = nm_db_step(db, stmt)) == 1) {
    load->accounts[load->count++] =
        (struct nm_store_account){ nm_row_i64(&row, 0), nm_row_text(&row, 1), nm_row_i64(&row, 2) };
    rc = 0;
  }
  sqlite3_reset(stmt);
  if (rc >= 0 && row.is_short)
    return nm_fail(&load->request.error, NM_ENOMEM, "store: no memory");
  return rc;
}
