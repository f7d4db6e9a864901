/* links: engine */
/* How many sends go at a time, and how much an hour had. */
#include "check.h"

#include "engine/hour.h"
#include "engine/speed.h"
#include "engine/width.h"

static void quick_answers_widen_up_to_the_most(void **state)
{
  struct nm_width width;
  (void)state;
  nm_width_set(&width, 8, true);
  assert_int_equal(nm_width_allows(&width), NM_WIDTH_FIRST);
  for (int i = 0; i < 20; i++)
    assert_false(nm_width_note(&width, NM_WIDTH_WELL, 1000 * i, 1000 * i + 20));
  assert_int_equal(nm_width_allows(&width), 8);
}

static void trouble_halves_once_for_all_that_was_under_way(void **state)
{
  struct nm_width width;
  (void)state;
  nm_width_set(&width, 8, true);
  for (int i = 0; i < 8; i++) (void)nm_width_note(&width, NM_WIDTH_WELL, 0, 20);
  assert_true(nm_width_note(&width, NM_WIDTH_TROUBLE, 100, 150));
  for (int i = 0; i < 7; i++) assert_false(nm_width_note(&width, NM_WIDTH_TROUBLE, 100, 151 + i));
  assert_int_equal(nm_width_allows(&width), 4);
  for (int i = 0; i < 9; i++) (void)nm_width_note(&width, NM_WIDTH_TROUBLE, 200 + i, 201 + i);
  assert_int_equal(nm_width_allows(&width), 1);
}

static void after_trouble_it_widens_by_one_a_round(void **state)
{
  struct nm_width width;
  (void)state;
  nm_width_set(&width, 8, true);
  (void)nm_width_note(&width, NM_WIDTH_TROUBLE, 0, 10);
  assert_int_equal(nm_width_allows(&width), 2);
  (void)nm_width_note(&width, NM_WIDTH_WELL, 20, 30);
  assert_int_equal(nm_width_allows(&width), 2);
  for (int i = 0; i < 2; i++) (void)nm_width_note(&width, NM_WIDTH_WELL, 20, 30);
  assert_int_equal(nm_width_allows(&width), 3);
}

static void an_answer_much_slower_than_the_quick_ones_is_trouble(void **state)
{
  struct nm_width width;
  (void)state;
  nm_width_set(&width, 8, true);
  for (int i = 0; i < 8; i++) (void)nm_width_note(&width, NM_WIDTH_WELL, 0, 50);
  assert_false(nm_width_note(&width, NM_WIDTH_WELL, 100, 100 + 5 * 50 + 500));
  assert_true(nm_width_note(&width, NM_WIDTH_WELL, 1000, 1000 + 2000));
  assert_int_equal(nm_width_allows(&width), 4);
}

static void who_is_always_slow_is_not_troubled(void **state)
{
  struct nm_width width;
  (void)state;
  nm_width_set(&width, 8, true);
  for (int i = 0; i < 20; i++) assert_false(nm_width_note(&width, NM_WIDTH_WELL, 0, 4000));
  assert_int_equal(nm_width_allows(&width), 8);
}

static void settings_bound_it_and_zero_is_no_bound(void **state)
{
  struct nm_width width;
  (void)state;
  nm_width_set(&width, 8, true);
  for (int i = 0; i < 8; i++) (void)nm_width_note(&width, NM_WIDTH_WELL, 0, 5);
  nm_width_set(&width, 2, false);
  assert_int_equal(nm_width_allows(&width), 2);
  nm_width_set(&width, 0, false);
  assert_true(nm_width_allows(&width) > 1000000);
}

/* ---- the hour -------------------------------------------------------------------------------- */

enum { MINUTE_MS = 60 * 1000 };
static const int64_t START_MS = 1790000000000;

static void an_hour_forgets_minute_by_minute(void **state)
{
  struct nm_hour hour = { .minute = 0 };
  (void)state;
  for (int i = 0; i < 60; i++) nm_hour_add(&hour, START_MS + i * (int64_t)MINUTE_MS, 10);
  assert_int_equal(nm_hour_sum(&hour, START_MS + 59 * (int64_t)MINUTE_MS), 600);
  assert_int_equal(nm_hour_sum(&hour, START_MS + 60 * (int64_t)MINUTE_MS), 590);
  assert_int_equal(nm_hour_sum(&hour, START_MS + 118 * (int64_t)MINUTE_MS), 10);
  assert_int_equal(nm_hour_sum(&hour, START_MS + 119 * (int64_t)MINUTE_MS), 0);
  nm_hour_add(&hour, START_MS + 500 * (int64_t)MINUTE_MS, 3);
  assert_int_equal(nm_hour_sum(&hour, START_MS + 500 * (int64_t)MINUTE_MS), 3);
}

static void a_clock_set_back_loses_no_message(void **state)
{
  struct nm_hour hour = { .minute = 0 };
  (void)state;
  nm_hour_add(&hour, START_MS, 5);
  nm_hour_add(&hour, START_MS - 30 * (int64_t)MINUTE_MS, 7);
  assert_int_equal(nm_hour_sum(&hour, START_MS), 12);
  assert_int_equal(nm_hour_sum(&hour, START_MS - 30 * (int64_t)MINUTE_MS), 12);
}

/* ---- the speed ------------------------------------------------------------------------------- */

static void a_speed_is_of_the_last_half_minute(void **state)
{
  struct nm_speed speed = { .first = 0 };
  (void)state;
  assert_true(nm_speed_per_s(&speed, 5000) == 0);
  for (int i = 0; i < 60000; i += 10) nm_speed_add(&speed, 1000000 + i, 1);
  double now = nm_speed_per_s(&speed, 1000000 + 60000);
  assert_true(now > 95 && now < 105);
  assert_true(nm_speed_per_s(&speed, 1000000 + 60000 + 40000) == 0);
  nm_speed_add(&speed, 2000000, 10);
  assert_true(nm_speed_per_s(&speed, 2000000) > 0);
}

static void a_speed_that_just_began_is_not_thinned(void **state)
{
  struct nm_speed speed = { .first = 0 };
  (void)state;
  for (int i = 0; i < 1000; i += 10) nm_speed_add(&speed, 1000000 + i, 1);
  double now = nm_speed_per_s(&speed, 1001000);
  assert_true(now > 90 && now < 110);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(quick_answers_widen_up_to_the_most),
    cmocka_unit_test(trouble_halves_once_for_all_that_was_under_way),
    cmocka_unit_test(after_trouble_it_widens_by_one_a_round),
    cmocka_unit_test(an_answer_much_slower_than_the_quick_ones_is_trouble),
    cmocka_unit_test(who_is_always_slow_is_not_troubled),
    cmocka_unit_test(settings_bound_it_and_zero_is_no_bound),
    cmocka_unit_test(an_hour_forgets_minute_by_minute),
    cmocka_unit_test(a_speed_is_of_the_last_half_minute),
    cmocka_unit_test(a_speed_that_just_began_is_not_thinned),
    cmocka_unit_test(a_clock_set_back_loses_no_message),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
