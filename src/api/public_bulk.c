/* public_bulk.c - POST /profiles/{appKey}: many profiles, one a line, however many there are.
 *
 * The body comes in pieces.  Lines are gathered into batches; a batch is loaded, merged and saved
 * as one transaction, and only then the next one is read.  A line that is wrong is counted and told
 * by its number, and the others go on.  What was saved stays saved if the caller leaves: sending
 * all of it again changes nothing that is there already.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/bulk.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "profiles/profiles.h"

enum {
  ARENA_MAX_BYTES = 64 * 1024 * 1024,
  INPUT_MAX_BYTES = 4 * NM_HTTP_PIECE_BYTES,
  BATCH_BYTES = 512 * 1024, /* of lines in one batch, unless one line is more */
  LOG_EVERY_LINES = 100000,
};

/* ---- its end --------------------------------------------------------------------------------- */

void nm_bulk_forget_batch(struct nm_api_bulk *bulk)
{
  for (size_t i = 0; i < bulk->line_count; i++)
    json_decref(bulk->lines[i].patch);
  for (size_t i = 0; i < bulk->slot_count; i++) {
    json_decref(bulk->slots[i].old);
    json_decref(bulk->slots[i].fresh);
  }
  bulk->line_count = bulk->slot_count = bulk->item_count = bulk->batch_bytes = 0;
  bulk->tries = 0;
  nm_arena_reset(bulk->arena);
}

static json_t *count(const struct nm_api_bulk *bulk)
{
  return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "lines", (json_int_t)bulk->read, "created",
                   (json_int_t)bulk->created, "updated", (json_int_t)bulk->updated, "unchanged",
                   (json_int_t)bulk->unchanged, "failed", (json_int_t)bulk->failed, "events",
                   (json_int_t)bulk->events);
}

/* For people who ask how far it is; NULL without memory. */
static json_t *row_of(const struct nm_api_bulk *bulk, const char *state)
{
  json_t *row = count(bulk);
  if (!row || nm_json_set_id(row, "tenant_id", bulk->tenant_id) ||
      json_object_set_new(row, "state", json_string(state)) ||
      json_object_set_new(row, "bytes", json_integer(bulk->bytes)) ||
      json_object_set_new(row, "since", json_integer(bulk->since_ms))) {
    json_decref(row);
    return NULL;
  }
  return row;
}

static void note_end(struct nm_api_bulk *bulk, const char *state)
{
  struct nm_api *api = bulk->api;
  json_t *row = row_of(bulk, state);
  if (!api->bulks_ended)
    api->bulks_ended = json_array();
  if (row)
    json_object_set_new(row, "ended_at", json_integer(nm_clock_wall_ms()));
  if (row)
    json_array_insert_new(api->bulks_ended, 0, row);
  while (json_array_size(api->bulks_ended) > NM_PROFILES_ENDED_BULKS_MAX)
    json_array_remove(api->bulks_ended, NM_PROFILES_ENDED_BULKS_MAX);
}

static void destroy(struct nm_api_bulk *bulk, const char *state)
{
  note_end(bulk, state);
  struct nm_api_bulk **at = &bulk->api->bulks;
  while (*at && *at != bulk)
    at = &(*at)->next;
  if (nm_expect(*at == bulk))
    *at = bulk->next;
  nm_bulk_forget_batch(bulk);
  nm_buffer_deinit(&bulk->input);
  nm_arena_destroy(bulk->arena);
  json_decref(bulk->errors);
  free(bulk);
}

static void log_progress(const struct nm_api_bulk *bulk, const char *word)
{
  nm_log(NM_LOG_INFO, "api", NULL,
         "profiles %s: %lld lines, %lld created, %lld updated, %lld unchanged, %lld failed", word,
         (long long)bulk->read, (long long)bulk->created, (long long)bulk->updated,
         (long long)bulk->unchanged, (long long)bulk->failed);
}

static void answer(struct nm_api_bulk *bulk)
{
  json_t *body = count(bulk);
  if (body) {
    json_object_set(body, "errors", bulk->errors);
    int64_t left_out = bulk->failed - (int64_t)json_array_size(bulk->errors);
    if (left_out > 0)
      json_object_set_new(body, "errors_left_out", json_integer(left_out));
  }
  log_progress(bulk, "are in");
  nm_api_answer(bulk->http, 200, body);
  destroy(bulk, "done");
}

/* The store takes no more: what came before the batch at hand is saved. */
void nm_bulk_give_up(struct nm_api_bulk *bulk)
{
  int64_t saved = bulk->line_count > 0 ? bulk->lines[0].number - 1 : bulk->number;
  if (bulk->short_at > 0 && bulk->short_at <= saved)
    saved = bulk->short_at - 1;
  struct nm_text message = nm_arena_printf(
      nm_http_arena(bulk->http), "not taken from line %lld on; send the rest, or all of it, again",
      (long long)saved + 1);
  nm_log(NM_LOG_WARN, "api", NULL,
         "a bulk of profiles ended after %lld lines: the store takes no more", (long long)saved);
  nm_http_refuse(bulk->http, 503, "busy", message.ptr ? message.ptr : "not taken", NULL, 1);
  destroy(bulk, "broken off");
}

static void on_lost(void *data)
{
  struct nm_api_bulk *bulk = data;
  log_progress(bulk, "came without their end");
  destroy(bulk, "broken off");
}

/* ---- lines ----------------------------------------------------------------------------------- */

void nm_bulk_complain(struct nm_api_bulk *bulk, int64_t number, const char *field,
                      const char *message)
{
  bulk->failed++;
  if (json_array_size(bulk->errors) >= NM_PROFILES_BULK_ERRORS_MAX)
    return;
  json_t *row = json_pack("{s:I,s:s}", "line", (json_int_t)number, "message", message);
  if (row && field)
    json_object_set_new(row, "field", json_string(field));
  json_array_append_new(bulk->errors, row);
}

/* The extId of a line, taken out of it; empty after a complaint. */
static struct nm_text take_ext_id(struct nm_api_bulk *bulk, json_t *patch, int64_t number)
{
  const json_t *value = json_object_get(patch, "extId");
  struct nm_text id = { NULL, 0 };
  if (json_is_string(value))
    id = nm_arena_copy(bulk->arena,
                       nm_json_string_of(value));
  else if (json_is_integer(value))
    id = nm_arena_printf(bulk->arena, "%lld", (long long)json_integer_value(value));
  json_object_del(patch, "extId");
  if (id.ptr && nm_api_is_ext_id(id))
    return id;
  nm_bulk_complain(bulk, number, "extId", "should be text of 1 to 256 bytes");
  return (struct nm_text){ NULL, 0 };
}

static size_t slot_of(struct nm_api_bulk *bulk, struct nm_text ext_id)
{
  for (size_t i = 0; i < bulk->slot_count; i++)
    if (nm_text_equal(bulk->slots[i].ext_id, ext_id))
      return i;
  bulk->slots[bulk->slot_count] = (struct nm_bulk_slot){ .ext_id = ext_id };
  return bulk->slot_count++;
}

static void add_line(struct nm_api_bulk *bulk, struct nm_text text)
{
  struct nm_error err = { 0, "" };
  const char *field = NULL;
  json_t *patch = NULL;
  int64_t number = ++bulk->number;
  text = nm_text_trim(text);
  if (text.len == 0)
    return;
  if (++bulk->read % LOG_EVERY_LINES == 0)
    log_progress(bulk, "come in");
  int rc = nm_json_parse(&patch, text, &err);
  struct nm_text ext_id = rc ? (struct nm_text){ NULL, 0 } : take_ext_id(bulk, patch, number);
  if (rc == NM_OK && ext_id.ptr)
    rc = nm_profile_check(patch, bulk->arena, &field, &err);
  /* Such a line is not wrong: it is sent again, with those behind it. */
  bool is_short = rc == NM_ENOMEM || nm_arena_has_refused(bulk->arena);
  if (is_short && bulk->short_at == 0)
    bulk->short_at = number;
  if (rc)
    nm_bulk_complain(bulk, number, field, err.text);
  if (rc || !ext_id.ptr) {
    json_decref(patch);
    return;
  }
  bulk->batch_bytes += text.len;
  bulk->lines[bulk->line_count++] = (struct nm_bulk_line){ number, slot_of(bulk, ext_id), patch };
}

static void refuse_long_line(struct nm_api_bulk *bulk)
{
  bulk->read++;
  nm_bulk_complain(bulk, ++bulk->number, NULL, "is longer than 64 KiB");
}

/* The next whole line of the input; false where there is none yet. */
static bool next_line(struct nm_api_bulk *bulk, struct nm_text *out)
{
  struct nm_text rest = { bulk->input.ptr + bulk->input_at, bulk->input.len - bulk->input_at };
  const char *end = rest.len > 0 ? memchr(rest.ptr, '\n', rest.len) : NULL;
  if (!end && !(bulk->is_last && rest.len > 0))
    return false;
  size_t len = end ? (size_t)(end - rest.ptr) : rest.len;
  *out = (struct nm_text){ rest.ptr, len };
  bulk->input_at += end ? len + 1 : len;
  return true;
}

static void skip_long_line(struct nm_api_bulk *bulk)
{
  size_t waiting = bulk->input.len - bulk->input_at;
  if (waiting <= NM_HTTP_EVENT_BODY_MAX_BYTES)
    return;
  if (!bulk->is_skipping)
    refuse_long_line(bulk);
  bulk->is_skipping = true;
  bulk->input_at = bulk->input.len;
}

static void gather(struct nm_api_bulk *bulk)
{
  struct nm_text text;
  while (bulk->line_count < NM_PROFILES_BATCH_LINES && bulk->batch_bytes < BATCH_BYTES &&
         next_line(bulk, &text)) {
    bool was_skipping = bulk->is_skipping;
    bulk->is_skipping = false;
    if (was_skipping)
      continue;
    if (text.len > NM_HTTP_EVENT_BODY_MAX_BYTES)
      refuse_long_line(bulk);
    else
      add_line(bulk, text);
  }
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static void on_piece(struct nm_http_request *request, void *data)
{
  struct nm_api_bulk *bulk = data;
  struct nm_text piece = nm_http_body(request);
  bulk->is_last = nm_http_is_last(request);
  bulk->bytes += (int64_t)piece.len;
  nm_buffer_consume(&bulk->input, bulk->input_at);
  bulk->input_at = 0;
  if (nm_buffer_append_text(&bulk->input, piece))
    nm_bulk_give_up(bulk);
  else
    nm_bulk_work(bulk);
}

/* The next batch of what is here, or the next piece, or the answer. */
void nm_bulk_work(struct nm_api_bulk *bulk)
{
  const struct nm_http_pieces pieces = { on_piece, on_lost, bulk };
  gather(bulk);
  if (bulk->short_at > 0) {
    nm_bulk_give_up(bulk);
    return;
  }
  if (bulk->line_count > 0) {
    nm_bulk_batch(bulk);
    return;
  }
  struct nm_text text;
  if (next_line(bulk, &text)) { /* a batch of nothing but mistakes */
    bulk->input_at = (size_t)(text.ptr - bulk->input.ptr);
    nm_bulk_work(bulk);
    return;
  }
  skip_long_line(bulk);
  if (bulk->is_last || !nm_http_more(bulk->http, &pieces))
    answer(bulk);
}

void nm_api_profiles_bulk(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  struct nm_tenant *tenant = nm_api_authenticate(api, request);
  if (!tenant)
    return;
  int64_t tenant_id = tenant->id;
  bool tells = nm_api_tells_unsubscribes(request, tenant);
  nm_tenant_unref(tenant);
  struct nm_api_bulk *bulk = calloc(1, sizeof *bulk);
  struct nm_arena *arena = bulk ? nm_arena_create(ARENA_MAX_BYTES) : NULL;
  json_t *errors = json_array();
  if (!arena || !errors) {
    nm_arena_destroy(arena);
    json_decref(errors);
    free(bulk);
    nm_api_refuse_busy(request);
    return;
  }
  bulk->api = api;
  bulk->http = request;
  bulk->tenant_id = tenant_id;
  bulk->tells_unsubscribes = tells;
  bulk->is_silent = nm_text_equal(nm_http_query(request, "hooks"), NM_TEXT("off"));
  bulk->restores = nm_text_equal(nm_http_query(request, "restore"), NM_TEXT("on"));
  bulk->since_ms = nm_clock_wall_ms();
  bulk->arena = arena;
  bulk->errors = errors;
  nm_buffer_init(&bulk->input, INPUT_MAX_BYTES);
  bulk->next = api->bulks;
  api->bulks = bulk;
  on_piece(request, bulk);
}

/* ---- how far they are ------------------------------------------------------------------------ */

void nm_api_bulks(struct nm_http_request *request, void *data)
{
  struct nm_api *api = data;
  json_t *items = json_array();
  for (const struct nm_api_bulk *bulk = api->bulks; items && bulk; bulk = bulk->next) {
    if (!nm_api_may_see(request, bulk->tenant_id))
      continue;
    json_t *row = row_of(bulk, "under way");
    if (!row)
      continue;
    json_array_append_new(items, row);
  }
  size_t i;
  json_t *ended;
  json_array_foreach(api->bulks_ended, i, ended)
  {
    int64_t tenant_id = 0;
    if (nm_json_i64(ended, "tenant_id", &tenant_id) && nm_api_may_see(request, tenant_id))
      json_array_append_new(items, json_deep_copy(ended));
  }
  if (items)
    nm_api_polish(api, items);
  nm_api_answer(request, 200, json_pack("{s:o}", "items", items));
}
