#include "engine/width.h"

enum { SLOW_TIMES = 5, SLOW_MORE_MS = 500, CREEP = 64 };

static void bound(struct nm_width *width)
{
  if (width->most > 0 && width->allowed > width->most) width->allowed = width->most;
  if (width->allowed < 1) width->allowed = 1;
}

void nm_width_set(struct nm_width *width, size_t most, bool is_new)
{
  if (is_new) *width = (struct nm_width){ .allowed = NM_WIDTH_FIRST };
  width->most = (double)most;
  bound(width);
}

/* The first answer says what is quick; shorter ones at once, longer ones little by little. */
static bool is_slow(struct nm_width *width, double took_ms)
{
  bool is_first = width->quick_ms <= 0;
  bool is_long = !is_first && took_ms > width->quick_ms * SLOW_TIMES + SLOW_MORE_MS;
  if (is_first || took_ms < width->quick_ms) width->quick_ms = took_ms > 1 ? took_ms : 1;
  else width->quick_ms += (took_ms - width->quick_ms) / CREEP;
  return is_long;
}

bool nm_width_note(struct nm_width *width, enum nm_width_answer answer, int64_t started_ms,
                  int64_t now_ms)
{
  if (answer == NM_WIDTH_NOTHING) return false;
  bool is_trouble = answer == NM_WIDTH_TROUBLE;
  if (!is_trouble) is_trouble = is_slow(width, (double)(now_ms - started_ms));
  if (!is_trouble) {
    width->allowed += width->was_troubled ? 1 / width->allowed : 1;
    bound(width);
    return false;
  }
  /* What was under way when it was halved says the same thing once more. */
  if (width->was_troubled && started_ms < width->halved_at_ms) return false;
  width->was_troubled = true;
  width->halved_at_ms = now_ms;
  width->allowed /= 2;
  bound(width);
  return true;
}

size_t nm_width_allows(const struct nm_width *width)
{
  return width->most <= 0 ? SIZE_MAX : (size_t)width->allowed;
}
