/* sqlite.h - the SQLite backend's own: its threads and what they share.  Room-private. */
#pragma once

#include <stdatomic.h>

#include "store/internal.h"

/* What looks only, by how long that may take: a single message waits for its profile. */
enum nm_reader_kind {
  NM_READER_QUICK = 0,
  NM_READER_SLOW = 1, /* pages, what people ask */
  NM_READERS = 2,
};

struct nm_reader {
  struct nm_sqlite *sqlite;
  struct nm_db db;
  struct nm_mailbox box;
  uv_thread_t thread;
};

struct nm_sqlite {
  struct nm_store store; /* first */
  struct nm_store_options options;
  char *path;
  int lock_fd;
  bool was_opened; /* up to its threads */
  atomic_bool is_broken;

  struct nm_writer writer;
  struct nm_mailbox writer_box;
  size_t company; /* callers in the last transactions; the writer's */
  uv_thread_t writer_thread;

  struct nm_reader readers[NM_READERS];

  /* The checkpointer sleeps until the writer's log has grown by a step. */
  struct nm_db checkpointer;
  uv_thread_t checkpointer_thread;
  uv_mutex_t checkpoint_lock;
  uv_cond_t checkpoint_wanted;
  int wal_pages;      /* as the last commit left them */
  int next_at_pages;  /* wake above this */
  int step_pages, max_pages;
  atomic_bool is_rest_wanted;          /* the writer begins no transaction; changed under the
                                        * lock */
  bool is_resting;                     /* and it does not */
  uv_cond_t rest_begun, rest_over;
  struct nm_mail *scrubs, *last_scrub; /* NM_STORE_SCRUB requests */
  bool is_stopping;
};

/* Who serves a verb of the readers. */
struct nm_reader *nm_sqlite_reader_of(struct nm_sqlite *sqlite, enum nm_store_verb verb);

/* Thread bodies. */
void nm_sqlite_write(void *data);
void nm_sqlite_read(void *data); /* its struct nm_reader */
void nm_sqlite_checkpoint(void *data);

/* Does it, on the checkpointer's thread (scrub_file.c). */
int nm_sqlite_scrub(struct nm_sqlite *sqlite, struct nm_store_scrub *scrub);

/* The writer's, before each transaction: waits while the checkpointer ends the log. */
void nm_sqlite_rest(struct nm_sqlite *sqlite);

/* Hands a scrub to the checkpointer. */
int nm_sqlite_post_scrub(struct nm_sqlite *sqlite, struct nm_store_request *request);

/* From now on nothing is acknowledged; logs once. */
void nm_sqlite_break(struct nm_sqlite *sqlite, const char *why);

/* Told by SQLite after each commit of the writer. */
int nm_sqlite_on_commit(void *data, sqlite3 *handle, const char *database, int pages);

/* The file beside the database that one process may hold.  Gives *fd.  After a clean end
 * no commit is marked in it. */
NM_MUST_CHECK int nm_lock_take(int *fd, const char *database_path, struct nm_error *err);
void nm_lock_drop(int fd, bool is_clean);
/* Forgets the mark; older ones come back with no power cut. */
void nm_lock_unmark(int fd, bool has_database);

/* Of the last commit, in the lock file (wal.c). */
struct nm_wal_mark {
  uint32_t magic;
  uint32_t salts[2]; /* which log */
  uint32_t frames;   /* of it; 0 = nothing is known */
  uint32_t page;
  uint32_t has_database; /* it was made; an empty one is a lost one */
  uint64_t page_sum; /* of the last frame's page */
  uint64_t sum;      /* of all this */
};

void nm_wal_mark_read(int lock_fd, struct nm_wal_mark *mark);
void nm_wal_mark_write(int lock_fd, struct nm_wal_mark *mark);
void nm_wal_mark_commit(int lock_fd, sqlite3 *handle, int frames);

/* Refuses a log that lost acknowledged commits; before SQLite sees it. */
NM_MUST_CHECK int nm_wal_check(const char *path, const struct nm_wal_mark *mark,
                               struct nm_error *err);
