/* links: script */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "script/data.h"
#include "check.h"

static char folder[64];

struct loaded {
  struct nm_arena *arena;
  struct nm_problems problems;
  json_t *value;
  char *json;
  int rc;
};

static void write_file(const char *name, const char *bytes, size_t len)
{
  char path[128];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, len, file), len);
  assert_int_equal(fclose(file), 0);
}

static void load(struct loaded *out, const char *source, enum nm_secrets secrets)
{
  memset(out, 0, sizeof *out);
  out->arena = nm_arena_create(1 << 20);
  out->problems.arena = out->arena;
  write_file("f.lua", source, strlen(source));
  out->rc = nm_data_load(&out->value, NM_TEXT("f.lua"), secrets, &out->problems);
  if (out->value) out->json = json_dumps(out->value, JSON_COMPACT | JSON_SORT_KEYS);
}

static void unload(struct loaded *loaded)
{
  free(loaded->json);
  json_decref(loaded->value);
  nm_arena_destroy(loaded->arena);
}

static void gives(const char *source, const char *json)
{
  struct loaded got;
  load(&got, source, NM_SECRETS_KEEP);
  if (got.rc != NM_OK)
    fail_msg("%s\n%s", source, got.problems.first ? got.problems.first->text.ptr : "");
  assert_string_equal(got.json, json);
  assert_int_equal(got.problems.count, 0);
  unload(&got);
}

static void refuses_as(const char *source, enum nm_secrets secrets, int rc, const char *line)
{
  struct loaded got;
  load(&got, source, secrets);
  assert_int_equal(got.rc, rc);
  assert_null(got.value);
  assert_int_equal(got.problems.count, 1);
  assert_string_equal(got.problems.first->text.ptr, line);
  unload(&got);
}

static void refuses(const char *source, const char *line)
{
  refuses_as(source, NM_SECRETS_KEEP, NM_EINVAL, line);
}

static void tables_become_objects_and_arrays(void **state)
{
  (void)state;
  gives("return { name = \"acme\", n = 9007199254740993, f = 1.5, yes = true, no = false, gone = "
        "nil }",
        "{\"f\":1.5,\"n\":9007199254740993,\"name\":\"acme\",\"no\":false,\"yes\":true}");
  gives("return { list = { 1, 2, { id = 3 } }, empty = {} }",
        "{\"empty\":{},\"list\":[1,2,{\"id\":3}]}");
  gives("-- a comment\nlocal port = 8080\nreturn { listen = \"127.0.0.1:\" .. port }",
        "{\"listen\":\"127.0.0.1:8080\"}");
  gives("\xef\xbb\xbfreturn { a = 1 }", "{\"a\":1}");
}

static void secrets_are_kept_by_name_or_resolved(void **state)
{
  (void)state;
  struct loaded got;
  gives("return { key = secret \"env:NM_TEST_KEY\" }",
        "{\"key\":{\"secret\":\"env:NM_TEST_KEY\"}}");
  setenv("NM_TEST_KEY", "s3cret", 1);
  write_file("key.txt", "from a file\n", 12);
  load(&got, "return { a = secret \"env:NM_TEST_KEY\", b = secret \"file:key.txt\" }",
       NM_SECRETS_RESOLVE);
  assert_int_equal(got.rc, NM_OK);
  assert_string_equal(got.json, "{\"a\":\"s3cret\",\"b\":\"from a file\"}");
  unload(&got);
  unsetenv("NM_TEST_KEY");
}

static void all_secrets_that_are_missing_are_named_with_their_lines(void **state)
{
  (void)state;
  struct loaded got;
  load(&got, "return {\n a = secret \"env:NM_NOT_SET\",\n b = secret \"file:none.txt\",\n}",
       NM_SECRETS_RESOLVE);
  assert_int_equal(got.rc, NM_EINVAL);
  assert_null(got.value);
  assert_int_equal(got.problems.count, 2);
  assert_string_equal(got.problems.first->text.ptr,
                      "f.lua:2: secret \"env:NM_NOT_SET\": not set in this environment");
  assert_string_equal(
      got.problems.last->text.ptr,
      "f.lua:3: secret \"file:none.txt\": cannot be opened: No such file or directory");
  unload(&got);
  refuses("return { a = secret \"plain\" }",
          "f.lua:1: secret \"plain\": expected \"env:NAME\" or \"file:PATH\"");
  refuses("return { a = secret(5) }",
          "f.lua:1: secret takes a text such as \"env:NAME\" or \"file:PATH\"");
}

static void what_is_wrong_is_named_with_its_line_or_key(void **state)
{
  (void)state;
  refuses("return {\n  a = ,\n}", "f.lua:2: unexpected symbol near ','");
  refuses("return { a = acme }", "f.lua:1: unknown word \"acme\": this file knows only secret; "
                                 "texts stand in quotes");
  refuses("\nx = 1\nreturn {}", "f.lua:2: setting the global \"x\": write local x");
  refuses("return { os = os.time() }", "f.lua:1: unknown word \"os\": this file knows only secret; "
                                       "texts stand in quotes");
  refuses("local t = { name = \"x\" }", "f.lua: the file returns nothing; expected return { ... }");
  refuses("return 5", "f.lua: the file returns a number; expected return { ... }");
  refuses("return { a = { b = function() end } }",
          "f.lua: a.b: a function; expected text, number, boolean or table");
  refuses("return { a = { 1, x = 2 } }", "f.lua: a[1]: a number beside names as key, or a gap in a "
                                         "list; expected text, number, boolean or table");
  refuses("return { a = { [2] = 2 } }", "f.lua: a[2]: a number beside names as key, or a gap in a "
                                        "list; expected text, number, boolean or table");
  refuses("return { a = 1/0 }",
          "f.lua: a: a number without an end; expected text, number, boolean or table");
  refuses("return { a = \"\\xff\" }",
          "f.lua: a: text that is not UTF-8; expected text, number, boolean or table");
  refuses("local t = {} t.t = t return t", "f.lua: a table nested deeper than 64");
  refuses("return { [true] = 1 }",
          "f.lua: a table with a boolean as key; keys are names or whole numbers");
  refuses("\x1bLuaT", "f.lua: attempt to load a binary chunk (mode is 't')");
}

static void hostile_files_are_stopped(void **state)
{
  (void)state;
  refuses_as("\nwhile true do end", NM_SECRETS_KEEP, NM_EINVAL,
             "f.lua:2: stopped after 500 ms of CPU time");
  refuses_as("local s = \"x\" while true do s = s .. s end", NM_SECRETS_KEEP, NM_EINVAL,
             "f.lua: needs more than its 8192 KiB of memory");
  refuses_as("local t = {} for i = 1, 40 do t = { t, t } end return t", NM_SECRETS_KEEP, NM_EINVAL,
             "f.lua: gave more than 50000 values");
}

static void files_that_cannot_be_read_say_why(void **state)
{
  (void)state;
  json_t *value = NULL;
  struct nm_arena *arena = nm_arena_create(1 << 16);
  struct nm_problems problems = { .arena = arena };
  assert_int_equal(nm_data_load(&value, NM_TEXT("none.lua"), NM_SECRETS_KEEP, &problems), NM_EIO);
  assert_string_equal(problems.first->text.ptr,
                      "none.lua: cannot be opened: No such file or directory");
  assert_int_equal(nm_data_load(&value, NM_TEXT("."), NM_SECRETS_KEEP, &problems), NM_EIO);
  assert_string_equal(problems.last->text.ptr, ".: not a regular file");
  assert_null(value);
  nm_arena_destroy(arena);
}

static int enter_folder(void **state)
{
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/netmove-test-XXXXXX");
  return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
  (void)state;
  unlink("f.lua");
  unlink("key.txt");
  return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(tables_become_objects_and_arrays),
    cmocka_unit_test(secrets_are_kept_by_name_or_resolved),
    cmocka_unit_test(all_secrets_that_are_missing_are_named_with_their_lines),
    cmocka_unit_test(what_is_wrong_is_named_with_its_line_or_key),
    cmocka_unit_test(hostile_files_are_stopped),
    cmocka_unit_test(files_that_cannot_be_read_say_why),
  };
  return cmocka_run_group_tests(tests, enter_folder, remove_folder);
}
