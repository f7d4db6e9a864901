/* links: client */
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "peer.h"
#include "unsent_kit.h"

#include "client/client.h"

/* A TLS server in a thread of its own that answers one request a connection, with a certificate for
 * 127.0.0.1 (or another name) that only its own file vouches for. */
static struct {
  SSL_CTX *context;
  int listener, port;
  uv_thread_t thread;
  unsigned wrongs;
  int asked, answered;
} server;

static char ca_file[] = "/tmp/nm_test_ca_XXXXXX";
static uv_loop_t loop;
static struct nm_error err;

/* How a server is wrong, but for its certificate's name. */
enum {
  EXPIRED = 1,
  NOT_YET = 2,
  OLD_TLS = 4,       /* 1.1 at most */
  WEAK_KEY = 8,      /* RSA of 1024 bits */
  ANSWERS_NOT = 16,  /* shakes hands, reads, and closes */
  CUTS = 32,         /* breaks off in the middle of an answer */
  SHAKES_OFF = 64,   /* closes right after the handshake */
};

static X509 *make_certificate(EVP_PKEY *key, const char *name, unsigned wrongs)
{
  X509 *cert = X509_new();
  X509V3_CTX context;
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_set_version(cert, 2);
  X509_gmtime_adj(X509_getm_notBefore(cert), wrongs & NOT_YET ? 3600 : -7200);
  X509_gmtime_adj(X509_getm_notAfter(cert), wrongs & EXPIRED ? -3600 : 7200);
  X509_set_pubkey(cert, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                             (const unsigned char *)"peer", -1, -1, 0);
  X509_set_issuer_name(cert, X509_get_subject_name(cert));
  X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
  X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, name);
  assert_non_null(names);
  X509_add_ext(cert, names, -1);
  X509_EXTENSION_free(names);
  assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
  return cert;
}

/* The whole request: what is left unread would reset the connection and take the answer with it. */
static bool read_request(SSL *ssl)
{
  char request[4096] = "";
  size_t len = 0;
  while (!strstr(request, "\r\n\r\nsecret")) {
    int got = SSL_read(ssl, request + len, (int)(sizeof request - 1 - len));
    if (got <= 0) return false;
    len += (size_t)got;
    request[len] = 0;
  }
  return true;
}

static void answer(SSL *ssl)
{
  static const char whole[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
  static const char half[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
  server.asked++;
  if (server.wrongs & ANSWERS_NOT) return;
  if (server.wrongs & CUTS) {
    SSL_write(ssl, half, sizeof half - 1);
    return;
  }
  SSL_write(ssl, whole, sizeof whole - 1);
  server.answered++;
  SSL_shutdown(ssl);
}

static void serve(void *data)
{
  (void)data;
  for (;;) {
    int fd = accept(server.listener, NULL, NULL);
    if (fd < 0) return;
    SSL *ssl = SSL_new(server.context);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1 && !(server.wrongs & SHAKES_OFF) && read_request(ssl)) answer(ssl);
    SSL_free(ssl);
    close(fd);
  }
}

static void open_wrong_server(const char *name, unsigned wrongs)
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  socklen_t len = sizeof address;
  EVP_PKEY *key = wrongs & WEAK_KEY ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024)
                                    : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
  X509 *cert = make_certificate(key, name, wrongs);
  server.asked = server.answered = 0;
  server.wrongs = wrongs;
  server.context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_security_level(server.context, 0);
  if (wrongs & OLD_TLS) SSL_CTX_set_max_proto_version(server.context, TLS1_1_VERSION);
  assert_int_equal(SSL_CTX_use_certificate(server.context, cert), 1);
  assert_int_equal(SSL_CTX_use_PrivateKey(server.context, key), 1);
  FILE *file = fopen(ca_file, "w");
  assert_non_null(file);
  PEM_write_X509(file, cert);
  fclose(file);
  X509_free(cert);
  EVP_PKEY_free(key);
  server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(server.listener, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(server.listener, 8), 0);
  assert_int_equal(getsockname(server.listener, (struct sockaddr *)&address, &len), 0);
  server.port = ntohs(address.sin_port);
  assert_int_equal(uv_thread_create(&server.thread, serve, NULL), 0);
}

static void open_server(const char *name)
{
  open_wrong_server(name, 0);
}

static void close_server(void)
{
  shutdown(server.listener, SHUT_RDWR);
  uv_thread_join(&server.thread);
  close(server.listener);
  SSL_CTX_free(server.context);
}

struct result {
  bool is_done;
  enum nm_client_end end;
  char reason[512];
};

static void on_done(void *data, const struct nm_client_answer *answer)
{
  struct result *result = data;
  result->is_done = true;
  result->end = answer->end;
  snprintf(result->reason, sizeof result->reason, "%s", answer->reason);
  uv_stop(&loop);
}

static void on_closed(void *data)
{
  *(bool *)data = true;
  uv_stop(&loop);
}

static struct nm_client *open_client(const char *trusted)
{
  static const struct nm_text allow = { "127.0.0.1", 9 };
  struct nm_client_options options = { .allow = &allow, .allow_count = 1, .ca_file = trusted };
  struct nm_client *client;
  assert_int_equal(uv_loop_init(&loop), 0);
  assert_int_equal(nm_client_open(&client, &loop, &options, &err), NM_OK);
  return client;
}

static void close_client(struct nm_client *client)
{
  bool is_closed = false;
  nm_client_close(client, on_closed, &is_closed);
  peer_run_until(&loop, &is_closed);
  peer_run_out(&loop);
  assert_int_equal(uv_loop_close(&loop), 0);
}

static struct result call_by(struct nm_client *client)
{
  struct result result = { .is_done = false };
  char url[64];
  snprintf(url, sizeof url, "https://127.0.0.1:%d/", server.port);
  struct nm_client_call wanted = { .method = "POST",
                                   .url = nm_text_from(url),
                                   .body = NM_TEXT("secret"),
                                   .done = on_done,
                                   .data = &result };
  assert_int_equal(nm_client_start(client, &wanted, &err), NM_OK);
  peer_run_until(&loop, &result.is_done);
  return result;
}

static struct result call(const char *trusted)
{
  struct nm_client *client = open_client(trusted);
  struct result result = call_by(client);
  close_client(client);
  return result;
}

static void a_certificate_that_is_trusted_and_named_is_taken(void **state)
{
  (void)state;
  open_server("IP:127.0.0.1");
  struct result result = call(ca_file);
  close_server();
  if (result.end != NM_CLIENT_ANSWERED) fail_msg("%s", result.reason);
  assert_int_equal(server.answered, 1);
}

static void a_certificate_that_nobody_vouches_for_is_unreachable(void **state)
{
  (void)state;
  open_server("IP:127.0.0.1");
  struct result result = call(NULL);
  close_server();
  assert_int_equal(result.end, NM_CLIENT_UNREACHABLE);
  assert_non_null(strstr(result.reason, "certificate"));
  assert_int_equal(server.answered, 0); /* the body never left */
}

static void a_certificate_of_another_name_is_unreachable(void **state)
{
  (void)state;
  open_server("DNS:elsewhere.example.com");
  struct result result = call(ca_file);
  close_server();
  assert_int_equal(result.end, NM_CLIENT_UNREACHABLE);
  assert_int_equal(server.answered, 0);
}

static void a_missing_file_of_certificates_is_unreachable(void **state)
{
  (void)state;
  open_server("IP:127.0.0.1");
  struct result result = call("/nowhere/ca.pem");
  close_server();
  assert_int_equal(result.end, NM_CLIENT_UNREACHABLE);
  assert_int_equal(server.answered, 0);
}

static void a_server_that_cannot_be_trusted_is_unreachable(void **state)
{
  (void)state;
  static const struct {
    unsigned wrongs;
    const char *word;
  } cases[] = { { EXPIRED, "expired" },
                { NOT_YET, "not yet valid" },
                { OLD_TLS, "no connection" },
                { WEAK_KEY, "key too weak" } };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    open_wrong_server("IP:127.0.0.1", cases[i].wrongs);
    struct result result = call(ca_file);
    close_server();
    if (result.end != NM_CLIENT_UNREACHABLE || !strstr(result.reason, cases[i].word))
      fail_msg("case %zu: end %d, %s", i, (int)result.end, result.reason);
    assert_int_equal(server.asked, 0); /* the body never left */
  }
}

static void an_answer_that_is_broken_off_is_unknown(void **state)
{
  (void)state;
  static const unsigned cases[] = { ANSWERS_NOT, CUTS, SHAKES_OFF };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    open_wrong_server("IP:127.0.0.1", cases[i]);
    struct result result = call(ca_file);
    close_server();
    if (result.end != NM_CLIENT_UNKNOWN)
      fail_msg("case %zu: end %d, %s", i, (int)result.end, result.reason);
    assert_int_equal(server.asked, cases[i] == SHAKES_OFF ? 0 : 1);
  }
}

/* Reading the system's takes tens of milliseconds, in which the loop stands still. */
static void trusted_certificates_are_read_once_and_not_for_every_connection(void **state)
{
  (void)state;
  open_server("IP:127.0.0.1");
  struct nm_client *client = open_client(ca_file);
  for (int i = 0; i < 3; i++) {
    struct result result = call_by(client); /* the server closes each connection */
    if (result.end != NM_CLIENT_ANSWERED) fail_msg("call %d: %s", i, result.reason);
    FILE *file = fopen(ca_file, "w");
    assert_non_null(file);
    fclose(file);
  }
  close_client(client);
  close_server();
  assert_int_equal(server.answered, 3);
}

/* The last of our handshake and the request leave while curl waits for nothing else than before. */
static void neither_handshake_nor_request_is_kept_back(void **state)
{
  (void)state;
  struct unsent unsent;
  open_server("IP:127.0.0.1");
  struct nm_client *client = open_client(ca_file);
  unsent_open(&unsent, &loop, server.port);
  for (int i = 0; i < 3; i++) assert_int_equal(call_by(client).end, NM_CLIENT_ANSWERED);
  unsent_close(&unsent);
  close_client(client);
  close_server();
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_certificate_that_is_trusted_and_named_is_taken),
    cmocka_unit_test(a_certificate_that_nobody_vouches_for_is_unreachable),
    cmocka_unit_test(a_certificate_of_another_name_is_unreachable),
    cmocka_unit_test(a_missing_file_of_certificates_is_unreachable),
    cmocka_unit_test(a_server_that_cannot_be_trusted_is_unreachable),
    cmocka_unit_test(an_answer_that_is_broken_off_is_unknown),
    cmocka_unit_test(neither_handshake_nor_request_is_kept_back),
    cmocka_unit_test(trusted_certificates_are_read_once_and_not_for_every_connection),
  };
  int fd = mkstemp(ca_file);
  if (fd < 0) return 1;
  close(fd);
  int failed = cmocka_run_group_tests_name("client over TLS", tests, NULL, NULL);
  unlink(ca_file);
  return failed;
}
