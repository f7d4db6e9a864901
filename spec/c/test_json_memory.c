/* links: model, wraps: malloc calloc realloc */
/* Whichever allocation fails: what was sent rightly is never called wrong. */
#include "want_of_memory.h"

#include <sodium.h>

#include "json/json.h"
#include "model/inbound.h"

static bool is_tests_own(void)
{
  return false;
}

static const char *const documents[] = {
  "{\"EventTypeID\":11,\"CustomerID\":\"C\\u0131\",\"attributes\":{\"a\":1.5,\"b\":[true,null]}}",
  "[[],{},\"\",-1,0.25,1e3,{\"k\":{\"k\":\"a longer text, so that buffers have to grow for it\"}}]",
  "\"a text\"",
};

enum { FAILS_MAX = 200 };

static void a_document_is_read_whole_or_memory_was_wanted(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
    json_t *wanted = NULL, *value = NULL;
    struct nm_error err;
    bool has_failed = true;
    assert_int_equal(nm_json_parse_any(&wanted, nm_text_from(documents[i]), &err), NM_OK);
    for (long after = 0; has_failed; after++) {
      for (int for_ever = 0; for_ever < 2; for_ever++) {
        memory_fail(MEMORY_ALL, after, for_ever);
        int rc = nm_json_parse_any(&value, nm_text_from(documents[i]), &err);
        has_failed = memory_mend();
        assert_true(after < FAILS_MAX);
        assert_true(rc == NM_OK || rc == NM_ENOMEM);
        if (rc) continue;
        assert_true(json_equal(wanted, value));
        json_decref(value);
      }
    }
    json_decref(wanted);
  }
}

static void a_text_is_no_wrong_one_for_want_of_memory(void **state)
{
  (void)state;
  bool has_failed = true;
  for (long after = 0; has_failed; after++) {
    json_t *object = json_object();
    memory_fail(MEMORY_ALL, after, false);
    int rc = nm_json_set_text(object, "key", NM_TEXT("text"));
    has_failed = memory_mend();
    assert_int_equal(rc, has_failed ? NM_ENOMEM : NM_OK);
    assert_int_equal(nm_json_set_text(object, "key", NM_TEXT("\xff")), NM_EINVAL);
    json_decref(object);
  }
}

static void what_could_not_be_written_for_want_of_memory_is_not_too_large(void **state)
{
  (void)state;
  json_t *value = json_pack("{s:{s:s}}", "a", "b", "c");
  bool has_failed = true;
  for (long after = 0; has_failed; after++) {
    struct nm_buffer out;
    nm_buffer_init(&out, 1024);
    memory_fail(MEMORY_ALL, after, false);
    int rc = nm_json_write(&out, value);
    has_failed = memory_mend();
    assert_int_equal(rc, has_failed ? NM_ENOMEM : NM_OK);
    nm_buffer_deinit(&out);
  }
  struct nm_buffer small;
  nm_buffer_init(&small, 4);
  assert_int_equal(nm_json_write(&small, value), NM_ELIMIT);
  nm_buffer_deinit(&small);
  json_decref(value);
}

static void an_event_is_read_or_memory_was_wanted(void **state)
{
  struct nm_text body = NM_TEXT("{\"EventTypeID\":\"11\",\"CampaignID\":7,\"ChannelID\":459,"
                                "\"CustomerID\":\"C1\",\"TimeStamp\":\"2026-01-01 10:00:00\","
                                "\"PromoCode\":[\"a\"]}");
  bool has_failed = true;
  (void)state;
  for (long after = 0; has_failed; after++) {
    struct nm_arena *arena = nm_arena_create(1024 * 1024);
    struct nm_event event;
    struct nm_error err;
    const char *field;
    memory_fail(MEMORY_ALL, after, after % 2);
    int rc = nm_event_read_campaign(arena, body, 0, &event, &field, &err);
    has_failed = memory_mend();
    assert_true(rc == NM_OK || rc == NM_ENOMEM);
    if (!rc) assert_text(event.campaign, "7");
    nm_arena_destroy(arena);
  }
}

static void a_webhooks_request_is_kept_whole_or_memory_was_wanted(void **state)
{
  struct nm_text wanted = { NULL, 0 };
  struct nm_arena *kept = nm_arena_create(1024 * 1024);
  bool has_failed = true;
  (void)state;
  for (long after = -1; has_failed; after++) {
    struct nm_arena *arena = nm_arena_create(1024 * 1024);
    json_t *headers = json_pack("{s:s}", "x-shop", "one");
    const struct nm_inbound inbound = { .name = NM_TEXT("shop"), .method = NM_TEXT("POST"),
                                        .query = NM_TEXT("a=1"),
                                        .content_type = NM_TEXT("application/json"),
                                        .body = NM_TEXT("{\"order\":[1,2]}"), .headers = headers };
    struct nm_event event;
    struct nm_text identity;
    int64_t window_ms;
    struct nm_error err;
    if (after >= 0) memory_fail(MEMORY_ALL, after, after % 2);
    int rc = nm_inbound_event(arena, &inbound, &event, &identity, &window_ms, &err);
    has_failed = memory_mend() || after < 0;
    assert_true(rc == NM_OK || (rc == NM_ENOMEM && after >= 0));
    if (after < 0) wanted = nm_arena_copy(kept, event.body);
    else if (!rc) assert_true(nm_text_equal(event.body, wanted));
    json_decref(headers);
    nm_arena_destroy(arena);
  }
  nm_arena_destroy(kept);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_document_is_read_whole_or_memory_was_wanted),
    cmocka_unit_test(a_text_is_no_wrong_one_for_want_of_memory),
    cmocka_unit_test(what_could_not_be_written_for_want_of_memory_is_not_too_large),
    cmocka_unit_test(an_event_is_read_or_memory_was_wanted),
    cmocka_unit_test(a_webhooks_request_is_kept_whole_or_memory_was_wanted),
  };
  if (sodium_init() < 0) return 1;
  wrap_jansson();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
