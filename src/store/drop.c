/* Ended by hand: what is held or dead and nobody wants any more.  What waits or is out is none of
 * it: a cancel stops that. */
#include "store/internal.h"

#include "base/clock.h"

static int drop_event(struct nm_writer *writer, int64_t id)
{
  int rc = nm_db_run(&writer->db,
                     "UPDATE events SET state = 4, reason = 'dropped by hand'"
                     " WHERE id = ?1 AND state = 3",
                     NM_I(id));
  return rc ? rc : nm_db_changes(&writer->db) > 0;
}

static int drop_message(struct nm_writer *writer, int64_t id)
{
  int64_t state, run_id;
  int rc = nm_writer_find_stuck(writer, id, &state, &run_id);
  if (rc != 1) return rc;
  rc = nm_db_run(&writer->db,
                 "UPDATE messages SET state = 3, reason = 'dropped by hand', content = '',"
                 " ended_at = ?2 WHERE id = ?1",
                 NM_I(id), NM_I(nm_clock_wall_ms()));
  if (!rc && run_id != 0)
    rc = nm_db_run(&writer->db,
                   "UPDATE runs SET dead = dead - ?2, stopped = stopped + 1 WHERE id = ?1",
                   NM_I(run_id), NM_I(state == NM_MESSAGE_DEAD));
  return rc ? rc : 1;
}

static int drop_update(struct nm_writer *writer, int64_t id)
{
  int rc = nm_db_run(&writer->db,
                     "UPDATE updates SET state = 4, reason = 'dropped by hand', ended_at = ?2"
                     " WHERE id = ?1 AND state = 3",
                     NM_I(id), NM_I(nm_clock_wall_ms()));
  return rc ? rc : nm_db_changes(&writer->db) > 0;
}

int nm_writer_drop(struct nm_writer *writer, struct nm_store_retry *drop)
{
  size_t dropped = 0;
  for (; dropped < drop->count; dropped++) {
    int64_t id = drop->ids[dropped];
    int rc = drop_event(writer, id);
    if (rc == 0) rc = drop_message(writer, id);
    if (rc == 0) rc = drop_update(writer, id);
    if (rc == 0)
      return nm_fail(&drop->request.error, NM_ENOTFOUND,
                     "%lld is nothing held or dead; none was dropped", (long long)id);
    if (rc < 0) return rc;
  }
  drop->retried = dropped;
  return NM_OK;
}
