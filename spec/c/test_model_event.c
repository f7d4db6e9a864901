/* links: model */
#include "event_kit.h"

/* ---- campaign events ------------------------------------------------------------------------- */

static void reads_every_spelling_of_a_bulk_event(void **state)
{
  (void)state;
  static const char *const spellings[] = {
    "{\"EventTypeID\":13,\"TimeStamp\":\"2022-09-19 05:04:54\",\"CampaignID\":38085,\"ChannelID\":506}",
    "{\"eventTypeId\":13,\"timeStamp\":\"2022-09-19 05:04:54\",\"campaignId\":38085,\"channelId\":506}",
    "{\"eventtypeid\":\"13\",\"timestamp\":\"2022-09-19 05:04:54\",\"campaignid\":\"38085\",\"channelid\":\"506\"}",
    "{\"EVENTTYPEID\":13,\"TIMESTAMP\":\"2022-09-19 05:04:54\",\"CAMPAIGNID\":\"38085\",\"CHANNELID\":506}",
    "{\"TimeStamp\":\"2022-09-19 05:04:54\",\"campaignID\":38085,\"channelID\":\"506\"}",
  };
  for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
    struct nm_event event = read_event(spellings[i]);
    assert_int_equal(event.kind, NM_EVENT_CAMPAIGN);
    assert_int_equal(event.type, 13);
    assert_int_equal(event.channel_id, 506);
    assert_int_equal(event.template_id, 0);
    assert_text(event.campaign, "38085");
    assert_text(event.customer, "");
    assert_text(event.stamp, "2022-09-19 05:04:54");
    assert_text(event.body, spellings[i]);
  }
}

static void reads_a_single_event_whose_campaign_is_no_number(void **state)
{
  (void)state;
  struct nm_event event = read_event("{\"campaignID\":\"a1B2c3\",\"channelID\":15,\"templateID\":7,"
                                     "\"customerID\":\"C123\",\"promoCode\":[\"B77\"],"
                                     "\"notes\":\"{\\\"duration\\\":3}\"}");
  assert_int_equal(event.type, 11);
  assert_int_equal(event.template_id, 7);
  assert_text(event.campaign, "a1B2c3");
  assert_text(event.customer, "C123");
}

static void keeps_ids_of_64_bits_exactly(void **state)
{
  (void)state;
  struct nm_event event =
      read_event("{\"EventTypeID\":11,\"CampaignID\":9007199254740993,"
                 "\"CustomerID\":9223372036854775807,\"TemplateID\":\"9223372036854775807\"}");
  assert_text(event.campaign, "9007199254740993");
  assert_text(event.customer, "9223372036854775807");
  assert_true(event.template_id == INT64_MAX);
}

static void infers_the_type_when_the_body_does_not_say(void **state)
{
  (void)state;
  assert_int_equal(read_event("{\"CustomerID\":\"c\"}").type, 11);
  assert_int_equal(read_event("{\"CustomerID\":\"c\",\"CampaignID\":1,\"ChannelID\":2}").type, 11);
  assert_int_equal(read_event("{\"CampaignID\":1,\"ChannelID\":2}").type, 13);
  assert_int_equal(read_event("{\"EventTypeID\":null,\"CampaignID\":1,\"ChannelID\":2}").type, 13);
  assert_refused("{\"CampaignID\":1}", "EventTypeID");
  assert_refused("{\"ChannelID\":1}", "EventTypeID");
  assert_refused("{}", "EventTypeID");
}

static void the_body_beats_what_the_url_says(void **state)
{
  (void)state;
  assert_int_equal(read_hinted("{\"EventTypeID\":13,\"CampaignID\":1}", 4).type, 13);
  assert_int_equal(read_hinted("{\"CampaignID\":1,\"ChannelID\":2}", 4).type, 4);
  assert_int_equal(read_hinted("{\"CampaignID\":1,\"ChannelID\":2}", -1).type, 13);
}

static void takes_a_type_that_nobody_routes(void **state)
{
  (void)state;
  assert_int_equal(read_event("{\"EventTypeID\":99}").type, 99);
}

static void names_the_field_that_is_wrong(void **state)
{
  (void)state;
  static const struct {
    const char *body, *field;
  } cases[] = {
    { "{\"EventTypeID\":13.0,\"CampaignID\":1}", "EventTypeID" },
    { "{\"EventTypeID\":1e1}", "EventTypeID" },
    { "{\"EventTypeID\":true}", "EventTypeID" },
    { "{\"EventTypeID\":\"\"}", "EventTypeID" },
    { "{\"EventTypeID\":\"13a\"}", "EventTypeID" },
    { "{\"EventTypeID\":\" 13\"}", "EventTypeID" },
    { "{\"EventTypeID\":\"99999999999999999999\"}", "EventTypeID" },
    { "{\"EventTypeID\":0}", "EventTypeID" },
    { "{\"EventTypeID\":-13}", "EventTypeID" },
    { "{\"EventTypeID\":[13]}", "EventTypeID" },
    { "{\"eventtypeid\":{}}", "EventTypeID" },
    { "{\"EventTypeID\":13,\"ChannelID\":7.0}", "ChannelID" },
    { "{\"EventTypeID\":13,\"channelid\":\"push\"}", "ChannelID" },
    { "{\"EventTypeID\":13,\"ChannelID\":0}", "ChannelID" },
    { "{\"EventTypeID\":11,\"TemplateID\":1e3}", "TemplateID" },
    { "{\"EventTypeID\":11,\"TemplateID\":\"-5\"}", "TemplateID" },
    { "{\"EventTypeID\":13,\"CampaignID\":7.5}", "CampaignID" },
    { "{\"EventTypeID\":13,\"CampaignID\":\"\"}", "CampaignID" },
    { "{\"EventTypeID\":13,\"CampaignID\":\"  \"}", "CampaignID" },
    { "{\"EventTypeID\":13,\"CampaignID\":0}", "CampaignID" },
    { "{\"EventTypeID\":13,\"CampaignID\":false}", "CampaignID" },
    { "{\"EventTypeID\":13,\"CampaignID\":\"a\\nb\"}", "CampaignID" },
    { "{\"EventTypeID\":11,\"CustomerID\":{\"id\":1}}", "CustomerID" },
    { "{\"EventTypeID\":11,\"CustomerID\":-1}", "CustomerID" },
    { "{\"EventTypeID\":13,\"TimeStamp\":1663563894}", "TimeStamp" },
    { "{\"EventTypeID\":11,\"PromoCode\":{}}", "PromoCode" },
    { "{\"EventTypeID\":11,\"PromoCode\":[\"a\",{}]}", "PromoCode" },
    { "{\"EventTypeID\":11,\"PromoCode\":1.5}", "PromoCode" },
    { "{\"EventTypeID\":11,\"Notes\":{\"a\":1}}", "Notes" },
    { "{\"EventTypeID\":11,\"ScheduleTime\":5}", "ScheduleTime" },
    { "{\"EventTypeID\":11,\"ScheduledTime\":5}", "ScheduledTime" },
    { "{\"EventTypeID\":11,\"ActionID\":1.0}", "ActionID" },
    { "{\"EventTypeID\":11,\"attributes\":[]}", "attributes" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_refused(cases[i].body, cases[i].field);
}

static void refuses_what_is_no_object(void **state)
{
  (void)state;
  static const char *const bodies[] = { "",
                                        "{",
                                        "[]",
                                        "13",
                                        "\"x\"",
                                        "null",
                                        "{} {}",
                                        "{'a':1}",
                                        "{\"a\":NaN}",
                                        "{\"CampaignID\":99999999999999999999}",
                                        "{\"a\":1,\"a\":2}" };
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) assert_refused(bodies[i], NULL);
}

static void refuses_a_body_that_is_nested_too_deep(void **state)
{
  (void)state;
  char body[512] = "{\"EventTypeID\":13,\"x\":";
  memset(body + strlen(body), '[', 200);
  assert_refused(body, NULL);
}

static void refuses_two_keys_that_differ_only_in_case(void **state)
{
  (void)state;
  assert_refused("{\"CampaignID\":1,\"campaignId\":1,\"ChannelID\":2}", "CampaignID");
  assert_refused("{\"EventTypeID\":13,\"color\":1,\"x\":2,\"Color\":2}", "color");
}

static void finds_a_repeated_key_among_thousands_quickly(void **state)
{
  (void)state;
  static char body[400000];
  size_t len = (size_t)snprintf(body, sizeof body, "{\"EventTypeID\":99");
  for (int i = 0; i < 10000; i++)
    len += (size_t)snprintf(body + len, sizeof body - len, ",\"key%d\":0", i);
  snprintf(body + len, sizeof body - len, ",\"KEY5000\":1}");
  struct nm_event event;
  assert_int_equal(nm_event_read_campaign(arena, nm_text_from(body), 0, &event, &field, &err),
                   NM_EINVAL);
  assert_int_equal(strcasecmp(field, "key5000"), 0);
}

static void shows_a_long_key_cut_between_characters(void **state)
{
  (void)state;
  char key[400] = "", body[1000];
  for (int i = 0; i < 40; i++) memcpy(key + i * 3, "\xE2\x82\xAC", 3);
  snprintf(body, sizeof body, "{\"EventTypeID\":99,\"%sa\":1,\"%sA\":1}", key, key);
  struct nm_event event;
  assert_int_equal(nm_event_read_campaign(arena, nm_text_from(body), 0, &event, &field, &err),
                   NM_EINVAL);
  assert_int_equal(strlen(field), 63);
  assert_true(nm_text_is_utf8(nm_text_from(field)));
}

static void bounds_the_length_of_ids(void **state)
{
  (void)state;
  char id[300], body[400];
  memset(id, 'x', sizeof id);
  id[256] = 0;
  snprintf(body, sizeof body, "{\"CustomerID\":\"%s\"}", id);
  assert_int_equal(read_event(body).customer.len, 256);
  id[256] = 'x';
  id[257] = 0;
  snprintf(body, sizeof body, "{\"CustomerID\":\"%s\"}", id);
  assert_refused(body, "CustomerID");
  snprintf(body, sizeof body, "{\"EventTypeID\":13,\"TimeStamp\":\"%s\"}", id);
  assert_refused(body, "TimeStamp");
}

static void says_when_there_is_no_memory(void **state)
{
  (void)state;
  struct nm_arena *small = nm_arena_create(8);
  struct nm_event event;
  assert_int_equal(nm_event_read_campaign(small, NM_TEXT("{\"CustomerID\":\"0123456789\"}"), 0,
                                          &event, &field, &err),
                   NM_ENOMEM);
  nm_arena_destroy(small);
}

/* ---- hook events ----------------------------------------------------------------------------- */

static void reads_a_hook_event(void **state)
{
  (void)state;
  struct nm_event event = read_hook(
      "{ \"id\": \"evt-1\", \"type\": \"EVENT\", \"name\": \"PURCHASE\","
      "\"time\": \"2026-01-01T10:00:00Z\", \"extId\": 42, \"attributes\": {\"total\": 12.5} }");
  assert_int_equal(event.kind, NM_EVENT_HOOK);
  assert_int_equal(event.type, 0);
  assert_text(event.name, "PURCHASE");
  assert_text(event.customer, "42");
  assert_text(event.foreign_id, "evt-1");
  assert_text(event.stamp, "2026-01-01T10:00:00Z");
  assert_text(event.body, "{\"id\":\"evt-1\",\"type\":\"EVENT\",\"name\":\"PURCHASE\",\"time\":"
                          "\"2026-01-01T10:00:00Z\",\"extId\":42,\"attributes\":{\"total\":12.5}}");
}

static void names_profile_and_message_log_events_itself(void **state)
{
  (void)state;
  assert_text(read_hook("{\"type\":\"PROFILE\",\"extId\":\"u\"}").name, "PROFILE_ATTRIBUTE_CHANGE");
  assert_text(read_hook("{\"type\":\"MESSAGE_LOG\"}").name, "MESSAGE_LOG");
  assert_text(read_hook("{\"type\":\"MESSAGE_LOG\",\"name\":\"PUSH_CLICK\"}").name, "PUSH_CLICK");
  assert_text(read_hook("{\"changes\":{\"a\":1}}").name, "PROFILE_ATTRIBUTE_CHANGE");
  assert_text(read_hook("{\"name\":\"PURCHASE\",\"id\":7}").foreign_id, "7");
}

static void names_the_field_of_a_hook_event_that_is_wrong(void **state)
{
  (void)state;
  static const struct {
    const char *text, *field;
  } cases[] = {
    { "{\"type\":\"EVENT\"}", "name" },
    { "{\"type\":\"EVENT\",\"name\":\"\"}", "name" },
    { "{\"type\":\"EVENT\",\"name\":5}", "name" },
    { "{\"type\":\"event\",\"name\":\"A\"}", "type" },
    { "{\"type\":1,\"name\":\"A\"}", "type" },
    { "{\"name\":\"A\",\"id\":1.5}", "id" },
    { "{\"name\":\"A\",\"id\":\"\"}", "id" },
    { "{\"name\":\"A\",\"extId\":[]}", "extId" },
    { "{\"name\":\"A\",\"extId\":0}", "extId" },
    { "{\"name\":\"A\",\"time\":5}", "time" },
    { "{\"name\":\"A\",\"attributes\":[]}", "attributes" },
    { "{\"name\":\"A\",\"changes\":\"x\"}", "changes" },
    { "[]", NULL },
    { "\"A\"", NULL },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct nm_event event;
    if (try_hook(cases[i].text, &event) != NM_EINVAL) fail_msg("%s was taken", cases[i].text);
    if (cases[i].field) assert_string_equal(field, cases[i].field);
    else assert_null(field);
  }
}

/* The same event with a PromoCode that only the long way reads. */
static void the_long_way_agrees(const char *body, size_t len)
{
  static const char more[] = ",\"PromoCode\":[\"a\"]}";
  char longer[512];
  struct nm_event plain, thorough;
  nm_arena_reset(arena);
  if (len < 3 || len + sizeof more > sizeof longer) return;
  if (nm_event_read_campaign(arena, (struct nm_text){ body, len }, 11, &plain, &field, &err))
    return;
  while (len > 0 && body[len - 1] != '}') len--; /* blanks behind it */
  memcpy(longer, body, len - 1);
  memcpy(longer + len - 1, more, sizeof more);
  struct nm_text text = { longer, len - 1 + sizeof more - 1 };
  int rc = nm_event_read_campaign(arena, text, 11, &thorough, &field, &err);
  if (rc) fail_msg("%s: only the short way takes %.*s", err.text, (int)len, body);
  bool is_same = plain.type == thorough.type && plain.channel_id == thorough.channel_id &&
                 plain.template_id == thorough.template_id &&
                 nm_text_equal(plain.campaign, thorough.campaign) &&
                 nm_text_equal(plain.customer, thorough.customer) &&
                 nm_text_equal(plain.stamp, thorough.stamp);
  if (!is_same) fail_msg("the two ways differ over %.*s", (int)len, body);
}

static void the_short_way_and_the_long_way_agree(void **state)
{
  (void)state;
  static const char *const bodies[] = {
    "{\"EventTypeID\":11,\"CampaignID\":7,\"ChannelID\":459,\"TemplateID\":\"1201\",\"CustomerID\":\"C1\"}",
    "{\"customerId\":\"C1\",\"TimeStamp\":\"2030-01-01 10:00:00\",\"attributes\":{\"first_name\":\"Ada\"}}",
    "{\"eventtypeid\":\"13\",\"campaignId\":\"x 1\",\"channelid\":1,\"ActionID\":5,\"Notes\":null}",
    "{\"CustomerID\":12,\"ScheduleTime\":\"a\",\"ScheduledTime\":\"b\",\"x\":[1,{\"y\":[]}],\"z\":1.5}",
  };
  static const char alphabet[] = "{}[]\",:\\u01-.e tnul9AaCID\x01\x7f\xc4\xb1";
  unsigned seed = 3;
  char bytes[320];
  for (int round = 0; round < 40000; round++) {
    const char *one = bodies[round % 4];
    size_t len = strlen(one);
    memcpy(bytes, one, len);
    for (int changes = round % 5; changes > 0; changes--) {
      seed = seed * 1103515245u + 12345u;
      size_t at = (seed >> 8) % len;
      if ((seed >> 4) % 3 == 0) {
        memmove(bytes + at, bytes + at + 1, --len - at);
      } else if ((seed >> 4) % 3 == 1) {
        memmove(bytes + at + 1, bytes + at, len++ - at);
        bytes[at] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
      } else {
        bytes[at] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
      }
    }
    if (!memmem(bytes, len, "romo", 4)) the_long_way_agrees(bytes, len);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(the_short_way_and_the_long_way_agree),
    TEST(reads_every_spelling_of_a_bulk_event),
    TEST(reads_a_single_event_whose_campaign_is_no_number),
    TEST(keeps_ids_of_64_bits_exactly),
    TEST(infers_the_type_when_the_body_does_not_say),
    TEST(the_body_beats_what_the_url_says),
    TEST(takes_a_type_that_nobody_routes),
    TEST(names_the_field_that_is_wrong),
    TEST(refuses_what_is_no_object),
    TEST(refuses_a_body_that_is_nested_too_deep),
    TEST(refuses_two_keys_that_differ_only_in_case),
    TEST(finds_a_repeated_key_among_thousands_quickly),
    TEST(shows_a_long_key_cut_between_characters),
    TEST(bounds_the_length_of_ids),
    TEST(says_when_there_is_no_memory),
    TEST(reads_a_hook_event),
    TEST(names_profile_and_message_log_events_itself),
    TEST(names_the_field_of_a_hook_event_that_is_wrong),
  };
  return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
