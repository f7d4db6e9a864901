/* One daemon per store: a lock file beside the database, with the holder's process id in it. */
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { PID_BYTES = 32 }; /* behind it stands the mark of the last commit */

static int refuse(int fd, const char *database_path, struct nm_error *err)
{
  char holder[24] = "";
  ssize_t len = pread(fd, holder, sizeof holder - 1, 0);
  long pid = len > 0 ? strtol(holder, NULL, 10) : 0;
  if (pid > 0)
    return nm_fail(err, NM_ECONFLICT, "%s is in use by process %ld; stop it first", database_path,
                   pid);
  return nm_fail(err, NM_ECONFLICT, "%s is in use by another process; stop it first",
                 database_path);
}

int nm_lock_take(int *out, const char *database_path, struct nm_error *err)
{
  char path[4096 + 8];
  char pid[PID_BYTES];
  int len = snprintf(path, sizeof path, "%s.lock", database_path);
  if (len < 0 || (size_t)len >= sizeof path)
    return nm_fail(err, NM_EINVAL, "the path of the store is too long");
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return nm_fail(err, NM_EIO, "%s cannot be opened: %s", path, strerror(errno));
  if (flock(fd, LOCK_EX | LOCK_NB)) {
    int rc = errno == EWOULDBLOCK
               ? refuse(fd, database_path, err)
               : nm_fail(err, NM_EIO, "%s cannot be locked: %s", path, strerror(errno));
    close(fd);
    return rc;
  }
  memset(pid, ' ', sizeof pid);
  len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
  if (pwrite(fd, pid, sizeof pid, 0) != (ssize_t)sizeof pid) {
    int rc = nm_fail(err, NM_EIO, "%s cannot be written: %s", path, strerror(errno));
    close(fd);
    return rc;
  }
  *out = fd;
  return NM_OK;
}

void nm_lock_unmark(int fd, bool has_database)
{
  struct nm_wal_mark none = { .has_database = has_database };
  nm_wal_mark_write(fd, &none);
  (void)!fsync(fd);
}

/* The file stays: taking it away would let two processes hold two different files of one name. */
void nm_lock_drop(int fd, bool is_clean)
{
  char pid[PID_BYTES];
  if (fd < 0) return;
  memset(pid, '\n', sizeof pid);
  if (is_clean) nm_lock_unmark(fd, true);
  (void)!pwrite(fd, pid, sizeof pid, 0); /* the next holder writes its own id anyway */
  close(fd);
}
