/* problems.h - what is wrong with a file, line by line, all of it at once. */
#pragma once

#include "base/arena.h"

struct nm_problem {
  struct nm_problem *next;
  struct nm_text text; /* the whole line: `rules/acme.lua: templates[1202]: no message named ...` */
  struct nm_text trace; /* for --trace; may be empty */
};

enum { NM_PROBLEMS_MAX = 200 };

/* Zero-initialised with an arena; lives as long as that arena. */
struct nm_problems {
  struct nm_arena *arena;
  struct nm_problem *first, *last;
  size_t count;
};

/* Adds a line; above NM_PROBLEMS_MAX it only counts.  Where there is no memory for it, a line that
 * says so ends the list: whoever counts a problem also has one to show. */
NM_PRINTF(2, 3)
void nm_problems_add(struct nm_problems *problems, const char *format, ...);

/* The trace of the line added last; nothing where that one was only counted. */
void nm_problems_add_trace(struct nm_problems *problems, struct nm_text trace);

/* The known word nearest to `word` (at most a third of its letters differ), or NULL. */
const char *nm_nearest(struct nm_text word, const char *const *known, size_t count);
