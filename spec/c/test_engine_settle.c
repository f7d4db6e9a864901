/* links: engine */
/* What an outcome means for its message, and what a cancel covers: one table each. */
#include "check.h"

#include "base/limits.h"
#include "engine/fence.h"
#include "engine/settle.h"

enum { HOUR_MS = 3600 * 1000 };
static const int64_t NOW_MS = 1700000000000;

struct settle_case {
  const char *name;
  struct nm_outcome outcome;
  int attempts;
  int64_t age_ms, lane_pause_ms;
  bool hold_unknown;
  enum nm_message_state state;
  int attempts_after;
  int64_t wait_least_ms, wait_most_ms; /* where it waits */
};

#define OUTCOME(k, s) { .kind = NM_OUTCOME_##k, .scope = NM_SCOPE_##s, .retry_after_ms = -1 }

static const struct settle_case cases[] = {
  { "delivered", OUTCOME(DELIVERED, MESSAGE), 0, 0, 0, false, NM_MESSAGE_SENT, 1, 0, 0 },
  { "accepted", OUTCOME(ACCEPTED, MESSAGE), 3, 0, 0, false, NM_MESSAGE_SENT, 4, 0, 0 },
  { "dead recipient", OUTCOME(DEAD_RECIPIENT, MESSAGE), 0, 0, 0, false, NM_MESSAGE_DEAD, 1, 0, 0 },
  { "refused", OUTCOME(REFUSED, MESSAGE), 0, 0, 0, false, NM_MESSAGE_DEAD, 1, 0, 0 },
  { "first retry within two seconds", OUTCOME(RETRY, MESSAGE), 0, 0, 0, false, NM_MESSAGE_WAITING,
    1, 100, 2000 },
  { "fifth retry within 32 seconds", OUTCOME(RETRY, MESSAGE), 4, 0, 0, false, NM_MESSAGE_WAITING, 5,
    100, 32000 },
  { "Retry-After is honoured",
    { .kind = NM_OUTCOME_RETRY, .retry_after_ms = 90000 },
    0,
    0,
    0,
    false,
    NM_MESSAGE_WAITING,
    1,
    90000,
    90000 },
  { "up to a day",
    { .kind = NM_OUTCOME_RETRY, .retry_after_ms = INT64_MAX },
    0,
    0,
    0,
    false,
    NM_MESSAGE_WAITING,
    1,
    24 * HOUR_MS,
    24 * HOUR_MS },
  { "a day of tries is enough", OUTCOME(RETRY, MESSAGE), 200, 24 * HOUR_MS, 0, false,
    NM_MESSAGE_DEAD, 201, 0, 0 },
  { "but not for a message that waited the day for its hour", OUTCOME(RETRY, MESSAGE), 0,
    30 * HOUR_MS, 0, false, NM_MESSAGE_WAITING, 1, 100, 2000 },
  { "unreachable defers",
    { .kind = NM_OUTCOME_RETRY, .is_unreachable = true, .retry_after_ms = -1 },
    2,
    0,
    0,
    false,
    NM_MESSAGE_WAITING,
    2,
    50,
    1000 },
  { "as long as the breaker is open",
    { .kind = NM_OUTCOME_RETRY, .is_unreachable = true, .retry_after_ms = -1 },
    2,
    0,
    16000,
    false,
    NM_MESSAGE_WAITING,
    2,
    16000,
    16000 },
  { "unreachable never kills",
    { .kind = NM_OUTCOME_RETRY, .is_unreachable = true, .retry_after_ms = -1 },
    500,
    99 * HOUR_MS,
    0,
    false,
    NM_MESSAGE_WAITING,
    500,
    50,
    1000 },
  { "throttled defers by its word",
    { .kind = NM_OUTCOME_THROTTLED, .retry_after_ms = 5000 },
    1,
    0,
    0,
    false,
    NM_MESSAGE_WAITING,
    1,
    5000,
    5000 },
  { "throttled defers as long as its lane rests", OUTCOME(THROTTLED, LANE), 1, 0, 8000, false,
    NM_MESSAGE_WAITING, 1, 8000, 8000 },
  { "a refused key defers", OUTCOME(AUTH, LANE), 7, 0, 60000, false, NM_MESSAGE_WAITING, 7, 60000,
    60000 },
  { "unknown goes again", OUTCOME(UNKNOWN, MESSAGE), 0, 0, 0, false, NM_MESSAGE_WAITING, 1, 100,
    2000 },
  { "unknown is held where the provider says so", OUTCOME(UNKNOWN, MESSAGE), 0, 0, 0, true,
    NM_MESSAGE_HELD, 1, 0, 0 },
};

static void every_outcome_has_its_consequence(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct settle_case *c = &cases[i];
    for (uint64_t random = 0; random < 100000; random += 997) {
      struct nm_message message = { .id = 5, .run_id = 6, .attempts = c->attempts,
                                    .created_at_ms = NOW_MS - c->age_ms };
      struct nm_settling how = { &nm_backoff_messages, c->hold_unknown, c->lane_pause_ms, NOW_MS,
                                 random, 0 };
      struct nm_outcome outcome = c->outcome;
      struct nm_finish end = { 0 };
      outcome.code = 503;
      outcome.reason = NM_TEXT("why");
      nm_settle(&message, &outcome, &how, &end);
      if (end.state != c->state || end.attempts != c->attempts_after) fail_msg("%s", c->name);
      if (c->state == NM_MESSAGE_WAITING &&
          (end.due_at_ms < NOW_MS + c->wait_least_ms || end.due_at_ms > NOW_MS + c->wait_most_ms))
        fail_msg("%s: waits %lld ms", c->name, (long long)(end.due_at_ms - NOW_MS));
      assert_int_equal(end.message_id, 5);
      assert_int_equal(end.run_id, 6);
      assert_int_equal(end.code, 503);
      assert_true(end.has_attempt);
      assert_text(end.reason, "why");
    }
  }
}

static struct nm_finish settle_retry(const struct nm_message *message, int64_t started_at_ms)
{
  struct nm_settling how = { .schedule = &nm_backoff_messages, .now_ms = NOW_MS, .random = 1,
                             .started_at_ms = started_at_ms };
  struct nm_outcome outcome = OUTCOME(RETRY, MESSAGE);
  struct nm_finish end = { 0 };
  nm_settle(message, &outcome, &how, &end);
  return end;
}

static void a_day_of_tries_counts_from_the_first_attempt(void **state)
{
  (void)state;
  struct nm_message message = { .id = 5, .created_at_ms = NOW_MS - 99 * HOUR_MS };
  struct nm_finish end = settle_retry(&message, NOW_MS - 30);
  assert_int_equal(end.state, NM_MESSAGE_WAITING);
  assert_int_equal(end.first_attempt_ms, NOW_MS - 30);

  message.attempts = 3;
  message.first_attempt_ms = NOW_MS - 23 * HOUR_MS;
  end = settle_retry(&message, NOW_MS - 30);
  assert_int_equal(end.state, NM_MESSAGE_WAITING);
  assert_int_equal(end.first_attempt_ms, NOW_MS - 23 * HOUR_MS);

  message.first_attempt_ms = NOW_MS - 24 * HOUR_MS;
  end = settle_retry(&message, NOW_MS - 30);
  assert_int_equal(end.state, NM_MESSAGE_DEAD);
}

/* ---- fences ---------------------------------------------------------------------------------- */

struct fence_case {
  const char *name;
  const char *fence_stamp, *stamp;
  int64_t fence_channel, channel;
  const char *campaign;
  int64_t arrived_ms, triggered_ms;
  bool is_covered;
};

static const struct fence_case fence_cases[] = {
  { "same TimeStamp", "2026-11-23 10:00:00", "2026-11-23 10:00:00", 0, 459, "7", 0, 0, true },
  { "earlier", "2026-11-23 10:00:00", "2026-11-23 09:00:00", 459, 459, "7", 0, 99, true },
  { "later is a new run", "2026-11-23 10:00:00", "2026-11-23 10:00:01", 0, 459, "7", 99, 0, false },
  { "another campaign", "2026-11-23 10:00:00", "2026-11-23 09:00:00", 0, 459, "8", 0, 0, false },
  { "another channel", "2026-11-23 10:00:00", "2026-11-23 09:00:00", 481, 459, "7", 0, 0, false },
  { "no TimeStamp of its own: arrival", "2026-11-23 10:00:00", "", 0, 459, "7", 50, 50, true },
  { "arrived later", "2026-11-23 10:00:00", "", 0, 459, "7", 50, 51, false },
  { "no TimeStamp of the cancel: arrival", "", "2030-01-01 00:00:00", 0, 459, "7", 50, 49, true },
  { "unreadable: arrival", "2026-11-23 10:00:00", "yesterday", 0, 459, "7", 50, 51, false },
};

static void a_fence_covers_what_was_triggered_before_it(void **state)
{
  const struct nm_zone *zone;
  (void)state;
  assert_int_equal(nm_zone_find(&zone, NM_TEXT("Europe/Istanbul")), NM_OK);
  for (size_t i = 0; i < sizeof fence_cases / sizeof *fence_cases; i++) {
    const struct fence_case *c = &fence_cases[i];
    struct nm_fence fence = { .campaign = NM_TEXT("7"), .channel_id = c->fence_channel,
                              .arrived_at_ms = c->arrived_ms };
    if (c->fence_stamp[0])
      assert_true(nm_zone_read(zone, nm_text_from(c->fence_stamp), &fence.stamp_ms));
    struct nm_message message = { .campaign = nm_text_from(c->campaign),
                                  .channel_id = c->channel,
                                  .stamp = nm_text_from(c->stamp),
                                  .triggered_at_ms = c->triggered_ms };
    struct nm_run run = { .campaign = message.campaign, .channel_id = c->channel,
                          .stamp = message.stamp, .triggered_at_ms = c->triggered_ms };
    if (nm_fence_covers_message(&fence, &message, zone) != c->is_covered) fail_msg("%s", c->name);
    if (nm_fence_covers_run(&fence, &run, zone) != c->is_covered) fail_msg("%s (run)", c->name);
  }
}

static void an_operators_fence_covers_one_run_and_nothing_else(void **state)
{
  struct nm_fence fence = { .run_id = 12 };
  struct nm_message message = { .run_id = 12 };
  (void)state;
  assert_true(nm_fence_covers_message(&fence, &message, NULL));
  message.run_id = 13;
  assert_false(nm_fence_covers_message(&fence, &message, NULL));
  message.run_id = 0;
  assert_false(nm_fence_covers_message(&fence, &message, NULL));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_outcome_has_its_consequence),
    cmocka_unit_test(a_day_of_tries_counts_from_the_first_attempt),
    cmocka_unit_test(a_fence_covers_what_was_triggered_before_it),
    cmocka_unit_test(an_operators_fence_covers_one_run_and_nothing_else),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
