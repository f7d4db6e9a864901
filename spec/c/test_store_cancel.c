/* links: store */
#include "store_kit.h"

static void expand_three(struct kit *kit, int64_t run_id, struct nm_message *messages)
{
  for (int i = 0; i < 3; i++)
    messages[i] = kit_message("99", "u");
  struct nm_store_expand asked = { .run_id = run_id, .to_row = 3, .messages = messages,
                                   .message_count = 3 };
  KIT_MUST(kit, NM_STORE_EXPAND, &asked);
}

static void a_cancel_that_comes_first_wins(void **state)
{
  struct kit *kit = *state;
  kit_cancel(kit, "99", CHANNEL, "s2", 2000, 0);
  struct nm_run run = kit_run(kit, "99", "s1", 1000);
  assert_int_equal(run.state, NM_RUN_CANCELLED);
  assert_true(run.fenced_at_ms > 0);
  assert_int_equal(kit_single(kit, "99", "u", "s2", 2000).state, NM_MESSAGE_STOPPED);
  assert_int_equal(kit_lease(kit, 5).count, 0);
  kit_reopen(kit);
  assert_int_equal(kit_run(kit, "99", "s0", 500).state, NM_RUN_CANCELLED);
}

static void a_later_trigger_is_not_covered(void **state)
{
  struct kit *kit = *state;
  kit_cancel(kit, "99", CHANNEL, "s2", 2000, 0);
  assert_int_equal(kit_run(kit, "99", "s3", 2001).state, NM_RUN_ACTIVE);
  assert_int_equal(kit_single(kit, "99", "u", "s3", 2001).state, NM_MESSAGE_WAITING);
  assert_int_equal(kit_single(kit, "98", "u", "s1", 1).state, NM_MESSAGE_WAITING);
}

static void without_stamps_the_order_of_arrival_decides(void **state)
{
  struct kit *kit = *state;
  int64_t early = kit_event_id(kit, 13, "99", "", "early");
  kit_cancel(kit, "99", CHANNEL, "", 0, 0);
  struct nm_run run = { .channel_id = CHANNEL, .campaign = NM_TEXT("99"),
                        .triggered_at_ms = nm_clock_wall_ms() };
  struct nm_plan plan = { .event_id = early, .tenant_id = TENANT, .state = NM_EVENT_PLANNED,
                          .run = &run, .stamp_ms = 5000 };
  kit_plan(kit, &plan);
  assert_int_equal(run.state, NM_RUN_CANCELLED);
  assert_int_equal(kit_run(kit, "99", "late", 1).state, NM_RUN_ACTIVE);
}

static void a_cancel_stops_the_run_and_what_waits(void **state)
{
  struct kit *kit = *state;
  struct nm_message messages[3];
  struct nm_run run = kit_run(kit, "99", "s1", 1000);
  struct nm_run later = kit_run(kit, "97", "s1", 1000);
  expand_three(kit, run.id, messages);
  struct nm_message single = kit_single(kit, "99", "u", "s1", 1000);
  struct nm_message young = kit_single(kit, "99", "u", "s9", 9000);

  struct nm_cancel cancel = kit_cancel(kit, "99", CHANNEL, "s2", 2000, 0);
  assert_true(cancel.fenced_at_ms > 0);
  assert_int_equal(cancel.run_count, 1);
  assert_int_equal(cancel.run_ids[0], run.id);
  assert_int_equal(cancel.stopped, 4);
  kit_assert_state(kit, run.id, "cancelled");
  kit_assert_state(kit, later.id, "active");
  kit_assert_state(kit, single.id, "stopped");
  assert_int_equal(kit_number(kit, run.id, "stopped"), 3);
  assert_int_equal(kit_number(kit, run.id, "waiting"), 0);
  struct nm_store_lease lease = kit_lease(kit, 10);
  assert_int_equal(lease.count, 1);
  assert_int_equal(lease.messages[0].id, young.id);

  /* Nothing of it is fed or expanded any more. */
  struct nm_store_page_save save = { .run_id = run.id, .rows = 1, .body = NM_TEXT("[{}]") };
  assert_int_equal(kit_ask(kit, NM_STORE_PAGE_SAVE, &save.request), NM_ECONFLICT);
  struct nm_store_expand expand = { .run_id = run.id, .from_row = 3, .to_row = 4,
                                    .messages = messages, .message_count = 1 };
  assert_int_equal(kit_ask(kit, NM_STORE_EXPAND, &expand.request), NM_ECONFLICT);
  assert_non_null(strstr(expand.request.error.text, "cancelled"));
}

static void a_channel_names_only_its_own(void **state)
{
  struct kit *kit = *state;
  struct nm_run run = kit_run(kit, "99", "s1", 1000);
  assert_int_equal(kit_cancel(kit, "99", OTHER_CHANNEL, "s2", 2000, 0).run_count, 0);
  kit_assert_state(kit, run.id, "active");
  assert_int_equal(kit_cancel(kit, "99", 0, "s3", 3000, 0).run_count, 1);
  kit_assert_state(kit, run.id, "cancelled");
}

static void what_is_in_flight_keeps_its_true_end(void **state)
{
  struct kit *kit = *state;
  struct nm_message messages[3];
  struct nm_run run = kit_run(kit, "99", "s1", 1000);
  expand_three(kit, run.id, messages);
  assert_int_equal(kit_lease(kit, 2).count, 2);
  struct nm_cancel cancel = kit_cancel(kit, "99", 0, "s2", 2000, 1);
  assert_int_equal(cancel.stopped, 1);
  kit_finish(kit, &messages[0], NM_MESSAGE_SENT);
  struct nm_finish again = { .message_id = messages[1].id, .run_id = run.id,
                             .state = NM_MESSAGE_WAITING, .due_at_ms = 1 };
  struct nm_store_finish finish = { .items = &again, .count = 1 };
  KIT_MUST(kit, NM_STORE_FINISH, &finish);
  kit_assert_state(kit, messages[0].id, "sent");
  kit_assert_state(kit, messages[1].id, "stopped");
  kit_assert_state(kit, messages[2].id, "stopped");
  kit_assert_state(kit, run.id, "cancelled");
  assert_int_equal(kit_number(kit, run.id, "sent"), 1);
  assert_int_equal(kit_number(kit, run.id, "stopped"), 2);
  assert_int_equal(kit_number(kit, run.id, "waiting"), 0);
  assert_int_equal(kit_number(kit, run.id, "in_flight_at_fence"), 1);
  assert_int_equal(kit_lease(kit, 10).count, 0);
}

static void a_single_message_in_flight_is_not_sent_again_after_a_cancel(void **state)
{
  struct kit *kit = *state;
  struct nm_message single = kit_single(kit, "99", "u", "s1", 1000);
  kit_lease(kit, 5);
  assert_int_equal(kit_cancel(kit, "99", 0, "s2", 2000, 1).stopped, 0);
  kit_assert_state(kit, single.id, "waiting");
  kit_finish(kit, &single, NM_MESSAGE_WAITING);
  kit_assert_state(kit, single.id, "stopped");
}

static void what_was_in_flight_at_a_fence_is_stopped_by_a_restart(void **state)
{
  struct kit *kit = *state;
  struct nm_message messages[3];
  struct nm_run run = kit_run(kit, "99", "s1", 1000);
  expand_three(kit, run.id, messages);
  struct nm_message single = kit_single(kit, "99", "u", "s1", 1000);
  struct nm_message young = kit_single(kit, "99", "u", "s9", 9000);
  assert_int_equal(kit_lease(kit, 10).count, 5);
  kit_cancel(kit, "99", 0, "s2", 2000, 4);
  kit_reopen(kit); /* their finish was never told */
  struct nm_store_lease lease = kit_lease(kit, 10);
  assert_int_equal(lease.count, 1);
  assert_int_equal(lease.messages[0].id, young.id);
  kit_assert_state(kit, single.id, "stopped");
  assert_int_equal(kit_number(kit, run.id, "stopped"), 3);
  assert_int_equal(kit_number(kit, run.id, "waiting"), 0);
}

static void an_operator_fences_one_run(void **state)
{
  struct kit *kit = *state;
  struct nm_message messages[3];
  struct nm_run run = kit_run(kit, "99", "s1", 1000);
  struct nm_message single = kit_single(kit, "99", "u", "s1", 1000);
  expand_three(kit, run.id, messages);
  struct nm_store_fence fence = { .run_id = run.id, .in_flight = 2 };
  KIT_MUST(kit, NM_STORE_FENCE, &fence);
  assert_int_equal(fence.stopped, 3);
  int64_t fenced_at_ms = fence.fenced_at_ms;
  assert_true(fenced_at_ms > 0);
  kit_assert_state(kit, run.id, "cancelled");
  kit_assert_state(kit, single.id, "waiting"); /* it is not of the run */
  assert_int_equal(kit_number(kit, run.id, "in_flight_at_fence"), 2);
  KIT_MUST(kit, NM_STORE_FENCE, &fence); /* again: as it was */
  assert_int_equal(fence.fenced_at_ms, fenced_at_ms);
  assert_int_equal(fence.stopped, 0);
  fence.run_id = 1;
  assert_int_equal(kit_ask(kit, NM_STORE_FENCE, &fence.request), NM_ENOTFOUND);
  struct nm_run done = kit_run(kit, "98", "s1", 1000);
  struct nm_store_expand end = { .run_id = done.id, .is_end = true };
  KIT_MUST(kit, NM_STORE_EXPAND, &end);
  fence.run_id = done.id;
  assert_int_equal(kit_ask(kit, NM_STORE_FENCE, &fence.request), NM_ECONFLICT);
}

static void what_was_cancelled_is_not_put_back_by_hand(void **state)
{
  struct kit *kit = *state;
  struct nm_message messages[3];
  struct nm_run run = kit_run(kit, "99", "s1", 1000);
  expand_three(kit, run.id, messages);
  struct nm_message single = kit_single(kit, "99", "u", "s1", 1000);
  kit_lease(kit, 10);
  kit_finish(kit, &messages[0], NM_MESSAGE_DEAD);
  kit_finish(kit, &single, NM_MESSAGE_DEAD);
  kit_cancel(kit, "99", 0, "s2", 2000, 0);
  struct nm_store_retry retry = { .ids = &messages[0].id, .count = 1, .now_ms = 1 };
  assert_int_equal(kit_ask(kit, NM_STORE_RETRY, &retry.request), NM_ECONFLICT);
  retry.ids = &single.id;
  assert_int_equal(kit_ask(kit, NM_STORE_RETRY, &retry.request), NM_ECONFLICT);
  kit_assert_state(kit, single.id, "dead");
}

static void a_tombstone_lives_for_48_hours_of_arrival(void **state)
{
  struct kit *kit = *state;
  kit_cancel(kit, "99", 0, "s2", 2000, 0);
  int64_t now_ms = nm_clock_wall_ms();
  struct nm_run run = { .channel_id = CHANNEL, .campaign = NM_TEXT("99"),
                        .triggered_at_ms = now_ms + 47 * HOUR_MS };
  struct nm_plan plan = { .event_id = kit_event_id(kit, 13, "99", "", "a"), .tenant_id = TENANT,
                          .state = NM_EVENT_PLANNED, .run = &run, .stamp_ms = 1000 };
  kit_plan(kit, &plan);
  assert_int_equal(run.state, NM_RUN_CANCELLED);
  run = (struct nm_run){ .channel_id = CHANNEL, .campaign = NM_TEXT("99"),
                         .triggered_at_ms = now_ms + 49 * HOUR_MS };
  plan.event_id = kit_event_id(kit, 13, "99", "", "b");
  kit_plan(kit, &plan);
  assert_int_equal(run.state, NM_RUN_ACTIVE);
}

static void several_runs_share_what_was_in_flight(void **state)
{
  struct kit *kit = *state;
  struct nm_message messages[3];
  struct nm_run first = kit_run(kit, "99", "s1", 1000);
  struct nm_run second = kit_run(kit, "99", "s2", 1000);
  assert_int_equal(second.state, NM_RUN_HELD);
  expand_three(kit, first.id, messages);
  kit_lease(kit, 2);
  struct nm_cancel cancel = kit_cancel(kit, "99", 0, "s3", 3000, 2);
  assert_int_equal(cancel.run_count, 2);
  assert_int_equal(kit_number(kit, first.id, "in_flight_at_fence"), 2);
  assert_int_equal(kit_number(kit, second.id, "in_flight_at_fence"), 0);
  kit_assert_state(kit, second.id, "cancelled");
}

static void a_tombstone_counts_after_a_restart(void **state)
{
  struct kit *kit = *state;
  kit_cancel(kit, "early", 0, "", 2000, 0);
  kit_reopen(kit);
  assert_int_equal(kit_single(kit, "early", "a", "", 1000).state, NM_MESSAGE_STOPPED);
  assert_int_equal(kit_single(kit, "other", "a", "", 1000).state, NM_MESSAGE_WAITING);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(a_tombstone_counts_after_a_restart),
    KIT_TEST(a_cancel_that_comes_first_wins),
    KIT_TEST(a_later_trigger_is_not_covered),
    KIT_TEST(without_stamps_the_order_of_arrival_decides),
    KIT_TEST(a_cancel_stops_the_run_and_what_waits),
    KIT_TEST(a_channel_names_only_its_own),
    KIT_TEST(what_is_in_flight_keeps_its_true_end),
    KIT_TEST(a_single_message_in_flight_is_not_sent_again_after_a_cancel),
    KIT_TEST(what_was_in_flight_at_a_fence_is_stopped_by_a_restart),
    KIT_TEST(an_operator_fences_one_run),
    KIT_TEST(what_was_cancelled_is_not_put_back_by_hand),
    KIT_TEST(a_tombstone_lives_for_48_hours_of_arrival),
    KIT_TEST(several_runs_share_what_was_in_flight),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
