/* links: client */
/* Receivers from hell: what peers, resolvers and networks can do to a call, each with the end that
 * the client's README promises for it, within its time and in bounded memory.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "client_hell.h"

enum { TIMEOUT_MS = 400, AMPLE_MS = 10 * 1000, SLACK_MS = 5000, RESPONSE_MAX_BYTES = 256 * 1024 };
enum { WRITTEN_MAX_BYTES = 24 * 1024 * 1024, GROWTH_MAX_KIB = 96 * 1024 };

static struct nm_client *client;
static struct nm_error err;

/* ---- the table ------------------------------------------------------------------------------- */

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define TWO "Content-Length: 2\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define LOST "closed before the answer came"
#define LATE "no answer within 400 ms"
#define LARGE_WORD "larger than"

static const struct behaviour behaviours[] = {
  /* connections */
  { "closes at once", AT_ONCE | CLOSE, NULL, NULL, UNKNOWN | UNREACHABLE, 0, NULL },
  { "resets at once", AT_ONCE | RESET, NULL, NULL, UNKNOWN | UNREACHABLE, 0, NULL },
  { "closes after the request", CLOSE, NULL, NULL, UNKNOWN, 0, LOST },
  { "resets after the request", RESET, NULL, NULL, UNKNOWN, 0, LOST },
  { "half-closes at once", AT_ONCE | SHUT, NULL, NULL, UNKNOWN, 0, LOST },
  { "half-closes after the request", SHUT, NULL, NULL, UNKNOWN, 0, LOST },
  { "says nothing", SLOW_CALL, NULL, NULL, UNKNOWN, 0, LATE },
  { "never reads", DEAF | LARGE | SLOW_CALL, NULL, NULL, UNKNOWN, 0, LATE },
  { "resets in the head", RESET, OK_HEAD "Content-Le", NULL, UNKNOWN, 0, NULL },
  { "resets in the body", RESET | RACY, OK_HEAD "Content-Length: 100\r\n\r\nabc", NULL, UNKNOWN,
    200, NULL },
  { "closes after a status line", CLOSE, OK_HEAD, NULL, UNKNOWN, 0, "cut off" },
  { "half-closes in the body", SHUT, OK_HEAD "Content-Length: 100\r\n\r\nabc", NULL, UNKNOWN, 200,
    "cut off" },

  /* slowness */
  { "drips a head for ever", DRIP | SLOW_CALL, OK_HEAD, "X-Y: z\r\n", UNKNOWN, 0, LATE },
  { "drips a body for ever", DRIP | SLOW_CALL, OK_HEAD "Content-Length: 99999\r\n\r\n", "x",
    UNKNOWN, 200, LATE },
  { "drips a whole answer", DRIP, OK_HEAD TWO "\r\nok", NULL, ANSWERED, 200, "ok" },
  { "drips blank lines", DRIP, NULL, "\r\n", UNKNOWN, 0, "HTTP/0.9 when not allowed" },
  { "keeps the last byte", SLOW_CALL, OK_HEAD "Content-Length: 3\r\n\r\nok", NULL, UNKNOWN, 200,
    LATE },

  /* interim answers */
  { "continues for ever", 0, NULL, "HTTP/1.1 100 Continue\r\n\r\n", UNKNOWN, 0,
    "head is too large" },
  { "drips 100 for ever", DRIP | SLOW_CALL, NULL, "HTTP/1.1 100 Continue\r\n\r\n", UNKNOWN, 0,
    LATE },
  { "sends early hints for ever", 0, NULL, "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", UNKNOWN,
    0, "head is too large" },
  { "is processing and never done", SLOW_CALL, "HTTP/1.1 102 Processing\r\n\r\n", NULL, UNKNOWN, 0,
    LATE },
  { "continues unasked, then answers", 0, "HTTP/1.1 100 Continue\r\n\r\n" OK_HEAD TWO "\r\nok",
    NULL, ANSWERED, 200, "ok" },
  { "switches protocols unasked", SLOW_CALL,
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", NULL,
    UNKNOWN, 0, LATE },

  /* redirects */
  { "redirects to itself", 0, "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    NULL, ANSWERED, 302, "" },
  { "redirects a POST", 0, "HTTP/1.1 307 Again\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", NULL,
    ANSWERED, 307, "" },

  /* lengths */
  { "says less than it promised", CLOSE, OK_HEAD "Content-Length: 10\r\n\r\nok", NULL, UNKNOWN, 200,
    "cut off" },
  { "says more than it promised", 0, OK_HEAD TWO "\r\nokEXTRA", NULL, ANSWERED, 200, "ok" },
  { "a negative length", 0, OK_HEAD "Content-Length: -1\r\n\r\nok", NULL, UNKNOWN, 0,
    "Content-Length" },
  { "a length of words", 0, OK_HEAD "Content-Length: two\r\n\r\nok", NULL, UNKNOWN, 0,
    "Content-Length" },
  { "a length beyond numbers", 0, OK_HEAD "Content-Length: 99999999999999999999\r\n\r\n", "x",
    UNKNOWN, 200, LARGE_WORD },
  { "a length of 10 GB", 0, OK_HEAD "Content-Length: 10000000000\r\n\r\n", "x", UNKNOWN, 200,
    LARGE_WORD },
  { "no length and no end", 0, OK_HEAD "\r\n", "x", UNKNOWN, 200, LARGE_WORD },
  { "no length and a close", CLOSE, OK_HEAD "\r\nok", NULL, ANSWERED, 200, "ok" },
  { "a body on 204", 0, "HTTP/1.1 204 No Content\r\n\r\nbody", NULL, ANSWERED, 204, "" },
  { "a body on 304", 0, "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nbody", NULL,
    ANSWERED, 304, "" },

  /* chunks */
  { "a chunk of no number", 0, OK_HEAD CHUNKED "\r\nxyz\r\nok\r\n0\r\n\r\n", NULL, UNKNOWN, 200,
    "chunked-encoding" },
  { "a chunk beyond numbers", 0, OK_HEAD CHUNKED "\r\nfffffffffffffffff\r\nok", NULL, UNKNOWN, 200,
    "chunked-encoding" },
  { "a chunk of all memory", 0, OK_HEAD CHUNKED "\r\n7fffffffffffffff\r\n", "x", UNKNOWN, 200,
    LARGE_WORD },
  { "a chunk without its line end", 0, OK_HEAD CHUNKED "\r\n2\r\nokXX0\r\n\r\n", NULL, UNKNOWN, 200,
    "chunked-encoding" },
  { "chunks for ever", 0, OK_HEAD CHUNKED "\r\n", "4\r\nmore\r\n", UNKNOWN, 200, LARGE_WORD },
  { "no last chunk", CLOSE, OK_HEAD CHUNKED "\r\n2\r\nok\r\n", NULL, UNKNOWN, 200, "cut off" },
  { "an endless chunk extension", SLOW_CALL | FLOOD, OK_HEAD CHUNKED "\r\n2;", "x=y;", UNKNOWN, 200,
    LATE },
  { "endless trailers", 0, OK_HEAD CHUNKED "\r\n2\r\nok\r\n0\r\n", "X-Trailer: y\r\n", UNKNOWN, 200,
    "head is too large" },
  { "an endless trailer", 0, OK_HEAD CHUNKED "\r\n2\r\nok\r\n0\r\nX: ", "y", UNKNOWN, 200, NULL },
  { "chunks and a length", 0, OK_HEAD TWO CHUNKED "\r\n3\r\nabc\r\n0\r\n\r\n", NULL, ANSWERED, 200,
    "abc" },

  /* heads */
  { "headers for ever", 0, OK_HEAD, "X-Header: value\r\n", UNKNOWN, 0, "head is too large" },
  { "one header for ever", 0, OK_HEAD "X: ", "yyyyyyyy", UNKNOWN, 0,
    "line of the answer's head is too long" },
  { "a status line for ever", 0, "HTTP/1.1 200 ", "OK", UNKNOWN, 0,
    "line of the answer's head is too long" },
  { "a header without a colon", CLOSE, OK_HEAD "nonsense\r\n" TWO "\r\nok", NULL,
    ANSWERED | UNKNOWN, 200, NULL },
  { "bare line feeds", 0, "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", NULL, ANSWERED, 200, "ok" },

  /* what is no HTTP */
  { "HTTP/0.9", CLOSE, "<html>hello</html>", NULL, UNKNOWN, 0, "HTTP/0.9 when not allowed" },
  { "a mail server", AT_ONCE | CLOSE, "220 mail.example.com ESMTP\r\n", NULL, UNKNOWN, 0, NULL },
  { "an SSH server", AT_ONCE | CLOSE, "SSH-2.0-OpenSSH_9.2\r\n", NULL, UNKNOWN, 0, NULL },
  { "garbage", CLOSE, "\x01\xff\xfe\x80\x7f garbage \x1b[2J\r\n\r\n", NULL, UNKNOWN, 0,
    "HTTP/0.9 when not allowed" },
  { "garbage for ever", 0, NULL, "\x01\xff\xfe\x80", UNKNOWN, 0, "HTTP/0.9 when not allowed" },
  { "a TLS alert", CLOSE, "\x15\x03\x03\x01\x02\x02\x28", NULL, UNKNOWN, 0,
    "HTTP/0.9 when not allowed" },
  { "a radio station", CLOSE, "ICY 200 OK\r\n\r\nmusic", NULL, UNKNOWN, 0,
    "HTTP/0.9 when not allowed" },
  { "a status of one digit", CLOSE, "HTTP/1.1 2 OK\r\n" TWO "\r\nok", NULL, UNKNOWN, 0,
    "response code" },
  { "a status of four digits", CLOSE, "HTTP/1.1 2000 OK\r\n" TWO "\r\nok", NULL, UNKNOWN, 0,
    "response code" },
  { "a status of 000", CLOSE, "HTTP/1.1 000 OK\r\n" TWO "\r\nok", NULL, UNKNOWN, 0,
    "response code" },
  { "HTTP/9.9", CLOSE, "HTTP/9.9 200 OK\r\n" TWO "\r\nok", NULL, UNKNOWN, 0, "HTTP version" },
  { "HTTP/2 unasked", CLOSE, "HTTP/2 200 OK\r\n" TWO "\r\nok", NULL, ANSWERED, 200, "ok" },

  /* encodings that nobody asked for */
  { "claims gzip", 0, OK_HEAD TWO "Content-Encoding: gzip\r\n\r\nok", NULL, ANSWERED, 200, "ok" },
  { "claims br twice", 0, OK_HEAD TWO "Content-Encoding: br, br\r\n\r\nok", NULL, ANSWERED, 200,
    "ok" },
  { "a transfer in gzip that is none", CLOSE, OK_HEAD "Transfer-Encoding: gzip\r\n\r\nnone", NULL,
    UNKNOWN, 200, NULL },
  { "a transfer in what nobody knows", CLOSE, OK_HEAD "Transfer-Encoding: magic\r\n\r\nok", NULL,
    UNKNOWN, 200, NULL },

  /* too early */
  { "answers before it was asked", AT_ONCE, OK_HEAD TWO "Connection: close\r\n\r\nok", NULL,
    ANSWERED | UNKNOWN, 200, NULL },
  { "refuses without reading", AT_ONCE | DEAF | LARGE | CLOSE,
    "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", NULL,
    ANSWERED | UNKNOWN, 413, NULL },
  { "asks for a user", 0,
    "HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"b\"\r\n"
    "Content-Length: 0\r\n\r\n", NULL, ANSWERED, 401, "" },
  { "sets a cookie for every host", GET, OK_HEAD TWO "Set-Cookie: a=b; Domain=com\r\n\r\nok", NULL,
    ANSWERED, 200, "ok" },

  /* TLS */
  { "plain HTTP where TLS was meant", TLS | AT_ONCE | CLOSE, "HTTP/1.1 400 Bad Request\r\n\r\n",
    NULL, UNREACHABLE, 0, "no connection: " },
  { "a handshake alert", TLS | CLOSE | AT_ONCE, "\x15\x03\x03\x01\x02\x02\x28", NULL, UNREACHABLE,
    0, "no connection: " },
  { "a handshake of silence", TLS | SLOW_CALL, NULL, NULL, UNREACHABLE, 0, "timed out" },
  { "a handshake of garbage", TLS | AT_ONCE, NULL, "\x16\x03\x03\x7f\x7f garbage", UNREACHABLE, 0,
    "no connection: " },
  { "a handshake that drips", TLS | AT_ONCE | DRIP | SLOW_CALL, "\x16\x03\x03\x3f\x01", "\x02",
    UNREACHABLE, 0, "timed out" },
  { "a handshake that is reset", TLS | AT_ONCE | RESET, NULL, NULL, UNREACHABLE, 0, NULL },
};

enum { BEHAVIOURS = sizeof behaviours / sizeof *behaviours };

/* ---- names that do not resolve --------------------------------------------------------------- */

static uv_sem_t resolver_may_go;
static _Atomic int resolvers_inside;

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
  static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  if (strcmp(name, "nobody.hell") == 0) return EAI_NONAME;
  if (strcmp(name, "servfail.hell") == 0) return EAI_AGAIN;
  if (strcmp(name, "broken.hell") == 0) return EAI_FAIL;
  if (strcmp(name, "empty.hell") == 0) return EAI_NODATA;
  if (strcmp(name, "slow.hell") == 0) {
    resolvers_inside++;
    uv_sem_wait(&resolver_may_go);
    resolvers_inside--;
    return EAI_AGAIN;
  }
  struct addrinfo numeric = *hints;
  numeric.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  if (strcmp(name, "private.hell") == 0) return real("10.0.0.1", service, &numeric, out);
  return real(name, service, hints, out);
}

/* ---- calling them ---------------------------------------------------------------------------- */

struct result {
  bool is_done;
  int times;
  struct nm_client_answer answer;
  uint64_t took_ms, began_ms;
  char body[64], reason[512];
};

static void on_done(void *data, const struct nm_client_answer *answer)
{
  struct result *result = data;
  uv_update_time(&loop);
  result->is_done = true;
  result->times++;
  result->answer = *answer;
  result->took_ms = uv_now(&loop) - result->began_ms;
  snprintf(result->body, sizeof result->body, "%.*s", NM_TEXT_ARG(answer->body));
  snprintf(result->reason, sizeof result->reason, "%s", answer->reason);
  uv_stop(&loop);
}

static char large_body[4 * 1024 * 1024];

/* Where its time is not what ends a call it has enough of it, also on a busy machine. */
static int time_of(unsigned flags)
{
  return flags & SLOW_CALL ? TIMEOUT_MS : AMPLE_MS;
}

static void start(struct result *result, const char *url, unsigned flags)
{
  struct nm_client_call call = { .method = flags & GET ? "GET" : "POST",
                                 .url = nm_text_from(url),
                                 .body = NM_TEXT("work"),
                                 .timeout_ms = time_of(flags),
                                 .response_max_bytes = RESPONSE_MAX_BYTES,
                                 .done = on_done,
                                 .data = result };
  if (flags & LARGE) call.body = (struct nm_text){ large_body, sizeof large_body };
  *result = (struct result){ .is_done = false };
  uv_update_time(&loop);
  result->began_ms = uv_now(&loop);
  assert_int_equal(nm_client_start(client, &call, &err), NM_OK);
}

static void start_devil(struct result *result, const struct devil *devil)
{
  char url[64];
  unsigned flags = devil->behaviour->flags;
  snprintf(url, sizeof url, "%s://127.0.0.1:%d/", flags & TLS ? "https" : "http", devil->port);
  start(result, url, flags);
}

static bool is_right(const struct behaviour *b, const struct result *result)
{
  const struct nm_client_answer *answer = &result->answer;
  bool is_answered = answer->end == NM_CLIENT_ANSWERED;
  if (!(b->ends & 1u << answer->end)) return false;
  if (is_answered && answer->status != b->status) return false;
  if (answer->status != 0 && answer->status != b->status) return false;
  if (b->ends == UNKNOWN && !(b->flags & RACY) && answer->status != b->status) return false;
  if (!is_answered && result->reason[0] == 0) return false;
  if (!b->word) return true;
  return is_answered ? strcmp(result->body, b->word) == 0 : strstr(result->reason, b->word) != NULL;
}

/* Fails with the story of one. */
static void check(const struct devil *devil, const struct result *result)
{
  const struct behaviour *b = devil->behaviour;
  if (!is_right(b, result))
    fail_msg("%s: end %d, status %d, body \"%s\", reason \"%s\"", b->name, (int)result->answer.end,
             result->answer.status, result->body, result->reason);
  if (result->times != 1) fail_msg("%s: ended %d times", b->name, result->times);
  if (result->took_ms > (uint64_t)time_of(b->flags) + SLACK_MS)
    fail_msg("%s: took %d ms", b->name, (int)result->took_ms);
  if (b->flags & SLOW_CALL && result->took_ms + 50 < TIMEOUT_MS)
    fail_msg("%s: cut after %d ms", b->name, (int)result->took_ms);
  if (devil->requests > 1) fail_msg("%s: asked %d times", b->name, devil->requests);
  if (devil->connections > 1) fail_msg("%s: %d connections", b->name, devil->connections);
  if (devil->written > WRITTEN_MAX_BYTES && !(b->flags & FLOOD))
    fail_msg("%s: %zu bytes were taken from it", b->name, devil->written);
}

static void open_client(void)
{
  static const struct nm_text allow = { "127.0.0.0/8", 11 };
  struct nm_client_options options = { .allow = &allow, .allow_count = 1 };
  assert_int_equal(nm_client_open(&client, &loop, &options, &err), NM_OK);
}

static int begin(void **state)
{
  (void)state;
  assert_int_equal(uv_loop_init(&loop), 0);
  open_client();
  return 0;
}

static void on_closed(void *data)
{
  *(bool *)data = true;
  uv_stop(&loop);
}

static int end(void **state)
{
  (void)state;
  bool is_closed = false;
  nm_client_close(client, on_closed, &is_closed);
  peer_run_until(&loop, &is_closed);
  close_devils();
  peer_run_out(&loop);
  return uv_loop_close(&loop);
}

static long peak_kib(void)
{
  struct rusage usage;
  assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
  return usage.ru_maxrss;
}

static bool is_sanitized(void)
{
  const char *word = getenv("NETMOVE_SANITIZE");
  return !word || word[0] != 0; /* run by hand: who knows */
}

static void each_ends_as_it_is_written_in_time_and_in_little_memory(void **state)
{
  (void)state;
  static struct devil devil;
  long before = peak_kib();
  for (int i = 0; i < BEHAVIOURS; i++) {
    struct result result;
    open_devil(&devil, &behaviours[i]);
    start_devil(&result, &devil);
    peer_run_until(&loop, &result.is_done);
    check(&devil, &result);
    end(NULL); /* every one a client of its own: nothing of one is left to the next */
    begin(NULL);
  }
  long grown = peak_kib() - before;
  if (!is_sanitized() && grown > GROWTH_MAX_KIB) fail_msg("grew by %ld KiB", grown);
}

static const struct behaviour honest = {
  "honest", 0, OK_HEAD TWO "\r\nok", NULL, ANSWERED, 200, "ok"
};

static void all_at_once_leave_an_honest_peer_alone(void **state)
{
  (void)state;
  static struct devil devils[BEHAVIOURS], angel;
  static struct result results[BEHAVIOURS];
  struct result result;
  for (int i = 0; i < BEHAVIOURS; i++) open_devil(&devils[i], &behaviours[i]);
  open_devil(&angel, &honest);
  for (int i = 0; i < BEHAVIOURS; i++) start_devil(&results[i], &devils[i]);
  for (int i = 0; i < 50; i++) {
    start_devil(&result, &angel);
    peer_run_until(&loop, &result.is_done);
    if (!is_right(&honest, &result)) fail_msg("honest call %d: %s", i, result.reason);
  }
  for (int i = 0; i < BEHAVIOURS; i++) {
    peer_run_until(&loop, &results[i].is_done);
    /* A short time may be over before its call was begun, with so much to do. */
    unsigned ends = behaviours[i].ends | (behaviours[i].flags & SLOW_CALL ? UNREACHABLE : 0);
    if (results[i].times != 1 || !(ends & 1u << results[i].answer.end))
      fail_msg("%s: end %d, %s", behaviours[i].name, (int)results[i].answer.end, results[i].reason);
    if (results[i].took_ms > AMPLE_MS + SLACK_MS)
      fail_msg("%s: took %d ms", behaviours[i].name, (int)results[i].took_ms);
  }
  assert_int_equal(angel.requests, 50);
}

/* libcurl unpacks a transfer encoding unasked: 64 MiB of zeros come as 64 KiB. */
static void a_transfer_that_unpacks_without_end_is_cut(void **state)
{
  (void)state;
  static unsigned char zeros[1024 * 1024];
  static char bytes[256 * 1024];
  static struct devil devil;
  struct result result;
  z_stream zip = { .avail_in = 0 };
  size_t head = (size_t)snprintf(bytes, sizeof bytes, OK_HEAD "Transfer-Encoding: gzip\r\n\r\n");
  assert_int_equal(deflateInit2(&zip, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
  zip.next_out = (unsigned char *)bytes + head;
  zip.avail_out = (unsigned)(sizeof bytes - head);
  for (int i = 0; i < 64; i++) {
    zip.next_in = zeros;
    zip.avail_in = sizeof zeros;
    assert_int_equal(deflate(&zip, i < 63 ? Z_NO_FLUSH : Z_FINISH), i < 63 ? Z_OK : Z_STREAM_END);
  }
  const struct behaviour bomb = { .name = "a gzip bomb", .flags = CLOSE, .bytes = bytes,
                                  .ends = UNKNOWN, .status = 200, .word = LARGE_WORD };
  open_devil(&devil, &bomb);
  devil.len = head + zip.total_out;
  deflateEnd(&zip);
  start_devil(&result, &devil);
  peer_run_until(&loop, &result.is_done);
  check(&devil, &result);
}

/* An answer that nobody asked for lies on the connection when the next call would use it. */
static void an_answer_to_nothing_is_not_taken_for_the_next_ones(void **state)
{
  (void)state;
  static const struct behaviour twice = {
    "answers twice", 0, OK_HEAD TWO "\r\nok" OK_HEAD "Content-Length: 4\r\n\r\nevil", NULL,
    ANSWERED, 200, "ok"
  };
  static struct devil devil;
  struct result result;
  open_devil(&devil, &twice);
  for (int i = 1; i <= 5; i++) {
    start_devil(&result, &devil);
    peer_run_until(&loop, &result.is_done);
    if (!is_right(&twice, &result)) fail_msg("call %d: \"%s\" %s", i, result.body, result.reason);
    assert_int_equal(devil.requests, i);
    assert_int_equal(devil.connections, i); /* the poisoned connection is never used again */
  }
}

static void names_that_do_not_resolve_are_unreachable(void **state)
{
  (void)state;
  static const char *const urls[] = { "http://nobody.hell/", "http://servfail.hell/",
                                      "http://broken.hell/", "https://empty.hell/" };
  struct result result;
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    start(&result, urls[i], 0);
    peer_run_until(&loop, &result.is_done);
    assert_int_equal(result.answer.end, NM_CLIENT_UNREACHABLE);
    assert_string_equal(result.reason, "the host's name cannot be resolved");
  }
  start(&result, "http://private.hell/", 0);
  peer_run_until(&loop, &result.is_done);
  assert_int_equal(result.answer.end, NM_CLIENT_REFUSED);
}

static void a_resolver_that_hangs_costs_the_calls_time_and_no_more(void **state)
{
  (void)state;
  struct result result;
  start(&result, "http://slow.hell/", SLOW_CALL);
  peer_run_until(&loop, &result.is_done);
  assert_int_equal(result.answer.end, NM_CLIENT_UNREACHABLE);
  assert_string_equal(result.reason, "connect timed out");
  assert_true(result.took_ms < TIMEOUT_MS + SLACK_MS);
  assert_int_equal(resolvers_inside, 1); /* still there: nobody waited for it */
  uv_sem_post(&resolver_may_go);
}

/* A listener whose backlog is full lets the system drop who knocks: a black hole. */
static void a_black_hole_is_unreachable(void **state)
{
  (void)state;
  struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  socklen_t len = sizeof at;
  int knocking[8], hole = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct result result;
  char url[64];
  assert_int_equal(bind(hole, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(listen(hole, 0), 0);
  assert_int_equal(getsockname(hole, (struct sockaddr *)&at, &len), 0);
  for (int i = 0; i < 8; i++) {
    knocking[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connect(knocking[i], (struct sockaddr *)&at, sizeof at))
      assert_int_equal(errno, EINPROGRESS);
  }
  snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(at.sin_port));
  start(&result, url, SLOW_CALL);
  peer_run_until(&loop, &result.is_done);
  assert_int_equal(result.answer.end, NM_CLIENT_UNREACHABLE);
  assert_string_equal(result.reason, "connect timed out");
  assert_true(result.took_ms < TIMEOUT_MS + SLACK_MS);
  for (int i = 0; i < 8; i++) close(knocking[i]);
  close(hole);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
  const struct CMUnitTest tests[] = {
    TEST(each_ends_as_it_is_written_in_time_and_in_little_memory),
    TEST(all_at_once_leave_an_honest_peer_alone),
    TEST(a_transfer_that_unpacks_without_end_is_cut),
    TEST(an_answer_to_nothing_is_not_taken_for_the_next_ones),
    TEST(names_that_do_not_resolve_are_unreachable),
    TEST(a_resolver_that_hangs_costs_the_calls_time_and_no_more),
    TEST(a_black_hole_is_unreachable),
  };
  uv_sem_init(&resolver_may_go, 0);
  int failed = cmocka_run_group_tests_name("receivers from hell", tests, NULL, NULL);
  uv_sem_destroy(&resolver_may_go);
  return failed;
}
