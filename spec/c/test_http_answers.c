/* links: http */
/* What is answered: routes, refusals in their order, error bodies. */
#include "http_world.h"

#define H "Host: x\r\n"
#define ERROR(code, message) "{\"error\":{\"code\":\"" code "\",\"message\":\"" message "\"}}"
#define NO_PATH ERROR("not_found", "there is nothing at this path")
#define NO_METHOD ERROR("method_not_allowed", "this path does not take this method")
#define TYPE ERROR("unsupported_media_type",                                                      \
                   "the body must be application/json or application/x-ndjson")
#define TOO_LARGE ERROR("body_too_large", "the body is longer than this route takes")
#define BAD_PATH ERROR("bad_path", "an escape in the path that does not belong there")
#define BAD_TARGET                                                                                \
  ERROR("bad_path", "the request target is not a path, or an escape is wrong")

struct exchange {
  const char *request, *status, *body;
};

static void answers_all(const struct exchange *exchanges, size_t count)
{
  struct world world;
  struct caller caller;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ 0 });
  caller_open(&caller, &world);
  for (size_t i = 0; i < count; i++)
    caller_asks(&caller, exchanges[i].request, exchanges[i].status, exchanges[i].body);
  caller_close(&caller);
  world_close(&world);
}

static void answers_routes_on_one_connection(void **state)
{
  static const struct exchange EXCHANGES[] = {
    { "GET /echo?a=1&q=a%20b+c%2B HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 OK\r\n",
      "/echo key= q=a b c+ type= body=" },
    { "GET /item/a%20b%C3%A7+ HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 OK\r\n",
      "/item/a%20b%C3%A7+ key=a b\xc3\xa7+ q= type= body=" },
    { "DELETE /item/7/part HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 OK\r\n",
      "/item/7/part key=7 q= type= body=" },
    { "POST /echo HTTP/1.1\r\n" H "Content-Type: Application/JSON; charset=utf-8\r\n"
      "Content-Length: 2\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\n", "/echo key= q= type=Application/JSON body={}" },
    { "POST /echo HTTP/1.1\r\n" H "Content-Type: application/x-ndjson\r\n"
      "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\n", "/echo key= q= type=application/x-ndjson body={}" },
    { "POST /echo HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n",
      "/echo key= q= type= body=" },
    { "POST /any HTTP/1.1\r\n" H "Content-Type: what/ever\r\nContent-Length: 1\r\n\r\nx",
      "HTTP/1.1 200 OK\r\n", "/any key= q= type=what/ever body=x" },
    { "GET http://other.example/echo?q=1 HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 OK\r\n",
      "/echo key= q=1 type= body=" },
  };
  (void)state;
  answers_all(EXCHANGES, sizeof EXCHANGES / sizeof *EXCHANGES);
}

/* All of these leave the connection open: what was sent has been read to its end. */
static void refuses_in_the_contracts_order_and_stays(void **state)
{
  static const struct exchange EXCHANGES[] = {
    { "GET /nope HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 Not Found\r\n", NO_PATH },
    { "GET /echo/ HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 Not Found\r\n", NO_PATH },
    { "GET /item/ HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 Not Found\r\n", NO_PATH },
    { "GET /item/a/b HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 Not Found\r\n", NO_PATH },
    { "GET // HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 Not Found\r\n", NO_PATH },
    /* path before method, type and size */
    { "POST /nope HTTP/1.1\r\n" H "Content-Type: text/html\r\nContent-Length: 3\r\n\r\nabc",
      "HTTP/1.1 404 Not Found\r\n", NO_PATH },
    { "DELETE /echo HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc",
      "HTTP/1.1 405 Method Not Allowed\r\n", NO_METHOD },
    { "PATCH /echo HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 405 Method Not Allowed\r\n", NO_METHOD },
    { "PROPFIND /echo HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 501 Not Implemented\r\n",
      ERROR("not_implemented", "no such method") },
    /* type before size */
    { "POST /echo HTTP/1.1\r\n" H "Content-Type: text/html\r\nContent-Length: 3\r\n\r\nabc",
      "HTTP/1.1 415 Unsupported Media Type\r\n", TYPE },
    { "POST /echo HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc",
      "HTTP/1.1 415 Unsupported Media Type\r\n", TYPE },
    { "POST /echo HTTP/1.1\r\n" H "Content-Type: text/html\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 415 Unsupported Media Type\r\n", TYPE },
    { "GET /echo HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc",
      "HTTP/1.1 413 Content Too Large\r\n", TOO_LARGE },
    { "GET /item/a%2Fb HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 Bad Request\r\n", BAD_PATH },
    { "GET /item/a%ff HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 Bad Request\r\n", BAD_PATH },
    { "GET /item/a%00 HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 Bad Request\r\n", BAD_TARGET },
    { "GET /item/a%2 HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 Bad Request\r\n", BAD_TARGET },
    { "GET /item/a%g0 HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 Bad Request\r\n", BAD_TARGET },
    { "GET /echo?q=%zz HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 Bad Request\r\n", BAD_TARGET },
    { "GET * HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 Bad Request\r\n", BAD_TARGET },
    { "GET /echo HTTP/1.1\r\n" H "Expect: tea\r\n\r\n", "HTTP/1.1 417 Expectation Failed\r\n",
      ERROR("expectation_failed", "the only expectation here is 100-continue") },
    { "GET /refuse HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 503 Service Unavailable\r\n",
      "{\"error\":{\"code\":\"full\",\"message\":\"say \\\"later\\\"\","
      "\"field\":\"EventTypeID\"}}" },
    { "GET /echo HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 OK\r\n", "/echo key= q= type= body=" },
  };
  (void)state;
  answers_all(EXCHANGES, sizeof EXCHANGES / sizeof *EXCHANGES);
}

/* Each on its own connection, which ends after the answer. */
static void refuses_and_closes_where_nothing_more_can_be_trusted(void **state)
{
  static const struct exchange EXCHANGES[] = {
    { "GET / HTTP/1.1\nHost: x\n\n", "HTTP/1.1 400 Bad Request\r\n", "\"bad_http\"" },
    { "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "\"bad_http\"" },
    { "GET echo HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 Bad Request\r\n", "\"bad_http\"" },
    { "BREW / HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 501 Not Implemented\r\n", "\"not_implemented\"" },
    { "POST /echo HTTP/1.1\r\n" H "Content-Type: application/json\r\nContent-Length: 70000\r\n\r\n",
      "HTTP/1.1 413 Content Too Large\r\n", "\"body_too_large\"" },
    { "POST /nope HTTP/1.1\r\n" H "Content-Length: 70000\r\n\r\n", "HTTP/1.1 404 Not Found\r\n",
      "\"not_found\"" },
    { "POST /echo HTTP/1.1\r\n" H "Content-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX",
      "HTTP/1.1 400 Bad Request\r\n", "\"bad_http\"" },
    { "POST /echo HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Type: text/html\r\n"
      "Expect: 100-continue\r\n\r\n",
      "HTTP/1.1 415 Unsupported Media Type\r\n", "\"unsupported_media_type\"" },
    { "POST /echo HTTP/1.1\r\n" H "Content-Length: 3\r\nExpect: 200-ok\r\n\r\nabc"
      "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n",
      "HTTP/1.1 417 Expectation Failed\r\n", "\"expectation_failed\"" },
  };
  struct world world;
  (void)state;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ 0 });
  for (size_t i = 0; i < sizeof EXCHANGES / sizeof *EXCHANGES; i++) {
    struct caller caller;
    caller_open(&caller, &world);
    caller_says(&caller, EXCHANGES[i].request);
    caller_hears_end(&caller);
    if (!caller_heard(&caller, EXCHANGES[i].status) || !caller_heard(&caller, EXCHANGES[i].body))
      fail_msg("'%s' was answered with %s", EXCHANGES[i].request, caller.in);
    assert_true(caller_heard(&caller, "\r\nConnection: close\r\n"));
    caller_close(&caller);
  }
  assert_int_equal(world.handled_count, 0);
  world_close(&world);
}

static void refuses_a_large_head_and_many_headers_with_431(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ .head_max_bytes = 512 });
  for (int i = 0; i < 2; i++) {
    caller_open(&caller, &world);
    caller_says(&caller, "GET /echo HTTP/1.1\r\n" H "A: ");
    for (int k = 0; k < 101; k++) caller_says(&caller, i == 0 ? "aaaaaaaaaa" : "\r\nA: ");
    caller_hears_end(&caller);
    assert_true(caller_heard(&caller, "HTTP/1.1 431 Request Header Fields Too Large\r\n"));
    assert_true(caller_heard(&caller, "{\"error\":{\"code\":\"head_too_large\""));
    caller_close(&caller);
  }
  world_close(&world);
}

static void names_the_methods_of_a_path(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ 0 });
  caller_open(&caller, &world);
  caller_asks(&caller, "OPTIONS /echo HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 204 No Content\r\n", "");
  assert_true(caller_heard(&caller, "\r\nAllow: GET, HEAD, POST, PUT, OPTIONS\r\n"));
  assert_false(caller_heard(&caller, "Content-Length"));
  caller_asks(&caller, "OPTIONS * HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 204 No Content\r\n", "");
  assert_true(caller_heard(&caller, "\r\nAllow: GET, HEAD, POST, PUT, DELETE, OPTIONS\r\n"));
  caller_asks(&caller, "OPTIONS /nope HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 Not Found\r\n",
              NO_PATH);
  caller_asks(&caller, "PUT /later HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 405 Method Not Allowed\r\n",
              NO_METHOD);
  assert_true(caller_heard(&caller, "\r\nAllow: GET, HEAD, POST, OPTIONS\r\n"));
  caller_close(&caller);
  world_close(&world);
}

static void answers_head_like_get_without_the_body(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ 0 });
  caller_open(&caller, &world);
  caller_asks(&caller, "HEAD /echo HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 OK\r\n", "");
  assert_true(caller_heard(&caller, "\r\nContent-Length: 25\r\n"));
  caller_asks(&caller, "HEAD /nope HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 Not Found\r\n", "");
  caller_asks(&caller, "GET /echo HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 OK\r\n",
              "/echo key= q= type= body=");
  caller_close(&caller);
  world_close(&world);
}

static void says_when_it_may_be_asked_again(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ 0 });
  caller_open(&caller, &world);
  caller_says(&caller, "GET /refuse HTTP/1.1\r\n" H "\r\n");
  caller_hears(&caller, "EventTypeID");
  assert_true(caller_heard(&caller, "\r\nRetry-After: 7\r\n"));
  assert_true(caller_heard(&caller, "\r\nDate: "));
  assert_true(caller_heard(&caller, " GMT\r\n"));
  assert_true(caller_heard(&caller, "\r\nContent-Type: application/json\r\n"));
  caller_close(&caller);
  world_close(&world);
}

static void counts_requests_and_connections(void **state)
{
  struct world world;
  struct caller caller;
  int64_t before = nm_metric_get(NM_METRIC_REQUESTS);
  (void)state;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ 0 });
  caller_open(&caller, &world);
  caller_asks(&caller, "GET /nope HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 Not Found\r\n", NO_PATH);
  caller_asks(&caller, "GET /echo HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 OK\r\n",
              "/echo key= q= type= body=");
  assert_int_equal(nm_metric_get(NM_METRIC_CONNECTIONS_OPEN), 1);
  caller_says(&caller, "nonsense\n");
  caller_hears_end(&caller);
  assert_int_equal(nm_metric_get(NM_METRIC_REQUESTS), before + 3);
  caller_close(&caller);
  world_close(&world);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(answers_routes_on_one_connection),
    cmocka_unit_test(refuses_in_the_contracts_order_and_stays),
    cmocka_unit_test(refuses_and_closes_where_nothing_more_can_be_trusted),
    cmocka_unit_test(refuses_a_large_head_and_many_headers_with_431),
    cmocka_unit_test(names_the_methods_of_a_path),
    cmocka_unit_test(answers_head_like_get_without_the_body),
    cmocka_unit_test(says_when_it_may_be_asked_again),
    cmocka_unit_test(counts_requests_and_connections),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
