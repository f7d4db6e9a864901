/* read.c - a recursive reader of JSON.
 *
 * jansson reads through a callback for every byte, which was a third of what an event cost.  This
 * one makes the same tree with jansson's own constructors.  It gives up where it is not sure, so a
 * mistake in it can only be to take what jansson refuses: spec/c/test_json_read.c and the fuzzers
 * compare the two. */
#include "json/read.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/limits.h"

enum {
  SHORT_MAX_BYTES = 512,
  NUMBER_MAX_BYTES = 64, /* longer ones are left to jansson */
};

struct reader {
  const char *at, *end;
  int depth;
  bool is_short; /* of memory */
};

static json_t *read_value(struct reader *in);

/* What was made: there is always a value where there is memory. */
static json_t *made(struct reader *in, json_t *value)
{
  if (!value) in->is_short = true;
  return value;
}

static void skip_blanks(struct reader *in)
{
  while (in->at < in->end &&
         (*in->at == ' ' || *in->at == '\n' || *in->at == '\r' || *in->at == '\t'))
    in->at++;
}

static bool take(struct reader *in, char c)
{
  skip_blanks(in);
  if (in->at == in->end || *in->at != c) return false;
  in->at++;
  return true;
}

/* ---- strings --------------------------------------------------------------------------------- */

/* A text between its quotes: a borrowed piece of the input, or `own` where escapes were undone. */
struct string {
  struct nm_text text;
  char *own; /* freed by who took it */
  char bytes[SHORT_MAX_BYTES];
};

static bool read_hex(const char *at, unsigned *out)
{
  *out = 0;
  for (int i = 0; i < 4; i++) {
    char c = at[i];
    unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                            : 16;
    if (digit == 16) return false;
    *out = *out * 16 + digit;
  }
  return true;
}

static size_t put_utf8(char *out, unsigned code)
{
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = len - 1; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3F));
  out[0] = (char)((len == 2 ? 0xC0 : len == 3 ? 0xE0 : 0xF0) | code);
  return len;
}

/* The four digits behind \u, and the second half of a pair; advances.  Zero, a half alone: no. */
static bool read_escaped_code(const char **at, const char *end, unsigned *code)
{
  unsigned low;
  if (end - *at < 4 || !read_hex(*at, code) || *code == 0) return false;
  *at += 4;
  if (*code < 0xD800 || *code > 0xDFFF) return true;
  if (*code > 0xDBFF || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u' ||
      !read_hex(*at + 2, &low) || low < 0xDC00 || low > 0xDFFF)
    return false;
  *at += 6;
  *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
  return true;
}

static char plain_escape(char c)
{
  switch (c) {
  case '"': case '\\': case '/': return c;
  case 'b': return '\b';
  case 'f': return '\f';
  case 'n': return '\n';
  case 'r': return '\r';
  case 't': return '\t';
  default: return '\0';
  }
}

/* What it makes of an escape is never longer than the escape. */
static bool undo_escapes(struct reader *in, struct nm_text raw, struct string *out)
{
  const char *at = raw.ptr, *end = raw.ptr + raw.len;
  char *to = out->bytes;
  size_t len = 0;
  if (raw.len > sizeof out->bytes) to = out->own = malloc(raw.len);
  if (!to) {
    in->is_short = true;
    return false;
  }
  while (at < end) {
    unsigned code;
    if (*at != '\\') {
      to[len++] = *at++;
      continue;
    }
    at += 2;
    if (at[-1] == 'u') {
      if (!read_escaped_code(&at, end, &code)) return false;
      len += put_utf8(to + len, code);
    } else if ((to[len++] = plain_escape(at[-1])) == '\0') {
      return false;
    }
  }
  out->text = (struct nm_text){ to, len };
  return true;
}

/* The opening quote is taken.  What has bytes above ASCII is checked to be UTF-8. */
static bool read_string(struct reader *in, struct string *out)
{
  const char *start = in->at;
  bool has_escape = false;
  unsigned char high = 0;
  out->own = NULL;
  for (;; in->at++) {
    if (in->at == in->end) return false;
    unsigned char c = (unsigned char)*in->at;
    if (c == '"') break;
    if (c < 0x20) return false;
    high |= c;
    if (c != '\\') continue;
    has_escape = true;
    if (++in->at == in->end) return false;
  }
  out->text = (struct nm_text){ start, (size_t)(in->at++ - start) };
  if (high >= 0x80 && !nm_text_is_utf8(out->text)) return false;
  return !has_escape || undo_escapes(in, out->text, out);
}

/* ---- values ---------------------------------------------------------------------------------- */

static json_t *read_text(struct reader *in)
{
  struct string string;
  json_t *value = NULL;
  if (read_string(in, &string))
    value = made(in, json_stringn_nocheck(string.text.ptr, string.text.len));
  free(string.own);
  return value;
}

static bool skip_digits(struct reader *in)
{
  const char *begin = in->at;
  while (in->at < in->end && *in->at >= '0' && *in->at <= '9') in->at++;
  return in->at > begin;
}

/* Fractions and powers; `in` stands behind the digits in front of them. */
static json_t *read_real(struct reader *in, const char *begin)
{
  char copy[NUMBER_MAX_BYTES + 1];
  if (*in->at == '.') {
    in->at++;
    if (!skip_digits(in)) return NULL;
  }
  if (in->at < in->end && (*in->at == 'e' || *in->at == 'E')) {
    in->at++;
    if (in->at < in->end && (*in->at == '+' || *in->at == '-')) in->at++;
    if (!skip_digits(in)) return NULL;
  }
  size_t len = (size_t)(in->at - begin);
  if (len > NUMBER_MAX_BYTES) return NULL;
  memcpy(copy, begin, len);
  copy[len] = '\0';
  errno = 0;
  double real = strtod(copy, NULL);
  return isfinite(real) && errno == 0 ? made(in, json_real(real)) : NULL;
}

static json_t *read_number(struct reader *in)
{
  const char *start = in->at;
  int64_t number;
  if (*in->at == '-') in->at++;
  const char *digits = in->at;
  if (!skip_digits(in) || (*digits == '0' && in->at - digits > 1)) return NULL;
  if (in->at < in->end && (*in->at == '.' || *in->at == 'e' || *in->at == 'E'))
    return read_real(in, start);
  if (!nm_text_to_i64((struct nm_text){ start, (size_t)(in->at - start) }, &number)) return NULL;
  return made(in, json_integer(number));
}

static json_t *read_word(struct reader *in, const char *word, size_t len, json_t *value)
{
  if ((size_t)(in->end - in->at) < len || memcmp(in->at, word, len) != 0) return NULL;
  in->at += len;
  /* "nullx" is no word at all */
  bool goes_on = in->at < in->end && ((*in->at | 0x20) >= 'a' && (*in->at | 0x20) <= 'z');
  return goes_on ? NULL : value;
}

static bool read_pair(struct reader *in, json_t *object)
{
  struct string key;
  bool is_good = false;
  if (!take(in, '"')) return false;
  if (read_string(in, &key) && take(in, ':')) {
    json_t *value = read_value(in);
    size_t before = json_object_size(object);
    if (value && json_object_setn_new_nocheck(object, key.text.ptr, key.text.len, value))
      in->is_short = true;
    else is_good = value && json_object_size(object) > before; /* else the key was there */
  }
  free(key.own);
  return is_good;
}

static json_t *read_object(struct reader *in)
{
  json_t *object = made(in, json_object());
  if (!object || take(in, '}')) return object;
  do {
    if (!read_pair(in, object)) goto bad;
  } while (take(in, ','));
  if (take(in, '}')) return object;
bad:
  json_decref(object);
  return NULL;
}

static json_t *read_array(struct reader *in)
{
  json_t *array = made(in, json_array());
  if (!array || take(in, ']')) return array;
  do {
    json_t *value = read_value(in);
    if (!value) goto bad;
    if (json_array_append_new(array, value)) {
      in->is_short = true;
      goto bad;
    }
  } while (take(in, ','));
  if (take(in, ']')) return array;
bad:
  json_decref(array);
  return NULL;
}

static json_t *read_value(struct reader *in)
{
  json_t *value = NULL;
  skip_blanks(in);
  if (in->at == in->end) return NULL;
  switch (*in->at) {
  case '{':
  case '[':
    if (in->depth == NM_JSON_DEPTH_MAX) return NULL;
    in->depth++;
    value = *in->at++ == '{' ? read_object(in) : read_array(in);
    in->depth--;
    return value;
  case '"': in->at++; return read_text(in);
  case 't': return read_word(in, "true", 4, json_true());
  case 'f': return read_word(in, "false", 5, json_false());
  case 'n': return read_word(in, "null", 4, json_null());
  default: return read_number(in);
  }
}

json_t *nm_json_read(struct nm_text text, bool takes_scalars, bool *is_short)
{
  *is_short = false;
  if (text.len == 0) return NULL; /* its ptr may be NULL */
  struct reader in = { .at = text.ptr, .end = text.ptr + text.len };
  skip_blanks(&in);
  bool is_scalar = in.at == in.end || (*in.at != '{' && *in.at != '[');
  if (is_scalar && !takes_scalars) return NULL;
  json_t *value = read_value(&in);
  skip_blanks(&in);
  *is_short = in.is_short;
  if (!value || in.at == in.end) return value;
  json_decref(value);
  return NULL;
}
