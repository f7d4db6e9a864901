/* What is kept by name: tenants, generations of rules, profiles, listeners. */
#include "store/internal.h"

#include "base/clock.h"
#include "base/limits.h"

/* Room for `count` things, and never for none. */
static void *allocate(struct nm_store_request *request, int64_t count, size_t size)
{
  void *out = nm_arena_alloc(request->arena, (size_t)(count + 1) * size);
  if (!out) nm_fail(&request->error, NM_ENOMEM, "store: no memory for %lld rows", (long long)count);
  return out;
}

static int check_row(const struct nm_row *row, struct nm_store_request *request)
{
  if (!row->is_short) return NM_OK;
  return nm_fail(&request->error, NM_ENOMEM, "store: the answer is larger than its arena");
}

/* ---- tenants --------------------------------------------------------------------------------- */

/* Whether it still is what the saver had in hand. */
static int check_version(struct nm_writer *writer, struct nm_store_tenant_save *save, int64_t id)
{
  int64_t version = 0;
  save->is_stale = false;
  if (save->if_version == 0) return NM_OK;
  int rc = nm_db_number(&writer->db, &version, 0, "SELECT version FROM tenants WHERE id = ?1",
                        NM_I(id));
  if (rc) return rc;
  save->is_stale = save->if_version < 0 ? id != 0
                                        : id != save->if_id || version != save->if_version;
  if (!save->is_stale) return NM_OK;
  return nm_fail(&save->request.error, NM_ECONFLICT,
                 "somebody else saved %.*s meanwhile; nothing was changed: look at it and try again",
                 NM_TEXT_ARG(save->tenant.name));
}

int nm_writer_tenant_save(struct nm_writer *writer, struct nm_store_tenant_save *save)
{
  struct nm_store_tenant *tenant = &save->tenant;
  struct nm_error *err = &save->request.error;
  int64_t id, owner, version;
  if (nm_text_is_empty(tenant->name) || nm_text_is_empty(tenant->app_key))
    return nm_fail(err, NM_EINVAL, "a tenant needs a name and an appKey");
  int rc = nm_db_number(&writer->db, &id, 0, "SELECT id FROM tenants WHERE name = ?1",
                        NM_T(tenant->name));
  if (!rc)
    rc = nm_db_number(&writer->db, &owner, 0, "SELECT id FROM tenants WHERE app_key = ?1",
                      NM_T(tenant->app_key));
  if (rc) return rc;
  if (owner != 0 && owner != id)
    return nm_fail(err, NM_ECONFLICT, "the appKey of %.*s is another tenant's",
                   NM_TEXT_ARG(tenant->name));
  bool is_new = id == 0;
  rc = check_version(writer, save, id);
  if (rc) return rc;
  if (is_new) id = nm_writer_id(writer);
  else if (save->retires_account && (rc = nm_writer_retire_account(writer, id, save->keeps_host)))
    return rc;
  rc = nm_db_run(&writer->db,
                 "INSERT INTO tenants (id, version, name, app_key, sealed, saved_at)"
                 " VALUES (?1, 1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET"
                 " version = version + 1, app_key = ?3, sealed = ?4, saved_at = ?5",
                 NM_I(id), NM_T(tenant->name), NM_T(tenant->app_key), NM_T(tenant->sealed),
                 NM_I(nm_clock_wall_ms()));
  if (!rc)
    rc = nm_db_number(&writer->db, &version, 0, "SELECT version FROM tenants WHERE id = ?1",
                      NM_I(id));
  if (rc) return rc;
  tenant->id = id;
  tenant->version = version;
  save->is_new = is_new;
  return NM_OK;
}

int nm_reader_tenants_load(struct nm_db *db, struct nm_store_tenants_load *load)
{
  sqlite3_stmt *stmt;
  int64_t count = 0;
  load->count = 0;
  int rc = nm_db_number_values(db, &count, 0, "SELECT count(*) FROM tenants", NULL, 0);
  if (rc) return rc;
  load->tenants = allocate(&load->request, count, sizeof *load->tenants);
  if (!load->tenants) return NM_ENOMEM;
  rc = nm_db_find_values(db, &stmt,
                         "SELECT id, version, name, app_key, sealed FROM tenants ORDER BY name",
                         NULL, 0);
  if (rc) return rc;
  struct nm_row row = { .stmt = stmt, .arena = load->request.arena };
  while (load->count < (size_t)count && (rc = nm_db_step(db, stmt)) == 1)
    load->tenants[load->count++] = (struct nm_store_tenant){ .id = nm_row_i64(&row, 0),
                                                             .version = nm_row_i64(&row, 1),
                                                             .name = nm_row_text(&row, 2),
                                                             .app_key = nm_row_text(&row, 3),
                                                             .sealed = nm_row_text(&row, 4) };
  sqlite3_reset(stmt);
  return rc < 0 ? rc : check_row(&row, &load->request);
}

/* ---- generations ----------------------------------------------------------------------------- */

/* Open: active, paused, held, expanded (its messages may still ask for their words). */
#define OPEN_RUN_USES                                                                              \
  "EXISTS (SELECT 1 FROM runs INDEXED BY runs_open WHERE runs.state IN (0, 1, 2, 4)"               \
  " AND generations.id IN (runs.generation_id, runs.repin_generation_id))"

static int drop_old_generations(struct nm_writer *writer, int64_t tenant_id)
{
  return nm_db_run(&writer->db,
                   "DELETE FROM generations WHERE tenant_id = ?1 AND id NOT IN (SELECT id FROM"
                   " generations WHERE tenant_id = ?1 ORDER BY activation DESC LIMIT ?2)"
                   " AND NOT " OPEN_RUN_USES,
                   NM_I(tenant_id), NM_I(NM_STORE_GENERATIONS_MAX));
}

int nm_writer_generation_save(struct nm_writer *writer, struct nm_store_generation_save *save)
{
  struct nm_store_generation *generation = &save->generation;
  int64_t now_ms = nm_clock_wall_ms(), id;
  int rc = nm_db_number(&writer->db, &id, 0,
                        "SELECT id FROM generations WHERE tenant_id = ?1 AND digest = ?2",
                        NM_I(generation->tenant_id), NM_T(generation->digest));
  if (rc) return rc;
  int64_t activation = nm_writer_id(writer);
  if (id == 0) id = activation;
  rc = nm_db_run(&writer->db,
                 "UPDATE generations SET is_active = 0 WHERE tenant_id = ?1 AND is_active = 1",
                 NM_I(generation->tenant_id));
  if (!rc)
    rc = nm_db_run(&writer->db,
                   "INSERT INTO generations (id, tenant_id, created_at, activation, is_active,"
                   " digest, source, pinned_over) VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7)"
                   " ON CONFLICT (id) DO UPDATE SET activation = ?4, is_active = 1,"
                   " pinned_over = ?7",
                   NM_I(id), NM_I(generation->tenant_id),
                   NM_I(generation->created_at_ms ? generation->created_at_ms : now_ms),
                   NM_I(activation), NM_T(generation->digest), NM_T(generation->source),
                   NM_T(generation->pinned_over));
  if (!rc) rc = drop_old_generations(writer, generation->tenant_id);
  if (rc) return rc;
  generation->id = id;
  generation->is_active = true;
  return NM_OK;
}

int nm_reader_generations_load(struct nm_db *db, struct nm_store_generations_load *load)
{
  sqlite3_stmt *stmt;
  int64_t count = 0;
  load->count = 0;
  int rc = nm_db_number_values(db, &count, 0, "SELECT count(*) FROM generations", NULL, 0);
  if (rc) return rc;
  load->generations = allocate(&load->request, count, sizeof *load->generations);
  if (!load->generations) return NM_ENOMEM;
  const char *sql = load->tenant_id
                        ? "SELECT id, tenant_id, created_at, is_active, digest, source, pinned_over"
                          " FROM generations WHERE tenant_id = ?1 ORDER BY activation DESC"
                        : "SELECT id, tenant_id, created_at, is_active, digest, source, pinned_over"
                          " FROM generations WHERE ?1 = 0 AND (is_active = 1 OR " OPEN_RUN_USES ")"
                          " ORDER BY tenant_id, id";
  rc = nm_db_find_values(db, &stmt, sql, NM_VALUES(NM_I(load->tenant_id)));
  if (rc) return rc;
  struct nm_row row = { .stmt = stmt, .arena = load->request.arena };
  while (load->count < (size_t)count && (rc = nm_db_step(db, stmt)) == 1)
    load->generations[load->count++] =
      (struct nm_store_generation){ .id = nm_row_i64(&row, 0),
                                    .tenant_id = nm_row_i64(&row, 1),
                                    .created_at_ms = nm_row_i64(&row, 2),
                                    .is_active = nm_row_i64(&row, 3) != 0,
                                    .digest = nm_row_text(&row, 4),
                                    .source = nm_row_text(&row, 5),
                                    .pinned_over = nm_row_text(&row, 6) };
  sqlite3_reset(stmt);
  return rc < 0 ? rc : check_row(&row, &load->request);
}

/* ---- profiles -------------------------------------------------------------------------------- */

static int write_profile(struct nm_writer *writer, int64_t tenant_id,
                         const struct nm_store_profile *profile, int64_t version)
{
  if (nm_text_is_empty(profile->body))
    return nm_db_run(&writer->db, "DELETE FROM profiles WHERE tenant_id = ?1 AND ext_id = ?2",
                     NM_I(tenant_id), NM_T(profile->ext_id));
  return nm_db_run(&writer->db,
                   "INSERT INTO profiles (tenant_id, ext_id, version, saved_at, body)"
                   " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (tenant_id, ext_id) DO UPDATE SET"
                   " version = ?3, saved_at = ?4, body = ?5",
                   NM_I(tenant_id), NM_T(profile->ext_id), NM_I(version), NM_I(nm_clock_wall_ms()),
                   NM_T(profile->body));
}

/* One that was erased stays so until somebody says that it is to be restored. */
static int check_restore(struct nm_writer *writer, int64_t tenant_id, struct nm_text ext_id,
                         bool restores, struct nm_error *err)
{
  int rc = nm_writer_is_suppressed(writer, tenant_id, ext_id);
  if (rc != 1) return rc;
  if (restores) return nm_writer_lift_suppression(writer, tenant_id, ext_id);
  return nm_fail(err, NM_EDENIED,
                 "this person was erased; ?restore=on keeps a profile of them again");
}

static int save_profile(struct nm_writer *writer, int64_t tenant_id,
                        struct nm_store_profile *profile, bool restores, struct nm_error *err)
{
  int64_t version;
  int rc = check_restore(writer, tenant_id, profile->ext_id, restores, err);
  if (!rc)
    rc = nm_db_number(&writer->db, &version, 0,
                      "SELECT version FROM profiles WHERE tenant_id = ?1 AND ext_id = ?2",
                      NM_I(tenant_id), NM_T(profile->ext_id));
  if (rc) return rc;
  if (version != profile->version)
    return nm_fail(err, NM_ECONFLICT, "the profile changed meanwhile: version %lld, not %lld",
                   (long long)version, (long long)profile->version);
  /* From the one sequence, so that a version never comes back after a profile was deleted. */
  version = nm_text_is_empty(profile->body) ? 0 : nm_writer_id(writer);
  rc = write_profile(writer, tenant_id, profile, version);
  if (!rc && profile->unsubscribed) rc = nm_writer_add_preferences(writer, tenant_id, profile);
  return rc ? rc : nm_writer_set(writer, &profile->version, version);
}

int nm_writer_profile_save(struct nm_writer *writer, struct nm_store_profile_save *save)
{
  int rc = save_profile(writer, save->tenant_id, &save->profile, save->restores,
                        &save->request.error);
  if (!rc && save->arrival) rc = nm_writer_arrive(writer, save->arrival);
  return rc;
}

int nm_writer_profiles_save(struct nm_writer *writer, struct nm_store_profiles_save *save)
{
  for (size_t i = 0; i < save->count; i++) {
    struct nm_profile_item *item = &save->items[i];
    struct nm_error error = { 0, "" };
    int rc = save_profile(writer, save->tenant_id, &item->profile, save->restores, &error);
    item->rc = rc;
    if (rc == NM_ECONFLICT || rc == NM_EDENIED) continue; /* nothing of it was written */
    for (size_t k = 0; rc == 0 && k < item->arrival_count; k++)
      rc = nm_writer_arrive(writer, &item->arrivals[k]);
    if (rc) return rc;
  }
  return NM_OK;
}

int nm_reader_profiles_load(struct nm_db *db, struct nm_store_profiles_load *load)
{
  struct nm_row row = { .arena = load->request.arena };
  int64_t has_any = 1;
  /* Many tenants keep none: theirs are not looked for one by one. */
  int rc = load->count > 1 ? nm_db_number(db, &has_any, 0,
                                          "SELECT 1 FROM profiles WHERE tenant_id = ?1 LIMIT 1",
                                          NM_I(load->tenant_id))
                           : NM_OK;
  if (rc) return rc;
  for (size_t i = 0; i < load->count; i++) {
    struct nm_store_profile *profile = &load->profiles[i];
    profile->version = 0;
    profile->body = NM_TEXT("");
    if (!has_any) continue;
    rc = nm_db_find(db, &row.stmt,
                    "SELECT version, body FROM profiles WHERE tenant_id = ?1 AND ext_id = ?2",
                    NM_I(load->tenant_id), NM_T(profile->ext_id));
    if (!rc) rc = nm_db_step(db, row.stmt);
    if (rc < 0) return rc;
    profile->version = rc == 1 ? nm_row_i64(&row, 0) : 0;
    profile->body = rc == 1 ? nm_row_text(&row, 1) : NM_TEXT("");
    sqlite3_reset(row.stmt);
  }
  return check_row(&row, &load->request);
}

/* ---- listeners ------------------------------------------------------------------------------- */

int nm_writer_listener_save(struct nm_writer *writer, struct nm_store_listener_save *save)
{
  struct nm_store_listener *listener = &save->listener;
  int64_t id = listener->id;
  int rc;
  if (id == 0) {
    id = nm_writer_id(writer);
    rc = nm_db_run(&writer->db,
                   "INSERT INTO listeners (id, tenant_id, event_type, channel_id, url,"
                   " secret_number, state, saved_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                   NM_I(id), NM_I(listener->tenant_id), NM_I(listener->event_type),
                   NM_I(listener->channel_id), NM_T(listener->url), NM_I(listener->secret_number),
                   NM_I(listener->state), NM_I(nm_clock_wall_ms()));
  } else {
    rc = nm_db_run(&writer->db,
                   "UPDATE listeners SET event_type = ?3, channel_id = ?4, url = ?5,"
                   " secret_number = ?6, state = ?7, saved_at = ?8"
                   " WHERE id = ?1 AND tenant_id = ?2",
                   NM_I(id), NM_I(listener->tenant_id), NM_I(listener->event_type),
                   NM_I(listener->channel_id), NM_T(listener->url), NM_I(listener->secret_number),
                   NM_I(listener->state), NM_I(nm_clock_wall_ms()));
    if (!rc && nm_db_changes(&writer->db) == 0)
      return nm_fail(&save->request.error, NM_ENOTFOUND, "there is no listener %lld",
                     (long long)id);
  }
  return rc ? rc : nm_writer_set(writer, &listener->id, id);
}

int nm_reader_listeners_load(struct nm_db *db, struct nm_store_listeners_load *load)
{
  sqlite3_stmt *stmt;
  int64_t count = 0;
  load->count = 0;
  int rc = nm_db_number(db, &count, 0,
                        "SELECT count(*) FROM listeners WHERE tenant_id = ?1 AND state <> 3"
                        " AND account_id = ?2",
                        NM_I(load->tenant_id), NM_I(load->account_id));
  if (rc) return rc;
  load->listeners = allocate(&load->request, count, sizeof *load->listeners);
  if (!load->listeners) return NM_ENOMEM;
  rc = nm_db_find(db, &stmt,
                  "SELECT id, event_type, channel_id, url, secret_number, state FROM listeners"
                  " WHERE tenant_id = ?1 AND state <> 3 AND account_id = ?2 ORDER BY id",
                  NM_I(load->tenant_id), NM_I(load->account_id));
  if (rc) return rc;
  struct nm_row row = { .stmt = stmt, .arena = load->request.arena };
  while (load->count < (size_t)count && (rc = nm_db_step(db, stmt)) == 1)
    load->listeners[load->count++] =
      (struct nm_store_listener){ .id = nm_row_i64(&row, 0),
                                  .tenant_id = load->tenant_id,
                                  .event_type = nm_row_i64(&row, 1),
                                  .channel_id = nm_row_i64(&row, 2),
                                  .url = nm_row_text(&row, 3),
                                  .secret_number = nm_row_i64(&row, 4),
                                  .state = (enum nm_listener_state)nm_row_i64(&row, 5) };
  sqlite3_reset(stmt);
  return rc < 0 ? rc : check_row(&row, &load->request);
}
