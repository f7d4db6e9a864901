/* links: client */
#include "peer.h"

#include "base/log.h"
#include "client/client.h"

enum { CONNECTIONS_MAX = 16 };

static uv_loop_t loop;
static struct nm_client *client;
static struct peer peer;
static struct nm_error err;

/* What became of one call. */
struct result {
  bool is_done;
  int times;
  struct nm_client_answer answer;
  char body[512], reason[512];
};

static void on_done(void *data, const struct nm_client_answer *answer)
{
  struct result *result = data;
  result->is_done = true;
  result->times++;
  result->answer = *answer;
  snprintf(result->body, sizeof result->body, "%.*s", NM_TEXT_ARG(answer->body));
  snprintf(result->reason, sizeof result->reason, "%s", answer->reason);
  uv_stop(&loop);
}

static int begin(void **state)
{
  (void)state;
  static const struct nm_text allow = { "127.0.0.0/8", 11 };
  struct nm_client_options options = { .allow = &allow, .allow_count = 1,
                                       .connections_per_host_max = CONNECTIONS_MAX };
  return uv_loop_init(&loop) || nm_client_open(&client, &loop, &options, &err);
}

static void on_closed(void *data)
{
  *(bool *)data = true;
  uv_stop(&loop);
}

static int end(void **state)
{
  (void)state;
  bool is_closed = false;
  if (client) {
    nm_client_close(client, on_closed, &is_closed);
    client = NULL;
  } else {
    is_closed = true;
  }
  if (peer.port) peer_close(&peer);
  peer_run_out(&loop);
  peer_free(&peer);
  memset(&peer, 0, sizeof peer);
  assert_true(is_closed);
  return uv_loop_close(&loop);
}

static struct nm_text url_of(const char *path)
{
  static char url[256];
  snprintf(url, sizeof url, "http://127.0.0.1:%d%s", peer.port, path);
  return nm_text_from(url);
}

static void start(struct nm_client_call call, struct result *result)
{
  *result = (struct result){ .is_done = false };
  call.done = on_done;
  call.data = result;
  if (call.url.len == 0) call.url = url_of("/");
  if (nm_client_start(client, &call, &err)) fail_msg("%s", err.text);
  assert_false(result->is_done);
}

static struct result run(struct nm_client_call call)
{
  struct result result;
  start(call, &result);
  peer_run_until(&loop, &result.is_done);
  assert_int_equal(result.times, 1);
  return result;
}

static struct nm_client_call get(void)
{
  return (struct nm_client_call){ .method = "GET" };
}

static struct nm_client_call post(const char *body)
{
  return (struct nm_client_call){ .method = "POST", .body = nm_text_from(body) };
}

#define PLAY(...)                                                                                  \
  static const struct peer_act acts[] = { __VA_ARGS__ };                                           \
  peer_open(&peer, &loop, acts, sizeof acts / sizeof *acts)

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

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

static void nothing_was_logged_as_an_error(void **state)
{
  (void)state;
  assert_int_equal(nm_log_error_count(), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
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
