/* admin_rules.c - generations of rules: which there are, which serves, publishing another, and
 * going back to an older one. */
#include "api/internal.h"

enum { ROLLBACK_MS = 30 * 1000, PUBLISH_MS = 30 * 1000, STATUS_MS = 1000 };

/* ---- looking --------------------------------------------------------------------------------- */

/* For If-Match: which one of a tenant's generations serves; empty where the list is of several. */
static struct nm_text tag_of(struct nm_http_request *request, const json_t *answer)
{
  struct nm_text digest = NM_TEXT("none");
  json_t *item;
  size_t i;
  if (!json_object_get(answer, "tenant")) return NM_TEXT("");
  json_array_foreach(json_object_get(answer, "items"), i, item)
    if (json_is_true(json_object_get(item, "is_active"))) digest = nm_json_string(item, "digest");
  return nm_arena_printf(nm_http_arena(request), "\"%.*s\"", NM_TEXT_ARG(digest));
}

/* The engine's view of the generations that serve, put beside what the store knows of them.  Where
 * the engine does not answer, the list goes out without. */
static void on_engine_status(struct nm_api *api, struct nm_http_request *request, void *data,
                             int rc, const struct nm_error *err, json_t *engine)
{
  json_t *answer = data, *item, *row;
  size_t i, j;
  (void)api;
  (void)err;
  (void)rc;
  json_array_foreach(json_object_get(answer, "items"), i, item)
  {
    if (!json_is_true(json_object_get(item, "is_active"))) continue;
    struct nm_text id = nm_json_string(item, "id");
    json_array_foreach(json_object_get(engine, "generations"), j, row)
    {
      json_t *cost = json_object_get(row, "cost"), *why = json_object_get(row, "suspended");
      if (!cost || !nm_text_equal(nm_json_string(row, "id"), id)) continue;
      json_object_set(item, "cost", cost);
      if (why) json_object_set(item, "suspended", why);
    }
  }
  json_decref(engine);
  nm_api_answer_tagged(request, 200, answer, tag_of(request, answer));
}

static void answer_with_costs(struct nm_api *api, struct nm_http_request *request, json_t *answer)
{
  nm_api_tell(api, request,
              &(struct nm_api_question){ .verb = NM_CONTROL_STATUS, .args = json_object(),
                                         .timeout_ms = STATUS_MS, .then = on_engine_status,
                                         .data = answer });
}

static void on_listed(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                      const struct nm_error *err, json_t *answer)
{
  (void)data;
  if (rc || !answer) {
    json_decref(answer);
    nm_api_refuse(request, rc ? rc : NM_EINTERNAL, err);
    return;
  }
  if (json_is_array(answer)) answer = json_pack("{s:o}", "items", answer);
  answer_with_costs(api, request, answer);
}

void nm_api_rules(struct nm_http_request *request, void *data)
{
  json_t *args =
      json_pack("{s:i,s:I}", "limit", 1000, "tenant_id", (json_int_t)nm_api_scope(request));
  nm_api_query(data, request, NM_QUERY_GENERATIONS, args, on_listed, NULL);
}

struct showing {
  struct nm_store_generations_load load; /* first: its task is how this is found again */
  struct nm_api *api;
  struct nm_http_request *http;
  struct nm_text tenant;
};

static void on_loaded(struct nm_task *task)
{
  struct showing *showing = (struct showing *)(void *)task;
  json_t *items = json_array();
  if (showing->load.request.rc) {
    json_decref(items);
    nm_api_refuse(showing->http, showing->load.request.rc, &showing->load.request.error);
    return;
  }
  for (size_t i = 0; i < showing->load.count; i++) {
    const struct nm_store_generation *g = &showing->load.generations[i];
    json_t *item = json_object();
    int rc = nm_json_set_id(item, "id", g->id);
    if (!rc) rc = nm_json_set_text(item, "digest", g->digest);
    if (!rc) rc = nm_json_set_text(item, "pinned_over", g->pinned_over);
    if (!rc) rc = nm_json_set_text(item, "source", g->source);
    json_object_set_new(item, "is_active", json_boolean(g->is_active));
    json_object_set_new(item, "created_at_ms", json_integer(g->created_at_ms));
    json_array_append_new(items, item);
    if (rc) break;
  }
  json_t *answer = json_pack("{s:s%,s:o}", "tenant", showing->tenant.ptr, showing->tenant.len,
                             "items", items);
  answer_with_costs(showing->api, showing->http, answer);
}

void nm_api_rules_show(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  struct nm_tenant *tenant = nm_api_named_tenant(api, request);
  if (!tenant) return;
  struct showing *showing = nm_arena_alloc(nm_http_arena(request), sizeof *showing);
  if (!showing) {
    nm_tenant_unref(tenant);
    nm_api_refuse(request, NM_ENOMEM, NULL);
    return;
  }
  showing->api = api;
  showing->http = request;
  showing->tenant = nm_arena_copy(nm_http_arena(request), tenant->name);
  nm_api_prepare(api, request, &showing->load.request, NM_STORE_GENERATIONS_LOAD, on_loaded);
  showing->load.tenant_id = tenant->id;
  nm_tenant_unref(tenant);
  int rc = nm_store_submit(api->env.store, &showing->load.request);
  if (rc) nm_api_refuse(request, rc, NULL);
}

/* ---- publish --------------------------------------------------------------------------------- */

static void on_published(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                         const struct nm_error *err, json_t *answer)
{
  struct nm_text status = nm_json_string(answer, "status");
  (void)api;
  (void)data;
  if (rc) {
    nm_api_refuse(request, rc, err);
  } else if (nm_text_equal(status, NM_TEXT("changed"))) {
    nm_http_refuse(request, 412, "changed_meanwhile",
                   "other rules serve now; nothing was changed: look at them and try again",
                   "If-Match", 0);
  } else {
    struct nm_text digest = nm_json_string(answer, "digest");
    struct nm_text tag = NM_TEXT("");
    if (nm_text_equal(status, NM_TEXT("active")))
      tag = nm_arena_printf(nm_http_arena(request), "\"%.*s\"", NM_TEXT_ARG(digest));
    if (nm_text_equal(status, NM_TEXT("refused"))) nm_api_audit_refused(request, 422);
    nm_api_audit_note(request, nm_json_string(answer, "was"), digest, NULL);
    nm_api_answer_tagged(request, 200, json_incref(answer), tag);
  }
  json_decref(answer);
}

/* The digest in If-Match; empty where any will do. */
static struct nm_text wanted_digest(struct nm_http_request *request)
{
  struct nm_text tag = nm_text_trim(nm_http_header(request, "If-Match"));
  if (nm_text_equal(tag, NM_TEXT("*"))) return NM_TEXT("");
  if (tag.len >= 2 && tag.ptr[0] == '"' && tag.ptr[tag.len - 1] == '"')
    return (struct nm_text){ tag.ptr + 1, tag.len - 2 };
  return tag;
}

void nm_api_rules_publish(struct nm_http_request *request, void *data)
{
  struct nm_text tenant = nm_http_param(request, "tenant"), digest = wanted_digest(request);
  bool is_dry = nm_api_is_asked(request, "dry_run");
  json_t *body = nm_api_body(request);
  if (!body) return;
  json_t *source = json_object_get(body, "source");
  if (!json_is_string(source) || json_object_size(body) != 1) {
    nm_http_refuse(request, 400, "invalid", "expected {\"source\": the text of the rules}",
                   "source", 0);
  } else {
    json_t *args =
        json_pack("{s:s%,s:O,s:s%,s:b}", "tenant", tenant.ptr, tenant.len, "source", source,
                  "if_digest", digest.ptr ? digest.ptr : "", digest.len, "dry_run", is_dry);
    nm_api_tell(data, request,
                &(struct nm_api_question){ .verb = NM_CONTROL_PUBLISH, .args = args,
                                           .timeout_ms = PUBLISH_MS, .then = on_published });
  }
  json_decref(body);
}

/* ---- rollback -------------------------------------------------------------------------------- */

static void on_rolled_back(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                           const struct nm_error *err, json_t *answer)
{
  if (!rc)
    nm_api_audit_note(request, nm_json_string(answer, "was"), nm_json_string(answer, "digest"),
                      NULL);
  nm_api_answer_told(api, request, data, rc, err, answer);
}

void nm_api_rules_rollback(struct nm_http_request *request, void *data)
{
  struct nm_text generation = nm_http_query(request, "generation");
  struct nm_text tenant = nm_http_param(request, "tenant");
  int64_t id = 0;
  if (generation.len > 0 && (!nm_text_to_i64(generation, &id) || id <= 0)) {
    nm_http_refuse(request, 400, "invalid", "generation should be an id", "generation", 0);
    return;
  }
  json_t *args = json_pack("{s:s%,s:I}", "tenant", tenant.ptr, tenant.len, "generation",
                           (json_int_t)id);
  nm_api_tell(data, request,
              &(struct nm_api_question){ .verb = NM_CONTROL_ROLLBACK, .args = args,
                                         .timeout_ms = ROLLBACK_MS, .then = on_rolled_back });
}
