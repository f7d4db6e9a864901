/* log.h - JSON lines on stderr: time, level, room, message, and the ids that let one follow an
 * event from its first byte to its last attempt.
 *
 * No secret, token, address or message text above debug.  Any thread.
 *
 * Until nm_log_start() and after nm_log_stop() a line is written by who logs it.  Between them it
 * goes into a bounded buffer, which a thread of its own writes out: whoever logs never waits for
 * who reads stderr.  What does not fit is counted, and a line says how many were lost.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

enum nm_log_level { NM_LOG_DEBUG = 0, NM_LOG_INFO = 1, NM_LOG_WARN = 2, NM_LOG_ERROR = 3 };

/* Whatever is known of what the line is about; zero or empty fields are left out. */
struct nm_log_ids {
  struct nm_text tenant;
  int64_t event;
  int64_t run;
  int64_t message;
};

/* Where in the code a line comes from, and how often it came lately; one for each nm_log(). */
struct nm_log_place {
  struct nm_log_place *next; /* among those that have something to tell */
  const char *room, *format;
  int64_t window_ms[4]; /* of each level: when its window began */
  unsigned written[4], repeated[4];
  bool is_listed;
};

/* Writes one line; above the line limit it is cut.  Borrows all; ids may be NULL.  Arguments:
 * enum nm_log_level, the room, const struct nm_log_ids *, a format and its values.
 *
 * The same place and level writes NM_LOG_REPEATED_LINES_MAX lines in NM_LOG_REPEATED_WINDOW_MS;
 * the others are counted, and one line says how many there were.  Lines at info about one event,
 * run or message are no repetition, and whoever asks for debug gets all of it. */
#define nm_log(level, room, ids, ...)                                                              \
  __extension__({                                                                                  \
    static struct nm_log_place nm_log_here;                                                        \
    nm_log_at(&nm_log_here, level, room, ids, __VA_ARGS__);                                        \
  })

NM_PRINTF(5, 6)
void nm_log_at(struct nm_log_place *place, enum nm_log_level level, const char *room,
               const struct nm_log_ids *ids, const char *format, ...);

/* A reason that rules or a peer wrote, without what may be a person's: what stands in double
 * quotes, and words with an @, or with NM_LOG_PERSONAL_MIN_BYTES letters and digits in a row,
 * become "...". In `out`. */
struct nm_text nm_log_discreet(char out[NM_ERROR_TEXT_MAX_BYTES], struct nm_text reason);

/* ---- its thread ------------------------------------------------------------------------------ */

/* Starts it, and lets a process that crashes or exits write first what it had to say.  NM_EIO: no
 * thread to be had; lines are then written by who logs them. */
NM_MUST_CHECK int nm_log_start(void);

/* Writes what there is, also what was counted, and ends the thread.  Where nobody reads stderr it
 * gives up after NM_LOG_FLUSH_MAX_MS.  Without a thread it does nothing. */
void nm_log_stop(void);

/* Waits until what was logged before is written, NM_LOG_FLUSH_MAX_MS at most: before _exit(). */
void nm_log_flush(void);

/* ---- what is written ------------------------------------------------------------------------- */

/* Lines below this level are dropped; NM_LOG_INFO at start. */
void nm_log_set_level(enum nm_log_level level);
enum nm_log_level nm_log_get_level(void);

/* The same for one room alone.  NM_ENOTFOUND: there is no such room. */
NM_MUST_CHECK int nm_log_set_room_level(struct nm_text room, enum nm_log_level level);

/* The room follows nm_log_set_level() again. */
NM_MUST_CHECK int nm_log_unset_room_level(struct nm_text room);

/* True where the room has a level of its own; *level is what holds for it either way. */
bool nm_log_room_level(struct nm_text room, enum nm_log_level *level);

/* The names of all rooms that log; *count of them. */
const char *const *nm_log_rooms(size_t *count);

/* "debug", "info", "warn" or "error" into a level, false for any other word; and back. */
bool nm_log_level_from(struct nm_text word, enum nm_log_level *out);
const char *nm_log_level_name(enum nm_log_level level);

/* Lines at error level since start, written or not (tests ask at their end). */
uint64_t nm_log_error_count(void);
