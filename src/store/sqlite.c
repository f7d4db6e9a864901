/* Opening and closing: the file, its check, a connection and a thread each for who writes, who
 * reads and who copies the log. */
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/sums.h"

enum { BUSY_TIMEOUT_MS = 5000 };

/* 72 MiB of the log's file stay when it is begun anew: more than it grows to under steady load.
 * A commit that lengthens the file has two blocks of its description to write as well. */
#define KEEP_LOG "PRAGMA journal_size_limit = 75497472"

/* ---- requests -------------------------------------------------------------------------------- */

static int submit(struct nm_store *store, struct nm_store_request *request)
{
  struct nm_sqlite *sqlite = (struct nm_sqlite *)store;
  struct nm_reader *reader = nm_sqlite_reader_of(sqlite, request->verb);
  if (request->verb >= NM_STORE_RESUME) return nm_mailbox_post(&reader->box, &request->task.mail);
  if (atomic_load(&sqlite->is_broken)) return NM_EIO;
  if (request->verb == NM_STORE_SCRUB) return nm_sqlite_post_scrub(sqlite, request);
  if (request->verb == NM_STORE_PAGE_SAVE) {
    struct nm_store_page_save *save = (struct nm_store_page_save *)request;
    save->packed = NULL;
    save->packed_len = 0;
    return nm_mailbox_post(&reader->box, &request->task.mail);
  }
  return nm_mailbox_post(&sqlite->writer_box, &request->task.mail);
}

static bool is_sound(struct nm_store *store)
{
  return !atomic_load(&((struct nm_sqlite *)store)->is_broken);
}

static void set_person_key(struct nm_store *store, const unsigned char *key)
{
  struct nm_sqlite *sqlite = (struct nm_sqlite *)store;
  memcpy(sqlite->writer.person_key, key, NM_PERSON_KEY_BYTES);
}

/* ---- the file -------------------------------------------------------------------------------- */

/* So that what was made in it outlives a power cut; a file system that cannot says nothing. */
static void sync_folder_of(const char *path)
{
  char folder[4096];
  const char *slash = strrchr(path, '/');
  snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  (void)!fsync(fd);
  close(fd);
}

static int make_folders(const char *path, struct nm_error *err)
{
  char folder[4096];
  int len = snprintf(folder, sizeof folder, "%s", path);
  if (len < 0 || (size_t)len >= sizeof folder)
    return nm_fail(err, NM_EINVAL, "the path of the store is too long");
  for (char *at = folder + 1; *at; at++) {
    if (*at != '/') continue;
    *at = '\0';
    bool is_made = mkdir(folder, 0750) == 0;
    if (!is_made && errno != EEXIST)
      return nm_fail(err, NM_EIO, "folder %s cannot be made: %s", folder, strerror(errno));
    if (is_made) sync_folder_of(folder);
    *at = '/';
  }
  return NM_OK;
}

/* Made by us, so that it and the files SQLite puts beside it are nobody else's to read. */
static int make_file(const char *path, struct nm_error *err)
{
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return nm_fail(err, NM_EIO, "%s cannot be opened: %s", path, strerror(errno));
  close(fd);
  sync_folder_of(path);
  return NM_OK;
}

/* A log that was left behind: the last process did not close. */
static bool was_closed(const char *path)
{
  char wal[4096 + 8];
  struct stat status;
  snprintf(wal, sizeof wal, "%s-wal", path);
  return stat(wal, &status) != 0 || status.st_size == 0;
}

/* SQLite would begin anew where there is nothing. */
static int check_size(const char *path, const struct nm_wal_mark *mark, struct nm_error *err)
{
  struct stat status;
  if (stat(path, &status) || status.st_size >= NM_PAGE_BYTES) return NM_OK;
  if (!mark->has_database) return NM_OK; /* the first start was cut short: SQLite mends that */
  return nm_fail(err, NM_EIO,
                 "%s is damaged (it is empty, and was not): put a backup in its place, or remove it"
                 " and %s.lock to begin anew",
                 path, path);
}

static int check_file(struct nm_db *db, const char *path, struct nm_error *err)
{
  struct stat status;
  sqlite3_stmt *stmt;
  if (stat(path, &status) || status.st_size > NM_STORE_CHECK_MAX_BYTES) return NM_OK;
  nm_log(NM_LOG_INFO, "store", NULL, "%s was not closed; checking it", path);
  int rc = nm_db_find_values(db, &stmt, "PRAGMA quick_check(1)", NULL, 0);
  if (!rc) rc = nm_db_step(db, stmt);
  const char *word = rc < 0 ? db->error.text : "no answer";
  if (rc == 1) word = (const char *)sqlite3_column_text(stmt, 0);
  bool is_whole = rc == 1 && word && strcmp(word, "ok") == 0;
  rc = is_whole ? NM_OK
                : nm_fail(err, NM_EIO,
                          "%s is damaged (%s): put a backup in its place, or rescue what is left"
                          " with sqlite3's .recover",
                          path, word ? word : "no memory");
  if (!db->failure) sqlite3_reset(stmt);
  return rc;
}

static int open_writer(struct nm_sqlite *sqlite, struct nm_error *err)
{
  struct nm_db *db = &sqlite->writer.db;
  struct nm_wal_mark mark;
  nm_wal_mark_read(sqlite->lock_fd, &mark);
  bool is_clean = was_closed(sqlite->path) && mark.frames == 0;
  char limit[64];
  int rc = check_size(sqlite->path, &mark, err);
  if (!rc) rc = nm_wal_check(sqlite->path, &mark, err);
  if (!rc && was_closed(sqlite->path)) nm_lock_unmark(sqlite->lock_fd, mark.has_database);
  if (!rc) rc = nm_db_open(db, sqlite->path, BUSY_TIMEOUT_MS, err);
  if (rc) return rc;
  nm_sums_begin(db->handle);
  if (!is_clean) rc = check_file(db, sqlite->path, err);
  if (rc) return rc;
  rc = nm_db_exec(db, "PRAGMA journal_mode = WAL");
  if (!rc)
    rc = nm_db_exec(db, "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;"
                        "PRAGMA secure_delete = ON;" /* what is taken away is overwritten */
                        KEEP_LOG);
  if (rc)
    return nm_fail(err, rc, "%s cannot be used, it may be damaged: %s", sqlite->path,
                   db->error.text);
  rc = nm_schema_migrate(db, sqlite->path, err);
  if (rc) return rc;
  if (sqlite->options.max_bytes > 0) {
    snprintf(limit, sizeof limit, "PRAGMA max_page_count = %" PRId64,
             sqlite->options.max_bytes / 4096 + 1);
    rc = nm_db_exec(db, limit);
  }
  if (!rc && !mark.has_database) nm_lock_unmark(sqlite->lock_fd, true);
  if (!rc) rc = nm_writer_init(&sqlite->writer);
  if (rc) nm_fail(err, rc, "%s cannot be read: %s", sqlite->path, db->error.text);
  sqlite3_wal_hook(db->handle, nm_sqlite_on_commit, sqlite);
  return rc;
}

static int open_reader(struct nm_sqlite *sqlite, struct nm_db *db, struct nm_error *err)
{
  int rc = nm_db_open(db, sqlite->path, BUSY_TIMEOUT_MS, err);
  if (!rc && nm_db_exec(db, "PRAGMA query_only = ON"))
    rc = nm_fail(err, NM_EIO, "%s: %s", sqlite->path, db->error.text);
  return rc;
}

static int open_connections(struct nm_sqlite *sqlite, struct nm_error *err)
{
  int rc = open_writer(sqlite, err);
  for (int i = 0; !rc && i < NM_READERS; i++) rc = open_reader(sqlite, &sqlite->readers[i].db, err);
  if (!rc) rc = nm_db_open(&sqlite->checkpointer, sqlite->path, BUSY_TIMEOUT_MS, err);
  if (!rc && nm_db_exec(&sqlite->checkpointer, "PRAGMA synchronous = FULL;"
                                               KEEP_LOG))
    rc = nm_fail(err, NM_EIO, "%s: %s", sqlite->path, sqlite->checkpointer.error.text);
  return rc;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* What is open of it, in any half-made state.  The writer goes last: SQLite then puts the whole log
 * into the database and takes the log away, which is how the next start knows of a clean end.
 * After a start that failed the log of a crash before it stays: its mark does. */
static void destroy(struct nm_sqlite *sqlite)
{
  if (!sqlite) return;
  bool was_whole = sqlite->was_opened && !atomic_load(&sqlite->is_broken);
  if (!was_whole && sqlite->writer.db.handle)
    sqlite3_db_config(sqlite->writer.db.handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
  nm_db_close(&sqlite->checkpointer);
  for (int i = 0; i < NM_READERS; i++) {
    nm_db_close(&sqlite->readers[i].db);
    nm_mailbox_deinit(&sqlite->readers[i].box);
  }
  nm_writer_deinit(&sqlite->writer);
  bool is_clean = was_whole && was_closed(sqlite->path);
  nm_mailbox_deinit(&sqlite->writer_box);
  uv_cond_destroy(&sqlite->checkpoint_wanted);
  uv_cond_destroy(&sqlite->rest_begun);
  uv_cond_destroy(&sqlite->rest_over);
  uv_mutex_destroy(&sqlite->checkpoint_lock);
  nm_lock_drop(sqlite->lock_fd, is_clean);
  free(sqlite->path);
  free(sqlite);
}

static void stop_checkpointer(struct nm_sqlite *sqlite)
{
  uv_mutex_lock(&sqlite->checkpoint_lock);
  sqlite->is_stopping = true;
  uv_cond_signal(&sqlite->checkpoint_wanted);
  uv_mutex_unlock(&sqlite->checkpoint_lock);
  uv_thread_join(&sqlite->checkpointer_thread);
}

static void close_store(struct nm_store *store)
{
  struct nm_sqlite *sqlite = (struct nm_sqlite *)store;
  /* The readers first: one may still hand pages to the writer. */
  for (int i = 0; i < NM_READERS; i++) {
    nm_mailbox_close(&sqlite->readers[i].box);
    uv_thread_join(&sqlite->readers[i].thread);
  }
  nm_mailbox_close(&sqlite->writer_box);
  uv_thread_join(&sqlite->writer_thread);
  stop_checkpointer(sqlite);
  destroy(sqlite);
}

static struct nm_sqlite *create(struct nm_text path, const struct nm_store_options *options)
{
  struct nm_sqlite *sqlite = calloc(1, sizeof *sqlite);
  if (!sqlite) return NULL;
  sqlite->path = strndup(path.ptr, path.len);
  if (!sqlite->path) {
    free(sqlite);
    return NULL;
  }
  sqlite->store = (struct nm_store){ .submit = submit, .close = close_store,
                                     .set_person_key = set_person_key, .is_sound = is_sound };
  sqlite->options = *options;
  sqlite->lock_fd = -1;
  sqlite->max_pages = options->log_max_pages > 0 ? options->log_max_pages : NM_STORE_WAL_MAX_PAGES;
  sqlite->step_pages = NM_STORE_WAL_STEP_MAX_PAGES;
  if (sqlite->step_pages > sqlite->max_pages) sqlite->step_pages = sqlite->max_pages;
  sqlite->next_at_pages = sqlite->step_pages;
  nm_mailbox_init(&sqlite->writer_box, NM_STORE_MAILBOX_MAX, NULL, NULL);
  for (int i = 0; i < NM_READERS; i++) {
    sqlite->readers[i].sqlite = sqlite;
    nm_mailbox_init(&sqlite->readers[i].box, NM_STORE_READER_MAILBOX_MAX, NULL, NULL);
  }
  nm_require(uv_mutex_init(&sqlite->checkpoint_lock) == 0);
  nm_require(uv_cond_init(&sqlite->checkpoint_wanted) == 0);
  nm_require(uv_cond_init(&sqlite->rest_begun) == 0);
  nm_require(uv_cond_init(&sqlite->rest_over) == 0);
  return sqlite;
}

/* Before SQLite's first use in the process: its memory is not counted, which takes a lock for every
 * allocation away.  Where it was used before, it stays as it is. */
static void configure_once(void)
{
  (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* Pages that only the start has read. */
static void forget_start(struct nm_sqlite *sqlite)
{
  sqlite3_db_release_memory(sqlite->writer.db.handle);
  sqlite3_db_release_memory(sqlite->checkpointer.handle);
  for (int i = 0; i < NM_READERS; i++)
    sqlite3_db_release_memory(sqlite->readers[i].db.handle);
}

int nm_sqlite_open(struct nm_store **out, struct nm_text path,
                   const struct nm_store_options *options, struct nm_error *err)
{
  static uv_once_t is_configured = UV_ONCE_INIT;
  uv_once(&is_configured, configure_once);
  if (sodium_init() < 0) return nm_fail(err, NM_EINTERNAL, "libsodium cannot be used");
  struct nm_sqlite *sqlite = create(path, options);
  if (!sqlite) return nm_fail(err, NM_ENOMEM, "no memory for the store");
  int rc = make_folders(sqlite->path, err);
  if (!rc) rc = nm_lock_take(&sqlite->lock_fd, sqlite->path, err);
  if (!rc) rc = make_file(sqlite->path, err);
  if (!rc) rc = open_connections(sqlite, err);
  if (rc) {
    destroy(sqlite);
    return rc;
  }
  forget_start(sqlite);
  nm_require(uv_thread_create(&sqlite->writer_thread, nm_sqlite_write, sqlite) == 0);
  for (int i = 0; i < NM_READERS; i++) {
    struct nm_reader *reader = &sqlite->readers[i];
    nm_require(uv_thread_create(&reader->thread, nm_sqlite_read, reader) == 0);
  }
  nm_require(uv_thread_create(&sqlite->checkpointer_thread, nm_sqlite_checkpoint, sqlite) == 0);
  sqlite->was_opened = true;
  *out = &sqlite->store;
  return NM_OK;
}
