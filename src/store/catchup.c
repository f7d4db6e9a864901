/* Catch-up: campaigns that Optimove executed and whose notice never came. */
#include "store/internal.h"

enum { KEPT_MS = 7 * 24 * 3600 * 1000 }; /* what was seen; only two days are asked about */

static int has_notice(struct nm_writer *writer, const struct nm_store_catch_up *look,
                      const struct nm_store_missed *one, int64_t *out)
{
  return nm_db_number(&writer->db, out, 0,
                      "SELECT 1 FROM events INDEXED BY events_of_campaign WHERE type = 13"
                      " AND tenant_id = ?1 AND campaign = ?2 AND channel_id IN (0, ?3)"
                      " AND received_at >= ?4 LIMIT 1",
                      NM_I(look->tenant_id), NM_T(one->arrival.event.campaign),
                      NM_I(look->channel_id), NM_I(one->from_ms));
}

static int remember(struct nm_writer *writer, const struct nm_store_catch_up *look,
                    struct nm_text day, struct nm_text campaign, bool is_settled)
{
  return nm_db_run(&writer->db,
                   "INSERT INTO catch_ups (tenant_id, channel_id, day, campaign, first_seen_at,"
                   " is_settled) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
                   " ON CONFLICT (tenant_id, channel_id, day, campaign) DO UPDATE SET"
                   " is_settled = ?6",
                   NM_I(look->tenant_id), NM_I(look->channel_id), NM_T(day), NM_T(campaign),
                   NM_I(look->now_ms), NM_I(is_settled));
}

/* 1 where it was seen before. */
static int recall(struct nm_writer *writer, const struct nm_store_catch_up *look,
                  struct nm_text day, struct nm_text campaign, int64_t *first_seen_ms,
                  bool *is_settled)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT first_seen_at, is_settled FROM catch_ups"
                      " WHERE tenant_id = ?1 AND channel_id = ?2 AND day = ?3 AND campaign = ?4",
                      NM_I(look->tenant_id), NM_I(look->channel_id), NM_T(day), NM_T(campaign));
  if (!rc) rc = nm_db_step(&writer->db, stmt);
  if (rc != 1) return rc;
  *first_seen_ms = sqlite3_column_int64(stmt, 0);
  *is_settled = sqlite3_column_int64(stmt, 1) != 0;
  sqlite3_reset(stmt);
  return 1;
}

static int look_at(struct nm_writer *writer, struct nm_store_catch_up *look,
                   struct nm_store_missed *one)
{
  struct nm_text day = one->arrival.event.stamp, campaign = one->arrival.event.campaign;
  int64_t is_noticed, first_seen_ms = look->now_ms;
  bool is_settled = false;
  one->arrival.id = 0;
  int rc = has_notice(writer, look, one, &is_noticed);
  if (rc || is_noticed) return rc;
  int seen = recall(writer, look, day, campaign, &first_seen_ms, &is_settled);
  if (seen < 0) return seen;
  if (is_settled) return NM_OK;
  if (look->is_first) return remember(writer, look, day, campaign, true);
  if (seen && look->now_ms - first_seen_ms >= look->after_ms) {
    rc = nm_writer_arrive(writer, &one->arrival);
    if (!rc) rc = remember(writer, look, day, campaign, true);
    look->missed++;
    return rc;
  }
  look->waiting++;
  return seen ? NM_OK : remember(writer, look, day, campaign, false);
}

int nm_writer_catch_up(struct nm_writer *writer, struct nm_store_catch_up *look)
{
  static const struct nm_text none = { "", 0 };
  int64_t first_seen_ms;
  bool is_settled;
  look->missed = look->waiting = 0;
  int rc = recall(writer, look, none, none, &first_seen_ms, &is_settled);
  if (rc < 0) return rc;
  look->is_first = rc == 0;
  rc = look->is_first ? remember(writer, look, none, none, true) : NM_OK;
  for (size_t i = 0; i < look->count && !rc; i++) rc = look_at(writer, look, &look->campaigns[i]);
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "DELETE FROM catch_ups WHERE tenant_id = ?1 AND channel_id = ?2"
                   " AND campaign <> '' AND first_seen_at < ?3",
                   NM_I(look->tenant_id), NM_I(look->channel_id), NM_I(look->now_ms - KEPT_MS));
  return rc;
}
