/* links: adapters */
#include "peer.h"

#include "adapters/adapter.h"
#include "base/log.h"

enum { MESSAGES_MAX = 1000 };

static uv_loop_t loop;
static struct nm_client *client;
static struct nm_provider *provider;
static struct peer peer;
static struct nm_error err;

/* One send and what became of each of its messages. */
static struct sending {
  struct nm_send send;
  struct nm_message messages[MESSAGES_MAX];
  const struct nm_message *pointers[MESSAGES_MAX];
  struct {
    int times;
    struct nm_outcome outcome;
    bool must_split;
    char reason[300];
  } got[MESSAGES_MAX];
  size_t done;
  bool is_done;
} sending;

static void on_done(struct nm_send *send, size_t index, const struct nm_outcome *outcome)
{
  assert_ptr_equal(send, &sending.send);
  sending.got[index].times++;
  sending.got[index].outcome = *outcome;
  sending.got[index].must_split = send->must_split;
  snprintf(sending.got[index].reason, sizeof sending.got[index].reason, "%.*s",
           NM_TEXT_ARG(outcome->reason));
  if (++sending.done < send->count) return;
  sending.is_done = true;
  memset(send, 0xEE, sizeof *send); /* gone with its last done */
  uv_stop(&loop);
}

static void on_closed(void *data)
{
  *(bool *)data = true;
}

static void open_provider(const char *base, int port)
{
  static const struct nm_text allow = { "127.0.0.0/8", 11 };
  struct nm_client_options options = { .allow = &allow, .allow_count = 1 };
  char url[128];
  assert_int_equal(nm_client_open(&client, &loop, &options, &err), NM_OK);
  snprintf(url, sizeof url, "%s:%d/", base, port);
  json_t *settings = json_pack("{s:s, s:s}", "baseUrl", url, "apiKey", "the-key");
  struct nm_adapter_env env = { .loop = &loop, .client = client };
  assert_int_equal(nm_adapter_netmera.open(&provider, &env, settings, &err), NM_OK);
  json_decref(settings);
}

static int begin(void **state)
{
  (void)state;
  return uv_loop_init(&loop);
}

static int end(void **state)
{
  (void)state;
  bool is_client_closed = client == NULL, is_provider_closed = provider == NULL;
  if (provider) nm_adapter_netmera.close(provider, on_closed, &is_provider_closed);
  if (client) nm_client_close(client, on_closed, &is_client_closed);
  if (peer.port) peer_close(&peer);
  peer_run_out(&loop);
  peer_free(&peer);
  memset(&peer, 0, sizeof peer);
  client = NULL;
  provider = NULL;
  assert_true(is_client_closed && is_provider_closed);
  return uv_loop_close(&loop);
}

#define PLAY(...)                                                                                  \
  static const struct peer_act acts[] = { __VA_ARGS__ };                                           \
  peer_open(&peer, &loop, acts, sizeof acts / sizeof *acts);                                       \
  open_provider("http://127.0.0.1", peer.port)

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

static void prepare(size_t count)
{
  static char ids[MESSAGES_MAX][24];
  memset(&sending, 0, sizeof sending);
  for (size_t i = 0; i < count; i++) {
    snprintf(ids[i], sizeof ids[i], "u%zu", i);
    sending.messages[i] =
        (struct nm_message){ .id = (int64_t)i + 1,
                             .customer = nm_text_from(ids[i]),
                             .content = NM_TEXT("{\"notification_key\":\"106\"}") };
    sending.pointers[i] = &sending.messages[i];
  }
  sending.send = (struct nm_send){ .messages = sending.pointers, .count = count, .done = on_done };
}

static void send_prepared(void)
{
  nm_adapter_netmera.send(provider, &sending.send);
  assert_int_equal(sending.done, 0);
  peer_run_until(&loop, &sending.is_done);
}

static void send_to(size_t count)
{
  prepare(count);
  send_prepared();
  for (size_t i = 0; i < count; i++) assert_int_equal(sending.got[i].times, 1);
}

static void assert_outcome(size_t i, enum nm_outcome_kind kind)
{
  if (sending.got[i].outcome.kind != kind)
    fail_msg("message %zu: %s (%s), expected %s", i, nm_outcome_name(sending.got[i].outcome.kind),
             sending.got[i].reason, nm_outcome_name(kind));
}

/* ---- requests -------------------------------------------------------------------------------- */

static void a_request_is_what_netmera_documents(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  send_to(2);
  const char *seen = peer.requests[0].bytes;
  assert_int_equal(strncmp(seen, "POST /rest/3.0/sendNotification HTTP/1.1\r\n", 42), 0);
  assert_non_null(strstr(seen, "\r\nX-netmera-api-key: the-key\r\n"));
  assert_non_null(strstr(seen, "\r\nContent-Type: application/json\r\n"));
  assert_string_equal(peer.requests[0].body,
                      "{\"notificationKey\":\"106\",\"target\":{\"extId\":[\"u0\",\"u1\"]}}");
  assert_outcome(0, NM_OUTCOME_ACCEPTED);
  assert_outcome(1, NM_OUTCOME_ACCEPTED);
  assert_int_equal(sending.got[0].outcome.code, 200);
}

static void a_batch_of_a_thousand_is_one_request(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  send_to(1000);
  assert_int_equal(peer.request_count, 1);
  for (size_t i = 0; i < 1000; i++) assert_outcome(i, NM_OUTCOME_ACCEPTED);
  assert_int_equal(nm_adapter_netmera.batch_max, 1000);
}

static void any_body_of_a_200_means_accepted(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" }, { PEER_ANSWER, OK_ANSWER },
       { PEER_ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{\"notificationKey\":97} " },
       { PEER_ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>" },
       { PEER_ANSWER, "HTTP/1.1 204 No Content\r\n\r\n" },
       { PEER_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{" });
  for (int i = 0; i < 6; i++) {
    send_to(1);
    assert_outcome(0, NM_OUTCOME_ACCEPTED);
  }
}

static void the_unfit_are_refused_and_the_others_go(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  prepare(3);
  sending.messages[1].content = NM_TEXT("{}");
  send_prepared();
  assert_outcome(0, NM_OUTCOME_ACCEPTED);
  assert_outcome(1, NM_OUTCOME_REFUSED);
  assert_string_equal(sending.got[1].reason, "has no notification_key");
  assert_outcome(2, NM_OUTCOME_ACCEPTED);
}

static void a_send_of_nothing_but_unfit_asks_nobody(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  prepare(1);
  sending.messages[0].content = NM_TEXT("{}");
  send_prepared();
  assert_outcome(0, NM_OUTCOME_REFUSED);
  assert_int_equal(peer.connections, 0);
}

/* ---- answers --------------------------------------------------------------------------------- */

struct expected {
  int status;
  const char *head, *body;
  enum nm_outcome_kind kind;
  enum nm_outcome_scope scope;
  int64_t retry_after_ms;
};

static const struct expected table[] = {
  { 500, "", "{\"code\":2001,\"error\":\"e\"}", NM_OUTCOME_RETRY, 0, -1 },
  { 400, "", "{\"code\":2004,\"error\":\"e\"}", NM_OUTCOME_REFUSED, 0, -1 },
  { 400, "", "{\"code\":2009,\"error\":\"e\"}", NM_OUTCOME_REFUSED, 0, -1 },
  { 403, "", "{\"code\":2010,\"error\":\"e\"}", NM_OUTCOME_AUTH, NM_SCOPE_ACCOUNT, -1 },
  { 400, "", "{\"code\":2020,\"error\":\"e\"}", NM_OUTCOME_REFUSED, 0, -1 },
  { 400, "", "{\"code\":2021,\"error\":\"e\"}", NM_OUTCOME_REFUSED, 0, -1 },
  { 403, "", "{\"code\":2021,\"error\":\"e\"}", NM_OUTCOME_AUTH, NM_SCOPE_ACCOUNT, -1 },
  { 403, "", "{\"code\":2022,\"error\":\"e\"}", NM_OUTCOME_AUTH, NM_SCOPE_ACCOUNT, -1 },
  { 403, "", "{\"code\":4000,\"error\":\"e\"}", NM_OUTCOME_AUTH, NM_SCOPE_ACCOUNT, -1 },
  { 400, "", "{\"code\":2101,\"error\":\"e\"}", NM_OUTCOME_REFUSED, 0, -1 },
  { 400, "", "{\"code\":2102,\"error\":\"e\"}", NM_OUTCOME_REFUSED, 0, -1 },
  { 400, "", "{\"code\":2103,\"error\":\"e\"}", NM_OUTCOME_REFUSED, 0, -1 },
  { 500, "", "{\"code\":2104,\"error\":\"e\"}", NM_OUTCOME_REFUSED, 0, -1 },
  { 500, "", "{\"code\":2105,\"error\":\"e\"}", NM_OUTCOME_REFUSED, 0, -1 },
  { 400, "", "{\"code\":2106,\"error\":\"e\"}", NM_OUTCOME_RETRY, 0, 900000 },
  { 400, "Retry-After: 60\r\n", "{\"code\":2106,\"error\":\"e\"}", NM_OUTCOME_RETRY, 0, 60000 },
  { 400, "", "{\"code\":5003,\"error\":\"e\"}", NM_OUTCOME_REFUSED, 0, -1 },
  { 400, "", "{\"code\":5016,\"error\":\"e\"}", NM_OUTCOME_DEAD_RECIPIENT, 0, -1 },
  { 400, "", "{\"code\":5021,\"error\":\"e\"}", NM_OUTCOME_AUTH, NM_SCOPE_LANE, -1 },
  { 400, "", "{\"code\":5022,\"error\":\"e\"}", NM_OUTCOME_THROTTLED, NM_SCOPE_ACCOUNT, -1 },
  { 400, "", "{\"code\":5028,\"error\":\"e\"}", NM_OUTCOME_REFUSED, 0, -1 },
  { 400, "", "{\"code\":5042,\"error\":\"e\"}", NM_OUTCOME_REFUSED, 0, -1 },
  { 400, "", "{\"code\":6000,\"error\":\"e\"}", NM_OUTCOME_DEAD_RECIPIENT, 0, -1 },
  { 500, "", "{\"code\":6001,\"error\":\"e\"}", NM_OUTCOME_RETRY, 0, -1 },
  /* by status alone */
  { 400, "", "{\"code\":9999,\"error\":\"e\"}", NM_OUTCOME_REFUSED, 0, -1 },
  { 400, "", "{\"code\":\"5016\",\"error\":\"e\"}", NM_OUTCOME_DEAD_RECIPIENT, 0, -1 },
  { 400, "", "extId is required", NM_OUTCOME_REFUSED, 0, -1 },
  { 400, "", "[]", NM_OUTCOME_REFUSED, 0, -1 },
  { 400, "", "", NM_OUTCOME_REFUSED, 0, -1 },
  { 401, "", "", NM_OUTCOME_AUTH, NM_SCOPE_ACCOUNT, -1 },
  { 403, "", "{\"code\":1,\"error\":\"e\"}", NM_OUTCOME_AUTH, NM_SCOPE_ACCOUNT, -1 },
  { 404, "", "{\"type\":\"about:blank\",\"status\":404}", NM_OUTCOME_RETRY, 0, 60000 },
  { 405, "", "", NM_OUTCOME_RETRY, 0, 60000 },
  { 302, "Location: https://elsewhere/\r\n", "", NM_OUTCOME_RETRY, 0, 60000 },
  { 408, "", "", NM_OUTCOME_RETRY, 0, -1 },
  { 413, "", "", NM_OUTCOME_REFUSED, 0, -1 },
  { 422, "", "", NM_OUTCOME_REFUSED, 0, -1 },
  { 429, "", "", NM_OUTCOME_THROTTLED, NM_SCOPE_LANE, -1 },
  { 429, "Retry-After: 3\r\n", "{\"code\":1}", NM_OUTCOME_THROTTLED, NM_SCOPE_LANE, 3000 },
  { 500, "", "", NM_OUTCOME_RETRY, 0, -1 },
  { 503, "Retry-After: 2\r\n", "", NM_OUTCOME_RETRY, 0, 2000 },
  { 502, "", "<html>", NM_OUTCOME_UNKNOWN, 0, -1 },
  { 504, "", "", NM_OUTCOME_UNKNOWN, 0, -1 },
};

static void every_row_of_netmeras_errors_has_its_outcome(void **state)
{
  (void)state;
  static char answer[512];
  static const struct peer_act act = { PEER_ANSWER, answer };
  peer_open(&peer, &loop, &act, 1);
  open_provider("http://127.0.0.1", peer.port);
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    const struct expected *row = &table[i];
    snprintf(answer, sizeof answer, "HTTP/1.1 %d X\r\n%sContent-Length: %zu\r\n\r\n%s", row->status,
             row->head, strlen(row->body), row->body);
    send_to(1);
    struct nm_outcome got = sending.got[0].outcome;
    if (got.kind != row->kind || got.scope != row->scope ||
        got.retry_after_ms != row->retry_after_ms)
      fail_msg("%d %s: %s, scope %d, %lld ms", row->status, row->body, nm_outcome_name(got.kind),
               (int)got.scope, (long long)got.retry_after_ms);
    assert_int_equal(got.code, row->status);
    assert_false(got.is_unreachable);
    assert_false(sending.got[0].must_split); /* one message cannot be halved */
    char number[8];
    snprintf(number, sizeof number, "%d", row->status);
    assert_int_equal(strncmp(sending.got[0].reason, number, 3), 0);
  }
}

#define ANSWER_400(length, body) \
  "HTTP/1.1 400 Bad Request\r\nContent-Length: " #length "\r\n\r\n" body

static void whom_the_answer_names_is_dead_and_the_others_go_again(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER,
         ANSWER_400(65,
                    "{\"code\":5016,\"error\":\"User or external id not found: u1, u30, x\"}") });
  send_to(4);
  assert_outcome(1, NM_OUTCOME_DEAD_RECIPIENT);
  assert_false(sending.got[1].must_split);
  assert_string_equal(sending.got[1].reason, "400/5016 the external id was not found");
  for (size_t i = 0; i < 4; i++) {
    if (i == 1) continue;
    assert_outcome(i, NM_OUTCOME_RETRY);
    assert_true(sending.got[i].must_split);
    assert_int_equal(sending.got[i].outcome.retry_after_ms, 0);
  }
}

static void all_may_be_named(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER,
         ANSWER_400(60, "{\"code\":5016,\"error\":\"User or external id not found: u0,u1\"}") });
  send_to(2);
  assert_outcome(0, NM_OUTCOME_DEAD_RECIPIENT);
  assert_outcome(1, NM_OUTCOME_DEAD_RECIPIENT);
}

static void an_answer_that_names_nobody_halves_the_batch(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER,
         ANSWER_400(53, "{\"code\":5016,\"error\":\"User or external id not found\"}") },
       { PEER_ANSWER,
         ANSWER_400(54, "{\"code\":2004,\"error\":\"Field 'extId' should be a text\"}") },
       { PEER_ANSWER, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n" });
  for (int n = 0; n < 3; n++) {
    send_to(3);
    for (size_t i = 0; i < 3; i++) {
      assert_outcome(i, NM_OUTCOME_RETRY);
      assert_true(sending.got[i].must_split);
    }
  }
}

static void a_fault_of_the_content_refuses_those_who_share_it(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, ANSWER_400(44, "{\"code\":5003,\"error\":\"Message id not found\"}") });
  send_to(3);
  for (size_t i = 0; i < 3; i++) {
    assert_outcome(i, NM_OUTCOME_REFUSED);
    assert_false(sending.got[i].must_split);
    assert_string_equal(sending.got[i].reason,
                        "400/5003 no definition has this notificationKey (Message id not found)");
  }
  prepare(3);
  sending.messages[2].content = NM_TEXT("{\"notification_key\":\"107\"}");
  send_prepared(); /* now it is not known whose it is */
  for (size_t i = 0; i < 3; i++) {
    assert_outcome(i, NM_OUTCOME_RETRY);
    assert_true(sending.got[i].must_split);
  }
}

static void what_concerns_the_account_splits_nothing(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, "HTTP/1.1 403 No\r\nContent-Length: 13\r\n\r\n{\"code\":2010}" },
       { PEER_ANSWER, "HTTP/1.1 500 No\r\nContent-Length: 13\r\n\r\n{\"code\":2001}" },
       { PEER_ANSWER, "HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n" });
  static const enum nm_outcome_kind kinds[] = { NM_OUTCOME_AUTH, NM_OUTCOME_RETRY,
                                                NM_OUTCOME_THROTTLED };
  for (size_t n = 0; n < 3; n++) {
    prepare(2);
    sending.messages[1].content = NM_TEXT("{\"notification_key\":\"107\"}");
    send_prepared();
    for (size_t i = 0; i < 2; i++) {
      assert_outcome(i, kinds[n]);
      assert_false(sending.got[i].must_split);
    }
  }
}

static void a_reason_never_quotes_an_id_or_a_secret(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, ANSWER_400(51, "{\"code\":2004,\"error\":\"User 905551112233 is wrong\"} ") },
       { PEER_ANSWER, ANSWER_400(47, "{\"code\":2004,\"error\":\"Wrong person: Ada Byron\"}") },
       { PEER_ANSWER, ANSWER_400(46, "{\"code\":2004,\"error\":\"a@example.com is wrong\"}") });
  for (int i = 0; i < 3; i++) {
    send_to(1);
    assert_outcome(0, NM_OUTCOME_REFUSED);
    assert_null(strstr(sending.got[0].reason, "905551112233"));
    assert_null(strstr(sending.got[0].reason, "Ada"));
    assert_null(strstr(sending.got[0].reason, "example.com"));
    assert_null(strstr(sending.got[0].reason, "the-key"));
  }
}

/* ---- no answer ------------------------------------------------------------------------------- */

static void a_lost_answer_is_unknown_for_everyone(void **state)
{
  (void)state;
  PLAY({ PEER_CLOSE, NULL }, { PEER_RESET, NULL },
       { PEER_CLOSE, "HTTP/1.1 400 Bad\r\nContent-Length: 99\r\n\r\n{" });
  for (size_t n = 0; n < 3; n++) {
    send_to(3);
    for (size_t i = 0; i < 3; i++) {
      assert_outcome(i, NM_OUTCOME_UNKNOWN);
      assert_false(sending.got[i].must_split);
      assert_true(strlen(sending.got[i].reason) > 0);
    }
    assert_int_equal(peer.request_count, n + 1);
  }
}

static void an_unreachable_host_is_a_retry_that_says_so(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  peer_close(&peer);
  peer.port = 0;
  uv_run(&loop, UV_RUN_NOWAIT);
  send_to(2);
  for (size_t i = 0; i < 2; i++) {
    assert_outcome(i, NM_OUTCOME_RETRY);
    assert_true(sending.got[i].outcome.is_unreachable);
    assert_string_equal(sending.got[i].reason, "connection refused");
    assert_int_equal(sending.got[i].outcome.code, 0);
  }
}

static void an_address_that_may_not_be_called_is_a_retry_that_says_why(void **state)
{
  (void)state;
  open_provider("http://10.1.2.3", 80);
  send_to(1);
  assert_outcome(0, NM_OUTCOME_RETRY);
  assert_true(sending.got[0].outcome.is_unreachable);
  assert_non_null(strstr(sending.got[0].reason, "outbound.allow"));
}

/* ---- the end --------------------------------------------------------------------------------- */

static void closing_the_provider_ends_its_sends_at_once(void **state)
{
  (void)state;
  bool is_closed = false;
  PLAY({ PEER_SILENT, NULL });
  prepare(3);
  nm_adapter_netmera.send(provider, &sending.send);
  while (peer.request_count == 0) uv_run(&loop, UV_RUN_ONCE);
  nm_adapter_netmera.close(provider, on_closed, &is_closed);
  provider = NULL;
  assert_int_equal(sending.done, 3);
  for (size_t i = 0; i < 3; i++) assert_outcome(i, NM_OUTCOME_UNKNOWN);
  while (!is_closed) uv_run(&loop, UV_RUN_NOWAIT);
  assert_int_equal(nm_client_active(client), 1); /* its answer, if it comes, finds nobody */
}

static void closing_the_client_first_is_fine_too(void **state)
{
  (void)state;
  bool is_closed = false;
  PLAY({ PEER_SILENT, NULL });
  prepare(2);
  nm_adapter_netmera.send(provider, &sending.send);
  while (peer.request_count == 0) uv_run(&loop, UV_RUN_ONCE);
  nm_client_close(client, on_closed, &is_closed);
  client = NULL;
  assert_int_equal(sending.done, 2);
  for (size_t i = 0; i < 2; i++) assert_outcome(i, NM_OUTCOME_UNKNOWN);
  while (!is_closed) uv_run(&loop, UV_RUN_NOWAIT);
}

static void a_client_that_is_closing_is_a_retry(void **state)
{
  (void)state;
  bool is_closed = false;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  nm_client_close(client, on_closed, &is_closed);
  client = NULL;
  prepare(1);
  nm_adapter_netmera.send(provider, &sending.send); /* before its memory goes */
  assert_int_equal(sending.done, 0);
  while (!is_closed) uv_run(&loop, UV_RUN_NOWAIT);
  peer_run_until(&loop, &sending.is_done);
  assert_outcome(0, NM_OUTCOME_RETRY);
  assert_false(sending.got[0].outcome.is_unreachable);
}

static void what_never_reached_the_client_is_settled_by_close(void **state)
{
  (void)state;
  bool is_closed = false;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  prepare(1);
  sending.messages[0].content = NM_TEXT("{}");
  nm_adapter_netmera.send(provider, &sending.send);
  nm_adapter_netmera.close(provider, on_closed, &is_closed);
  provider = NULL;
  assert_int_equal(sending.done, 1);
  assert_outcome(0, NM_OUTCOME_REFUSED);
  while (!is_closed) uv_run(&loop, UV_RUN_NOWAIT);
}

static void nothing_was_logged_as_an_error(void **state)
{
  (void)state;
  assert_int_equal(nm_log_error_count(), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
  const struct CMUnitTest tests[] = {
    TEST(a_request_is_what_netmera_documents),
    TEST(a_batch_of_a_thousand_is_one_request),
    TEST(any_body_of_a_200_means_accepted),
    TEST(the_unfit_are_refused_and_the_others_go),
    TEST(a_send_of_nothing_but_unfit_asks_nobody),
    TEST(every_row_of_netmeras_errors_has_its_outcome),
    TEST(whom_the_answer_names_is_dead_and_the_others_go_again),
    TEST(all_may_be_named),
    TEST(an_answer_that_names_nobody_halves_the_batch),
    TEST(a_fault_of_the_content_refuses_those_who_share_it),
    TEST(what_concerns_the_account_splits_nothing),
    TEST(a_reason_never_quotes_an_id_or_a_secret),
    TEST(a_lost_answer_is_unknown_for_everyone),
    TEST(an_unreachable_host_is_a_retry_that_says_so),
    TEST(an_address_that_may_not_be_called_is_a_retry_that_says_why),
    TEST(closing_the_provider_ends_its_sends_at_once),
    TEST(closing_the_client_first_is_fine_too),
    TEST(a_client_that_is_closing_is_a_retry),
    TEST(what_never_reached_the_client_is_settled_by_close),
    TEST(nothing_was_logged_as_an_error),
  };
  return cmocka_run_group_tests_name("netmera", tests, NULL, NULL);
}
