/* admin_things.c - what came in and what became of it, by kind: events, messages, updates,
 * profiles; and the document that tells of every route. */
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"

/* ---- lists ----------------------------------------------------------------------------------- */

void nm_api_events(struct nm_http_request *request, void *data)
{
  nm_api_list(data, request, NM_QUERY_EVENTS);
}

void nm_api_messages(struct nm_http_request *request, void *data)
{
  nm_api_list(data, request, NM_QUERY_MESSAGES);
}

void nm_api_updates(struct nm_http_request *request, void *data)
{
  nm_api_list(data, request, NM_QUERY_UPDATES);
}

/* ---- one of them ----------------------------------------------------------------------------- */

/* The word is a kind of the store's. */
static void on_shown(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                     const struct nm_error *err, json_t *answer)
{
  const char *kind = data;
  (void)api;
  if (!rc && nm_text_equal(nm_json_string(answer, "kind"), nm_text_from(kind))) {
    nm_api_answer(request, 200, answer);
    return;
  }
  json_decref(answer);
  if (rc && rc != NM_ENOTFOUND)
    nm_api_refuse(request, rc, err);
  else
    nm_http_refuse(request, 404, "not_found", "there is none of this id", "id", 0);
}

static void show(struct nm_api *api, struct nm_http_request *request, const char *kind)
{
  int64_t id = nm_api_id(request);
  if (id > 0)
    nm_api_query(api, request, NM_QUERY_SHOW, json_pack("{s:I}", "id", (json_int_t)id), on_shown,
                 (void *)(uintptr_t)kind);
}

void nm_api_event_show(struct nm_http_request *request, void *data)
{
  show(data, request, "event");
}

void nm_api_message_show(struct nm_http_request *request, void *data)
{
  show(data, request, "message");
}

/* ---- profiles -------------------------------------------------------------------------------- */

void nm_api_tenant_profiles(struct nm_http_request *request, void *data)
{
  struct nm_tenant *tenant = nm_api_named_tenant(data, request);
  json_t *args = tenant ? nm_api_list_args(data, request) : NULL;
  if (args) {
    json_object_set_new(args, "tenant_id", json_integer(tenant->id));
    nm_api_query_and_answer(data, request, NM_QUERY_PROFILES, args);
  }
  nm_tenant_unref(tenant);
}

struct profile_call {
  struct nm_store_profiles_load load; /* first: its task is how this is found again */
  struct nm_http_request *http;
  struct nm_store_profile profile;
};

static void on_profile(struct nm_task *task)
{
  struct profile_call *call = (struct profile_call *)(void *)task;
  const struct nm_store_profile *profile = &call->profile;
  json_t *body = NULL;
  if (call->load.request.rc) {
    nm_api_refuse(call->http, call->load.request.rc, &call->load.request.error);
  } else if (profile->version == 0) {
    nm_http_refuse(call->http, 404, "not_found", "there is no profile of this id", "extId", 0);
  } else if (nm_json_parse(&body, profile->body, NULL)) {
    nm_api_refuse(call->http, NM_EINTERNAL, NULL);
  } else {
    json_t *out =
        json_pack("{s:s%,s:o}", "extId", profile->ext_id.ptr, profile->ext_id.len, "profile", body);
    if (out && nm_json_set_id(out, "version", profile->version)) {
      json_decref(out);
      out = NULL;
    }
    nm_api_answer(call->http, 200, out);
  }
}

void nm_api_tenant_profile(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  struct nm_tenant *tenant = nm_api_named_tenant(api, request);
  struct profile_call *call = tenant ? nm_arena_alloc(nm_http_arena(request), sizeof *call) : NULL;
  int64_t tenant_id = tenant ? tenant->id : 0;
  nm_tenant_unref(tenant);
  if (!tenant_id)
    return;
  int rc = NM_ENOMEM;
  if (call) {
    nm_api_prepare(api, request, &call->load.request, NM_STORE_PROFILES_LOAD, on_profile);
    call->http = request;
    call->profile.ext_id = nm_http_param(request, "extId");
    call->load.tenant_id = tenant_id;
    call->load.profiles = &call->profile;
    call->load.count = 1;
    rc = nm_store_submit(api->env.store, &call->load.request);
  }
  if (rc)
    nm_api_refuse(request, rc, NULL);
}

/* ---- the document ---------------------------------------------------------------------------- */

extern const char nm_embedded_openapi[], nm_embedded_openapi_end[];

void nm_api_openapi(struct nm_http_request *request, void *data)
{
  struct nm_text text = { nm_embedded_openapi,
                          (size_t)(nm_embedded_openapi_end - nm_embedded_openapi) };
  (void)data;
  nm_http_respond(request, 200, "application/json", text, NM_TEXT(""));
}
