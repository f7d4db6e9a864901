#include "base/arena.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 4096 };

struct block {
  struct block *next;
  size_t size;
  size_t used;
  alignas(max_align_t) unsigned char bytes[];
};

struct nm_arena {
  struct block *first; /* newest in front; the last one is the first made */
  size_t used;
  size_t max_bytes;
  bool has_refused, was_full;
};

struct nm_arena *nm_arena_create(size_t max_bytes)
{
  struct nm_arena *arena = calloc(1, sizeof *arena);
  if (arena) arena->max_bytes = max_bytes;
  return arena;
}

void nm_arena_destroy(struct nm_arena *arena)
{
  if (!arena) return;
  while (arena->first) {
    struct block *next = arena->first->next;
    free(arena->first);
    arena->first = next;
  }
  free(arena);
}

void nm_arena_reset(struct nm_arena *arena)
{
  if (!arena) return;
  while (arena->first && arena->first->next) {
    struct block *next = arena->first->next;
    free(arena->first);
    arena->first = next;
  }
  if (arena->first && arena->first->size > BLOCK_BYTES) {
    free(arena->first);
    arena->first = NULL;
  }
  if (arena->first) arena->first->used = 0;
  arena->used = 0;
  arena->has_refused = arena->was_full = false;
}

static struct block *add_block(struct nm_arena *arena, size_t len)
{
  size_t size = len > BLOCK_BYTES ? len : BLOCK_BYTES;
  struct block *block = malloc(sizeof *block + size);
  if (!block) return NULL;
  *block = (struct block){ .next = arena->first, .size = size };
  arena->first = block;
  return block;
}

/* Where len more fit, or NULL. */
static struct block *find_room(struct nm_arena *arena, size_t len, size_t rounded)
{
  if (len > arena->max_bytes || arena->used > arena->max_bytes - len) {
    arena->was_full = true;
    return NULL;
  }
  struct block *block = arena->first;
  return block && block->size - block->used >= rounded ? block : add_block(arena, rounded);
}

void *nm_arena_alloc(struct nm_arena *arena, size_t len)
{
  if (!arena) return NULL;
  size_t align = alignof(max_align_t);
  size_t rounded = (len + align - 1) / align * align;
  struct block *block = find_room(arena, len, rounded);
  if (!block) {
    arena->has_refused = true;
    return NULL;
  }
  void *out = block->bytes + block->used;
  block->used += rounded;
  arena->used += rounded;
  return memset(out, 0, len);
}

struct nm_text nm_arena_copy(struct nm_arena *arena, struct nm_text text)
{
  char *copy = nm_arena_alloc(arena, text.len + 1);
  if (!copy) return (struct nm_text){ NULL, 0 };
  if (text.len > 0) memcpy(copy, text.ptr, text.len);
  return (struct nm_text){ copy, text.len };
}

struct nm_text nm_arena_printf(struct nm_arena *arena, const char *format, ...)
{
  struct nm_text out = { NULL, 0 };
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int needed = vsnprintf(NULL, 0, format, args);
  va_end(args);
  char *bytes = needed < 0 ? NULL : nm_arena_alloc(arena, (size_t)needed + 1);
  if (bytes) {
    vsnprintf(bytes, (size_t)needed + 1, format, again);
    out = (struct nm_text){ bytes, (size_t)needed };
  }
  va_end(again);
  return out;
}

struct nm_text nm_arena_escape(struct nm_arena *arena, struct nm_text text)
{
  char *out = nm_arena_alloc(arena, nm_text_put_escaped(NULL, text) + 1);
  return (struct nm_text){ out, out ? nm_text_put_escaped(out, text) : 0 };
}

bool nm_arena_has_refused(const struct nm_arena *arena)
{
  return !arena || arena->has_refused;
}

bool nm_arena_was_full(const struct nm_arena *arena)
{
  return arena && arena->was_full;
}
