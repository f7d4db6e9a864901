#include "http/chunked.h"

#include "base/limits.h"

enum { SIZE_DIGITS_MAX = 15 }; /* so that a size always fits, leading zeros counted */

enum state {
  STATE_SIZE = 0,
  STATE_EXTENSION = 1,
  STATE_SIZE_LF = 2,
  STATE_DATA = 3,
  STATE_DATA_CR = 4,
  STATE_DATA_LF = 5,
  STATE_END_CR = 6, /* behind the last chunk: a trailer would begin here */
  STATE_END_LF = 7,
  STATE_END = 8,
  STATE_BAD = 9,
};

static int hex_value(char c)
{
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

static unsigned read_size(struct nm_http_chunked *chunked, char c)
{
  int value = hex_value(c);
  if (value >= 0) {
    if (chunked->digits++ == SIZE_DIGITS_MAX) return STATE_BAD;
    chunked->left = chunked->left * 16 + (uint64_t)value;
    return STATE_SIZE;
  }
  if (chunked->digits == 0) return STATE_BAD;
  return c == ';' ? STATE_EXTENSION : c == '\r' ? STATE_SIZE_LF : STATE_BAD;
}

static unsigned read_extension(struct nm_http_chunked *chunked, char c)
{
  if (c == '\r') return STATE_SIZE_LF;
  if ((unsigned char)c < 0x20 && c != '\t') return STATE_BAD;
  if (c == 0x7f || ++chunked->extension_bytes > NM_HTTP_CHUNK_EXTENSIONS_MAX_BYTES)
    return STATE_BAD;
  return STATE_EXTENSION;
}

/* One byte of framing. */
static unsigned next_state(struct nm_http_chunked *chunked, char c)
{
  switch (chunked->state) {
  case STATE_SIZE:
    return read_size(chunked, c);
  case STATE_EXTENSION:
    return read_extension(chunked, c);
  case STATE_SIZE_LF:
    return c != '\n' ? STATE_BAD : chunked->left > 0 ? STATE_DATA : STATE_END_CR;
  case STATE_DATA_CR:
    return c == '\r' ? STATE_DATA_LF : STATE_BAD;
  case STATE_DATA_LF:
    chunked->digits = 0;
    return c == '\n' ? STATE_SIZE : STATE_BAD;
  case STATE_END_CR:
    return c == '\r' ? STATE_END_LF : STATE_BAD;
  case STATE_END_LF:
    return c == '\n' ? STATE_END : STATE_BAD;
  default:
    return STATE_BAD;
  }
}

enum nm_http_chunked_verdict nm_http_chunked_feed(struct nm_http_chunked *chunked,
                                                  struct nm_text bytes, size_t *used,
                                                  struct nm_text *data)
{
  for (size_t i = 0; i < bytes.len; i++) {
    if (chunked->state == STATE_DATA) {
      size_t len = bytes.len - i;
      if (len > chunked->left) len = (size_t)chunked->left;
      *data = (struct nm_text){ bytes.ptr + i, len };
      *used = i + len;
      chunked->left -= len;
      if (chunked->left == 0) chunked->state = STATE_DATA_CR;
      return NM_HTTP_CHUNKED_DATA;
    }
    chunked->state = next_state(chunked, bytes.ptr[i]);
    *used = i + 1;
    if (chunked->state == STATE_BAD) return NM_HTTP_CHUNKED_BAD;
    if (chunked->state == STATE_END) return NM_HTTP_CHUNKED_END;
  }
  *used = bytes.len;
  return NM_HTTP_CHUNKED_MORE;
}
