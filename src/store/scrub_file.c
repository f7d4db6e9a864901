/* The end of an erasure: the log goes into the database and is cut to nothing, and the pages of the
 * file are read once, to see whether what was taken away is really gone from them.
 *
 * SQLite overwrites what is deleted (secure_delete), but where it splits a page, copies of moved
 * cells may stay in the unused room between the others; rebuilding the table takes them away. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/sqlite.h"

enum { READ_BYTES = 1024 * 1024, OVERLAP_MAX_BYTES = 4096, TRUNCATE_TRIES = 20 };
enum { VACUUM_MAX_BYTES = 128 * 1024 * 1024 };

/* Waits for readers and the writer, each time as long as a connection waits for a lock. */
static int truncate_log(struct nm_sqlite *sqlite, struct nm_error *err)
{
  sqlite3 *handle = sqlite->checkpointer.handle;
  int rc = SQLITE_BUSY;
  for (int i = 0; i < TRUNCATE_TRIES && (rc & 0xff) == SQLITE_BUSY; i++)
    rc = sqlite3_wal_checkpoint_v2(handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
  nm_lock_unmark(sqlite->lock_fd, true); /* what it marked is in the database now */
  if (rc == SQLITE_OK)
    return NM_OK;
  if ((rc & 0xff) == SQLITE_IOERR)
    nm_sqlite_break(sqlite, sqlite3_errmsg(handle));
  return nm_fail(err, (rc & 0xff) == SQLITE_BUSY ? NM_ETIMEOUT : NM_EIO,
                 "the log of %s could not be truncated: %s", sqlite->path, sqlite3_errmsg(handle));
}

static bool holds_any(const json_t *needles, struct nm_text bytes)
{
  size_t i;
  json_t *needle;
  json_array_foreach(needles, i, needle) if (memmem(bytes.ptr, bytes.len, json_string_value(needle),
                                                    json_string_length(needle))) return true;
  return false;
}

/* Through SQLite's own handle: another descriptor of the file would drop its locks when it is
 * closed.
 */
static int count_traces(struct nm_sqlite *sqlite, const json_t *needles, int64_t *traces)
{
  sqlite3_file *file = NULL;
  sqlite3_int64 size = 0;
  char *bytes = malloc(READ_BYTES + OVERLAP_MAX_BYTES);
  *traces = -1;
  if (!bytes)
    return NM_ENOMEM;
  int rc =
      sqlite3_file_control(sqlite->checkpointer.handle, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (rc == SQLITE_OK && file && file->pMethods)
    rc = file->pMethods->xFileSize(file, &size);
  else
    rc = SQLITE_ERROR;
  if (rc == SQLITE_OK)
    *traces = 0;
  for (sqlite3_int64 at = 0; rc == SQLITE_OK && at < size; at += READ_BYTES) {
    sqlite3_int64 left = size - at;
    int len = left < READ_BYTES + OVERLAP_MAX_BYTES ? (int)left : READ_BYTES + OVERLAP_MAX_BYTES;
    rc = file->pMethods->xRead(file, bytes, len, at);
    if (rc == SQLITE_IOERR_SHORT_READ)
      rc = SQLITE_OK;
    if (rc == SQLITE_OK && holds_any(needles, (struct nm_text){ bytes, (size_t)len }))
      ++*traces;
  }
  free(bytes);
  return NM_OK; /* what cannot be read is not looked at: traces says so */
}

/* Where traces are left and the file is not too large to be rewritten, it is rewritten. */
static int look(struct nm_sqlite *sqlite, struct nm_store_scrub *scrub, const json_t *needles)
{
  struct nm_error *err = &scrub->request.error;
  sqlite3 *handle = sqlite->checkpointer.handle;
  int64_t pages = 0;
  int rc = count_traces(sqlite, needles, &scrub->traces);
  if (rc || scrub->traces <= 0)
    return rc;
  struct nm_db *db = &sqlite->checkpointer;
  db->failure = 0;
  rc = nm_db_number_values(db, &pages, 0, "PRAGMA page_count", NULL, 0);
  if (rc || pages > VACUUM_MAX_BYTES / 4096)
    return NM_OK;
  if (sqlite3_exec(handle, "PRAGMA secure_delete = ON; VACUUM", NULL, NULL, NULL) != SQLITE_OK) {
    nm_log(NM_LOG_WARN, "store", NULL, "%s could not be rewritten: %s", sqlite->path,
           sqlite3_errmsg(handle));
    return NM_OK;
  }
  rc = truncate_log(sqlite, err);
  return rc ? rc : count_traces(sqlite, needles, &scrub->traces);
}

int nm_sqlite_scrub(struct nm_sqlite *sqlite, struct nm_store_scrub *scrub)
{
  json_t *needles = NULL;
  scrub->traces = -1;
  int rc = truncate_log(sqlite, &scrub->request.error);
  if (rc || scrub->needles.len == 0)
    return rc;
  rc = nm_json_parse_any(&needles, scrub->needles, NULL);
  if (rc == NM_ENOMEM)
    return nm_fail(&scrub->request.error, rc, "store: no memory to look for traces");
  if (rc)
    return NM_OK;
  if (json_array_size(needles) > 0)
    rc = look(sqlite, scrub, needles);
  json_decref(needles);
  return rc;
}
