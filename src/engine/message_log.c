#include "engine/message_log.h"

#include <time.h>

#include "base/clock.h"
#include "base/log.h"

static bool has_rule(const struct nm_generation *active)
{
  const struct nm_rules_facts *facts = active ? nm_rules_facts(active->rules) : NULL;
  for (size_t i = 0; facts && i < facts->hook_count; i++)
    if (nm_text_equal(facts->hooks[i], NM_TEXT("MESSAGE_LOG")))
      return true;
  return false;
}

static bool is_asked_for(const struct nm_book *book)
{
  const struct nm_tenant *tenant = book->tenant;
  const struct nm_tenant_hook *hook;
  if (!tenant->connector.is_present || !tenant->connector.is_active || tenant->hook_count == 0)
    return false;
  hook = nm_tenant_find_hook(tenant, NM_TEXT("MESSAGE_LOG"));
  return hook && hook->is_active && has_rule(book->active);
}

static const char *word_of(const struct nm_finish *end)
{
  switch (end->state) {
  case NM_MESSAGE_SENT:
    return end->outcome == NM_OUTCOME_DELIVERED ? "DELIVERED" : "SENT";
  case NM_MESSAGE_DEAD:
    return "FAILED";
  case NM_MESSAGE_EXPIRED:
    return "EXPIRED";
  default:
    return NULL;
  }
}

static const char *channel_word(enum nm_channel channel)
{
  switch (channel) {
  case NM_CHANNEL_PUSH:
    return "PUSH";
  case NM_CHANNEL_SMS:
    return "SMS";
  case NM_CHANNEL_EMAIL:
    return "EMAIL";
  default:
    return "";
  }
}

static int set(json_t *object, const char *key, struct nm_text text)
{
  return text.len > 0 ? nm_json_set_text(object, key, text) : NM_OK;
}

static json_t *attributes_of(const struct nm_message *message, const struct nm_finish *end,
                             const char *word)
{
  json_t *attributes =
      json_pack("{s:s,s:s}", "status", word, "channel", channel_word(message->channel));
  if (!attributes)
    return NULL;
  int rc = set(attributes, "message", message->name);
  if (!rc)
    rc = set(attributes, "campaign", message->campaign);
  if (!rc)
    rc = set(attributes, "provider", message->provider);
  if (!rc && end->state == NM_MESSAGE_DEAD)
    rc = set(attributes, "reason", end->reason);
  if (!rc && message->template_id)
    rc = json_object_set_new(attributes, "template", json_integer(message->template_id));
  if (!rc && message->channel_id)
    rc = json_object_set_new(attributes, "channel_id", json_integer(message->channel_id));
  if (!rc)
    return attributes;
  json_decref(attributes);
  return NULL;
}

static json_t *event_of(struct nm_arena *arena, const struct nm_message *message,
                        const struct nm_finish *end, const char *word, int64_t now_ms)
{
  char when[32];
  time_t now_s = (time_t)(now_ms / 1000);
  struct tm utc;
  struct nm_text id =
      nm_arena_printf(arena, NM_MESSAGE_LOG_PREFIX "%lld:%s", (long long)message->id, word);
  json_t *attributes = attributes_of(message, end, word);
  if (!attributes || !id.ptr || !gmtime_r(&now_s, &utc) ||
      strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
    json_decref(attributes);
    return NULL;
  }
  return json_pack("{s:s%,s:s,s:s,s:s,s:s%,s:o}", "id", id.ptr, id.len, "type", "MESSAGE_LOG",
                   "name", "MESSAGE_LOG", "time", when, "extId", message->customer.ptr,
                   message->customer.len, "attributes", attributes);
}

struct nm_store_arrival *nm_message_log_make(const struct nm_book *book, struct nm_arena *arena,
                                             const struct nm_message *message,
                                             const struct nm_finish *end)
{
  const char *word = word_of(end), *field;
  int64_t now_ms = nm_clock_wall_ms();
  if (!word || message->channel == NM_CHANNEL_NONE || message->customer.len == 0 ||
      !is_asked_for(book))
    return NULL;
  struct nm_store_arrival *arrival = nm_arena_alloc(arena, sizeof *arrival);
  json_t *event = arrival ? event_of(arena, message, end, word, now_ms) : NULL;
  /* Without memory the message has its end all the same: what was sent must not be sent again. */
  int rc = event ? nm_event_read_hook(arena, event, &arrival->event, &field, NULL) : NM_ENOMEM;
  json_decref(event);
  if (!rc) {
    arrival->event.tenant_id = book->tenant_id;
    arrival->event.received_at_ms = now_ms;
    arrival->identity = nm_event_identity(arena, &arrival->event, &arrival->window_ms);
    if (arrival->identity.ptr)
      return arrival;
  }
  struct nm_log_ids ids = nm_book_ids(book);
  ids.message = message->id;
  nm_log(NM_LOG_ERROR, "engine", &ids,
         "no memory for the MESSAGE_LOG event of this message: its rule is not told");
  return NULL;
}

bool nm_message_log_is_own(const struct nm_event *event)
{
  return event->kind == NM_EVENT_HOOK &&
         nm_text_starts_with(event->foreign_id, NM_TEXT(NM_MESSAGE_LOG_PREFIX));
}
