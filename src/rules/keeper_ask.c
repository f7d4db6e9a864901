/* keeper_ask.c - what operators ask of the keeper: an older generation, or rules that they
 * bring. */
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "rules/keeper_internal.h"

enum { LOAD_ARENA_MAX_BYTES = 512 * 1024 * 1024, PROBLEMS_MAX_BYTES = 1024 * 1024 };

/* Gives *id, where id is not NULL. */
NM_MUST_CHECK
static int find_tenant(const struct nm_rules_keeper *keeper, struct nm_text name, int64_t *id,
                       struct nm_error *err)
{
  struct nm_tenant *tenant = nm_tenants_by_name(keeper->env.tenants, name);
  if (!tenant) return nm_fail(err, NM_ENOTFOUND, "there is no tenant of this name");
  if (id) *id = tenant->id;
  nm_tenant_unref(tenant);
  return NM_OK;
}

/* ---- rollback -------------------------------------------------------------------------------- */

/* A rollback under way: what is stored is read, then one of it saved as the active one. */
struct rollback {
  struct nm_store_generations_load load; /* first */
  struct nm_rules_asked asked;
  struct nm_rules_keeper *keeper;
  struct nm_rules_kept *file;
  int64_t wanted;
  char was[NM_RULES_DIGEST_BYTES + 1];
  void (*done)(void *data, int rc, const struct nm_error *err, const json_t *answer);
  void *data;
};

static void end_rollback(struct rollback *rollback, int rc, const struct nm_error *err,
                         const struct nm_generation *generation)
{
  struct nm_error none = { 0 };
  json_t *answer = NULL;
  if (rc && !err) {
    (void)nm_fail(&none, rc, "%s", nm_code_name(rc));
    err = &none;
  }
  if (!rc)
    answer = json_pack("{s:s,s:s,s:s}", "tenant", rollback->file->name, "digest",
                       nm_rules_facts(generation->rules)->digest, "was", rollback->was);
  if (answer && nm_json_set_id(answer, "generation", generation->id)) json_object_clear(answer);
  rollback->done(rollback->data, rc, err, answer);
  json_decref(answer);
  nm_arena_destroy(rollback->load.request.arena);
  free(rollback);
}

static void on_pinned(struct nm_rules_asked *asked, int rc, const struct nm_error *err,
                      const struct nm_generation *generation)
{
  end_rollback((struct rollback *)(void *)((char *)asked - offsetof(struct rollback, asked)), rc,
               err, generation);
}

/* The one that was asked for, or the latest that served before the active one. */
static const struct nm_store_generation *find_stored(const struct rollback *rollback,
                                                     struct nm_error *err)
{
  for (size_t i = 0; i < rollback->load.count; i++) {
    const struct nm_store_generation *stored = &rollback->load.generations[i];
    if (rollback->wanted ? stored->id == rollback->wanted : !stored->is_active) return stored;
  }
  if (rollback->wanted)
    (void)nm_fail(err, NM_ENOTFOUND, "%s has no generation %lld; see netmove rules list",
                  rollback->file->name, (long long)rollback->wanted);
  else
    (void)nm_fail(err, NM_ENOTFOUND, "%s has no generation before this one", rollback->file->name);
  return NULL;
}

static void on_stored_loaded(struct nm_task *task)
{
  struct rollback *rollback = (struct rollback *)(void *)task;
  struct nm_problems problems = { .arena = rollback->load.request.arena };
  struct nm_rules *rules = NULL;
  struct nm_error error = rollback->load.request.error;
  int rc = rollback->load.request.rc;
  const struct nm_store_generation *stored = rc ? NULL : find_stored(rollback, &error);
  if (!rc && !stored) rc = error.code;
  if (!rc && nm_rules_load(&rules, nm_text_from(rollback->file->name), stored->source, &problems))
    rc = nm_fail(&error, NM_EINVAL, "it does not prove itself any more: %.*s",
                 NM_TEXT_ARG(problems.first->text));
  rollback->keeper->saves--;
  if (rc) {
    struct nm_rules_keeper *keeper = rollback->keeper;
    end_rollback(rollback, rc, &error, NULL);
    if (keeper->is_closing) nm_rules_keeper_try_to_close(keeper);
    return;
  }
  struct nm_generation *generation =
      nm_generation_create(stored->tenant_id, rules, stored->source);
  nm_require(generation != NULL);
  nm_rules_keeper_save(rollback->keeper, rollback->file, generation, &rollback->asked);
}

void nm_rules_keeper_rollback(struct nm_rules_keeper *keeper, struct nm_text tenant,
                              int64_t generation,
                              void (*done)(void *data, int rc, const struct nm_error *err,
                                           const json_t *answer),
                              void *data)
{
  struct rollback *rollback = calloc(1, sizeof *rollback);
  struct nm_error error = { 0 };
  int64_t tenant_id = 0;
  int rc = find_tenant(keeper, tenant, &tenant_id, &error);
  nm_require(rollback != NULL);
  *rollback = (struct rollback){ .asked = { .is_pin = true, .end = on_pinned }, .keeper = keeper,
                                 .file = nm_rules_keeper_file(keeper, tenant),
                                 .wanted = generation, .done = done, .data = data };
  memcpy(rollback->was, rollback->file->digest, sizeof rollback->was);
  rollback->load = (struct nm_store_generations_load){
    .request = { .task = { .home = keeper->env.home, .done = on_stored_loaded },
                 .verb = NM_STORE_GENERATIONS_LOAD,
                 .arena = nm_arena_create(LOAD_ARENA_MAX_BYTES) },
    .tenant_id = tenant_id,
  };
  if (!rc) rc = nm_store_submit(keeper->env.store, &rollback->load.request);
  if (rc) end_rollback(rollback, rc, error.code ? &error : NULL, NULL);
  else keeper->saves++;
}

/* ---- publishing ------------------------------------------------------------------------------ */

struct publishing {
  struct nm_rules_asked asked; /* first */
  json_t *answer;
  void (*done)(void *data, int rc, const struct nm_error *err, const json_t *answer);
  void *data;
};

static json_t *lines_of(const struct nm_problems *problems)
{
  json_t *lines = json_array();
  for (const struct nm_problem *p = problems->first; p; p = p->next)
    json_array_append_new(lines, json_stringn(p->text.ptr, p->text.len));
  return lines;
}

static json_t *warnings_of(const struct nm_rules *rules)
{
  json_t *lines = json_array();
  const struct nm_rules_facts *facts = rules ? nm_rules_facts(rules) : NULL;
  for (size_t i = 0; facts && i < facts->warning_count; i++)
    json_array_append_new(lines,
                          json_stringn(facts->warnings[i].ptr, facts->warnings[i].len));
  return lines;
}

static void on_published(struct nm_rules_asked *asked, int rc, const struct nm_error *err,
                         const struct nm_generation *generation)
{
  struct publishing *publishing = (struct publishing *)(void *)asked;
  struct nm_error error = { 0 };
  if (rc)
    (void)nm_fail(&error, rc, "the file is written, but it does not serve yet: %s",
                  err ? err->text : nm_code_name(rc));
  else if (nm_json_set_id(publishing->answer, "generation", generation->id))
    rc = nm_fail(&error, NM_ENOMEM, "%s", nm_code_name(NM_ENOMEM));
  publishing->done(publishing->data, rc, rc ? &error : NULL, rc ? NULL : publishing->answer);
  json_decref(publishing->answer);
  free(publishing);
}

/* Proven and written: takes both. */
static void serve(struct nm_rules_keeper *keeper, struct nm_rules_kept *file,
                  struct nm_generation *generation, struct publishing *publishing)
{
  const char *digest = nm_rules_facts(generation->rules)->digest;
  snprintf(file->seen, sizeof file->seen, "%s", digest);
  if (strcmp(file->digest, digest) != 0 || file->pinned_over[0]) {
    nm_rules_keeper_save(keeper, file, generation, &publishing->asked);
    return;
  }
  publishing->done(publishing->data, NM_OK, NULL, publishing->answer);
  json_decref(publishing->answer);
  free(publishing);
  nm_generation_unref(generation);
}

/* Takes rules where it goes on to be saved: then *rules is NULL, and done is called later. */
static int write_and_serve(struct nm_rules_keeper *keeper, struct nm_rules_kept *file,
                           const char *path, const struct nm_rules_publish *what,
                           struct nm_text bundle, struct nm_rules **rules, json_t *answer,
                           struct nm_error *err)
{
  int64_t tenant_id = 0;
  int rc = find_tenant(keeper, what->tenant, &tenant_id, err);
  if (!rc) rc = nm_rules_file_write(path, what->source, err);
  if (rc) return rc;
  struct publishing *publishing = calloc(1, sizeof *publishing);
  struct nm_generation *generation = nm_generation_create(tenant_id, *rules, bundle);
  nm_require(publishing && generation);
  *rules = NULL;
  *publishing = (struct publishing){ .asked = { .end = on_published },
                                     .answer = json_incref(answer),
                                     .done = what->done, .data = what->data };
  serve(keeper, file, generation, publishing);
  return NM_OK;
}

/* What serves, or is about to; "none" where nothing does. */
static const char *current(const struct nm_rules_kept *file)
{
  return file->coming[0] ? file->coming : file->digest[0] ? file->digest : "none";
}

/* The source proves itself, beside the libraries of the folder; then it is written. */
static void prove(struct nm_rules_keeper *keeper, struct nm_rules_kept *file,
                  const struct nm_rules_publish *what, const char *path)
{
  struct nm_problems problems = { .arena = nm_arena_create(PROBLEMS_MAX_BYTES) };
  struct nm_rules_libraries libraries = { .arena = nm_arena_create(NM_RULES_STATE_MAX_BYTES) };
  struct nm_rules *rules = NULL;
  struct nm_error error = { 0 };
  nm_require(problems.arena && libraries.arena);
  bool is_stale =
      what->if_digest.len > 0 && !nm_text_equal(what->if_digest, nm_text_from(current(file)));
  bool is_proven = !is_stale && nm_rules_load_file(&rules, nm_text_from(path), what->source,
                                                   &libraries, &problems) == NM_OK;
  const char *status = is_stale           ? "changed"
                       : !is_proven       ? "refused"
                       : what->is_dry_run ? "proven"
                                          : "active";
  json_t *answer = json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:o}", "tenant", file->name, "file", path,
                             "status", status, "digest",
                             is_proven ? nm_rules_facts(rules)->digest : "", "was", current(file),
                             "problems", lines_of(&problems), "warnings", warnings_of(rules));
  bool is_over = !is_proven || what->is_dry_run || !answer;
  int rc = NM_OK;
  if (!answer) rc = nm_fail(&error, NM_ENOMEM, "%s", nm_code_name(NM_ENOMEM));
  if (!is_over)
    rc = write_and_serve(keeper, file, path, what, libraries.bundle, &rules, answer, &error);
  if (is_over || rc) what->done(what->data, rc, rc ? &error : NULL, rc ? NULL : answer);
  json_decref(answer);
  nm_rules_destroy(rules);
  nm_arena_destroy(libraries.arena);
  nm_arena_destroy(problems.arena);
}

void nm_rules_keeper_publish(struct nm_rules_keeper *keeper, const struct nm_rules_publish *what)
{
  char path[PATH_MAX];
  struct nm_error error = { 0 };
  int len = snprintf(path, sizeof path, "%.*s/%.*s.lua", NM_TEXT_ARG(keeper->env.folder),
                     NM_TEXT_ARG(what->tenant));
  int rc = find_tenant(keeper, what->tenant, NULL, &error);
  if (!rc && (len < 0 || len >= (int)sizeof path))
    rc = nm_fail(&error, NM_ELIMIT, "the path of the rules file is too long");
  if (!rc && what->source.len > NM_RULES_SOURCE_MAX_BYTES)
    rc = nm_fail(&error, NM_ELIMIT, "rules are at most %d bytes", NM_RULES_SOURCE_MAX_BYTES);
  if (rc) what->done(what->data, rc, &error, NULL);
  else prove(keeper, nm_rules_keeper_file(keeper, what->tenant), what, path);
}
