/* tls_stream.c - TLS over another stream.
 *
 *   bytes of `under` -> input -> SSL_read -> the owner;  the owner -> SSL_write -> out -> `under`
 *
 * OpenSSL sees a BIO of ours: it reads from the bytes that are lent to us and writes into a buffer
 * that all streams of a listener share, emptied after every call.  So an idle connection keeps
 * nothing but its SSL.  What the owner has no use for yet stays encrypted, in `aside`.
 */
#include <openssl/err.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/internal.h"

enum { RECORD_BYTES = 16 * 1024 };

struct tls_stream {
  struct nm_stream base;
  struct nm_stream *under;
  struct nm_tls_layer *layer;
  SSL *ssl;             /* NULL: the caller does not speak TLS, bytes pass as they are */
  struct nm_text input; /* what OpenSSL may read now */
  char *aside;          /* bytes that came before the owner wanted them */
  size_t aside_len;
  struct tls_stream *previous, *next; /* among those that go on in the next turn of the loop */
  bool is_queued;
  bool wants;   /* the owner reads */
  bool is_held; /* too much is unsent: nothing is read that might have to be answered */
  bool has_begun, has_ended, has_failed, is_closing;
};

struct nm_tls_layer {
  struct nm_tls *tls;
  BIO_METHOD *method;
  uv_timer_t turn;
  struct tls_stream *first, *last;
  struct nm_buffer out; /* encrypted, on its way to `under`; empty between calls */
  char gathered[RECORD_BYTES];
  char plain[RECORD_BYTES];
  void (*on_closed)(void *data);
  void *data;
};

static struct tls_stream *tls_of(struct nm_stream *stream)
{
  return (struct tls_stream *)stream;
}

/* ---- what OpenSSL reads from and writes to --------------------------------------------------- */

static int bio_read(BIO *bio, char *out, int len)
{
  struct tls_stream *self = BIO_get_data(bio);
  size_t take = len > 0 ? (size_t)len : 0;
  BIO_clear_retry_flags(bio);
  if (take > self->input.len) take = self->input.len;
  if (take == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  memcpy(out, self->input.ptr, take);
  self->input.ptr += take;
  self->input.len -= take;
  return (int)take;
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
  struct tls_stream *self = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (len <= 0 || nm_buffer_append(&self->layer->out, bytes, (size_t)len)) return -1;
  return len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *data)
{
  (void)bio;
  (void)number;
  (void)data;
  return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *make_method(void)
{
  BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "netmove stream");
  if (method && BIO_meth_set_read(method, bio_read) && BIO_meth_set_write(method, bio_write) &&
      BIO_meth_set_ctrl(method, bio_ctrl)) {
    return method;
  }
  BIO_meth_free(method);
  return NULL;
}

/* ---- going on later -------------------------------------------------------------------------- */

static void on_turn(uv_timer_t *timer);

static void queue(struct tls_stream *self)
{
  struct nm_tls_layer *layer = self->layer;
  if (self->is_queued || self->is_closing) return;
  self->is_queued = true;
  self->next = NULL;
  self->previous = layer->last;
  if (layer->last) layer->last->next = self;
  layer->last = self;
  if (!layer->first) layer->first = self;
  if (!uv_is_active((uv_handle_t *)&layer->turn)) uv_timer_start(&layer->turn, on_turn, 0, 0);
}

static void unqueue(struct tls_stream *self)
{
  struct nm_tls_layer *layer = self->layer;
  if (!self->is_queued) return;
  self->is_queued = false;
  if (self->previous) self->previous->next = self->next;
  if (self->next) self->next->previous = self->previous;
  if (layer->first == self) layer->first = self->next;
  if (layer->last == self) layer->last = self->previous;
}

/* ---- out ------------------------------------------------------------------------------------- */

/* Hands on what OpenSSL wrote; called after every call to it. */
static int flush(struct tls_stream *self)
{
  struct nm_buffer *out = &self->layer->out;
  struct nm_text bytes = nm_buffer_text(out);
  if (bytes.len == 0) return NM_OK;
  int rc = self->is_closing ? NM_ECLOSED : nm_stream_write(self->under, &bytes, 1);
  nm_buffer_clear(out);
  if (nm_stream_unsent(self->under) > NM_TLS_UNSENT_MAX_BYTES) self->is_held = true;
  return rc;
}

static int encrypt(struct tls_stream *self, const char *bytes, size_t len)
{
  while (len > 0) {
    size_t written = 0;
    ERR_clear_error();
    int is_written = SSL_write_ex(self->ssl, bytes, len, &written);
    int rc = flush(self);
    if (!is_written || rc) return rc == NM_ENOMEM ? NM_ENOMEM : NM_EIO;
    bytes += written;
    len -= written;
  }
  return NM_OK;
}

/* Small parts share a record; long ones go out record by record, so that never more than one is
 * here in both forms. */
static int write_parts(struct nm_stream *stream, const struct nm_text *parts, unsigned count)
{
  struct tls_stream *self = tls_of(stream);
  char *gathered = self->layer->gathered;
  size_t held = 0;
  if (!self->ssl) return nm_stream_write(self->under, parts, count);
  if (self->has_failed || self->base.cover != NM_STREAM_TLS) return NM_EIO;
  for (unsigned i = 0; i < count; i++) {
    for (size_t at = 0; at < parts[i].len;) {
      size_t take = parts[i].len - at;
      if (take > RECORD_BYTES - held) take = RECORD_BYTES - held;
      memcpy(gathered + held, parts[i].ptr + at, take);
      at += take;
      held += take;
      if (held < RECORD_BYTES) continue;
      int rc = encrypt(self, gathered, held);
      if (rc) return rc;
      held = 0;
    }
  }
  int rc = encrypt(self, gathered, held);
  OPENSSL_cleanse(gathered, held);
  return rc;
}

static size_t unsent(const struct nm_stream *stream)
{
  return nm_stream_unsent(((const struct tls_stream *)stream)->under);
}

static void end(struct nm_stream *stream)
{
  struct tls_stream *self = tls_of(stream);
  bool has_said = self->ssl && (SSL_get_shutdown(self->ssl) & SSL_SENT_SHUTDOWN);
  if (self->ssl && !has_said && !self->has_failed && self->base.cover == NM_STREAM_TLS) {
    ERR_clear_error();
    SSL_shutdown(self->ssl);
    (void)!flush(self);
  }
  nm_stream_end(self->under);
}

/* ---- in -------------------------------------------------------------------------------------- */

static void drop_aside(struct tls_stream *self)
{
  free(self->aside);
  self->aside = NULL;
  self->aside_len = 0;
}

/* Nothing more comes of this; the alert, if there is one, goes out before we hang up. */
static void fail(struct tls_stream *self)
{
  const char *reason = ERR_reason_error_string(ERR_peek_error());
  bool was_greeting = self->base.cover == NM_STREAM_HANDSHAKE;
  self->has_failed = self->has_ended = true;
  self->input = (struct nm_text){ NULL, 0 };
  nm_log(NM_LOG_DEBUG, "net", NULL, "TLS with %s failed%s: %s", self->base.peer,
         was_greeting ? " in the handshake" : "", reason ? reason : "it broke off");
  if (was_greeting) nm_metric_add(NM_METRIC_TLS_FAILED, 1);
  ERR_clear_error();
  nm_stream_stop(self->under);
  nm_stream_end(self->under);
  self->base.events->on_end(self->base.data, NM_EIO);
}

static void announce(struct tls_stream *self, enum nm_stream_cover cover)
{
  self->base.cover = cover;
  if (self->base.events->on_ready) self->base.events->on_ready(self->base.data);
}

/* True once the handshake is done. */
static bool shake_hands(struct tls_stream *self)
{
  ERR_clear_error();
  int rc = SSL_do_handshake(self->ssl);
  int why = SSL_get_error(self->ssl, rc);
  bool is_lost = flush(self) != NM_OK;
  if (rc == 1 && !is_lost) {
    nm_metric_add(SSL_session_reused(self->ssl) ? NM_METRIC_TLS_RESUMED : NM_METRIC_TLS_FULL, 1);
    announce(self, NM_STREAM_TLS);
    return !self->is_closing;
  }
  if (is_lost || (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)) fail(self);
  return false;
}

/* Decrypts one record for the owner; false when there is no more to be had now. */
static bool read_some(struct tls_stream *self)
{
  size_t len = 0;
  char *plain = self->layer->plain;
  ERR_clear_error();
  int rc = SSL_read_ex(self->ssl, plain, RECORD_BYTES, &len);
  int why = SSL_get_error(self->ssl, rc);
  bool is_lost = flush(self) != NM_OK;
  if (rc == 1) {
    self->base.events->on_bytes(self->base.data, (struct nm_text){ plain, len });
    return true;
  }
  if (!is_lost && why == SSL_ERROR_WANT_READ) return false;
  if (!is_lost && why == SSL_ERROR_ZERO_RETURN) {
    self->has_ended = true;
    nm_stream_stop(self->under);
    self->base.events->on_end(self->base.data, NM_OK);
    return false;
  }
  fail(self);
  return false;
}

static bool may_read(const struct tls_stream *self)
{
  return self->wants && !self->is_held && !self->has_ended && !self->is_closing;
}

/* What is left waits until the owner reads on. */
static void put_aside(struct tls_stream *self)
{
  struct nm_text rest = self->input;
  self->input = (struct nm_text){ NULL, 0 };
  if (self->is_closing || self->has_ended) return;
  nm_stream_stop(self->under);
  if (rest.len == 0) return;
  char *copy = malloc(rest.len);
  if (!copy) {
    fail(self);
    return;
  }
  memcpy(copy, rest.ptr, rest.len);
  self->aside = copy;
  self->aside_len = rest.len;
}

static void pass(struct tls_stream *self)
{
  struct nm_text bytes = self->input;
  self->input = (struct nm_text){ NULL, 0 };
  if (bytes.len > 0) self->base.events->on_bytes(self->base.data, bytes);
}

/* HTTP on a TLS port: whoever owns the stream can say so in words. */
static bool is_plain_text(struct nm_text bytes)
{
  return bytes.len > 0 && bytes.ptr[0] >= 'A' && bytes.ptr[0] <= 'Z';
}

static void go_on(struct tls_stream *self)
{
  if (!self->has_begun && self->input.len > 0) {
    self->has_begun = true;
    if (is_plain_text(self->input)) {
      SSL_free(self->ssl);
      self->ssl = NULL;
      announce(self, NM_STREAM_PLAIN);
    }
  }
  if (!self->ssl) {
    if (may_read(self)) pass(self);
    else put_aside(self);
    return;
  }
  bool goes_on = may_read(self);
  if (goes_on && self->base.cover == NM_STREAM_HANDSHAKE) goes_on = shake_hands(self);
  while (goes_on && may_read(self)) goes_on = read_some(self);
  if (!may_read(self)) put_aside(self);
}

static void on_turn(uv_timer_t *timer)
{
  struct nm_tls_layer *layer = timer->data;
  struct tls_stream *last = layer->last;
  for (bool is_last = false; layer->first && !is_last;) {
    struct tls_stream *self = layer->first;
    is_last = self == last; /* those who come behind have the next turn */
    unqueue(self);
    char *aside = self->aside;
    self->input = (struct nm_text){ aside, self->aside_len };
    self->aside = NULL;
    self->aside_len = 0;
    go_on(self);
    free(aside);
    if (may_read(self) && !self->is_queued && nm_stream_start(self->under)) fail(self);
  }
  if (layer->first) uv_timer_start(&layer->turn, on_turn, 0, 0);
}

static void on_under_bytes(void *data, struct nm_text bytes)
{
  struct tls_stream *self = data;
  self->input = bytes;
  go_on(self);
}

static void on_under_end(void *data, int code)
{
  struct tls_stream *self = data;
  if (self->base.cover == NM_STREAM_HANDSHAKE) code = NM_EIO;
  self->has_ended = true;
  self->base.events->on_end(self->base.data, code);
}

static void on_under_written(void *data)
{
  struct tls_stream *self = data;
  if (self->is_held) {
    self->is_held = false;
    if (may_read(self)) queue(self);
  }
  if (self->base.cover != NM_STREAM_HANDSHAKE) self->base.events->on_written(self->base.data);
}

static void on_under_closed(void *data)
{
  struct tls_stream *self = data;
  if (self->base.events) self->base.events->on_closed(self->base.data);
  SSL_free(self->ssl);
  drop_aside(self);
  free(self);
}

/* ---- the owner's calls ----------------------------------------------------------------------- */

static int start(struct nm_stream *stream)
{
  struct tls_stream *self = tls_of(stream);
  self->wants = true;
  if (!may_read(self)) return self->has_failed ? NM_EIO : NM_OK;
  if (!self->aside && !(self->ssl && SSL_has_pending(self->ssl)) && !self->is_queued)
    return nm_stream_start(self->under);
  queue(self); /* never from inside this call */
  return NM_OK;
}

static void stop(struct nm_stream *stream)
{
  struct tls_stream *self = tls_of(stream);
  self->wants = false;
  nm_stream_stop(self->under);
  unqueue(self);
}

static void close_tls(struct nm_stream *stream)
{
  struct tls_stream *self = tls_of(stream);
  if (self->is_closing) return;
  self->is_closing = true;
  unqueue(self);
  nm_stream_close(self->under);
}

static const struct nm_stream_kind TLS_KIND = {
  .start = start,
  .stop = stop,
  .write = write_parts,
  .unsent = unsent,
  .end = end,
  .close = close_tls,
};

static const struct nm_stream_events UNDER_EVENTS = {
  .on_bytes = on_under_bytes,
  .on_end = on_under_end,
  .on_written = on_under_written,
  .on_closed = on_under_closed,
};

int nm_tls_stream_create(struct nm_stream **out, struct nm_tls_layer *layer,
                         struct nm_stream *under)
{
  struct tls_stream *self = calloc(1, sizeof *self);
  SSL *ssl = nm_tls_session(layer->tls);
  BIO *bio = BIO_new(layer->method);
  if (!self || !ssl || !bio) {
    free(self);
    SSL_free(ssl);
    BIO_free(bio);
    ERR_clear_error();
    return NM_ENOMEM;
  }
  BIO_set_data(bio, self);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  SSL_set_accept_state(ssl);
  self->base.kind = &TLS_KIND;
  self->base.cover = NM_STREAM_HANDSHAKE;
  memcpy(self->base.peer, under->peer, sizeof under->peer);
  self->base.peer_uid = under->peer_uid;
  self->under = under;
  self->layer = layer;
  self->ssl = ssl;
  nm_stream_attend(under, &UNDER_EVENTS, self);
  *out = &self->base;
  return NM_OK;
}

/* ---- the layer ------------------------------------------------------------------------------- */

int nm_tls_layer_open(struct nm_tls_layer **out, uv_loop_t *loop, struct nm_tls *tls)
{
  struct nm_tls_layer *layer = calloc(1, sizeof *layer);
  if (!layer) return NM_ENOMEM;
  layer->method = make_method();
  if (!layer->method) {
    free(layer);
    return NM_ENOMEM;
  }
  layer->tls = tls;
  nm_buffer_init(&layer->out, NM_TLS_OUT_MAX_BYTES);
  uv_timer_init(loop, &layer->turn);
  layer->turn.data = layer;
  *out = layer;
  return NM_OK;
}

static void on_turn_closed(uv_handle_t *handle)
{
  struct nm_tls_layer *layer = handle->data;
  void (*on_closed)(void *data) = layer->on_closed;
  void *data = layer->data;
  BIO_meth_free(layer->method);
  nm_buffer_deinit(&layer->out);
  OPENSSL_cleanse(layer->plain, sizeof layer->plain);
  free(layer);
  on_closed(data);
}

void nm_tls_layer_close(struct nm_tls_layer *layer, void (*on_closed)(void *data), void *data)
{
  layer->on_closed = on_closed;
  layer->data = data;
  uv_close((uv_handle_t *)&layer->turn, on_turn_closed);
}
