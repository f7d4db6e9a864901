/* links: model */
#include <stdlib.h>

#include "base/limits.h"
#include "model/inbound.h"
#include "check.h"

static struct nm_arena *arena;

static int open_arena(void **state)
{
  (void)state;
  arena = nm_arena_create(4 * 1024 * 1024);
  return arena ? 0 : -1;
}

static int close_arena(void **state)
{
  (void)state;
  nm_arena_destroy(arena);
  return 0;
}

static struct nm_event event_of(struct nm_inbound inbound, struct nm_text *identity)
{
  struct nm_event event;
  struct nm_text own;
  int64_t window_ms;
  struct nm_error err = { 0, "" };
  if (inbound.name.len == 0) inbound.name = NM_TEXT("survey");
  if (inbound.method.len == 0) inbound.method = NM_TEXT("POST");
  int rc = nm_inbound_event(arena, &inbound, &event, identity ? identity : &own, &window_ms, &err);
  if (rc) fail_msg("%s", err.text);
  assert_int_equal(event.kind, NM_EVENT_INBOUND);
  assert_int_equal(window_ms, NM_EVENT_DEDUP_WINDOW_MS);
  return event;
}

/* What rules see of it, as compact JSON with sorted keys. */
static void shows(struct nm_inbound inbound, const char *wanted)
{
  struct nm_event event = event_of(inbound, NULL);
  struct nm_error err = { 0, "" };
  json_t *table;
  if (nm_inbound_for_rules(&event, &table, &err)) fail_msg("%s", err.text);
  char *text = json_dumps(table, JSON_COMPACT | JSON_SORT_KEYS);
  assert_string_equal(text, wanted);
  free(text);
  json_decref(table);
}

static void json_is_shown_as_a_table(void **state)
{
  (void)state;
  shows(
      (struct nm_inbound){ .content_type = NM_TEXT("application/json"),
                           .body = NM_TEXT("{\"user\":{\"id\":9007199254740993}}") },
      "{\"form\":{},\"json\":{\"user\":{\"id\":9007199254740993}},\"method\":\"POST\","
      "\"name\":\"survey\",\"query\":{},\"text\":\"{\\\"user\\\":{\\\"id\\\":9007199254740993}}\","
      "\"type\":\"INBOUND\"}");
  shows((struct nm_inbound){ .content_type = NM_TEXT("application/cloudevents+json"),
                             .body = NM_TEXT("[1,2]") },
        "{\"form\":{},\"json\":[1,2],\"method\":\"POST\",\"name\":\"survey\",\"query\":{},"
        "\"text\":\"[1,2]\",\"type\":\"INBOUND\"}");
}

static void a_form_and_a_query_are_shown_decoded(void **state)
{
  (void)state;
  shows((struct nm_inbound){ .content_type = NM_TEXT("application/x-www-form-urlencoded"),
                             .query = NM_TEXT("a=1&a=2&b&c=x%20y+z&=lost&&%"),
                             .body = NM_TEXT("text=g%C3%BCnayd%C4%B1n&old=g%FCn&bad=%zz%4") },
        "{\"form\":{\"bad\":\"%zz%4\",\"old\":\"g\xC3\xBCn\",\"text\":\"g\xC3\xBCnayd\xC4\xB1n\"},"
        "\"method\":\"POST\",\"name\":\"survey\","
        "\"query\":{\"%\":\"\",\"a\":\"1\",\"b\":\"\",\"c\":\"x y z\"},"
        "\"text\":\"text=g%C3%BCnayd%C4%B1n&old=g%FCn&bad=%zz%4\",\"type\":\"INBOUND\"}");
}

static void a_plain_text_and_nothing_at_all_are_fine_too(void **state)
{
  (void)state;
  shows((struct nm_inbound){ .content_type = NM_TEXT("text/plain"), .body = NM_TEXT("{} hello") },
        "{\"form\":{},\"method\":\"POST\",\"name\":\"survey\",\"query\":{},\"text\":\"{} hello\","
        "\"type\":\"INBOUND\"}");
  shows((struct nm_inbound){ .method = NM_TEXT("GET") },
        "{\"form\":{},\"method\":\"GET\",\"name\":\"survey\",\"query\":{},\"text\":\"\","
        "\"type\":\"INBOUND\"}");
}

static void refused(const char *type, struct nm_text body, const char *wanted)
{
  struct nm_inbound inbound = { .name = NM_TEXT("survey"), .method = NM_TEXT("POST"),
                                .content_type = nm_text_from(type), .body = body };
  struct nm_event event;
  struct nm_text identity;
  int64_t window_ms;
  struct nm_error err = { 0, "" };
  assert_int_equal(nm_inbound_event(arena, &inbound, &event, &identity, &window_ms, &err),
                   NM_EINVAL);
  assert_non_null(strstr(err.text, wanted));
}

static void what_says_it_is_json_must_be(void **state)
{
  (void)state;
  refused("application/json", NM_TEXT("{\"a\":"), "JSON");
  refused("text/json", NM_TEXT("{'a':1}"), "JSON");
  refused("text/plain", NM_TEXT("\xFF\xFE"), "UTF-8");
  refused("text/plain", (struct nm_text){ "a\0b", 3 }, "UTF-8");
}

static void the_same_request_is_known_again_whatever_its_headers(void **state)
{
  (void)state;
  struct nm_text one, other;
  json_t *headers = json_pack("{s:s}", "date", "today");
  struct nm_inbound inbound = { .query = NM_TEXT("a=1"), .body = NM_TEXT("x") };
  (void)event_of(inbound, &one);
  inbound.headers = headers;
  (void)event_of(inbound, &other);
  assert_true(nm_text_equal(one, other));
  inbound.query = NM_TEXT("a=1x");
  inbound.body = NM_TEXT("");
  (void)event_of(inbound, &other);
  assert_false(nm_text_equal(one, other));
  inbound = (struct nm_inbound){ .name = NM_TEXT("other"), .query = NM_TEXT("a=1"),
                                 .body = NM_TEXT("x") };
  (void)event_of(inbound, &other);
  assert_false(nm_text_equal(one, other));
  json_decref(headers);
}

static void what_rules_make_is_read_as_the_front_door_reads(void **state)
{
  (void)state;
  struct nm_event event;
  struct nm_error err = { 0, "" };
  assert_int_equal(
      nm_inbound_read(arena, NM_TEXT("{\"name\":\"PAID\",\"extId\":42}"), &event, &err), 0);
  assert_int_equal(event.kind, NM_EVENT_HOOK);
  assert_string_equal(event.customer.ptr, "42");
  assert_int_equal(
      nm_inbound_read(arena, NM_TEXT("{\"customerid\":42,\"name\":\"Ada\"}"), &event, &err), 0);
  assert_int_equal(event.kind, NM_EVENT_CAMPAIGN);
  assert_int_equal(event.type, NM_EVENT_TYPE_SINGLE);
  assert_int_equal(nm_inbound_read(arena, NM_TEXT("{\"extId\":42}"), &event, &err), NM_EINVAL);
  assert_non_null(strstr(err.text, "name is missing"));
  assert_int_equal(nm_inbound_read(arena, NM_TEXT("{\"EventTypeID\":\"x\"}"), &event, &err),
                   NM_EINVAL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(json_is_shown_as_a_table),
    cmocka_unit_test(a_form_and_a_query_are_shown_decoded),
    cmocka_unit_test(a_plain_text_and_nothing_at_all_are_fine_too),
    cmocka_unit_test(what_says_it_is_json_must_be),
    cmocka_unit_test(the_same_request_is_known_again_whatever_its_headers),
    cmocka_unit_test(what_rules_make_is_read_as_the_front_door_reads),
  };
  return cmocka_run_group_tests(tests, open_arena, close_arena);
}
