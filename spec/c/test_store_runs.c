/* links: store */
#include "store_kit.h"

static const char *const page_body = "[{\"CustomerID\":\"u0\"},{\"CustomerID\":\"u1\"}]";

static int save_page(struct kit *kit, int64_t run_id, int64_t number, int64_t rows,
                     int64_t due_at_ms)
{
  struct nm_store_page_save save = { .run_id = run_id, .number = number, .rows = rows,
                                     .due_at_ms = due_at_ms, .body = nm_text_from(page_body) };
  return kit_ask(kit, NM_STORE_PAGE_SAVE, &save.request);
}

struct step {
  int64_t from_page, from_row, to_page, to_row;
  size_t messages;
  bool is_end;
};

static int expand(struct kit *kit, int64_t run_id, struct step step, struct nm_message *messages)
{
  for (size_t i = 0; i < step.messages; i++) {
    messages[i] = kit_message("99", "u");
    messages[i].priority = NM_PRIORITY_RUN;
  }
  struct nm_store_expand asked = { .run_id = run_id,
                                   .from_page = step.from_page,
                                   .from_row = step.from_row,
                                   .to_page = step.to_page,
                                   .to_row = step.to_row,
                                   .is_end = step.is_end,
                                   .messages = messages,
                                   .message_count = step.messages };
  return kit_ask(kit, NM_STORE_EXPAND, &asked.request);
}

static struct nm_store_resume resume(struct kit *kit)
{
  struct nm_store_resume asked = { .run_count = 0 };
  KIT_MUST(kit, NM_STORE_RESUME, &asked);
  return asked;
}

static void pages_are_stored_in_order_and_come_back_whole(void **state)
{
  struct kit *kit = *state;
  struct nm_run run = kit_run(kit, "99", "s1", 1000);
  assert_int_equal(run.state, NM_RUN_ACTIVE);
  assert_int_equal(save_page(kit, run.id, 1, 2, 0), NM_ECONFLICT);
  assert_int_equal(save_page(kit, run.id, 0, 2, 777), NM_OK);
  assert_int_equal(save_page(kit, run.id, 0, 2, 0), NM_ECONFLICT);
  assert_int_equal(save_page(kit, run.id + 1, 0, 2, 0), NM_ENOTFOUND);
  assert_int_equal(save_page(kit, run.id, 1, 0, 0), NM_OK); /* the empty one */
  assert_int_equal(save_page(kit, run.id, 1, 2, 0), NM_ECONFLICT);
  kit_reopen(kit);

  struct nm_store_page_load load = { .run_id = run.id, .number = 0 };
  KIT_MUST(kit, NM_STORE_PAGE_LOAD, &load);
  assert_true(nm_text_equal(load.body, nm_text_from(page_body)));
  assert_int_equal(load.rows, 2);
  assert_int_equal(load.due_at_ms, 777);
  load.number = 1;
  assert_int_equal(kit_ask(kit, NM_STORE_PAGE_LOAD, &load.request), NM_ENOTFOUND);

  struct nm_store_resume at_start = resume(kit);
  assert_int_equal(at_start.run_count, 1);
  assert_int_equal(at_start.runs[0].rows_fetched, 2);
  assert_int_equal(at_start.runs[0].pages_fetched, 1);
  assert_true(at_start.runs[0].is_fetched);
  assert_true(nm_text_equal(at_start.runs[0].campaign, NM_TEXT("99")));
}

/* Once the reader wrote into a request that the writer had answered. */
static void a_refused_page_says_so_every_time(void **state)
{
  struct kit *kit = *state;
  struct nm_run run = kit_run(kit, "99", "s1", 0);
  for (int i = 0; i < 2000; i++) {
    struct nm_store_page_save save = { .run_id = run.id, .number = 1, .rows = 1,
                                       .body = NM_TEXT("[{}]") };
    assert_int_equal(kit_ask(kit, NM_STORE_PAGE_SAVE, &save.request), NM_ECONFLICT);
  }
}

static void a_large_page_is_compressed(void **state)
{
  struct kit *kit = *state;
  enum { BYTES = 3 * 1024 * 1024 };
  char *body = malloc(BYTES);
  for (int i = 0; i < BYTES; i++)
    body[i] = (char)('a' + i / 7 % 26);
  struct nm_run run = kit_run(kit, "99", "s1", 0);
  struct nm_store_page_save save = { .run_id = run.id, .rows = 10000, .body = { body, BYTES } };
  KIT_MUST(kit, NM_STORE_PAGE_SAVE, &save);
  struct nm_store_page_load load = { .run_id = run.id };
  KIT_MUST(kit, NM_STORE_PAGE_LOAD, &load);
  assert_int_equal(load.body.len, BYTES);
  assert_memory_equal(load.body.ptr, body, BYTES);
  json_t *status = kit_query(kit, NM_QUERY_STATUS, NULL);
  assert_true(json_integer_value(json_object_get(status, "database_bytes")) < BYTES / 4);
  json_decref(status);
  free(body);
}

static void the_cursor_moves_exactly(void **state)
{
  struct kit *kit = *state;
  struct nm_message messages[4];
  struct nm_run run = kit_run(kit, "99", "s1", 0);
  save_page(kit, run.id, 0, 4, 0);
  assert_int_equal(expand(kit, run.id, (struct step){ 0, 0, 0, 2, 2, false }, messages), NM_OK);
  assert_int_equal(messages[0].run_id, run.id);
  /* The same step again, a gap, and a step back are refused and write nothing. */
  assert_int_equal(expand(kit, run.id, (struct step){ 0, 0, 0, 2, 2, false }, messages),
                   NM_ECONFLICT);
  assert_int_equal(expand(kit, run.id, (struct step){ 0, 3, 1, 0, 1, false }, messages),
                   NM_ECONFLICT);
  assert_int_equal(expand(kit, run.id, (struct step){ 0, 2, 0, 1, 1, false }, messages), NM_EINVAL);
  assert_int_equal(kit_lease(kit, 10).count, 2);
  kit_reopen(kit);
  struct nm_store_resume at_start = resume(kit);
  assert_int_equal(at_start.runs[0].cursor_page, 0);
  assert_int_equal(at_start.runs[0].cursor_row, 2);
  assert_int_equal(at_start.runs[0].made, 2);
  assert_int_equal(at_start.lane_count, 1);
  assert_true(nm_text_equal(at_start.lanes[0].provider, NM_TEXT("netmera")));
  assert_int_equal(expand(kit, run.id, (struct step){ 0, 2, 1, 0, 2, false }, messages), NM_OK);
  assert_int_equal(kit_lease(kit, 10).count, 4);
}

static void a_run_is_done_when_expanded_and_nothing_waits(void **state)
{
  struct kit *kit = *state;
  struct nm_message messages[3];
  struct nm_run run = kit_run(kit, "99", "s1", 0);
  save_page(kit, run.id, 0, 3, 0);
  expand(kit, run.id, (struct step){ 0, 0, 0, 1, 1, false }, messages);
  kit_lease(kit, 10);
  kit_finish(kit, &messages[0], NM_MESSAGE_SENT);
  kit_assert_state(kit, run.id, "active"); /* nothing waits, but rows are left */
  expand(kit, run.id, (struct step){ 0, 1, 1, 0, 2, true }, messages + 1);
  kit_assert_state(kit, run.id, "expanded");
  kit_lease(kit, 10);
  kit_finish(kit, &messages[1], NM_MESSAGE_DEAD);
  kit_assert_state(kit, run.id, "expanded");
  kit_finish(kit, &messages[2], NM_MESSAGE_EXPIRED);
  kit_assert_state(kit, run.id, "done");
  assert_int_equal(kit_number(kit, run.id, "made"), 3);
  assert_int_equal(kit_number(kit, run.id, "sent"), 1);
  assert_int_equal(kit_number(kit, run.id, "dead"), 1);
  assert_int_equal(kit_number(kit, run.id, "expired"), 1);
  assert_int_equal(resume(kit).run_count, 0);

  /* A dead one put back by hand opens it again. */
  struct nm_store_retry retry = { .ids = &messages[1].id, .count = 1,
                                  .now_ms = nm_clock_wall_ms() };
  KIT_MUST(kit, NM_STORE_RETRY, &retry);
  kit_assert_state(kit, run.id, "expanded");
  assert_int_equal(kit_number(kit, run.id, "dead"), 0);
  assert_int_equal(kit_lease(kit, 10).count, 1);
  kit_finish(kit, &messages[1], NM_MESSAGE_SENT);
  kit_assert_state(kit, run.id, "done");
}

static void a_run_whose_last_step_makes_nothing_is_done_at_once(void **state)
{
  struct kit *kit = *state;
  struct nm_run run = kit_run(kit, "99", "s1", 0);
  assert_int_equal(expand(kit, run.id, (struct step){ 0, 0, 0, 0, 0, true }, NULL), NM_OK);
  kit_assert_state(kit, run.id, "done");
}

static void held_rows_are_counted_by_reason(void **state)
{
  struct kit *kit = *state;
  struct nm_run run = kit_run(kit, "99", "s1", 0);
  struct nm_hold_mark holds[2] = { { NM_TEXT("no template"), 2, NM_TEXT("[0,1]") },
                                   { NM_TEXT("no address"), 1, NM_TEXT("[2]") } };
  struct nm_store_expand asked = { .run_id = run.id, .to_page = 1, .repeated = 4, .skipped = 5,
                                   .holds = holds, .hold_count = 2 };
  KIT_MUST(kit, NM_STORE_EXPAND, &asked);
  asked.from_page = 1;
  asked.to_page = 2;
  asked.hold_count = 1;
  KIT_MUST(kit, NM_STORE_EXPAND, &asked);
  json_t *shown = kit_query(kit, NM_QUERY_RUN, json_pack("{s:I}", "id", (json_int_t)run.id));
  assert_int_equal(json_integer_value(json_object_get(shown, "held")), 5);
  assert_int_equal(json_integer_value(json_object_get(shown, "repeated")), 8);
  json_t *first = json_array_get(json_object_get(shown, "holds"), 0);
  assert_string_equal(json_string_value(json_object_get(first, "reason")), "no template");
  assert_int_equal(json_integer_value(json_object_get(first, "count")), 4);
  assert_int_equal(json_integer_value(json_object_get(first, "pages")), 2);
  json_t *progress = json_object_get(shown, "progress");
  assert_int_equal(json_integer_value(json_object_get(progress, "cursor_page")), 2);
  json_decref(shown);
}

static void a_second_run_within_twelve_hours_is_held_and_names_the_first(void **state)
{
  struct kit *kit = *state;
  char number[24];
  struct nm_run first = kit_run(kit, "99", "s1", 1000);
  struct nm_run second = kit_run(kit, "99", "s2", 2000);
  struct nm_run other = kit_run(kit, "98", "s2", 2000);
  snprintf(number, sizeof number, "run %lld ", (long long)first.id);
  assert_int_equal(second.state, NM_RUN_HELD);
  assert_non_null(strstr(second.reason.ptr, number));
  assert_int_equal(other.state, NM_RUN_ACTIVE);
  assert_int_equal(resume(kit).run_count, 3);

  /* Released by hand. */
  struct nm_store_run_set set = { .run_id = second.id, .from_states = 1u << NM_RUN_HELD,
                                  .state = NM_RUN_ACTIVE };
  KIT_MUST(kit, NM_STORE_RUN_SET, &set);
  kit_assert_state(kit, second.id, "active");
  assert_int_equal(kit_ask(kit, NM_STORE_RUN_SET, &set.request), NM_ECONFLICT);
}

static struct nm_run run_at(struct kit *kit, const char *stamp, int64_t triggered_at_ms,
                            int64_t window_ms)
{
  struct nm_run run = { .channel_id = CHANNEL, .campaign = NM_TEXT("99"),
                        .triggered_at_ms = triggered_at_ms };
  struct nm_plan plan = { .event_id = kit_event_id(kit, 13, "99", "", stamp), .tenant_id = TENANT,
                          .state = NM_EVENT_PLANNED, .run = &run, .run_window_ms = window_ms };
  kit_plan(kit, &plan);
  return run;
}

static void the_window_ends_after_twelve_hours_and_can_be_lifted(void **state)
{
  struct kit *kit = *state;
  int64_t now_ms = nm_clock_wall_ms();
  assert_int_equal(run_at(kit, "a", now_ms - 12 * HOUR_MS, 12 * HOUR_MS).state, NM_RUN_ACTIVE);
  assert_int_equal(run_at(kit, "b", now_ms, 12 * HOUR_MS).state, NM_RUN_ACTIVE);
  assert_int_equal(run_at(kit, "c", now_ms, 12 * HOUR_MS).state, NM_RUN_HELD);
  assert_int_equal(run_at(kit, "d", now_ms, 0).state, NM_RUN_ACTIVE);
}

static void after_a_cancel_a_later_trigger_is_a_new_run(void **state)
{
  struct kit *kit = *state;
  struct nm_run first = kit_run(kit, "99", "s1", 1000);
  kit_cancel(kit, "99", 0, "s2", 2000, 0);
  kit_assert_state(kit, first.id, "cancelled");
  assert_int_equal(kit_run(kit, "99", "s3", 3000).state, NM_RUN_ACTIVE);
}

static void a_paused_run_is_not_expanded(void **state)
{
  struct kit *kit = *state;
  struct nm_message messages[1];
  struct nm_run run = kit_run(kit, "99", "s1", 0);
  struct nm_store_run_set set = { .run_id = run.id, .from_states = 1u << NM_RUN_ACTIVE,
                                  .state = NM_RUN_PAUSED };
  KIT_MUST(kit, NM_STORE_RUN_SET, &set);
  assert_int_equal(expand(kit, run.id, (struct step){ 0, 0, 0, 1, 1, false }, messages),
                   NM_ECONFLICT);
  assert_int_equal(kit_lease(kit, 10).count, 0);
  set.run_id = 4711;
  assert_int_equal(kit_ask(kit, NM_STORE_RUN_SET, &set.request), NM_ENOTFOUND);
  set = (struct nm_store_run_set){ .run_id = run.id, .from_states = ~0u,
                                   .state = NM_RUN_CANCELLED };
  assert_int_equal(kit_ask(kit, NM_STORE_RUN_SET, &set.request), NM_EINVAL);
}

static void runs_are_listed_newest_first(void **state)
{
  struct kit *kit = *state;
  kit_run(kit, "1", "s", 0);
  struct nm_run second = kit_run(kit, "2", "s", 0);
  struct nm_run third = kit_run(kit, "3", "s", 0);
  json_t *rows = kit_query(kit, NM_QUERY_RUNS, json_pack("{s:i}", "limit", 2));
  char id[24];
  snprintf(id, sizeof id, "%lld", (long long)third.id);
  assert_int_equal(json_array_size(rows), 2);
  assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "id")), id);
  json_decref(rows);
  rows = kit_query(kit, NM_QUERY_RUNS, json_pack("{s:I}", "before", (json_int_t)second.id));
  assert_int_equal(json_array_size(rows), 1);
  json_decref(rows);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(pages_are_stored_in_order_and_come_back_whole),
    KIT_TEST(a_refused_page_says_so_every_time),
    KIT_TEST(a_large_page_is_compressed),
    KIT_TEST(the_cursor_moves_exactly),
    KIT_TEST(a_run_is_done_when_expanded_and_nothing_waits),
    KIT_TEST(a_run_whose_last_step_makes_nothing_is_done_at_once),
    KIT_TEST(held_rows_are_counted_by_reason),
    KIT_TEST(a_second_run_within_twelve_hours_is_held_and_names_the_first),
    KIT_TEST(the_window_ends_after_twelve_hours_and_can_be_lifted),
    KIT_TEST(after_a_cancel_a_later_trigger_is_a_new_run),
    KIT_TEST(a_paused_run_is_not_expanded),
    KIT_TEST(runs_are_listed_newest_first),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
