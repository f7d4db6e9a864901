/* netmera_body.c - messages into the body of one sendNotification request.
 *
 * {"notificationKey":"106","message":{"params":{},"ttl":"6h"},"target":{"extId":["u1","u2"]}}, or
 * an array of such.  At most 1000 different external ids a request (Netmera's REST guide).
 */
#include <inttypes.h>
#include <stdio.h>

#include "adapters/internal.h"

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS, DAY_MS = 24 * HOUR_MS };
enum { TTL_MAX_BYTES = 24 };

/* Messages that can share one object. */
struct group {
  uint64_t hash;
  struct nm_text head; /* the object but for its target and closing brace */
  int first, last;     /* entries; -1 = none */
};

struct entry {
  uint64_t hash; /* of the recipient */
  struct nm_text recipient;
  int next;      /* in its group */
};

struct writing {
  struct nm_netmera_body *body;
  struct nm_arena *arena;
  struct group *groups;
  struct entry *entries;
  struct nm_text content, head; /* of the message before: a campaign's rows mostly say the same */
  char ttl[TTL_MAX_BYTES];
};

static uint64_t hash_of(struct nm_text text)
{
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < text.len; i++) hash = (hash ^ (unsigned char)text.ptr[i]) * 0x100000001b3u;
  return hash;
}

/* Rounded down, so that nothing is shown after its time. */
static void write_ttl(char out[TTL_MAX_BYTES], int64_t expires_at_ms, int64_t now_ms)
{
  int64_t left_ms = expires_at_ms - now_ms;
  if (expires_at_ms == 0)
    out[0] = 0;
  else if (left_ms < MINUTE_MS)
    snprintf(out, TTL_MAX_BYTES, "1m");
  else if (left_ms < DAY_MS)
    snprintf(out, TTL_MAX_BYTES, "%" PRId64 "m", left_ms / MINUTE_MS);
  else if (left_ms < (int64_t)30 * DAY_MS)
    snprintf(out, TTL_MAX_BYTES, "%" PRId64 "h", left_ms / HOUR_MS);
  else
    snprintf(out, TTL_MAX_BYTES, "%" PRId64 "d", left_ms / DAY_MS);
}

/* The key as text, whatever it was; NULL where there is none. */
static json_t *key_of(const json_t *content)
{
  const json_t *key = json_object_get(content, "notification_key");
  char digits[24];
  if (json_is_string(key)) {
    struct nm_text text = { json_string_value(key), json_string_length(key) };
    return nm_text_is_empty(nm_text_trim(text)) ? NULL : json_stringn(text.ptr, text.len);
  }
  if (!json_is_integer(key)) return NULL;
  snprintf(digits, sizeof digits, "%" PRId64, (int64_t)json_integer_value(key));
  return json_string(digits);
}

const char *nm_netmera_unfit(const struct nm_message *message)
{
  struct nm_text recipient = nm_adapter_recipient(message);
  const char *why = NULL;
  json_t *content = NULL;

  if (recipient.len == 0) return "has no external id to go to";
  if (!nm_text_is_utf8(recipient)) return "its external id is not UTF-8";
  if (nm_json_parse(&content, message->content, NULL) || !json_is_object(content)) {
    json_decref(content);
    return "its content is no JSON object";
  }
  json_t *key = key_of(content);
  const json_t *params = json_object_get(content, "params");
  if (!key)
    why = "has no notification_key";
  else if (params && !json_is_object(params) &&
           !(json_is_array(params) && json_array_size(params) == 0))
    why = "its params are no object"; /* an empty Lua table may have become an empty array */
  json_decref(key);
  json_decref(content);
  return why;
}

/* {"notificationKey":..,"message":{..} with sorted keys, without its closing brace. */
static struct nm_text make_head(struct writing *w, const struct nm_message *message)
{
  struct nm_text head = { NULL, 0 };
  json_t *content = NULL;
  json_t *object = json_object(), *inner = json_object();
  bool is_made = object && inner && nm_json_parse(&content, message->content, NULL) == NM_OK;
  json_t *params = json_object_get(content, "params");

  if (is_made) is_made = json_object_set_new(object, "notificationKey", key_of(content)) == 0;
  if (is_made && json_object_size(params) > 0)
    is_made = json_object_set(inner, "params", params) == 0;
  if (is_made && w->ttl[0]) is_made = json_object_set_new(inner, "ttl", json_string(w->ttl)) == 0;
  if (is_made && json_object_size(inner) > 0)
    is_made = json_object_set(object, "message", inner) == 0;
  if (is_made) {
    size_t len = json_dumpb(object, NULL, 0, JSON_COMPACT | JSON_SORT_KEYS);
    char *bytes = len > 0 ? nm_arena_alloc(w->arena, len) : NULL;
    if (bytes) {
      json_dumpb(object, bytes, len, JSON_COMPACT | JSON_SORT_KEYS);
      head = (struct nm_text){ bytes, len - 1 };
    }
  }
  json_decref(inner);
  json_decref(object);
  json_decref(content);
  return head;
}

static bool has_recipient(const struct writing *w, const struct group *group,
                          const struct entry *entry)
{
  for (int i = group->first; i >= 0; i = w->entries[i].next)
    if (w->entries[i].hash == entry->hash &&
        nm_text_equal(w->entries[i].recipient, entry->recipient))
      return true;
  return false;
}

/* The first group that says the same and does not hold this person yet: twice the same to one
 * person is two messages, and a list would make them one. */
static struct group *group_for(struct writing *w, struct nm_text head, const struct entry *entry)
{
  uint64_t hash = hash_of(head);
  for (size_t i = 0; i < w->body->groups; i++) {
    struct group *group = &w->groups[i];
    if (group->hash == hash && nm_text_equal(group->head, head) && !has_recipient(w, group, entry))
      return group;
  }
  struct group *fresh = &w->groups[w->body->groups++];
  *fresh = (struct group){ hash, head, -1, -1 };
  return fresh;
}

static int add_message(struct writing *w, const struct nm_message *message, int index,
                       int64_t now_ms)
{
  struct entry *entry = &w->entries[index];
  char ttl[TTL_MAX_BYTES];
  write_ttl(ttl, message->expires_at_ms, now_ms);
  if (!w->head.ptr || strcmp(ttl, w->ttl) != 0 || !nm_text_equal(message->content, w->content)) {
    memcpy(w->ttl, ttl, sizeof ttl);
    w->head = make_head(w, message);
    w->content = message->content;
    if (!w->head.ptr) return NM_ENOMEM;
  }
  entry->recipient = nm_adapter_recipient(message);
  entry->hash = hash_of(entry->recipient);
  entry->next = -1;
  struct group *group = group_for(w, w->head, entry);
  if (group->last >= 0) w->entries[group->last].next = index;
  else group->first = index;
  group->last = index;
  w->body->included++;
  return NM_OK;
}

static int write_recipient(struct nm_buffer *out, struct nm_text recipient)
{
  json_t *string = json_stringn(recipient.ptr, recipient.len);
  if (!string) return NM_ENOMEM;
  int rc = nm_json_write(out, string);
  json_decref(string);
  return rc;
}

static int write_group(struct writing *w, const struct group *group)
{
  struct nm_buffer *out = &w->body->json;
  bool is_list = group->first != group->last;
  int rc = nm_buffer_append_text(out, group->head);
  if (rc == NM_OK) rc = nm_buffer_appendf(out, ",\"target\":{\"extId\":%s", is_list ? "[" : "");
  for (int i = group->first; i >= 0 && rc == NM_OK; i = w->entries[i].next) {
    if (i != group->first) rc = nm_buffer_append_text(out, NM_TEXT(","));
    if (rc == NM_OK) rc = write_recipient(out, w->entries[i].recipient);
  }
  return rc == NM_OK ? nm_buffer_appendf(out, "%s}}", is_list ? "]" : "") : rc;
}

static int write_groups(struct writing *w)
{
  struct nm_buffer *out = &w->body->json;
  bool is_list = w->body->groups > 1;
  int rc = is_list ? nm_buffer_append_text(out, NM_TEXT("[")) : NM_OK;
  for (size_t i = 0; i < w->body->groups && rc == NM_OK; i++) {
    if (i > 0) rc = nm_buffer_append_text(out, NM_TEXT(","));
    if (rc == NM_OK) rc = write_group(w, &w->groups[i]);
  }
  return rc == NM_OK && is_list ? nm_buffer_append_text(out, NM_TEXT("]")) : rc;
}

int nm_netmera_write(struct nm_netmera_body *body, const struct nm_message *const *messages,
                     size_t count, int64_t now_ms)
{
  nm_require(count <= NM_NETMERA_BATCH_MAX);
  struct nm_arena *arena = nm_arena_create(2 * NM_NETMERA_BODY_MAX_BYTES);
  if (!arena) return NM_ENOMEM;
  struct writing w = { .body = body, .arena = arena };
  w.groups = nm_arena_alloc(arena, (count + 1) * sizeof *w.groups);
  w.entries = nm_arena_alloc(arena, (count + 1) * sizeof *w.entries);
  int rc = w.groups && w.entries ? NM_OK : NM_ENOMEM;

  body->included = body->groups = 0;
  for (size_t i = 0; i < count && rc == NM_OK; i++) {
    bool is_same = w.head.ptr && nm_text_equal(messages[i]->content, w.content) &&
                   nm_adapter_recipient(messages[i]).len > 0 &&
                   nm_text_is_utf8(nm_adapter_recipient(messages[i]));
    body->unfit[i] = is_same ? NULL : nm_netmera_unfit(messages[i]);
    if (!body->unfit[i]) rc = add_message(&w, messages[i], (int)i, now_ms);
  }
  if (rc == NM_OK) rc = write_groups(&w);
  nm_arena_destroy(arena);
  return rc;
}
