#include "api/internal.h"
#include "base/limits.h"
#include "base/metrics.h"

void nm_api_answer(struct nm_http_request *request, int status, json_t *value)
{
  nm_api_answer_tagged(request, status, value, NM_TEXT(""));
}

static struct nm_text headers_of(struct nm_http_request *request, struct nm_text tag)
{
  /* tokens and people are in no cache */
  const char *cache = nm_api_caller(request) ? "Cache-Control: no-store\r\n" : "";
  if (tag.len == 0) return nm_text_from(cache);
  struct nm_text lines = nm_arena_printf(nm_http_arena(request), "%sETag: %.*s\r\n", cache,
                                         NM_TEXT_ARG(tag));
  return lines.ptr ? lines : nm_text_from(cache);
}

void nm_api_answer_tagged(struct nm_http_request *request, int status, json_t *value,
                          struct nm_text tag)
{
  struct nm_text headers = headers_of(request, tag);
  struct nm_buffer body;
  nm_buffer_init(&body, NM_API_ANSWER_MAX_BYTES);
  int rc = value ? nm_json_write(&body, value) : NM_ENOMEM;
  json_decref(value);
  if (rc) nm_http_refuse(request, 500, "internal", "the answer could not be made", NULL, 0);
  else nm_http_respond(request, status, "application/json", nm_buffer_text(&body), headers);
  nm_buffer_deinit(&body);
}

void nm_api_refuse_busy(struct nm_http_request *request)
{
  nm_metric_add(NM_METRIC_EVENTS_REFUSED, 1);
  nm_http_refuse(request, 503, "busy", "not taken, nothing was stored; try again", NULL, 1);
}

void nm_api_refuse_tenant(struct nm_http_request *request)
{
  nm_http_refuse(request, 404, "not_found", "there is no tenant of this name", "tenant", 0);
}

void nm_api_refuse(struct nm_http_request *request, int code, const struct nm_error *err)
{
  static const struct {
    int code, status;
    const char *word;
  } statuses[] = {
    { NM_EINVAL, 400, "invalid" },      { NM_ENOTFOUND, 404, "not_found" },
    { NM_ELIMIT, 413, "above_limit" },  { NM_EDENIED, 403, "not_allowed" },
    { NM_ECONFLICT, 409, "conflict" },  { NM_EUNSUPPORTED, 501, "not_built_yet" },
    { NM_EFULL, 503, "busy" },          { NM_ECLOSED, 503, "stopping" },
    { NM_EIO, 503, "unavailable" },     { NM_ETIMEOUT, 504, "timed_out" },
    { NM_ENOMEM, 503, "busy" },
  };
  const char *message = err && err->text[0] ? err->text : nm_code_name(code);
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
    if (statuses[i].code == code) {
      nm_http_refuse(request, statuses[i].status, statuses[i].word, message, NULL,
                     statuses[i].status == 503 ? 1 : 0);
      return;
    }
  nm_http_refuse(request, 500, "internal", message, NULL, 0);
}

static void name_tenant(struct nm_api *api, json_t *object)
{
  int64_t id;
  if (!nm_json_i64(object, "tenant_id", &id)) return;
  struct nm_tenant *tenant = nm_tenants_by_id(api->env.tenants, id);
  if (!tenant) return;
  int rc = nm_json_set_text(object, "tenant", tenant->name);
  nm_expect(rc == NM_OK);
  nm_tenant_unref(tenant);
}

/* Our answers carry a number's unit in its name. */
static void name_times(json_t *object)
{
  static const char *const names[][2] = {
    { "due_at", "due_at_ms" },
    { "fenced_at", "fenced_at_ms" },
    { "ended_at", "ended_at_ms" },
    { "started_at", "started_at_ms" },
    { "expires_at", "expires_at_ms" },
    { "triggered_at", "triggered_at_ms" },
    { "created_at", "created_at_ms" },
    { "received_at", "received_at_ms" },
    { "oldest_waiting_at", "oldest_waiting_at_ms" },
    { "first_attempt_at", "first_attempt_at_ms" },
    { "checked_at", "checked_at_ms" },
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    json_t *value = json_object_get(object, names[i][0]);
    if (!json_is_integer(value) || json_object_set(object, names[i][1], value)) continue;
    json_object_del(object, names[i][0]);
  }
}

/* When it came to be; `at` stays, for lists of several kinds. */
static void name_beginning(json_t *object)
{
  struct nm_text kind = nm_json_string(object, "kind");
  json_t *at = json_object_get(object, "at");
  if (!json_is_integer(at)) return;
  if (nm_text_equal(kind, NM_TEXT("event"))) json_object_set(object, "received_at_ms", at);
  if (nm_text_equal(kind, NM_TEXT("run"))) json_object_set(object, "created_at_ms", at);
}

/* What is somebody else's own, with names of theirs. */
static bool is_foreign(const char *key)
{
  static const char *const keys[] = { "content", "profile", "details", "settings" };
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    if (strcmp(key, keys[i]) == 0) return true;
  return false;
}

void nm_api_polish(struct nm_api *api, json_t *value)
{
  const char *key;
  json_t *item;
  size_t i;
  if (json_is_object(value)) {
    json_object_foreach(value, key, item)
      if (!is_foreign(key)) nm_api_polish(api, item);
    name_times(value);
    name_beginning(value);
    name_tenant(api, value);
  }
  json_array_foreach(value, i, item) nm_api_polish(api, item);
}

int64_t nm_api_id(struct nm_http_request *request)
{
  int64_t id;
  struct nm_text text = nm_http_param(request, "id");
  if (nm_text_to_i64(text, &id) && id > 0) return id;
  nm_http_refuse(request, 404, "not_found", "an id is a number, as lists and answers show it", "id",
                 0);
  return 0;
}

bool nm_api_is_asked(struct nm_http_request *request, const char *name)
{
  return nm_text_equal(nm_http_query(request, name), NM_TEXT("1"));
}

json_t *nm_api_body(struct nm_http_request *request)
{
  struct nm_error err = { 0, "" };
  json_t *body = NULL;
  int rc = nm_json_parse(&body, nm_http_body(request), &err);
  if (rc == NM_OK && json_is_object(body)) return body;
  if (rc == NM_ENOMEM) {
    nm_api_refuse_busy(request);
    return NULL;
  }
  nm_http_refuse(request, 400, "invalid", rc ? err.text : "the body should be one JSON object",
                 NULL, 0);
  json_decref(body);
  return NULL;
}
