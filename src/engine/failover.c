/* failover.c - a channel's chain of providers: the first that is well takes new messages; what
 * waits for one that is not moves on to the next, and new ones come back when it is well again.
 *
 * Not well: its host cannot be reached, its key is refused, it could not be opened, or send after
 * send delivered nothing.  Being throttled is no illness: the provider asked for patience, not for
 * another. What is in flight is never moved; what was sent and lost its answer moves only as one
 * that is to be tried again anyway (unknown = "retry").  No order is promised over a move. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "engine/failover.h"

bool nm_lane_is_well(const struct nm_lane *lane)
{
  if (!lane->settings || !lane->outlet) return false;
  if (lane->host->breaker.open_until_ms != 0) return false;
  return !lane->is_ill || nm_lane_pause_left_ms(lane) == 0;
}

/* Its time to be tried has come, and it has nobody to be tried with. */
static bool wants_probe(const struct nm_lane *lane)
{
  return lane->settings && lane->outlet && nm_lane_pause_left_ms(lane) == 0 &&
         lane->host->breaker.open_until_ms != 0 && nm_lane_is_idle(lane) &&
         nm_breaker_ask(&lane->host->breaker, nm_clock_mono_ms()) == NM_BREAKER_PROBE;
}

static const struct nm_lane *find_lane(const struct nm_book *book, struct nm_text name)
{
  for (const struct nm_lane *lane = book->lanes; lane; lane = nm_lane_next(lane))
    if (nm_text_equal(lane->name, name)) return lane;
  return NULL;
}

struct nm_text nm_failover_misfit(const struct nm_book *book, struct nm_arena *arena,
                                  const struct nm_message *message, struct nm_text name)
{
  const struct nm_tenant_provider *provider = nm_tenant_find_provider(book->tenant, name);
  const struct nm_adapter *adapter = provider ? nm_adapter_find(provider->adapter) : NULL;
  const char *unfit;
  if (!adapter)
    return nm_arena_printf(arena, "the adapter of provider %.*s is not built", NM_TEXT_ARG(name));
  if (!(adapter->channels & (1u << message->channel)))
    return nm_arena_printf(arena, "provider %.*s does not carry %s", NM_TEXT_ARG(name),
                           nm_channel_name(message->channel));
  unfit = adapter->unfit ? adapter->unfit(message) : NULL;
  if (unfit) return nm_arena_printf(arena, "message %.*s %s", NM_TEXT_ARG(message->name), unfit);
  return NM_TEXT("");
}

static bool fits(const struct nm_book *book, const struct nm_message *message, struct nm_text name)
{
  const struct nm_tenant_provider *provider = nm_tenant_find_provider(book->tenant, name);
  const struct nm_adapter *adapter = provider ? nm_adapter_find(provider->adapter) : NULL;
  return adapter && (adapter->channels & (1u << message->channel)) &&
         !(adapter->unfit && adapter->unfit(message));
}

/* A lane that does not exist yet had no chance to fall ill. */
static bool may_take(const struct nm_book *book, struct nm_text name, bool may_probe)
{
  const struct nm_lane *lane = find_lane(book, name);
  return !lane || nm_lane_is_well(lane) || (may_probe && wants_probe(lane));
}

struct nm_text nm_failover_choose(const struct nm_book *book, enum nm_channel kind,
                                  const struct nm_message *message)
{
  const struct nm_tenant *tenant = book->tenant;
  size_t count = tenant->chain_counts[kind];
  const struct nm_text *chain = tenant->chains[kind], *first = NULL;
  for (size_t i = 0; i < count; i++) {
    if (message && count > 1 && !fits(book, message, chain[i])) continue;
    if (!first) first = &chain[i];
    if (may_take(book, chain[i], true)) return chain[i];
  }
  if (first) return *first; /* nobody is well: it waits where it would have gone */
  return count > 0 ? chain[0] : NM_TEXT("");
}

/* Another one of its channel's chain that is well; NULL = none. */
static struct nm_lane *other_lane(struct nm_lane *lane, const struct nm_message *message)
{
  struct nm_book *book = lane->book;
  const struct nm_tenant *tenant = book->tenant;
  const struct nm_text *chain = tenant->chains[message->channel];
  for (size_t i = 0; i < tenant->chain_counts[message->channel]; i++) {
    if (nm_text_equal(chain[i], lane->name) || !may_take(book, chain[i], false)) continue;
    if (!fits(book, message, chain[i])) continue;
    struct nm_lane *other = nm_lane_find(book, chain[i]);
    if (nm_lane_is_well(other)) return other;
  }
  return NULL;
}

bool nm_lane_moves_over(const struct nm_lane *lane)
{
  const struct nm_tenant *tenant = lane->book->tenant;
  if (nm_lane_is_well(lane)) return false;
  for (int kind = 0; kind < NM_CHANNEL_COUNT; kind++) {
    bool is_in = false, has_other = false;
    for (size_t i = 0; i < tenant->chain_counts[kind]; i++) {
      if (nm_text_equal(tenant->chains[kind][i], lane->name)) is_in = true;
      else if (may_take(lane->book, tenant->chains[kind][i], false)) has_other = true;
    }
    if (is_in && has_other) return true;
  }
  return false;
}

static void say_why(const struct nm_lane *lane, char *out, size_t size)
{
  snprintf(out, size, "moved on from %.*s: %s", NM_TEXT_ARG(lane->name),
           !lane->settings || !lane->outlet         ? "it cannot be opened"
           : lane->host->breaker.open_until_ms != 0 ? "it cannot be reached"
           : lane->is_denied                        ? "it refuses our key"
                                                    : "it delivers nothing");
}

static void note_move(struct nm_lane *lane, const struct nm_lane *other, const char *why)
{
  nm_metric_add(NM_METRIC_MESSAGES_MOVED, 1);
  if (lane->is_left) return;
  lane->is_left = true;
  struct nm_log_ids ids = nm_book_ids(lane->book);
  nm_log(NM_LOG_WARN, "engine", &ids, "messages of provider %.*s go by %.*s: %s",
         NM_TEXT_ARG(lane->name), NM_TEXT_ARG(other->name), why);
}

struct nm_lane *nm_lane_move(struct nm_lane *lane, const struct nm_message *message,
                             struct nm_finish *finish, char *why, size_t size)
{
  struct nm_lane *other = nm_lane_is_well(lane) ? NULL : other_lane(lane, message);
  if (!other) return NULL;
  say_why(lane, why, size);
  note_move(lane, other, why);
  finish->provider = other->name;
  return other;
}

/* Moves what it can; the rest waits as before. */
static void move_items(struct nm_lane *lane, struct nm_items *items)
{
  struct nm_items kept = { NULL, NULL, 0 };
  struct nm_item *item;
  char why[NM_LANE_REASON_MAX_BYTES];
  while ((item = nm_items_pop(items))) {
    const struct nm_message *message = item->message;
    struct nm_finish finish = { .message_id = message->id,
                                .run_id = message->run_id,
                                .state = NM_MESSAGE_WAITING,
                                .attempts = message->attempts,
                                .first_attempt_ms = message->first_attempt_ms };
    struct nm_lane *other = nm_lane_move(lane, message, &finish, why, sizeof why);
    if (!other) {
      nm_items_push(&kept, item);
      continue;
    }
    finish.reason = nm_text_from(why);
    nm_finisher_add(other, &finish);
    nm_item_done(lane, item);
  }
  *items = kept;
}

void nm_lane_move_over(struct nm_lane *lane)
{
  if (nm_lane_is_well(lane)) {
    if (!lane->is_left) return;
    lane->is_left = false;
    struct nm_log_ids ids = nm_book_ids(lane->book);
    nm_log(NM_LOG_INFO, "engine", &ids, "provider %.*s is well again: new messages go by it",
           NM_TEXT_ARG(lane->name));
    return;
  }
  if (!nm_lane_moves_over(lane)) return;
  for (struct nm_half *half = lane->halves; half; half = half->next) move_items(lane, &half->items);
  move_items(lane, &lane->singles);
  move_items(lane, &lane->rest);
}
