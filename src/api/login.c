/* login.c - who calls a public route, from where, and how fast; the slow refusal of who may not.
 *
 * A refusal says and takes the same whether the appKey, a key or the address is wrong.  It waits
 * the longer the more often this address failed; who has the right key never waits. */
#include <stdlib.h>

#include "api/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

/* A refusal that is not given yet; in the request's arena. */
struct nm_api_refusal {
  struct nm_api_refusal *next; /* the next to be given */
  struct nm_http_request *http;
  int64_t due_ms;
  size_t bytes;
  bool is_admin;
};

/* ---- refusals that wait ---------------------------------------------------------------------- */

static void refuse(struct nm_http_request *request, bool is_admin)
{
  if (is_admin) {
    nm_http_respond(
        request, 401, "application/json",
        NM_TEXT("{\"error\":{\"code\":\"unauthorized\",\"message\":\"this asks for a token that "
                "is valid: `Authorization: Bearer nm_...` (netmove token create)\"}}"),
        NM_TEXT("WWW-Authenticate: Bearer\r\n"));
    return;
  }
  nm_http_refuse(request, 401, "unauthorized",
                 "unknown appKey, or neither X-netmera-api-key nor the URL's secret is right, or"
                 " this address may not call",
                 NULL, 0);
}

static void refuse_first(struct nm_api *api)
{
  struct nm_api_refusal *first = api->refusals;
  api->refusals = first->next;
  api->refusals_count--;
  api->refusals_bytes -= first->bytes;
  refuse(first->http, first->is_admin);
}

static void on_due(uv_timer_t *timer);

static void set_timer(struct nm_api *api)
{
  if (!api->refusals) {
    uv_timer_stop(&api->refusals_clock);
    return;
  }
  int64_t wait_ms = api->refusals->due_ms - nm_clock_mono_ms();
  uv_timer_start(&api->refusals_clock, on_due, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

static void on_due(uv_timer_t *timer)
{
  struct nm_api *api = timer->data;
  int64_t now_ms = nm_clock_mono_ms();
  while (api->refusals && api->refusals->due_ms <= now_ms) refuse_first(api);
  set_timer(api);
}

/* Where too many wait, the next ones are given at once: waiting must not cost us more than them. */
static void refuse_later(struct nm_api *api, struct nm_http_request *request, bool is_admin,
                         int64_t delay_ms)
{
  struct nm_api_refusal *refusal = nm_arena_alloc(nm_http_arena(request), sizeof *refusal);
  struct nm_api_refusal **at = &api->refusals;
  if (!refusal) {
    refuse(request, is_admin);
    return;
  }
  nm_http_park(request);
  *refusal = (struct nm_api_refusal){ .http = request, .due_ms = nm_clock_mono_ms() + delay_ms,
                                      .bytes = nm_http_body(request).len, .is_admin = is_admin };
  while (*at && (*at)->due_ms <= refusal->due_ms) at = &(*at)->next;
  refusal->next = *at;
  *at = refusal;
  api->refusals_count++;
  api->refusals_bytes += refusal->bytes;
  while (api->refusals_count > NM_LOGIN_WAITING_REFUSALS_MAX ||
         api->refusals_bytes > NM_LOGIN_WAITING_MAX_BYTES)
    refuse_first(api);
  set_timer(api);
}

/* ---- who calls ------------------------------------------------------------------------------- */

static bool may_call(const struct nm_tenant *tenant, struct nm_text caller)
{
  struct nm_log_ids ids = { .tenant = tenant->name };
  if (tenant->allow.count == 0 || nm_networks_contain(&tenant->allow, caller)) return true;
  nm_metric_add(NM_METRIC_LOGINS_FROM_ELSEWHERE, 1);
  nm_log(NM_LOG_WARN, "api", &ids, "a caller with the right key is refused: `allow` does not name"
         " its address (seen at level debug)");
  nm_log(NM_LOG_DEBUG, "api", &ids, "refused with the right key: %.*s", NM_TEXT_ARG(caller));
  return false;
}

void nm_api_refuse_login(struct nm_api *api, struct nm_http_request *request, bool is_admin)
{
  struct nm_text caller = nm_http_peer(request);
  nm_metric_add(is_admin ? NM_METRIC_ADMIN_REFUSED : NM_METRIC_EVENTS_REFUSED, 1);
  int64_t delay_ms = nm_failures_count(api->failures, caller, nm_clock_mono_ms());
  if (delay_ms == NM_LOGIN_DELAY_MAX_MS) {
    nm_log(NM_LOG_WARN, "api", NULL, "an address fails to log in again and again; its refusals wait"
           " %d ms now", NM_LOGIN_DELAY_MAX_MS);
    nm_log(NM_LOG_DEBUG, "api", NULL, "fails to log in: %.*s", NM_TEXT_ARG(caller));
  }
  if (delay_ms > 0) refuse_later(api, request, is_admin, delay_ms);
  else refuse(request, is_admin);
}

struct nm_tenant *nm_api_authenticate(struct nm_api *api, struct nm_http_request *request)
{
  struct nm_text caller = nm_http_peer(request);
  struct nm_tenant *tenant = nm_tenants_authenticate(
      api->env.tenants, nm_http_param(request, "appKey"),
      nm_http_header(request, "X-netmera-api-key"), nm_http_query(request, "k"));
  /* A key that was not read for want of memory is no wrong one. */
  if (nm_arena_has_refused(nm_http_arena(request))) {
    nm_tenant_unref(tenant);
    nm_api_refuse_busy(request);
    return NULL;
  }
  if (tenant && may_call(tenant, caller)) return tenant;
  if (!tenant) nm_metric_add(NM_METRIC_LOGINS_WITH_WRONG_KEY, 1);
  nm_tenant_unref(tenant);
  nm_api_refuse_login(api, request, false);
  return NULL;
}

/* ---- how fast -------------------------------------------------------------------------------- */

/* The tenant's own, made when it first comes; NULL without memory. */
static struct nm_pace *pace_of(struct nm_api *api, int64_t tenant_id)
{
  size_t low = 0, high = api->pace_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (api->paces[middle].tenant_id < tenant_id) low = middle + 1;
    else high = middle;
  }
  if (low < api->pace_count && api->paces[low].tenant_id == tenant_id) return &api->paces[low];
  struct nm_pace *more = realloc(api->paces, (api->pace_count + 1) * sizeof *more);
  if (!more) return NULL;
  api->paces = more;
  memmove(&more[low + 1], &more[low], (api->pace_count - low) * sizeof *more);
  more[low] = (struct nm_pace){ .tenant_id = tenant_id };
  api->pace_count++;
  return &more[low];
}

bool nm_api_pace(struct nm_api *api, struct nm_http_request *request,
                 const struct nm_tenant *tenant, size_t events)
{
  if (!(tenant->inbound.rate_per_s > 0) || events == 0) return true;
  struct nm_pace *pace = pace_of(api, tenant->id);
  int64_t wait_ms = pace ? nm_pace_take(pace, tenant->inbound.rate_per_s, tenant->inbound.burst,
                                        events, nm_clock_mono_ms())
                         : 1;
  if (wait_ms == 0) return true;
  if (wait_ms > NM_INBOUND_RETRY_AFTER_MAX_MS) wait_ms = NM_INBOUND_RETRY_AFTER_MAX_MS;
  nm_metric_add(NM_METRIC_EVENTS_REFUSED, 1);
  nm_metric_add(NM_METRIC_INBOUND_LIMITED, 1);
  nm_http_refuse(request, 429, "too_fast",
                 "above the tenant's own rate (inbound.rate), nothing was stored; try again", NULL,
                 (int)((wait_ms + 999) / 1000));
  return false;
}

/* ---- life ------------------------------------------------------------------------------------ */

int nm_api_open_door(struct nm_api *api, struct nm_error *err)
{
  api->failures = nm_failures_create();
  if (!api->failures) return nm_fail(err, NM_ENOMEM, "out of memory");
  nm_require(uv_timer_init(api->loop, &api->refusals_clock) == 0);
  api->refusals_clock.data = api;
  return NM_OK;
}

void nm_api_free_door(struct nm_api *api)
{
  nm_expect(api->refusals == NULL); /* the servers waited for every request */
  free(api->failures);
  free(api->paces);
}
