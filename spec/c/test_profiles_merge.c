/* links: profiles */
#include "profiles/profiles.h"
#include "check.h"

static json_t *json_of(const char *quoted)
{
  char text[2048];
  size_t len = strlen(quoted);
  assert_true(len < sizeof text);
  for (size_t i = 0; i < len; i++) text[i] = quoted[i] == '\'' ? '"' : quoted[i];
  json_t *out = NULL;
  assert_int_equal(nm_json_parse(&out, (struct nm_text){ text, len }, NULL), NM_OK);
  return out;
}

static void expect_json(json_t *got, const char *quoted)
{
  json_t *expected = json_of(quoted);
  char *text = json_dumps(got, JSON_SORT_KEYS);
  if (!json_equal(got, expected)) fail_msg("got %s, expected %s", text, quoted);
  free(text);
  json_decref(expected);
}

static void expect_merged(const char *old_text, const char *patch_text, const char *expected,
                          const char *expected_changes)
{
  json_t *old = old_text ? json_of(old_text) : NULL, *patch = json_of(patch_text), *out = NULL,
         *changes = NULL;
  struct nm_arena *arena = nm_arena_create(65536);
  struct nm_error err = { 0, "" };
  if (nm_profile_check(patch, arena, NULL, &err)) fail_msg("%s", err.text);
  assert_int_equal(nm_profile_merge(old, patch, &out, &changes, &err), NM_OK);
  expect_json(out, expected);
  expect_json(changes, expected_changes);
  if (old) expect_json(old, old_text);
  json_decref(old);
  json_decref(patch);
  json_decref(out);
  json_decref(changes);
  nm_arena_destroy(arena);
}

static void makes_a_profile_of_the_first_patch(void **state)
{
  (void)state;
  expect_merged(
      NULL,
      "{'email':' ada@example.com ','msisdn':'0090 (532) 123-45 67','attributes':{'city':'Izmir'}}",
      "{'email':'ada@example.com','msisdn':'+905321234567','attributes':{'city':'Izmir'}}",
      "{'city':'Izmir'}");
}

static void names_only_attributes_that_differ(void **state)
{
  (void)state;
  expect_merged("{'attributes':{'a':1,'b':'x','c':[1],'d':true}}",
                "{'attributes':{'a':1,'b':'y','c':[1],'d':null,'e':null,'f':0}}",
                "{'attributes':{'a':1,'b':'y','c':[1],'f':0}}", "{'b':'y','d':null,'f':0}");
}

static void joins_devices_by_token(void **state)
{
  (void)state;
  expect_merged(
      "{'devices':[{'kind':'ios','token':'A'},{'kind':'web','token':'B'}]}",
      "{'devices':[{'kind':'android','token':'C'},{'kind':null,'token':'B'},{'kind':'huawei','token':'A'}]}",
      "{'devices':[{'kind':'android','token':'C'},{'kind':'huawei','token':'A'}]}", "{}");
}

static void takes_away_what_is_null(void **state)
{
  (void)state;
  expect_merged(
      "{'email':'a@b','devices':[{'kind':'ios','token':'A'}],'attributes':{'x':1},"
      "'permissions':{'sms':false,'push':true}}",
      "{'email':null,'msisdn':null,'devices':null,'attributes':null,'permissions':{'sms':null}}",
      "{'devices':[],'attributes':{},'permissions':{'push':true}}", "{'x':null}");
}

static void refuses_what_is_no_profile_and_names_the_field(void **state)
{
  (void)state;
  static const struct {
    const char *patch, *field;
  } cases[] = {
    { "[]", NULL },
    { "{'mail':'a@b'}", "mail" },
    { "{'email':'nobody'}", "email" },
    { "{'email':'a@b@c'}", "email" },
    { "{'email':'a b@c'}", "email" },
    { "{'email':7}", "email" },
    { "{'msisdn':'12'}", "msisdn" },
    { "{'msisdn':'+90532123456789012'}", "msisdn" },
    { "{'msisdn':'+90x5321234'}", "msisdn" },
    { "{'devices':{}}", "devices" },
    { "{'devices':[{'kind':'ios','token':'A'},{'kind':'andriod','token':'B'}]}",
      "devices[1].kind" },
    { "{'devices':[{'kind':'ios'}]}", "devices[0].token" },
    { "{'devices':[{'token':'x'}]}", "devices[0].kind" },
    { "{'attributes':[]}", "attributes" },
    { "{'attributes':{'':1}}", "attributes" },
    { "{'permissions':{'puhs':true}}", "permissions.puhs" },
    { "{'permissions':{'push':'yes'}}", "permissions" },
  };
  struct nm_arena *arena = nm_arena_create(65536);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *patch = json_of(cases[i].patch);
    const char *field = "untouched";
    struct nm_error err = { 0, "" };
    assert_int_equal(nm_profile_check(patch, arena, &field, &err), NM_EINVAL);
    assert_true(err.text[0] != '\0');
    if (cases[i].field) assert_string_equal(field, cases[i].field);
    else assert_null(field);
    json_decref(patch);
  }
  nm_arena_destroy(arena);
}

static void refuses_to_grow_above_its_limits(void **state)
{
  (void)state;
  json_t *old = json_object(), *patch = json_object(), *out = NULL, *changes = NULL;
  struct nm_error err = { 0, "" };
  json_t *list = json_array(), *more = json_array();
  for (int i = 0; i < 50; i++) {
    char token[16];
    snprintf(token, sizeof token, "t%d", i);
    json_array_append_new(list, json_pack("{s:s,s:s}", "kind", "ios", "token", token));
  }
  json_array_append_new(more, json_pack("{s:s,s:s}", "kind", "ios", "token", "one more"));
  json_object_set_new(old, "devices", list);
  json_object_set_new(patch, "devices", more);
  assert_int_equal(nm_profile_merge(old, patch, &out, &changes, &err), NM_ELIMIT);
  assert_null(out);
  json_decref(old);
  json_decref(patch);
}

static void allows_what_nobody_forbade(void **state)
{
  (void)state;
  json_t *profile = json_of("{'permissions':{'sms':false,'push':true}}");
  assert_true(nm_profile_may(NULL, NM_CHANNEL_PUSH));
  assert_true(nm_profile_may(profile, NM_CHANNEL_EMAIL));
  assert_true(nm_profile_may(profile, NM_CHANNEL_PUSH));
  assert_false(nm_profile_may(profile, NM_CHANNEL_SMS));
  json_decref(profile);
}

static void makes_an_event_that_is_never_taken_for_another(void **state)
{
  (void)state;
  struct nm_arena *arena = nm_arena_create(65536);
  struct nm_store_arrival one, two;
  struct nm_error err = { 0, "" };
  json_t *changes = json_of("{'city':'Izmir'}"), *body = NULL;
  struct nm_profile_change change = { .tenant_id = 7, .ext_id = NM_TEXT("42"), .changes = changes,
                                      .now_ms = 1700000000000 };
  assert_int_equal(nm_profile_event(arena, &change, &one, &err), NM_OK);
  assert_int_equal(nm_profile_event(arena, &change, &two, &err), NM_OK);
  assert_false(nm_text_equal(one.identity, two.identity));
  assert_int_equal(one.event.kind, NM_EVENT_HOOK);
  assert_int_equal(one.event.tenant_id, 7);
  assert_true(nm_text_equal(one.event.name, NM_TEXT("PROFILE_ATTRIBUTE_CHANGE")));
  assert_true(nm_text_equal(one.event.customer, NM_TEXT("42")));
  assert_int_equal(nm_json_parse(&body, one.event.body, NULL), NM_OK);
  assert_string_equal(json_string_value(json_object_get(body, "time")), "2023-11-14T22:13:20Z");
  assert_true(json_equal(json_object_get(body, "changes"), changes));
  json_decref(body);
  json_decref(changes);
  nm_arena_destroy(arena);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(makes_a_profile_of_the_first_patch),
    cmocka_unit_test(names_only_attributes_that_differ),
    cmocka_unit_test(joins_devices_by_token),
    cmocka_unit_test(takes_away_what_is_null),
    cmocka_unit_test(refuses_what_is_no_profile_and_names_the_field),
    cmocka_unit_test(refuses_to_grow_above_its_limits),
    cmocka_unit_test(allows_what_nobody_forbade),
    cmocka_unit_test(makes_an_event_that_is_never_taken_for_another),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
