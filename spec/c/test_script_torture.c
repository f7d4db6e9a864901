/* links: script
 *
 * Each allocation of loading and of running fails once, that one and all later ones: each time a
 * clean error, no leak (ASan), and the state can still be used and destroyed. */
#include "script/internal.h"
#include "script/script.h"
#include "check.h"

static const char tenant[] =
    "return tenant {\n"
    "  name = \"acme\",\n"
    "  messages = { hello = push { title = \"Hi {first_name|you}\", body = \"{n} items\" } },\n"
    "  channels = { [15] = \"push\" }, templates = { [1201] = \"hello\" },\n"
    "  events = { [11] = { quiet_between(\"22:00\", \"09:00\"), send_template } },\n"
    "  hooks = { PURCHASE = function(event) return { update_customer { CustomerID = event.extId, A "
    "= 1.5 }(event), drop(\"x\") } end },\n"
    "  examples = { { given = { EventTypeID = 11, CampaignID = 7, ChannelID = 15, TemplateID = "
    "1201, CustomerID = \"1\",\n"
    "    n = 3 }, gives = { effect = \"send\" } } },\n"
    "}\n";

static const char *const events[] = {
  "{\"EventTypeID\":11,\"CampaignID\":\"7\",\"ChannelID\":15,\"TemplateID\":1201,\"CustomerID\":"
  "\"42\","
  "\"attributes\":{\"first_name\":\"Ada\",\"n\":3,\"list\":[1,2.5,{\"a\":true}]}}",
  "{\"type\":\"EVENT\",\"name\":\"PURCHASE\",\"extId\":\"42\",\"attributes\":{}}",
};

static const struct nm_script_context context = {
  .now_ms = 1000000000000, .year = 2026, .month = 11, .day = 23, .minute = 720, .weekday = 1,
};

static int prove(struct nm_script **none, struct nm_arena *arena, struct nm_error *err)
{
  struct nm_value found;
  (void)none;
  return nm_script_prove(NM_TEXT("rules/acme.lua"), nm_text_from(tenant), NULL, arena, &found,
                         err);
}

static int open_proven(struct nm_script **out, struct nm_arena *arena, struct nm_error *err)
{
  return nm_script_open(out, NM_TEXT("rules/acme.lua"), nm_text_from(tenant), NULL, arena, err);
}

/* Both take thousands of allocations: the first ones each, later ones in steps, so that it stays
 * short.  What failed begins anew, in a fresh state. */
static void fail_each(int (*step)(struct nm_script **out, struct nm_arena *arena,
                                  struct nm_error *err),
                      struct nm_script **out, int when_caught)
{
  struct nm_error err;
  int64_t failures = 0;
  int rc = NM_ENOMEM;
  for (int64_t left = 0; rc != NM_OK; left += left < 300 ? 1 : 29) {
    struct nm_arena *arena = nm_arena_create(1 << 20);
    err.text[0] = '\0';
    nm_state_allocations_left = left;
    rc = step(out, arena, &err);
    nm_state_allocations_left = -1;
    nm_arena_destroy(arena);
    if (rc == NM_OK) break;
    assert_null(*out);
    failures++;
    /* Where the library itself catches it, it is a problem of the file's. */
    assert_true(rc == NM_ENOMEM || rc == NM_ELIMIT || rc == when_caught);
    if (rc != NM_EINVAL) assert_true(err.text[0] != '\0');
  }
  assert_true(failures > 300);
}

static void every_allocation_of_proving_may_fail(void **state)
{
  (void)state;
  struct nm_script *none = NULL;
  fail_each(prove, &none, NM_EINVAL);
}

static void every_allocation_of_opening_may_fail(void **state)
{
  (void)state;
  struct nm_script *script = NULL;
  fail_each(open_proven, &script, NM_EINTERNAL);
  assert_non_null(script);
  nm_script_destroy(script);
}

static void every_allocation_of_running_may_fail(void **state)
{
  (void)state;
  struct nm_script *script = NULL;
  struct nm_error err;
  struct nm_value effects, trace;
  struct nm_arena *arena = nm_arena_create(1 << 20);
  assert_int_equal(open_proven(&script, arena, &err), NM_OK);
  size_t baseline = nm_script_memory(script, true);
  for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
    json_t *event;
    int rc = NM_ELIMIT;
    int64_t failures = 0;
    assert_int_equal(nm_json_parse(&event, nm_text_from(events[i]), &err), NM_OK);
    for (int64_t left = 0; rc != NM_OK; left++) {
      nm_state_allocations_left = left;
      rc = nm_script_evaluate(script, event, &context, arena, &effects, &trace, &err);
      nm_state_allocations_left = -1;
      if (rc == NM_OK) break;
      failures++;
      assert_int_equal(rc, NM_ELIMIT);
      assert_string_equal(err.text, "needs more than its 8192 KiB of memory");
    }
    assert_true(failures > 10);
    assert_true(effects.table.count > 0);
    /* And without failures, as ever. */
    assert_int_equal(nm_script_evaluate(script, event, &context, arena, &effects, &trace, &err),
                     NM_OK);
    json_decref(event);
  }
  assert_true(nm_script_memory(script, true) < baseline + 1024);
  nm_script_destroy(script);
  nm_arena_destroy(arena);
}

/* The same by the way that traffic takes: a send, quiet hours, an author's function, a profile. */
static void every_allocation_of_serving_may_fail(void **state)
{
  const struct nm_event served[] = {
    { .kind = NM_EVENT_CAMPAIGN, .type = 11, .channel_id = 15, .template_id = 1201,
      .campaign = NM_TEXT("7"), .customer = NM_TEXT("42") },
    { .kind = NM_EVENT_HOOK, .name = NM_TEXT("PURCHASE"), .customer = NM_TEXT("42") },
  };
  struct nm_script *script = NULL;
  struct nm_error err;
  struct nm_arena *arena = nm_arena_create(1 << 20);
  json_t *profile = json_pack("{s:{s:s,s:[i,i]}}", "attributes", "city", "Izmir", "list", 1, 2);
  (void)state;
  assert_int_equal(open_proven(&script, arena, &err), NM_OK);
  size_t baseline = nm_script_memory(script, true);
  for (size_t i = 0; i < sizeof served / sizeof *served; i++) {
    struct nm_event event = served[i];
    struct nm_script_answer answer;
    int rc = NM_ELIMIT;
    int64_t failures = 0;
    event.body = nm_text_from(events[i]);
    const struct nm_script_event subject = { .event = &event, .profile = profile };
    for (int64_t left = 0; rc != NM_OK; left++) {
      nm_state_allocations_left = left;
      rc = nm_script_serve(script, &subject, &context, arena, &answer, &err);
      nm_state_allocations_left = -1;
      if (rc == NM_OK) break;
      failures++;
      assert_int_equal(rc, NM_ELIMIT);
      assert_string_equal(err.text, "needs more than its 8192 KiB of memory");
    }
    assert_true(failures > 5);
    assert_int_equal(answer.is_send, i == 0);
    assert_int_equal(nm_script_serve(script, &subject, &context, arena, &answer, &err), NM_OK);
  }
  assert_true(nm_script_memory(script, true) < baseline + 4096);
  json_decref(profile);
  nm_script_destroy(script);
  nm_arena_destroy(arena);
}

/* And an arena that is full at any place is no fault of the rules'. */
static void any_arena_may_be_too_small_for_serving(void **state)
{
  struct nm_event event = { .kind = NM_EVENT_CAMPAIGN, .type = 11, .channel_id = 15,
                            .template_id = 1201, .campaign = NM_TEXT("7"),
                            .customer = NM_TEXT("42"), .body = nm_text_from(events[0]) };
  const struct nm_script_event subject = { .event = &event };
  struct nm_script *script = NULL;
  struct nm_error err;
  struct nm_arena *arena = nm_arena_create(1 << 20);
  int rc = NM_ELIMIT;
  (void)state;
  assert_int_equal(open_proven(&script, arena, &err), NM_OK);
  for (size_t bytes = 0; rc != NM_OK; bytes += 16) {
    struct nm_arena *small = nm_arena_create(bytes);
    struct nm_script_answer answer;
    rc = nm_script_serve(script, &subject, &context, small, &answer, &err);
    assert_true(rc == NM_OK || rc == NM_ELIMIT);
    assert_false(nm_script_cost(script).is_overrun);
    nm_arena_destroy(small);
    assert_true(bytes < 4096);
  }
  nm_script_destroy(script);
  nm_arena_destroy(arena);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_allocation_of_proving_may_fail),
    cmocka_unit_test(every_allocation_of_opening_may_fail),
    cmocka_unit_test(every_allocation_of_running_may_fail),
    cmocka_unit_test(every_allocation_of_serving_may_fail),
    cmocka_unit_test(any_arena_may_be_too_small_for_serving),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
