/* http_world.h - a server and its callers on one loop, over real sockets, for tests of http.
 *
 * Tests wait for what they want to see (world_until); an alarm ends a test that waits in vain.
 */
#pragma once

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/metrics.h"
#include "http/http.h"
#include "check.h"

enum { WORLD_HELD_MAX = 2048 };

struct world {
  uv_loop_t loop;
  struct nm_http_server *server;
  struct nm_http_request *held[WORLD_HELD_MAX]; /* by the handler "later" */
  size_t held_count, answered_count;
  size_t handled_count;
  size_t big_bytes; /* of the handler "big" */
  char *big;
  bool is_stopped;
  struct nm_http_request *piece; /* of the handler "pieces", where it is told to wait */
  bool pieces_wait, pieces_leave;
  size_t pieces, pieces_bytes, largest_piece, pieces_lost;
};

/* ---- handlers -------------------------------------------------------------------------------- */

static inline void answer_echo(struct nm_http_request *request)
{
  struct nm_text said = nm_arena_printf(
      nm_http_arena(request), "%.*s key=%.*s q=%.*s type=%.*s body=%.*s",
      NM_TEXT_ARG(nm_http_path(request)), NM_TEXT_ARG(nm_http_param(request, "key")),
      NM_TEXT_ARG(nm_http_query(request, "q")), NM_TEXT_ARG(nm_http_content_type(request)),
      NM_TEXT_ARG(nm_http_body(request)));
  nm_http_respond(request, 200, "text/plain", said, NM_TEXT(""));
}

static inline void handle_echo(struct nm_http_request *request, void *data)
{
  ((struct world *)data)->handled_count++;
  answer_echo(request);
}

static inline void handle_later(struct nm_http_request *request, void *data)
{
  struct world *world = data;
  world->handled_count++;
  assert_in_range(world->held_count, 0, WORLD_HELD_MAX - 1);
  world->held[world->held_count++] = request;
}

static inline void handle_big(struct nm_http_request *request, void *data)
{
  struct world *world = data;
  world->handled_count++;
  nm_http_respond(request, 200, "text/plain", (struct nm_text){ world->big, world->big_bytes },
                  NM_TEXT(""));
}

static inline void handle_peer(struct nm_http_request *request, void *data)
{
  ((struct world *)data)->handled_count++;
  nm_http_respond(request, 200, "text/plain", nm_http_peer(request), NM_TEXT(""));
}

static inline void handle_park(struct nm_http_request *request, void *data)
{
  handle_later(request, data);
  nm_http_park(request);
}

static inline void handle_refuse(struct nm_http_request *request, void *data)
{
  ((struct world *)data)->handled_count++;
  nm_http_refuse(request, 503, "full", "say \"later\"", "EventTypeID", 7);
}

static void handle_piece(struct nm_http_request *request, void *data);

static void on_pieces_lost(void *data)
{
  ((struct world *)data)->pieces_lost++;
}

/* Asks for the next piece, or says how much it was. */
static inline void world_take_piece(struct world *world, struct nm_http_request *request)
{
  const struct nm_http_pieces pieces = { handle_piece, on_pieces_lost, world };
  world->piece = NULL;
  if (!world->pieces_leave && !nm_http_is_last(request) && nm_http_more(request, &pieces)) return;
  struct nm_text said = nm_arena_printf(nm_http_arena(request), "sum=%zu", world->pieces_bytes);
  nm_http_respond(request, 200, "text/plain", said, NM_TEXT(""));
}

static void handle_piece(struct nm_http_request *request, void *data)
{
  struct world *world = data;
  size_t len = nm_http_body(request).len;
  world->pieces++;
  world->pieces_bytes += len;
  if (len > world->largest_piece) world->largest_piece = len;
  if (world->pieces_wait) world->piece = request;
  else world_take_piece(world, request);
}

static const struct nm_http_route WORLD_ROUTES[] = {
  { NM_HTTP_GET, "/echo", NULL, 0, handle_echo },
  { NM_HTTP_POST | NM_HTTP_PUT, "/echo", "application/json|application/x-ndjson", 1024,
    handle_echo },
  { NM_HTTP_POST, "/any", NULL, 1024, handle_echo },
  { NM_HTTP_GET, "/item/{key}", NULL, 0, handle_echo },
  { NM_HTTP_DELETE, "/item/{key}/part", NULL, 0, handle_echo },
  { NM_HTTP_GET | NM_HTTP_POST, "/later", NULL, 1024, handle_later },
  { NM_HTTP_POST, "/batch", "application/json", 8 * 1024 * 1024, handle_echo },
  { NM_HTTP_GET, "/big", NULL, 0, handle_big },
  { NM_HTTP_GET, "/refuse", NULL, 0, handle_refuse },
  { NM_HTTP_GET, "/peer", NULL, 0, handle_peer },
  { NM_HTTP_POST, "/park", NULL, 1024, handle_park },
  { NM_HTTP_POST | NM_HTTP_STREAMED, "/pieces", NULL, 32 * 1024 * 1024, handle_piece },
  { 0, NULL, NULL, 0, NULL },
};

/* Answers the oldest request that is held. */
static inline void world_answer(struct world *world)
{
  assert_true(world->answered_count < world->held_count);
  answer_echo(world->held[world->answered_count++]);
}

/* ---- the server ------------------------------------------------------------------------------ */

static inline void world_open_with(struct world *world, const char *address,
                                   struct nm_http_options options)
{
  struct nm_error err = { 0 };
  options.routes = WORLD_ROUTES;
  options.data = world;
  *world = (struct world){ 0 };
  alarm(120);
  assert_int_equal(uv_loop_init(&world->loop), 0);
  if (nm_http_listen(&world->server, &world->loop, nm_text_from(address), &options, &err))
    fail_msg("%s", err.text);
}

static inline void world_open(struct world *world, const char *address,
                              struct nm_http_limits limits)
{
  world_open_with(world, address, (struct nm_http_options){ .limits = limits });
}

static inline void on_world_stopped(void *data)
{
  ((struct world *)data)->is_stopped = true;
}

static inline void world_stop(struct world *world)
{
  nm_http_stop(world->server, on_world_stopped, world);
}

#define world_until(world, condition)                                                              \
  do {                                                                                             \
    while (!(condition)) uv_run(&(world)->loop, UV_RUN_ONCE);                                      \
  } while (0)

/* Stops the server if that has not been done, and asks: any handle, any connection, any error? */
static inline void world_close(struct world *world)
{
  if (!world->is_stopped) {
    world_stop(world);
    world_until(world, world->is_stopped);
  }
  uv_run(&world->loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&world->loop), 0);
  assert_int_equal(nm_metric_get(NM_METRIC_CONNECTIONS_OPEN), 0);
  assert_int_equal(nm_log_error_count(), 0);
  free(world->big);
  alarm(0);
}

/* ---- callers --------------------------------------------------------------------------------- */

struct caller {
  struct world *world;
  union {
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } uv;
  uv_connect_t connecting;
  uv_shutdown_t ending;
  char *in; /* what came, NUL behind it */
  size_t len, sent;
  bool is_connected, has_ended, is_closed;
};

static inline void on_caller_wants(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  (void)handle;
  *buf = uv_buf_init(malloc(suggested), (unsigned)suggested);
}

static inline void on_caller_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
  struct caller *caller = stream->data;
  if (len > 0) {
    caller->in = realloc(caller->in, caller->len + (size_t)len + 1);
    assert_non_null(caller->in);
    memcpy(caller->in + caller->len, buf->base, (size_t)len);
    caller->len += (size_t)len;
    caller->in[caller->len] = '\0';
  }
  free(buf->base);
  if (len < 0) caller->has_ended = true;
}

static inline void on_caller_connected(uv_connect_t *connecting, int status)
{
  struct caller *caller = connecting->data;
  assert_int_equal(status, 0);
  caller->is_connected = true;
}

static inline void caller_listen(struct caller *caller)
{
  assert_int_equal(uv_read_start(&caller->uv.stream, on_caller_wants, on_caller_read), 0);
}

/* Connects without reading yet. */
static inline void caller_connect(struct caller *caller, struct world *world)
{
  struct nm_text address = nm_http_address(world->server);
  *caller = (struct caller){ .world = world };
  caller->connecting.data = caller;
  if (nm_text_starts_with(address, NM_TEXT("unix:"))) {
    assert_int_equal(uv_pipe_init(&world->loop, &caller->uv.pipe, 0), 0);
    uv_pipe_connect(&caller->connecting, &caller->uv.pipe, address.ptr + 5, on_caller_connected);
  } else {
    struct sockaddr_in at;
    const char *port = strrchr(address.ptr, ':') + 1;
    assert_int_equal(uv_ip4_addr("127.0.0.1", (int)strtol(port, NULL, 10), &at), 0);
    assert_int_equal(uv_tcp_init(&world->loop, &caller->uv.tcp), 0);
    assert_int_equal(uv_tcp_connect(&caller->connecting, &caller->uv.tcp,
                                    (const struct sockaddr *)&at, on_caller_connected), 0);
  }
  caller->uv.stream.data = caller;
  world_until(world, caller->is_connected);
}

static inline void caller_open(struct caller *caller, struct world *world)
{
  caller_connect(caller, world);
  caller_listen(caller);
}

struct caller_write {
  uv_write_t req;
  struct caller *caller;
  size_t len;
  char bytes[];
};

static inline void on_caller_wrote(uv_write_t *req, int status)
{
  struct caller_write *write = (struct caller_write *)req;
  if (status == 0) write->caller->sent += write->len;
  free(write);
}

static inline void caller_send(struct caller *caller, struct nm_text bytes)
{
  struct caller_write *write = malloc(sizeof *write + bytes.len);
  assert_non_null(write);
  write->caller = caller;
  write->len = bytes.len;
  memcpy(write->bytes, bytes.ptr, bytes.len);
  uv_buf_t buf = uv_buf_init(write->bytes, (unsigned)bytes.len);
  assert_int_equal(uv_write(&write->req, &caller->uv.stream, &buf, 1, on_caller_wrote), 0);
}

static inline void caller_says(struct caller *caller, const char *bytes)
{
  caller_send(caller, nm_text_from(bytes));
}

static inline void on_caller_ended(uv_shutdown_t *ending, int status)
{
  (void)ending;
  (void)status;
}

static inline void caller_end(struct caller *caller)
{
  assert_int_equal(uv_shutdown(&caller->ending, &caller->uv.stream, on_caller_ended), 0);
}

static inline bool caller_heard(const struct caller *caller, const char *what)
{
  return caller->in && strstr(caller->in, what);
}

/* How often the word came. */
static inline size_t caller_count(const struct caller *caller, const char *what)
{
  size_t count = 0;
  for (const char *at = caller->in; at && (at = strstr(at, what)); at++) count++;
  return count;
}

/* Waits for a text in what came. */
static inline void caller_hears(struct caller *caller, const char *what)
{
  world_until(caller->world, caller_heard(caller, what) || caller->has_ended);
  if (!caller_heard(caller, what))
    fail_msg("ended without '%s', but: %s", what, caller->in ? caller->in : "(nothing)");
}

static inline void caller_hears_end(struct caller *caller)
{
  world_until(caller->world, caller->has_ended);
}

/* Forgets what came. */
static inline void caller_forget(struct caller *caller)
{
  caller->len = 0;
  if (caller->in) caller->in[0] = '\0';
}

static inline void on_caller_closed(uv_handle_t *handle)
{
  struct caller *caller = handle->data;
  caller->is_closed = true;
}

static inline void caller_close(struct caller *caller)
{
  uv_close((uv_handle_t *)&caller->uv.stream, on_caller_closed);
  world_until(caller->world, caller->is_closed);
  free(caller->in);
  caller->in = NULL;
}

/* True once a whole answer came, by its Content-Length. */
static inline bool caller_has_answer(const struct caller *caller)
{
  const char *end = caller->in ? strstr(caller->in, "\r\n\r\n") : NULL;
  const char *length = end ? strstr(caller->in, "\r\nContent-Length: ") : NULL;
  size_t body = length && length < end ? (size_t)strtol(length + 18, NULL, 10) : 0;
  return end && strlen(end + 4) >= body;
}

/* Sends a request and checks that the answer begins with the status line and has the body; an empty
 * one is not waited for. */
static inline void caller_asks(struct caller *caller, const char *request, const char *status_line,
                               const char *body)
{
  caller_forget(caller);
  caller_says(caller, request);
  caller_hears(caller, "\r\n\r\n");
  if (*body) world_until(caller->world, caller_has_answer(caller) || caller->has_ended);
  if (strncmp(caller->in, status_line, strlen(status_line)) != 0)
    fail_msg("'%s' was answered with %s", request, caller->in);
  assert_string_equal(strstr(caller->in, "\r\n\r\n") + 4, body);
}
