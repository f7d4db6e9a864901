/* rows.c - the bare SQLite loop: as many message rows as a campaign has recipients, put in and then
 * marked as sent, each in commits of 1024, WAL and FULL, keys in order of time.
 *
 *   rows FILE COUNT     prints {"insert_s":..,"finish_s":..}
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GROUP_ROWS = 1024 };

static sqlite3 *db;

static _Noreturn void fail(const char *what)
{
  fprintf(stderr, "rows: %s: %s\n", what, db ? sqlite3_errmsg(db) : "");
  exit(3);
}

static void run(const char *sql)
{
  if (sqlite3_exec(db, sql, NULL, NULL, NULL)) fail(sql);
}

static sqlite3_stmt *prepare(const char *sql)
{
  sqlite3_stmt *statement = NULL;
  if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL)) fail(sql);
  return statement;
}

static void step(sqlite3_stmt *statement)
{
  if (sqlite3_step(statement) != SQLITE_DONE) fail("step");
  sqlite3_reset(statement);
}

static double now_s(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void open_file(const char *path)
{
  if (sqlite3_open(path, &db)) fail("open");
  run("PRAGMA journal_mode=WAL");
  run("PRAGMA synchronous=FULL");
  run("PRAGMA wal_autocheckpoint=4000");
  run("CREATE TABLE messages (id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL,"
      " state INTEGER NOT NULL, recipient TEXT NOT NULL, content TEXT NOT NULL,"
      " due_at INTEGER NOT NULL, ended_at INTEGER NOT NULL) STRICT;"
      "CREATE INDEX messages_waiting ON messages (due_at) WHERE state = 0");
}

static void insert(int64_t count)
{
  sqlite3_stmt *statement = prepare("INSERT INTO messages VALUES (?, 1, 0, ?, ?, 1, 0)");
  static const char content[] = "{\"notification_key\":\"106\",\"params\":{\"name\":\"Ada\"}}";
  char recipient[32];
  for (int64_t id = 1; id <= count; id++) {
    if (id % GROUP_ROWS == 1) run("BEGIN IMMEDIATE");
    int len = snprintf(recipient, sizeof recipient, "C%" PRId64, id);
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_text(statement, 2, recipient, len, SQLITE_STATIC);
    sqlite3_bind_text(statement, 3, content, sizeof content - 1, SQLITE_STATIC);
    step(statement);
    if (id % GROUP_ROWS == 0 || id == count) run("COMMIT");
  }
  sqlite3_finalize(statement);
}

static void finish(int64_t count)
{
  sqlite3_stmt *statement =
      prepare("UPDATE messages SET state = 1, content = '', ended_at = 2 WHERE id = ?");
  for (int64_t id = 1; id <= count; id++) {
    if (id % GROUP_ROWS == 1) run("BEGIN IMMEDIATE");
    sqlite3_bind_int64(statement, 1, id);
    step(statement);
    if (id % GROUP_ROWS == 0 || id == count) run("COMMIT");
  }
  sqlite3_finalize(statement);
}

int main(int argc, char **argv)
{
  int64_t count = argc == 3 ? strtoll(argv[2], NULL, 10) : 0;
  if (count <= 0) {
    fprintf(stderr, "usage: rows FILE COUNT\n");
    return 2;
  }
  open_file(argv[1]);
  double began = now_s();
  insert(count);
  double inserted = now_s();
  finish(count);
  printf("{\"insert_s\":%.4f,\"finish_s\":%.4f}\n", inserted - began, now_s() - inserted);
  sqlite3_close(db);
  return 0;
}
