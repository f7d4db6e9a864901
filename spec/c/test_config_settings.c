/* links: config */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config.h"
#include "check.h"

static char folder[64];

static void write_settings(const char *source)
{
  FILE *file = fopen("n.lua", "wb");
  assert_non_null(file);
  assert_true(fputs(source, file) >= 0);
  assert_int_equal(fclose(file), 0);
}

static struct nm_settings *settings_of(const char *source, struct nm_problems *problems)
{
  struct nm_settings *settings = NULL;
  write_settings(source);
  int rc = nm_settings_load(&settings, NM_TEXT("n.lua"), problems);
  assert_int_equal(rc, problems->count > 0 ? NM_EINVAL : NM_OK);
  assert_int_equal(settings != NULL, rc == NM_OK);
  return settings;
}

static struct nm_settings *good(const char *source)
{
  struct nm_arena *arena = nm_arena_create(1 << 20);
  struct nm_problems problems = { .arena = arena };
  struct nm_settings *settings = settings_of(source, &problems);
  if (problems.count) fail_msg("%s", problems.first->text.ptr);
  nm_arena_destroy(arena);
  return settings;
}

static void is(struct nm_text got, const char *wanted)
{
  assert_string_equal(got.ptr, wanted);
  assert_int_equal(got.len, strlen(wanted));
}

/* The lines, each ended by a newline. */
static void refuses(const char *source, const char *wanted)
{
  char lines[4096] = "";
  struct nm_arena *arena = nm_arena_create(1 << 20);
  struct nm_problems problems = { .arena = arena };
  assert_null(settings_of(source, &problems));
  for (const struct nm_problem *p = problems.first; p; p = p->next) {
    size_t len = strlen(lines);
    snprintf(lines + len, sizeof lines - len, "%s\n", p->text.ptr);
  }
  assert_string_equal(lines, wanted);
  nm_arena_destroy(arena);
}

static void without_a_file_everything_has_a_default(void **state)
{
  (void)state;
  struct nm_settings *s = NULL;
  struct nm_arena *arena = nm_arena_create(1 << 20);
  struct nm_problems problems = { .arena = arena };
  assert_int_equal(nm_settings_load(&s, NM_TEXT(""), &problems), NM_OK);
  is(s->public_listen, "127.0.0.1:8080");
  is(s->public_url, "http://127.0.0.1:8080");
  is(s->admin_listen, "127.0.0.1:9090");
  is(s->admin_socket, "var/netmove.sock");
  is(s->store, "sqlite:var/netmove.db");
  is(s->rules, "rules");
  is(s->log_level, "info");
  assert_int_equal(s->master_key.len, 0);
  assert_int_equal(s->limits.connections, 16384);
  assert_int_equal(s->limits.per_address, 0);
  assert_int_equal(s->limits.handshake_ms, 10000);
  assert_int_equal(s->limits.idle_ms, 75000);
  assert_int_equal(s->events_age_ms, INT64_C(30) * 86400000);
  assert_int_equal(s->user.len, 0);
  assert_int_equal(s->stop_max_ms, 30000);
  nm_settings_destroy(s);
  nm_arena_destroy(arena);
}

static void the_sample_says_what_the_defaults_are(void **state)
{
  const char *source = getenv("NETMOVE_SOURCE");
  char path[512];
  (void)state;
  struct nm_settings *s = NULL;
  struct nm_arena *arena = nm_arena_create(1 << 20);
  struct nm_problems problems = { .arena = arena };
  snprintf(path, sizeof path, "%s/config/netmove.lua", source ? source : ".");
  assert_int_equal(nm_settings_load(&s, nm_text_from(path), &problems), NM_OK);
  is(s->public_listen, "127.0.0.1:8080");
  is(s->admin_listen, "127.0.0.1:9090");
  is(s->store, "sqlite:var/netmove.db");
  nm_settings_destroy(s);
  nm_arena_destroy(arena);
}

static void every_key_is_read(void **state)
{
  (void)state;
  struct nm_settings *s = good("return { public = { listen = \"0.0.0.0:8443\", url = "
                               "\"https://c.example.com/\", behind = { \"10.0.0.0/8\", \"::1\" },\n"
                               " limits = { connections = 100, per_address = 7, requests = 9, "
                               "handshake = 1, "
                               "head = 2, body = 3, write = 4, idle = 5 } },\n"
                               " admin = { listen = false, socket = \"run/n.sock\" }, store = "
                               "\"sqlite:x.db\", rules = \"r\",\n"
                               " master_key = secret \"env:K\", outbound = { allow = { "
                               "\"127.0.0.0/8\" } }, log = { level = \"debug\" },\n"
                               " retention = { events_days = 1, dead_days = 2 }, user = "
                               "\"netmove\", stop_max = 7 }");
  is(s->public_listen, "0.0.0.0:8443");
  assert_true(nm_text_equal(s->public_url, NM_TEXT("https://c.example.com")));
  assert_int_equal(s->behind_count, 2);
  is(s->behind[1], "::1");
  assert_int_equal(s->limits.connections, 100);
  assert_int_equal(s->limits.per_address, 7);
  assert_int_equal(s->limits.requests, 9);
  assert_int_equal(s->limits.handshake_ms, 1000);
  assert_int_equal(s->limits.head_ms, 2000);
  assert_int_equal(s->limits.body_ms, 3000);
  assert_int_equal(s->limits.write_ms, 4000);
  assert_int_equal(s->limits.idle_ms, 5000);
  is(s->admin_listen, "");
  is(s->admin_socket, "run/n.sock");
  is(s->store, "sqlite:x.db");
  is(s->rules, "r");
  is(s->master_key, "env:K");
  assert_int_equal(s->outbound_allow_count, 1);
  is(s->outbound_allow[0], "127.0.0.0/8");
  is(s->log_level, "debug");
  assert_int_equal(s->events_age_ms, 86400000);
  assert_int_equal(s->dead_age_ms, 2 * 86400000);
  is(s->user, "netmove");
  assert_int_equal(s->stop_max_ms, 7000);
  nm_settings_destroy(s);
  nm_settings_destroy(
      good("return { outbound = { allow = {} }, public = { listen = \"[::1]:0\" } }"));
}

static void unknown_keys_are_named_with_the_nearest_known_one(void **state)
{
  (void)state;
  refuses("return { pubic = {}, store = \"sqlite:x\", zzz = 1, public = { lisen = \"x\", limits = "
          "{ heads = 3 } } }",
          "n.lua: unknown key \"pubic\" (did you mean \"public\"?)\n"
          "n.lua: public.limits: unknown key \"heads\" (did you mean \"head\"?)\n"
          "n.lua: public: unknown key \"lisen\" (did you mean \"listen\"?)\n"
          "n.lua: unknown key \"zzz\"\n");
  refuses("return { [\"public.listen\"] = \"127.0.0.1:1\" }",
          "n.lua: unknown key \"public.listen\"\n");
}

static void wrong_values_say_what_was_found_and_expected(void **state)
{
  (void)state;
  refuses("return { public = 5 }", "n.lua: public: found a number; expected a table\n");
  refuses("return { 5 }", "n.lua: the file: found a list; expected a table with names\n");
  refuses("return { public = { listen = \"8080\" } }",
          "n.lua: public.listen: found \"8080\"; expected an address and port such as "
          "\"127.0.0.1:8080\"\n");
  refuses("return { public = { listen = \"127.0.0.1:70000\" } }",
          "n.lua: public.listen: found \"127.0.0.1:70000\"; expected an address and port such as "
          "\"127.0.0.1:8080\"\n");
  refuses(
      "return { public = { limits = { connections = 0, idle = 1.5, head = 0 } } }",
      "n.lua: public.limits.connections: found 0; expected a whole number of 1 to 1000000\n"
      "n.lua: public.limits.head: found 0; expected a whole number of 1 to 3600 seconds\n"
      "n.lua: public.limits.idle: found a number; expected a whole number of 1 to 3600 seconds\n");
  refuses("return { public = { url = \"connector.example.com\" } }",
          "n.lua: public.url: found \"connector.example.com\"; expected an address such as "
          "\"https://connector.example.com\"\n");
  refuses(
      "return { outbound = { allow = { \"10.0.0.0/33\", 5 } } }",
      "n.lua: outbound.allow: found \"10.0.0.0/33\"; expected a network such as \"10.0.0.0/8\"\n"
      "n.lua: outbound.allow: found a number; expected a network such as \"10.0.0.0/8\"\n");
  refuses("return { outbound = { allow = \"10.0.0.0/8\" } }",
          "n.lua: outbound.allow: found \"10.0.0.0/8\"; expected a list of networks such as { "
          "\"10.0.0.0/8\" }\n");
  refuses(
      "return { log = { level = \"loud\" } }",
      "n.lua: log.level: found \"loud\"; expected \"debug\", \"info\", \"warn\" or \"error\"\n");
  refuses("return { rules = false }", "n.lua: rules: found false; expected text\n");
  refuses("return {\n public = { listen = 127.0.0.1 } }",
          "n.lua:2: malformed number near '127.0.0.1'\n");
}

static void a_key_written_into_the_file_is_not_shown(void **state)
{
  (void)state;
  refuses("return { master_key = \"hunter2\" }",
          "n.lua: master_key: found text; expected secret \"file:PATH\" or secret \"env:NAME\"\n");
}

static void plain_http_stays_on_loopback_unless_a_proxy_is_named(void **state)
{
  (void)state;
  refuses("return { public = { listen = \"0.0.0.0:8080\" } }",
          "n.lua: public.listen: plain HTTP on 0.0.0.0:8080, where others can read along; name a "
          "certificate in public.tls, or the proxy that ends TLS in public.behind, or listen on "
          "127.0.0.1\n");
  refuses("return { public = { listen = \"0.0.0.0:8080\", behind = { \"10.0.0.0/8\" } } }",
          "n.lua: public.url: missing; with public.listen = \"0.0.0.0:8080\" nobody can know the "
          "address that "
          "Optimove calls\n");
  refuses(
      "return { admin = { listen = \"10.1.2.3:9090\" } }",
      "n.lua: admin.listen: plain HTTP on 10.1.2.3:9090 would show tokens; name a certificate in "
      "admin.tls, or listen on 127.0.0.1\n");
  nm_settings_destroy(
      good("return { public = { listen = \"10.1.2.3:80\", behind = { \"10.0.0.0/8\" } } }"));
}

static void what_is_not_built_yet_is_said(void **state)
{
  (void)state;
  refuses("return { store = \"postgresql://u@h/d\" }",
          "n.lua: store: a postgresql: store is not built yet; use \"sqlite:PATH\"\n");
  refuses("return { store = \"mysql:x\" }", "n.lua: store: found \"mysql:x\"; expected "
                                            "\"sqlite:PATH\", such as \"sqlite:var/netmove.db\"\n");
}

static void tls_needs_a_certificate_and_its_key(void **state)
{
  (void)state;
  refuses("return { public = { tls = { certificate = \"a\" } } }",
          "n.lua: public.tls.key: missing; the file with the certificate's key\n");
  refuses("return { public = { tls = { key = \"a\" } } }",
          "n.lua: public.tls.certificate: missing; a PEM file\n");
  refuses("return { public = { tls = { certificate = \"a\", key = \"b\", client = \"maybe\" } } }",
          "n.lua: public.tls.client: found \"maybe\"; expected \"optional\" or \"required\"\n");
  refuses("return { public = { tls = { certificate = \"a\", key = \"b\", "
          "client = \"optional\" } } }",
          "n.lua: public.tls.client_ca: missing; a PEM file of those who sign callers' "
          "certificates\n");
  refuses("return { public = { listen = \"0.0.0.0:8443\", tls = { certificate = \"a\", key = "
          "\"b\" } } }",
          "n.lua: public.url: missing; with public.listen = \"0.0.0.0:8443\" nobody can know the "
          "address that Optimove calls\n");

  struct nm_settings *s =
      good("return { public = { tls = { certificate = \"a\", key = \"b\" } } }");
  is(s->public_url, "https://127.0.0.1:8080");
  assert_true(nm_settings_has_tls(s));
  assert_int_equal(nm_settings_tls(s).client, NM_TLS_CLIENT_NONE);
  nm_settings_destroy(s);
  s = good("return { public = { tls = { certificate = \"a\", key = \"b\", client_ca = \"c\" } } }");
  assert_int_equal(nm_settings_tls(s).client, NM_TLS_CLIENT_REQUIRED);
  nm_settings_destroy(s);
  s = good("return { public = { tls = { certificate = \"a\", key = \"b\", client_ca = \"c\", "
           "client = \"optional\" } } }");
  assert_int_equal(nm_settings_tls(s).client, NM_TLS_CLIENT_OPTIONAL);
  nm_settings_destroy(s);
}

static void files_are_looked_at_only_when_asked(void **state)
{
  (void)state;
  struct nm_settings *s =
      good("return { public = { tls = { certificate = \"a.crt\", key = \"b\" } } }");
  struct nm_arena *arena = nm_arena_create(1 << 20);
  struct nm_problems problems = { .arena = arena };
  nm_settings_check_files(s, "n.lua", &problems);
  assert_int_equal(problems.count, 1);
  is(problems.first->text, "n.lua: public.tls: cannot read a.crt: No such file or directory");
  nm_settings_destroy(s);
  nm_arena_destroy(arena);
}

static void options_win_over_the_file(void **state)
{
  (void)state;
  struct nm_arena *arena = nm_arena_create(1 << 20);
  struct nm_problems problems = { .arena = arena };
  struct nm_settings *s = good("return { store = \"sqlite:a.db\" }");
  assert_int_equal(nm_settings_override(s, "listen", NM_TEXT("127.0.0.1:7001"), &problems), NM_OK);
  assert_int_equal(nm_settings_override(s, "admin", NM_TEXT("127.0.0.1:7002"), &problems), NM_OK);
  assert_int_equal(nm_settings_override(s, "store", NM_TEXT("sqlite:b.db"), &problems), NM_OK);
  assert_int_equal(nm_settings_override(s, "rules", NM_TEXT("elsewhere"), &problems), NM_OK);
  is(s->public_listen, "127.0.0.1:7001");
  is(s->public_url, "http://127.0.0.1:7001");
  is(s->admin_listen, "127.0.0.1:7002");
  is(s->store, "sqlite:b.db");
  is(s->rules, "elsewhere");
  assert_int_equal(problems.count, 0);

  assert_int_equal(nm_settings_override(s, "listen", NM_TEXT("x"), &problems), NM_EINVAL);
  is(problems.last->text,
     "--listen: found \"x\"; expected an address and port such as \"127.0.0.1:8080\"");
  assert_int_equal(nm_settings_override(s, "store", NM_TEXT("postgresql://x"), &problems),
                   NM_EINVAL);
  is(problems.last->text, "--store: a postgresql: store is not built yet; use \"sqlite:PATH\"");
  assert_int_equal(nm_settings_override(s, "listen", NM_TEXT("0.0.0.0:80"), &problems), NM_EINVAL);
  nm_settings_destroy(s);
  nm_arena_destroy(arena);
}

static void add_key(void *data, const char *key)
{
  char *keys = data;
  size_t len = strlen(keys);
  snprintf(keys + len, 256 - len, "%s ", key);
}

static void tells_which_keys_differ(void **state)
{
  char keys[256] = "";
  (void)state;
  struct nm_settings *a = good("return { public = { behind = { \"10.0.0.0/8\" } } }");
  struct nm_settings *b = good("return { public = { behind = { \"10.0.0.0/8\" } } }");
  nm_settings_compare(a, b, add_key, keys);
  assert_string_equal(keys, "");
  nm_settings_destroy(b);
  b = good("return { public = { behind = { \"10.0.0.0/9\" }, limits = { idle = 1 } },\n"
           " log = { level = \"warn\" }, retention = { dead_days = 2 } }");
  nm_settings_compare(a, b, add_key, keys);
  assert_string_equal(keys, "public.behind public.limits.idle log.level retention.dead_days ");
  nm_settings_destroy(b);
  nm_settings_destroy(a);
}

static void a_missing_file_is_a_problem(void **state)
{
  (void)state;
  struct nm_settings *s = NULL;
  struct nm_arena *arena = nm_arena_create(1 << 20);
  struct nm_problems problems = { .arena = arena };
  assert_int_equal(nm_settings_load(&s, NM_TEXT("none.lua"), &problems), NM_EIO);
  is(problems.first->text, "none.lua: cannot be opened: No such file or directory");
  assert_null(s);
  nm_arena_destroy(arena);
}

static int enter_folder(void **state)
{
  (void)state;
  /* The sample is found by its path before we leave. */
  if (!getenv("NETMOVE_SOURCE")) {
    char here[400];
    if (!getcwd(here, sizeof here) || setenv("NETMOVE_SOURCE", here, 1) != 0) return -1;
  }
  snprintf(folder, sizeof folder, "/tmp/netmove-test-XXXXXX");
  return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
  (void)state;
  unlink("n.lua");
  return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(without_a_file_everything_has_a_default),
    cmocka_unit_test(the_sample_says_what_the_defaults_are),
    cmocka_unit_test(every_key_is_read),
    cmocka_unit_test(unknown_keys_are_named_with_the_nearest_known_one),
    cmocka_unit_test(wrong_values_say_what_was_found_and_expected),
    cmocka_unit_test(a_key_written_into_the_file_is_not_shown),
    cmocka_unit_test(plain_http_stays_on_loopback_unless_a_proxy_is_named),
    cmocka_unit_test(what_is_not_built_yet_is_said),
    cmocka_unit_test(tls_needs_a_certificate_and_its_key),
    cmocka_unit_test(files_are_looked_at_only_when_asked),
    cmocka_unit_test(options_win_over_the_file),
    cmocka_unit_test(tells_which_keys_differ),
    cmocka_unit_test(a_missing_file_is_a_problem),
  };
  return cmocka_run_group_tests(tests, enter_folder, remove_folder);
}
