/* links: engine */
/* Runs: each customer once, over pages, restarts and cancels. */
#include <jansson.h>
#include <stdatomic.h>

#include "flow_kit.h"

/* ---- want of memory -------------------------------------------------------------------------- */

/* Threads that had asked for memory before it ran short go on having it: all but the engine's. */
static atomic_bool is_short;
static _Thread_local bool has_memory;

static void *scarce_malloc(size_t len)
{
  if (!atomic_load(&is_short)) has_memory = true;
  return has_memory ? malloc(len) : NULL;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void save_page(struct flow *flow, int64_t run_id, int64_t number, struct nm_text body,
                      int64_t rows)
{
  struct nm_store_page_save save = {
    .run_id = run_id, .number = number, .rows = rows, .body = body
  };
  KIT_MUST(&flow->kit, NM_STORE_PAGE_SAVE, &save);
}

/* A page of customers from..to-1, each with the template, as Optimove sends it. */
static void save_customers(struct flow *flow, int64_t run_id, int64_t number, int from, int to)
{
  struct nm_buffer body;
  nm_buffer_init(&body, 16 * 1024 * 1024);
  assert_int_equal(nm_buffer_appendf(&body, "["), NM_OK);
  for (int i = from; i < to; i++)
    assert_int_equal(
        nm_buffer_appendf(&body, "%s{\"CustomerID\":\"C%d\",\"TemplateID\":%d,\"ActionID\":5}",
                          i > from ? "," : "", i, TEMPLATE),
        NM_OK);
  assert_int_equal(nm_buffer_appendf(&body, "]"), NM_OK);
  save_page(flow, run_id, number, nm_buffer_text(&body), to - from);
  nm_buffer_deinit(&body);
}

/* A run that was planned before the start. */
static int64_t make_run(struct flow *flow)
{
  struct nm_run run = { .channel_id = CHANNEL,
                        .campaign = NM_TEXT("7"),
                        .generation_id = flow->generation_id,
                        .triggered_at_ms = nm_clock_wall_ms() };
  struct nm_plan plan = { .event_id = accept_event(flow, 13, "7", "", ""),
                          .tenant_id = flow->tenant_id,
                          .state = NM_EVENT_PLANNED,
                          .run = &run };
  kit_plan(&flow->kit, &plan);
  return run.id;
}

static void a_run_sends_each_once_and_leaves_marks_for_those_held(void **state)
{
  struct flow *flow = *state;
  int64_t id = make_run(flow);
  save_customers(flow, id, 0, 0, 700);
  save_page(
      flow, id, 1,
      NM_TEXT("[{\"CustomerID\":\"C1\",\"TemplateID\":1201},{\"CustomerID\":\"HOLD\","
              "\"TemplateID\":1201},"
              "{\"CustomerID\":\"X\",\"TemplateID\":1201,\"ActionID\":1},{\"TemplateID\":1201},"
              "{\"CustomerID\":\"C1\",\"TemplateID\":1202}]"),
      5);
  save_page(flow, id, 2, NM_TEXT(""), 0);
  start(flow);
  UNTIL(is_state(kit_show(&flow->kit, id), "done"));
  assert_int_equal(delivered(flow), 701);
  assert_int_equal(kit_number(&flow->kit, id, "sent"), 701);
  assert_int_equal(kit_number(&flow->kit, id, "repeated"), 1);
  assert_int_equal(kit_number(&flow->kit, id, "skipped"), 1);
  assert_int_equal(kit_number(&flow->kit, id, "held"), 2);
}

static void rows_are_held_also_where_there_is_no_memory(void **state)
{
  struct flow *flow = *state;
  int64_t id = make_run(flow);
  save_page(flow, id, 0,
            NM_TEXT("[{\"CustomerID\":\"HOLD\",\"TemplateID\":1201},"
                    "{\"CustomerID\":\"C1\",\"TemplateID\":1201},"
                    "{\"CustomerID\":\"HOLD\",\"TemplateID\":1202},{\"TemplateID\":1201}]"),
            4);
  save_page(flow, id, 1, NM_TEXT(""), 0);
  json_decref(kit_show(&flow->kit, id)); /* who reads the store has memory */
  atomic_store(&is_short, true);
  start(flow);
  UNTIL(is_state(kit_show(&flow->kit, id), "done"));
  atomic_store(&is_short, false);
  assert_int_equal(kit_number(&flow->kit, id, "sent") + kit_number(&flow->kit, id, "held"), 4);
  assert_true(kit_number(&flow->kit, id, "held") >= 3);
}

static void a_run_without_recipients_is_done_at_once(void **state)
{
  struct flow *flow = *state;
  int64_t id = make_run(flow);
  save_page(flow, id, 0, NM_TEXT(""), 0);
  start(flow);
  UNTIL(is_state(kit_show(&flow->kit, id), "done"));
  assert_int_equal(delivered(flow), 0);
}

static void a_run_goes_on_at_its_cursor_and_repeats_nobody(void **state)
{
  struct flow *flow = *state;
  save_tenant(flow, "ACTIVE", RATE); /* slow enough to be stopped on the way, more than once */
  int64_t id = make_run(flow);
  save_customers(flow, id, 0, 0, 3000);
  save_customers(flow, id, 1, 3000, 7000);
  save_customers(flow, id, 2, 0, 1500); /* for the second time, and known from another life */
  save_customers(flow, id, 3, 7000, 9000);
  save_page(flow, id, 4, NM_TEXT(""), 0);
  int64_t before = 0;
  for (int restarts = 0; restarts < 4; restarts++) {
    start(flow);
    UNTIL(delivered(flow) > before + 700);
    stop(flow);
    before = delivered(flow);
    assert_true(before < 9000);
    nm_store_close(flow->kit.store);
    open_store(flow);
  }
  start(flow);
  UNTIL(is_state(kit_show(&flow->kit, id), "done"));
  assert_int_equal(delivered(flow), 9000);
  assert_int_equal(kit_number(&flow->kit, id, "sent"), 9000);
  assert_int_equal(kit_number(&flow->kit, id, "repeated"), 1500);
}

static void a_run_cancelled_by_hand_sends_nothing_after_the_answer(void **state)
{
  struct flow *flow = *state;
  char text[32];
  save_tenant(flow, "ACTIVE", RATE);
  int64_t id = make_run(flow);
  save_customers(flow, id, 0, 0, 9000);
  save_page(flow, id, 1, NM_TEXT(""), 0);
  start(flow);
  UNTIL(delivered(flow) > 300);
  snprintf(text, sizeof text, "%lld", (long long)id);
  json_t *answer = tell(flow, NM_CONTROL_RUN_CANCEL, json_pack("{s:s}", "run", text), NULL, NULL);
  int64_t in_flight = json_integer_value(json_object_get(answer, "in_flight"));
  assert_true(json_integer_value(json_object_get(answer, "fenced_at")) > 0);
  json_decref(answer);
  /* Everything has its end; what is counted adds up to what was made. */
  UNTIL(kit_number(&flow->kit, id, "sent") + kit_number(&flow->kit, id, "stopped") ==
        kit_number(&flow->kit, id, "made"));
  assert_int_equal(kit_number(&flow->kit, id, "sent"), delivered(flow));
  assert_true(kit_number(&flow->kit, id, "sent") < 9000);
  assert_true(in_flight >= 0);
  kit_assert_state(&flow->kit, id, "cancelled");
}

static void a_single_message_overtakes_a_campaign(void **state)
{
  struct flow *flow = *state;
  save_tenant(flow, "ACTIVE", 500);
  int64_t run_id = make_run(flow);
  save_customers(flow, run_id, 0, 0, 5000); /* ten seconds of work */
  save_page(flow, run_id, 1, NM_TEXT(""), 0);
  start(flow);
  UNTIL(delivered(flow) > 400); /* by now the lane holds as much as it wants to */
  int64_t id = accept_event(flow, 11, "8", "42", "");
  UNTIL(strcmp(message_state(flow, id), "sent") == 0);
  assert_true(delivered(flow) < 4000); /* in turn it would have come behind all that is made
                                        * ahead */
}

int main(void)
{
  json_set_alloc_funcs(scarce_malloc, free);
  const struct CMUnitTest tests[] = {
    FLOW_TEST(a_run_sends_each_once_and_leaves_marks_for_those_held),
    FLOW_TEST(rows_are_held_also_where_there_is_no_memory),
    FLOW_TEST(a_run_without_recipients_is_done_at_once),
    FLOW_TEST(a_run_goes_on_at_its_cursor_and_repeats_nobody),
    FLOW_TEST(a_run_cancelled_by_hand_sends_nothing_after_the_answer),
    FLOW_TEST(a_single_message_overtakes_a_campaign),
  };
  (void)kit_setup; /* the store's own: a flow has its own */
  (void)kit_teardown;
  return cmocka_run_group_tests_name("runs", tests, NULL, NULL);
}
