/* netmera_body.c - messages into the body of one sendNotification request.
 *
 * {"message":{"params":{},"ttl":"6h"},"notificationKey":"106","target":{"extId":["u1","u2"]}}, or
 * an array of such.  At most 1000 different external ids a request (Netmera's REST guide).
 *
 * A campaign's messages mostly say the same to a thousand people: what of a content matters is
 * found where it stands, not parsed into trees.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "adapters/internal.h"
#include "json/scan.h"

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS, DAY_MS = 24 * HOUR_MS };
enum { TTL_MAX_BYTES = 24 };

/* What of a content is told to Netmera. */
struct content {
  struct nm_text key;    /* as it stands: a string with its quotes, or an integer */
  struct nm_text params; /* as they stand; empty = none */
};

/* Messages that can share one object. */
struct group {
  uint64_t hash;
  struct content content;
  char ttl[TTL_MAX_BYTES];
  int first, last; /* entries; -1 = none */
  int next;        /* group of the same slot; -1 = none */
};

struct entry {
  uint64_t hash; /* of the recipient */
  struct nm_text recipient;
  int next;      /* in its group */
};

struct writing {
  struct nm_netmera_body *body;
  struct group *groups;
  struct entry *entries;
  size_t mask;       /* of the slots: there are twice as many as messages, a power of two */
  int *group_slots;  /* the first group of a hash; -1 = none */
  int *person_slots; /* an entry of a recipient; -1 = none */
  /* of the message before: the next one mostly says the same */
  struct nm_text said;
  struct content content;
  int64_t expires_at_ms;
  char ttl[TTL_MAX_BYTES];
};

static uint64_t hash_on(uint64_t hash, struct nm_text text)
{
  for (size_t i = 0; i < text.len; i++) hash = (hash ^ (unsigned char)text.ptr[i]) * 0x100000001b3u;
  return hash;
}

static uint64_t hash_of(struct nm_text text)
{
  return hash_on(0xcbf29ce484222325u, text);
}

static size_t slot_of(const struct writing *w, uint64_t hash)
{
  return (size_t)(hash ^ (hash >> 32)) & w->mask;
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

/* ---- a content ------------------------------------------------------------------------------- */

static const char no_object[] = "its content is no JSON object";

static bool is_key(enum nm_scan_kind kind, struct nm_text raw)
{
  int64_t number;
  if (kind == NM_SCAN_NUMBER) return nm_text_to_i64(raw, &number);
  if (kind != NM_SCAN_STRING) return false;
  return nm_text_trim((struct nm_text){ raw.ptr + 1, raw.len - 2 }).len > 0;
}

/* The members of an object or array; -1 where it is neither. */
static int count_members(enum nm_scan_kind kind, struct nm_text raw)
{
  struct nm_scan scan = nm_scan_over(raw);
  struct nm_text key, value;
  bool is_first = true;
  if (kind != NM_SCAN_OBJECT && kind != NM_SCAN_ARRAY) return -1;
  nm_scan_enter(&scan);
  return kind == NM_SCAN_OBJECT ? nm_scan_member(&scan, &is_first, &key)
                                : nm_scan_element(&scan, &is_first) && nm_scan_value(&scan, &value);
}

/* What is wrong with it; NULL where nothing is. */
static const char *read_content(struct nm_text text, struct content *out)
{
  struct nm_scan scan = nm_scan_over(text);
  struct nm_text key, raw;
  bool is_first = true, has_key = false, has_params = false;
  const char *why = NULL;
  *out = (struct content){ { NULL, 0 }, { NULL, 0 } };
  if (nm_scan_kind(&scan) != NM_SCAN_OBJECT || !nm_text_is_utf8(text)) return no_object;
  nm_scan_enter(&scan);
  while (nm_scan_member(&scan, &is_first, &key)) {
    enum nm_scan_kind kind = nm_scan_kind(&scan);
    if (!nm_scan_value(&scan, &raw)) return no_object;
    if (nm_text_equal(key, NM_TEXT("notification_key"))) {
      if (out->key.ptr) return no_object;
      out->key = raw;
      has_key = is_key(kind, raw);
    } else if (nm_text_equal(key, NM_TEXT("params"))) {
      /* An empty Lua table may have become an empty array. */
      int members = count_members(kind, raw);
      if (has_params) return no_object;
      has_params = true;
      if (members < 0 || (members > 0 && kind == NM_SCAN_ARRAY)) why = "its params are no object";
      if (members > 0) out->params = raw;
    }
  }
  if (scan.why || !nm_scan_is_end(&scan)) return no_object;
  return has_key ? why : "has no notification_key";
}

static const char *unfit_recipient(struct nm_text recipient)
{
  if (recipient.len == 0) return "has no external id to go to";
  return nm_text_is_utf8(recipient) ? NULL : "its external id is not UTF-8";
}

const char *nm_netmera_unfit(const struct nm_message *message)
{
  struct content content;
  const char *why = unfit_recipient(nm_adapter_recipient(message));
  return why ? why : read_content(message->content, &content);
}

/* ---- gathering ------------------------------------------------------------------------------- */

/* The entry of this recipient that came first, or -1; then it is this one. */
static int note_person(struct writing *w, int index)
{
  const struct entry *entry = &w->entries[index];
  size_t at = slot_of(w, entry->hash);
  for (; w->person_slots[at] >= 0; at = (at + 1) & w->mask) {
    const struct entry *there = &w->entries[w->person_slots[at]];
    if (there->hash == entry->hash && nm_text_equal(there->recipient, entry->recipient))
      return w->person_slots[at];
  }
  w->person_slots[at] = index;
  return -1;
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

static bool says_the_same(const struct writing *w, const struct group *group)
{
  return nm_text_equal(group->content.key, w->content.key) &&
         nm_text_equal(group->content.params, w->content.params) &&
         strcmp(group->ttl, w->ttl) == 0;
}

/* The first group that says the same and does not hold this person yet: twice the same to one
 * person is two messages, and a list would make them one. */
static struct group *group_for(struct writing *w, const struct entry *entry, bool is_new_person)
{
  uint64_t hash = hash_on(hash_of(w->content.params), w->content.key);
  if (w->ttl[0]) hash = hash_on(hash, nm_text_from(w->ttl));
  int *at = &w->group_slots[slot_of(w, hash)];
  for (; *at >= 0; at = &w->groups[*at].next) {
    struct group *group = &w->groups[*at];
    if (group->hash == hash && says_the_same(w, group) &&
        (is_new_person || !has_recipient(w, group, entry)))
      return group;
  }
  *at = (int)w->body->groups;
  struct group *fresh = &w->groups[w->body->groups++];
  *fresh = (struct group){ .hash = hash, .content = w->content, .first = -1, .last = -1,
                           .next = -1 };
  memcpy(fresh->ttl, w->ttl, sizeof fresh->ttl);
  return fresh;
}

static void add_message(struct writing *w, const struct nm_message *message, int index,
                        int64_t now_ms)
{
  struct entry *entry = &w->entries[index];
  if (message->expires_at_ms != w->expires_at_ms) {
    write_ttl(w->ttl, message->expires_at_ms, now_ms);
    w->expires_at_ms = message->expires_at_ms;
  }
  entry->recipient = nm_adapter_recipient(message);
  entry->hash = hash_of(entry->recipient);
  entry->next = -1;
  struct group *group = group_for(w, entry, note_person(w, index) < 0);
  if (group->last >= 0) w->entries[group->last].next = index;
  else group->first = index;
  group->last = index;
  w->body->included++;
}

/* Why it cannot go, or NULL; w->content is then what it says. */
static const char *look(struct writing *w, const struct nm_message *message)
{
  const char *why = unfit_recipient(nm_adapter_recipient(message));
  if (why || (w->said.len > 0 && nm_text_equal(w->said, message->content))) return why;
  why = read_content(message->content, &w->content);
  w->said = why ? NM_TEXT("") : message->content;
  return why;
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool is_plain(struct nm_text text)
{
  for (size_t i = 0; i < text.len; i++)
    if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == '"' || text.ptr[i] == '\\')
      return false;
  return true;
}

static int write_recipient(struct nm_buffer *out, struct nm_text recipient)
{
  if (is_plain(recipient)) {
    int rc = nm_buffer_reserve(out, recipient.len + 2);
    if (rc) return rc;
    char *to = out->ptr + out->len;
    to[0] = to[recipient.len + 1] = '"';
    memcpy(to + 1, recipient.ptr, recipient.len);
    out->len += recipient.len + 2;
    return NM_OK;
  }
  json_t *string = json_stringn(recipient.ptr, recipient.len);
  if (!string) return NM_ENOMEM;
  int rc = nm_json_write(out, string);
  json_decref(string);
  return rc;
}

/* {"message":{..},"notificationKey":".." without the closing brace; the key is text, whatever it
 * was. */
static int write_head(struct nm_buffer *out, const struct group *group)
{
  struct nm_text params = group->content.params, key = group->content.key;
  struct nm_text quote = key.ptr[0] == '"' ? NM_TEXT("") : NM_TEXT("\"");
  int rc = nm_buffer_append_text(out, NM_TEXT("{"));
  if (rc == NM_OK && (params.len > 0 || group->ttl[0])) {
    rc = nm_buffer_append_text(out, NM_TEXT("\"message\":{"));
    if (rc == NM_OK && params.len > 0) rc = nm_buffer_append_text(out, NM_TEXT("\"params\":"));
    if (rc == NM_OK) rc = nm_buffer_append_text(out, params);
    if (rc == NM_OK && group->ttl[0])
      rc = nm_buffer_appendf(out, "%s\"ttl\":\"%s\"", params.len > 0 ? "," : "", group->ttl);
    if (rc == NM_OK) rc = nm_buffer_append_text(out, NM_TEXT("},"));
  }
  if (rc == NM_OK) rc = nm_buffer_append_text(out, NM_TEXT("\"notificationKey\":"));
  if (rc == NM_OK) rc = nm_buffer_append_text(out, quote);
  if (rc == NM_OK) rc = nm_buffer_append_text(out, key);
  return rc == NM_OK ? nm_buffer_append_text(out, quote) : rc;
}

static int write_group(struct writing *w, const struct group *group)
{
  struct nm_buffer *out = &w->body->json;
  bool is_list = group->first != group->last;
  int rc = write_head(out, group);
  if (rc == NM_OK) rc = nm_buffer_append_text(out, NM_TEXT(",\"target\":{\"extId\":"));
  if (rc == NM_OK && is_list) rc = nm_buffer_append_text(out, NM_TEXT("["));
  for (int i = group->first; i >= 0 && rc == NM_OK; i = w->entries[i].next) {
    if (i != group->first) rc = nm_buffer_append_text(out, NM_TEXT(","));
    if (rc == NM_OK) rc = write_recipient(out, w->entries[i].recipient);
  }
  if (rc == NM_OK && is_list) rc = nm_buffer_append_text(out, NM_TEXT("]"));
  return rc == NM_OK ? nm_buffer_append_text(out, NM_TEXT("}}")) : rc;
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

/* Room for so many messages in one piece, the one that is to be freed; NULL without memory. */
static void *make_room(struct writing *w, size_t count)
{
  size_t slots = 2;
  while (slots < 2 * count) slots *= 2;
  size_t bytes = count * (sizeof *w->groups + sizeof *w->entries) + 2 * slots * sizeof(int);
  void *room = malloc(bytes);
  if (!room) return NULL;
  w->groups = room;
  w->entries = (struct entry *)(void *)(w->groups + count);
  w->group_slots = (int *)(void *)(w->entries + count);
  w->person_slots = w->group_slots + slots;
  w->mask = slots - 1;
  memset(w->group_slots, 0xff, 2 * slots * sizeof(int));
  return room;
}

int nm_netmera_write(struct nm_netmera_body *body, const struct nm_message *const *messages,
                     size_t count, int64_t now_ms)
{
  nm_require(count <= NM_NETMERA_BATCH_MAX);
  struct writing w = { .body = body };
  void *room = make_room(&w, count);
  int rc = room ? NM_OK : NM_ENOMEM;

  body->included = body->groups = 0;
  for (size_t i = 0; i < count && rc == NM_OK; i++) {
    body->unfit[i] = look(&w, messages[i]);
    if (!body->unfit[i]) add_message(&w, messages[i], (int)i, now_ms);
  }
  if (rc == NM_OK) rc = write_groups(&w);
  free(room);
  return rc;
}
