/* links: model */
/* fuzz_event.c - libFuzzer on the readers of events: what they take can be read again from the
 * stored bytes, is the same event then, and has a form that rules can see.
 *
 * The first byte says what the URL would say of the type; the rest is a body, taken for a campaign
 * event and for one hook event or several.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "json/tape.h"
#include "model/event.h"

enum { BYTES_MAX = 16 * 1024, ARENA_MAX_BYTES = 4 * 1024 * 1024 };

static const int64_t hints[] = { 0, NM_EVENT_TYPE_CANCEL, NM_EVENT_TYPE_SINGLE,
                                 NM_EVENT_TYPE_CAMPAIGN, 1, 99, INT64_MAX };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require_same(struct nm_arena *arena, const struct nm_event *a, const struct nm_event *b)
{
  int64_t window_a = 0, window_b = 0;
  nm_require(a->kind == b->kind && a->type == b->type && a->channel_id == b->channel_id);
  nm_require(a->template_id == b->template_id && nm_text_equal(a->campaign, b->campaign));
  nm_require(nm_text_equal(a->customer, b->customer) && nm_text_equal(a->stamp, b->stamp));
  nm_require(nm_text_equal(a->name, b->name) && nm_text_equal(a->foreign_id, b->foreign_id));
  struct nm_text one = nm_event_identity(arena, a, &window_a);
  struct nm_text two = nm_event_identity(arena, b, &window_b);
  bool has_identity = a->kind == NM_EVENT_CAMPAIGN || a->foreign_id.len > 0;
  nm_require(nm_text_equal(one, two) && window_a == window_b);
  nm_require((one.len > 0) == has_identity && (window_a > 0) == has_identity);
}

static void require_bounded(const struct nm_event *event)
{
  nm_require(event->campaign.len <= NM_EVENT_ID_TEXT_MAX_BYTES);
  nm_require(event->customer.len <= NM_EVENT_ID_TEXT_MAX_BYTES);
  nm_require(event->stamp.len <= NM_EVENT_ID_TEXT_MAX_BYTES);
  nm_require(event->name.len <= NM_EVENT_ID_TEXT_MAX_BYTES);
  nm_require(event->foreign_id.len <= NM_EVENT_ID_TEXT_MAX_BYTES);
  nm_require(nm_text_is_utf8(event->customer) && nm_text_is_utf8(event->campaign));
}

static void require_seen_by_rules(const struct nm_event *event)
{
  json_t *seen = NULL;
  nm_require(nm_event_for_rules(event, &seen, NULL) == NM_OK && json_is_object(seen));
  json_decref(seen);
}

static void try_campaign(struct nm_arena *arena, struct nm_text body, int64_t hint)
{
  struct nm_event event = { 0 }, again = { 0 };
  struct nm_error err = { .text = "" };
  const char *field = NULL;
  int rc = nm_event_read_campaign(arena, body, hint, &event, &field, &err);
  if (rc != NM_OK) {
    nm_require(rc == NM_EINVAL && err.text[0] != 0);
    return;
  }
  nm_require(event.type > 0 && nm_text_equal(event.body, body));
  require_bounded(&event);
  require_seen_by_rules(&event);
  nm_require(nm_event_read_campaign(arena, event.body, event.type, &again, NULL, NULL) == NM_OK);
  require_same(arena, &event, &again);
}

static void try_hook(struct nm_arena *arena, const json_t *value)
{
  struct nm_event event = { 0 }, again = { 0 };
  struct nm_error err = { .text = "" };
  const char *field = NULL;
  json_t *stored = NULL;
  if (nm_event_read_hook(arena, value, &event, &field, &err) != NM_OK) {
    nm_require(err.text[0] != 0);
    return;
  }
  require_bounded(&event);
  require_seen_by_rules(&event);
  nm_require(nm_json_parse_any(&stored, event.body, NULL) == NM_OK);
  nm_require(nm_event_read_hook(arena, stored, &again, NULL, NULL) == NM_OK);
  nm_require(nm_text_equal(event.body, again.body));
  require_same(arena, &event, &again);
  json_decref(stored);
}

/* What the tape holds from `at` on is this value; gives the node behind it. */
static size_t require_node_is(const struct nm_json_node *nodes, size_t at, const json_t *value)
{
  static const json_type types[] = { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_INTEGER,
                                     JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
  const struct nm_json_node *node = &nodes[at++];
  nm_require(value && json_typeof(value) == types[node->kind]);
  if (json_is_integer(value)) nm_require(json_integer_value(value) == node->integer);
  if (json_is_real(value)) nm_require(!(json_real_value(value) < node->real) &&
                                      !(json_real_value(value) > node->real));
  if (json_is_string(value))
    nm_require(nm_text_equal(node->text, (struct nm_text){ json_string_value(value),
                                                           json_string_length(value) }));
  if (json_is_array(value)) nm_require(node->count == json_array_size(value));
  if (json_is_object(value)) nm_require(node->count == json_object_size(value));
  for (uint32_t i = 0; node->kind == NM_JSON_ARRAY && i < node->count; i++)
    at = require_node_is(nodes, at, json_array_get(value, i));
  for (uint32_t i = 0; node->kind == NM_JSON_OBJECT && i < node->count; i++) {
    struct nm_text key = nodes[at].text;
    at = require_node_is(nodes, at + 1, json_object_getn(value, key.ptr, key.len));
  }
  nm_require(node->kind < NM_JSON_ARRAY || node->end == at);
  return at;
}

/* The tape takes nothing that the strict reader does not take, and sees the same. */
static void try_tape(struct nm_arena *arena, struct nm_text body, const json_t *json)
{
  struct nm_json_tape tape;
  if (nm_json_tape_read(&tape, body, arena))
    nm_require(require_node_is(tape.nodes, 0, json) == tape.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
  if (len < 1 || len > BYTES_MAX) return 0;
  struct nm_arena *arena = nm_arena_create(ARENA_MAX_BYTES);
  struct nm_text body = { (const char *)data + 1, len - 1 };
  json_t *json = NULL;
  size_t i;
  json_t *one;
  nm_require(arena != NULL);
  try_campaign(arena, body, hints[data[0] % (sizeof hints / sizeof *hints)]);
  int rc = nm_json_parse_any(&json, body, NULL);
  try_tape(arena, body, rc == NM_OK ? json : NULL);
  if (rc == NM_OK) {
    if (json_is_array(json)) json_array_foreach(json, i, one) try_hook(arena, one);
    else try_hook(arena, json);
  }
  json_decref(json);
  nm_arena_destroy(arena);
  return 0;
}
