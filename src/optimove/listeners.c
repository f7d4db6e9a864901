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
  if (what->wants_nothing) return list;
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

struct nm_listener_list nm_listeners_there(const json_t *rows, struct nm_arena *arena)
{
  size_t max = json_array_size(rows);
  struct nm_listener_list list = { nm_arena_alloc(arena, (max + 1) * sizeof *list.items), 0 };
  for (size_t i = 0; i < max && list.items; i++) {
    const json_t *row = json_array_get(rows, i);
    const json_t *url = nm_optimove_get(row, "ListenerURL");
    struct nm_listener found = { 0, 0, { NULL, 0 } };
    if (!nm_optimove_number(nm_optimove_get(row, "EventTypeID"), &found.event_type)) continue;
    if (!json_is_string(url)) continue;
    if (!nm_optimove_number(nm_optimove_get(row, "ChannelID"), &found.channel_id))
      found.channel_id = 0;
    found.url = nm_arena_copy(
        arena, (struct nm_text){ json_string_value(url), json_string_length(url) });
    if (!found.url.ptr) return (struct nm_listener_list){ NULL, 0 }; /* not half a list */
    list.items[list.count++] = found;
  }
  return list;
}

/* ---- whose is it ----------------------------------------------------------------------------- */

/* What `k` of the query is; empty where there is none. */
static struct nm_text secret_of(struct nm_text url)
{
  struct nm_text path, query, piece;
  if (!nm_text_cut(url, '?', &path, &query)) return (struct nm_text){ NULL, 0 };
  while (query.len > 0) {
    struct nm_text name, value;
    nm_text_cut(query, '&', &piece, &query);
    if (nm_text_cut(piece, '=', &name, &value) && nm_text_equal(name, NM_TEXT("k"))) return value;
  }
  return (struct nm_text){ NULL, 0 };
}

bool nm_listener_is_ours(struct nm_text url, const struct nm_listener_own *own)
{
  struct nm_text secret = secret_of(url);
  for (size_t i = 0; i < own->secret_count; i++)
    if (secret.len > 0 && nm_text_equal(secret, own->secrets[i])) return true;
  for (size_t i = 0; i < own->prefix_count; i++)
    if (nm_text_starts_with(url, own->prefixes[i]) &&
        (url.len == own->prefixes[i].len || url.ptr[own->prefixes[i].len] == '?'))
      return true;
  return false;
}

static bool is_same_pair(const struct nm_listener *a, const struct nm_listener *b)
{
  return a->event_type == b->event_type && a->channel_id == b->channel_id;
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* What stands on one pair. */
struct count {
  size_t exact, old, foreign;
  struct nm_text an_old, a_foreign;
};

static struct count count_pair(const struct nm_listener *pair, struct nm_listener_list there,
                               const struct nm_listener_own *own)
{
  struct count count = { 0 };
  for (size_t i = 0; i < there.count; i++) {
    struct nm_text url = there.items[i].url;
    if (!is_same_pair(pair, &there.items[i])) continue;
    if (nm_text_equal(url, pair->url)) {
      count.exact++;
    } else if (nm_listener_is_ours(url, own)) {
      count.old++;
      count.an_old = url;
    } else {
      count.foreign++;
      count.a_foreign = url;
    }
  }
  return count;
}

static const char *why_stale(const struct nm_listener *wanted, const struct count *count)
{
  struct nm_text old, fresh, query;
  if (count->exact + count->old > 1) return "it is there more than once";
  nm_text_cut(count->an_old, '?', &old, &query);
  nm_text_cut(wanted->url, '?', &fresh, &query);
  return nm_text_equal(old, fresh) ? "it carries an old secret" : "it has an old URL";
}

static struct nm_text without_query(struct nm_text url)
{
  struct nm_text head, query;
  nm_text_cut(url, '?', &head, &query);
  return head;
}

static struct nm_listener_finding judge(const struct nm_listener *wanted,
                                        struct nm_listener_list there,
                                        const struct nm_listener_own *own)
{
  struct count count = count_pair(wanted, there, own);
  struct nm_listener_finding finding = { .verdict = NM_LISTENER_FINE, .listener = *wanted,
                                         .is_wanted = true, .why = "" };
  if (count.foreign > 0) { /* unregistering would take theirs away too */
    finding.verdict = NM_LISTENER_CONFLICT;
    finding.needs_clearing = true;
    finding.theirs = without_query(count.a_foreign);
  } else if (count.old > 0 || count.exact > 1) {
    finding.verdict = NM_LISTENER_STALE;
    finding.needs_clearing = count.exact > 0 || count.old > 1;
    finding.why = why_stale(wanted, &count);
  } else if (count.exact == 0) {
    finding.verdict = NM_LISTENER_MISSING;
  }
  return finding;
}

static bool is_channel_wanted(struct nm_listener_list wanted, int64_t channel_id)
{
  for (size_t i = 0; i < wanted.count; i++)
    if (wanted.items[i].channel_id == channel_id) return true;
  return false;
}

static struct nm_listener_finding judge_orphan(const struct nm_listener *row,
                                               struct nm_listener_list wanted,
                                               struct nm_listener_list there,
                                               const struct nm_listener_own *own)
{
  struct count count = count_pair(row, there, own);
  struct nm_listener_finding finding = { .verdict = NM_LISTENER_ORPHAN, .listener = *row,
                                         .needs_clearing = true };
  finding.why = wanted.count == 0                             ? "nothing is wanted any more"
                : is_channel_wanted(wanted, row->channel_id) ? "nothing routes this type"
                                                             : "its channel is none of ours now";
  if (count.foreign > 0) {
    finding.verdict = NM_LISTENER_CONFLICT;
    finding.theirs = without_query(count.a_foreign);
  }
  return finding;
}

static bool holds_pair(struct nm_listener_list list, const struct nm_listener *pair)
{
  for (size_t i = 0; i < list.count; i++)
    if (is_same_pair(&list.items[i], pair)) return true;
  return false;
}

struct nm_listener_finding *nm_listeners_compare(struct nm_listener_list wanted,
                                                 struct nm_listener_list there,
                                                 const struct nm_listener_own *own,
                                                 struct nm_arena *arena, size_t *count)
{
  struct nm_listener_finding *findings =
      nm_arena_alloc(arena, (wanted.count + there.count + 1) * sizeof *findings);
  struct nm_listener_list orphans = {
    nm_arena_alloc(arena, (there.count + 1) * sizeof *orphans.items), 0
  };
  size_t found = 0;

  if (!findings || !orphans.items) return NULL;
  for (size_t i = 0; i < there.count; i++) {
    const struct nm_listener *row = &there.items[i];
    if (!nm_listener_is_ours(row->url, own)) continue;
    if (holds_pair(wanted, row) || holds_pair(orphans, row)) continue;
    orphans.items[orphans.count++] = *row;
    findings[found++] = judge_orphan(row, wanted, there, own);
  }
  for (size_t i = 0; i < wanted.count; i++)
    findings[found++] = judge(&wanted.items[i], there, own);
  *count = found;
  return findings;
}
