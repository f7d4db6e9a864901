/* Erasing people: the jobs, and how a pass over the tables goes on from step to step.
 *
 * A pass takes all jobs that wait, up to a number, and sweeps the tables once for all of them, some
 * milliseconds a step; where it stands is written down with what it did, so a crash costs nothing.
 * At its end names and addresses leave the jobs, too, the log is put into the database and
 * truncated, and only then the jobs are done. */
#include "store/erase.h"

#include "base/clock.h"

enum { STATE_WAITING = 0, STATE_UNDER_WAY = 1, STATE_TO_SCRUB = 2, STATE_DONE = 3 };
enum { STEP_MAX_NS = 10 * 1000 * 1000 };

/* ---- a new job ------------------------------------------------------------------------------- */

static int add_text(json_t *list, struct nm_text text)
{
  if (text.len == 0)
    return NM_OK;
  return json_array_append_new(list, json_stringn(text.ptr, text.len)) ? NM_ENOMEM : NM_OK;
}

/* The addresses of a profile; a number also without its plus, as others write it.  One that is left
 * out would never be looked for. */
static int list_addresses(const json_t *profile, json_t *list)
{
  struct nm_text msisdn = nm_json_string(profile, "msisdn");
  json_t *device;
  size_t i;
  int rc = add_text(list, nm_json_string(profile, "email"));
  if (!rc)
    rc = add_text(list, msisdn);
  if (!rc && msisdn.len > 1 && msisdn.ptr[0] == '+')
    rc = add_text(list, (struct nm_text){ msisdn.ptr + 1, msisdn.len - 1 });
  json_array_foreach(json_object_get(profile, "devices"), i, device)
    if (!rc)
      rc = add_text(list, nm_json_string(device, "token"));
  return rc;
}

static int addresses_of(struct nm_text body, struct nm_arena *arena, struct nm_text *out)
{
  json_t *profile = NULL, *list = json_array();
  int rc = list ? NM_OK : NM_ENOMEM;
  if (!rc && body.len > 0)
    rc = nm_json_parse(&profile, body, NULL);
  if (!rc)
    rc = list_addresses(profile, list);
  if (rc == NM_ENOMEM)
    *out = (struct nm_text){ NULL, 0 };
  else
    *out = nm_json_text(arena, list);
  json_decref(profile);
  json_decref(list);
  return out->ptr ? NM_OK : NM_ENOMEM;
}

static int take_profile(struct nm_writer *writer, struct nm_store_erase *erase,
                        struct nm_text *needles)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find(&writer->db, &stmt,
                      "SELECT body FROM profiles WHERE tenant_id = ?1 AND ext_id = ?2",
                      NM_I(erase->tenant_id), NM_T(erase->ext_id));
  if (!rc)
    rc = nm_db_step(&writer->db, stmt);
  if (rc < 0)
    return rc;
  erase->had_profile = rc == 1;
  struct nm_text body = { NULL, 0 };
  if (rc == 1)
    body = nm_column_text(stmt, 0);
  rc = addresses_of(body, erase->request.arena, needles);
  sqlite3_reset(stmt);
  if (rc)
    return nm_fail(&erase->request.error, rc, "store: no memory");
  rc = nm_db_run(&writer->db, "DELETE FROM preferences WHERE tenant_id = ?1 AND customer = ?2",
                 NM_I(erase->tenant_id), NM_T(erase->ext_id));
  if (rc)
    return rc;
  return nm_db_run(&writer->db, "DELETE FROM profiles WHERE tenant_id = ?1 AND ext_id = ?2",
                   NM_I(erase->tenant_id), NM_T(erase->ext_id));
}

int nm_writer_erase(struct nm_writer *writer, struct nm_store_erase *erase)
{
  unsigned char hash[NM_PERSON_HASH_BYTES];
  struct nm_text needles, key = { (const char *)hash, sizeof hash };
  erase->was_open = false;
  if (nm_text_is_empty(erase->ext_id))
    return nm_fail(&erase->request.error, NM_EINVAL, "nobody to erase");
  nm_person_hash(writer, erase->tenant_id, erase->ext_id, hash);
  int rc = take_profile(writer, erase, &needles);
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "INSERT OR IGNORE INTO suppressed (tenant_id, hash, saved_at)"
                   " VALUES (?1, ?2, ?3)",
                   NM_I(erase->tenant_id), NM_B(key), NM_I(nm_clock_wall_ms()));
  writer->has_suppressed = true;
  writer->work |= NM_STORE_WORK_ERASURES;
  /* One that is under way may have passed rows that came since: only a waiting one will do. */
  if (!rc)
    rc = nm_db_number(&writer->db, &erase->id, 0,
                      "SELECT id FROM erasures INDEXED BY erasures_by_state WHERE state = 0"
                      " AND tenant_id = ?1 AND hash = ?2",
                      NM_I(erase->tenant_id), NM_B(key));
  if (rc)
    return rc;
  if (erase->id != 0 && !erase->had_profile) {
    erase->was_open = true;
    return NM_OK;
  }
  erase->id = nm_writer_id(writer);
  return nm_db_run(&writer->db,
                   "INSERT INTO erasures (id, tenant_id, state, customer, needles, hash, stage,"
                   " after_id, looked, erased, created_at) VALUES (?1, ?2, 0, ?3, ?4, ?5, 0, 0, 0,"
                   " 0, ?6)",
                   NM_I(erase->id), NM_I(erase->tenant_id), NM_T(erase->ext_id), NM_T(needles),
                   NM_B(key), NM_I(nm_clock_wall_ms()));
}

/* ---- a pass ---------------------------------------------------------------------------------- */

static void add_needle(struct nm_erase_pass *pass, int64_t tenant_id, struct nm_text text,
                       bool is_id)
{
  if (text.len == 0 || !nm_expect(pass->needles.count < NM_NEEDLES_MAX))
    return;
  pass->needles.items[pass->needles.count++] = (struct nm_needle){ tenant_id, text, is_id };
}

static int add_person(struct nm_erase_pass *pass, sqlite3_stmt *stmt)
{
  struct nm_row row = { .stmt = stmt, .arena = pass->arena };
  struct nm_erase_person *person = &pass->people[pass->count];
  json_t *list = NULL, *address;
  size_t i;
  *person = (struct nm_erase_person){ .id = nm_row_i64(&row, 0),
                                      .tenant_id = nm_row_i64(&row, 1),
                                      .customer = nm_row_text(&row, 2) };
  struct nm_text needles = nm_row_text(&row, 3);
  pass->stage = nm_row_i64(&row, 4);
  pass->after_id = nm_row_i64(&row, 5);
  if (row.is_short)
    return NM_ENOMEM;
  pass->count++;
  add_needle(pass, person->tenant_id, person->customer, true);
  int rc = nm_json_parse_any(&list, needles, NULL);
  if (rc)
    return rc == NM_ENOMEM ? rc : NM_OK;
  json_array_foreach(list, i, address)
  {
    struct nm_text text = nm_arena_copy(pass->arena, nm_json_string_of(address));
    if (text.ptr)
      add_needle(pass, person->tenant_id, text, false);
    else
      rc = NM_ENOMEM;
  }
  json_decref(list);
  return rc;
}

static int load_pass(struct nm_erase_pass *pass)
{
  struct nm_db *db = &pass->writer->db;
  sqlite3_stmt *stmt;
  int rc = nm_db_find(db, &stmt,
                      "SELECT id, tenant_id, customer, needles, stage, after_id FROM erasures"
                      " INDEXED BY erasures_by_state WHERE state = 1 ORDER BY id LIMIT ?1",
                      NM_I(NM_ERASE_PEOPLE_MAX));
  while (rc == 0 && (rc = nm_db_step(db, stmt)) == 1)
    rc = add_person(pass, stmt);
  sqlite3_reset(stmt);
  return rc;
}

static int begin_pass(struct nm_erase_pass *pass)
{
  int rc = nm_db_run(&pass->writer->db,
                     "UPDATE erasures SET state = 1 WHERE id IN (SELECT id FROM erasures"
                     " INDEXED BY erasures_by_state WHERE state = 0 ORDER BY id LIMIT ?1)",
                     NM_I(NM_ERASE_PEOPLE_MAX));
  return rc ? rc : load_pass(pass);
}

struct nm_erase_person *nm_erase_find(struct nm_erase_pass *pass, int64_t tenant_id,
                                      struct nm_text customer)
{
  for (size_t i = 0; i < pass->count; i++)
    if (pass->people[i].tenant_id == tenant_id && nm_text_equal(pass->people[i].customer, customer))
      return &pass->people[i];
  return NULL;
}

static int note_progress(struct nm_erase_pass *pass)
{
  for (size_t i = 0; i < pass->count; i++) {
    int rc = nm_db_run(&pass->writer->db,
                       "UPDATE erasures SET stage = ?2, after_id = ?3, looked = looked + ?4,"
                       " erased = erased + ?5 WHERE id = ?1",
                       NM_I(pass->people[i].id), NM_I(pass->stage), NM_I(pass->after_id),
                       NM_I(pass->looked), NM_I(pass->people[i].erased));
    if (rc)
      return rc;
  }
  return NM_OK;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static int count_open(struct nm_writer *writer, int64_t *open)
{
  return nm_db_number_values(&writer->db, open, 0,
                             "SELECT count(*) FROM erasures INDEXED BY erasures_by_state"
                             " WHERE state IN (0, 1, 2)",
                             NULL, 0);
}

static int end_scrubbed(struct nm_writer *writer, const struct nm_store_erase_step *step)
{
  return nm_db_run(&writer->db,
                   "UPDATE erasures SET state = 3, ended_at = ?1, traces = ?2 WHERE state = 2",
                   NM_I(nm_clock_wall_ms()), NM_I(step->traces));
}

static int end_pass(struct nm_erase_pass *pass, struct nm_store_erase_step *step)
{
  json_t *list = nm_needles_for_file(&pass->needles);
  step->needles = nm_json_text(pass->arena, list);
  json_decref(list);
  if (!step->needles.ptr)
    return NM_ENOMEM;
  step->needs_scrub = true;
  return nm_db_run_values(&pass->writer->db,
                          "UPDATE erasures SET state = 2, customer = '', needles = ''"
                          " WHERE state = 1",
                          NULL, 0);
}

static int tell_people(struct nm_erase_pass *pass, struct nm_store_erase_step *step)
{
  step->people = nm_arena_alloc(pass->arena, (pass->count + 1) * sizeof *step->people);
  step->stopped = nm_arena_alloc(pass->arena, NM_ERASE_STOPPED_MAX * sizeof *step->stopped);
  if (!step->people || !step->stopped)
    return NM_ENOMEM;
  for (size_t i = 0; i < pass->count; i++)
    step->people[step->people_count++] =
        (struct nm_erased_person){ pass->people[i].tenant_id, pass->people[i].customer };
  return NM_OK;
}

static int sweep_on(struct nm_erase_pass *pass, struct nm_store_erase_step *step)
{
  int64_t until_ns = nm_clock_mono_ns() + STEP_MAX_NS;
  int rc = tell_people(pass, step);
  while (rc == 0 && pass->stage < nm_erase_stages()) {
    rc = nm_erase_sweep(pass, until_ns);
    if (rc == 1)
      break; /* more of it next time */
    pass->stage++;
    pass->after_id = 0;
  }
  if (rc < 0)
    return rc;
  rc = note_progress(pass);
  if (!rc && pass->stage >= nm_erase_stages())
    rc = end_pass(pass, step);
  return rc;
}

int nm_writer_erase_step(struct nm_writer *writer, struct nm_store_erase_step *step)
{
  int64_t to_scrub = 0, open = 0;
  step->is_more = step->needs_scrub = false;
  step->stopped = NULL;
  step->stopped_count = 0;
  step->people = NULL;
  step->people_count = 0;
  step->needles = NM_TEXT("");
  int rc = step->was_scrubbed ? end_scrubbed(writer, step) : NM_OK;
  if (!rc)
    rc = nm_db_number_values(&writer->db, &to_scrub, 0,
                             "SELECT 1 FROM erasures INDEXED BY erasures_by_state WHERE state = 2"
                             " LIMIT 1",
                             NULL, 0);
  if (rc)
    return rc;
  if (to_scrub) { /* of a process before us: who it was is not known any more */
    step->needs_scrub = step->is_more = true;
    return NM_OK;
  }
  struct nm_erase_pass *pass = nm_arena_alloc(step->request.arena, sizeof *pass);
  if (!pass)
    return nm_fail(&step->request.error, NM_ENOMEM, "store: no memory to erase");
  pass->writer = writer;
  pass->arena = step->request.arena;
  pass->step = step;
  rc = load_pass(pass);
  if (!rc && pass->count == 0)
    rc = begin_pass(pass);
  if (!rc && pass->count > 0)
    rc = sweep_on(pass, step);
  if (!rc)
    rc = count_open(writer, &open);
  step->is_more = open > 0;
  return rc;
}
