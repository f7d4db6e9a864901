/* api.c - the tables of routes, and what holds the room together. */
#include <stdlib.h>

#include "adapters/adapter.h"
#include "api/internal.h"
#include "base/limits.h"

#define JSON "application/json"

static const struct nm_http_route public_routes[] = {
  { NM_HTTP_POST, "/optimove/event/{appKey}", JSON, NM_HTTP_EVENT_BODY_MAX_BYTES, nm_api_event },
  { NM_HTTP_POST, "/rest/optimove/event/{appKey}", JSON, NM_HTTP_EVENT_BODY_MAX_BYTES, nm_api_event },
  /* how Optimove labels its callbacks is written nowhere: what it says is kept whatever it is called */
  { NM_HTTP_POST, "/optimove/callback/{appKey}", JSON "|text/json|text/plain|application/octet-stream",
    NM_HTTP_BATCH_BODY_MAX_BYTES, nm_api_callback },
  { NM_HTTP_POST, "/hooks/{appKey}/events", JSON "|application/x-ndjson", NM_HTTP_BATCH_BODY_MAX_BYTES,
    nm_api_hook_events },
  { NM_HTTP_GET, "/profiles/{appKey}/{extId}", NULL, 0, nm_api_profile },
  { NM_HTTP_PUT, "/profiles/{appKey}/{extId}", JSON, NM_HTTP_EVENT_BODY_MAX_BYTES, nm_api_profile },
  { NM_HTTP_DELETE, "/profiles/{appKey}/{extId}", NULL, 0, nm_api_profile_erase },
  { NM_HTTP_GET, "/profiles/{appKey}/erasures/{job}", NULL, 0, nm_api_erasure },
  { NM_HTTP_GET, "/healthz", NULL, 0, nm_api_healthz },
  { 0, NULL, NULL, 0, NULL },
};

#define HEALTH                                                                                     \
  { NM_HTTP_GET, "/healthz", NULL, 0, nm_api_healthz },                                            \
  { NM_HTTP_GET, "/readyz", NULL, 0, nm_api_readyz },                                              \
  { NM_HTTP_GET, "/metrics", NULL, 0, nm_api_metrics }

static const struct nm_http_route socket_routes[] = {
  HEALTH,
  { NM_HTTP_GET, "/api/v1/tenants", NULL, 0, nm_api_tenants },
  { NM_HTTP_GET, "/api/v1/tenants/{tenant}", NULL, 0, nm_api_tenant },
  { NM_HTTP_PUT, "/api/v1/tenants/{tenant}", JSON, NM_TENANT_DOCUMENT_MAX_BYTES, nm_api_tenant },
  { NM_HTTP_GET, "/api/v1/connector/{tenant}/plan", NULL, 0, nm_api_connector_plan },
  { NM_HTTP_POST, "/api/v1/connector/{tenant}/apply", NULL, 0, nm_api_connector_apply },
  { NM_HTTP_GET, "/api/v1/connector/{tenant}/status", NULL, 0, nm_api_connector_status },
  { NM_HTTP_POST, "/api/v1/connector/{tenant}/test", NULL, 0, nm_api_connector_test },
  { NM_HTTP_POST, "/api/v1/connector/{tenant}/rotate", NULL, 0, nm_api_connector_rotate },
  { NM_HTTP_GET, "/api/v1/queue", NULL, 0, nm_api_queue },
  { NM_HTTP_GET, "/api/v1/queue/shape", NULL, 0, nm_api_queue_shape },
  { NM_HTTP_POST, "/api/v1/queue/drop", JSON, NM_TENANT_DOCUMENT_MAX_BYTES, nm_api_queue_drop },
  { NM_HTTP_POST, "/api/v1/queue/retry", JSON, NM_TENANT_DOCUMENT_MAX_BYTES, nm_api_queue_retry },
  { NM_HTTP_GET, "/api/v1/queue/{id}", NULL, 0, nm_api_queue_item },
  { NM_HTTP_GET, "/api/v1/erasures", NULL, 0, nm_api_erasures },
  { NM_HTTP_GET, "/api/v1/runs", NULL, 0, nm_api_runs },
  { NM_HTTP_GET, "/api/v1/runs/{id}", NULL, 0, nm_api_run },
  { NM_HTTP_POST, "/api/v1/runs/{id}/release", NULL, 0, nm_api_run_release },
  { NM_HTTP_POST, "/api/v1/runs/{id}/cancel", NULL, 0, nm_api_run_cancel },
  { NM_HTTP_POST, "/api/v1/runs/{id}/pause", NULL, 0, nm_api_run_pause },
  { NM_HTTP_POST, "/api/v1/runs/{id}/repin", NULL, 0, nm_api_run_repin },
  { NM_HTTP_POST, "/api/v1/explain", JSON, NM_TENANT_DOCUMENT_MAX_BYTES, nm_api_explain },
  { NM_HTTP_GET, "/api/v1/explain/{id}", NULL, 0, nm_api_explain_id },
  { NM_HTTP_GET, "/api/v1/rules", NULL, 0, nm_api_rules },
  { NM_HTTP_GET, "/api/v1/rules/{tenant}", NULL, 0, nm_api_rules_show },
  { NM_HTTP_POST, "/api/v1/rules/{tenant}/rollback", NULL, 0, nm_api_rules_rollback },
  { NM_HTTP_POST, "/api/v1/reload", NULL, 0, nm_api_reload },
  { NM_HTTP_GET, "/api/v1/status", NULL, 0, nm_api_status },
  { NM_HTTP_GET, "/api/v1/log", NULL, 0, nm_api_log },
  { NM_HTTP_PUT, "/api/v1/log", JSON, NM_HTTP_EVENT_BODY_MAX_BYTES, nm_api_log },
  { 0, NULL, NULL, 0, NULL },
};

enum { ANY = NM_HTTP_GET | NM_HTTP_POST | NM_HTTP_PUT | NM_HTTP_DELETE };

static const struct nm_http_route tcp_routes[] = {
  HEALTH,
  { ANY, "/api/v1", NULL, NM_TENANT_DOCUMENT_MAX_BYTES, nm_api_no_tokens },
  { ANY, "/api/v1/{a}", NULL, NM_TENANT_DOCUMENT_MAX_BYTES, nm_api_no_tokens },
  { ANY, "/api/v1/{a}/{b}", NULL, NM_TENANT_DOCUMENT_MAX_BYTES, nm_api_no_tokens },
  { ANY, "/api/v1/{a}/{b}/{c}", NULL, NM_TENANT_DOCUMENT_MAX_BYTES, nm_api_no_tokens },
  { 0, NULL, NULL, 0, NULL },
};

const struct nm_http_route *nm_api_public_routes(const struct nm_api *api)
{
  (void)api;
  return public_routes;
}

const struct nm_http_route *nm_api_admin_routes(const struct nm_api *api, bool is_socket)
{
  (void)api;
  return is_socket ? socket_routes : tcp_routes;
}

int nm_api_check_provider(struct nm_text adapter, const json_t *settings, struct nm_error *err)
{
  const struct nm_adapter *found = nm_adapter_find(adapter);
  if (found) return found->check ? found->check(settings, err) : NM_OK;
  if (nm_adapter_is_known(adapter))
    return nm_fail(err, NM_EUNSUPPORTED, "adapter %.*s is not built yet", NM_TEXT_ARG(adapter));
  return nm_fail(err, NM_EINVAL, "no adapter is called \"%.*s\"", NM_TEXT_ARG(adapter));
}

/* ---- life -------------------------------------------------------------------------------------------- */

int nm_api_create(struct nm_api **out, const struct nm_api_env *env, struct nm_error *err)
{
  struct nm_api *api = calloc(1, sizeof *api);
  if (!api) return nm_fail(err, NM_ENOMEM, "out of memory");
  api->env = *env;
  api->loop = env->home->async.loop;
  int rc = nm_api_open_door(api, err);
  if (rc) { /* the process ends */
    free(api);
    return rc;
  }
  nm_require(uv_timer_init(api->loop, &api->clock) == 0);
  api->clock.data = api;
  *out = api;
  return NM_OK;
}

static void on_part_closed(void *data)
{
  struct nm_api *api = data;
  if (--api->closing > 0) return;
  void (*on_closed)(void *closed) = api->on_closed;
  void *closed_data = api->closed_data;
  nm_api_free_door(api);
  free(api);
  on_closed(closed_data);
}

static void on_clock_closed(uv_handle_t *handle)
{
  on_part_closed(handle->data);
}

void nm_api_close(struct nm_api *api, void (*on_closed)(void *data), void *data)
{
  api->on_closed = on_closed;
  api->closed_data = data;
  api->closing = 2;
  nm_api_drop_calls(api);
  uv_close((uv_handle_t *)&api->clock, on_clock_closed);
  uv_close((uv_handle_t *)&api->refusals_clock, on_clock_closed);
}
