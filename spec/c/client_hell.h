/* client_hell.h - peers for tests of the client that do what no peer should, on the test's own loop
 * (peer.h has those that merely answer).  One behaviour is one row.
 */
#pragma once

#include <netinet/in.h>

#include "peer.h"

#include "client/client.h"

enum { DRIP_EVERY_MS = 3, DEVILS_MAX = 128 };

static uv_loop_t loop;

/* ---- what one is like ------------------------------------------------------------------------ */

enum {
  ANSWERED = 1 << NM_CLIENT_ANSWERED,
  UNREACHABLE = 1 << NM_CLIENT_UNREACHABLE,
  UNKNOWN = 1 << NM_CLIENT_UNKNOWN,
  REFUSED = 1 << NM_CLIENT_REFUSED,
};

enum {
  AT_ONCE = 1,     /* on connect, without waiting for the request */
  DRIP = 2,        /* a byte at a time */
  CLOSE = 4,       /* when all is written */
  RESET = 8,       /* the same, not politely */
  SHUT = 16,       /* half-closes when all is written, and stays */
  DEAF = 32,       /* never reads */
  TLS = 64,        /* called by https */
  GET = 128,       /* called with GET; else POST */
  LARGE = 256,     /* called with a body of 4 MiB */
  SLOW_CALL = 512, /* takes the call's whole time; must not be cut before */
  RACY = 1024,     /* the status may be lost with the rest */
  FLOOD = 2048,    /* bytes that say nothing: only the call's time ends them */
};

struct behaviour {
  const char *name;
  unsigned flags;
  const char *bytes;  /* said first; NULL = nothing */
  const char *always; /* said for ever after that; NULL = nothing */
  unsigned ends;      /* those that are right */
  int status;
  const char *word; /* in the reason, or the body where it is answered; NULL = anything */
};

/* ---- who behaves so -------------------------------------------------------------------------- */

struct devil {
  const struct behaviour *behaviour;
  size_t len; /* of the behaviour's bytes, where they hold a NUL */
  uv_tcp_t server;
  int port;
  int connections, requests;
  size_t written;
};

struct connection {
  struct connection *next;
  struct devil *devil;
  uv_tcp_t tcp;
  uv_timer_t drip;
  uv_write_t write;
  uv_shutdown_t shut;
  int handles;
  bool is_writing, has_begun;
  size_t said; /* bytes of `bytes`, then of `always`, in a drip */
  char head[8192];
  size_t head_len, body_left;
  bool is_in_body;
  char many[16 * 1024]; /* `always`, again and again, and whole */
  size_t many_len;
};

static struct connection *connections;
static struct devil *listening[DEVILS_MAX];
static size_t listening_count;

static inline void on_handle_closed(uv_handle_t *handle)
{
  struct connection *c = handle->data, **at = &connections;
  if (--c->handles > 0) return;
  while (*at != c) at = &(*at)->next;
  *at = c->next;
  free(c);
}

static inline void drop(struct connection *c)
{
  if (uv_is_closing((uv_handle_t *)&c->tcp)) return;
  uv_close((uv_handle_t *)&c->tcp, on_handle_closed);
  uv_close((uv_handle_t *)&c->drip, on_handle_closed);
}

static inline void finish(struct connection *c)
{
  unsigned flags = c->devil->behaviour->flags;
  if (uv_is_closing((uv_handle_t *)&c->tcp)) return;
  if (flags & CLOSE) drop(c);
  if (flags & RESET) {
    uv_tcp_close_reset(&c->tcp, on_handle_closed);
    uv_close((uv_handle_t *)&c->drip, on_handle_closed);
  }
  if (flags & SHUT) uv_shutdown(&c->shut, (uv_stream_t *)&c->tcp, NULL);
}

static inline void say(struct connection *c, const char *bytes, size_t len);

static inline void on_said(uv_write_t *write, int status)
{
  struct connection *c = write->data;
  const struct behaviour *b = c->devil->behaviour;
  c->is_writing = false;
  if (status < 0) return;
  if (!b->always) finish(c);
  else if (!uv_is_closing((uv_handle_t *)&c->tcp)) say(c, c->many, c->many_len);
}

static inline void say(struct connection *c, const char *bytes, size_t len)
{
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);
  c->is_writing = true;
  c->write.data = c;
  c->devil->written += len;
  if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_said)) c->is_writing = false;
}

static inline void on_drip(uv_timer_t *timer)
{
  struct connection *c = timer->data;
  const struct behaviour *b = c->devil->behaviour;
  size_t first = b->bytes ? strlen(b->bytes) : 0;
  uv_buf_t byte;
  if (c->said < first) {
    byte = uv_buf_init((char *)(uintptr_t)b->bytes + c->said, 1);
  } else if (b->always) {
    byte = uv_buf_init((char *)(uintptr_t)b->always + (c->said - first) % strlen(b->always), 1);
  } else {
    uv_timer_stop(timer);
    finish(c);
    return;
  }
  if (uv_try_write((uv_stream_t *)&c->tcp, &byte, 1) == 1) c->said++;
}

static inline void behave(struct connection *c)
{
  const struct behaviour *b = c->devil->behaviour;
  if (c->has_begun) return;
  c->has_begun = true;
  if (b->flags & DRIP) {
    uv_timer_start(&c->drip, on_drip, 0, DRIP_EVERY_MS);
    return;
  }
  size_t one = b->always ? strlen(b->always) : 0;
  for (c->many_len = 0; one > 0 && c->many_len + one <= sizeof c->many; c->many_len += one)
    memcpy(c->many + c->many_len, b->always, one);
  if (b->bytes) say(c, b->bytes, c->devil->len > 0 ? c->devil->len : strlen(b->bytes));
  else if (b->always) say(c, c->many, c->many_len);
  else finish(c);
}

static inline void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
char bytes[65536];
  (void)handle, (void)wanted;
  *out = uv_buf_init(bytes, sizeof bytes);
}

/* True when a request is whole; what stands behind it is not looked at. */
static inline bool is_request_whole(struct connection *c, const char *bytes, size_t len)
{
  if (!c->is_in_body) {
    size_t take = sizeof c->head - 1 - c->head_len < len ? sizeof c->head - 1 - c->head_len : len;
    memcpy(c->head + c->head_len, bytes, take);
    size_t before = c->head_len;
    c->head_len += take;
    c->head[c->head_len] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) return false;
    char *stated = strcasestr(c->head, "\r\nContent-Length:");
    c->is_in_body = true;
    c->body_left = stated && stated < end ? strtoul(stated + 17, NULL, 10) : 0;
    len -= (size_t)(end + 4 - c->head) - before;
  }
  c->body_left -= len < c->body_left ? len : c->body_left;
  if (c->body_left > 0) return false;
  c->is_in_body = false;
  c->head_len = 0;
  return true;
}

static inline void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
  struct connection *c = stream->data;
  if (len < 0) {
    drop(c);
    return;
  }
  if (c->devil->behaviour->flags & TLS) { /* any flight counts as a request */
    behave(c);
    return;
  }
  if (!is_request_whole(c, buf->base, (size_t)len)) return;
  c->devil->requests++;
  c->has_begun = c->has_begun && (c->devil->behaviour->flags & AT_ONCE);
  behave(c);
}

static inline void on_connection(uv_stream_t *server, int status)
{
  struct devil *devil = server->data;
  struct connection *c = calloc(1, sizeof *c);
  assert_int_equal(status, 0);
  assert_non_null(c);
  c->devil = devil;
  c->next = connections;
  connections = c;
  c->handles = 2;
  devil->connections++;
  uv_tcp_init(&loop, &c->tcp);
  uv_timer_init(&loop, &c->drip);
  c->tcp.data = c->drip.data = c;
  assert_int_equal(uv_accept(server, (uv_stream_t *)&c->tcp), 0);
  if (!(devil->behaviour->flags & DEAF)) uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
  if (devil->behaviour->flags & AT_ONCE) behave(c);
}

static inline void open_devil(struct devil *devil, const struct behaviour *behaviour)
{
  struct sockaddr_in at;
  int len = sizeof at;
  *devil = (struct devil){ .behaviour = behaviour };
  uv_ip4_addr("127.0.0.1", 0, &at);
  uv_tcp_init(&loop, &devil->server);
  devil->server.data = devil;
  assert_int_equal(uv_tcp_bind(&devil->server, (struct sockaddr *)&at, 0), 0);
  assert_int_equal(uv_listen((uv_stream_t *)&devil->server, 64, on_connection), 0);
  assert_int_equal(uv_tcp_getsockname(&devil->server, (struct sockaddr *)&at, &len), 0);
  devil->port = ntohs(at.sin_port);
  listening[listening_count++] = devil;
}

/* Closes who listens and every connection, whatever the test came to. */
static inline void close_devils(void)
{
  while (listening_count > 0) uv_close((uv_handle_t *)&listening[--listening_count]->server, NULL);
  for (struct connection *c = connections; c; c = c->next) drop(c);
}
