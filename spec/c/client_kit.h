/* client_kit.h - a client of ours and a scripted peer on one loop, fresh for each test, and what
 * became of each call. */
#pragma once

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

static inline void on_done(void *data, const struct nm_client_answer *answer)
{
  struct result *result = data;
  result->is_done = true;
  result->times++;
  result->answer = *answer;
  snprintf(result->body, sizeof result->body, "%.*s", NM_TEXT_ARG(answer->body));
  snprintf(result->reason, sizeof result->reason, "%s", answer->reason);
  uv_stop(&loop);
}

static inline int begin(void **state)
{
  (void)state;
  static const struct nm_text allow = { "127.0.0.0/8", 11 };
  struct nm_client_options options = { .allow = &allow, .allow_count = 1,
                                       .connections_per_host_max = CONNECTIONS_MAX };
  return uv_loop_init(&loop) || nm_client_open(&client, &loop, &options, &err);
}

static inline void on_closed(void *data)
{
  *(bool *)data = true;
  uv_stop(&loop);
}

static inline int end(void **state)
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static inline struct nm_text url_of(const char *path)
{
  static char url[256];
  snprintf(url, sizeof url, "http://127.0.0.1:%d%s", peer.port, path);
  return nm_text_from(url);
}

static inline void start(struct nm_client_call call, struct result *result)
{
  *result = (struct result){ .is_done = false };
  call.done = on_done;
  call.data = result;
  if (call.url.len == 0) call.url = url_of("/");
  if (nm_client_start(client, &call, &err)) fail_msg("%s", err.text);
  assert_false(result->is_done);
}

static inline struct result run(struct nm_client_call call)
{
  struct result result;
  start(call, &result);
  peer_run_until(&loop, &result.is_done);
  assert_int_equal(result.times, 1);
  return result;
}

static inline struct nm_client_call get(void)
{
  return (struct nm_client_call){ .method = "GET" };
}

static inline struct nm_client_call post(const char *body)
{
  return (struct nm_client_call){ .method = "POST", .body = nm_text_from(body) };
}

#define PLAY(...)                                                                                  \
  static const struct peer_act acts[] = { __VA_ARGS__ };                                           \
  peer_open(&peer, &loop, acts, sizeof acts / sizeof *acts)

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

static inline void nothing_was_logged_as_an_error(void **state)
{
  (void)state;
  assert_int_equal(nm_log_error_count(), 0);
}
