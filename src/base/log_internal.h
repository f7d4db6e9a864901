/* log_internal.h - what the files of the log share. */
#pragma once

#include "base/limits.h"
#include "base/log.h"

/* ---- log_line.c: the JSON of one line -------------------------------------------------------- */

struct nm_log_line {
  char bytes[NM_LOG_LINE_MAX_BYTES];
  size_t len;
};

void nm_log_line_begin(struct nm_log_line *line, enum nm_log_level level, const char *room,
                       const struct nm_log_ids *ids);

/* The message and the end; what is too long is cut. */
void nm_log_line_end(struct nm_log_line *line, struct nm_text message);

/* ---- log_writer.c: the buffer and its thread ------------------------------------------------- */

/* Takes a line, or counts it as lost; never waits for who reads stderr while the thread runs. */
void nm_log_writer_put(enum nm_log_level level, const struct nm_log_line *line);

/* Something was counted that must be told in time (see nm_log_tell_repeated()). */
void nm_log_writer_tick(void);

/* ---- log.c ----------------------------------------------------------------------------------- */

/* Writes how often places repeated themselves, where their window is over or `is_last`.  True while
 * there is more to be told later. */
bool nm_log_tell_repeated(bool is_last);

/* How long a window is: NM_LOG_REPEATED_WINDOW_MS, another one for tests. */
void nm_log_set_repeat_window(int64_t window_ms);
