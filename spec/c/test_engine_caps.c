/* links: engine */
#include <inttypes.h>

#include "engine/caps.h"
#include "check.h"

static const struct nm_zone *zone_of(const char *name)
{
  const struct nm_zone *zone;
  assert_int_equal(nm_zone_find(&zone, nm_text_from(name)), NM_OK);
  return zone;
}

static int64_t at(const struct nm_zone *zone, const char *text)
{
  int64_t ms;
  assert_true(nm_zone_read(zone, nm_text_from(text), &ms));
  return ms;
}

static void window(const char *name, enum nm_cap_per per, const char *moment, const char *from,
                   const char *until)
{
  const struct nm_zone *zone = zone_of(name);
  int64_t from_ms, until_ms;
  nm_caps_window(zone, per, at(zone, moment), &from_ms, &until_ms);
  if (from_ms != at(zone, from) || until_ms != at(zone, until))
    fail_msg("%s in %s: from %" PRId64 " until %" PRId64 ", not %s to %s", moment, name, from_ms,
             until_ms, from, until);
}

static void windows_are_those_of_the_tenants_calendar(void **state)
{
  (void)state;
  const char *zone = "Europe/Istanbul";
  window(zone, NM_CAP_PER_HOUR, "2026-11-23 09:30:00", "2026-11-23 09:00:00",
         "2026-11-23 10:00:00");
  window(zone, NM_CAP_PER_DAY, "2026-11-23 00:00:00", "2026-11-23", "2026-11-24");
  window(zone, NM_CAP_PER_DAY, "2026-11-23 23:59:59", "2026-11-23", "2026-11-24");
  window(zone, NM_CAP_PER_WEEK, "2026-11-23 00:00:00", "2026-11-23", "2026-11-30"); /* a Monday */
  window(zone, NM_CAP_PER_WEEK, "2026-11-29 23:59:59", "2026-11-23", "2026-11-30");
  window(zone, NM_CAP_PER_WEEK, "2027-01-02 12:00:00", "2026-12-28", "2027-01-04");
  window(zone, NM_CAP_PER_MONTH, "2026-12-31 23:59:59", "2026-12-01", "2027-01-01");
  window(zone, NM_CAP_PER_MONTH, "2028-02-29 12:00:00", "2028-02-01", "2028-03-01");
  window("Asia/Kolkata", NM_CAP_PER_HOUR, "2026-11-23 09:45:00", "2026-11-23 09:00:00",
         "2026-11-23 10:00:00");
}

static void days_of_23_and_25_hours_are_one_day(void **state)
{
  (void)state;
  window("Europe/Berlin", NM_CAP_PER_DAY, "2026-03-29 12:00:00", "2026-03-29", "2026-03-30");
  window("Europe/Berlin", NM_CAP_PER_DAY, "2026-10-25 12:00:00", "2026-10-25", "2026-10-26");
  window("Europe/Berlin", NM_CAP_PER_WEEK, "2026-10-25 23:30:00", "2026-10-19", "2026-10-26");
  window("Europe/Berlin", NM_CAP_PER_MONTH, "2026-03-29 03:00:00", "2026-03-01", "2026-04-01");
  /* midnight does not exist on this day: it begins at 01:00 */
  window("America/Havana", NM_CAP_PER_DAY, "2026-03-08 12:00:00", "2026-03-08 01:00:00",
         "2026-03-09");
}

static void each_moment_is_in_its_own_window(void **state)
{
  static const char *const zones[] = { "UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata",
                                       "Pacific/Apia", "America/Havana" };
  (void)state;
  for (size_t z = 0; z < sizeof zones / sizeof *zones; z++) {
    const struct nm_zone *zone = zone_of(zones[z]);
    int64_t begin_ms = at(zone, "2026-01-01 00:00:00");
    for (int per = NM_CAP_PER_HOUR; per <= NM_CAP_PER_MONTH; per++) {
      int64_t until_before = 0;
      for (int i = 0; i < 366 * 24; i += 5) {
        int64_t from_ms, until_ms, ms = begin_ms + (int64_t)i * 3600000 + 1800000;
        nm_caps_window(zone, (enum nm_cap_per)per, ms, &from_ms, &until_ms);
        assert_true(from_ms <= ms && ms < until_ms);
        assert_true(from_ms >= until_before || until_ms == until_before); /* no two overlap */
        until_before = until_ms;
      }
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(windows_are_those_of_the_tenants_calendar),
    cmocka_unit_test(days_of_23_and_25_hours_are_one_day),
    cmocka_unit_test(each_moment_is_in_its_own_window),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
