/* links: script
 *
 * A thread proves one file after the other in one state: each is judged as if it were alone,
 * whatever those before it did. */
#include <pthread.h>

#include "base/limits.h"
#include "script/internal.h"
#include "check.h"

static const char good[] =
    "return tenant { name = \"a\", messages = { m = push { body = \"{n|x}\" } },"
    " channels = { [15] = \"push\" }, templates = { [1] = \"m\" }, events = { [11] = send_template "
    "},"
    " examples = { { given = { EventTypeID = 11, ChannelID = 15, TemplateID = 1, CustomerID = "
    "\"1\" },"
    " gives = { effect = \"send\" } } } }";

static const char *const bad[] = {
  "while true do end",
  "local t = {} while true do t[#t + 1] = { t } end",
  "local function f() return f() .. f() end f()",
  "error({})",
  "error(nil)",
  "x = 1",
  "string.upper = nil",
  "table.insert(string, 1)",
  "math.huge = 1",
  "for k in pairs(messages or {}) do end",
  "return tenant { name = 'a', examples = { { given = { EventTypeID = 5 }, gives = hold('no') } } }",
  "local s = (\"x\"):rep(60000) local t = {} for i = 1, 1e9 do t[i] = s .. i end",
  "tostring = 1",
  "tenant.x = 1",
  "from.x = 1",
  "send_template.run = 1",
  "return 5",
  "]]",
  "\x1bLua",
};

static int prove(const char *source, struct nm_arena *arena, struct nm_text *first,
                 struct nm_error *err)
{
  struct nm_value found = { .kind = NM_VALUE_NIL };
  int rc = nm_script_prove(NM_TEXT("r.lua"), nm_text_from(source), NULL, arena, &found, err);
  *first = NM_TEXT("");
  if (rc == NM_EINVAL)
    *first = nm_value_text(&found.table.entries[0].value, "text");
  return rc;
}

/* In a state that nothing was proven in before. */
static int prove_alone(const char *source, struct nm_arena *arena, struct nm_text *first,
                       struct nm_error *err)
{
  struct nm_value found = { .kind = NM_VALUE_NIL };
  struct nm_script_proof proof = { .file = NM_TEXT("r.lua"), .source = nm_text_from(source),
                                   .arena = arena, .found = &found };
  struct nm_state state;
  int rc = nm_state_open(&state, NM_STATE_RULES, NM_RULES_STATE_MAX_BYTES, err);
  if (rc == NM_OK) rc = nm_script_prove_in(&state, &proof, err);
  nm_state_close(&state);
  *first = NM_TEXT("");
  if (rc || proof.is_proven) return rc;
  *first = nm_value_text(&found.table.entries[0].value, "text");
  return NM_EINVAL;
}

static void each_file_is_judged_as_if_alone(void **unused)
{
  (void)unused;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct nm_arena *arena = nm_arena_create(32 << 20);
    struct nm_error one = { 0, "" }, other = { 0, "" };
    struct nm_text first, alone;
    int rc = prove(bad[i], arena, &first, &one);
    if (rc == NM_OK)
      fail_msg("%s: proven", bad[i]);
    assert_int_equal(rc, prove_alone(bad[i], arena, &alone, &other));
    assert_string_equal(one.text, other.text);
    if (!nm_text_equal(first, alone))
      fail_msg("%s: %s, alone %s", bad[i], first.ptr, alone.ptr);
    if (prove(good, arena, &first, &one))
      fail_msg("after %s: %s %s", bad[i], first.ptr, one.text);
    nm_arena_destroy(arena);
  }
}

static void allocations_that_fail_spoil_no_later_proof(void **unused)
{
  (void)unused;
  for (int64_t left = 0; left < 4000; left += left < 100 ? 1 : 37) {
    struct nm_arena *arena = nm_arena_create(4 << 20);
    struct nm_error err = { 0, "" };
    struct nm_text first;
    nm_state_allocations_left = left;
    int rc = prove(good, arena, &first, &err);
    nm_state_allocations_left = -1;
    assert_true(rc == NM_OK || rc == NM_ENOMEM || rc == NM_ELIMIT || rc == NM_EINVAL);
    if (prove(good, arena, &first, &err))
      fail_msg("after %d: %s %s", (int)left, first.ptr, err.text);
    nm_arena_destroy(arena);
  }
}

static void *prove_some(void *unused)
{
  (void)unused;
  for (int i = 0; i < 100; i++) {
    struct nm_arena *arena = nm_arena_create(4 << 20);
    struct nm_error err;
    struct nm_text first;
    nm_require(prove(good, arena, &first, &err) == NM_OK);
    nm_arena_destroy(arena);
  }
  return NULL;
}

/* LeakSanitizer looks for what an ended thread kept. */
static void each_thread_has_a_state_of_its_own_and_gives_it_back(void **unused)
{
  pthread_t threads[3];
  (void)unused;
  for (int i = 0; i < 3; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, prove_some, NULL), 0);
  for (int i = 0; i < 3; i++)
    assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void what_is_proven_opens_and_serves(void **unused)
{
  static const struct nm_script_context context = {
    .now_ms = 1000000000000, .year = 2026, .month = 11, .day = 23, .minute = 720, .weekday = 1,
  };
  const struct nm_event event = {
    .kind = NM_EVENT_CAMPAIGN,
    .type = 11,
    .channel_id = 15,
    .template_id = 1,
    .customer = NM_TEXT("42"),
    .body = NM_TEXT("{\"CustomerID\":\"42\",\"n\":\"N\"}"),
  };
  const struct nm_script_event subject = { .event = &event };
  struct nm_script *script = NULL;
  struct nm_script_answer answer;
  struct nm_error err;
  struct nm_text first;
  struct nm_arena *arena = nm_arena_create(4 << 20);
  (void)unused;
  assert_int_equal(prove(good, arena, &first, &err), NM_OK);
  assert_int_equal(nm_script_open(&script, NM_TEXT("r.lua"), nm_text_from(good), NULL, arena, &err),
                   NM_OK);
  assert_int_equal(nm_script_serve(script, &subject, &context, arena, &answer, &err), NM_OK);
  assert_true(answer.is_send);
  assert_string_equal(answer.send.content.ptr, "{\"body\":\"N\"}");
  assert_string_equal(answer.send.customer.ptr, "42");
  nm_script_destroy(script);
  nm_arena_destroy(arena);
}

/* Opening a state and loading the library takes many times the allocations of one file. */
static int64_t allocations_of_a_proof(void)
{
  struct nm_arena *arena = nm_arena_create(1024 * 1024);
  struct nm_error err = { 0 };
  struct nm_text first;
  nm_state_allocations_left = INT64_MAX;
  assert_int_equal(prove(good, arena, &first, &err), NM_OK);
  int64_t made = INT64_MAX - nm_state_allocations_left;
  nm_state_allocations_left = -1;
  nm_arena_destroy(arena);
  return made;
}

static void the_state_is_closed_where_no_file_comes_and_opened_for_the_next(void **state)
{
  (void)state;
  (void)allocations_of_a_proof();
  int64_t open = allocations_of_a_proof();
  nm_script_prove_rest(60 * 60 * 1000); /* not that long */
  assert_true(allocations_of_a_proof() < 2 * open);
  nm_script_prove_rest(0);
  nm_script_prove_rest(0); /* there is none any more */
  assert_true(allocations_of_a_proof() > 2 * open);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_file_is_judged_as_if_alone),
    cmocka_unit_test(allocations_that_fail_spoil_no_later_proof),
    cmocka_unit_test(each_thread_has_a_state_of_its_own_and_gives_it_back),
    cmocka_unit_test(what_is_proven_opens_and_serves),
    cmocka_unit_test(the_state_is_closed_where_no_file_comes_and_opened_for_the_next),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
