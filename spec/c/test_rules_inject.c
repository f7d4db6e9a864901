/* links: rules, wraps: malloc calloc realloc */
/* The i-th allocation fails, ours, Lua's or jansson's, once or from then on: loading and running
 * rules say so, nothing crashes or leaks, and with memory everything is as before. */
#include <stdio.h>
#include <string.h>

#include "rules/rules.h"
#include "want_of_memory.h"

enum { ARENA_MAX_BYTES = 1024 * 1024 };

static bool is_tests_own(void)
{
  return false;
}

static const char tenant[] =
    "return tenant {\n"
    "  name = \"acme\",\n"
    "  messages = { hello = push { title = \"Hi {first_name|you}\", body = \"{n} items\" } },\n"
    "  channels = { [15] = \"push\" },\n"
    "  templates = { [1201] = \"hello\" },\n"
    "  events = { [11] = send_template, [13] = for_each_recipient(send_template),\n"
    "             [4] = cancel_campaign },\n"
    "  hooks = { PURCHASE = update_customer { CustomerID = from(\"extId\"),\n"
    "              TOTAL = from(\"attributes.total\"):as(\"number\") } },\n"
    "}\n";

static const char *const events[] = {
  ("{\"EventTypeID\":11,\"CampaignID\":\"7\",\"ChannelID\":15,\"TemplateID\":1201,"
   "\"CustomerID\":\"42\",\"attributes\":{\"first_name\":\"Ada\",\"n\":3}}"),
  "{\"EventTypeID\":13,\"CampaignID\":\"7\",\"ChannelID\":15}",
  "{\"name\":\"PURCHASE\",\"extId\":\"u1\",\"attributes\":{\"total\":12.5}}",
};

enum { EVENTS = sizeof events / sizeof events[0] };

/* 0 = all went well; else the first refusal, which must say something. */
static int life(void)
{
  struct nm_problems problems = { .arena = nm_arena_create(ARENA_MAX_BYTES) };
  struct nm_rules *rules = NULL;
  if (!problems.arena)
    return NM_ENOMEM;
  int first = nm_rules_load(&rules, NM_TEXT("rules/acme.lua"), nm_text_from(tenant), &problems);
  for (size_t i = 0; i < EVENTS && !first; i++) {
    struct nm_rules_moment moment = { .now_ms = INT64_C(1795424400000) };
    struct nm_effects effects = { .count = 0 };
    struct nm_error err = { 0 };
    json_t *event = NULL;
    struct nm_arena *arena = nm_arena_create(ARENA_MAX_BYTES);
    int rc = arena ? nm_json_parse(&event, nm_text_from(events[i]), &err) : NM_ENOMEM;
    if (!rc) {
      rc = nm_rules_run(rules, event, &moment, arena, &effects, &err);
      if (rc && err.text[0] == '\0')
        fail_msg("event %zu: %d without a word", i, rc);
      if (!rc && effects.count != 1)
        fail_msg("event %zu: %zu effects", i, effects.count);
    }
    if (rc)
      first = rc;
    json_decref(event);
    nm_arena_destroy(arena);
  }
  nm_rules_destroy(rules);
  nm_arena_destroy(problems.arena);
  return first;
}

static void want_of_memory_is_said_and_survived(void **state)
{
  (void)state;
  const char *text = getenv("NETMOVE_INJECTIONS");
  const char *is_long = getenv("NETMOVE_LONG");
  long count = text ? strtol(text, NULL, 10) : is_long && strcmp(is_long, "1") == 0 ? 2000 : 120;
  assert_int_equal(life(), NM_OK); /* what is made once is made */
  long before = memory_calls(MEMORY_ALL), refused = 0, met = 0;
  assert_int_equal(life(), NM_OK);
  long calls = memory_calls(MEMORY_ALL) - before;
  for (long i = 0; i < count; i++) {
    memory_fail(MEMORY_ALL, i * calls / count, i % 2 == 1);
    refused += life() != NM_OK;
    met += memory_mend();
    if (i % 8 == 0)
      assert_int_equal(life(), NM_OK);
  }
  print_message("%ld of %ld injections met one of %ld allocations, %ld lives were refused\n", met,
                count, calls, refused);
  assert_true(met > count / 2);
}

int main(void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test(want_of_memory_is_said_and_survived) };
  wrap_jansson();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
