/* What is swept for the people of a pass, table by table.
 *
 * A table that holds anything about people and is not named here would keep them: the test of this
 * room knows every table of the schema. */
#include <stdlib.h>

#include "base/clock.h"
#include "store/erase.h"

/* ---- events ---------------------------------------------------------------------------------- */

/* Somebody else's event may name the person: Optimove's word on a batch of updates does. */
static int scrub_event(struct nm_erase_pass *pass, int64_t id, int64_t tenant_id,
                       struct nm_text body)
{
  json_t *document = NULL;
  bool is_changed = false;
  int rc = nm_json_parse_any(&document, body, NULL);
  if (rc)
    return rc == NM_ENOMEM ? rc : NM_OK;
  rc = nm_needles_scrub(&pass->needles, tenant_id, document, &is_changed);
  if (!rc && is_changed) {
    struct nm_text fresh = nm_json_text(pass->arena, document);
    rc = fresh.ptr ? nm_db_run(&pass->writer->db, "UPDATE events SET body = ?2 WHERE id = ?1",
                               NM_I(id), NM_B(fresh))
                   : NM_ENOMEM;
  }
  json_decref(document);
  return rc;
}

static int look_at_event(struct nm_erase_pass *pass, sqlite3_stmt *stmt)
{
  int64_t id = sqlite3_column_int64(stmt, 0), tenant_id = sqlite3_column_int64(stmt, 1);
  struct nm_erase_person *person = nm_erase_find(pass, tenant_id, nm_column_text(stmt, 2));
  struct nm_text body = nm_column_text(stmt, 3);
  if (person) {
    /* One that is being planned is taken away by its plan. */
    if (nm_claims_find(&pass->writer->events, id))
      return NM_OK;
    person->erased++;
    /* The request of another program's that it was made of says as much. */
    int64_t origin_id = sqlite3_column_int64(stmt, 5);
    int rc = origin_id > 0 ? nm_writer_blank_event(pass->writer, origin_id) : NM_OK;
    return rc ? rc : nm_writer_blank_event(pass->writer, id);
  }
  if (sqlite3_column_int(stmt, 4) == NM_EVENT_INBOUND &&
      nm_needles_are_in(&pass->needles, tenant_id, body) &&
      !nm_claims_find(&pass->writer->events, id))
    return nm_writer_blank_event(pass->writer, id);
  for (size_t i = 0; i < pass->needles.count; i++) {
    const struct nm_needle *needle = &pass->needles.items[i];
    if (needle->tenant_id != tenant_id || needle->text.len > body.len)
      continue;
    if (sqlite3_column_int(stmt, 4) == NM_EVENT_CALLBACK || needle->text.len >= NM_NEEDLE_MIN_BYTES)
      return scrub_event(pass, id, tenant_id, body);
  }
  return NM_OK;
}

/* ---- messages -------------------------------------------------------------------------------- */

static int stop_message(struct nm_erase_pass *pass, int64_t id, int64_t tenant_id, int64_t run_id,
                        int64_t state)
{
  struct nm_db *db = &pass->writer->db;
  int64_t now_ms = nm_clock_wall_ms();
  bool is_open = state == NM_MESSAGE_WAITING || state == NM_MESSAGE_PAUSED;
  if (is_open)
    pass->step->stopped[pass->step->stopped_count++] =
        (struct nm_stopped_message){ tenant_id, run_id };
  int rc = nm_db_run(db, "UPDATE messages SET state = 3, ended_at = ?2 WHERE id = ?1", NM_I(id),
                     NM_I(now_ms));
  if (rc || run_id == 0 || !is_open)
    return rc;
  return nm_db_run(db,
                   "UPDATE runs SET open = open - 1, stopped = stopped + 1,"
                   " ended_at = CASE WHEN state = 4 AND open = 1 THEN ?2 ELSE ended_at END,"
                   " state = CASE WHEN state = 4 AND open = 1 THEN 5 ELSE state END WHERE id = ?1",
                   NM_I(run_id), NM_I(now_ms));
}

static int look_at_message(struct nm_erase_pass *pass, sqlite3_stmt *stmt)
{
  int64_t id = sqlite3_column_int64(stmt, 0), state = sqlite3_column_int64(stmt, 3);
  int64_t tenant_id = sqlite3_column_int64(stmt, 1), run_id = sqlite3_column_int64(stmt, 2);
  struct nm_erase_person *person = nm_erase_find(pass, tenant_id, nm_column_text(stmt, 4));
  if (!person && !nm_needles_are_in(&pass->needles, tenant_id, nm_column_text(stmt, 5)))
    return NM_OK;
  /* One that is out is taken away when it comes back. */
  if (state == NM_MESSAGE_WAITING && nm_claims_find(&pass->writer->messages, id))
    return NM_OK;
  if (person)
    person->erased++;
  bool has_ended =
      state == NM_MESSAGE_SENT || state == NM_MESSAGE_STOPPED || state == NM_MESSAGE_EXPIRED;
  int rc = has_ended ? NM_OK : stop_message(pass, id, tenant_id, run_id, state);
  return rc ? rc : nm_writer_blank_message(pass->writer, id);
}

/* ---- pages ----------------------------------------------------------------------------------- */

static int look_at_page(struct nm_erase_pass *pass, sqlite3_stmt *stmt)
{
  int64_t id = sqlite3_column_int64(stmt, 0), raw_bytes = sqlite3_column_int64(stmt, 2);
  void *fresh = NULL;
  size_t len = 0;
  int rc = nm_erase_page(pass, sqlite3_column_int64(stmt, 1), nm_column_text(stmt, 3), &raw_bytes, &fresh,
                         &len);
  if (rc || !fresh)
    return rc;
  struct nm_text packed = { fresh, len };
  rc = nm_db_run(&pass->writer->db, "UPDATE pages SET raw_bytes = ?2, body = ?3 WHERE id = ?1",
                 NM_I(id), NM_I(raw_bytes), NM_B(packed));
  free(fresh);
  return rc;
}

/* ---- updates --------------------------------------------------------------------------------- */

static int look_at_update(struct nm_erase_pass *pass, sqlite3_stmt *stmt)
{
  int64_t tenant_id = sqlite3_column_int64(stmt, 1);
  struct nm_erase_person *person = nm_erase_find(pass, tenant_id, nm_column_text(stmt, 2));
  if (!person)
    return NM_OK;
  person->erased++;
  return nm_db_run(&pass->writer->db,
                   "UPDATE updates SET customer = '', value = '', reason = ?2, state = 4,"
                   " ended_at = CASE WHEN ended_at > 0 THEN ended_at ELSE ?3 END WHERE id = ?1",
                   NM_I(sqlite3_column_int64(stmt, 0)), NM_T(NM_TEXT(NM_ERASED_REASON)),
                   NM_I(nm_clock_wall_ms()));
}

/* ---- the tables ------------------------------------------------------------------------------ */

struct sweep {
  const char *find; /* ?1 after this id; gives the id first, then the tenant */
  int (*look)(struct nm_erase_pass *pass, sqlite3_stmt *stmt);
  const char *blank; /* without look: how the text in the third column is blanked; ?1 the id */
};

static const struct sweep sweeps[] = {
  { "SELECT id, tenant_id, customer, body, kind, origin_id FROM events WHERE id > ?1 ORDER BY id",
    look_at_event, NULL },
  { "SELECT id, tenant_id, run_id, state, customer, address FROM messages WHERE id > ?1"
    " ORDER BY id",
    look_at_message, NULL },
  { "SELECT p.id, r.tenant_id, p.raw_bytes, p.body FROM pages AS p CROSS JOIN runs AS r"
    " WHERE r.id = p.run_id AND p.id > ?1 ORDER BY p.id",
    look_at_page, NULL },
  { "SELECT id, tenant_id, customer FROM updates WHERE id > ?1 ORDER BY id", look_at_update, NULL },
  { "SELECT id, tenant_id, reason FROM batches WHERE id > ?1 ORDER BY id", NULL,
    "UPDATE batches SET reason = 'erased' WHERE id = ?1" },
  { "SELECT h.id, r.tenant_id, h.reason FROM run_holds AS h CROSS JOIN runs AS r"
    " WHERE r.id = h.run_id AND h.id > ?1 ORDER BY h.id",
    NULL, "UPDATE run_holds SET reason = 'erased' WHERE id = ?1" },
  { "SELECT id, tenant_id, reason FROM runs WHERE id > ?1 ORDER BY id", NULL,
    "UPDATE runs SET reason = 'erased' WHERE id = ?1" },
  { "SELECT id, tenant_id, sample FROM runs WHERE id > ?1 ORDER BY id", NULL,
    "UPDATE runs SET sample = '[]' WHERE id = ?1" },
};

enum { SWEEPS = sizeof sweeps / sizeof sweeps[0] };

int64_t nm_erase_stages(void)
{
  return SWEEPS;
}

static int look(struct nm_erase_pass *pass, const struct sweep *sweep, sqlite3_stmt *stmt)
{
  if (sweep->look)
    return sweep->look(pass, stmt);
  if (!nm_needles_are_in(&pass->needles, sqlite3_column_int64(stmt, 1), nm_column_text(stmt, 2)))
    return NM_OK;
  return nm_db_run(&pass->writer->db, sweep->blank, NM_I(sqlite3_column_int64(stmt, 0)));
}

int nm_erase_sweep(struct nm_erase_pass *pass, int64_t until_ns)
{
  const struct sweep *sweep = &sweeps[pass->stage];
  sqlite3_stmt *stmt;
  bool is_late = false;
  int rc = nm_db_find(&pass->writer->db, &stmt, sweep->find, NM_I(pass->after_id));
  while (rc == 0 && !is_late && (rc = nm_db_step(&pass->writer->db, stmt)) == 1) {
    pass->after_id = sqlite3_column_int64(stmt, 0);
    pass->looked++;
    rc = look(pass, sweep, stmt);
    is_late = nm_clock_mono_ns() >= until_ns || pass->step->stopped_count == NM_ERASE_STOPPED_MAX;
  }
  sqlite3_reset(stmt);
  if (rc)
    return rc;
  return is_late ? 1 : 0;
}
