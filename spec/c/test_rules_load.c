/* links: rules */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "rules/rules.h"
#include "check.h"

static const char tenant[] =
    "return tenant {\n"
    "  name = \"acme\",\n"
    "  time_zone = \"Europe/Istanbul\",\n"
    "  messages = { hello = push { body = \"Hello\" }, code = sms { text = \"1\" } },\n"
    "  channels = { [15] = \"push\", [16] = \"sms\" },\n"
    "  templates = { [1202] = \"code\", [1201] = \"hello\" },\n"
    "  events = { [11] = send_template, [13] = for_each_recipient(send_template), [99] = "
    "send_template },\n"
    "  hooks = { PURCHASE = update_customer { CustomerID = from(\"extId\"), X = 1 } },\n"
    "  examples = { { given = { EventTypeID = 11, CampaignID = 7, ChannelID = 15, TemplateID = "
    "1201,\n"
    "    CustomerID = \"42\" }, gives = { effect = \"send\", message = \"hello\" } } },\n"
    "}\n";

struct fixture {
  struct nm_arena *arena;
  struct nm_problems problems;
};

static int begin(void **state)
{
  struct fixture *f = calloc(1, sizeof *f);
  if (!f) return -1;
  f->arena = nm_arena_create(1 << 20);
  f->problems.arena = f->arena;
  *state = f;
  return 0;
}

static int end(void **state)
{
  struct fixture *f = *state;
  nm_arena_destroy(f->arena);
  free(f);
  return 0;
}

static struct nm_rules *load(struct fixture *f, const char *source)
{
  struct nm_rules *rules = NULL;
  int rc = nm_rules_load(&rules, NM_TEXT("rules/acme.lua"), nm_text_from(source), &f->problems);
  assert_int_equal(rc, rules ? NM_OK : NM_EINVAL);
  assert_int_equal(f->problems.count > 0, rules == NULL);
  return rules;
}

static void refuses(struct fixture *f, const char *source, const char *line)
{
  f->problems = (struct nm_problems){ .arena = f->arena };
  struct nm_rules *rules = load(f, source);
  assert_null(rules);
  assert_string_equal(f->problems.first->text.ptr, line);
}

static void a_proven_file_says_what_it_routes(void **state)
{
  struct nm_rules *rules = load(*state, tenant);
  assert_non_null(rules);
  const struct nm_rules_facts *facts = nm_rules_facts(rules);
  const struct nm_zone *zone;
  assert_int_equal(nm_zone_find(&zone, NM_TEXT("Europe/Istanbul")), NM_OK);
  assert_string_equal(facts->name.ptr, "acme");
  assert_ptr_equal(facts->zone, zone);
  assert_int_equal(facts->channel_count, 2);
  assert_int_equal(facts->channel_ids[0], 15);
  assert_int_equal(facts->channel_kinds[0], NM_CHANNEL_PUSH);
  assert_int_equal(facts->channel_ids[1], 16);
  assert_int_equal(facts->channel_kinds[1], NM_CHANNEL_SMS);
  assert_int_equal(facts->template_count, 2);
  assert_int_equal(facts->template_ids[0], 1201);
  assert_int_equal(facts->template_ids[1], 1202);
  assert_int_equal(facts->hook_count, 1);
  assert_string_equal(facts->hooks[0].ptr, "PURCHASE");
  assert_int_equal(facts->event_type_count, 3);
  assert_int_equal(facts->event_types[2], 99);
  assert_int_equal(strlen(facts->digest), NM_RULES_DIGEST_BYTES);
  nm_rules_destroy(rules);
}

static void the_digest_is_that_of_the_bytes(void **state)
{
  char other[sizeof tenant + 1];
  snprintf(other, sizeof other, "%s\n", tenant);
  struct nm_rules *a = load(*state, tenant), *b = load(*state, tenant), *c = load(*state, other);
  assert_string_equal(nm_rules_facts(a)->digest, nm_rules_facts(b)->digest);
  assert_string_not_equal(nm_rules_facts(a)->digest, nm_rules_facts(c)->digest);
  nm_rules_destroy(a);
  nm_rules_destroy(b);
  nm_rules_destroy(c);
}

static void a_small_file_has_defaults(void **state)
{
  struct nm_rules *rules = load(*state, "return tenant { name = \"x\" }");
  const struct nm_zone *utc;
  assert_int_equal(nm_zone_find(&utc, NM_TEXT("UTC")), NM_OK);
  assert_ptr_equal(nm_rules_facts(rules)->zone, utc);
  assert_int_equal(nm_rules_facts(rules)->channel_count, 0);
  assert_int_equal(nm_rules_facts(rules)->event_type_count, 0);
  nm_rules_destroy(rules);
}

static void mistakes_are_named_with_file_line_and_nearest_word(void **state)
{
  struct fixture *f = *state;
  refuses(f, "return tenant { name = \"acme\", tempaltes = {} }",
          "rules/acme.lua: tenant: unknown key \"tempaltes\" (did you mean \"templates\"?)");
  refuses(f, "return tenant {\n  name = \"acme\",\n  messages = psh {},\n}",
          "rules/acme.lua:3: unknown word \"psh\" (did you mean \"push\"?)");
  refuses(f, "return tenant { name = \"acme\", time_zone = \"Europe/Istambul\" }",
          "rules/acme.lua: time_zone: unknown time zone \"Europe/Istambul\" (did you mean "
          "\"Europe/Istanbul\"?)");
  refuses(f, "\n\nreturn tenant {", "rules/acme.lua:3: unexpected symbol near <eof>");
  refuses(f, "", "rules/acme.lua: the file returns nothing, expected return tenant { ... }");
}

static void an_example_that_differs_refuses_the_file(void **state)
{
  refuses(
      *state,
      "return tenant { name = \"acme\", events = { [4] = cancel_campaign }, examples = {\n"
      "{ given = { EventTypeID = 4, CampaignID = 7 }, gives = { effect = \"cancel\", campaign = "
      "\"8\" } } } }",
      "rules/acme.lua: example 1: got {campaign=\"7\", effect=cancel}, expected campaign=\"8\"");
}

static void files_that_never_end_are_stopped_while_loading(void **state)
{
  struct fixture *f = *state;
  refuses(f, "\nwhile true do end", "rules/acme.lua:2: stopped after 500 ms of CPU time");
  refuses(f,
          "return tenant { name = \"a\", events = { [4] = function()\n while true do end end },\n"
          "examples = { { given = { EventTypeID = 4 }, gives = {} } } }",
          "rules/acme.lua:2: stopped after 500 ms of CPU time");
}

static void files_that_eat_memory_are_stopped_while_loading(void **state)
{
  struct fixture *f = *state;
  refuses(f, "local t = {}\nfor i = 1, 1e9 do t[i] = i end", "rules/acme.lua: not enough memory");
  f->problems = (struct nm_problems){ .arena = f->arena };
  assert_null(load(f, "local s = \"x\"\nwhile true do s = s .. s end"));
}

static void a_source_above_the_limit_is_refused_unread(void **state)
{
  struct fixture *f = *state;
  struct nm_rules *rules = NULL;
  size_t len = NM_RULES_SOURCE_MAX_BYTES + 1;
  char *source = malloc(len);
  assert_non_null(source);
  memset(source, ' ', len);
  assert_int_equal(
      nm_rules_load(&rules, NM_TEXT("r.lua"), (struct nm_text){ source, len }, &f->problems),
      NM_EINVAL);
  assert_string_equal(f->problems.first->text.ptr, "r.lua: larger than 262144 bytes");
  free(source);
}

static void a_generation_ends_with_its_last_reference(void **state)
{
  struct nm_rules *rules = load(*state, tenant);
  struct nm_generation *generation = nm_generation_create(7, rules, nm_text_from(tenant));
  assert_non_null(generation);
  assert_string_equal(generation->source.ptr, tenant);
  assert_int_equal(generation->tenant_id, 7);
  generation->references++;
  nm_generation_unref(generation);
  assert_string_equal(nm_rules_facts(generation->rules)->name.ptr, "acme");
  nm_generation_unref(generation);
  nm_generation_unref(NULL);
}

static void an_example_that_takes_over_half_of_a_budget_is_warned_of(void **state)
{
  struct fixture *f = *state;
  struct nm_rules *rules = load(
      f,
      "return tenant { name = \"acme\", messages = { hello = push { body = \"Hello\" } },\n"
      "  channels = { [15] = \"push\" }, templates = { [1201] = \"hello\" },\n"
      "  events = { [4] = cancel_campaign, [1] = function() for i = 1, 600000 do end\n"
      "    return drop(\"x\") end },\n"
      "  examples = { { given = { EventTypeID = 4, CampaignID = 7 }, gives = { effect = \"cancel\" } },\n"
      "    { given = { EventTypeID = 1 }, gives = { effect = \"drop\" } } } }\n");
  const struct nm_rules_facts *facts = nm_rules_facts(rules);
  assert_int_equal(facts->warning_count, 1);
  assert_non_null(strstr(facts->warnings[0].ptr, "rules/acme.lua: example 2: used "));
  assert_non_null(strstr(facts->warnings[0].ptr, " that one event may use"));
  nm_rules_destroy(rules);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(an_example_that_takes_over_half_of_a_budget_is_warned_of, begin,
                                    end),
    cmocka_unit_test_setup_teardown(a_proven_file_says_what_it_routes, begin, end),
    cmocka_unit_test_setup_teardown(the_digest_is_that_of_the_bytes, begin, end),
    cmocka_unit_test_setup_teardown(a_small_file_has_defaults, begin, end),
    cmocka_unit_test_setup_teardown(mistakes_are_named_with_file_line_and_nearest_word, begin, end),
    cmocka_unit_test_setup_teardown(an_example_that_differs_refuses_the_file, begin, end),
    cmocka_unit_test_setup_teardown(files_that_never_end_are_stopped_while_loading, begin, end),
    cmocka_unit_test_setup_teardown(files_that_eat_memory_are_stopped_while_loading, begin, end),
    cmocka_unit_test_setup_teardown(a_source_above_the_limit_is_refused_unread, begin, end),
    cmocka_unit_test_setup_teardown(a_generation_ends_with_its_last_reference, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
