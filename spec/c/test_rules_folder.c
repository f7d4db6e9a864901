/* links: rules */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rules/rules.h"

enum { PATIENCE_MS = 60 * 1000 };

struct world {
  char path[64];
  uv_loop_t loop;
  uv_timer_t patience;
  struct nm_rules_folder *folder;
  char seen[1024];  /* "acme+ beta- ": what was given on, + proven, - refused */
  char problem[256];
  int count, wanted;
  bool is_waiting, is_late, is_closed;
};

static void on_verdict(void *data, struct nm_rules_verdict *verdict)
{
  struct world *w = data;
  size_t len = strlen(w->seen);
  snprintf(w->seen + len, sizeof w->seen - len, "%.*s%c ", NM_TEXT_ARG(verdict->tenant),
           verdict->rules ? '+' : '-');
  if (!verdict->rules)
    snprintf(w->problem, sizeof w->problem, "%s", verdict->problems->first->text.ptr);
  w->count++;
  if (w->is_waiting && w->count >= w->wanted) uv_stop(&w->loop);
}

static void on_late(uv_timer_t *timer)
{
  struct world *w = timer->data;
  w->is_late = true;
  uv_stop(&w->loop);
}

/* Runs the loop until that many verdicts more have come. */
static void wait_for(struct world *w, int verdicts)
{
  w->wanted = w->count + verdicts;
  assert_int_equal(uv_timer_start(&w->patience, on_late, PATIENCE_MS, 0), 0);
  w->is_waiting = true;
  uv_run(&w->loop, UV_RUN_DEFAULT);
  w->is_waiting = false;
  uv_timer_stop(&w->patience);
  if (w->is_late) fail_msg("no verdict came; so far: %s", w->seen);
}

static void saw(struct world *w, const char *wanted)
{
  assert_string_equal(w->seen, wanted);
  w->seen[0] = '\0';
}

static void put(const char *path, const char *source)
{
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_true(fputs(source, file) >= 0);
  assert_int_equal(fclose(file), 0);
}

static void open_folder(struct world *w, const char *path)
{
  struct nm_error err;
  assert_int_equal(
      nm_rules_folder_open(&w->folder, &w->loop, nm_text_from(path), on_verdict, w, &err), NM_OK);
}

#define TENANT(name) "return tenant { name = \"" name "\" }"

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

static int begin(void **state)
{
  struct world *w = calloc(1, sizeof *w);
  if (!w) return -1;
  *state = w;
  snprintf(w->path, sizeof w->path, "/tmp/netmove-test-XXXXXX");
  if (!mkdtemp(w->path) || chdir(w->path) != 0 || mkdir("rules", 0700) != 0) return -1;
  w->patience.data = w;
  return uv_loop_init(&w->loop) || uv_timer_init(&w->loop, &w->patience);
}

static void on_closed(void *data)
{
  ((struct world *)data)->is_closed = true;
}

static int end(void **state)
{
  static const char *const files[] = {
    "rules/beta.lua", "rules/acme.lua", "rules/gamma.lua", "rules/.acme.lua", "rules/acme.lua~",
    "rules/README.md", "rules/sub.lua/inner.lua",
  };
  struct world *w = *state;
  nm_rules_folder_close(w->folder, on_closed, w);
  uv_close((uv_handle_t *)&w->patience, NULL);
  uv_run(&w->loop, UV_RUN_DEFAULT);
  int rc = !w->is_closed || uv_loop_close(&w->loop) != 0;
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) unlink(files[i]);
  rmdir("rules/sub.lua");
  rc = rc || rmdir("rules") != 0 || chdir("/") != 0 || rmdir(w->path) != 0;
  free(w);
  return rc;
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
