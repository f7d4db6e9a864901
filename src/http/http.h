/* http.h - HTTP/1.1 to the letter: byte streams into requests, answers into bytes, and the router.
 *
 * A server listens on one address (TCP or a unix socket) of the calling thread's loop, parses with
 * llhttp behind the strict head guard, checks route, method, content type and size in the order
 * contract.md gives, and calls the route's handler with the whole request.  The handler answers
 * once, now or later, on the same thread.  Requests of one connection are answered in order, one at
 * a time: what follows stays in the socket (back-pressure).
 */
#pragma once

#include <uv.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "net/network.h"
#include "net/tls.h"

struct nm_http_server;
struct nm_http_request;

/* Every field 0 = the default of base/limits.h. */
struct nm_http_limits {
  size_t head_max_bytes;
  int connections_max;
  int per_address_max; /* connections of one address (one /64 of IPv6) at once; 0 = off */
  int handshake_timeout_ms;
  int head_timeout_ms, body_timeout_ms, write_timeout_ms, idle_timeout_ms;
  int requests_max; /* with a body, in their handlers at once; 503 above it */
  size_t bodies_max_bytes; /* memory for the bodies of all requests at once; 503 above it */
};

enum nm_http_method {
  NM_HTTP_GET = 1, NM_HTTP_HEAD = 2, NM_HTTP_POST = 4, NM_HTTP_PUT = 8, NM_HTTP_DELETE = 16,
};

enum { NM_HTTP_PARAMS_MAX = 4, NM_HTTP_STREAMED = 1 << 16 };

/* A route: "/optimove/event/{appKey}".  A {name} takes one whole segment, percent-decoded. */
struct nm_http_route {
  unsigned methods;            /* bits of enum nm_http_method; HEAD comes with GET; and
                                * NM_HTTP_STREAMED: the handler gets the body in pieces */
  const char *pattern;
  const char *content_types;   /* "application/json", several with '|'; NULL = a body of any type.
                                * Without a body nothing is checked, unless POST or PUT name a
                                * type */
  size_t body_max_bytes;       /* 413 above it; 0 = no body allowed beyond an empty one */
  void (*handler)(struct nm_http_request *request, void *data);
};

struct nm_http_options {
  const struct nm_http_route *routes; /* ends with pattern NULL; lent for ever */
  void *data;                         /* for every handler */
  struct nm_http_limits limits;

  struct nm_tls *tls; /* lent as long as the server lives; NULL: plain HTTP */

  /* Proxies that end TLS: plain HTTP is taken from them and from loopback alone (else 403; 400
   * where this server speaks TLS), and their X-Forwarded-For is believed.  Lent as long as the
   * server lives.  NULL: plain HTTP from anybody. */
  const struct nm_networks *behind;
};

/* Listens on "127.0.0.1:8443", "[::1]:0", "unix:var/netmove.sock" (mode 0600, a stale file is
 * replaced) or "fd:N" (a socket bound already: net/listen.h).  Gives *out. */
NM_MUST_CHECK int nm_http_listen(struct nm_http_server **out, uv_loop_t *loop,
                                 struct nm_text address, const struct nm_http_options *options,
                                 struct nm_error *err);

/* The address it really listens on ("127.0.0.1:41733"). */
struct nm_text nm_http_address(const struct nm_http_server *server);

/* Stops accepting; requests being answered are finished (with Connection: close), and so is what
 * comes within a moment (NM_HTTP_STOP_GRACE_MS) on connections that are open: bytes may be on their
 * way.  Then idle connections are closed.  on_stopped is called once, when no connection is left;
 * the server is then gone. */
void nm_http_stop(struct nm_http_server *server, void (*on_stopped)(void *data), void *data);

/* ---- a request, in its handler and until it is answered -------------------------------------- */

enum nm_http_method nm_http_method(const struct nm_http_request *request);
struct nm_text nm_http_path(const struct nm_http_request *request);   /* as sent, without query */
struct nm_text nm_http_body(const struct nm_http_request *request);
struct nm_text nm_http_content_type(const struct nm_http_request *request); /* without parameters */

/* A {name} of the pattern, decoded; empty when there is none. */
struct nm_text nm_http_param(const struct nm_http_request *request, const char *name);

/* A query parameter, decoded (the first of that name); empty when missing. */
struct nm_text nm_http_query(struct nm_http_request *request, const char *name);

/* The whole query as it was sent, without its `?`. */
struct nm_text nm_http_query_string(const struct nm_http_request *request);

/* The header of that place, from 0; false behind the last. */
bool nm_http_header_at(const struct nm_http_request *request, unsigned place,
                       struct nm_text *name, struct nm_text *value);

/* A header by its name in any case; empty when missing.  Several of one name: the first. */
struct nm_text nm_http_header(const struct nm_http_request *request, const char *name);

/* Memory that lives as long as the request. */
struct nm_arena *nm_http_arena(struct nm_http_request *request);

/* "203.0.113.7" of who calls, "unix" on a unix socket; behind a trusted proxy whom it names. */
struct nm_text nm_http_peer(const struct nm_http_request *request);

/* The user id of the program that calls over a unix socket; -1 where that is not known. */
int64_t nm_http_peer_uid(const struct nm_http_request *request);

/* The route that it came by. */
const struct nm_http_route *nm_http_route(const struct nm_http_request *request);

/* Something of the handler's own that goes with the request; NULL at first. */
void nm_http_set_own(struct nm_http_request *request, void *own);
void *nm_http_own(const struct nm_http_request *request);

/* Called once, right before the answer goes out (also where the caller has gone away meanwhile). */
void nm_http_on_answer(struct nm_http_request *request,
                       void (*on_answer)(struct nm_http_request *request, int status));

/* The request waits on purpose (a refusal that is slowed down): it no longer counts as work that is
 * under way.  Answer it as any other. */
void nm_http_park(struct nm_http_request *request);

/* ---- bodies in pieces ------------------------------------------------------------------------ */

/* The handler of a streamed route is called when a first piece of the body is there (the whole, if
 * it is small); nm_http_body is that piece.  It answers, or asks for the next piece: the one at
 * hand is then gone, and `on_piece` is called with the next, `is_last` with the last (which may be
 * empty).  So a body of any length takes the memory of one piece, and who sends faster than we read
 * waits.
 *
 * Where no more comes (the caller left, was too slow, or broke the rules of HTTP) `on_lost` is
 * called instead; the request is then not the handler's any more.  False, and on_lost was not
 * called: the caller is gone already; answer as any other (it frees). */
struct nm_http_pieces {
  void (*on_piece)(struct nm_http_request *request, void *data);
  void (*on_lost)(void *data);
  void *data;
};

bool nm_http_more(struct nm_http_request *request, const struct nm_http_pieces *pieces);

/* True where the piece at hand ends the body. */
bool nm_http_is_last(const struct nm_http_request *request);

/* Answers once, status 200 to 599; the request is gone afterwards.  HEAD, 204 and 304 go out
 * without their body.  Borrows all.  extra_headers: whole lines with CRLF, or the empty text.
 * Where the caller has gone away it does nothing but free. */
void nm_http_respond(struct nm_http_request *request, int status, const char *content_type,
                     struct nm_text body, struct nm_text extra_headers);

/* Answers with the contract's error body {"error":{"code","message","field"}}; a field of
 * NULL is left out.  401 closes nothing; retry_after_s > 0 adds Retry-After. */
void nm_http_refuse(struct nm_http_request *request, int status, const char *code,
                    const char *message, const char *field, int retry_after_s);
