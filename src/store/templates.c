/* Templates that we put under Optimove's channels: only these are ever deleted there. */
#include "store/internal.h"

#include "base/clock.h"

static int save_one(struct nm_writer *writer, const struct nm_store_templates_save *save,
                    const struct nm_store_template *template)
{
  if (template->state == NM_TEMPLATE_GONE)
    return nm_db_run(&writer->db,
                     "DELETE FROM templates WHERE tenant_id = ?1 AND account_id = ?2"
                     " AND channel_id = ?3 AND template_id = ?4",
                     NM_I(save->tenant_id), NM_I(save->account_id), NM_I(template->channel_id),
                     NM_I(template->template_id));
  return nm_db_run(&writer->db,
                   "INSERT INTO templates (tenant_id, account_id, channel_id, template_id, name,"
                   " state, saved_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
                   " ON CONFLICT (tenant_id, account_id, channel_id, template_id) DO UPDATE SET"
                   " name = ?5, state = ?6, saved_at = ?7",
                   NM_I(save->tenant_id), NM_I(save->account_id), NM_I(template->channel_id),
                   NM_I(template->template_id), NM_T(template->name), NM_I(template->state),
                   NM_I(nm_clock_wall_ms()));
}

int nm_writer_templates_save(struct nm_writer *writer, struct nm_store_templates_save *save)
{
  int rc = NM_OK;
  for (size_t i = 0; i < save->count && !rc; i++)
    rc = save_one(writer, save, &save->templates[i]);
  return rc;
}

int nm_reader_templates_load(struct nm_db *db, struct nm_store_templates_load *load)
{
  sqlite3_stmt *stmt;
  int64_t count = 0;
  load->count = 0;
  int rc = nm_db_number(db, &count, 0, "SELECT count(*) FROM templates WHERE tenant_id = ?1"
                        " AND account_id = ?2",
                        NM_I(load->tenant_id), NM_I(load->account_id));
  if (rc) return rc;
  load->templates =
    nm_arena_alloc(load->request.arena, ((size_t)count + 1) * sizeof *load->templates);
  if (!load->templates) return NM_ENOMEM;
  rc = nm_db_find(db, &stmt,
                  "SELECT channel_id, template_id, name, state FROM templates"
                  " WHERE tenant_id = ?1 AND account_id = ?2 ORDER BY channel_id, template_id",
                  NM_I(load->tenant_id), NM_I(load->account_id));
  if (rc) return rc;
  struct nm_row row = { .stmt = stmt, .arena = load->request.arena };
  while (load->count < (size_t)count && (rc = nm_db_step(db, stmt)) == 1)
    load->templates[load->count++] =
      (struct nm_store_template){ .channel_id = nm_row_i64(&row, 0),
                                  .template_id = nm_row_i64(&row, 1),
                                  .name = nm_row_text(&row, 2),
                                  .state = (enum nm_template_state)nm_row_i64(&row, 3) };
  sqlite3_reset(stmt);
  if (rc < 0) return rc;
  return row.is_short ? NM_ENOMEM : NM_OK;
}
