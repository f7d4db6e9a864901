#include "rules/keeper_internal.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metrics.h"
#include "script/script.h"

enum {
  SAVE_ARENA_MAX_BYTES = 64 * 1024,
  LOAD_ARENA_MAX_BYTES = 512 * 1024 * 1024,
  LOADS_MAX = 3, /* memory that was wanting may be there again; runs are held without their rules */
};

/* A generation on its way into the store. */
struct save {
  struct nm_store_generation_save request; /* first */
  struct nm_rules_keeper *keeper;
  struct nm_rules_kept *file;
  struct nm_generation *generation;
  struct nm_rules_asked *asked; /* whom to tell; NULL = the folder asked */
};

struct nm_rules_waiter {
  struct nm_rules_waiter *next;
  void (*done)(void *data, const json_t *verdicts);
  void *data;
};

static void on_verdict(void *data, struct nm_rules_verdict *verdict);

/* ---- files and their verdicts ---------------------------------------------------------------- */

struct nm_rules_kept *nm_rules_keeper_file(struct nm_rules_keeper *keeper, struct nm_text name)
{
  for (struct nm_rules_kept *f = keeper->files; f; f = f->next)
    if (nm_text_equal(nm_text_from(f->name), name)) return f;
  struct nm_rules_kept *file = calloc(1, sizeof *file);
  char *copy = strndup(name.ptr, name.len);
  nm_require(file && copy);
  file->name = copy;
  file->next = keeper->files;
  keeper->files = file;
  return file;
}

static void set_verdict(struct nm_rules_kept *file, const char *verdict, const char *digest,
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
    nm_script_prove_rest(0);
    keeper->env.on_ready(keeper->env.data);
  }
  json_t *verdicts = json_array();
  for (struct nm_rules_kept *f = keeper->files; f; f = f->next)
    if (f->verdict) json_array_append(verdicts, f->verdict);
  while (keeper->waiters) {
    struct nm_rules_waiter *waiter = keeper->waiters;
    keeper->waiters = waiter->next;
    waiter->done(waiter->data, verdicts);
    free(waiter);
  }
  json_decref(verdicts);
}

/* ---- saving ---------------------------------------------------------------------------------- */

static void publish(struct save *save)
{
  struct nm_rules_keeper *keeper = save->keeper;
  struct nm_generation *generation = save->generation;
  const char *digest = nm_rules_facts(generation->rules)->digest;
  struct nm_log_ids ids = { .tenant = nm_text_from(save->file->name) };

  generation->id = save->request.generation.id;
  generation->is_active = true;
  snprintf(save->file->digest, sizeof save->file->digest, "%s", digest);
  bool is_pinned = save->asked && save->asked->is_pin;
  snprintf(save->file->pinned_over, sizeof save->file->pinned_over, "%s",
           is_pinned ? save->file->seen : "");
  set_verdict(save->file, is_pinned ? "pinned" : "active", digest, NULL);
  nm_metric_add(NM_METRIC_RULES_RELOADED, 1);
  nm_log(NM_LOG_INFO, "rules", &ids, "generation %.12s is active%s", digest,
         is_pinned ? " again: it stays until the file changes" : "");
  if (save->asked) save->asked->end(save->asked, NM_OK, NULL, generation);
  keeper->env.publish(keeper->env.data, generation);
}

static void on_saved(struct nm_task *task)
{
  struct save *save = (struct save *)(void *)task;
  struct nm_rules_keeper *keeper = save->keeper;
  const struct nm_store_request *request = &save->request.request;

  keeper->saves--;
  save->file->coming[0] = '\0';
  if (!request->rc && !keeper->is_closing) {
    publish(save);
  } else {
    if (request->rc)
      nm_log(NM_LOG_ERROR, "rules", NULL, "%s: the store did not take the new generation: %s",
             save->file->name, request->error.text);
    if (save->asked) {
      int rc = request->rc ? request->rc : NM_ECLOSED;
      save->asked->end(save->asked, rc, request->rc ? &request->error : NULL, NULL);
    }
    nm_generation_unref(save->generation);
    bool is_for_later = request->rc == NM_EFULL || request->rc == NM_ENOMEM;
    if (is_for_later && !save->asked && keeper->folder && !keeper->is_closing)
      nm_rules_folder_again(keeper->folder, nm_text_from(save->file->name));
  }
  nm_arena_destroy(save->request.request.arena);
  free(save);
  if (keeper->is_closing) nm_rules_keeper_try_to_close(keeper);
  else answer_waiters(keeper);
}

void nm_rules_keeper_save(struct nm_rules_keeper *keeper, struct nm_rules_kept *file,
                          struct nm_generation *generation, struct nm_rules_asked *asked)
{
  struct save *save = calloc(1, sizeof *save);
  nm_require(save != NULL);
  *save = (struct save){ .keeper = keeper, .file = file, .generation = generation,
                         .asked = asked };
  save->request = (struct nm_store_generation_save){
    .request = { .task = { .home = keeper->env.home, .done = on_saved },
                 .verb = NM_STORE_GENERATION_SAVE,
                 .arena = nm_arena_create(SAVE_ARENA_MAX_BYTES) },
    .generation = { .tenant_id = generation->tenant_id, .is_active = true,
                    .digest = nm_text_from(nm_rules_facts(generation->rules)->digest),
                    .source = generation->source,
                    .pinned_over = nm_text_from(asked && asked->is_pin ? file->seen : "") },
  };
  snprintf(file->coming, sizeof file->coming, "%s", nm_rules_facts(generation->rules)->digest);
  keeper->saves++;
  int rc = nm_store_submit(keeper->env.store, &save->request.request);
  if (!rc) return;
  save->request.request.rc = rc;
  (void)nm_fail(&save->request.request.error, rc, "%s", nm_code_name(rc));
  on_saved(&save->request.request.task);
}

/* ---- verdicts of the folder ------------------------------------------------------------------ */

static void refuse(struct nm_rules_kept *file, const struct nm_rules_verdict *verdict)
{
  struct nm_log_ids ids = { .tenant = verdict->tenant };
  nm_metric_add(NM_METRIC_RULES_REFUSED, 1);
  for (const struct nm_problem *p = verdict->problems->first; p; p = p->next)
    nm_log(NM_LOG_WARN, "rules", &ids, "%.*s", NM_TEXT_ARG(p->text));
  nm_log(NM_LOG_WARN, "rules", &ids, "%.*s is refused; %s", NM_TEXT_ARG(verdict->file),
         file->digest[0] ? "the rules before it serve on" : "there are none before it");
  set_verdict(file, "refused", file->digest, verdict->problems);
}

static void tell_warnings(const struct nm_rules_kept *file, const struct nm_rules *rules)
{
  const struct nm_rules_facts *facts = nm_rules_facts(rules);
  struct nm_log_ids ids = { .tenant = nm_text_from(file->name) };
  for (size_t i = 0; i < facts->warning_count; i++)
    nm_log(NM_LOG_WARN, "rules", &ids, "%.*s", NM_TEXT_ARG(facts->warnings[i]));
}

/* Takes generation. */
static void take_up(struct nm_rules_keeper *keeper, struct nm_rules_kept *file,
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
  if (strcmp(file->coming, digest) == 0) { /* a person wrote it just now */
    nm_generation_unref(generation);
    return;
  }
  tell_warnings(file, generation->rules);
  nm_rules_keeper_save(keeper, file, generation, NULL);
}

static void on_verdict(void *data, struct nm_rules_verdict *verdict)
{
  struct nm_rules_keeper *keeper = data;
  struct nm_rules_kept *file = nm_rules_keeper_file(keeper, verdict->tenant);
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
  struct nm_rules_kept *file = nm_rules_keeper_file(keeper, tenant);
  struct nm_generation *generation = file->waiting;
  file->waiting = NULL;
  if (generation) take_up(keeper, file, generation);
}

void nm_rules_keeper_reload(struct nm_rules_keeper *keeper,
                            void (*done)(void *data, const json_t *verdicts), void *data)
{
  struct nm_rules_waiter *waiter = calloc(1, sizeof *waiter);
  nm_require(waiter != NULL);
  *waiter = (struct nm_rules_waiter){ keeper->waiters, done, data };
  keeper->waiters = waiter;
  if (keeper->folder) nm_rules_folder_look(keeper->folder, false);
  answer_waiters(keeper);
}

/* ---- start and end --------------------------------------------------------------------------- */

/* Proves a stored generation again; that a library no longer takes it is our fault and said
 * loudly. */
static struct nm_rules *load_stored(const struct nm_rules_keeper *keeper,
                                    const struct nm_tenant *tenant,
                                    const struct nm_store_generation *stored)
{
  struct nm_log_ids ids = { .tenant = tenant->name };
  struct nm_rules *rules = NULL;
  for (int i = 1; i <= LOADS_MAX && !rules; i++) {
    struct nm_problems problems = { .arena = nm_arena_create(NM_ERROR_TEXT_MAX_BYTES * 1024) };
    struct nm_text name =
        nm_arena_printf(problems.arena, "%.*s/%.*s.lua", NM_TEXT_ARG(keeper->env.folder),
                        NM_TEXT_ARG(tenant->name));
    int rc = name.ptr ? nm_rules_load(&rules, name, stored->source, &problems) : NM_ENOMEM;
    for (const struct nm_problem *p = problems.first; p && i == LOADS_MAX; p = p->next)
      nm_log(NM_LOG_ERROR, "rules", &ids, "stored generation %.12s: %.*s", stored->digest.ptr,
             NM_TEXT_ARG(p->text));
    if (rc && i == LOADS_MAX && !problems.first)
      nm_log(NM_LOG_ERROR, "rules", &ids, "stored generation %.12s: %s", stored->digest.ptr,
             nm_code_name(rc));
    nm_arena_destroy(problems.arena);
  }
  return rules;
}

static void restore(struct nm_rules_keeper *keeper, const struct nm_store_generation *stored)
{
  struct nm_tenant *tenant = nm_tenants_by_id(keeper->env.tenants, stored->tenant_id);
  if (!tenant) return;
  struct nm_rules *rules = load_stored(keeper, tenant, stored);
  if (rules) {
    struct nm_generation *generation =
        nm_generation_create(stored->tenant_id, rules, stored->source);
    nm_require(generation != NULL);
    generation->id = stored->id;
    generation->is_active = stored->is_active;
    if (stored->is_active) {
      struct nm_rules_kept *file = nm_rules_keeper_file(keeper, tenant->name);
      snprintf(file->digest, sizeof file->digest, "%.*s", NM_TEXT_ARG(stored->digest));
      snprintf(file->pinned_over, sizeof file->pinned_over, "%.*s",
               NM_TEXT_ARG(stored->pinned_over));
      set_verdict(file, stored->pinned_over.len > 0 ? "pinned" : "active", file->digest, NULL);
    }
    keeper->env.publish(keeper->env.data, generation);
  }
  nm_tenant_unref(tenant);
}

static void on_loaded(struct nm_task *task);

static int load_generations(struct nm_rules_keeper *keeper)
{
  keeper->loads++;
  keeper->load = (struct nm_store_generations_load){
    .request = { .task = { .home = keeper->env.home, .done = on_loaded },
                 .verb = NM_STORE_GENERATIONS_LOAD,
                 .arena = nm_arena_create(LOAD_ARENA_MAX_BYTES) },
  };
  return keeper->load.request.arena ? nm_store_submit(keeper->env.store, &keeper->load.request)
                                    : NM_ENOMEM;
}

static void on_loaded(struct nm_task *task)
{
  struct nm_store_generations_load *load = (struct nm_store_generations_load *)(void *)task;
  struct nm_rules_keeper *keeper =
      (struct nm_rules_keeper *)(void *)((char *)load - offsetof(struct nm_rules_keeper, load));
  struct nm_error error = { 0 };

  if (load->request.rc == NM_ENOMEM && keeper->loads < LOADS_MAX && !keeper->is_closing) {
    nm_arena_destroy(load->request.arena);
    if (load_generations(keeper) == NM_OK) return;
    load->request.rc = nm_fail(&load->request.error, NM_ENOMEM, "out of memory");
  }
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
  if (keeper->is_closing) nm_rules_keeper_try_to_close(keeper);
  else answer_waiters(keeper);
}

int nm_rules_keeper_open(struct nm_rules_keeper **out, const struct nm_rules_keeper_env *env,
                         struct nm_error *err)
{
  struct nm_rules_keeper *keeper = calloc(1, sizeof *keeper);
  if (!keeper) return nm_fail(err, NM_ENOMEM, "out of memory");
  keeper->env = *env;
  keeper->is_loading = true;
  int rc = load_generations(keeper);
  if (rc) {
    nm_arena_destroy(keeper->load.request.arena);
    free(keeper);
    return nm_fail(err, rc, "the store takes no request: %s", nm_code_name(rc));
  }
  *out = keeper;
  return NM_OK;
}

void nm_rules_keeper_try_to_close(struct nm_rules_keeper *keeper)
{
  if (keeper->saves > 0 || keeper->is_loading || !keeper->is_folder_closed) return;
  while (keeper->files) {
    struct nm_rules_kept *file = keeper->files;
    keeper->files = file->next;
    nm_generation_unref(file->waiting);
    json_decref(file->verdict);
    free(file->name);
    free(file);
  }
  while (keeper->waiters) {
    struct nm_rules_waiter *waiter = keeper->waiters;
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
  nm_rules_keeper_try_to_close(keeper);
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
    nm_rules_keeper_try_to_close(keeper);
  }
}
