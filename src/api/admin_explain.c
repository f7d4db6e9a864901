/* admin_explain.c - why: what happened to an id, and what today's rules make of an event. */
#include <stdlib.h>

#include "api/internal.h"
#include "base/limits.h"

enum { EXPLAIN_MS = 10 * 1000 };

/* ---- POST {tenant, event} ---------------------------------------------------------------------------- */

static void answer_explained(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                             const struct nm_error *err, json_t *answer)
{
  (void)api;
  (void)data;
  if (rc) {
    json_decref(answer);
    nm_api_refuse(request, rc, err);
    return;
  }
  nm_api_answer(request, 200, answer ? answer : json_object());
}

void nm_api_explain(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  json_t *body = nm_api_body(request);
  if (!body) return;
  json_t *event = json_object_get(body, "event");
  struct nm_tenant *tenant = nm_tenants_by_name(api->env.tenants, nm_json_string(body, "tenant"));
  if (tenant && json_is_object(event)) {
    json_t *args = json_pack("{s:s%,s:O}", "tenant", tenant->name.ptr, tenant->name.len, "event", event);
    nm_api_tell(api, request, NM_CONTROL_EXPLAIN, args, EXPLAIN_MS, answer_explained, NULL);
  } else if (!tenant) {
    nm_http_refuse(request, 404, "not_found", "there is no tenant of this name", "tenant", 0);
  } else {
    nm_http_refuse(request, 400, "invalid", "event should be an object", "event", 0);
  }
  nm_tenant_unref(tenant);
  json_decref(body);
}

/* ---- GET /{id} --------------------------------------------------------------------------------------------- */

struct explaining {
  json_t *answer; /* what the store shows of the id */
  int64_t id;
};

static void on_rules_asked(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                           const struct nm_error *err, json_t *today)
{
  struct explaining *explaining = data;
  (void)api;
  if (rc == NM_OK && today) json_object_set(explaining->answer, "today", today);
  else if (rc)
    json_object_set_new(explaining->answer, "today",
                        json_pack("{s:s}", "error", err && err->text[0] ? err->text : nm_code_name(rc)));
  json_decref(today);
  nm_api_answer(request, 200, explaining->answer);
}

/* The event as its sender wrote it, for today's rules; a callback has none. */
static json_t *explain_args(const json_t *row)
{
  struct nm_text body = nm_json_string(row, "body"), tenant = nm_json_string(row, "tenant");
  json_t *event = NULL, *whole = json_object_get(row, "body");
  if (tenant.len == 0) return NULL;
  if (json_is_object(whole)) event = json_incref(whole);
  else if (body.len == 0 || nm_json_parse(&event, body, NULL)) return NULL;
  json_t *args = json_pack("{s:s%,s:o}", "tenant", tenant.ptr, tenant.len, "event", event);
  json_t *kind = json_object_get(row, "kind");
  if (args && kind) json_object_set(args, "kind", kind);
  return args;
}

static void on_event(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                     const struct nm_error *err, json_t *row)
{
  struct explaining *explaining = data;
  (void)err;
  json_t *args = rc == NM_OK ? explain_args(row) : NULL;
  json_decref(row);
  if (args) nm_api_tell(api, request, NM_CONTROL_EXPLAIN, args, EXPLAIN_MS, on_rules_asked, explaining);
  else nm_api_answer(request, 200, explaining->answer); /* it is no event: a message, a run, an update */
}

static void on_shown(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                     const struct nm_error *err, json_t *answer)
{
  struct explaining *explaining = data;
  if (rc || !json_is_object(answer)) {
    json_decref(answer);
    nm_api_refuse(request, rc ? rc : NM_EINTERNAL, err);
    return;
  }
  explaining->answer = answer;
  nm_api_query(api, request, NM_QUERY_EVENT, json_pack("{s:I}", "id", (json_int_t)explaining->id), on_event,
               explaining);
}

void nm_api_explain_id(struct nm_http_request *request, void *data)
{
  int64_t id = nm_api_id(request);
  if (id == 0) return;
  struct explaining *explaining = nm_arena_alloc(nm_http_arena(request), sizeof *explaining);
  if (!explaining) {
    nm_api_refuse(request, NM_ENOMEM, NULL);
    return;
  }
  explaining->id = id;
  nm_api_query(data, request, NM_QUERY_SHOW, json_pack("{s:I}", "id", (json_int_t)id), on_shown, explaining);
}
