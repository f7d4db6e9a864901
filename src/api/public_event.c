/* public_event.c - POST /optimove/event/{appKey}: a campaign event into the journal, then the
 * answer. */
#include <inttypes.h>

#include "api/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

static void on_accepted(struct nm_task *task)
{
  struct nm_api_arriving *arriving = (struct nm_api_arriving *)(void *)task;
  const struct nm_store_arrival *arrival = &arriving->arrival;
  static const char begin[] = "{\"id\":\"", accepted[] = "\",\"status\":\"accepted\"}",
                    duplicate[] = "\",\"status\":\"duplicate\"}";
  char body[sizeof begin + NM_TEXT_I64_MAX_BYTES + sizeof duplicate];
  if (arriving->accept.request.rc) {
    nm_api_refuse_busy(arriving->http);
    return;
  }
  struct nm_text end = arrival->is_duplicate ? NM_TEXT(duplicate) : NM_TEXT(accepted);
  size_t len = sizeof begin - 1;
  memcpy(body, begin, len);
  len += nm_text_put_i64(body + len, arrival->id);
  memcpy(body + len, end.ptr, end.len);
  len += end.len;
  struct nm_log_ids ids = { .event = arrival->id };
  nm_log(NM_LOG_DEBUG, "api", &ids, "event of type %" PRId64 " is %s", arrival->event.type,
         arrival->is_duplicate ? "a duplicate" : "accepted and durable");
  nm_metric_add(arrival->is_duplicate ? NM_METRIC_EVENTS_DUPLICATE : NM_METRIC_EVENTS_ACCEPTED, 1);
  nm_http_respond(arriving->http, 200, "application/json", (struct nm_text){ body, len },
                  NM_TEXT(""));
}

void nm_api_accept(struct nm_api *api, struct nm_api_arriving *arriving, int64_t tenant_id,
                   void (*done)(struct nm_task *task))
{
  struct nm_store_arrival *arrival = &arriving->arrival;
  arrival->event.tenant_id = tenant_id;
  arrival->event.received_at_ms = nm_clock_wall_ms();
  nm_api_prepare(api, arriving->http, &arriving->accept.request, NM_STORE_ACCEPT, done);
  arriving->accept.arrivals = arrival;
  arriving->accept.count = 1;
  /* Where memory was refused, something of the query may be lacking. */
  bool is_whole = arrival->identity.ptr && !nm_arena_has_refused(nm_http_arena(arriving->http));
  if (!is_whole || nm_store_submit(api->env.store, &arriving->accept.request))
    nm_api_refuse_busy(arriving->http);
}

static void identify(struct nm_api_arriving *arriving)
{
  struct nm_store_arrival *arrival = &arriving->arrival;
  arrival->identity =
      nm_event_identity(nm_http_arena(arriving->http), &arrival->event, &arrival->window_ms);
}

/* Reads it and hands it over; refuses where something is wrong. */
static void take_event(struct nm_api *api, struct nm_http_request *request,
                       const struct nm_tenant *tenant)
{
  int64_t type_hint = 0;
  struct nm_error err = { 0, "" };
  const char *field = NULL;
  struct nm_api_arriving *arriving = nm_arena_alloc(nm_http_arena(request), sizeof *arriving);
  if (!nm_text_to_i64(nm_http_query(request, "t"), &type_hint) || type_hint < 0) type_hint = 0;
  int rc = arriving ? nm_event_read_campaign(nm_http_arena(request), nm_http_body(request),
                                             type_hint, &arriving->arrival.event, &field, &err)
                    : NM_ENOMEM;
  if (rc == NM_ENOMEM) {
    nm_api_refuse_busy(request);
    return;
  }
  if (rc) {
    nm_metric_add(NM_METRIC_EVENTS_REFUSED, 1);
    nm_http_refuse(request, 400, "invalid", err.text, field, 0);
    return;
  }
  arriving->http = request;
  identify(arriving);
  /* a cancel is never too much: what it stops would go out */
  if (arriving->arrival.event.type == NM_EVENT_TYPE_CANCEL || nm_api_pace(api, request, tenant, 1))
    nm_api_accept(api, arriving, tenant->id, on_accepted);
}

void nm_api_event(struct nm_http_request *request, void *data)
{
  struct nm_tenant *tenant = nm_api_authenticate(data, request);
  if (!tenant) return;
  take_event(data, request, tenant);
  nm_tenant_unref(tenant);
}

/* POST /optimove/callback/{appKey}?k=&b=: what Optimove says of a batch of updates is journaled as
 * it came; the engine reads it.  A batch nobody knows is the engine's to log. */
static void on_callback_kept(struct nm_task *task)
{
  struct nm_api_arriving *arriving = (struct nm_api_arriving *)(void *)task;
  if (arriving->accept.request.rc) nm_api_refuse_busy(arriving->http);
  else
    nm_http_respond(arriving->http, 200, "application/json", NM_TEXT("{\"status\":\"accepted\"}"),
                    NM_TEXT(""));
}

void nm_api_callback(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  struct nm_tenant *tenant = nm_api_authenticate(api, request);
  if (!tenant) return;
  int64_t tenant_id = tenant->id;
  nm_tenant_unref(tenant);

  struct nm_arena *arena = nm_http_arena(request);
  struct nm_api_arriving *arriving = nm_arena_alloc(arena, sizeof *arriving);
  struct nm_text batch = nm_http_query(request, "b");
  if (!arriving) {
    nm_api_refuse_busy(request);
    return;
  }
  if (batch.len > 64) batch.len = 64; /* ours are numbers: this one is nobody's */
  arriving->http = request;
  arriving->arrival.event = (struct nm_event){ .kind = NM_EVENT_CALLBACK, .name = batch,
                                               .body = nm_http_body(request) };
  identify(arriving);
  nm_api_accept(api, arriving, tenant_id, on_callback_kept);
}
