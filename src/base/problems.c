#include "base/problems.h"

#include <stdarg.h>
#include <stdio.h>

enum { LINE_MAX_BYTES = 1024, WORD_MAX_BYTES = 48 };

/* Ends the list where a line could not be kept, so that what is refused is never refused without a
 * word.  Shared by all, and never written to. */
static const char lost_text[] = "out of memory: not all that is wrong is said";
static struct nm_problem lost = { .text = { lost_text, sizeof lost_text - 1 } };

static struct nm_problem *make(struct nm_arena *arena, const char *line)
{
  struct nm_problem *problem = nm_arena_alloc(arena, sizeof *problem);
  if (!problem) return &lost;
  problem->text = nm_arena_copy(arena, nm_text_from(line));
  return problem->text.ptr ? problem : &lost;
}

void nm_problems_add(struct nm_problems *problems, const char *format, ...)
{
  char line[LINE_MAX_BYTES];
  va_list args;

  problems->count++;
  if (problems->count > NM_PROBLEMS_MAX || problems->last == &lost) return;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  struct nm_problem *problem = make(problems->arena, line);
  if (problems->last) problems->last->next = problem;
  else problems->first = problem;
  problems->last = problem;
}

void nm_problems_add_trace(struct nm_problems *problems, struct nm_text trace)
{
  if (!problems->last || problems->last == &lost || problems->count > NM_PROBLEMS_MAX) return;
  problems->last->trace = nm_arena_copy(problems->arena, trace);
}

static size_t least(size_t a, size_t b, size_t c)
{
  size_t ab = a < b ? a : b;
  return ab < c ? ab : c;
}

/* Levenshtein distance, with a swap of neighbours counted as one. */
static size_t distance(struct nm_text a, struct nm_text b)
{
  size_t rows[3][WORD_MAX_BYTES + 1];
  for (size_t j = 0; j <= b.len; j++) rows[0][j] = j;
  for (size_t i = 1; i <= a.len; i++) {
    size_t *now = rows[i % 3], *above = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];
    now[0] = i;
    for (size_t j = 1; j <= b.len; j++) {
      size_t cost = a.ptr[i - 1] != b.ptr[j - 1];
      now[j] = least(above[j] + 1, now[j - 1] + 1, above[j - 1] + cost);
      if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1] &&
          two[j - 2] + 1 < now[j])
        now[j] = two[j - 2] + 1;
    }
  }
  return rows[a.len % 3][b.len];
}

const char *nm_nearest(struct nm_text word, const char *const *known, size_t count)
{
  const char *best = NULL;
  size_t best_distance = word.len / 3 + 1;
  if (word.len > WORD_MAX_BYTES) return NULL;
  for (size_t i = 0; i < count; i++) {
    struct nm_text candidate = nm_text_from(known[i]);
    if (candidate.len > WORD_MAX_BYTES) continue;
    size_t d = distance(word, candidate);
    if (d <= best_distance && (!best || d < best_distance)) {
      best = known[i];
      best_distance = d;
    }
  }
  return best;
}
