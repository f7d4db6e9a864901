#include "model/event.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <strings.h>

#include "base/limits.h"
#include "json/tape.h"

/* The keys of a campaign event that mean something to us, as Optimove spells them.  ScheduledTime
 * is the word of other functions of Optimove's for ScheduleTime. */
enum key {
  KEY_TYPE = 0,
  KEY_CHANNEL,
  KEY_TEMPLATE,
  KEY_CAMPAIGN,
  KEY_CUSTOMER,
  KEY_STAMP,
  KEY_PROMO_CODE,
  KEY_NOTES,
  KEY_ACTION,
  KEY_SCHEDULE,
  KEY_SCHEDULED,
  KEY_ATTRIBUTES,
  KEY_COUNT,
};

static const char *const key_names[KEY_COUNT] = {
  [KEY_TYPE] = "EventTypeID",   [KEY_CHANNEL] = "ChannelID",     [KEY_TEMPLATE] = "TemplateID",
  [KEY_CAMPAIGN] = "CampaignID", [KEY_CUSTOMER] = "CustomerID",  [KEY_STAMP] = "TimeStamp",
  [KEY_PROMO_CODE] = "PromoCode", [KEY_NOTES] = "Notes",         [KEY_ACTION] = "ActionID",
  [KEY_SCHEDULE] = "ScheduleTime", [KEY_SCHEDULED] = "ScheduledTime",
  [KEY_ATTRIBUTES] = "attributes",
};

static const char *const hook_types[] = { "EVENT", "MESSAGE_LOG", "PROFILE" };
static const char *const hook_names[] = { NULL, "MESSAGE_LOG", "PROFILE_ATTRIBUTE_CHANGE" };
enum { HOOK_EVENT = 0, HOOK_PROFILE = 2, HOOK_TYPE_COUNT = 3 };

enum { FIELD_SHOWN_MAX_BYTES = 64, KEYS_FEW = 16 };

/* What one reading carries along. */
struct reading {
  struct nm_arena *arena;
  const char **field;
  struct nm_error *err;
};

static int refuse(const struct reading *in, const char *field, const char *why)
{
  *in->field = field;
  return nm_fail(in->err, NM_EINVAL, "%s %s", field, why);
}

static int no_memory(const struct reading *in)
{
  return nm_fail(in->err, NM_ENOMEM, "no memory to read the event");
}

static enum key key_from(struct nm_text word)
{
  for (int key = 0; key < KEY_COUNT; key++)
    if (nm_text_equal_nocase(word, nm_text_from(key_names[key]))) return (enum key)key;
  return KEY_COUNT;
}

static int compare_nocase(const void *a, const void *b)
{
  const char *x = *(const char *const *)a, *y = *(const char *const *)b;
  int order = strcasecmp(x, y);
  return order != 0 ? order : strcmp(x, y);
}

/* The sender's own key for the answer: cut to what fits there, never inside a character. */
static const char *shown_key(const struct reading *in, const char *key)
{
  size_t len = strlen(key);
  if (len > FIELD_SHOWN_MAX_BYTES) {
    len = FIELD_SHOWN_MAX_BYTES;
    while (len > 0 && ((unsigned char)key[len] & 0xC0) == 0x80) len--;
  }
  struct nm_text copy = nm_arena_copy(in->arena, (struct nm_text){ key, len });
  return copy.ptr ? copy.ptr : "a key";
}

/* As most bodies are: few keys, none of which is there twice. */
static bool are_few_and_differ(const json_t *object)
{
  const char *keys[KEYS_FEW], *key;
  size_t count = 0;
  json_t *value;
  if (json_object_size(object) > KEYS_FEW) return false;
  json_object_foreach((json_t *)object, key, value) {
    for (size_t i = 0; i < count; i++)
      if (((keys[i][0] ^ key[0]) & ~0x20) == 0 && strcasecmp(keys[i], key) == 0) return false;
    keys[count++] = key;
  }
  return true;
}

/* Sorted, because a body may hold thousands of keys: comparing each with each would take long. */
static int check_keys_differ(const struct reading *in, const json_t *object)
{
  if (are_few_and_differ(object)) return NM_OK;
  size_t count = json_object_size(object);
  const char **keys = calloc(count + 1, sizeof *keys);
  if (!keys) return no_memory(in);

  size_t filled = 0;
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)object, key, value) keys[filled++] = key;
  qsort(keys, filled, sizeof *keys, compare_nocase);

  int rc = NM_OK;
  for (size_t i = 1; i < filled && rc == NM_OK; i++) {
    if (strcasecmp(keys[i - 1], keys[i]) != 0) continue;
    enum key known = key_from(nm_text_from(keys[i]));
    rc = refuse(in, known < KEY_COUNT ? key_names[known] : shown_key(in, keys[i]),
                "is there twice, in different letter case");
  }
  free(keys);
  return rc;
}

/* Known keys by number; null counts as absent. */
static void find_known(const json_t *object, json_t *found[KEY_COUNT])
{
  const char *name;
  json_t *value;
  memset(found, 0, KEY_COUNT * sizeof *found);
  json_object_foreach((json_t *)object, name, value) {
    enum key key = key_from(nm_text_from(name));
    if (key < KEY_COUNT && !json_is_null(value)) found[key] = value;
  }
}

static struct nm_text string_of(const json_t *value)
{
  return (struct nm_text){ json_string_value(value), json_string_length(value) };
}

static bool has_control(struct nm_text text)
{
  for (size_t i = 0; i < text.len; i++)
    if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7F) return true;
  return false;
}

/* A number above zero, or its digits as text. */
static int read_number(const struct reading *in, const char *field, const json_t *value,
                       int64_t *out)
{
  int64_t number = 0;
  if (!value) return NM_OK;
  if (json_is_integer(value)) {
    number = json_integer_value(value);
  } else if (json_is_string(value)) {
    if (json_string_length(value) == 0) return refuse(in, field, "is empty");
    if (!nm_text_to_i64(string_of(value), &number))
      return refuse(in, field, "is not a whole number of at most 64 bits");
  } else {
    return refuse(in, field, "should be a whole number, or one as text");
  }
  if (number <= 0) return refuse(in, field, "should be above zero");
  *out = number;
  return NM_OK;
}

static int read_text(const struct reading *in, const char *field, const json_t *value,
                     struct nm_text *out)
{
  if (!value) return NM_OK;
  if (!json_is_string(value)) return refuse(in, field, "should be text");
  struct nm_text text = string_of(value);
  if (text.len > NM_EVENT_ID_TEXT_MAX_BYTES)
    return refuse(in, field, "is too long (256 bytes at most)");
  if (has_control(text)) return refuse(in, field, "holds a control character");
  struct nm_text copy = nm_arena_copy(in->arena, text);
  if (!copy.ptr) return no_memory(in);
  *out = copy;
  return NM_OK;
}

/* An id that travels as text whatever it was: text that says something, or a number above zero. */
static int read_id(const struct reading *in, const char *field, const json_t *value,
                   struct nm_text *out)
{
  if (!value) return NM_OK;
  if (json_is_integer(value)) {
    if (json_integer_value(value) <= 0) return refuse(in, field, "should be above zero");
    char digits[NM_TEXT_I64_MAX_BYTES];
    *out = nm_arena_copy(in->arena, (struct nm_text){ digits, nm_text_put_i64(digits,
                                                          json_integer_value(value)) });
    return out->ptr ? NM_OK : no_memory(in);
  }
  if (!json_is_string(value)) return refuse(in, field, "should be text or a whole number");
  if (nm_text_is_empty(nm_text_trim(string_of(value)))) return refuse(in, field, "is empty");
  return read_text(in, field, value, out);
}

/* PromoCode comes as an array, as a comma list or as one code. */
static int check_promo_code(const struct reading *in, const json_t *value)
{
  const char *field = key_names[KEY_PROMO_CODE];
  if (!value || json_is_string(value) || json_is_integer(value)) return NM_OK;
  if (!json_is_array(value)) return refuse(in, field, "should be an array of text, or text");
  size_t i;
  json_t *code;
  json_array_foreach((json_t *)value, i, code)
    if (!json_is_string(code) && !json_is_integer(code))
      return refuse(in, field, "should hold nothing but text");
  return NM_OK;
}

static int check_text(const struct reading *in, enum key key, const json_t *value)
{
  return value && !json_is_string(value) ? refuse(in, key_names[key], "should be text") : NM_OK;
}

/* What rules see but the engine does not use. */
static int check_others(const struct reading *in, json_t *const found[KEY_COUNT])
{
  const json_t *action = found[KEY_ACTION];
  const json_t *attributes = found[KEY_ATTRIBUTES];
  int rc = check_promo_code(in, found[KEY_PROMO_CODE]);
  if (rc == NM_OK) rc = check_text(in, KEY_NOTES, found[KEY_NOTES]);
  if (rc == NM_OK) rc = check_text(in, KEY_SCHEDULE, found[KEY_SCHEDULE]);
  if (rc == NM_OK) rc = check_text(in, KEY_SCHEDULED, found[KEY_SCHEDULED]);
  if (rc == NM_OK && action && !json_is_integer(action) && !json_is_string(action))
    rc = refuse(in, key_names[KEY_ACTION], "should be a whole number, or one as text");
  if (rc == NM_OK && attributes && !json_is_object(attributes))
    rc = refuse(in, key_names[KEY_ATTRIBUTES], "should be an object");
  return rc;
}

static int settle_type(const struct reading *in, int64_t type_hint, struct nm_event *event)
{
  if (event->type > 0) return NM_OK;
  if (type_hint > 0)
    event->type = type_hint;
  else if (event->customer.len > 0)
    event->type = NM_EVENT_TYPE_SINGLE;
  else if (event->campaign.len > 0 && event->channel_id > 0)
    event->type = NM_EVENT_TYPE_CAMPAIGN;
  else
    return refuse(in, key_names[KEY_TYPE],
                  "is missing, and no CustomerID or CampaignID with a ChannelID tells it");
  return NM_OK;
}

static int read_campaign_object(const struct reading *in, const json_t *object, int64_t type_hint,
                                struct nm_event *event)
{
  json_t *found[KEY_COUNT];
  int rc = check_keys_differ(in, object);
  if (rc != NM_OK) return rc;
  find_known(object, found);
  rc = read_number(in, key_names[KEY_TYPE], found[KEY_TYPE], &event->type);
  if (rc == NM_OK)
    rc = read_number(in, key_names[KEY_CHANNEL], found[KEY_CHANNEL], &event->channel_id);
  if (rc == NM_OK)
    rc = read_number(in, key_names[KEY_TEMPLATE], found[KEY_TEMPLATE], &event->template_id);
  if (rc == NM_OK) rc = read_id(in, key_names[KEY_CAMPAIGN], found[KEY_CAMPAIGN], &event->campaign);
  if (rc == NM_OK) rc = read_id(in, key_names[KEY_CUSTOMER], found[KEY_CUSTOMER], &event->customer);
  if (rc == NM_OK) rc = read_text(in, key_names[KEY_STAMP], found[KEY_STAMP], &event->stamp);
  if (rc == NM_OK) rc = check_others(in, found);
  return rc == NM_OK ? settle_type(in, type_hint, event) : rc;
}

static int read_thoroughly(struct nm_arena *arena, struct nm_text body, int64_t type_hint,
                           struct nm_event *out, const char **field, struct nm_error *err)
{
  const char *unnamed;
  struct reading in = { arena, field ? field : &unnamed, err };
  struct nm_event event = { .kind = NM_EVENT_CAMPAIGN };
  json_t *object = NULL;

  *in.field = NULL;
  int rc = nm_json_parse(&object, body, err);
  if (rc == NM_ELIMIT) rc = NM_EINVAL; /* too deep is the sender's fault, as any other wrong body */
  if (rc != NM_OK) return rc;
  if (!json_is_object(object))
    rc = nm_fail(err, NM_EINVAL, "the body should be one JSON object");
  else
    rc = read_campaign_object(&in, object, type_hint, &event);
  json_decref(object);
  if (rc != NM_OK) return rc;

  event.body = nm_arena_copy(arena, body);
  if (!event.body.ptr) return no_memory(&in);
  *out = event;
  return NM_OK;
}

/* ---- the short way ----------------------------------------------------------------------------
 *
 * What is plain is read without a tree, several times faster; whatever is not is left to the long
 * way, which takes all that this one takes and also says what is wrong. */

static bool is_plain_text(const struct nm_json_node *node)
{
  return node->kind == NM_JSON_TEXT && node->text.len <= NM_EVENT_ID_TEXT_MAX_BYTES &&
         !has_control(node->text);
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
                         const struct nm_json_node *found[KEY_COUNT])
{
  struct nm_text names[KEYS_FEW];
  const struct nm_json_node *node = tape->nodes;
  uint32_t count = node->count;
  memset(found, 0, KEY_COUNT * sizeof *found);
  if (node->kind != NM_JSON_OBJECT || count > KEYS_FEW) return false;
  node++;
  for (uint32_t i = 0; i < count; i++) {
    const struct nm_json_node *value = node + 1;
    bool is_whole = value->kind == NM_JSON_ARRAY || value->kind == NM_JSON_OBJECT;
    names[i] = node->text;
    for (uint32_t other = 0; other < i; other++)
      if (nm_text_equal_nocase(names[other], names[i])) return false;
    enum key key = key_from(names[i]);
    if (key < KEY_COUNT && value->kind != NM_JSON_NULL) found[key] = value;
    node = is_whole ? tape->nodes + value->end : value + 1;
  }
  return true;
}

static bool read_plain(struct nm_arena *arena, struct nm_text body, int64_t type_hint,
                       struct nm_event *out)
{
  struct nm_json_tape tape;
  const struct nm_json_node *found[KEY_COUNT];
  const char *unnamed;
  struct nm_error error;
  struct reading in = { arena, &unnamed, &error };
  struct nm_event event = { .kind = NM_EVENT_CAMPAIGN };
  event.body = nm_arena_copy(arena, body);
  bool is_plain = event.body.ptr && nm_json_tape_read(&tape, event.body, arena) &&
                  find_members(&tape, found) && take_number(found[KEY_TYPE], &event.type) &&
                  take_number(found[KEY_CHANNEL], &event.channel_id) &&
                  take_number(found[KEY_TEMPLATE], &event.template_id) &&
                  take_id(arena, found[KEY_CAMPAIGN], &event.campaign) &&
                  take_id(arena, found[KEY_CUSTOMER], &event.customer) &&
                  take_text(found[KEY_STAMP], &event.stamp) &&
                  is_absent_or(found[KEY_PROMO_CODE], NM_JSON_TEXT) &&
                  is_absent_or(found[KEY_NOTES], NM_JSON_TEXT) &&
                  is_absent_or(found[KEY_ACTION], NM_JSON_INTEGER) &&
                  is_absent_or(found[KEY_SCHEDULE], NM_JSON_TEXT) &&
                  is_absent_or(found[KEY_SCHEDULED], NM_JSON_TEXT) &&
                  is_absent_or(found[KEY_ATTRIBUTES], NM_JSON_OBJECT);
  if (!is_plain || settle_type(&in, type_hint, &event) != NM_OK) return false;
  *out = event;
  return true;
}

int nm_event_read_campaign(struct nm_arena *arena, struct nm_text body, int64_t type_hint,
                           struct nm_event *out, const char **field, struct nm_error *err)
{
  if (read_plain(arena, body, type_hint, out)) {
    if (field) *field = NULL;
    return NM_OK;
  }
  return read_thoroughly(arena, body, type_hint, out, field, err);
}

static int hook_type_from(const json_t *value)
{
  for (int type = 0; type < HOOK_TYPE_COUNT; type++)
    if (nm_text_equal(string_of(value), nm_text_from(hook_types[type]))) return type;
  return -1;
}

/* NULL for a key that is missing or null. */
static const json_t *get(const json_t *object, const char *key)
{
  const json_t *value = json_object_get(object, key);
  return json_is_null(value) ? NULL : value;
}

/* Without a type, `changes` means PROFILE and anything else is an EVENT. */
static int read_hook_type(const struct reading *in, const json_t *object, int *type)
{
  const json_t *value = get(object, "type");
  if (!value) {
    *type = get(object, "changes") ? HOOK_PROFILE : HOOK_EVENT;
    return NM_OK;
  }
  if (!json_is_string(value)) return refuse(in, "type", "should be text");
  *type = hook_type_from(value);
  return *type < 0 ? refuse(in, "type", "should be EVENT, MESSAGE_LOG or PROFILE") : NM_OK;
}

static int check_object(const struct reading *in, const json_t *object, const char *field)
{
  const json_t *value = get(object, field);
  return value && !json_is_object(value) ? refuse(in, field, "should be an object") : NM_OK;
}

static int read_hook_name(const struct reading *in, const json_t *object, int type,
                          struct nm_text *out)
{
  const json_t *value = get(object, "name");
  if (value && !json_is_string(value)) return refuse(in, "name", "should be text");
  if (value) return read_id(in, "name", value, out);
  if (!hook_names[type]) return refuse(in, "name", "is missing: which event was it?");
  *out = nm_text_from(hook_names[type]);
  return NM_OK;
}

int nm_event_read_hook(struct nm_arena *arena, const json_t *value, struct nm_event *out,
                       const char **field, struct nm_error *err)
{
  const char *unnamed;
  struct reading in = { arena, field ? field : &unnamed, err };
  struct nm_event event = { .kind = NM_EVENT_HOOK };
  int type = HOOK_EVENT;

  *in.field = NULL;
  if (!json_is_object(value)) return nm_fail(err, NM_EINVAL, "an event should be a JSON object");
  int rc = read_hook_type(&in, value, &type);
  if (rc == NM_OK) rc = read_hook_name(&in, value, type, &event.name);
  if (rc == NM_OK) rc = read_id(&in, "id", get(value, "id"), &event.foreign_id);
  if (rc == NM_OK) rc = read_id(&in, "extId", get(value, "extId"), &event.customer);
  if (rc == NM_OK) rc = read_text(&in, "time", get(value, "time"), &event.stamp);
  if (rc == NM_OK) rc = check_object(&in, value, "attributes");
  if (rc == NM_OK) rc = check_object(&in, value, "changes");
  if (rc != NM_OK) return rc;

  event.body = nm_json_text(arena, value);
  if (!event.body.ptr) return no_memory(&in);
  *out = event;
  return NM_OK;
}

/* Appends the codes of a comma list. */
static int append_codes(json_t *codes, struct nm_text list)
{
  while (list.len > 0) {
    struct nm_text code, rest;
    nm_text_cut(list, ',', &code, &rest);
    code = nm_text_trim(code);
    if (code.len > 0 && json_array_append_new(codes, json_stringn(code.ptr, code.len)))
      return NM_ENOMEM;
    list = rest;
  }
  return NM_OK;
}

static int append_code(json_t *codes, const json_t *value)
{
  char digits[24];
  if (json_is_string(value)) {
    if (json_string_length(value) == 0) return NM_OK;
    return json_array_append(codes, (json_t *)value) ? NM_ENOMEM : NM_OK;
  }
  snprintf(digits, sizeof digits, "%" PRId64, (int64_t)json_integer_value(value));
  return json_array_append_new(codes, json_string(digits)) ? NM_ENOMEM : NM_OK;
}

static int set_promo_code(json_t *table, const json_t *value)
{
  json_t *codes = json_array();
  if (!codes || json_object_set_new(table, key_names[KEY_PROMO_CODE], codes)) return NM_ENOMEM;
  if (json_is_string(value)) return append_codes(codes, string_of(value));
  if (!json_is_array(value)) return append_code(codes, value);
  size_t i;
  json_t *code;
  int rc = NM_OK;
  json_array_foreach((json_t *)value, i, code)
    if (rc == NM_OK) rc = append_code(codes, code);
  return rc;
}

static int set_number(json_t *table, const char *key, int64_t number)
{
  if (number == 0) return NM_OK;
  return json_object_set_new(table, key, json_integer(number)) ? NM_ENOMEM : NM_OK;
}

static int set_text(json_t *table, const char *key, struct nm_text text)
{
  return text.len > 0 ? nm_json_set_text(table, key, text) : NM_OK;
}

/* Puts one pair of the body where rules look for it. */
static int set_pair(json_t *table, const char *name, json_t *value, json_t *const found[KEY_COUNT])
{
  enum key key = key_from(nm_text_from(name));
  int64_t action;

  if (key == KEY_COUNT) return json_object_set(table, name, value) ? NM_ENOMEM : NM_OK;
  if (json_is_null(value)) return NM_OK;
  if (key == KEY_SCHEDULED && found[KEY_SCHEDULE])
    return json_object_set(table, name, value) ? NM_ENOMEM : NM_OK;
  if (key == KEY_PROMO_CODE) return set_promo_code(table, value);
  if (key == KEY_ACTION && json_is_string(value) && nm_text_to_i64(string_of(value), &action))
    return json_object_set_new(table, key_names[key], json_integer(action)) ? NM_ENOMEM : NM_OK;
  if (key == KEY_SCHEDULED) key = KEY_SCHEDULE;
  return json_object_set(table, key_names[key], value) ? NM_ENOMEM : NM_OK;
}

static int fill_campaign(const struct nm_event *event, const json_t *body, json_t *table)
{
  json_t *found[KEY_COUNT];
  const char *name;
  json_t *value;
  int rc = NM_OK;

  find_known(body, found);
  json_object_foreach((json_t *)body, name, value)
    if (rc == NM_OK) rc = set_pair(table, name, value, found);
  /* The ids last: they were read strictly, and stand here as text or number whatever they were. */
  if (rc == NM_OK) rc = set_number(table, key_names[KEY_TYPE], event->type);
  if (rc == NM_OK) rc = set_number(table, key_names[KEY_CHANNEL], event->channel_id);
  if (rc == NM_OK) rc = set_number(table, key_names[KEY_TEMPLATE], event->template_id);
  if (rc == NM_OK) rc = set_text(table, key_names[KEY_CAMPAIGN], event->campaign);
  if (rc == NM_OK) rc = set_text(table, key_names[KEY_CUSTOMER], event->customer);
  return rc;
}

static int fill_hook(const struct nm_event *event, const json_t *body, json_t *table)
{
  int type = HOOK_EVENT;
  const char *unnamed;
  struct reading in = { NULL, &unnamed, NULL };
  int rc = json_object_update(table, (json_t *)body) ? NM_ENOMEM : NM_OK;
  if (rc == NM_OK) rc = read_hook_type(&in, body, &type);
  if (rc == NM_OK) rc = nm_json_set_text(table, "type", nm_text_from(hook_types[type]));
  if (rc == NM_OK) rc = set_text(table, "name", event->name);
  if (rc == NM_OK) rc = set_text(table, "extId", event->customer);
  if (rc == NM_OK) rc = set_text(table, "id", event->foreign_id);
  if (rc == NM_OK && type == HOOK_PROFILE && !get(body, "changes") &&
      json_object_set_new(table, "changes", json_object()))
    rc = NM_ENOMEM;
  return rc;
}

int nm_event_for_rules(const struct nm_event *event, json_t **out, struct nm_error *err)
{
  json_t *body = NULL;
  json_t *table = NULL;
  int rc;

  if (event->kind == NM_EVENT_CALLBACK || event->kind == NM_EVENT_INBOUND)
    return nm_fail(err, NM_EINVAL, "rules do not see this as an event");
  rc = nm_json_parse(&body, event->body, err);
  if (rc != NM_OK) return rc;
  table = json_object();
  if (!table)
    rc = NM_ENOMEM;
  else if (!json_is_object(body))
    rc = NM_EINVAL;
  else
    rc = event->kind == NM_EVENT_HOOK ? fill_hook(event, body, table)
                                      : fill_campaign(event, body, table);
  if (rc == NM_OK && !json_is_object(json_object_get(table, "attributes")) &&
      json_object_set_new(table, "attributes", json_object()))
    rc = NM_ENOMEM;
  json_decref(body);
  if (rc != NM_OK) {
    json_decref(table);
    return nm_fail(err, rc, "cannot show event %" PRId64 " to rules: %s", event->id,
                   nm_code_name(rc));
  }
  *out = table;
  return NM_OK;
}

static void put_number(struct nm_text *line, int64_t number)
{
  char *out = (char *)(uintptr_t)line->ptr;
  if (line->len > 0) out[line->len++] = '|';
  line->len += nm_text_put_i64(out + line->len, number);
}

/* Lengths stand before texts, so that no two events can write the same line, not even by intent. */
static void put_counted(struct nm_text *line, struct nm_text text)
{
  char *out = (char *)(uintptr_t)line->ptr;
  put_number(line, (int64_t)text.len);
  out[line->len++] = ':';
  if (text.len > 0) memcpy(out + line->len, text.ptr, text.len);
  line->len += text.len;
}

/* "13|7:summer1|459|19:2030-01-01 10:00:00"; an 11 has the template and the customer, too. */
static struct nm_text keyed_identity(struct nm_arena *arena, const struct nm_event *event)
{
  size_t texts = event->campaign.len + event->customer.len + event->stamp.len;
  bool is_single = event->type == NM_EVENT_TYPE_SINGLE;
  struct nm_text line = { nm_arena_alloc(arena, texts + 6 * (NM_TEXT_I64_MAX_BYTES + 2)), 0 };
  if (!line.ptr) return line;
  put_number(&line, event->type);
  put_counted(&line, event->campaign);
  put_number(&line, event->channel_id);
  if (is_single) put_number(&line, event->template_id);
  if (is_single) put_counted(&line, event->customer);
  put_counted(&line, event->stamp);
  return line;
}

static struct nm_text digest_identity(struct nm_arena *arena, const struct nm_event *event)
{
  unsigned char digest[crypto_hash_sha256_BYTES];
  char hex[sizeof digest * 2 + 1];
  crypto_hash_sha256(digest, (const unsigned char *)(event->body.ptr ? event->body.ptr : ""),
                     event->body.len);
  sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
  return nm_arena_printf(arena, "%" PRId64 "|%s", event->type, hex);
}

struct nm_text nm_event_identity(struct nm_arena *arena, const struct nm_event *event,
                                 int64_t *window_ms)
{
  *window_ms = NM_EVENT_DEDUP_WINDOW_MS;
  if (event->kind == NM_EVENT_HOOK && event->foreign_id.len > 0)
    return nm_arena_printf(arena, "hook|%.*s", NM_TEXT_ARG(event->foreign_id));
  if (event->kind != NM_EVENT_CAMPAIGN) {
    *window_ms = 0;
    return NM_TEXT("");
  }
  if (event->type == NM_EVENT_TYPE_CAMPAIGN || event->type == NM_EVENT_TYPE_CANCEL)
    return keyed_identity(arena, event);
  if (event->type != NM_EVENT_TYPE_SINGLE) return digest_identity(arena, event);
  if (event->stamp.len == 0) *window_ms = NM_EVENT_SINGLE_DEDUP_WINDOW_MS;
  return keyed_identity(arena, event);
}
