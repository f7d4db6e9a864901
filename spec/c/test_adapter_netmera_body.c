/* links: adapters */
#include <stdio.h>
#include <stdlib.h>

#include "adapters/internal.h"
#include "check.h"

enum { NOW_MS = 1000000 };

static const char *unfit[NM_NETMERA_BATCH_MAX];
static struct nm_netmera_body body;

static int begin(void **state)
{
  (void)state;
  body = (struct nm_netmera_body){ .unfit = unfit };
  nm_buffer_init(&body.json, NM_NETMERA_BODY_MAX_BYTES);
  return 0;
}

static int end(void **state)
{
  (void)state;
  nm_buffer_deinit(&body.json);
  return 0;
}

static struct nm_message message(const char *customer, const char *content)
{
  return (struct nm_message){ .customer = nm_text_from(customer),
                              .content = nm_text_from(content) };
}

static void assert_written(const struct nm_message *messages, size_t count, const char *expected)
{
  const struct nm_message *pointers[16];
  json_t *got = NULL, *wanted = NULL;
  struct nm_error err;
  for (size_t i = 0; i < count; i++) pointers[i] = &messages[i];
  body.json.len = 0;
  assert_int_equal(nm_netmera_write(&body, pointers, count, NOW_MS), NM_OK);
  assert_int_equal(nm_json_parse_any(&got, nm_buffer_text(&body.json), &err), NM_OK);
  assert_int_equal(nm_json_parse_any(&wanted, nm_text_from(expected), &err), NM_OK);
  if (!json_equal(got, wanted))
    fail_msg("got %.*s, expected %s", NM_TEXT_ARG(nm_buffer_text(&body.json)), expected);
  json_decref(got);
  json_decref(wanted);
}

static void one_message_is_one_object_with_one_id(void **state)
{
  (void)state;
  struct nm_message one = message(
      "u1",
      "{\"notification_key\":\"106\",\"params\":{\"name\":\"Ada\"},\"title\":\"not Netmera's\"}");
  assert_written(
      &one, 1,
      "{\"notificationKey\":\"106\",\"message\":{\"params\":{\"name\":\"Ada\"}},\"target\":{\"extId\":\"u1\"}}");
  assert_int_equal(body.included, 1);
  assert_int_equal(body.groups, 1);
}

static void the_notification_key_is_always_text(void **state)
{
  (void)state;
  struct nm_message one = message("u1", "{\"notification_key\":97}");
  assert_written(&one, 1, "{\"notificationKey\":\"97\",\"target\":{\"extId\":\"u1\"}}");
}

static void those_who_get_the_same_share_an_object(void **state)
{
  (void)state;
  struct nm_message three[] = {
    message("u1", "{\"notification_key\":\"1\",\"params\":{\"a\":\"1\",\"b\":\"2\"}}"),
    message("u2",
            "{ \"params\":{\"a\":\"1\",\"b\":\"2\"}, \"x\":[{}], \"notification_key\":\"1\" }"),
    message("u3", "{\"notification_key\":\"1\",\"params\":{\"a\":\"1\",\"b\":\"2\"}}")
  };
  assert_written(three, 3,
                 "{\"notificationKey\":\"1\",\"message\":{\"params\":{\"a\":\"1\",\"b\":\"2\"}},"
                 "\"target\":{\"extId\":[\"u1\",\"u2\",\"u3\"]}}");
}

static void what_differs_stands_in_objects_of_its_own(void **state)
{
  (void)state;
  struct nm_message four[] = {
    message("u1", "{\"notification_key\":\"1\",\"params\":{\"a\":\"x\"}}"),
    message("u2", "{\"notification_key\":\"1\",\"params\":{\"a\":\"y\"}}"),
    message("u3", "{\"notification_key\":\"2\",\"params\":{\"a\":\"x\"}}"),
    message("u4", "{\"notification_key\":\"1\",\"params\":{\"a\":\"x\"}}")
  };
  assert_written(
      four, 4,
      "[{\"notificationKey\":\"1\",\"message\":{\"params\":{\"a\":\"x\"}},\"target\":{\"extId\":[\"u1\",\"u4\"]}},"
      "{\"notificationKey\":\"1\",\"message\":{\"params\":{\"a\":\"y\"}},\"target\":{\"extId\":\"u2\"}},"
      "{\"notificationKey\":\"2\",\"message\":{\"params\":{\"a\":\"x\"}},\"target\":{\"extId\":\"u3\"}}]");
  assert_int_equal(body.groups, 3);
}

static void the_same_twice_to_one_person_is_two_objects(void **state)
{
  (void)state;
  struct nm_message four[] = { message("u1", "{\"notification_key\":\"1\"}"),
                               message("u1", "{\"notification_key\":\"1\"}"),
                               message("u2", "{\"notification_key\":\"1\"}"),
                               message("u1", "{\"notification_key\":\"1\"}") };
  assert_written(four, 4, "[{\"notificationKey\":\"1\",\"target\":{\"extId\":[\"u1\",\"u2\"]}},"
                          "{\"notificationKey\":\"1\",\"target\":{\"extId\":\"u1\"}},"
                          "{\"notificationKey\":\"1\",\"target\":{\"extId\":\"u1\"}}]");
}

static void an_address_overrides_the_customer(void **state)
{
  (void)state;
  struct nm_message one = message("u1", "{\"notification_key\":\"1\"}");
  one.address = NM_TEXT("someone-else");
  assert_written(&one, 1, "{\"notificationKey\":\"1\",\"target\":{\"extId\":\"someone-else\"}}");
}

static void ids_are_written_as_json(void **state)
{
  (void)state;
  struct nm_message two[] = { message("a\"b\\c\n", "{\"notification_key\":\"1\"}"),
                              message("\xC3\xA7", "{\"notification_key\":\"1\"}") };
  assert_written(
      two, 2,
      "{\"notificationKey\":\"1\",\"target\":{\"extId\":[\"a\\\"b\\\\c\\n\",\"\xC3\xA7\"]}}");
}

static void time_to_live_is_rounded_down_and_divides_groups(void **state)
{
  (void)state;
  static const struct {
    int64_t left_ms;
    const char *ttl;
  } cases[] = { { -5, "1m" },
                { 0, "1m" },
                { 59999, "1m" },
                { 60000, "1m" },
                { 119999, "1m" },
                { 120000, "2m" },
                { 21599999, "359m" },
                { 86399999, "1439m" },
                { 86400000, "24h" },
                { 172800000, "48h" },
                { INT64_C(2592000000), "30d" },
                { INT64_C(31536000000), "365d" } };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char expected[200];
    struct nm_message two[] = { message("u1", "{\"notification_key\":\"1\"}"),
                                message("u2", "{\"notification_key\":\"1\"}") };
    two[0].expires_at_ms = NOW_MS + cases[i].left_ms;
    snprintf(
        expected, sizeof expected,
        "[{\"notificationKey\":\"1\",\"message\":{\"ttl\":\"%s\"},\"target\":{\"extId\":\"u1\"}},"
        "{\"notificationKey\":\"1\",\"target\":{\"extId\":\"u2\"}}]",
        cases[i].ttl);
    assert_written(two, 2, expected);
  }
}

static void what_is_unfit_is_left_out_with_its_reason(void **state)
{
  (void)state;
  static const struct {
    const char *customer, *content, *why;
  } cases[] = { { "u", "{}", "has no notification_key" },
                { "u", "{\"notification_key\":\"\"}", "has no notification_key" },
                { "u", "{\"notification_key\":\"  \"}", "has no notification_key" },
                { "u", "{\"notification_key\":1.5}", "has no notification_key" },
                { "u", "{\"notification_key\":\"1\",\"params\":[1]}", "its params are no object" },
                { "u", "{\"notification_key\":\"1\",\"params\":\"x\"}",
                  "its params are no object" },
                { "u", "[]", "its content is no JSON object" },
                { "u", "{\"notification_key\":\"1\"} x", "its content is no JSON object" },
                { "u", "{\"notification_key\":\"1\",\"a\":}", "its content is no JSON object" },
                { "u", "{\"notification_key\":\"1\",\"notification_key\":\"2\"}",
                  "its content is no JSON object" },
                { "u", "{\"notification_key\":\"\xFF\"}", "its content is no JSON object" },
                { "u", "", "its content is no JSON object" },
                { "", "{\"notification_key\":\"1\"}", "has no external id to go to" },
                { "\xFF", "{\"notification_key\":\"1\"}", "its external id is not UTF-8" } };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct nm_message three[] = { message("u1", "{\"notification_key\":\"1\"}"),
                                  message(cases[i].customer, cases[i].content),
                                  message("u2", "{\"notification_key\":\"1\",\"params\":[]}") };
    assert_string_equal(nm_adapter_netmera.unfit(&three[1]), cases[i].why);
    assert_null(nm_adapter_netmera.unfit(&three[2]));
    assert_written(three, 3, "{\"notificationKey\":\"1\",\"target\":{\"extId\":[\"u1\",\"u2\"]}}");
    assert_int_equal(body.included, 2);
    assert_null(body.unfit[0]);
    assert_string_equal(body.unfit[1], cases[i].why);
  }
}

static void a_thousand_recipients_fit_one_request(void **state)
{
  (void)state;
  static struct nm_message messages[NM_NETMERA_BATCH_MAX];
  static const struct nm_message *pointers[NM_NETMERA_BATCH_MAX];
  static char ids[NM_NETMERA_BATCH_MAX][16];
  struct nm_error err;
  json_t *got = NULL;
  for (int i = 0; i < NM_NETMERA_BATCH_MAX; i++) {
    snprintf(ids[i], sizeof ids[i], "customer-%d", i);
    messages[i] =
        message(ids[i], i % 2 ? "{\"notification_key\":\"1\"}" : "{\"notification_key\":\"2\"}");
    pointers[i] = &messages[i];
  }
  assert_int_equal(nm_netmera_write(&body, pointers, NM_NETMERA_BATCH_MAX, NOW_MS), NM_OK);
  assert_int_equal(nm_json_parse_any(&got, nm_buffer_text(&body.json), &err), NM_OK);
  assert_int_equal(json_array_size(got), 2);
  for (size_t g = 0; g < 2; g++) {
    const json_t *list =
        json_object_get(json_object_get(json_array_get(got, g), "target"), "extId");
    assert_int_equal(json_array_size(list), 500);
    assert_string_equal(json_string_value(json_array_get(list, 499)),
                        g == 0 ? "customer-998" : "customer-999");
  }
  json_decref(got);
}

static void a_thousand_who_each_get_their_own_are_a_thousand_objects(void **state)
{
  (void)state;
  static struct nm_message messages[NM_NETMERA_BATCH_MAX];
  static const struct nm_message *pointers[NM_NETMERA_BATCH_MAX];
  static char contents[NM_NETMERA_BATCH_MAX][64];
  for (int i = 0; i < NM_NETMERA_BATCH_MAX; i++) {
    snprintf(contents[i], sizeof contents[i], "{\"notification_key\":\"1\",\"params\":{\"n\":%d}}",
             i);
    messages[i] = message("u1", contents[i]);
    pointers[i] = &messages[i];
  }
  assert_int_equal(nm_netmera_write(&body, pointers, NM_NETMERA_BATCH_MAX, NOW_MS), NM_OK);
  assert_int_equal(body.groups, NM_NETMERA_BATCH_MAX);
}

static void says_when_a_request_would_be_too_large(void **state)
{
  (void)state;
  struct nm_message one = message("u1", "{\"notification_key\":\"1\"}");
  const struct nm_message *pointer = &one;
  nm_buffer_deinit(&body.json);
  nm_buffer_init(&body.json, 20);
  assert_int_equal(nm_netmera_write(&body, &pointer, 1, NOW_MS), NM_ELIMIT);
}

static void a_name_is_found_only_where_it_stands_alone(void **state)
{
  (void)state;
  static const struct {
    const char *error, *recipient;
    bool is_named;
  } cases[] = {
    { "User or external id not found: u7", "u7", true },
    { "User or external id not found: u7, u8", "u8", true },
    { "User or external id not found: u77, u7", "u7", true },
    { "User or external id not found: u77", "u7", false },
    { "User or external id not found: xu7", "u7", false },
    { "User or external id not found: u7-b", "u7", false },
    { "User or external id not found: \"u7\"", "u7", true },
    { "[u7] unknown", "u7", true },
    { "unknown: u7.", "u7", true },
    { "unknown: u7.b", "u7", false },
    { "unknown: a.u7", "u7", false },
    { "unknown: u7@example.com", "u7", false },
    { "unknown: u7@example.com", "u7@example.com", true },
    { "User or external id not found", "id", false },
    { "User or external id not found: bob", "bob", false },
    { "User or external id not found", "u7", false },
    { "", "u7", false },
    { "u7", "", false },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    if (nm_netmera_names(nm_text_from(cases[i].error), nm_text_from(cases[i].recipient)) !=
        cases[i].is_named)
      fail_msg("\"%s\" in \"%s\"", cases[i].recipient, cases[i].error);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
  const struct CMUnitTest tests[] = {
    TEST(one_message_is_one_object_with_one_id),
    TEST(the_notification_key_is_always_text),
    TEST(those_who_get_the_same_share_an_object),
    TEST(what_differs_stands_in_objects_of_its_own),
    TEST(the_same_twice_to_one_person_is_two_objects),
    TEST(an_address_overrides_the_customer),
    TEST(ids_are_written_as_json),
    TEST(time_to_live_is_rounded_down_and_divides_groups),
    TEST(what_is_unfit_is_left_out_with_its_reason),
    TEST(a_thousand_recipients_fit_one_request),
    TEST(a_thousand_who_each_get_their_own_are_a_thousand_objects),
    TEST(says_when_a_request_would_be_too_large),
    TEST(a_name_is_found_only_where_it_stands_alone),
  };
  return cmocka_run_group_tests_name("netmera request bodies", tests, NULL, NULL);
}
