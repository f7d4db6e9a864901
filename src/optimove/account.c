/* account.c - the sliding window of one key, and the calls that wait for it.
 *
 * Optimove counts a call when it arrives there, which we cannot see.  A slot is therefore taken
 * when a call starts and free again ten seconds after its answer came: then no window of theirs can
 * hold more than its share, however long a call was on its way.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/metrics.h"
#include "optimove/internal.h"

enum {
  PAUSE_FIRST_MS = 1000, /* after a 429 without Retry-After; doubles */
  PAUSE_MAX_MS = 60 * 1000,
  REFUSALS_FOR_PACE_MAX = 6, /* then the caller is told LATER */
  CALLS_UNDER_WAY_MAX = 8,
  KEY_PART_MIN_BYTES = 4,
};

static const char KEY_NAME[] = "X-API-KEY: ";

struct nm_optimove_account {
  struct nm_optimove_account *next;
  struct nm_optimove *optimove;
  char *base_url;
  char *key_line; /* of a request's head */
  const char *api_key; /* the end of it */
  int64_t timeout_ms; /* of a call; as the tenant that asked last has set it */
  struct nm_optimove_call *first[NM_URGENCIES], *last[NM_URGENCIES];
  size_t waiting;
  int under_way;
  int64_t ended_at_ms[NM_OPTIMOVE_CALLS_MAX]; /* ring of ends within the window */
  int ended_first, ended_count;
  int64_t paused_until_ms;
  int64_t pause_ms;
  uv_timer_t timer;
};

struct nm_optimove {
  uv_loop_t *loop;
  struct nm_client *client;
  struct nm_optimove_account *accounts;
  bool is_leaving; /* nothing is waited for any more */
  bool is_closing;
  int open_timers;
  void (*on_closed)(void *data);
  void *data;
};

static void pump(struct nm_optimove_account *account);

int nm_optimove_open(struct nm_optimove **out, uv_loop_t *loop, struct nm_client *client)
{
  struct nm_optimove *optimove = calloc(1, sizeof *optimove);
  if (!optimove) return NM_ENOMEM;
  optimove->loop = loop;
  optimove->client = client;
  *out = optimove;
  return NM_OK;
}

/* ---- accounts -------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
  pump(timer->data);
}

static char *copy_behind(const char *before, struct nm_text text)
{
  size_t len = strlen(before);
  char *copy = malloc(len + text.len + 1);
  if (!copy) return NULL;
  memcpy(copy, before, len);
  if (text.len > 0) memcpy(copy + len, text.ptr, text.len);
  copy[len + text.len] = '\0';
  return copy;
}

static struct nm_optimove_account *create_account(struct nm_optimove *optimove,
                                                  struct nm_text base_url, struct nm_text api_key)
{
  struct nm_optimove_account *account = calloc(1, sizeof *account);
  if (!account) return NULL;
  account->base_url = copy_behind("", base_url);
  account->key_line = copy_behind(KEY_NAME, api_key);
  if (!account->base_url || !account->key_line) {
    free(account->base_url);
    free(account->key_line);
    free(account);
    return NULL;
  }
  account->api_key = account->key_line + strlen(KEY_NAME);
  account->optimove = optimove;
  account->next = optimove->accounts;
  optimove->accounts = account;
  optimove->open_timers++;
  uv_timer_init(optimove->loop, &account->timer);
  account->timer.data = account;
  return account;
}

static struct nm_optimove_account *find_account(struct nm_optimove *optimove,
                                                const struct nm_tenant *tenant,
                                                struct nm_text api_key)
{
  const struct nm_tenant_connector *connector = &tenant->connector;
  if (!connector->is_present || optimove->is_closing) return NULL;
  struct nm_optimove_account *account = optimove->accounts;
  while (account && (!nm_text_equal(nm_text_from(account->base_url), connector->base_url) ||
                     !nm_text_equal(nm_text_from(account->api_key), api_key)))
    account = account->next;
  if (!account) account = create_account(optimove, connector->base_url, api_key);
  if (account)
    account->timeout_ms = connector->timeout_ms ? connector->timeout_ms
                                                : NM_OPTIMOVE_CALL_TIMEOUT_MS;
  return account;
}

struct nm_optimove_account *nm_optimove_account(struct nm_optimove *optimove,
                                                const struct nm_tenant *tenant)
{
  return find_account(optimove, tenant, tenant->connector.api_key);
}

static bool has_admin_key(const struct nm_tenant *tenant)
{
  return tenant->connector.admin_api_key.len > 0;
}

struct nm_optimove_account *nm_optimove_admin_account(struct nm_optimove *optimove,
                                                      const struct nm_tenant *tenant)
{
  const struct nm_tenant_connector *connector = &tenant->connector;
  return find_account(optimove, tenant,
                      has_admin_key(tenant) ? connector->admin_api_key : connector->api_key);
}

const char *nm_optimove_admin_key_name(const struct nm_tenant *tenant)
{
  return has_admin_key(tenant) ? "optimove.adminApiKey" : "optimove.apiKey";
}

static void destroy_account(struct nm_optimove_account *account)
{
  sodium_memzero(account->key_line, strlen(account->key_line));
  free(account->base_url);
  free(account->key_line);
  free(account);
}

static void on_timer_closed(uv_handle_t *handle)
{
  struct nm_optimove_account *account = handle->data;
  struct nm_optimove *optimove = account->optimove;
  destroy_account(account);
  if (--optimove->open_timers > 0) return;
  void (*on_closed)(void *data) = optimove->on_closed;
  void *data = optimove->data;
  free(optimove);
  on_closed(data);
}

/* ---- calls ----------------------------------------------------------------------------------- */

struct nm_optimove_call *nm_optimove_call_create(struct nm_optimove_account *account,
                                                 const char *function, const char *method,
                                                 struct nm_text path, nm_optimove_done *done,
                                                 void *data)
{
  struct nm_optimove_call *call = calloc(1, sizeof *call);
  size_t base_len = strlen(account->base_url);
  char *url = malloc(base_len + path.len + 1);
  if (!call || !url) {
    free(call);
    free(url);
    return NULL;
  }
  memcpy(url, account->base_url, base_len);
  memcpy(url + base_len, path.ptr, path.len);
  url[base_len + path.len] = '\0';
  *call = (struct nm_optimove_call){ .account = account,
                                     .function = function,
                                     .method = method,
                                     .url = { url, base_len + path.len },
                                     .timeout_ms = account->timeout_ms,
                                     .answer_max_bytes = 1024 * 1024,
                                     .done = done,
                                     .data = data };
  return call;
}

void nm_optimove_call_destroy(struct nm_optimove_call *call)
{
  free((char *)(uintptr_t)call->url.ptr);
  free((char *)(uintptr_t)call->body.ptr);
  free(call);
}

static void finish_call(struct nm_optimove_call *call, const struct nm_optimove_answer *answer)
{
  call->done(call->data, answer);
  nm_optimove_call_destroy(call);
}

static void finish_later(struct nm_optimove_call *call, const char *reason)
{
  finish_call(call, &(struct nm_optimove_answer){ .end = NM_OPTIMOVE_LATER, .retry_after_ms = -1,
                                                  .reason = reason });
}

static void push_call(struct nm_optimove_call *call, bool in_front)
{
  struct nm_optimove_account *account = call->account;
  struct nm_optimove_call **first = &account->first[call->urgency];
  struct nm_optimove_call **last = &account->last[call->urgency];
  call->next = in_front ? *first : NULL;
  if (in_front || !*first) *first = call;
  else (*last)->next = call;
  if (!in_front || !*last) *last = call;
  account->waiting++;
}

static struct nm_optimove_call *pop_call(struct nm_optimove_account *account)
{
  for (int urgency = NM_URGENT; urgency < NM_URGENCIES; urgency++) {
    struct nm_optimove_call *call = account->first[urgency];
    if (!call) continue;
    account->first[urgency] = call->next;
    if (!call->next) account->last[urgency] = NULL;
    account->waiting--;
    return call;
  }
  return NULL;
}

void nm_optimove_submit(struct nm_optimove_call *call)
{
  push_call(call, false);
  /* Never from inside the caller: it may be told of its end before it knows of its start. */
  uv_timer_start(&call->account->timer, on_timer, 0, 0);
}

/* ---- the window ------------------------------------------------------------------------------ */

static void forget_old_ends(struct nm_optimove_account *account, int64_t now_ms)
{
  while (account->ended_count > 0 &&
         account->ended_at_ms[account->ended_first] + NM_OPTIMOVE_CALLS_WINDOW_MS < now_ms) {
    account->ended_first = (account->ended_first + 1) % NM_OPTIMOVE_CALLS_MAX;
    account->ended_count--;
  }
}

/* Milliseconds until a call may start; 0 = now, -1 = when one under way ends. */
static int64_t wait_ms(struct nm_optimove_account *account, int64_t now_ms)
{
  forget_old_ends(account, now_ms);
  if (account->paused_until_ms > now_ms) return account->paused_until_ms - now_ms;
  if (account->under_way >= CALLS_UNDER_WAY_MAX) return -1;
  if (account->under_way + account->ended_count < NM_OPTIMOVE_CALLS_MAX) return 0;
  if (account->ended_count == 0) return -1;
  return account->ended_at_ms[account->ended_first] + NM_OPTIMOVE_CALLS_WINDOW_MS + 1 - now_ms;
}

static void note_end(struct nm_optimove_account *account)
{
  int64_t now_ms = nm_clock_mono_ms();
  account->under_way--;
  forget_old_ends(account, now_ms);
  int at = (account->ended_first + account->ended_count) % NM_OPTIMOVE_CALLS_MAX;
  account->ended_at_ms[at] = now_ms;
  account->ended_count++;
}

/* A 429 proves that nothing was done: the key pauses and the call goes first in line again. */
static bool wait_out_refusal(struct nm_optimove_call *call, const struct nm_optimove_answer *answer)
{
  struct nm_optimove_account *account = call->account;
  account->pause_ms = account->pause_ms ? account->pause_ms * 2 : PAUSE_FIRST_MS;
  if (account->pause_ms > PAUSE_MAX_MS) account->pause_ms = PAUSE_MAX_MS;
  int64_t pause_ms = answer->retry_after_ms > 0 ? answer->retry_after_ms : account->pause_ms;
  account->paused_until_ms = nm_clock_mono_ms() + pause_ms;
  if (account->optimove->is_closing || account->optimove->is_leaving || call->is_impatient)
    return false;
  if (++call->refusals_for_pace > REFUSALS_FOR_PACE_MAX) return false;
  nm_log(NM_LOG_WARN, "optimove", NULL, "%s; its key pauses for %lld ms", answer->reason,
         (long long)pause_ms);
  push_call(call, true);
  return true;
}

/* Some say back the key that they refuse; the answer may be cut in the middle of it. */
static void hide_key(const struct nm_optimove_account *account, char *reason)
{
  size_t len = strlen(account->api_key);
  for (char *at = reason; *at; at++) {
    size_t same = 0;
    while (same < len && at[same] && at[same] == account->api_key[same]) same++;
    if (same == len || (same >= KEY_PART_MIN_BYTES && !at[same])) memset(at, '*', same);
  }
}

static void on_answer(void *data, const struct nm_client_answer *from)
{
  struct nm_optimove_call *call = data;
  struct nm_optimove_account *account = call->account;
  struct nm_optimove_answer answer;
  json_t *parsed = NULL;
  char reason[NM_ERROR_TEXT_MAX_BYTES];

  note_end(account);
  nm_optimove_classify(call, from, &answer, &parsed, reason);
  hide_key(account, reason);
  if (answer.status != 429) account->pause_ms = 0;
  if (answer.status != 429 || !wait_out_refusal(call, &answer)) finish_call(call, &answer);
  json_decref(parsed);
  if (!account->optimove->is_closing) uv_timer_start(&account->timer, on_timer, 0, 0);
}

static void start_call(struct nm_optimove_call *call)
{
  struct nm_optimove_account *account = call->account;
  struct nm_error error;
  const struct nm_text headers[] = { nm_text_from(account->key_line),
                                     NM_TEXT("Accept: application/json"),
                                     NM_TEXT("Content-Type: application/json") };
  struct nm_client_call http = { .method = call->method, .url = call->url, .headers = headers,
                                 .header_count = call->body.len > 0 ? 3 : 2, .body = call->body,
                                 .timeout_ms = call->timeout_ms,
                                 .response_max_bytes = call->answer_max_bytes,
                                 .done = on_answer, .data = call };
  nm_metric_add(NM_METRIC_OPTIMOVE_CALLS, 1);
  int rc = nm_client_start(account->optimove->client, &http, &error);
  if (rc) finish_later(call, error.text);
  else account->under_way++;
}

static void pump(struct nm_optimove_account *account)
{
  while (account->waiting > 0) {
    int64_t wait = wait_ms(account, nm_clock_mono_ms());
    if (wait < 0) return;
    if (wait > 0 && account->optimove->is_leaving) {
      finish_later(pop_call(account), "netmove is stopping");
      continue;
    }
    if (wait > 0) {
      uv_timer_start(&account->timer, on_timer, (uint64_t)wait, 0);
      return;
    }
    start_call(pop_call(account));
  }
}

void nm_optimove_leave(struct nm_optimove *optimove)
{
  optimove->is_leaving = true;
  for (struct nm_optimove_account *a = optimove->accounts; a; a = a->next)
    uv_timer_start(&a->timer, on_timer, 0, 0);
}

void nm_optimove_close(struct nm_optimove *optimove, void (*on_closed)(void *data), void *data)
{
  optimove->is_closing = true;
  optimove->on_closed = on_closed;
  optimove->data = data;
  if (!optimove->accounts) {
    free(optimove);
    on_closed(data);
    return;
  }
  for (struct nm_optimove_account *a = optimove->accounts; a; a = a->next) {
    struct nm_optimove_call *call;
    while ((call = pop_call(a))) finish_later(call, "netmove is stopping");
  }
  struct nm_optimove_account *account = optimove->accounts, *next;
  for (; account; account = next) {
    next = account->next;
    uv_close((uv_handle_t *)&account->timer, on_timer_closed);
  }
}
