/* links: store */
#include "store_kit.h"

static int64_t plan_update(struct kit *kit, int64_t event_id, const char *customer,
                           const char *field, const char *value)
{
  struct nm_update update = { .customer = nm_text_from(customer),
                              .field = nm_text_from(field),
                              .value = nm_text_from(value) };
  struct nm_plan plan = { .event_id = event_id, .tenant_id = TENANT, .state = NM_EVENT_PLANNED,
                          .updates = &update, .update_count = 1 };
  kit_plan(kit, &plan);
  return update.id;
}

static int64_t set(struct kit *kit, const char *customer, const char *field, const char *value)
{
  static int number;
  char stamp[16];
  snprintf(stamp, sizeof stamp, "n%d", number++);
  return plan_update(kit, kit_event_id(kit, 0, "", customer, stamp), customer, field, value);
}

static struct nm_store_batch_take take_at(struct kit *kit, int64_t now_ms)
{
  struct nm_store_batch_take take = { .tenant_id = TENANT, .now_ms = now_ms,
                                      .customers_max = 3, .attributes_max = 2 };
  KIT_MUST(kit, NM_STORE_BATCH_TAKE, &take);
  return take;
}

static struct nm_store_batch_take take(struct kit *kit)
{
  return take_at(kit, nm_clock_wall_ms());
}

static int finish(struct kit *kit, int64_t batch_id, enum nm_batch_state state, int64_t due_at_ms)
{
  struct nm_store_batch_finish asked = { .tenant_id = TENANT, .batch_id = batch_id, .state = state,
                                         .due_at_ms = due_at_ms, .reason = NM_TEXT("because") };
  return kit_ask(kit, NM_STORE_BATCH_FINISH, &asked.request);
}

static void assert_update(const struct nm_update *update, const char *customer, const char *field,
                          const char *value)
{
  assert_true(nm_text_equal(update->customer, nm_text_from(customer)));
  assert_true(nm_text_equal(update->field, nm_text_from(field)));
  assert_true(nm_text_equal(update->value, nm_text_from(value)));
}

static void the_newest_value_of_a_field_keeps_the_first_ones_place(void **state)
{
  struct kit *kit = *state;
  kit_work(kit);
  int64_t first = set(kit, "b", "CITY", "Ankara");
  assert_true(kit_work(kit) & NM_STORE_WORK_UPDATES);
  set(kit, "a", "CITY", "Bursa");
  assert_int_equal(set(kit, "b", "CITY", "Izmir"), first);
  set(kit, "b", "AGE", "41");
  struct nm_store_batch_take batch = take(kit);
  assert_true(batch.batch_id > 0);
  assert_int_equal(batch.was, NM_BATCH_SENDING);
  assert_int_equal(batch.attempts, 0);
  assert_int_equal(batch.count, 3); /* by customer, then journal order */
  assert_update(&batch.updates[0], "a", "CITY", "Bursa");
  assert_update(&batch.updates[1], "b", "CITY", "Izmir");
  assert_update(&batch.updates[2], "b", "AGE", "41");
  assert_int_equal(take(kit).batch_id, 0);
}

static void an_older_event_planned_late_does_not_overwrite(void **state)
{
  struct kit *kit = *state;
  int64_t early = kit_event_id(kit, 0, "", "a", "early");
  set(kit, "a", "CITY", "new");
  plan_update(kit, early, "a", "CITY", "old");
  struct nm_store_batch_take batch = take(kit);
  assert_int_equal(batch.count, 1);
  assert_update(&batch.updates[0], "a", "CITY", "new");
}

static void a_batch_has_bounded_customers_and_attributes(void **state)
{
  struct kit *kit = *state;
  for (int i = 0; i < 4; i++) {
    char customer[4] = { 'a', (char)('0' + i), '\0' };
    set(kit, customer, "F1", "1");
    set(kit, customer, "F2", "2");
    set(kit, customer, "F3", "3");
  }
  struct nm_store_batch_take first = take(kit), second = take(kit);
  assert_int_equal(first.count, 6);
  assert_update(&first.updates[5], "a2", "F2", "2");
  assert_int_equal(second.count, 2);
  assert_update(&second.updates[0], "a3", "F1", "1");
  assert_int_equal(take(kit).batch_id, 0); /* the third fields wait for their customers */
  assert_int_equal(finish(kit, first.batch_id, NM_BATCH_DONE, 0), NM_OK);
  struct nm_store_batch_take third = take(kit);
  assert_int_equal(third.count, 3);
  assert_update(&third.updates[0], "a0", "F3", "3");
}

static void a_customer_has_one_unsettled_call(void **state)
{
  struct kit *kit = *state;
  set(kit, "a", "CITY", "1");
  struct nm_store_batch_take first = take(kit);
  set(kit, "a", "CITY", "2");
  set(kit, "b", "CITY", "3");
  struct nm_store_batch_take second = take(kit);
  assert_int_equal(second.count, 1);
  assert_update(&second.updates[0], "b", "CITY", "3");
  assert_int_equal(finish(kit, first.batch_id, NM_BATCH_SENT, nm_clock_wall_ms() + HOUR_MS), NM_OK);
  assert_int_equal(take(kit).batch_id, 0);
  kit_work(kit);
  assert_int_equal(finish(kit, first.batch_id, NM_BATCH_DONE, 0), NM_OK);
  assert_true(kit_work(kit) & NM_STORE_WORK_UPDATES);
  struct nm_store_batch_take third = take(kit);
  assert_int_equal(third.count, 1);
  assert_update(&third.updates[0], "a", "CITY", "2");
}

static void a_batch_is_due_again(void **state)
{
  struct kit *kit = *state;
  int64_t now_ms = nm_clock_wall_ms();
  set(kit, "a", "CITY", "1");
  struct nm_store_batch_take first = take(kit);
  finish(kit, first.batch_id, NM_BATCH_RETRY, now_ms + HOUR_MS);
  struct nm_store_batch_take none = take_at(kit, now_ms);
  assert_int_equal(none.batch_id, 0);
  assert_int_equal(none.next_due_ms, now_ms + HOUR_MS);

  struct nm_store_batch_take again = take_at(kit, now_ms + HOUR_MS);
  assert_int_equal(again.batch_id, first.batch_id);
  assert_int_equal(again.was, NM_BATCH_RETRY);
  assert_int_equal(again.attempts, 1);
  assert_int_equal(again.count, 1);
  finish(kit, first.batch_id, NM_BATCH_SENT, now_ms + 2 * HOUR_MS);
  again = take_at(kit, now_ms + 2 * HOUR_MS); /* no callback came */
  assert_int_equal(again.was, NM_BATCH_SENT);
  assert_int_equal(again.attempts, 2);
}

static void a_batch_says_how_often_no_callback_came(void **state)
{
  struct kit *kit = *state;
  int64_t now_ms = nm_clock_wall_ms();
  set(kit, "a", "CITY", "1");
  struct nm_store_batch_take batch = take(kit);
  assert_int_equal(batch.repeats, 0);
  for (int i = 1; i <= 2; i++) {
    finish(kit, batch.batch_id, NM_BATCH_SENT, now_ms);
    kit_reopen(kit); /* a restart forgets it no more than we do */
    batch = take_at(kit, now_ms + 1);
    assert_int_equal(batch.was, NM_BATCH_SENT);
    assert_int_equal(batch.repeats, i);
  }
  finish(kit, batch.batch_id, NM_BATCH_RETRY, now_ms); /* a failed call is no missing callback */
  assert_int_equal(take_at(kit, now_ms + 1).repeats, 2);
}

static void a_batch_left_by_a_crash_is_given_again(void **state)
{
  struct kit *kit = *state;
  set(kit, "a", "CITY", "1");
  struct nm_store_batch_take first = take(kit);
  kit_reopen(kit);
  struct nm_store_resume at_start = { .run_count = 0 };
  KIT_MUST(kit, NM_STORE_RESUME, &at_start);
  assert_int_equal(at_start.update_tenant_count, 1);
  assert_int_equal(at_start.update_tenants[0], TENANT);
  struct nm_store_batch_take again = take(kit);
  assert_int_equal(again.batch_id, first.batch_id);
  assert_int_equal(again.was, NM_BATCH_SENDING);
  assert_int_equal(again.attempts, 1);
}

static void an_error_kills_only_what_it_names(void **state)
{
  struct kit *kit = *state;
  int64_t city = set(kit, "a", "CITY", "1");
  int64_t age = set(kit, "a", "AGE", "2");
  int64_t b = set(kit, "b", "CITY", "3");
  int64_t c = set(kit, "c", "CITY", "4");
  struct nm_store_batch_take batch = take(kit);
  struct nm_batch_error errors[2] = {
    { NM_TEXT("a"), NM_TEXT("CITY"), NM_TEXT("no such attribute") },
    { NM_TEXT("b"), NM_TEXT(""), NM_TEXT("no such customer") },
  };
  struct nm_store_batch_finish asked = { .tenant_id = TENANT, .batch_id = batch.batch_id,
                                         .state = NM_BATCH_DONE, .errors = errors,
                                         .error_count = 2 };
  KIT_MUST(kit, NM_STORE_BATCH_FINISH, &asked);
  kit_assert_state(kit, city, "dead");
  kit_assert_state(kit, age, "done");
  kit_assert_state(kit, b, "dead");
  kit_assert_state(kit, c, "done");
  json_t *rows = kit_query(kit, NM_QUERY_QUEUE, NULL);
  assert_int_equal(json_array_size(rows), 2);
  assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 1), "reason")),
                      "no such attribute");
  json_decref(rows);
}

static void a_dead_batch_makes_dead_letters(void **state)
{
  struct kit *kit = *state;
  int64_t city = set(kit, "a", "CITY", "1");
  struct nm_store_batch_take batch = take(kit);
  assert_int_equal(finish(kit, batch.batch_id, NM_BATCH_DEAD, 0), NM_OK);
  kit_assert_state(kit, city, "dead");

  struct nm_store_retry retry = { .ids = &city, .count = 1, .now_ms = nm_clock_wall_ms() };
  KIT_MUST(kit, NM_STORE_RETRY, &retry);
  struct nm_store_batch_take again = take(kit);
  assert_int_not_equal(again.batch_id, batch.batch_id);
  assert_int_equal(again.count, 1);
  assert_int_equal(again.updates[0].id, city);
}

static void a_dead_update_put_back_does_not_overwrite_a_newer_one(void **state)
{
  struct kit *kit = *state;
  int64_t city = set(kit, "a", "CITY", "old");
  struct nm_store_batch_take batch = take(kit);
  set(kit, "a", "CITY", "new");
  finish(kit, batch.batch_id, NM_BATCH_DEAD, 0);
  struct nm_store_retry retry = { .ids = &city, .count = 1, .now_ms = nm_clock_wall_ms() };
  KIT_MUST(kit, NM_STORE_RETRY, &retry);
  struct nm_store_batch_take again = take(kit);
  assert_int_equal(again.count, 1);
  assert_update(&again.updates[0], "a", "CITY", "new");
  kit_assert_state(kit, city, "done");
}

static void a_settled_or_foreign_batch_is_not_finished(void **state)
{
  struct kit *kit = *state;
  set(kit, "a", "CITY", "1");
  struct nm_store_batch_take batch = take(kit);
  struct nm_store_batch_finish foreign = { .tenant_id = TENANT + 1, .batch_id = batch.batch_id,
                                           .state = NM_BATCH_DONE };
  assert_int_equal(kit_ask(kit, NM_STORE_BATCH_FINISH, &foreign.request), NM_ENOTFOUND);
  assert_int_equal(finish(kit, 4711, NM_BATCH_DONE, 0), NM_ENOTFOUND);
  assert_int_equal(finish(kit, batch.batch_id, NM_BATCH_DONE, 0), NM_OK);
  /* The callback overtook the answer of the call. */
  assert_int_equal(finish(kit, batch.batch_id, NM_BATCH_SENT, 0), NM_ECONFLICT);
  assert_int_equal(take(kit).batch_id, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(the_newest_value_of_a_field_keeps_the_first_ones_place),
    KIT_TEST(an_older_event_planned_late_does_not_overwrite),
    KIT_TEST(a_batch_has_bounded_customers_and_attributes),
    KIT_TEST(a_customer_has_one_unsettled_call),
    KIT_TEST(a_batch_is_due_again),
    KIT_TEST(a_batch_says_how_often_no_callback_came),
    KIT_TEST(a_batch_left_by_a_crash_is_given_again),
    KIT_TEST(an_error_kills_only_what_it_names),
    KIT_TEST(a_dead_batch_makes_dead_letters),
    KIT_TEST(a_dead_update_put_back_does_not_overwrite_a_newer_one),
    KIT_TEST(a_settled_or_foreign_batch_is_not_finished),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
