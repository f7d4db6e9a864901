#include "json/scan.h"

#include "base/limits.h"

static bool is_blank(char c)
{
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(char c)
{
  return c >= '0' && c <= '9';
}

static void skip_blanks(struct nm_scan *scan)
{
  while (scan->at < scan->end && is_blank(*scan->at)) scan->at++;
}

static bool fail(struct nm_scan *scan, const char *why)
{
  if (!scan->why) scan->why = why;
  return false;
}

static bool take(struct nm_scan *scan, char c)
{
  if (scan->at >= scan->end || *scan->at != c) return false;
  scan->at++;
  return true;
}

/* ---- scalars --------------------------------------------------------------------------------- */

static bool is_hex(char c)
{
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool skip_escape(struct nm_scan *scan)
{
  const char *at = scan->at + 1;
  if (at >= scan->end) return fail(scan, "a string has no end");
  if (*at == 'u') {
    for (int i = 1; i <= 4; i++)
      if (scan->end - at <= i || !is_hex(at[i])) return fail(scan, "an escape is none");
    scan->at = at + 5;
    return true;
  }
  if (!memchr("\"\\/bfnrt", *at, 8)) return fail(scan, "an escape is none");
  scan->at = at + 1;
  return true;
}

/* Behind its opening quote. */
static bool skip_string(struct nm_scan *scan)
{
  while (scan->at < scan->end) {
    unsigned char c = (unsigned char)*scan->at;
    if (c == '"') {
      scan->at++;
      return true;
    }
    if (c < 0x20) return fail(scan, "a string has a control character");
    if (c != '\\') scan->at++;
    else if (!skip_escape(scan)) return false;
  }
  return fail(scan, "a string has no end");
}

static bool skip_digits(struct nm_scan *scan)
{
  const char *from = scan->at;
  while (scan->at < scan->end && is_digit(*scan->at)) scan->at++;
  return scan->at > from;
}

static bool skip_number(struct nm_scan *scan)
{
  bool is_fine = (take(scan, '-'), take(scan, '0')) || skip_digits(scan);
  if (is_fine && take(scan, '.')) is_fine = skip_digits(scan);
  if (is_fine && (take(scan, 'e') || take(scan, 'E'))) {
    if (!take(scan, '+')) take(scan, '-');
    is_fine = skip_digits(scan);
  }
  return is_fine ? true : fail(scan, "a number is none");
}

static bool skip_word(struct nm_scan *scan, struct nm_text word)
{
  struct nm_text left = { scan->at, (size_t)(scan->end - scan->at) };
  if (!nm_text_starts_with(left, word)) return fail(scan, "a word is neither true, false nor null");
  scan->at += word.len;
  return true;
}

enum nm_scan_kind nm_scan_kind(struct nm_scan *scan)
{
  skip_blanks(scan);
  if (scan->at >= scan->end) return NM_SCAN_NOTHING;
  switch (*scan->at) {
  case '{': return NM_SCAN_OBJECT;
  case '[': return NM_SCAN_ARRAY;
  case '"': return NM_SCAN_STRING;
  case 't': return NM_SCAN_TRUE;
  case 'f': return NM_SCAN_FALSE;
  case 'n': return NM_SCAN_NULL;
  default: return *scan->at == '-' || is_digit(*scan->at) ? NM_SCAN_NUMBER : NM_SCAN_NOTHING;
  }
}

/* ---- any value ------------------------------------------------------------------------------- */

/* The key and the colon before a member's value. */
static bool skip_key(struct nm_scan *scan)
{
  skip_blanks(scan);
  if (!take(scan, '"')) return fail(scan, "an object's member has no key");
  if (!skip_string(scan)) return false;
  skip_blanks(scan);
  return take(scan, ':') ? true : fail(scan, "a key has no colon");
}

/* What is open: a bit for each level, 1 for objects. */
struct levels {
  uint64_t objects;
  int depth;
};

_Static_assert(NM_JSON_DEPTH_MAX <= 64, "a bit for each level");

/* Behind an opening bracket; *is_closed where the closing one follows at once. */
static bool open_level(struct nm_scan *scan, struct levels *levels, bool is_object, bool *is_closed)
{
  scan->at++;
  if (++levels->depth > NM_JSON_DEPTH_MAX) return fail(scan, "it is nested too deep");
  levels->objects = levels->objects << 1 | is_object;
  skip_blanks(scan);
  *is_closed = scan->at < scan->end && *scan->at == (is_object ? '}' : ']');
  return *is_closed || !is_object || skip_key(scan);
}

/* Behind a value: closes what ends here, or stands before the next value. */
static bool close_levels(struct nm_scan *scan, struct levels *levels)
{
  while (levels->depth > 0) {
    bool is_object = levels->objects & 1;
    skip_blanks(scan);
    if (take(scan, ',')) return is_object ? skip_key(scan) : true;
    if (!take(scan, is_object ? '}' : ']')) return fail(scan, "a comma or bracket is missing");
    levels->objects >>= 1;
    levels->depth--;
  }
  return true;
}

static bool skip_scalar(struct nm_scan *scan, enum nm_scan_kind kind)
{
  switch (kind) {
  case NM_SCAN_STRING: scan->at++; return skip_string(scan);
  case NM_SCAN_NUMBER: return skip_number(scan);
  case NM_SCAN_TRUE: return skip_word(scan, NM_TEXT("true"));
  case NM_SCAN_FALSE: return skip_word(scan, NM_TEXT("false"));
  case NM_SCAN_NULL: return skip_word(scan, NM_TEXT("null"));
  default: return fail(scan, "a value is missing");
  }
}

bool nm_scan_value(struct nm_scan *scan, struct nm_text *raw)
{
  struct levels levels = { 0, 0 };
  skip_blanks(scan);
  const char *from = scan->at;
  do {
    enum nm_scan_kind kind = nm_scan_kind(scan);
    if (kind == NM_SCAN_OBJECT || kind == NM_SCAN_ARRAY) {
      bool is_closed;
      if (!open_level(scan, &levels, kind == NM_SCAN_OBJECT, &is_closed)) return false;
      if (!is_closed) continue;
    } else if (!skip_scalar(scan, kind)) {
      return false;
    }
    if (!close_levels(scan, &levels)) return false;
  } while (levels.depth > 0);
  *raw = (struct nm_text){ from, (size_t)(scan->at - from) };
  return true;
}

/* ---- step by step ---------------------------------------------------------------------------- */

bool nm_scan_enter(struct nm_scan *scan)
{
  skip_blanks(scan);
  return take(scan, '{') || take(scan, '[');
}

static bool step(struct nm_scan *scan, bool *is_first, char end)
{
  if (scan->why) return false;
  skip_blanks(scan);
  if (take(scan, end)) return false;
  if (!*is_first && !take(scan, ',')) return fail(scan, "a comma or bracket is missing");
  *is_first = false;
  return true;
}

bool nm_scan_member(struct nm_scan *scan, bool *is_first, struct nm_text *key)
{
  if (!step(scan, is_first, '}')) return false;
  skip_blanks(scan);
  if (!take(scan, '"')) return fail(scan, "an object's member has no key");
  const char *from = scan->at;
  if (!skip_string(scan)) return false;
  *key = (struct nm_text){ from, (size_t)(scan->at - 1 - from) };
  skip_blanks(scan);
  return take(scan, ':') ? true : fail(scan, "a key has no colon");
}

bool nm_scan_element(struct nm_scan *scan, bool *is_first)
{
  return step(scan, is_first, ']');
}

bool nm_scan_is_end(struct nm_scan *scan)
{
  skip_blanks(scan);
  return scan->at == scan->end;
}
