/* public_inbound.c - GET or POST /hooks/{appKey}/in/{name}: whatever shape a webhook has, journaled
 * as it came; the rules' `inbound` makes events of it. */
#include <ctype.h>
#include <stdlib.h>

#include "api/internal.h"
#include "base/metrics.h"
#include "model/inbound.h"

enum { NAME_MAX_BYTES = 64 };

static void on_accepted(struct nm_task *task)
{
  struct nm_api_arriving *arriving = (struct nm_api_arriving *)(void *)task;
  const struct nm_store_arrival *arrival = &arriving->arrival;
  char id[NM_TEXT_I64_MAX_BYTES + 1];
  if (arriving->accept.request.rc) {
    nm_api_refuse_busy(arriving->http);
    return;
  }
  id[nm_text_put_i64(id, arrival->id)] = '\0';
  nm_metric_add(arrival->is_duplicate ? NM_METRIC_EVENTS_DUPLICATE : NM_METRIC_EVENTS_ACCEPTED, 1);
  nm_api_answer(arriving->http, 200,
                json_pack("{s:s,s:s}", "id", id, "status",
                          arrival->is_duplicate ? "duplicate" : "accepted"));
}

/* What carries our keys, or a caller's, is not kept. */
static bool is_secret(struct nm_text header)
{
  static const char *const secrets[] = { "Authorization", "Proxy-Authorization", "Cookie",
                                         "X-netmera-api-key" };
  for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
    if (nm_text_equal_nocase(header, nm_text_from(secrets[i]))) return true;
  return false;
}

/* All that can be kept; NULL without memory. */
static json_t *read_headers(struct nm_http_request *request)
{
  json_t *headers = json_object();
  struct nm_text name, value;
  char low[128];
  for (unsigned i = 0; headers && nm_http_header_at(request, i, &name, &value); i++) {
    if (name.len >= sizeof low || is_secret(name) || !nm_text_is_utf8(value)) continue;
    for (size_t at = 0; at < name.len; at++) low[at] = (char)tolower((unsigned char)name.ptr[at]);
    if (json_object_getn(headers, low, name.len)) continue; /* twice */
    json_t *text = json_stringn(value.ptr, value.len);
    if (json_object_setn_new(headers, low, name.len, text) == 0) continue;
    json_decref(headers);
    return NULL;
  }
  return headers;
}

/* The query as it was sent, without the secret `k`. */
static struct nm_text read_query(struct nm_http_request *request)
{
  struct nm_text rest = nm_http_query_string(request), pair;
  char *kept = nm_arena_alloc(nm_http_arena(request), rest.len + 1);
  size_t len = 0;
  while (kept && rest.len > 0) {
    nm_text_cut(rest, '&', &pair, &rest);
    if (pair.len == 0 || nm_text_equal(pair, NM_TEXT("k")) ||
        nm_text_starts_with(pair, NM_TEXT("k=")))
      continue;
    if (len > 0) kept[len++] = '&';
    memcpy(kept + len, pair.ptr, pair.len);
    len += pair.len;
  }
  return (struct nm_text){ kept, kept ? len : 0 };
}

static bool is_name(struct nm_text name)
{
  for (size_t i = 0; i < name.len; i++)
    if (!isalnum((unsigned char)name.ptr[i]) && name.ptr[i] != '_' && name.ptr[i] != '-')
      return false;
  return name.len > 0 && name.len <= NAME_MAX_BYTES;
}

static int read_request(struct nm_http_request *request, struct nm_api_arriving *arriving,
                        struct nm_error *err)
{
  json_t *headers = read_headers(request);
  struct nm_inbound inbound = {
    .name = nm_http_param(request, "name"),
    .method = nm_http_method(request) == NM_HTTP_POST ? NM_TEXT("POST") : NM_TEXT("GET"),
    .query = read_query(request),
    .content_type = nm_http_content_type(request),
    .body = nm_http_body(request),
    .headers = headers,
  };
  struct nm_store_arrival *arrival = &arriving->arrival;
  int rc = headers && inbound.query.ptr
               ? nm_inbound_event(nm_http_arena(request), &inbound, &arrival->event,
                                  &arrival->identity, &arrival->window_ms, err)
               : NM_ENOMEM;
  json_decref(headers);
  return rc;
}

static void take_request(struct nm_api *api, struct nm_http_request *request,
                         const struct nm_tenant *tenant)
{
  struct nm_error err = { 0, "" };
  struct nm_api_arriving *arriving = nm_arena_alloc(nm_http_arena(request), sizeof *arriving);
  if (!is_name(nm_http_param(request, "name"))) {
    nm_http_refuse(request, 404, "not_found",
                   "a name behind /in/ is of letters, digits, \"_\" and \"-\"", NULL, 0);
    return;
  }
  int rc = arriving ? read_request(request, arriving, &err) : NM_ENOMEM;
  if (rc == NM_EINVAL) {
    nm_metric_add(NM_METRIC_EVENTS_REFUSED, 1);
    nm_http_refuse(request, 400, "invalid", err.text, NULL, 0);
    return;
  }
  if (rc) {
    nm_api_refuse_busy(request);
    return;
  }
  if (!nm_api_pace(api, request, tenant, 1)) return;
  arriving->http = request;
  nm_api_accept(api, arriving, tenant->id, on_accepted);
}

void nm_api_inbound(struct nm_http_request *request, void *data)
{
  struct nm_tenant *tenant = nm_api_authenticate(data, request);
  if (!tenant) return;
  take_request(data, request, tenant);
  nm_tenant_unref(tenant);
}
