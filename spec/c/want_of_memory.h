/* want_of_memory.h - the i-th allocation fails, once or from then on.
 *
 * For programs whose first line says "wraps: malloc calloc realloc".  They say which
 * allocations are the test's own: is_tests_own() is theirs.
 */
#pragma once

#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"

/* Bits. */
enum memory_source { MEMORY_OURS = 1, MEMORY_JANSSONS = 2, MEMORY_SQLITES = 4, MEMORY_ALL = 7 };

static struct {
  atomic_bool is_armed;
  bool for_ever;
  unsigned sources;
  atomic_long after, calls[MEMORY_ALL + 1], failed;
} memory;

/* The program's own: true for the test's allocations, which never fail and are not counted. */
static bool is_tests_own(void);

static inline bool is_out_of_memory(enum memory_source source)
{
  if (is_tests_own()) return false;
  memory.calls[source]++;
  if (!memory.is_armed || !(memory.sources & source)) return false;
  long left = atomic_fetch_sub(&memory.after, 1);
  if (left != 0 && !(left < 0 && memory.for_ever)) return false;
  memory.failed++;
  return true;
}

static inline long memory_calls(unsigned sources)
{
  long calls = 0;
  for (unsigned bit = MEMORY_OURS; bit <= MEMORY_SQLITES; bit *= 2)
    if (sources & bit) calls += memory.calls[bit];
  return calls;
}

/* Of the sources, the one after `after` others fails, or each from there on. */
static inline void memory_fail(unsigned sources, long after, bool for_ever)
{
  memory.sources = sources;
  memory.after = after;
  memory.for_ever = for_ever;
  memory.failed = 0;
  memory.is_armed = true;
}

/* True where one failed. */
static inline bool memory_mend(void)
{
  memory.is_armed = false;
  return memory.failed > 0;
}

/* ---- where they come ------------------------------------------------------------------------- */

void *__real_malloc(size_t len);
void *__real_calloc(size_t count, size_t len);
void *__real_realloc(void *old, size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__wrap_realloc(void *old, size_t len);

void *__wrap_malloc(size_t len)
{
  return is_out_of_memory(MEMORY_OURS) ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t count, size_t len)
{
  return is_out_of_memory(MEMORY_OURS) ? NULL : __real_calloc(count, len);
}

void *__wrap_realloc(void *old, size_t len)
{
  return is_out_of_memory(MEMORY_OURS) ? NULL : __real_realloc(old, len);
}

static inline void *jansson_malloc(size_t len)
{
  return is_out_of_memory(MEMORY_JANSSONS) ? NULL : __real_malloc(len);
}

/* Before the first use of jansson. */
static inline void wrap_jansson(void)
{
  json_set_alloc_funcs(jansson_malloc, free);
}
