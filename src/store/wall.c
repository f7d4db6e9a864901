/* The wall clock went back: what was due at once, or is to be tried again, must not wait until the
 * clock has caught up.  What people named (a ScheduleTime, the end of quiet hours) follows the
 * clock.
 *
 * Due times are wall-clock times, as retries outlive the process.  A message that was due at once
 * has the time it was made at; one that was tried has had its ScheduleTime, and quiet hours are
 * asked about again before it goes. */
#include "store/internal.h"

#include "base/log.h"
#include "store/fresh.h"

enum { STEP_MIN_MS = 1000 };

static int shift(struct nm_writer *writer, int64_t now_ms, int64_t back_ms)
{
  int rc = nm_db_run(&writer->db,
                     "UPDATE messages SET due_at = max(1, due_at - ?2) WHERE state = 0"
                     " AND due_at > ?1 AND (attempts > 0 OR due_at = created_at)",
                     NM_I(now_ms), NM_I(back_ms));
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "UPDATE batches SET due_at = max(1, due_at - ?2)"
                   " WHERE state IN (0, 1, 2) AND due_at > ?1",
                   NM_I(now_ms), NM_I(back_ms));
  if (!rc)
    nm_fresh_forget(writer->fresh); /* it knows the old due times */
  return rc;
}

int nm_writer_see_clock(struct nm_writer *writer, int64_t now_ms)
{
  int64_t back_ms = writer->wall_seen_ms - now_ms;
  if (back_ms <= 0)
    writer->wall_seen_ms = now_ms;
  if (back_ms < STEP_MIN_MS)
    return NM_OK;
  nm_log(NM_LOG_WARN, "store", NULL,
         "the wall clock went back by %lld s: what waits for no named time keeps its turn",
         (long long)(back_ms / 1000));
  int rc = shift(writer, now_ms, back_ms);
  return rc ? rc : nm_writer_set(writer, &writer->wall_seen_ms, now_ms);
}

/* While nobody watched: what was made at a time that is still to come. */
int nm_writer_recover_clock(struct nm_writer *writer, int64_t now_ms)
{
  int64_t latest_ms = now_ms;
  int rc = nm_db_number(&writer->db, &latest_ms, now_ms,
                        "SELECT max(created_at) FROM messages WHERE state = 0 AND due_at > ?1",
                        NM_I(now_ms));
  if (rc || latest_ms <= now_ms)
    return rc;
  writer->wall_seen_ms = latest_ms;
  return nm_writer_see_clock(writer, now_ms);
}
