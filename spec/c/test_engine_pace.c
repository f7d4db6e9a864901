/* links: engine */
/* How long, how fast and when: backoff, token bucket, breaker, quiet hours. */
#include "check.h"

#include "engine/backoff.h"
#include "engine/breaker.h"
#include "engine/bucket.h"
#include "engine/quiet.h"

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS };
static const int64_t SECOND_NS = 1000000000;

/* ---- backoff --------------------------------------------------------------------------------- */

static void ceilings_double_from_two_seconds_to_fifteen_minutes(void **state)
{
  static const int64_t wanted_s[] = { 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900 };
  (void)state;
  for (int i = 0; i < (int)(sizeof wanted_s / sizeof *wanted_s); i++)
    assert_int_equal(nm_backoff_ceiling_ms(&nm_backoff_messages, i + 1), wanted_s[i] * 1000);
  assert_int_equal(nm_backoff_ceiling_ms(&nm_backoff_messages, 100000), 15 * MINUTE_MS);
}

static void jitter_is_full_and_never_leaves_its_bounds(void **state)
{
  uint64_t random = 88172645463325252u;
  (void)state;
  for (int failures = 1; failures < 15; failures++) {
    int64_t ceiling_ms = nm_backoff_ceiling_ms(&nm_backoff_messages, failures);
    int64_t least_ms = INT64_MAX, most_ms = 0;
    for (int i = 0; i < 2000; i++) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      int64_t wait_ms = nm_backoff_wait_ms(&nm_backoff_messages, failures, random >> 11);
      if (wait_ms < least_ms) least_ms = wait_ms;
      if (wait_ms > most_ms) most_ms = wait_ms;
    }
    assert_true(least_ms >= 100);
    assert_true(most_ms <= ceiling_ms);
    assert_true(least_ms < ceiling_ms / 5); /* both ends are used */
    assert_true(most_ms > ceiling_ms / 10 * 9);
  }
}

static void a_schedule_is_data_and_what_it_leaves_out_is_the_default(void **state)
{
  (void)state;
  struct nm_backoff given = nm_backoff_of(&nm_backoff_messages, 0.5, 8, 60);
  assert_int_equal(given.first_ms, 500);
  assert_int_equal(given.max_ms, 8000);
  assert_int_equal(given.budget_ms, MINUTE_MS);
  assert_int_equal(nm_backoff_ceiling_ms(&given, 3), 2000);
  assert_int_equal(nm_backoff_ceiling_ms(&given, 30), 8000);

  struct nm_backoff none = nm_backoff_of(&nm_backoff_messages, 0, 0, 0);
  assert_int_equal(none.first_ms, 2000);
  assert_int_equal(none.max_ms, 15 * MINUTE_MS);
  assert_int_equal(none.budget_ms, 24 * HOUR_MS);

  struct nm_backoff long_first = nm_backoff_of(&nm_backoff_messages, 3600, 0, 0);
  assert_int_equal(nm_backoff_ceiling_ms(&long_first, 1), HOUR_MS);
  struct nm_backoff short_most = nm_backoff_of(&nm_backoff_messages, 0, 1, 0);
  assert_int_equal(nm_backoff_ceiling_ms(&short_most, 9), 1000);
}

/* ---- bucket ---------------------------------------------------------------------------------- */

static void a_rate_is_kept_to_the_message(void **state)
{
  struct nm_bucket bucket = { 0 };
  (void)state;
  for (int per_s = 1; per_s <= 1000; per_s *= 10) {
    size_t sent = 0;
    nm_bucket_set(&bucket, per_s, 0, true);
    for (int64_t now_ns = 0; now_ns <= 10 * SECOND_NS; now_ns += SECOND_NS / 500) {
      size_t count = nm_bucket_allows(&bucket, now_ns, 1000000);
      nm_bucket_take(&bucket, count);
      sent += count;
    }
    size_t burst = per_s > 10 ? (size_t)per_s / 10 : 1;
    assert_in_range(sent, per_s * 10, (size_t)per_s * 10 + burst);
  }
}

static void an_idle_lane_bursts_a_tenth_of_a_second_at_most(void **state)
{
  struct nm_bucket bucket = { 0 };
  (void)state;
  nm_bucket_set(&bucket, 100, 0, true);
  assert_int_equal(nm_bucket_allows(&bucket, 3600 * SECOND_NS, 5000), 10);
  nm_bucket_set(&bucket, 2, 0, true);
  assert_int_equal(nm_bucket_allows(&bucket, 3600 * SECOND_NS, 5000), 1);
}

static void it_says_how_long_to_wait(void **state)
{
  struct nm_bucket bucket = { 0 };
  (void)state;
  nm_bucket_set(&bucket, 5, 0, true);
  nm_bucket_take(&bucket, nm_bucket_allows(&bucket, 0, 1));
  int64_t wait_ms = nm_bucket_wait_ms(&bucket, 0, 1);
  assert_in_range(wait_ms, 200, 201);
  assert_int_equal(nm_bucket_allows(&bucket, 199 * SECOND_NS / 1000, 1), 0);
  assert_int_equal(nm_bucket_allows(&bucket, wait_ms * SECOND_NS / 1000, 1), 1);
}

static void no_rate_means_no_limit_and_a_clock_that_steps_back_gives_nothing(void **state)
{
  struct nm_bucket bucket = { 0 };
  (void)state;
  nm_bucket_set(&bucket, 0, 0, true);
  assert_int_equal(nm_bucket_allows(&bucket, 0, 1234567), 1234567);
  assert_int_equal(nm_bucket_wait_ms(&bucket, 0, 1000), 0);
  nm_bucket_set(&bucket, 1, 100 * SECOND_NS, true);
  nm_bucket_take(&bucket, 1);
  assert_int_equal(nm_bucket_allows(&bucket, 0, 1), 0);
}

static void a_new_rate_keeps_what_was_used_up(void **state)
{
  struct nm_bucket bucket = { 0 };
  (void)state;
  nm_bucket_set(&bucket, 10, 0, true);
  nm_bucket_take(&bucket, 1);
  nm_bucket_set(&bucket, 20, 0, false);
  assert_int_equal(nm_bucket_allows(&bucket, 0, 10), 0);
}

/* ---- breaker --------------------------------------------------------------------------------- */

static void a_breaker_opens_after_five_and_probes_with_one(void **state)
{
  struct nm_breaker breaker = { 0 };
  (void)state;
  for (int i = 0; i < 4; i++) assert_false(nm_breaker_note(&breaker, false, false, 1000));
  assert_int_equal(nm_breaker_ask(&breaker, 1000), NM_BREAKER_CLOSED);
  assert_true(nm_breaker_note(&breaker, false, false, 1000));
  assert_int_equal(nm_breaker_ask(&breaker, 1999), NM_BREAKER_OPEN);
  assert_int_equal(nm_breaker_ask(&breaker, 2000), NM_BREAKER_PROBE);
  nm_breaker_probe(&breaker);
  assert_int_equal(nm_breaker_ask(&breaker, 2000), NM_BREAKER_OPEN); /* one at a time */
}

static void its_pause_doubles_to_a_minute_and_any_answer_closes_it(void **state)
{
  static const int64_t pauses_s[] = { 1, 2, 4, 8, 16, 32, 60, 60 };
  struct nm_breaker breaker = { .failures = 4 };
  int64_t now_ms = 5000;
  (void)state;
  for (size_t i = 0; i < sizeof pauses_s / sizeof *pauses_s; i++) {
    nm_breaker_note(&breaker, false, i > 0, now_ms);
    assert_int_equal(breaker.open_until_ms - now_ms, pauses_s[i] * 1000);
    now_ms = breaker.open_until_ms;
    assert_int_equal(nm_breaker_ask(&breaker, now_ms), NM_BREAKER_PROBE);
    nm_breaker_probe(&breaker);
  }
  assert_true(nm_breaker_note(&breaker, true, true, now_ms));
  assert_int_equal(nm_breaker_ask(&breaker, now_ms), NM_BREAKER_CLOSED);
  for (int i = 0; i < 4; i++) nm_breaker_note(&breaker, false, false, now_ms);
  assert_int_equal(nm_breaker_ask(&breaker, now_ms), NM_BREAKER_CLOSED); /* it forgot what was */
}

static void sends_that_were_under_way_when_it_opened_do_not_lengthen_it(void **state)
{
  struct nm_breaker breaker = { .failures = 4 };
  (void)state;
  nm_breaker_note(&breaker, false, false, 0);
  for (int i = 0; i < 10; i++) assert_false(nm_breaker_note(&breaker, false, false, 500));
  assert_int_equal(breaker.open_until_ms, 1000);
}

static void an_answer_in_between_starts_the_count_anew(void **state)
{
  struct nm_breaker breaker = { 0 };
  (void)state;
  for (int i = 0; i < 20; i++) {
    for (int j = 0; j < 4; j++) nm_breaker_note(&breaker, false, false, 1);
    assert_false(nm_breaker_note(&breaker, true, false, 1));
  }
  assert_int_equal(nm_breaker_ask(&breaker, 1), NM_BREAKER_CLOSED);
}

/* ---- quiet hours ----------------------------------------------------------------------------- */

struct quiet_case {
  const char *zone, *from_to, *now, *end; /* end "" = may be sent */
  int from, to;
};

static const struct quiet_case quiet_cases[] = {
  { "UTC", "22-9", "2026-11-23 21:59:59", "", 22 * 60, 9 * 60 },
  { "UTC", "22-9", "2026-11-23 22:00:00", "2026-11-24 09:00:00", 22 * 60, 9 * 60 },
  { "UTC", "22-9", "2026-11-24 08:59:59", "2026-11-24 09:00:00", 22 * 60, 9 * 60 },
  { "UTC", "22-9", "2026-11-24 09:00:00", "", 22 * 60, 9 * 60 },
  { "UTC", "12-13", "2026-11-24 12:30:00", "2026-11-24 13:00:00", 12 * 60, 13 * 60 },
  { "UTC", "12-13", "2026-11-24 13:00:00", "", 12 * 60, 13 * 60 },
  { "UTC", "none", "2026-11-24 03:00:00", "", 0, 0 },
  { "Europe/Istanbul", "22-9", "2026-11-23 22:30:00", "2026-11-24 09:00:00", 22 * 60, 9 * 60 },
  /* the night that is an hour longer */
  { "Europe/Berlin", "22-9", "2026-10-24 23:00:00", "2026-10-25 09:00:00", 22 * 60, 9 * 60 },
};

static void quiet_hours_end_when_the_zones_clock_says_so(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof quiet_cases / sizeof *quiet_cases; i++) {
    const struct quiet_case *c = &quiet_cases[i];
    const struct nm_zone *zone;
    int64_t now_ms, end_ms = 0;
    struct nm_quiet quiet = { c->from, c->to };
    assert_int_equal(nm_zone_find(&zone, nm_text_from(c->zone)), NM_OK);
    assert_true(nm_zone_read(zone, nm_text_from(c->now), &now_ms));
    if (c->end[0]) assert_true(nm_zone_read(zone, nm_text_from(c->end), &end_ms));
    assert_int_equal(nm_quiet_end_ms(quiet, zone, now_ms), end_ms);
    assert_int_equal(nm_quiet_allowed_ms(quiet, zone, now_ms), end_ms ? end_ms : now_ms);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(ceilings_double_from_two_seconds_to_fifteen_minutes),
    cmocka_unit_test(jitter_is_full_and_never_leaves_its_bounds),
    cmocka_unit_test(a_schedule_is_data_and_what_it_leaves_out_is_the_default),
    cmocka_unit_test(a_rate_is_kept_to_the_message),
    cmocka_unit_test(an_idle_lane_bursts_a_tenth_of_a_second_at_most),
    cmocka_unit_test(it_says_how_long_to_wait),
    cmocka_unit_test(no_rate_means_no_limit_and_a_clock_that_steps_back_gives_nothing),
    cmocka_unit_test(a_new_rate_keeps_what_was_used_up),
    cmocka_unit_test(a_breaker_opens_after_five_and_probes_with_one),
    cmocka_unit_test(its_pause_doubles_to_a_minute_and_any_answer_closes_it),
    cmocka_unit_test(sends_that_were_under_way_when_it_opened_do_not_lengthen_it),
    cmocka_unit_test(an_answer_in_between_starts_the_count_anew),
    cmocka_unit_test(quiet_hours_end_when_the_zones_clock_says_so),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
