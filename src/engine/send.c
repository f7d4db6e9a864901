/* send.c - starts sends: as many at a time as the adapter allows, as fast as the rate allows,
 * nobody twice in one, and nothing that is fenced, expired or in its quiet hours. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/point.h"
#include "engine/backoff.h"
#include "engine/erasures.h"
#include "engine/lanes.h"
#include "engine/quiet.h"
#include "engine/turns.h"

enum {
  PERSONS_SLOTS_MAX = 4096,
  PROBE_ELSEWHERE_WAIT_MS = 1000,
  FAILURES_MAX = 5, /* sends in a row */
};

/* ---- outlets --------------------------------------------------------------------------------- */

static void on_outlet_closed(void *data)
{
  struct nm_outlet *outlet = data;
  struct nm_engine *engine = outlet->engine;
  struct nm_outlet **at = &engine->outlets;
  while (*at && *at != outlet) at = &(*at)->next;
  if (nm_expect(*at == outlet)) *at = outlet->next;
  free(outlet);
  nm_engine_check_stop(engine);
}

static void close_outlet(struct nm_outlet *outlet)
{
  if (outlet->is_closing) return;
  outlet->is_closing = true;
  outlet->adapter->close(outlet->provider, on_outlet_closed, outlet);
}

void nm_outlet_retire(struct nm_outlet *outlet)
{
  outlet->is_retired = true;
  if (outlet->sends == 0) close_outlet(outlet);
}

void nm_outlets_close(struct nm_engine *engine)
{
  struct nm_outlet *outlet = engine->outlets, *next;
  for (; outlet; outlet = next) {
    next = outlet->next;
    close_outlet(outlet);
  }
}

void nm_lanes_wake_host(struct nm_engine *engine, const struct nm_host *host)
{
  for (size_t i = 0; i < engine->book_count; i++) {
    struct nm_lane *lanes = engine->books[i]->lanes, *lane = lanes;
    while (lane && lane->host != host) lane = lane->next;
    /* All of the tenant: what waits for another one may go by this one now, or the other way. */
    for (struct nm_lane *any = lane ? lanes : NULL; any; any = any->next)
      nm_engine_soon(engine, &any->job);
  }
}

/* ---- the end of a send ----------------------------------------------------------------------- */

static void push_half(struct nm_lane *lane, struct nm_items *from, size_t count)
{
  struct nm_half *half = calloc(1, sizeof *half);
  nm_require(half != NULL);
  while (count-- > 0) nm_items_push(&half->items, nm_items_pop(from));
  half->next = lane->halves;
  lane->halves = half;
}

static void note_host(struct nm_dispatch *dispatch)
{
  struct nm_lane *lane = dispatch->lane;
  struct nm_host *host = lane->host;
  bool is_reached = dispatch->was_reached || !dispatch->was_unreachable;
  bool is_changed =
      nm_breaker_note(&host->breaker, is_reached, dispatch->is_probe, nm_clock_mono_ms());
  if (is_changed) {
    struct nm_log_ids ids = nm_book_ids(lane->book);
    nm_log(NM_LOG_WARN, "engine", &ids,
           is_reached ? "%s can be reached again"
                      : "%s cannot be reached: its messages wait, and it is tried now and then",
           host->name);
  }
  if (is_changed || dispatch->is_probe) nm_lanes_wake_host(lane->book->engine, host);
}

/* A provider that answers and delivers nothing is asked less and less; its messages have counted
 * their attempts. */
static void note_failures(struct nm_dispatch *dispatch)
{
  struct nm_lane *lane = dispatch->lane;
  if (dispatch->had_success || dispatch->outlet != lane->outlet) lane->failures = 0;
  if (dispatch->had_success || !dispatch->had_failure || ++lane->failures < FAILURES_MAX) return;
  if (nm_lane_pause_left_ms(lane) > 0) return;
  lane->is_ill = true;
  nm_lane_pause(lane, nm_backoff_ceiling_ms(&nm_backoff_pause, ++lane->pauses),
                NM_TEXT("send after send was answered with a failure"));
}

/* What its end says of how many more may go at a time. */
static void note_width(struct nm_dispatch *dispatch)
{
  struct nm_lane *lane = dispatch->lane;
  enum nm_width_answer answer = NM_WIDTH_NOTHING;
  if (dispatch->outlet != lane->outlet) return;
  if (dispatch->was_throttled) answer = NM_WIDTH_TROUBLE;
  else if (dispatch->had_success) answer = NM_WIDTH_WELL;
  else if (dispatch->had_failure) answer = NM_WIDTH_TROUBLE;
  if (!nm_width_note(&lane->width, answer, dispatch->started_mono_ms, nm_clock_mono_ms())) return;
  struct nm_log_ids ids = nm_book_ids(lane->book);
  nm_metric_add(NM_METRIC_WIDTHS_HALVED, 1);
  nm_log(NM_LOG_DEBUG, "engine", &ids, "provider %.*s has trouble: %zu sends at a time",
         NM_TEXT_ARG(lane->name), nm_width_allows(&lane->width));
}

static void end_dispatch(struct nm_dispatch *dispatch)
{
  struct nm_lane *lane = dispatch->lane;
  struct nm_engine *engine = lane->book->engine;
  struct nm_outlet *outlet = dispatch->outlet;

  if (dispatch->before) dispatch->before->next = dispatch->next;
  else lane->sending = dispatch->next;
  if (dispatch->next) dispatch->next->before = dispatch->before;
  note_host(dispatch);
  note_failures(dispatch);
  note_width(dispatch);
  if (dispatch->split.count > 0) {
    size_t count = dispatch->split.count;
    push_half(lane, &dispatch->split, count / 2);
    push_half(lane, &dispatch->split, count - count / 2);
  }
  lane->send_count--;
  engine->sends--;
  free(dispatch);
  if (--outlet->sends == 0 && outlet->is_retired) close_outlet(outlet);
  nm_engine_soon(engine, &lane->job);
  nm_engine_check_stop(engine);
}

/* True where this message goes again in a smaller send: its answer is nobody's yet. */
static bool is_split(const struct nm_dispatch *dispatch, const struct nm_outcome *outcome)
{
  return dispatch->send.must_split && dispatch->send.count > 1 && outcome->kind == NM_OUTCOME_RETRY;
}

static void on_done(struct nm_send *send, size_t index, const struct nm_outcome *outcome)
{
  struct nm_dispatch *dispatch = (struct nm_dispatch *)(void *)send;
  struct nm_item *item = index < send->count ? dispatch->items[index] : NULL;
  if (!nm_expect(item != NULL)) return;
  NM_POINT(send_answered);
  dispatch->items[index] = NULL;
  dispatch->lane->in_flight--;
  if (is_split(dispatch, outcome)) {
    dispatch->was_reached = true;
    nm_items_push(&dispatch->split, item);
  } else {
    nm_dispatch_outcome(dispatch, item, outcome);
  }
  if (--dispatch->left == 0) end_dispatch(dispatch);
}

/* ---- choosing messages ----------------------------------------------------------------------- */

/* Who is in a send already. */
struct persons {
  uint64_t slots[PERSONS_SLOTS_MAX];
  size_t mask;
};

static void clear_persons(struct persons *persons, size_t count)
{
  size_t capacity = 4;
  while (capacity < count * 2 && capacity < PERSONS_SLOTS_MAX) capacity *= 2;
  memset(persons->slots, 0, capacity * sizeof persons->slots[0]);
  persons->mask = capacity - 1;
}

static bool add_person(struct persons *persons, const struct nm_message *message)
{
  /* Two persons with one hash only means that one of them goes with the next send. */
  uint64_t hash = nm_turns_person(message->customer, message->address);
  size_t at = (size_t)(hash ^ (hash >> 32)) & persons->mask;
  while (persons->slots[at] != 0) {
    if (persons->slots[at] == hash) return false;
    at = (at + 1) & persons->mask;
  }
  persons->slots[at] = hash;
  return true;
}

/* The last look before a message goes: false where it must not, and then it has been dealt with. */
static bool may_go(struct nm_lane *lane, struct nm_item *item, const struct nm_zone *zone,
                   int64_t now_ms)
{
  const struct nm_message *message = item->message;
  if (nm_erasures_cover(lane->book->engine, message)) {
    nm_item_finish(lane, item, NM_MESSAGE_STOPPED, 0, NM_TEXT("erased"));
    return false;
  }
  if (message->expires_at_ms != 0 && now_ms >= message->expires_at_ms) {
    nm_item_finish(lane, item, NM_MESSAGE_EXPIRED, 0, NM_TEXT("expired before it could be sent"));
    return false;
  }
  int64_t quiet_end_ms = nm_quiet_end_ms(message->quiet, zone, now_ms);
  if (quiet_end_ms > 0) {
    nm_item_finish(lane, item, NM_MESSAGE_WAITING, quiet_end_ms, NM_TEXT("quiet hours"));
    return false;
  }
  return true;
}

struct choosing {
  struct nm_lane *lane;
  struct nm_dispatch *dispatch;
  struct persons *persons;
  const struct nm_zone *zone;
  int64_t now_ms;
  size_t max;
};

static void choose_from(struct choosing *choosing, struct nm_items *items)
{
  struct nm_dispatch *dispatch = choosing->dispatch;
  struct nm_items again = { NULL, NULL, 0 };
  struct nm_item *item;
  while (dispatch->send.count < choosing->max && (item = nm_items_pop(items))) {
    if (!may_go(choosing->lane, item, choosing->zone, choosing->now_ms)) continue;
    if (!add_person(choosing->persons, item->message)) {
      nm_items_push(&again, item);
      continue;
    }
    dispatch->messages[dispatch->send.count] = item->message;
    dispatch->items[dispatch->send.count++] = item;
  }
  if (again.count == 0) return;
  again.last->next = items->first;
  if (!items->first) items->last = again.last;
  items->first = again.first;
  items->count += again.count;
}

static struct nm_dispatch *create_dispatch(struct nm_lane *lane, size_t max)
{
  struct nm_dispatch *dispatch =
      calloc(1, sizeof *dispatch + max * (sizeof *dispatch->messages + sizeof *dispatch->items));
  nm_require(dispatch != NULL);
  dispatch->lane = lane;
  dispatch->outlet = lane->outlet;
  dispatch->messages = (const struct nm_message **)(void *)(dispatch + 1);
  dispatch->items = (struct nm_item **)(void *)(dispatch->messages + max);
  return dispatch;
}

/* NULL where nothing may go. */
static struct nm_dispatch *choose(struct nm_lane *lane, size_t max)
{
  struct persons persons;
  struct nm_half *half = lane->halves; /* may be empty: a fence takes messages out of it */
  size_t ready = half ? half->items.count : lane->singles.count + lane->rest.count;
  if (max > ready) max = ready;
  if (max > PERSONS_SLOTS_MAX / 2) max = PERSONS_SLOTS_MAX / 2;
  if (max == 0 && !half) return NULL;
  clear_persons(&persons, max);
  struct choosing choosing = { lane, create_dispatch(lane, max), &persons, nm_book_zone(lane->book),
                               nm_clock_wall_ms(), max };
  if (half) {
    choose_from(&choosing, &half->items);
    if (half->items.count == 0) {
      lane->halves = half->next;
      free(half);
    }
  } else {
    choose_from(&choosing, &lane->singles);
    choose_from(&choosing, &lane->rest);
  }
  if (choosing.dispatch->send.count > 0) return choosing.dispatch;
  free(choosing.dispatch);
  return NULL;
}

/* ---- starting -------------------------------------------------------------------------------- */

static void start(struct nm_lane *lane, struct nm_dispatch *dispatch)
{
  struct nm_outlet *outlet = lane->outlet;
  dispatch->send.messages = dispatch->messages;
  dispatch->send.done = on_done;
  dispatch->left = dispatch->send.count;
  dispatch->started_at_ms = nm_clock_wall_ms();
  dispatch->started_mono_ms = nm_clock_mono_ms();
  dispatch->next = lane->sending;
  if (lane->sending) lane->sending->before = dispatch;
  lane->sending = dispatch;
  lane->in_flight += dispatch->send.count;
  lane->send_count++;
  outlet->sends++;
  lane->book->engine->sends++;
  outlet->adapter->send(outlet->provider, &dispatch->send);
  NM_POINT(send_begun);
}

/* How many messages the next send may have; 0 = none now, and the alarm is set. */
static size_t ask_host(struct nm_lane *lane, bool *is_probe)
{
  const struct nm_breaker *breaker = &lane->host->breaker;
  int64_t now_ms = nm_clock_mono_ms();
  *is_probe = false;
  switch (nm_breaker_ask(breaker, now_ms)) {
  case NM_BREAKER_CLOSED: return nm_lane_batch_max(lane);
  case NM_BREAKER_PROBE: *is_probe = true; return 1;
  case NM_BREAKER_OPEN: break;
  }
  int64_t left_ms = breaker->open_until_ms - now_ms;
  nm_alarm_within(&lane->alarm, left_ms > 0 ? left_ms : PROBE_ELSEWHERE_WAIT_MS);
  return 0;
}

/* As many of max as the rate allows; waits for a tenth of a second's worth rather than sending
 * crumbs. */
static size_t ask_rate(struct nm_lane *lane, size_t max)
{
  size_t ready = lane->singles.count + lane->rest.count;
  size_t wanted = ready < max ? ready : max;
  if (lane->bucket.per_s <= 0) return wanted;
  int64_t now_ns = nm_clock_mono_ns();
  size_t depth = nm_bucket_depth(&lane->bucket);
  size_t least = wanted < depth ? wanted : depth;
  size_t allowed = nm_bucket_allows(&lane->bucket, now_ns, wanted);
  if (wanted == 0 || allowed >= least) return allowed;
  nm_alarm_within(&lane->alarm, nm_bucket_wait_ms(&lane->bucket, now_ns, least));
  return 0;
}

static bool start_one(struct nm_lane *lane)
{
  bool is_probe;
  if (lane->send_count >= nm_width_allows(&lane->width)) return false;
  if (!lane->halves && lane->singles.count + lane->rest.count == 0) return false;
  if (nm_lane_pause_left_ms(lane) > 0) {
    nm_alarm_within(&lane->alarm, nm_lane_pause_left_ms(lane));
    return false;
  }
  size_t max = ask_host(lane, &is_probe);
  if (max == 0) return false;
  if (max > NM_RUN_GENTLE_MESSAGES_MAX && lane->rest.count > NM_RUN_GENTLE_MESSAGES_MAX &&
      nm_engine_is_gentle(lane->book->engine))
    max = NM_RUN_GENTLE_MESSAGES_MAX;
  bool is_half = lane->halves != NULL; /* nothing of it was sent: the rate has counted it */
  if (!is_half) max = ask_rate(lane, max);
  struct nm_dispatch *dispatch = choose(lane, max);
  if (!dispatch) return is_half; /* that half is gone; there may be more */
  if (!is_half) nm_bucket_take(&lane->bucket, dispatch->send.count);
  dispatch->is_probe = is_probe;
  if (is_probe) nm_breaker_probe(&lane->host->breaker);
  start(lane, dispatch);
  return true;
}

void nm_lane_send(struct nm_lane *lane)
{
  int64_t until_ns = lane->singles.count > 0 ? nm_engine_turn_end_ns(nm_clock_mono_ns())
                                             : nm_engine_run_turn_end_ns(lane->book->engine);
  while (start_one(lane)) {
    if (nm_clock_mono_ns() < until_ns) continue;
    nm_engine_soon(lane->book->engine, &lane->job);
    return;
  }
}
