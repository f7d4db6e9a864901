#include "store/frames.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
  HELD_MAX_BYTES = 31 * NM_FRAME_BYTES, /* SQLite's file takes less than 128 KiB at once */
  SIZE_AT = 4, /* in a frame's head: the database's size after a commit, else 0 */
};

struct log_file {
  struct nm_file file; /* first */
  unsigned char *held; /* made with the first write */
  size_t held_len;
  sqlite3_int64 held_at;
  bool ends_commit; /* the page that comes next does */
};

static struct log_file *log_of(sqlite3_file *base)
{
  return (struct log_file *)(void *)base;
}

/* What could not be written is lost, and its transaction with it. */
static int write_held(struct log_file *log)
{
  sqlite3_file *real = log->file.real;
  size_t len = log->held_len;
  log->held_len = 0;
  return len > 0 ? real->pMethods->xWrite(real, log->held, (int)len, log->held_at) : SQLITE_OK;
}

/* Puts it behind what is held; false where there is no memory for that. */
static bool hold(struct log_file *log, const void *bytes, size_t len, sqlite3_int64 at)
{
  if (!log->held) log->held = malloc(HELD_MAX_BYTES);
  if (!log->held) return false;
  if (log->held_len == 0) log->held_at = at;
  memcpy(log->held + log->held_len, bytes, len);
  log->held_len += len;
  return true;
}

static bool says_commit(const unsigned char *head)
{
  static const unsigned char none[4] = { 0 };
  return memcmp(head + SIZE_AT, none, sizeof none) != 0;
}

static int on_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 at)
{
  struct log_file *log = log_of(base);
  sqlite3_file *real = log->file.real;
  bool is_head = len == NM_FRAME_HEAD_BYTES;
  bool ends_commit = log->ends_commit;
  bool follows = at == log->held_at + (sqlite3_int64)log->held_len &&
                 log->held_len + (size_t)len <= HELD_MAX_BYTES;
  int rc = follows ? SQLITE_OK : write_held(log);
  log->ends_commit = is_head && says_commit(bytes);
  if (rc != SQLITE_OK) return rc;
  if (!is_head && len != NM_PAGE_BYTES) { /* the log's own head, or a part of a page */
    rc = write_held(log);
    return rc == SQLITE_OK ? real->pMethods->xWrite(real, bytes, len, at) : rc;
  }
  if (!hold(log, bytes, (size_t)len, at)) return real->pMethods->xWrite(real, bytes, len, at);
  return ends_commit ? write_held(log) : SQLITE_OK;
}

/* ---- all else comes after what is held ------------------------------------------------------- */

static int on_read(sqlite3_file *base, void *out, int len, sqlite3_int64 at)
{
  int rc = write_held(log_of(base));
  sqlite3_file *real = log_of(base)->file.real;
  return rc == SQLITE_OK ? real->pMethods->xRead(real, out, len, at) : rc;
}

static int on_truncate(sqlite3_file *base, sqlite3_int64 size)
{
  int rc = write_held(log_of(base));
  return rc == SQLITE_OK ? nm_file_truncate(base, size) : rc;
}

static int on_sync(sqlite3_file *base, int flags)
{
  int rc = write_held(log_of(base));
  return rc == SQLITE_OK ? nm_file_sync(base, flags) : rc;
}

static int on_size(sqlite3_file *base, sqlite3_int64 *out)
{
  int rc = write_held(log_of(base));
  return rc == SQLITE_OK ? nm_file_size(base, out) : rc;
}

static int on_close(sqlite3_file *base)
{
  struct log_file *log = log_of(base);
  int rc = write_held(log);
  free(log->held);
  log->held = NULL;
  int closed = nm_file_close(base);
  return rc == SQLITE_OK ? closed : rc;
}

static const sqlite3_io_methods methods = {
  .iVersion = 1,
  .xClose = on_close,
  .xRead = on_read,
  .xWrite = on_write,
  .xTruncate = on_truncate,
  .xSync = on_sync,
  .xFileSize = on_size,
  .xLock = nm_file_lock,
  .xUnlock = nm_file_unlock,
  .xCheckReservedLock = nm_file_reserved,
  .xFileControl = nm_file_control,
  .xSectorSize = nm_file_sector,
  .xDeviceCharacteristics = nm_file_device,
};

const struct nm_file_kind nm_frames_file = { sizeof(struct log_file), &methods };
