/* Who changed what: a line begins before the change and ends with it. */
#include "store/internal.h"

#include "base/clock.h"

int nm_writer_audit_end(struct nm_writer *writer, const struct nm_store_audit_end *end)
{
  return nm_db_run(&writer->db,
                   "UPDATE audit SET ended_at = ?2, status = ?3, was = ?4, became = ?5,"
                   " details = ?6, tenant_id = CASE ?7 WHEN 0 THEN tenant_id ELSE ?7 END"
                   " WHERE id = ?1",
                   NM_I(end->id), NM_I(nm_clock_wall_ms()), NM_I(end->status), NM_T(end->was),
                   NM_T(end->became), NM_T(end->details),
                   NM_I(end->tenant_id ? *end->tenant_id : 0));
}

int nm_writer_audit(struct nm_writer *writer, struct nm_store_audit *audit)
{
  int64_t id = audit->id;
  if (id != 0) {
    struct nm_store_audit_end end = audit->end;
    end.id = id;
    return nm_writer_audit_end(writer, &end);
  }
  id = nm_writer_id(writer);
  int rc = nm_db_run(&writer->db,
                     "INSERT INTO audit (id, tenant_id, begun_at, who, route, thing)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                     NM_I(id), NM_I(audit->tenant_id), NM_I(audit->at_ms), NM_T(audit->who),
                     NM_T(audit->route), NM_T(audit->thing));
  return rc ? rc : nm_writer_set(writer, &audit->id, id);
}
