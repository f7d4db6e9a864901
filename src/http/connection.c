/* connection.c - one connection from its first byte to its last.
 *
 *   (HANDSHAKE ->)
 *   HEAD -> BODY -> ANSWER -> WRITE -> IDLE -> HEAD ...        (a body, a queue to write: if any)
 *                                  \-> DRAIN -> CLOSED         (the last answer)
 *
 * While a request is answered reading goes on until something comes: it is put aside, at most one
 * read buffer, and reading rests.  So a caller who leaves is noticed, and one who floods waits.
 */
#include <stdlib.h>

#include "base/metrics.h"
#include "http/internal.h"

static void process_ahead(struct nm_http_connection *self);

/* ---- opening and closing --------------------------------------------------------------------- */

static void let_request_go(struct nm_http_connection *self)
{
  struct nm_http_request *request = self->request;
  self->request = NULL;
  if (!request) return;
  if (self->phase == NM_HTTP_PHASE_ANSWER) {
    request->connection = NULL; /* its handler has it and will answer nobody */
  } else {
    nm_http_request_lose(request);
    nm_http_request_destroy(request);
  }
}

static void drop_ahead(struct nm_http_connection *self)
{
  free(self->ahead);
  self->ahead = NULL;
  self->ahead_len = self->ahead_at = 0;
}

void nm_http_connection_close(struct nm_http_connection *self)
{
  if (self->phase == NM_HTTP_PHASE_CLOSED) return;
  let_request_go(self);
  drop_ahead(self);
  nm_http_phase_enter(self, NM_HTTP_PHASE_CLOSED);
  nm_stream_close(self->stream);
}

static void on_closed(void *data)
{
  nm_metric_add(NM_METRIC_CONNECTIONS_OPEN, -1);
  free(data);
}

bool nm_http_connection_is_idle(const struct nm_http_connection *self)
{
  return (self->phase == NM_HTTP_PHASE_IDLE || self->phase == NM_HTTP_PHASE_HEAD ||
          self->phase == NM_HTTP_PHASE_HANDSHAKE) &&
         !self->request && !self->ahead && !self->is_processing;
}

static void read_on(struct nm_http_connection *self)
{
  if (self->is_reading || self->has_ended) return;
  self->is_reading = true;
  if (nm_stream_start(self->stream)) nm_http_connection_close(self);
}

static void rest_reading(struct nm_http_connection *self)
{
  if (self->is_reading) nm_stream_stop(self->stream);
  self->is_reading = false;
}

/* ---- refusing -------------------------------------------------------------------------------- */

/* Refuses what cannot or will not be read to its end: the connection goes with it. */
static void refuse_and_leave(struct nm_http_connection *self, struct nm_http_fault fault)
{
  struct nm_http_request *request = self->request;
  nm_http_request_lose(request);
  request->fault = fault;
  request->keeps_alive = false;
  nm_http_phase_enter(self, NM_HTTP_PHASE_ANSWER);
  nm_http_request_dispatch(request);
}

/* What still comes is thrown away, within bytes and time, so that the answer can be read: closing
 * a socket with unread bytes in it would make the system take back what is on its way. */
static void drain(struct nm_http_connection *self)
{
  drop_ahead(self);
  if (self->has_ended) {
    nm_http_connection_close(self);
    return;
  }
  nm_stream_end(self->stream);
  nm_http_phase_enter(self, NM_HTTP_PHASE_DRAIN);
  read_on(self);
}

static void take_drained(struct nm_http_connection *self, size_t len)
{
  self->drained_bytes += len;
  if (self->drained_bytes >= NM_HTTP_DRAIN_MAX_BYTES) rest_reading(self); /* until the time is up */
}

/* ---- answering ------------------------------------------------------------------------------- */

static void on_answered(struct nm_http_connection *self)
{
  if (self->is_last) {
    drain(self);
    return;
  }
  nm_http_phase_enter(self, NM_HTTP_PHASE_IDLE);
  process_ahead(self);
}

void nm_http_connection_answer(struct nm_http_connection *self, const struct nm_text *parts,
                               unsigned count, bool is_last)
{
  self->request = NULL;
  self->is_last = is_last;
  if (nm_stream_write(self->stream, parts, count)) {
    nm_http_connection_close(self);
  } else if (nm_stream_unsent(self->stream) > 0) {
    nm_http_phase_enter(self, NM_HTTP_PHASE_WRITE);
  } else {
    on_answered(self);
  }
}

static void on_written(void *data)
{
  struct nm_http_connection *self = data;
  if (self->phase == NM_HTTP_PHASE_WRITE) on_answered(self);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void dispatch(struct nm_http_connection *self)
{
  nm_http_phase_enter(self, NM_HTTP_PHASE_ANSWER);
  nm_http_request_dispatch(self->request);
}

static void invite_body(struct nm_http_connection *self)
{
  struct nm_text line = NM_TEXT("HTTP/1.1 100 Continue\r\n\r\n");
  if (nm_stream_write(self->stream, &line, 1)) nm_http_connection_close(self);
}

/* The head is read: is there a route, may the body come?  A refused request's body is read too,
 * if it is small, so that the connection can stay. */
static void on_head(struct nm_http_connection *self, bool has_more)
{
  struct nm_http_request *request = self->request;
  struct nm_http_parser *parser = &request->parser;
  nm_http_request_admit(request);
  if (!nm_http_parser_has_body(parser)) {
    dispatch(self);
    return;
  }
  bool is_refused = request->fault.status != 0 || request->is_options;
  bool is_streamed = !is_refused && (request->match.route->methods & NM_HTTP_STREAMED) != 0;
  bool waits = request->expects_continue && !parser->is_1_0 && !has_more;
  if (request->fault.status && (waits || parser->left > NM_HTTP_REFUSED_BODY_MAX_BYTES)) {
    refuse_and_leave(self, request->fault);
    return;
  }
  nm_http_parser_take_body(
      parser, is_refused ? NM_HTTP_REFUSED_BODY_MAX_BYTES : request->match.route->body_max_bytes,
      is_refused);
  parser->is_body_taken_away = is_streamed;
  nm_http_phase_enter(self, NM_HTTP_PHASE_BODY);
  if (waits) invite_body(self);
}

/* Takes one step with the bytes; returns how many it used. */
static size_t step(struct nm_http_connection *self, struct nm_text bytes)
{
  if (!self->request) {
    self->request = nm_http_request_create(self, self->server, self->stream->peer);
    if (!self->request) {
      nm_http_connection_close(self);
      return bytes.len;
    }
    if (self->phase == NM_HTTP_PHASE_IDLE) nm_http_phase_enter(self, NM_HTTP_PHASE_HEAD);
  }
  struct nm_http_request *request = self->request;
  size_t used = 0;
  switch (nm_http_parser_feed(&request->parser, bytes, &used)) {
  case NM_HTTP_STEP_MORE:
    if (!nm_http_request_weigh(request)) {
      refuse_and_leave(self, (struct nm_http_fault){
                                 503, "overloaded", "too many large requests at once" });
    } else if (request->parser.is_body_taken_away &&
               request->parser.body.len >= NM_HTTP_PIECE_BYTES) {
      dispatch(self);
    }
    break;
  case NM_HTTP_STEP_HEAD:
    on_head(self, used < bytes.len);
    break;
  case NM_HTTP_STEP_DONE:
    request->is_body_done = true;
    nm_http_request_weigh(request); /* it is here already: the next one may be too much */
    dispatch(self);
    break;
  case NM_HTTP_STEP_BAD:
    /* What was wrong in the head is the better word than the length of a body thrown away. */
    refuse_and_leave(self, request->fault.status ? request->fault : request->parser.fault);
    break;
  }
  return used;
}

static bool wants_bytes(const struct nm_http_connection *self)
{
  return self->phase == NM_HTTP_PHASE_HEAD || self->phase == NM_HTTP_PHASE_BODY ||
         self->phase == NM_HTTP_PHASE_IDLE;
}

/* Works through the bytes as far as requests are answered at once; returns how many it used. */
static size_t process(struct nm_http_connection *self, struct nm_text bytes)
{
  size_t used = 0;
  self->is_processing = true;
  while (used < bytes.len && wants_bytes(self))
    used += step(self, (struct nm_text){ bytes.ptr + used, bytes.len - used });
  self->is_processing = false;
  return used;
}

/* Puts aside what has to wait for the answer under way. */
static void put_aside(struct nm_http_connection *self, struct nm_text rest)
{
  nm_require(!self->ahead);
  rest_reading(self);
  self->ahead = malloc(rest.len);
  if (!self->ahead) {
    nm_http_connection_close(self);
    return;
  }
  memcpy(self->ahead, rest.ptr, rest.len);
  self->ahead_len = rest.len;
  self->ahead_at = 0;
}

static void on_bytes(void *data, struct nm_text bytes)
{
  struct nm_http_connection *self = data;
  size_t used = process(self, bytes);
  struct nm_text rest = { bytes.ptr + used, bytes.len - used };
  if (self->phase == NM_HTTP_PHASE_DRAIN) {
    take_drained(self, rest.len);
  } else if (rest.len > 0 && self->phase != NM_HTTP_PHASE_CLOSED) {
    put_aside(self, rest);
  }
}

/* After an answer: goes on with what was put aside, then with reading, or leaves if all is done. */
static void process_ahead(struct nm_http_connection *self)
{
  if (self->is_processing) return; /* the loop above us goes on by itself */
  if (self->ahead) {
    self->ahead_at += process(
        self, (struct nm_text){ self->ahead + self->ahead_at, self->ahead_len - self->ahead_at });
    if (self->ahead && self->ahead_at == self->ahead_len) drop_ahead(self);
  }
  if (!wants_bytes(self)) {
    if (self->phase == NM_HTTP_PHASE_ANSWER && !self->ahead) read_on(self);
  } else if (self->has_ended) {
    nm_http_connection_close(self);
  } else {
    read_on(self);
  }
}

void nm_http_connection_more(struct nm_http_connection *self)
{
  nm_http_phase_enter(self, NM_HTTP_PHASE_BODY);
  process_ahead(self);
}

static void on_end(void *data, int code)
{
  struct nm_http_connection *self = data;
  self->is_reading = false;
  self->has_ended = true;
  bool answers = self->phase == NM_HTTP_PHASE_ANSWER || self->phase == NM_HTTP_PHASE_WRITE;
  if (code != NM_OK || !answers) nm_http_connection_close(self);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void expire_reading(struct nm_http_connection *self)
{
  if (!self->request) {
    nm_http_connection_close(self);
    return;
  }
  refuse_and_leave(self, (struct nm_http_fault){
                             408, "timeout", "the request did not come to its end in time" });
}

bool nm_http_connection_progresses(const struct nm_http_connection *self)
{
  if (self->phase == NM_HTTP_PHASE_BODY)
    return self->request->parser.body_seen - self->mark >= NM_HTTP_PROGRESS_MIN_BYTES;
  return self->phase == NM_HTTP_PHASE_WRITE &&
         self->mark >= nm_stream_unsent(self->stream) + NM_HTTP_PROGRESS_MIN_BYTES;
}

void nm_http_connection_expire(struct nm_http_connection *self)
{
  if (nm_http_connection_progresses(self)) {
    nm_http_phase_enter(self, self->phase);
    return;
  }
  switch (self->phase) {
  case NM_HTTP_PHASE_BODY:
  case NM_HTTP_PHASE_HEAD:
    expire_reading(self);
    break;
  default:
    nm_http_connection_close(self);
  }
}

/* It is known how the peer speaks: may it? */
static void greet(struct nm_http_connection *self)
{
  self->fault = nm_http_caller_fault(self->server, self->stream);
  nm_http_phase_enter(self, NM_HTTP_PHASE_HEAD);
}

static void on_ready(void *data)
{
  greet(data);
}

void nm_http_connection_open(struct nm_http_server *server, struct nm_stream *stream)
{
  static const struct nm_stream_events EVENTS = {
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_written = on_written,
    .on_closed = on_closed,
    .on_ready = on_ready,
  };
  struct nm_http_connection *self = calloc(1, sizeof *self);
  if (!self) {
    nm_stream_close(stream);
    return;
  }
  self->stream = stream;
  self->server = server;
  self->phase = NM_HTTP_PHASE_CLOSED; /* in no queue yet */
  nm_stream_attend(stream, &EVENTS, self);
  nm_metric_add(NM_METRIC_CONNECTIONS_OPEN, 1);
  if (stream->cover == NM_STREAM_HANDSHAKE) nm_http_phase_enter(self, NM_HTTP_PHASE_HANDSHAKE);
  else greet(self);
  read_on(self);
}
