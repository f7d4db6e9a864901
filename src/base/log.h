/* log.h - JSON lines on stderr: time, level, room, message, and the ids that let one follow an
 * event from its first byte to its last attempt.
 *
 * No secret, token, address or message text above debug.  Any thread.
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

/* Writes one line; above the line limit it is cut.  Borrows all; ids may be NULL. */
NM_PRINTF(4, 5)
void nm_log(enum nm_log_level level, const char *room, const struct nm_log_ids *ids,
            const char *format, ...);

/* Lines below this level are dropped; NM_LOG_INFO at start. */
void nm_log_set_level(enum nm_log_level level);

/* "debug", "info", "warn" or "error" into a level; false for any other word. */
bool nm_log_level_from(struct nm_text word, enum nm_log_level *out);

/* Lines written at error level since start (tests ask at their end). */
uint64_t nm_log_error_count(void);
