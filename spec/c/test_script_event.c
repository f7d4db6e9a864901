/* links: script
 *
 * The short way from an event's bytes into Lua shows rules the same as the long one; and what the
 * tape takes of JSON, the strict reader takes, too, and sees the same. */
#include <stdio.h>
#include <stdlib.h>

#include "json/tape.h"
#include "script/internal.h"
#include "check.h"

static struct nm_state state;
static struct nm_arena *arena;

struct show_call {
  const json_t *json;
  const struct nm_event *event;
  const struct nm_json_tape *tape;
  struct nm_value out;
};

static int show_protected(lua_State *L)
{
  struct show_call *call = lua_touserdata(L, 1);
  if (call->tape)
    nm_push_event(L, call->event, call->tape);
  else
    nm_push_json(L, call->json);
  nm_read_value(L, 2, arena, &call->out);
  return 0;
}

static struct nm_text show(struct show_call call)
{
  static const struct nm_budget budget = { 0, 1000 };
  struct nm_error err;
  struct nm_text text = NM_TEXT("");
  if (nm_state_call(&state, show_protected, &call, &budget, NULL, NULL, &err))
    fail_msg("%s", err.text);
  if (nm_value_json_text(&call.out, arena, &text, &err))
    fail_msg("%s", err.text);
  return text;
}

/* 1 where the short way was taken. */
static int compare(const struct nm_event *event)
{
  struct nm_json_tape tape;
  struct nm_error err;
  json_t *json = NULL;
  if (!nm_event_tape_read(&tape, event, arena))
    return 0;
  if (nm_event_for_rules(event, &json, &err))
    fail_msg("%.*s: %s", NM_TEXT_ARG(event->body), err.text);
  struct nm_text wanted = show((struct show_call){ .json = json });
  struct nm_text got = show((struct show_call){ .event = event, .tape = &tape });
  if (!nm_text_equal(wanted, got))
    fail_msg("%.*s\nlong  %s\nshort %s", NM_TEXT_ARG(event->body), wanted.ptr, got.ptr);
  json_decref(json);
  return 1;
}

static int compare_campaign(struct nm_text body, int64_t type_hint)
{
  struct nm_event event;
  struct nm_error err;
  const char *field;
  if (nm_event_read_campaign(arena, body, type_hint, &event, &field, &err))
    return 0;
  return compare(&event);
}

static int compare_hook(struct nm_text body)
{
  struct nm_event event;
  struct nm_error err;
  const char *field;
  json_t *json = NULL;
  int taken = 0;
  if (nm_json_parse(&json, body, &err))
    return 0;
  if (!nm_event_read_hook(arena, json, &event, &field, &err))
    taken = compare(&event);
  json_decref(json);
  return taken;
}

static const char *const campaigns[] = {
  "{\"EventTypeID\":11,\"CampaignID\":7,\"ChannelID\":459,\"TemplateID\":1201,\"CustomerID\":"
  "\"C1\","
  "\"TimeStamp\":\"2030-01-01 10:00:00\",\"attributes\":{\"first_name\":\"Ada\"}}",
  "{\"EventTypeID\":\"11\",\"CampaignID\":\"7\",\"ChannelID\":\"459\",\"TemplateID\":\"1201\","
  "\"CustomerID\":5}",
  "{\"EventTypeID\":13,\"CampaignID\":7,\"ChannelID\":4,\"x\":null,\"Notes\":null,\"attributes\":"
  "null}",
  " { \"EventTypeID\" : 11 , \"CustomerID\" : \"a\\u0041\\ud83d\\ude00\" , \"n\":\"\\n\\t\", "
  "\"deep\" : [ [ ] , { } , [ 1 , -2.5e3 , true , false , null ] ] } ",
  "{\"EventTypeID\":11,\"CustomerID\":\"\xC3\xA7\",\"ActionID\":49,\"Notes\":\"n\","
  "\"ScheduleTime\":\"t\"}",
  "{\"EventTypeID\":11,\"CustomerID\":\"c\",\"Attributes2\":1,\"attribute\":2,\"aTTRIBUTE_\":3,"
  "\"\":4}",
  "{\"CustomerID\":\"c\",\"big\":9223372036854775807,\"small\":-999999999999999999,\"zero\":-0,"
  "\"r\":0.1}",
};

static const char *const long_ways[] = {
  "{\"EventTypeID\":11,\"customerid\":\"c\"}",
  "{\"EventTypeID\":11,\"CustomerID\":\"c\",\"PromoCode\":\"a,b\"}",
  "{\"EventTypeID\":11,\"CustomerID\":\"c\",\"ScheduledTime\":\"x\"}",
  "{\"EventTypeID\":11,\"CustomerID\":\"c\",\"ActionID\":\"49\"}",
  "{\"EventTypeID\":11,\"CustomerID\":\"c\",\"attRibutes\":{\"a\":1}}",
};

static const char *const hooks[] = {
  "{\"type\":\"EVENT\",\"name\":\"PURCHASE\",\"extId\":\"42\",\"attributes\":{\"total\":1.5}}",
  "{\"type\":\"PROFILE\",\"extId\":\"42\",\"changes\":{\"a\":1,\"b\":null}}",
  "{\"type\":\"MESSAGE_LOG\",\"id\":\"x\",\"attributes\":null}",
};

static void common_events_take_the_short_way_and_look_the_same(void **unused)
{
  (void)unused;
  for (size_t i = 0; i < sizeof campaigns / sizeof *campaigns; i++) {
    if (i == 6) { /* a number of 19 digits is left to the strict reader */
      assert_int_equal(compare_campaign(nm_text_from(campaigns[i]), 0), 0);
      continue;
    }
    if (!compare_campaign(nm_text_from(campaigns[i]), 0))
      fail_msg("%s: the long way", campaigns[i]);
  }
  assert_true(compare_campaign(NM_TEXT("{\"CustomerID\":\"c\"}"), 11));
  for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++)
    if (!compare_hook(nm_text_from(hooks[i])))
      fail_msg("%s: the long way", hooks[i]);
  for (size_t i = 0; i < sizeof long_ways / sizeof *long_ways; i++)
    if (compare_campaign(nm_text_from(long_ways[i]), 0))
      fail_msg("%s: the short way", long_ways[i]);
}

/* Every sample with each byte replaced by each of some, and cut at each place. */
static void one_mistake_away_they_look_the_same_too(void **unused)
{
  (void)unused;
  static const char others[] = "\"\\{}[],:0-.eE\x01\x80 atnull";
  size_t taken = 0;
  for (size_t i = 0; i < sizeof campaigns / sizeof *campaigns; i++) {
    char copy[512];
    size_t len = strlen(campaigns[i]);
    for (size_t at = 0; at < len; at++) {
      for (size_t o = 0; o < sizeof others - 1; o++) {
        memcpy(copy, campaigns[i], len + 1);
        copy[at] = others[o];
        nm_arena_reset(arena);
        taken += (size_t)compare_campaign((struct nm_text){ copy, len }, 0);
        taken += (size_t)compare_hook((struct nm_text){ copy, len });
      }
      nm_arena_reset(arena);
      (void)compare_campaign((struct nm_text){ campaigns[i], at }, 0);
    }
  }
  assert_true(taken > 1000);
}

/* ---- the tape by itself ---------------------------------------------------------------------- */

static bool takes(const char *text)
{
  struct nm_json_tape tape;
  struct nm_error err;
  json_t *json = NULL;
  bool is_taken = nm_json_tape_read(&tape, nm_text_from(text), arena);
  if (!is_taken)
    return false;
  if (nm_json_parse(&json, nm_text_from(text), &err))
    fail_msg("%s: %s", text, err.text);
  json_decref(json);
  return true;
}

static void the_tape_takes_no_more_than_the_strict_reader(void **unused)
{
  (void)unused;
  static const char *const wrong[] = {
    "",
    "[]",
    "1",
    "{",
    "}",
    "{}{}",
    "{} x",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{,}",
    "{\"a\" 1}",
    "{a:1}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":{\"b\":1,\"b\":1}}",
    "{\"a\":01}",
    "{\"a\":-}",
    "{\"a\":1.}",
    "{\"a\":.5}",
    "{\"a\":1e}",
    "{\"a\":1e400}",
    "{\"a\":+1}",
    "{\"a\":NaN}",
    "{\"a\":tru}",
    "{\"a\":nul}",
    "{\"a\":\"\x01\"}",
    "{\"a\":\"\\x\"}",
    "{\"a\":\"\\u00\"}",
    "{\"a\":\"\\u0000\"}",
    "{\"a\":\"\\ud800\"}",
    "{\"a\":\"\\udc00\"}",
    "{\"a\":\"\\ud800\\u0041\"}",
    "{\"a\":\"\\",
    "{\"a\":\"\\\"",
    "{\"a\":\"\xff\"}",
    "{\"a\":\"\xed\xa0\x80\"}",
    "{\"a\":[1 2]}",
    "{\"a\":[1,]}",
    "{\"a\":[}",
    "{\"a\":12345678901234567890}",
    "\xef\xbb\xbf{}",
    "{\"a\":'b'}",
    "{\"\\u0061\":1,\"a\":2}",
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    if (takes(wrong[i]))
      fail_msg("takes %s", wrong[i]);
  assert_true(takes("{}") && takes("\t{ }\r\n") && takes("{\"\\u0061\":\"\\/\\b\"}"));
}

static void the_tape_holds_many_keys_and_many_nodes(void **unused)
{
  (void)unused;
  static char text[64 * 1024];
  size_t len = 0;
  len += (size_t)snprintf(text + len, sizeof text - len, "{\"list\":[");
  for (int i = 0; i < 3000; i++)
    len += (size_t)snprintf(text + len, sizeof text - len, "%d,", i);
  len += (size_t)snprintf(text + len, sizeof text - len, "0]");
  for (int i = 0; i < 500; i++)
    len += (size_t)snprintf(text + len, sizeof text - len, ",\"k%d\":{}", i);
  snprintf(text + len, sizeof text - len, "}");
  assert_true(takes(text));
  snprintf(text + len, sizeof text - len, ",\"k7\":1}");
  assert_false(takes(text));
}

static void nesting_has_the_same_limit(void **unused)
{
  (void)unused;
  for (int depth = 60; depth < 70; depth++) {
    char text[256] = "{\"a\":";
    struct nm_error err;
    json_t *json = NULL;
    size_t at = 5;
    for (int i = 1; i < depth; i++)
      text[at++] = (char)91;
    for (int i = 1; i < depth; i++)
      text[at++] = (char)93;
    text[at++] = (char)125;
    text[at] = 0;
    bool is_good = nm_json_parse(&json, nm_text_from(text), &err) == NM_OK;
    json_decref(json);
    if (takes(text) != is_good)
      fail_msg("depth %d", depth);
  }
}

static int begin(void **unused)
{
  struct nm_error err;
  (void)unused;
  arena = nm_arena_create(64 << 20);
  return arena && !nm_state_open(&state, NM_STATE_RULES, 8 << 20, &err) ? 0 : -1;
}

static int end(void **unused)
{
  (void)unused;
  nm_state_close(&state);
  nm_arena_destroy(arena);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(common_events_take_the_short_way_and_look_the_same),
    cmocka_unit_test(one_mistake_away_they_look_the_same_too),
    cmocka_unit_test(the_tape_takes_no_more_than_the_strict_reader),
    cmocka_unit_test(the_tape_holds_many_keys_and_many_nodes),
    cmocka_unit_test(nesting_has_the_same_limit),
  };
  return cmocka_run_group_tests(tests, begin, end);
}
