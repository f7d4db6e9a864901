/* links: engine */
/* order = "recipient": whose turn it is. */
#include "check.h"

#include "engine/turns.h"

struct leased {
  struct nm_message message;
  struct nm_item item;
};

static struct leased leased(int64_t id, const char *customer, int64_t due_at_ms)
{
  return (struct leased){ .message = { .id = id, .customer = nm_text_from(customer),
                                       .due_at_ms = due_at_ms } };
}

static enum nm_turns_word ask(struct nm_turns *turns, struct leased *who, int64_t *due_at_ms)
{
  who->item.message = &who->message;
  return nm_turns_ask(turns, &who->item, due_at_ms);
}

static void one_of_a_person_is_out_and_the_others_follow_by_id(void **state)
{
  struct nm_turns turns = { 0 };
  struct leased first = leased(1, "C1", 5), third = leased(3, "C1", 5), second = leased(2, "C1", 7),
                other = leased(4, "C2", 5);
  int64_t due = 0;
  (void)state;
  assert_int_equal(ask(&turns, &first, &due), NM_TURNS_GO);
  assert_int_equal(ask(&turns, &third, &due), NM_TURNS_STAYS);
  assert_int_equal(ask(&turns, &second, &due), NM_TURNS_STAYS);
  assert_int_equal(ask(&turns, &other, &due), NM_TURNS_GO);
  assert_int_equal(turns.behind, 2);
  assert_null(nm_turns_end(&turns, &third.message)); /* it was not out */
  assert_ptr_equal(nm_turns_end(&turns, &first.message), &second.item);
  assert_ptr_equal(nm_turns_end(&turns, &second.message), &third.item);
  assert_null(nm_turns_end(&turns, &third.message));
  assert_null(nm_turns_end(&turns, &other.message));
  assert_int_equal(turns.count, 0);
  nm_turns_clear(&turns);
}

static void a_retry_sends_those_behind_it_to_its_own_hour(void **state)
{
  struct nm_turns turns = { 0 };
  struct leased first = leased(1, "C1", 5), second = leased(2, "C1", 5), third = leased(3, "C1", 9);
  int64_t due = 0;
  (void)state;
  ask(&turns, &first, &due);
  ask(&turns, &second, &due);
  struct nm_items behind = nm_turns_defer(&turns, &first.message, 1000);
  assert_int_equal(behind.count, 1);
  assert_ptr_equal(behind.first, &second.item);
  assert_null(nm_turns_end(&turns, &first.message)); /* it comes again: nobody is next */
  assert_int_equal(ask(&turns, &third, &due), NM_TURNS_LATER);
  assert_int_equal(due, 1000);
  /* The hour has come, and the store gives them by id. */
  first.message.due_at_ms = second.message.due_at_ms = third.message.due_at_ms = 1000;
  assert_int_equal(ask(&turns, &first, &due), NM_TURNS_GO);
  assert_int_equal(ask(&turns, &second, &due), NM_TURNS_STAYS);
  assert_int_equal(ask(&turns, &third, &due), NM_TURNS_STAYS);
  nm_turns_clear(&turns);
}

static void one_that_was_stopped_while_it_waited_blocks_nobody_for_ever(void **state)
{
  struct nm_turns turns = { 0 };
  struct leased first = leased(1, "C1", 5), second = leased(2, "C1", 1000);
  int64_t due = 0;
  (void)state;
  ask(&turns, &first, &due);
  nm_turns_defer(&turns, &first.message, 1000);
  assert_int_equal(ask(&turns, &second, &due), NM_TURNS_GO);
  assert_null(nm_turns_end(&turns, &second.message));
  assert_int_equal(turns.count, 0);
  nm_turns_clear(&turns);
}

static void what_was_tried_before_a_restart_goes_first(void **state)
{
  struct nm_turns turns = { 0 };
  struct leased first = leased(1, "C1", 1000), second = leased(2, "C1", 900);
  int64_t due = 0;
  (void)state;
  nm_turns_tried(&turns, nm_turns_person(NM_TEXT("C1"), NM_TEXT("")), 1, 1000);
  assert_int_equal(ask(&turns, &second, &due), NM_TURNS_LATER);
  assert_int_equal(due, 1000);
  assert_int_equal(ask(&turns, &first, &due), NM_TURNS_GO);
  nm_turns_clear(&turns);
}

static bool is_odd(void *data, const struct nm_message *message)
{
  (void)data;
  return message->id % 2 == 1;
}

static void a_fence_takes_those_that_stand_behind_others_too(void **state)
{
  struct nm_turns turns = { 0 };
  struct nm_items out = { NULL, NULL, 0 };
  struct leased of_one[] = { leased(2, "C1", 1), leased(3, "C1", 1), leased(4, "C1", 1) };
  int64_t due = 0;
  (void)state;
  for (size_t i = 0; i < 3; i++) ask(&turns, &of_one[i], &due);
  nm_turns_sift(&turns, &out, is_odd, NULL);
  assert_int_equal(out.count, 1);
  assert_ptr_equal(out.first, &of_one[1].item);
  assert_int_equal(turns.behind, 1);
  assert_ptr_equal(nm_turns_end(&turns, &of_one[0].message), &of_one[2].item);
  nm_turns_clear(&turns);
}

static void many_persons_are_told_apart(void **state)
{
  enum { MANY = 5000 };
  static struct leased all[MANY];
  static char names[MANY][16];
  struct nm_turns turns = { 0 };
  int64_t due = 0;
  (void)state;
  for (int i = 0; i < MANY; i++) {
    snprintf(names[i], sizeof names[i], "C%d", i);
    all[i] = leased(i + 1, names[i], 1);
    assert_int_equal(ask(&turns, &all[i], &due), NM_TURNS_GO);
  }
  assert_int_equal(turns.count, MANY);
  for (int i = 0; i < MANY; i++) assert_null(nm_turns_end(&turns, &all[i].message));
  assert_int_equal(turns.count, 0);
  nm_turns_clear(&turns);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(one_of_a_person_is_out_and_the_others_follow_by_id),
    cmocka_unit_test(a_retry_sends_those_behind_it_to_its_own_hour),
    cmocka_unit_test(one_that_was_stopped_while_it_waited_blocks_nobody_for_ever),
    cmocka_unit_test(what_was_tried_before_a_restart_goes_first),
    cmocka_unit_test(a_fence_takes_those_that_stand_behind_others_too),
    cmocka_unit_test(many_persons_are_told_apart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
