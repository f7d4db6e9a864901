/* links: json */
/* The quick reader takes nothing that jansson refuses, and makes of what it takes the same tree. */
#include "mangle.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "json/read.h"

static bool is_short;

static const char *const taken[] = {
  "{}",
  "[]",
  " { } ",
  "[ 1 , -2,0 , -0, 9223372036854775807, -9223372036854775808 ]",
  "{\"EventTypeID\":11,\"CustomerID\":\"C1\",\"attributes\":{\"first_name\":\"Ada\"},\"x\":[true,false,null]}",
  "[\"\\u0131\\u0049\\ud83d\\ude00 \\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
  "[\"\xc4\xb1\xf0\x9f\x98\x80\x7f\"]",
  "{\"a\":{\"a\":1},\"A\":2,\"\":3}",
  "\r\n\t[[[[{}]]]]\n",
  "[1.5,-0.25,0.1,1e3,1E+3,-2.5e-3,0e0,1.7976931348623157e308,123456789012345678901234567890.0]",
};

static const char *const refused[] = {
  "",
  " ",
  "{",
  "[",
  "]",
  "{]",
  "[1,]",
  "[,]",
  "{,}",
  "{\"a\"}",
  "{\"a\":}",
  "{\"a\":1,}",
  "{a:1}",
  "{'a':1}",
  "[01]",
  "[-]",
  "[+1]",
  "[--1]",
  "[1 2]",
  "[1]x",
  "[1][2]",
  "[tru]",
  "[trueish]",
  "[nul]",
  "[NaN]",
  "[\"a]",
  "[\"\\x\"]",
  "[\"\\u12\"]",
  "[\"\\u000\"]",
  "[\"\\u0000\"]",
  "[\"\\ud800\"]",
  "[\"\\udc00\"]",
  "[\"\\ud800\\u0041\"]",
  "[\"\\ud800\\udbff\"]",
  "[\"\x1f\"]",
  "[\"\n\"]",
  "[\"\x80\"]",
  "[\"\xc0\xaf\"]",
  "[\"\xed\xa0\x80\"]",
  "[\"\xf5\x80\x80\x80\"]",
  "[\"\\\"]",
  "{\"a\":1,\"a\":2}",
  "{\"a\":1,\"\\u0061\":2}",
  "[9223372036854775808]",
  "[-9223372036854775809]",
  "[1e400]",
  "[1.]",
  "[.5]",
  "[1e]",
  "[1e+]",
  "[1.5.5]",
  "[01.5]",
  "1",
  "\"a\"",
  "null",
  "/**/[]",
  "\xef\xbb\xbf[]",
};

static json_t *by_jansson(struct nm_text text)
{
  json_error_t why;
  return json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &why);
}

static void both_agree(struct nm_text text)
{
  json_t *quick = nm_json_read(text, false, &is_short);
  json_t *theirs = by_jansson(text);
  bool is_same = !quick || (theirs && json_equal(quick, theirs));
  if (!is_same) fail_msg("they differ over: %.*s", NM_TEXT_ARG(text));
  json_decref(quick);
  json_decref(theirs);
}

static void takes_what_is_json(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
    json_t *quick = nm_json_read(nm_text_from(taken[i]), false, &is_short);
    if (!quick) fail_msg("does not take %s", taken[i]);
    json_decref(quick);
    both_agree(nm_text_from(taken[i]));
  }
}

static void refuses_what_is_not(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    json_t *value = NULL;
    json_t *quick = nm_json_read(nm_text_from(refused[i]), false, &is_short);
    if (quick) fail_msg("takes %s", refused[i]);
    assert_int_equal(nm_json_parse(&value, nm_text_from(refused[i]), NULL), NM_EINVAL);
    assert_null(value);
  }
}

static void leaves_numbers_out_of_the_ordinary_to_jansson(void **state)
{
  (void)state;
  json_t *value = NULL;
  struct nm_text text = NM_TEXT("[1e-320,"
                                "1.00000000000000000000000000000000000000000000000000000000000000"
                                "001]");
  assert_null(nm_json_read(text, false, &is_short));
  assert_false(is_short);
  assert_int_equal(nm_json_parse(&value, text, NULL), NM_OK);
  assert_true(json_real_value(json_array_get(value, 1)) > 0.9);
  json_decref(value);
}

static void keeps_the_limit_of_nesting(void **state)
{
  (void)state;
  char text[2 * NM_JSON_DEPTH_MAX + 4];
  json_t *value = NULL;
  for (int depth = NM_JSON_DEPTH_MAX; depth <= NM_JSON_DEPTH_MAX + 1; depth++) {
    size_t len = 0;
    for (int i = 0; i < depth; i++) text[len++] = '[';
    text[len++] = '1';
    for (int i = 0; i < depth; i++) text[len++] = ']';
    int rc = nm_json_parse(&value, (struct nm_text){ text, len }, NULL);
    assert_int_equal(rc, depth > NM_JSON_DEPTH_MAX ? NM_ELIMIT : NM_OK);
  }
  json_decref(value);
}

/* Bytes changed, taken out, doubled, swapped between documents: whatever comes of it. */
static void agrees_over_mangled_documents(void **state)
{
  (void)state;
  mangle(taken, sizeof taken / sizeof *taken, 7u, both_agree);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(takes_what_is_json),
    cmocka_unit_test(refuses_what_is_not),
    cmocka_unit_test(leaves_numbers_out_of_the_ordinary_to_jansson),
    cmocka_unit_test(keeps_the_limit_of_nesting),
    cmocka_unit_test(agrees_over_mangled_documents),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
