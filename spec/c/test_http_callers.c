/* links: http */
/* Who calls: proxies in front of us, one address with many connections, more than have room. */
#include "http_world.h"
#include "net/network.h"

#define ASK_PEER(headers) "GET /peer HTTP/1.1\r\nHost: x\r\n" headers "\r\n"

static struct nm_networks networks(const char *const *texts, size_t count)
{
  struct nm_text list[4];
  struct nm_networks out;
  for (size_t i = 0; i < count; i++) list[i] = nm_text_from(texts[i]);
  assert_int_equal(nm_networks_init(&out, list, count, NULL), NM_OK);
  return out;
}

/* ---- proxies --------------------------------------------------------------------------------- */

static void a_trusted_proxy_is_believed_and_nobody_in_front_of_it(void **state)
{
  static const struct {
    const char *request, *peer;
  } CASES[] = {
    { ASK_PEER(""), "127.0.0.1" },
    { ASK_PEER("X-Forwarded-For: 203.0.113.7\r\n"), "203.0.113.7" },
    { ASK_PEER("x-forwarded-for:   2001:db8::7  \r\n"), "2001:db8::7" },
    { ASK_PEER("X-Forwarded-For: 203.0.113.7:4711\r\n"), "203.0.113.7" },
    { ASK_PEER("X-Forwarded-For: [2001:db8::7]:4711\r\n"), "2001:db8::7" },
    { ASK_PEER("X-Forwarded-For: [2001:db8::7]\r\n"), "2001:db8::7" },
    /* what stands in front anybody could have written */
    { ASK_PEER("X-Forwarded-For: 198.51.100.1, 203.0.113.7\r\n"), "203.0.113.7" },
    { ASK_PEER("X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.7\r\n"),
      "203.0.113.7" },
    /* a proxy behind a proxy, both trusted */
    { ASK_PEER("X-Forwarded-For: 198.51.100.1,203.0.113.7, 10.1.2.3\r\n"), "203.0.113.7" },
    { ASK_PEER("X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 10.1.2.3\r\n"), "203.0.113.7" },
    /* all of them are ours: the first */
    { ASK_PEER("X-Forwarded-For: 10.9.9.9, 10.1.2.3\r\n"), "10.9.9.9" },
    /* no address: whoever wrote it is the last that is known */
    { ASK_PEER("X-Forwarded-For: unknown\r\n"), "127.0.0.1" },
    { ASK_PEER("X-Forwarded-For: 203.0.113.7, unknown\r\n"), "127.0.0.1" },
    { ASK_PEER("X-Forwarded-For: 203.0.113.7, bogus, 10.1.2.3\r\n"), "10.1.2.3" },
    { ASK_PEER("X-Forwarded-For: \r\n"), "127.0.0.1" },
    { ASK_PEER("X-Forwarded-For: ,\r\n"), "127.0.0.1" },
    { ASK_PEER("X-Forwarded-For: 203.0.113.7,\r\n"), "127.0.0.1" },
  };
  (void)state;
  struct world world;
  struct caller caller;
  struct nm_networks behind = networks((const char *[]){ "127.0.0.0/8", "10.0.0.0/8" }, 2);
  world_open_with(&world, "127.0.0.1:0", (struct nm_http_options){ .behind = &behind });
  caller_open(&caller, &world);
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
    caller_asks(&caller, CASES[i].request, "HTTP/1.1 200 ", CASES[i].peer);
  caller_close(&caller);
  world_close(&world);
  nm_networks_deinit(&behind);
}

static void who_is_no_proxy_of_ours_is_not_believed(void **state)
{
  (void)state;
  struct world world;
  struct caller caller;
  struct nm_networks behind = networks((const char *[]){ "10.0.0.0/8" }, 1);
  world_open_with(&world, "127.0.0.1:0", (struct nm_http_options){ .behind = &behind });
  caller_open(&caller, &world);
  caller_asks(&caller, ASK_PEER("X-Forwarded-For: 203.0.113.7\r\n"), "HTTP/1.1 200 ", "127.0.0.1");
  caller_close(&caller);
  world_close(&world);
  nm_networks_deinit(&behind);
}

static void networks_hold_what_is_in_them(void **state)
{
  static const struct {
    const char *network, *address;
    bool is_in;
  } CASES[] = {
    { "10.0.0.0/8", "10.255.255.255", true },    { "10.0.0.0/8", "11.0.0.0", false },
    { "10.0.0.0/8", "::ffff:10.1.1.1", true },   { "192.0.2.128/25", "192.0.2.127", false },
    { "192.0.2.128/25", "192.0.2.128", true },   { "192.0.2.1", "192.0.2.1", true },
    { "192.0.2.1", "192.0.2.2", false },         { "0.0.0.0/0", "203.0.113.1", true },
    { "0.0.0.0/0", "2001:db8::1", false },       { "::/0", "2001:db8::1", true },
    { "2001:db8::/33", "2001:db8:8000::", false }, { "2001:db8::/33", "2001:db8:7fff::", true },
    { "::1", "::1", true },                      { "10.0.0.0/8", "unix", false },
    { "10.0.0.0/8", "", false },                 { "10.0.0.0/8", "10.0.0.1 ", false },
  };
  (void)state;
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
    struct nm_networks one = networks(&CASES[i].network, 1);
    if (nm_networks_contain(&one, nm_text_from(CASES[i].address)) != CASES[i].is_in)
      fail_msg("%s and %s", CASES[i].network, CASES[i].address);
    nm_networks_deinit(&one);
  }
  static const char *const WRONG[] = { "", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8",
                                       "10.0.0.0/-1", "host/8", "10.0.0.0/8/8" };
  for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
    struct nm_error err = { 0 };
    struct nm_networks out;
    struct nm_text text = nm_text_from(WRONG[i]);
    assert_int_equal(nm_networks_init(&out, &text, 1, &err), NM_EINVAL);
  }
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void an_address_has_so_many_connections_and_no_more(void **state)
{
  (void)state;
  struct world world;
  struct caller callers[3], late;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ .per_address_max = 3 });
  for (int i = 0; i < 3; i++) {
    caller_open(&callers[i], &world);
    caller_asks(&callers[i], ASK_PEER(""), "HTTP/1.1 200 ", "127.0.0.1");
  }
  caller_open(&late, &world);
  caller_hears_end(&late);
  assert_int_equal(late.len, 0);
  caller_close(&late);

  caller_close(&callers[1]);
  world_until(&world, nm_metric_get(NM_METRIC_CONNECTIONS_OPEN) == 2);
  caller_open(&callers[1], &world);
  caller_asks(&callers[1], ASK_PEER(""), "HTTP/1.1 200 ", "127.0.0.1");
  for (int i = 0; i < 3; i++) caller_close(&callers[i]);
  world_close(&world);
}

static void a_trusted_proxy_may_have_more(void **state)
{
  (void)state;
  struct world world;
  struct caller callers[2];
  struct nm_networks behind = networks((const char *[]){ "127.0.0.1" }, 1);
  world_open_with(&world, "127.0.0.1:0", (struct nm_http_options){
                                             .behind = &behind,
                                             .limits = { .per_address_max = 1 } });
  for (int i = 0; i < 2; i++) {
    caller_open(&callers[i], &world);
    caller_asks(&callers[i], ASK_PEER(""), "HTTP/1.1 200 ", "127.0.0.1");
  }
  for (int i = 0; i < 2; i++) caller_close(&callers[i]);
  world_close(&world);
  nm_networks_deinit(&behind);
}

#define POST(path, body) "POST " path " HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n" body

static void above_what_is_under_way_it_is_503_at_once(void **state)
{
  (void)state;
  struct world world;
  struct caller first, second, late;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ .requests_max = 2 });
  caller_open(&first, &world);
  caller_open(&second, &world);
  caller_open(&late, &world);
  caller_says(&first, POST("/later", "1"));
  caller_says(&second, POST("/later", "2"));
  world_until(&world, world.held_count == 2);

  caller_says(&late, POST("/later", "3"));
  caller_hears(&late, "\r\n\r\n");
  assert_true(caller_heard(&late, "HTTP/1.1 503 "));
  assert_true(caller_heard(&late, "\r\nRetry-After: 1\r\n"));
  caller_asks(&late, ASK_PEER(""), "HTTP/1.1 200 ", "127.0.0.1"); /* brings nothing, may pass */
  world_answer(&world);
  caller_hears(&first, "body=1");
  caller_forget(&late);
  caller_says(&late, POST("/later", "3"));
  world_until(&world, world.held_count == 3);
  world_answer(&world);
  world_answer(&world);
  caller_hears(&late, "body=3");
  caller_close(&first);
  caller_close(&second);
  caller_close(&late);
  world_close(&world);
}

static void what_waits_on_purpose_is_not_under_way(void **state)
{
  (void)state;
  struct world world;
  struct caller guesser, honest;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ .requests_max = 1 });
  caller_open(&guesser, &world);
  caller_open(&honest, &world);
  caller_says(&guesser, POST("/park", "1"));
  world_until(&world, world.held_count == 1);
  caller_says(&honest, POST("/later", "2"));
  world_until(&world, world.held_count == 2);
  world_answer(&world);
  world_answer(&world);
  caller_hears(&guesser, "body=1");
  caller_hears(&honest, "body=2");
  caller_close(&guesser);
  caller_close(&honest);
  world_close(&world);
}

/* ---- no room --------------------------------------------------------------------------------- */

static void when_it_is_full_who_says_nothing_whole_makes_room(void **state)
{
  (void)state;
  struct world world;
  struct caller slow[2], idle, honest;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ .connections_max = 3 });
  caller_open(&slow[0], &world);
  caller_says(&slow[0], "GET /peer HT");
  caller_open(&slow[1], &world);
  caller_open(&idle, &world);
  caller_asks(&idle, ASK_PEER(""), "HTTP/1.1 200 ", "127.0.0.1");

  caller_open(&honest, &world); /* waits in the backlog until the slow ones had their second */
  caller_asks(&honest, ASK_PEER(""), "HTTP/1.1 200 ", "127.0.0.1");
  caller_hears_end(&slow[0]);
  assert_false(slow[1].has_ended);
  assert_false(idle.has_ended);
  caller_close(&slow[0]);
  caller_close(&slow[1]);
  caller_close(&idle);
  caller_close(&honest);
  world_close(&world);
}

static void when_it_is_full_a_slow_body_makes_room(void **state)
{
  (void)state;
  struct world world;
  struct caller slow, honest;
  world_open(&world, "127.0.0.1:0", (struct nm_http_limits){ .connections_max = 1 });
  caller_open(&slow, &world);
  caller_says(&slow, "POST /any HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc");
  caller_open(&honest, &world);
  caller_asks(&honest, ASK_PEER(""), "HTTP/1.1 200 ", "127.0.0.1");
  caller_hears_end(&slow);
  caller_close(&slow);
  caller_close(&honest);
  world_close(&world);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_trusted_proxy_is_believed_and_nobody_in_front_of_it),
    cmocka_unit_test(who_is_no_proxy_of_ours_is_not_believed),
    cmocka_unit_test(networks_hold_what_is_in_them),
    cmocka_unit_test(an_address_has_so_many_connections_and_no_more),
    cmocka_unit_test(a_trusted_proxy_may_have_more),
    cmocka_unit_test(above_what_is_under_way_it_is_503_at_once),
    cmocka_unit_test(what_waits_on_purpose_is_not_under_way),
    cmocka_unit_test(when_it_is_full_who_says_nothing_whole_makes_room),
    cmocka_unit_test(when_it_is_full_a_slow_body_makes_room),
  };
  return cmocka_run_group_tests_name("callers", tests, NULL, NULL);
}
