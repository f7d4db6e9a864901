#include "json/tape.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/limits.h"

enum {
  COMPARED_MAX = 16,      /* keys of one object that are compared each with each */
  DIGITS_MAX = 18,        /* of an integer that cannot overflow */
  NUMBER_MAX_BYTES = 64,  /* longer ones are left to jansson */
};

struct reading {
  const char *at, *end;
  struct nm_json_node *nodes; /* the tape's, to be written */
  size_t count, max;
  struct nm_arena *arena;
};

static bool read_value(struct reading *in, int depth);

static struct nm_json_node *add_node(struct reading *in, enum nm_json_kind kind)
{
  if (in->count == in->max) {
    struct nm_json_node *more = nm_arena_alloc(in->arena, in->max * 2 * sizeof *more);
    if (!more) return NULL;
    memcpy(more, in->nodes, in->count * sizeof *more);
    in->nodes = more;
    in->max *= 2;
  }
  struct nm_json_node *node = &in->nodes[in->count++];
  node->kind = kind;
  node->count = 0;
  return node;
}

static void skip_blanks(struct reading *in)
{
  while (in->at < in->end &&
         (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
    in->at++;
}

/* ---- texts ----------------------------------------------------------------------------------- */

static int hex_of(char c)
{
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* Four digits; -1 where there are none. */
static int32_t read_unit(const char *at, const char *end)
{
  int32_t unit = 0;
  if (end - at < 4) return -1;
  for (int i = 0; i < 4; i++) {
    int digit = hex_of(at[i]);
    if (digit < 0) return -1;
    unit = unit << 4 | digit;
  }
  return unit;
}

static char *write_utf8(char *to, int32_t point)
{
  if (point < 0x80) {
    *to++ = (char)point;
  } else if (point < 0x800) {
    *to++ = (char)(0xC0 | point >> 6);
    *to++ = (char)(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    *to++ = (char)(0xE0 | point >> 12);
    *to++ = (char)(0x80 | (point >> 6 & 0x3F));
    *to++ = (char)(0x80 | (point & 0x3F));
  } else {
    *to++ = (char)(0xF0 | point >> 18);
    *to++ = (char)(0x80 | (point >> 12 & 0x3F));
    *to++ = (char)(0x80 | (point >> 6 & 0x3F));
    *to++ = (char)(0x80 | (point & 0x3F));
  }
  return to;
}

/* \uXXXX behind its u, surrogates in pairs; *at moves on.  -1 for none, for half a pair, for
 * NUL. */
static int32_t read_point(const char **at, const char *end)
{
  int32_t point = read_unit(*at, end);
  if (point <= 0 || (point >= 0xDC00 && point <= 0xDFFF)) return -1;
  *at += 4;
  if (point < 0xD800 || point > 0xDBFF) return point;
  if (end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u') return -1;
  int32_t low = read_unit(*at + 2, end);
  if (low < 0xDC00 || low > 0xDFFF) return -1;
  *at += 6;
  return 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
}

/* A copy without escapes: never longer than what it stands for. */
static bool unescape(struct reading *in, struct nm_text *text)
{
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  const char *at = text->ptr, *end = text->ptr + text->len;
  char *begin = nm_arena_alloc(in->arena, text->len + 1), *out = begin;
  if (!begin) return false;
  while (at < end) {
    if (*at != '\\') {
      *out++ = *at++;
      continue;
    }
    char name = at[1]; /* the closing quote stands behind, at least */
    at += 2;
    const char *known = name ? strchr(from, name) : NULL;
    if (known) {
      *out++ = to[known - from];
    } else {
      int32_t point = name == 'u' ? read_point(&at, end) : -1;
      if (point < 0) return false;
      out = write_utf8(out, point);
    }
  }
  *text = (struct nm_text){ begin, (size_t)(out - begin) };
  return true;
}

static bool read_text(struct reading *in)
{
  const char *begin = ++in->at, *end = in->end, *at = begin;
  bool is_escaped = false, is_ascii = true;
  for (; at < end && *at != '"'; at++) {
    unsigned char c = (unsigned char)*at;
    if (c < 0x20) return false;
    if (c >= 0x80) is_ascii = false;
    if (c == '\\') {
      is_escaped = true;
      if (++at == end) return false;
      if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x80) return false;
    }
  }
  if (at == end) return false;
  in->at = at + 1;
  struct nm_text text = { begin, (size_t)(at - begin) };
  if (!is_ascii && !nm_text_is_utf8(text)) return false;
  if (is_escaped && !unescape(in, &text)) return false;
  struct nm_json_node *node = add_node(in, NM_JSON_TEXT);
  if (!node) return false;
  node->text = text;
  return true;
}

/* ---- numbers and words ----------------------------------------------------------------------- */

static bool is_digit(const struct reading *in)
{
  return in->at < in->end && *in->at >= '0' && *in->at <= '9';
}

static bool skip_digits(struct reading *in)
{
  if (!is_digit(in)) return false;
  while (is_digit(in)) in->at++;
  return true;
}

static bool read_real(struct reading *in, const char *begin)
{
  char copy[NUMBER_MAX_BYTES + 1];
  if (in->at < in->end && *in->at == '.') {
    in->at++;
    if (!skip_digits(in)) return false;
  }
  if (in->at < in->end && (*in->at == 'e' || *in->at == 'E')) {
    in->at++;
    if (in->at < in->end && (*in->at == '+' || *in->at == '-')) in->at++;
    if (!skip_digits(in)) return false;
  }
  size_t len = (size_t)(in->at - begin);
  if (len > NUMBER_MAX_BYTES) return false;
  memcpy(copy, begin, len);
  copy[len] = '\0';
  errno = 0;
  double real = strtod(copy, NULL);
  if (!isfinite(real) || errno != 0) return false;
  struct nm_json_node *node = add_node(in, NM_JSON_REAL);
  if (!node) return false;
  node->real = real;
  return true;
}

static bool read_number(struct reading *in)
{
  const char *begin = in->at;
  bool is_minus = *in->at == '-';
  if (is_minus) in->at++;
  const char *digits = in->at;
  if (!skip_digits(in) || (*digits == '0' && in->at - digits > 1)) return false;
  if (in->at < in->end && (*in->at == '.' || *in->at == 'e' || *in->at == 'E'))
    return read_real(in, begin);
  if (in->at - digits > DIGITS_MAX) return false;
  int64_t value = 0;
  for (; digits < in->at; digits++) value = value * 10 + (*digits - '0');
  struct nm_json_node *node = add_node(in, NM_JSON_INTEGER);
  if (!node) return false;
  node->integer = is_minus ? -value : value;
  return true;
}

static bool read_word(struct reading *in, const char *word, size_t len, enum nm_json_kind kind)
{
  if ((size_t)(in->end - in->at) < len || memcmp(in->at, word, len) != 0) return false;
  in->at += len;
  return add_node(in, kind) != NULL;
}

/* ---- arrays and objects ---------------------------------------------------------------------- */

static bool read_array(struct reading *in, int depth)
{
  size_t self = in->count;
  uint32_t count = 0;
  if (!add_node(in, NM_JSON_ARRAY)) return false;
  in->at++;
  skip_blanks(in);
  if (in->at < in->end && *in->at == ']') {
    in->at++;
  } else {
    for (;;) {
      if (!read_value(in, depth)) return false;
      count++;
      if (in->at == in->end) return false;
      char c = *in->at++;
      if (c == ']') break;
      if (c != ',') return false;
    }
  }
  in->nodes[self].count = count;
  in->nodes[self].end = in->count;
  return true;
}

static int compare_texts(const void *a, const void *b)
{
  const struct nm_text *x = a, *y = b;
  if (x->len != y->len) return x->len < y->len ? -1 : 1;
  return memcmp(x->ptr, y->ptr, x->len);
}

/* The node behind the value that begins there. */
static size_t behind(const struct nm_json_node *nodes, size_t at)
{
  return nodes[at].kind >= NM_JSON_ARRAY ? nodes[at].end : at + 1;
}

static bool are_keys_different(struct reading *in, size_t self)
{
  size_t count = in->nodes[self].count, at = self + 1;
  struct nm_text few[COMPARED_MAX], *keys = few;
  if (count > COMPARED_MAX) keys = nm_arena_alloc(in->arena, count * sizeof *keys);
  if (!keys) return false;
  for (size_t i = 0; i < count; i++) {
    keys[i] = in->nodes[at].text;
    at = behind(in->nodes, at + 1);
  }
  if (count > COMPARED_MAX) {
    qsort(keys, count, sizeof *keys, compare_texts);
    for (size_t i = 1; i < count; i++)
      if (compare_texts(&keys[i - 1], &keys[i]) == 0) return false;
    return true;
  }
  for (size_t i = 1; i < count; i++)
    for (size_t j = 0; j < i; j++)
      if (keys[i].len == keys[j].len && memcmp(keys[i].ptr, keys[j].ptr, keys[i].len) == 0)
        return false;
  return true;
}

static bool read_members(struct reading *in, int depth, uint32_t *count)
{
  for (;;) {
    skip_blanks(in);
    if (in->at == in->end || *in->at != '"' || !read_text(in)) return false;
    skip_blanks(in);
    if (in->at == in->end || *in->at++ != ':') return false;
    if (!read_value(in, depth)) return false;
    ++*count;
    if (in->at == in->end) return false;
    char c = *in->at++;
    if (c == '}') return true;
    if (c != ',') return false;
  }
}

static bool read_object(struct reading *in, int depth)
{
  size_t self = in->count;
  uint32_t count = 0;
  if (!add_node(in, NM_JSON_OBJECT)) return false;
  in->at++;
  skip_blanks(in);
  if (in->at < in->end && *in->at == '}') in->at++;
  else if (!read_members(in, depth, &count)) return false;
  in->nodes[self].count = count;
  in->nodes[self].end = in->count;
  return are_keys_different(in, self);
}

/* Leaves what stands behind the value and its blanks at `at`. */
static bool read_value(struct reading *in, int depth)
{
  bool is_good;
  skip_blanks(in);
  if (in->at == in->end) return false;
  switch (*in->at) {
  case '"': is_good = read_text(in); break;
  case '{': is_good = depth < NM_JSON_DEPTH_MAX && read_object(in, depth + 1); break;
  case '[': is_good = depth < NM_JSON_DEPTH_MAX && read_array(in, depth + 1); break;
  case 't': is_good = read_word(in, "true", 4, NM_JSON_TRUE); break;
  case 'f': is_good = read_word(in, "false", 5, NM_JSON_FALSE); break;
  case 'n': is_good = read_word(in, "null", 4, NM_JSON_NULL); break;
  default: is_good = read_number(in);
  }
  if (is_good) skip_blanks(in);
  return is_good;
}

bool nm_json_tape_read(struct nm_json_tape *tape, struct nm_text text, struct nm_arena *arena)
{
  if (!text.ptr || text.len > UINT32_MAX) return false;
  struct reading in = { .at = text.ptr, .end = text.ptr + text.len,
                        .nodes = tape->first, .arena = arena,
                        .max = sizeof tape->first / sizeof *tape->first };
  if (!read_value(&in, 0) || in.at != in.end || in.nodes[0].kind != NM_JSON_OBJECT) return false;
  tape->nodes = in.nodes;
  tape->count = in.count;
  return true;
}
