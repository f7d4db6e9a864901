/* arena.h - memory of one request or event: made piece by piece, freed at once.
 *
 * Not for sharing between threads at the same time.
 */
#pragma once

#include "base/error.h"
#include "base/text.h"

struct nm_arena;

/* An arena that never holds more than max_bytes.  Gives; NULL when out of memory,
 * which is an arena too: one that holds nothing. */
struct nm_arena *nm_arena_create(size_t max_bytes);
void nm_arena_destroy(struct nm_arena *arena);

/* Forgets everything but keeps the first block, where it is an ordinary one, for the next use. */
void nm_arena_reset(struct nm_arena *arena);

/* Zeroed memory, aligned for any type; NULL above the maximum or out of memory. */
void *nm_arena_alloc(struct nm_arena *arena, size_t len);

/* A copy, NUL-terminated behind its length; ptr is NULL where there was no memory. */
struct nm_text nm_arena_copy(struct nm_arena *arena, struct nm_text text);

NM_PRINTF(2, 3)
struct nm_text nm_arena_printf(struct nm_arena *arena, const char *format, ...);

/* Percent-encoded (nm_text_put_escaped); ptr is NULL where there was no memory. */
struct nm_text nm_arena_escape(struct nm_arena *arena, struct nm_text text);

/* Whether memory was refused since create or reset: what was read into it may lack a part. */
bool nm_arena_has_refused(const struct nm_arena *arena);

/* Whether some of it was refused because the arena is full: with all the memory there is, it would
 * be so again. */
bool nm_arena_was_full(const struct nm_arena *arena);
