/* links: http */
/* What time limits do: each test waits for the end that the limit brings. */
#include "http_world.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define JSON_POST(path) "POST " path " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

enum { SHORT_MS = 50 };

static void closes_a_connection_that_has_been_idle_too_long(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ .idle_timeout_ms = SHORT_MS });
  caller_open(&caller, &world);
  caller_says(&caller, GET("/echo"));
  caller_hears_end(&caller);
  assert_int_equal(caller_count(&caller, "HTTP/1.1"), 1);
  caller_close(&caller);
  world_close(&world);
}

static void closes_a_connection_that_never_says_anything(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ .head_timeout_ms = SHORT_MS });
  caller_open(&caller, &world);
  caller_hears_end(&caller);
  assert_int_equal(caller.len, 0);
  caller_close(&caller);
  world_close(&world);
}

struct drip {
  uv_timer_t timer;
  struct caller *caller;
  struct nm_text piece;
  bool is_closed;
};

static void on_drip(uv_timer_t *timer)
{
  struct drip *drip = timer->data;
  if (!drip->caller->has_ended) caller_send(drip->caller, drip->piece);
}

static void on_drip_closed(uv_handle_t *handle)
{
  ((struct drip *)handle->data)->is_closed = true;
}

static void drip_start(struct drip *drip, struct caller *caller, struct nm_text piece,
                       uint64_t every_ms)
{
  *drip = (struct drip){ .caller = caller, .piece = piece };
  assert_int_equal(uv_timer_init(&caller->world->loop, &drip->timer), 0);
  drip->timer.data = drip;
  uv_timer_start(&drip->timer, on_drip, every_ms, every_ms);
}

static void drip_stop(struct drip *drip)
{
  uv_close((uv_handle_t *)&drip->timer, on_drip_closed);
  world_until(drip->caller->world, drip->is_closed);
}

static void gives_a_head_its_time_however_it_drips(void **state)
{
  struct world world;
  struct caller caller;
  struct drip drip;
  (void)state;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ .head_timeout_ms = SHORT_MS });
  caller_open(&caller, &world);
  caller_says(&caller, "GET /echo HTTP/1.1\r\nHost: x\r\nA: ");
  drip_start(&drip, &caller, NM_TEXT("a"), 5);
  caller_hears_end(&caller);
  assert_int_equal(strncmp(caller.in, "HTTP/1.1 408 Request Timeout\r\n", 30), 0);
  assert_true(caller_heard(&caller, "{\"error\":{\"code\":\"timeout\""));
  drip_stop(&drip);
  caller_close(&caller);
  world_close(&world);
}

static void gives_a_body_its_time_however_it_drips(void **state)
{
  struct world world;
  struct caller caller;
  struct drip drip;
  (void)state;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ .body_timeout_ms = SHORT_MS });
  caller_open(&caller, &world);
  caller_says(&caller, JSON_POST("/batch") "Content-Length: 1000000\r\n\r\n");
  drip_start(&drip, &caller, NM_TEXT("a"), 5);
  caller_hears_end(&caller);
  assert_int_equal(strncmp(caller.in, "HTTP/1.1 408 Request Timeout\r\n", 30), 0);
  drip_stop(&drip);
  caller_close(&caller);
  world_close(&world);
}

static void gives_a_body_that_moves_on_more_time(void **state)
{
  enum { PIECE_BYTES = 256 * 1024 };
  static char piece[PIECE_BYTES];
  struct world world;
  struct caller caller;
  struct drip drip;
  (void)state;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ .body_timeout_ms = 400 });
  caller_open(&caller, &world);
  memset(piece, 'a', sizeof piece);
  caller_says(&caller, JSON_POST("/batch") "Content-Length: 1572864\r\n\r\n");
  drip_start(&drip, &caller, (struct nm_text){ piece, sizeof piece }, 100);
  world_until(&world, world.handled_count == 1 || caller.has_ended);
  uv_timer_stop(&drip.timer);
  assert_int_equal(world.handled_count, 1);
  drip_stop(&drip);
  caller_close(&caller);
  world_close(&world);
}

static void leaves_a_caller_who_does_not_read(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ .write_timeout_ms = SHORT_MS });
  world.big_bytes = 32 * 1024 * 1024;
  world.big = calloc(1, world.big_bytes);
  assert_non_null(world.big);
  caller_connect(&caller, &world);
  caller_says(&caller, GET("/big"));
  world_until(&world, world.handled_count == 1);
  assert_int_equal(nm_metric_get(NM_METRIC_CONNECTIONS_OPEN), 1);
  world_until(&world, nm_metric_get(NM_METRIC_CONNECTIONS_OPEN) == 0);
  caller_close(&caller);
  world_close(&world);
}

static void gives_a_handler_all_the_time_it_wants(void **state)
{
  struct world world;
  struct caller slow, idle;
  struct nm_http_limits limits = { .head_timeout_ms = SHORT_MS, .body_timeout_ms = SHORT_MS,
                                   .write_timeout_ms = SHORT_MS, .idle_timeout_ms = SHORT_MS };
  (void)state;
  world_open(&world, "127.0.0.1:0", limits);
  caller_open(&slow, &world);
  caller_says(&slow, GET("/later"));
  world_until(&world, world.held_count == 1);
  caller_open(&idle, &world); /* its end says that all limits have passed */
  caller_hears_end(&idle);
  world_answer(&world);
  caller_hears(&slow, "body=");
  caller_close(&slow);
  caller_close(&idle);
  world_close(&world);
}

static void lets_the_longest_idle_make_room_for_a_new_caller(void **state)
{
  struct world world;
  struct caller first, second, third;
  (void)state;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ .connections_max = 2 });
  caller_open(&first, &world);
  caller_says(&first, GET("/echo"));
  caller_hears(&first, "body=");
  caller_open(&second, &world);
  caller_says(&second, GET("/later"));
  world_until(&world, world.held_count == 1);

  caller_open(&third, &world);
  caller_says(&third, GET("/later"));
  caller_hears_end(&first);
  world_until(&world, world.held_count == 2);
  assert_int_equal(nm_metric_get(NM_METRIC_CONNECTIONS_OPEN), 2);

  caller_forget(&first);
  caller_close(&first); /* nobody can be spared now: a fourth waits until one has gone */
  caller_open(&first, &world);
  caller_says(&first, GET("/echo"));
  for (int i = 0; i < 20; i++) uv_run(&world.loop, UV_RUN_NOWAIT);
  assert_int_equal(first.len, 0);
  world_answer(&world);
  caller_hears(&first, "body=");
  world_answer(&world);
  caller_close(&first);
  caller_close(&second);
  caller_close(&third);
  world_close(&world);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(closes_a_connection_that_has_been_idle_too_long),
    cmocka_unit_test(closes_a_connection_that_never_says_anything),
    cmocka_unit_test(gives_a_head_its_time_however_it_drips),
    cmocka_unit_test(gives_a_body_its_time_however_it_drips),
    cmocka_unit_test(gives_a_body_that_moves_on_more_time),
    cmocka_unit_test(leaves_a_caller_who_does_not_read),
    cmocka_unit_test(gives_a_handler_all_the_time_it_wants),
    cmocka_unit_test(lets_the_longest_idle_make_room_for_a_new_caller),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
