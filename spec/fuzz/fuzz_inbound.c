/* links: model */
/* fuzz_inbound.c - libFuzzer on webhooks from elsewhere: what is taken is kept as text that can be
 * read again, has a form that rules can see, and is known again whatever it is.
 *
 * The first byte chooses the content type; the first line is the query, the rest the body.
 */
#include "base/limits.h"
#include "model/inbound.h"

enum { BYTES_MAX = 16 * 1024, ARENA_MAX_BYTES = 4 * 1024 * 1024 };

static const char *const types[] = { "application/json", "application/x-www-form-urlencoded",
                                     "text/plain", "", "application/vnd.shop+json", "json" };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require_plain(const json_t *object)
{
  const char *key;
  json_t *value;
  nm_require(json_is_object(object));
  json_object_foreach((json_t *)(uintptr_t)object, key, value)
    nm_require(key[0] != '\0' && json_is_string(value));
}

static void require_seen_by_rules(const struct nm_event *event, struct nm_text body)
{
  json_t *seen = NULL;
  struct nm_error err = { .text = "" };
  int rc = nm_inbound_for_rules(event, &seen, &err);
  nm_require(rc == NM_OK);
  require_plain(json_object_get(seen, "query"));
  require_plain(json_object_get(seen, "form"));
  nm_require(nm_text_equal(nm_json_string(seen, "text"), body));
  nm_require(nm_text_equal(nm_json_string(seen, "type"), NM_TEXT("INBOUND")));
  nm_require(nm_text_equal(nm_json_string(seen, "name"), NM_TEXT("fuzz")));
  json_decref(seen);
}

static void try_made(struct nm_arena *arena, struct nm_text made)
{
  struct nm_event event = { 0 };
  struct nm_error err = { .text = "" };
  int rc = nm_inbound_read(arena, made, &event, &err);
  nm_require(rc == NM_OK ? event.kind <= NM_EVENT_HOOK : err.text[0] != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
  if (len < 1 || len > BYTES_MAX) return 0;
  struct nm_arena *arena = nm_arena_create(ARENA_MAX_BYTES);
  nm_require(arena != NULL);
  struct nm_inbound inbound = { .name = NM_TEXT("fuzz"), .method = NM_TEXT("POST"),
                                .content_type = nm_text_from(types[data[0] % 6]) };
  struct nm_event event = { 0 };
  struct nm_text identity, again;
  int64_t window_ms = 0;
  struct nm_error err = { .text = "" };
  nm_text_cut((struct nm_text){ (const char *)data + 1, len - 1 }, '\n', &inbound.query,
              &inbound.body);
  try_made(arena, inbound.body);
  int rc = nm_inbound_event(arena, &inbound, &event, &identity, &window_ms, &err);
  if (rc != NM_OK) {
    nm_require(rc == NM_EINVAL && err.text[0] != 0);
  } else {
    nm_require(identity.len > 0 && window_ms > 0);
    require_seen_by_rules(&event, inbound.body);
    nm_require(nm_inbound_event(arena, &inbound, &event, &again, &window_ms, &err) == NM_OK);
    nm_require(nm_text_equal(identity, again));
  }
  nm_arena_destroy(arena);
  return 0;
}
