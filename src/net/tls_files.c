/* tls_files.c - a certificate, its key and the callers' CA out of files into an SSL_CTX. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "net/internal.h"

/* Mozilla's "intermediate" but for finite-field DHE, which only costs time. */
static const char CIPHERS_1_2[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char CIPHERS_1_3[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char GROUPS[] = "X25519:P-256:P-384";

enum { SECURITY_LEVEL = 2, SESSION_SECONDS = 3600 };

/* ---- reading --------------------------------------------------------------------------------- */

/* The newest of OpenSSL's complaints in words. */
static const char *why(void)
{
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  return reason ? reason : "unknown reason";
}

/* A whole file; what it may not be is said before anything is read. */
static int read_file(BIO **out, struct nm_text path, struct nm_error *err)
{
  struct stat info;
  int fd = open(path.ptr, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us up */
  if (fd < 0 || fstat(fd, &info)) {
    int rc = nm_fail(err, NM_EIO, "cannot read %s: %s", path.ptr, strerror(errno));
    if (fd >= 0) close(fd);
    return rc;
  }
  char *bytes = S_ISREG(info.st_mode) ? malloc(NM_TLS_FILE_MAX_BYTES + 1) : NULL;
  ssize_t len = 0, got = 1;
  while (bytes && got > 0 && len <= NM_TLS_FILE_MAX_BYTES) {
    got = read(fd, bytes + len, (size_t)(NM_TLS_FILE_MAX_BYTES + 1 - len));
    if (got > 0) len += got;
  }
  int number = got < 0 ? errno : 0;
  close(fd);

  BIO *bio = NULL;
  int rc = NM_OK;
  if (!S_ISREG(info.st_mode)) {
    rc = nm_fail(err, NM_EINVAL, "%s is not a file", path.ptr);
  } else if (number) {
    rc = nm_fail(err, NM_EIO, "cannot read %s: %s", path.ptr, strerror(number));
  } else if (len > NM_TLS_FILE_MAX_BYTES) {
    rc = nm_fail(err, NM_ELIMIT, "%s is longer than %d KiB; it cannot be a certificate or a key",
                 path.ptr, NM_TLS_FILE_MAX_BYTES / 1024);
  } else if (!bytes || !(bio = BIO_new(BIO_s_secmem())) ||
             (len > 0 && BIO_write(bio, bytes, (int)len) != len)) {
    BIO_free(bio);
    rc = nm_fail(err, NM_ENOMEM, "no memory to read %s", path.ptr);
  }
  if (bytes) OPENSSL_cleanse(bytes, (size_t)len);
  free(bytes);
  if (!rc) *out = bio;
  return rc;
}

/* Keys with a passphrase are refused; OpenSSL would ask for it at the terminal. */
static int on_passphrase(char *buf, int size, int is_for_writing, void *data)
{
  bool *was_asked = data;
  (void)buf;
  (void)size;
  (void)is_for_writing;
  *was_asked = true;
  return -1;
}

static int no_passphrase(char *buf, int size, int is_for_writing, void *data)
{
  (void)buf;
  (void)size;
  (void)is_for_writing;
  (void)data;
  return -1;
}

/* True where reading stopped at the end and not at something broken. */
static bool is_at_end(void)
{
  unsigned long last = ERR_peek_last_error();
  bool is_end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  return is_end;
}

/* ---- the parts ------------------------------------------------------------------------------- */

static int take_chain(SSL_CTX *context, BIO *bio, struct nm_text path, struct nm_error *err)
{
  X509 *leaf = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL);
  if (!leaf) {
    return nm_fail(err, NM_EINVAL,
                   "%s has no whole certificate; it should begin with -----BEGIN CERTIFICATE-----",
                   path.ptr);
  }
  int is_taken = SSL_CTX_use_certificate(context, leaf);
  X509_free(leaf);
  if (!is_taken) {
    return nm_fail(err, NM_EINVAL, "the certificate in %s cannot be used: %s", path.ptr, why());
  }
  ERR_clear_error();
  for (X509 *next; (next = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL));) {
    if (SSL_CTX_add0_chain_cert(context, next)) continue; /* it has it now */
    X509_free(next);
    return nm_fail(err, NM_EINVAL, "the chain in %s cannot be used: %s", path.ptr, why());
  }
  if (is_at_end()) return NM_OK;
  return nm_fail(err, NM_EINVAL, "%s has a broken certificate behind its first one", path.ptr);
}

static int take_key(SSL_CTX *context, BIO *bio, const struct nm_tls_options *options,
                    struct nm_error *err)
{
  bool was_asked = false;
  EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, &was_asked);
  if (!key && was_asked) {
    return nm_fail(err, NM_EINVAL, "the key in %s has a passphrase; write it out without one",
                   options->key.ptr);
  }
  if (!key) {
    return nm_fail(err, NM_EINVAL,
                   "%s has no whole private key; it should have a line -----BEGIN PRIVATE KEY-----",
                   options->key.ptr);
  }
  X509 *leaf = SSL_CTX_get0_certificate(context);
  bool fits = X509_check_private_key(leaf, key) == 1;
  int is_taken = fits && SSL_CTX_use_PrivateKey(context, key) && SSL_CTX_check_private_key(context);
  EVP_PKEY_free(key);
  if (!fits) {
    return nm_fail(err, NM_EINVAL, "the key in %s does not belong to the certificate in %s",
                   options->key.ptr, options->certificate.ptr);
  }
  if (is_taken) return NM_OK;
  return nm_fail(err, NM_EINVAL, "the key in %s cannot be used: %s", options->key.ptr, why());
}

/* Whose certificates callers may show. */
static int take_client_ca(SSL_CTX *context, BIO *bio, struct nm_text path, struct nm_error *err)
{
  X509_STORE *store = SSL_CTX_get_cert_store(context);
  unsigned count = 0;
  for (X509 *one; (one = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)); count++) {
    bool is_taken = X509_STORE_add_cert(store, one) && SSL_CTX_add_client_CA(context, one);
    X509_free(one);
    if (!is_taken) {
      return nm_fail(err, NM_EINVAL, "a certificate in %s cannot be used: %s", path.ptr, why());
    }
  }
  if (count > 0 && is_at_end()) return NM_OK;
  return nm_fail(err, NM_EINVAL, "%s has %s", path.ptr,
                 count ? "a broken certificate" : "no whole certificate");
}

/* A session that was begun under other rules for callers' certificates is not resumed. */
static int name_sessions(SSL_CTX *context, BIO *ca, enum nm_tls_client client)
{
  unsigned char digest[EVP_MAX_MD_SIZE];
  char *bytes = NULL;
  long len = ca ? BIO_get_mem_data(ca, &bytes) : 0;
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  unsigned char mode = (unsigned char)client;
  bool is_done = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) &&
                 EVP_DigestUpdate(md, &mode, 1) &&
                 (len <= 0 || EVP_DigestUpdate(md, bytes, (size_t)len)) &&
                 EVP_DigestFinal_ex(md, digest, NULL) &&
                 SSL_CTX_set_session_id_context(context, digest, SSL_MAX_SID_CTX_LENGTH);
  EVP_MD_CTX_free(md);
  return is_done ? NM_OK : NM_ENOMEM;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* http/1.1, or a fatal alert where the caller offers other protocols only. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *data)
{
  static const unsigned char OURS[] = "\x08http/1.1";
  unsigned char *chosen;
  (void)ssl;
  (void)data;
  if (SSL_select_next_proto(&chosen, out_len, OURS, sizeof OURS - 1, in, in_len) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

static bool set_protocol(SSL_CTX *context)
{
  SSL_CTX_set_security_level(context, SECURITY_LEVEL);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets carry the sessions */
  SSL_CTX_set_timeout(context, SESSION_SECONDS);
  SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
  return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) &&
         SSL_CTX_set_cipher_list(context, CIPHERS_1_2) &&
         SSL_CTX_set_ciphersuites(context, CIPHERS_1_3) &&
         SSL_CTX_set1_groups_list(context, GROUPS) && SSL_CTX_set_max_early_data(context, 0) &&
         SSL_CTX_set_num_tickets(context, 1);
}

static int take_files(SSL_CTX *context, const struct nm_tls_options *options, struct nm_error *err)
{
  BIO *certificate = NULL, *key = NULL, *ca = NULL;
  int rc = read_file(&certificate, options->certificate, err);
  if (!rc) rc = read_file(&key, options->key, err);
  if (!rc && options->client != NM_TLS_CLIENT_NONE) rc = read_file(&ca, options->client_ca, err);
  if (!rc && name_sessions(context, ca, options->client))
    rc = nm_fail(err, NM_ENOMEM, "no memory for TLS");
  if (!rc) rc = take_chain(context, certificate, options->certificate, err);
  if (!rc) rc = take_key(context, key, options, err);
  if (!rc && ca) rc = take_client_ca(context, ca, options->client_ca, err);
  BIO_free(certificate);
  BIO_free(key);
  BIO_free(ca);
  return rc;
}

int nm_tls_context_create(SSL_CTX **out, const struct nm_tls_options *options,
                          struct nm_error *err)
{
  ERR_clear_error();
  SSL_CTX *context = SSL_CTX_new(TLS_server_method());
  if (!context) return nm_fail(err, NM_ENOMEM, "no memory for TLS");
  int rc = set_protocol(context) ? NM_OK : nm_fail(err, NM_EINTERNAL, "TLS: %s", why());
  if (!rc) rc = take_files(context, options, err);
  if (!rc && options->client != NM_TLS_CLIENT_NONE) {
    bool is_required = options->client == NM_TLS_CLIENT_REQUIRED;
    SSL_CTX_set_verify(
        context, SSL_VERIFY_PEER | (is_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
  }
  ERR_clear_error();
  if (rc) {
    SSL_CTX_free(context);
    return rc;
  }
  *out = context;
  return NM_OK;
}
