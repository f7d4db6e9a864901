/* admin_tenants.c - tenants as code: list, show, save.
 *
 * A save goes: read, check, ask Optimove whether it takes the key, seal, store, swap in, tell the engine, and wait
 * for its word on the listeners. */
#include <stdlib.h>

#include "adapters/adapter.h"
#include "api/internal.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

enum { KEY_WAIT_MS = 10 * 1000, ARENA_MAX_BYTES = 8 * 1024 * 1024 };

/* ---- list and show ---------------------------------------------------------------------------------- */

static json_t *summary_of(const struct nm_tenant *tenant)
{
  const char *status = !tenant->connector.is_present ? "none" : tenant->connector.is_active ? "ACTIVE" : "INACTIVE";
  json_t *providers = json_array();
  for (size_t i = 0; i < tenant->provider_count; i++)
    json_array_append_new(providers, json_stringn(tenant->providers[i].name.ptr, tenant->providers[i].name.len));
  json_t *out = json_pack("{s:s%,s:s%,s:I,s:s,s:i,s:i,s:o}", "name", tenant->name.ptr, tenant->name.len, "app_key",
                          tenant->app_key.ptr, tenant->app_key.len, "version", (json_int_t)tenant->version,
                          "connector", status, "channels", (int)tenant->connector.channel_count, "hooks",
                          (int)tenant->hook_count, "providers", providers);
  if (out && nm_json_set_id(out, "id", tenant->id)) {
    json_decref(out);
    return NULL;
  }
  return out;
}

void nm_api_tenants(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  size_t count = 0;
  struct nm_tenant **all = nm_tenants_all(api->env.tenants, nm_http_arena(request), &count);
  json_t *items = json_array();
  for (size_t i = 0; i < count; i++) {
    if (nm_api_may_see(request, all[i]->id)) json_array_append_new(items, summary_of(all[i]));
    nm_tenant_unref(all[i]);
  }
  nm_api_answer(request, 200, json_pack("{s:o}", "items", items));
}

/* A reference, or NULL after the 404 was given. */
static struct nm_tenant *named(struct nm_api *api, struct nm_http_request *request)
{
  struct nm_tenant *tenant = nm_tenants_by_name(api->env.tenants, nm_http_param(request, "tenant"));
  if (!tenant) nm_http_refuse(request, 404, "not_found", "there is no tenant of this name", "tenant", 0);
  return tenant;
}

static void show(struct nm_api *api, struct nm_http_request *request)
{
  struct nm_tenant *tenant = named(api, request);
  if (!tenant) return;
  json_t *out = summary_of(tenant), *document = nm_tenant_public(tenant);
  nm_tenant_unref(tenant);
  if (out && document && json_object_set(out, "document", document)) {
    json_decref(out);
    out = NULL;
  }
  json_decref(document);
  nm_api_answer(request, 200, out);
}

/* ---- save ------------------------------------------------------------------------------------------------ */

struct saving {
  struct nm_store_tenant_save save; /* first: its task is how this is found again */
  struct nm_api *api;
  struct nm_http_request *http;
  struct nm_tenant *old, *fresh;
  json_t *answer;      /* {tenant, is_new, changes, done, todo, warnings, status} */
  int64_t deadline_ms; /* monotonic */
};

/* Answers with the status and ends. */
static void finish(struct saving *saving, int http_status, const char *status)
{
  json_t *answer = saving->answer;
  struct nm_http_request *http = saving->http;
  saving->answer = NULL;
  if (answer) json_object_set_new(answer, "status", json_string(status));
  nm_tenant_unref(saving->old);
  nm_tenant_unref(saving->fresh);
  nm_api_answer(http, http_status, answer);
}

static void refuse(struct saving *saving, int rc, const struct nm_error *err)
{
  struct nm_http_request *http = saving->http;
  json_decref(saving->answer);
  nm_tenant_unref(saving->old);
  nm_tenant_unref(saving->fresh);
  nm_api_refuse(http, rc, err);
}

static void warn(struct saving *saving, const char *text)
{
  json_array_append_new(json_object_get(saving->answer, "warnings"), json_string(text));
}

static void on_reconciled(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                          const struct nm_error *err, json_t *report)
{
  static const char *const keys[] = { "done", "todo", "warnings" };
  struct saving *saving = data;
  (void)api;
  (void)request;
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    json_t *lines = json_object_get(report, keys[i]);
    if (json_is_array(lines)) json_array_extend(json_object_get(saving->answer, keys[i]), lines);
  }
  bool is_settled = rc == NM_OK && !json_is_false(json_object_get(report, "settled"));
  json_decref(report);
  if (rc && err && err->text[0]) warn(saving, err->text);
  else if (rc) warn(saving, "saved, but the engine could not be told now; it looks again at the next start");
  if (json_array_size(json_object_get(saving->answer, "todo")) > 0) is_settled = false;
  finish(saving, 200, is_settled ? "applied" : "pending");
}

static void on_saved(struct nm_task *task)
{
  struct saving *saving = (struct saving *)(void *)task;
  struct nm_api *api = saving->api;
  struct nm_log_ids ids = { .tenant = saving->fresh->name };
  int rc = saving->save.request.rc;
  if (rc) {
    refuse(saving, rc, &saving->save.request.error);
    return;
  }
  saving->fresh->id = saving->save.tenant.id;
  saving->fresh->version = saving->save.tenant.version;
  rc = nm_tenants_put(api->env.tenants, nm_tenant_ref(saving->fresh));
  if (rc) warn(saving, "saved, but it serves only after a restart");
  nm_log(NM_LOG_INFO, "api", &ids, "tenant saved: version %lld, %zu changes",
         (long long)saving->fresh->version, json_array_size(json_object_get(saving->answer, "changes")));
  json_t *args = json_pack("{s:s%}", "tenant", saving->fresh->name.ptr, saving->fresh->name.len);
  nm_api_tell(api, saving->http, NM_CONTROL_TENANT_SAVED, args, saving->deadline_ms - nm_clock_mono_ms(),
              on_reconciled, saving);
}

static void store(struct saving *saving)
{
  struct nm_tenant *fresh = saving->fresh;
  struct nm_text sealed;
  nm_api_prepare(saving->api, saving->http, &saving->save.request, NM_STORE_TENANT_SAVE, on_saved);
  int rc = nm_keyring_seal(saving->api->env.keyring, fresh, nm_http_arena(saving->http), &sealed);
  if (rc == NM_OK) {
    saving->save.tenant = (struct nm_store_tenant){ .name = fresh->name, .app_key = fresh->app_key,
                                                    .sealed = sealed };
    rc = nm_store_submit(saving->api->env.store, &saving->save.request);
  }
  if (rc) refuse(saving, rc, NULL);
}

/* Only a refused key refuses the save; every other answer, and none, goes on with it. */
static void on_key_tried(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                         const struct nm_error *err, json_t *answer)
{
  struct saving *saving = data;
  (void)api;
  (void)request;
  (void)err;
  json_decref(answer);
  if (rc != NM_EDENIED) {
    store(saving);
    return;
  }
  warn(saving, "not saved: Optimove refuses this key (401): it is mistyped, disabled, or of another account "
               "than baseUrl");
  finish(saving, 200, "refused");
}

/* The engine asks, within the window of calls that the key has there. */
static void try_key(struct saving *saving)
{
  nm_api_tell_about(saving->api, saving->http, NM_CONTROL_CONNECTOR_TEST, json_pack("{s:b}", "only_key", 1),
                    saving->fresh, KEY_WAIT_MS, on_key_tried, saving);
}

/* A key that is in use already is looked at by the engine. */
static bool is_key_news(const struct saving *saving)
{
  const struct nm_tenant_connector *fresh = &saving->fresh->connector;
  const struct nm_tenant_connector *old = saving->old ? &saving->old->connector : NULL;
  if (!fresh->is_present || !fresh->is_active) return false;
  return !old || !old->is_present || !nm_text_equal(old->api_key, fresh->api_key) ||
         !nm_text_equal(old->base_url, fresh->base_url);
}

/* Every problem of the document in one answer. */
static void answer_problems(struct nm_http_request *request, const struct nm_problems *problems)
{
  json_t *lines = json_array();
  for (const struct nm_problem *problem = problems->first; problem; problem = problem->next)
    json_array_append_new(lines, json_stringn(problem->text.ptr, problem->text.len));
  nm_api_answer(request, 400, json_pack("{s:{s:s,s:s},s:o}", "error", "code", "invalid", "message",
                                        "the tenant's document is not right", "problems", lines));
}

/* The tenant of the body; NULL after a refusal. */
static struct nm_tenant *read_tenant(struct nm_http_request *request, const struct nm_tenant *old)
{
  struct nm_tenant *fresh = NULL;
  json_t *document = nm_api_body(request);
  if (!document) return NULL;
  struct nm_problems problems = { .arena = nm_arena_create(ARENA_MAX_BYTES) };
  int rc = problems.arena ? NM_OK : NM_ENOMEM;
  if (rc == NM_OK && old) rc = nm_tenant_carry(document, old);
  if (rc == NM_OK) {
    struct nm_text name = nm_http_param(request, "tenant"), given = nm_json_string(document, "name");
    rc = nm_tenant_parse(&fresh, document, "tenant", false, nm_api_check_provider, &problems);
    if (rc == NM_OK && !nm_text_equal(name, given)) {
      nm_problems_add(&problems, "tenant: name: \"%.*s\" is not the name in the path", NM_TEXT_ARG(given));
      nm_tenant_unref(fresh);
      rc = NM_EINVAL;
    }
  }
  json_decref(document);
  if (rc == NM_EINVAL) answer_problems(request, &problems);
  else if (rc) nm_api_refuse(request, rc, NULL);
  nm_arena_destroy(problems.arena);
  return rc ? NULL : fresh;
}

/* A provider in a channel's chain whose adapter cannot carry that channel. */
static void warn_of_chains(struct saving *saving)
{
  const struct nm_tenant *fresh = saving->fresh;
  for (int kind = NM_CHANNEL_PUSH; kind < NM_CHANNEL_COUNT; kind++)
    for (size_t i = 0; i < fresh->chain_counts[kind]; i++) {
      struct nm_text name = fresh->chains[kind][i];
      const struct nm_tenant_provider *provider = nm_tenant_find_provider(fresh, name);
      const struct nm_adapter *adapter = provider ? nm_adapter_find(provider->adapter) : NULL;
      if (!adapter || (adapter->channels & 1u << kind)) continue;
      struct nm_text line = nm_arena_printf(nm_http_arena(saving->http), "channels.%s: provider %.*s (%s) cannot carry it",
                                            nm_channel_name((enum nm_channel)kind), NM_TEXT_ARG(name), adapter->name);
      if (line.ptr) warn(saving, line.ptr);
    }
}

static struct saving *begin(struct nm_api *api, struct nm_http_request *request, struct nm_tenant *old,
                            struct nm_tenant *fresh)
{
  struct saving *saving = nm_arena_alloc(nm_http_arena(request), sizeof *saving);
  nm_require(saving != NULL); /* the arena of a request holds far more than its body */
  *saving = (struct saving){ .api = api, .http = request, .old = old, .fresh = fresh,
                             .deadline_ms = nm_clock_mono_ms() + NM_CONNECTOR_APPLY_MAX_MS };
  saving->answer = json_pack("{s:s%,s:b,s:o,s:[],s:[],s:[]}", "tenant", fresh->name.ptr, fresh->name.len, "is_new",
                             old == NULL, "changes", nm_tenant_changes(old, fresh), "done", "todo", "warnings");
  return saving;
}

void nm_api_store_tenant(struct nm_api *api, struct nm_http_request *request, struct nm_tenant *old,
                         struct nm_tenant *fresh)
{
  struct saving *saving = begin(api, request, old, fresh);
  if (saving->answer) store(saving);
  else refuse(saving, NM_ENOMEM, NULL);
}

static void save(struct nm_api *api, struct nm_http_request *request)
{
  struct nm_tenant *old = nm_tenants_by_name(api->env.tenants, nm_http_param(request, "tenant"));
  struct nm_tenant *fresh = read_tenant(request, old);
  if (!fresh) {
    nm_tenant_unref(old);
    return;
  }
  struct saving *saving = begin(api, request, old, fresh);
  if (saving->answer) warn_of_chains(saving);
  if (!saving->answer) refuse(saving, NM_ENOMEM, NULL);
  else if (nm_text_equal(nm_http_query(request, "dry_run"), NM_TEXT("1"))) finish(saving, 200, "dry_run");
  else if (is_key_news(saving)) try_key(saving);
  else store(saving);
}

void nm_api_tenant(struct nm_http_request *request, void *data)
{
  if (nm_http_method(request) == NM_HTTP_PUT) save(data, request);
  else show(data, request);
}
