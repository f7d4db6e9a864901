/* links: store */
#include "store_kit.h"

static void a_planned_message_is_leased_whole(void **state)
{
  struct kit *kit = *state;
  struct nm_message message = kit_message("99", "u1");
  message.address = NM_TEXT("a@b.example");
  message.stamp = NM_TEXT("2024-01-01");
  message.quiet = (struct nm_quiet){ 1320, 540 };
  message.expires_at_ms = nm_clock_wall_ms() + HOUR_MS;
  int64_t event_id = kit_event_id(kit, 11, "99", "u1", "");
  struct nm_plan plan = { .event_id = event_id,
                          .tenant_id = TENANT,
                          .state = NM_EVENT_PLANNED,
                          .generation_id = 3,
                          .messages = &message,
                          .message_count = 1 };
  message.generation_id = 3;
  kit_work(kit);
  kit_plan(kit, &plan);
  assert_true(kit_work(kit) & NM_STORE_WORK_MESSAGES);
  assert_true(message.id > event_id);

  struct nm_store_lease lease = kit_lease(kit, 10);
  assert_int_equal(lease.count, 1);
  assert_int_equal(lease.next_due_ms, 0);
  const struct nm_message *leased = &lease.messages[0];
  assert_int_equal(leased->id, message.id);
  assert_int_equal(leased->tenant_id, TENANT);
  assert_int_equal(leased->event_id, event_id);
  assert_int_equal(leased->generation_id, 3);
  assert_int_equal(leased->channel, NM_CHANNEL_PUSH);
  assert_int_equal(leased->template_id, 12);
  assert_int_equal(leased->quiet.from_minute, 1320);
  assert_int_equal(leased->quiet.to_minute, 540);
  assert_int_equal(leased->expires_at_ms, message.expires_at_ms);
  assert_true(nm_text_equal(leased->content, message.content));
  assert_true(nm_text_equal(leased->address, message.address));
  assert_true(nm_text_equal(leased->customer, message.customer));
  assert_true(nm_text_equal(leased->stamp, message.stamp));
  assert_int_equal(kit_lease(kit, 10).count, 0); /* it is out */
}

enum { MANY = 39 };

/* Written several a statement, and each as if it were alone; a cancel among them stops those that
 * were planned before it, and those behind it never wait. */
static void messages_of_many_plans_are_each_their_own(void **state)
{
  struct kit *kit = *state;
  static char customers[MANY][8], contents[MANY][16];
  struct nm_message messages[MANY];
  struct nm_plan plans[MANY + 1];
  struct nm_cancel cancel = { .campaign = NM_TEXT("off"), .arrived_at_ms = nm_clock_wall_ms() };
  for (int i = 0; i < MANY; i++) {
    snprintf(customers[i], sizeof customers[i], "u%d", i);
    snprintf(contents[i], sizeof contents[i], "{\"n\":%d}", i);
    messages[i] = kit_message(i % 3 == 0 ? "off" : "on", customers[i]);
    messages[i].content = nm_text_from(contents[i]);
    int64_t event_id = kit_event_id(kit, 11, i % 3 == 0 ? "off" : "on", customers[i], "");
    int at = i < 20 ? i : i + 1;
    plans[at] = (struct nm_plan){ .event_id = event_id, .tenant_id = TENANT,
                                  .state = NM_EVENT_PLANNED, .messages = &messages[i],
                                  .message_count = 1 };
  }
  plans[20] = (struct nm_plan){ .event_id = kit_event_id(kit, 4, "off", "", ""),
                                .tenant_id = TENANT, .state = NM_EVENT_PLANNED, .cancel = &cancel };
  struct nm_store_plan asked = { .plans = plans, .count = MANY + 1 };
  KIT_MUST(kit, NM_STORE_PLAN, &asked);
  assert_int_equal(cancel.stopped, 7); /* 0, 3, .. 18 */

  struct nm_store_lease lease = kit_lease(kit, MANY);
  size_t next = 0;
  for (int i = 0; i < MANY; i++) {
    kit_assert_state(kit, messages[i].id, i % 3 == 0 ? "stopped" : "waiting");
    if (i % 3 == 0) continue;
    assert_true(next < lease.count);
    const struct nm_message *leased = &lease.messages[next++];
    assert_int_equal(leased->id, messages[i].id);
    assert_true(nm_text_equal(leased->customer, messages[i].customer));
    assert_true(nm_text_equal(leased->content, messages[i].content));
    assert_int_equal(leased->event_id, messages[i].event_id);
  }
  assert_int_equal(next, lease.count);
}

static void lanes_are_leased_apart(void **state)
{
  struct kit *kit = *state;
  kit_single(kit, "1", "u", "", 0);
  struct nm_store_lease lease = { .tenant_id = TENANT, .provider = NM_TEXT("other"),
                                  .now_ms = nm_clock_wall_ms(), .max = 5 };
  KIT_MUST(kit, NM_STORE_LEASE, &lease);
  assert_int_equal(lease.count, 0);
  lease.provider = NM_TEXT("netmera");
  lease.tenant_id = TENANT + 1;
  KIT_MUST(kit, NM_STORE_LEASE, &lease);
  assert_int_equal(lease.count, 0);
}

static void messages_come_by_priority_then_due_time_then_id(void **state)
{
  struct kit *kit = *state;
  int64_t now_ms = nm_clock_wall_ms();
  struct nm_message messages[5];
  for (int i = 0; i < 5; i++)
    messages[i] = kit_message("1", "u");
  messages[0].priority = NM_PRIORITY_RUN;
  messages[0].due_at_ms = now_ms - 9000;
  messages[1].due_at_ms = now_ms - 10;
  messages[2].due_at_ms = now_ms - 1000;
  messages[3].due_at_ms = now_ms - 1000;
  messages[4].due_at_ms = now_ms + HOUR_MS;
  struct nm_plan plan = { .event_id = kit_event_id(kit, 11, "1", "u", ""), .tenant_id = TENANT,
                          .state = NM_EVENT_PLANNED, .messages = messages, .message_count = 5 };
  kit_plan(kit, &plan);

  struct nm_store_lease lease = kit_lease(kit, 3);
  assert_int_equal(lease.count, 3);
  assert_int_equal(lease.messages[0].id, messages[2].id);
  assert_int_equal(lease.messages[1].id, messages[3].id);
  assert_int_equal(lease.messages[2].id, messages[1].id);
  assert_int_equal(lease.next_due_ms, now_ms - 9000);
  lease = kit_lease(kit, 3);
  assert_int_equal(lease.count, 1);
  assert_int_equal(lease.messages[0].id, messages[0].id);
  assert_int_equal(lease.next_due_ms, now_ms + HOUR_MS);
}

static void a_sent_message_is_over_and_its_attempt_is_kept(void **state)
{
  struct kit *kit = *state;
  struct nm_message message = kit_single(kit, "1", "u", "", 0);
  assert_int_equal(kit_lease(kit, 5).count, 1);
  kit_finish(kit, &message, NM_MESSAGE_SENT);
  assert_int_equal(kit_lease(kit, 5).count, 0);
  kit_reopen(kit);
  assert_int_equal(kit_lease(kit, 5).count, 0);

  json_t *shown = kit_show(kit, message.id);
  assert_string_equal(json_string_value(json_object_get(shown, "state")), "sent");
  assert_string_equal(json_string_value(json_object_get(shown, "customer")), "u");
  assert_int_equal(json_integer_value(json_object_get(shown, "tries")), 1);
  json_t *attempts = json_object_get(shown, "attempts");
  assert_int_equal(json_array_size(attempts), 1);
  json_t *attempt = json_array_get(attempts, 0);
  assert_string_equal(json_string_value(json_object_get(attempt, "outcome")), "accepted");
  assert_int_equal(json_integer_value(json_object_get(attempt, "code")), 200);
  json_t *event = json_object_get(shown, "event");
  const char *body = json_string_value(json_object_get(event, "body"));
  assert_non_null(strstr(body, "\"CustomerID\":\"u\""));
  json_decref(shown);
}

static void finishing_twice_counts_once(void **state)
{
  struct kit *kit = *state;
  struct nm_message message = kit_single(kit, "1", "u", "", 0);
  kit_lease(kit, 5);
  kit_finish(kit, &message, NM_MESSAGE_SENT);
  kit_finish(kit, &message, NM_MESSAGE_DEAD);
  json_t *shown = kit_show(kit, message.id);
  assert_string_equal(json_string_value(json_object_get(shown, "state")), "sent");
  assert_int_equal(json_array_size(json_object_get(shown, "attempts")), 1);
  json_decref(shown);
}

static void a_message_that_waits_again_comes_when_due(void **state)
{
  struct kit *kit = *state;
  struct nm_message message = kit_single(kit, "1", "u", "", 0);
  int64_t now_ms = kit_lease(kit, 5).messages[0].due_at_ms;
  struct nm_finish item = { .message_id = message.id, .state = NM_MESSAGE_WAITING,
                            .due_at_ms = now_ms + HOUR_MS, .attempts = 2, .has_attempt = true,
                            .outcome = NM_OUTCOME_RETRY, .reason = NM_TEXT("503") };
  struct nm_store_finish finish = { .items = &item, .count = 1 };
  KIT_MUST(kit, NM_STORE_FINISH, &finish);

  struct nm_store_lease lease = kit_lease(kit, 5);
  assert_int_equal(lease.count, 0);
  assert_int_equal(lease.next_due_ms, now_ms + HOUR_MS);
  lease.now_ms = now_ms + HOUR_MS;
  KIT_MUST(kit, NM_STORE_LEASE, &lease);
  assert_int_equal(lease.count, 1);
  assert_int_equal(lease.messages[0].attempts, 2);
  assert_true(nm_text_equal(lease.messages[0].reason, NM_TEXT("503")));
}

static void a_lease_given_back_leaves_no_attempt_and_its_due_time(void **state)
{
  struct kit *kit = *state;
  struct nm_message message = kit_single(kit, "1", "u", "", 0);
  kit_lease(kit, 5);
  struct nm_finish item = { .message_id = message.id, .state = NM_MESSAGE_WAITING };
  struct nm_store_finish finish = { .items = &item, .count = 1 };
  KIT_MUST(kit, NM_STORE_FINISH, &finish);
  struct nm_store_lease lease = kit_lease(kit, 5);
  assert_int_equal(lease.count, 1);
  assert_int_equal(lease.messages[0].due_at_ms, message.due_at_ms);
  json_t *shown = kit_show(kit, message.id);
  assert_int_equal(json_array_size(json_object_get(shown, "attempts")), 0);
  json_decref(shown);
}

static void what_was_leased_is_free_after_a_restart(void **state)
{
  struct kit *kit = *state;
  kit_single(kit, "1", "u", "", 0);
  assert_int_equal(kit_lease(kit, 5).count, 1);
  kit_reopen(kit);
  assert_int_equal(kit_lease(kit, 5).count, 1);
}

static void a_small_arena_gets_what_fits(void **state)
{
  struct kit *kit = *state;
  for (int i = 0; i < 20; i++) {
    char customer[8];
    snprintf(customer, sizeof customer, "u%d", i);
    kit_single(kit, "1", customer, "", 0);
  }
  struct nm_arena *whole = kit->arena;
  kit->arena = nm_arena_create(32 * sizeof(struct nm_message) + 700); /* a few messages' texts */
  struct nm_store_lease lease = { .tenant_id = TENANT, .provider = NM_TEXT("netmera"),
                                  .now_ms = nm_clock_wall_ms(), .max = 100 };
  KIT_MUST(kit, NM_STORE_LEASE, &lease);
  assert_true(lease.count > 0 && lease.count < 20);
  assert_true(lease.next_due_ms > 0);
  size_t first = lease.count;
  nm_arena_destroy(kit->arena);
  kit->arena = whole;
  assert_int_equal(kit_lease(kit, 50).count, 20 - first);
}

/* ---- by hand --------------------------------------------------------------------------------- */

static int retry(struct kit *kit, const int64_t *ids, size_t count, size_t *retried)
{
  struct nm_store_retry asked = { .ids = ids, .count = count, .now_ms = nm_clock_wall_ms() };
  int rc = kit_ask(kit, NM_STORE_RETRY, &asked.request);
  *retried = asked.retried;
  return rc;
}

static void held_and_dead_things_are_put_back_by_hand(void **state)
{
  struct kit *kit = *state;
  struct nm_plan held = { .event_id = kit_event_id(kit, 99, "1", "x", ""), .tenant_id = TENANT,
                          .state = NM_EVENT_HELD, .reason = NM_TEXT("not routed") };
  kit_plan(kit, &held);
  struct nm_message message = kit_single(kit, "1", "u", "", 0);
  kit_lease(kit, 5);
  kit_finish(kit, &message, NM_MESSAGE_DEAD);
  assert_int_equal(kit_lease(kit, 5).count, 0);
  kit_work(kit);

  size_t retried;
  int64_t ids[2] = { held.event_id, message.id };
  assert_int_equal(retry(kit, ids, 2, &retried), NM_OK);
  assert_int_equal(retried, 2);
  assert_int_equal(kit_work(kit), NM_STORE_WORK_EVENTS | NM_STORE_WORK_MESSAGES);
  struct nm_store_lease lease = kit_lease(kit, 5);
  assert_int_equal(lease.count, 1);
  assert_int_equal(lease.messages[0].attempts, 0);
  assert_true(nm_text_equal(lease.messages[0].content, message.content));
  struct nm_event *events;
  assert_int_equal(kit_take(kit, 5, &events), 1);
  assert_int_equal(events[0].id, held.event_id);
}

static void a_wrong_id_among_many_changes_nothing(void **state)
{
  struct kit *kit = *state;
  struct nm_plan held = { .event_id = kit_event_id(kit, 99, "1", "x", ""), .tenant_id = TENANT,
                          .state = NM_EVENT_HELD, .reason = NM_TEXT("not routed") };
  kit_plan(kit, &held);
  struct nm_message waiting = kit_single(kit, "1", "u", "", 0);
  int64_t ids[2] = { held.event_id, waiting.id };
  struct nm_store_retry asked = { .ids = ids, .count = 2, .now_ms = 1 };
  char number[24];
  snprintf(number, sizeof number, "%lld", (long long)waiting.id);
  assert_int_equal(kit_ask(kit, NM_STORE_RETRY, &asked.request), NM_ENOTFOUND);
  assert_non_null(strstr(asked.request.error.text, number));
  kit_assert_state(kit, held.event_id, "held");
  assert_int_equal(kit_take(kit, 5, NULL), 0);
}

static void the_queue_lists_what_is_stuck_newest_first(void **state)
{
  struct kit *kit = *state;
  struct nm_plan held = { .event_id = kit_event_id(kit, 99, "1", "x", ""), .tenant_id = TENANT,
                          .state = NM_EVENT_HELD,
                          .reason = NM_TEXT("event type 99 is not routed") };
  kit_plan(kit, &held);
  struct nm_message dead = kit_single(kit, "1", "u", "", 0);
  kit_lease(kit, 5);
  kit_finish(kit, &dead, NM_MESSAGE_DEAD);
  struct nm_message kept = kit_message("1", "v");
  kept.state = NM_MESSAGE_HELD;
  kept.reason = NM_TEXT("no notification_key");
  struct nm_plan plan = { .event_id = kit_event_id(kit, 11, "1", "v", ""), .tenant_id = TENANT,
                          .state = NM_EVENT_PLANNED, .messages = &kept, .message_count = 1 };
  kit_plan(kit, &plan);
  kit_single(kit, "1", "waits", "", 0);

  json_t *args = json_pack("{s:i,s:i}", "tenant_id", TENANT, "limit", 2);
  json_t *rows = kit_query(kit, NM_QUERY_QUEUE, args);
  assert_int_equal(json_array_size(rows), 2);
  json_t *first = json_array_get(rows, 0), *second = json_array_get(rows, 1);
  assert_string_equal(json_string_value(json_object_get(first, "state")), "held");
  assert_string_equal(json_string_value(json_object_get(first, "kind")), "message");
  assert_string_equal(json_string_value(json_object_get(first, "reason")), "no notification_key");
  assert_string_equal(json_string_value(json_object_get(second, "state")), "dead");
  assert_string_equal(json_string_value(json_object_get(second, "channel")), "push");
  json_t *before = json_incref(json_object_get(second, "id"));
  json_decref(rows);

  rows = kit_query(kit, NM_QUERY_QUEUE, json_pack("{s:i,s:o}", "limit", 10, "before", before));
  assert_int_equal(json_array_size(rows), 1);
  json_t *last = json_array_get(rows, 0);
  assert_string_equal(json_string_value(json_object_get(last, "kind")), "event");
  assert_string_equal(json_string_value(json_object_get(last, "reason")),
                      "event type 99 is not routed");
  assert_string_equal(json_string_value(json_object_get(last, "tenant_id")), "7");
  json_decref(rows);

  rows = kit_query(kit, NM_QUERY_QUEUE, json_pack("{s:s}", "tenant_id", "8"));
  assert_int_equal(json_array_size(rows), 0);
  json_decref(rows);
}

static void status_counts_what_waits_and_what_is_stuck(void **state)
{
  struct kit *kit = *state;
  json_t *status = kit_query(kit, NM_QUERY_STATUS, NULL);
  assert_int_equal(json_integer_value(json_object_get(status, "oldest_waiting_ms")), 0);
  json_decref(status);

  struct nm_message dead = kit_single(kit, "1", "u", "", 0);
  kit_lease(kit, 5);
  kit_finish(kit, &dead, NM_MESSAGE_DEAD);
  kit_single(kit, "1", "w", "", 0);
  struct nm_store_arrival old = kit_event(11, "1", "old", "");
  old.event.received_at_ms -= HOUR_MS;
  kit_accept(kit, &old);
  status = kit_query(kit, NM_QUERY_STATUS, NULL);
  assert_int_equal(json_integer_value(json_object_get(status, "waiting_events")), 1);
  assert_int_equal(json_integer_value(json_object_get(status, "waiting_messages")), 1);
  assert_int_equal(json_integer_value(json_object_get(status, "dead")), 1);
  assert_int_equal(json_integer_value(json_object_get(status, "held")), 0);
  assert_true(json_integer_value(json_object_get(status, "oldest_waiting_ms")) >= HOUR_MS);
  assert_true(json_integer_value(json_object_get(status, "database_bytes")) > 4096);
  json_decref(status);
}

static struct nm_store_lease lease_of(struct kit *kit, const char *provider, int64_t now_ms)
{
  struct nm_store_lease lease = { .tenant_id = TENANT, .provider = nm_text_from(provider),
                                  .now_ms = now_ms, .max = 10 };
  KIT_MUST(kit, NM_STORE_LEASE, &lease);
  return lease;
}

static struct nm_store_lease lease_at(struct kit *kit, int64_t now_ms)
{
  return lease_of(kit, "netmera", now_ms);
}

/* Once a message that was planned before the clock went back waited until it had caught up. */
static void what_is_due_at_once_does_not_wait_for_a_clock_that_went_back(void **state)
{
  struct kit *kit = *state;
  struct nm_message at_once = kit_single(kit, "1", "at once", "", 0);
  int64_t now_ms = at_once.due_at_ms;
  assert_int_equal(lease_of(kit, "another", now_ms).count, 0); /* the store sees the clock */
  struct nm_message later = kit_message("2", "later");
  later.due_at_ms = now_ms + 2 * HOUR_MS;
  struct nm_plan plan = { .event_id = kit_event_id(kit, 11, "2", "later", ""), .tenant_id = TENANT,
                          .state = NM_EVENT_PLANNED, .messages = &later, .message_count = 1 };
  kit_plan(kit, &plan);

  /* Some lane sees the step; the message was planned some milliseconds after now_ms. */
  struct nm_store_lease other = { .tenant_id = TENANT, .provider = NM_TEXT("another"),
                                  .now_ms = now_ms - HOUR_MS, .max = 1 };
  KIT_MUST(kit, NM_STORE_LEASE, &other);
  struct nm_store_lease lease = lease_at(kit, now_ms - HOUR_MS + 60000);
  assert_int_equal(lease.count, 1);
  assert_int_equal(lease.messages[0].id, at_once.id);
  /* A try that failed is due by how long it waits, a named time by the clock. */
  struct nm_finish item = { .message_id = at_once.id, .state = NM_MESSAGE_WAITING, .attempts = 1,
                            .has_attempt = true, .outcome = NM_OUTCOME_RETRY,
                            .due_at_ms = now_ms - HOUR_MS + 60000 + 60000 };
  struct nm_store_finish finish = { .items = &item, .count = 1 };
  KIT_MUST(kit, NM_STORE_FINISH, &finish);
  assert_int_equal(lease_at(kit, now_ms - 25ll * HOUR_MS).count, 0);
  assert_int_equal(lease_at(kit, now_ms - 25ll * HOUR_MS + 60000).count, 1);
  assert_int_equal(lease_at(kit, now_ms + 2 * HOUR_MS).count, 1);
}

static void a_start_with_a_clock_that_went_back_sends_what_was_due_at_once(void **state)
{
  struct kit *kit = *state;
  struct nm_message message = kit_single(kit, "1", "u", "", 0);
  int64_t ahead_ms = nm_clock_wall_ms() + 24ll * HOUR_MS;
  char sql[160];
  nm_store_close(kit->store);
  kit->store = NULL;
  snprintf(sql, sizeof sql, "UPDATE messages SET created_at = %lld, due_at = %lld",
           (long long)ahead_ms, (long long)ahead_ms);
  kit_sql(kit, sql);
  kit_open(kit);
  struct nm_store_lease lease = lease_at(kit, nm_clock_wall_ms());
  assert_int_equal(lease.count, 1);
  assert_int_equal(lease.messages[0].id, message.id);
}

static void an_unknown_id_is_not_found(void **state)
{
  struct kit *kit = *state;
  json_t *args = json_pack("{s:s}", "id", "42");
  struct nm_store_query query = { .kind = NM_QUERY_SHOW, .args = args };
  assert_int_equal(kit_ask(kit, NM_STORE_QUERY, &query.request), NM_ENOTFOUND);
  query.kind = NM_QUERY_EVENT;
  assert_int_equal(kit_ask(kit, NM_STORE_QUERY, &query.request), NM_ENOTFOUND);
  json_decref(args);
  args = json_object();
  query.args = args;
  assert_int_equal(kit_ask(kit, NM_STORE_QUERY, &query.request), NM_EINVAL);
  json_decref(args);
}

static void a_body_that_is_no_text_is_still_shown(void **state)
{
  struct kit *kit = *state;
  struct nm_store_arrival arrival = kit_event(0, "", "", "");
  arrival.event.kind = NM_EVENT_CALLBACK;
  arrival.event.body = (struct nm_text){ "a\xff\0b", 4 };
  kit_accept(kit, &arrival);
  json_t *shown = kit_query(kit, NM_QUERY_EVENT, json_pack("{s:I}", "id", (json_int_t)arrival.id));
  assert_string_equal(json_string_value(json_object_get(shown, "body")), "a??b");
  assert_string_equal(json_string_value(json_object_get(shown, "event_kind")), "callback");
  json_decref(shown);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(a_planned_message_is_leased_whole),
    KIT_TEST(messages_of_many_plans_are_each_their_own),
    KIT_TEST(lanes_are_leased_apart),
    KIT_TEST(messages_come_by_priority_then_due_time_then_id),
    KIT_TEST(a_sent_message_is_over_and_its_attempt_is_kept),
    KIT_TEST(finishing_twice_counts_once),
    KIT_TEST(a_message_that_waits_again_comes_when_due),
    KIT_TEST(a_lease_given_back_leaves_no_attempt_and_its_due_time),
    KIT_TEST(what_was_leased_is_free_after_a_restart),
    KIT_TEST(a_small_arena_gets_what_fits),
    KIT_TEST(held_and_dead_things_are_put_back_by_hand),
    KIT_TEST(a_wrong_id_among_many_changes_nothing),
    KIT_TEST(the_queue_lists_what_is_stuck_newest_first),
    KIT_TEST(status_counts_what_waits_and_what_is_stuck),
    KIT_TEST(what_is_due_at_once_does_not_wait_for_a_clock_that_went_back),
    KIT_TEST(a_start_with_a_clock_that_went_back_sends_what_was_due_at_once),
    KIT_TEST(an_unknown_id_is_not_found),
    KIT_TEST(a_body_that_is_no_text_is_still_shown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
