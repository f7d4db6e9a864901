/* links: engine */
/* When the engine's thread steps back for what comes in. */
#include "check.h"

#include <sys/resource.h>
#include <unistd.h>

#include "base/metrics.h"
#include "engine/yield.h"

enum { FLOOD = 20000, TRICKLE = 100 };

static void it_steps_back_in_a_flood_only(void **state)
{
  (void)state;
  assert_true(nm_yield_wanted(false, FLOOD, 3));
  assert_false(nm_yield_wanted(false, TRICKLE, 3));
  assert_false(nm_yield_wanted(true, TRICKLE, 3));
}

static void what_waited_long_is_planned_again_until_it_is_half_caught_up(void **state)
{
  (void)state;
  assert_true(nm_yield_wanted(true, FLOOD, NM_ENGINE_LAG_MAX_MS - 1));
  assert_false(nm_yield_wanted(true, FLOOD, NM_ENGINE_LAG_MAX_MS));
  assert_false(nm_yield_wanted(false, FLOOD, NM_ENGINE_LAG_MAX_MS - 1));
  assert_true(nm_yield_wanted(false, FLOOD, NM_ENGINE_LAG_MAX_MS / 2 - 1));
}

static void nobody_waits_so_nobody_steps_back(void **state)
{
  (void)state;
  assert_false(nm_yield_wanted(true, FLOOD, -1));
  assert_false(nm_yield_wanted(false, FLOOD, -1));
}

static int own_nice(void)
{
  return getpriority(PRIO_PROCESS, (id_t)gettid());
}

static void the_thread_has_its_own_share_again_after_the_flood(void **state)
{
  struct nm_yield yield;
  int before = own_nice();
  (void)state;
  nm_yield_open(&yield);
  if (!yield.is_allowed) skip(); /* the kernel would not let it come back */
  assert_int_equal(own_nice(), before);
  nm_yield_look(&yield, 1000, 1);
  nm_metric_add(NM_METRIC_EVENTS_ACCEPTED, FLOOD);
  nm_yield_look(&yield, 2000, 1);
  assert_true(own_nice() > before);
  nm_yield_look(&yield, 2001, -1);
  assert_int_equal(own_nice(), before);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(it_steps_back_in_a_flood_only),
    cmocka_unit_test(what_waited_long_is_planned_again_until_it_is_half_caught_up),
    cmocka_unit_test(nobody_waits_so_nobody_steps_back),
    cmocka_unit_test(the_thread_has_its_own_share_again_after_the_flood),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
