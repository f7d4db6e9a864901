/* links: client */
/* Hostile URLs, hostile answers of resolvers, redirects and proxies: nothing of it makes us connect
 * to an address that the guard refuses.  getaddrinfo() and connect() are replaced here, so that
 * names stand for what the test wants and every attempt to connect is counted, also one that would
 * have failed. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

#include "client/client.h"
#include "net/guard.h"

static uv_loop_t loop;
static struct peer peer;
static struct nm_error err;
static struct nm_client *client;

/* ---- the replaced calls ---------------------------------------------------------------------- */

static _Atomic int connects, lookups;

/* What rebind.test stands for, by the number of the lookup; the last one for all others. */
static const char *const *rebinding;
static int rebinding_count;

/* By its symbol: the C library's declaration has a type of its own for the address. */
int counted_connect(int fd, const struct sockaddr *address, socklen_t len) __asm__("connect");

int counted_connect(int fd, const struct sockaddr *address, socklen_t len)
{
  static int (*real)(int, const struct sockaddr *, socklen_t);
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, "connect");
  if (address->sa_family == AF_INET || address->sa_family == AF_INET6) connects++;
  return real(fd, address, len);
}

static const char *famous(const char *name)
{
  static const char *const names[][2] = {
    { "localhost", "127.0.0.1" },
    { "localhost.localdomain", "127.0.0.1" },
    { "ip6-localhost", "::1" },
    { "ip6-loopback", "::1" },
    { "localtest.me", "127.0.0.1" },
    { "127.0.0.1.nip.io", "127.0.0.1" },
    { "metadata.google.internal", "169.254.169.254" },
    { "metadata", "169.254.169.254" },
    { "kubernetes.default.svc", "10.96.0.1" },
    { "kubernetes.default.svc.cluster.local", "10.96.0.1" },
    { "host.docker.internal", "172.17.0.1" },
    { "xn--9q8h.example", "127.0.0.1" },
    { "two-private.test", "10.0.0.1 fd00::1" },
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcasecmp(names[i][0], name) == 0) return names[i][1];
  return NULL;
}

/* "10-0-0-1.v4.test" and "xfd00--1x.v6.test". */
static bool spelt(const char *name, char *out, size_t size)
{
  const char *v4 = strstr(name, ".v4.test"), *v6 = strstr(name, ".v6.test");
  if (!v4 && !v6) return false;
  snprintf(out, size, "%.*s", v4 ? (int)(v4 - name) : (int)(v6 - name) - 2, v4 ? name : name + 1);
  for (char *c = out; *c; c++)
    if (*c == '-') *c = v4 ? '.' : ':';
  return true;
}

/* Addresses with blanks between them as one list, each made by the real function. */
static int resolve(const char *addresses, const char *service, const struct addrinfo *hints,
                   struct addrinfo **out)
{
  static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  struct addrinfo *first = NULL, **last = &first, numeric = *hints;
  char list[256], *rest = list, *one;
  int rc = EAI_NONAME;
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  snprintf(list, sizeof list, "%s", addresses);
  numeric.ai_family = AF_UNSPEC;
  numeric.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  while ((one = strsep(&rest, " "))) {
    rc = real(one, service, &numeric, last);
    if (rc) fail_msg("%s: %s", one, gai_strerror(rc));
    while (*last) last = &(*last)->ai_next;
  }
  *out = first;
  return rc;
}

/* Runs on a thread of libcurl's. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
  char address[64];
  int number = lookups++;
  const char *known = famous(name);
  if (strcmp(name, "rebind.test") == 0)
    known = rebinding[number < rebinding_count ? number : rebinding_count - 1];
  else if (!known && spelt(name, address, sizeof address))
    known = address;
  return known ? resolve(known, service, hints, out) : EAI_NONAME;
}

/* ---- setting up ------------------------------------------------------------------------------ */

struct result {
  bool is_done;
  enum nm_client_end end;
  int status;
  char reason[512];
};

static void on_done(void *data, const struct nm_client_answer *answer)
{
  struct result *result = data;
  result->is_done = true;
  result->end = answer->end;
  result->status = answer->status;
  snprintf(result->reason, sizeof result->reason, "%s", answer->reason);
  uv_stop(&loop);
}

static void on_closed(void *data)
{
  *(bool *)data = true;
  uv_stop(&loop);
}

static void open_client(const char *allow)
{
  const struct nm_text range = nm_text_from(allow);
  struct nm_client_options options = { .allow = &range, .allow_count = allow ? 1 : 0 };
  assert_int_equal(nm_client_open(&client, &loop, &options, &err), NM_OK);
}

static void close_client(void)
{
  bool is_closed = false;
  nm_client_close(client, on_closed, &is_closed);
  peer_run_until(&loop, &is_closed);
  client = NULL;
}

static int begin(void **state)
{
  (void)state;
  connects = lookups = 0;
  memset(&peer, 0, sizeof peer);
  return uv_loop_init(&loop);
}

static int end(void **state)
{
  (void)state;
  if (client) close_client();
  if (peer.port) peer_close(&peer);
  peer_run_out(&loop);
  peer_free(&peer);
  return uv_loop_close(&loop);
}

/* Fails where the call could not even start. */
static struct result call(struct nm_text url)
{
  struct result result = { .is_done = false };
  struct nm_client_call wanted = {
    .method = "POST", .url = url, .body = NM_TEXT("secret"), .done = on_done, .data = &result
  };
  assert_int_equal(nm_client_start(client, &wanted, &err), NM_OK);
  peer_run_until(&loop, &result.is_done);
  return result;
}

static struct result call_name(const char *name, int port)
{
  char url[128];
  snprintf(url, sizeof url, "http://%s:%d/", name, port);
  return call(nm_text_from(url));
}

/* A bound socket; -1 where the port is somebody else's, or the system has no v6. */
static int open_bound(const char *address, int *port)
{
  struct sockaddr_storage at = { 0 };
  struct sockaddr_in *v4 = (struct sockaddr_in *)&at;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&at;
  socklen_t len = sizeof at;
  bool is_v6 = strchr(address, ':') != NULL;
  int family = is_v6 ? AF_INET6 : AF_INET, off = 0;
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 && is_v6) return -1;
  at.ss_family = (sa_family_t)family;
  if (is_v6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    assert_int_equal(inet_pton(AF_INET6, address, &v6->sin6_addr), 1);
    v6->sin6_port = htons((unsigned short)*port);
  } else {
    assert_int_equal(inet_pton(AF_INET, address, &v4->sin_addr), 1);
    v4->sin_port = htons((unsigned short)*port);
  }
  if (bind(fd, (struct sockaddr *)&at, is_v6 ? sizeof *v6 : sizeof *v4)) {
    assert_int_equal(errno, EADDRINUSE);
    close(fd);
    return -1;
  }
  assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
  *port = ntohs(is_v6 ? v6->sin6_port : v4->sin_port);
  return fd;
}

/* A socket that listens and is looked at later: the system completes connections without us. */
static int open_canary(const char *address, int *port)
{
  int fd = open_bound(address, port);
  if (fd >= 0) assert_int_equal(listen(fd, 16), 0);
  return fd;
}

static bool was_touched(int canary)
{
  int fd = accept(canary, NULL, NULL);
  if (fd >= 0) close(fd);
  else assert_true(errno == EAGAIN || errno == EWOULDBLOCK);
  return fd >= 0;
}

/* ---- the corpus ------------------------------------------------------------------------------ */

enum { URL_MAX_BYTES = 8192 };

/* A line of the fixture as the bytes of a URL. */
static size_t expand(const char *line, int port, char *out)
{
  size_t len = 0;
  for (const char *c = line; *c;) {
    char token[8] = "";
    int count = 0, used = 0;
    assert_true(len + 1300 < URL_MAX_BYTES);
    if (strncmp(c, "{port}", 6) == 0) {
      len += (size_t)snprintf(out + len, 8, "%d", port);
      c += 6;
    } else if (sscanf(c, "{%7[^*{}]*%d}%n", token, &count, &used) == 2 && used > 0) {
      assert_true(len + strlen(token) * (size_t)count < URL_MAX_BYTES);
      for (int i = 0; i < count; i++) len += (size_t)snprintf(out + len, 8, "%s", token);
      c += used;
    } else if (*c == '\\') {
      static const char letters[] = "tnr\\", bytes[] = "\t\n\r\\";
      unsigned byte;
      if (c[1] == 'x' && sscanf(c + 2, "%2x", &byte) == 1) {
        out[len++] = (char)byte;
        c += 4;
      } else {
        const char *at = strchr(letters, c[1]);
        assert_true(c[1] == '0' || at);
        out[len++] = c[1] == '0' ? '\0' : bytes[at - letters];
        c += 2;
      }
    } else {
      out[len++] = *c++;
    }
  }
  return len;
}

/* What the URL check alone must say, given how the fixture says that a URL is refused. */
static void check_before_calling(const char *how, struct nm_text url, const char *line)
{
  int syntax = nm_guard_check_url(NULL, url, &err);
  int full = nm_guard_check_url(&nm_guard_public, url, &err);
  bool is_unread = strcmp(how, "unread") == 0, is_name = strcmp(how, "name") == 0;
  if (syntax != (is_unread ? NM_EINVAL : NM_OK)) fail_msg("%s: read as %d", line, syntax);
  if (full != (is_unread ? NM_EINVAL : is_name ? NM_OK : NM_EDENIED))
    fail_msg("%s: judged as %d", line, full);
  if (!is_name) assert_true(strlen(err.text) > 0);
}

static const char *reason_of(const char *how)
{
  if (strcmp(how, "unread") == 0) return "the URL";
  return strcmp(how, "port") == 0 ? "another protocol" : "is private or special";
}

static void no_hostile_url_reaches_anything(void **state)
{
  (void)state;
  char path[512], line[1024], url[URL_MAX_BYTES];
  int seen = 0, port = 0, canary;
  const char *top = getenv("NETMOVE_SOURCE");
  snprintf(path, sizeof path, "%s/spec/fixtures/urls.txt", top ? top : ".");
  FILE *file = fopen(path, "r");
  if (!file) fail_msg("%s: %s", path, strerror(errno));
  canary = open_canary("::", &port);
  if (canary < 0) canary = open_canary("0.0.0.0", &port);
  open_client(NULL);

  while (fgets(line, sizeof line, file)) {
    char how[16];
    line[strcspn(line, "\n")] = 0;
    if (line[0] == '#' || line[0] == 0) continue;
    assert_int_equal(sscanf(line, "%15s", how), 1);
    assert_true(strlen(line) > 8);
    size_t len = expand(line + 8, port, url);
    char *exact = malloc(len + 1); /* so that ASan sees a byte too many */
    assert_non_null(exact);
    memcpy(exact, url, len);
    struct nm_text text = { realloc(exact, len > 0 ? len : 1), len };
    check_before_calling(how, text, line);
    struct result result = call(text);
    free((void *)(uintptr_t)text.ptr);
    if (result.end != NM_CLIENT_REFUSED)
      fail_msg("%s: ended %d (%s)", line, (int)result.end, result.reason);
    if (!strstr(result.reason, reason_of(how))) fail_msg("%s: %s", line, result.reason);
    if (strstr(result.reason, "pw")) fail_msg("%s: its password is told", line);
    if (connects != 0 || was_touched(canary)) fail_msg("%s: connected", line);
    seen++;
  }
  fclose(file);
  assert_true(seen >= 300);
  close_client();

  open_client("127.0.0.0/8"); /* and the canary does see who comes */
  char loopback[64];
  snprintf(loopback, sizeof loopback, "http://127.0.0.1:%d/", port);
  struct result result = { .is_done = false };
  struct nm_client_call wanted = { .method = "GET",
                                   .url = nm_text_from(loopback),
                                   .timeout_ms = 50,
                                   .done = on_done,
                                   .data = &result };
  assert_int_equal(nm_client_start(client, &wanted, &err), NM_OK);
  peer_run_until(&loop, &result.is_done);
  assert_int_equal(connects, 1);
  assert_true(was_touched(canary));
  close(canary);
}

static void a_url_above_its_limit_is_not_started(void **state)
{
  (void)state;
  static char url[20000] = "http://127.0.0.1/";
  memset(url + 17, 'a', sizeof url - 18);
  struct nm_client_call wanted = { .method = "GET", .url = nm_text_from(url), .done = on_done };
  open_client("127.0.0.0/8");
  assert_int_equal(nm_client_start(client, &wanted, &err), NM_ELIMIT);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* 127.0.0.2 stands for the public internet here: the guard allows it and nothing else. */
#define PUBLIC_STAND_IN "127.0.0.2"

/* A canary on 127.0.0.1, and the same port of the other address for us alone. */
static int open_canary_beside(int *port, int *beside)
{
  int canary = -1;
  *beside = -1;
  while (*beside < 0) { /* until there is a port that is free on both */
    if (canary >= 0) close(canary);
    *port = 0;
    canary = open_canary("127.0.0.1", port);
    *beside = open_bound(PUBLIC_STAND_IN, port);
  }
  return canary;
}

static int open_peer_and_canary(const struct peer_act *act)
{
  int beside, canary = open_canary_beside(&peer.port, &beside);
  peer.loop = &loop;
  peer.acts = act;
  peer.act_count = 1;
  uv_tcp_init(&loop, &peer.server);
  peer.server.data = &peer;
  assert_int_equal(uv_tcp_open(&peer.server, beside), 0);
  assert_int_equal(uv_listen((uv_stream_t *)&peer.server, 8, peer_on_connection), 0);
  return canary;
}

static const struct peer_act ok_and_close = {
  PEER_CLOSE, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
};

/* The name is looked up once a call and the address that was judged is the one that is connected
 * to: an answer that changes between a check and a use finds nothing between them. */
static void a_name_that_is_rebound_gains_nothing(void **state)
{
  (void)state;
  static const char *const answers[] = { PUBLIC_STAND_IN, "127.0.0.1" };
  int canary = open_peer_and_canary(&ok_and_close), port = peer.port;
  rebinding = answers;
  rebinding_count = 2;

  open_client(PUBLIC_STAND_IN);
  struct result result = call_name("rebind.test", port);
  if (result.end != NM_CLIENT_ANSWERED) fail_msg("%s", result.reason);
  assert_int_equal(lookups, 1);
  assert_int_equal(connects, 1);
  close_client();

  open_client(PUBLIC_STAND_IN); /* looks the name up again */
  result = call_name("rebind.test", port);
  assert_int_equal(result.end, NM_CLIENT_REFUSED);
  assert_non_null(strstr(result.reason, "127.0.0.1"));
  assert_int_equal(lookups, 2);
  assert_int_equal(connects, 1);
  assert_int_equal(peer.request_count, 1);
  assert_false(was_touched(canary));
  close(canary);
}

static void of_several_addresses_only_those_that_are_allowed_are_tried(void **state)
{
  (void)state;
  static const char *const answers[] = { "127.0.0.1 ::1 169.254.169.254 " PUBLIC_STAND_IN
                                         " 10.0.0.1" };
  int canary = open_peer_and_canary(&ok_and_close), port = peer.port;
  rebinding = answers;
  rebinding_count = 1;
  open_client(PUBLIC_STAND_IN);
  struct result result = call_name("rebind.test", port);
  if (result.end != NM_CLIENT_ANSWERED) fail_msg("%s", result.reason);
  assert_int_equal(connects, 1);
  assert_false(was_touched(canary));
  close(canary);
}

static void an_allowed_address_that_is_down_does_not_lead_to_a_private_one(void **state)
{
  (void)state;
  static const char *const answers[] = { PUBLIC_STAND_IN " 127.0.0.1 ::1" };
  int port, beside, canary = open_canary_beside(&port, &beside); /* on which nobody listens */
  rebinding = answers;
  rebinding_count = 1;
  open_client(PUBLIC_STAND_IN);
  assert_int_equal(call_name("rebind.test", port).end, NM_CLIENT_UNREACHABLE);
  assert_int_equal(connects, 1);
  assert_false(was_touched(canary));
  close(beside);
  close(canary);
}

/* ---- what a peer or the environment may want us to do ---------------------------------------- */

static void no_answer_leads_anywhere_else(void **state)
{
  (void)state;
  static const struct {
    int status;
    const char *header;
  } cases[] = {
    { 301, "Location: http://127.0.0.1:%d/" },
    { 302, "Location: http://127.0.0.1:%d/" },
    { 302, "Location: http://localhost:%d/" },
    { 302, "Location: //127.0.0.1:%d/" },
    { 302, "Location: http://2130706433:%d/" },
    { 302, "Location: gopher://127.0.0.1:%d/" },
    { 302, "Location: file:///etc/passwd?%d" },
    { 303, "Location: http://127.0.0.1:%d/" },
    { 305, "Location: http://127.0.0.1:%d/" },
    { 307, "Location: http://127.0.0.1:%d/" },
    { 308, "Location: http://127.0.0.1:%d/" },
    { 300, "Location: http://127.0.0.1:%d/" },
    { 201, "Location: http://127.0.0.1:%d/" },
    { 200, "Refresh: 0; url=http://127.0.0.1:%d/" },
    { 200, "Content-Location: http://127.0.0.1:%d/" },
    { 200, "Alt-Svc: http/1.1=\"127.0.0.1:%d\"; ma=99999" },
    { 200, "Link: <http://127.0.0.1:%d/>; rel=preload" },
    { 401, "WWW-Authenticate: Negotiate realm=\"http://127.0.0.1:%d/\"" },
    { 407, "Proxy-Authenticate: Basic realm=\"http://127.0.0.1:%d/\"" },
    { 421, "Location: http://127.0.0.1:%d/" },
  };
  static char answer[512];
  static const struct peer_act act = { PEER_CLOSE, answer };
  int canary = open_peer_and_canary(&act), port = peer.port;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char header[256];
    /* The formats are the constants above. */
    char *at = strstr(cases[i].header, "%d");
    snprintf(header, sizeof header, "%.*s%d%s", (int)(at - cases[i].header), cases[i].header, port,
             at + 2);
    snprintf(answer, sizeof answer,
             "HTTP/1.1 %d X\r\n%s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
             cases[i].status, header);
    open_client(PUBLIC_STAND_IN);
    for (int twice = 0; twice < 2; twice++) {
      struct result result = call_name(PUBLIC_STAND_IN, peer.port);
      if (result.end != NM_CLIENT_ANSWERED || result.status != cases[i].status)
        fail_msg("%d %s: %s", cases[i].status, cases[i].header, result.reason);
    }
    close_client();
    if (was_touched(canary)) fail_msg("%d %s was followed", cases[i].status, cases[i].header);
  }
  assert_int_equal(peer.request_count, 2 * sizeof cases / sizeof *cases);
  assert_int_equal(connects, (int)peer.request_count);
  close(canary);
}

static void no_proxy_of_the_environment_is_asked(void **state)
{
  (void)state;
  static const char *const names[] = { "http_proxy", "https_proxy", "HTTP_PROXY",  "HTTPS_PROXY",
                                       "all_proxy",  "ALL_PROXY",   "socks_proxy", "ftp_proxy" };
  static const char *const kinds[] = { "http", "https", "socks4", "socks4a", "socks5", "socks5h" };
  int canary = open_peer_and_canary(&ok_and_close), port = peer.port;
  setenv("no_proxy", "", 1);
  for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
    char proxy[64], url[64];
    snprintf(proxy, sizeof proxy, "%s://127.0.0.1:%d", kinds[kind], port);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) setenv(names[i], proxy, 1);
    open_client(PUBLIC_STAND_IN);
    struct result result = call_name(PUBLIC_STAND_IN, peer.port);
    if (result.end != NM_CLIENT_ANSWERED) fail_msg("%s: %s", proxy, result.reason);
    snprintf(url, sizeof url, "https://%s:%d/", PUBLIC_STAND_IN, 1); /* nobody there */
    assert_int_equal(call(nm_text_from(url)).end, NM_CLIENT_UNREACHABLE);
    close_client();
    if (was_touched(canary)) fail_msg("%s was asked", proxy);
  }
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
  unsetenv("no_proxy");
  close(canary);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
  const struct CMUnitTest tests[] = {
    TEST(no_hostile_url_reaches_anything),
    TEST(a_url_above_its_limit_is_not_started),
    TEST(a_name_that_is_rebound_gains_nothing),
    TEST(of_several_addresses_only_those_that_are_allowed_are_tried),
    TEST(an_allowed_address_that_is_down_does_not_lead_to_a_private_one),
    TEST(no_answer_leads_anywhere_else),
    TEST(no_proxy_of_the_environment_is_asked),
  };
  return cmocka_run_group_tests_name("hostile URLs", tests, NULL, NULL);
}
