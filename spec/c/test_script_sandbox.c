/* links: script
 *
 * What hostile rules try: each is stopped in time, and the state then works as before, with its
 * memory back. */
#include <stdio.h>

#include "base/clock.h"
#include "script/internal.h"
#include "script_kit.h"
#include "arena_kit.h"

static const struct nm_script_context context = {
    .now_ms = 1000000000000, .year = 2026, .month = 11, .day = 23, .minute = 720, .weekday = 1,
  };

/* Rules with `body` as the entry of event 1; event 2 is harmless. */
static struct nm_script *load(const char *top, const char *body)
{
  char source[4096];
  struct nm_script *script = NULL;
  struct nm_value found;
  struct nm_error err;
  snprintf(source, sizeof source,
           "%s return tenant { name = \"a\", events = { [1] = function(event) %s end,"
           " [2] = function() return drop(\"fine\") end } }", top, body);
  int rc = kit_load(&script, NM_TEXT("r.lua"), nm_text_from(source), arena, &found, &err);
  if (rc == NM_EINVAL)
    fail_msg("%s: %s", source, nm_value_text(&found.table.entries[0].value, "text").ptr);
  if (rc != NM_OK) fail_msg("%s: %s", source, err.text);
  return script;
}

static int evaluate(struct nm_script *script, const char *json, struct nm_value *effects,
                    struct nm_error *err)
{
  json_t *event;
  struct nm_value trace;
  assert_int_equal(nm_json_parse(&event, nm_text_from(json), err), NM_OK);
  int rc = nm_script_evaluate(script, event, &context, arena, effects, &trace, err);
  json_decref(event);
  return rc;
}

static void is_fine(struct nm_script *script)
{
  struct nm_value effects;
  struct nm_error err;
  if (evaluate(script, "{\"EventTypeID\":2}", &effects, &err) != NM_OK) fail_msg("%s", err.text);
  assert_string_equal(nm_value_text(&effects.table.entries[0].value, "reason").ptr, "fine");
}

/* Runs it twice; `code` 0: any failure will do. */
static void stops(const char *top, const char *body, int code)
{
  struct nm_script *script = load(top, body);
  struct nm_value effects;
  struct nm_error err;
  is_fine(script);
  size_t before = nm_script_memory(script, true);
  for (int i = 0; i < 2; i++) {
    int64_t began = nm_clock_thread_cpu_ns();
    int rc = evaluate(script, "{\"EventTypeID\":1}", &effects, &err);
    int64_t took_ms = (nm_clock_thread_cpu_ns() - began) / 1000000;
    if (rc == NM_OK || (code != 0 && rc != code)) fail_msg("%s: %d %s", body, rc, err.text);
    /* 20 ms and what one C function may take, generously, under sanitizers. */
    if (took_ms > 1000) fail_msg("%s: took %d ms", body, (int)took_ms);
    is_fine(script);
  }
  size_t after = nm_script_memory(script, true);
  if (after > before + 4096) fail_msg("%s: %zu bytes grew to %zu", body, before, after);
  nm_script_destroy(script);
}

static void endless_loops(void **state)
{
  (void)state;
  stops("", "while true do end", NM_ELIMIT);
  stops("", "repeat until false", NM_ELIMIT);
  stops("", "::again:: goto again", NM_ELIMIT);
  stops("", "for i = 1, 1e18 do end", NM_ELIMIT);
  stops("local function f() return f() end", "return f()", NM_ELIMIT);
  stops("", "local t = {} t[1] = 1 while next(t) do end", NM_ELIMIT);
}

static void endless_memory(void **state)
{
  (void)state;
  stops("", "local t = {} for i = 1, 1e9 do t[i] = { t } end", NM_ELIMIT);
  stops("", "local s = (\"x\"):rep(60000) while true do s = s .. s end", NM_ELIMIT);
  stops("", "local t = {} for i = 1, 1e9 do t[#t + 1] = (\"x\"):rep(60000) .. i end", NM_ELIMIT);
  stops("", "return (\"x\"):rep(1e9)", 0);
  stops("", "return (\"x\"):rep(-1 >> 1)", 0);
  stops("", "return (\"xx\"):rep(1 << 62)", 0);
}

static void deep_recursion(void **state)
{
  (void)state;
  stops("local function f(n) return 1 + f(n + 1) end", "return f(1)", 0);
  stops("", "local t = {} for i = 1, 300 do t = { t } end return t", 0);
  stops("", "local function f() return tostring(f()) .. \"x\" end return f()", 0);
}

static void loops_inside_c_functions(void **state)
{
  (void)state;
  /* Places that Lua looks at to guess how many there are: it finds 2^62. */
  char sparse[1024] = "local t = { 1, 2, 3, 4, [5] = 1";
  for (int i = 3; i < 63; i++) {
    size_t len = strlen(sparse);
    snprintf(sparse + len, sizeof sparse - len, ", [1<<%d] = 1", i);
  }
  snprintf(sparse + strlen(sparse), sizeof sparse - strlen(sparse),
           " } if #t < 1 << 62 then error(\"short\") end");
  stops(sparse, "table.insert(t, 1, 0)", 0);
  stops(sparse, "table.remove(t, 1)", 0);
  stops(sparse, "table.sort(t)", 0);
  stops(sparse, "return table.concat(t)", 0);
  stops(sparse, "return table.unpack(t)", 0);
  stops("", "return table.unpack({}, 1, 1e7)", 0);
  stops("", "return table.concat({}, \"x\", 1, 1e15)", 0);
  stops("",
        "local t = {} for i = 1, 2000 do t[i] = i end table.sort(t, function() while true do end "
        "end)",
        NM_ELIMIT);
  stops("", "(\"\"):rep(1e15) while true do end", NM_ELIMIT);
  stops("local t = {} for i = 1, 60000 do t[i] = 1 end",
        "while true do table.insert(t, 1, 0) table.remove(t, 1) end", NM_ELIMIT);
}

static void results_without_end(void **state)
{
  (void)state;
  stops("", "local t = {} for i = 1, 40 do t = { t, t } end return t", 0);
  stops("", "local t = {} t[1] = t return t", 0);
  stops("", "return { effect = \"drop\", reason = \"x\", more = function() end }", 0);
  stops("", "return { effect = \"update\", customer = \"1\", attributes = { A = 0/0 } }", 0);
}

static void what_is_not_there_cannot_be_reached(void **state)
{
  (void)state;
  static const char *const wanted[] = {
    "load",      "loadstring",  "dofile",      "require",     "getmetatable",   "setmetatable",
    "rawset",    "rawget",      "rawlen",      "pcall",       "xpcall",         "coroutine",
    "io",        "os",          "debug",       "package",     "collectgarbage", "_G",
    "_ENV.load", "string.dump", "string.find", "string.gsub", "math.random",    "print",
    "warn",      "utf8",
  };
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    char source[256];
    struct nm_script *script = NULL;
    struct nm_value found;
    struct nm_error err;
    snprintf(source, sizeof source, "local x = %s return tenant { name = \"a\" }", wanted[i]);
    int rc = kit_load(&script, NM_TEXT("r.lua"), nm_text_from(source), arena, &found, &err);
    if (rc != NM_EINVAL) fail_msg("%s is there", wanted[i]);
  }
  stops("", "return (\"x\"):find(\"x\")", NM_EINVAL);
  stops("", "return (\"x\").gsub", NM_EINVAL);
}

static void long_texts_of_an_event_cannot_hold_a_thread(void **state)
{
  (void)state;
  struct nm_script *script = load("local v = from(\"attributes.v\"):as(\"number\")",
                                  "return drop(tostring(v(event)))");
  struct nm_value effects, trace;
  struct nm_error err;
  char digits[60001];
  memset(digits, '1', sizeof digits - 1);
  digits[sizeof digits - 1] = 'x';
  json_t *event = json_pack("{s:i,s:{s:s%}}", "EventTypeID", 1, "attributes", "v", digits,
                            sizeof digits);
  assert_non_null(event);
  int64_t began = nm_clock_thread_cpu_ns();
  (void)!nm_script_evaluate(script, event, &context, arena, &effects, &trace, &err);
  assert_true(nm_clock_thread_cpu_ns() - began < INT64_C(1000000000));
  is_fine(script);
  json_decref(event);
  nm_script_destroy(script);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(endless_loops),
    cmocka_unit_test(endless_memory),
    cmocka_unit_test(deep_recursion),
    cmocka_unit_test(loops_inside_c_functions),
    cmocka_unit_test(results_without_end),
    cmocka_unit_test(what_is_not_there_cannot_be_reached),
    cmocka_unit_test(long_texts_of_an_event_cannot_hold_a_thread),
  };
  return cmocka_run_group_tests(tests, arena_begin, arena_end);
}
