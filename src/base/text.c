#include "base/text.h"

#include <strings.h>

bool nm_text_equal(struct nm_text a, struct nm_text b)
{
  return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static char lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool nm_text_equal_nocase(struct nm_text a, struct nm_text b)
{
  if (a.len != b.len) return false;
  if (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0) return true;
  for (size_t i = 0; i < a.len; i++)
    if (lower(a.ptr[i]) != lower(b.ptr[i])) return false;
  return true;
}

bool nm_text_starts_with(struct nm_text text, struct nm_text prefix)
{
  return text.len >= prefix.len && (prefix.len == 0 || memcmp(text.ptr, prefix.ptr, prefix.len) == 0);
}

static bool is_blank(char c)
{
  return c == ' ' || c == '\t';
}

struct nm_text nm_text_trim(struct nm_text text)
{
  while (text.len > 0 && is_blank(text.ptr[0])) {
    text.ptr++;
    text.len--;
  }
  while (text.len > 0 && is_blank(text.ptr[text.len - 1])) text.len--;
  return text;
}

bool nm_text_cut(struct nm_text text, char at, struct nm_text *head, struct nm_text *tail)
{
  const char *found = text.len > 0 ? memchr(text.ptr, at, text.len) : NULL;
  if (!found) {
    *head = text;
    *tail = (struct nm_text){ NULL, 0 };
    return false;
  }
  size_t before = (size_t)(found - text.ptr);
  *tail = (struct nm_text){ found + 1, text.len - before - 1 };
  *head = (struct nm_text){ text.ptr, before };
  return true;
}

bool nm_text_to_i64(struct nm_text text, int64_t *out)
{
  bool is_negative = text.len > 0 && text.ptr[0] == '-';
  size_t i = is_negative ? 1 : 0;
  uint64_t value = 0;
  uint64_t limit = (uint64_t)INT64_MAX + (is_negative ? 1 : 0);

  if (i == text.len) return false;
  for (; i < text.len; i++) {
    if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
    uint64_t digit = (uint64_t)(text.ptr[i] - '0');
    if (value > (limit - digit) / 10) return false;
    value = value * 10 + digit;
  }
  *out = is_negative ? (int64_t)(0 - value) : (int64_t)value;
  return true;
}

size_t nm_text_put_i64(char out[NM_TEXT_I64_MAX_BYTES], int64_t number)
{
  char digits[NM_TEXT_I64_MAX_BYTES];
  uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
  size_t at = sizeof digits;
  do digits[--at] = (char)('0' + rest % 10);
  while ((rest /= 10) > 0);
  if (number < 0) digits[--at] = '-';
  memcpy(out, digits + at, sizeof digits - at);
  return sizeof digits - at;
}

/* Length of the valid UTF-8 sequence at p (1 to 4), or 0. */
static size_t sequence_length(const unsigned char *p, size_t left)
{
  if (p[0] < 0x80) return p[0] == 0 ? 0 : 1;
  if (p[0] >= 0xC2 && p[0] <= 0xDF) return left >= 2 && (p[1] & 0xC0) == 0x80 ? 2 : 0;
  if (left < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80) return 0;
  if (p[0] >= 0xE0 && p[0] <= 0xEF) {
    if (p[0] == 0xE0 && p[1] < 0xA0) return 0;                /* overlong */
    if (p[0] == 0xED && p[1] > 0x9F) return 0;                /* surrogate */
    return 3;
  }
  if (left < 4 || (p[3] & 0xC0) != 0x80 || p[0] > 0xF4 || p[0] < 0xF0) return 0;
  if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F)) return 0;
  return 4;
}

bool nm_text_is_utf8(struct nm_text text)
{
  const unsigned char *p = (const unsigned char *)text.ptr;
  size_t left = text.len;
  while (left > 0) {
    size_t step = sequence_length(p, left);
    if (step == 0) return false;
    p += step;
    left -= step;
  }
  return true;
}

size_t nm_text_put_line(char *out, size_t max, struct nm_text text)
{
  const unsigned char *p = (const unsigned char *)text.ptr;
  size_t len = 0;
  for (size_t i = 0; i < text.len;) {
    bool is_control = p[i] < 0x20 || p[i] == 0x7F;
    size_t step = is_control ? 0 : sequence_length(p + i, text.len - i);
    if (len + (step ? step : 1) >= max) break;
    if (step) memmove(out + len, p + i, step);
    else out[len] = is_control ? ' ' : '?';
    len += step ? step : 1;
    i += step ? step : 1;
  }
  if (max > 0) out[len] = '\0';
  return len;
}

static bool is_unreserved(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

size_t nm_text_put_escaped(char *out, struct nm_text text)
{
  static const char hex[] = "0123456789ABCDEF";
  size_t len = 0;
  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char)text.ptr[i];
    bool is_plain = is_unreserved(text.ptr[i]);
    if (out && is_plain) out[len] = text.ptr[i];
    else if (out) memcpy(out + len, (char[]){ '%', hex[c >> 4], hex[c & 15] }, 3);
    len += is_plain ? 1 : 3;
  }
  return len;
}
