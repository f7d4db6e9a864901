/* sink.c - a provider that takes everything: reads requests, answers {} to each, counts them and
 * the people they name (an "extId", or a list of them).
 *
 *   sink PORT       prints one line of JSON when it listens (PORT 0 = any free one)
 *   GET /count      {"requests":N,"people":N,"first_ms":T,"last_ms":T}, T of the monotonic clock
 *   GET /reset      the same, and counts from 0 again
 *
 * One thread, epoll; it reads only what it needs of HTTP: the end of a head and Content-Length.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { INPUT_MAX_BYTES = 4 * 1024 * 1024, EVENTS_MAX = 256, ANSWERS_MAX_BYTES = 64 * 1024 };

struct peer {
  int fd;
  size_t len, capacity;
  char *input;
};

static int64_t requests, people, first_ms, last_ms;

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             "Content-Length: 2\r\n\r\n{}";

static int64_t now_ms(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static _Noreturn void fail(const char *what)
{
  fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
  exit(3);
}

static void drop(struct peer *peer)
{
  close(peer->fd);
  free(peer->input);
  free(peer);
}

/* Sockets block for writing; answers are short and a peer that does not read them is ours. */
static bool write_all(int fd, const char *bytes, size_t len)
{
  while (len > 0) {
    ssize_t wrote = send(fd, bytes, len, MSG_NOSIGNAL);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    bytes += wrote;
    len -= (size_t)wrote;
  }
  return true;
}

static size_t content_length(const char *head, size_t len)
{
  for (const char *line = head; line && line < head + len;) {
    if (strncasecmp(line, "content-length:", 15) == 0) return strtoul(line + 15, NULL, 10);
    line = memchr(line, '\n', (size_t)(head + len - line));
    if (line) line++;
  }
  return 0;
}

static bool answer_count(int fd, const char *path)
{
  char body[160], whole[320];
  int len = snprintf(body, sizeof body,
                     "{\"requests\":%" PRId64 ",\"people\":%" PRId64 ",\"first_ms\":%" PRId64
                     ",\"last_ms\":%" PRId64 "}",
                     requests, people, first_ms, last_ms);
  int all =
      snprintf(whole, sizeof whole,
               "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
               len, body);
  if (strncmp(path, "/reset", 6) == 0) requests = people = first_ms = last_ms = 0;
  return write_all(fd, whole, (size_t)all);
}

/* Commas count: nobody's id holds one here. */
static int64_t people_in(const char *body, size_t len)
{
  static const char key[] = "\"extId\":";
  const char *end = body + len;
  int64_t count = 0;
  while ((body = memmem(body, (size_t)(end - body), key, sizeof key - 1))) {
    body += sizeof key - 1;
    count++;
    if (body == end || *body != '[') continue;
    for (; body < end && *body != ']'; body++) count += *body == ',';
  }
  return count;
}

/* Answers every whole request; false where the peer is to go. */
static bool answer_all(struct peer *peer)
{
  char out[ANSWERS_MAX_BYTES];
  size_t at = 0, filled = 0;
  while (at < peer->len) {
    char *start = peer->input + at;
    char *end = memmem(start, peer->len - at, "\r\n\r\n", 4);
    if (!end) break;
    size_t head = (size_t)(end - start) + 4;
    size_t whole = head + content_length(start, head);
    if (peer->len - at < whole) break;
    at += whole;
    if (strncmp(start, "GET ", 4) == 0) {
      if (!write_all(peer->fd, out, filled) || !answer_count(peer->fd, start + 4)) return false;
      filled = 0;
      continue;
    }
    requests++;
    people += people_in(start + head, whole - head);
    last_ms = now_ms();
    if (!first_ms) first_ms = last_ms;
    if (filled + sizeof answer > sizeof out) {
      if (!write_all(peer->fd, out, filled)) return false;
      filled = 0;
    }
    memcpy(out + filled, answer, sizeof answer - 1);
    filled += sizeof answer - 1;
  }
  memmove(peer->input, peer->input + at, peer->len - at);
  peer->len -= at;
  return write_all(peer->fd, out, filled);
}

static bool read_more(struct peer *peer)
{
  if (peer->len == peer->capacity) {
    size_t capacity = peer->capacity ? peer->capacity * 2 : 4096;
    char *grown = capacity <= INPUT_MAX_BYTES ? realloc(peer->input, capacity) : NULL;
    if (!grown) return false;
    peer->input = grown;
    peer->capacity = capacity;
  }
  ssize_t got = recv(peer->fd, peer->input + peer->len, peer->capacity - peer->len, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  peer->len += (size_t)got;
  return answer_all(peer);
}

static void take_in(int poll, int listener)
{
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) return;
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct peer *peer = calloc(1, sizeof *peer);
  if (!peer) fail("no memory");
  peer->fd = fd;
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = peer };
  if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
}

static int listen_on(unsigned port)
{
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  socklen_t len = sizeof address;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) || listen(fd, 1024)) fail("listen");
  if (getsockname(fd, (struct sockaddr *)&address, &len)) fail("getsockname");
  printf("{\"ready\":true,\"name\":\"sink\",\"url\":\"http://127.0.0.1:%u\"}\n",
         (unsigned)ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

int main(int argc, char **argv)
{
  struct epoll_event events[EVENTS_MAX];
  signal(SIGPIPE, SIG_IGN);
  int listener = listen_on(argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0);
  int poll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
  if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event)) fail("epoll");
  for (;;) {
    int count = epoll_wait(poll, events, EVENTS_MAX, -1);
    for (int i = 0; i < count; i++) {
      struct peer *peer = events[i].data.ptr;
      if (!peer) take_in(poll, listener);
      else if (!read_more(peer)) drop(peer);
    }
  }
}
