#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"

static _Atomic int threshold = NM_LOG_INFO;
static _Atomic uint64_t errors;

static const char *const level_names[] = { "debug", "info", "warn", "error" };

struct line {
  char bytes[NM_LOG_LINE_MAX_BYTES];
  size_t len;
};

static void put(struct line *line, const char *bytes, size_t len)
{
  size_t room = sizeof line->bytes - 8 - line->len; /* the closing quote, brace and newline fit */
  if (len > room) len = room;
  memcpy(line->bytes + line->len, bytes, len);
  line->len += len;
}

/* Everything outside printable ASCII and UTF-8 is escaped, so that no value can forge a line. */
static void put_escaped(struct line *line, const char *bytes, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)bytes[i];
    char escaped[8];
    if (c == '"' || c == '\\') {
      escaped[0] = '\\';
      escaped[1] = (char)c;
      put(line, escaped, 2);
    } else if (c < 0x20 || c == 0x7F) {
      int n = snprintf(escaped, sizeof escaped, "\\u%04x", c);
      put(line, escaped, (size_t)n);
    } else {
      put(line, (const char *)&c, 1);
    }
  }
}

static void put_id(struct line *line, const char *name, int64_t id)
{
  char bytes[64];
  if (id == 0) return;
  int n = snprintf(bytes, sizeof bytes, ",\"%s\":\"%lld\"", name, (long long)id);
  put(line, bytes, (size_t)n);
}

static void put_head(struct line *line, enum nm_log_level level, const char *room)
{
  struct timespec now;
  struct tm utc;
  char stamp[40];
  char bytes[128];

  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
  int n = snprintf(bytes, sizeof bytes, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"room\":\"%s\"",
                   stamp, now.tv_nsec / 1000000, level_names[level], room);
  put(line, bytes, (size_t)n);
}

void nm_log(enum nm_log_level level, const char *room, const struct nm_log_ids *ids,
            const char *format, ...)
{
  struct line line;
  char text[NM_LOG_LINE_MAX_BYTES / 2];
  va_list args;

  if (level == NM_LOG_ERROR) atomic_fetch_add(&errors, 1);
  if ((int)level < atomic_load_explicit(&threshold, memory_order_relaxed)) return;

  line.len = 0;
  put_head(&line, level, room);
  if (ids) {
    if (ids->tenant.len > 0) {
      put(&line, ",\"tenant\":\"", 11);
      put_escaped(&line, ids->tenant.ptr, ids->tenant.len);
      put(&line, "\"", 1);
    }
    put_id(&line, "event", ids->event);
    put_id(&line, "run", ids->run);
    put_id(&line, "message_id", ids->message);
  }
  put(&line, ",\"message\":\"", 12);
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (n > 0) put_escaped(&line, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
  memcpy(line.bytes + line.len, "\"}\n", 3);
  line.len += 3;

  ssize_t written = write(STDERR_FILENO, line.bytes, line.len);
  (void)written; /* nowhere left to say that stderr is gone */
}

void nm_log_set_level(enum nm_log_level level)
{
  atomic_store(&threshold, (int)level);
}

bool nm_log_level_from(struct nm_text word, enum nm_log_level *out)
{
  for (int i = NM_LOG_DEBUG; i <= NM_LOG_ERROR; i++) {
    if (nm_text_equal(word, nm_text_from(level_names[i]))) {
      *out = (enum nm_log_level)i;
      return true;
    }
  }
  return false;
}

uint64_t nm_log_error_count(void)
{
  return atomic_load(&errors);
}
