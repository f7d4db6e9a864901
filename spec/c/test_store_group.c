/* links: store */
#include "store_kit.h"

#include "base/metrics.h"

enum { THREADS = 2, OUTSTANDING = 64, EACH = 2000 };

struct asker {
  struct kit *kit;
  int number;
  uv_thread_t thread;
  uv_sem_t done;
  _Atomic int asked, answered, failed, duplicates;
};

struct ask {
  struct nm_store_accept accept; /* first */
  struct nm_store_arrival arrival;
  struct asker *asker;
  char identity[48];
};

static int total = EACH;

static void ask_next(struct ask *ask)
{
  struct asker *asker = ask->asker;
  int number = asker->asked++;
  if (number >= total) return;
  snprintf(ask->identity, sizeof ask->identity, "%d-%d", asker->number, number);
  ask->arrival = (struct nm_store_arrival){
    .event = { .tenant_id = TENANT,
               .received_at_ms = nm_clock_wall_ms(),
               .type = 11,
               .campaign = NM_TEXT("99"),
               .customer = NM_TEXT("customer-1"),
               .body = NM_TEXT("{\"EventTypeID\":11,\"CampaignID\":99,\"ChannelID\":459,"
                               "\"TemplateID\":12,\"CustomerID\":\"customer-1\","
                               "\"TimeStamp\":\"2024-01-01T00:00:00\"}") },
    .identity = nm_text_from(ask->identity),
    .window_ms = NM_EVENT_DEDUP_WINDOW_MS,
  };
  ask->accept.arrivals = &ask->arrival;
  ask->accept.count = 1;
  ask->accept.request.verb = NM_STORE_ACCEPT;
  if (nm_store_submit(asker->kit->store, &ask->accept.request)) fail_msg("mailbox is full");
}

static void on_answered(struct nm_task *task)
{
  struct ask *ask = (struct ask *)task;
  struct asker *asker = ask->asker;
  if (ask->accept.request.rc) asker->failed++;
  if (ask->arrival.is_duplicate) asker->duplicates++;
  ask_next(ask);
  if (++asker->answered == total) uv_sem_post(&asker->done);
}

static void ask_many(void *data)
{
  struct asker *asker = data;
  struct ask *asks = calloc(OUTSTANDING, sizeof *asks);
  uv_sem_init(&asker->done, 0);
  for (int i = 0; i < OUTSTANDING; i++) {
    asks[i].asker = asker;
    asks[i].accept.request.task.done = on_answered;
    ask_next(&asks[i]);
  }
  uv_sem_wait(&asker->done);
  uv_sem_destroy(&asker->done);
  free(asks);
}

static void many_requests_share_a_commit(void **state)
{
  struct kit *kit = *state;
  struct asker askers[THREADS] = { { .kit = kit, .number = 0 }, { .kit = kit, .number = 1 } };
  int64_t commits = nm_metric_get(NM_METRIC_STORE_COMMITS);
  int64_t requests = nm_metric_get(NM_METRIC_STORE_REQUESTS);
  total = EACH;
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(uv_thread_create(&askers[i].thread, ask_many, &askers[i]), 0);
  for (int i = 0; i < THREADS; i++) {
    uv_thread_join(&askers[i].thread);
    assert_int_equal(askers[i].answered, EACH);
    assert_int_equal(askers[i].failed, 0);
    assert_int_equal(askers[i].duplicates, 0);
  }
  commits = nm_metric_get(NM_METRIC_STORE_COMMITS) - commits;
  requests = nm_metric_get(NM_METRIC_STORE_REQUESTS) - requests;
  assert_int_equal(requests, THREADS * EACH);
  assert_true(commits < requests / 4);
  json_t *status = kit_query(kit, NM_QUERY_STATUS, NULL);
  assert_int_equal(json_integer_value(json_object_get(status, "waiting_events")), THREADS * EACH);
  json_decref(status);
}

/* ---- one commit, good and bad ---------------------------------------------------------------- */

static _Atomic int gathered;
static uv_sem_t all_answered;

static void on_gathered(struct nm_task *task)
{
  (void)task;
  if (--gathered == 0) uv_sem_post(&all_answered);
}

static void gather(struct kit *kit, enum nm_store_verb verb, struct nm_store_request *request)
{
  request->verb = verb;
  request->arena = nm_arena_create(1024 * 1024);
  request->task.done = on_gathered;
  assert_int_equal(nm_store_submit(kit->store, request), NM_OK);
}

static void a_request_that_fails_leaves_the_others_of_its_commit_whole(void **state)
{
  struct kit *kit = *state;
  uv_sem_init(&all_answered, 0);
  for (int round = 0; round < 50; round++) {
    char stamp[16];
    snprintf(stamp, sizeof stamp, "r%d", round);
    struct nm_store_arrival first = kit_event(11, "1", "a", stamp);
    struct nm_store_arrival again = kit_event(11, "1", "a", stamp);
    struct nm_store_arrival other = kit_event(11, "1", "b", stamp);
    struct nm_store_accept accepts[3] = { { .arrivals = &first, .count = 1 },
                                          { .arrivals = &again, .count = 1 },
                                          { .arrivals = &other, .count = 1 } };
    struct nm_plan wrong = { .event_id = 1, .tenant_id = TENANT, .state = NM_EVENT_PLANNED };
    struct nm_store_plan plan = { .plans = &wrong, .count = 1 };
    gathered = 4;
    gather(kit, NM_STORE_ACCEPT, &accepts[0].request);
    gather(kit, NM_STORE_PLAN, &plan.request);
    gather(kit, NM_STORE_ACCEPT, &accepts[1].request);
    gather(kit, NM_STORE_ACCEPT, &accepts[2].request);
    uv_sem_wait(&all_answered);
    assert_int_equal(accepts[0].request.rc, NM_OK);
    assert_int_equal(plan.request.rc, NM_ECONFLICT);
    assert_true(again.is_duplicate);
    assert_int_equal(again.id, first.id);
    assert_true(other.id > first.id);
    for (int i = 0; i < 3; i++)
      nm_arena_destroy(accepts[i].request.arena);
    nm_arena_destroy(plan.request.arena);
  }
  uv_sem_destroy(&all_answered);
  assert_int_equal(kit_take(kit, 1000, NULL), 100);
}

static void what_stands_in_the_mailbox_is_committed_by_close(void **state)
{
  struct kit *kit = *state;
  enum { MANY = 500 };
  static struct nm_store_accept accepts[MANY];
  static struct nm_store_arrival arrivals[MANY];
  static char identities[MANY][16];
  uv_sem_init(&all_answered, 0);
  gathered = MANY;
  for (int i = 0; i < MANY; i++) {
    snprintf(identities[i], sizeof identities[i], "k%d", i);
    arrivals[i] = kit_event(11, "1", "u", "");
    arrivals[i].identity = nm_text_from(identities[i]);
    arrivals[i].event.body = NM_TEXT("{}");
    accepts[i] = (struct nm_store_accept){ .arrivals = &arrivals[i], .count = 1 };
    accepts[i].request.verb = NM_STORE_ACCEPT;
    accepts[i].request.task.done = on_gathered;
    assert_int_equal(nm_store_submit(kit->store, &accepts[i].request), NM_OK);
  }
  nm_store_close(kit->store);
  assert_int_equal(gathered, 0);
  uv_sem_destroy(&all_answered);
  kit_open(kit);
  assert_int_equal(kit_take(kit, 1000, NULL), MANY);
}

/* ---- printed, not asserted ------------------------------------------------------------------- */

static void how_many_events_a_second_with_64_outstanding(void **state)
{
  struct kit *kit = *state;
  struct asker asker = { .kit = kit, .number = 9 };
  total = 20000;
  int64_t commits = nm_metric_get(NM_METRIC_STORE_COMMITS);
  int64_t began_ns = nm_clock_mono_ns();
  ask_many(&asker);
  double seconds = (double)(nm_clock_mono_ns() - began_ns) / 1e9;
  commits = nm_metric_get(NM_METRIC_STORE_COMMITS) - commits;
  print_message("store: %.0f events/s with %d outstanding, %.1f in a commit\n", total / seconds,
                OUTSTANDING, (double)total / (double)commits);
  assert_int_equal(asker.failed, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(many_requests_share_a_commit),
    KIT_TEST(a_request_that_fails_leaves_the_others_of_its_commit_whole),
    KIT_TEST(what_stands_in_the_mailbox_is_committed_by_close),
    KIT_TEST(how_many_events_a_second_with_64_outstanding),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
