#include "net/internal.h"

#include <stdlib.h>
#include <unistd.h>

struct socket_stream {
  struct nm_stream base;
  union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } uv;
  struct nm_listener *listener;
  struct nm_crowd_place *place; /* NULL: not counted */
  bool wants_end; /* end once nothing is queued */
};

/* A write that the system did not take at once, with its own copy of the bytes. */
struct queued_write {
  uv_write_t req;
  char bytes[];
};

static struct socket_stream *socket_of(struct nm_stream *stream)
{
  return (struct socket_stream *)stream;
}

static void on_buffer_wanted(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  struct socket_stream *self = handle->data;
  (void)suggested;
  *buf = uv_buf_init(nm_listener_read_buffer(self->listener), NM_NET_READ_BUFFER_BYTES);
}

static void on_read(uv_stream_t *handle, ssize_t len, const uv_buf_t *buf)
{
  struct socket_stream *self = handle->data;
  if (len > 0) {
    self->base.events->on_bytes(self->base.data, (struct nm_text){ buf->base, (size_t)len });
  } else if (len < 0) {
    uv_read_stop(handle);
    self->base.events->on_end(self->base.data, len == UV_EOF ? NM_OK : NM_EIO);
  }
}

static int start(struct nm_stream *stream)
{
  int rc = uv_read_start(&socket_of(stream)->uv.stream, on_buffer_wanted, on_read);
  return rc == 0 || rc == UV_EALREADY ? NM_OK : NM_EIO;
}

static void stop(struct nm_stream *stream)
{
  uv_read_stop(&socket_of(stream)->uv.stream);
}

static void shut(struct socket_stream *self)
{
  uv_os_fd_t fd;
  if (uv_fileno(&self->uv.handle, &fd) == 0) shutdown(fd, SHUT_WR);
}

static void on_write_done(uv_write_t *req, int status)
{
  struct socket_stream *self = req->handle->data;
  free(req); /* the request is the first member of its queued_write */
  if (uv_is_closing(&self->uv.handle)) return;
  if (status) {
    uv_read_stop(&self->uv.stream);
    self->base.events->on_end(self->base.data, NM_EIO);
    return;
  }
  if (self->uv.stream.write_queue_size > 0) return;
  if (self->wants_end) shut(self);
  self->base.events->on_written(self->base.data);
}

/* Queues what stands behind the first `sent` bytes of the parts. */
static int queue_rest(struct socket_stream *self, const struct nm_text *parts, unsigned count,
                      size_t sent, size_t total)
{
  struct queued_write *queued = malloc(sizeof *queued + (total - sent));
  if (!queued) return NM_ENOMEM;
  size_t len = 0;
  for (unsigned i = 0; i < count; i++) {
    size_t skip = sent < parts[i].len ? sent : parts[i].len;
    sent -= skip;
    if (skip == parts[i].len) continue;
    memcpy(queued->bytes + len, parts[i].ptr + skip, parts[i].len - skip);
    len += parts[i].len - skip;
  }
  uv_buf_t buf = uv_buf_init(queued->bytes, (unsigned)len);
  int rc = uv_write(&queued->req, &self->uv.stream, &buf, 1, on_write_done);
  if (rc) free(queued);
  return rc ? NM_EIO : NM_OK;
}

static int write_parts(struct nm_stream *stream, const struct nm_text *parts, unsigned count)
{
  struct socket_stream *self = socket_of(stream);
  uv_buf_t bufs[NM_STREAM_PARTS_MAX];
  size_t total = 0;
  nm_require(count <= NM_STREAM_PARTS_MAX);
  for (unsigned i = 0; i < count; i++) {
    bufs[i] = uv_buf_init((char *)parts[i].ptr, (unsigned)parts[i].len);
    total += parts[i].len;
  }
  if (total == 0) return NM_OK;
  if (total > INT32_MAX) return NM_EIO; /* libuv counts in ints */

  int sent = uv_try_write(&self->uv.stream, bufs, count);
  if (sent == UV_EAGAIN) sent = 0;
  if (sent < 0) return NM_EIO;
  if ((size_t)sent == total) return NM_OK;
  return queue_rest(self, parts, count, (size_t)sent, total);
}

static size_t unsent(const struct nm_stream *stream)
{
  return ((const struct socket_stream *)stream)->uv.stream.write_queue_size;
}

static void end(struct nm_stream *stream)
{
  struct socket_stream *self = socket_of(stream);
  if (self->wants_end) return;
  self->wants_end = true;
  if (unsent(stream) == 0) shut(self);
}

static void on_handle_closed(uv_handle_t *handle)
{
  struct socket_stream *self = handle->data;
  struct nm_listener *listener = self->listener;
  struct nm_crowd_place *place = self->place;
  if (self->base.events) self->base.events->on_closed(self->base.data);
  free(self);
  nm_listener_stream_gone(listener, place);
}

static void close_socket(struct nm_stream *stream)
{
  struct socket_stream *self = socket_of(stream);
  if (!uv_is_closing(&self->uv.handle)) uv_close(&self->uv.handle, on_handle_closed);
}

static const struct nm_stream_kind SOCKET_KIND = {
  .start = start,
  .stop = stop,
  .write = write_parts,
  .unsent = unsent,
  .end = end,
  .close = close_socket,
};

int nm_socket_stream_create(struct nm_stream **out, struct nm_listener *listener, int fd,
                            bool is_unix)
{
  uv_loop_t *loop = nm_listener_loop(listener);
  struct socket_stream *self = calloc(1, sizeof *self);
  int rc = !self ? UV_ENOMEM
           : is_unix ? uv_pipe_init(loop, &self->uv.pipe, 0)
                     : uv_tcp_init(loop, &self->uv.tcp);
  if (rc) {
    free(self);
    close(fd);
    return NM_ENOMEM;
  }
  self->base.kind = &SOCKET_KIND;
  self->listener = listener;
  self->uv.handle.data = self;

  rc = is_unix ? uv_pipe_open(&self->uv.pipe, fd) : uv_tcp_open(&self->uv.tcp, fd);
  if (rc == 0 && !is_unix) uv_tcp_nodelay(&self->uv.tcp, 1);
  if (rc) {
    close(fd);
    uv_close(&self->uv.handle, on_handle_closed);
    return NM_EIO;
  }
  *out = &self->base;
  return NM_OK;
}

void nm_socket_stream_count(struct nm_stream *stream, struct nm_crowd_place *place)
{
  socket_of(stream)->place = place;
}
