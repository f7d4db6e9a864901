/* links: http */
/* How connections live: keep-alive, pipelining, back-pressure, 100-continue, draining, stopping. */
#include "http_world.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define JSON_POST(path) "POST " path " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

static const struct nm_http_limits DEFAULTS = { 0 };

static void answers_pipelined_requests_in_order_while_a_handler_takes_its_time(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  caller_open(&caller, &world);
  caller_says(&caller, GET("/later?q=first") GET("/echo?q=second") GET("/later?q=third"));
  world_until(&world, world.held_count == 1);
  assert_int_equal(world.handled_count, 1);
  assert_int_equal(caller.len, 0);

  world_answer(&world);
  caller_hears(&caller, "q=second");
  assert_true(caller_heard(&caller, "q=first"));
  assert_ptr_not_equal(strstr(strstr(caller.in, "q=first"), "q=second"), NULL);
  world_until(&world, world.held_count == 2);
  world_answer(&world);
  caller_hears(&caller, "q=third");
  caller_close(&caller);
  world_close(&world);
}

static void hands_over_one_of_a_thousand_requests_at_a_time(void **state)
{
  struct world world;
  struct caller caller;
  char request[64], expected[32];
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  caller_open(&caller, &world);
  for (int i = 0; i < 1000; i++) {
    snprintf(request, sizeof request, GET("/later?q=n%d"), i);
    caller_says(&caller, request);
  }
  for (size_t i = 0; i < 1000; i++) {
    world_until(&world, world.held_count == i + 1);
    uv_run(&world.loop, UV_RUN_NOWAIT);
    assert_int_equal(world.held_count, i + 1);
    world_answer(&world);
    snprintf(expected, sizeof expected, "q=n%d type", (int)i);
    caller_hears(&caller, expected);
    caller_forget(&caller);
  }
  caller_close(&caller);
  world_close(&world);
}

static void leaves_a_flood_in_the_socket_while_a_request_is_answered(void **state)
{
  struct world world;
  struct caller caller;
  static char flood[16 * 1024 * 1024];
  (void)state;
  memset(flood, 'a', sizeof flood);
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  caller_open(&caller, &world);
  caller_says(&caller, GET("/later"));
  world_until(&world, world.held_count == 1);
  caller_send(&caller, (struct nm_text){ flood, sizeof flood });

  /* Runs until the loop has nothing more to do at once: the sockets are full, and we have taken
   * at most what fits into them and one read buffer. */
  int quiet = 0;
  for (size_t left = SIZE_MAX; quiet < 100; quiet++) {
    uv_run(&world.loop, UV_RUN_NOWAIT);
    if (caller.uv.stream.write_queue_size != left) quiet = 0;
    left = caller.uv.stream.write_queue_size;
  }
  assert_in_range(caller.uv.stream.write_queue_size, 4 * 1024 * 1024, sizeof flood);

  world_answer(&world);
  caller_hears(&caller, "HTTP/1.1 431 ");
  caller_close(&caller);
  world_close(&world);
}

static void keeps_or_closes_as_the_version_and_the_caller_say(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);

  caller_open(&caller, &world);
  caller_says(&caller, GET("/echo"));
  caller_hears(&caller, "body=");
  assert_false(caller_heard(&caller, "Connection:"));
  caller_forget(&caller);
  caller_says(&caller, "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" GET("/echo"));
  caller_hears_end(&caller);
  assert_true(caller_heard(&caller, "\r\nConnection: close\r\n"));
  assert_int_equal(caller_count(&caller, "HTTP/1.1 200"), 1);
  assert_int_equal(world.handled_count, 2);
  caller_close(&caller);

  caller_open(&caller, &world);
  caller_says(&caller, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  caller_hears(&caller, "body=");
  assert_true(caller_heard(&caller, "\r\nConnection: keep-alive\r\n"));
  caller_forget(&caller);
  caller_says(&caller, "GET /echo HTTP/1.0\r\n\r\n");
  caller_hears_end(&caller);
  assert_true(caller_heard(&caller, "\r\nConnection: close\r\n"));
  caller_close(&caller);
  world_close(&world);
}

static void answers_a_caller_who_has_said_all_and_closed_its_side(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  caller_open(&caller, &world);
  caller_says(&caller, GET("/later?q=a") GET("/echo?q=b"));
  caller_end(&caller);
  world_until(&world, world.held_count == 1);
  world_answer(&world);
  caller_hears_end(&caller);
  assert_true(caller_heard(&caller, "q=a"));
  assert_true(caller_heard(&caller, "q=b"));
  caller_close(&caller);

  caller_open(&caller, &world);
  caller_says(&caller, GET("/later?q=c"));
  caller_end(&caller);
  world_until(&world, world.held_count == 2);
  for (int i = 0; i < 20; i++) uv_run(&world.loop, UV_RUN_NOWAIT);
  world_answer(&world);
  caller_hears_end(&caller);
  assert_true(caller_heard(&caller, "q=c"));
  caller_close(&caller);
  world_close(&world);
}

static void frees_a_request_whose_caller_has_gone(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  caller_open(&caller, &world);
  caller_says(&caller, GET("/later"));
  world_until(&world, world.held_count == 1);
  assert_int_equal(uv_tcp_close_reset(&caller.uv.tcp, on_caller_closed), 0);
  world_until(&world, caller.is_closed && nm_metric_get(NM_METRIC_CONNECTIONS_OPEN) == 0);
  free(caller.in);

  world_stop(&world);
  for (int i = 0; i < 20; i++) uv_run(&world.loop, UV_RUN_NOWAIT);
  assert_false(world.is_stopped); /* its handler still has the request */
  world_answer(&world);
  world_until(&world, world.is_stopped);
  world_close(&world);
}

/* ---- bodies ---------------------------------------------------------------------------------- */

static void invites_a_body_that_waits_to_be_invited(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  caller_open(&caller, &world);
  caller_says(&caller, JSON_POST("/echo") "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n");
  caller_hears(&caller, "\r\n\r\n");
  assert_string_equal(caller.in, "HTTP/1.1 100 Continue\r\n\r\n");
  caller_says(&caller, "{}");
  caller_hears(&caller, "body={}");

  caller_forget(&caller); /* who does not wait needs no invitation */
  caller_says(&caller, JSON_POST("/echo") "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}");
  caller_hears(&caller, "body={}");
  assert_false(caller_heard(&caller, "100 Continue"));
  caller_close(&caller);

  caller_open(&caller, &world); /* nor is one invited who would be refused */
  caller_says(&caller, JSON_POST("/echo") "Expect: 100-continue\r\nContent-Length: 2000\r\n\r\n");
  caller_hears_end(&caller);
  assert_int_equal(strncmp(caller.in, "HTTP/1.1 413 ", 13), 0);
  caller_close(&caller);
  world_close(&world);
}

static void reads_bodies_however_they_are_cut(void **state)
{
  static const char BODY[] = JSON_POST("/echo") "Transfer-Encoding: chunked\r\n\r\n"
                             "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n";
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  caller_open(&caller, &world);
  for (size_t cut = 1; cut < sizeof BODY - 1; cut++) {
    size_t before = caller.sent;
    caller_forget(&caller);
    caller_send(&caller, (struct nm_text){ BODY, cut });
    world_until(&world, caller.sent == before + cut);
    uv_run(&world.loop, UV_RUN_NOWAIT);
    caller_send(&caller, (struct nm_text){ BODY + cut, sizeof BODY - 1 - cut });
    caller_hears(&caller, "body=hello world");
  }
  caller_close(&caller);
  world_close(&world);
}

/* A caller that sends all before it reads anything hears the refusal; gives what it could send. */
static size_t upload_in_vain(struct world *world, const char *head, size_t len)
{
  struct caller caller;
  char *upload = calloc(1, len);
  assert_non_null(upload);
  caller_connect(&caller, world);
  caller_says(&caller, head);
  caller_send(&caller, (struct nm_text){ upload, len });
  world_until(world, caller.uv.stream.write_queue_size == 0);
  caller_listen(&caller);
  caller_hears_end(&caller);
  assert_true(caller_heard(&caller, "HTTP/1.1 413 Content Too Large\r\n"));
  assert_true(caller_heard(&caller, "\"body_too_large\""));
  size_t sent = caller.sent;
  caller_close(&caller);
  free(upload);
  return sent;
}

static void lets_a_refusal_of_a_large_upload_be_read(void **state)
{
  enum { DRAINED_BYTES = 15 * 1024 * 1024 };
  struct world world;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  upload_in_vain(&world, JSON_POST("/batch") "Content-Length: 20000000\r\n\r\n", 20000000);

  /* What can be drained is taken whole, and the connection ends in good order: no reset. */
  assert_true(upload_in_vain(&world, JSON_POST("/batch") "Content-Length: 15728640\r\n\r\n",
                             DRAINED_BYTES) > DRAINED_BYTES);
  assert_true(upload_in_vain(&world,
                             JSON_POST("/batch") "Transfer-Encoding: chunked\r\n\r\nf00000\r\n",
                             DRAINED_BYTES) > DRAINED_BYTES);
  assert_int_equal(world.handled_count, 0);
  world_close(&world);
}

static void refuses_bodies_that_are_too_much_together(void **state)
{
  struct world world;
  struct caller first, second;
  char *half = calloc(1, 600 * 1024);
  (void)state;
  assert_non_null(half);
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ .bodies_max_bytes = 1500 * 1024 });
  for (int i = 0; i < 2; i++) { /* what the first ones held is given back */
    caller_open(&first, &world);
    caller_open(&second, &world);
    caller_says(&first, JSON_POST("/batch") "Content-Length: 614401\r\n\r\n");
    caller_send(&first, (struct nm_text){ half, 600 * 1024 });
    world_until(&world, first.uv.stream.write_queue_size == 0);
    for (int k = 0; k < 20; k++) uv_run(&world.loop, UV_RUN_NOWAIT);
    caller_says(&second, JSON_POST("/batch") "Content-Length: 614401\r\n\r\n");
    caller_send(&second, (struct nm_text){ half, 600 * 1024 });
    caller_hears_end(&second);
    assert_true(caller_heard(&second, "HTTP/1.1 503 Service Unavailable\r\n"));
    assert_true(caller_heard(&second, "\r\nRetry-After: 1\r\n"));
    caller_says(&first, "x");
    caller_hears(&first, "HTTP/1.1 200 OK\r\n");
    caller_close(&first);
    caller_close(&second);
  }
  world_close(&world);
  free(half);
}

static void sends_a_large_answer_whole(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  world.big_bytes = 24 * 1024 * 1024;
  world.big = malloc(world.big_bytes);
  assert_non_null(world.big);
  memset(world.big, 'b', world.big_bytes);
  caller_open(&caller, &world);
  caller_says(&caller, GET("/big") GET("/echo"));
  world_until(&world, caller.len > world.big_bytes && strstr(caller.in + world.big_bytes, "body="));
  caller_close(&caller);
  world_close(&world);
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void stops_after_the_request_under_way_and_closes_the_idle(void **state)
{
  struct world world;
  struct caller busy, idle, reading;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  caller_open(&busy, &world);
  caller_open(&idle, &world);
  caller_open(&reading, &world);
  caller_says(&idle, GET("/echo"));
  caller_hears(&idle, "body=");
  caller_says(&reading, JSON_POST("/echo") "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  caller_hears(&reading, "100 Continue");
  caller_says(&busy, GET("/later"));
  world_until(&world, world.held_count == 1);

  world_stop(&world);
  caller_hears_end(&idle);
  assert_false(world.is_stopped);
  world_answer(&world);
  caller_hears_end(&busy);
  assert_true(caller_heard(&busy, "HTTP/1.1 200 OK\r\n"));
  assert_true(caller_heard(&busy, "\r\nConnection: close\r\n"));
  caller_says(&reading, "{}");
  caller_hears_end(&reading);
  assert_true(caller_heard(&reading, "body={}"));
  assert_true(caller_heard(&reading, "\r\nConnection: close\r\n"));
  caller_close(&busy);
  caller_close(&idle);
  caller_close(&reading);
  world_until(&world, world.is_stopped);
  world_close(&world);
}

static void answers_what_was_on_its_way_when_the_stop_began(void **state)
{
  struct world world;
  struct caller idle, fresh;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  caller_open(&idle, &world);
  caller_open(&fresh, &world);
  caller_says(&idle, GET("/echo"));
  caller_hears(&idle, "body=");
  world_stop(&world);
  idle.len = 0;
  caller_says(&idle, GET("/echo?q=again"));
  caller_says(&fresh, GET("/echo?q=first"));
  caller_hears_end(&idle);
  caller_hears_end(&fresh);
  assert_true(caller_heard(&idle, "q=again"));
  assert_true(caller_heard(&idle, "\r\nConnection: close\r\n"));
  assert_true(caller_heard(&fresh, "q=first"));
  caller_close(&idle);
  caller_close(&fresh);
  world_until(&world, world.is_stopped);
  world_close(&world);
}

static void answers_whom_the_system_had_let_in_when_the_stop_began(void **state)
{
  struct world world;
  struct sockaddr_in at = { .sin_family = AF_INET };
  char answer[512] = "";
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  const char *port = strrchr(nm_http_address(world.server).ptr, ':') + 1;
  at.sin_port = htons((uint16_t)strtol(port, NULL, 10));
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
  assert_true(write(fd, GET("/echo"), strlen(GET("/echo"))) > 0);
  world_stop(&world); /* its loop has not run since */
  assert_int_equal(shutdown(fd, SHUT_WR), 0);
  world_until(&world, world.is_stopped);
  assert_true(read(fd, answer, sizeof answer - 1) > 0);
  assert_non_null(strstr(answer, "body="));
  close(fd);
  world_close(&world);
}

static void serves_a_unix_socket(void **state)
{
  struct world world;
  struct caller caller;
  char folder[] = "/tmp/nm-http-XXXXXX", address[64], path[64];
  (void)state;
  assert_non_null(mkdtemp(folder));
  snprintf(address, sizeof address, "unix:%s/s.sock", folder);
  snprintf(path, sizeof path, "%s/s.sock", folder);
  world_open(&world, address, DEFAULTS);
  caller_open(&caller, &world);
  caller_says(&caller, GET("/later"));
  world_until(&world, world.held_count == 1);
  assert_true(nm_text_equal(nm_http_peer(world.held[0]), NM_TEXT("unix")));
  world_answer(&world);
  caller_hears(&caller, "body=");
  caller_close(&caller);
  world_close(&world);
  assert_int_equal(access(path, F_OK), -1);
  assert_int_equal(rmdir(folder), 0);
}

static void names_its_peer(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  caller_open(&caller, &world);
  caller_says(&caller, GET("/later"));
  world_until(&world, world.held_count == 1);
  assert_true(nm_text_equal(nm_http_peer(world.held[0]), NM_TEXT("127.0.0.1")));
  assert_true(nm_text_equal(nm_http_header(world.held[0], "hOST"), NM_TEXT("x")));
  assert_int_equal(nm_http_method(world.held[0]), NM_HTTP_GET);
  world_answer(&world);
  caller_close(&caller);
  world_close(&world);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(answers_pipelined_requests_in_order_while_a_handler_takes_its_time),
    cmocka_unit_test(hands_over_one_of_a_thousand_requests_at_a_time),
    cmocka_unit_test(leaves_a_flood_in_the_socket_while_a_request_is_answered),
    cmocka_unit_test(keeps_or_closes_as_the_version_and_the_caller_say),
    cmocka_unit_test(answers_a_caller_who_has_said_all_and_closed_its_side),
    cmocka_unit_test(frees_a_request_whose_caller_has_gone),
    cmocka_unit_test(invites_a_body_that_waits_to_be_invited),
    cmocka_unit_test(reads_bodies_however_they_are_cut),
    cmocka_unit_test(lets_a_refusal_of_a_large_upload_be_read),
    cmocka_unit_test(refuses_bodies_that_are_too_much_together),
    cmocka_unit_test(sends_a_large_answer_whole),
    cmocka_unit_test(stops_after_the_request_under_way_and_closes_the_idle),
    cmocka_unit_test(answers_what_was_on_its_way_when_the_stop_began),
    cmocka_unit_test(answers_whom_the_system_had_let_in_when_the_stop_began),
    cmocka_unit_test(serves_a_unix_socket),
    cmocka_unit_test(names_its_peer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
