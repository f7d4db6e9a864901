/* links: store */
#include "store_kit.h"

static void an_event_is_taken_as_it_came(void **state)
{
  struct kit *kit = *state;
  struct nm_store_arrival arrival = kit_event(11, "99", "u1", "2024-01-01T00:00:00");
  arrival.event.body = (struct nm_text){ "{\"a\":\"\xc3\xa7\"}\r\n ", 12 };
  arrival.event.name = NM_TEXT("PURCHASE");
  arrival.event.foreign_id = NM_TEXT("f-1");
  arrival.event.template_id = 5;
  int64_t id = kit_accept(kit, &arrival);
  assert_true(id > 0);
  assert_false(arrival.is_duplicate);
  assert_int_equal(kit_work(kit), NM_STORE_WORK_EVENTS);

  struct nm_event *events;
  assert_int_equal(kit_take(kit, 10, &events), 1);
  assert_int_equal(events[0].id, id);
  assert_int_equal(events[0].tenant_id, TENANT);
  assert_int_equal(events[0].type, 11);
  assert_int_equal(events[0].channel_id, CHANNEL);
  assert_int_equal(events[0].template_id, 5);
  assert_true(nm_text_equal(events[0].body, arrival.event.body));
  assert_true(nm_text_equal(events[0].name, NM_TEXT("PURCHASE")));
  assert_true(nm_text_equal(events[0].foreign_id, NM_TEXT("f-1")));
  assert_true(nm_text_equal(events[0].stamp, arrival.event.stamp));
  assert_int_equal(events[0].received_at_ms, arrival.event.received_at_ms);
}

static void the_same_event_again_is_a_duplicate_with_the_first_ones_id(void **state)
{
  struct kit *kit = *state;
  struct nm_store_arrival first = kit_event(13, "99", "", "2024-01-01T00:00:00");
  struct nm_store_arrival again = kit_event(13, "99", "", "2024-01-01T00:00:00");
  struct nm_store_arrival other = kit_event(13, "99", "", "2024-01-01T00:00:01");
  struct nm_store_arrival tenant = again;
  tenant.event.tenant_id = TENANT + 1;
  struct nm_store_arrival kind = again;
  kind.event.kind = NM_EVENT_HOOK;
  kit_accept(kit, &first);
  kit_accept(kit, &again);
  kit_accept(kit, &other);
  kit_accept(kit, &tenant);
  kit_accept(kit, &kind);
  assert_true(again.is_duplicate);
  assert_int_equal(again.id, first.id);
  assert_false(other.is_duplicate);
  assert_false(tenant.is_duplicate);
  assert_false(kind.is_duplicate);
  assert_true(other.id > first.id);
  assert_int_equal(kit_take(kit, 10, NULL), 4);
}

static void a_duplicate_is_known_after_a_restart(void **state)
{
  struct kit *kit = *state;
  struct nm_store_arrival first = kit_event(4, "99", "", "s");
  struct nm_store_arrival again = kit_event(4, "99", "", "s");
  kit_accept(kit, &first);
  kit_reopen(kit);
  kit_accept(kit, &again);
  assert_true(again.is_duplicate);
  assert_int_equal(again.id, first.id);
}

static void a_duplicate_within_one_request_is_recognised(void **state)
{
  struct kit *kit = *state;
  struct nm_store_arrival arrivals[3] = { kit_event(11, "1", "u", "s"),
                                          kit_event(11, "1", "u", "s"),
                                          kit_event(11, "1", "v", "s") };
  struct nm_store_accept accept = { .arrivals = arrivals, .count = 3 };
  KIT_MUST(kit, NM_STORE_ACCEPT, &accept);
  assert_false(arrivals[0].is_duplicate);
  assert_true(arrivals[1].is_duplicate);
  assert_int_equal(arrivals[1].id, arrivals[0].id);
  assert_false(arrivals[2].is_duplicate);
}

static void after_its_window_the_same_event_is_a_new_one(void **state)
{
  struct kit *kit = *state;
  struct nm_store_arrival first = kit_event(11, "1", "u", "");
  first.window_ms = NM_EVENT_SINGLE_DEDUP_WINDOW_MS;
  struct nm_store_arrival inside = first, outside = first, again = first;
  inside.event.received_at_ms += 59999;
  outside.event.received_at_ms += 60000;
  again.event.received_at_ms += 60000 + 59999;
  kit_accept(kit, &first);
  kit_accept(kit, &inside);
  kit_accept(kit, &outside);
  kit_accept(kit, &again);
  assert_true(inside.is_duplicate);
  assert_false(outside.is_duplicate);
  assert_true(again.is_duplicate);
  assert_int_equal(again.id, outside.id);
}

static void without_a_window_nothing_is_a_duplicate(void **state)
{
  struct kit *kit = *state;
  struct nm_store_arrival first = kit_event(11, "1", "u", "");
  first.window_ms = 0;
  struct nm_store_arrival again = first;
  kit_accept(kit, &first);
  kit_accept(kit, &again);
  assert_false(again.is_duplicate);
  assert_int_not_equal(first.id, again.id);
}

static void many_identities_are_kept_apart(void **state)
{
  struct kit *kit = *state;
  enum { MANY = 5000 };
  static char identities[MANY][16];
  struct nm_store_arrival *arrivals = calloc(MANY, sizeof *arrivals);
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < MANY; i++) {
      arrivals[i] = kit_event(11, "1", "u", "");
      snprintf(identities[i], sizeof identities[i], "key %d", i);
      arrivals[i].identity = nm_text_from(identities[i]);
      arrivals[i].event.body = NM_TEXT("{}");
    }
    struct nm_store_accept accept = { .arrivals = arrivals, .count = MANY };
    KIT_MUST(kit, NM_STORE_ACCEPT, &accept);
    for (int i = 0; i < MANY; i++)
      assert_int_equal(arrivals[i].is_duplicate, round == 1);
  }
  free(arrivals);
}

static void cancels_are_taken_first_then_by_age(void **state)
{
  struct kit *kit = *state;
  int64_t a = kit_event_id(kit, 11, "1", "a", "");
  int64_t b = kit_event_id(kit, 13, "1", "", "");
  int64_t stop = kit_event_id(kit, 4, "1", "", "");
  struct nm_event *events;
  assert_int_equal(kit_take(kit, 2, &events), 2);
  assert_int_equal(events[0].id, stop);
  assert_int_equal(events[1].id, a);
  assert_int_equal(kit_take(kit, 2, &events), 1); /* what is claimed is not given again */
  assert_int_equal(events[0].id, b);
  assert_int_equal(kit_take(kit, 2, &events), 0);
}

static void what_was_taken_and_not_planned_is_free_after_a_restart(void **state)
{
  struct kit *kit = *state;
  kit_event_id(kit, 11, "1", "a", "");
  assert_int_equal(kit_take(kit, 5, NULL), 1);
  kit_reopen(kit);
  assert_int_equal(kit_take(kit, 5, NULL), 1);
}

static void a_delayed_event_comes_back_when_due(void **state)
{
  struct kit *kit = *state;
  int64_t now_ms = nm_clock_wall_ms();
  int64_t id = kit_event_id(kit, 11, "1", "a", "");
  struct nm_plan plan = { .event_id = id,
                          .tenant_id = TENANT,
                          .state = NM_EVENT_DELAYED,
                          .due_at_ms = now_ms + HOUR_MS };
  kit_plan(kit, &plan);
  int64_t younger = kit_event_id(kit, 11, "1", "b", "");

  struct nm_store_take take = { .now_ms = now_ms, .max = 5 };
  KIT_MUST(kit, NM_STORE_TAKE, &take);
  assert_int_equal(take.count, 1);
  assert_int_equal(take.events[0].id, younger);
  assert_int_equal(take.next_due_ms, now_ms + HOUR_MS);

  take.now_ms = now_ms + HOUR_MS;
  KIT_MUST(kit, NM_STORE_TAKE, &take);
  assert_int_equal(take.count, 1);
  assert_int_equal(take.events[0].id, id);
  assert_int_equal(take.next_due_ms, 0);
}

static void an_event_is_planned_once(void **state)
{
  struct kit *kit = *state;
  struct nm_error err;
  int64_t id = kit_event_id(kit, 11, "1", "a", "");
  struct nm_plan plan = { .event_id = id, .tenant_id = TENANT, .state = NM_EVENT_PLANNED };
  struct nm_plan foreign = plan;
  foreign.tenant_id = TENANT + 1;
  assert_int_equal(kit_try_plan(kit, &foreign, &err), NM_ECONFLICT);
  kit_plan(kit, &plan);
  struct nm_message message = kit_message("1", "a");
  plan.messages = &message;
  plan.message_count = 1;
  assert_int_equal(kit_try_plan(kit, &plan, &err), NM_ECONFLICT);
  assert_non_null(strstr(err.text, "does not wait"));
  assert_int_equal(kit_lease(kit, 5).count, 0);
}

static void one_failing_plan_leaves_nothing_of_its_request(void **state)
{
  struct kit *kit = *state;
  struct nm_message message = kit_message("1", "a");
  int64_t id = kit_event_id(kit, 11, "1", "a", "");
  struct nm_plan plans[2] = {
    { .event_id = id, .tenant_id = TENANT, .state = NM_EVENT_PLANNED, .messages = &message,
      .message_count = 1 },
    { .event_id = 12345, .tenant_id = TENANT, .state = NM_EVENT_PLANNED },
  };
  struct nm_store_plan asked = { .plans = plans, .count = 2 };
  assert_int_equal(kit_ask(kit, NM_STORE_PLAN, &asked.request), NM_ECONFLICT);
  assert_int_equal(kit_lease(kit, 5).count, 0);
  kit_assert_state(kit, id, "new");
}

enum { HERD = 100 };

static void accept_herd(struct kit *kit, struct nm_plan plans[HERD], const char *campaign)
{
  static char identities[HERD][32];
  struct nm_store_arrival arrivals[HERD];
  for (int i = 0; i < HERD; i++) {
    arrivals[i] = kit_event(11, campaign, "u", "");
    snprintf(identities[i], sizeof identities[i], "%s %d", campaign, i);
    arrivals[i].identity = nm_text_from(identities[i]);
  }
  struct nm_store_accept accept = { .arrivals = arrivals, .count = HERD };
  KIT_MUST(kit, NM_STORE_ACCEPT, &accept);
  for (int i = 0; i < HERD; i++) {
    bool is_held = i < HERD * 4 / 5;
    plans[i] = (struct nm_plan){ .event_id = arrivals[i].id, .tenant_id = TENANT,
                                 .state = is_held ? NM_EVENT_HELD : NM_EVENT_DROPPED,
                                 .reason = is_held ? NM_TEXT("look") : NM_TEXT("") };
  }
}

static void plans_that_are_alike_become_what_each_of_them_says(void **state)
{
  struct kit *kit = *state;
  struct nm_plan plans[HERD];
  accept_herd(kit, plans, "1");
  plans[40].reason = NM_TEXT("look here");
  struct nm_store_plan asked = { .plans = plans, .count = HERD };
  KIT_MUST(kit, NM_STORE_PLAN, &asked);
  for (int i = 0; i < HERD; i++)
    kit_assert_state(kit, plans[i].event_id, i < HERD * 4 / 5 ? "held" : "dropped");
  int64_t alone = kit_sql_number(kit, "SELECT id FROM events WHERE reason = 'look here'");
  assert_int_equal(alone, plans[40].event_id);
  assert_int_equal(kit_sql_number(kit, "SELECT count(*) FROM events WHERE reason = 'look'"), 79);
}

static void of_plans_that_are_alike_one_that_is_late_leaves_all_unplanned(void **state)
{
  struct kit *kit = *state;
  struct nm_plan plans[HERD];
  accept_herd(kit, plans, "1");
  struct nm_plan late = plans[70];
  kit_plan(kit, &late);
  struct nm_store_plan asked = { .plans = plans, .count = HERD };
  assert_int_equal(kit_ask(kit, NM_STORE_PLAN, &asked.request), NM_ECONFLICT);
  for (int i = 0; i < HERD; i++)
    kit_assert_state(kit, plans[i].event_id, i == 70 ? "held" : "new");
}

static void ids_go_up_even_where_the_clock_stepped_back(void **state)
{
  struct kit *kit = *state;
  char sql[256];
  nm_store_close(kit->store);
  /* A row from a clock that was a day ahead. */
  int64_t ahead = (nm_clock_wall_ms() + 24 * HOUR_MS) * (1 << 20);
  snprintf(sql, sizeof sql,
           "INSERT INTO batches (id, tenant_id, state, due_at, attempts, reason, created_at)"
           " VALUES (%lld, 1, 3, 0, 0, '', 0)",
           (long long)ahead);
  kit_sql(kit, sql);
  kit_open(kit);
  int64_t first = kit_event_id(kit, 11, "1", "a", "");
  assert_int_equal(first, ahead + 1);
  assert_true(kit_event_id(kit, 11, "1", "b", "") > first);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(an_event_is_taken_as_it_came),
    KIT_TEST(the_same_event_again_is_a_duplicate_with_the_first_ones_id),
    KIT_TEST(a_duplicate_is_known_after_a_restart),
    KIT_TEST(a_duplicate_within_one_request_is_recognised),
    KIT_TEST(after_its_window_the_same_event_is_a_new_one),
    KIT_TEST(without_a_window_nothing_is_a_duplicate),
    KIT_TEST(many_identities_are_kept_apart),
    KIT_TEST(cancels_are_taken_first_then_by_age),
    KIT_TEST(what_was_taken_and_not_planned_is_free_after_a_restart),
    KIT_TEST(a_delayed_event_comes_back_when_due),
    KIT_TEST(an_event_is_planned_once),
    KIT_TEST(one_failing_plan_leaves_nothing_of_its_request),
    KIT_TEST(plans_that_are_alike_become_what_each_of_them_says),
    KIT_TEST(of_plans_that_are_alike_one_that_is_late_leaves_all_unplanned),
    KIT_TEST(ids_go_up_even_where_the_clock_stepped_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
