/* Who wants no more messages on a channel, until Optimove knows. */
#include "store/internal.h"

#include "base/clock.h"

int nm_writer_add_preferences(struct nm_writer *writer, int64_t tenant_id,
                              const struct nm_store_profile *profile)
{
  int rc = NM_OK;
  for (int channel = 0; channel < NM_CHANNEL_COUNT && !rc; channel++) {
    if (!(profile->unsubscribed & (1u << channel))) continue;
    writer->work |= NM_STORE_WORK_PREFERENCES;
    rc = nm_db_run(&writer->db,
                   "INSERT INTO preferences (tenant_id, channel, customer, id)"
                   " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (tenant_id, channel, customer)"
                   " DO UPDATE SET id = ?4",
                   NM_I(tenant_id), NM_I(channel), NM_T(profile->ext_id),
                   NM_I(nm_writer_id(writer)));
  }
  return rc;
}

int nm_reader_preferences_load(struct nm_db *db, struct nm_store_preferences_load *load)
{
  sqlite3_stmt *stmt;
  int64_t channel = -1;
  load->count = 0;
  int rc =
      nm_db_number(db, &channel, -1, "SELECT min(channel) FROM preferences WHERE tenant_id = ?1",
                   NM_I(load->tenant_id));
  if (rc || channel <= 0) return rc; /* no row has channel 0: it is no channel */
  load->channel = (enum nm_channel)channel;
  load->customers =
      nm_arena_alloc(load->request.arena, NM_OPTIMOVE_PREFERENCES_MAX * sizeof *load->customers);
  if (!load->customers) return NM_ENOMEM;
  rc = nm_db_find(db, &stmt,
                  "SELECT customer, id FROM preferences WHERE tenant_id = ?1 AND channel = ?2"
                  " LIMIT ?3",
                  NM_I(load->tenant_id), NM_I(channel), NM_I(NM_OPTIMOVE_PREFERENCES_MAX));
  struct nm_row row = { .stmt = stmt, .arena = load->request.arena };
  while (rc == 0 && (rc = nm_db_step(db, stmt)) == 1) {
    rc = 0;
    load->customers[load->count++] = nm_row_text(&row, 0);
    if (nm_row_i64(&row, 1) > load->last_id) load->last_id = nm_row_i64(&row, 1);
  }
  if (!rc && row.is_short) rc = NM_ENOMEM;
  return rc;
}

int nm_writer_preferences_done(struct nm_writer *writer, struct nm_store_preferences_done *done)
{
  int rc = NM_OK;
  /* One who said it again meanwhile is told again. */
  for (size_t i = 0; i < done->count && !rc; i++)
    rc = nm_db_run(&writer->db,
                   "DELETE FROM preferences WHERE tenant_id = ?1 AND channel = ?2"
                   " AND customer = ?3 AND id <= ?4",
                   NM_I(done->tenant_id), NM_I(done->channel), NM_T(done->customers[i]),
                   NM_I(done->last_id));
  return rc;
}
