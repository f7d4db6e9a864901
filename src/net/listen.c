#include "net/listen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/internal.h"

enum {
  ACCEPTS_AT_ONCE = 64, /* then the loop serves the others */
  REST_MS = 100,        /* without room, if no connection of ours closes before */
};

struct nm_listener {
  uv_loop_t *loop;
  struct nm_bound bound;
  struct nm_listener_options options;
  uv_poll_t poll;
  uv_timer_t rest;
  int handles; /* of the two above, not yet closed */
  struct nm_crowd *crowd;      /* NULL: nobody is counted */
  struct nm_tls_layer *layer;  /* NULL: plain */
  int streams;
  bool is_resting, is_closing;
  void (*on_closed)(void *data);
  void *closed_data;
  char read_buffer[NM_NET_READ_BUFFER_BYTES];
};

static void on_connection(uv_poll_t *poll, int status, int events);

static void wake(struct nm_listener *self)
{
  if (self->is_closing || !self->is_resting) return;
  self->is_resting = false;
  uv_timer_stop(&self->rest);
  uv_poll_start(&self->poll, UV_READABLE, on_connection);
}

static void on_rested(uv_timer_t *timer)
{
  wake(timer->data);
}

/* Accepts nothing until a stream is gone or a moment has passed: then there may be a descriptor
 * again, or a connection that can be spared. */
static void rest(struct nm_listener *self)
{
  self->is_resting = true;
  uv_poll_stop(&self->poll);
  uv_timer_start(&self->rest, on_rested, REST_MS, 0);
  if (self->options.on_full) self->options.on_full(self->options.data);
}

static bool is_shortage(int number)
{
  return number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM;
}

static bool is_exempt(const struct nm_listener *self, const char *peer)
{
  return self->options.exempt &&
         nm_networks_contain(self->options.exempt, nm_text_from(peer));
}

/* Who runs the program at the other end; -1 where the system does not tell. */
static int64_t uid_of(int fd)
{
  struct ucred peer = { .uid = 0 };
  socklen_t len = sizeof peer;
  bool is_known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && len == sizeof peer;
  return is_known ? (int64_t)peer.uid : -1;
}

/* Makes a stream of the socket and hands it on, or closes it. */
static void take_in(struct nm_listener *self, int fd, const struct sockaddr *peer)
{
  char text[NM_STREAM_PEER_MAX_BYTES];
  struct nm_crowd_place *place = NULL;
  nm_net_peer_text(text, peer);
  if (self->crowd && !is_exempt(self, text)) {
    place = nm_crowd_enter(self->crowd, peer, self->options.per_address_max);
    if (!place) {
      close(fd);
      nm_metric_add(NM_METRIC_CONNECTIONS_REFUSED, 1);
      nm_log(NM_LOG_WARN, "net", NULL, "%s has %d connections open, as many as it may", text,
             self->options.per_address_max);
      return;
    }
  }

  struct nm_stream *stream;
  self->streams++;
  int rc = nm_socket_stream_create(&stream, self, fd, self->bound.is_unix);
  if (rc) {
    if (place) nm_crowd_leave(self->crowd, place);
    if (rc == NM_ENOMEM) self->streams--; /* else its close callback counts it down */
    return;
  }
  nm_socket_stream_count(stream, place);
  memcpy(stream->peer, text, sizeof text);
  stream->peer_uid = self->bound.is_unix ? uid_of(fd) : -1;
  struct nm_stream *covered = stream;
  if (self->layer && nm_tls_stream_create(&covered, self->layer, stream)) {
    nm_stream_close(stream);
    return;
  }
  self->options.on_stream(self->options.data, covered);
}

static bool somebody_knocks(const struct nm_listener *self)
{
  struct pollfd door = { .fd = self->bound.fd, .events = POLLIN };
  return poll(&door, 1, 0) > 0;
}

/* Accepts one; false when there is none or no more can be taken now. */
static bool accept_one(struct nm_listener *self)
{
  if (self->streams >= self->options.connections_max) {
    if (somebody_knocks(self)) rest(self); /* else nobody need make room yet */
    return false;
  }
  union {
    struct sockaddr any;
    struct sockaddr_storage storage;
  } peer = { .storage = { 0 } };
  socklen_t len = sizeof peer;
  int fd = accept4(self->bound.fd, &peer.any, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    if (is_shortage(errno)) {
      nm_log(NM_LOG_WARN, "net", NULL, "cannot accept on %s: %s; trying again in %d ms",
             self->bound.address, strerror(errno), REST_MS);
      rest(self);
      return false;
    }
    /* The others (a caller that has gone already, a network that failed it) are that caller's. */
    return errno != EAGAIN && errno != EWOULDBLOCK;
  }

  if (self->bound.is_unix) peer.any.sa_family = AF_UNIX;
  take_in(self, fd, &peer.any);
  return true;
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
  struct nm_listener *self = poll->data;
  (void)events;
  if (status < 0) {
    rest(self);
    return;
  }
  for (int i = 0; i < ACCEPTS_AT_ONCE && !self->is_closing; i++)
    if (!accept_one(self)) break;
}

/* Two sockets may be bound to one port with SO_REUSEADDR; only listening tells. */
static int bind_and_listen(struct nm_bound *out, struct nm_text address, struct nm_error *err)
{
  int rc = nm_net_bind(out, address, err);
  if (rc || listen(out->fd, SOMAXCONN) == 0) return rc;
  rc = nm_fail(err, errno == EADDRINUSE ? NM_ECONFLICT : NM_EIO, "cannot listen on %.*s: %s",
               NM_TEXT_ARG(address), strerror(errno));
  nm_net_unlink(out);
  close(out->fd);
  return rc;
}

int nm_listener_bind(int *out, struct nm_text address, struct nm_error *err)
{
  struct nm_bound bound;
  int rc = bind_and_listen(&bound, address, err);
  if (!rc) *out = bound.fd;
  return rc;
}

static void on_layer_closed(void *data)
{
  (void)data;
}

static void unmake(struct nm_listener *self)
{
  if (!self) return;
  if (self->layer) nm_tls_layer_close(self->layer, on_layer_closed, NULL);
  nm_crowd_destroy(self->crowd);
  free(self);
}

static struct nm_listener *make(uv_loop_t *loop, const struct nm_listener_options *options)
{
  struct nm_listener *self = calloc(1, sizeof *self);
  if (!self) return NULL;
  self->options = *options;
  if ((options->per_address_max > 0 && nm_crowd_create(&self->crowd)) ||
      (options->tls && nm_tls_layer_open(&self->layer, loop, options->tls))) {
    unmake(self);
    return NULL;
  }
  return self;
}

int nm_listener_open(struct nm_listener **out, uv_loop_t *loop, struct nm_text address,
                     const struct nm_listener_options *options, struct nm_error *err)
{
  struct nm_bound bound;
  int rc = bind_and_listen(&bound, address, err);
  if (rc) return rc;

  struct nm_listener *self = make(loop, options);
  if (!self) {
    rc = nm_fail(err, NM_ENOMEM, "no memory to listen on %.*s", NM_TEXT_ARG(address));
  } else if (uv_poll_init(loop, &self->poll, bound.fd)) {
    rc = nm_fail(err, NM_EIO, "cannot watch %.*s for callers", NM_TEXT_ARG(address));
  }
  if (rc) {
    nm_net_unlink(&bound);
    close(bound.fd);
    unmake(self);
    return rc;
  }
  signal(SIGPIPE, SIG_IGN);
  self->loop = loop;
  self->bound = bound;
  self->poll.data = self;
  self->rest.data = self;
  self->handles = 2;
  uv_timer_init(loop, &self->rest);
  uv_poll_start(&self->poll, UV_READABLE, on_connection);
  *out = self;
  return NM_OK;
}

struct nm_text nm_listener_address(const struct nm_listener *listener)
{
  return nm_text_from(listener->bound.address);
}

static void on_all_closed(void *listener)
{
  struct nm_listener *self = listener;
  void (*on_closed)(void *data) = self->on_closed;
  void *data = self->closed_data;
  self->layer = NULL;
  unmake(self);
  if (on_closed) on_closed(data);
}

static void free_when_done(struct nm_listener *self)
{
  if (self->handles > 0 || self->streams > 0) return;
  if (self->layer) nm_tls_layer_close(self->layer, on_all_closed, self);
  else on_all_closed(self);
}

static void on_handle_closed(uv_handle_t *handle)
{
  struct nm_listener *self = handle->data;
  self->handles--;
  free_when_done(self);
}

void nm_listener_take_waiting(struct nm_listener *listener)
{
  for (int i = 0; i < SOMAXCONN && !listener->is_resting; i++)
    if (!accept_one(listener)) break;
}

void nm_listener_close(struct nm_listener *listener, void (*on_closed)(void *data), void *data)
{
  nm_require(!listener->is_closing);
  listener->is_closing = true;
  listener->on_closed = on_closed;
  listener->closed_data = data;
  uv_close((uv_handle_t *)&listener->rest, on_handle_closed);
  uv_close((uv_handle_t *)&listener->poll, on_handle_closed);
  nm_net_unlink(&listener->bound);
  close(listener->bound.fd);
}

uv_loop_t *nm_listener_loop(const struct nm_listener *listener)
{
  return listener->loop;
}

char *nm_listener_read_buffer(struct nm_listener *listener)
{
  return listener->read_buffer;
}

void nm_listener_stream_gone(struct nm_listener *listener, struct nm_crowd_place *place)
{
  listener->streams--;
  if (place) nm_crowd_leave(listener->crowd, place);
  if (listener->is_closing) {
    free_when_done(listener);
  } else {
    wake(listener);
  }
}

int nm_listener_room(int wanted)
{
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit)) return wanted;
  rlim_t soft = limit.rlim_cur, needed = (rlim_t)wanted + NM_NET_OTHER_FILES_MIN;
  if (soft >= needed) return wanted;
  limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
  if (setrlimit(RLIMIT_NOFILE, &limit)) limit.rlim_cur = soft;
  if (limit.rlim_cur >= needed) return wanted;
  int room = (int)limit.rlim_cur - NM_NET_OTHER_FILES_MIN;
  return room > 0 ? room : 1;
}
