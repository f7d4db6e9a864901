/* public_hooks.c - POST /hooks/{appKey}/events: one event, an array, or NDJSON; all of them or
 * none.
 *
 * A batch is cut into its events before any of it is parsed, so that 8 MiB of brackets cost 8
 * MiB. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/internal.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/metrics.h"

enum { ARENA_MAX_BYTES = 64 * 1024 * 1024, FIRST_CAPACITY = 16 };

struct batch {
  struct nm_store_accept accept; /* first: its task is how this is found again */
  struct nm_http_request *http;
  struct nm_arena *arena;
  size_t capacity;
  int64_t tenant_id, now_ms;
  /* what is wrong, where something is */
  int status;
  const char *field;
  struct nm_error err;
};

static void destroy_batch(struct batch *batch)
{
  nm_arena_destroy(batch->arena);
  free(batch->accept.arrivals);
  free(batch);
}

NM_PRINTF(4, 5)
static int refuse(struct batch *batch, int status, const char *field, const char *format, ...)
{
  va_list args;
  batch->status = status;
  batch->field = field;
  va_start(args, format);
  vsnprintf(batch->err.text, sizeof batch->err.text, format, args);
  va_end(args);
  return NM_EINVAL;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int grow(struct batch *batch)
{
  if (batch->accept.count < batch->capacity) return NM_OK;
  size_t capacity = batch->capacity ? batch->capacity * 4 : FIRST_CAPACITY;
  struct nm_store_arrival *more = realloc(batch->accept.arrivals, capacity * sizeof *more);
  if (!more) return NM_ENOMEM;
  batch->accept.arrivals = more;
  batch->capacity = capacity;
  return NM_OK;
}

static int read_event(struct batch *batch, const json_t *value, struct nm_store_arrival *arrival,
                      const char **field, struct nm_error *err)
{
  *arrival = (struct nm_store_arrival){ .id = 0 };
  int rc = nm_event_read_hook(batch->arena, value, &arrival->event, field, err);
  if (rc) return rc;
  arrival->event.tenant_id = batch->tenant_id;
  arrival->event.received_at_ms = batch->now_ms;
  arrival->identity = nm_event_identity(batch->arena, &arrival->event, &arrival->window_ms);
  return arrival->identity.ptr ? NM_OK : NM_ENOMEM;
}

/* Adds the event in text; `is_one` of a body that is nothing but it. */
static int add_event(struct batch *batch, struct nm_text text, bool is_one)
{
  size_t index = batch->accept.count;
  const char *field = NULL;
  struct nm_error err = { 0, "" };
  json_t *value = NULL;
  struct nm_text at = is_one ? NM_TEXT("") : nm_arena_printf(batch->arena, "[%zu]", index);

  if (index >= NM_HOOK_BATCH_EVENTS_MAX)
    return refuse(batch, 413, NULL, "more than %d events", NM_HOOK_BATCH_EVENTS_MAX);
  if (text.len > NM_HTTP_EVENT_BODY_MAX_BYTES)
    return refuse(batch, 413, at.ptr, "event %zu has %zu bytes, at most %d are allowed", index,
                  text.len, NM_HTTP_EVENT_BODY_MAX_BYTES);
  int rc = grow(batch);
  if (rc == NM_OK) rc = nm_json_parse(&value, text, &err);
  if (rc == NM_OK) rc = read_event(batch, value, &batch->accept.arrivals[index], &field, &err);
  json_decref(value);
  if (rc == NM_OK) {
    batch->accept.count++;
    return NM_OK;
  }
  if (rc == NM_ENOMEM) return NM_ENOMEM;
  if (is_one) return refuse(batch, 400, field, "%s", err.text);
  struct nm_text named = field ? nm_arena_printf(batch->arena, "[%zu].%s", index, field) : at;
  return refuse(batch, 400, named.ptr, "event %zu: %s", index, err.text);
}

static bool is_space(char c)
{
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct nm_text skip_space(struct nm_text text)
{
  while (text.len > 0 && is_space(text.ptr[0])) {
    text.ptr++;
    text.len--;
  }
  return text;
}

/* How many bytes stand before the comma or bracket that ends this element. */
static size_t element_length(struct nm_text text)
{
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    if (in_string) {
      if (c == '\\') i++;
      else if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      depth++;
    } else if (depth == 0 && (c == ',' || c == ']')) {
      return i;
    } else if (depth > 0 && (c == '}' || c == ']')) {
      depth--;
    }
  }
  return text.len;
}

/* `[` was seen.  Every element is parsed strictly by itself, so what is taken is one valid
 * array. */
static int read_array(struct batch *batch, struct nm_text rest)
{
  rest = skip_space((struct nm_text){ rest.ptr + 1, rest.len - 1 });
  bool is_empty = rest.len > 0 && rest.ptr[0] == ']';
  while (!is_empty) {
    size_t len = element_length(rest);
    if (len == rest.len) return refuse(batch, 400, NULL, "not JSON: the array does not end");
    int rc = add_event(batch, (struct nm_text){ rest.ptr, len }, false);
    if (rc) return rc;
    bool is_last = rest.ptr[len] == ']';
    rest = (struct nm_text){ rest.ptr + len, rest.len - len };
    if (is_last) break;
    rest = (struct nm_text){ rest.ptr + 1, rest.len - 1 };
  }
  rest = skip_space((struct nm_text){ rest.ptr + 1, rest.len - 1 });
  return rest.len > 0 ? refuse(batch, 400, NULL, "not JSON: something stands behind the array")
                      : NM_OK;
}

static int read_lines(struct batch *batch, struct nm_text rest)
{
  struct nm_text line;
  int rc = NM_OK;
  while (rest.len > 0 && rc == NM_OK) {
    nm_text_cut(rest, '\n', &line, &rest);
    line = skip_space(line);
    if (line.len > 0) rc = add_event(batch, line, false);
  }
  return rc;
}

static int read_body(struct batch *batch)
{
  struct nm_text body = nm_http_body(batch->http), start = skip_space(body);
  if (nm_text_equal_nocase(nm_http_content_type(batch->http), NM_TEXT("application/x-ndjson")))
    return read_lines(batch, body);
  if (start.len > 0 && start.ptr[0] == '[') return read_array(batch, start);
  return add_event(batch, body, true);
}

/* ---- answering ------------------------------------------------------------------------------- */

static void answer(struct batch *batch)
{
  size_t count = batch->accept.count;
  json_t *ids = json_array();
  json_int_t duplicates = 0;
  for (size_t i = 0; i < count; i++) {
    const struct nm_store_arrival *arrival = &batch->accept.arrivals[i];
    char id[24];
    snprintf(id, sizeof id, "%lld", (long long)arrival->id);
    json_array_append_new(ids, json_string(id));
    if (arrival->is_duplicate) duplicates++;
  }
  nm_metric_add(NM_METRIC_EVENTS_DUPLICATE, duplicates);
  nm_metric_add(NM_METRIC_EVENTS_ACCEPTED, (int64_t)count - duplicates);
  nm_api_answer(batch->http, 200, json_pack("{s:o,s:I}", "ids", ids, "duplicates", duplicates));
}

static void on_accepted(struct nm_task *task)
{
  struct batch *batch = (struct batch *)(void *)task;
  if (batch->accept.request.rc) nm_api_refuse_busy(batch->http);
  else answer(batch);
  destroy_batch(batch);
}

static void submit(struct nm_api *api, struct batch *batch)
{
  if (batch->accept.count == 0) {
    answer(batch); /* nothing was sent, nothing is stored */
    destroy_batch(batch);
    return;
  }
  nm_api_prepare(api, batch->http, &batch->accept.request, NM_STORE_ACCEPT, on_accepted);
  batch->accept.request.arena = batch->arena;
  if (nm_store_submit(api->env.store, &batch->accept.request) == NM_OK) return;
  nm_api_refuse_busy(batch->http);
  destroy_batch(batch);
}

void nm_api_hook_events(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  struct nm_tenant *tenant = nm_api_authenticate(api, request);
  if (!tenant) return;
  struct batch *batch = calloc(1, sizeof *batch);
  int rc = batch && (batch->arena = nm_arena_create(ARENA_MAX_BYTES)) ? NM_OK : NM_ENOMEM;
  if (rc == NM_OK) {
    batch->http = request;
    batch->tenant_id = tenant->id;
    batch->now_ms = nm_clock_wall_ms();
    rc = read_body(batch);
  }
  if (rc == NM_OK && !nm_api_pace(api, request, tenant, batch->accept.count)) {
    nm_tenant_unref(tenant);
    destroy_batch(batch);
    return;
  }
  nm_tenant_unref(tenant);
  if (rc == NM_OK) {
    submit(api, batch);
    return;
  }
  if (rc == NM_EINVAL) {
    nm_metric_add(NM_METRIC_EVENTS_REFUSED, 1);
    nm_http_refuse(request, batch->status, batch->status == 413 ? "above_limit" : "invalid",
                   batch->err.text, batch->field, 0);
  } else {
    nm_api_refuse_busy(request);
  }
  if (batch) destroy_batch(batch);
}
