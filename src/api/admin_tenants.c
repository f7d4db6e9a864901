/* admin_tenants.c - tenants as code: list and show, whole and in parts. */
#include "api/internal.h"

/* ---- list and show --------------------------------------------------------------------------- */

static json_t *summary_of(const struct nm_tenant *tenant)
{
  const char *status = !tenant->connector.is_present ? "none"
                       : tenant->connector.is_active ? "ACTIVE"
                                                     : "INACTIVE";
  json_t *providers = json_array();
  for (size_t i = 0; i < tenant->provider_count; i++)
    json_array_append_new(
        providers, json_stringn(tenant->providers[i].name.ptr, tenant->providers[i].name.len));
  if (tenant->is_leaving)
    status = "leaving";
  json_t *out = json_pack("{s:s%,s:s%,s:I,s:s,s:i,s:i,s:o}", "name", tenant->name.ptr,
                          tenant->name.len, "app_key", tenant->app_key.ptr, tenant->app_key.len,
                          "version", (json_int_t)tenant->version, "connector", status, "channels",
                          (int)tenant->connector.channel_count, "hooks", (int)tenant->hook_count,
                          "providers", providers);
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
    if (nm_api_may_see(request, all[i]->id))
      json_array_append_new(items, summary_of(all[i]));
    nm_tenant_unref(all[i]);
  }
  nm_api_answer(request, 200, json_pack("{s:o}", "items", items));
}

struct nm_tenant *nm_api_find_tenant(struct nm_api *api, struct nm_http_request *request,
                                     struct nm_text name)
{
  struct nm_tenant *tenant = nm_tenants_by_name(api->env.tenants, name);
  if (tenant && nm_api_may_see(request, tenant->id))
    return tenant;
  nm_tenant_unref(tenant);
  nm_api_refuse_tenant(request);
  return NULL;
}

struct nm_tenant *nm_api_named_tenant(struct nm_api *api, struct nm_http_request *request)
{
  return nm_api_find_tenant(api, request, nm_http_param(request, "tenant"));
}

/* ---- parts of it ----------------------------------------------------------------------------- */

struct nm_text nm_api_etag(struct nm_http_request *request, const struct nm_tenant *tenant)
{
  return nm_arena_printf(nm_http_arena(request), "\"%lld-%lld\"", (long long)tenant->id,
                         (long long)tenant->version);
}

/* Answers with the tag of the version that is shown. */
static void answer_tagged(struct nm_http_request *request, const struct nm_tenant *tenant,
                          json_t *value)
{
  nm_api_answer_tagged(request, 200, value, nm_api_etag(request, tenant));
}

void nm_api_tenant_show(struct nm_http_request *request, void *data)
{
  struct nm_tenant *tenant = nm_api_named_tenant(data, request);
  if (!tenant)
    return;
  json_t *out = summary_of(tenant), *document = nm_tenant_public(tenant);
  if (out && document && json_object_set(out, "document", document)) {
    json_decref(out);
    out = NULL;
  }
  json_decref(document);
  answer_tagged(request, tenant, out);
  nm_tenant_unref(tenant);
}

/* What the document says under a key; the empty one of its kind where it says nothing. */
static void show_part(struct nm_api *api, struct nm_http_request *request, const char *key,
                      json_t *empty, const char *name)
{
  struct nm_tenant *tenant = nm_api_named_tenant(api, request);
  json_t *document = tenant ? nm_tenant_public(tenant) : NULL;
  json_t *part = json_object_get(document, key);
  if (tenant) {
    json_t *found = part ? part : empty;
    answer_tagged(request, tenant, name ? json_pack("{s:O}", name, found) : json_incref(found));
  }
  json_decref(empty);
  json_decref(document);
  nm_tenant_unref(tenant);
}

void nm_api_connector_show(struct nm_http_request *request, void *data)
{
  show_part(data, request, "optimove", json_object(), NULL);
}

void nm_api_hooks_show(struct nm_http_request *request, void *data)
{
  show_part(data, request, "hooks", json_array(), "items");
}
