/* What rules see of an event: one spelling whatever its sender's was. */
#include <inttypes.h>

#include "model/internal.h"

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
  if (!codes || json_object_set_new(table, nm_event_keys[NM_KEY_PROMO_CODE], codes))
    return NM_ENOMEM;
  if (json_is_string(value)) return append_codes(codes, nm_json_string_of(value));
  if (!json_is_array(value)) return append_code(codes, value);
  size_t i;
  json_t *code;
  int rc = NM_OK;
  json_array_foreach((json_t *)value, i, code)
    if (rc == NM_OK) rc = append_code(codes, code);
  return rc;
}

static int set_number(json_t *table, enum nm_event_key key, int64_t number)
{
  if (number == 0) return NM_OK;
  return json_object_set_new(table, nm_event_keys[key], json_integer(number)) ? NM_ENOMEM : NM_OK;
}

int nm_event_set_text(json_t *table, const char *key, struct nm_text text)
{
  return text.len > 0 ? nm_json_set_text(table, key, text) : NM_OK;
}

/* Puts one pair of the body where rules look for it. */
static int set_pair(json_t *table, const char *name, json_t *value,
                    json_t *const found[NM_KEY_COUNT])
{
  enum nm_event_key key = nm_event_key_from(nm_text_from(name));
  int64_t number;

  if (key == NM_KEY_COUNT) return json_object_set(table, name, value) ? NM_ENOMEM : NM_OK;
  if (json_is_null(value)) return NM_OK;
  if (key == NM_KEY_SCHEDULED && found[NM_KEY_SCHEDULE])
    return json_object_set(table, name, value) ? NM_ENOMEM : NM_OK;
  if (key == NM_KEY_PROMO_CODE) return set_promo_code(table, value);
  if (key == NM_KEY_SCHEDULED) key = NM_KEY_SCHEDULE;
  if (key == NM_KEY_ACTION && json_is_string(value) &&
      nm_text_to_i64(nm_json_string_of(value), &number))
    return json_object_set_new(table, nm_event_keys[key], json_integer(number)) ? NM_ENOMEM : NM_OK;
  return json_object_set(table, nm_event_keys[key], value) ? NM_ENOMEM : NM_OK;
}

static int fill_campaign(const struct nm_event *event, const json_t *body, json_t *table)
{
  json_t *found[NM_KEY_COUNT];
  const char *name;
  json_t *value;
  int rc = NM_OK;

  nm_event_find_keys(body, found);
  json_object_foreach((json_t *)body, name, value)
    if (rc == NM_OK) rc = set_pair(table, name, value, found);
  /* The ids last: they were read strictly, and stand here as text or number whatever they were. */
  if (rc == NM_OK) rc = set_number(table, NM_KEY_TYPE, event->type);
  if (rc == NM_OK) rc = set_number(table, NM_KEY_CHANNEL, event->channel_id);
  if (rc == NM_OK) rc = set_number(table, NM_KEY_TEMPLATE, event->template_id);
  if (rc == NM_OK)
    rc = nm_event_set_text(table, nm_event_keys[NM_KEY_CAMPAIGN], event->campaign);
  if (rc == NM_OK)
    rc = nm_event_set_text(table, nm_event_keys[NM_KEY_CUSTOMER], event->customer);
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
    rc = event->kind == NM_EVENT_HOOK ? nm_event_show_hook(event, body, table)
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
