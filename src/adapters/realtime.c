/* realtime.c - real-time events for Optimove (optimove-api 5.5), carried as messages are: the
 * rules' track_event makes one, a lane paces and repeats it, a dead letter keeps it.
 *
 * POST to the endpoint that Optimove gives: {"tenant","event","customer" or "visitor","timestamp",
 * "context"}; where there is a token, the body is signed with it (HMAC-SHA256, hex).  An answer is
 * {"status":"success","message":id} or {"status":"error","message":why}.  A lost answer stays
 * unknown: there is no key by which Optimove would know a repetition.
 *
 * Set as `optimove.realtime` of a tenant; no provider of a tenant's list may name it.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "adapters/internal.h"
#include "json/json.h"

enum { REQUEST_TIMEOUT_MS = 30 * 1000, REASON_MAX_BYTES = 256, SENDS_MAX = 8 };

struct realtime {
  struct nm_provider head; /* first */
  struct nm_client *client;
  char *url;
  json_t *tenant; /* Optimove's number of us */
  char *token;    /* "" = unsigned */
  struct job *jobs;
  uv_idle_t idle; /* runs while a job that never reached the client waits for its done */
  void (*on_closed)(void *data);
  void *data;
};

/* One event on its way; batch_max is 1. */
struct job {
  struct job *prev, *next;
  struct realtime *realtime; /* NULL once the provider is closed */
  struct nm_send *send;
  bool is_stillborn;
  struct nm_outcome outcome;
  char reason[REASON_MAX_BYTES];
};

/* ---- settings -------------------------------------------------------------------------------- */

static int check(const json_t *settings, struct nm_error *err)
{
  (void)settings;
  return nm_fail(err, NM_EINVAL, "is no provider of messages: set it as optimove.realtime");
}

static int open_realtime(struct nm_provider **out, const struct nm_adapter_env *env,
                         const json_t *settings, struct nm_error *err)
{
  struct nm_text url = nm_json_string(settings, "url"), token = nm_json_string(settings, "token");
  struct realtime *realtime = calloc(1, sizeof *realtime);
  if (!realtime)
    return nm_fail(err, NM_ENOMEM, "no memory for a provider");
  realtime->head.adapter = &nm_adapter_realtime;
  realtime->client = env->client;
  realtime->tenant = json_incref(json_object_get(settings, "tenant"));
  realtime->url = url.ptr ? strndup(url.ptr, url.len) : NULL;
  realtime->token = strndup(token.ptr ? token.ptr : "", token.len);
  if (!realtime->url || !realtime->token) {
    json_decref(realtime->tenant);
    free(realtime->url);
    free(realtime->token);
    free(realtime);
    return nm_fail(err, NM_ENOMEM, "no memory for a provider");
  }
  uv_idle_init(env->loop, &realtime->idle);
  realtime->idle.data = realtime;
  *out = &realtime->head;
  return NM_OK;
}

/* ---- what an answer means -------------------------------------------------------------------- */

static void conclude(struct job *job, enum nm_outcome_kind kind, const char *format,
                     struct nm_text why)
{
  snprintf(job->reason, sizeof job->reason, format, NM_TEXT_ARG(why));
  job->outcome.kind = kind;
  job->outcome.reason = nm_text_from(job->reason);
}

static void judge_status(struct job *job, int status)
{
  if (status == 401 || status == 403) {
    job->outcome.scope = NM_SCOPE_LANE;
    conclude(job, NM_OUTCOME_AUTH, "Optimove refuses the signature or the tenant%.*s", NM_TEXT(""));
  } else if (status == 429) {
    job->outcome.scope = NM_SCOPE_LANE;
    conclude(job, NM_OUTCOME_THROTTLED, "too many real-time events%.*s", NM_TEXT(""));
  } else if (status >= 500 || status == 408) {
    conclude(job, NM_OUTCOME_RETRY, "Optimove has trouble of its own%.*s", NM_TEXT(""));
  } else {
    conclude(job, NM_OUTCOME_REFUSED, "refused%.*s", NM_TEXT(""));
  }
}

static void judge_body(struct job *job, const struct nm_client_answer *answer)
{
  json_t *body = NULL;
  bool is_fine = answer->status >= 200 && answer->status < 300;
  if (nm_json_parse(&body, answer->body, NULL))
    body = NULL;
  struct nm_text status = nm_json_string(body, "status"), message = nm_json_string(body, "message");
  bool is_error = nm_text_equal_nocase(status, NM_TEXT("error"));
  if (is_error &&
      (is_fine || answer->status == 400 || answer->status == 404 || answer->status == 422))
    conclude(job, NM_OUTCOME_REFUSED, "Optimove says: %.*s",
             message.len > 0 ? message : NM_TEXT("error, without a reason"));
  else if (!is_fine)
    judge_status(job, answer->status);
  else if (nm_text_equal_nocase(status, NM_TEXT("success")) || answer->body.len == 0)
    conclude(job, NM_OUTCOME_DELIVERED, "%.*s", NM_TEXT(""));
  else
    conclude(job, NM_OUTCOME_UNKNOWN, "the answer is none of those that Optimove gives%.*s",
             NM_TEXT(""));
  json_decref(body);
}

static void judge(struct job *job, const struct nm_client_answer *answer)
{
  struct nm_text why = nm_text_from(answer->reason ? answer->reason : "");
  job->outcome =
      (struct nm_outcome){ .retry_after_ms = answer->retry_after_ms, .code = answer->status };
  switch (answer->end) {
  case NM_CLIENT_ANSWERED:
    judge_body(job, answer);
    break;
  case NM_CLIENT_UNREACHABLE:
    job->outcome.is_unreachable = true;
    conclude(job, NM_OUTCOME_RETRY, "%.*s", why);
    break;
  case NM_CLIENT_REFUSED:
    conclude(job, NM_OUTCOME_RETRY, "%.*s", why);
    break; /* nothing was sent */
  case NM_CLIENT_UNKNOWN:
    conclude(job, NM_OUTCOME_UNKNOWN, "%.*s", why);
    break;
  }
}

/* ---- the end of a send ----------------------------------------------------------------------- */

static void settle(struct job *job)
{
  struct nm_send *send = job->send;
  struct realtime *realtime = job->realtime;
  if (job->prev)
    job->prev->next = job->next;
  else
    realtime->jobs = job->next;
  if (job->next)
    job->next->prev = job->prev;
  job->realtime = NULL;
  send->done(send, 0, &job->outcome);
}

static void on_answered(void *data, const struct nm_client_answer *answer)
{
  struct job *job = data;
  if (job->realtime) {
    judge(job, answer);
    settle(job);
  }
  free(job);
}

static struct job *find_stillborn(const struct realtime *realtime)
{
  struct job *job = realtime->jobs;
  while (job && !job->is_stillborn)
    job = job->next;
  return job;
}

static void on_turn(uv_idle_t *idle)
{
  struct realtime *realtime = idle->data;
  struct job *job = find_stillborn(realtime);
  if (!job) {
    uv_idle_stop(idle);
    return;
  }
  settle(job);
  free(job);
}

static void bury(struct job *job, enum nm_outcome_kind kind, const char *reason)
{
  job->outcome = (struct nm_outcome){ .retry_after_ms = -1 };
  conclude(job, kind, "%.*s", nm_text_from(reason));
  job->is_stillborn = true;
  uv_idle_start(&job->realtime->idle, on_turn);
}

/* ---- sending --------------------------------------------------------------------------------- */

static void sign(const struct realtime *realtime, struct nm_text body, char *out, size_t size)
{
  crypto_auth_hmacsha256_state state;
  unsigned char digest[crypto_auth_hmacsha256_BYTES];
  char hex[2 * sizeof digest + 1];
  crypto_auth_hmacsha256_init(&state, (const unsigned char *)realtime->token,
                              strlen(realtime->token));
  crypto_auth_hmacsha256_update(&state, (const unsigned char *)body.ptr, body.len);
  crypto_auth_hmacsha256_final(&state, digest);
  sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
  snprintf(out, size, "X-Optimove-Signature-Content: %s", hex);
}

static void post(struct job *job, struct nm_text body)
{
  struct realtime *realtime = job->realtime;
  struct nm_error err = { 0, "" };
  char signature[128] = "";
  bool is_signed = realtime->token[0] != '\0';
  if (is_signed)
    sign(realtime, body, signature, sizeof signature);
  const struct nm_text headers[] = { NM_TEXT("Content-Type: application/json"),
                                     NM_TEXT("Accept: application/json"),
                                     NM_TEXT("X-Optimove-Signature-Version: 1"),
                                     nm_text_from(signature) };
  struct nm_client_call call = { .method = "POST",
                                 .url = nm_text_from(realtime->url),
                                 .headers = headers,
                                 .header_count = is_signed ? 4 : 2,
                                 .body = body,
                                 .timeout_ms = REQUEST_TIMEOUT_MS,
                                 .done = on_answered,
                                 .data = job };
  if (nm_client_start(realtime->client, &call, &err))
    bury(job, NM_OUTCOME_RETRY, err.text);
}

static void send_realtime(struct nm_provider *provider, struct nm_send *send)
{
  struct realtime *realtime = (struct realtime *)provider;
  struct job *job = calloc(1, sizeof *job);
  json_t *event = NULL;
  nm_require(job != NULL && send->count == 1);
  job->realtime = realtime;
  job->send = send;
  job->next = realtime->jobs;
  if (job->next)
    job->next->prev = job;
  realtime->jobs = job;
  int rc = nm_json_parse(&event, send->messages[0]->content, NULL);
  if (!rc && json_object_set(event, "tenant", realtime->tenant))
    rc = NM_ENOMEM;
  char *body = rc ? NULL : json_dumps(event, JSON_COMPACT);
  if (!rc && !body)
    rc = NM_ENOMEM;
  json_decref(event);
  if (body)
    post(job, nm_text_from(body));
  else
    bury(job, rc == NM_EINVAL ? NM_OUTCOME_REFUSED : NM_OUTCOME_RETRY, nm_code_name(rc));
  free(body);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void on_idle_closed(uv_handle_t *handle)
{
  struct realtime *realtime = handle->data;
  void (*on_closed)(void *) = realtime->on_closed;
  void *data = realtime->data;
  sodium_memzero(realtime->token, strlen(realtime->token));
  free(realtime->token);
  free(realtime->url);
  json_decref(realtime->tenant);
  free(realtime);
  if (on_closed)
    on_closed(data);
}

static void close_realtime(struct nm_provider *provider, void (*on_closed)(void *data), void *data)
{
  struct realtime *realtime = (struct realtime *)provider;
  realtime->on_closed = on_closed;
  realtime->data = data;
  uv_close((uv_handle_t *)&realtime->idle, on_idle_closed);
  while (realtime->jobs) {
    struct job *job = realtime->jobs;
    bool is_stillborn = job->is_stillborn;
    if (!is_stillborn) {
      job->outcome = (struct nm_outcome){ .retry_after_ms = -1 };
      conclude(job, NM_OUTCOME_UNKNOWN, "stopped while waiting for the answer%.*s", NM_TEXT(""));
    }
    settle(job);
    if (is_stillborn)
      free(job); /* the others are freed by the client's word */
  }
}

const struct nm_adapter nm_adapter_realtime = {
  .name = "optimove-realtime",
  .channels = 1u << NM_CHANNEL_NONE,
  .batch_max = 1,
  .sends_max = SENDS_MAX,
  .check = check,
  .open = open_realtime,
  .send = send_realtime,
  .close = close_realtime,
};
