#include <stdlib.h>
#include <strings.h>

#include "model/internal.h"

enum { FIELD_SHOWN_MAX_BYTES = 64 };

static int compare_nocase(const void *a, const void *b)
{
  const char *x = *(const char *const *)a, *y = *(const char *const *)b;
  int order = strcasecmp(x, y);
  return order != 0 ? order : strcmp(x, y);
}

/* The sender's own key for the answer: cut to what fits there, never inside a character. */
static const char *shown_key(const struct nm_event_reading *in, const char *key)
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
  const char *keys[NM_EVENT_KEYS_FEW], *key;
  size_t count = 0;
  json_t *value;
  if (json_object_size(object) > NM_EVENT_KEYS_FEW) return false;
  json_object_foreach((json_t *)object, key, value) {
    for (size_t i = 0; i < count; i++)
      if (((keys[i][0] ^ key[0]) & ~0x20) == 0 && strcasecmp(keys[i], key) == 0) return false;
    keys[count++] = key;
  }
  return true;
}

/* Sorted, because a body may hold thousands of keys: comparing each with each would take long. */
static int check_keys_differ(const struct nm_event_reading *in, const json_t *object)
{
  if (are_few_and_differ(object)) return NM_OK;
  size_t count = json_object_size(object);
  const char **keys = calloc(count + 1, sizeof *keys);
  if (!keys) return nm_event_no_memory(in);

  size_t filled = 0;
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)object, key, value) keys[filled++] = key;
  qsort(keys, filled, sizeof *keys, compare_nocase);

  int rc = NM_OK;
  for (size_t i = 1; i < filled && rc == NM_OK; i++) {
    if (strcasecmp(keys[i - 1], keys[i]) != 0) continue;
    enum nm_event_key known = nm_event_key_from(nm_text_from(keys[i]));
    const char *shown = known < NM_KEY_COUNT ? nm_event_keys[known] : shown_key(in, keys[i]);
    rc = nm_event_refuse(in, shown, "is there twice, in different letter case");
  }
  free(keys);
  return rc;
}

/* A number above zero, or its digits as text. */
static int read_number(const struct nm_event_reading *in, enum nm_event_key key,
                       json_t *const found[NM_KEY_COUNT], int64_t *out)
{
  const char *field = nm_event_keys[key];
  const json_t *value = found[key];
  int64_t number = 0;
  if (!value) return NM_OK;
  if (json_is_integer(value)) {
    number = json_integer_value(value);
  } else if (json_is_string(value)) {
    if (json_string_length(value) == 0) return nm_event_refuse(in, field, "is empty");
    if (!nm_text_to_i64(nm_json_string_of(value), &number))
      return nm_event_refuse(in, field, "is not a whole number of at most 64 bits");
  } else {
    return nm_event_refuse(in, field, "should be a whole number, or one as text");
  }
  if (number <= 0) return nm_event_refuse(in, field, "should be above zero");
  *out = number;
  return NM_OK;
}

static int read_id(const struct nm_event_reading *in, enum nm_event_key key,
                   json_t *const found[NM_KEY_COUNT], struct nm_text *out)
{
  return nm_event_read_id(in, nm_event_keys[key], found[key], out);
}

/* PromoCode comes as an array, as a comma list or as one code. */
static int check_promo_code(const struct nm_event_reading *in, const json_t *value)
{
  const char *field = nm_event_keys[NM_KEY_PROMO_CODE];
  if (!value || json_is_string(value) || json_is_integer(value)) return NM_OK;
  if (!json_is_array(value))
    return nm_event_refuse(in, field, "should be an array of text, or text");
  size_t i;
  json_t *code;
  json_array_foreach((json_t *)value, i, code)
    if (!json_is_string(code) && !json_is_integer(code))
      return nm_event_refuse(in, field, "should hold nothing but text");
  return NM_OK;
}

static int check_text(const struct nm_event_reading *in, enum nm_event_key key,
                      json_t *const found[NM_KEY_COUNT])
{
  if (!found[key] || json_is_string(found[key])) return NM_OK;
  return nm_event_refuse(in, nm_event_keys[key], "should be text");
}

/* What rules see but the engine does not use. */
static int check_others(const struct nm_event_reading *in, json_t *const found[NM_KEY_COUNT])
{
  const json_t *action = found[NM_KEY_ACTION];
  const json_t *attributes = found[NM_KEY_ATTRIBUTES];
  int rc = check_promo_code(in, found[NM_KEY_PROMO_CODE]);
  if (rc == NM_OK) rc = check_text(in, NM_KEY_NOTES, found);
  if (rc == NM_OK) rc = check_text(in, NM_KEY_SCHEDULE, found);
  if (rc == NM_OK) rc = check_text(in, NM_KEY_SCHEDULED, found);
  if (rc == NM_OK && action && !json_is_integer(action) && !json_is_string(action))
    rc = nm_event_refuse(in, nm_event_keys[NM_KEY_ACTION],
                         "should be a whole number, or one as text");
  if (rc == NM_OK && attributes && !json_is_object(attributes))
    rc = nm_event_refuse(in, nm_event_keys[NM_KEY_ATTRIBUTES], "should be an object");
  return rc;
}

int nm_event_settle_type(const struct nm_event_reading *in, int64_t type_hint,
                         struct nm_event *event)
{
  if (event->type > 0) return NM_OK;
  if (type_hint > 0)
    event->type = type_hint;
  else if (event->customer.len > 0)
    event->type = NM_EVENT_TYPE_SINGLE;
  else if (event->campaign.len > 0 && event->channel_id > 0)
    event->type = NM_EVENT_TYPE_CAMPAIGN;
  else
    return nm_event_refuse(in, nm_event_keys[NM_KEY_TYPE],
                           "is missing, and no CustomerID or CampaignID with a ChannelID tells it");
  return NM_OK;
}

static int read_object(const struct nm_event_reading *in, const json_t *object, int64_t type_hint,
                       struct nm_event *event)
{
  json_t *found[NM_KEY_COUNT];
  int rc = check_keys_differ(in, object);
  if (rc != NM_OK) return rc;
  nm_event_find_keys(object, found);
  rc = read_number(in, NM_KEY_TYPE, found, &event->type);
  if (rc == NM_OK) rc = read_number(in, NM_KEY_CHANNEL, found, &event->channel_id);
  if (rc == NM_OK) rc = read_number(in, NM_KEY_TEMPLATE, found, &event->template_id);
  if (rc == NM_OK) rc = read_id(in, NM_KEY_CAMPAIGN, found, &event->campaign);
  if (rc == NM_OK) rc = read_id(in, NM_KEY_CUSTOMER, found, &event->customer);
  if (rc == NM_OK)
    rc = nm_event_read_text(in, nm_event_keys[NM_KEY_STAMP], found[NM_KEY_STAMP], &event->stamp);
  if (rc == NM_OK) rc = check_others(in, found);
  return rc == NM_OK ? nm_event_settle_type(in, type_hint, event) : rc;
}

static int read_thoroughly(struct nm_arena *arena, struct nm_text body, int64_t type_hint,
                           struct nm_event *out, const char **field, struct nm_error *err)
{
  const char *unnamed;
  struct nm_event_reading in = { arena, field ? field : &unnamed, err };
  struct nm_event event = { .kind = NM_EVENT_CAMPAIGN };
  json_t *object = NULL;

  *in.field = NULL;
  int rc = nm_json_parse(&object, body, err);
  if (rc == NM_ELIMIT) rc = NM_EINVAL; /* too deep is the sender's fault, as any other wrong body */
  if (rc != NM_OK) return rc;
  if (!json_is_object(object))
    rc = nm_fail(err, NM_EINVAL, "the body should be one JSON object");
  else
    rc = read_object(&in, object, type_hint, &event);
  json_decref(object);
  if (rc != NM_OK) return rc;

  event.body = nm_arena_copy(arena, body);
  if (!event.body.ptr) return nm_event_no_memory(&in);
  *out = event;
  return NM_OK;
}

int nm_event_read_campaign(struct nm_arena *arena, struct nm_text body, int64_t type_hint,
                           struct nm_event *out, const char **field, struct nm_error *err)
{
  if (nm_event_read_plain(arena, body, type_hint, out)) {
    if (field) *field = NULL;
    return NM_OK;
  }
  return read_thoroughly(arena, body, type_hint, out, field, err);
}
