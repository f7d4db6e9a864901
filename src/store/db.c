/* One SQLite connection: opening, statements kept by their text's address, errors into ours. */
#include "store/internal.h"

#include "store/sums.h"

static int code_from(int sqlite_code)
{
  switch (sqlite_code & 0xff) {
  case SQLITE_FULL:
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return NM_EFULL;
  case SQLITE_NOMEM:
    return NM_ENOMEM;
  case SQLITE_INTERRUPT:
    return NM_ETIMEOUT;
  case SQLITE_CONSTRAINT:
  case SQLITE_ERROR:
  case SQLITE_MISUSE:
  case SQLITE_RANGE:
    return NM_EINTERNAL;
  case SQLITE_TOOBIG:
    return NM_ELIMIT;
  default:
    return NM_EIO;
  }
}

static int fail(struct nm_db *db, int sqlite_code)
{
  int code = sqlite_code == SQLITE_IOERR_NOMEM ? NM_ENOMEM : code_from(sqlite_code);
  if (!db->failure) {
    db->failure = sqlite_code;
    const char *word = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(sqlite_code);
    if ((sqlite_code & 0xff) == SQLITE_CORRUPT)
      word = "the file is damaged, its tables are malformed";
    if (sqlite_code == SQLITE_IOERR_DATA)
      word = "the file is damaged, a page is not as it was written";
    nm_fail(&db->error, code, "store: %s (SQLite %d)", word, sqlite_code);
  }
  return code;
}

int nm_db_open(struct nm_db *db, const char *path, int busy_timeout_ms, struct nm_error *err)
{
  *db = (struct nm_db){ 0 };
  int rc = sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                           nm_sums_vfs());
  if (rc == SQLITE_OK) {
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_timeout(db->handle, busy_timeout_ms);
    rc = sqlite3_exec(db->handle,
                      "PRAGMA mmap_size = 0; PRAGMA cache_size = -8192; PRAGMA foreign_keys = OFF;"
                      "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF",
                      NULL, NULL, NULL);
  }
  if (rc == SQLITE_OK) return NM_OK;

  if (db->handle) rc = sqlite3_extended_errcode(db->handle);
  int code = fail(db, rc);
  if ((rc & 0xff) == SQLITE_NOTADB || (rc & 0xff) == SQLITE_CORRUPT || rc == SQLITE_IOERR_DATA)
    nm_fail(err, code, "%s is damaged, or not a SQLite database: put a backup in its place", path);
  else nm_fail(err, code, "%s cannot be opened: %s", path, sqlite3_errmsg(db->handle));
  if (db->handle) /* the log of a crash stays: the mark of it does */
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
  nm_db_close(db);
  return code;
}

void nm_db_close(struct nm_db *db)
{
  for (size_t i = 0; i < NM_DB_STATEMENTS_MAX; i++)
    sqlite3_finalize(db->cached[i].stmt);
  sqlite3_close_v2(db->handle);
  *db = (struct nm_db){ 0 };
}

int nm_db_exec(struct nm_db *db, const char *sql)
{
  int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
  return rc == SQLITE_OK ? NM_OK : fail(db, rc);
}

static int prepare(struct nm_db *db, const char *sql, sqlite3_stmt **out)
{
  size_t at = ((uintptr_t)sql >> 3) * 0x9E3779B1u % NM_DB_STATEMENTS_MAX;
  size_t seen = 0;
  while (db->cached[at].sql && db->cached[at].sql != sql) {
    at = (at + 1) % NM_DB_STATEMENTS_MAX;
    nm_require(++seen < NM_DB_STATEMENTS_MAX);
  }
  if (!db->cached[at].stmt) {
    int rc = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                &db->cached[at].stmt, NULL);
    if (rc != SQLITE_OK) return fail(db, rc);
    db->cached[at].sql = sql;
  }
  *out = db->cached[at].stmt;
  return NM_OK;
}

static int bind_value(sqlite3_stmt *stmt, int at, const struct nm_value *value)
{
  struct nm_text text = value->text;
  if (value->kind == NM_VALUE_NUMBER) return sqlite3_bind_int64(stmt, at, value->number);
  if (!text.ptr) text.ptr = "";
  if (value->kind == NM_VALUE_BLOB)
    return sqlite3_bind_blob64(stmt, at, text.ptr, text.len, SQLITE_STATIC);
  return sqlite3_bind_text64(stmt, at, text.ptr, text.len, SQLITE_STATIC, SQLITE_UTF8);
}

int nm_db_find_values(struct nm_db *db, sqlite3_stmt **out, const char *sql,
                      const struct nm_value *values, size_t count)
{
  sqlite3_stmt *stmt;
  *out = NULL; /* who resets it whatever came of this may do so */
  int rc = prepare(db, sql, &stmt);
  if (rc) return rc;
  sqlite3_reset(stmt);
  for (size_t i = 0; i < count; i++) {
    int bound = bind_value(stmt, (int)i + 1, &values[i]);
    if (bound != SQLITE_OK) return fail(db, bound);
  }
  *out = stmt;
  return NM_OK;
}

int nm_db_step(struct nm_db *db, sqlite3_stmt *stmt)
{
  int rc = sqlite3_step(stmt);
  if (rc == SQLITE_ROW) return 1;
  if (rc != SQLITE_DONE) rc = fail(db, rc);
  else rc = 0;
  sqlite3_reset(stmt);
  return rc;
}

int nm_db_run_values(struct nm_db *db, const char *sql, const struct nm_value *values, size_t count)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find_values(db, &stmt, sql, values, count);
  while (rc == 0 && (rc = nm_db_step(db, stmt)) == 1)
    rc = 0;
  return rc;
}

int nm_db_insert(struct nm_db *db, const struct nm_db_insert *insert, const struct nm_value *values,
                 size_t rows)
{
  int rc = NM_OK;
  for (size_t done = 0, step; rc == 0 && done < rows; done += step) {
    size_t left = rows - done;
    step = left >= 16 ? 16 : left >= 4 ? 4 : 1;
    const char *sql = step == 16 ? insert->sixteen : step == 4 ? insert->four : insert->one;
    rc = nm_db_run_values(db, sql, &values[done * insert->columns], step * insert->columns);
  }
  return rc;
}

int nm_db_number_values(struct nm_db *db, int64_t *out, int64_t otherwise, const char *sql,
                        const struct nm_value *values, size_t count)
{
  sqlite3_stmt *stmt;
  int rc = nm_db_find_values(db, &stmt, sql, values, count);
  if (rc) return rc;
  rc = nm_db_step(db, stmt);
  if (rc < 0) return rc;
  *out = rc == 1 ? sqlite3_column_int64(stmt, 0) : otherwise;
  sqlite3_reset(stmt);
  return NM_OK;
}

struct nm_text nm_row_text(struct nm_row *row, int column)
{
  const void *bytes = sqlite3_column_blob(row->stmt, column);
  int len = sqlite3_column_bytes(row->stmt, column);
  if (len <= 0 || !bytes) return NM_TEXT("");
  struct nm_text copy = nm_arena_copy(row->arena, (struct nm_text){ bytes, (size_t)len });
  if (!copy.ptr) row->is_short = true;
  return copy;
}
