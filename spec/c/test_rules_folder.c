/* links: rules */
#include <stdio.h>

#include "rules_folder_kit.h"

static void files_are_found_at_start(void **state)
{
  struct world *w = *state;
  put("rules/beta.lua", TENANT("beta"));
  put("rules/acme.lua", TENANT("acme"));
  put("rules/.acme.lua", "editor's");
  put("rules/acme.lua~", "editor's");
  put("rules/README.md", "text");
  assert_int_equal(mkdir("rules/sub.lua", 0700), 0);
  put("rules/sub.lua/inner.lua", TENANT("inner"));
  open_folder(w, "rules/");
  wait_for(w, 2);
  saw(w, "acme+ beta+ ");
}

static void look_reads_at_once_and_only_what_is_new(void **state)
{
  struct world *w = *state;
  put("rules/acme.lua", TENANT("acme"));
  open_folder(w, "rules");
  nm_rules_folder_look(w->folder, false);
  saw(w, "acme+ ");
  nm_rules_folder_look(w->folder, false);
  saw(w, "");
  put("rules/beta.lua", TENANT("beta"));
  nm_rules_folder_look(w->folder, false);
  saw(w, "beta+ ");
  nm_rules_folder_look(w->folder, true);
  saw(w, "acme+ beta+ ");
}

static void a_change_is_seen(void **state)
{
  struct world *w = *state;
  put("rules/acme.lua", TENANT("acme"));
  open_folder(w, "rules");
  nm_rules_folder_look(w->folder, false);
  put("rules/acme.lua", TENANT("acme") " -- changed");
  wait_for(w, 1);
  saw(w, "acme+ acme+ ");
}

static void an_editors_rename_is_a_change(void **state)
{
  struct world *w = *state;
  put("rules/acme.lua", TENANT("acme"));
  open_folder(w, "rules");
  nm_rules_folder_look(w->folder, false);
  assert_int_equal(rename("rules/acme.lua", "rules/acme.lua~"), 0);
  put("rules/acme.lua.new", TENANT("acme") " -- saved");
  assert_int_equal(rename("rules/acme.lua.new", "rules/acme.lua"), 0);
  wait_for(w, 1);
  saw(w, "acme+ acme+ ");
}

static void a_broken_file_is_told_once(void **state)
{
  struct world *w = *state;
  put("rules/acme.lua", TENANT("acme"));
  open_folder(w, "rules");
  nm_rules_folder_look(w->folder, false);
  put("rules/acme.lua", "return tenant { nme = \"acme\" }");
  wait_for(w, 1);
  saw(w, "acme+ acme- ");
  assert_non_null(strstr(w->problem, "rules/acme.lua: tenant: unknown key \"nme\""));
  nm_rules_folder_look(w->folder, false);
  saw(w, "");
  put("rules/acme.lua", TENANT("acme") " -- mended");
  wait_for(w, 1);
  saw(w, "acme+ ");
}

static void a_vanished_file_is_not_a_change(void **state)
{
  struct world *w = *state;
  put("rules/acme.lua", TENANT("acme"));
  open_folder(w, "rules");
  nm_rules_folder_look(w->folder, false);
  assert_int_equal(unlink("rules/acme.lua"), 0);
  put("rules/beta.lua", TENANT("beta"));
  wait_for(w, 1);
  put("rules/acme.lua", TENANT("acme"));
  put("rules/gamma.lua", TENANT("gamma"));
  wait_for(w, 1);
  saw(w, "acme+ beta+ gamma+ ");
}

static void a_missing_folder_is_found_when_it_comes(void **state)
{
  struct world *w = *state;
  open_folder(w, "later");
  nm_rules_folder_look(w->folder, false);
  saw(w, "");
  assert_int_equal(mkdir("later", 0700), 0);
  put("later/acme.lua", TENANT("acme"));
  wait_for(w, 1);
  saw(w, "acme+ ");
  unlink("later/acme.lua");
  rmdir("later");
}

static void a_file_above_the_limit_is_refused(void **state)
{
  struct world *w = *state;
  FILE *file = fopen("rules/acme.lua", "wb");
  assert_non_null(file);
  for (int i = 0; i < 270000; i++) (void)fputc(' ', file);
  fclose(file);
  open_folder(w, "rules");
  nm_rules_folder_look(w->folder, false);
  nm_rules_folder_look(w->folder, false);
  saw(w, "acme- ");
  assert_string_equal(w->problem, "rules/acme.lua: larger than 262144 bytes");
}

static void keep_rules(void *data, struct nm_rules_verdict *verdict)
{
  struct nm_rules **kept = data;
  *kept = verdict->rules;
  verdict->rules = NULL;
}

static void rules_that_are_taken_live_on(void **state)
{
  struct world *w = *state;
  struct nm_rules *kept = NULL;
  struct nm_error err;
  put("rules/acme.lua", TENANT("acme"));
  assert_int_equal(
      nm_rules_folder_open(&w->folder, &w->loop, NM_TEXT("rules"), keep_rules, &kept, &err), NM_OK);
  nm_rules_folder_look(w->folder, false);
  assert_string_equal(nm_rules_facts(kept)->name.ptr, "acme");
  nm_rules_destroy(kept);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(files_are_found_at_start, begin, end),
    cmocka_unit_test_setup_teardown(look_reads_at_once_and_only_what_is_new, begin, end),
    cmocka_unit_test_setup_teardown(a_change_is_seen, begin, end),
    cmocka_unit_test_setup_teardown(an_editors_rename_is_a_change, begin, end),
    cmocka_unit_test_setup_teardown(a_broken_file_is_told_once, begin, end),
    cmocka_unit_test_setup_teardown(a_vanished_file_is_not_a_change, begin, end),
    cmocka_unit_test_setup_teardown(a_missing_folder_is_found_when_it_comes, begin, end),
    cmocka_unit_test_setup_teardown(a_file_above_the_limit_is_refused, begin, end),
    cmocka_unit_test_setup_teardown(rules_that_are_taken_live_on, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
