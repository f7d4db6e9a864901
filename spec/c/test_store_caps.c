/* links: store */
#include "store_kit.h"

static const struct nm_message_cap once_a_day = { { "message hello", 13 }, 1, NM_CAP_PER_DAY,
                                                  1000, 2000 };

/* An event with so many messages to the same person, all of that cap. */
static struct nm_plan plan_of(struct kit *kit, struct nm_message *messages, size_t count,
                              const char *customer, const struct nm_message_cap *caps,
                              size_t cap_count)
{
  for (size_t i = 0; i < count; i++) {
    messages[i] = kit_message("7", customer);
    messages[i].tenant_id = TENANT;
    messages[i].caps = caps;
    messages[i].cap_count = cap_count;
  }
  static int number;
  char stamp[32];
  snprintf(stamp, sizeof stamp, "n%d", number++);
  return (struct nm_plan){ .event_id = kit_event_id(kit, 11, "7", customer, stamp),
                           .tenant_id = TENANT, .state = NM_EVENT_PLANNED,
                           .messages = messages, .message_count = count };
}

/* Past the store, which is closed. */
static int count_of(struct kit *kit, const char *sql)
{
  sqlite3 *handle;
  sqlite3_stmt *stmt;
  assert_int_equal(sqlite3_open(kit->path, &handle), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(handle, sql, -1, &stmt, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
  int count = sqlite3_column_int(stmt, 0);
  sqlite3_finalize(stmt);
  sqlite3_close(handle);
  return count;
}

static void a_cap_counts_within_one_plan_too(void **state)
{
  struct kit *kit = *state;
  struct nm_message messages[3];
  struct nm_plan plan = plan_of(kit, messages, 3, "u1", &once_a_day, 1);
  kit_plan(kit, &plan);
  assert_int_equal(messages[0].state, NM_MESSAGE_WAITING);
  assert_int_equal(messages[1].state, NM_MESSAGE_CAPPED);
  assert_int_equal(messages[2].state, NM_MESSAGE_CAPPED);
  assert_int_equal(plan.state, NM_EVENT_PLANNED);
  assert_int_equal(kit_lease(kit, 10).count, 1);
}

static void a_plan_of_which_nothing_is_left_is_dropped_with_the_reason(void **state)
{
  struct kit *kit = *state;
  struct nm_message message;
  struct nm_plan plan = plan_of(kit, &message, 1, "u1", &once_a_day, 1);
  kit_plan(kit, &plan);
  kit_reopen(kit);
  plan = plan_of(kit, &message, 1, "u1", &once_a_day, 1);
  kit_plan(kit, &plan);
  assert_int_equal(plan.state, NM_EVENT_DROPPED);
  kit_assert_state(kit, plan.event_id, "dropped");
  json_t *shown = kit_show(kit, plan.event_id);
  assert_string_equal(json_string_value(json_object_get(shown, "reason")),
                      "cap: 1 a day of message hello");
  json_decref(shown);
  plan = plan_of(kit, &message, 1, "u2", &once_a_day, 1);
  kit_plan(kit, &plan);
  kit_assert_state(kit, plan.event_id, "planned");
}

static void what_a_cap_forbids_counts_under_no_other(void **state)
{
  struct kit *kit = *state;
  struct nm_message message;
  struct nm_message_cap both[2] = { { NM_TEXT("channel push"), 2, NM_CAP_PER_DAY, 1000, 2000 },
                                    once_a_day };
  struct nm_plan plan;
  for (int i = 0; i < 3; i++) {
    plan = plan_of(kit, &message, 1, "u1", both, 2);
    kit_plan(kit, &plan);
    assert_int_equal(message.state, i == 0 ? NM_MESSAGE_WAITING : NM_MESSAGE_CAPPED);
  }
  plan = plan_of(kit, &message, 1, "u1", both, 1); /* of push one is left */
  kit_plan(kit, &plan);
  assert_int_equal(message.state, NM_MESSAGE_WAITING);
  plan = plan_of(kit, &message, 1, "u1", both, 1);
  kit_plan(kit, &plan);
  assert_int_equal(message.state, NM_MESSAGE_CAPPED);
}

static void the_next_window_begins_at_nothing_and_the_last_one_is_forgotten(void **state)
{
  struct kit *kit = *state;
  struct nm_message message;
  struct nm_message_cap cap = once_a_day;
  struct nm_plan plan;
  for (int day = 0; day < 3; day++) {
    cap.from_ms = 1000 + day * 1000;
    cap.until_ms = cap.from_ms + 1000;
    plan = plan_of(kit, &message, 1, "u1", &cap, 1);
    kit_plan(kit, &plan);
    assert_int_equal(message.state, NM_MESSAGE_WAITING);
  }
  struct nm_store_retain retain = { .now_ms = 3500, .events_age_ms = 1, .dead_age_ms = 1,
                                    .rows_max = 100 };
  do KIT_MUST(kit, NM_STORE_RETAIN, &retain);
  while (retain.is_more);
  nm_store_close(kit->store);
  assert_int_equal(count_of(kit, "SELECT count(*) FROM caps"), 1);
  assert_int_equal(count_of(kit, "SELECT count(*) FROM cap_windows"), 1);
  kit_open(kit);
}

static void a_plan_that_the_store_refuses_counts_nothing(void **state)
{
  struct kit *kit = *state;
  struct nm_message message;
  struct nm_error err = { 0 };
  struct nm_plan plan = plan_of(kit, &message, 1, "u1", &once_a_day, 1);
  int64_t event_id = plan.event_id;
  plan.event_id = 12345;
  assert_int_equal(kit_try_plan(kit, &plan, &err), NM_ECONFLICT);
  plan.event_id = event_id;
  kit_plan(kit, &plan);
  assert_int_equal(message.state, NM_MESSAGE_WAITING);
}

static void a_run_counts_what_its_caps_forbid_by_reason(void **state)
{
  struct kit *kit = *state;
  struct nm_run run = kit_run(kit, "8", "", 0);
  struct nm_message messages[5];
  for (int i = 0; i < 5; i++) {
    messages[i] = kit_message("8", i < 3 ? "u1" : "u2");
    messages[i].tenant_id = TENANT;
    messages[i].caps = &once_a_day;
    messages[i].cap_count = 1;
  }
  struct nm_store_expand expand = { .run_id = run.id, .to_row = 5, .messages = messages,
                                    .message_count = 5 };
  KIT_MUST(kit, NM_STORE_EXPAND, &expand);
  assert_int_equal(expand.capped, 3);
  assert_int_equal(messages[0].state, NM_MESSAGE_WAITING);
  assert_int_equal(messages[2].state, NM_MESSAGE_CAPPED);
  assert_int_equal(messages[3].state, NM_MESSAGE_WAITING);
  assert_int_equal(kit_number(kit, run.id, "made"), 2);
  assert_int_equal(kit_number(kit, run.id, "skipped"), 3);
  json_t *shown = kit_show(kit, run.id);
  json_t *drop = json_array_get(json_object_get(shown, "drops"), 0);
  assert_int_equal(json_integer_value(json_object_get(drop, "count")), 3);
  assert_string_equal(json_string_value(json_object_get(drop, "reason")),
                      "cap: 1 a day of message hello");
  json_decref(shown);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(a_cap_counts_within_one_plan_too),
    KIT_TEST(a_plan_of_which_nothing_is_left_is_dropped_with_the_reason),
    KIT_TEST(what_a_cap_forbids_counts_under_no_other),
    KIT_TEST(the_next_window_begins_at_nothing_and_the_last_one_is_forgotten),
    KIT_TEST(a_plan_that_the_store_refuses_counts_nothing),
    KIT_TEST(a_run_counts_what_its_caps_forbid_by_reason),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
