/* links: tenants */
#include "tenants/tenants.h"
#include "check.h"

static const char acme[] =
    "{'name':'acme','appKey':'acme-app-key','restApiKey':'rest-secret',"
    "'optimove':{'baseUrl':'https://api5.optimove.net/','apiKey':'opti-secret','status':'ACTIVE',"
    "'channels':[{'id':459,'name':'Push','kind':'push'},{'id':481,'name':'SMS','kind':'sms'}],"
    "'params':[{'realFieldName':'EMAIL','name':'email'},{'realFieldName':'RFM_SCORE','name':'rfm_score'}]},"
    "'providers':{'netmera':{'adapter':'netmera','baseUrl':'https://restapi.netmera.com','apiKey':'net-secret',"
    "'rate':5,'unknown':'hold','order':'recipient','retry':{'first_s':1,'give_up_s':3600}}},"
    "'channels':{'push':['netmera'],'sms':['netmera'],'email':['netmera']},"
    "'hooks':[{'type':'OPTIMOVE','event':'PURCHASE','status':'ACTIVE'},"
    "{'event':'MESSAGE_LOG','status':'INACTIVE','inactive':'hold'}]}";

/* JSON with single quotes, for reading. */
static json_t *json_of(const char *quoted)
{
  char text[8192];
  size_t len = strlen(quoted);
  assert_true(len < sizeof text);
  for (size_t i = 0; i < len; i++) text[i] = quoted[i] == '\'' ? '"' : quoted[i];
  json_t *out = NULL;
  struct nm_error err = { 0, "" };
  if (nm_json_parse(&out, (struct nm_text){ text, len }, &err))
    fail_msg("%s: %s", quoted, err.text);
  return out;
}

static struct nm_problems problems_in(struct nm_arena *arena)
{
  assert_non_null(arena);
  return (struct nm_problems){ .arena = arena };
}

static struct nm_tenant *parsed(const char *quoted)
{
  struct nm_problems problems = problems_in(nm_arena_create(1024 * 1024));
  struct nm_tenant *tenant = NULL;
  json_t *document = json_of(quoted);
  if (nm_tenant_parse(&tenant, document, "t.lua", false, NULL, &problems))
    fail_msg("%.*s", NM_TEXT_ARG(problems.first->text));
  json_decref(document);
  nm_arena_destroy(problems.arena);
  return tenant;
}

/* The lines of what is wrong, in any order but all of them. */
static void expect_lines(const json_t *document, bool may_lack_secrets,
                         int (*check)(struct nm_text, const json_t *, struct nm_error *),
                         const char *const *lines, size_t count)
{
  struct nm_problems problems = problems_in(nm_arena_create(1024 * 1024));
  struct nm_tenant *tenant = NULL;
  assert_int_equal(nm_tenant_parse(&tenant, document, "t.lua", may_lack_secrets, check, &problems),
                   NM_EINVAL);
  assert_null(tenant);
  const struct nm_problem *problem = problems.first;
  for (size_t i = 0; i < count; i++, problem = problem->next) {
    assert_non_null(problem);
    assert_string_equal(problem->text.ptr, lines[i]);
  }
  if (problem) fail_msg("one more line: %s", problem->text.ptr);
  nm_arena_destroy(problems.arena);
}

static void reads_the_whole_sample(void **state)
{
  (void)state;
  struct nm_tenant *t = parsed(acme);
  assert_string_equal(t->name.ptr, "acme");
  assert_string_equal(t->app_key.ptr, "acme-app-key");
  assert_true(t->connector.is_present && t->connector.is_active && !t->connector.repeat_allowed);
  assert_true(nm_text_equal(t->connector.base_url, NM_TEXT("https://api5.optimove.net")));
  assert_int_equal(t->connector.channel_count, 2);
  assert_int_equal(nm_tenant_find_channel(t, 481)->kind, NM_CHANNEL_SMS);
  assert_null(nm_tenant_find_channel(t, 482));
  assert_string_equal(t->connector.params[1].name.ptr, "rfm_score");
  const struct nm_tenant_provider *provider = nm_tenant_find_provider(t, NM_TEXT("netmera"));
  assert_non_null(provider);
  assert_true(provider->rate_per_s > 4.9 && provider->rate_per_s < 5.1 && provider->hold_unknown);
  assert_null(json_object_get(provider->settings, "adapter"));
  assert_string_equal(json_string_value(json_object_get(provider->settings, "apiKey")),
                      "net-secret");
  assert_int_equal(t->chain_counts[NM_CHANNEL_EMAIL], 1);
  assert_string_equal(t->chains[NM_CHANNEL_PUSH][0].ptr, "netmera");
  assert_true(nm_tenant_find_hook(t, NM_TEXT("PURCHASE"))->is_active);
  assert_true(nm_tenant_find_hook(t, NM_TEXT("MESSAGE_LOG"))->hold_inactive);
  assert_int_equal(t->secret_number, 1);
  assert_int_equal(t->secret_number_previous, 0);
  nm_tenant_unref(t);
}

static void names_every_mistake_at_once_with_the_nearest_word(void **state)
{
  (void)state;
  static const char *const lines[] = {
    "t.lua: tenant: unknown key \"chanels\" (did you mean \"channels\"?)",
    "t.lua: name: \"../x\" may hold only letters, digits, _ and - (rules/NAME.lua is its rules file)",
    "t.lua: appKey: is missing",
    "t.lua: restApiKey: expected text, got a number",
    "t.lua: optimove: unknown key \"baseURL\" (did you mean \"baseUrl\"?)",
    "t.lua: optimove.baseUrl: is missing",
    "t.lua: optimove.status: \"ACTVE\" is none of \"ACTIVE\", \"INACTIVE\" (did you mean \"ACTIVE\"?)",
    "t.lua: optimove.timeZone: unknown time zone \"Europe/Istambul\"; expected a name such as"
    " \"Europe/Istanbul\" or \"UTC\"",
    "t.lua: optimove.channels[1].id: expected Optimove's channel id, a whole number above 0, got text",
    "t.lua: optimove.channels[2].kind: \"pusch\" is none of \"push\", \"sms\", \"email\" (did you mean \"push\"?)",
    "t.lua: providers.a.adapter: \"netmara\" is none of \"netmera\", \"fcm\", \"apns\", \"huawei\", \"webpush\","
    " \"smtp\", \"smpp\", \"http\", \"loopback\" (did you mean \"netmera\"?)",
    "t.lua: providers.a.rate: -1 is not above 0 and at most 1000000",
    "t.lua: providers.a.retry: unknown key \"frist_s\" (did you mean \"first_s\"?)",
    "t.lua: channels.push[1]: no provider named \"netmera\"",
    "t.lua: channels.sms: expected a list, got text",
    "t.lua: hooks[2].event: there are two hooks for \"A\"",
    "t.lua: hooks[3]: expected a table with names as keys, got text",
  };
  json_t *document = json_of(
      "{'chanels':1,'name':'../x','restApiKey':7,"
      "'optimove':{'baseURL':'https://a','apiKey':'k','status':'ACTVE','timeZone':'Europe/Istambul',"
      "'channels':[{'id':'459','kind':'push'},{'id':3,'kind':'pusch'}]},"
      "'providers':{'a':{'adapter':'netmara','rate':-1,'retry':{'frist_s':2}}},"
      "'channels':{'push':['netmera'],'sms':'a'},"
      "'hooks':[{'event':'A'},{'event':'A'},'B']}");
  expect_lines(document, false, NULL, lines, sizeof lines / sizeof *lines);
  json_decref(document);
}

static int only_netmera(struct nm_text adapter, const json_t *settings, struct nm_error *err)
{
  (void)settings;
  if (nm_text_equal(adapter, NM_TEXT("netmera"))) return NM_OK;
  return nm_fail(err, NM_EUNSUPPORTED, "adapter %.*s is not built yet", NM_TEXT_ARG(adapter));
}

static void says_that_an_adapter_is_not_built_yet(void **state)
{
  (void)state;
  static const char *const lines[] = { "t.lua: providers.google: adapter fcm is not built yet" };
  json_t *document = json_of("{'name':'a','appKey':'b','restApiKey':'c',"
                             "'providers':{'google':{'adapter':'fcm','serviceAccount':'{}'}}}");
  expect_lines(document, false, only_netmera, lines, 1);
  json_decref(document);
}

static void takes_references_only_where_secrets_may_lack(void **state)
{
  (void)state;
  static const char *const lines[] = {
    "t.lua: restApiKey: the secret is not resolved: the command that reads the file does so",
    "t.lua: providers.n.apiKey: the secret is not resolved: the command that reads the file does so",
  };
  json_t *document =
      json_of("{'name':'a','appKey':'b','restApiKey':{'secret':'env:X'},"
              "'providers':{'n':{'adapter':'netmera','apiKey':{'secret':'file:y'}}}}");
  expect_lines(document, false, NULL, lines, 2);
  struct nm_problems problems = problems_in(nm_arena_create(1024 * 1024));
  struct nm_tenant *tenant = NULL;
  assert_int_equal(nm_tenant_parse(&tenant, document, "t.lua", true, only_netmera, &problems),
                   NM_OK);
  nm_tenant_unref(tenant);
  nm_arena_destroy(problems.arena);
  json_decref(document);
}

static void takes_an_empty_lua_table_for_a_list_and_for_a_table(void **state)
{
  (void)state;
  nm_tenant_unref(parsed(
      "{'name':'a','appKey':'b','restApiKey':'c','hooks':{},'providers':[],'channels':[],"
      "'optimove':{'baseUrl':'http://127.0.0.1:1','apiKey':'k','channels':{},'params':{}}}"));
}

static void shows_no_secret_to_people(void **state)
{
  (void)state;
  struct nm_tenant *t = parsed(acme);
  json_t *shown = nm_tenant_public(t);
  char *text = json_dumps(shown, 0);
  assert_null(strstr(text, "secret"));
  assert_non_null(strstr(text, "acme-app-key"));
  assert_true(json_is_true(json_object_get(json_object_get(shown, "restApiKey"), "set")));
  free(text);
  json_decref(shown);
  nm_tenant_unref(t);
}

static void keeps_secrets_that_are_given_as_true(void **state)
{
  (void)state;
  struct nm_tenant *t = parsed(acme);
  json_t *shown = nm_tenant_public(t);
  assert_int_equal(nm_tenant_carry(shown, t), NM_OK);
  assert_true(json_equal(shown, t->document));
  json_decref(shown);
  nm_tenant_unref(t);
}

static void says_what_a_save_changes(void **state)
{
  (void)state;
  static const char *const expected[] = {
    "hooks.MESSAGE_LOG.event: \"MESSAGE_LOG\" (removed)",
    "hooks.MESSAGE_LOG.inactive: \"hold\" (removed)",
    "hooks.MESSAGE_LOG.status: \"INACTIVE\" (removed)",
    "hooks.PURCHASE.status: \"ACTIVE\" -> \"INACTIVE\"",
    "optimove.apiKey: (changed)",
    "optimove.channels.490.id: 490 (new)",
    "optimove.channels.490.kind: \"email\" (new)",
    "providers.netmera.rate: 5 -> 10",
  };
  struct nm_tenant *old = parsed(acme);
  json_t *document = json_deep_copy(old->document);
  json_t *optimove = json_object_get(document, "optimove");
  json_object_set_new(optimove, "apiKey", json_string("another"));
  json_array_append_new(json_object_get(optimove, "channels"),
                        json_pack("{s:i,s:s}", "id", 490, "kind", "email"));
  json_object_set_new(json_object_get(json_object_get(document, "providers"), "netmera"), "rate",
                      json_integer(10));
  json_t *hooks = json_object_get(document, "hooks");
  json_array_remove(hooks, 1);
  json_object_set_new(json_array_get(hooks, 0), "status", json_string("INACTIVE"));
  char *text = json_dumps(document, 0);
  for (char *c = text; *c; c++)
    if (*c == '"') *c = '\'';
  struct nm_tenant *fresh = parsed(text);
  free(text);
  json_t *changes = nm_tenant_changes(old, fresh);
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    assert_non_null(json_array_get(changes, i));
    assert_string_equal(json_string_value(json_array_get(changes, i)), expected[i]);
  }
  assert_int_equal(json_array_size(changes), sizeof expected / sizeof *expected);
  json_decref(changes);
  changes = nm_tenant_changes(NULL, old);
  char *all = json_dumps(changes, 0);
  assert_null(strstr(all, "secret"));
  assert_non_null(strstr(all, "restApiKey: (new)"));
  free(all);
  json_decref(changes);
  changes = nm_tenant_changes(old, old);
  assert_int_equal(json_array_size(changes), 0);
  json_decref(changes);
  json_decref(document);
  nm_tenant_unref(old);
  nm_tenant_unref(fresh);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(reads_the_whole_sample),
    cmocka_unit_test(names_every_mistake_at_once_with_the_nearest_word),
    cmocka_unit_test(says_that_an_adapter_is_not_built_yet),
    cmocka_unit_test(takes_references_only_where_secrets_may_lack),
    cmocka_unit_test(takes_an_empty_lua_table_for_a_list_and_for_a_table),
    cmocka_unit_test(shows_no_secret_to_people),
    cmocka_unit_test(keeps_secrets_that_are_given_as_true),
    cmocka_unit_test(says_what_a_save_changes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
