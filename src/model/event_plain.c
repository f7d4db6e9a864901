/* The short way to read a campaign event: what is plain is read without a tree, several times
 * faster.  Whatever is not is left to the long way (event_campaign.c), which takes all that this
 * one takes and also says what is wrong. */
#include "json/tape.h"
#include "model/internal.h"

static bool is_plain_text(const struct nm_json_node *node)
{
  return node->kind == NM_JSON_TEXT && node->text.len <= NM_EVENT_ID_TEXT_MAX_BYTES &&
         !nm_event_has_control(node->text);
}

static bool take_number(const struct nm_json_node *node, int64_t *out)
{
  if (!node) return true;
  if (node->kind == NM_JSON_INTEGER) *out = node->integer;
  else if (node->kind != NM_JSON_TEXT || !nm_text_to_i64(node->text, out)) return false;
  return *out > 0;
}

static bool take_text(const struct nm_json_node *node, struct nm_text *out)
{
  if (!node) return true;
  *out = node->text;
  return is_plain_text(node);
}

static bool take_id(struct nm_arena *arena, const struct nm_json_node *node, struct nm_text *out)
{
  char digits[NM_TEXT_I64_MAX_BYTES];
  if (!node) return true;
  if (node->kind != NM_JSON_INTEGER)
    return take_text(node, out) && !nm_text_is_empty(nm_text_trim(*out));
  size_t len = nm_text_put_i64(digits, node->integer);
  *out = nm_arena_copy(arena, (struct nm_text){ digits, len });
  return node->integer > 0 && out->ptr;
}

static bool is_absent_or(const struct nm_json_node *node, enum nm_json_kind kind)
{
  return !node || node->kind == kind;
}

/* The members by number; false where one is there twice, or there are many. */
static bool find_members(const struct nm_json_tape *tape,
                         const struct nm_json_node *found[NM_KEY_COUNT])
{
  struct nm_text names[NM_EVENT_KEYS_FEW];
  const struct nm_json_node *node = tape->nodes;
  uint32_t count = node->count;
  memset(found, 0, NM_KEY_COUNT * sizeof *found);
  if (node->kind != NM_JSON_OBJECT || count > NM_EVENT_KEYS_FEW) return false;
  node++;
  for (uint32_t i = 0; i < count; i++) {
    const struct nm_json_node *value = node + 1;
    bool is_whole = value->kind == NM_JSON_ARRAY || value->kind == NM_JSON_OBJECT;
    names[i] = node->text;
    for (uint32_t other = 0; other < i; other++)
      if (nm_text_equal_nocase(names[other], names[i])) return false;
    enum nm_event_key key = nm_event_key_from(names[i]);
    if (key < NM_KEY_COUNT && value->kind != NM_JSON_NULL) found[key] = value;
    node = is_whole ? tape->nodes + value->end : value + 1;
  }
  return true;
}

bool nm_event_read_plain(struct nm_arena *arena, struct nm_text body, int64_t type_hint,
                         struct nm_event *out)
{
  struct nm_json_tape tape;
  const struct nm_json_node *found[NM_KEY_COUNT];
  const char *unnamed;
  struct nm_error error;
  struct nm_event_reading in = { arena, &unnamed, &error };
  struct nm_event event = { .kind = NM_EVENT_CAMPAIGN };
  event.body = nm_arena_copy(arena, body);
  bool is_plain = event.body.ptr && nm_json_tape_read(&tape, event.body, arena) &&
                  find_members(&tape, found) && take_number(found[NM_KEY_TYPE], &event.type) &&
                  take_number(found[NM_KEY_CHANNEL], &event.channel_id) &&
                  take_number(found[NM_KEY_TEMPLATE], &event.template_id) &&
                  take_id(arena, found[NM_KEY_CAMPAIGN], &event.campaign) &&
                  take_id(arena, found[NM_KEY_CUSTOMER], &event.customer) &&
                  take_text(found[NM_KEY_STAMP], &event.stamp) &&
                  is_absent_or(found[NM_KEY_PROMO_CODE], NM_JSON_TEXT) &&
                  is_absent_or(found[NM_KEY_NOTES], NM_JSON_TEXT) &&
                  is_absent_or(found[NM_KEY_ACTION], NM_JSON_INTEGER) &&
                  is_absent_or(found[NM_KEY_SCHEDULE], NM_JSON_TEXT) &&
                  is_absent_or(found[NM_KEY_SCHEDULED], NM_JSON_TEXT) &&
                  is_absent_or(found[NM_KEY_ATTRIBUTES], NM_JSON_OBJECT);
  if (!is_plain || nm_event_settle_type(&in, type_hint, &event) != NM_OK) return false;
  *out = event;
  return true;
}
