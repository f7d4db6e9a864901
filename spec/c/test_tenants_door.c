/* links: tenants */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tenants/tenants.h"

static char key_path[] = "/tmp/netmove-test-key-XXXXXX";

/* JSON with single quotes, for reading; the rest of a tenant goes in front. */
static json_t *json_of(const char *quoted)
{
  char text[4096];
  int len = snprintf(text, sizeof text, "{'name':'acme','appKey':'a-key'%s}", quoted);
  assert_true(len > 0 && (size_t)len < sizeof text);
  for (int i = 0; i < len; i++)
    if (text[i] == '\'') text[i] = '"';
  json_t *out = NULL;
  struct nm_error err = { 0, "" };
  if (nm_json_parse(&out, (struct nm_text){ text, (size_t)len }, &err)) fail_msg("%s", err.text);
  return out;
}

static struct nm_tenant *parsed(const char *quoted)
{
  struct nm_problems problems = { .arena = nm_arena_create(1024 * 1024) };
  struct nm_tenant *tenant = NULL;
  json_t *document = json_of(quoted);
  if (nm_tenant_parse(&tenant, document, "t", false, NULL, &problems))
    fail_msg("%.*s", NM_TEXT_ARG(problems.first->text));
  json_decref(document);
  nm_arena_destroy(problems.arena);
  return tenant;
}

static void expect_line(const char *quoted, bool may_lack_secrets, const char *line)
{
  struct nm_problems problems = { .arena = nm_arena_create(1024 * 1024) };
  struct nm_tenant *tenant = NULL;
  json_t *document = json_of(quoted);
  int rc = nm_tenant_parse(&tenant, document, "t", may_lack_secrets, NULL, &problems);
  assert_int_equal(rc, line ? NM_EINVAL : NM_OK);
  if (line) assert_text(problems.first->text, line);
  assert_int_equal(problems.count, line ? 1 : 0);
  nm_tenant_unref(tenant);
  json_decref(document);
  nm_arena_destroy(problems.arena);
}

static struct nm_keyring *opened(void)
{
  struct nm_keyring *keyring = NULL;
  struct nm_error err = { 0, "" };
  bool was_made;
  int len = snprintf(NULL, 0, "%s.key", key_path);
  char *path = calloc(1, (size_t)len + 1);
  snprintf(path, (size_t)len + 1, "%s.key", key_path);
  if (nm_keyring_open(&keyring, NM_TEXT(""), nm_text_from(path), &was_made, &err))
    fail_msg("%s", err.text);
  unlink(path);
  free(path);
  return keyring;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static bool opens(struct nm_tenants *tenants, const char *key)
{
  struct nm_tenant *tenant = nm_tenants_authenticate(tenants, NM_TEXT("a-key"), nm_text_from(key),
                                                     NM_TEXT(""));
  nm_tenant_unref(tenant);
  return tenant != NULL;
}

static void takes_the_new_and_the_old_key_while_one_replaces_the_other(void **state)
{
  (void)state;
  struct nm_keyring *keyring = opened();
  struct nm_tenants *tenants = nm_tenants_create(keyring);
  assert_int_equal(nm_tenants_put(tenants, parsed(",'restApiKey':'old'")), NM_OK);
  assert_true(opens(tenants, "old"));
  assert_false(opens(tenants, "new"));
  assert_int_equal(nm_tenants_put(tenants, parsed(",'restApiKeys':['new','old']")), NM_OK);
  assert_true(opens(tenants, "old"));
  assert_true(opens(tenants, "new"));
  assert_false(opens(tenants, ""));
  assert_false(opens(tenants, "newold"));
  assert_int_equal(nm_tenants_put(tenants, parsed(",'restApiKeys':['new']")), NM_OK);
  assert_false(opens(tenants, "old"));
  assert_true(opens(tenants, "new"));
  assert_false(opens(tenants, ""));
  nm_tenants_destroy(tenants);
  nm_keyring_destroy(keyring);
}

static void keeps_both_keys_secret_and_gives_them_back(void **state)
{
  (void)state;
  struct nm_keyring *keyring = opened();
  struct nm_arena *arena = nm_arena_create(65536);
  struct nm_tenant *tenant = parsed(",'restApiKeys':['new-canary','old-canary']");
  struct nm_text sealed;
  struct nm_error err = { 0, "" };
  json_t *shown = nm_tenant_public(tenant), *back = NULL,
         *changes = nm_tenant_changes(NULL, tenant);
  assert_true(json_is_true(json_object_get(json_object_get(shown, "restApiKeys"), "set")));
  assert_int_equal(nm_keyring_seal(keyring, tenant, arena, &sealed), NM_OK);
  assert_null(memmem(sealed.ptr, sealed.len, "canary", 6));
  char *told = json_dumps(changes, 0);
  assert_null(strstr(told, "canary"));
  assert_non_null(strstr(told, "restApiKeys: (new)"));
  assert_int_equal(nm_keyring_unseal(keyring, tenant->name, sealed, &back, &err), NM_OK);
  assert_true(json_equal(back, tenant->document));
  assert_int_equal(nm_tenant_carry(shown, tenant), NM_OK);
  assert_true(json_equal(shown, tenant->document));
  free(told);
  json_decref(changes);
  json_decref(shown);
  json_decref(back);
  nm_tenant_unref(tenant);
  nm_arena_destroy(arena);
  nm_keyring_destroy(keyring);
}

static void names_what_is_wrong_with_keys(void **state)
{
  (void)state;
  expect_line("", false, "t: restApiKey: is missing");
  expect_line(",'restApiKey':'a','restApiKeys':['a','b']", false,
              "t: restApiKeys: stands beside restApiKey; write one of them: restApiKeys = { new,"
              " old } while a key is replaced");
  expect_line(",'restApiKeys':{}", false, "t: restApiKeys: is empty; expected { new, old }");
  expect_line(",'restApiKeys':[]", false, "t: restApiKeys: is empty; expected { new, old }");
  expect_line(",'restApiKeys':'a'", false, "t: restApiKeys: expected a list, got text");
  expect_line(",'restApiKeys':['a','b','c']", false,
              "t: restApiKeys: 3 entries, at most 2 are allowed");
  expect_line(",'restApiKeys':['a','']", false, "t: restApiKeys[2]: is empty");
  expect_line(",'restApiKeys':['a',7]", false, "t: restApiKeys[2]: expected text, got a number");
  expect_line(",'restApiKeys':['a','a']", false,
              "t: restApiKeys[2]: is the same as the first; expected { new, old }");
  expect_line(",'restApiKeys':[{'secret':'env:A'},'b']", false,
              "t: restApiKeys[1]: the secret is not resolved: the command that reads the file does"
              " so");
}

/* ---- addresses and rate ---------------------------------------------------------------------- */

static void reads_who_may_call_and_how_fast(void **state)
{
  (void)state;
  struct nm_tenant *tenant = parsed(",'restApiKey':'k','allow':['203.0.113.0/24','2001:db8::/32',"
                                    "'198.51.100.7'],'inbound':{'rate':500,'burst':1000}");
  assert_int_equal(tenant->allow.count, 3);
  assert_true(nm_networks_contain(&tenant->allow, NM_TEXT("203.0.113.200")));
  assert_true(nm_networks_contain(&tenant->allow, NM_TEXT("2001:db8:1::1")));
  assert_true(nm_networks_contain(&tenant->allow, NM_TEXT("198.51.100.7")));
  assert_false(nm_networks_contain(&tenant->allow, NM_TEXT("198.51.100.8")));
  assert_true(tenant->inbound.rate_per_s > 499 && tenant->inbound.rate_per_s < 501);
  assert_true(tenant->inbound.burst > 999 && tenant->inbound.burst < 1001);
  nm_tenant_unref(tenant);

  tenant = parsed(",'restApiKey':'k','inbound':{'rate':7},'allow':{}");
  assert_int_equal(tenant->allow.count, 0);
  assert_true(tenant->inbound.burst > 6.9 && tenant->inbound.burst < 7.1);
  nm_tenant_unref(tenant);
  tenant = parsed(",'restApiKey':'k','inbound':{}");
  assert_false(tenant->inbound.rate_per_s > 0);
  nm_tenant_unref(tenant);
}

static void names_what_is_wrong_with_addresses_and_rate(void **state)
{
  (void)state;
  expect_line(",'restApiKey':'k','allow':['203.0.113.0/24','office']", false,
              "t: allow[2]: \"office\" is no network; write it as 10.0.0.0/8 or fd00::/8");
  expect_line(",'restApiKey':'k','allow':['203.0.113.0/33']", false,
              "t: allow[1]: \"203.0.113.0/33\" is no network; write it as 10.0.0.0/8 or fd00::/8");
  expect_line(",'restApiKey':'k','allow':'203.0.113.0/24'", false,
              "t: allow: expected a list, got text");
  expect_line(",'restApiKey':'k','inbound':500", false,
              "t: inbound: expected a table with names as keys, got a number");
  expect_line(",'restApiKey':'k','inbound':{'burst':10}", false,
              "t: inbound.rate: is missing: how many events a second it may send");
  expect_line(",'restApiKey':'k','inbound':{'rate':0}", false,
              "t: inbound.rate: 0 is not above 0 and at most 1000000");
  expect_line(",'restApiKey':'k','inbound':{'rate':5,'burst':0.5}", false,
              "t: inbound.burst: 0.5 is less than one event");
  expect_line(",'restApiKey':'k','inbound':{'rate':5,'brust':10}", false,
              "t: inbound: unknown key \"brust\" (did you mean \"burst\"?)");
  expect_line(",'restApiKey':{'secret':'env:A'},'allow':[{'secret':'env:B'}]", true, NULL);
}

static int name_key(void **state)
{
  (void)state;
  int fd = mkstemp(key_path);
  return fd < 0 ? -1 : close(fd);
}

static int remove_key(void **state)
{
  (void)state;
  return unlink(key_path);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(takes_the_new_and_the_old_key_while_one_replaces_the_other),
    cmocka_unit_test(keeps_both_keys_secret_and_gives_them_back),
    cmocka_unit_test(names_what_is_wrong_with_keys),
    cmocka_unit_test(reads_who_may_call_and_how_fast),
    cmocka_unit_test(names_what_is_wrong_with_addresses_and_rate),
  };
  return cmocka_run_group_tests(tests, name_key, remove_key);
}
