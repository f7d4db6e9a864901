/* links: script */
#include <math.h>

#include "script/value.h"
#include "arena_kit.h"

static struct nm_value number(double value)
{
  return (struct nm_value){ .kind = NM_VALUE_NUMBER, .number = value };
}

static struct nm_value integer(int64_t value)
{
  return (struct nm_value){ .kind = NM_VALUE_INTEGER, .integer = value };
}

static struct nm_value text(const char *value)
{
  return (struct nm_value){ .kind = NM_VALUE_TEXT, .text = nm_text_from(value) };
}

static struct nm_value table(const struct nm_entry *entries, size_t count)
{
  return (struct nm_value){ .kind = NM_VALUE_TABLE, .table = { entries, count } };
}

static void writes(struct nm_value value, const char *wanted)
{
  struct nm_text json;
  struct nm_error err;
  json_t *tree;
  if (nm_value_json_text(&value, arena, &json, &err) != NM_OK) fail_msg("%s", err.text);
  assert_string_equal(json.ptr, wanted);
  /* jansson reads it, and has the same tree from the other road. */
  assert_int_equal(nm_value_to_json(&value, &tree, &err), NM_OK);
  json_t *read = json_loads(wanted, JSON_DECODE_ANY, NULL);
  if (value.kind != NM_VALUE_NUMBER) assert_true(json_equal(tree, read));
  json_decref(read);
  json_decref(tree);
}

static void refuses(struct nm_value value, const char *why)
{
  struct nm_text json;
  struct nm_error err;
  json_t *tree = NULL;
  assert_int_equal(nm_value_json_text(&value, arena, &json, &err), NM_EINVAL);
  assert_string_equal(err.text, why);
  assert_int_equal(nm_value_to_json(&value, &tree, &err), NM_EINVAL);
  assert_string_equal(err.text, why);
  assert_null(tree);
}

static void numbers_have_their_shortest_form(void **state)
{
  (void)state;
  writes(integer(INT64_MAX), "9223372036854775807");
  writes(integer(INT64_MIN), "-9223372036854775808");
  writes(number(3), "3");
  writes(number(-0.0), "0");
  writes(number(59.9), "59.9");
  writes(number(0.1 + 0.2), "0.30000000000000004");
  writes(number(1e300), "1e+300");
  writes(number(1e15), "1e+15");
  writes(number(999999999999999), "999999999999999");
}

static void texts_are_escaped(void **state)
{
  (void)state;
  writes(text("plain \xc3\xa7 \xf0\x9f\x98\x80"), "\"plain \xc3\xa7 \xf0\x9f\x98\x80\"");
  writes(text("a\"b\\c/d\n\t\r\b\f\v\x01\x1f\x7f"),
         "\"a\\\"b\\\\c/d\\n\\t\\r\\b\\f\\u000b\\u0001\\u001f\x7f\"");
  writes(text(""), "\"\"");
}

static void tables_are_lists_or_objects(void **state)
{
  (void)state;
  struct nm_entry list[] = { { integer(1), text("a") }, { integer(2), integer(5) } };
  struct nm_entry object[] = { { text("k"), table(list, 2) }, { text("z"), table(NULL, 0) } };
  struct nm_entry gap[] = { { integer(1), text("a") }, { integer(3), text("b") } };
  struct nm_entry mixed[] = { { integer(1), text("a") }, { text("x"), text("b") } };
  writes(table(list, 2), "[\"a\",5]");
  writes(table(object, 2), "{\"k\":[\"a\",5],\"z\":{}}");
  refuses(table(gap, 2), "[1]: a number beside names as key, or a gap in a list; "
                         "expected text, number, boolean or table");
  refuses(table(mixed, 2), "[1]: a number beside names as key, or a gap in a list; "
                           "expected text, number, boolean or table");
}

static void what_has_no_json_is_named_by_its_path(void **state)
{
  (void)state;
  struct nm_value other = { .kind = NM_VALUE_OTHER, .text = NM_TEXT("a function") };
  struct nm_entry inner[] = { { integer(1), other } };
  struct nm_entry outer[] = { { text("list"), table(inner, 1) } };
  struct nm_entry endless[] = { { text("n"), number(INFINITY) } };
  struct nm_entry broken[] = { { text("t"), text("\xc3") } };
  refuses(table(outer, 1), "list[1]: a function; expected text, number, boolean or table");
  refuses(table(endless, 1), "n: a number without an end; expected text, number, boolean or table");
  refuses(table(broken, 1), "t: text that is not UTF-8; expected text, number, boolean or table");
  refuses(other, "a function; expected text, number, boolean or table");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(numbers_have_their_shortest_form),
    cmocka_unit_test(texts_are_escaped),
    cmocka_unit_test(tables_are_lists_or_objects),
    cmocka_unit_test(what_has_no_json_is_named_by_its_path),
  };
  return cmocka_run_group_tests(tests, arena_begin, arena_end);
}
