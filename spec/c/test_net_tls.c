/* links: net */
/* TLS as callers see it, over real sockets: agreeing, resuming, refusing, renewing. */
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

static void on_bytes(void *data, struct nm_text bytes)
{
  struct owner *owner = data;
  assert_false(owner->is_inside);
  assert_in_range(owner->heard_len + bytes.len, 0, HEARD_MAX);
  memcpy(owner->heard + owner->heard_len, bytes.ptr, bytes.len);
  owner->heard_len += bytes.len;
  if (owner->rests) nm_stream_stop(owner->stream);
  else if (!owner->ended) assert_int_equal(nm_stream_write(owner->stream, &bytes, 1), NM_OK);
}

static void on_end(void *data, int code)
{
  ((struct owner *)data)->ended = code == NM_OK ? 1 : 2;
}

static void on_written(void *data)
{
  (void)data;
}

static void on_closed(void *data)
{
  ((struct owner *)data)->closed = 1;
}

static void on_ready(void *data)
{
  ((struct owner *)data)->ready++;
}

static const struct nm_stream_events EVENTS = { .on_bytes = on_bytes, .on_end = on_end,
                                                .on_written = on_written, .on_closed = on_closed,
                                                .on_ready = on_ready };

static void read_on(struct owner *owner)
{
  owner->is_inside = true;
  assert_int_equal(nm_stream_start(owner->stream), NM_OK);
  owner->is_inside = false;
}

static void on_stream(void *data, struct nm_stream *stream)
{
  (void)data;
  struct owner *owner = &world.owners[world.owner_count++];
  owner->stream = stream;
  owner->rests = world.rests;
  nm_stream_attend(stream, &EVENTS, owner);
  read_on(owner);
}

/* ---- the world ------------------------------------------------------------------------------- */

static const char *path(const char *name)
{
  static char paths[8][96];
  static int turn;
  char *out = paths[turn = (turn + 1) % 8];
  snprintf(out, sizeof paths[0], "%s/%s", folder, name);
  return out;
}

static struct nm_tls_options files(enum nm_tls_client client)
{
  return (struct nm_tls_options){ .certificate = nm_text_from(path("tls.crt")),
                                  .key = nm_text_from(path("tls.key")),
                                  .client_ca = nm_text_from(path("ca.crt")),
                                  .client = client };
}

static void open_world(enum nm_tls_client client)
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

static void on_listener_closed(void *data)
{
  (void)data;
  world.is_closed = true;
}

static void on_tls_closed(void *data)
{
  (void)data;
  world.is_tls_closed = true;
}

static void close_world(void)
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

static void call(struct kit_caller *caller, SSL_CTX *context, SSL_SESSION *session)
{
  kit_call(caller, &world.loop, nm_listener_address(world.listener), context, session);
}

/* ---- agreeing -------------------------------------------------------------------------------- */

static void both_sides_hear_each_other(void **state)
{
  static const int VERSIONS[] = { TLS1_2_VERSION, TLS1_3_VERSION };
  (void)state;
  open_world(NM_TLS_CLIENT_NONE);
  for (int i = 0; i < 2; i++) {
    struct kit_caller caller;
    SSL_CTX *context = kit_context(VERSIONS[i], VERSIONS[i]);
    call(&caller, context, NULL);
    assert_int_equal(kit_shake(&caller), 0);
    assert_int_equal(SSL_version(caller.ssl), VERSIONS[i]);
    assert_true(kit_says(&caller, "hello", 5));
    kit_hears(&caller, "hello");
    assert_int_equal(world.owners[i].ready, 1);
    assert_int_equal(world.owners[i].stream->cover, NM_STREAM_TLS);
    assert_string_equal(world.owners[i].stream->peer, "127.0.0.1");
    kit_hang_up(&caller);
    run_until(world.owners[i].ended);
    SSL_CTX_free(context);
  }
  close_world();
}

static void older_versions_are_refused(void **state)
{
  (void)state;
  open_world(NM_TLS_CLIENT_NONE);
  struct kit_caller caller;
  SSL_CTX *context = kit_context(TLS1_VERSION, TLS1_1_VERSION);
  SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
  call(&caller, context, NULL);
  assert_int_equal(kit_shake(&caller), SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
  run_until(world.owners[0].ended == 2);
  assert_int_equal(world.owners[0].ready, 0);
  kit_hang_up(&caller);
  SSL_CTX_free(context);
  close_world();
}

static void ciphers_without_forward_secrecy_are_refused(void **state)
{
  (void)state;
  open_world(NM_TLS_CLIENT_NONE);
  struct kit_caller caller;
  SSL_CTX *context = kit_context(TLS1_2_VERSION, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context, "kRSA:ECDHE-ECDSA-AES128-SHA:AES128-SHA:@SECLEVEL=0");
  call(&caller, context, NULL);
  assert_int_equal(kit_shake(&caller), SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE);
  kit_hang_up(&caller);
  SSL_CTX_free(context);
  close_world();
}

static void alpn_is_http_1_1_or_a_fatal_alert(void **state)
{
  (void)state;
  open_world(NM_TLS_CLIENT_NONE);
  struct kit_caller caller;
  const unsigned char *chosen;
  unsigned len;
  call(&caller, any_version, NULL);
  SSL_set_alpn_protos(caller.ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12);
  assert_int_equal(kit_shake(&caller), 0);
  SSL_get0_alpn_selected(caller.ssl, &chosen, &len);
  assert_int_equal(len, 8);
  assert_memory_equal(chosen, "http/1.1", 8);
  kit_hang_up(&caller);

  call(&caller, any_version, NULL);
  SSL_set_alpn_protos(caller.ssl, (const unsigned char *)"\x02h2", 3);
  assert_int_equal(kit_shake(&caller), SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
  kit_hang_up(&caller);
  close_world();
}

static void renegotiation_is_refused(void **state)
{
  (void)state;
  open_world(NM_TLS_CLIENT_NONE);
  struct kit_caller caller;
  SSL_CTX *context = kit_context(TLS1_2_VERSION, TLS1_2_VERSION);
  call(&caller, context, NULL);
  assert_int_equal(kit_shake(&caller), 0);
  assert_int_equal(SSL_renegotiate(caller.ssl), 1);
  assert_int_equal(kit_shake(&caller), SSL_R_NO_RENEGOTIATION);
  kit_hang_up(&caller);
  SSL_CTX_free(context);
  close_world();
}

static void who_does_not_speak_tls_is_passed_on_as_plain(void **state)
{
  (void)state;
  open_world(NM_TLS_CLIENT_NONE);
  int fd = kit_connect(&world.loop, nm_listener_address(world.listener));
  assert_int_equal(write(fd, "GET / HTTP/1.1\r\n", 16), 16);
  run_until(world.owners[0].heard_len == 16);
  assert_int_equal(world.owners[0].stream->cover, NM_STREAM_PLAIN);
  assert_int_equal(world.owners[0].ready, 1);
  close(fd);
  run_until(world.owners[0].ended);

  /* Neither TLS nor text. */
  fd = kit_connect(&world.loop, nm_listener_address(world.listener));
  assert_int_equal(write(fd, "\x80\x00\x01garbage", 10), 10);
  run_until(world.owners[1].ended == 2);
  close(fd);
  close_world();
}

static void leaving_in_the_handshake_is_noticed(void **state)
{
  (void)state;
  open_world(NM_TLS_CLIENT_NONE);
  int fd = kit_connect(&world.loop, nm_listener_address(world.listener));
  assert_int_equal(write(fd, "\x16\x03\x01", 3), 3);
  close(fd);
  run_until(world.owner_count == 1 && world.owners[0].ended == 2);
  close_world();
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* Every byte of the caller goes out alone. */
static void a_conversation_cut_into_single_bytes_is_the_same(void **state)
{
  (void)state;
  open_world(NM_TLS_CLIENT_NONE);
  int fd = kit_connect(&world.loop, nm_listener_address(world.listener));
  BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
  SSL *ssl = SSL_new(any_version);
  SSL_set_bio(ssl, in, out);
  SSL_set_connect_state(ssl);
  char got[64] = "";
  size_t len = 0;
  bool has_said = false;
  while (len < 11) {
    if (SSL_do_handshake(ssl) == 1 && !has_said) {
      has_said = true;
      assert_int_equal(SSL_write(ssl, "hello world", 11), 11);
    }
    for (char byte; BIO_read(out, &byte, 1) == 1; uv_run(&world.loop, UV_RUN_NOWAIT))
      assert_int_equal(write(fd, &byte, 1), 1);
    uv_run(&world.loop, UV_RUN_NOWAIT);
    char bytes[4096];
    ssize_t more = read(fd, bytes, sizeof bytes);
    if (more > 0) assert_int_equal(BIO_write(in, bytes, (int)more), more);
    int part = has_said ? SSL_read(ssl, got + len, (int)(sizeof got - len)) : 0;
    if (part > 0) len += (size_t)part;
  }
  assert_memory_equal(got, "hello world", 11);
  SSL_free(ssl);
  close(fd);
  ERR_clear_error();
  close_world();
}

static void what_came_while_the_owner_rested_is_not_lost(void **state)
{
  (void)state;
  open_world(NM_TLS_CLIENT_NONE);
  world.rests = true;
  struct kit_caller caller;
  call(&caller, any_version, NULL);
  assert_int_equal(kit_shake(&caller), 0);
  assert_true(kit_says(&caller, "one ", 4) && kit_says(&caller, "two ", 4) &&
              kit_says(&caller, "three", 5));
  struct owner *owner = &world.owners[0];
  run_until(owner->heard_len > 0);
  assert_int_equal(owner->heard_len, 4); /* one record, then it rests */
  for (int i = 0; i < 20; i++) uv_run(&world.loop, UV_RUN_NOWAIT);
  assert_int_equal(owner->heard_len, 4);
  read_on(owner); /* nothing comes inside the call */
  run_until(owner->heard_len == 8);
  read_on(owner);
  run_until(owner->heard_len == 13);
  assert_memory_equal(owner->heard, "one two three", 13);
  kit_hang_up(&caller);
  read_on(owner);
  run_until(owner->ended);
  close_world();
}

static void a_slow_reader_gets_everything_and_nothing_is_read_meanwhile(void **state)
{
  (void)state;
  open_world(NM_TLS_CLIENT_NONE);
  struct kit_caller caller;
  call(&caller, any_version, NULL);
  assert_int_equal(kit_shake(&caller), 0);
  run_until(world.owners[0].ready);
  struct owner *owner = &world.owners[0];
  char *big = malloc(BIG_BYTES);
  assert_non_null(big);
  for (size_t i = 0; i < BIG_BYTES; i++) big[i] = (char)(i * 31 % 251);
  struct nm_text parts[] = { { big, 1000 }, { big + 1000, 0 }, { big + 1000, BIG_BYTES - 1000 } };
  assert_int_equal(nm_stream_write(owner->stream, parts, 3), NM_OK);
  assert_true(nm_stream_unsent(owner->stream) > NM_TLS_UNSENT_MAX_BYTES);

  assert_true(kit_says(&caller, "anyone?", 7));
  for (int i = 0; i < 50; i++) uv_run(&world.loop, UV_RUN_NOWAIT);
  assert_int_equal(owner->heard_len, 0);

  char *got = malloc(BIG_BYTES);
  assert_non_null(got);
  for (size_t len = 0; len < BIG_BYTES;) {
    int more = kit_read(&caller, got + len, BIG_BYTES - len < 5000 ? BIG_BYTES - len : 5000);
    assert_true(more > 0);
    len += (size_t)more;
  }
  assert_memory_equal(got, big, BIG_BYTES);
  kit_hears(&caller, "anyone?");
  free(big);
  free(got);
  kit_hang_up(&caller);
  close_world();
}

static void an_end_is_said_and_reading_goes_on(void **state)
{
  (void)state;
  open_world(NM_TLS_CLIENT_NONE);
  struct kit_caller caller;
  char byte;
  call(&caller, any_version, NULL);
  assert_int_equal(kit_shake(&caller), 0);
  run_until(world.owners[0].ready);
  world.owners[0].rests = true;
  nm_stream_end(world.owners[0].stream);
  nm_stream_end(world.owners[0].stream);
  assert_int_equal(kit_read(&caller, &byte, 1), 0); /* close_notify, no mere FIN */
  assert_true(kit_says(&caller, "bye", 3));
  run_until(world.owners[0].heard_len == 3);
  kit_hang_up(&caller);
  close_world();
}

/* ---- tickets --------------------------------------------------------------------------------- */

static SSL_SESSION *kept_session;

static int on_session(SSL *ssl, SSL_SESSION *session)
{
  (void)ssl;
  SSL_SESSION_free(kept_session);
  kept_session = session;
  return 1;
}

static bool resumes(SSL_CTX *context, SSL_SESSION *session)
{
  struct kit_caller caller;
  SSL_SESSION *copy = session ? SSL_SESSION_dup(session) : NULL; /* a new ticket spoils the old */
  call(&caller, context, copy);
  SSL_SESSION_free(copy);
  assert_int_equal(kit_shake(&caller), 0);
  bool is_resumed = SSL_session_reused(caller.ssl) == 1;
  assert_true(kit_says(&caller, "x", 1));
  kit_hears(&caller, "x"); /* with TLS 1.3 the ticket comes behind the handshake */
  kit_hang_up(&caller);
  return is_resumed;
}

static void a_session_survives_one_change_of_keys_but_not_two(void **state)
{
  static const int VERSIONS[] = { TLS1_2_VERSION, TLS1_3_VERSION };
  (void)state;
  for (int i = 0; i < 2; i++) {
    open_world(NM_TLS_CLIENT_NONE);
    SSL_CTX *context = kit_context(VERSIONS[i], VERSIONS[i]);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    assert_false(resumes(context, NULL));
    SSL_SESSION *first = kept_session;
    assert_non_null(first);
    kept_session = NULL;
    assert_true(resumes(context, first));
    assert_int_equal(nm_tls_rotate(world.tls), NM_OK);
    assert_true(resumes(context, first));
    assert_int_equal(nm_tls_rotate(world.tls), NM_OK);
    assert_false(resumes(context, first));
    SSL_SESSION_free(first);
    SSL_SESSION_free(kept_session);
    kept_session = NULL;
    SSL_CTX_free(context);
    close_world();
  }
}

/* ---- certificates ---------------------------------------------------------------------------- */

static void name_shown(SSL_CTX *context, char name[64])
{
  struct kit_caller caller;
  call(&caller, context, NULL);
  assert_int_equal(kit_shake(&caller), 0);
  X509 *shown = SSL_get1_peer_certificate(caller.ssl);
  X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, name, 64);
  X509_free(shown);
  kit_hang_up(&caller);
}

static void half_a_new_pair_is_refused_and_the_whole_one_taken(void **state)
{
  (void)state;
  struct kit_pair fresh = kit_pair("fresh", &authority);
  char name[64];
  open_world(NM_TLS_CLIENT_NONE);
  int64_t refused = nm_metric_get(NM_METRIC_TLS_FILES_REFUSED);
  int64_t taken = nm_metric_get(NM_METRIC_TLS_FILES_TAKEN);
  struct kit_caller old;
  call(&old, any_version, NULL);
  assert_int_equal(kit_shake(&old), 0);

  kit_write(path("tls.crt"), fresh.certificate, NULL);
  nm_tls_look(world.tls);
  nm_tls_look(world.tls); /* asked twice, looked at twice, one after the other */
  run_until(nm_metric_get(NM_METRIC_TLS_FILES_REFUSED) == refused + 2);
  name_shown(any_version, name);
  assert_string_equal(name, "ours");

  kit_write(path("tls.key"), NULL, fresh.key);
  nm_tls_look(world.tls);
  run_until(nm_metric_get(NM_METRIC_TLS_FILES_TAKEN) == taken + 1);
  name_shown(any_version, name);
  assert_string_equal(name, "fresh");

  assert_true(kit_says(&old, "still here", 10));
  kit_hears(&old, "still here");
  kit_hang_up(&old);
  close_world();
  kit_write(path("tls.crt"), ours.certificate, NULL);
  kit_write(path("tls.key"), NULL, ours.key);
  kit_free(&fresh);
}

static void changed_files_are_found_without_being_asked(void **state)
{
  (void)state;
  struct kit_pair fresh = kit_pair("fresh", &authority);
  char name[64];
  open_world(NM_TLS_CLIENT_NONE);
  int64_t taken = nm_metric_get(NM_METRIC_TLS_FILES_TAKEN);
  kit_write(path("tls.key"), NULL, fresh.key);
  kit_write(path("tls.crt"), fresh.certificate, NULL);
  run_until(nm_metric_get(NM_METRIC_TLS_FILES_TAKEN) == taken + 1); /* NM_TLS_LOOK_MS */
  name_shown(any_version, name);
  assert_string_equal(name, "fresh");
  close_world();
  kit_write(path("tls.crt"), ours.certificate, NULL);
  kit_write(path("tls.key"), NULL, ours.key);
  kit_free(&fresh);
}

static void refuses(const char *certificate, const char *key, const char *words)
{
  struct nm_error err = { 0 };
  struct nm_tls_options options = { .certificate = nm_text_from(certificate),
                                    .key = nm_text_from(key) };
  assert_true(nm_tls_check(&options, &err) != NM_OK);
  if (!strstr(err.text, words)) fail_msg("'%s' does not say '%s'", err.text, words);
}

static void write_text(const char *where, const char *text)
{
  FILE *file = fopen(where, "w");
  assert_non_null(file);
  assert_true(fputs(text, file) >= 0);
  assert_int_equal(fclose(file), 0);
}

static void files_that_cannot_serve_are_named_with_the_reason(void **state)
{
  (void)state;
  struct nm_error err = { 0 };
  struct nm_tls_options good = files(NM_TLS_CLIENT_REQUIRED);
  assert_int_equal(nm_tls_check(&good, &err), NM_OK);
  const char *crt = path("tls.crt"), *key = path("tls.key"), *bad = path("bad.pem");

  refuses(path("none"), key, "/none: No such file or directory");
  refuses(crt, path("none"), "/none: No such file or directory");
  refuses(folder, key, " is not a file");
  refuses(key, key, "has no whole certificate");
  refuses(crt, crt, "has no whole private key");
  refuses(crt, path("ca.key"), "does not belong to the certificate in");
  write_text(bad, "-----BEGIN CERTIFICATE-----\nMIIB");
  refuses(bad, key, "has no whole certificate");

  FILE *file = fopen(bad, "w");
  assert_true(PEM_write_X509(file, ours.certificate));
  assert_true(fputs("-----BEGIN CERTIFICATE-----\nMIIB\n", file) >= 0);
  fclose(file);
  refuses(bad, key, "has a broken certificate behind its first one");

  file = fopen(bad, "w");
  assert_true(PEM_write_PrivateKey(file, ours.key, EVP_aes_128_cbc(), (unsigned char *)"secret", 6,
                                   NULL, NULL));
  fclose(file);
  refuses(crt, bad, "has a passphrase");

  char *long_text = malloc(NM_TLS_FILE_MAX_BYTES + 2);
  memset(long_text, '\n', NM_TLS_FILE_MAX_BYTES + 1);
  long_text[NM_TLS_FILE_MAX_BYTES + 1] = '\0';
  write_text(bad, long_text);
  free(long_text);
  refuses(bad, key, "longer than 256 KiB");
  unlink(bad);
}

/* ---- callers' certificates ------------------------------------------------------------------- */

static int shake_with(const struct kit_pair *pair)
{
  struct kit_caller caller;
  /* In 1.3 the refusal comes behind the handshake. */
  SSL_CTX *context = kit_context(TLS1_2_VERSION, TLS1_2_VERSION);
  if (pair) {
    SSL_CTX_use_certificate(context, pair->certificate);
    SSL_CTX_use_PrivateKey(context, pair->key);
  }
  call(&caller, context, NULL);
  int rc = kit_shake(&caller);
  kit_hang_up(&caller);
  SSL_CTX_free(context);
  return rc;
}

static void callers_show_certificates_of_the_right_authority(void **state)
{
  (void)state;
  struct kit_pair friend = kit_pair("friend", &authority), other = kit_pair("other", NULL);
  struct kit_pair stranger = kit_pair("stranger", &other);
  open_world(NM_TLS_CLIENT_REQUIRED);
  assert_int_equal(shake_with(&friend), 0);
  assert_int_equal(shake_with(NULL), SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE);
  assert_int_equal(shake_with(&stranger), SSL_R_TLSV1_ALERT_UNKNOWN_CA);
  close_world();
  open_world(NM_TLS_CLIENT_OPTIONAL);
  assert_int_equal(shake_with(&friend), 0);
  assert_int_equal(shake_with(NULL), 0);
  assert_int_equal(shake_with(&stranger), SSL_R_TLSV1_ALERT_UNKNOWN_CA);
  close_world();
  kit_free(&friend);
  kit_free(&stranger);
  kit_free(&other);
}

static int make_folder(void **state)
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

static int remove_folder(void **state)
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

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(both_sides_hear_each_other),
    cmocka_unit_test(older_versions_are_refused),
    cmocka_unit_test(ciphers_without_forward_secrecy_are_refused),
    cmocka_unit_test(alpn_is_http_1_1_or_a_fatal_alert),
    cmocka_unit_test(renegotiation_is_refused),
    cmocka_unit_test(who_does_not_speak_tls_is_passed_on_as_plain),
    cmocka_unit_test(leaving_in_the_handshake_is_noticed),
    cmocka_unit_test(a_conversation_cut_into_single_bytes_is_the_same),
    cmocka_unit_test(what_came_while_the_owner_rested_is_not_lost),
    cmocka_unit_test(a_slow_reader_gets_everything_and_nothing_is_read_meanwhile),
    cmocka_unit_test(an_end_is_said_and_reading_goes_on),
    cmocka_unit_test(a_session_survives_one_change_of_keys_but_not_two),
    cmocka_unit_test(half_a_new_pair_is_refused_and_the_whole_one_taken),
    cmocka_unit_test(changed_files_are_found_without_being_asked),
    cmocka_unit_test(files_that_cannot_serve_are_named_with_the_reason),
    cmocka_unit_test(callers_show_certificates_of_the_right_authority),
  };
  return cmocka_run_group_tests_name("tls", tests, make_folder, remove_folder);
}
