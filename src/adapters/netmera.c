/* netmera.c - Netmera's transactional messages: push, e-mail or SMS, whichever its definition says.
 *
 * POST {baseUrl}/rest/3.0/sendNotification with X-netmera-api-key; at most 1000 different external
 * ids a request.  No rate limit is documented, no message id comes back, and there is no
 * idempotency key: a lost answer stays unknown.
 */
#include <stdio.h>
#include <stdlib.h>

#include "adapters/internal.h"
#include "base/clock.h"

enum { REQUEST_TIMEOUT_MS = 30 * 1000, API_KEY_MAX_BYTES = 1024 };

static const char *const keys[] = { "baseUrl", "apiKey" };
static const char path[] = "/rest/3.0/sendNotification";

struct netmera {
  struct nm_provider head; /* first */
  struct nm_client *client;
  char *url;
  char *key_header;
  struct job *jobs;
  uv_idle_t idle; /* runs while a job that never reached the client waits for its dones */
  void (*on_closed)(void *data);
  void *data;
};

/* One send under way. */
struct job {
  struct job *prev, *next;
  struct netmera
      *netmera; /* NULL once the provider is closed: the client's word no longer matters */
  struct nm_send *send;
  struct nm_netmera_body body;
  bool is_stillborn;         /* did not reach the client; `verdict` says why */
  struct nm_netmera_verdict verdict;
};

/* ---- settings -------------------------------------------------------------------------------- */

static bool is_header_value(struct nm_text text)
{
  for (size_t i = 0; i < text.len; i++)
    if ((unsigned char)text.ptr[i] <= 0x20 || (unsigned char)text.ptr[i] >= 0x7F) return false;
  return text.len > 0 && text.len <= API_KEY_MAX_BYTES;
}

/* `url` stands in for baseUrl where a test peer or a private endpoint does. */
static const char *url_key(const json_t *settings)
{
  return json_object_get(settings, "url") ? "url" : "baseUrl";
}

static int check(const json_t *settings, struct nm_error *err)
{
  int rc = nm_adapter_check_keys(settings, keys, sizeof keys / sizeof *keys, err);
  if (rc != NM_OK) return rc;
  const char *key = url_key(settings);
  if (!json_object_get(settings, key))
    return nm_fail(err, NM_EINVAL,
                   "baseUrl is missing: where Netmera's REST API is (https://restapi.netmera.com)");
  rc = nm_adapter_check_url(key, nm_json_string(settings, key), err);
  if (rc != NM_OK) return rc;
  if (!json_object_get(settings, "apiKey"))
    return nm_fail(err, NM_EINVAL,
                   "apiKey is missing: the REST key of the Netmera panel (Developers > API)");
  if (!is_header_value(nm_json_string(settings, "apiKey")))
    return nm_fail(err, NM_EINVAL, "apiKey: expected a key of visible characters, without blanks");
  return NM_OK;
}

static struct nm_text without_slashes(struct nm_text url)
{
  while (url.len > 0 && url.ptr[url.len - 1] == '/') url.len--;
  return url;
}

static int open_netmera(struct nm_provider **out, const struct nm_adapter_env *env,
                        const json_t *settings, struct nm_error *err)
{
  int rc = check(settings, err);
  if (rc != NM_OK) return rc;
  struct netmera *netmera = calloc(1, sizeof *netmera);
  if (!netmera) return nm_fail(err, NM_ENOMEM, "no memory for a provider");
  struct nm_text base = without_slashes(nm_json_string(settings, url_key(settings)));
  struct nm_text key = nm_json_string(settings, "apiKey");
  bool is_made = asprintf(&netmera->url, "%.*s%s", NM_TEXT_ARG(base), path) >= 0;
  if (!is_made) netmera->url = NULL;
  if (!is_made || asprintf(&netmera->key_header, "X-netmera-api-key: %.*s", NM_TEXT_ARG(key)) < 0) {
    free(netmera->url);
    free(netmera);
    return nm_fail(err, NM_ENOMEM, "no memory for a provider");
  }
  netmera->head.adapter = &nm_adapter_netmera;
  netmera->client = env->client;
  uv_idle_init(env->loop, &netmera->idle);
  netmera->idle.data = netmera;
  *out = &netmera->head;
  return NM_OK;
}

/* ---- the end of a send ----------------------------------------------------------------------- */

/* Takes the job out of its provider's hands. */
static struct nm_send *unlink_job(struct job *job)
{
  struct nm_send *send = job->send;
  if (job->prev) job->prev->next = job->next;
  else job->netmera->jobs = job->next;
  if (job->next) job->next->prev = job->prev;
  job->netmera = NULL;
  job->send = NULL;
  return send;
}

/* First those whose fate is known: the unfit, and whom the answer names.  Then the others, who were
 * refused for their sake and go again at once.  The send may be gone with its last done. */
static void settle(struct nm_netmera_body *body, struct nm_send *send,
                   const struct nm_netmera_verdict *verdict)
{
  bool is_named[NM_NETMERA_BATCH_MAX];
  bool may_name = verdict->is_persons_fault && verdict->must_split;
  size_t count = send->count, left = 0;

  for (size_t i = 0; i < count; i++) {
    is_named[i] = may_name && !body->unfit[i] &&
                  nm_netmera_names(verdict->error, nm_adapter_recipient(send->messages[i]));
    if (!body->unfit[i] && !is_named[i]) left++;
  }
  for (size_t i = 0; i < count; i++) {
    if (!body->unfit[i] && !is_named[i]) continue;
    struct nm_outcome outcome = verdict->outcome;
    if (body->unfit[i])
      outcome = (struct nm_outcome){ .kind = NM_OUTCOME_REFUSED, .retry_after_ms = -1,
                                     .reason = nm_text_from(body->unfit[i]) };
    send->done(send, i, &outcome);
  }
  if (left == 0) return;
  struct nm_outcome outcome = verdict->outcome;
  send->must_split = verdict->must_split;
  if (verdict->must_split) {
    outcome.kind = NM_OUTCOME_RETRY;
    outcome.retry_after_ms = 0;
  }
  for (size_t i = 0; i < count; i++)
    if (!body->unfit[i] && !is_named[i]) send->done(send, i, &outcome);
}

static void free_job(struct job *job)
{
  nm_buffer_deinit(&job->body.json);
  json_decref(job->verdict.json);
  free(job);
}

static void on_answered(void *data, const struct nm_client_answer *answer)
{
  struct job *job = data;
  if (job->netmera) {
    struct nm_send *send = unlink_job(job);
    nm_netmera_judge(&job->verdict, answer, job->body.included, job->body.groups);
    settle(&job->body, send, &job->verdict);
  }
  free_job(job);
}

static struct job *oldest_stillborn(const struct netmera *netmera, size_t *count)
{
  struct job *oldest = NULL;
  *count = 0;
  for (struct job *job = netmera->jobs; job; job = job->next) {
    if (!job->is_stillborn) continue;
    oldest = job;
    ++*count;
  }
  return oldest;
}

/* Only those that are there now: what a done sends again waits for the next turn.  A done may close
 * the provider; its jobs are gone then, its memory is not. */
static void on_turn(uv_idle_t *idle)
{
  struct netmera *netmera = idle->data;
  struct job *job;
  size_t count, left;
  uv_idle_stop(idle);
  (void)oldest_stillborn(netmera, &left);
  for (; left > 0 && (job = oldest_stillborn(netmera, &count)) != NULL; left--) {
    struct nm_send *send = unlink_job(job);
    settle(&job->body, send, &job->verdict);
    free_job(job);
  }
}

/* ---- sending --------------------------------------------------------------------------------- */

static void bury(struct job *job, enum nm_outcome_kind kind, bool must_split, const char *reason)
{
  struct nm_netmera_verdict *verdict = &job->verdict;
  snprintf(verdict->reason, sizeof verdict->reason, "%s", reason);
  verdict->outcome = (struct nm_outcome){ .kind = kind, .retry_after_ms = -1,
                                          .reason = nm_text_from(verdict->reason) };
  verdict->must_split = must_split;
  job->is_stillborn = true;
  uv_idle_start(&job->netmera->idle, on_turn);
}

static void post(struct job *job)
{
  struct netmera *netmera = job->netmera;
  struct nm_error err = { 0 };
  const struct nm_text headers[] = { nm_text_from(netmera->key_header),
                                     NM_TEXT("Content-Type: application/json"),
                                     NM_TEXT("Accept: application/json") };
  struct nm_client_call call = {
    .method = "POST",
    .url = nm_text_from(netmera->url),
    .headers = headers,
    .header_count = sizeof headers / sizeof *headers,
    .body = nm_buffer_text(&job->body.json),
    .timeout_ms = REQUEST_TIMEOUT_MS,
    .done = on_answered,
    .data = job,
  };
  if (nm_client_start(netmera->client, &call, &err))
    bury(job, NM_OUTCOME_RETRY, false, err.text);
  else
    nm_buffer_deinit(&job->body.json); /* the client has its copy */
}

static void send_netmera(struct nm_provider *provider, struct nm_send *send)
{
  struct netmera *netmera = (struct netmera *)provider;
  nm_require(send->count <= NM_NETMERA_BATCH_MAX);
  struct job *job = calloc(1, sizeof *job + send->count * sizeof *job->body.unfit);
  nm_require(job != NULL);
  job->body.unfit = (const char **)(void *)(job + 1);
  job->netmera = netmera;
  job->send = send;
  job->next = netmera->jobs;
  if (job->next) job->next->prev = job;
  netmera->jobs = job;

  nm_buffer_init(&job->body.json, NM_NETMERA_BODY_MAX_BYTES);
  int rc = nm_netmera_write(&job->body, send->messages, send->count, nm_clock_wall_ms());
  if (rc != NM_OK && send->count > 1)
    bury(job, NM_OUTCOME_RETRY, true, "the request would be too large");
  else if (rc == NM_ELIMIT)
    bury(job, NM_OUTCOME_REFUSED, false, "the message is too large");
  else if (rc != NM_OK)
    bury(job, NM_OUTCOME_RETRY, false, nm_code_name(rc));
  else if (job->body.included == 0)
    bury(job, NM_OUTCOME_REFUSED, false, "");
  else
    post(job);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void on_idle_closed(uv_handle_t *handle)
{
  struct netmera *netmera = handle->data;
  void (*on_closed)(void *) = netmera->on_closed;
  void *data = netmera->data;
  free(netmera->url);
  explicit_bzero(netmera->key_header, strlen(netmera->key_header));
  free(netmera->key_header);
  free(netmera);
  if (on_closed) on_closed(data);
}

/* Requests on the wire cannot be called back: their messages are unknown now, and the answers, when
 * they come, find nobody. */
static void close_netmera(struct nm_provider *provider, void (*on_closed)(void *data), void *data)
{
  struct netmera *netmera = (struct netmera *)provider;
  static const char reason[] = "stopped while waiting for the answer";
  netmera->on_closed = on_closed;
  netmera->data = data;
  uv_close((uv_handle_t *)&netmera->idle, on_idle_closed);
  while (netmera->jobs) {
    struct job *job = netmera->jobs;
    struct nm_send *send = unlink_job(job);
    bool is_stillborn = job->is_stillborn;
    if (!is_stillborn)
      job->verdict.outcome = (struct nm_outcome){ .kind = NM_OUTCOME_UNKNOWN, .retry_after_ms = -1,
                                                  .reason = nm_text_from(reason) };
    settle(&job->body, send, &job->verdict);
    if (is_stillborn) free_job(job); /* the others are freed by the client's word */
  }
}

const struct nm_adapter nm_adapter_netmera = {
  .name = "netmera",
  .channels = 1u << NM_CHANNEL_PUSH | 1u << NM_CHANNEL_SMS | 1u << NM_CHANNEL_EMAIL,
  .batch_max = NM_NETMERA_BATCH_MAX,
  .sends_max = 8,
  .check = check,
  .open = open_netmera,
  .unfit = nm_netmera_unfit,
  .send = send_netmera,
  .results = nm_netmera_results,
  .test = nm_netmera_test,
  .close = close_netmera,
};
