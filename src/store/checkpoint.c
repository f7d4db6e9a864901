/* The log goes into the database on a thread of its own, so that no commit waits for it. */
#include "store/sqlite.h"

#include "base/log.h"
#include "base/point.h"

int nm_sqlite_on_commit(void *data, sqlite3 *handle, const char *database, int pages)
{
  struct nm_sqlite *sqlite = data;
  (void)database;
  nm_wal_mark_commit(sqlite->lock_fd, handle, pages);
  uv_mutex_lock(&sqlite->checkpoint_lock);
  bool began_anew = pages < sqlite->wal_pages;
  if (began_anew) sqlite->next_at_pages = sqlite->step_pages;
  sqlite->wal_pages = pages;
  if (pages >= sqlite->next_at_pages) uv_cond_signal(&sqlite->checkpoint_wanted);
  uv_mutex_unlock(&sqlite->checkpoint_lock);
  return SQLITE_OK;
}

/* ---- the log into the database --------------------------------------------------------------- */

enum {
  ROUNDS_MAX = 4,      /* after the log, while the writer adds to it */
  REST_PAGES_MAX = 256, /* so few may be left when the writer is asked to rest */
  REST_WAIT_MS = 100,  /* for a transaction that is under way */
  READERS_WAIT_MS = 5, /* for readers, while the writer rests */
  LOCK_WAIT_MS = 5000,
};

/* SQLite syncs the database only where a checkpoint reaches the end of the log: at once all that
 * was copied since the last time, while the writer waits.  So it is done here, step by step. */
static int sync_database(sqlite3 *handle)
{
  sqlite3_file *file = NULL;
  int rc = sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (rc != SQLITE_OK || !file || !file->pMethods) return rc;
  return file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
}

static int pages_of_log(struct nm_sqlite *sqlite)
{
  uv_mutex_lock(&sqlite->checkpoint_lock);
  int pages = sqlite->wal_pages;
  uv_mutex_unlock(&sqlite->checkpoint_lock);
  return pages;
}

/* Copies what nobody reads and waits for nobody; *left is what came meanwhile. */
static int copy(struct nm_sqlite *sqlite, int *left)
{
  sqlite3 *handle = sqlite->checkpointer.handle;
  int pages = 0, done = 0;
  int rc = sqlite3_wal_checkpoint_v2(handle, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &done);
  if (rc == SQLITE_OK) rc = sync_database(handle);
  *left = pages_of_log(sqlite) - done;
  return rc;
}

void nm_sqlite_rest(struct nm_sqlite *sqlite)
{
  if (!atomic_load(&sqlite->is_rest_wanted)) return;
  uv_mutex_lock(&sqlite->checkpoint_lock);
  sqlite->is_resting = true;
  uv_cond_signal(&sqlite->rest_begun);
  while (atomic_load(&sqlite->is_rest_wanted))
    uv_cond_wait(&sqlite->rest_over, &sqlite->checkpoint_lock);
  sqlite->is_resting = false;
  uv_mutex_unlock(&sqlite->checkpoint_lock);
}

/* The short rest of the log, between two transactions: the next one begins it anew.  The writer
 * does not meet the lock, for which SQLite waits in ever longer sleeps. */
static int end_log(struct nm_sqlite *sqlite)
{
  sqlite3 *handle = sqlite->checkpointer.handle;
  uint64_t until = uv_hrtime() + (uint64_t)REST_WAIT_MS * 1000000, now;
  uv_mutex_lock(&sqlite->checkpoint_lock);
  atomic_store(&sqlite->is_rest_wanted, true);
  while (!sqlite->is_resting && !sqlite->is_stopping && (now = uv_hrtime()) < until)
    uv_cond_timedwait(&sqlite->rest_begun, &sqlite->checkpoint_lock, until - now);
  uv_mutex_unlock(&sqlite->checkpoint_lock);

  sqlite3_busy_timeout(handle, READERS_WAIT_MS);
  int rc = sqlite3_wal_checkpoint_v2(handle, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
  sqlite3_busy_timeout(handle, LOCK_WAIT_MS);

  uv_mutex_lock(&sqlite->checkpoint_lock);
  atomic_store(&sqlite->is_rest_wanted, false);
  uv_cond_broadcast(&sqlite->rest_over);
  uv_mutex_unlock(&sqlite->checkpoint_lock);
  return rc;
}

/* While commits keep coming a copy never reaches the end of the log: above its limit what is left
 * is made small, copy by copy, until the writer can do without it for a moment.  A log that grows
 * faster than it is copied has to wait for it. */
static void checkpoint(struct nm_sqlite *sqlite)
{
  int left = 0, pages = 0;
  NM_POINT(checkpoint_begun);
  int rc = copy(sqlite, &left);
  for (int i = 1; rc == SQLITE_OK && (pages = pages_of_log(sqlite)) > sqlite->max_pages; i++) {
    if (left <= REST_PAGES_MAX || pages > 2 * sqlite->max_pages) {
      rc = end_log(sqlite);
      break;
    }
    if (i >= ROUNDS_MAX) break;
    rc = copy(sqlite, &left);
  }
  NM_POINT(checkpoint_ended);
  if (rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY) return;
  if ((rc & 0xff) == SQLITE_IOERR) nm_sqlite_break(sqlite, sqlite3_errstr(rc));
  else
    nm_log(NM_LOG_WARN, "store", NULL, "checkpoint of %s: %s; the log grows meanwhile",
           sqlite->path, sqlite3_errstr(rc));
}

/* ---- scrubs ---------------------------------------------------------------------------------- */

int nm_sqlite_post_scrub(struct nm_sqlite *sqlite, struct nm_store_request *request)
{
  struct nm_mail *mail = &request->task.mail;
  mail->next = NULL;
  uv_mutex_lock(&sqlite->checkpoint_lock);
  bool is_stopping = sqlite->is_stopping;
  if (!is_stopping) {
    if (sqlite->last_scrub) sqlite->last_scrub->next = mail;
    else sqlite->scrubs = mail;
    sqlite->last_scrub = mail;
    uv_cond_signal(&sqlite->checkpoint_wanted);
  }
  uv_mutex_unlock(&sqlite->checkpoint_lock);
  return is_stopping ? NM_ECLOSED : NM_OK;
}

static struct nm_store_scrub *take_scrub(struct nm_sqlite *sqlite)
{
  struct nm_mail *mail = sqlite->scrubs;
  if (!mail) return NULL;
  sqlite->scrubs = mail->next;
  if (!mail->next) sqlite->last_scrub = NULL;
  return (struct nm_store_scrub *)(void *)mail;
}

static void answer_scrub(struct nm_sqlite *sqlite, struct nm_store_scrub *scrub, bool is_stopping)
{
  struct nm_store_request *request = &scrub->request;
  request->error = (struct nm_error){ 0 };
  if (is_stopping || atomic_load(&sqlite->is_broken))
    request->rc = nm_fail(&request->error, NM_ECLOSED, "the store is closing");
  else request->rc = nm_sqlite_scrub(sqlite, scrub);
  nm_task_return(&request->task);
}

void nm_sqlite_checkpoint(void *data)
{
  struct nm_sqlite *sqlite = data;
  struct nm_store_scrub *scrub;
  uv_mutex_lock(&sqlite->checkpoint_lock);
  while (!sqlite->is_stopping) {
    if ((scrub = take_scrub(sqlite))) {
      uv_mutex_unlock(&sqlite->checkpoint_lock);
      answer_scrub(sqlite, scrub, false);
      uv_mutex_lock(&sqlite->checkpoint_lock);
      continue;
    }
    if (sqlite->wal_pages < sqlite->next_at_pages) {
      uv_cond_wait(&sqlite->checkpoint_wanted, &sqlite->checkpoint_lock);
      continue;
    }
    sqlite->next_at_pages = sqlite->wal_pages + sqlite->step_pages;
    uv_mutex_unlock(&sqlite->checkpoint_lock);
    if (!atomic_load(&sqlite->is_broken)) checkpoint(sqlite);
    uv_mutex_lock(&sqlite->checkpoint_lock);
  }
  while ((scrub = take_scrub(sqlite))) answer_scrub(sqlite, scrub, true);
  uv_mutex_unlock(&sqlite->checkpoint_lock);
}
