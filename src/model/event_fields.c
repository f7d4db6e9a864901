#include "model/internal.h"

const char *const nm_event_keys[NM_KEY_COUNT] = {
  [NM_KEY_TYPE] = "EventTypeID",
  [NM_KEY_CHANNEL] = "ChannelID",
  [NM_KEY_TEMPLATE] = "TemplateID",
  [NM_KEY_CAMPAIGN] = "CampaignID",
  [NM_KEY_CUSTOMER] = "CustomerID",
  [NM_KEY_STAMP] = "TimeStamp",
  [NM_KEY_PROMO_CODE] = "PromoCode",
  [NM_KEY_NOTES] = "Notes",
  [NM_KEY_ACTION] = "ActionID",
  [NM_KEY_SCHEDULE] = "ScheduleTime",
  [NM_KEY_SCHEDULED] = "ScheduledTime",
  [NM_KEY_ATTRIBUTES] = "attributes",
};

enum nm_event_key nm_event_key_from(struct nm_text word)
{
  for (int key = 0; key < NM_KEY_COUNT; key++)
    if (nm_text_equal_nocase(word, nm_text_from(nm_event_keys[key])))
      return (enum nm_event_key)key;
  return NM_KEY_COUNT;
}

void nm_event_find_keys(const json_t *object, json_t *found[NM_KEY_COUNT])
{
  const char *name;
  json_t *value;
  memset(found, 0, NM_KEY_COUNT * sizeof *found);
  json_object_foreach((json_t *)object, name, value) {
    enum nm_event_key key = nm_event_key_from(nm_text_from(name));
    if (key < NM_KEY_COUNT && !json_is_null(value)) found[key] = value;
  }
}

int nm_event_refuse(const struct nm_event_reading *in, const char *field, const char *why)
{
  *in->field = field;
  return nm_fail(in->err, NM_EINVAL, "%s %s", field, why);
}

int nm_event_no_memory(const struct nm_event_reading *in)
{
  return nm_fail(in->err, NM_ENOMEM, "no memory to read the event");
}

bool nm_event_has_control(struct nm_text text)
{
  for (size_t i = 0; i < text.len; i++)
    if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7F) return true;
  return false;
}

int nm_event_read_text(const struct nm_event_reading *in, const char *field, const json_t *value,
                       struct nm_text *out)
{
  if (!value) return NM_OK;
  if (!json_is_string(value)) return nm_event_refuse(in, field, "should be text");
  struct nm_text text = nm_json_string_of(value);
  if (text.len > NM_EVENT_ID_TEXT_MAX_BYTES)
    return nm_event_refuse(in, field, "is too long (256 bytes at most)");
  if (nm_event_has_control(text)) return nm_event_refuse(in, field, "holds a control character");
  struct nm_text copy = nm_arena_copy(in->arena, text);
  if (!copy.ptr) return nm_event_no_memory(in);
  *out = copy;
  return NM_OK;
}

int nm_event_read_id(const struct nm_event_reading *in, const char *field, const json_t *value,
                     struct nm_text *out)
{
  if (!value) return NM_OK;
  if (json_is_integer(value)) {
    if (json_integer_value(value) <= 0) return nm_event_refuse(in, field, "should be above zero");
    char digits[NM_TEXT_I64_MAX_BYTES];
    size_t len = nm_text_put_i64(digits, json_integer_value(value));
    *out = nm_arena_copy(in->arena, (struct nm_text){ digits, len });
    return out->ptr ? NM_OK : nm_event_no_memory(in);
  }
  if (!json_is_string(value)) return nm_event_refuse(in, field, "should be text or a whole number");
  if (nm_text_is_empty(nm_text_trim(nm_json_string_of(value))))
    return nm_event_refuse(in, field, "is empty");
  return nm_event_read_text(in, field, value, out);
}
