/* One daemon per store: a lock file beside the database, with the holder's process id in it. */
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

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
  char pid[24];
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
  len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
  if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)len, 0) != len) {
    int rc = nm_fail(err, NM_EIO, "%s cannot be written: %s", path, strerror(errno));
    close(fd);
    return rc;
  }
  *out = fd;
  return NM_OK;
}

/* The file stays: taking it away would let two processes hold two different files of one name. */
void nm_lock_drop(int fd)
{
  if (fd < 0) return;
  if (ftruncate(fd, 0)) { /* the next holder writes its own id anyway */
  }
  close(fd);
}
