/* links: json */
/* The scanner steps over what jansson takes, and over nothing else but what its header says. */
#include "mangle.h"

#include <stdlib.h>

#include "json/json.h"
#include "json/scan.h"

static const char *const taken[] = {
  "{}", "[]", " { } ", "[ 1 , -2,0 , -0, 1.5e+3, 9223372036854775807 ]", "\"a\"", "null", " -7 ",
  "[{\"CustomerID\":\"C1\",\"TemplateID\":1201,\"CustomerAttributes\":[\"Ada\",null]},{}]",
  "{\"a\":{\"a\":1},\"b\":[[],{\"c\":\"]}\"}],\"\":true,\"d\\\"\":false}", "\r\n\t[[[[{}]]]]\n",
  "[\"\\u0131\\ud83d\\ude00 \\\"\\\\\\/\\b\\f\\n\\r\\t\",\"\xc4\xb1\"]",
};

static bool is_scanned(struct nm_text text)
{
  struct nm_scan scan = nm_scan_over(text);
  struct nm_text raw;
  return nm_text_is_utf8(text) && nm_scan_value(&scan, &raw) && nm_scan_is_end(&scan);
}

/* Members or elements by stepping; -1 where it is neither object nor array, or not JSON. */
static int count_steps(struct nm_text text)
{
  struct nm_scan scan = nm_scan_over(text);
  struct nm_text key, raw;
  bool is_first = true;
  int count = 0;
  enum nm_scan_kind kind = nm_scan_kind(&scan);
  if ((kind != NM_SCAN_OBJECT && kind != NM_SCAN_ARRAY) || !nm_scan_enter(&scan)) return -1;
  while (kind == NM_SCAN_OBJECT ? nm_scan_member(&scan, &is_first, &key)
                                : nm_scan_element(&scan, &is_first)) {
    if (!nm_scan_value(&scan, &raw)) return -1;
    count++;
  }
  return scan.why || !nm_scan_is_end(&scan) ? -1 : count;
}

/* What the scanner leaves to its caller. */
static bool is_callers(const char *why)
{
  static const char *const known[] = { "duplicate object key", "\\u0000", "Unicode", "too big",
                                       "overflow" };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strstr(why, known[i])) return true;
  return false;
}

static void both_agree(struct nm_text text)
{
  json_error_t why;
  json_t *tree = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
  bool is_taken = is_scanned(text);
  if (tree && !is_taken) fail_msg("is not scanned: %.*s", NM_TEXT_ARG(text));
  if (!tree && is_taken && !is_callers(why.text))
    fail_msg("is scanned, and %s: %.*s", why.text, NM_TEXT_ARG(text));
  if (tree && (json_is_object(tree) || json_is_array(tree)) &&
      (size_t)count_steps(text) != json_object_size(tree) + json_array_size(tree))
    fail_msg("has other members: %.*s", NM_TEXT_ARG(text));
  if (!tree && !is_taken && count_steps(text) >= 0 && nm_text_is_utf8(text))
    fail_msg("is stepped through: %.*s", NM_TEXT_ARG(text));
  json_decref(tree);
}

static void steps_over_what_is_json(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
    if (!is_scanned(nm_text_from(taken[i]))) fail_msg("does not take %s", taken[i]);
    both_agree(nm_text_from(taken[i]));
  }
}

static void keeps_the_limit_of_nesting(void **state)
{
  char text[2 * 70 + 1];
  (void)state;
  for (size_t depth = 60; depth <= 70; depth++) {
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    assert_int_equal(is_scanned((struct nm_text){ text, 2 * depth }), depth <= 64);
  }
}

static void agrees_over_mangled_documents(void **state)
{
  (void)state;
  mangle(taken, sizeof taken / sizeof *taken, 11u, both_agree);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(steps_over_what_is_json),
    cmocka_unit_test(keeps_the_limit_of_nesting),
    cmocka_unit_test(agrees_over_mangled_documents),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
