/* admin_queue.c - the queue, runs, status and reload: what operators look at and put right. */
#include <inttypes.h>
#include <stdlib.h>

#include "api/internal.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

enum { TELL_MS = 10 * 1000, PROGRESS_MS = 2000, RELOAD_MS = 30 * 1000 };

static void show(struct nm_api *api, struct nm_http_request *request, enum nm_store_query_kind kind)
{
  int64_t id = nm_api_id(request);
  if (id > 0) nm_api_query_and_answer(api, request, kind, json_pack("{s:I}", "id", (json_int_t)id));
}

void nm_api_queue(struct nm_http_request *request, void *data)
{
  nm_api_list(data, request, NM_QUERY_QUEUE);
}

void nm_api_queue_shape(struct nm_http_request *request, void *data)
{
  nm_api_query_and_answer(data, request, NM_QUERY_SHAPE, json_object());
}

void nm_api_queue_item(struct nm_http_request *request, void *data)
{
  show(data, request, NM_QUERY_SHOW);
}

void nm_api_runs(struct nm_http_request *request, void *data)
{
  nm_api_list(data, request, NM_QUERY_RUNS);
}

/* The store's counts, and how fast it goes now: the engine knows that. */
static void on_progress(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                        const struct nm_error *err, json_t *now)
{
  json_t *run = data;
  (void)api;
  (void)err;
  if (rc == NM_OK && now) {
    json_object_update(json_object_get(run, "progress"), now);
    json_object_update(run, now);
  }
  json_decref(now);
  nm_api_answer(request, 200, run);
}

static void on_run(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                   const struct nm_error *err, json_t *run)
{
  (void)data;
  if (rc || !json_is_object(run)) {
    json_decref(run);
    nm_api_refuse(request, rc ? rc : NM_EINTERNAL, err);
    return;
  }
  json_t *args = json_pack("{s:O}", "run", json_object_get(run, "id"));
  nm_api_tell(api, request,
              &(struct nm_api_question){ .verb = NM_CONTROL_RUN_PROGRESS, .args = args,
                                         .timeout_ms = PROGRESS_MS, .then = on_progress,
                                         .data = run });
}

void nm_api_run(struct nm_http_request *request, void *data)
{
  int64_t id = nm_api_id(request);
  if (id > 0)
    nm_api_query(data, request, NM_QUERY_RUN, json_pack("{s:I}", "id", (json_int_t)id), on_run,
                 NULL);
}

/* ---- retry ----------------------------------------------------------------------------------- */

struct retrying {
  struct nm_store_retry retry; /* first: its task is how this is found again */
  struct nm_api *api;
  struct nm_http_request *http;
};

static void on_retried(struct nm_task *task)
{
  struct retrying *retrying = (struct retrying *)(void *)task;
  if (retrying->retry.request.rc) {
    nm_api_refuse(retrying->http, retrying->retry.request.rc, &retrying->retry.request.error);
    return;
  }
  bool is_drop = retrying->retry.is_drop;
  nm_log(NM_LOG_INFO, "api", NULL, "%zu %s by hand", retrying->retry.retried,
         is_drop ? "dropped" : "put back to waiting");
  if (!is_drop) nm_api_mention(retrying->api, NM_CONTROL_QUEUE_CHANGED);
  nm_api_answer(retrying->http, 200, json_pack("{s:I}", is_drop ? "dropped" : "retried",
                                               (json_int_t)retrying->retry.retried));
}

/* The ids of {"ids":[...]}, as text or numbers, in the arena; NULL after a refusal. */
static int64_t *read_ids(struct nm_http_request *request, size_t *count)
{
  json_t *body = nm_api_body(request);
  if (!body) return NULL;
  const json_t *list_of = json_object_get(body, "ids"), *item;
  char wrong[128] = "ids should be a list of 1 to 10000 ids";
  size_t i, n = json_array_size(list_of);
  bool is_good = n > 0 && n <= NM_API_RETRY_IDS_MAX;
  int64_t *ids = is_good ? nm_arena_alloc(nm_http_arena(request), n * sizeof *ids) : NULL;
  if (ids)
    json_array_foreach(list_of, i, item) {
      ids[i] = json_integer_value(item);
      if (json_is_string(item) && !nm_text_to_i64(nm_json_string_of(item), &ids[i])) ids[i] = 0;
      if (ids[i] > 0) continue;
      if (is_good)
        snprintf(wrong, sizeof wrong, "ids[%zu] is no id, as lists and answers show them", i);
      is_good = false;
    }
  json_decref(body);
  *count = n;
  if (ids && is_good) return ids;
  nm_http_refuse(request, 400, "invalid", wrong, "ids", 0);
  return NULL;
}

static void submit(struct retrying *retrying)
{
  nm_api_audit_with(retrying->http, &retrying->retry.request);
  int rc = nm_store_submit(retrying->api->env.store, &retrying->retry.request);
  if (rc) nm_api_refuse(retrying->http, rc, NULL);
}

static void on_owner(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                     const struct nm_error *err, json_t *answer)
{
  bool are_all = json_is_true(json_object_get(answer, "are_all"));
  (void)api;
  json_decref(answer);
  if (rc) nm_api_refuse(request, rc, err);
  else if (are_all) submit(data);
  else
    nm_http_refuse(request, 404, "not_found", "one of the ids names nothing; nothing was changed",
                   "ids", 0);
}

static void put_right(struct nm_api *api, struct nm_http_request *request, bool is_drop)
{
  size_t count = 0;
  int64_t *ids = read_ids(request, &count);
  if (!ids) return;
  struct retrying *retrying = nm_arena_alloc(nm_http_arena(request), sizeof *retrying);
  json_t *list_of = json_array();
  bool is_whole = true; /* else the owner of the others would not be asked for */
  for (size_t i = 0; i < count; i++)
    if (json_array_append_new(list_of, json_integer(ids[i]))) is_whole = false;
  nm_api_audit_note(request, NM_TEXT(""), NM_TEXT(""), list_of);
  if (!retrying || !is_whole) {
    json_decref(list_of);
    nm_api_refuse(request, NM_ENOMEM, NULL);
    return;
  }
  retrying->api = api;
  retrying->http = request;
  nm_api_prepare(api, request, &retrying->retry.request, NM_STORE_RETRY, on_retried);
  retrying->retry.ids = ids;
  retrying->retry.count = count;
  retrying->retry.now_ms = nm_clock_wall_ms();
  retrying->retry.is_drop = is_drop;
  if (nm_api_scope(request)) {
    nm_api_ask_owner(api, request, list_of, on_owner, retrying);
  } else {
    json_decref(list_of);
    submit(retrying);
  }
}

void nm_api_queue_retry(struct nm_http_request *request, void *data)
{
  put_right(data, request, false);
}

void nm_api_queue_drop(struct nm_http_request *request, void *data)
{
  put_right(data, request, true);
}

/* ---- what the engine answers ----------------------------------------------------------------- */

static void answer_told(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                        const struct nm_error *err, json_t *answer)
{
  nm_api_polish(api, answer);
  nm_api_answer_told(api, request, data, rc, err, answer);
}

/* ---- one run by hand ------------------------------------------------------------------------- */

static void tell_run(struct nm_api *api, struct nm_http_request *request, enum nm_control_verb verb)
{
  int64_t id = nm_api_id(request);
  json_t *args = id > 0 ? json_object() : NULL;
  if (!args) return;
  if (nm_json_set_id(args, "run", id)) {
    json_decref(args);
    args = NULL;
  }
  nm_api_tell(api, request,
              &(struct nm_api_question){ .verb = verb, .args = args, .timeout_ms = TELL_MS,
                                         .then = answer_told });
}

void nm_api_run_cancel(struct nm_http_request *request, void *data)
{
  tell_run(data, request, NM_CONTROL_RUN_CANCEL);
}

void nm_api_run_pause(struct nm_http_request *request, void *data)
{
  tell_run(data, request, NM_CONTROL_RUN_PAUSE);
}

void nm_api_run_release(struct nm_http_request *request, void *data)
{
  tell_run(data, request, NM_CONTROL_RUN_RELEASE);
}

void nm_api_run_repin(struct nm_http_request *request, void *data)
{
  tell_run(data, request, NM_CONTROL_RUN_REPIN);
}

void nm_api_reload(struct nm_http_request *request, void *data)
{
  nm_api_tell(data, request,
              &(struct nm_api_question){ .verb = NM_CONTROL_RELOAD, .args = json_object(),
                                         .timeout_ms = RELOAD_MS, .then = answer_told });
}

/* The store's counts, with the engine's own view beside them. */
static void on_engine_status(struct nm_api *api, struct nm_http_request *request, void *data,
                             int rc, const struct nm_error *err, json_t *engine)
{
  json_t *status = data;
  (void)err;
  if (engine) nm_api_polish(api, engine);
  json_object_set_new(status, "engine", rc == NM_OK && engine ? engine : json_null());
  if (rc) json_decref(engine);
  json_object_set_new(status, "version", json_string(NM_VERSION));
  json_object_set_new(status, "store_is_sound", json_boolean(nm_store_is_sound(api->env.store)));
  nm_api_answer(request, 200, status);
}

static void on_store_status(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                            const struct nm_error *err, json_t *status)
{
  (void)data;
  if (rc || !json_is_object(status)) {
    json_decref(status);
    nm_api_refuse(request, rc ? rc : NM_EINTERNAL, err);
    return;
  }
  nm_api_tell(api, request,
              &(struct nm_api_question){ .verb = NM_CONTROL_STATUS, .args = json_object(),
                                         .timeout_ms = TELL_MS, .then = on_engine_status,
                                         .data = status });
}

void nm_api_status(struct nm_http_request *request, void *data)
{
  nm_api_query(data, request, NM_QUERY_STATUS, json_object(), on_store_status, NULL);
}
