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

static void a_strangers_text_becomes_part_of_a_line(void **state)
{
  static const struct {
    const char *text;
    size_t max;
    const char *line;
  } rows[] = {
    { "plain", 99, "plain" },
    { "{\"\xFF\xFE html", 99, "{\"?? html" },
    { "two\r\nlines\t\x1B[2J\x7F", 99, "two  lines  [2J " },
    { "ba\xC5\x9Fka", 99, "ba\xC5\x9Fka" },
    { "ge\xC3\xA7", 5, "ge\xC3\xA7" }, /* just fits */
    { "ge\xC3\xA7", 4, "ge" },         /* half a character is none */
    { "cut in \xE2\x82", 99, "cut in ??" },
    { "abc", 3, "ab" },
    { "abc", 1, "" },
    { "", 99, "" },
  };
  char out[99];
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t len = nm_text_put_line(out, rows[i].max, nm_text_from(rows[i].text));
    assert_string_equal(out, rows[i].line);
    assert_int_equal(len, strlen(rows[i].line));
    assert_true(nm_text_is_utf8((struct nm_text){ out, len }));
  }
  assert_int_equal(nm_text_put_line(out, sizeof out, (struct nm_text){ "a\0b", 3 }), 3);
  assert_string_equal(out, "a b");
  assert_int_equal(nm_text_put_line(out, sizeof out, nm_text_from("ge\xC3")), 3);
  assert_int_equal(nm_text_put_line(out, sizeof out, nm_text_from(out)), 3); /* in place */
  assert_string_equal(out, "ge?");
}

static void what_goes_into_a_url_is_escaped(void **state)
{
  struct nm_arena *arena = nm_arena_create(1024);
  struct nm_buffer buffer;
  (void)state;
  assert_text(nm_arena_escape(arena, NM_TEXT("AZaz09-._~")), "AZaz09-._~");
  assert_text(nm_arena_escape(arena, NM_TEXT("a b/c?d=e&f%g+h:i#j\"k")),
              "a%20b%2Fc%3Fd%3De%26f%25g%2Bh%3Ai%23j%22k");
  assert_text(nm_arena_escape(arena, NM_TEXT("\xC3\xA7\xFF")), "%C3%A7%FF");
  assert_text(nm_arena_escape(arena, (struct nm_text){ "\0\n", 2 }), "%00%0A");
  assert_text(nm_arena_escape(arena, (struct nm_text){ NULL, 0 }), "");
  nm_arena_destroy(arena);

  nm_buffer_init(&buffer, 10);
  assert_int_equal(nm_buffer_append_text(&buffer, NM_TEXT("/x?y=")), NM_OK);
  assert_int_equal(nm_buffer_append_escaped(&buffer, NM_TEXT("a b")), NM_OK);
  assert_int_equal(nm_buffer_append_escaped(&buffer, NM_TEXT("    ")), NM_ELIMIT);
  assert_int_equal(nm_buffer_append_escaped(&buffer, (struct nm_text){ NULL, 0 }), NM_OK);
  assert_text(nm_buffer_text(&buffer), "/x?y=a%20b");
  nm_buffer_deinit(&buffer);
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
    cmocka_unit_test(a_strangers_text_becomes_part_of_a_line),
    cmocka_unit_test(what_goes_into_a_url_is_escaped),
    cmocka_unit_test(the_nearest_word_is_near),
    cmocka_unit_test(json_is_strict),
    cmocka_unit_test(json_is_not_nested_deeper_than_its_limit),
    cmocka_unit_test(json_that_does_not_fit_leaves_the_buffer_as_it_was),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
