/* The wall clock was set.  Due times are wall-clock times, as waits outlive the process; but a wait
 * that somebody counts (until a retry, for a callback) is as long as it is: it neither lasts until
 * a clock that went back has caught up, nor is it over, and all with it at once, because the clock
 * went ahead.  What people named (a ScheduleTime, the end of quiet hours) follows the clock.
 *
 * A message that was due at once has the time it was made at; one that was tried, or put off by its
 * provider, has had its ScheduleTime, and quiet hours are asked about again before it goes. */
#include "store/internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/fresh.h"

/* A pause between two looks at two clocks may look like a step of its length. */
enum { STEP_MIN_MS = 1000, AHEAD_MIN_MS = 10 * 1000 };

/* What waits beyond `clock_ms` waits so much longer, or shorter. */
static int shift(struct nm_writer *writer, int64_t clock_ms, int64_t by_ms)
{
  int rc = nm_db_run(&writer->db,
                     "UPDATE messages SET due_at = CASE WHEN expires_at > 0"
                     "  THEN min(expires_at, max(1, due_at + ?2)) ELSE max(1, due_at + ?2) END"
                     " WHERE state = 0 AND due_at > ?1 AND (attempts > 0"
                     "  OR ?2 < 0 AND due_at = created_at"
                     "  OR EXISTS (SELECT 1 FROM attempts WHERE message_id = messages.id))",
                     NM_I(clock_ms), NM_I(by_ms));
  if (!rc) /* until they are given up */
    rc = nm_db_run(&writer->db,
                   "UPDATE messages SET first_attempt_at = max(1, first_attempt_at + ?1)"
                   " WHERE state = 0 AND first_attempt_at > 0",
                   NM_I(by_ms));
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "UPDATE batches SET due_at = max(1, due_at + ?2)"
                   " WHERE state IN (0, 1, 2) AND due_at > ?1",
                   NM_I(clock_ms), NM_I(by_ms));
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "UPDATE facts SET due_at = max(1, due_at + ?2) WHERE state = 0 AND due_at > ?1",
                   NM_I(clock_ms), NM_I(by_ms));
  if (!rc)
    nm_fresh_forget(writer->fresh); /* it knows the old due times */
  return rc;
}

static void tell_step(int64_t by_ms)
{
  nm_log(NM_LOG_WARN, "store", NULL,
         "the wall clock went %s by %lld s: what waits for no named time keeps its turn",
         by_ms < 0 ? "back" : "ahead", (long long)((by_ms < 0 ? -by_ms : by_ms) / 1000));
}

void nm_writer_watch_clock(struct nm_writer *writer)
{
  writer->wall_lead_ms = nm_clock_wall_ms() - nm_clock_mono_ms();
}

int nm_writer_see_step(struct nm_writer *writer)
{
  int64_t wall_ms = nm_clock_wall_ms(), lead_ms = wall_ms - nm_clock_mono_ms();
  int64_t by_ms = lead_ms - writer->wall_lead_ms;
  if (by_ms > -STEP_MIN_MS && by_ms < AHEAD_MIN_MS) {
    writer->wall_lead_ms = lead_ms;
    return NM_OK;
  }
  tell_step(by_ms);
  int rc = shift(writer, by_ms < 0 ? wall_ms : wall_ms - by_ms, by_ms);
  if (!rc && by_ms < 0) rc = nm_writer_set(writer, &writer->wall_seen_ms, wall_ms);
  return rc ? rc : nm_writer_set(writer, &writer->wall_lead_ms, lead_ms);
}

int nm_writer_see_clock(struct nm_writer *writer, int64_t now_ms)
{
  int64_t back_ms = writer->wall_seen_ms - now_ms;
  if (back_ms <= 0)
    writer->wall_seen_ms = now_ms;
  if (back_ms < STEP_MIN_MS)
    return NM_OK;
  tell_step(-back_ms);
  int rc = shift(writer, now_ms, -back_ms);
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
