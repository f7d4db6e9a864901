/* width.h - how many sends may be under way at a time, following what the provider answers.  Pure.
 *
 * Begins with NM_WIDTH_FIRST; while all is well each answer allows one more, until the first
 * trouble; from then on one more a round of answers.  Throttled, failed or slow halves it, once for
 * all that was under way then; never below one, never above the most that adapter and settings
 * allow.  Slow is measured against the quickest answers seen: five times as long, and half a second
 * more.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NM_WIDTH_FIRST = 4 };

struct nm_width {
  double allowed;       /* between 1 and most */
  double most;          /* 0 = as many as there are */
  double quick_ms;      /* what a quick answer takes; creeps up where answers get longer */
  int64_t halved_at_ms; /* monotonic; 0 = never */
  bool was_troubled;
};

enum nm_width_answer { NM_WIDTH_WELL = 0, NM_WIDTH_TROUBLE = 1, NM_WIDTH_NOTHING = 2 };

/* A new one, or another most for the one that is there. */
void nm_width_set(struct nm_width *width, size_t most, bool is_new);

/* A send has ended; true where this halved it. */
bool nm_width_note(struct nm_width *width, enum nm_width_answer answer, int64_t started_ms,
                   int64_t now_ms);

/* So many may be under way. */
size_t nm_width_allows(const struct nm_width *width);
