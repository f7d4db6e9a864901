/* links: model */
/* What rules see of an event, and which events are the same one. */
#include "event_kit.h"

/* ---- what rules see -------------------------------------------------------------------------- */

static void assert_shown(const struct nm_event *event, const char *expected)
{
  json_t *got = NULL, *wanted = NULL;
  assert_int_equal(nm_event_for_rules(event, &got, &err), NM_OK);
  assert_int_equal(nm_json_parse(&wanted, nm_text_from(expected), &err), NM_OK);
  if (!json_equal(got, wanted)) {
    struct nm_text text = nm_json_text(arena, got);
    fail_msg("got %.*s, expected %s", NM_TEXT_ARG(text), expected);
  }
  json_decref(got);
  json_decref(wanted);
}

static void rules_see_optimoves_spelling_whatever_came(void **state)
{
  (void)state;
  static const struct {
    const char *body, *shown;
  } cases[] = {
    { "{\"eventTypeId\":\"13\",\"timeStamp\":\"t\",\"campaignId\":7,\"channelId\":\"459\"}",
      "{\"EventTypeID\":13,\"TimeStamp\":\"t\",\"CampaignID\":\"7\",\"ChannelID\":459,\"attributes\":{}}" },
    { "{\"customerID\":5,\"templateID\":\"9\",\"first_name\":\"Ada\",\"Cart\":{\"Count\":2}}",
      "{\"EventTypeID\":11,\"CustomerID\":\"5\",\"TemplateID\":9,\"first_name\":\"Ada\",\"Cart\":{\"Count\":2},"
      "\"attributes\":{}}" },
    { "{\"customerID\":\"5\",\"promoCode\":\"B1, B2,,B3\",\"notes\":\"{}\",\"actionid\":\"1\"}",
      "{\"EventTypeID\":11,\"CustomerID\":\"5\",\"PromoCode\":[\"B1\",\"B2\",\"B3\"],\"Notes\":\"{}\",\"ActionID\":1,"
      "\"attributes\":{}}" },
    { "{\"customerID\":\"5\",\"PromoCode\":[\"a,b\",7,\"\"],\"scheduledtime\":\"2030-01-01\",\"ActionID\":\"x\"}",
      "{\"EventTypeID\":11,\"CustomerID\":\"5\",\"PromoCode\":[\"a,b\",\"7\"],\"ScheduleTime\":\"2030-01-01\","
      "\"ActionID\":\"x\",\"attributes\":{}}" },
    { "{\"customerID\":\"5\",\"PromoCode\":\"\",\"Attributes\":{\"tier\":\"gold\"},\"TimeStamp\":null}",
      "{\"EventTypeID\":11,\"CustomerID\":\"5\",\"PromoCode\":[],\"attributes\":{\"tier\":\"gold\"}}" },
    { "{\"customerID\":\"5\",\"promocode\":null,\"attributes\":null,\"other\":null}",
      "{\"EventTypeID\":11,\"CustomerID\":\"5\",\"other\":null,\"attributes\":{}}" },
    { "{\"customerID\":\"5\",\"scheduleTime\":\"a\",\"scheduledTime\":\"b\"}",
      "{\"EventTypeID\":11,\"CustomerID\":\"5\",\"ScheduleTime\":\"a\",\"scheduledTime\":\"b\",\"attributes\":{}}" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct nm_event event = read_event(cases[i].body);
    assert_shown(&event, cases[i].shown);
  }
}

static void rules_see_hook_events_as_the_contract_shows_them(void **state)
{
  (void)state;
  static const struct {
    const char *text, *shown;
  } cases[] = {
    { "{\"id\":7,\"type\":\"EVENT\",\"name\":\"PURCHASE\",\"extId\":42,\"more\":1}",
      "{\"id\":\"7\",\"type\":\"EVENT\",\"name\":\"PURCHASE\",\"extId\":\"42\",\"more\":1,\"attributes\":{}}" },
    { "{\"type\":\"PROFILE\",\"extId\":\"u\"}",
      "{\"type\":\"PROFILE\",\"name\":\"PROFILE_ATTRIBUTE_CHANGE\",\"extId\":\"u\",\"attributes\":{},\"changes\":{}}" },
    { "{\"extId\":\"u\",\"changes\":{\"a\":1},\"attributes\":null}",
      "{\"type\":\"PROFILE\",\"name\":\"PROFILE_ATTRIBUTE_CHANGE\",\"extId\":\"u\",\"attributes\":{},"
      "\"changes\":{\"a\":1}}" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct nm_event event = read_hook(cases[i].text);
    assert_shown(&event, cases[i].shown);
  }
}

static void rules_see_no_callbacks(void **state)
{
  (void)state;
  struct nm_event event = { .kind = NM_EVENT_CALLBACK, .body = NM_TEXT("{}") };
  json_t *out = NULL;
  assert_int_equal(nm_event_for_rules(&event, &out, &err), NM_EINVAL);
  assert_null(out);
}

/* ---- identity -------------------------------------------------------------------------------- */

enum { HOURS_48_MS = 48 * 3600 * 1000 };

static void assert_same(const char *a, const char *b, bool same, int64_t window_ms)
{
  int64_t window_a, window_b;
  struct nm_event event_a = read_event(a), event_b = read_event(b);
  struct nm_text id_a = nm_event_identity(arena, &event_a, &window_a);
  struct nm_text id_b = nm_event_identity(arena, &event_b, &window_b);
  if (nm_text_equal(id_a, id_b) != same) fail_msg("%s and %s: %.*s", a, b, NM_TEXT_ARG(id_a));
  assert_int_equal(window_a, window_ms);
}

static void the_same_campaign_event_is_known_again(void **state)
{
  (void)state;
  const char *bulk = "{\"EventTypeID\":13,\"CampaignID\":1,\"ChannelID\":2,\"TimeStamp\":\"t\"}";
  assert_same(bulk, "{\"campaignid\":\"1\",\"channelid\":\"2\",\"timestamp\":\"t\",\"x\":1}", true,
              HOURS_48_MS);
  assert_same(bulk, "{\"EventTypeID\":4,\"CampaignID\":1,\"ChannelID\":2,\"TimeStamp\":\"t\"}",
              false, HOURS_48_MS);
  assert_same(bulk, "{\"EventTypeID\":13,\"CampaignID\":1,\"ChannelID\":2,\"TimeStamp\":\"u\"}",
              false, HOURS_48_MS);
  assert_same(bulk, "{\"EventTypeID\":13,\"CampaignID\":1,\"ChannelID\":2}", false, HOURS_48_MS);
  assert_same(bulk, "{\"EventTypeID\":13,\"CampaignID\":12,\"ChannelID\":2,\"TimeStamp\":\"t\"}",
              false, HOURS_48_MS);
}

static void the_same_single_event_is_known_again(void **state)
{
  (void)state;
  const char *single =
      "{\"CampaignID\":1,\"ChannelID\":2,\"TemplateID\":3,\"CustomerID\":\"c\",\"TimeStamp\":\"t\"}";
  const char *unstamped =
      "{\"CampaignID\":1,\"ChannelID\":2,\"TemplateID\":3,\"CustomerID\":\"c\",\"a\":1}";
  assert_same(single,
              "{\"EventTypeID\":\"11\",\"CampaignID\":\"1\",\"ChannelID\":2,\"TemplateID\":\"3\","
              "\"customerid\":\"c\",\"TimeStamp\":\"t\"}",
              true, HOURS_48_MS);
  assert_same(
      single,
      "{\"CampaignID\":1,\"ChannelID\":2,\"TemplateID\":4,\"CustomerID\":\"c\",\"TimeStamp\":\"t\"}",
      false, HOURS_48_MS);
  assert_same(single, unstamped, false, HOURS_48_MS);
  assert_same(unstamped,
              "{\"CampaignID\":1,\"ChannelID\":2,\"TemplateID\":3,\"CustomerID\":\"c\",\"a\":2}",
              true, 60 * 1000);
}

static void no_two_events_share_an_identity_by_their_separators(void **state)
{
  (void)state;
  assert_same("{\"EventTypeID\":13,\"CampaignID\":\"1|2\",\"TimeStamp\":\"3\"}",
              "{\"EventTypeID\":13,\"CampaignID\":\"1\",\"TimeStamp\":\"2|3\"}", false,
              HOURS_48_MS);
  assert_same("{\"CustomerID\":\"a|1:b\",\"TimeStamp\":\"c\"}",
              "{\"CustomerID\":\"a\",\"TimeStamp\":\"b|1:c\"}", false, HOURS_48_MS);
}

static void other_types_are_known_by_their_bytes(void **state)
{
  (void)state;
  assert_same("{\"EventTypeID\":1,\"CampaignID\":1}", "{\"EventTypeID\":1,\"CampaignID\":1}", true,
              HOURS_48_MS);
  assert_same("{\"EventTypeID\":1,\"CampaignID\":1}", "{\"EventTypeID\":1, \"CampaignID\":1}",
              false, HOURS_48_MS);
}

static void hook_events_are_known_by_their_id_alone(void **state)
{
  (void)state;
  int64_t window;
  struct nm_event a = read_hook("{\"name\":\"A\",\"id\":7}"),
                  b = read_hook("{\"name\":\"B\",\"id\":\"7\"}");
  struct nm_event none = read_hook("{\"name\":\"A\"}");
  assert_true(
      nm_text_equal(nm_event_identity(arena, &a, &window), nm_event_identity(arena, &b, &window)));
  assert_int_equal(window, HOURS_48_MS);
  nm_event_identity(arena, &none, &window);
  assert_int_equal(window, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(rules_see_optimoves_spelling_whatever_came),
    TEST(rules_see_hook_events_as_the_contract_shows_them),
    TEST(rules_see_no_callbacks),
    TEST(the_same_campaign_event_is_known_again),
    TEST(the_same_single_event_is_known_again),
    TEST(no_two_events_share_an_identity_by_their_separators),
    TEST(other_types_are_known_by_their_bytes),
    TEST(hook_events_are_known_by_their_id_alone),
  };
  return cmocka_run_group_tests_name("what is seen, and identity", tests, NULL, NULL);
}
