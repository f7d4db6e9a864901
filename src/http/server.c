#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "http/internal.h"

/* ---- time limits: a queue for each phase, in the order in which its connections expire ------- */

static void on_timer(uv_timer_t *timer);

static void unlink_connection(struct nm_http_connection *connection)
{
  if (connection->phase >= NM_HTTP_PHASE_TIMED) return;
  struct nm_http_queue *queue = &connection->server->queues[connection->phase];
  if (connection->previous) connection->previous->next = connection->next;
  if (connection->next) connection->next->previous = connection->previous;
  if (queue->first == connection) queue->first = connection->next;
  if (queue->last == connection) queue->last = connection->previous;
  connection->previous = connection->next = NULL;
}

static void set_timer(struct nm_http_server *server, uint64_t at_ms)
{
  if (server->timer_at_ms != 0 && server->timer_at_ms <= at_ms) return;
  uint64_t now = uv_now(server->loop);
  server->timer_at_ms = at_ms;
  uv_timer_start(&server->timer, on_timer, at_ms > now ? at_ms - now : 0, 0);
}

void nm_http_phase_enter(struct nm_http_connection *connection, enum nm_http_phase phase)
{
  struct nm_http_server *server = connection->server;
  unlink_connection(connection);
  connection->phase = phase;
  if (phase >= NM_HTTP_PHASE_TIMED) return;

  connection->mark = phase == NM_HTTP_PHASE_BODY ? connection->request->parser.body_seen
                                                 : nm_stream_unsent(connection->stream);
  connection->deadline_ms = uv_now(server->loop) + server->timeout_ms[phase];
  struct nm_http_queue *queue = &server->queues[phase];
  connection->previous = queue->last;
  if (queue->last) queue->last->next = connection;
  queue->last = connection;
  if (!queue->first) queue->first = connection;
  set_timer(server, connection->deadline_ms);
}

static void on_timer(uv_timer_t *timer)
{
  struct nm_http_server *server = timer->data;
  uint64_t now = uv_now(server->loop);
  server->timer_at_ms = 0;
  for (int phase = 0; phase < NM_HTTP_PHASE_TIMED; phase++) {
    struct nm_http_queue *queue = &server->queues[phase];
    while (queue->first && queue->first->deadline_ms <= now)
      nm_http_connection_expire(queue->first);
    if (queue->first) set_timer(server, queue->first->deadline_ms);
  }
}

/* ---- the date -------------------------------------------------------------------------------- */

const char *nm_http_date(struct nm_http_server *server)
{
  static const char *const DAYS[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
  static const char *const MONTHS[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
  int64_t second = nm_clock_wall_ms() / 1000;
  if (second == server->date_second) return server->date;

  time_t at = (time_t)second;
  struct tm utc;
  if (!gmtime_r(&at, &utc)) return server->date;
  server->date_second = second;
  snprintf(server->date, sizeof server->date, "%s, %02d %s %04d %02d:%02d:%02d GMT",
           DAYS[utc.tm_wday], utc.tm_mday, MONTHS[utc.tm_mon], (utc.tm_year + 1900) % 10000,
           utc.tm_hour, utc.tm_min, utc.tm_sec);
  return server->date;
}

/* ---- listening and stopping ------------------------------------------------------------------ */

static void on_stream(void *data, struct nm_stream *stream)
{
  nm_http_connection_open(data, stream);
}

/* The one that entered the phase first, if it has been in it for so long without getting on. */
static struct nm_http_connection *slowest_in(struct nm_http_server *server,
                                             enum nm_http_phase phase, uint64_t patience_ms)
{
  uint64_t now = uv_now(server->loop);
  for (struct nm_http_connection *one; (one = server->queues[phase].first);) {
    uint64_t entered_ms = one->deadline_ms - server->timeout_ms[phase];
    if (now < entered_ms + patience_ms) return NULL;
    if (!nm_http_connection_progresses(one)) return one;
    nm_http_phase_enter(one, phase); /* behind all others */
  }
  return NULL;
}

/* There is no room: first those go who take up a place and say nothing whole, then whoever has been
 * idle longest (but not who asked a moment ago and may ask again: that request would be lost), then
 * those who send or read too slowly. */
static void on_full(void *data)
{
  struct nm_http_server *server = data;
  static const struct {
    enum nm_http_phase phase;
    uint64_t patience_ms;
  } ORDER[] = {
    { NM_HTTP_PHASE_DRAIN, NM_HTTP_FULL_HEAD_MS },
    { NM_HTTP_PHASE_HANDSHAKE, NM_HTTP_FULL_HEAD_MS },
    { NM_HTTP_PHASE_HEAD, NM_HTTP_FULL_HEAD_MS },
    { NM_HTTP_PHASE_IDLE, NM_HTTP_FULL_HEAD_MS },
    { NM_HTTP_PHASE_BODY, NM_HTTP_FULL_BODY_MS },
    { NM_HTTP_PHASE_WRITE, NM_HTTP_FULL_BODY_MS },
  };
  for (unsigned i = 0; i < sizeof ORDER / sizeof *ORDER; i++) {
    struct nm_http_connection *one =
        slowest_in(server, ORDER[i].phase, ORDER[i].patience_ms);
    bool is_busy = one && one->is_processing;
    if (!one || is_busy) continue;
    nm_http_connection_close(one);
    return;
  }
}

static int or_default(int value, int by_default)
{
  return value > 0 ? value : by_default;
}

static void take_options(struct nm_http_server *server, const struct nm_http_options *options)
{
  server->options = *options;
  struct nm_http_limits *limits = &server->options.limits;
  if (limits->head_max_bytes == 0) limits->head_max_bytes = NM_HTTP_HEAD_MAX_BYTES;
  if (limits->bodies_max_bytes == 0) limits->bodies_max_bytes = NM_HTTP_BODIES_MAX_BYTES;
  limits->connections_max = or_default(limits->connections_max, NM_HTTP_CONNECTIONS_MAX);
  limits->requests_max = or_default(limits->requests_max, NM_HTTP_REQUESTS_MAX);

  const int timeouts[NM_HTTP_PHASE_TIMED] = {
    [NM_HTTP_PHASE_HEAD] = or_default(limits->head_timeout_ms, NM_HTTP_HEAD_TIMEOUT_MS),
    [NM_HTTP_PHASE_BODY] = or_default(limits->body_timeout_ms, NM_HTTP_BODY_TIMEOUT_MS),
    [NM_HTTP_PHASE_IDLE] = or_default(limits->idle_timeout_ms, NM_HTTP_IDLE_TIMEOUT_MS),
    [NM_HTTP_PHASE_WRITE] = or_default(limits->write_timeout_ms, NM_HTTP_WRITE_TIMEOUT_MS),
    [NM_HTTP_PHASE_DRAIN] = NM_HTTP_DRAIN_MAX_MS,
    [NM_HTTP_PHASE_HANDSHAKE] = or_default(limits->handshake_timeout_ms,
                                           NM_HTTP_HANDSHAKE_TIMEOUT_MS),
  };
  for (int i = 0; i < NM_HTTP_PHASE_TIMED; i++) server->timeout_ms[i] = (uint64_t)timeouts[i];
}

int nm_http_listen(struct nm_http_server **out, uv_loop_t *loop, struct nm_text address,
                   const struct nm_http_options *options, struct nm_error *err)
{
  struct nm_http_server *server = calloc(1, sizeof *server);
  if (!server) return nm_fail(err, NM_ENOMEM, "no memory for a server");
  server->loop = loop;
  take_options(server, options);

  struct nm_listener_options listening = {
    .connections_max = server->options.limits.connections_max,
    .per_address_max = server->options.limits.per_address_max,
    .exempt = server->options.behind,
    .tls = server->options.tls,
    .on_stream = on_stream,
    .on_full = on_full,
    .data = server,
  };
  int rc = nm_listener_open(&server->listener, loop, address, &listening, err);
  if (rc) {
    free(server);
    return rc;
  }
  uv_timer_init(loop, &server->timer);
  uv_timer_init(loop, &server->grace);
  server->timer.data = server;
  server->grace.data = server;
  *out = server;
  return NM_OK;
}

struct nm_text nm_http_address(const struct nm_http_server *server)
{
  return nm_listener_address(server->listener);
}

static void on_timer_closed(uv_handle_t *handle)
{
  struct nm_http_server *server = handle->data;
  if (!server->is_one_timer_closed) {
    server->is_one_timer_closed = true;
    return;
  }
  void (*on_stopped)(void *data) = server->on_stopped;
  void *data = server->stopped_data;
  nm_http_requests_forget(server);
  free(server);
  if (on_stopped) on_stopped(data);
}

/* No connection and no request is left: the timers are the last to go. */
static void finish_stop(struct nm_http_server *server)
{
  uv_handle_t *timer = (uv_handle_t *)&server->timer;
  if (!server->is_listener_closed || server->requests > 0 || uv_is_closing(timer)) return;
  uv_close(timer, on_timer_closed);
  uv_close((uv_handle_t *)&server->grace, on_timer_closed);
}

static void on_listener_closed(void *data)
{
  struct nm_http_server *server = data;
  server->is_listener_closed = true;
  finish_stop(server);
}

void nm_http_server_request_gone(struct nm_http_server *server)
{
  server->requests--;
  if (server->is_stopping) finish_stop(server);
}

static void close_idle(uv_timer_t *grace)
{
  struct nm_http_server *server = grace->data;
  static const enum nm_http_phase QUIET[] = { NM_HTTP_PHASE_HANDSHAKE, NM_HTTP_PHASE_HEAD,
                                              NM_HTTP_PHASE_IDLE };
  for (unsigned i = 0; i < sizeof QUIET / sizeof *QUIET; i++) {
    struct nm_http_connection *next, *one = server->queues[QUIET[i]].first;
    for (; one; one = next) {
      next = one->next;
      if (nm_http_connection_is_idle(one)) nm_http_connection_close(one);
    }
  }
}

/* Closing an idle connection at once would lose the request that is on its way to us, perhaps in
 * the socket's buffer already. */
void nm_http_stop(struct nm_http_server *server, void (*on_stopped)(void *data), void *data)
{
  nm_require(!server->is_stopping);
  server->is_stopping = true;
  server->on_stopped = on_stopped;
  server->stopped_data = data;
  uv_timer_start(&server->grace, close_idle, NM_HTTP_STOP_GRACE_MS, 0);
  nm_listener_take_waiting(server->listener);
  nm_listener_close(server->listener, on_listener_closed, server);
}
