/* admin_explain.c - why: what happened to an id, and what today's rules make of an event. */
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "base/limits.h"

enum { EXPLAIN_MS = 10 * 1000 };

/* ---- POST {tenant, event} -------------------------------------------------------------------- */

void nm_api_explain(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  json_t *body = nm_api_body(request);
  if (!body) return;
  json_t *event = json_object_get(body, "event");
  struct nm_tenant *tenant = nm_api_find_tenant(api, request, nm_json_string(body, "tenant"));
  if (tenant && json_is_object(event)) {
    json_t *args =
        json_pack("{s:s%,s:O,s:b}", "tenant", tenant->name.ptr, tenant->name.len, "event", event,
                  "recipient", json_is_true(json_object_get(body, "recipient")));
    nm_api_tell(api, request,
                &(struct nm_api_question){ .verb = NM_CONTROL_EXPLAIN, .args = args,
                                           .timeout_ms = EXPLAIN_MS, .then = nm_api_answer_told });
  } else if (tenant) {
    nm_http_refuse(request, 400, "invalid", "event should be an object", "event", 0);
  }
  nm_tenant_unref(tenant);
  json_decref(body);
}

/* ---- GET /{id} ------------------------------------------------------------------------------- */

struct explaining {
  json_t *answer; /* {event, message, messages, ...} */
  int64_t id;
};

static void move_key(json_t *from, const char *key, json_t *to, const char *name)
{
  json_t *value = json_object_get(from, key);
  if (!value || json_object_set(to, name, value)) return;
  json_object_del(from, key);
}

/* Each try of a message to be delivered, as a line of a list. */
static void shape_attempt(json_t *attempt, json_t *provider)
{
  json_t *start = json_object_get(attempt, "started_at_ms"),
         *end = json_object_get(attempt, "ended_at_ms");
  if (json_is_integer(start)) json_object_set(attempt, "at", start);
  if (json_is_integer(start) && json_is_integer(end))
    json_object_set_new(attempt, "took_ms",
                        json_integer(json_integer_value(end) - json_integer_value(start)));
  if (provider) json_object_set(attempt, "provider", provider);
}

/* `attempts` is how many count; what was tried is `attempts_made`. */
static void shape_message(json_t *message)
{
  size_t i;
  json_t *attempt, *at = json_object_get(message, "at");
  if (json_is_integer(at)) json_object_set(message, "created_at_ms", at);
  move_key(message, "attempts", message, "attempts_made");
  move_key(message, "tries", message, "attempts");
  json_array_foreach(json_object_get(message, "attempts_made"), i, attempt)
    shape_attempt(attempt, json_object_get(message, "provider"));
}

/* The store shows a thing with what belongs to it inside; here they stand side by side, each under
 * its kind. */
static json_t *shape(json_t *shown)
{
  static const char *const parts[] = { "event", "run", "messages", "runs", "updates", "became" };
  const char *kind = json_string_value(json_object_get(shown, "kind"));
  json_t *out = json_object(), *message;
  size_t i;
  if (!out || !kind) {
    json_decref(out);
    return NULL;
  }
  bool is_run = strcmp(kind, "run") == 0; /* whose `messages` are counts of its own */
  for (size_t part = 0; part < sizeof parts / sizeof *parts; part++)
    if (!is_run || strcmp(parts[part], "messages") != 0)
      move_key(shown, parts[part], out, parts[part]);
  if (strcmp(kind, "message") == 0) shape_message(shown);
  json_array_foreach(json_object_get(out, "messages"), i, message) shape_message(message);
  if (json_object_set(out, kind, shown) == 0) return out;
  json_decref(out);
  return NULL;
}

static void on_rules_asked(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                           const struct nm_error *err, json_t *now)
{
  struct explaining *explaining = data;
  (void)api;
  if (rc == NM_OK && now) json_object_set(explaining->answer, "now", now);
  else if (rc)
    json_object_set_new(
        explaining->answer, "now",
        json_pack("{s:s}", "error", err && err->text[0] ? err->text : nm_code_name(rc)));
  json_decref(now);
  nm_api_answer(request, 200, explaining->answer);
}

/* The event as its sender wrote it, for today's rules; a callback has none. */
static json_t *explain_args(const json_t *row)
{
  struct nm_text body = nm_json_string(row, "body"), tenant = nm_json_string(row, "tenant");
  json_t *event = NULL, *whole = json_object_get(row, "body");
  struct nm_text kind = nm_json_string(row, "event_kind"), name = nm_json_string(row, "name");
  if (tenant.len == 0 || nm_text_equal(kind, NM_TEXT("callback"))) return NULL;
  if (json_is_object(whole)) event = json_incref(whole);
  else if (body.len == 0 || nm_json_parse(&event, body, NULL)) return NULL;
  if (nm_text_equal(kind, NM_TEXT("inbound")))
    return json_pack("{s:s%,s:s,s:s%,s:o}", "tenant", tenant.ptr, tenant.len, "kind", "inbound",
                     "name", name.ptr, name.len, "event", event);
  return json_pack("{s:s%,s:o}", "tenant", tenant.ptr, tenant.len, "event", event);
}

static void on_event(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                     const struct nm_error *err, json_t *row)
{
  struct explaining *explaining = data;
  (void)err;
  json_t *args = rc == NM_OK ? explain_args(row) : NULL;
  json_decref(row);
  if (args)
    nm_api_tell(api, request,
                &(struct nm_api_question){ .verb = NM_CONTROL_EXPLAIN, .args = args,
                                           .timeout_ms = EXPLAIN_MS, .then = on_rules_asked,
                                           .data = explaining });
  else nm_api_answer(request, 200, explaining->answer); /* no event: a message, a run, an update */
}

/* Why the message waits and waited; where the engine does not say, the rest stands by itself. */
static void on_waits(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                     const struct nm_error *err, json_t *told)
{
  struct explaining *explaining = data;
  (void)err;
  if (rc == NM_OK && told) {
    nm_api_polish(api, told);
    json_object_set(explaining->answer, "waits", json_object_get(told, "waits"));
  }
  json_decref(told);
  nm_api_answer(request, 200, explaining->answer);
}

/* Takes shown: the message as the store shows it. */
static void ask_waits(struct nm_api *api, struct nm_http_request *request, json_t *shown,
                      struct explaining *explaining)
{
  nm_api_tell(api, request,
              &(struct nm_api_question){ .verb = NM_CONTROL_EXPLAIN_MESSAGE,
                                         .args = json_pack("{s:o}", "message", shown),
                                         .timeout_ms = EXPLAIN_MS, .then = on_waits,
                                         .data = explaining });
}

static void on_shown(struct nm_api *api, struct nm_http_request *request, void *data, int rc,
                     const struct nm_error *err, json_t *answer)
{
  struct explaining *explaining = data;
  if (rc || !json_is_object(answer)) {
    json_decref(answer);
    nm_api_refuse(request, rc ? rc : NM_EINTERNAL, err);
    return;
  }
  bool is_message = nm_text_equal(nm_json_string(answer, "kind"), NM_TEXT("message"));
  json_t *as_stored = is_message ? json_deep_copy(answer) : NULL;
  explaining->answer = shape(answer);
  json_decref(answer);
  if (explaining->answer && as_stored) {
    ask_waits(api, request, as_stored, explaining);
    return;
  }
  json_decref(as_stored);
  if (!explaining->answer) {
    nm_api_refuse(request, NM_ENOMEM, NULL);
    return;
  }
  nm_api_query(api, request, NM_QUERY_EVENT, json_pack("{s:I}", "id", (json_int_t)explaining->id),
               on_event, explaining);
}

void nm_api_explain_id(struct nm_http_request *request, void *data)
{
  int64_t id = nm_api_id(request);
  if (id == 0) return;
  struct explaining *explaining = nm_arena_alloc(nm_http_arena(request), sizeof *explaining);
  if (!explaining) {
    nm_api_refuse(request, NM_ENOMEM, NULL);
    return;
  }
  explaining->id = id;
  nm_api_query(data, request, NM_QUERY_SHOW, json_pack("{s:I}", "id", (json_int_t)id), on_shown,
               explaining);
}
