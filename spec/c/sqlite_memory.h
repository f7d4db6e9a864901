/* sqlite_memory.h - SQLite's allocations, each of which may fail: for test_store_inject.c and
 * ../support/scarce.c, who know which of them do. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>

static struct {
  sqlite3_mem_methods real;
  bool (*is_out)(void);
} sqlite_memory;

static inline void *sqlite_malloc(int len)
{
  return sqlite_memory.is_out() ? NULL : sqlite_memory.real.xMalloc(len);
}

static inline void *sqlite_realloc(void *old, int len)
{
  return sqlite_memory.is_out() ? NULL : sqlite_memory.real.xRealloc(old, len);
}

/* Before the first use of SQLite.  is_out is asked before each allocation, in whatever thread.
 * Gives SQLite's code. */
static inline int wrap_sqlite(bool (*is_out)(void))
{
  sqlite_memory.is_out = is_out;
  int rc = sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory.real);
  sqlite3_mem_methods ours = sqlite_memory.real;
  ours.xMalloc = sqlite_malloc;
  ours.xRealloc = sqlite_realloc;
  return rc == SQLITE_OK ? sqlite3_config(SQLITE_CONFIG_MALLOC, &ours) : rc;
}
