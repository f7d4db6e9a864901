#include "http/guard.h"

#include <string.h>

#include "base/limits.h"

/* Where the scan stands. */
enum state {
  STATE_BEGIN = 0,    /* before the request line; empty lines may stand here (RFC 9112, 2.2) */
  STATE_BEGIN_CR = 1, /* CR of such an empty line */
  STATE_LINE = 2,     /* inside a line */
  STATE_LINE_CR = 3,  /* CR at the end of a line */
  STATE_NEXT = 4,     /* behind CRLF: another line, or the end */
  STATE_END_CR = 5,   /* CR of the empty line that ends the head */
  STATE_BAD = 6,
  STATE_END = 7,
};

static unsigned next_state(unsigned state, char c)
{
  if (c == '\0') return STATE_BAD;
  switch (state) {
  case STATE_BEGIN_CR:
    return c == '\n' ? STATE_BEGIN : STATE_BAD;
  case STATE_LINE_CR:
    return c == '\n' ? STATE_NEXT : STATE_BAD;
  case STATE_END_CR:
    return c == '\n' ? STATE_END : STATE_BAD;
  case STATE_LINE:
    return c == '\r' ? STATE_LINE_CR : c == '\n' ? STATE_BAD : STATE_LINE;
  default: /* at the start of a line: a blank would be folding */
    if (c == '\n' || c == ' ' || c == '\t') return STATE_BAD;
    if (c == '\r') return state == STATE_BEGIN ? STATE_BEGIN_CR : STATE_END_CR;
    return STATE_LINE;
  }
}

/* How many bytes of a line come before one that means something, which memchr finds quickly. */
static size_t plain_run(const char *bytes, size_t len)
{
  static const char special[] = { '\r', '\n', '\0' };
  for (size_t i = 0; i < sizeof special; i++) {
    const char *found = memchr(bytes, special[i], len);
    if (found) len = (size_t)(found - bytes);
  }
  return len;
}

enum nm_http_guard_verdict nm_http_guard_scan(struct nm_http_guard *guard, const char *bytes,
                                              size_t len, size_t *used)
{
  for (size_t i = 0; i < len; i++) {
    if (guard->state == STATE_LINE) {
      size_t room = guard->max_bytes - guard->bytes;
      size_t run = plain_run(bytes + i, len - i < room ? len - i : room);
      guard->bytes += run;
      i += run;
      if (i == len) break;
    }
    *used = i;
    if (guard->bytes == guard->max_bytes) return NM_HTTP_GUARD_TOO_LARGE;
    unsigned state = next_state(guard->state, bytes[i]);
    if (state == STATE_BAD) return NM_HTTP_GUARD_BAD;
    if (state == STATE_LINE && guard->state != STATE_LINE) {
      /* the request line and so many headers */
      if (guard->lines == 1 + NM_HTTP_HEADERS_MAX) return NM_HTTP_GUARD_TOO_LARGE;
      guard->lines++;
    }
    guard->state = state;
    guard->bytes++;
    if (state == STATE_END) {
      *used = i + 1;
      return NM_HTTP_GUARD_END;
    }
  }
  *used = len;
  return NM_HTTP_GUARD_MORE;
}
