/* links: api */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/door.h"

static struct nm_failures *fresh(void)
{
  struct nm_failures *failures = nm_failures_create();
  assert_non_null(failures);
  return failures;
}

static void slows_an_address_that_fails_again_and_again_up_to_a_bound(void **state)
{
  (void)state;
  struct nm_failures *failures = fresh();
  const struct nm_text address = NM_TEXT("203.0.113.7");
  int64_t now_ms = 1000000, before_ms = NM_LOGIN_DELAY_FIRST_MS / 2;
  for (int i = 0; i < NM_LOGIN_PROMPT_REFUSALS_MAX; i++)
    assert_int_equal(nm_failures_count(failures, address, now_ms++), 0);
  for (int i = 0; i < 1000; i++) {
    int64_t delay_ms = nm_failures_count(failures, address, now_ms++);
    int64_t wanted_ms =
        before_ms * 2 < NM_LOGIN_DELAY_MAX_MS ? before_ms * 2 : NM_LOGIN_DELAY_MAX_MS;
    assert_int_equal(delay_ms, wanted_ms);
    before_ms = delay_ms;
  }
  assert_int_equal(before_ms, NM_LOGIN_DELAY_MAX_MS);
  assert_int_equal(nm_failures_count(failures, NM_TEXT("203.0.113.8"), now_ms), 0);
  assert_int_equal(nm_failures_count(failures, address, now_ms + NM_LOGIN_FORGET_MS), 0);
  free(failures);
}

static void takes_the_addresses_of_one_customer_for_one(void **state)
{
  (void)state;
  struct nm_failures *failures = fresh();
  for (int i = 0; i < NM_LOGIN_PROMPT_REFUSALS_MAX; i++) {
    char address[64];
    snprintf(address, sizeof address, "2001:db8:1:2::%x", i + 1);
    assert_int_equal(nm_failures_count(failures, nm_text_from(address), 1), 0);
    assert_int_equal(nm_failures_count(failures, i % 2 ? NM_TEXT("::ffff:203.0.113.7")
                                                       : NM_TEXT("203.0.113.7"), 1), 0);
  }
  assert_true(nm_failures_count(failures, NM_TEXT("2001:db8:1:2:ffff::9"), 1) > 0);
  assert_true(nm_failures_count(failures, NM_TEXT("::ffff:203.0.113.7"), 1) > 0);
  assert_int_equal(nm_failures_count(failures, NM_TEXT("2001:db8:1:3::1"), 1), 0);
  free(failures);
}

static void remembers_who_fails_now_however_many_others_came(void **state)
{
  (void)state;
  struct nm_failures *failures = fresh();
  int64_t now_ms = 1;
  for (int i = 0; i < 200000; i++) {
    char address[64];
    snprintf(address, sizeof address, "10.%d.%d.%d", i >> 16 & 255, i >> 8 & 255, i & 255);
    assert_int_equal(nm_failures_count(failures, nm_text_from(address), now_ms++), 0);
    if (i % 16 == 0) nm_failures_count(failures, NM_TEXT("203.0.113.7"), now_ms++);
  }
  assert_int_equal(nm_failures_count(failures, NM_TEXT("203.0.113.7"), now_ms),
                   NM_LOGIN_DELAY_MAX_MS);
  assert_int_equal(nm_failures_count(failures, NM_TEXT("unix"), now_ms), 0);
  free(failures);
}

static void lets_a_burst_through_then_the_rate(void **state)
{
  (void)state;
  struct nm_pace pace = { .tenant_id = 1 };
  int64_t now_ms = 5000;
  for (int i = 0; i < 20; i++) assert_int_equal(nm_pace_take(&pace, 10, 20, 1, now_ms), 0);
  int64_t wait_ms = nm_pace_take(&pace, 10, 20, 1, now_ms);
  assert_in_range(wait_ms, 99, 101);
  assert_int_equal(nm_pace_take(&pace, 10, 20, 1, now_ms + wait_ms), 0);
  int taken = 0;
  for (now_ms += wait_ms; now_ms < 65000; now_ms++)
    taken += nm_pace_take(&pace, 10, 20, 1, now_ms) == 0;
  assert_in_range(taken, 595, 600);
  assert_int_equal(nm_pace_take(&pace, 10, 20, 21, now_ms + 3600000), 0); /* no more than a burst */
  assert_in_range(nm_pace_take(&pace, 10, 20, 1, now_ms + 3600000), 199, 201);
}

static void takes_a_batch_above_the_burst_whole_and_makes_up_for_it(void **state)
{
  (void)state;
  struct nm_pace pace = { .tenant_id = 1 };
  assert_int_equal(nm_pace_take(&pace, 100, 50, 1000, 1000), 0);
  assert_in_range(nm_pace_take(&pace, 100, 50, 1, 1000), 9500, 9520);
  assert_in_range(nm_pace_take(&pace, 100, 50, 1, 10000), 500, 520);
  assert_int_equal(nm_pace_take(&pace, 100, 50, 1, 10600), 0);
}

static void says_how_long_the_disk_lasts_at_the_present_rate(void **state)
{
  (void)state;
  const int64_t GB = 1000 * 1000 * 1000, MINUTE_MS = 60000;
  struct nm_disk disk = { .count = 0 };
  int64_t now_ms = 77000, left = 100 * GB;
  assert_int_equal(nm_disk_note(&disk, now_ms, left), -1);
  assert_int_equal(nm_disk_note(&disk, now_ms + 1000, left - GB), -1); /* one second says nothing */
  assert_int_equal(nm_disk_note(&disk, now_ms + MINUTE_MS, left), -1); /* nothing is used up */
  assert_int_equal(nm_disk_note(&disk, now_ms + MINUTE_MS, left - GB), 99);
  for (int i = 0; i < 600; i++) { /* a day later, at another rate */
    now_ms += MINUTE_MS / 4;
    left -= GB / 40;
    (void)nm_disk_note(&disk, now_ms, left);
  }
  assert_in_range(nm_disk_note(&disk, now_ms, left), left / (GB / 10) - 1, left / (GB / 10) + 1);
  assert_int_equal(nm_disk_note(&disk, now_ms + 60 * MINUTE_MS, left - GB), -1); /* long ago */
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(slows_an_address_that_fails_again_and_again_up_to_a_bound),
    cmocka_unit_test(takes_the_addresses_of_one_customer_for_one),
    cmocka_unit_test(remembers_who_fails_now_however_many_others_came),
    cmocka_unit_test(lets_a_burst_through_then_the_rate),
    cmocka_unit_test(takes_a_batch_above_the_burst_whole_and_makes_up_for_it),
    cmocka_unit_test(says_how_long_the_disk_lasts_at_the_present_rate),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
