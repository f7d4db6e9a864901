#include "optimove/listeners.h"

#include <inttypes.h>

#include "optimove/internal.h"

struct nm_text nm_listeners_own_prefix(const struct nm_reconcile *what, struct nm_arena *arena)
{
  struct nm_text base = what->public_url;
  while (base.len > 0 && base.ptr[base.len - 1] == '/') base.len--;
  return nm_arena_printf(arena, "%.*s/optimove/event/%.*s", NM_TEXT_ARG(base),
                         NM_TEXT_ARG(what->tenant->app_key));
}

static bool is_routed_elsewhere(int64_t type)
{
  return type == 11 || type == 13 || type == 4;
}

struct nm_listener_list nm_listeners_wanted(const struct nm_reconcile *what, struct nm_arena *arena)
{
  const struct nm_tenant_connector *connector = &what->tenant->connector;
  struct nm_text prefix = nm_listeners_own_prefix(what, arena);
  char secret[NM_URL_SECRET_BYTES + 1];
  size_t max = connector->channel_count * 2 + 1 + what->routed_count;
  struct nm_listener_list list = { nm_arena_alloc(arena, max * sizeof *list.items), 0 };

  if (!list.items || !prefix.ptr) return (struct nm_listener_list){ NULL, 0 };
  nm_keyring_url_secret(what->keyring, what->tenant->name, what->tenant->secret_number, secret);
  for (size_t i = 0; i < connector->channel_count; i++) {
    list.items[list.count++] = (struct nm_listener){ 11, connector->channels[i].id, { 0, 0 } };
    list.items[list.count++] = (struct nm_listener){ 13, connector->channels[i].id, { 0, 0 } };
  }
  list.items[list.count++] = (struct nm_listener){ 4, 0, { 0, 0 } };
  for (size_t i = 0; i < what->routed_count; i++)
    if (!is_routed_elsewhere(what->routed_types[i]))
      list.items[list.count++] = (struct nm_listener){ what->routed_types[i], 0, { 0, 0 } };
  for (size_t i = 0; i < list.count; i++) {
    list.items[i].url = nm_arena_printf(arena, "%.*s?k=%s&t=%" PRId64, NM_TEXT_ARG(prefix), secret,
                                        list.items[i].event_type);
    if (!list.items[i].url.ptr) return (struct nm_listener_list){ NULL, 0 };
  }
  return list;
}

static bool read_number(const json_t *value, int64_t *out)
{
  if (json_is_integer(value)) {
    *out = json_integer_value(value);
    return true;
  }
  return json_is_string(value) && nm_text_to_i64(nm_text_from(json_string_value(value)), out);
}

struct nm_listener_list nm_listeners_there(const json_t *rows, struct nm_arena *arena)
{
  size_t max = json_array_size(rows);
  struct nm_listener_list list = { nm_arena_alloc(arena, (max + 1) * sizeof *list.items), 0 };
  for (size_t i = 0; i < max && list.items; i++) {
    const json_t *row = json_array_get(rows, i);
    const json_t *url = nm_optimove_get(row, "ListenerURL");
    struct nm_listener found = { 0, 0, { NULL, 0 } };
    if (!read_number(nm_optimove_get(row, "EventTypeID"), &found.event_type)) continue;
    if (!json_is_string(url)) continue;
    if (!read_number(nm_optimove_get(row, "ChannelID"), &found.channel_id)) found.channel_id = 0;
    found.url = nm_arena_copy(
        arena, (struct nm_text){ json_string_value(url), json_string_length(url) });
    if (!found.url.ptr) break;
    list.items[list.count++] = found;
  }
  return list;
}

/* Ours where it begins with a prefix of ours and goes on with a query or nothing. */
static bool is_ours(struct nm_text url, const struct nm_text *prefixes, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (nm_text_starts_with(url, prefixes[i]) &&
        (url.len == prefixes[i].len || url.ptr[prefixes[i].len] == '?'))
      return true;
  return false;
}

static bool is_same_pair(const struct nm_listener *a, const struct nm_listener *b)
{
  return a->event_type == b->event_type && a->channel_id == b->channel_id;
}

static enum nm_listener_verdict judge(const struct nm_listener *wanted,
                                      struct nm_listener_list there,
                                      const struct nm_text *prefixes, size_t prefix_count)
{
  size_t exact = 0, old = 0, foreign = 0;
  for (size_t i = 0; i < there.count; i++) {
    if (!is_same_pair(wanted, &there.items[i])) continue;
    if (nm_text_equal(there.items[i].url, wanted->url)) exact++;
    else if (is_ours(there.items[i].url, prefixes, prefix_count)) old++;
    else foreign++;
  }
  if (foreign > 0) return NM_LISTENER_CONFLICT; /* unregistering would take theirs away too */
  if (old > 0 || exact > 1) return NM_LISTENER_STALE;
  return exact == 1 ? NM_LISTENER_FINE : NM_LISTENER_MISSING;
}

static bool holds_pair(struct nm_listener_list list, const struct nm_listener *pair)
{
  for (size_t i = 0; i < list.count; i++)
    if (is_same_pair(&list.items[i], pair)) return true;
  return false;
}

struct nm_listener_finding *nm_listeners_compare(struct nm_listener_list wanted,
                                                 struct nm_listener_list there,
                                                 const struct nm_text *own_prefixes,
                                                 size_t prefix_count, struct nm_arena *arena,
                                                 size_t *count)
{
  struct nm_listener_finding *findings =
      nm_arena_alloc(arena, (wanted.count + there.count + 1) * sizeof *findings);
  struct nm_listener_list orphans = {
    nm_arena_alloc(arena, (there.count + 1) * sizeof *orphans.items), 0
  };
  size_t found = 0;

  if (!findings || !orphans.items) return NULL;
  for (size_t i = 0; i < wanted.count; i++)
    findings[found++] = (struct nm_listener_finding){
      judge(&wanted.items[i], there, own_prefixes, prefix_count), wanted.items[i]
    };
  for (size_t i = 0; i < there.count; i++) {
    const struct nm_listener *row = &there.items[i];
    if (!is_ours(row->url, own_prefixes, prefix_count)) continue;
    if (holds_pair(wanted, row) || holds_pair(orphans, row)) continue;
    orphans.items[orphans.count++] = *row;
    findings[found++] = (struct nm_listener_finding){ NM_LISTENER_ORPHAN, *row };
  }
  *count = found;
  return findings;
}
