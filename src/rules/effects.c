#include <math.h>

#include "base/limits.h"
#include "rules/internal.h"

enum { CAPS_MAX = 32, CAP_SCOPE_MAX_BYTES = 256 };

struct reading {
  struct nm_arena *arena;
  struct nm_error *err;
};

static int refuse(const struct reading *in, const char *effect, const char *what)
{
  return nm_fail(in->err, NM_EINVAL, "%s: %s", effect, what);
}

/* "HH:MM" into minutes; -1 for anything else. */
static int minute_of(struct nm_text text)
{
  struct nm_text hour, minute;
  int64_t h, m;
  bool is_time = text.len == 5 && nm_text_cut(text, ':', &hour, &minute) && hour.len == 2 &&
                 nm_text_to_i64(hour, &h) && nm_text_to_i64(minute, &m) && h >= 0 && h < 24 &&
                 m >= 0 && m < 60;
  return is_time ? (int)(h * 60 + m) : -1;
}

static int read_quiet(const struct reading *in, const struct nm_value *given, struct nm_quiet *out)
{
  const struct nm_value *quiet = nm_value_get(given, "quiet");
  if (!quiet) return NM_OK;
  int64_t from = nm_value_integer(quiet, "from", -1), to = nm_value_integer(quiet, "to", -1);
  if (from < 0 || from >= 24 * 60 || to < 0 || to >= 24 * 60)
    return refuse(in, "quiet", "expected minutes of the day");
  *out = (struct nm_quiet){ (int)from, (int)to };
  return NM_OK;
}

static int read_cap(const struct reading *in, const struct nm_value *given, struct nm_cap *out)
{
  static const char *const pers[] = { "hour", "day", "week", "month" };
  struct nm_text per = nm_value_text(given, "per");
  int at = 0;
  while (at < 4 && !nm_text_equal(per, nm_text_from(pers[at]))) at++;
  *out = (struct nm_cap){ nm_value_text(given, "scope"), nm_value_integer(given, "max", -1),
                          (enum nm_cap_per)at };
  if (at < 4 && out->max >= 0 && out->scope.len > 0 && out->scope.len <= CAP_SCOPE_MAX_BYTES &&
      nm_text_is_utf8(out->scope))
    return NM_OK;
  return refuse(in, "send", "expected caps as a message has them");
}

static int read_caps(const struct reading *in, const struct nm_value *given, struct nm_effect *out)
{
  const struct nm_value *list = nm_value_get(given, "caps");
  if (!list) return NM_OK;
  if (list->kind != NM_VALUE_TABLE || list->table.count > CAPS_MAX || !nm_value_is_list(list))
    return refuse(in, "send", "expected a list of caps");
  struct nm_cap *caps = nm_arena_alloc(in->arena, (list->table.count + 1) * sizeof *caps);
  if (!caps) return nm_fail(in->err, NM_ENOMEM, "no room for what it gave");
  for (size_t i = 0; i < list->table.count; i++) {
    int rc = read_cap(in, &list->table.entries[i].value, &caps[i]);
    if (rc != NM_OK) return rc;
  }
  out->caps = caps;
  out->cap_count = list->table.count;
  return NM_OK;
}

static int read_send(const struct reading *in, const struct nm_value *given, struct nm_effect *out)
{
  const struct nm_value *content = nm_value_get(given, "content");
  struct nm_error why = { 0, "" };
  out->channel = nm_channel_from(nm_value_text(given, "channel"));
  out->channel_id = nm_value_integer(given, "channel_id", 0);
  out->template_id = nm_value_integer(given, "template", 0);
  out->message = nm_value_text(given, "message");
  out->to = nm_value_text(given, "to");
  out->customer = nm_value_text(given, "customer");
  out->to_is_address = !nm_text_equal(out->to, out->customer);
  out->campaign = nm_value_text(given, "campaign");
  out->expires_in_ms = nm_value_integer(given, "expires_in_ms", 0);
  if (out->channel == NM_CHANNEL_NONE)
    return refuse(in, "send", "expected channel push, sms or email");
  if (out->message.len == 0) return refuse(in, "send", "expected the name of a message");
  if (out->to.len == 0) return refuse(in, "send", "nobody to send to");
  if (out->expires_in_ms < 0) return refuse(in, "send", "expires_in_ms is below 0");
  if (!content || content->kind != NM_VALUE_TABLE || nm_value_is_list(content))
    return refuse(in, "send", "expected a table as content");

  int rc = nm_value_json_text(content, in->arena, &out->content, &why);
  if (rc != NM_OK)
    return nm_fail(in->err, rc, "message %.*s: %s", NM_TEXT_ARG(out->message), why.text);
  rc = read_caps(in, given, out);
  return rc == NM_OK ? read_quiet(in, given, &out->quiet) : rc;
}

static int read_campaign(const struct reading *in, const struct nm_value *given,
                         struct nm_effect *out)
{
  out->campaign = nm_value_text(given, "campaign");
  out->channel_id = nm_value_integer(given, "channel_id", 0);
  if (out->campaign.len == 0) return refuse(in, nm_effect_name(out->kind), "expected a campaign");
  return read_quiet(in, given, &out->quiet);
}

static int read_attribute(const struct reading *in, const struct nm_entry *entry,
                          struct nm_attribute *out)
{
  const struct nm_value *value = &entry->value;
  if (entry->key.kind != NM_VALUE_TEXT || !nm_text_is_utf8(entry->key.text))
    return refuse(in, "update", "attributes have names");
  out->field = entry->key.text;
  switch (value->kind) {
  case NM_VALUE_TEXT: out->value = value->text; break;
  case NM_VALUE_BOOLEAN: out->value = value->boolean ? NM_TEXT("TRUE") : NM_TEXT("FALSE"); break;
  case NM_VALUE_INTEGER:
  case NM_VALUE_NUMBER:
    if (value->kind == NM_VALUE_NUMBER && !isfinite(value->number)) break;
    out->value = nm_value_number_text(in->arena, value);
    if (!out->value.ptr) return nm_fail(in->err, NM_ENOMEM, "no room for what it gave");
    break;
  default: break;
  }
  if (out->value.ptr && nm_text_is_utf8(out->value)) return NM_OK;
  return nm_fail(in->err, NM_EINVAL, "update: %.*s: expected text, a number, true or false",
                 NM_TEXT_ARG(out->field));
}

static int read_update(const struct reading *in, const struct nm_value *given,
                       struct nm_effect *out)
{
  const struct nm_value *attributes = nm_value_get(given, "attributes");
  int rc = NM_OK;
  out->customer = nm_value_text(given, "customer");
  if (out->customer.len == 0) return refuse(in, "update", "expected a customer");
  if (!attributes || attributes->kind != NM_VALUE_TABLE || attributes->table.count == 0)
    return refuse(in, "update", "expected attributes");
  size_t count = attributes->table.count;
  out->attributes = nm_arena_alloc(in->arena, count * sizeof *out->attributes);
  if (!out->attributes) return nm_fail(in->err, NM_ENOMEM, "no room for what it gave");
  out->attribute_count = count;
  for (size_t i = 0; i < count && rc == NM_OK; i++)
    rc = read_attribute(in, &attributes->table.entries[i], &out->attributes[i]);
  return rc;
}

static int read_track(const struct reading *in, const struct nm_value *given,
                      struct nm_effect *out)
{
  const struct nm_value *context = nm_value_get(given, "context");
  out->event_name = nm_value_text(given, "event");
  out->customer = nm_value_text(given, "customer");
  out->visitor = nm_value_text(given, "visitor");
  out->timestamp = nm_value_text(given, "timestamp");
  out->context = NM_TEXT("{}");
  if (out->event_name.len == 0) return refuse(in, "track", "expected the name of an event");
  if ((out->customer.len == 0) == (out->visitor.len == 0))
    return refuse(in, "track", "expected a customer or a visitor");
  if (out->timestamp.len == 0) return refuse(in, "track", "expected a timestamp");
  if (!context || context->kind != NM_VALUE_TABLE || context->table.count == 0) return NM_OK;
  if (nm_value_is_list(context)) return refuse(in, "track", "expected names in its context");
  return nm_value_json_text(context, in->arena, &out->context, in->err);
}

static int read_become(const struct reading *in, const struct nm_value *given,
                       struct nm_effect *out)
{
  const struct nm_value *event = nm_value_get(given, "event");
  if (!event || event->kind != NM_VALUE_TABLE || nm_value_is_list(event))
    return refuse(in, "become", "expected an event");
  return nm_value_json_text(event, in->arena, &out->content, in->err);
}

static int read_reason(const struct reading *in, const struct nm_value *given,
                       struct nm_effect *out)
{
  out->reason = nm_value_text(given, "reason");
  if (out->reason.len == 0) return refuse(in, nm_effect_name(out->kind), "expected a reason");
  return NM_OK;
}

static int read_delay(const struct reading *in, const struct nm_value *given,
                      struct nm_effect *out)
{
  out->until_minute = minute_of(nm_value_text(given, "until_time"));
  return out->until_minute < 0 ? refuse(in, "delay", "expected until_time = \"HH:MM\"") : NM_OK;
}

static int read_effect(const struct reading *in, const struct nm_value *given,
                       struct nm_effect *out)
{
  struct nm_text name = nm_value_text(given, "effect");
  int kind = NM_EFFECT_SEND;
  while (kind <= NM_EFFECT_BECOME &&
         !nm_text_equal(name, nm_text_from(nm_effect_name((enum nm_effect_kind)kind))))
    kind++;
  out->kind = (enum nm_effect_kind)kind;
  switch (kind) {
  case NM_EFFECT_SEND: return read_send(in, given, out);
  case NM_EFFECT_EXPAND:
  case NM_EFFECT_CANCEL: return read_campaign(in, given, out);
  case NM_EFFECT_DELAY: return read_delay(in, given, out);
  case NM_EFFECT_HOLD:
  case NM_EFFECT_DROP: return read_reason(in, given, out);
  case NM_EFFECT_UPDATE: return read_update(in, given, out);
  case NM_EFFECT_TRACK: return read_track(in, given, out);
  case NM_EFFECT_BECOME: return read_become(in, given, out);
  default: return nm_fail(in->err, NM_EINVAL, "unknown effect \"%.*s\"", NM_TEXT_ARG(name));
  }
}

int nm_rules_read_effects(const struct nm_value *given, struct nm_arena *arena,
                          struct nm_effects *out, struct nm_error *err)
{
  struct reading in = { arena, err };
  size_t count = given->table.count;
  int rc = NM_OK;
  if (count > NM_RULES_EFFECTS_MAX)
    return nm_fail(err, NM_ELIMIT, "gave %zu effects; at most %d are taken", count,
                   NM_RULES_EFFECTS_MAX);
  if (count > 0 && !nm_value_is_list(given))
    return nm_fail(err, NM_EINVAL, "gave a table that is not a list of effects");
  struct nm_effect *items = nm_arena_alloc(arena, (count ? count : 1) * sizeof *items);
  if (!items) return nm_fail(err, NM_ENOMEM, "no room for what it gave");
  for (size_t i = 0; i < count && rc == NM_OK; i++)
    rc = read_effect(&in, &given->table.entries[i].value, &items[i]);
  if (rc != NM_OK) return rc;
  out->items = items;
  out->count = count;
  return NM_OK;
}
