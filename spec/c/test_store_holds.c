/* links: store */
/* Runs by hand: parked, released, played again, repinned; and looked at by the guard. */
#include "store_kit.h"

static const char *const page_body = "[{\"CustomerID\":\"u0\"},{\"CustomerID\":\"u1\"}]";

static void add_page(struct kit *kit, int64_t run_id, int64_t number, int64_t rows)
{
  struct nm_store_page_save save = { .run_id = run_id, .number = number, .rows = rows,
                                     .body = nm_text_from(page_body) };
  KIT_MUST(kit, NM_STORE_PAGE_SAVE, &save);
}

/* Two pages of two rows; `messages` of the first are made, `held` are marked. */
static struct nm_run expanded(struct kit *kit, const char *campaign, size_t count, int64_t held)
{
  struct nm_message messages[2];
  struct nm_hold_mark mark = { .reason = NM_TEXT("why"), .count = held, .rows = NM_TEXT("[1]") };
  struct nm_run run = kit_run(kit, campaign, "s", 1000);
  add_page(kit, run.id, 0, 2);
  add_page(kit, run.id, 1, 2);
  for (size_t i = 0; i < count; i++) {
    messages[i] = kit_message(campaign, i ? "u1" : "u0");
    messages[i].priority = NM_PRIORITY_RUN;
  }
  struct nm_store_expand asked = { .run_id = run.id, .to_page = 1, .messages = messages,
                                   .message_count = count, .holds = &mark,
                                   .hold_count = held > 0 };
  KIT_MUST(kit, NM_STORE_EXPAND, &asked);
  return run;
}

static int set_state(struct kit *kit, int64_t run_id, unsigned from, enum nm_run_state state,
                     bool is_parking)
{
  struct nm_store_run_set set = { .run_id = run_id, .from_states = from, .state = state,
                                  .reason = NM_TEXT("r"), .is_parking = is_parking };
  return kit_ask(kit, NM_STORE_RUN_SET, &set.request);
}

static int park(struct kit *kit, int64_t run_id)
{
  return set_state(kit, run_id, 1u << NM_RUN_ACTIVE | 1u << NM_RUN_PAUSED, NM_RUN_PAUSED, true);
}

static int release(struct kit *kit, int64_t run_id, struct nm_store_run_release *asked)
{
  *asked = (struct nm_store_run_release){ .run_id = run_id };
  return kit_ask(kit, NM_STORE_RUN_RELEASE, &asked->request);
}

static void give_back(struct kit *kit, const struct nm_message *message)
{
  struct nm_finish item = { .message_id = message->id, .run_id = message->run_id,
                            .state = NM_MESSAGE_WAITING };
  struct nm_store_finish finish = { .items = &item, .count = 1 };
  KIT_MUST(kit, NM_STORE_FINISH, &finish);
}

/* ---- parked ---------------------------------------------------------------------------------- */

static void a_parked_run_leases_nothing_until_its_release(void **state)
{
  struct kit *kit = *state;
  struct nm_store_run_release asked;
  struct nm_run run = expanded(kit, "1", 2, 0);
  assert_int_equal(park(kit, run.id), NM_OK);
  assert_int_equal(kit_lease(kit, 5).count, 0);
  kit_reopen(kit);
  assert_int_equal(kit_lease(kit, 5).count, 0);
  assert_int_equal(release(kit, run.id, &asked), NM_OK);
  assert_int_equal(asked.was, NM_RUN_PAUSED);
  assert_int_equal(asked.unparked, 2);
  assert_int_equal(kit_lease(kit, 5).count, 2);
  assert_int_equal(release(kit, run.id, &asked), NM_ECONFLICT);
}

static void what_is_out_is_parked_when_it_comes_back(void **state)
{
  struct kit *kit = *state;
  struct nm_run run = expanded(kit, "1", 2, 0);
  struct nm_store_lease lease = kit_lease(kit, 1);
  struct nm_message out = lease.messages[0];
  assert_int_equal(park(kit, run.id), NM_OK);
  give_back(kit, &out);
  assert_int_equal(kit_lease(kit, 5).count, 0);
  kit_assert_state(kit, out.id, "paused");
}

static void what_was_out_when_the_process_ended_is_parked_at_start(void **state)
{
  struct kit *kit = *state;
  struct nm_run run = expanded(kit, "1", 2, 0);
  assert_int_equal(kit_lease(kit, 1).count, 1);
  assert_int_equal(park(kit, run.id), NM_OK);
  kit_reopen(kit);
  assert_int_equal(kit_lease(kit, 5).count, 0);
}

static void a_release_before_it_comes_back_leaves_it_waiting(void **state)
{
  struct kit *kit = *state;
  struct nm_store_run_release asked;
  struct nm_run run = expanded(kit, "1", 1, 0);
  struct nm_message out = kit_lease(kit, 1).messages[0];
  assert_int_equal(park(kit, run.id), NM_OK);
  assert_int_equal(release(kit, run.id, &asked), NM_OK);
  give_back(kit, &out);
  assert_int_equal(kit_lease(kit, 5).count, 1);
}

static void a_cancel_stops_what_is_parked(void **state)
{
  struct kit *kit = *state;
  struct nm_run run = expanded(kit, "1", 2, 0);
  assert_int_equal(park(kit, run.id), NM_OK);
  struct nm_store_fence fence = { .run_id = run.id };
  KIT_MUST(kit, NM_STORE_FENCE, &fence);
  assert_int_equal(fence.stopped, 2);
  assert_int_equal(kit_number(kit, run.id, "waiting"), 0);
  assert_int_equal(kit_lease(kit, 5).count, 0);
}

/* ---- played again ---------------------------------------------------------------------------- */

static struct nm_store_mark_load load_mark(struct kit *kit, int64_t run_id)
{
  struct nm_store_mark_load load = { .run_id = run_id, .play_until = INT64_MAX };
  KIT_MUST(kit, NM_STORE_MARK_LOAD, &load);
  return load;
}

static int play(struct kit *kit, int64_t run_id, const struct nm_store_mark_load *mark,
                struct nm_message *message)
{
  *message = kit_message("1", "u1");
  message->priority = NM_PRIORITY_RUN;
  struct nm_store_expand asked = { .run_id = run_id, .mark_id = mark->mark_id,
                                   .from_page = mark->page, .messages = message,
                                   .message_count = 1 };
  return kit_ask(kit, NM_STORE_EXPAND, &asked.request);
}

static void a_mark_is_played_once_and_the_cursor_stays(void **state)
{
  struct kit *kit = *state;
  struct nm_store_run_release asked;
  struct nm_message message;
  struct nm_run run = expanded(kit, "1", 1, 1);
  assert_int_equal(release(kit, run.id, &asked), NM_OK);
  assert_int_equal(asked.rows, 1);
  struct nm_store_mark_load mark = load_mark(kit, run.id);
  assert_true(mark.mark_id > 0);
  assert_true(nm_text_equal(mark.rows, NM_TEXT("[1]")));
  assert_int_equal(mark.page, 0);
  assert_int_equal(play(kit, run.id, &mark, &message), NM_OK);
  assert_int_equal(play(kit, run.id, &mark, &message), NM_ECONFLICT);
  assert_int_equal(load_mark(kit, run.id).mark_id, 0);
  assert_int_equal(kit_number(kit, run.id, "held"), 0);
  assert_int_equal(kit_number(kit, run.id, "made"), 2);
  assert_int_equal(kit_number(kit, run.id, "cursor_page"), 1);
  assert_int_equal(kit_lease(kit, 5).count, 2);
}

static void a_run_whose_pages_are_gone_is_not_played(void **state)
{
  struct kit *kit = *state;
  struct nm_store_run_release asked;
  struct nm_run run = expanded(kit, "1", 1, 1);
  kit_sql(kit, "DELETE FROM pages");
  assert_int_equal(release(kit, run.id, &asked), NM_ECONFLICT);
}

/* ---- repinned -------------------------------------------------------------------------------- */

static int64_t add_generation(struct kit *kit, const char *digest)
{
  struct nm_store_generation_save save = { .generation = { .tenant_id = TENANT,
                                                           .digest = nm_text_from(digest),
                                                           .source = NM_TEXT("x") } };
  KIT_MUST(kit, NM_STORE_GENERATION_SAVE, &save);
  return save.generation.id;
}

static int64_t generation_of(struct kit *kit, const struct nm_run *run)
{
  char sql[96];
  snprintf(sql, sizeof sql, "SELECT generation_id FROM runs WHERE id = %lld", (long long)run->id);
  return kit_sql_number(kit, sql);
}

static void repin_takes_over_with_the_page_after_the_cursor(void **state)
{
  struct kit *kit = *state;
  int64_t first = add_generation(kit, "one");
  char sql[96];
  struct nm_run run = expanded(kit, "1", 1, 0);
  snprintf(sql, sizeof sql, "UPDATE runs SET generation_id = %lld", (long long)first);
  kit_sql(kit, sql);
  int64_t second = add_generation(kit, "two");
  struct nm_store_run_repin repin = { .run_id = run.id };
  KIT_MUST(kit, NM_STORE_RUN_REPIN, &repin);
  assert_true(repin.is_changed);
  assert_int_equal(repin.generation_id, second);
  assert_int_equal(repin.page, 2);
  assert_int_equal(generation_of(kit, &run), first);

  struct nm_store_expand next = { .run_id = run.id, .from_page = 1, .to_page = 1, .to_row = 1 };
  KIT_MUST(kit, NM_STORE_EXPAND, &next);
  assert_int_equal(generation_of(kit, &run), first);
  next = (struct nm_store_expand){ .run_id = run.id, .from_page = 1, .from_row = 1, .to_page = 2 };
  KIT_MUST(kit, NM_STORE_EXPAND, &next);
  assert_int_equal(generation_of(kit, &run), second);
}

static void repin_is_at_once_where_the_old_rules_are_gone(void **state)
{
  struct kit *kit = *state;
  struct nm_run run = expanded(kit, "1", 1, 0);
  int64_t active = add_generation(kit, "one");
  struct nm_store_run_repin repin = { .run_id = run.id };
  kit_sql(kit, "UPDATE runs SET generation_id = 4711");
  KIT_MUST(kit, NM_STORE_RUN_REPIN, &repin);
  assert_int_equal(repin.page, 1);
  assert_int_equal(generation_of(kit, &run), active);
}

/* ---- the guard ------------------------------------------------------------------------------- */

static struct nm_store_run_check check(struct kit *kit, const struct nm_run *run, int64_t run_max,
                                       int64_t hour_max, int64_t made, double differs)
{
  struct nm_store_run_check asked = { .run_id = run->id, .template_id = 7, .sample = NM_TEXT("[]"),
                                      .run_max = run_max, .hour_max = hour_max, .made = made,
                                      .differs = differs, .now_ms = nm_clock_wall_ms() };
  KIT_MUST(kit, NM_STORE_RUN_CHECK, &asked);
  return asked;
}

static struct nm_run fetched(struct kit *kit, const char *campaign, int64_t rows)
{
  char sql[96];
  struct nm_run run = kit_run(kit, campaign, "s", 1000);
  add_page(kit, run.id, 0, 2);
  snprintf(sql, sizeof sql, "UPDATE runs SET rows_fetched = %lld WHERE id = %lld", (long long)rows,
           (long long)run.id);
  kit_sql(kit, sql);
  return run;
}

static void the_guard_holds_what_is_above_a_ceiling_and_nothing_at_it(void **state)
{
  struct kit *kit = *state;
  struct nm_run at = fetched(kit, "1", 100), above = fetched(kit, "2", 101),
                hour = fetched(kit, "3", 50), within = fetched(kit, "4", 50);
  assert_int_equal(check(kit, &at, 100, 0, 0, 0).reason.len, 0);
  assert_true(check(kit, &above, 100, 0, 0, 0).reason.len > 0);
  kit_assert_state(kit, above.id, "held");
  assert_true(check(kit, &hour, 0, 100, 51, 0).reason.len > 0);
  assert_int_equal(check(kit, &within, 0, 100, 50, 0).reason.len, 0);
}

static void the_guard_compares_with_the_last_that_passed(void **state)
{
  struct kit *kit = *state;
  struct nm_run first = fetched(kit, "1", 100), more = fetched(kit, "2", 301),
                fewer = fetched(kit, "3", 33), like = fetched(kit, "4", 300);
  struct nm_store_run_release asked;
  assert_int_equal(check(kit, &first, 0, 0, 0, 3).reason.len, 0);
  assert_true(check(kit, &more, 0, 0, 0, 3).reason.len > 0);
  assert_true(check(kit, &fewer, 0, 0, 0, 3).reason.len > 0);
  assert_int_equal(check(kit, &like, 0, 0, 0, 3).reason.len, 0);
  assert_int_equal(release(kit, more.id, &asked), NM_OK);
  assert_int_equal(kit_number(kit, more.id, "checked_at") > 0, 1);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(a_parked_run_leases_nothing_until_its_release),
    KIT_TEST(what_is_out_is_parked_when_it_comes_back),
    KIT_TEST(what_was_out_when_the_process_ended_is_parked_at_start),
    KIT_TEST(a_release_before_it_comes_back_leaves_it_waiting),
    KIT_TEST(a_cancel_stops_what_is_parked),
    KIT_TEST(a_mark_is_played_once_and_the_cursor_stays),
    KIT_TEST(a_run_whose_pages_are_gone_is_not_played),
    KIT_TEST(repin_takes_over_with_the_page_after_the_cursor),
    KIT_TEST(repin_is_at_once_where_the_old_rules_are_gone),
    KIT_TEST(the_guard_holds_what_is_above_a_ceiling_and_nothing_at_it),
    KIT_TEST(the_guard_compares_with_the_last_that_passed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
