/* links: net */
/* Tickets that resume, certificates that are renewed, and those that callers show. */
#include "tls_world_kit.h"

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

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_session_survives_one_change_of_keys_but_not_two),
    cmocka_unit_test(half_a_new_pair_is_refused_and_the_whole_one_taken),
    cmocka_unit_test(changed_files_are_found_without_being_asked),
    cmocka_unit_test(files_that_cannot_serve_are_named_with_the_reason),
    cmocka_unit_test(callers_show_certificates_of_the_right_authority),
  };
  return cmocka_run_group_tests_name("certificates", tests, make_folder, remove_folder);
}
