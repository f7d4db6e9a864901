/* links: tenants */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tenants/tenants.h"
#include "check.h"

static char folder[] = "/tmp/netmove-test-XXXXXX";
static char key_path[64];

static struct nm_keyring *opened(bool *was_made)
{
  struct nm_keyring *keyring = NULL;
  struct nm_error err = { 0, "" };
  if (nm_keyring_open(&keyring, NM_TEXT(""), nm_text_from(key_path), was_made, &err))
    fail_msg("%s", err.text);
  return keyring;
}

static struct nm_tenant *make_tenant(const char *name, const char *app_key, const char *rest_key,
                                     int number, int previous)
{
  struct nm_arena *arena = nm_arena_create(1024 * 1024);
  struct nm_problems problems = { .arena = arena };
  struct nm_tenant *tenant = NULL;
  json_t *document = json_pack("{s:s,s:s,s:s,s:{s:i,s:i},s:{s:{s:s,s:s,s:{s:s}}}}", "name", name,
                               "appKey", app_key, "restApiKey", rest_key, "urlSecret", "number",
                               number, "previous", previous, "providers", "mail", "adapter", "smtp",
                               "password", "pass-word", "dkim", "key", "pem\n");
  assert_int_equal(nm_tenant_parse(&tenant, document, "t", false, NULL, &problems), NM_OK);
  json_decref(document);
  nm_arena_destroy(arena);
  return tenant;
}

static void makes_a_key_once_that_only_its_owner_can_read(void **state)
{
  (void)state;
  bool was_made = false;
  nm_keyring_destroy(opened(&was_made));
  assert_true(was_made);
  struct stat about;
  assert_int_equal(stat(key_path, &about), 0);
  assert_int_equal(about.st_mode & 0777, 0600);
  nm_keyring_destroy(opened(&was_made));
  assert_false(was_made);
}

static void refuses_a_key_that_others_can_read_or_that_is_none(void **state)
{
  (void)state;
  char path[128];
  struct nm_keyring *keyring = NULL;
  struct nm_error err = { 0, "" };
  bool was_made = true;
  snprintf(path, sizeof path, "%s/other.key", folder);
  FILE *file = fopen(path, "w");
  fputs("0123\n", file);
  fclose(file);
  assert_int_equal(chmod(path, 0644), 0);
  assert_int_equal(nm_keyring_open(&keyring, NM_TEXT(""), nm_text_from(path), &was_made, &err),
                   NM_EDENIED);
  assert_non_null(strstr(err.text, "chmod 600"));
  assert_int_equal(chmod(path, 0600), 0);
  assert_int_equal(nm_keyring_open(&keyring, NM_TEXT(""), nm_text_from(path), &was_made, &err),
                   NM_EINVAL);
  assert_null(keyring);
  unlink(path);
}

static void opens_what_it_sealed_and_shows_no_secret_in_between(void **state)
{
  (void)state;
  struct nm_keyring *keyring = opened(NULL);
  struct nm_arena *arena = nm_arena_create(1024 * 1024);
  struct nm_tenant *t = make_tenant("acme", "a-key", "rest-key-word", 1, 0);
  struct nm_text sealed;
  json_t *document = NULL;
  struct nm_error err = { 0, "" };
  assert_int_equal(nm_keyring_seal(keyring, t, arena, &sealed), NM_OK);
  assert_null(memmem(sealed.ptr, sealed.len, "rest-key-word", 13));
  assert_null(memmem(sealed.ptr, sealed.len, "pass-word", 9));
  assert_null(memmem(sealed.ptr, sealed.len, "pem", 3));
  assert_non_null(memmem(sealed.ptr, sealed.len, "a-key", 5));
  assert_int_equal(nm_keyring_unseal(keyring, NM_TEXT("acme"), sealed, &document, &err), NM_OK);
  assert_true(json_equal(document, t->document));
  json_decref(document);
  nm_tenant_unref(t);
  nm_arena_destroy(arena);
  nm_keyring_destroy(keyring);
}

/* Refused, with the place named. */
static void expect_refused(struct nm_keyring *keyring, struct nm_text name, json_t *document,
                           const char *place)
{
  struct nm_error err = { 0, "" };
  json_t *out = NULL;
  char *text = json_dumps(document, 0);
  assert_int_not_equal(nm_keyring_unseal(keyring, name, nm_text_from(text), &out, &err), NM_OK);
  assert_null(out);
  assert_non_null(strstr(err.text, place));
  free(text);
}

static void refuses_a_secret_that_was_changed_moved_or_copied(void **state)
{
  (void)state;
  struct nm_keyring *keyring = opened(NULL);
  struct nm_arena *arena = nm_arena_create(1024 * 1024);
  struct nm_tenant *t = make_tenant("acme", "a-key", "rest", 1, 0);
  struct nm_text sealed;
  json_t *document = NULL;
  assert_int_equal(nm_keyring_seal(keyring, t, arena, &sealed), NM_OK);

  assert_int_equal(nm_json_parse(&document, sealed, NULL), NM_OK);
  expect_refused(keyring, NM_TEXT("acne"), document, "restApiKey");

  json_t *mail = json_object_get(json_object_get(document, "providers"), "mail");
  json_object_set(mail, "password", json_object_get(document, "restApiKey"));
  expect_refused(keyring, NM_TEXT("acme"), document, "providers.mail.password");
  json_decref(document);

  assert_int_equal(nm_json_parse(&document, sealed, NULL), NM_OK);
  json_t *secret = json_object_get(document, "restApiKey");
  char *text = strdup(json_string_value(json_object_get(secret, "sealed")));
  text[20] = text[20] == 'A' ? 'B' : 'A';
  json_object_set_new(secret, "sealed", json_string(text));
  expect_refused(keyring, NM_TEXT("acme"), document, "restApiKey");
  json_object_set_new(secret, "sealed", json_string("v1."));
  expect_refused(keyring, NM_TEXT("acme"), document, "restApiKey");
  json_object_set_new(document, "restApiKey", json_string("plain"));
  expect_refused(keyring, NM_TEXT("acme"), document, "restApiKey");
  free(text);
  json_decref(document);
  nm_tenant_unref(t);
  nm_arena_destroy(arena);
  nm_keyring_destroy(keyring);
}

/* Both places are written with the same number of bytes: it is the place itself that counts. */
static void refuses_two_secrets_that_changed_places(void **state)
{
  (void)state;
  struct nm_keyring *keyring = opened(NULL);
  struct nm_arena *arena = nm_arena_create(1024 * 1024);
  struct nm_problems problems = { .arena = arena };
  struct nm_tenant *t = NULL;
  struct nm_text sealed;
  json_t *document =
      json_pack("{s:s,s:s,s:s,s:{s:{s:s,s:s},s:{s:s,s:s}}}", "name", "acme", "appKey", "a-key",
                "restApiKey", "rest", "providers", "mail", "adapter", "smtp", "password", "one",
                "post", "adapter", "smtp", "password", "two");
  assert_int_equal(nm_tenant_parse(&t, document, "t", false, NULL, &problems), NM_OK);
  json_decref(document);
  assert_int_equal(nm_keyring_seal(keyring, t, arena, &sealed), NM_OK);
  assert_int_equal(nm_json_parse(&document, sealed, NULL), NM_OK);
  json_t *providers = json_object_get(document, "providers");
  json_t *mail = json_object_get(providers, "mail"), *post = json_object_get(providers, "post");
  json_t *kept = json_incref(json_object_get(mail, "password"));
  json_object_set(mail, "password", json_object_get(post, "password"));
  json_object_set_new(post, "password", kept);
  expect_refused(keyring, NM_TEXT("acme"), document, "providers.mail.password");
  json_decref(document);
  nm_tenant_unref(t);
  nm_arena_destroy(arena);
  nm_keyring_destroy(keyring);
}

static void derives_the_same_url_secret_again(void **state)
{
  (void)state;
  char one[NM_URL_SECRET_BYTES + 1], again[NM_URL_SECRET_BYTES + 1], other[NM_URL_SECRET_BYTES + 1];
  struct nm_keyring *keyring = opened(NULL);
  nm_keyring_url_secret(keyring, NM_TEXT("acme"), 1, one);
  nm_keyring_destroy(keyring);
  keyring = opened(NULL);
  nm_keyring_url_secret(keyring, NM_TEXT("acme"), 1, again);
  assert_string_equal(one, again);
  assert_int_equal(strlen(one), NM_URL_SECRET_BYTES);
  assert_int_equal(strspn(one, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                   32);
  nm_keyring_url_secret(keyring, NM_TEXT("acme"), 2, other);
  assert_string_not_equal(one, other);
  nm_keyring_url_secret(keyring, NM_TEXT("acme1"), 1, other);
  assert_string_not_equal(one, other);
  nm_keyring_destroy(keyring);
}

static bool opens(struct nm_tenants *tenants, const char *app_key, const char *header,
                  const char *secret)
{
  struct nm_tenant *tenant = nm_tenants_authenticate(tenants, nm_text_from(app_key),
                                                     nm_text_from(header), nm_text_from(secret));
  bool is_open = tenant != NULL;
  nm_tenant_unref(tenant);
  return is_open;
}

static void opens_the_door_by_header_or_by_either_url_secret(void **state)
{
  (void)state;
  char now[NM_URL_SECRET_BYTES + 1], before[NM_URL_SECRET_BYTES + 1], next[NM_URL_SECRET_BYTES + 1];
  struct nm_keyring *keyring = opened(NULL);
  struct nm_tenants *tenants = nm_tenants_create(keyring);
  assert_int_equal(nm_tenants_put(tenants, make_tenant("acme", "a-key", "rest-a", 3, 2)), NM_OK);
  assert_int_equal(nm_tenants_put(tenants, make_tenant("beta", "b-key", "rest-b", 1, 0)), NM_OK);
  nm_keyring_url_secret(keyring, NM_TEXT("acme"), 3, now);
  nm_keyring_url_secret(keyring, NM_TEXT("acme"), 2, before);
  nm_keyring_url_secret(keyring, NM_TEXT("acme"), 4, next);
  assert_true(opens(tenants, "a-key", "rest-a", ""));
  assert_true(opens(tenants, "a-key", "rest-a", "wrong"));
  assert_true(opens(tenants, "a-key", "", now));
  assert_true(opens(tenants, "a-key", "", before));
  assert_false(opens(tenants, "a-key", "", next));
  assert_false(opens(tenants, "a-key", "", ""));
  assert_false(opens(tenants, "a-key", "rest-b", ""));
  assert_false(opens(tenants, "b-key", "", now));
  assert_false(opens(tenants, "c-key", "rest-a", now));
  assert_false(opens(tenants, "", "", ""));
  nm_keyring_url_secret(keyring, NM_TEXT("beta"), 0, next);
  assert_false(opens(tenants, "b-key", "", next));
  nm_tenants_destroy(tenants);
  nm_keyring_destroy(keyring);
}

static void swaps_a_saved_tenant_in_while_the_old_one_is_held(void **state)
{
  (void)state;
  struct nm_keyring *keyring = opened(NULL);
  struct nm_tenants *tenants = nm_tenants_create(keyring);
  struct nm_arena *arena = nm_arena_create(65536);
  struct nm_tenant *t = make_tenant("beta", "b-key", "one", 1, 0);
  t->id = 7;
  assert_int_equal(nm_tenants_put(tenants, t), NM_OK);
  assert_int_equal(nm_tenants_put(tenants, make_tenant("acme", "a-key", "two", 1, 0)), NM_OK);
  struct nm_tenant *held = nm_tenants_by_id(tenants, 7);
  t = make_tenant("beta", "new-key", "three", 1, 0);
  t->id = 7;
  assert_int_equal(nm_tenants_put(tenants, t), NM_OK);
  assert_string_equal(held->rest_api_key.ptr, "one");
  nm_tenant_unref(held);
  assert_false(opens(tenants, "b-key", "one", ""));
  assert_false(opens(tenants, "b-key", "three", ""));
  assert_false(opens(tenants, "new-key", "one", ""));
  assert_true(opens(tenants, "new-key", "three", ""));
  assert_int_equal(nm_tenants_put(tenants, make_tenant("acme", "new-key", "four", 1, 0)),
                   NM_ECONFLICT);
  size_t count = 0;
  struct nm_tenant **all = nm_tenants_all(tenants, arena, &count);
  assert_int_equal(count, 2);
  assert_string_equal(all[0]->name.ptr, "acme");
  assert_string_equal(all[1]->name.ptr, "beta");
  for (size_t i = 0; i < count; i++) nm_tenant_unref(all[i]);
  nm_arena_destroy(arena);
  nm_tenants_destroy(tenants);
  nm_keyring_destroy(keyring);
}

static int make_folder(void **state)
{
  (void)state;
  if (!mkdtemp(folder)) return -1;
  snprintf(key_path, sizeof key_path, "%s/var/master.key", folder);
  return 0;
}

static int remove_folder(void **state)
{
  (void)state;
  char path[64];
  unlink(key_path);
  snprintf(path, sizeof path, "%s/var", folder);
  rmdir(path);
  return rmdir(folder);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(makes_a_key_once_that_only_its_owner_can_read),
    cmocka_unit_test(refuses_a_key_that_others_can_read_or_that_is_none),
    cmocka_unit_test(opens_what_it_sealed_and_shows_no_secret_in_between),
    cmocka_unit_test(refuses_a_secret_that_was_changed_moved_or_copied),
    cmocka_unit_test(refuses_two_secrets_that_changed_places),
    cmocka_unit_test(derives_the_same_url_secret_again),
    cmocka_unit_test(opens_the_door_by_header_or_by_either_url_secret),
    cmocka_unit_test(swaps_a_saved_tenant_in_while_the_old_one_is_held),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
