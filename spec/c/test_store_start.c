/* links: store */
/* A start with much in the queue: open, check what a crash left, find what is to do. */
#include "store_kit.h"

enum { BATCH = 500, FEW = 20 * 1000, MANY = 1000 * 1000, START_MAX_MS = 5000, BUSY_MAX_MS = 60000 };

static bool is_long(void)
{
  const char *word = getenv("NETMOVE_LONG");
  return word && strcmp(word, "1") == 0;
}

/* So many events, each planned into a message that waits. */
static void fill(struct kit *kit, int count)
{
  static struct nm_store_arrival arrivals[BATCH];
  static struct nm_message messages[BATCH];
  static struct nm_plan plans[BATCH];
  static char identities[BATCH][32], customers[BATCH][32];
  for (int done = 0; done < count; done += BATCH) {
    for (int i = 0; i < BATCH; i++) {
      snprintf(identities[i], sizeof identities[i], "i%d", done + i);
      snprintf(customers[i], sizeof customers[i], "C%d", done + i);
      arrivals[i] = kit_event(11, "big", customers[i], "2026-11-23 10:00:00");
      arrivals[i].event.body = NM_TEXT("{\"EventTypeID\":11}");
      arrivals[i].identity = nm_text_from(identities[i]);
      messages[i] = kit_message("big", customers[i]);
    }
    struct nm_store_accept accept = { .arrivals = arrivals, .count = BATCH };
    KIT_MUST(kit, NM_STORE_ACCEPT, &accept);
    for (int i = 0; i < BATCH; i++)
      plans[i] = (struct nm_plan){ .event_id = arrivals[i].id,
                                   .tenant_id = TENANT,
                                   .state = NM_EVENT_PLANNED,
                                   .messages = &messages[i],
                                   .message_count = 1 };
    struct nm_store_plan plan = { .plans = plans, .count = BATCH };
    KIT_MUST(kit, NM_STORE_PLAN, &plan);
    nm_arena_destroy(kit->arena);
    kit->arena = nm_arena_create(256 * 1024 * 1024);
  }
}

static void finds_a_long_queue_in_little_time(void **state)
{
  struct kit *kit = *state;
  int count = is_long() ? MANY : FEW;
  fill(kit, count);
  int64_t began = nm_clock_mono_ms();
  kit_reopen(kit);
  struct nm_store_resume resume = { .lane_count = 0 };
  KIT_MUST(kit, NM_STORE_RESUME, &resume);
  int64_t resumed = nm_clock_mono_ms();
  struct nm_store_lease lease = kit_lease(kit, 1000);
  int64_t leased = nm_clock_mono_ms();
  print_message("%d waiting: resumed after %d ms, first 1000 leased %d ms later\n", count,
                (int)(resumed - began), (int)(leased - resumed));
  assert_int_equal(resume.lane_count, 1);
  assert_int_equal(lease.count, 1000);
  assert_in_range(leased - began, 0, is_long() ? START_MAX_MS : BUSY_MAX_MS);
}

int main(void)
{
  const struct CMUnitTest tests[] = { KIT_TEST(finds_a_long_queue_in_little_time) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
