#include <stdio.h>
#include <time.h>

#include "base/log_internal.h"

enum { TAIL_BYTES = 8 }; /* the closing quote, brace and newline fit */

static void put(struct nm_log_line *line, const char *bytes, size_t len)
{
  size_t room = sizeof line->bytes - TAIL_BYTES - line->len;
  if (len > room) len = room;
  memcpy(line->bytes + line->len, bytes, len);
  line->len += len;
}

/* How many bytes the UTF-8 character at the beginning has; 0 where there is none. */
static size_t character_length(const char *bytes, size_t len)
{
  unsigned char first = (unsigned char)bytes[0];
  size_t length = first < 0x80        ? 1
                  : first >> 5 == 6   ? 2
                  : first >> 4 == 14  ? 3
                  : first >> 3 == 30  ? 4
                                      : 0;
  if (length == 0 || length > len) return 0;
  return length == 1 || nm_text_is_utf8((struct nm_text){ bytes, length }) ? length : 0;
}

/* How many bytes from the beginning are written as they are. */
static size_t plain_length(const char *bytes, size_t len)
{
  size_t i = 0;
  while (i < len && bytes[i] >= 0x20 && bytes[i] < 0x7F && bytes[i] != '"' && bytes[i] != '\\') i++;
  return i;
}

/* What could end the text or the line is escaped, so that no value can forge one; bytes that are no
 * UTF-8 become a question mark.  A character goes in whole or not at all. */
static void put_escaped(struct nm_log_line *line, const char *bytes, size_t len)
{
  for (size_t i = 0; i < len;) {
    size_t plain = plain_length(bytes + i, len - i);
    put(line, bytes + i, plain);
    i += plain;
    if (i == len) return;
    size_t room = sizeof line->bytes - TAIL_BYTES - line->len;
    size_t taken = character_length(bytes + i, len - i);
    unsigned char c = (unsigned char)bytes[i];
    char escaped[8] = { '?' };
    size_t length = 1;
    if (c == '"' || c == '\\') {
      escaped[0] = '\\';
      escaped[1] = (char)c;
      length = 2;
    } else if (c < 0x20 || c == 0x7F) {
      length = (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", c);
    } else if (taken > 0) {
      length = taken;
      memcpy(escaped, bytes + i, taken);
    }
    if (length > room) return;
    put(line, escaped, length);
    i += taken > 0 ? taken : 1;
  }
}

static void put_id(struct nm_log_line *line, const char *name, int64_t id)
{
  char digits[NM_TEXT_I64_MAX_BYTES];
  if (id == 0) return;
  put(line, ",\"", 2);
  put(line, name, strlen(name));
  put(line, "\":\"", 3);
  put(line, digits, nm_text_put_i64(digits, id));
  put(line, "\"", 1);
}

/* "2026-11-23T15:42:07.042Z"; most lines of a thread come in the second of the one before. */
static void put_now(struct nm_log_line *line)
{
  static _Thread_local time_t known;
  static _Thread_local char stamp[] = "....-..-..T..:..:...000Z";
  enum { MS_AT = 20 };
  struct timespec now;
  struct tm utc;
  clock_gettime(CLOCK_REALTIME, &now);
  if (now.tv_sec != known && gmtime_r(&now.tv_sec, &utc)) {
    strftime(stamp, MS_AT, "%Y-%m-%dT%H:%M:%S", &utc);
    stamp[MS_AT - 1] = '.';
    known = now.tv_sec;
  }
  long ms = now.tv_nsec / 1000000;
  for (int i = 2; i >= 0; i--, ms /= 10) stamp[MS_AT + i] = (char)('0' + ms % 10);
  put(line, stamp, sizeof stamp - 1);
}

void nm_log_line_begin(struct nm_log_line *line, enum nm_log_level level, const char *room,
                       const struct nm_log_ids *ids)
{
  const char *word = nm_log_level_name(level);
  line->len = 0;
  put(line, "{\"time\":\"", 9);
  put_now(line);
  put(line, "\",\"level\":\"", 11);
  put(line, word, strlen(word));
  put(line, "\",\"room\":\"", 10);
  put(line, room, strlen(room));
  put(line, "\"", 1);
  if (!ids) return;
  if (ids->tenant.len > 0) {
    put(line, ",\"tenant\":\"", 11);
    put_escaped(line, ids->tenant.ptr, ids->tenant.len);
    put(line, "\"", 1);
  }
  put_id(line, "event", ids->event);
  put_id(line, "run", ids->run);
  put_id(line, "message_id", ids->message);
}

/* ---- what may be a person's ------------------------------------------------------------------ */

static bool may_be_personal(const char *word, size_t len)
{
  size_t row = 0;
  bool has_digit = false;
  for (size_t i = 0; i < len; i++) {
    char c = word[i];
    bool is_digit = c >= '0' && c <= '9';
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
    if (c == '@') return true;
    row = is_digit || is_letter ? row + 1 : 0;
    has_digit = row > 0 && (has_digit || is_digit);
    if (has_digit && row >= NM_LOG_PERSONAL_MIN_BYTES) return true;
  }
  return false;
}

/* Bytes up to the quote that ends it, that one included; all of them where there is none. */
static size_t quoted_length(const char *bytes, size_t len)
{
  size_t at = 1;
  while (at < len && bytes[at] != '"') at += bytes[at] == '\\' ? 2 : 1;
  return at < len ? at + 1 : len;
}

struct nm_text nm_log_discreet(char out[NM_ERROR_TEXT_MAX_BYTES], struct nm_text reason)
{
  size_t used = 0, len;
  for (size_t i = 0; i < reason.len; i += len) {
    const char *at = reason.ptr + i;
    struct nm_text part;
    len = 1;
    if (*at == '"') {
      len = quoted_length(at, reason.len - i);
      part = NM_TEXT("\"...\"");
    } else {
      while (*at != ' ' && i + len < reason.len && at[len] != ' ' && at[len] != '"') len++;
      part = may_be_personal(at, len) ? NM_TEXT("...") : (struct nm_text){ at, len };
    }
    if (part.len > NM_ERROR_TEXT_MAX_BYTES - used) break;
    memcpy(out + used, part.ptr, part.len);
    used += part.len;
  }
  return (struct nm_text){ out, used };
}

void nm_log_line_end(struct nm_log_line *line, struct nm_text message)
{
  put(line, ",\"message\":\"", 12);
  put_escaped(line, message.ptr, message.len);
  memcpy(line->bytes + line->len, "\"}\n", 3);
  line->len += 3;
}
