/* store_kit.h - a real store in a folder of its own for each test, asked one request at a time. */
#pragma once

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "store/store.h"
#include "check.h"
#include "folder.h"

struct kit {
  char folder[64];
  char path[128];
  char url[160];
  struct nm_store *store;
  struct nm_arena *arena;
  int64_t max_bytes;
  int log_max_pages;
  _Atomic unsigned work; /* all bits told since kit_work() */
};

static void kit_on_work(void *data, unsigned work)
{
  struct kit *kit = data;
  kit->work |= work;
}

static inline unsigned kit_work(struct kit *kit)
{
  unsigned work = kit->work;
  kit->work = 0;
  return work;
}

static inline int kit_try_open(struct kit *kit, struct nm_error *err)
{
  struct nm_store_options options = { .url = nm_text_from(kit->url),
                                      .on_work = kit_on_work,
                                      .data = kit,
                                      .max_bytes = kit->max_bytes,
                                      .log_max_pages = kit->log_max_pages };
  return nm_store_open(&kit->store, &options, err);
}

static inline void kit_open(struct kit *kit)
{
  struct nm_error err = { 0 };
  if (kit_try_open(kit, &err)) fail_msg("open: %s", err.text);
}

/* Looks into the file past the store, which is closed. */
static inline int64_t kit_sql_number(struct kit *kit, const char *sql)
{
  sqlite3 *handle;
  sqlite3_stmt *stmt;
  assert_int_equal(sqlite3_open_v2(kit->path, &handle, SQLITE_OPEN_READONLY, "netmove"), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(handle, sql, -1, &stmt, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
  int64_t number = sqlite3_column_int64(stmt, 0);
  sqlite3_finalize(stmt);
  sqlite3_close(handle);
  return number;
}

/* Writes to the file past the store, which is closed. */
static inline void kit_sql(struct kit *kit, const char *sql)
{
  sqlite3 *handle;
  char *why = NULL;
  assert_int_equal(sqlite3_open_v2(kit->path, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                   "netmove"),
                   SQLITE_OK);
  if (sqlite3_exec(handle, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s: %s", sql, why);
  sqlite3_close(handle);
}

static inline void kit_reopen(struct kit *kit)
{
  nm_store_close(kit->store);
  kit_open(kit);
}

static inline void kit_name(struct kit *kit)
{
  snprintf(kit->folder, sizeof kit->folder, "/tmp/nm-store-XXXXXX");
  assert_non_null(mkdtemp(kit->folder));
  snprintf(kit->path, sizeof kit->path, "%s/var/netmove.db", kit->folder);
  snprintf(kit->url, sizeof kit->url, "sqlite:%s", kit->path);
}

static int kit_setup(void **state)
{
  struct kit *kit = calloc(1, sizeof *kit);
  assert_non_null(kit);
  kit_name(kit);
  kit->arena = nm_arena_create(256 * 1024 * 1024);
  kit_open(kit);
  *state = kit;
  return 0;
}

static int kit_teardown(void **state)
{
  struct kit *kit = *state;
  nm_store_close(kit->store);
  nm_arena_destroy(kit->arena);
  remove_folder(kit->folder);
  free(kit);
  return 0;
}

#define KIT_TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

/* ---- asking ---------------------------------------------------------------------------------- */

static uv_sem_t kit_answered;

static void kit_done(struct nm_task *task)
{
  (void)task;
  uv_sem_post(&kit_answered);
}

/* Asks and waits; the request's rc. */
static inline int kit_ask(struct kit *kit, enum nm_store_verb verb,
                          struct nm_store_request *request)
{
  static bool is_ready;
  if (!is_ready) assert_int_equal(uv_sem_init(&kit_answered, 0), 0);
  is_ready = true;
  request->verb = verb;
  request->arena = kit->arena;
  request->task.home = NULL;
  request->task.done = kit_done;
  int rc = nm_store_submit(kit->store, request);
  if (rc) return rc;
  uv_sem_wait(&kit_answered);
  if (request->rc && request->error.text[0] == '\0') fail_msg("no reason for %d", request->rc);
  return request->rc;
}

/* Asks for what must go well. */
#define KIT_MUST(kit, verb, asked)                                                                 \
  do {                                                                                             \
    if (kit_ask(kit, verb, &(asked)->request))                                                     \
      fail_msg("%s: %s", #verb, (asked)->request.error.text);                                      \
  } while (0)

/* ---- common requests ------------------------------------------------------------------------- */

enum { TENANT = 7, CHANNEL = 459, OTHER_CHANNEL = 481, HOUR_MS = 3600 * 1000 };

/* A campaign event; stamp "" = none. */
static inline struct nm_store_arrival kit_event(int64_t type, const char *campaign,
                                                const char *customer, const char *stamp)
{
  static char bodies[64][256], identities[64][256];
  static size_t next;
  size_t at = next++ % 64;
  snprintf(bodies[at], sizeof bodies[at],
           "{\"EventTypeID\":%d,\"CampaignID\":\"%.60s\",\"CustomerID\":\"%.60s\","
           "\"TimeStamp\":\"%.40s\"}",
           (int)type, campaign, customer, stamp);
  snprintf(identities[at], sizeof identities[at], "%d|%.60s|%.60s|%.40s", (int)type, campaign,
           customer, stamp);
  return (struct nm_store_arrival){
    .event = { .tenant_id = TENANT,
               .received_at_ms = nm_clock_wall_ms(),
               .kind = NM_EVENT_CAMPAIGN,
               .type = type,
               .channel_id = CHANNEL,
               .campaign = nm_text_from(campaign),
               .customer = nm_text_from(customer),
               .stamp = nm_text_from(stamp),
               .body = nm_text_from(bodies[at]) },
    .identity = nm_text_from(identities[at]),
    .window_ms = NM_EVENT_DEDUP_WINDOW_MS,
  };
}

static inline int64_t kit_accept(struct kit *kit, struct nm_store_arrival *arrival)
{
  struct nm_store_accept accept = { .arrivals = arrival, .count = 1 };
  KIT_MUST(kit, NM_STORE_ACCEPT, &accept);
  return arrival->id;
}

static inline int64_t kit_event_id(struct kit *kit, int64_t type, const char *campaign,
                                   const char *customer, const char *stamp)
{
  struct nm_store_arrival arrival = kit_event(type, campaign, customer, stamp);
  return kit_accept(kit, &arrival);
}

static inline size_t kit_take(struct kit *kit, size_t max, struct nm_event **events)
{
  struct nm_store_take take = { .now_ms = nm_clock_wall_ms(), .max = max };
  KIT_MUST(kit, NM_STORE_TAKE, &take);
  if (events) *events = take.events;
  return take.count;
}

static inline struct nm_message kit_message(const char *campaign, const char *customer)
{
  return (struct nm_message){ .tenant_id = TENANT,
                              .state = NM_MESSAGE_WAITING,
                              .priority = NM_PRIORITY_SINGLE,
                              .channel = NM_CHANNEL_PUSH,
                              .channel_id = CHANNEL,
                              .template_id = 12,
                              .campaign = nm_text_from(campaign),
                              .customer = nm_text_from(customer),
                              .name = NM_TEXT("welcome"),
                              .provider = NM_TEXT("netmera"),
                              .content = NM_TEXT("{\"notification_key\":\"106\"}"),
                              .triggered_at_ms = nm_clock_wall_ms() };
}

static inline int kit_try_plan(struct kit *kit, struct nm_plan *plan, struct nm_error *err)
{
  struct nm_store_plan asked = { .plans = plan, .count = 1 };
  int rc = kit_ask(kit, NM_STORE_PLAN, &asked.request);
  if (err) *err = asked.request.error;
  return rc;
}

static inline void kit_plan(struct kit *kit, struct nm_plan *plan)
{
  struct nm_error err;
  if (kit_try_plan(kit, plan, &err)) fail_msg("plan: %s", err.text);
}

/* An 11 taken in, planned into one message; its id. */
static inline struct nm_message kit_single(struct kit *kit, const char *campaign,
                                           const char *customer, const char *stamp,
                                           int64_t stamp_ms)
{
  struct nm_message message = kit_message(campaign, customer);
  struct nm_plan plan = { .event_id = kit_event_id(kit, 11, campaign, customer, stamp),
                          .tenant_id = TENANT,
                          .state = NM_EVENT_PLANNED,
                          .messages = &message,
                          .message_count = 1,
                          .stamp_ms = stamp_ms };
  kit_plan(kit, &plan);
  return message;
}

static inline struct nm_run kit_run(struct kit *kit, const char *campaign, const char *stamp,
                                    int64_t stamp_ms)
{
  struct nm_run run = { .channel_id = CHANNEL,
                        .campaign = nm_text_from(campaign),
                        .stamp = nm_text_from(stamp),
                        .triggered_at_ms = nm_clock_wall_ms() };
  struct nm_plan plan = { .event_id = kit_event_id(kit, 13, campaign, "", stamp),
                          .tenant_id = TENANT,
                          .state = NM_EVENT_PLANNED,
                          .run = &run,
                          .run_window_ms = 12 * HOUR_MS,
                          .stamp_ms = stamp_ms };
  kit_plan(kit, &plan);
  return run;
}

static inline struct nm_cancel kit_cancel(struct kit *kit, const char *campaign, int64_t channel_id,
                                          const char *stamp, int64_t stamp_ms, size_t in_flight)
{
  struct nm_cancel cancel = { .campaign = nm_text_from(campaign),
                              .channel_id = channel_id,
                              .stamp = nm_text_from(stamp),
                              .stamp_ms = stamp_ms,
                              .arrived_at_ms = nm_clock_wall_ms(),
                              .in_flight = in_flight };
  struct nm_plan plan = { .event_id = kit_event_id(kit, 4, campaign, "", stamp),
                          .tenant_id = TENANT,
                          .state = NM_EVENT_PLANNED,
                          .stamp_ms = stamp_ms,
                          .cancel = &cancel };
  kit_plan(kit, &plan);
  return cancel;
}

static inline struct nm_store_lease kit_lease(struct kit *kit, size_t max)
{
  struct nm_store_lease lease = { .tenant_id = TENANT,
                                  .provider = NM_TEXT("netmera"),
                                  .now_ms = nm_clock_wall_ms(),
                                  .max = max };
  KIT_MUST(kit, NM_STORE_LEASE, &lease);
  return lease;
}

static inline void kit_finish(struct kit *kit, const struct nm_message *message,
                              enum nm_message_state state)
{
  struct nm_finish item = { .message_id = message->id,
                            .run_id = message->run_id,
                            .state = state,
                            .attempts = 1,
                            .has_attempt = true,
                            .outcome = state == NM_MESSAGE_SENT ? NM_OUTCOME_ACCEPTED
                                                                : NM_OUTCOME_REFUSED,
                            .code = state == NM_MESSAGE_SENT ? 200 : 400,
                            .reason = state == NM_MESSAGE_SENT ? NM_TEXT("") : NM_TEXT("refused"),
                            .started_at_ms = 1,
                            .ended_at_ms = 2 };
  struct nm_store_finish finish = { .items = &item, .count = 1 };
  KIT_MUST(kit, NM_STORE_FINISH, &finish);
}

static inline json_t *kit_query(struct kit *kit, enum nm_store_query_kind kind, json_t *args)
{
  struct nm_store_query query = { .kind = kind, .args = args };
  KIT_MUST(kit, NM_STORE_QUERY, &query);
  json_decref(args);
  return query.answer;
}

/* What `show` says of an id. */
static inline json_t *kit_show(struct kit *kit, int64_t id)
{
  return kit_query(kit, NM_QUERY_SHOW, json_pack("{s:I}", "id", (json_int_t)id));
}

static inline void kit_assert_state(struct kit *kit, int64_t id, const char *state)
{
  json_t *shown = kit_show(kit, id);
  assert_string_equal(json_string_value(json_object_get(shown, "state")), state);
  json_decref(shown);
}

static inline int64_t kit_number(struct kit *kit, int64_t id, const char *key)
{
  json_t *shown = kit_show(kit, id);
  int64_t number = json_integer_value(json_object_get(shown, key));
  json_decref(shown);
  return number;
}
