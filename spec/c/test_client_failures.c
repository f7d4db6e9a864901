/* links: client */
/* Calls that come to nothing: whether anything was sent, and so whether it may be tried again. */
#include "client_kit.h"

/* ---- nothing was sent ------------------------------------------------------------------------ */

static void a_closed_port_is_unreachable(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  struct nm_text url = url_of("/");
  peer_close(&peer);
  uv_run(&loop, UV_RUN_NOWAIT);
  struct nm_client_call call = post("x");
  call.url = url;
  struct result result = run(call);
  peer.port = 0;
  assert_int_equal(result.answer.end, NM_CLIENT_UNREACHABLE);
  assert_string_equal(result.reason, "connection refused");
}

static void a_name_that_nobody_knows_is_unreachable(void **state)
{
  (void)state;
  struct nm_client_call call = { .method = "GET",
                                 .url = NM_TEXT("http://nobody.invalid/"),
                                 .timeout_ms = 3000 };
  assert_int_equal(run(call).answer.end, NM_CLIENT_UNREACHABLE);
}

static void failed_tls_is_unreachable(void **state)
{
  (void)state;
  PLAY({ PEER_CLOSE, NULL });
  peer.greeting = "HTTP/1.1 400 This is not TLS\r\n\r\n";
  char url[64];
  snprintf(url, sizeof url, "https://127.0.0.1:%d/", peer.port);
  struct nm_client_call call = { .method = "POST", .url = nm_text_from(url), .body = NM_TEXT("x") };
  struct result result = run(call);
  assert_int_equal(result.answer.end, NM_CLIENT_UNREACHABLE);
  assert_non_null(strstr(result.reason, "no connection: "));
}

static void tls_that_never_answers_is_unreachable_too(void **state)
{
  (void)state;
  PLAY({ PEER_SILENT, NULL });
  char url[64];
  snprintf(url, sizeof url, "https://127.0.0.1:%d/", peer.port);
  struct nm_client_call call = { .method = "POST", .url = nm_text_from(url), .timeout_ms = 50 };
  struct result result = run(call);
  assert_int_equal(result.answer.end, NM_CLIENT_UNREACHABLE);
  assert_string_equal(result.reason, "connect timed out");
}

static void the_guard_looks_at_what_a_name_resolves_to(void **state)
{
  (void)state;
  static const char *const hosts[] = { "127.0.0.1", "localhost", "a.localhost",
                                       "[::ffff:127.0.0.1]" };
  struct nm_client *strict;
  bool is_closed = false;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  assert_int_equal(nm_client_open(&strict, &loop, NULL, &err), NM_OK);
  for (size_t i = 0; i < 4; i++) {
    struct result result = { .is_done = false };
    char url[64];
    snprintf(url, sizeof url, "http://%s:%d/", hosts[i], peer.port);
    struct nm_client_call call = {
      .method = "GET", .url = nm_text_from(url), .done = on_done, .data = &result
    };
    assert_int_equal(nm_client_start(strict, &call, &err), NM_OK);
    peer_run_until(&loop, &result.is_done);
    if (result.answer.end != NM_CLIENT_REFUSED) fail_msg("%s: %s", hosts[i], result.reason);
    assert_non_null(strstr(result.reason, "outbound.allow"));
  }
  nm_client_close(strict, on_closed, &is_closed);
  peer_run_until(&loop, &is_closed);
  assert_int_equal(peer.connections, 0);
}

static void only_plain_web_addresses_are_called(void **state)
{
  (void)state;
  static const char *const urls[] = { "ftp://127.0.0.1/",
                                      "file:///etc/passwd",
                                      "gopher://127.0.0.1/",
                                      "127.0.0.1/",
                                      "http://user:pw@127.0.0.1/",
                                      "http://user@127.0.0.1/",
                                      "http://127.0.0.1/#f",
                                      "http:///",
                                      "http://127.0.0.1/a b",
                                      "http://127.0.0.1/\r\nX: y",
                                      "http://127.0.0.1:99999/",
                                      "x",
                                      "http://[::1/",
                                      "javascript:alert(1)" };
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    struct nm_client_call call = { .method = "GET", .url = nm_text_from(urls[i]) };
    struct result result = run(call);
    if (result.answer.end != NM_CLIENT_REFUSED)
      fail_msg("%s: %d %s", urls[i], (int)result.answer.end, result.reason);
    assert_true(strlen(result.reason) > 0);
    assert_null(strstr(result.reason, "pw"));
  }
}

static void what_cannot_be_a_request_is_not_started(void **state)
{
  (void)state;
  static const char *const headers[] = { "X: a\r\nY: b", "X: a\nb", "no colon", ": nameless",
                                         "Na me: x",     "X\r: y",  "",         "X;y: z" };
  struct result result = { .is_done = false };
  struct nm_client_call call = {
    .method = "GET", .url = NM_TEXT("http://127.0.0.1/"), .done = on_done, .data = &result
  };
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
    struct nm_text header = nm_text_from(headers[i]);
    call.headers = &header;
    call.header_count = 1;
    if (nm_client_start(client, &call, &err) != NM_EINVAL) fail_msg("%s was taken", headers[i]);
    assert_null(strstr(err.text, "Y: b"));
  }
  call.header_count = 0;
  call.method = "BREW";
  assert_int_equal(nm_client_start(client, &call, &err), NM_EINVAL);
  call.method = NULL;
  assert_int_equal(nm_client_start(client, &call, &err), NM_EINVAL);
  assert_int_equal(nm_client_active(client), 0);
  assert_int_equal(result.times, 0);
}

/* ---- something was sent ---------------------------------------------------------------------- */

static void a_lost_answer_is_unknown(void **state)
{
  (void)state;
  PLAY({ PEER_CLOSE, NULL }, { PEER_RESET, NULL }, { PEER_CLOSE, "HTTP/1.1 200 OK\r\nContent-Le" },
       { PEER_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}" },
       { PEER_CLOSE, "220 mail.example.com ESMTP\r\n" },
       { PEER_CLOSE, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n" });
  static const int statuses[] = { 0, 0, 0, 200, 0, 200 };
  for (size_t i = 0; i < 6; i++) {
    struct result result = run(post("once"));
    if (result.answer.end != NM_CLIENT_UNKNOWN)
      fail_msg("act %zu: end %d", i, (int)result.answer.end);
    assert_int_equal(result.answer.status, statuses[i]);
    assert_int_equal(result.answer.body.len, 0);
    assert_true(strlen(result.reason) > 0);
    assert_int_equal(peer.request_count, i + 1); /* and was not sent again */
  }
}

static void an_answer_that_never_comes_is_unknown(void **state)
{
  (void)state;
  PLAY({ PEER_SILENT, NULL });
  struct nm_client_call call = post("x");
  call.timeout_ms = 50;
  struct result result = run(call);
  assert_int_equal(result.answer.end, NM_CLIENT_UNKNOWN);
  assert_string_equal(result.reason, "no answer within 50 ms");
  assert_int_equal(peer.request_count, 1);
}

static void an_answer_that_is_too_large_is_unknown(void **state)
{
  (void)state;
  static char head[80000];
  snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
  while (strlen(head) < 70000) {
    size_t len = strlen(head);
    snprintf(head + len, sizeof head - len, "X-Filler-%zu: %0900d\r\n", len, 1);
  }
  strncat(head, "\r\n", 3);
  static struct peer_act acts[] = { { PEER_ANSWER,
                                      "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n12345678901" },
                                    { PEER_ANSWER, head } };
  peer_open(&peer, &loop, acts, 2);
  struct nm_client_call call = get();
  call.response_max_bytes = 10;
  struct result result = run(call);
  assert_int_equal(result.answer.end, NM_CLIENT_UNKNOWN);
  assert_int_equal(result.answer.status, 200);
  assert_string_equal(result.reason, "the answer is larger than 10 bytes");
  result = run(call);
  assert_int_equal(result.answer.end, NM_CLIENT_UNKNOWN);
  assert_int_equal(result.answer.status, 0);
}

static void answers_up_to_the_bound_are_taken(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1234567890" });
  struct nm_client_call call = get();
  call.response_max_bytes = 10;
  assert_string_equal(run(call).body, "1234567890");
}

/* The peer keeps the connection after the first answer, reads the second request whole, works on
 * it, and closes without a byte: libcurl's own habit is to send it again on a new connection. */
static void a_request_is_never_sent_twice_behind_our_back(void **state)
{
  (void)state;
  static const char *const methods[] = { "POST", "PUT", "GET", "DELETE", "POST" };
  PLAY({ PEER_ANSWER, OK_ANSWER }, { PEER_CLOSE, NULL }, { PEER_ANSWER, OK_ANSWER },
       { PEER_CLOSE, NULL }, { PEER_ANSWER, OK_ANSWER }, { PEER_CLOSE, NULL },
       { PEER_ANSWER, OK_ANSWER }, { PEER_CLOSE, NULL }, { PEER_ANSWER, OK_ANSWER },
       { PEER_RESET, NULL });
  for (size_t i = 0; i < 5; i++) {
    struct nm_client_call call = { .method = methods[i],
                                   .body = i == 4 ? NM_TEXT("") : NM_TEXT("work") };
    assert_int_equal(run(call).answer.end, NM_CLIENT_ANSWERED);
    struct result result = run(call);
    assert_int_equal(peer.requests[i * 2 + 1].connection,
                     peer.requests[i * 2].connection); /* reused */
    assert_int_equal(result.answer.end, NM_CLIENT_UNKNOWN);
    assert_string_equal(result.reason, "the connection closed before the answer came");
    assert_int_equal(peer.request_count, i * 2 + 2);
  }
}

static void assert_request(int number, const char *line, const char *header, const char *body)
{
  const struct peer_request *seen = &peer.requests[number];
  if (strncmp(seen->bytes, line, strlen(line)) != 0) fail_msg("%d: %s", number, seen->bytes);
  const char *mine = strstr(seen->bytes, "\r\nX-Mine: ");
  bool is_there = mine && header && strncmp(mine, header, strlen(header)) == 0;
  if (is_there != (header != NULL) || (mine && !header)) fail_msg("%d: %s", number, seen->bytes);
  assert_string_equal(seen->body, body);
}

/* What is set up for one request serves the next one that is like it, and only that. */
static void each_request_carries_its_own(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  const struct nm_text one[] = { NM_TEXT("X-Mine: 1") }, two[] = { NM_TEXT("X-Mine: 22") };
  struct nm_client_call call = { .method = "POST", .url = url_of("/a"), .header_count = 1 };
  static const char *const bodies[] = { "first", "the second, which is longer", "", "4th" };
  for (size_t i = 0; i < 4; i++) {
    call.headers = i < 3 ? one : two;
    call.body = nm_text_from(bodies[i]);
    assert_int_equal(run(call).answer.end, NM_CLIENT_ANSWERED);
  }
  call.header_count = 0;
  assert_int_equal(run(call).answer.end, NM_CLIENT_ANSWERED);
  call.method = "PUT";
  assert_int_equal(run(call).answer.end, NM_CLIENT_ANSWERED);
  call.url = url_of("/other");
  assert_int_equal(run(call).answer.end, NM_CLIENT_ANSWERED);
  assert_int_equal(run(get()).answer.end, NM_CLIENT_ANSWERED);
  assert_int_equal(run(post("last")).answer.end, NM_CLIENT_ANSWERED);

  for (int i = 0; i < 3; i++)
    assert_request(i, "POST /a HTTP/1.1\r\n", "\r\nX-Mine: 1\r\n", bodies[i]);
  assert_request(3, "POST /a HTTP/1.1\r\n", "\r\nX-Mine: 22\r\n", bodies[3]);
  assert_request(4, "POST /a HTTP/1.1\r\n", NULL, "4th");
  assert_request(5, "PUT /a HTTP/1.1\r\n", NULL, "4th");
  assert_request(6, "PUT /other HTTP/1.1\r\n", NULL, "4th");
  assert_request(7, "GET / HTTP/1.1\r\n", NULL, "");
  assert_request(8, "POST / HTTP/1.1\r\n", NULL, "last");
  assert_int_equal(peer.connections, 1);
}

/* A header with a line break is refused also where its bytes are those of two that went before. */
static void a_line_break_does_not_pass_for_two_headers(void **state)
{
  (void)state;
  PLAY({ PEER_ANSWER, OK_ANSWER });
  const struct nm_text two[] = { NM_TEXT("X-A: 1"), NM_TEXT("X-B: 2") };
  const struct nm_text joined[] = { NM_TEXT("X-A: 1\r\nX-B: 2") };
  struct nm_client_call call = post("x");
  struct result result = { .is_done = false };
  call.headers = two;
  call.header_count = 2;
  assert_int_equal(run(call).answer.end, NM_CLIENT_ANSWERED);
  call.headers = joined;
  call.header_count = 1;
  call.done = on_done;
  call.data = &result;
  call.url = url_of("/");
  assert_int_equal(nm_client_start(client, &call, &err), NM_EINVAL);
  call.headers = two;
  call.header_count = 2;
  assert_int_equal(run(call).answer.end, NM_CLIENT_ANSWERED);
  assert_int_equal(peer.request_count, 2);
}

/* The peer hangs up while nothing is under way: the next request goes by another connection. */
static void an_idle_connection_that_is_closed_is_not_used_again(void **state)
{
  (void)state;
  PLAY({ PEER_CLOSE, OK_ANSWER });
  for (int i = 1; i <= 3; i++) {
    assert_int_equal(run(post("x")).answer.end, NM_CLIENT_ANSWERED);
    while (peer.connections_open > 0) uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(peer.connections, i);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(a_closed_port_is_unreachable),
    TEST(a_name_that_nobody_knows_is_unreachable),
    TEST(failed_tls_is_unreachable),
    TEST(tls_that_never_answers_is_unreachable_too),
    TEST(the_guard_looks_at_what_a_name_resolves_to),
    TEST(only_plain_web_addresses_are_called),
    TEST(what_cannot_be_a_request_is_not_started),
    TEST(a_lost_answer_is_unknown),
    TEST(an_answer_that_never_comes_is_unknown),
    TEST(an_answer_that_is_too_large_is_unknown),
    TEST(answers_up_to_the_bound_are_taken),
    TEST(a_request_is_never_sent_twice_behind_our_back),
    TEST(each_request_carries_its_own),
    TEST(a_line_break_does_not_pass_for_two_headers),
    TEST(an_idle_connection_that_is_closed_is_not_used_again),
    TEST(nothing_was_logged_as_an_error),
  };
  return cmocka_run_group_tests_name("client failures", tests, NULL, NULL);
}
