/* lanes.c - lanes and what they hold; leasing. */
#include "engine/lanes.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/failover.h"
#include "engine/runs.h"
#include "engine/turns.h"

enum {
  LEASE_ARENA_MAX_BYTES = 32 * 1024 * 1024,
  TRIED_ARENA_MAX_BYTES = 1024 * 1024 * 1024, /* once a start: all who were tried and wait */
  LEASE_FAILED_WAIT_MS = 1000,
  URGENT_MAX = 256,      /* single messages that may be leased beyond the window */
  SCARCE_WINDOW = 64,    /* messages a lane may hold when all of them hold too much */
  DUE_GRAIN_MS = 10,     /* retries that are due one by one are leased together */
  REOPEN_WAIT_MS = 60 * 1000,
  RATE_WINDOW_S = 5,     /* a lane with a rate holds no more than it sends in so long */
};

/* ---- items ----------------------------------------------------------------------------------- */

void nm_items_push(struct nm_items *items, struct nm_item *item)
{
  item->next = NULL;
  if (items->last) items->last->next = item;
  else items->first = item;
  items->last = item;
  items->count++;
}

struct nm_item *nm_items_pop(struct nm_items *items)
{
  struct nm_item *item = items->first;
  if (!item) return NULL;
  items->first = item->next;
  if (!items->first) items->last = NULL;
  items->count--;
  item->next = NULL;
  return item;
}

void nm_item_done(struct nm_lane *lane, struct nm_item *item)
{
  struct nm_parcel *parcel = item->parcel;
  nm_lane_turn_over(lane, item->message);
  lane->book->engine->leased--;
  if (--parcel->open > 0) return;
  nm_call_destroy(parcel->call);
  free(parcel);
}

/* ---- finding --------------------------------------------------------------------------------- */

static void on_lane_turn(void *data);

static void on_lane_alarm(void *data)
{
  struct nm_lane *lane = data;
  nm_engine_soon(lane->book->engine, &lane->job);
}

/* "https://host:port" of the address that the provider's settings name; else the lane's own name.
 */
static struct nm_host *host_of(struct nm_lane *lane)
{
  char own[512];
  struct nm_text url = { NULL, 0 };
  if (lane->settings) {
    url = nm_json_string(lane->settings->settings, "url");
    if (url.len == 0) url = nm_json_string(lane->settings->settings, "baseUrl");
  }
  size_t slashes = 0, len = 0;
  while (len < url.len && !(url.ptr[len] == '/' && ++slashes == 3)) len++;
  if (slashes >= 2 && len < sizeof own) {
    for (size_t i = 0; i < len; i++)
      own[i] = url.ptr[i] >= 'A' && url.ptr[i] <= 'Z' ? (char)(url.ptr[i] + 32) : url.ptr[i];
    return nm_engine_host(lane->book->engine, (struct nm_text){ own, len });
  }
  int printed = snprintf(own, sizeof own, "%.*s/%.*s", NM_TEXT_ARG(lane->book->tenant->name),
                         NM_TEXT_ARG(lane->name));
  len = printed < (int)sizeof own ? (size_t)printed : sizeof own - 1;
  return nm_engine_host(lane->book->engine, (struct nm_text){ own, len });
}

static void say_unopened(struct nm_lane *lane, const char *reason)
{
  struct nm_log_ids ids = nm_book_ids(lane->book);
  nm_log(NM_LOG_ERROR, "engine", &ids, "provider %.*s cannot be opened, its messages wait: %s",
         NM_TEXT_ARG(lane->name), reason);
  lane->is_ill = true;
  nm_lane_pause(lane, REOPEN_WAIT_MS, nm_text_from(reason));
}

/* Once outlets are closed, none may come: the engine would wait for its end. */
static void open_outlet(struct nm_lane *lane)
{
  struct nm_engine *engine = lane->book->engine;
  if (engine->phase >= NM_ENGINE_DRAINING) return;
  struct nm_error error = { 0 };
  const struct nm_adapter *adapter = nm_adapter_find(lane->settings->adapter);
  if (!adapter) {
    say_unopened(lane, "its adapter is not built");
    return;
  }
  struct nm_outlet *outlet = calloc(1, sizeof *outlet);
  nm_require(outlet != NULL);
  int rc = adapter->open(&outlet->provider, &engine->adapter_env, lane->settings->settings, &error);
  if (rc) {
    free(outlet);
    say_unopened(lane, error.text[0] ? error.text : nm_code_name(rc));
    return;
  }
  outlet->engine = engine;
  outlet->adapter = adapter;
  outlet->next = engine->outlets;
  engine->outlets = outlet;
  lane->outlet = outlet;
}

static double seconds_of(const json_t *retry, const char *key)
{
  return json_number_value(json_object_get(retry, key)); /* 0 where it is not there */
}

static struct nm_backoff backoff_of(const struct nm_tenant_provider *settings)
{
  const json_t *retry = settings ? json_object_get(settings->settings, "retry") : NULL;
  return nm_backoff_of(&nm_backoff_messages, seconds_of(retry, "first_s"),
                       seconds_of(retry, "most_s"), seconds_of(retry, "give_up_s"));
}

/* The most sends that settings, or else the adapter, allow; 0 = as many as there are. */
static size_t sends_max_of(const struct nm_tenant_provider *settings)
{
  const struct nm_adapter *adapter = settings ? nm_adapter_find(settings->adapter) : NULL;
  size_t most = adapter && adapter->sends_max > 0 ? (size_t)adapter->sends_max : 0;
  return settings && settings->concurrency > 0 ? (size_t)settings->concurrency : most;
}

/* Reads the provider's settings of the tenant as it is now. */
static void take_settings(struct nm_lane *lane, bool is_new)
{
  struct nm_tenant *old = lane->tenant;
  lane->tenant = nm_tenant_ref(lane->book->tenant);
  lane->settings = nm_tenant_find_provider(lane->tenant, lane->name);
  nm_tenant_unref(old);
  lane->host = host_of(lane);
  nm_bucket_set(&lane->bucket, lane->settings ? lane->settings->rate_per_s : 0, nm_clock_mono_ns(),
                is_new);
  nm_width_set(&lane->width, sends_max_of(lane->settings), is_new);
  lane->backoff = backoff_of(lane->settings);
  nm_lane_set_order(lane);
}

static struct nm_lane *create_lane(struct nm_book *book, struct nm_text provider)
{
  struct nm_lane *lane = calloc(1, sizeof *lane);
  char *name = malloc(provider.len + 1);
  nm_require(lane != NULL && name != NULL);
  if (provider.len > 0) memcpy(name, provider.ptr, provider.len);
  name[provider.len] = '\0';
  lane->book = book;
  lane->name = (struct nm_text){ name, provider.len };
  lane->lease_max = NM_LANE_LEASE_MAX;
  lane->job = (struct nm_job){ .run = on_lane_turn, .data = lane };
  nm_alarm_open(&lane->alarm, book->engine, on_lane_alarm, lane);
  lane->next = book->lanes;
  book->lanes = lane;
  take_settings(lane, true);
  if (lane->settings) open_outlet(lane);
  return lane;
}

struct nm_lane *nm_lane_find(struct nm_book *book, struct nm_text provider)
{
  for (struct nm_lane *lane = book->lanes; lane; lane = lane->next)
    if (nm_text_equal(lane->name, provider)) return lane;
  return create_lane(book, provider);
}

struct nm_lane *nm_lane_next(const struct nm_lane *lane)
{
  return lane->next;
}

static bool is_same(const struct nm_tenant_provider *a, const struct nm_tenant_provider *b)
{
  return a && b && nm_text_equal(a->adapter, b->adapter) &&
         json_equal((json_t *)(uintptr_t)a->settings, (json_t *)(uintptr_t)b->settings);
}

void nm_lane_refresh(struct nm_lane *lane)
{
  const struct nm_tenant_provider *fresh = nm_tenant_find_provider(lane->book->tenant, lane->name);
  bool is_kept = lane->outlet && is_same(lane->settings, fresh);
  take_settings(lane, false);
  if (!is_kept) {
    /* Whatever made the old one wait says nothing of the new one. */
    lane->paused_until_ms = 0;
    lane->pauses = lane->failures = 0;
    lane->is_denied = lane->is_ill = false;
    lane->reason[0] = '\0';
    nm_width_set(&lane->width, sends_max_of(lane->settings), true);
    if (lane->outlet) nm_outlet_retire(lane->outlet);
    lane->outlet = NULL;
    if (lane->settings) open_outlet(lane);
  }
  nm_engine_soon(lane->book->engine, &lane->job);
}

/* ---- what is to do --------------------------------------------------------------------------- */

void nm_lane_due(struct nm_lane *lane, int64_t due_at_ms)
{
  int64_t now_ms = nm_clock_wall_ms();
  if (due_at_ms <= now_ms) {
    lane->is_hungry = true;
    nm_engine_soon(lane->book->engine, &lane->job);
    return;
  }
  if (due_at_ms < now_ms + DUE_GRAIN_MS) due_at_ms = now_ms + DUE_GRAIN_MS;
  int64_t look_at_ms = nm_clock_mono_ms() + due_at_ms - now_ms;
  if (lane->next_due_ms == 0 || due_at_ms < lane->next_due_ms) lane->next_due_ms = due_at_ms;
  if (lane->next_look_ms == 0 || look_at_ms < lane->next_look_ms) lane->next_look_ms = look_at_ms;
  nm_alarm_due(&lane->alarm, due_at_ms);
}

void nm_lane_message_made(struct nm_lane *lane, const struct nm_message *message)
{
  if (message->state != NM_MESSAGE_WAITING) return;
  nm_lane_due(lane, message->due_at_ms);
  if (lane->is_hungry && message->priority == NM_PRIORITY_SINGLE) lane->is_urgent = true;
}

void nm_lane_look(struct nm_lane *lane)
{
  lane->is_hungry = true;
  nm_engine_soon(lane->book->engine, &lane->job);
}

bool nm_lane_is_idle(const struct nm_lane *lane)
{
  return lane->singles.count + lane->rest.count + lane->fenced.count + lane->in_flight == 0 &&
         !lane->halves && !lane->is_leasing && !lane->is_hungry && lane->next_due_ms == 0;
}

int64_t nm_lane_ahead_max(const struct nm_lane *lane)
{
  int64_t ahead = lane->settings && lane->settings->ahead > 0 ? lane->settings->ahead
                                                              : NM_RUN_AHEAD_MESSAGES;
  double rate = lane->bucket.per_s;
  if (rate > 0 && rate * NM_RUN_AHEAD_MS / 1000 < (double)ahead)
    ahead = (int64_t)(rate * NM_RUN_AHEAD_MS / 1000) + 1;
  return ahead;
}

void nm_lane_pause(struct nm_lane *lane, int64_t wait_ms, struct nm_text reason)
{
  int64_t until_ms = nm_clock_mono_ms() + wait_ms;
  if (until_ms > lane->paused_until_ms) lane->paused_until_ms = until_ms;
  snprintf(lane->reason, sizeof lane->reason, "%.*s", NM_TEXT_ARG(reason));
  nm_alarm_within(&lane->alarm, wait_ms);
}

int64_t nm_lane_pause_left_ms(const struct nm_lane *lane)
{
  if (lane->paused_until_ms == 0) return 0;
  int64_t left_ms = lane->paused_until_ms - nm_clock_mono_ms();
  return left_ms > 0 ? left_ms : 0;
}

/* ---- leasing --------------------------------------------------------------------------------- */

size_t nm_lane_batch_max(const struct nm_lane *lane)
{
  size_t most = lane->outlet->adapter->batch_max;
  size_t wanted = lane->settings ? (size_t)lane->settings->batch : 0;
  return wanted > 0 && wanted < most ? wanted : most;
}

/* How many messages the lane holds so that its sends never wait for the store. */
static size_t window_of(const struct nm_lane *lane)
{
  size_t window = 256;
  if (lane->outlet) {
    window = nm_lane_batch_max(lane) * (lane->width.most > 0 ? (size_t)lane->width.most : 1) * 2;
  }
  if (lane->bucket.per_s > 0 && lane->bucket.per_s * RATE_WINDOW_S < (double)window)
    window = (size_t)(lane->bucket.per_s * RATE_WINDOW_S) + 1;
  return window < lane->lease_max ? window : lane->lease_max;
}

static void queue_item(struct nm_lane *lane, struct nm_item *item)
{
  const struct nm_zone *zone = NULL;
  for (const struct nm_fence *fence = lane->book->fences; fence; fence = fence->next) {
    if (!zone && lane->book->tenant->connector.is_present)
      zone = lane->book->tenant->connector.zone;
    if (!zone) zone = nm_book_zone(lane->book);
    if (!nm_fence_covers_message(fence, item->message, zone)) continue;
    nm_items_push(&lane->fenced, item);
    return;
  }
  nm_lane_queue(lane, item);
}

static void open_parcel(struct nm_lane *lane, struct nm_call *call)
{
  struct nm_store_lease *lease = &call->u.lease;
  struct nm_parcel *parcel = malloc(sizeof *parcel + lease->count * sizeof parcel->items[0]);
  nm_require(parcel != NULL);
  parcel->call = call;
  size_t count = lease->count; /* the parcel may go with its last message */
  parcel->open = count;
  lane->book->engine->leased += count;
  for (size_t i = 0; i < count; i++)
    parcel->items[i] = (struct nm_item){ .parcel = parcel, .message = &lease->messages[i] };
  for (size_t i = 0; i < count; i++) {
    queue_item(lane, &parcel->items[i]);
  }
}

static void on_leased(struct nm_call *call)
{
  struct nm_lane *lane = call->data;
  struct nm_store_lease *lease = &call->u.lease;
  struct nm_log_ids ids = nm_book_ids(lane->book);
  lane->is_leasing = false;
  if (call->u.head.rc) {
    nm_log(NM_LOG_ERROR, "engine", &ids, "cannot lease messages of provider %.*s: %s",
           NM_TEXT_ARG(lane->name), call->u.head.error.text);
    if (call->u.head.rc == NM_ENOMEM && lane->lease_max > 1) lane->lease_max /= 2;
    nm_lane_due(lane, nm_clock_wall_ms() + LEASE_FAILED_WAIT_MS);
    nm_call_destroy(call);
    return;
  }
  if (lane->lease_max < NM_LANE_LEASE_MAX && lease->count == lane->lease_max) lane->lease_max *= 2;
  if (lane->lease_max > NM_LANE_LEASE_MAX) lane->lease_max = NM_LANE_LEASE_MAX;
  if (lease->next_due_ms > 0) nm_lane_due(lane, lease->next_due_ms);
  nm_lane_take_tried(lane, lease);
  if (lease->count > 0) open_parcel(lane, call);
  else nm_call_destroy(call);
  if (nm_lane_is_idle(lane)) nm_runs_wake(lane->book);
  nm_engine_soon(lane->book->engine, &lane->job);
}

static void lease(struct nm_lane *lane, size_t max)
{
  bool want_tried = lane->is_ordered && !lane->is_order_known;
  struct nm_call *call =
      nm_call_create(lane->book->engine, NM_STORE_LEASE,
                     want_tried ? TRIED_ARENA_MAX_BYTES : LEASE_ARENA_MAX_BYTES, on_leased, lane);
  call->u.lease.tenant_id = lane->book->tenant_id;
  call->u.lease.provider = lane->name;
  call->u.lease.now_ms = nm_clock_wall_ms();
  call->u.lease.max = max;
  call->u.lease.want_tried = want_tried;
  lane->is_leasing = true;
  lane->is_hungry = lane->is_urgent = false;
  lane->next_due_ms = lane->next_look_ms = 0;
  nm_call_submit(call);
}

/* By either clock: one that was set back would keep a retry waiting until it has caught up. */
static bool is_something_due(const struct nm_lane *lane)
{
  return lane->next_due_ms > 0 && (lane->next_due_ms <= nm_clock_wall_ms() ||
                                   lane->next_look_ms <= nm_clock_mono_ms());
}

static void lease_if_wanted(struct nm_lane *lane)
{
  size_t window = window_of(lane);
  size_t ready = lane->singles.count + lane->rest.count + lane->turns.behind;
  int64_t pause_ms = nm_lane_pause_left_ms(lane);
  if (is_something_due(lane)) {
    lane->is_hungry = true; /* until there is room: the end of a send or of a pause looks again */
    lane->next_due_ms = lane->next_look_ms = 0;
  }
  if (!lane->is_hungry || lane->is_leasing) return;
  if (pause_ms > 0 && !nm_lane_moves_over(lane)) {
    nm_alarm_within(&lane->alarm, pause_ms);
    return;
  }
  /* Lanes that rest may hold much: the others still get their share. */
  if (lane->book->engine->leased >= NM_ENGINE_LEASED_MAX && window > SCARCE_WINDOW)
    window = SCARCE_WINDOW;
  if (ready * 2 <= window) lease(lane, window - ready);
  else if (lane->is_urgent && lane->singles.count < URGENT_MAX) lease(lane, URGENT_MAX);
}

/* Messages whose provider the tenant does not have: a person should look. */
static void hold_strays(struct nm_lane *lane)
{
  char reason[NM_ERROR_TEXT_MAX_BYTES];
  struct nm_item *item;
  snprintf(reason, sizeof reason, "tenant %.*s has no provider \"%.*s\"",
           NM_TEXT_ARG(lane->book->tenant->name), NM_TEXT_ARG(lane->name));
  while ((item = nm_items_pop(&lane->singles)) || (item = nm_items_pop(&lane->rest)))
    nm_item_finish(lane, item, NM_MESSAGE_HELD, 0, nm_text_from(reason));
}

static void on_lane_turn(void *data)
{
  struct nm_lane *lane = data;
  struct nm_engine *engine = lane->book->engine;
  if (!nm_engine_is_running(engine) || !engine->is_cleared) return;
  if (lane->settings && !lane->outlet && nm_lane_pause_left_ms(lane) == 0) open_outlet(lane);
  if (!lane->settings) hold_strays(lane);
  else if (lane->outlet) nm_lane_send(lane);
  if (lane->settings) nm_lane_move_over(lane);
  lease_if_wanted(lane);
  if (lane->next_due_ms == 0) return;
  nm_alarm_due(&lane->alarm, lane->next_due_ms);
  nm_alarm_within(&lane->alarm, lane->next_look_ms - nm_clock_mono_ms());
}

/* ---- the end --------------------------------------------------------------------------------- */

void nm_lanes_close_alarms(struct nm_book *book)
{
  for (struct nm_lane *lane = book->lanes; lane; lane = lane->next)
    nm_alarm_close(&lane->alarm, NULL);
}

static void drop_items(struct nm_lane *lane, struct nm_items *items)
{
  struct nm_item *item;
  while ((item = nm_items_pop(items))) nm_item_done(lane, item);
}

void nm_lanes_destroy(struct nm_book *book)
{
  while (book->lanes) {
    struct nm_lane *lane = book->lanes;
    book->lanes = lane->next;
    lane->is_ordered = false; /* nobody is next any more */
    struct nm_items behind = nm_turns_clear(&lane->turns);
    drop_items(lane, &behind);
    drop_items(lane, &lane->singles);
    drop_items(lane, &lane->rest);
    drop_items(lane, &lane->fenced);
    while (lane->halves) {
      struct nm_half *half = lane->halves;
      lane->halves = half->next;
      drop_items(lane, &half->items);
      free(half);
    }
    nm_tenant_unref(lane->tenant);
    free((char *)(uintptr_t)lane->name.ptr);
    free(lane);
  }
}
