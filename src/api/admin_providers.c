/* admin_providers.c - providers: which there are, and whether one takes us. */
#include "adapters/adapter.h"
#include "api/internal.h"

enum { TEST_MS = 20 * 1000 };

/* The channels whose chain names it, in the order of the words. */
static json_t *channels_of(const struct nm_tenant *tenant, struct nm_text name)
{
  json_t *out = json_array();
  for (int kind = NM_CHANNEL_PUSH; kind < NM_CHANNEL_COUNT; kind++)
    for (size_t i = 0; i < tenant->chain_counts[kind]; i++)
      if (nm_text_equal(tenant->chains[kind][i], name))
        json_array_append_new(out, json_string(nm_channel_name((enum nm_channel)kind)));
  return out;
}

static void add_providers(json_t *items, const struct nm_tenant *tenant)
{
  json_t *document = nm_tenant_public(tenant);
  for (size_t i = 0; i < tenant->provider_count; i++) {
    const struct nm_tenant_provider *provider = &tenant->providers[i];
    json_t *settings = json_object_getn(json_object_get(document, "providers"), provider->name.ptr,
                                        provider->name.len);
    json_t *item = json_pack("{s:s%,s:s%,s:s%,s:o,s:O?}", "tenant", tenant->name.ptr,
                             tenant->name.len, "name", provider->name.ptr, provider->name.len,
                             "adapter", provider->adapter.ptr, provider->adapter.len, "channels",
                             channels_of(tenant, provider->name), "settings", settings);
    json_array_append_new(items, item);
  }
  json_decref(document);
}

void nm_api_providers(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  struct nm_text only = nm_http_query(request, "tenant");
  size_t count = 0;
  struct nm_tenant **all = nm_tenants_all(api->env.tenants, nm_http_arena(request), &count);
  json_t *items = json_array();
  bool is_found = only.len == 0;
  for (size_t i = 0; i < count; i++) {
    bool is_meant = only.len == 0 || nm_text_equal(all[i]->name, only);
    if (is_meant && nm_api_may_see(request, all[i]->id)) {
      add_providers(items, all[i]);
      is_found = true;
    }
    nm_tenant_unref(all[i]);
  }
  if (is_found) {
    nm_api_answer(request, 200, json_pack("{s:o}", "items", items));
    return;
  }
  json_decref(items);
  nm_api_refuse_tenant(request);
}

static void on_tested(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                      const struct nm_error *err, json_t *answer)
{
  (void)api;
  (void)data;
  if (!rc && answer) {
    nm_api_answer(request, 200, answer);
    return;
  }
  json_decref(answer);
  nm_api_refuse(request, rc ? rc : NM_EINTERNAL, err);
}

void nm_api_provider_test(struct nm_http_request *request, void *data)
{
  struct nm_tenant *tenant = nm_api_named_tenant(data, request);
  if (!tenant)
    return; /* and the request is gone */
  struct nm_text name = nm_http_param(request, "provider");
  json_t *args = json_pack("{s:s%,s:s%}", "tenant", tenant->name.ptr, tenant->name.len, "provider",
                           name.ptr, name.len);
  nm_tenant_unref(tenant);
  nm_api_tell(data, request,
              &(struct nm_api_question){ .verb = NM_CONTROL_PROVIDER_TEST, .args = args,
                                         .timeout_ms = TEST_MS, .then = on_tested });
}
