/* arena_kit.h - an arena as long as the test, for tests that keep nothing else. */
#pragma once

#include "base/arena.h"
#include "check.h"

static struct nm_arena *arena;

static inline int arena_begin(void **state)
{
  (void)state;
  arena = nm_arena_create(64 << 20);
  return arena ? 0 : -1;
}

static inline int arena_end(void **state)
{
  (void)state;
  nm_arena_destroy(arena);
  return 0;
}
