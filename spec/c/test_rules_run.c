/* links: rules */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "rules/internal.h"
#include "check.h"

static const char tenant[] =
    "local function spin() while true do end end\n"
    "local function grow() local t = {} for i = 1, 1e9 do t[i] = { i } end end\n"
    "local function deep(n) return 1 + deep(n + 1) end\n"
    "local function many(n) local t = {} for i = 1, n do t[i] = drop(\"x\") end return t end\n"
    "return tenant {\n"
    "  name = \"acme\",\n"
    "  time_zone = \"Europe/Istanbul\",\n"
    "  messages = {\n"
    "    hello = push { title = \"Hi {first_name|you}\", body = \"{n} \\\"items\\\"\", expires_in "
    "= hours(6) },\n"
    "    code = sms { text = \"code\", to = \"{msisdn}\" },\n"
    "  },\n"
    "  channels = { [15] = \"push\", [16] = \"sms\" },\n"
    "  templates = { [1201] = \"hello\", [1202] = \"code\" },\n"
    "  events = {\n"
    "    [11] = { quiet_between(\"22:00\", \"09:00\"), send_template },\n"
    "    [13] = { quiet_between(\"22:00\", \"09:00\"), for_each_recipient(send_template) },\n"
    "    [4] = cancel_campaign,\n"
    "    [50] = spin, [51] = grow, [52] = function() return deep(1) end,\n"
    "    [53] = function(event)\n"
    "      return event.nothing.here\n"
    "    end,\n"
    "    [54] = function(event) return many(event.attributes.n) end,\n"
    "    [55] = function() local s = (\"x\"):rep(60000) while true do s = s .. s end end,\n"
    "    [56] = function(event, ctx) event.seen = true ctx.seen = true return "
    "drop(tostring(ctx.recipient)\n"
    "      .. \" \" .. ctx.date .. \" \" .. ctx.minute .. \" \" .. ctx.weekday .. \" \" .. "
    "ctx.now_ms) end,\n"
    "    [57] = function(event, ctx) if ctx.seen or event.seen then return hold(\"leaked\") end "
    "end,\n"
    "    [58] = function(event) return send(\"hello\", event) end,\n"
    "    [59] = function() return json.decode(\"[\" .. (\"1,\"):rep(30000) .. \"1]\") and spin() "
    "end,\n"
    "  },\n"
    "  hooks = {\n"
    "    PURCHASE = update_customer { CustomerID = from(\"extId\"), T = true, F = false, I = 3, W "
    "= 3.0, R = 59.9,\n"
    "      S = from(\"attributes.store\"):default(\"online\"), BIG = 9007199254740993 },\n"
    "    DATED = update_customer { CustomerID = from(\"extId\"), DAY = from(\"time\"):as(\"date\") },\n"
    "    TOLD = track_event { event = \"cart_filled\", customer = from(\"extId\"),\n"
    "      context = { worth = 99.5, is_new = true, shop = from(\"attributes.shop\") } },\n"
    "    CUT = function(event) return send(\"hello\", event) end,\n"
    "  },\n"
    "}\n";

static struct nm_rules *rules;
static struct nm_arena *arena;

static int run(const char *json, struct nm_effects *out, struct nm_error *err)
{
  json_t *event;
  /* Monday 2026-11-23, 12:00 in Istanbul */
  struct nm_rules_moment moment = { .now_ms = INT64_C(1795424400000) };
  assert_int_equal(nm_json_parse(&event, nm_text_from(json), err), NM_OK);
  int rc = nm_rules_run(rules, event, &moment, arena, out, err);
  json_decref(event);
  return rc;
}

static struct nm_effect only(const char *json)
{
  struct nm_effects effects;
  struct nm_error err;
  if (run(json, &effects, &err) != NM_OK) fail_msg("%s", err.text);
  assert_int_equal(effects.count, 1);
  return effects.items[0];
}

static void fails(const char *json, int code, const char *text)
{
  struct nm_effects effects;
  struct nm_error err;
  assert_int_equal(run(json, &effects, &err), code);
  assert_string_equal(err.text, text);
  /* And the next event is as if nothing had been. */
  assert_int_equal(only("{\"EventTypeID\":4,\"CampaignID\":\"7\"}").kind, NM_EFFECT_CANCEL);
}

/* Which limit a busy rule meets first depends on how fast the machine is. */
static void is_stopped(const char *json, const char *text)
{
  struct nm_effects effects;
  struct nm_error err;
  assert_int_equal(run(json, &effects, &err), NM_ELIMIT);
  if (strncmp(err.text, text, strlen(text)) != 0) assert_string_equal(err.text, text);
  assert_int_equal(only("{\"EventTypeID\":4,\"CampaignID\":\"7\"}").kind, NM_EFFECT_CANCEL);
}

#define SINGLE                                                                                     \
  "\"EventTypeID\":11,\"CampaignID\":\"7\",\"ChannelID\":15,\"TemplateID\":1201,\"CustomerID\":"   \
  "\"42\""

static void a_single_send_carries_its_rendered_message(void **state)
{
  (void)state;
  struct nm_effect e = only("{" SINGLE ",\"attributes\":{\"first_name\":\"Ada\",\"n\":3}}");
  assert_int_equal(e.kind, NM_EFFECT_SEND);
  assert_int_equal(e.channel, NM_CHANNEL_PUSH);
  assert_int_equal(e.channel_id, 15);
  assert_int_equal(e.template_id, 1201);
  assert_string_equal(e.message.ptr, "hello");
  assert_string_equal(e.to.ptr, "42");
  assert_string_equal(e.customer.ptr, "42");
  assert_false(e.to_is_address);
  assert_string_equal(e.campaign.ptr, "7");
  assert_string_equal(e.content.ptr, "{\"body\":\"3 \\\"items\\\"\",\"title\":\"Hi Ada\"}");
  assert_int_equal(e.expires_in_ms, 6 * 3600 * 1000);
  assert_int_equal(e.quiet.from_minute, 22 * 60);
  assert_int_equal(e.quiet.to_minute, 9 * 60);
}

static void a_messages_own_address_is_told_from_the_customer(void **state)
{
  (void)state;
  struct nm_effect e = only(
      "{\"EventTypeID\":11,\"CampaignID\":\"7\",\"ChannelID\":16,\"TemplateID\":1202,"
      "\"CustomerID\":\"42\",\"attributes\":{\"msisdn\":\"+905551112233\"}}");
  assert_string_equal(e.to.ptr, "+905551112233");
  assert_string_equal(e.customer.ptr, "42");
  assert_true(e.to_is_address);
}

static void a_campaign_expands_and_a_stop_cancels(void **state)
{
  (void)state;
  struct nm_effect e = only("{\"EventTypeID\":13,\"CampaignID\":\"7\",\"ChannelID\":16}");
  assert_int_equal(e.kind, NM_EFFECT_EXPAND);
  assert_string_equal(e.campaign.ptr, "7");
  assert_int_equal(e.channel_id, 16);
  assert_int_equal(e.quiet.from_minute, 22 * 60);
  e = only("{\"EventTypeID\":4,\"CampaignID\":\"7\"}");
  assert_int_equal(e.kind, NM_EFFECT_CANCEL);
  assert_int_equal(e.channel_id, 0);
}

static void an_update_is_text_as_optimove_takes_it(void **state)
{
  (void)state;
  static const char *const wanted[][2] = {
    { "BIG", "9007199254740993" }, { "F", "FALSE" }, { "I", "3" }, { "R", "59.9" },
    { "S", "online" }, { "T", "TRUE" }, { "W", "3" },
  };
  struct nm_effect e = only(
      "{\"type\":\"EVENT\",\"name\":\"PURCHASE\",\"extId\":\"42\",\"attributes\":{}}");
  assert_int_equal(e.kind, NM_EFFECT_UPDATE);
  assert_string_equal(e.customer.ptr, "42");
  assert_int_equal(e.attribute_count, 7);
  for (size_t i = 0; i < 7; i++) {
    assert_string_equal(e.attributes[i].field.ptr, wanted[i][0]);
    assert_string_equal(e.attributes[i].value.ptr, wanted[i][1]);
  }
}

static void a_date_is_the_day_of_the_tenants_clock(void **state)
{
  (void)state;
  struct nm_effect e = only("{\"type\":\"EVENT\",\"name\":\"DATED\",\"extId\":\"42\","
                            "\"time\":\"2024-04-30T22:30:00Z\",\"attributes\":{}}");
  assert_string_equal(e.attributes[0].value.ptr, "2024-05-01"); /* 01:30 in Istanbul */
}

static void a_real_time_event_names_its_moment_on_the_tenants_clock(void **state)
{
  (void)state;
  struct nm_effect e = only("{\"type\":\"EVENT\",\"name\":\"TOLD\",\"extId\":\"42\","
                            "\"time\":\"2024-05-01 01:30:00\",\"attributes\":{\"shop\":\"K\"}}");
  assert_int_equal(e.kind, NM_EFFECT_TRACK);
  assert_string_equal(nm_effect_name(e.kind), "track");
  assert_string_equal(e.event_name.ptr, "cart_filled");
  assert_string_equal(e.customer.ptr, "42");
  assert_int_equal(e.visitor.len, 0);
  assert_string_equal(e.timestamp.ptr, "2024-04-30 22:30:00.000 UTC");
  assert_string_equal(e.context.ptr, "{\"is_new\":true,\"shop\":\"K\",\"worth\":99.5}");
}

static void quiet_hours_are_those_of_the_tenants_clock(void **state)
{
  (void)state;
  json_t *event;
  struct nm_effects effects;
  struct nm_error err;
  struct nm_rules_moment moment = { .now_ms = INT64_C(1795424400000) };
  assert_int_equal(nm_json_parse(&event, NM_TEXT("{" SINGLE ",\"attributes\":{\"n\":1}}"), &err),
                   NM_OK);
  for (int hour = 0; hour < 24; hour++) {
    int local = (12 + hour) % 24;
    assert_int_equal(nm_rules_run(rules, event, &moment, arena, &effects, &err), NM_OK);
    bool is_quiet = local >= 22 || local < 9;
    assert_int_equal(effects.items[0].kind, is_quiet ? NM_EFFECT_DELAY : NM_EFFECT_SEND);
    if (is_quiet) assert_int_equal(effects.items[0].until_minute, 9 * 60);
    moment.now_ms += 3600 * 1000;
  }
  json_decref(event);
}

static void holds_say_why_and_the_trace_who_answered(void **state)
{
  (void)state;
  struct nm_effects effects;
  struct nm_error err;
  struct nm_effect e = only("{\"EventTypeID\":77}");
  assert_int_equal(e.kind, NM_EFFECT_HOLD);
  assert_string_equal(e.reason.ptr, "event type 77 is not routed");
  assert_int_equal(run("{\"type\":\"EVENT\",\"name\":\"OTHER\",\"extId\":\"1\"}", &effects, &err),
                   NM_OK);
  assert_int_equal(effects.count, 0);
  assert_int_equal(run("{\"EventTypeID\":4,\"CampaignID\":\"7\"}", &effects, &err), NM_OK);
  assert_non_null(strstr(effects.trace.ptr, "\"answered\":true"));
  assert_non_null(strstr(effects.trace.ptr, "\"step\":\"cancel_campaign\""));
}

static void rules_are_told_time_and_place(void **state)
{
  (void)state;
  assert_string_equal(only("{\"EventTypeID\":56}").reason.ptr,
                      "false 2026-11-23 720 1 1795424400000");
}

static void nothing_of_one_event_reaches_the_next(void **state)
{
  (void)state;
  (void)only("{\"EventTypeID\":56}");
  assert_string_equal(only("{\"EventTypeID\":57}").reason.ptr, "no step answered");
}

static void an_authors_error_names_its_line(void **state)
{
  (void)state;
  fails("{\"EventTypeID\":53}", NM_EINVAL,
        "rules/acme.lua:20: attempt to index a nil value (field 'nothing')");
}

static void endless_rules_are_stopped(void **state)
{
  (void)state;
  is_stopped("{\"EventTypeID\":50}", "rules/acme.lua:1: stopped after ");
  is_stopped("{\"EventTypeID\":59}", "rules/acme.lua:1: stopped after ");
}

static void greedy_rules_are_stopped_by_their_memory(void **state)
{
  (void)state;
  is_stopped("{\"EventTypeID\":51}", "");
  fails("{\"EventTypeID\":55}", NM_ELIMIT, "needs more than its 8192 KiB of memory");
}

static void deep_recursion_is_stopped(void **state)
{
  (void)state;
  struct nm_effects effects;
  struct nm_error err;
  int rc = run("{\"EventTypeID\":52}", &effects, &err);
  assert_true(rc == NM_EINVAL || rc == NM_ELIMIT);
  assert_int_equal(only("{\"EventTypeID\":4,\"CampaignID\":\"7\"}").kind, NM_EFFECT_CANCEL);
}

static void effects_are_bounded(void **state)
{
  (void)state;
  struct nm_effects effects;
  struct nm_error err;
  assert_int_equal(run("{\"EventTypeID\":54,\"attributes\":{\"n\":200}}", &effects, &err), NM_OK);
  assert_int_equal(effects.count, 200);
  fails("{\"EventTypeID\":54,\"attributes\":{\"n\":201}}", NM_ELIMIT,
        "gave 201 effects; at most 200 are taken");
}

static void an_arena_too_small_is_a_limit(void **state)
{
  (void)state;
  json_t *event;
  struct nm_effects effects;
  struct nm_error err;
  struct nm_rules_moment moment = { .now_ms = INT64_C(1795424400000) };
  assert_int_equal(nm_json_parse(&event, NM_TEXT("{" SINGLE ",\"attributes\":{\"n\":1}}"), &err),
                   NM_OK);
  bool has_succeeded = false;
  int64_t overruns = nm_rules_cost(rules)->overruns;
  for (size_t size = 0; size < 8192; size += 16) {
    struct nm_arena *small = nm_arena_create(size);
    int rc = nm_rules_run(rules, event, &moment, small, &effects, &err);
    assert_true(rc == NM_OK || rc == NM_ELIMIT || rc == NM_ENOMEM);
    assert_true(rc == NM_OK || !has_succeeded);
    has_succeeded = rc == NM_OK;
    nm_arena_destroy(small);
  }
  assert_true(has_succeeded);
  assert_int_equal(nm_rules_cost(rules)->overruns, overruns); /* the room was the caller's */
  json_decref(event);
}

static void text_that_is_not_utf8_does_not_leave(void **state)
{
  (void)state;
  struct nm_effects effects;
  struct nm_error err;
  json_t *event = json_pack("{s:i,s:s,s:{s:o}}", "EventTypeID", 58, "CustomerID", "42",
                            "attributes", "n", json_stringn_nocheck("\xff", 1));
  struct nm_rules_moment moment = { .now_ms = INT64_C(1795424400000) };
  assert_int_equal(nm_rules_run(rules, event, &moment, arena, &effects, &err), NM_EINVAL);
  assert_string_equal(
      err.text,
      "message hello: body: text that is not UTF-8; expected text, number, boolean or table");
  json_decref(event);
}

static void the_same_event_gives_the_same_bytes(void **state)
{
  (void)state;
  const char *event = "{" SINGLE ",\"attributes\":{\"first_name\":\"Ada\",\"n\":3}}";
  struct nm_text first = only(event).content;
  for (int i = 0; i < 100; i++) assert_true(nm_text_equal(only(event).content, first));
}

static void what_rules_take_is_counted_for_them(void **state)
{
  (void)state;
  struct nm_effects effects;
  struct nm_error err;
  struct nm_rules_cost before = *nm_rules_cost(rules);
  (void)only("{\"EventTypeID\":4,\"CampaignID\":\"7\"}");
  struct nm_rules_cost one = *nm_rules_cost(rules);
  assert_int_equal(one.calls, before.calls + 1);
  assert_true(one.cpu_ns > before.cpu_ns);
  assert_true(one.bytes_max > 100 * 1024 && one.bytes_max <= 8 << 20);
  assert_int_equal(one.overruns, before.overruns);

  assert_int_equal(run("{\"EventTypeID\":50}", &effects, &err), NM_ELIMIT);
  struct nm_rules_cost two = *nm_rules_cost(rules);
  assert_int_equal(two.overruns, before.overruns + 1);
  assert_true(two.instructions - one.instructions > 10000);
  assert_true(two.instructions_max >= two.instructions - one.instructions);
  assert_true(two.cpu_max_ns > 1000 * 1000);
}

static void too_many_overruns_in_a_short_time_suspend(void **state)
{
  (void)state;
  int64_t now_ms = 1000000;
  /* One every four seconds is never 20 within a minute. */
  for (int i = 0; i < 100; i++) assert_false(nm_rules_note_overrun(rules, now_ms += 4000));
  now_ms += NM_RULES_OVERRUNS_WITHIN_MS + 1;
  for (int i = 1; i < NM_RULES_OVERRUNS_MAX; i++)
    assert_false(nm_rules_note_overrun(rules, now_ms += 10));
  assert_int_equal(nm_rules_suspended_ms(rules, now_ms), 0);
  assert_true(nm_rules_note_overrun(rules, now_ms));
  assert_int_equal(nm_rules_suspended_ms(rules, now_ms), NM_RULES_SUSPENDED_MS);
  assert_int_equal(nm_rules_suspended_ms(rules, now_ms + NM_RULES_SUSPENDED_MS), 0);

  now_ms += NM_RULES_SUSPENDED_MS; /* the second time it is for good */
  for (int i = 1; i < NM_RULES_OVERRUNS_MAX; i++)
    assert_false(nm_rules_note_overrun(rules, now_ms));
  assert_true(nm_rules_note_overrun(rules, now_ms));
  assert_true(nm_rules_suspended_ms(rules, now_ms + 10 * NM_RULES_SUSPENDED_MS) > 0);
}

static int open_rules(void **state)
{
  (void)state;
  arena = nm_arena_create(16 << 20);
  struct nm_problems problems = { .arena = arena };
  int rc = nm_rules_load(&rules, NM_TEXT("rules/acme.lua"), nm_text_from(tenant), &problems);
  for (const struct nm_problem *p = problems.first; p; p = p->next)
    print_error("%s\n", p->text.ptr);
  return rc;
}

static int close_rules(void **state)
{
  (void)state;
  nm_rules_destroy(rules);
  nm_arena_destroy(arena);
  return 0;
}

static void each_entry_knows_what_it_took(void **state)
{
  static const char source[] =
      "return tenant { name = \"a\", events = { [5] = function() local n = 0 for i = 1, 5000 do n = n + i end"
      " return drop(tostring(n)) end, [6] = drop(\"six\"), [7] = drop(\"seven\") },"
      " hooks = { E = drop(\"hook\") } }";
  struct nm_problems problems = { .arena = arena };
  struct nm_rules *own = NULL;
  (void)state;
  assert_int_equal(nm_rules_load(&own, NM_TEXT("r.lua"), nm_text_from(source), &problems), NM_OK);
  const struct nm_event five = { .kind = NM_EVENT_CAMPAIGN, .type = 5, .body = NM_TEXT("{}") };
  const struct nm_event six = { .kind = NM_EVENT_CAMPAIGN, .type = 6, .body = NM_TEXT("{}") };
  const struct nm_event hook = { .kind = NM_EVENT_HOOK,
                                 .name = NM_TEXT("E"),
                                 .body = NM_TEXT("{}") };
  const struct nm_event *const events[] = { &five, &six, &six, &hook, &hook, &hook };
  const struct nm_rules_moment moment = { .now_ms = 1700000000000 };
  int64_t calls = 0;
  size_t count;
  for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
    struct nm_effects effects;
    struct nm_error err;
    if (nm_rules_serve(own, events[i], NULL, &moment, arena, &effects, &err))
      fail_msg("%s", err.text);
  }
  const struct nm_rules_entry *entries = nm_rules_entries(own, &count);
  for (size_t i = 0; i < count; i++) {
    const struct nm_rules_cost *cost = &entries[i].cost;
    calls += cost->calls;
    if (nm_text_equal(entries[i].name, NM_TEXT("events[5]")))
      assert_true(cost->instructions >= 10000);
    else assert_true(cost->instructions < 5000);
    if (nm_text_equal(entries[i].name, NM_TEXT("events[6]"))) assert_int_equal(cost->calls, 2);
    if (nm_text_equal(entries[i].name, NM_TEXT("events[7]"))) assert_int_equal(cost->calls, 0);
    if (nm_text_equal(entries[i].name, NM_TEXT("hooks.E"))) assert_int_equal(cost->calls, 3);
  }
  assert_int_equal(calls, 6);
  assert_int_equal(nm_rules_cost(own)->calls, 6);
  nm_rules_destroy(own);
}

static void rules_without_events_sleep_and_wake(void **state)
{
  static const char source[] = "return tenant { name = \"a\", events = { [6] = drop(\"six\") } }";
  const struct nm_event six = { .kind = NM_EVENT_CAMPAIGN, .type = 6, .body = NM_TEXT("{}") };
  const struct nm_rules_moment moment = { .now_ms = 1700000000000 };
  struct nm_problems problems = { .arena = arena };
  struct nm_rules *own = NULL;
  (void)state;
  assert_int_equal(nm_rules_load(&own, NM_TEXT("r.lua"), nm_text_from(source), &problems), NM_OK);
  own->is_slow = false;
  nm_rules_close_state(own); /* was open where proving took long */
  (void)nm_rules_let_sleep(nm_clock_mono_ms() + NM_RULES_SLEEP_MS + 1); /* those of other tests */
  for (int i = 1; i <= 3; i++) {
    struct nm_effects effects;
    struct nm_error err;
    if (nm_rules_serve(own, &six, NULL, &moment, arena, &effects, &err)) fail_msg("%s", err.text);
    assert_int_equal(effects.count, 1);
    assert_non_null(own->script);
    int64_t now_ms = nm_clock_mono_ms();
    assert_int_equal(nm_rules_let_sleep(now_ms), 0);
    assert_int_equal(nm_rules_let_sleep(now_ms + NM_RULES_SLEEP_MS + 1), 1);
    assert_null(own->script);
    assert_int_equal(nm_rules_cost(own)->calls, i);
    assert_int_equal(own->told_bytes, 0);
  }
  nm_rules_destroy(own);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_single_send_carries_its_rendered_message),
    cmocka_unit_test(a_messages_own_address_is_told_from_the_customer),
    cmocka_unit_test(a_campaign_expands_and_a_stop_cancels),
    cmocka_unit_test(an_update_is_text_as_optimove_takes_it),
    cmocka_unit_test(a_date_is_the_day_of_the_tenants_clock),
    cmocka_unit_test(a_real_time_event_names_its_moment_on_the_tenants_clock),
    cmocka_unit_test(quiet_hours_are_those_of_the_tenants_clock),
    cmocka_unit_test(holds_say_why_and_the_trace_who_answered),
    cmocka_unit_test(rules_are_told_time_and_place),
    cmocka_unit_test(nothing_of_one_event_reaches_the_next),
    cmocka_unit_test(an_authors_error_names_its_line),
    cmocka_unit_test(endless_rules_are_stopped),
    cmocka_unit_test(greedy_rules_are_stopped_by_their_memory),
    cmocka_unit_test(deep_recursion_is_stopped),
    cmocka_unit_test(effects_are_bounded),
    cmocka_unit_test(an_arena_too_small_is_a_limit),
    cmocka_unit_test(text_that_is_not_utf8_does_not_leave),
    cmocka_unit_test(the_same_event_gives_the_same_bytes),
    cmocka_unit_test(what_rules_take_is_counted_for_them),
    cmocka_unit_test(too_many_overruns_in_a_short_time_suspend),
    cmocka_unit_test(each_entry_knows_what_it_took),
    cmocka_unit_test(rules_without_events_sleep_and_wake),
  };
  return cmocka_run_group_tests(tests, open_rules, close_rules);
}
