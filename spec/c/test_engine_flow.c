/* links: engine */
/* Events in, messages out, over restarts; cancels, and what the engine is asked. */
#include "flow_kit.h"

/* ---- single messages ------------------------------------------------------------------------- */

static void an_event_11_becomes_one_message_that_is_sent(void **state)
{
  struct flow *flow = *state;
  start(flow);
  int64_t id = accept_event(flow, 11, "7", "42", "");
  UNTIL(strcmp(message_state(flow, id), "sent") == 0);
  assert_int_equal(delivered(flow), 1);
  kit_assert_state(&flow->kit, id, "planned");
}

static void what_waited_before_the_start_is_sent_after_it(void **state)
{
  struct flow *flow = *state;
  int64_t last = 0;
  char customer[16];
  for (int i = 0; i < 1000; i++) {
    snprintf(customer, sizeof customer, "C%d", i);
    last = accept_event(flow, 11, "7", customer, "");
  }
  start(flow);
  UNTIL(delivered(flow) == 1000);
  UNTIL(strcmp(message_state(flow, last), "sent") == 0);
}

static void
a_template_on_the_wrong_channel_or_without_provider_is_held_with_the_reason(void **state)
{
  struct flow *flow = *state;
  start(flow);
  struct nm_store_arrival arrival = kit_event(11, "7", "42", "");
  arrival.event.tenant_id = flow->tenant_id;
  arrival.event.template_id = 1203;
  arrival.event.channel_id = OTHER_CHANNEL;
  int64_t id = kit_accept(&flow->kit, &arrival);
  UNTIL(is_state(kit_show(&flow->kit, id), "held"));
  assert_string_equal(event_reason(flow, id), "no provider for sms");
}

static void an_inactive_connector_holds_11_and_13_and_obeys_4(void **state)
{
  struct flow *flow = *state;
  save_tenant(flow, "INACTIVE", FAST);
  start(flow);
  int64_t single = accept_event(flow, 11, "7", "42", "");
  int64_t campaign = accept_event(flow, 13, "7", "", "2026-11-23 10:00:00");
  int64_t cancel = accept_event(flow, 4, "7", "", "2026-11-23 10:05:00");
  UNTIL(is_state(kit_show(&flow->kit, single), "held"));
  UNTIL(is_state(kit_show(&flow->kit, campaign), "held"));
  UNTIL(is_state(kit_show(&flow->kit, cancel), "planned"));
  assert_string_equal(event_reason(flow, campaign), "the connector is INACTIVE");
}

static void a_hook_event_says_what_is_missing(void **state)
{
  struct flow *flow = *state;
  save_tenant(flow, "INACTIVE", FAST);
  start(flow);
  struct nm_store_arrival arrival = {
    .event = { .tenant_id = flow->tenant_id, .received_at_ms = nm_clock_wall_ms(),
               .kind = NM_EVENT_HOOK, .customer = NM_TEXT("42"), .name = NM_TEXT("REFUND"),
               .body = NM_TEXT("{\"name\":\"REFUND\",\"extId\":\"42\"}") },
    .identity = NM_TEXT("hook|1"), .window_ms = 1000,
  };
  int64_t id = kit_accept(&flow->kit, &arrival);
  UNTIL(is_state(kit_show(&flow->kit, id), "skipped"));
  assert_string_equal(event_reason(flow, id),
                      "the connector is INACTIVE, no hook of the name REFUND, no rule");
}

static void a_message_whose_time_is_over_is_not_sent(void **state)
{
  struct flow *flow = *state;
  struct nm_message message = kit_message("7", "42");
  message.provider = NM_TEXT("loop");
  message.expires_at_ms = nm_clock_wall_ms() - 1;
  struct nm_plan plan = { .event_id = accept_event(flow, 11, "7", "42", ""),
                          .tenant_id = flow->tenant_id, .state = NM_EVENT_PLANNED,
                          .messages = &message, .message_count = 1 };
  kit_plan(&flow->kit, &plan);
  start(flow);
  UNTIL(strcmp(message_state(flow, plan.event_id), "expired") == 0);
  assert_int_equal(delivered(flow), 0);
}

static void a_message_of_a_provider_that_is_gone_is_held(void **state)
{
  struct flow *flow = *state;
  struct nm_message message = kit_message("7", "42");
  message.provider = NM_TEXT("gone");
  struct nm_plan plan = { .event_id = accept_event(flow, 11, "7", "42", ""),
                          .tenant_id = flow->tenant_id, .state = NM_EVENT_PLANNED,
                          .messages = &message, .message_count = 1 };
  kit_plan(&flow->kit, &plan);
  start(flow);
  UNTIL(strcmp(message_state(flow, plan.event_id), "held") == 0);
}

static void quiet_hours_give_a_leased_message_back_until_they_end(void **state)
{
  struct flow *flow = *state;
  struct nm_local local;
  const struct nm_zone *zone;
  assert_int_equal(nm_zone_find(&zone, NM_TEXT("UTC")), NM_OK);
  nm_zone_local(zone, nm_clock_wall_ms(), &local);
  struct nm_message message = kit_message("7", "42");
  message.provider = NM_TEXT("loop");
  /* an hour before to an hour after now, whatever the hour is */
  message.quiet = (struct nm_quiet){ (local.hour + 23) % 24 * 60, (local.hour + 2) % 24 * 60 };
  struct nm_plan plan = { .event_id = accept_event(flow, 11, "7", "42", ""),
                          .tenant_id = flow->tenant_id, .state = NM_EVENT_PLANNED,
                          .messages = &message, .message_count = 1 };
  kit_plan(&flow->kit, &plan);
  start(flow);
  UNTIL(number_of(kit_show(&flow->kit, message.id), "due_at") >
        nm_clock_wall_ms() + 30 * 60 * 1000);
  assert_int_equal(delivered(flow), 0);
}

/* ---- cancels --------------------------------------------------------------------------------- */

static void a_4_that_waits_is_planned_before_its_13_and_wins(void **state)
{
  struct flow *flow = *state;
  accept_event(flow, 13, "7", "", "2026-11-23 10:00:00");
  accept_event(flow, 4, "7", "", "2026-11-23 10:05:00");
  start(flow);
  UNTIL(count_runs(flow) == 1);
  assert_true(is_state(only_run(flow), "cancelled"));
  assert_int_equal(number_of(only_run(flow), "rows_fetched"), 0);
}

static void a_4_that_waits_at_the_start_stops_what_waits_to_be_sent(void **state)
{
  struct flow *flow = *state;
  struct nm_message message = kit_message("7", "42");
  message.provider = NM_TEXT("loop");
  struct nm_plan plan = { .event_id = accept_event(flow, 11, "7", "42", "2026-11-23 10:00:00"),
                          .tenant_id = flow->tenant_id, .state = NM_EVENT_PLANNED,
                          .messages = &message, .message_count = 1 };
  kit_plan(&flow->kit, &plan);
  accept_event(flow, 4, "7", "", "");
  start(flow);
  UNTIL(strcmp(message_state(flow, plan.event_id), "stopped") == 0);
  assert_int_equal(delivered(flow), 0);
}

/* ---- control --------------------------------------------------------------------------------- */

static void explain_says_what_the_rules_make_of_an_event(void **state)
{
  struct flow *flow = *state;
  start(flow);
  json_t *args = json_pack("{s:s,s:{s:i,s:s,s:i,s:i,s:s,s:{s:s}}}", "tenant", "acme", "event",
                           "EventTypeID", 11, "CampaignID", "7", "ChannelID", CHANNEL, "TemplateID",
                           TEMPLATE, "CustomerID", "42", "attributes", "first_name", "Ada");
  json_t *answer = tell(flow, NM_CONTROL_EXPLAIN, args, NULL, NULL);
  json_t *effect = json_array_get(json_object_get(answer, "effects"), 0);
  assert_string_equal(json_string_value(json_object_get(effect, "effect")), "send");
  assert_string_equal(
      json_string_value(json_object_get(json_object_get(effect, "content"), "title")), "Hi Ada");
  assert_string_equal(json_string_value(json_object_get(answer, "provider")), "loop");
  assert_string_equal(json_string_value(json_object_get(answer, "state")), "planned");
  assert_int_equal(json_string_length(json_object_get(answer, "rules")), NM_RULES_DIGEST_BYTES);
  json_decref(answer);
  assert_int_equal(delivered(flow), 0); /* it only says */
}

static void a_saved_tenant_is_answered_though_optimove_does_not_answer(void **state)
{
  struct flow *flow = *state;
  start(flow);
  json_t *answer =
      tell(flow, NM_CONTROL_TENANT_SAVED, json_pack("{s:s}", "tenant", "acme"), NULL, NULL);
  assert_true(json_is_false(json_object_get(answer, "settled")));
  assert_true(json_array_size(json_object_get(answer, "todo")) > 0);
  assert_true(json_array_size(json_object_get(answer, "warnings")) > 0);
  json_decref(answer);
  int rc = NM_OK;
  json_decref(
      tell(flow, NM_CONTROL_TENANT_SAVED, json_pack("{s:s}", "tenant", "nobody"), NULL, &rc));
  assert_int_equal(rc, NM_ENOTFOUND);
}

static void status_names_lanes_and_rules(void **state)
{
  struct flow *flow = *state;
  start(flow);
  int64_t id = accept_event(flow, 11, "7", "42", "");
  UNTIL(strcmp(message_state(flow, id), "sent") == 0);
  json_t *answer = tell(flow, NM_CONTROL_STATUS, NULL, NULL, NULL);
  json_t *lane = json_array_get(json_object_get(answer, "lanes"), 0);
  assert_string_equal(json_string_value(json_object_get(lane, "provider")), "loop");
  assert_int_equal(json_array_size(json_object_get(answer, "generations")), 1);
  json_decref(answer);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    FLOW_TEST(an_event_11_becomes_one_message_that_is_sent),
    FLOW_TEST(what_waited_before_the_start_is_sent_after_it),
    FLOW_TEST(a_template_on_the_wrong_channel_or_without_provider_is_held_with_the_reason),
    FLOW_TEST(an_inactive_connector_holds_11_and_13_and_obeys_4),
    FLOW_TEST(a_hook_event_says_what_is_missing),
    FLOW_TEST(a_message_whose_time_is_over_is_not_sent),
    FLOW_TEST(a_message_of_a_provider_that_is_gone_is_held),
    FLOW_TEST(quiet_hours_give_a_leased_message_back_until_they_end),
    FLOW_TEST(a_4_that_waits_is_planned_before_its_13_and_wins),
    FLOW_TEST(a_4_that_waits_at_the_start_stops_what_waits_to_be_sent),
    FLOW_TEST(explain_says_what_the_rules_make_of_an_event),
    FLOW_TEST(a_saved_tenant_is_answered_though_optimove_does_not_answer),
    FLOW_TEST(status_names_lanes_and_rules),
  };
  (void)kit_setup; /* the store's own: a flow has its own */
  (void)kit_teardown;
  return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
