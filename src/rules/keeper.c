#include "rules/keeper.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metrics.h"

enum { SAVE_ARENA_MAX_BYTES = 64 * 1024, LOAD_ARENA_MAX_BYTES = 512 * 1024 * 1024 };

/* One rules file and what became of its latest version. */
struct file {
  struct file *next;
  char *name;                        /* "acme" */
  char digest[NM_RULES_DIGEST_BYTES + 1]; /* of the active version; "" = none */
  char seen[NM_RULES_DIGEST_BYTES + 1];   /* of the file as it was last proven; "" = never */
  char pinned_over[NM_RULES_DIGEST_BYTES + 1]; /* the active one stands in for this; "" = not pinned */
  json_t *verdict;                   /* as reload answers it */
  struct nm_generation *waiting;     /* proven, but there is no tenant of that name yet */
};

/* A generation on its way into the store. */
struct save {
  struct nm_store_generation_save request; /* first */
  struct nm_rules_keeper *keeper;
  struct file *file;
  struct nm_generation *generation;
  struct rollback *rollback; /* whom to tell; NULL = the folder asked */
};

/* A rollback under way: what is stored is read, then one of it saved as the active one. */
struct rollback {
  struct nm_store_generations_load load; /* first */
  struct nm_rules_keeper *keeper;
  struct file *file;
  int64_t wanted;
  char was[NM_RULES_DIGEST_BYTES + 1];
  void (*done)(void *data, int rc, const struct nm_error *err, const json_t *answer);
  void *data;
};

struct waiter {
  struct waiter *next;
  void (*done)(void *data, const json_t *verdicts);
  void *data;
};

struct nm_rules_keeper {
  struct nm_rules_keeper_env env;
  struct nm_rules_folder *folder;
  struct nm_store_generations_load load;
  struct file *files;
  struct waiter *waiters;
  int saves;
  bool is_loading, is_ready, is_closing, is_folder_closed;
  void (*on_closed)(void *data);
  void *closed_data;
};

static void on_verdict(void *data, struct nm_rules_verdict *verdict);

/* ---- files and their verdicts --------------------------------------------------------------------- */

static struct file *find_file(struct nm_rules_keeper *keeper, struct nm_text name)
{
  for (struct file *f = keeper->files; f; f = f->next)
    if (nm_text_equal(nm_text_from(f->name), name)) return f;
  struct file *file = calloc(1, sizeof *file);
  char *copy = strndup(name.ptr, name.len);
  nm_require(file && copy);
  file->name = copy;
  file->next = keeper->files;
  keeper->files = file;
  return file;
}

static void set_verdict(struct file *file, const char *verdict, const char *digest,
                        const struct nm_problems *problems)
{
  char path[512];
  json_t *lines = json_array();
  snprintf(path, sizeof path, "%s.lua", file->name);
  for (const struct nm_problem *p = problems ? problems->first : NULL; p; p = p->next)
    json_array_append_new(lines, json_stringn(p->text.ptr, p->text.len));
  json_decref(file->verdict);
  file->verdict = json_pack("{s:s,s:s,s:s,s:s,s:o}", "file", path, "tenant", file->name, "verdict",
                            verdict, "digest", digest, "problems", lines);
}

static void answer_waiters(struct nm_rules_keeper *keeper)
{
  if (keeper->saves > 0 || keeper->is_loading) return;
  if (!keeper->is_ready) {
    keeper->is_ready = true;
    keeper->env.on_ready(keeper->env.data);
  }
  json_t *verdicts = json_array();
  for (struct file *f = keeper->files; f; f = f->next)
    if (f->verdict) json_array_append(verdicts, f->verdict);
  while (keeper->waiters) {
    struct waiter *waiter = keeper->waiters;
    keeper->waiters = waiter->next;
    waiter->done(waiter->data, verdicts);
    free(waiter);
  }
  json_decref(verdicts);
}

/* ---- saving ------------------------------------------------------------------------------------------ */

static void try_to_close(struct nm_rules_keeper *keeper);
static void end_rollback(struct rollback *rollback, int rc, const struct nm_error *err,
                         const struct nm_generation *generation);

static void publish(struct save *save)
{
  struct nm_rules_keeper *keeper = save->keeper;
  struct nm_generation *generation = save->generation;
  const char *digest = nm_rules_facts(generation->rules)->digest;
  struct nm_log_ids ids = { .tenant = nm_text_from(save->file->name) };

  generation->id = save->request.generation.id;
  generation->is_active = true;
  snprintf(save->file->digest, sizeof save->file->digest, "%s", digest);
  bool is_pinned = save->rollback != NULL;
  snprintf(save->file->pinned_over, sizeof save->file->pinned_over, "%s",
           is_pinned ? save->file->seen : "");
  set_verdict(save->file, is_pinned ? "pinned" : "active", digest, NULL);
  nm_metric_add(NM_METRIC_RULES_RELOADED, 1);
  nm_log(NM_LOG_INFO, "rules", &ids, "generation %.12s is active%s", digest,
         is_pinned ? " again: it stays until the file changes" : "");
  if (is_pinned) end_rollback(save->rollback, NM_OK, NULL, generation);
  keeper->env.publish(keeper->env.data, generation);
}

static void on_saved(struct nm_task *task)
{
  struct save *save = (struct save *)(void *)task;
  struct nm_rules_keeper *keeper = save->keeper;
  const struct nm_store_request *request = &save->request.request;

  keeper->saves--;
  if (!request->rc && !keeper->is_closing) {
    publish(save);
  } else {
    if (request->rc)
      nm_log(NM_LOG_ERROR, "rules", NULL, "%s: the store did not take the new generation: %s",
             save->file->name, request->error.text);
    if (save->rollback) {
      int rc = request->rc ? request->rc : NM_ECLOSED;
      end_rollback(save->rollback, rc, request->rc ? &request->error : NULL, NULL);
    }
    nm_generation_unref(save->generation);
  }
  nm_arena_destroy(save->request.request.arena);
  free(save);
  if (keeper->is_closing) try_to_close(keeper);
  else answer_waiters(keeper);
}

/* Takes generation; with a rollback it is pinned over the file as it is now. */
static void save_generation(struct nm_rules_keeper *keeper, struct file *file,
                            struct nm_generation *generation, struct rollback *rollback)
{
  struct save *save = calloc(1, sizeof *save);
  nm_require(save != NULL);
  *save = (struct save){ .keeper = keeper, .file = file, .generation = generation,
                         .rollback = rollback };
  save->request = (struct nm_store_generation_save){
    .request = { .task = { .home = keeper->env.home, .done = on_saved },
                 .verb = NM_STORE_GENERATION_SAVE,
                 .arena = nm_arena_create(SAVE_ARENA_MAX_BYTES) },
    .generation = { .tenant_id = generation->tenant_id, .is_active = true,
                    .digest = nm_text_from(nm_rules_facts(generation->rules)->digest),
                    .source = generation->source,
                    .pinned_over = nm_text_from(rollback ? file->seen : "") },
  };
  keeper->saves++;
  int rc = nm_store_submit(keeper->env.store, &save->request.request);
  if (!rc) return;
  save->request.request.rc = rc;
  (void)nm_fail(&save->request.request.error, rc, "%s", nm_code_name(rc));
  on_saved(&save->request.request.task);
}

/* ---- verdicts of the folder ---------------------------------------------------------------------------- */

static void refuse(struct file *file, const struct nm_rules_verdict *verdict)
{
  struct nm_log_ids ids = { .tenant = verdict->tenant };
  nm_metric_add(NM_METRIC_RULES_REFUSED, 1);
  for (const struct nm_problem *p = verdict->problems->first; p; p = p->next)
    nm_log(NM_LOG_WARN, "rules", &ids, "%.*s", NM_TEXT_ARG(p->text));
  nm_log(NM_LOG_WARN, "rules", &ids, "%.*s is refused; %s", NM_TEXT_ARG(verdict->file),
         file->digest[0] ? "the rules before it serve on" : "there are none before it");
  set_verdict(file, "refused", file->digest, verdict->problems);
}

static void tell_warnings(const struct file *file, const struct nm_rules *rules)
{
  const struct nm_rules_facts *facts = nm_rules_facts(rules);
  struct nm_log_ids ids = { .tenant = nm_text_from(file->name) };
  for (size_t i = 0; i < facts->warning_count; i++)
    nm_log(NM_LOG_WARN, "rules", &ids, "%.*s", NM_TEXT_ARG(facts->warnings[i]));
}

/* Takes generation. */
static void take_up(struct nm_rules_keeper *keeper, struct file *file,
                    struct nm_generation *generation)
{
  struct nm_tenant *tenant = nm_tenants_by_name(keeper->env.tenants, nm_text_from(file->name));
  const char *digest = nm_rules_facts(generation->rules)->digest;

  if (!tenant) {
    struct nm_log_ids ids = { .tenant = nm_text_from(file->name) };
    nm_log(NM_LOG_INFO, "rules", &ids, "proven; they wait for a tenant of this name");
    set_verdict(file, "waits for its tenant", digest, NULL);
    nm_generation_unref(file->waiting);
    file->waiting = generation;
    return;
  }
  generation->tenant_id = tenant->id;
  nm_tenant_unref(tenant);
  snprintf(file->seen, sizeof file->seen, "%s", digest);
  bool is_pinned = strcmp(file->pinned_over, digest) == 0;
  if (is_pinned || strcmp(file->digest, digest) == 0) {
    set_verdict(file, is_pinned ? "pinned" : "active", file->digest, NULL);
    nm_generation_unref(generation);
    return;
  }
  tell_warnings(file, generation->rules);
  save_generation(keeper, file, generation, NULL);
}

static void on_verdict(void *data, struct nm_rules_verdict *verdict)
{
  struct nm_rules_keeper *keeper = data;
  struct file *file = find_file(keeper, verdict->tenant);
  if (!verdict->rules) {
    refuse(file, verdict);
    return;
  }
  struct nm_generation *generation = nm_generation_create(0, verdict->rules, verdict->source);
  verdict->rules = NULL;
  nm_require(generation != NULL);
  take_up(keeper, file, generation);
}

void nm_rules_keeper_adopt(struct nm_rules_keeper *keeper, struct nm_text tenant)
{
  struct file *file = find_file(keeper, tenant);
  struct nm_generation *generation = file->waiting;
  file->waiting = NULL;
  if (generation) take_up(keeper, file, generation);
}

void nm_rules_keeper_reload(struct nm_rules_keeper *keeper,
                            void (*done)(void *data, const json_t *verdicts), void *data)
{
  struct waiter *waiter = calloc(1, sizeof *waiter);
  nm_require(waiter != NULL);
  *waiter = (struct waiter){ keeper->waiters, done, data };
  keeper->waiters = waiter;
  if (keeper->folder) nm_rules_folder_look(keeper->folder, false);
  answer_waiters(keeper);
}

/* ---- rollback ------------------------------------------------------------------------------------------------ */

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
    if (keeper->is_closing) try_to_close(keeper);
    return;
  }
  struct nm_generation *generation =
      nm_generation_create(stored->tenant_id, rules, stored->source);
  nm_require(generation != NULL);
  save_generation(rollback->keeper, rollback->file, generation, rollback);
}

void nm_rules_keeper_rollback(struct nm_rules_keeper *keeper, struct nm_text tenant,
                              int64_t generation,
                              void (*done)(void *data, int rc, const struct nm_error *err,
                                           const json_t *answer),
                              void *data)
{
  struct rollback *rollback = calloc(1, sizeof *rollback);
  struct nm_tenant *found = nm_tenants_by_name(keeper->env.tenants, tenant);
  nm_require(rollback != NULL);
  *rollback = (struct rollback){ .keeper = keeper, .file = find_file(keeper, tenant),
                                 .wanted = generation, .done = done, .data = data };
  memcpy(rollback->was, rollback->file->digest, sizeof rollback->was);
  rollback->load = (struct nm_store_generations_load){
    .request = { .task = { .home = keeper->env.home, .done = on_stored_loaded },
                 .verb = NM_STORE_GENERATIONS_LOAD,
                 .arena = nm_arena_create(LOAD_ARENA_MAX_BYTES) },
    .tenant_id = found ? found->id : 0,
  };
  int rc = !found ? NM_ENOTFOUND : nm_store_submit(keeper->env.store, &rollback->load.request);
  nm_tenant_unref(found);
  if (rc) end_rollback(rollback, rc, NULL, NULL);
  else keeper->saves++;
}

/* ---- start and end ----------------------------------------------------------------------------------------- */

/* Proves a stored generation again and hands it over; a library that no longer takes it is our fault
 * and said loudly. */
static void restore(struct nm_rules_keeper *keeper, const struct nm_store_generation *stored)
{
  struct nm_tenant *tenant = nm_tenants_by_id(keeper->env.tenants, stored->tenant_id);
  if (!tenant) return;
  struct nm_arena *arena = nm_arena_create(NM_ERROR_TEXT_MAX_BYTES * 1024);
  struct nm_problems problems = { .arena = arena };
  struct nm_log_ids ids = { .tenant = tenant->name };
  struct nm_rules *rules = NULL;
  struct nm_text name = nm_arena_printf(arena, "%.*s/%.*s.lua", NM_TEXT_ARG(keeper->env.folder),
                                        NM_TEXT_ARG(tenant->name));

  if (nm_rules_load(&rules, name, stored->source, &problems)) {
    for (const struct nm_problem *p = problems.first; p; p = p->next)
      nm_log(NM_LOG_ERROR, "rules", &ids, "stored generation %.12s: %.*s", stored->digest.ptr,
             NM_TEXT_ARG(p->text));
  } else {
    struct nm_generation *generation =
        nm_generation_create(stored->tenant_id, rules, stored->source);
    nm_require(generation != NULL);
    generation->id = stored->id;
    generation->is_active = stored->is_active;
    if (stored->is_active) {
      struct file *file = find_file(keeper, tenant->name);
      snprintf(file->digest, sizeof file->digest, "%.*s", NM_TEXT_ARG(stored->digest));
      snprintf(file->pinned_over, sizeof file->pinned_over, "%.*s",
               NM_TEXT_ARG(stored->pinned_over));
      set_verdict(file, stored->pinned_over.len > 0 ? "pinned" : "active", file->digest, NULL);
    }
    keeper->env.publish(keeper->env.data, generation);
  }
  nm_arena_destroy(arena);
  nm_tenant_unref(tenant);
}

static void on_loaded(struct nm_task *task)
{
  struct nm_store_generations_load *load = (struct nm_store_generations_load *)(void *)task;
  struct nm_rules_keeper *keeper =
      (struct nm_rules_keeper *)(void *)((char *)load - offsetof(struct nm_rules_keeper, load));
  struct nm_error error = { 0 };

  if (load->request.rc)
    nm_log(NM_LOG_ERROR, "rules", NULL, "the stored generations cannot be read: %s",
           load->request.error.text);
  else
    for (size_t i = 0; i < load->count; i++) restore(keeper, &load->generations[i]);
  nm_arena_destroy(load->request.arena);
  if (!keeper->is_closing &&
      nm_rules_folder_open(&keeper->folder, keeper->env.loop, keeper->env.folder, on_verdict,
                           keeper, &error))
    nm_log(NM_LOG_ERROR, "rules", NULL, "%s", error.text);
  if (keeper->folder) nm_rules_folder_look(keeper->folder, true);
  keeper->is_loading = false;
  if (keeper->is_closing) try_to_close(keeper);
  else answer_waiters(keeper);
}

int nm_rules_keeper_open(struct nm_rules_keeper **out, const struct nm_rules_keeper_env *env,
                         struct nm_error *err)
{
  struct nm_rules_keeper *keeper = calloc(1, sizeof *keeper);
  if (!keeper) return nm_fail(err, NM_ENOMEM, "out of memory");
  keeper->env = *env;
  keeper->is_loading = true;
  keeper->load = (struct nm_store_generations_load){
    .request = { .task = { .home = env->home, .done = on_loaded },
                 .verb = NM_STORE_GENERATIONS_LOAD,
                 .arena = nm_arena_create(LOAD_ARENA_MAX_BYTES) },
  };
  int rc = nm_store_submit(env->store, &keeper->load.request);
  if (rc) {
    nm_arena_destroy(keeper->load.request.arena);
    free(keeper);
    return nm_fail(err, rc, "the store takes no request: %s", nm_code_name(rc));
  }
  *out = keeper;
  return NM_OK;
}

static void try_to_close(struct nm_rules_keeper *keeper)
{
  if (keeper->saves > 0 || keeper->is_loading || !keeper->is_folder_closed) return;
  while (keeper->files) {
    struct file *file = keeper->files;
    keeper->files = file->next;
    nm_generation_unref(file->waiting);
    json_decref(file->verdict);
    free(file->name);
    free(file);
  }
  while (keeper->waiters) {
    struct waiter *waiter = keeper->waiters;
    keeper->waiters = waiter->next;
    free(waiter);
  }
  void (*on_closed)(void *data) = keeper->on_closed;
  void *data = keeper->closed_data;
  free(keeper);
  on_closed(data);
}

static void on_folder_closed(void *data)
{
  struct nm_rules_keeper *keeper = data;
  keeper->is_folder_closed = true;
  try_to_close(keeper);
}

void nm_rules_keeper_close(struct nm_rules_keeper *keeper, void (*on_closed)(void *data),
                           void *data)
{
  keeper->is_closing = true;
  keeper->on_closed = on_closed;
  keeper->closed_data = data;
  if (keeper->folder) {
    nm_rules_folder_close(keeper->folder, on_folder_closed, keeper);
  } else {
    keeper->is_folder_closed = true;
    try_to_close(keeper);
  }
}
