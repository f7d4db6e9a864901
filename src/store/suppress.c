/* People who were erased are known by a keyed hash alone: what still comes about them is not kept.
 *
 * Where nobody was ever erased all of this costs one look at a boolean. */
#include "store/internal.h"

#include <sodium.h>

#include "base/clock.h"

void nm_person_hash(const struct nm_writer *writer, int64_t tenant_id, struct nm_text customer,
                    unsigned char out[NM_PERSON_HASH_BYTES])
{
  crypto_generichash_state state;
  crypto_generichash_init(&state, writer->person_key, sizeof writer->person_key,
                          NM_PERSON_HASH_BYTES);
  crypto_generichash_update(&state, (const unsigned char *)&tenant_id, sizeof tenant_id);
  crypto_generichash_update(&state, (const unsigned char *)customer.ptr, customer.len);
  crypto_generichash_final(&state, out, NM_PERSON_HASH_BYTES);
}

int nm_writer_is_suppressed(struct nm_writer *writer, int64_t tenant_id, struct nm_text customer)
{
  unsigned char hash[NM_PERSON_HASH_BYTES];
  int64_t found = 0;
  if (!writer->has_suppressed || nm_text_is_empty(customer))
    return 0;
  nm_person_hash(writer, tenant_id, customer, hash);
  struct nm_text key = { (const char *)hash, sizeof hash };
  int rc = nm_db_number(&writer->db, &found, 0,
                        "SELECT 1 FROM suppressed WHERE tenant_id = ?1 AND hash = ?2",
                        NM_I(tenant_id), NM_B(key));
  return rc ? rc : (int)found;
}

int nm_writer_lift_suppression(struct nm_writer *writer, int64_t tenant_id, struct nm_text customer)
{
  unsigned char hash[NM_PERSON_HASH_BYTES];
  if (!writer->has_suppressed)
    return NM_OK;
  nm_person_hash(writer, tenant_id, customer, hash);
  struct nm_text key = { (const char *)hash, sizeof hash };
  return nm_db_run(&writer->db, "DELETE FROM suppressed WHERE tenant_id = ?1 AND hash = ?2",
                   NM_I(tenant_id), NM_B(key));
}

/* ---- blanks ---------------------------------------------------------------------------------- */

int nm_writer_blank_event(struct nm_writer *writer, int64_t event_id)
{
  return nm_db_run(&writer->db,
                   "UPDATE events SET customer = '', foreign_id = '', body = ?2, identity = x'',"
                   " reason = ?3, state = CASE WHEN state IN (0, 1, 3) THEN 4 ELSE state END"
                   " WHERE id = ?1",
                   NM_I(event_id), NM_B(NM_TEXT(NM_ERASED_BODY)), NM_T(NM_TEXT(NM_ERASED_REASON)));
}

int nm_writer_blank_message(struct nm_writer *writer, int64_t message_id)
{
  int rc = nm_db_run(&writer->db,
                     "UPDATE messages SET customer = '', address = '', content = '', reason = ?2"
                     " WHERE id = ?1",
                     NM_I(message_id), NM_T(NM_TEXT(NM_ERASED_REASON)));
  if (rc)
    return rc;
  return nm_db_run(&writer->db, "UPDATE attempts SET reason = '' WHERE message_id = ?1",
                   NM_I(message_id));
}

/* ---- plans ----------------------------------------------------------------------------------- */

static int find_customer(struct nm_writer *writer, const struct nm_plan *plan, bool *is_suppressed)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find(&writer->db, &stmt, "SELECT customer FROM events WHERE id = ?1",
                      NM_I(plan->event_id));
  if (!rc)
    rc = nm_db_step(&writer->db, stmt);
  if (rc != 1)
    return rc;
  rc = nm_writer_is_suppressed(writer, plan->tenant_id, nm_column_text(stmt, 0));
  sqlite3_reset(stmt);
  if (rc < 0)
    return rc;
  *is_suppressed = rc == 1;
  return NM_OK;
}

int nm_writer_suppress_plan(struct nm_writer *writer, struct nm_plan *plan, bool *is_suppressed)
{
  *is_suppressed = false;
  if (!writer->has_suppressed || plan->state == NM_EVENT_NEW)
    return NM_OK;
  int rc = find_customer(writer, plan, is_suppressed);
  if (rc || !*is_suppressed)
    return rc;
  plan->state = NM_EVENT_DROPPED;
  plan->reason = NM_TEXT(NM_ERASED_REASON);
  plan->message_count = 0;
  plan->update_count = 0;
  plan->run = NULL;
  return NM_OK;
}
