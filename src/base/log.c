/* log.c - which lines are written: levels, rooms, and places that repeat themselves. */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log_internal.h"
#include "base/metrics.h"

enum { TOLD_AT_ONCE = 8 };

static const char *const level_names[] = { "debug", "info", "warn", "error" };

static const char *const rooms[] = {
  "adapters", "api", "base", "cli", "client", "config", "engine", "http", "json", "main", "model",
  "net", "optimove", "profiles", "rules", "script", "store", "tenants",
};

enum { ROOMS = sizeof rooms / sizeof *rooms };

static _Atomic int threshold = NM_LOG_INFO;
static _Atomic int room_levels[ROOMS]; /* level + 1; 0: none of its own */
static _Atomic int own_levels;         /* how many have one */
static _Atomic uint64_t errors;

/* ---- levels ---------------------------------------------------------------------------------- */

static int find_room(struct nm_text name)
{
  for (int i = 0; i < ROOMS; i++)
    if (nm_text_equal(name, nm_text_from(rooms[i]))) return i;
  return -1;
}

static bool is_written(enum nm_log_level level, const char *room)
{
  int least = atomic_load_explicit(&threshold, memory_order_relaxed);
  if (atomic_load_explicit(&own_levels, memory_order_relaxed) > 0) {
    int at = find_room(nm_text_from(room));
    int own = at >= 0 ? atomic_load_explicit(&room_levels[at], memory_order_relaxed) : 0;
    if (own > 0) least = own - 1;
  }
  return (int)level >= least;
}

static int change_room(struct nm_text room, int value)
{
  int at = find_room(room);
  if (at < 0) return NM_ENOTFOUND;
  int before = atomic_exchange(&room_levels[at], value);
  atomic_fetch_add(&own_levels, (value > 0) - (before > 0));
  return NM_OK;
}

int nm_log_set_room_level(struct nm_text room, enum nm_log_level level)
{
  return change_room(room, (int)level + 1);
}

int nm_log_unset_room_level(struct nm_text room)
{
  return change_room(room, 0);
}

bool nm_log_room_level(struct nm_text room, enum nm_log_level *level)
{
  int at = find_room(room), own = at >= 0 ? atomic_load(&room_levels[at]) : 0;
  *level = own > 0 ? (enum nm_log_level)(own - 1) : nm_log_get_level();
  return own > 0;
}

const char *const *nm_log_rooms(size_t *count)
{
  *count = ROOMS;
  return rooms;
}

void nm_log_set_level(enum nm_log_level level)
{
  atomic_store(&threshold, (int)level);
}

enum nm_log_level nm_log_get_level(void)
{
  return (enum nm_log_level)atomic_load(&threshold);
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

const char *nm_log_level_name(enum nm_log_level level)
{
  return level_names[level];
}

uint64_t nm_log_error_count(void)
{
  return atomic_load(&errors);
}

/* ---- places that repeat themselves ----------------------------------------------------------- */

static struct {
  pthread_mutex_t lock;
  struct nm_log_place *first; /* those that have something to tell */
  int64_t window_ms;
} repeats = { .lock = PTHREAD_MUTEX_INITIALIZER, .window_ms = NM_LOG_REPEATED_WINDOW_MS };

/* What one place did not write. */
struct untold {
  const char *room, *format;
  enum nm_log_level level;
  unsigned count;
};

void nm_log_set_repeat_window(int64_t window_ms)
{
  pthread_mutex_lock(&repeats.lock);
  repeats.window_ms = window_ms;
  pthread_mutex_unlock(&repeats.lock);
}

static bool may_be_repetition(enum nm_log_level level, const struct nm_log_ids *ids)
{
  if (level >= NM_LOG_WARN) return true;
  return level == NM_LOG_INFO && !(ids && (ids->event || ids->run || ids->message));
}

static void write_untold(const struct untold *untold)
{
  struct nm_log_line line;
  char text[NM_LOG_LINE_MAX_BYTES / 2];
  int n = snprintf(text, sizeof text, "repeated %u times: %s", untold->count, untold->format);
  nm_log_line_begin(&line, untold->level, untold->room, NULL);
  size_t len = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
  nm_log_line_end(&line, (struct nm_text){ text, len });
  nm_log_writer_put(untold->level, &line);
}

/* Counts a line of this place.  False: it is one too many.  What the window before did not write is
 * in *untold then; its count is mostly 0. */
static bool admit(struct nm_log_place *place, enum nm_log_level level, const char *room,
                  const char *format, struct untold *untold)
{
  bool is_admitted = true, is_news = false;
  int64_t now_ms = nm_clock_mono_ms();
  untold->count = 0;
  pthread_mutex_lock(&repeats.lock);
  place->room = room;
  place->format = format;
  if (now_ms - place->window_ms[level] >= repeats.window_ms || place->window_ms[level] == 0) {
    *untold = (struct untold){ place->room, place->format, level, place->repeated[level] };
    place->window_ms[level] = now_ms;
    place->written[level] = place->repeated[level] = 0;
  }
  if (place->written[level] < NM_LOG_REPEATED_LINES_MAX) {
    place->written[level]++;
  } else {
    is_admitted = false;
    place->repeated[level]++;
    nm_metric_add(NM_METRIC_LOG_REPEATED, 1);
    is_news = !place->is_listed;
    if (is_news) {
      place->is_listed = true;
      place->next = repeats.first;
      repeats.first = place;
    }
  }
  pthread_mutex_unlock(&repeats.lock);
  if (is_news) nm_log_writer_tick();
  return is_admitted;
}

/* Takes what the place has to tell by now; false while something is left.  The lock is held. */
static bool take_untold(struct nm_log_place *place, bool is_last, int64_t now_ms,
                        struct untold *out, size_t max, size_t *count)
{
  bool is_empty = true;
  for (int level = 0; level < 4; level++) {
    bool is_due = is_last || now_ms - place->window_ms[level] >= repeats.window_ms;
    if (place->repeated[level] == 0) continue;
    if (!is_due || *count == max) {
      is_empty = false;
      continue;
    }
    out[(*count)++] = (struct untold){ place->room, place->format, (enum nm_log_level)level,
                                       place->repeated[level] };
    place->repeated[level] = 0;
  }
  return is_empty;
}

bool nm_log_tell_repeated(bool is_last)
{
  struct untold untold[TOLD_AT_ONCE];
  size_t count;
  bool has_more;
  do {
    count = 0;
    int64_t now_ms = nm_clock_mono_ms();
    pthread_mutex_lock(&repeats.lock);
    for (struct nm_log_place **at = &repeats.first; *at;) {
      struct nm_log_place *place = *at;
      if (take_untold(place, is_last, now_ms, untold, TOLD_AT_ONCE, &count)) {
        *at = place->next;
        place->is_listed = false;
      } else {
        at = &place->next;
      }
    }
    has_more = repeats.first != NULL;
    pthread_mutex_unlock(&repeats.lock);
    for (size_t i = 0; i < count; i++) write_untold(&untold[i]);
  } while (count == TOLD_AT_ONCE);
  return has_more;
}

/* ---- a line ---------------------------------------------------------------------------------- */

void nm_log_at(struct nm_log_place *place, enum nm_log_level level, const char *room,
               const struct nm_log_ids *ids, const char *format, ...)
{
  struct nm_log_line line;
  struct untold untold;
  char text[NM_LOG_LINE_MAX_BYTES / 2];
  va_list args;

  if (level == NM_LOG_ERROR) atomic_fetch_add(&errors, 1);
  if (!is_written(level, room)) return;
  if (may_be_repetition(level, ids)) {
    bool is_admitted = admit(place, level, room, format, &untold);
    if (untold.count > 0) write_untold(&untold);
    if (!is_admitted) return;
  }
  nm_log_line_begin(&line, level, room, ids);
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
  nm_log_line_end(&line, (struct nm_text){ text, len });
  nm_log_writer_put(level, &line);
}
