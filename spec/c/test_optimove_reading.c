/* links: optimove */
#include "check.h"

#include <stdio.h>

#include "optimove/internal.h"
#include "optimove/listeners.h"
#include "optimove/work.h"

static struct nm_tenant_param params[] = {
  { { "FIRST_NAME", 10 }, { "first_name", 10 } },
  { { "CITY", 4 }, { "city", 4 } },
};
static struct nm_tenant_channel channels[] = {
  { 459, { "Push", 4 }, NM_CHANNEL_PUSH },
  { 481, { "SMS", 3 }, NM_CHANNEL_SMS },
};
static struct nm_tenant tenant;
static struct nm_arena *arena;

static int set_up(void **state)
{
  (void)state;
  arena = nm_arena_create(1024 * 1024);
  tenant = (struct nm_tenant){ .id = 1, .name = NM_TEXT("acme"), .app_key = NM_TEXT("acme-key"),
                               .secret_number = 1 };
  tenant.connector = (struct nm_tenant_connector){ .is_present = true, .is_active = true,
                                                   .params = params, .param_count = 2,
                                                   .channels = channels, .channel_count = 2 };
  return nm_zone_find(&tenant.connector.zone, NM_TEXT("UTC"));
}

static int tear_down(void **state)
{
  (void)state;
  nm_arena_destroy(arena);
  return 0;
}

static json_t *tree_of(const struct nm_json_node *nodes, size_t *at)
{
  const struct nm_json_node *node = &nodes[(*at)++];
  json_t *tree = node->kind == NM_JSON_OBJECT ? json_object() : json_array();
  char key[64];
  switch (node->kind) {
  case NM_JSON_TEXT: json_decref(tree); return json_stringn(node->text.ptr, node->text.len);
  case NM_JSON_INTEGER: json_decref(tree); return json_integer(node->integer);
  case NM_JSON_REAL: json_decref(tree); return json_real(node->real);
  case NM_JSON_NULL: json_decref(tree); return json_null();
  case NM_JSON_TRUE:
  case NM_JSON_FALSE: json_decref(tree); return json_boolean(node->kind == NM_JSON_TRUE);
  default: break;
  }
  for (uint32_t i = 0; i < node->count; i++) {
    if (node->kind == NM_JSON_ARRAY) {
      json_array_append_new(tree, tree_of(nodes, at));
      continue;
    }
    struct nm_text name = nodes[(*at)++].text;
    snprintf(key, sizeof key, "%.*s", NM_TEXT_ARG(name));
    assert_null(json_object_get(tree, key));
    json_object_set_new(tree, key, tree_of(nodes, at));
  }
  assert_int_equal(node->end, *at);
  return tree;
}

/* Reads one row given as JSON; gives its event (or NULL) and keeps the rest in *out. */
static json_t *read_row(const char *text, struct nm_recipient *out, struct nm_error *err)
{
  size_t at = 0;
  *out = (struct nm_recipient){ 0 };
  const struct nm_optimove_execution execution = { .tenant = &tenant, .campaign = NM_TEXT("7"),
                                                   .channel_id = 459 };
  int rc = nm_optimove_read_row(nm_text_from(text), &execution, arena, out, err);
  return rc ? NULL : tree_of(out->event, &at);
}

/* That the row becomes this event, but for what the run says of itself. */
static void expect_event(const char *text, const char *wanted_text)
{
  struct nm_recipient row;
  struct nm_error error = { 0 };
  json_t *wanted = NULL, *event = read_row(text, &row, &error);
  if (!event) fail_msg("%s: %s", text, error.text);
  assert_int_equal(nm_json_parse(&wanted, nm_text_from(wanted_text), NULL), NM_OK);
  json_object_set_new(wanted, "EventTypeID", json_integer(13));
  json_object_set_new(wanted, "CampaignID", json_string("7"));
  json_object_set_new(wanted, "ChannelID", json_integer(459));
  if (!json_equal(event, wanted)) fail_msg("%s became %s", text, json_dumps(event, 0));
  json_decref(wanted);
  json_decref(event);
}

static void a_row_becomes_the_event_that_rules_see(void **state)
{
  static const char *const rows[][2] = {
    { "{\"customerID\":231342,\"ActionID\":49,\"TemplateId\":\"7\",\"Extra\":1,"
      "\"ScheduleTime\":\"2024-08-20 10:00:00\",\"PromoCode\":\"B1, B2\","
      "\"CustomerAttributes\":[\"Ada\",null]}",
      "{\"CustomerID\":\"231342\",\"ActionID\":49,\"TemplateID\":7,\"Extra\":1,"
      "\"ScheduleTime\":\"2024-08-20 10:00:00\",\"PromoCode\":[\"B1\",\"B2\"],"
      "\"attributes\":{\"first_name\":\"Ada\"}}" },
    { "{\"CustomerID\":\" a \\u0041 \",\"TemplateID\":\"x\",\"ChannelID\":1,\"campaignid\":2,"
      "\"Nested\":{\"a\":[1,{\"b\":null}],\"c\":-1.5},\"After\":[[],{}],\"attributes\":3}",
      "{\"CustomerID\":\"a A\",\"TemplateID\":\"x\",\"Nested\":{\"a\":[1,{\"b\":null}],\"c\":-1.5},"
      "\"After\":[[],{}],\"attributes\":{}}" },
    { "{\"CustomerID\":\"1\",\"PromoCode\":[\"x\",\"y\"],\"CustomerAttributes\":[[1,2],true]}",
      "{\"CustomerID\":\"1\",\"PromoCode\":[\"x\",\"y\"],"
      "\"attributes\":{\"first_name\":[1,2],\"city\":true}}" },
    /* what the flat reader leaves to the tree */
    { "{\"CustomerID\":9223372036854775807,\"TemplateID\":7,\"Big\":{\"n\":[9223372036854775806]},"
      "\"CustomerAttributes\":[1,\"NULL\"]}",
      "{\"CustomerID\":\"9223372036854775807\",\"TemplateID\":7,"
      "\"Big\":{\"n\":[9223372036854775806]},\"attributes\":{\"first_name\":1}}" },
    { "{\"customerid\":\"wrong\",\"CustomerID\":\"right\",\"CUSTOMERID\":\"no\"}",
      "{\"CustomerID\":\"right\",\"attributes\":{}}" },
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) expect_event(rows[i][0], rows[i][1]);

  struct nm_recipient row;
  struct nm_error error;
  json_decref(read_row(rows[0][0], &row, &error));
  assert_true(row.due_at_ms == 1724148000000);
  assert_true(row.template_id == 7);
  assert_text(row.customer, "231342");
  assert_false(row.is_control_group);
}

static void attributes_are_never_shifted(void **state)
{
  static const char *const wrong[] = {
    "{\"CustomerID\":\"1\",\"CustomerAttributes\":[\"Ada\"]}",
    "{\"CustomerID\":\"1\",\"CustomerAttributes\":[\"Ada\",\"x\",\"y\"]}",
    "{\"CustomerID\":\"1\",\"CustomerAttribute\":\"Ada\"}",
    "{\"CustomerID\":\"1\",\"CustomerAttributes\":7}",
    "{\"CustomerID\":\"  \"}", "{\"CustomerID\":1.5}", "{}", "[]",
    "{\"CustomerID\":\"1\",\"CustomerID\":\"2\"}", "{\"CustomerID\":\"1\"", "7", "",
  };
  struct nm_recipient row;
  struct nm_error error;
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_null(read_row(wrong[i], &row, &error));
    assert_true(error.text[0] != '\0');
  }
}

static void the_old_delimited_form_is_read_too(void **state)
{
  (void)state;
  expect_event("{\"CustomerID\":\"1\",\"CustomerAttribute\":\"Ada;NULL\"}",
               "{\"CustomerID\":\"1\",\"attributes\":{\"first_name\":\"Ada\"}}");
}

static void the_control_group_is_known(void **state)
{
  struct nm_recipient row;
  struct nm_error error;
  (void)state;
  json_decref(read_row("{\"CustomerID\":\"1\",\"ActionID\":\"1\"}", &row, &error));
  assert_true(row.is_control_group);
}

static void a_page_is_due_with_its_earliest_row(void **state)
{
  (void)state;
  assert_true(nm_optimove_page_due(
                  NM_TEXT("[{\"ScheduleTime\":\"2024-08-20 11:00:00\",\"x\":[{}]},"
                          " {\"scheduledtime\":\"2024-08-20 10:00:00\"} ]"),
                  &tenant) == 1724148000000);
  assert_true(nm_optimove_page_due(
                  NM_TEXT("[{\"ScheduleTime\":\"2024-08-20 11:00:00\"},{}]"), &tenant) == 0);
  assert_true(nm_optimove_page_due(NM_TEXT("[]"), &tenant) == 0);
}

static void the_rows_of_a_page_are_counted_only_where_it_is_whole(void **state)
{
  static const struct {
    const char *body;
    int64_t rows; /* -1 = no page */
  } pages[] = {
    { "[]", 0 }, { " [ { } , 1 ]\n", 2 }, { "[{\"a\":\"]\\\"\"},[[]],{\"b\":{}}]", 3 },
    { "[", -1 }, { "[{}", -1 }, { "[{},]", -1 }, { "[{}]x", -1 }, { "{}", -1 }, { "", -1 },
    { "[{\"a\"}]", -1 }, { "[01]", -1 }, { "[\"\\x\"]", -1 }, { "[\"\xff\"]", -1 }, { "[tru]", -1 },
  };
  (void)state;
  for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
    int64_t rows = 0;
    int rc = nm_optimove_count_rows(nm_text_from(pages[i].body), &rows);
    if (rc ? pages[i].rows != -1 : rows != pages[i].rows) fail_msg("%s", pages[i].body);
  }
}

/* ---- listeners ------------------------------------------------------------------------------------- */

static const struct nm_text own_prefixes[] = { { "https://us/optimove/event/acme-key", 34 } };
static const struct nm_text own_secrets[] = { { "new", 3 }, { "older", 5 } };
static const struct nm_listener_own own = { own_prefixes, 1, own_secrets, 2 };

/* Compares one wanted pair (13, 459) with rows of {type, channel, url}; gives its verdict. */
static enum nm_listener_verdict verdict_of(const struct nm_listener *there, size_t count)
{
  struct nm_listener wanted = { 13, 459, NM_TEXT("https://us/optimove/event/acme-key?k=new&t=13") };
  size_t found = 0;
  struct nm_listener_finding *findings = nm_listeners_compare(
      (struct nm_listener_list){ &wanted, 1 },
      (struct nm_listener_list){ (struct nm_listener *)(uintptr_t)there, count }, &own, arena,
      &found);
  return findings[0].verdict;
}

static void listeners_are_judged_by_pair_and_url(void **state)
{
  const struct nm_text fresh = NM_TEXT("https://us/optimove/event/acme-key?k=new&t=13");
  const struct nm_text old = NM_TEXT("https://us/optimove/event/acme-key?k=old&t=13");
  const struct nm_text longer = NM_TEXT("https://us/optimove/event/acme-key2?k=theirs");
  const struct nm_text moved = NM_TEXT("https://once/optimove/event/first-key?t=13&k=older");
  const struct nm_text theirs = NM_TEXT("https://them/x");
  struct nm_listener twice[] = { { 13, 459, fresh }, { 13, 459, fresh } };
  (void)state;
  assert_int_equal(verdict_of(NULL, 0), NM_LISTENER_MISSING);
  assert_int_equal(verdict_of(&(struct nm_listener){ 13, 459, fresh }, 1), NM_LISTENER_FINE);
  assert_int_equal(verdict_of(&(struct nm_listener){ 13, 459, old }, 1), NM_LISTENER_STALE);
  assert_int_equal(verdict_of(twice, 2), NM_LISTENER_STALE);
  /* nobody else can have our secret, whatever host and appKey it stands beside */
  assert_int_equal(verdict_of(&(struct nm_listener){ 13, 459, moved }, 1), NM_LISTENER_STALE);
  assert_int_equal(verdict_of(&(struct nm_listener){ 13, 500, moved }, 1), NM_LISTENER_ORPHAN);
  assert_int_equal(verdict_of(&(struct nm_listener){ 13, 459, theirs }, 1), NM_LISTENER_CONFLICT);
  assert_int_equal(verdict_of(&(struct nm_listener){ 13, 459, longer }, 1), NM_LISTENER_CONFLICT);
  assert_int_equal(verdict_of(&(struct nm_listener){ 13, 500, old }, 1), NM_LISTENER_ORPHAN);
  assert_int_equal(verdict_of(&(struct nm_listener){ 13, 500, theirs }, 1), NM_LISTENER_MISSING);
}

static void the_list_is_read_loosely(void **state)
{
  json_t *rows = json_pack("[{s:i,s:s,s:i},{s:s,s:s},{s:s},n]", "EventTypeId", 13, "listenerUrl", "a",
                           "ChannelId", 459, "EventTypeID", "4", "ListenerURL", "b", "x", "y");
  (void)state;
  struct nm_listener_list list = nm_listeners_there(rows, arena);
  assert_int_equal(list.count, 2);
  assert_true(list.items[0].channel_id == 459);
  assert_true(list.items[1].event_type == 4 && list.items[1].channel_id == 0);
  json_decref(rows);
}

/* ---- answers ------------------------------------------------------------------------------------------ */

static struct nm_text reason_for(const struct nm_client_answer *from,
                                 char reason[NM_ERROR_TEXT_MAX_BYTES])
{
  struct nm_optimove_call call = { .function = "F", .method = "GET", .expects_list = true };
  struct nm_optimove_answer out;
  json_t *parsed = NULL;
  nm_optimove_classify(&call, from, &out, &parsed, reason);
  json_decref(parsed);
  assert_int_not_equal(out.end, NM_OPTIMOVE_OK);
  assert_true(nm_text_is_utf8(nm_text_from(reason)));
  return nm_text_from(reason);
}

static void a_reason_is_a_line_of_text_whatever_was_answered(void **state)
{
  char reason[NM_ERROR_TEXT_MAX_BYTES], many[400], long_one[400];
  struct nm_client_answer from = { .end = NM_CLIENT_ANSWERED, .status = 200,
                                   .body = { "{\"\xFF\xFE\0<html", 10 } };
  (void)state;
  assert_text(reason_for(&from, reason), "F: 200 {\"?? <html");
  from.status = 500;
  from.body = NM_TEXT("line one\r\nline two");
  assert_text(reason_for(&from, reason), "F: 500 line one  line two");
  many[0] = 'x';
  for (size_t i = 1; i + 1 < sizeof many; i += 2) memcpy(many + i, "\xC3\xBC", 2);
  from.body = (struct nm_text){ many, sizeof many - 1 };
  assert_int_equal(reason_for(&from, reason).len, strlen("F: 500 ") + 119); /* no half character */
  memset(long_one, 'y', sizeof long_one - 1);
  long_one[sizeof long_one - 1] = '\0';
  from.end = NM_CLIENT_UNREACHABLE;
  from.reason = long_one;
  assert_int_equal(reason_for(&from, reason).len, NM_ERROR_TEXT_MAX_BYTES - 1);
}

static void what_is_still_to_do_is_never_lost(void **state)
{
  json_t *todo = json_array();
  char long_name[1024];
  (void)state;
  memset(long_name, '\xC3', sizeof long_name);
  nm_work_tell(todo, "%s", "\xFF\xFE");
  nm_work_tell(todo, "x%.*s", (int)sizeof long_name, long_name);
  assert_int_equal(json_array_size(todo), 2);
  json_decref(todo);
}

static void answers_are_classified_by_what_they_prove(void **state)
{
  static const struct {
    enum nm_client_end end;
    int status;
    const char *body;
    bool expects_list;
    enum nm_optimove_end wanted;
  } rows[] = {
    { NM_CLIENT_ANSWERED, 200, "", false, NM_OPTIMOVE_OK },
    { NM_CLIENT_ANSWERED, 202, "{\"x\":1}", false, NM_OPTIMOVE_OK },
    { NM_CLIENT_ANSWERED, 200, "{\"ResponseCode\":200}", false, NM_OPTIMOVE_OK },
    { NM_CLIENT_ANSWERED, 200, "\"Something failed\"", false, NM_OPTIMOVE_REFUSED },
    { NM_CLIENT_ANSWERED, 200, "\"OK\"", false, NM_OPTIMOVE_OK },
    { NM_CLIENT_ANSWERED, 200, "<html>", false, NM_OPTIMOVE_UNKNOWN },
    { NM_CLIENT_ANSWERED, 200, "[]", true, NM_OPTIMOVE_OK },
    { NM_CLIENT_ANSWERED, 200, "null", true, NM_OPTIMOVE_OK },
    { NM_CLIENT_ANSWERED, 200, " ", true, NM_OPTIMOVE_OK },
    { NM_CLIENT_ANSWERED, 200, "\"error\"", true, NM_OPTIMOVE_REFUSED },
    { NM_CLIENT_ANSWERED, 200, "{}", true, NM_OPTIMOVE_REFUSED },
    { NM_CLIENT_ANSWERED, 400, "\"Bad Request\"", false, NM_OPTIMOVE_REFUSED },
    { NM_CLIENT_ANSWERED, 401, "\"Unauthorized\"", false, NM_OPTIMOVE_DENIED },
    { NM_CLIENT_ANSWERED, 403, "Forbidden", false, NM_OPTIMOVE_DENIED },
    { NM_CLIENT_ANSWERED, 429, "{}", false, NM_OPTIMOVE_LATER },
    { NM_CLIENT_ANSWERED, 500, "oops", false, NM_OPTIMOVE_LATER },
    { NM_CLIENT_UNREACHABLE, 0, "", false, NM_OPTIMOVE_LATER },
    { NM_CLIENT_UNKNOWN, 0, "", false, NM_OPTIMOVE_UNKNOWN },
    { NM_CLIENT_UNKNOWN, 0, "", true, NM_OPTIMOVE_LATER },
    { NM_CLIENT_REFUSED, 0, "", false, NM_OPTIMOVE_REFUSED },
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct nm_optimove_call call = { .function = "F", .method = rows[i].expects_list ? "GET" : "POST",
                                     .expects_list = rows[i].expects_list };
    struct nm_client_answer from = { .end = rows[i].end, .status = rows[i].status,
                                     .body = nm_text_from(rows[i].body), .retry_after_ms = -1 };
    struct nm_optimove_answer out;
    json_t *parsed = NULL;
    char reason[NM_ERROR_TEXT_MAX_BYTES];
    nm_optimove_classify(&call, &from, &out, &parsed, reason);
    if (out.end != rows[i].wanted) print_error("row %zu (%d %s)\n", i, rows[i].status, rows[i].body);
    assert_int_equal(out.end, rows[i].wanted);
    json_decref(parsed);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(a_row_becomes_the_event_that_rules_see, set_up, tear_down),
    cmocka_unit_test_setup_teardown(attributes_are_never_shifted, set_up, tear_down),
    cmocka_unit_test_setup_teardown(the_old_delimited_form_is_read_too, set_up, tear_down),
    cmocka_unit_test_setup_teardown(the_control_group_is_known, set_up, tear_down),
    cmocka_unit_test_setup_teardown(a_page_is_due_with_its_earliest_row, set_up, tear_down),
    cmocka_unit_test(the_rows_of_a_page_are_counted_only_where_it_is_whole),
    cmocka_unit_test_setup_teardown(listeners_are_judged_by_pair_and_url, set_up, tear_down),
    cmocka_unit_test_setup_teardown(the_list_is_read_loosely, set_up, tear_down),
    cmocka_unit_test(a_reason_is_a_line_of_text_whatever_was_answered),
    cmocka_unit_test(what_is_still_to_do_is_never_lost),
    cmocka_unit_test_setup_teardown(answers_are_classified_by_what_they_prove, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
