/* Who may use the admin API.  Of a token only its digest is kept. */
#include "store/internal.h"

#include <stdio.h>

#include "base/clock.h"

/* "token 1871..." where nobody gave a name. */
static struct nm_text name_of(const struct nm_store_token_save *save, int64_t id)
{
  if (!nm_text_is_empty(save->token.name)) return save->token.name;
  return nm_arena_printf(save->request.arena, "token %lld", (long long)id);
}

int nm_writer_token_save(struct nm_writer *writer, struct nm_store_token_save *save)
{
  struct nm_store_token *token = &save->token;
  int64_t known = 0, id = nm_writer_id(writer);
  struct nm_text name = name_of(save, id);
  if (!name.ptr) return nm_fail(&save->request.error, NM_ENOMEM, "no memory for a token");
  if (token->hash.len == 0)
    return nm_fail(&save->request.error, NM_EINVAL, "a token needs a digest");
  int rc = nm_db_number(&writer->db, &known, 0, "SELECT count(*) FROM tokens WHERE name = ?1",
                        NM_T(name));
  if (rc) return rc;
  if (known > 0)
    return nm_fail(&save->request.error, NM_ECONFLICT,
                   "there is a token of the name \"%.*s\" already", NM_TEXT_ARG(name));
  rc = nm_db_run(&writer->db,
                 "INSERT INTO tokens (id, tenant_id, role, name, hash, created_at, expires_at)"
                 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                 NM_I(id), NM_I(token->tenant_id), NM_I(token->role), NM_T(name),
                 NM_B(token->hash), NM_I(token->created_at_ms), NM_I(token->expires_at_ms));
  if (rc) return rc;
  token->id = id;
  token->name = name;
  return NM_OK;
}

int nm_writer_token_drop(struct nm_writer *writer, struct nm_store_token_drop *drop)
{
  int rc = nm_db_run(&writer->db,
                     "DELETE FROM tokens WHERE id = ?1 AND (?2 = 0 OR tenant_id = ?2)",
                     NM_I(drop->id), NM_I(drop->tenant_id));
  if (!rc && nm_db_changes(&writer->db) == 0)
    rc = nm_fail(&drop->request.error, NM_ENOTFOUND, "there is no token %lld",
                 (long long)drop->id);
  return rc;
}

int nm_writer_token_used(struct nm_writer *writer, struct nm_store_token_used *used)
{
  return nm_db_run(&writer->db, "UPDATE tokens SET used_at = max(used_at, ?2) WHERE id = ?1",
                   NM_I(used->id), NM_I(used->at_ms));
}

int nm_reader_tokens_load(struct nm_db *db, struct nm_store_tokens_load *load)
{
  struct nm_row row = { .arena = load->request.arena };
  int64_t count = 0;
  load->count = 0;
  int rc = nm_db_number_values(db, &count, 0, "SELECT count(*) FROM tokens", NULL, 0);
  if (rc) return rc;
  load->tokens = nm_arena_alloc(row.arena, (size_t)(count + 1) * sizeof *load->tokens);
  if (!load->tokens) return nm_fail(&load->request.error, NM_ENOMEM, "no memory for the tokens");
  rc = nm_db_find_values(db, &row.stmt,
                         "SELECT id, tenant_id, role, created_at, expires_at, used_at, name, hash"
                         " FROM tokens ORDER BY id",
                         NULL, 0);
  if (rc) return rc;
  while (load->count < (size_t)count && (rc = nm_db_step(db, row.stmt)) == 1)
    load->tokens[load->count++] = (struct nm_store_token){ .id = nm_row_i64(&row, 0),
                                                           .tenant_id = nm_row_i64(&row, 1),
                                                           .role = (int)nm_row_i64(&row, 2),
                                                           .created_at_ms = nm_row_i64(&row, 3),
                                                           .expires_at_ms = nm_row_i64(&row, 4),
                                                           .used_at_ms = nm_row_i64(&row, 5),
                                                           .name = nm_row_text(&row, 6),
                                                           .hash = nm_row_text(&row, 7) };
  sqlite3_reset(row.stmt);
  if (rc < 0) return rc;
  return row.is_short ? nm_fail(&load->request.error, NM_ENOMEM, "no memory for the tokens")
                      : NM_OK;
}
