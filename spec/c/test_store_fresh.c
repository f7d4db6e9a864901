/* links: store */
/* What is handed on from memory: whatever happens in between, every event is taken once and every
 * message is leased when it is due, by nobody else meanwhile, single ones before those of runs.  A
 * tenant's events come in their order, whoever else waits. */
#include "check.h"
#include "store_kit.h"

enum { STEPS = 3000, MESSAGES_MAX = 4096, PROVIDERS = 2, TENANTS = 3 };

enum fate { UNKNOWN = 0, WAITS = 1, IS_OUT = 2, HAS_ENDED = 3 };

struct known {
  int64_t id, due_ms, run_id;
  enum fate fate;
  int provider;
  enum nm_message_priority priority;
};

struct event {
  int64_t id, tenant_id;
  bool is_cancel;
};

static struct {
  struct known messages[MESSAGES_MAX];
  size_t count;
  struct event events[MESSAGES_MAX]; /* accepted, not taken */
  size_t event_count;
  struct event taken[MESSAGES_MAX];  /* not planned */
  size_t taken_count;
  int64_t now_ms;
  unsigned seed;
} w;

static const char *const providers[PROVIDERS] = { "netmera", "other" };

static unsigned roll(unsigned below)
{
  w.seed = w.seed * 1103515245u + 12345u;
  return (w.seed >> 12) % below;
}

static void accept_some(struct kit *kit)
{
  static unsigned serial;
  for (unsigned i = roll(5); i > 0; i--) {
    char customer[32];
    snprintf(customer, sizeof customer, "c%u", serial++);
    bool is_cancel = roll(20) == 0;
    struct nm_store_arrival arrival = kit_event(is_cancel ? 4 : 11, "1", customer, "");
    arrival.event.tenant_id = TENANT + (roll(4) == 0 ? (int64_t)roll(TENANTS) : 0); /* one has most */
    int64_t id = kit_accept(kit, &arrival);
    w.events[w.event_count++] = (struct event){ id, arrival.event.tenant_id, is_cancel };
  }
}

/* The first of its tenant, and a cancel before all that are none. */
static bool is_next(const struct event *event)
{
  for (size_t i = 0; i < w.event_count; i++) {
    const struct event *other = &w.events[i];
    if (other->is_cancel && !event->is_cancel) return false;
    if (other->is_cancel == event->is_cancel && other->tenant_id == event->tenant_id &&
        other->id < event->id)
      return false;
  }
  return true;
}

static void take_some(struct kit *kit)
{
  struct nm_event *events = NULL;
  size_t max = roll(16), count = kit_take(kit, max, &events);
  size_t expected = w.event_count < max ? w.event_count : max;
  assert_int_equal(count, expected);
  for (size_t i = 0; i < count; i++) {
    size_t at = 0;
    while (at < w.event_count && w.events[at].id != events[i].id) at++;
    assert_true(at < w.event_count); /* accepted, and not taken before */
    assert_true(events[i].tenant_id == w.events[at].tenant_id && events[i].body.len > 0);
    assert_true(is_next(&w.events[at]));
    w.taken[w.taken_count++] = w.events[at];
    w.events[at] = w.events[--w.event_count];
  }
}

static void know(const struct nm_message *message)
{
  assert_true(w.count < MESSAGES_MAX);
  int provider = nm_text_equal(message->provider, nm_text_from(providers[1]));
  w.messages[w.count++] = (struct known){ message->id, message->due_at_ms, message->run_id,
                                          message->state == NM_MESSAGE_WAITING ? WAITS : HAS_ENDED,
                                          provider, message->priority };
}

static void plan_one(struct kit *kit)
{
  struct nm_message messages[3];
  if (w.taken_count == 0) return;
  struct event event = w.taken[--w.taken_count];
  size_t count = event.tenant_id == TENANT ? roll(4) : 0;
  for (size_t i = 0; i < count; i++) {
    messages[i] = kit_message("1", "c");
    messages[i].provider = nm_text_from(providers[roll(PROVIDERS)]);
    messages[i].priority = roll(2) ? NM_PRIORITY_RUN : NM_PRIORITY_SINGLE;
    /* the store looks at the real clock, which is an hour ahead of ours */
    messages[i].due_at_ms = roll(8) == 0 ? w.now_ms + 2 * HOUR_MS + roll(2000) : 0;
    messages[i].created_at_ms = w.now_ms;
  }
  struct nm_plan plan = { .event_id = event.id, .tenant_id = event.tenant_id,
                          .state = NM_EVENT_PLANNED, .messages = messages, .message_count = count };
  if (roll(20) == 0) { /* not now */
    plan.state = NM_EVENT_NEW;
    plan.message_count = count = 0;
    w.events[w.event_count++] = event;
  }
  kit_plan(kit, &plan);
  for (size_t i = 0; i < count; i++) know(&messages[i]);
}

static size_t due_at(int provider)
{
  size_t count = 0;
  for (size_t i = 0; i < w.count; i++)
    if (w.messages[i].fate == WAITS && w.messages[i].provider == provider &&
        w.messages[i].due_ms <= w.now_ms)
      count++;
  return count;
}

static void lease_some(struct kit *kit, size_t max)
{
  int provider = (int)roll(PROVIDERS);
  struct nm_store_lease lease = { .tenant_id = TENANT,
                                  .provider = nm_text_from(providers[provider]),
                                  .now_ms = w.now_ms,
                                  .max = max };
  size_t due = due_at(provider);
  KIT_MUST(kit, NM_STORE_LEASE, &lease);
  bool is_promised = lease.next_due_ms > 0 && lease.next_due_ms <= w.now_ms;
  assert_true(lease.count <= max);
  if (lease.count < (due < max ? due : max)) assert_true(is_promised); /* then it is asked again */
  bool was_run = false;
  for (size_t i = 0; i < lease.count; i++) {
    size_t at = 0;
    while (at < w.count && w.messages[at].id != lease.messages[i].id) at++;
    assert_true(at < w.count);
    assert_int_equal(w.messages[at].fate, WAITS);
    assert_int_equal(w.messages[at].provider, provider);
    assert_true(w.messages[at].due_ms <= w.now_ms);
    assert_false(was_run && lease.messages[i].priority == NM_PRIORITY_SINGLE);
    was_run = lease.messages[i].priority == NM_PRIORITY_RUN;
    assert_true(lease.messages[i].content.len > 0 && lease.messages[i].customer.len == 1);
    w.messages[at].fate = IS_OUT;
  }
  if (lease.count == 0 && due == 0 && lease.next_due_ms == 0)
    for (size_t i = 0; i < w.count; i++)
      assert_false(w.messages[i].fate == WAITS && w.messages[i].provider == provider);
}

static void finish_one(struct kit *kit)
{
  size_t at = roll((unsigned)w.count + 1);
  while (at < w.count && w.messages[at].fate != IS_OUT) at++;
  if (at >= w.count) return;
  struct known *known = &w.messages[at];
  struct nm_finish item = { .message_id = known->id, .state = NM_MESSAGE_SENT, .attempts = 1 };
  known->fate = HAS_ENDED;
  if (roll(4) == 0) {
    item.state = NM_MESSAGE_WAITING;
    item.due_at_ms = roll(8) == 0 ? 0 : w.now_ms + (int64_t)roll(1500) - 50;
    known->fate = WAITS;
    if (item.due_at_ms > 0) known->due_ms = item.due_at_ms;
    if (roll(8) == 0) {
      known->provider = (int)roll(PROVIDERS);
      item.provider = nm_text_from(providers[known->provider]);
    }
  }
  struct nm_store_finish finish = { .items = &item, .count = 1 };
  KIT_MUST(kit, NM_STORE_FINISH, &finish);
}

static void meddle(struct kit *kit)
{
  switch (roll(4)) {
  case 0: /* nothing is claimed after that */
    kit_reopen(kit);
    for (size_t i = 0; i < w.count; i++)
      if (w.messages[i].fate == IS_OUT) w.messages[i].fate = WAITS;
    while (w.taken_count > 0) w.events[w.event_count++] = w.taken[--w.taken_count];
    break;
  case 1: { /* a plan that is refused undoes what it wrote */
    struct nm_message message = kit_message("1", "never");
    struct nm_plan plan = { .event_id = 12345, .tenant_id = TENANT, .state = NM_EVENT_PLANNED,
                            .messages = &message, .message_count = 1 };
    struct nm_error err;
    assert_int_not_equal(kit_try_plan(kit, &plan, &err), NM_OK);
    break;
  }
  case 2: { /* no place for what is taken */
    struct nm_arena *whole = kit->arena;
    struct nm_store_lease lease = { .tenant_id = TENANT, .provider = nm_text_from(providers[0]),
                                    .now_ms = w.now_ms, .max = 5 };
    kit->arena = nm_arena_create(64);
    assert_true(kit_ask(kit, NM_STORE_LEASE, &lease.request) == NM_ENOMEM || lease.count == 0);
    nm_arena_destroy(kit->arena);
    kit->arena = whole;
    break;
  }
  default: { /* a verb that is none of traffic */
    struct nm_store_retain retain = { .now_ms = w.now_ms };
    KIT_MUST(kit, NM_STORE_RETAIN, &retain);
    break;
  }
  }
}

static void nothing_is_lost_and_nothing_comes_twice(void **state)
{
  struct kit *kit = *state;
  memset(&w, 0, sizeof w);
  w.seed = 11;
  w.now_ms = nm_clock_wall_ms() - HOUR_MS;
  for (int i = 0; i < STEPS; i++) {
    w.now_ms += roll(40);
    switch (roll(9)) {
    case 0: accept_some(kit); break;
    case 1: take_some(kit); break;
    case 2:
    case 3: plan_one(kit); break;
    case 4:
    case 5: lease_some(kit, roll(24)); break;
    case 6:
    case 7: finish_one(kit); break;
    default: if (roll(20) == 0) meddle(kit);
    }
  }
  /* at the end of time all of it comes */
  while (w.event_count > 0) take_some(kit);
  w.now_ms += 4 * HOUR_MS;
  for (int round = 0; round < 200 && due_at(0) + due_at(1) > 0; round++) lease_some(kit, 50);
  assert_int_equal(due_at(0) + due_at(1), 0);
  assert_true(w.count > 200);
}

static void a_cancel_taken_from_memory_goes_first(void **state)
{
  struct kit *kit = *state;
  struct nm_event *events;
  assert_int_equal(kit_take(kit, 10, NULL), 0); /* from now on memory knows all */
  kit_event_id(kit, 11, "1", "a", "");
  kit_event_id(kit, 11, "1", "b", "");
  kit_event_id(kit, 4, "1", "", "");
  assert_int_equal(kit_take(kit, 2, &events), 2);
  assert_int_equal(events[0].type, 4);
  assert_text(events[1].customer, "a");
  assert_int_equal(kit_take(kit, 2, &events), 1);
  assert_text(events[0].customer, "b");
}

static void one_whose_tenant_waits_for_nobody_goes_ahead(void **state)
{
  struct kit *kit = *state;
  struct nm_event *events;
  assert_int_equal(kit_take(kit, 10, NULL), 0);
  kit_event_id(kit, 11, "1", "flood 1", "");
  kit_event_id(kit, 11, "1", "flood 2", "");
  kit_event_id(kit, 11, "1", "flood 3", "");
  struct nm_store_arrival arrival = kit_event(11, "1", "neighbour 1", "");
  arrival.event.tenant_id = TENANT + 1;
  kit_accept(kit, &arrival);
  arrival = kit_event(11, "1", "neighbour 2", "");
  arrival.event.tenant_id = TENANT + 1;
  kit_accept(kit, &arrival);
  assert_int_equal(kit_take(kit, 3, &events), 3);
  assert_text(events[0].customer, "neighbour 1");
  assert_text(events[1].customer, "neighbour 2");
  assert_text(events[2].customer, "flood 1");
  assert_int_equal(kit_take(kit, 10, &events), 2);
  assert_text(events[0].customer, "flood 2");
}

static void a_cancel_stops_what_waits_in_memory(void **state)
{
  struct kit *kit = *state;
  assert_int_equal(kit_lease(kit, 10).count, 0);
  kit_single(kit, "1", "a", "", 0);
  kit_single(kit, "2", "b", "", 0);
  kit_cancel(kit, "1", 0, "", 0, 0);
  struct nm_store_lease lease = kit_lease(kit, 10);
  assert_int_equal(lease.count, 1);
  assert_text(lease.messages[0].customer, "b");
}

static void more_than_memory_holds_is_read_from_the_table(void **state)
{
  struct kit *kit = *state;
  enum { EVENTS = 200 };
  char *body = malloc(NM_HTTP_EVENT_BODY_MAX_BYTES);
  bool seen[EVENTS] = { false };
  size_t count = 0;
  assert_non_null(body);
  memset(body, 'x', NM_HTTP_EVENT_BODY_MAX_BYTES);
  assert_int_equal(kit_take(kit, 10, NULL), 0);
  for (int i = 0; i < EVENTS; i++) {
    char customer[16];
    snprintf(customer, sizeof customer, "%d", i);
    struct nm_store_arrival arrival = kit_event(11, "1", customer, "");
    arrival.event.body = (struct nm_text){ body, NM_HTTP_EVENT_BODY_MAX_BYTES };
    kit_accept(kit, &arrival);
  }
  for (struct nm_event *events; count < EVENTS;) {
    bool has_neighbour = count >= EVENTS / 4 && count < EVENTS * 3 / 4; /* also while the table is read */
    if (has_neighbour) {
      struct nm_store_arrival arrival = kit_event(11, "1", "neighbour", "");
      arrival.event.tenant_id = TENANT + 1;
      arrival.window_ms = 0;
      kit_accept(kit, &arrival);
    }
    size_t taken = kit_take(kit, 30, &events);
    assert_true(taken > 1);
    if (has_neighbour) {
      assert_text(events[0].customer, "neighbour");
      events++;
      taken--;
    }
    for (size_t i = 0; i < taken; i++) {
      int64_t number;
      assert_true(nm_text_to_i64(events[i].customer, &number));
      assert_false(seen[number]);
      assert_true(number == (int64_t)(count + i)); /* in their order */
      seen[number] = true;
      assert_int_equal(events[i].body.len, NM_HTTP_EVENT_BODY_MAX_BYTES);
    }
    count += taken;
  }
  free(body);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    KIT_TEST(nothing_is_lost_and_nothing_comes_twice),
    KIT_TEST(a_cancel_taken_from_memory_goes_first),
    KIT_TEST(one_whose_tenant_waits_for_nobody_goes_ahead),
    KIT_TEST(a_cancel_stops_what_waits_in_memory),
    KIT_TEST(more_than_memory_holds_is_read_from_the_table),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
