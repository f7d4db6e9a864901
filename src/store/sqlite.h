/* sqlite.h - the SQLite backend's own: its threads and what they share.  Room-private. */
#pragma once

#include <stdatomic.h>

#include "store/internal.h"

struct nm_sqlite {
  struct nm_store store; /* first */
  struct nm_store_options options;
  char *path;
  int lock_fd;
  atomic_bool is_broken;

  struct nm_writer writer;
  struct nm_mailbox writer_box;
  uv_thread_t writer_thread;

  struct nm_db reader;
  struct nm_mailbox reader_box;
  uv_thread_t reader_thread;

  /* The checkpointer sleeps until the writer's log has grown by a step. */
  struct nm_db checkpointer;
  uv_thread_t checkpointer_thread;
  uv_mutex_t checkpoint_lock;
  uv_cond_t checkpoint_wanted;
  int wal_pages;      /* as the last commit left them */
  int next_at_pages;  /* wake above this */
  struct nm_mail *scrubs, *last_scrub; /* NM_STORE_SCRUB requests */
  bool is_stopping;
};

/* Thread bodies. */
void nm_sqlite_write(void *data);
void nm_sqlite_read(void *data);
void nm_sqlite_checkpoint(void *data);

/* Does it, on the checkpointer's thread (scrub_file.c). */
int nm_sqlite_scrub(struct nm_sqlite *sqlite, struct nm_store_scrub *scrub);

/* Hands a scrub to the checkpointer. */
int nm_sqlite_post_scrub(struct nm_sqlite *sqlite, struct nm_store_request *request);

/* From now on nothing is acknowledged; logs once. */
void nm_sqlite_break(struct nm_sqlite *sqlite, const char *why);

/* Told by SQLite after each commit of the writer. */
int nm_sqlite_on_commit(void *data, sqlite3 *handle, const char *database, int pages);

/* The file beside the database that one process may hold.  Gives *fd. */
NM_MUST_CHECK int nm_lock_take(int *fd, const char *database_path, struct nm_error *err);
void nm_lock_drop(int fd);
