/* tls_kit.h - certificates made on the spot, and a caller who speaks TLS over a real socket. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/text.h"
#include "check.h"

/* ---- certificates ---------------------------------------------------------------------------- */

struct kit_pair {
  EVP_PKEY *key;
  X509 *certificate;
};

/* P-256; signed by `ca`, or by itself where that is NULL. */
static inline struct kit_pair kit_pair(const char *name, const struct kit_pair *ca)
{
  struct kit_pair made = { EVP_EC_gen("P-256"), X509_new() };
  assert_non_null(made.key);
  static long serial = 1;
  X509_set_version(made.certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), serial++);
  X509_gmtime_adj(X509_getm_notBefore(made.certificate), -60);
  X509_gmtime_adj(X509_getm_notAfter(made.certificate), 60 * 24 * 3600);
  X509_set_pubkey(made.certificate, made.key);
  X509_NAME *subject = X509_get_subject_name(made.certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
  X509_set_issuer_name(made.certificate,
                       ca ? X509_get_subject_name(ca->certificate) : subject);
  if (!ca) {
    X509_EXTENSION *is_ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "CA:TRUE");
    X509_add_ext(made.certificate, is_ca, -1);
    X509_EXTENSION_free(is_ca);
  }
  assert_true(X509_sign(made.certificate, ca ? ca->key : made.key, EVP_sha256()) > 0);
  return made;
}

static inline void kit_free(struct kit_pair *pair)
{
  EVP_PKEY_free(pair->key);
  X509_free(pair->certificate);
}

/* Writes beside and renames, as whoever renews certificates should. */
static inline void kit_write(const char *path, X509 *certificate, EVP_PKEY *key)
{
  char part[128];
  snprintf(part, sizeof part, "%s.part", path);
  FILE *file = fopen(part, "w");
  assert_non_null(file);
  if (certificate) assert_true(PEM_write_X509(file, certificate));
  if (key) assert_true(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
  assert_int_equal(fclose(file), 0);
  assert_int_equal(rename(part, path), 0);
}

/* ---- a caller -------------------------------------------------------------------------------- */

/* OpenSSL on a non-blocking socket; the loop under test runs between its steps. */
struct kit_caller {
  uv_loop_t *loop;
  SSL *ssl;
  int fd;
};

static inline int kit_connect(uv_loop_t *loop, struct nm_text address)
{
  struct sockaddr_in at = { .sin_family = AF_INET };
  at.sin_port = htons((uint16_t)strtol(strrchr(address.ptr, ':') + 1, NULL, 10));
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
  (void)loop;
  return fd;
}

static inline void kit_call(struct kit_caller *caller, uv_loop_t *loop, struct nm_text address,
                            SSL_CTX *context, SSL_SESSION *session)
{
  caller->loop = loop;
  caller->fd = kit_connect(loop, address);
  caller->ssl = SSL_new(context);
  assert_non_null(caller->ssl);
  if (session) SSL_set_session(caller->ssl, session);
  SSL_set_fd(caller->ssl, caller->fd);
  SSL_set_connect_state(caller->ssl);
}

/* After a step that could not go on: true where it is worth another try. */
static inline bool kit_waits(struct kit_caller *caller, int rc)
{
  int why = SSL_get_error(caller->ssl, rc);
  if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) return false;
  uv_run(caller->loop, UV_RUN_NOWAIT);
  struct pollfd wait = { .fd = caller->fd, .events = POLLIN };
  poll(&wait, 1, 1);
  return true;
}

/* 0, or the reason why the handshake failed. */
static inline int kit_shake(struct kit_caller *caller)
{
  int rc;
  do {
    ERR_clear_error();
    rc = SSL_do_handshake(caller->ssl);
  } while (rc != 1 && kit_waits(caller, rc));
  return rc == 1 ? 0 : ERR_GET_REASON(ERR_peek_error()) ? ERR_GET_REASON(ERR_peek_error()) : -1;
}

/* Reads at most len bytes; 0: the end, -1: broken. */
static inline int kit_read(struct kit_caller *caller, char *out, size_t len)
{
  int rc;
  do {
    ERR_clear_error();
    rc = SSL_read(caller->ssl, out, (int)len);
  } while (rc <= 0 && kit_waits(caller, rc));
  return rc > 0 ? rc : SSL_get_error(caller->ssl, rc) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static inline bool kit_says(struct kit_caller *caller, const char *bytes, size_t len)
{
  int rc;
  do {
    ERR_clear_error();
    rc = SSL_write(caller->ssl, bytes, (int)len);
  } while (rc <= 0 && kit_waits(caller, rc));
  return rc == (int)len;
}

/* Reads exactly these bytes. */
static inline void kit_hears(struct kit_caller *caller, const char *expected)
{
  char got[4096];
  size_t len = 0, wanted = strlen(expected);
  while (len < wanted) {
    int more = kit_read(caller, got + len, wanted - len);
    if (more <= 0) fail_msg("ended after %zu of %zu bytes", len, wanted);
    len += (size_t)more;
  }
  assert_memory_equal(got, expected, wanted);
}

static inline void kit_hang_up(struct kit_caller *caller)
{
  SSL_set_shutdown(caller->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* its session stays */
  SSL_free(caller->ssl);
  if (caller->fd >= 0) close(caller->fd);
  ERR_clear_error();
}

static inline SSL_CTX *kit_context(int least, int most)
{
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  assert_non_null(context);
  SSL_CTX_set_security_level(context, 0);
  assert_true(SSL_CTX_set_min_proto_version(context, least));
  assert_true(SSL_CTX_set_max_proto_version(context, most));
  return context;
}
