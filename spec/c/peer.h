/* peer.h - a tiny HTTP peer for tests, on the test's own loop: it records every request and answers
 * with scripted bytes.  Real sockets; nothing of ours is used in it.
 */
#pragma once

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

#include "check.h"

enum peer_kind {
  PEER_ANSWER = 0, /* write the bytes, keep the connection */
  PEER_CLOSE = 1,  /* write the bytes (if any), then close */
  PEER_SILENT = 2, /* read and say nothing */
  PEER_RESET = 3,  /* write nothing, close with a reset */
};

struct peer_act {
  enum peer_kind kind;
  const char *bytes;
};

struct peer_request {
  char *bytes; /* head and body, NUL behind it */
  char *body;
  size_t body_len;
  int connection; /* from 1 */
};

enum { PEER_REQUESTS_MAX = 64 };

struct peer {
  uv_loop_t *loop;
  uv_tcp_t server;
  int port;
  const struct peer_act *acts; /* one a request in order of arrival; the last one for all others */
  size_t act_count;
  const char *greeting; /* said on connect, before any request */
  struct peer_request requests[PEER_REQUESTS_MAX];
  size_t request_count;
  int connections;
  int connections_open;
  struct peer_connection *first;
};

struct peer_connection {
  struct peer_connection *next;
  struct peer *peer;
  uv_tcp_t tcp;
  int number;
  char *bytes;
  size_t len, capacity;
};

struct peer_write {
  uv_write_t write;
  struct peer_connection *connection;
  bool closes;
};

static inline void peer_on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
  struct peer_connection *c = handle->data;
  (void)wanted;
  if (c->capacity - c->len < 65536) {
    c->capacity += 65536 + c->capacity;
    c->bytes = realloc(c->bytes, c->capacity);
    if (!c->bytes) abort();
  }
  *out = uv_buf_init(c->bytes + c->len, (unsigned)(c->capacity - c->len - 1));
}

static inline void peer_on_closed(uv_handle_t *handle)
{
  struct peer_connection *c = handle->data;
  struct peer_connection **at = &c->peer->first;
  while (*at != c) at = &(*at)->next;
  *at = c->next;
  c->peer->connections_open--;
  free(c->bytes);
  free(c);
}

static inline void peer_drop(struct peer_connection *c)
{
  if (!uv_is_closing((uv_handle_t *)&c->tcp)) uv_close((uv_handle_t *)&c->tcp, peer_on_closed);
}

static inline void peer_on_written(uv_write_t *write, int status)
{
  struct peer_write *w = (struct peer_write *)write;
  (void)status;
  if (w->closes) peer_drop(w->connection);
  free(w);
}

static inline void peer_act(struct peer_connection *c, const struct peer_act *act)
{
  if (act->kind == PEER_SILENT) return;
  if (act->kind == PEER_RESET) {
    uv_tcp_close_reset(&c->tcp, peer_on_closed);
    return;
  }
  if (!act->bytes) {
    peer_drop(c);
    return;
  }
  struct peer_write *w = calloc(1, sizeof *w);
  if (!w) abort();
  w->connection = c;
  w->closes = act->kind == PEER_CLOSE;
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)act->bytes, (unsigned)strlen(act->bytes));
  uv_write(&w->write, (uv_stream_t *)&c->tcp, &buf, 1, peer_on_written);
}

/* Takes one whole request off the front; false when there is none yet. */
static inline bool peer_take(struct peer_connection *c)
{
  struct peer *peer = c->peer;
  size_t length = 0;
  if (c->len == 0) return false;
  c->bytes[c->len] = 0;
  char *head_end = strstr(c->bytes, "\r\n\r\n");
  if (!head_end) return false;
  char *stated = strcasestr(c->bytes, "\r\nContent-Length:");
  if (stated && stated < head_end) length = strtoul(stated + 17, NULL, 10);
  size_t head = (size_t)(head_end - c->bytes) + 4;
  if (c->len < head + length) return false;

  assert_true(peer->request_count < PEER_REQUESTS_MAX);
  struct peer_request *request = &peer->requests[peer->request_count];
  request->bytes = calloc(1, head + length + 1);
  if (!request->bytes) abort();
  memcpy(request->bytes, c->bytes, head + length);
  request->body = request->bytes + head;
  request->body_len = length;
  request->connection = c->number;
  memmove(c->bytes, c->bytes + head + length, c->len - head - length);
  c->len -= head + length;

  size_t at = peer->request_count < peer->act_count ? peer->request_count : peer->act_count - 1;
  peer->request_count++;
  peer_act(c, &peer->acts[at]);
  return true;
}

static inline void peer_on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
  struct peer_connection *c = stream->data;
  (void)buf;
  if (len < 0) {
    peer_drop(c);
    return;
  }
  c->len += (size_t)len;
  while (!uv_is_closing((uv_handle_t *)stream) && peer_take(c)) {}
}

static inline void peer_on_connection(uv_stream_t *server, int status)
{
  struct peer *peer = server->data;
  assert_int_equal(status, 0);
  struct peer_connection *c = calloc(1, sizeof *c);
  if (!c) abort();
  c->peer = peer;
  c->number = ++peer->connections;
  c->next = peer->first;
  peer->first = c;
  peer->connections_open++;
  uv_tcp_init(peer->loop, &c->tcp);
  c->tcp.data = c;
  assert_int_equal(uv_accept(server, (uv_stream_t *)&c->tcp), 0);
  uv_read_start((uv_stream_t *)&c->tcp, peer_on_alloc, peer_on_read);
  if (peer->greeting) peer_act(c, &(struct peer_act){ PEER_ANSWER, peer->greeting });
}

static inline void peer_open(struct peer *peer, uv_loop_t *loop, const struct peer_act *acts,
                             size_t count)
{
  struct sockaddr_in address;
  int len = sizeof address;
  memset(peer, 0, sizeof *peer);
  peer->loop = loop;
  peer->acts = acts;
  peer->act_count = count;
  uv_ip4_addr("127.0.0.1", 0, &address);
  uv_tcp_init(loop, &peer->server);
  peer->server.data = peer;
  assert_int_equal(uv_tcp_bind(&peer->server, (struct sockaddr *)&address, 0), 0);
  assert_int_equal(uv_listen((uv_stream_t *)&peer->server, 64, peer_on_connection), 0);
  assert_int_equal(uv_tcp_getsockname(&peer->server, (struct sockaddr *)&address, &len), 0);
  peer->port = ntohs(address.sin_port);
}

static inline void peer_close(struct peer *peer)
{
  uv_close((uv_handle_t *)&peer->server, NULL);
  for (struct peer_connection *c = peer->first; c; c = c->next) peer_drop(c);
}

/* After the loop has run out. */
static inline void peer_free(struct peer *peer)
{
  for (size_t i = 0; i < peer->request_count; i++) free(peer->requests[i].bytes);
}

/* Whoever sets the flag that a test waits for also calls uv_stop, since the loop may be about to
 * wait for what never comes.  Fails when nothing is left that could set it. */
static inline void peer_run_until(uv_loop_t *loop, const bool *flag)
{
  while (!*flag)
    if (!uv_run(loop, UV_RUN_DEFAULT) && !*flag) fail_msg("the loop ran out");
}

/* Runs the loop until every handle is closed. */
static inline void peer_run_out(uv_loop_t *loop)
{
  while (uv_run(loop, UV_RUN_DEFAULT)) {}
}
