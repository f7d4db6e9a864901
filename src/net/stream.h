/* stream.h - a two-way run of bytes: a socket, or TLS over one; the same to who uses it.
 *
 * Callbacks never run inside a call to the stream, only from the loop.  Loop thread only.
 */
#pragma once

#include "base/error.h"
#include "base/text.h"

enum {
  NM_STREAM_PEER_MAX_BYTES = 48, /* longest textual IPv6 address, NUL included */
  NM_STREAM_PARTS_MAX = 4,
};

struct nm_stream;

/* What the owner of a stream hears. */
struct nm_stream_events {
  /* Bytes came; lent for the call.  The owner may stop, write or close in it. */
  void (*on_bytes)(void *data, struct nm_text bytes);

  /* NM_OK: the peer will send no more, writing still works.  NM_EIO: broken both ways.  Reading has
   * stopped.  May come again with NM_EIO after NM_OK. */
  void (*on_end)(void *data, int code);

  /* What a write had to queue is with the system now. */
  void (*on_written)(void *data);

  /* Comes once after nm_stream_close; the stream is then gone. */
  void (*on_closed)(void *data);

  /* A stream that began with NM_STREAM_HANDSHAKE is ready; before the first on_bytes.  May be
   * NULL. */
  void (*on_ready)(void *data);
};

/* How the bytes travel. */
enum nm_stream_cover {
  NM_STREAM_PLAIN = 0,     /* as they are; after a handshake: the peer does not speak TLS */
  NM_STREAM_HANDSHAKE = 1, /* nothing can be written yet, on_ready follows while it reads */
  NM_STREAM_TLS = 2,
};

/* What makes a kind of stream; see the functions below for what each must do. */
struct nm_stream_kind {
  int (*start)(struct nm_stream *stream);
  void (*stop)(struct nm_stream *stream);
  int (*write)(struct nm_stream *stream, const struct nm_text *parts, unsigned count);
  size_t (*unsent)(const struct nm_stream *stream);
  void (*end)(struct nm_stream *stream);
  void (*close)(struct nm_stream *stream);
};

/* First member of every kind of stream. */
struct nm_stream {
  const struct nm_stream_kind *kind;
  const struct nm_stream_events *events;
  void *data;
  enum nm_stream_cover cover;
  char peer[NM_STREAM_PEER_MAX_BYTES]; /* "203.0.113.7", "unix" on a unix socket */
  int64_t peer_uid; /* who runs the program at the other end of a unix socket; -1 = not known */
};

/* Says who listens; before the first start.  Borrows events for as long as the stream lives. */
static inline void nm_stream_attend(struct nm_stream *stream, const struct nm_stream_events *events,
                                    void *data)
{
  stream->events = events;
  stream->data = data;
}

/* Starts and stops reading.  Stopping twice is fine. */
NM_MUST_CHECK static inline int nm_stream_start(struct nm_stream *stream)
{
  return stream->kind->start(stream);
}

static inline void nm_stream_stop(struct nm_stream *stream)
{
  stream->kind->stop(stream);
}

/* Writes at most NM_STREAM_PARTS_MAX parts: what the system takes at once goes out now, the rest is
 * copied and queued (nm_stream_unsent() then says how much; on_written follows).  Borrows parts.
 * NM_EIO, NM_ENOMEM: nothing more can be written. */
NM_MUST_CHECK static inline int nm_stream_write(struct nm_stream *stream,
                                                const struct nm_text *parts, unsigned count)
{
  return stream->kind->write(stream, parts, count);
}

/* Bytes queued here, not yet with the system.  Its shrinking is the progress of a slow reader. */
static inline size_t nm_stream_unsent(const struct nm_stream *stream)
{
  return stream->kind->unsent(stream);
}

/* Tells the peer, after what is queued, that nothing more is coming.  Reading goes on. */
static inline void nm_stream_end(struct nm_stream *stream)
{
  stream->kind->end(stream);
}

/* Closes at once; what is queued is lost.  Only on_closed is called afterwards. */
static inline void nm_stream_close(struct nm_stream *stream)
{
  stream->kind->close(stream);
}
