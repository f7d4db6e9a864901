/* links: rules */
#include <stdio.h>

#include "rules_folder_kit.h"

#define USES(name, library)                                                                       \
  "local l = use(\"" library "\") return tenant { name = \"" name "\", hooks = { E = l.step } }"
#define STEP(reason) "return { step = drop(\"" reason "\") }"

static void a_changed_library_reloads_who_uses_it_and_nobody_else(void **state)
{
  struct world *w = *state;
  put("rules/lib/shared.lua", STEP("one"));
  put("rules/lib/other.lua", STEP("other"));
  put("rules/acme.lua", USES("acme", "shared"));
  put("rules/beta.lua", USES("beta", "other"));
  put("rules/gamma.lua", USES("gamma", "shared"));
  put("rules/delta.lua", TENANT("delta"));
  open_folder(w, "rules");
  nm_rules_folder_look(w->folder, true);
  saw(w, "acme+ beta+ delta+ gamma+ ");
  put("rules/lib/shared.lua", STEP("two"));
  wait_for(w, 2);
  saw(w, "acme+ gamma+ ");
  nm_rules_folder_look(w->folder, false);
  saw(w, "");
  put("rules/lib/shared.lua", STEP("three"));
  nm_rules_folder_look(w->folder, false);
  saw(w, "acme+ gamma+ ");
}

static void a_library_of_a_library_counts_too(void **state)
{
  struct world *w = *state;
  put("rules/lib/inner.lua", STEP("one"));
  put("rules/lib/outer.lua", "return use(\"inner\")");
  put("rules/acme.lua", USES("acme", "outer"));
  open_folder(w, "rules");
  nm_rules_folder_look(w->folder, true);
  put("rules/lib/inner.lua", STEP("two"));
  wait_for(w, 1);
  saw(w, "acme+ acme+ ");
}

static void a_broken_library_refuses_its_users_and_names_itself(void **state)
{
  struct world *w = *state;
  put("rules/lib/shared.lua", STEP("one"));
  put("rules/acme.lua", USES("acme", "shared"));
  open_folder(w, "rules");
  nm_rules_folder_look(w->folder, true);
  put("rules/lib/shared.lua", "local x = 1\nreturn { step = dorp(\"x\") }");
  wait_for(w, 1);
  saw(w, "acme+ acme- ");
  assert_string_equal(w->problem,
                      "rules/lib/shared.lua:2: unknown word \"dorp\" (did you mean \"drop\"?)");
  put("rules/lib/shared.lua", STEP("mended"));
  wait_for(w, 1);
  saw(w, "acme+ ");
}

static void a_library_that_comes_later_mends_its_users(void **state)
{
  struct world *w = *state;
  put("rules/lib/shared_ones.lua", STEP("near"));
  put("rules/acme.lua", USES("acme", "shared"));
  open_folder(w, "rules");
  nm_rules_folder_look(w->folder, true);
  saw(w, "acme- ");
  assert_string_equal(w->problem, "rules/acme.lua:1: use: no library \"shared\": there is no "
                                  "rules/lib/shared.lua (did you mean \"shared_ones\"?)");
  put("rules/lib/shared.lua", STEP("late"));
  wait_for(w, 1);
  saw(w, "acme+ ");
}

static void the_folder_of_libraries_may_come_later(void **state)
{
  struct world *w = *state;
  put("rules/acme.lua", USES("acme", "shared"));
  assert_int_equal(rmdir("rules/lib"), 0);
  open_folder(w, "rules");
  nm_rules_folder_look(w->folder, true);
  saw(w, "acme- ");
  assert_int_equal(mkdir("rules/lib", 0700), 0);
  put("rules/lib/shared.lua", STEP("late"));
  wait_for(w, 1);
  saw(w, "acme+ ");
}

static void the_bundle_is_the_version_and_loads_without_the_folder(void **state)
{
  struct world *w = *state;
  char digest[NM_RULES_DIGEST_BYTES + 1];
  struct nm_problems problems = { .arena = nm_arena_create(65536) };
  struct nm_rules *rules = NULL;
  put("rules/lib/shared.lua", STEP("one"));
  put("rules/acme.lua", USES("acme", "shared"));
  open_folder(w, "rules");
  nm_rules_folder_look(w->folder, true);
  memcpy(digest, w->digest, sizeof digest);
  assert_non_null(strstr(w->source, "--- netmove: acme.lua, "));
  assert_non_null(strstr(w->source, "--- netmove: lib/shared.lua, 29 bytes\n" STEP("one")));
  put("rules/lib/shared.lua", "return 1 +");
  assert_int_equal(
      nm_rules_load(&rules, NM_TEXT("rules/acme.lua"), nm_text_from(w->source), &problems), NM_OK);
  assert_string_equal(nm_rules_facts(rules)->digest, digest);
  assert_int_equal(nm_rules_facts(rules)->hook_count, 1);
  nm_rules_destroy(rules);
  put("rules/lib/shared.lua", STEP("two"));
  nm_rules_folder_look(w->folder, false);
  assert_string_not_equal(w->digest, digest);
  put("rules/acme.lua", w->source);
  nm_rules_folder_look(w->folder, false);
  assert_non_null(strstr(w->problem, "rules/acme.lua:1: this is a bundle"));
  nm_arena_destroy(problems.arena);
}

static void a_damaged_bundle_is_refused(void **state)
{
  static const char *const bundles[] = {
    "--- netmove: acme.lua, 9999 bytes\nreturn\n",
    "--- netmove: acme.lua, -1 bytes\n\n",
    "--- netmove: acme.lua, 99999999999999999999 bytes\n\n",
    "--- netmove: acme.lua, 3 bytes\n",
    "--- netmove: acme.lua\n",
    "--- netmove: ",
    "--- netmove: acme.lua, 18 bytes\nlocal x = use(\"y\")\n--- netmove: lib/y.lua, 5 by",
  };
  (void)state;
  for (size_t i = 0; i < sizeof bundles / sizeof bundles[0]; i++) {
    struct nm_problems problems = { .arena = nm_arena_create(65536) };
    struct nm_rules *rules = NULL;
    assert_int_equal(
        nm_rules_load(&rules, NM_TEXT("rules/acme.lua"), nm_text_from(bundles[i]), &problems),
        NM_EINVAL);
    assert_true(problems.count > 0);
    nm_arena_destroy(problems.arena);
  }
}

static void a_link_out_of_the_folder_is_refused_and_one_within_is_not(void **state)
{
  struct world *w = *state;
  put("outside.lua", STEP("secret"));
  assert_int_equal(symlink("../../outside.lua", "rules/lib/shared.lua"), 0);
  put("rules/acme.lua", USES("acme", "shared"));
  open_folder(w, "rules");
  nm_rules_folder_look(w->folder, true);
  saw(w, "acme- ");
  assert_non_null(strstr(w->problem, "rules/lib/shared.lua: a link that leads out"));
  assert_int_equal(unlink("rules/lib/shared.lua"), 0);
  put("rules/lib/real.lua", STEP("fine"));
  assert_int_equal(symlink("real.lua", "rules/lib/shared.lua"), 0);
  nm_rules_folder_look(w->folder, true);
  saw(w, "acme+ ");
  assert_int_equal(unlink("outside.lua"), 0);
}

static void libraries_without_end_are_refused(void **state)
{
  struct world *w = *state;
  char path[64], source[4096] = "", line[64];
  for (int i = 0; i <= NM_RULES_LIBRARIES_MAX; i++) {
    snprintf(path, sizeof path, "rules/lib/l%d.lua", i);
    put(path, "return {}");
    snprintf(line, sizeof line, "local l%d = use(\"l%d\")\n", i, i);
    strncat(source, line, sizeof source - strlen(source) - 1);
  }
  strncat(source, TENANT("acme"), sizeof source - strlen(source) - 1);
  put("rules/acme.lua", source);
  open_folder(w, "rules");
  nm_rules_folder_look(w->folder, true);
  saw(w, "acme- ");
  assert_string_equal(w->problem, "rules/acme.lua:33: use: more than 32 libraries");
}

/* A save of the library in many small writes: never is a half of it proven. */
static void a_library_that_is_being_written_is_waited_for(void **state)
{
  struct world *w = *state;
  put("rules/lib/shared.lua", STEP("one"));
  put("rules/acme.lua", USES("acme", "shared"));
  open_folder(w, "rules");
  nm_rules_folder_look(w->folder, true);
  FILE *file = fopen("rules/lib/shared.lua", "wb");
  assert_non_null(file);
  assert_true(fputs("return { step = drop(\"ha", file) >= 0 && fflush(file) == 0);
  put("rules/acme.lua", USES("acme", "shared") " -- changed, too");
  uv_run(&w->loop, UV_RUN_NOWAIT);
  assert_true(fputs("lf\") }", file) >= 0 && fclose(file) == 0);
  wait_for(w, 1);
  saw(w, "acme+ acme+ ");
  assert_non_null(strstr(w->source, STEP("half")));
}

static int begin_with_libraries(void **state)
{
  return begin(state) || mkdir("rules/lib", 0700) != 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(a_changed_library_reloads_who_uses_it_and_nobody_else,
                                    begin_with_libraries, end),
    cmocka_unit_test_setup_teardown(a_library_of_a_library_counts_too, begin_with_libraries, end),
    cmocka_unit_test_setup_teardown(a_broken_library_refuses_its_users_and_names_itself,
                                    begin_with_libraries, end),
    cmocka_unit_test_setup_teardown(a_library_that_comes_later_mends_its_users,
                                    begin_with_libraries, end),
    cmocka_unit_test_setup_teardown(the_folder_of_libraries_may_come_later, begin_with_libraries,
                                    end),
    cmocka_unit_test_setup_teardown(the_bundle_is_the_version_and_loads_without_the_folder,
                                    begin_with_libraries, end),
    cmocka_unit_test_setup_teardown(a_damaged_bundle_is_refused, begin_with_libraries, end),
    cmocka_unit_test_setup_teardown(a_link_out_of_the_folder_is_refused_and_one_within_is_not,
                                    begin_with_libraries, end),
    cmocka_unit_test_setup_teardown(libraries_without_end_are_refused, begin_with_libraries, end),
    cmocka_unit_test_setup_teardown(a_library_that_is_being_written_is_waited_for,
                                    begin_with_libraries, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
