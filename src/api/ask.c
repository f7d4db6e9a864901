/* ask.c - questions to the store and to the engine, and their way back to the request. */
#include <stdlib.h>

#include "api/internal.h"
#include "base/clock.h"
#include "base/limits.h"

enum { CLOCK_MS = 100 };

void nm_api_prepare(struct nm_api *api, struct nm_http_request *request,
                    struct nm_store_request *head, enum nm_store_verb verb,
                    void (*done)(struct nm_task *task))
{
  head->task.home = api->env.home;
  head->task.done = done;
  head->verb = verb;
  head->arena = nm_http_arena(request);
}

/* ---- the store's reader ---------------------------------------------------------------------- */

struct query_call {
  struct nm_store_query query; /* first: its task is how the call is found again */
  struct nm_api *api;
  struct nm_http_request *http;
  json_t *args;
  nm_api_told *then;
  void *data;
};

/* Whatever a list was asked for: who is limited to one tenant sees no other's rows. */
static void keep_own(const struct nm_http_request *request, json_t *rows)
{
  for (size_t at = json_array_size(rows); at > 0; at--) {
    int64_t tenant_id;
    if (nm_json_i64(json_array_get(rows, at - 1), "tenant_id", &tenant_id) &&
        !nm_api_may_see(request, tenant_id))
      json_array_remove(rows, at - 1);
  }
}

static void on_answered(struct nm_task *task)
{
  struct query_call *call = (struct query_call *)(void *)task;
  json_t *answer = call->query.answer;
  if (nm_api_scope(call->http)) keep_own(call->http, answer);
  json_decref(call->args);
  if (answer) nm_api_polish(call->api, answer);
  call->then(call->api, call->http, call->data, call->query.request.rc, &call->query.request.error,
             answer);
}

void nm_api_query(struct nm_api *api, struct nm_http_request *request,
                  enum nm_store_query_kind kind, json_t *args, nm_api_told *then, void *data)
{
  struct query_call *call = args ? nm_arena_alloc(nm_http_arena(request), sizeof *call) : NULL;
  int rc = NM_ENOMEM;
  if (call) {
    nm_api_prepare(api, request, &call->query.request, NM_STORE_QUERY, on_answered);
    call->query.kind = kind;
    call->query.args = call->args = args;
    call->api = api;
    call->http = request;
    call->then = then;
    call->data = data;
    rc = nm_store_submit(api->env.store, &call->query.request);
  }
  if (rc == NM_OK) return;
  json_decref(args);
  then(api, request, data, rc, NULL, NULL);
}

void nm_api_answer_told(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                        const struct nm_error *err, json_t *answer)
{
  (void)api;
  (void)data;
  if (rc) {
    json_decref(answer);
    nm_api_refuse(request, rc, err);
    return;
  }
  if (!answer) answer = json_object();
  nm_api_answer(request, 200, json_is_array(answer) ? json_pack("{s:o}", "items", answer) : answer);
}

void nm_api_query_and_answer(struct nm_api *api, struct nm_http_request *request,
                             enum nm_store_query_kind kind, json_t *args)
{
  nm_api_query(api, request, kind, args, nm_api_answer_told, NULL);
}

/* ---- the engine ------------------------------------------------------------------------------ */

/* Lives until the engine has answered, however long the request waited. */
struct nm_api_call {
  struct nm_control control; /* first: its task is how the call is found again */
  struct nm_api_call *next;
  struct nm_api *api;
  struct nm_http_request *http; /* NULL: nobody waits any more */
  nm_api_told *then;
  void *data;
  int64_t deadline_ms;
  struct nm_tenant *about;      /* the payload: a reference of our own; NULL = none */
};

static void unlink_call(struct nm_api_call *call)
{
  struct nm_api_call **at = &call->api->calls;
  while (*at && *at != call) at = &(*at)->next;
  if (*at) *at = call->next;
  if (!call->api->calls) uv_timer_stop(&call->api->clock);
}

static void destroy_call(struct nm_api_call *call)
{
  json_decref(call->control.args);
  json_decref(call->control.answer);
  nm_tenant_unref(call->about);
  free(call);
}

static void on_told(struct nm_task *task)
{
  struct nm_api_call *call = (struct nm_api_call *)(void *)task;
  unlink_call(call);
  json_t *answer = call->control.answer;
  call->control.answer = NULL;
  if (call->http)
    call->then(call->api, call->http, call->data, call->control.rc, &call->control.error, answer);
  else json_decref(answer);
  destroy_call(call);
}

void nm_api_on_clock(uv_timer_t *timer)
{
  struct nm_api *api = timer->data;
  int64_t now_ms = nm_clock_mono_ms();
  struct nm_api_call *next;
  for (struct nm_api_call *call = api->calls; call; call = next) {
    next = call->next;
    if (!call->http || call->deadline_ms > now_ms) continue;
    struct nm_http_request *request = call->http;
    struct nm_error err;
    nm_fail(&err, NM_ETIMEOUT, "the engine did not answer in time; it goes on by itself");
    call->http = NULL;
    call->then(api, request, call->data, NM_ETIMEOUT, &err, NULL);
  }
}

static int post(struct nm_api *api, struct nm_api_call *call)
{
  if (call->control.verb != NM_CONTROL_RELOAD)
    return nm_port_post(api->env.control, &call->control.task);
  if (!api->env.reload) return NM_EUNSUPPORTED;
  api->env.reload(api->env.data, &call->control);
  return NM_OK;
}

void nm_api_tell(struct nm_api *api, struct nm_http_request *request,
                 const struct nm_api_question *question)
{
  struct nm_api_call *call = question->args ? calloc(1, sizeof *call) : NULL;
  if (!call) {
    json_decref(question->args);
    question->then(api, request, question->data, NM_ENOMEM, NULL, NULL);
    return;
  }
  struct nm_tenant *about = question->about;
  *call = (struct nm_api_call){ .control = { .task = { .home = api->env.home, .done = on_told },
                                             .verb = question->verb,
                                             .args = question->args,
                                             .payload = about },
                                .about = about ? nm_tenant_ref(about) : NULL,
                                .next = api->calls,
                                .api = api,
                                .http = request,
                                .then = question->then,
                                .data = question->data,
                                .deadline_ms = nm_clock_mono_ms() + question->timeout_ms };
  uv_timer_start(&api->clock, nm_api_on_clock, CLOCK_MS, CLOCK_MS);
  api->calls = call;
  int rc = post(api, call);
  if (rc == NM_OK) return;
  unlink_call(call);
  destroy_call(call);
  question->then(api, request, question->data, rc, NULL, NULL);
}

void nm_api_mention(struct nm_api *api, enum nm_control_verb verb)
{
  struct nm_api_call *call = calloc(1, sizeof *call);
  if (!call) return;
  *call = (struct nm_api_call){ .control = { .task = { .home = api->env.home, .done = on_told },
                                             .verb = verb,
                                             .args = json_object() },
                                .next = api->calls,
                                .api = api };
  api->calls = call;
  if (post(api, call) == NM_OK) return;
  unlink_call(call);
  destroy_call(call);
}

void nm_api_drop_calls(struct nm_api *api)
{
  while (api->calls) {
    struct nm_api_call *call = api->calls;
    api->calls = call->next;
    destroy_call(call);
  }
}
