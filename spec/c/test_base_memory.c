/* links: base */
#include "check.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/problems.h"

static void a_buffer_never_grows_beyond_its_maximum(void **state)
{
  struct nm_buffer buffer;
  (void)state;
  nm_buffer_init(&buffer, 10);
  assert_int_equal(nm_buffer_append(&buffer, "0123456", 7), NM_OK);
  assert_int_equal(nm_buffer_append(&buffer, "789A", 4), NM_ELIMIT);
  assert_text(nm_buffer_text(&buffer), "0123456");
  assert_int_equal(nm_buffer_append(&buffer, "789", 3), NM_OK);
  assert_text(nm_buffer_text(&buffer), "0123456789");
  nm_buffer_deinit(&buffer);
}

static void a_buffer_formats_and_consumes(void **state)
{
  struct nm_buffer buffer;
  (void)state;
  nm_buffer_init(&buffer, 1000);
  assert_int_equal(nm_buffer_appendf(&buffer, "%d-%s", 7, "seven"), NM_OK);
  nm_buffer_consume(&buffer, 2);
  assert_text(nm_buffer_text(&buffer), "seven");
  nm_buffer_consume(&buffer, 5);
  assert_int_equal(buffer.len, 0);
  nm_buffer_deinit(&buffer);
}

static void an_arena_refuses_above_its_maximum_and_starts_again(void **state)
{
  struct nm_arena *arena = nm_arena_create(10000);
  (void)state;
  assert_non_null(nm_arena_alloc(arena, 6000));
  assert_null(nm_arena_alloc(arena, 6000));
  assert_null(nm_arena_alloc(arena, SIZE_MAX - 3));
  nm_arena_reset(arena);
  char *bytes = nm_arena_alloc(arena, 6000);
  assert_non_null(bytes);
  for (int i = 0; i < 6000; i++) assert_int_equal(bytes[i], 0);
  nm_arena_destroy(arena);
}

static void an_arena_copies_with_a_nul_behind(void **state)
{
  struct nm_arena *arena = nm_arena_create(10000);
  (void)state;
  struct nm_text copy = nm_arena_copy(arena, NM_TEXT("abc"));
  assert_text(copy, "abc");
  assert_int_equal(copy.ptr[3], 0);
  assert_text(nm_arena_printf(arena, "%s-%d", "x", 12), "x-12");
  nm_arena_destroy(arena);
}

static void arena_memory_is_aligned(void **state)
{
  struct nm_arena *arena = nm_arena_create(100000);
  (void)state;
  for (size_t len = 1; len < 100; len++)
    assert_int_equal((uintptr_t)nm_arena_alloc(arena, len) % _Alignof(max_align_t), 0);
  nm_arena_destroy(arena);
}

static void an_arena_remembers_that_it_refused(void **state)
{
  struct nm_arena *arena = nm_arena_create(100);
  (void)state;
  assert_non_null(nm_arena_alloc(arena, 60));
  assert_false(nm_arena_has_refused(arena));
  assert_null(nm_arena_alloc(arena, 60));
  assert_non_null(nm_arena_alloc(arena, 1));
  assert_true(nm_arena_has_refused(arena));
  nm_arena_reset(arena);
  assert_false(nm_arena_has_refused(arena));
  nm_arena_destroy(arena);
}

static void no_arena_is_one_that_holds_nothing(void **state)
{
  (void)state;
  assert_null(nm_arena_alloc(NULL, 1));
  assert_null(nm_arena_copy(NULL, NM_TEXT("a")).ptr);
  assert_true(nm_arena_has_refused(NULL));
  nm_arena_reset(NULL);
  nm_arena_destroy(NULL);
}

/* A start that failed for want of memory once ended without a word, for the word wanted some too. */
static void a_problem_that_cannot_be_kept_is_said_all_the_same(void **state)
{
  (void)state;
  struct nm_problems without = { .arena = NULL };
  nm_problems_add(&without, "rules/acme.lua: no message named %s", "welcome");
  nm_problems_add_trace(&without, NM_TEXT("a trace"));
  assert_non_null(without.first);
  assert_text(without.first->text, "out of memory: not all that is wrong is said");
  assert_int_equal(without.first->trace.len, 0);

  struct nm_problems little = { .arena = nm_arena_create(2 * sizeof(struct nm_problem) + 40) };
  for (int i = 0; i < 3; i++) nm_problems_add(&little, "line %d", i);
  nm_problems_add_trace(&little, NM_TEXT("a trace"));
  assert_int_equal(little.count, 3);
  assert_text(little.first->text, "line 0");
  assert_text(little.last->text, "out of memory: not all that is wrong is said");
  assert_null(little.last->next);
  nm_arena_destroy(little.arena);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_buffer_never_grows_beyond_its_maximum),
    cmocka_unit_test(a_buffer_formats_and_consumes),
    cmocka_unit_test(an_arena_refuses_above_its_maximum_and_starts_again),
    cmocka_unit_test(an_arena_copies_with_a_nul_behind),
    cmocka_unit_test(arena_memory_is_aligned),
    cmocka_unit_test(an_arena_remembers_that_it_refused),
    cmocka_unit_test(no_arena_is_one_that_holds_nothing),
    cmocka_unit_test(a_problem_that_cannot_be_kept_is_said_all_the_same),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
