/* links: net */
/* TLS as callers see it, over real sockets: agreeing, refusing, and the bytes after that. */
#include "tls_world_kit.h"

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
  };
  return cmocka_run_group_tests_name("tls", tests, make_folder, remove_folder);
}
