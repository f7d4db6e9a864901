/* internal.h - what the files of http/ share: requests, connections, the server. */
#pragma once

#include "base/limits.h"
#include "http/http.h"
#include "http/parser.h"
#include "http/router.h"
#include "net/listen.h"
#include "net/stream.h"

struct nm_http_connection;

/* ---- request.c ------------------------------------------------------------------------------- */

struct nm_http_request {
  struct nm_http_parser parser; /* first: what follows begins anew with each request */
  struct nm_http_request *next; /* of the spare ones */
  struct nm_arena *arena;
  struct nm_http_connection *connection; /* NULL once the caller has gone away */
  struct nm_http_server *server;
  struct nm_http_match match;
  struct nm_text params[NM_HTTP_PARAMS_MAX]; /* decoded */
  struct nm_text path, query, content_type;
  unsigned method;           /* a bit of enum nm_http_method, or 0 */
  bool is_options;           /* answered here */
  bool expects_continue;
  bool keeps_alive;          /* the answer may leave the connection open */
  struct nm_http_fault fault; /* found in the head; answered when the body has been read */
  size_t weight_bytes;       /* of the body's memory, as counted by the server */
  bool is_counted;           /* among the server's `busy` */
  bool is_body_done;
  struct nm_http_pieces pieces; /* on_piece NULL: the handler has not asked yet */
  char peer[NM_STREAM_PEER_MAX_BYTES];
  int64_t peer_uid;
  void *own;                 /* the handler's */
  void (*on_answer)(struct nm_http_request *request, int status);
};

/* Gives a request that is about to be read; NULL when out of memory. */
struct nm_http_request *nm_http_request_create(struct nm_http_connection *connection,
                                               struct nm_http_server *server, const char *peer);
void nm_http_request_destroy(struct nm_http_request *request);

/* Tells a handler that waits for the next piece that none comes. */
void nm_http_request_lose(struct nm_http_request *request);

/* Frees the spare ones. */
void nm_http_requests_forget(struct nm_http_server *server);

/* Counts what its body has grown by; false where all bodies together are too much. */
bool nm_http_request_weigh(struct nm_http_request *request);

/* Looks at the head in the contract's order; what is wrong is in request->fault. */
void nm_http_request_admit(struct nm_http_request *request);

/* Hands a request that was read whole to its route, or refuses it. */
void nm_http_request_dispatch(struct nm_http_request *request);

/* Percent-decodes into the arena; false on a bad escape or without memory.  '+' is a blank where
 * is_form. */
bool nm_http_decode(struct nm_http_request *request, struct nm_text text, bool is_form,
                    struct nm_text *out);

/* ---- caller.c -------------------------------------------------------------------------------- */

/* What is wrong with this peer speaking to us so; status 0: nothing. */
struct nm_http_fault nm_http_caller_fault(const struct nm_http_server *server,
                                          const struct nm_stream *stream);

/* Puts into request->peer whom trusted proxies name. */
void nm_http_caller_find(struct nm_http_request *request);

/* ---- respond.c ------------------------------------------------------------------------------- */

/* Refuses with the fault; `extra_headers` as in nm_http_respond. */
void nm_http_refuse_fault(struct nm_http_request *request, const struct nm_http_fault *fault,
                          const char *field, struct nm_text extra_headers);

/* ---- connection.c ---------------------------------------------------------------------------- */

/* What a connection is doing; each before NM_HTTP_PHASE_TIMED has its own time limit. */
enum nm_http_phase {
  NM_HTTP_PHASE_HEAD = 0,  /* a head is expected or being read */
  NM_HTTP_PHASE_BODY = 1,
  NM_HTTP_PHASE_IDLE = 2,  /* between requests */
  NM_HTTP_PHASE_WRITE = 3, /* the answer is on its way */
  NM_HTTP_PHASE_DRAIN = 4, /* answered for the last time; what still comes is thrown away */
  NM_HTTP_PHASE_HANDSHAKE = 5, /* TLS, before anything else */
  NM_HTTP_PHASE_TIMED = 6, /* (number of those above) */
  NM_HTTP_PHASE_ANSWER = 7, /* a handler has the request */
  NM_HTTP_PHASE_CLOSED = 8,
};

struct nm_http_connection {
  struct nm_stream *stream;
  struct nm_http_server *server;
  struct nm_http_request *request; /* being read or answered */
  struct nm_http_connection *previous, *next; /* in the server's queue of this phase */
  struct nm_http_fault fault; /* of all its requests: who calls may not, or not so */
  uint64_t deadline_ms;
  uint64_t mark;           /* body read or answer unsent when the deadline was set */
  enum nm_http_phase phase;
  char *ahead;             /* bytes of the next requests, read before their turn */
  size_t ahead_len, ahead_at;
  size_t drained_bytes;
  bool is_reading;
  bool has_ended;          /* the peer sends no more */
  bool is_last;            /* the answer under way is the last one */
  bool is_processing;
};

/* Takes the stream. */
void nm_http_connection_open(struct nm_http_server *server, struct nm_stream *stream);

/* Closes without another word; a request being answered lives on until its answer. */
void nm_http_connection_close(struct nm_http_connection *connection);

/* Writes the answer of the connection's request and goes on; the request is still there afterwards,
 * but no longer the connection's. */
void nm_http_connection_answer(struct nm_http_connection *connection, const struct nm_text *parts,
                               unsigned count, bool is_last);

/* The handler wants the next piece of the request's body. */
void nm_http_connection_more(struct nm_http_connection *connection);

/* True where nothing is read, answered or written. */
bool nm_http_connection_is_idle(const struct nm_http_connection *connection);

/* Its time is up. */
void nm_http_connection_expire(struct nm_http_connection *connection);

/* True where it moved enough in its time to be given the same again. */
bool nm_http_connection_progresses(const struct nm_http_connection *connection);

/* ---- server.c -------------------------------------------------------------------------------- */

struct nm_http_queue {
  struct nm_http_connection *first, *last; /* the first expires first */
};

struct nm_http_server {
  uv_loop_t *loop;
  struct nm_listener *listener;
  struct nm_http_options options;
  uint64_t timeout_ms[NM_HTTP_PHASE_TIMED];
  struct nm_http_queue queues[NM_HTTP_PHASE_TIMED];
  uv_timer_t timer, grace;
  uint64_t timer_at_ms; /* 0: not set */
  size_t bodies_bytes;  /* memory of all bodies */
  int requests;         /* alive, their caller gone or not */
  int busy;             /* of them with a body and in their handlers */
  bool is_stopping, is_listener_closed, is_one_timer_closed;
  struct nm_http_request *spare; /* requests that were, for those to come */
  int spare_count;
  int64_t date_second;
  char date[32];
  void (*on_stopped)(void *data);
  void *stopped_data;
};

/* Moves the connection into a phase and gives it that phase's time. */
void nm_http_phase_enter(struct nm_http_connection *connection, enum nm_http_phase phase);

/* "Mon, 23 Nov 2026 09:30:00 GMT", made once a second. */
const char *nm_http_date(struct nm_http_server *server);

/* A request is gone: a server that is stopping may have waited for it. */
void nm_http_server_request_gone(struct nm_http_server *server);
