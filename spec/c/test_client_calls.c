/* links: client */
/* What is sent and what comes back; many calls at once, and the end of a client. */
#include "client_kit.h"
#include "unsent_kit.h"

/* ---- what is sent and what comes back -------------------------------------------------------- */

static void an_answer_comes_with_status_and_body(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope" });
  struct result result = run(get());
  assert_int_equal(result.answer.end, NM_CLIENT_ANSWERED);
  assert_int_equal(result.answer.status, 404);
  assert_string_equal(result.body, "nope");
  assert_int_equal(result.answer.retry_after_ms, -1);
  assert_string_equal(result.reason, "");
  assert_int_equal(nm_client_active(client), 0);
}

static void a_post_carries_our_headers_and_nothing_of_curls(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  const struct nm_text headers[] = { NM_TEXT("X-netmera-api-key: k"),
                                     NM_TEXT("Content-Type: application/json"),
                                     NM_TEXT("X-Blank:") };
  struct nm_client_call call = post("{\"a\":\"\0b\"}");
  call.body = (struct nm_text){ "{\"a\":\"\0b\"}", 10 };
  call.headers = headers;
  call.header_count = 3;
  assert_int_equal(run(call).answer.end, NM_CLIENT_ANSWERED);
  const char *seen = peer.requests[0].bytes;
  assert_int_equal(strncmp(seen, "POST / HTTP/1.1\r\n", 17), 0);
  assert_non_null(strstr(seen, "\r\nX-netmera-api-key: k\r\n"));
  assert_non_null(strstr(seen, "\r\nContent-Type: application/json\r\n"));
  assert_non_null(strstr(seen, "\r\nX-Blank:\r\n"));
  assert_null(strcasestr(seen, "Expect"));
  assert_null(strcasestr(seen, "form"));
  assert_int_equal(peer.requests[0].body_len, 10);
  assert_memory_equal(peer.requests[0].body, "{\"a\":\"\0b\"}", 10);
}

static void every_method_sends_its_own_line(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };
  for (size_t i = 0; i < 5; i++) {
    struct nm_client_call call = { .method = methods[i] };
    assert_int_equal(run(call).answer.end, NM_CLIENT_ANSWERED);
    const char *seen = peer.requests[i].bytes;
    assert_int_equal(strncmp(seen, methods[i], strlen(methods[i])), 0);
    assert_int_equal(strstr(seen, "\r\nContent-Length: 0\r\n") != NULL, methods[i][0] == 'P');
    assert_null(strcasestr(seen, "Content-Type"));
  }
  assert_int_equal(peer.connections, 1); /* one connection served them all */
}

static void a_large_body_arrives_whole(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  size_t len = 3 * 1024 * 1024;
  char *body = malloc(len + 1);
  assert_non_null(body);
  memset(body, 'x', len);
  body[len] = 0;
  struct nm_client_call call = post(body);
  assert_int_equal(run(call).answer.end, NM_CLIENT_ANSWERED);
  assert_int_equal(peer.requests[0].body_len, len);
  assert_memory_equal(peer.requests[0].body, body, len);
  free(body);
}

static void retry_after_is_read_as_seconds_or_date_and_capped(void **state)
{
  (void)state;
  static const struct {
    const char *value;
    int64_t expected_ms;
  } cases[] = { { "0", 0 },
                { "7", 7000 },
                { " 120 ", 120000 },
                { "86400", 86400000 },
                { "86401", 86400000 },
                { "99999999999999999999999", 86400000 },
                { "Sun, 06 Nov 1994 08:49:37 GMT", 0 },
                { "Fri, 31 Dec 2100 23:59:59 GMT", 86400000 },
                { "soon", -1 },
                { "-5", -1 },
                { "", -1 } };
  static char answer[256];
  static const struct peer_act act = { PEER_ANSWER, answer };
  peer_open(&peer, &loop, &act, 1);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    snprintf(answer, sizeof answer,
             "HTTP/1.1 429 Slow\r\nretry-AFTER: %s\r\nContent-Length: 0\r\n\r\n", cases[i].value);
    struct result result = run(get());
    if (result.answer.retry_after_ms != cases[i].expected_ms)
      fail_msg("\"%s\": %lld", cases[i].value, (long long)result.answer.retry_after_ms);
  }
}

static void a_date_in_retry_after_counts_from_now(void **state)
{
  (void)state;
  static char answer[256];
  static const struct peer_act act = { PEER_ANSWER, answer };
  peer_open(&peer, &loop, &act, 1);
  time_t at = time(NULL) + 600;
  struct tm utc;
  char date[64];
  strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&at, &utc));
  snprintf(answer, sizeof answer,
           "HTTP/1.1 503 Busy\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", date);
  int64_t wait_ms = run(get()).answer.retry_after_ms;
  assert_true(wait_ms > 500 * 1000 && wait_ms <= 600 * 1000);
}

static void only_the_final_head_counts(void **state)
{
  (void)state;
  PLAY(
      { PEER_ANSWER,
        "HTTP/1.1 103 Early\r\nRetry-After: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" },
      { PEER_CLOSE, "HTTP/1.1 103 Early\r\n\r\n" });
  struct result result = run(get());
  assert_int_equal(result.answer.status, 200);
  assert_int_equal(result.answer.retry_after_ms, -1);
  result = run(get());
  assert_int_equal(result.answer.end, NM_CLIENT_UNKNOWN);
  assert_int_equal(result.answer.status, 0);
}

static void a_redirect_is_an_answer_like_any_other(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" });
  assert_int_equal(run(get()).answer.status, 302);
  assert_int_equal(peer.request_count, 1);
}

static void proxies_of_the_environment_are_not_asked(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
  struct result result = run(get());
  unsetenv("http_proxy");
  unsetenv("ALL_PROXY");
  assert_int_equal(result.answer.end, NM_CLIENT_ANSWERED);
}

/* ---- many, and the end ----------------------------------------------------------------------- */

static void many_calls_share_few_connections(void **state)
{
  (void)state;
  enum { CALLS = 60 };
  static struct result results[CALLS];
  PLAY({ PEER_ANSWER, OK_ANSWER });
  for (int i = 0; i < CALLS; i++) start(post("x"), &results[i]);
  assert_int_equal(nm_client_active(client), CALLS);
  for (int i = 0; i < CALLS; i++) {
    peer_run_until(&loop, &results[i].is_done);
    assert_int_equal(results[i].answer.end, NM_CLIENT_ANSWERED);
  }
  assert_true(peer.connections <= CONNECTIONS_MAX);
  assert_int_equal(peer.request_count, CALLS);
}

/* Requests leave together when curl has set up all of them, and none waits for the next turn. */
static void no_request_is_kept_back_while_the_loop_waits(void **state)
{
  (void)state;
  enum { CALLS = 60 };
  static struct result results[CALLS];
  struct unsent unsent;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  unsent_open(&unsent, &loop, peer.port);
  for (int i = 0; i < CALLS; i++) start(i % 3 ? post("x") : get(), &results[i]);
  for (int i = 0; i < CALLS; i++) peer_run_until(&loop, &results[i].is_done);
  for (int i = 0; i < 3; i++) assert_int_equal(run(post("one")).answer.end, NM_CLIENT_ANSWERED);
  unsent_close(&unsent);
}

struct chain {
  struct nm_client_call call;
  int left;
  bool is_done;
};

static void on_link(void *data, const struct nm_client_answer *answer)
{
  struct chain *chain = data;
  assert_int_equal(answer->end, NM_CLIENT_ANSWERED);
  if (--chain->left == 0) {
    chain->is_done = true;
    uv_stop(&loop);
    return;
  }
  assert_int_equal(nm_client_start(client, &chain->call, &err), NM_OK);
}

static void a_done_may_start_the_next_call(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  struct chain chain = { .left = 20 };
  chain.call = (struct nm_client_call){
    .method = "GET", .url = url_of("/"), .done = on_link, .data = &chain
  };
  assert_int_equal(nm_client_start(client, &chain.call, &err), NM_OK);
  peer_run_until(&loop, &chain.is_done);
  assert_int_equal(peer.connections, 1);
}

static void closing_ends_every_call_once(void **state)
{
  (void)state;
  enum { CALLS = 20 };
  static struct result results[CALLS];
  PLAY({ PEER_SILENT, NULL });
  for (int i = 0; i < CALLS; i++) start(post("x"), &results[i]);
  while (peer.request_count < CONNECTIONS_MAX) uv_run(&loop, UV_RUN_ONCE);

  struct nm_client *closing = client;
  bool is_closed = false;
  client = NULL;
  nm_client_close(closing, on_closed, &is_closed);
  int unknown = 0, unsent = 0;
  for (int i = 0; i < CALLS; i++) {
    assert_int_equal(results[i].times, 1);
    if (results[i].answer.end == NM_CLIENT_UNKNOWN) unknown++;
    if (results[i].answer.end == NM_CLIENT_UNREACHABLE) unsent++;
  }
  assert_int_equal(unknown, CONNECTIONS_MAX);
  assert_int_equal(unsent, CALLS - CONNECTIONS_MAX); /* these waited for a connection */
  struct nm_client_call call = get();
  call.url = url_of("/");
  assert_int_equal(nm_client_start(closing, &call, &err), NM_ECLOSED);
  assert_false(is_closed);
  peer_run_until(&loop, &is_closed);
  for (int i = 0; i < CALLS; i++) assert_int_equal(results[i].times, 1);
}

static bool closed_inside;

static void on_done_close(void *data, const struct nm_client_answer *answer)
{
  on_done(data, answer);
  struct nm_client *closing = client;
  client = NULL;
  nm_client_close(closing, on_closed, &closed_inside);
}

static void a_done_may_close_the_client(void **state)
{
  (void)state;
  struct result first = { .is_done = false }, second;
  PLAY({ PEER_ANSWER, OK_ANSWER }, { PEER_SILENT, NULL });
  struct nm_client_call call = {
    .method = "GET", .url = url_of("/"), .done = on_done_close, .data = &first
  };
  assert_int_equal(nm_client_start(client, &call, &err), NM_OK);
  start(get(), &second);
  closed_inside = false;
  peer_run_until(&loop, &closed_inside);
  assert_int_equal(first.times, 1);
  assert_int_equal(second.times, 1);
}

static void closing_while_a_name_is_being_resolved_does_not_wait(void **state)
{
  (void)state;
  struct result result;
  struct nm_client_call call = { .method = "GET", .url = NM_TEXT("http://slow.nobody.invalid/") };
  start(call, &result);
  uv_run(&loop, UV_RUN_ONCE); /* curl has begun */
  struct nm_client *closing = client;
  bool is_closed = false;
  client = NULL;
  nm_client_close(closing, on_closed, &is_closed);
  assert_int_equal(result.times, 1);
  assert_int_equal(result.answer.end, NM_CLIENT_UNREACHABLE);
  peer_run_until(&loop, &is_closed);
}

static void names_a_range_in_the_settings_that_is_none(void **state)
{
  (void)state;
  struct nm_text wrong = NM_TEXT("10.0.0.0/99");
  struct nm_client_options options = { .allow = &wrong, .allow_count = 1 };
  struct nm_client *none = NULL;
  assert_int_equal(nm_client_open(&none, &loop, &options, &err), NM_EINVAL);
  assert_null(none);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(an_answer_comes_with_status_and_body),
    TEST(a_post_carries_our_headers_and_nothing_of_curls),
    TEST(every_method_sends_its_own_line),
    TEST(a_large_body_arrives_whole),
    TEST(retry_after_is_read_as_seconds_or_date_and_capped),
    TEST(a_date_in_retry_after_counts_from_now),
    TEST(only_the_final_head_counts),
    TEST(a_redirect_is_an_answer_like_any_other),
    TEST(proxies_of_the_environment_are_not_asked),
    TEST(no_request_is_kept_back_while_the_loop_waits),
    TEST(many_calls_share_few_connections),
    TEST(a_done_may_start_the_next_call),
    TEST(closing_ends_every_call_once),
    TEST(a_done_may_close_the_client),
    TEST(closing_while_a_name_is_being_resolved_does_not_wait),
    TEST(names_a_range_in_the_settings_that_is_none),
    TEST(nothing_was_logged_as_an_error),
  };
  return cmocka_run_group_tests_name("client calls", tests, NULL, NULL);
}
