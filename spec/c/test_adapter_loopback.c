/* links: adapters */
#include "peer.h"

#include "adapters/adapter.h"
#include "base/metrics.h"

static uv_loop_t loop;
static struct nm_error err;

static const struct nm_adapter *find(const char *name)
{
  return nm_adapter_find(nm_text_from(name));
}

static void knows_what_is_built_what_will_be_and_what_is_neither(void **state)
{
  (void)state;
  static const char *const known[] = { "netmera", "fcm",  "apns", "huawei",  "webpush",
                                       "smtp",    "smpp", "http", "loopback" };
  for (size_t i = 0; i < 9; i++) assert_true(nm_adapter_is_known(nm_text_from(known[i])));
  assert_false(nm_adapter_is_known(NM_TEXT("netmara")));
  assert_false(nm_adapter_is_known(NM_TEXT("")));
  assert_ptr_equal(find("netmera"), &nm_adapter_netmera);
  assert_ptr_equal(find("loopback"), &nm_adapter_loopback);
  assert_null(find("fcm"));
  assert_null(find("Netmera"));
}

static int check(const struct nm_adapter *adapter, const char *settings)
{
  json_t *value = NULL;
  assert_int_equal(nm_json_parse_any(&value, nm_text_from(settings), &err), NM_OK);
  err.text[0] = 0;
  int rc = adapter->check(value, &err);
  json_decref(value);
  return rc;
}

static void settings_are_refused_by_the_name_of_the_key(void **state)
{
  (void)state;
  static const struct {
    const char *adapter, *settings, *says;
  } cases[] = {
    { "loopback", "{\"baseUrl\":\"x\"}", "unknown key \"baseUrl\"" },
    { "netmera", "{}", "baseUrl is missing" },
    { "netmera", "{\"baseUrl\":\"https://h\"}", "apiKey is missing" },
    { "netmera", "{\"bseUrl\":\"https://h\",\"apiKey\":\"k\"}", "did you mean \"baseUrl\"?" },
    { "netmera", "{\"baseUrl\":\"h\",\"apiKey\":\"k\"}", "baseUrl: expected an address" },
    { "netmera", "{\"baseUrl\":7,\"apiKey\":\"k\"}", "baseUrl: expected an address" },
    { "netmera", "{\"baseUrl\":\"ftp://h\",\"apiKey\":\"k\"}", "baseUrl: expected an address" },
    { "netmera", "{\"baseUrl\":\"https://\",\"apiKey\":\"k\"}", "baseUrl: expected an address" },
    { "netmera", "{\"baseUrl\":\"https:///x\",\"apiKey\":\"k\"}", "baseUrl: expected an address" },
    { "netmera", "{\"baseUrl\":\"https://u:p@h\",\"apiKey\":\"k\"}", "baseUrl: no user" },
    { "netmera", "{\"baseUrl\":\"https://h?x\",\"apiKey\":\"k\"}", "baseUrl: no user" },
    { "netmera", "{\"baseUrl\":\"https://h/a b\",\"apiKey\":\"k\"}", "baseUrl: no user" },
    { "netmera", "{\"url\":\"h\",\"baseUrl\":\"https://h\",\"apiKey\":\"k\"}",
      "url: expected an address" },
    { "netmera", "{\"baseUrl\":\"https://h\",\"apiKey\":\"\"}", "apiKey: expected" },
    { "netmera", "{\"baseUrl\":\"https://h\",\"apiKey\":\"a\\r\\nX: y\"}", "apiKey: expected" },
    { "netmera", "{\"baseUrl\":\"https://h\",\"apiKey\":5}", "apiKey: expected" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    if (check(find(cases[i].adapter), cases[i].settings) != NM_EINVAL)
      fail_msg("%s was taken", cases[i].settings);
    if (!strstr(err.text, cases[i].says)) fail_msg("%s: %s", cases[i].settings, err.text);
  }
  assert_null(strstr(err.text, "X: y"));
}

static void right_settings_are_taken(void **state)
{
  (void)state;
  assert_int_equal(check(&nm_adapter_loopback, "{}"), NM_OK);
  assert_int_equal(check(&nm_adapter_loopback,
                         "{\"rate\":5,\"unknown\":\"hold\",\"order\":\"any\",\"retry\":{}}"),
                   NM_OK);
  assert_int_equal(
      check(&nm_adapter_netmera, "{\"baseUrl\":\"https://h/\",\"apiKey\":\"k\",\"rate\":100}"),
      NM_OK);
  assert_int_equal(check(&nm_adapter_netmera, "{\"url\":\"http://127.0.0.1:8\",\"apiKey\":\"k\"}"),
                   NM_OK);
}

/* ---- loopback -------------------------------------------------------------------------------- */

struct sending {
  struct nm_send send;
  const struct nm_message *messages[3];
  struct nm_provider *again; /* sent once more from the last done */
  int done, turns;
  bool is_done;
};

static void on_done(struct nm_send *send, size_t index, const struct nm_outcome *outcome)
{
  struct sending *sending = (struct sending *)send;
  assert_true(index < send->count);
  assert_int_equal(outcome->kind, NM_OUTCOME_DELIVERED);
  if (++sending->done % 3 != 0) return;
  if (sending->again && sending->turns++ < 5) {
    sending->again->adapter->send(sending->again, send);
    return;
  }
  sending->is_done = true;
  uv_stop(&loop);
}

static struct nm_provider *open_loopback(void)
{
  struct nm_provider *provider = NULL;
  struct nm_adapter_env env = { .loop = &loop };
  json_t *settings = json_object();
  assert_int_equal(uv_loop_init(&loop), 0);
  assert_int_equal(nm_adapter_loopback.open(&provider, &env, settings, &err), NM_OK);
  json_decref(settings);
  return provider;
}

static void on_closed(void *data)
{
  *(bool *)data = true;
}

static void end_loopback(struct nm_provider *provider)
{
  bool is_closed = false;
  nm_adapter_loopback.close(provider, on_closed, &is_closed);
  peer_run_out(&loop);
  assert_true(is_closed);
  assert_int_equal(uv_loop_close(&loop), 0);
}

static const struct nm_message message = { .id = 1,
                                           .customer = { "c1", 2 },
                                           .content = { "{}", 2 } };

static void loopback_delivers_on_the_next_turn_and_counts(void **state)
{
  (void)state;
  struct nm_provider *provider = open_loopback();
  struct sending sending = { .messages = { &message, &message, &message } };
  sending.send = (struct nm_send){ .messages = sending.messages, .count = 3, .done = on_done };
  int64_t before = nm_metric_get(NM_METRIC_LOOPBACK_DELIVERED);
  nm_adapter_loopback.send(provider, &sending.send);
  assert_int_equal(sending.done, 0);
  peer_run_until(&loop, &sending.is_done);
  assert_int_equal(sending.done, 3);
  assert_int_equal(nm_metric_get(NM_METRIC_LOOPBACK_DELIVERED), before + 3);
  end_loopback(provider);
}

static void a_done_may_send_again(void **state)
{
  (void)state;
  struct nm_provider *provider = open_loopback();
  struct sending sending = { .messages = { &message, &message, &message }, .again = provider };
  sending.send = (struct nm_send){ .messages = sending.messages, .count = 3, .done = on_done };
  nm_adapter_loopback.send(provider, &sending.send);
  peer_run_until(&loop, &sending.is_done);
  assert_int_equal(sending.done, 18);
  end_loopback(provider);
}

static void closing_loopback_still_answers_for_each(void **state)
{
  (void)state;
  struct nm_provider *provider = open_loopback();
  struct sending sending = { .messages = { &message, &message, &message } };
  sending.send = (struct nm_send){ .messages = sending.messages, .count = 3, .done = on_done };
  nm_adapter_loopback.send(provider, &sending.send);
  end_loopback(provider);
  assert_int_equal(sending.done, 3);
}

static void loopback_holds_what_has_nobody_to_go_to(void **state)
{
  (void)state;
  struct nm_message nobody = { .id = 1 };
  assert_non_null(nm_adapter_loopback.unfit(&nobody));
  assert_null(nm_adapter_loopback.unfit(&message));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(knows_what_is_built_what_will_be_and_what_is_neither),
    cmocka_unit_test(settings_are_refused_by_the_name_of_the_key),
    cmocka_unit_test(right_settings_are_taken),
    cmocka_unit_test(loopback_delivers_on_the_next_turn_and_counts),
    cmocka_unit_test(a_done_may_send_again),
    cmocka_unit_test(closing_loopback_still_answers_for_each),
    cmocka_unit_test(loopback_holds_what_has_nobody_to_go_to),
  };
  return cmocka_run_group_tests_name("adapters and loopback", tests, NULL, NULL);
}
