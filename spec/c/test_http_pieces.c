/* links: http */
/* Bodies that are read in pieces: bounded, in order, held back, lost, answered before their end. */
#include "http_world.h"

static const struct nm_http_limits DEFAULTS = { 0 };

enum { BIG = 10 * 1024 * 1024 };

static char *repeat(char c, size_t len)
{
  char *bytes = malloc(len);
  assert_non_null(bytes);
  memset(bytes, c, len);
  return bytes;
}

static void say_big(struct caller *caller, size_t announced, size_t sent)
{
  char head[128];
  snprintf(head, sizeof head, "POST /pieces HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
           announced);
  caller_says(caller, head);
  char *bytes = repeat('x', sent);
  caller_send(caller, (struct nm_text){ bytes, sent });
  free(bytes);
}

static void a_body_of_any_length_takes_the_memory_of_a_piece(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  caller_open(&caller, &world);
  say_big(&caller, BIG, BIG);
  caller_says(&caller, "GET /echo?q=next HTTP/1.1\r\nHost: x\r\n\r\n");
  caller_hears(&caller, "q=next");
  assert_true(caller_heard(&caller, "sum=10485760"));
  assert_true(world.pieces > 20);
  assert_true(world.largest_piece < 2 * NM_HTTP_PIECE_BYTES);
  caller_close(&caller);
  world_close(&world);
}

static void chunks_come_in_pieces_too_and_a_small_body_is_one(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  caller_open(&caller, &world);
  caller_says(&caller, "POST /pieces HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  char *bytes = repeat('y', 100 * 1000);
  for (int i = 0; i < 20; i++) {
    caller_says(&caller, "186a0\r\n");
    caller_send(&caller, (struct nm_text){ bytes, 100 * 1000 });
    caller_says(&caller, "\r\n");
  }
  free(bytes);
  caller_says(&caller, "0\r\n\r\n");
  caller_hears(&caller, "sum=2000000");
  world.pieces = world.pieces_bytes = 0;
  caller_says(&caller, "POST /pieces HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
  caller_hears(&caller, "sum=3");
  assert_int_equal(world.pieces, 1);
  world.pieces_bytes = 0;
  caller_says(&caller, "POST /pieces HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  caller_hears(&caller, "sum=0");
  caller_close(&caller);
  world_close(&world);
}

static void who_sends_faster_than_we_read_waits(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  world.pieces_wait = true;
  caller_open(&caller, &world);
  say_big(&caller, BIG, BIG);
  world_until(&world, world.piece != NULL);
  for (int i = 0; i < 200; i++) uv_run(&world.loop, UV_RUN_NOWAIT);
  assert_int_equal(world.pieces, 1);
  world.pieces_wait = false;
  world_take_piece(&world, world.piece);
  caller_hears(&caller, "sum=10485760");
  caller_close(&caller);
  world_close(&world);
}

static void a_caller_who_leaves_is_told_of_once(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  caller_open(&caller, &world);
  say_big(&caller, BIG, BIG / 2);
  world_until(&world, world.pieces_bytes > 1024 * 1024);
  caller_close(&caller);
  world_until(&world, world.pieces_lost == 1);
  /* and while the handler has a piece, with more of them before the end: when it has asked for
   * those */
  world.pieces_wait = true;
  caller_open(&caller, &world);
  say_big(&caller, BIG, BIG / 2);
  world_until(&world, world.piece != NULL);
  caller_close(&caller);
  world.pieces_wait = false;
  world_take_piece(&world, world.piece);
  world_until(&world, world.pieces_lost == 2);
  world_close(&world);
}

static void a_body_above_its_limit_is_refused_in_the_middle(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  caller_open(&caller, &world);
  caller_says(&caller,
              "POST /pieces HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2100000\r\n");
  char *bytes = repeat('z', 0x2100000);
  caller_send(&caller, (struct nm_text){ bytes, 0x2100000 });
  free(bytes);
  caller_hears(&caller, "413");
  assert_int_equal(world.pieces_lost, 1);
  caller_close(&caller);
  world_close(&world);
}

static void an_answer_before_the_end_can_be_read_and_is_the_last(void **state)
{
  struct world world;
  struct caller caller;
  (void)state;
  world_open(&world, "127.0.0.1:0", DEFAULTS);
  world.pieces_leave = true;
  caller_open(&caller, &world);
  say_big(&caller, BIG, BIG);
  caller_hears(&caller, "sum=");
  assert_true(caller_heard(&caller, "Connection: close"));
  assert_int_equal(world.pieces, 1);
  caller_close(&caller);
  world_close(&world);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_body_of_any_length_takes_the_memory_of_a_piece),
    cmocka_unit_test(chunks_come_in_pieces_too_and_a_small_body_is_one),
    cmocka_unit_test(who_sends_faster_than_we_read_waits),
    cmocka_unit_test(a_caller_who_leaves_is_told_of_once),
    cmocka_unit_test(a_body_above_its_limit_is_refused_in_the_middle),
    cmocka_unit_test(an_answer_before_the_end_can_be_read_and_is_the_last),
  };
  return cmocka_run_group_tests_name("http pieces", tests, NULL, NULL);
}
