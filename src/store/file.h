/* file.h - a file of ours with SQLite's own behind it: what a kind of file does not do itself is
 * handed on.  Room-private.
 */
#pragma once

#include <stddef.h>

#include <sqlite3.h>

/* First member of each kind; SQLite's file stands behind the whole struct, in the same memory. */
struct nm_file {
  sqlite3_file base;
  sqlite3_file *real;
  const char *path; /* SQLite's, as long as the file is open */
};

struct nm_file_kind {
  size_t bytes; /* of its struct */
  const sqlite3_io_methods *methods;
};

/* xOpen over SQLite's VFS: the kind's struct is made empty, SQLite's file opened behind it. */
int nm_file_open(sqlite3_vfs *vfs, const struct nm_file_kind *kind, const char *path,
                 sqlite3_file *base, int flags, int *out);

int nm_file_close(sqlite3_file *base);
int nm_file_truncate(sqlite3_file *base, sqlite3_int64 size);
int nm_file_sync(sqlite3_file *base, int flags);
int nm_file_size(sqlite3_file *base, sqlite3_int64 *out);
int nm_file_lock(sqlite3_file *base, int level);
int nm_file_unlock(sqlite3_file *base, int level);
int nm_file_reserved(sqlite3_file *base, int *out);
int nm_file_control(sqlite3_file *base, int op, void *arg);
int nm_file_sector(sqlite3_file *base);
int nm_file_device(sqlite3_file *base);
int nm_file_shm_map(sqlite3_file *base, int page, int size, int extend, void volatile **out);
int nm_file_shm_lock(sqlite3_file *base, int at, int count, int flags);
void nm_file_shm_barrier(sqlite3_file *base);
int nm_file_shm_unmap(sqlite3_file *base, int is_end);
