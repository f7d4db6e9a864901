/* api.c - the tables of routes, and what holds the room together. */
#include <stdlib.h>

#include "adapters/adapter.h"
#include "api/internal.h"
#include "base/limits.h"

#define JSON "application/json"

static const struct nm_http_route public_routes[] = {
  { NM_HTTP_POST, "/optimove/event/{appKey}", JSON, NM_HTTP_EVENT_BODY_MAX_BYTES, nm_api_event },
  { NM_HTTP_POST, "/rest/optimove/event/{appKey}", JSON, NM_HTTP_EVENT_BODY_MAX_BYTES,
    nm_api_event },
  /* how Optimove labels its callbacks is written nowhere: what it says is kept whatever it is
     called */
  { NM_HTTP_POST, "/optimove/callback/{appKey}",
    JSON "|text/json|text/plain|application/octet-stream", NM_HTTP_BATCH_BODY_MAX_BYTES,
    nm_api_callback },
  { NM_HTTP_POST, "/hooks/{appKey}/events", JSON "|application/x-ndjson",
    NM_HTTP_BATCH_BODY_MAX_BYTES, nm_api_hook_events },
  { NM_HTTP_GET | NM_HTTP_POST, "/hooks/{appKey}/in/{name}", NULL, NM_HTTP_EVENT_BODY_MAX_BYTES,
    nm_api_inbound },
  { NM_HTTP_GET, "/profiles/{appKey}/{extId}", NULL, 0, nm_api_profile },
  { NM_HTTP_PUT, "/profiles/{appKey}/{extId}", JSON, NM_HTTP_EVENT_BODY_MAX_BYTES, nm_api_profile },
  { NM_HTTP_POST | NM_HTTP_STREAMED, "/profiles/{appKey}", JSON "|application/x-ndjson",
    NM_PROFILES_BULK_MAX_BYTES, nm_api_profiles_bulk },
  { NM_HTTP_DELETE, "/profiles/{appKey}/{extId}", NULL, 0, nm_api_profile_erase },
  { NM_HTTP_GET, "/profiles/{appKey}/erasures/{job}", NULL, 0, nm_api_erasure },
  { NM_HTTP_GET, "/healthz", NULL, 0, nm_api_healthz },
  { 0, NULL, NULL, 0, NULL },
};

/* ---- the admin API: the same table three times ----------------------------------------------- */

#define DOCUMENT NM_TENANT_DOCUMENT_MAX_BYTES
#define EVENT NM_HTTP_EVENT_BODY_MAX_BYTES

#define NM_SCOPE_TENANT NM_API_OF_TENANT
#define NM_SCOPE_THING NM_API_OF_THING
#define NM_SCOPE_LIST NM_API_LIST
#define NM_SCOPE_DAEMON NM_API_OF_DAEMON

static const struct nm_api_route admin_routes[] = {
#define OPEN(method, path, types, max, handler)                                                    \
  { #method, path, 0, NM_API_OF_DAEMON, NM_API_LOOKS, handler },
#define ROUTE(method, path, types, max, role, of, does, handler)                                   \
  { #method, path, NM_API_##role, NM_SCOPE_##of, NM_API_##does, handler },
#include "api/routes.def"
#undef OPEN
#undef ROUTE
};

#define OPEN(method, path, types, max, handler) { NM_HTTP_##method, path, types, max, handler },

static const struct nm_http_route socket_routes[] = {
#define ROUTE(method, path, types, max, role, of, does, handler)                                   \
  { NM_HTTP_##method, path, types, max, nm_api_enter_by_socket },
#include "api/routes.def"
#undef ROUTE
  { 0, NULL, NULL, 0, NULL },
};

static const struct nm_http_route network_routes[] = {
#define ROUTE(method, path, types, max, role, of, does, handler)                                   \
  { NM_HTTP_##method, path, types, max, nm_api_enter_by_network },
#include "api/routes.def"
#undef ROUTE
  { 0, NULL, NULL, 0, NULL },
};
#undef OPEN

const struct nm_api_route *nm_api_route_of(const struct nm_http_route *route)
{
  size_t at = 0;
  while (at < sizeof admin_routes / sizeof *admin_routes && route != &socket_routes[at] &&
         route != &network_routes[at])
    at++;
  nm_require(at < sizeof admin_routes / sizeof *admin_routes);
  return &admin_routes[at];
}

const struct nm_http_route *nm_api_public_routes(const struct nm_api *api)
{
  (void)api;
  return public_routes;
}

const struct nm_http_route *nm_api_admin_routes(const struct nm_api *api, bool is_socket)
{
  (void)api;
  return is_socket ? socket_routes : network_routes;
}

int nm_api_check_provider(struct nm_text adapter, const json_t *settings, struct nm_error *err)
{
  const struct nm_adapter *found = nm_adapter_find(adapter);
  if (found) return found->check ? found->check(settings, err) : NM_OK;
  if (nm_adapter_is_known(adapter))
    return nm_fail(err, NM_EUNSUPPORTED, "adapter %.*s is not built yet", NM_TEXT_ARG(adapter));
  return nm_fail(err, NM_EINVAL, "no adapter is called \"%.*s\"", NM_TEXT_ARG(adapter));
}

/* ---- life ------------------------------------------------------------------------------------ */

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
  rc = nm_api_tokens_load(api, err);
  if (rc) return rc; /* the process ends */
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
  nm_api_tokens_free(api);
  free(api->queues);
  json_decref(api->bulks_ended);
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
