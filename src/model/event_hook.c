#include "model/internal.h"

static const char *const hook_types[] = { "EVENT", "MESSAGE_LOG", "PROFILE" };
static const char *const hook_names[] = { NULL, "MESSAGE_LOG", "PROFILE_ATTRIBUTE_CHANGE" };
enum { HOOK_EVENT = 0, HOOK_PROFILE = 2, HOOK_TYPE_COUNT = 3 };

static int hook_type_from(const json_t *value)
{
  for (int type = 0; type < HOOK_TYPE_COUNT; type++)
    if (nm_text_equal(nm_json_string_of(value), nm_text_from(hook_types[type]))) return type;
  return -1;
}

/* NULL for a key that is missing or null. */
static const json_t *get(const json_t *object, const char *key)
{
  const json_t *value = json_object_get(object, key);
  return json_is_null(value) ? NULL : value;
}

/* Without a type, `changes` means PROFILE and anything else is an EVENT. */
static int read_hook_type(const struct nm_event_reading *in, const json_t *object, int *type)
{
  const json_t *value = get(object, "type");
  if (!value) {
    *type = get(object, "changes") ? HOOK_PROFILE : HOOK_EVENT;
    return NM_OK;
  }
  if (!json_is_string(value)) return nm_event_refuse(in, "type", "should be text");
  *type = hook_type_from(value);
  return *type < 0 ? nm_event_refuse(in, "type", "should be EVENT, MESSAGE_LOG or PROFILE") : NM_OK;
}

static int check_object(const struct nm_event_reading *in, const json_t *object, const char *field)
{
  const json_t *value = get(object, field);
  if (!value || json_is_object(value)) return NM_OK;
  return nm_event_refuse(in, field, "should be an object");
}

static int read_hook_name(const struct nm_event_reading *in, const json_t *object, int type,
                          struct nm_text *out)
{
  const json_t *value = get(object, "name");
  if (value && !json_is_string(value)) return nm_event_refuse(in, "name", "should be text");
  if (value) return nm_event_read_id(in, "name", value, out);
  if (!hook_names[type]) return nm_event_refuse(in, "name", "is missing: which event was it?");
  *out = nm_text_from(hook_names[type]);
  return NM_OK;
}

int nm_event_read_hook(struct nm_arena *arena, const json_t *value, struct nm_event *out,
                       const char **field, struct nm_error *err)
{
  const char *unnamed;
  struct nm_event_reading in = { arena, field ? field : &unnamed, err };
  struct nm_event event = { .kind = NM_EVENT_HOOK };
  int type = HOOK_EVENT;

  *in.field = NULL;
  if (!json_is_object(value)) return nm_fail(err, NM_EINVAL, "an event should be a JSON object");
  int rc = read_hook_type(&in, value, &type);
  if (rc == NM_OK) rc = read_hook_name(&in, value, type, &event.name);
  if (rc == NM_OK) rc = nm_event_read_id(&in, "id", get(value, "id"), &event.foreign_id);
  if (rc == NM_OK) rc = nm_event_read_id(&in, "extId", get(value, "extId"), &event.customer);
  if (rc == NM_OK) rc = nm_event_read_text(&in, "time", get(value, "time"), &event.stamp);
  if (rc == NM_OK) rc = check_object(&in, value, "attributes");
  if (rc == NM_OK) rc = check_object(&in, value, "changes");
  if (rc != NM_OK) return rc;

  event.body = nm_json_text(arena, value);
  if (!event.body.ptr) return nm_event_no_memory(&in);
  *out = event;
  return NM_OK;
}

int nm_event_show_hook(const struct nm_event *event, const json_t *body, json_t *table)
{
  int type = HOOK_EVENT;
  const char *unnamed;
  struct nm_event_reading in = { NULL, &unnamed, NULL };
  int rc = json_object_update(table, (json_t *)body) ? NM_ENOMEM : NM_OK;
  if (rc == NM_OK) rc = read_hook_type(&in, body, &type);
  if (rc == NM_OK) rc = nm_json_set_text(table, "type", nm_text_from(hook_types[type]));
  if (rc == NM_OK) rc = nm_event_set_text(table, "name", event->name);
  if (rc == NM_OK) rc = nm_event_set_text(table, "extId", event->customer);
  if (rc == NM_OK) rc = nm_event_set_text(table, "id", event->foreign_id);
  if (rc == NM_OK && type == HOOK_PROFILE && !get(body, "changes") &&
      json_object_set_new(table, "changes", json_object()))
    rc = NM_ENOMEM;
  return rc;
}
