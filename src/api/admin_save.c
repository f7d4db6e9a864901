/* admin_save.c - a tenant is saved, whole or its connector or hooks alone.
 *
 * Read, check, look whether it still is what the caller had in hand (If-Match), ask Optimove
 * whether it takes the key and knows the channels, seal, store in one step with the end of the
 * audit line, swap in, tell the engine, and wait for its word on the listeners. */
#include <sodium.h>
#include <stdlib.h>

#include "adapters/adapter.h"
#include "api/internal.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

enum { KEY_WAIT_MS = 15 * 1000, ARENA_MAX_BYTES = 8 * 1024 * 1024, MARK_BYTES = 16 };

struct saving {
  struct nm_store_tenant_save save; /* first: its task is how this is found again */
  struct nm_api *api;
  struct nm_http_request *http;
  struct nm_tenant *old, *fresh;
  bool has_condition;  /* If-Match: its failure is a 412 */
  json_t *answer;      /* {tenant, is_new, changes, done, todo, warnings, status} */
  int64_t deadline_ms; /* monotonic */
};

/* Answers with the status and ends. */
static void finish(struct saving *saving, int http_status, const char *status)
{
  json_t *answer = saving->answer;
  struct nm_http_request *http = saving->http;
  saving->answer = NULL;
  struct nm_text tag = NM_TEXT("");
  if (answer)
    json_object_set_new(answer, "status", json_string(status));
  if (answer && saving->fresh->version > 0) {
    json_object_set_new(answer, "version", json_integer(saving->fresh->version));
    tag = nm_api_etag(http, saving->fresh);
  }
  nm_tenant_unref(saving->old);
  nm_tenant_unref(saving->fresh);
  nm_api_answer_tagged(http, http_status, answer, tag);
}

static void drop(struct saving *saving)
{
  json_decref(saving->answer);
  nm_tenant_unref(saving->old);
  nm_tenant_unref(saving->fresh);
}

static void refuse(struct saving *saving, int rc, const struct nm_error *err)
{
  struct nm_http_request *http = saving->http;
  drop(saving);
  nm_api_refuse(http, rc, err);
}

static void refuse_stale(struct nm_http_request *request, const char *message)
{
  nm_http_refuse(request, 412, "changed_meanwhile", message, "If-Match", 0);
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
  (void)request;
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    json_t *lines = json_object_get(report, keys[i]);
    if (json_is_array(lines))
      json_array_extend(json_object_get(saving->answer, keys[i]), lines);
  }
  bool is_settled = rc == NM_OK && !json_is_false(json_object_get(report, "settled"));
  bool is_removed = json_is_true(json_object_get(report, "removed"));
  json_decref(report);
  if (rc && err && err->text[0])
    warn(saving, err->text);
  else if (rc)
    warn(saving, "saved, but the engine could not be told now; it looks again at the next start");
  if (json_array_size(json_object_get(saving->answer, "todo")) > 0)
    is_settled = false;
  if (is_removed)
    nm_api_tokens_drop_tenant(api, saving->fresh->id);
  finish(saving, 200,
         is_removed                                 ? "removed"
         : is_settled && !saving->fresh->is_leaving ? "applied"
                                                    : "pending");
}

static void on_saved(struct nm_task *task)
{
  struct saving *saving = (struct saving *)(void *)task;
  struct nm_api *api = saving->api;
  struct nm_log_ids ids = { .tenant = saving->fresh->name };
  int rc = saving->save.request.rc;
  if (rc && saving->save.is_stale && saving->has_condition) {
    drop(saving);
    refuse_stale(saving->http, saving->save.request.error.text);
    return;
  }
  if (rc) {
    refuse(saving, rc, &saving->save.request.error);
    return;
  }
  saving->fresh->id = saving->save.tenant.id;
  saving->fresh->version = saving->save.tenant.version;
  rc = nm_tenants_put(api->env.tenants, nm_tenant_ref(saving->fresh));
  if (rc)
    warn(saving, "saved, but it serves only after a restart");
  nm_log(NM_LOG_INFO, "api", &ids, "tenant saved: version %lld, %zu changes",
         (long long)saving->fresh->version,
         json_array_size(json_object_get(saving->answer, "changes")));
  json_t *args = json_pack("{s:s%}", "tenant", saving->fresh->name.ptr, saving->fresh->name.len);
  nm_api_tell(api, saving->http,
              &(struct nm_api_question){ .verb = NM_CONTROL_TENANT_SAVED, .args = args,
                                         .timeout_ms = saving->deadline_ms - nm_clock_mono_ms(),
                                         .then = on_reconciled, .data = saving });
}

/* "version 3, 9f86d081..." of what people may see. */
static struct nm_text mark_of(struct nm_arena *arena, const struct nm_tenant *tenant,
                              int64_t version)
{
  unsigned char digest[MARK_BYTES];
  char hex[2 * MARK_BYTES + 1];
  json_t *document = nm_tenant_public(tenant);
  struct nm_text text = document ? nm_json_text(arena, document) : NM_TEXT("");
  json_decref(document);
  crypto_generichash(digest, sizeof digest, (const unsigned char *)text.ptr, text.len, NULL, 0);
  sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
  return nm_arena_printf(arena, "version %lld, %s", (long long)version, hex);
}

static void note(struct saving *saving)
{
  struct nm_arena *arena = nm_http_arena(saving->http);
  struct nm_text was = NM_TEXT("");
  int64_t version = saving->old ? saving->old->version : 0;
  if (saving->old)
    was = mark_of(arena, saving->old, version);
  nm_api_audit_note(saving->http, was, mark_of(arena, saving->fresh, version + 1),
                    json_object_get(saving->answer, "changes"));
  nm_api_audit_tenant(saving->http, &saving->save.tenant.id);
  nm_api_audit_with(saving->http, &saving->save.request);
}

static void store(struct saving *saving)
{
  struct nm_tenant *fresh = saving->fresh;
  struct nm_text sealed;
  nm_api_prepare(saving->api, saving->http, &saving->save.request, NM_STORE_TENANT_SAVE, on_saved);
  int rc = nm_keyring_seal(saving->api->env.keyring, fresh, nm_http_arena(saving->http), &sealed);
  if (rc == NM_OK) {
    saving->save.tenant = (struct nm_store_tenant){ .name = fresh->name,
                                                    .app_key = fresh->app_key,
                                                    .sealed = sealed };
    saving->save.retires_account = saving->old && nm_tenant_has_left(saving->old, fresh);
    saving->save.keeps_host = saving->old && nm_text_equal(saving->old->connector.base_url,
                                                           fresh->connector.base_url);
    saving->save.if_id = saving->old ? saving->old->id : 0;
    saving->save.if_version = saving->old ? saving->old->version : -1;
    note(saving);
    rc = nm_store_submit(saving->api->env.store, &saving->save.request);
  }
  if (rc)
    refuse(saving, rc, NULL);
}

/* Not saved, with a line for each reason. */
static void end_refused(struct saving *saving)
{
  nm_api_audit_refused(saving->http, 422);
  finish(saving, 200, "refused");
}

/* What Optimove definitely says against it: an address that may not be called, a refused key,
 * channels that it does not know.  No answer, or one that this key may not have, is no reason. */
static void on_tried(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                     const struct nm_error *err, json_t *answer)
{
  struct saving *saving = data;
  json_t *reasons = json_object_get(answer, "reasons"), *line;
  bool is_forced = nm_api_is_asked(request, "force");
  size_t i;
  (void)api;
  (void)err;
  json_array_foreach(reasons, i, line)
  {
    struct nm_text text = nm_arena_printf(nm_http_arena(request), "%s%s",
                                          is_forced ? "" : "not saved: ", json_string_value(line));
    warn(saving, text.ptr ? text.ptr : "not saved");
  }
  bool is_refused = rc == NM_EDENIED || (json_array_size(reasons) > 0 && !is_forced);
  json_decref(answer);
  if (rc == NM_EDENIED)
    warn(saving, "not saved: Optimove refuses this key (401): it is mistyped, disabled, or of "
                 "another account "
                 "than baseUrl");
  if (is_refused)
    end_refused(saving);
  else
    store(saving);
}

/* The engine asks, within the window of calls that the key has there. */
static void try_connector(struct saving *saving)
{
  nm_api_tell(saving->api, saving->http,
              &(struct nm_api_question){ .verb = NM_CONTROL_CONNECTOR_TEST,
                                         .args = json_pack("{s:b}", "for_save", 1),
                                         .about = saving->fresh, .timeout_ms = KEY_WAIT_MS,
                                         .then = on_tried, .data = saving });
}

static bool are_channels_same(const struct nm_tenant_connector *a,
                              const struct nm_tenant_connector *b)
{
  if (a->channel_count != b->channel_count)
    return false;
  for (size_t i = 0; i < a->channel_count; i++)
    if (a->channels[i].id != b->channels[i].id)
      return false;
  return true;
}

/* What is in use already is looked at by the engine. */
static bool is_news(const struct saving *saving)
{
  const struct nm_tenant_connector *fresh = &saving->fresh->connector;
  const struct nm_tenant_connector *old = saving->old ? &saving->old->connector : NULL;
  if (!fresh->is_present || !fresh->is_active)
    return false;
  return !old || !old->is_present || !nm_text_equal(old->api_key, fresh->api_key) ||
         !nm_text_equal(old->base_url, fresh->base_url) || !old->is_active ||
         !are_channels_same(old, fresh);
}

/* Every problem of the document in one answer. */
static void answer_problems(struct nm_http_request *request, const struct nm_problems *problems)
{
  json_t *lines = json_array();
  for (const struct nm_problem *problem = problems->first; problem; problem = problem->next)
    json_array_append_new(lines, json_stringn(problem->text.ptr, problem->text.len));
  nm_api_answer(request, 400,
                json_pack("{s:{s:s,s:s},s:o}", "error", "code", "invalid", "message",
                          "the tenant's document is not right", "problems", lines));
}

/* Parses what the tenant is to be; NULL after a refusal.  Takes document. */
static struct nm_tenant *parse(struct nm_http_request *request, const struct nm_tenant *old,
                               json_t *document)
{
  struct nm_tenant *fresh = NULL;
  struct nm_problems problems = { .arena = nm_arena_create(ARENA_MAX_BYTES) };
  int rc = problems.arena && document ? NM_OK : NM_ENOMEM;
  if (rc == NM_OK && old)
    rc = nm_tenant_carry(document, old);
  if (rc == NM_OK && json_object_get(document, "removing")) {
    nm_problems_add(&problems, "tenant: removing: is kept by the daemon; leave it out");
    rc = NM_EINVAL;
  }
  if (rc == NM_OK) {
    struct nm_text name = nm_http_param(request, "tenant"),
                   given = nm_json_string(document, "name");
    rc = nm_tenant_parse(&fresh, document, "tenant", false, nm_api_check_provider, &problems);
    if (rc == NM_OK && !nm_text_equal(name, given)) {
      nm_problems_add(&problems, "tenant: name: \"%.*s\" is not the name in the path",
                      NM_TEXT_ARG(given));
      nm_tenant_unref(fresh);
      rc = NM_EINVAL;
    }
  }
  json_decref(document);
  if (rc == NM_EINVAL)
    answer_problems(request, &problems);
  else if (rc)
    nm_api_refuse(request, rc, NULL);
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
      if (!adapter || (adapter->channels & 1u << kind))
        continue;
      struct nm_text line = nm_arena_printf(
          nm_http_arena(saving->http), "channels.%s: provider %.*s (%s) cannot carry it",
          nm_channel_name((enum nm_channel)kind), NM_TEXT_ARG(name), adapter->name);
      if (line.ptr)
        warn(saving, line.ptr);
    }
}

/* ---- conditions ------------------------------------------------------------------------------ */

static bool names_tag(struct nm_text list, struct nm_text tag)
{
  struct nm_text one;
  while (list.len > 0) {
    nm_text_cut(list, ',', &one, &list);
    if (nm_text_equal(nm_text_trim(one), tag))
      return true;
  }
  return false;
}

/* If-Match and If-None-Match; false after the 412. */
static bool check_conditions(struct nm_http_request *request, const struct nm_tenant *old)
{
  struct nm_text match = nm_http_header(request, "If-Match"),
                 none = nm_http_header(request, "If-None-Match");
  struct nm_text tag = old ? nm_api_etag(request, old) : NM_TEXT("");
  bool is_any = nm_text_equal(nm_text_trim(match), NM_TEXT("*"));
  if (match.len > 0 && (!old || !(is_any || names_tag(match, tag)))) {
    refuse_stale(
        request,
        old ? "somebody else saved it meanwhile; nothing was changed: look at it and try again"
            : "there is no such tenant any more");
    return false;
  }
  if (none.len > 0 && old &&
      (nm_text_equal(nm_text_trim(none), NM_TEXT("*")) || names_tag(none, tag))) {
    nm_http_refuse(request, 412, "exists", "there is such a tenant already", "If-None-Match", 0);
    return false;
  }
  if (!old || !old->is_leaving)
    return true;
  nm_http_refuse(request, 409, "leaving", "the tenant is being removed", "tenant", 0);
  return false;
}

/* ---- the requests ---------------------------------------------------------------------------- */

static struct saving *begin(struct nm_api *api, struct nm_http_request *request,
                            struct nm_tenant *old, struct nm_tenant *fresh)
{
  struct saving *saving = nm_arena_alloc(nm_http_arena(request), sizeof *saving);
  nm_require(saving != NULL); /* the arena of a request holds far more than its body */
  *saving = (struct saving){ .api = api,
                             .http = request,
                             .old = old,
                             .fresh = fresh,
                             .has_condition = nm_http_header(request, "If-Match").len > 0,
                             .deadline_ms = nm_clock_mono_ms() + NM_CONNECTOR_APPLY_MAX_MS };
  saving->answer = json_pack("{s:s%,s:b,s:o,s:[],s:[],s:[]}", "tenant", fresh->name.ptr,
                             fresh->name.len, "is_new", old == NULL, "changes",
                             nm_tenant_changes(old, fresh), "done", "todo", "warnings");
  return saving;
}

struct nm_tenant *nm_api_tenant_with(struct nm_http_request *request, const struct nm_tenant *old,
                                     const char *key, json_t *value)
{
  struct nm_tenant *fresh = NULL;
  json_t *document = json_deep_copy(old->document);
  struct nm_problems problems = { .arena = nm_arena_create(ARENA_MAX_BYTES) };
  int rc = json_object_set_new(document, key, value) || !problems.arena
               ? NM_ENOMEM
               : nm_tenant_parse(&fresh, document, "tenant", false, NULL, &problems);
  json_decref(document);
  nm_arena_destroy(problems.arena);
  if (!rc)
    return fresh;
  nm_api_refuse(request, rc, NULL);
  return NULL;
}

void nm_api_store_tenant(struct nm_api *api, struct nm_http_request *request, struct nm_tenant *old,
                         struct nm_tenant *fresh)
{
  struct saving *saving = begin(api, request, old, fresh);
  if (saving->answer)
    store(saving);
  else
    refuse(saving, NM_ENOMEM, NULL);
}

/* Takes all three; a document of NULL was refused already. */
static void save(struct nm_api *api, struct nm_http_request *request, struct nm_tenant *old,
                 json_t *document)
{
  struct nm_tenant *fresh = document ? parse(request, old, document) : NULL;
  if (!fresh) {
    nm_tenant_unref(old);
    return;
  }
  struct saving *saving = begin(api, request, old, fresh);
  if (saving->answer)
    warn_of_chains(saving);
  if (!saving->answer)
    refuse(saving, NM_ENOMEM, NULL);
  else if (nm_api_is_asked(request, "dry_run"))
    finish(saving, 200, "dry_run");
  else if (is_news(saving))
    try_connector(saving);
  else
    store(saving);
}

void nm_api_tenant_save(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  struct nm_tenant *old = nm_tenants_by_name(api->env.tenants, nm_http_param(request, "tenant"));
  if (check_conditions(request, old))
    save(api, request, old, nm_api_body(request));
  else
    nm_tenant_unref(old);
}

/* The tenant as it is, but for one part of its document. */
static void save_part(struct nm_api *api, struct nm_http_request *request, const char *key,
                      const char *name)
{
  struct nm_tenant *old = nm_api_named_tenant(api, request);
  if (!old)
    return;
  json_t *body = check_conditions(request, old) ? nm_api_body(request) : NULL;
  json_t *part = name && body ? json_object_get(body, name) : body;
  if (body && !part) {
    nm_http_refuse(request, 400, "invalid", "expected an object with the list under this name",
                   name, 0);
    json_decref(body);
    body = NULL;
  }
  json_t *document = body ? json_deep_copy(old->document) : NULL;
  if (body && (!document || json_object_set(document, key, part))) {
    nm_api_refuse(request, NM_ENOMEM, NULL);
    json_decref(document);
    document = NULL;
  }
  json_decref(body);
  save(api, request, old, document);
}

void nm_api_connector_save(struct nm_http_request *request, void *data)
{
  save_part(data, request, "optimove", NULL);
}

void nm_api_hooks_save(struct nm_http_request *request, void *data)
{
  save_part(data, request, "hooks", "items");
}

/* ---- the end of a tenant --------------------------------------------------------------------- */

/* It is leaving: its document says so, so that a restart goes on with it. */
static struct nm_tenant *make_leaving(struct nm_http_request *request, const struct nm_tenant *old)
{
  return nm_api_tenant_with(request, old, "removing",
                            json_pack("{s:b,s:b}", "force", nm_api_is_asked(request, "force"),
                                      "purge", nm_api_is_asked(request, "purge")));
}

void nm_api_tenant_remove(struct nm_http_request *request, void *data)
{
  struct nm_tenant *old = nm_api_named_tenant(data, request);
  struct nm_tenant *fresh = old ? make_leaving(request, old) : NULL;
  if (!fresh) {
    nm_tenant_unref(old);
  } else if (nm_api_is_asked(request, "dry_run")) {
    struct saving *saving = begin(data, request, old, fresh);
    if (saving->answer)
      finish(saving, 200, "dry_run");
    else
      refuse(saving, NM_ENOMEM, NULL);
  } else {
    nm_api_store_tenant(data, request, old, fresh);
  }
}
