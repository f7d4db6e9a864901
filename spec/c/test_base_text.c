/* links: json */
#include "check.h"

#include "base/limits.h"
#include "base/problems.h"
#include "json/json.h"

static void integers_are_read_whole_or_not_at_all(void **state)
{
  static const struct {
    const char *text;
    bool is_fine;
    int64_t value;
  } rows[] = {
    { "0", true, 0 }, { "42", true, 42 }, { "-1", true, -1 },
    { "9223372036854775807", true, INT64_MAX }, { "-9223372036854775808", true, INT64_MIN },
    { "9223372036854775808", false, 0 }, { "-9223372036854775809", false, 0 },
    { "", false, 0 }, { "-", false, 0 }, { "+1", false, 0 }, { "1 ", false, 0 }, { "0x1", false, 0 },
    { "1.0", false, 0 },
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int64_t value = 0;
    assert_int_equal(nm_text_to_i64(nm_text_from(rows[i].text), &value), rows[i].is_fine);
    if (rows[i].is_fine) assert_true(value == rows[i].value);
  }
}

static void utf8_is_checked_to_the_letter(void **state)
{
  static const struct {
    const char *text;
    bool is_fine;
  } rows[] = {
    { "plain", true }, { "\xC3\xA7", true }, { "\xE2\x82\xAC", true }, { "\xF0\x9F\x98\x80", true },
    { "\xC0\xAF", false }, { "\xE0\x80\x80", false }, { "\xED\xA0\x80", false },
    { "\xF4\x90\x80\x80", false }, { "\xF0\x80\x80\x80", false }, { "\x80", false },
    { "\xC3", false }, { "\xE2\x82", false }, { "\xFF", false },
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_int_equal(nm_text_is_utf8(nm_text_from(rows[i].text)), rows[i].is_fine);
  assert_false(nm_text_is_utf8((struct nm_text){ "a\0b", 3 }));
}

static void cutting_gives_head_and_tail(void **state)
{
  struct nm_text head, tail;
  (void)state;
  assert_true(nm_text_cut(NM_TEXT("a=b=c"), '=', &head, &tail));
  assert_text(head, "a");
  assert_text(tail, "b=c");
  assert_false(nm_text_cut(NM_TEXT("abc"), '=', &head, &tail));
  assert_text(head, "abc");
  assert_int_equal(tail.len, 0);
  assert_text(nm_text_trim(NM_TEXT(" \tx y\t ")), "x y");
}

static void the_nearest_word_is_near(void **state)
{
  static const char *const known[] = { "templates", "channels", "events", "hooks" };
  (void)state;
  assert_string_equal(nm_nearest(NM_TEXT("tempaltes"), known, 4), "templates");
  assert_string_equal(nm_nearest(NM_TEXT("hoks"), known, 4), "hooks");
  assert_null(nm_nearest(NM_TEXT("zebra"), known, 4));
  assert_null(nm_nearest(NM_TEXT(""), known, 0));
}

static void json_is_strict(void **state)
{
  static const char *const wrong[] = {
    "", "{", "{\"a\":1}x", "{\"a\":1,\"a\":2}", "[01]", "[NaN]", "[\"\\u0000\"]", "{\"a\":1,}",
    "\"alone\"", "[\"\xFF\"]", "[1e999]",
  };
  struct nm_error error;
  json_t *value = NULL;
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_int_not_equal(nm_json_parse(&value, nm_text_from(wrong[i]), &error), NM_OK);
  assert_int_equal(nm_json_parse(&value, NM_TEXT("{\"id\":9007199254740993}"), &error), NM_OK);
  assert_true(json_integer_value(json_object_get(value, "id")) == 9007199254740993);
  json_decref(value);
}

static void json_is_not_nested_deeper_than_its_limit(void **state)
{
  char text[2 * NM_JSON_DEPTH_MAX + 3];
  struct nm_error error;
  json_t *value = NULL;
  (void)state;
  memset(text, '[', NM_JSON_DEPTH_MAX);
  memset(text + NM_JSON_DEPTH_MAX, ']', NM_JSON_DEPTH_MAX);
  struct nm_text whole = { text, 2 * NM_JSON_DEPTH_MAX };
  assert_int_equal(nm_json_parse(&value, whole, &error), NM_OK);
  json_decref(value);
  memset(text, '[', NM_JSON_DEPTH_MAX + 1);
  memset(text + NM_JSON_DEPTH_MAX + 1, ']', NM_JSON_DEPTH_MAX + 1);
  whole.len += 2;
  assert_int_equal(nm_json_parse(&value, whole, &error), NM_ELIMIT);
  assert_int_equal(nm_json_parse(&value, NM_TEXT("[\"[[[[\\\"[[\"]"), &error), NM_OK);
  json_decref(value);
}

static void json_that_does_not_fit_leaves_the_buffer_as_it_was(void **state)
{
  struct nm_buffer out;
  json_t *value = json_pack("{s:s}", "key", "a long enough value");
  (void)state;
  nm_buffer_init(&out, 20);
  assert_int_equal(nm_buffer_append(&out, "before", 6), NM_OK);
  assert_int_equal(nm_json_write(&out, value), NM_ELIMIT);
  assert_text(nm_buffer_text(&out), "before");
  nm_buffer_deinit(&out);
  json_decref(value);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(integers_are_read_whole_or_not_at_all),
    cmocka_unit_test(utf8_is_checked_to_the_letter),
    cmocka_unit_test(cutting_gives_head_and_tail),
    cmocka_unit_test(the_nearest_word_is_near),
    cmocka_unit_test(json_is_strict),
    cmocka_unit_test(json_is_not_nested_deeper_than_its_limit),
    cmocka_unit_test(json_that_does_not_fit_leaves_the_buffer_as_it_was),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
