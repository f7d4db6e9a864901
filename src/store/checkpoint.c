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
  if (began_anew) sqlite->next_at_pages = NM_STORE_WAL_STEP_MAX_PAGES;
  sqlite->wal_pages = pages;
  if (pages >= sqlite->next_at_pages) uv_cond_signal(&sqlite->checkpoint_wanted);
  uv_mutex_unlock(&sqlite->checkpoint_lock);
  return SQLITE_OK;
}

/* Passive: copies what nobody reads and waits for nobody.  While commits keep coming it never
 * reaches the end of the log; above the limit RESTART holds the writer back for the short rest. */
static void checkpoint(struct nm_sqlite *sqlite)
{
  sqlite3 *handle = sqlite->checkpointer.handle;
  int pages = 0, done = 0;
  NM_POINT(checkpoint_begun);
  int rc = sqlite3_wal_checkpoint_v2(handle, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &done);
  if (rc == SQLITE_OK && pages > NM_STORE_WAL_MAX_PAGES)
    rc = sqlite3_wal_checkpoint_v2(handle, NULL, SQLITE_CHECKPOINT_RESTART, &pages, &done);
  NM_POINT(checkpoint_ended);
  if (rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY) return;
  if ((rc & 0xff) == SQLITE_IOERR) nm_sqlite_break(sqlite, sqlite3_errmsg(handle));
  else
    nm_log(NM_LOG_WARN, "store", NULL, "checkpoint of %s: %s; the log grows meanwhile",
           sqlite->path, sqlite3_errmsg(handle));
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
    sqlite->next_at_pages = sqlite->wal_pages + NM_STORE_WAL_STEP_MAX_PAGES;
    uv_mutex_unlock(&sqlite->checkpoint_lock);
    if (!atomic_load(&sqlite->is_broken)) checkpoint(sqlite);
    uv_mutex_lock(&sqlite->checkpoint_lock);
  }
  while ((scrub = take_scrub(sqlite))) answer_scrub(sqlite, scrub, true);
  uv_mutex_unlock(&sqlite->checkpoint_lock);
}
