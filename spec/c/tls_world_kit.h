/* tls_world_kit.h - a listener that speaks TLS, whose streams echo, and who calls it; with an
 * authority and our certificate in a folder of the program's own. */
#pragma once

#include "net/internal.h"
#include "tls_kit.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/metrics.h"

enum { HEARD_MAX = 4096, BIG_BYTES = 20 * 1000 * 1000 };

struct owner {
  struct nm_stream *stream;
  char heard[HEARD_MAX];
  size_t heard_len;
  int ready, ended, closed; /* ended: 1 at the end, 2 broken */
  bool rests;               /* stops reading at the first byte */
  bool is_inside;           /* a call to the stream */
};

static struct world {
  uv_loop_t loop;
  struct nm_tls *tls;
  struct nm_listener *listener;
  struct owner owners[16];
  int owner_count;
  bool rests, is_closed, is_tls_closed;
} world;

static char folder[] = "/tmp/nm-tls-XXXXXX";
static struct kit_pair authority, ours;
static SSL_CTX *any_version;

#define run_until(condition)                                                                       \
  do {                                                                                             \
    while (!(condition)) uv_run(&world.loop, UV_RUN_ONCE);                                         \
  } while (0)

/* ---- the owner of the streams: echoes -------------------------------------------------------- */

static inline void on_bytes(void *data, struct nm_text bytes)
{
  struct owner *owner = data;
  assert_false(owner->is_inside);
  assert_in_range(owner->heard_len + bytes.len, 0, HEARD_MAX);
  memcpy(owner->heard + owner->heard_len, bytes.ptr, bytes.len);
  owner->heard_len += bytes.len;
  if (owner->rests) nm_stream_stop(owner->stream);
  else if (!owner->ended) assert_int_equal(nm_stream_write(owner->stream, &bytes, 1), NM_OK);
}

static inline void on_end(void *data, int code)
{
  ((struct owner *)data)->ended = code == NM_OK ? 1 : 2;
}

static inline void on_written(void *data)
{
  (void)data;
}

static inline void on_closed(void *data)
{
  ((struct owner *)data)->closed = 1;
}

static inline void on_ready(void *data)
{
  ((struct owner *)data)->ready++;
}

static const struct nm_stream_events EVENTS = { .on_bytes = on_bytes, .on_end = on_end,
                                                .on_written = on_written, .on_closed = on_closed,
                                                .on_ready = on_ready };

static inline void read_on(struct owner *owner)
{
  owner->is_inside = true;
  assert_int_equal(nm_stream_start(owner->stream), NM_OK);
  owner->is_inside = false;
}

static inline void on_stream(void *data, struct nm_stream *stream)
{
  (void)data;
  struct owner *owner = &world.owners[world.owner_count++];
  owner->stream = stream;
  owner->rests = world.rests;
  nm_stream_attend(stream, &EVENTS, owner);
  read_on(owner);
}

/* ---- the world ------------------------------------------------------------------------------- */

static inline const char *path(const char *name)
{
  static char paths[8][96];
  static int turn;
  char *out = paths[turn = (turn + 1) % 8];
  snprintf(out, sizeof paths[0], "%s/%s", folder, name);
  return out;
}

static inline struct nm_tls_options files(enum nm_tls_client client)
{
  return (struct nm_tls_options){ .certificate = nm_text_from(path("tls.crt")),
                                  .key = nm_text_from(path("tls.key")),
                                  .client_ca = nm_text_from(path("ca.crt")),
                                  .client = client };
}

static inline void open_world(enum nm_tls_client client)
{
  struct nm_error err = { 0 };
  struct nm_tls_options options = files(client);
  world = (struct world){ 0 };
  alarm(120);
  assert_int_equal(uv_loop_init(&world.loop), 0);
  if (nm_tls_open(&world.tls, &world.loop, &options, &err)) fail_msg("%s", err.text);
  struct nm_listener_options listening = { .connections_max = 16, .on_stream = on_stream,
                                           .tls = world.tls };
  if (nm_listener_open(&world.listener, &world.loop, NM_TEXT("127.0.0.1:0"), &listening, &err))
    fail_msg("%s", err.text);
}

static inline void on_listener_closed(void *data)
{
  (void)data;
  world.is_closed = true;
}

static inline void on_tls_closed(void *data)
{
  (void)data;
  world.is_tls_closed = true;
}

static inline void close_world(void)
{
  nm_listener_close(world.listener, on_listener_closed, NULL);
  for (int i = 0; i < world.owner_count; i++) nm_stream_close(world.owners[i].stream);
  run_until(world.is_closed);
  for (int i = 0; i < world.owner_count; i++) assert_true(world.owners[i].closed);
  nm_tls_close(world.tls, on_tls_closed, NULL);
  run_until(world.is_tls_closed);
  uv_run(&world.loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&world.loop), 0);
  assert_int_equal(nm_log_error_count(), 0);
  alarm(0);
}

static inline void call(struct kit_caller *caller, SSL_CTX *context, SSL_SESSION *session)
{
  kit_call(caller, &world.loop, nm_listener_address(world.listener), context, session);
}

static inline int make_folder(void **state)
{
  (void)state;
  if (!mkdtemp(folder)) return -1;
  authority = kit_pair("authority", NULL);
  ours = kit_pair("ours", &authority);
  kit_write(path("tls.crt"), ours.certificate, NULL);
  kit_write(path("tls.key"), NULL, ours.key);
  kit_write(path("ca.crt"), authority.certificate, NULL);
  kit_write(path("ca.key"), NULL, authority.key);
  any_version = kit_context(TLS1_2_VERSION, TLS1_3_VERSION);
  return 0;
}

static inline int remove_folder(void **state)
{
  (void)state;
  unlink(path("tls.crt"));
  unlink(path("tls.key"));
  unlink(path("ca.crt"));
  unlink(path("ca.key"));
  kit_free(&authority);
  kit_free(&ours);
  SSL_CTX_free(any_version);
  return rmdir(folder);
}
