/* links: engine */
/* Walking over stored pages, and who came already. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/rows.h"
#include "engine/seen.h"
#include "json/json.h"

/* ---- rows ------------------------------------------------------------------------------------ */

static void rows_are_what_the_parser_sees(void **state)
{
  static const char body[] =
      " [ {\"a\":\"],}{[\\\"\",\"b\":[1,{\"c\":2}]} ,\n{\"x\":1},\"te,xt]\",12 , null,"
      "[1,[2]],{\"u\":\"\\u0022\\\\\"} ]  ";
  struct nm_rows rows;
  struct nm_text row;
  json_t *whole = NULL;
  size_t count = 0;
  (void)state;
  assert_int_equal(nm_json_parse_any(&whole, nm_text_from(body), NULL), NM_OK);
  assert_int_equal(nm_rows_open(&rows, nm_text_from(body)), NM_OK);
  while (nm_rows_next(&rows, &row)) {
    json_t *one = NULL;
    assert_int_equal(nm_json_parse_any(&one, row, NULL), NM_OK);
    assert_true(json_equal(one, json_array_get(whole, count)));
    json_decref(one);
    assert_int_equal(rows.number, ++count);
  }
  assert_int_equal(count, json_array_size(whole));
  assert_false(nm_rows_next(&rows, &row));
  json_decref(whole);
}

static void rows_can_be_skipped_to_a_cursor(void **state)
{
  struct nm_rows rows;
  struct nm_text row;
  (void)state;
  assert_int_equal(nm_rows_open(&rows, NM_TEXT("[10,11,12,13]")), NM_OK);
  assert_true(nm_rows_skip_to(&rows, 2));
  assert_true(nm_rows_next(&rows, &row));
  assert_text(row, "12");
  assert_true(nm_rows_skip_to(&rows, 4));
  assert_false(nm_rows_skip_to(&rows, 5));
}

static void what_is_broken_off_ends_the_walk_within_its_bytes(void **state)
{
  static const char body[] = "[{\"a\":\"b\\\"c\"},[1,2,{\"d\":\"\\\\\"}],\"e\"]";
  (void)state;
  for (size_t len = 0; len < sizeof body; len++) {
    char *exact = malloc(len ? len : 1); /* the sanitizer sees any byte too many */
    memcpy(exact, body, len);
    struct nm_rows rows;
    struct nm_text row;
    if (nm_rows_open(&rows, (struct nm_text){ exact, len }) == NM_OK)
      while (nm_rows_next(&rows, &row)) assert_true(row.ptr + row.len <= exact + len);
    free(exact);
  }
}

static void only_an_array_is_a_page(void **state)
{
  struct nm_rows rows;
  struct nm_text row;
  (void)state;
  assert_int_equal(nm_rows_open(&rows, NM_TEXT("")), NM_EINVAL);
  assert_int_equal(nm_rows_open(&rows, NM_TEXT("{}")), NM_EINVAL);
  assert_int_equal(nm_rows_open(&rows, NM_TEXT(" [ ] ")), NM_OK);
  assert_false(nm_rows_next(&rows, &row));
}

/* ---- who came already ------------------------------------------------------------------------ */

static void a_customer_and_a_template_are_seen_once(void **state)
{
  struct nm_seen seen;
  bool was_there;
  (void)state;
  nm_seen_init(&seen);
  assert_int_equal(nm_seen_add(&seen, NM_TEXT("42"), 1, &was_there), NM_OK);
  assert_false(was_there);
  assert_int_equal(nm_seen_add(&seen, NM_TEXT("42"), 1, &was_there), NM_OK);
  assert_true(was_there);
  assert_int_equal(nm_seen_add(&seen, NM_TEXT("42"), 2, &was_there), NM_OK);
  assert_false(was_there);
  assert_int_equal(nm_seen_add(&seen, NM_TEXT("421"), 0, &was_there), NM_OK);
  assert_false(was_there);
  assert_int_equal(seen.count, 3);
  nm_seen_deinit(&seen);
}

static void two_hundred_thousand_people_are_each_new_once(void **state)
{
  struct nm_seen seen;
  char customer[32];
  bool was_there;
  (void)state;
  nm_seen_init(&seen);
  for (int round = 0; round < 2; round++)
    for (int i = 0; i < 200000; i++) {
      int len = snprintf(customer, sizeof customer, "C%d", i);
      assert_int_equal(nm_seen_add(&seen, (struct nm_text){ customer, (size_t)len }, 7, &was_there),
                       NM_OK);
      if (was_there != (round == 1)) fail_msg("%s in round %d", customer, round);
    }
  assert_int_equal(seen.count, 200000);
  assert_true(seen.capacity * sizeof seen.slots[0] <= 4 * 1024 * 1024);
  nm_seen_deinit(&seen);
}

/* The set grows a few places at a time: who came before is known all the while. */
static void people_are_known_while_the_set_grows(void **state)
{
  struct nm_seen seen;
  char customer[32];
  bool was_there;
  (void)state;
  nm_seen_init(&seen);
  for (int i = 0; i < 50000; i++) {
    const int who[] = { i, i / 2, i };
    for (int j = 0; j < 3; j++) {
      int len = snprintf(customer, sizeof customer, "C%d", who[j]);
      assert_int_equal(nm_seen_add(&seen, (struct nm_text){ customer, (size_t)len }, 7, &was_there),
                       NM_OK);
      if (was_there != (j > 0)) fail_msg("%s after %d", customer, i);
    }
  }
  assert_int_equal(seen.count, 50000);
  nm_seen_deinit(&seen);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(rows_are_what_the_parser_sees),
    cmocka_unit_test(rows_can_be_skipped_to_a_cursor),
    cmocka_unit_test(what_is_broken_off_ends_the_walk_within_its_bytes),
    cmocka_unit_test(only_an_array_is_a_page),
    cmocka_unit_test(a_customer_and_a_template_are_seen_once),
    cmocka_unit_test(two_hundred_thousand_people_are_each_new_once),
    cmocka_unit_test(people_are_known_while_the_set_grows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
