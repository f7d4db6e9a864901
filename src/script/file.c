#include "script/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static int read_all(int fd, const char *path, size_t max_bytes, struct nm_buffer *out,
                    struct nm_error *err)
{
  size_t total = 0;
  for (;;) {
    if (nm_buffer_reserve(out, 4096) != NM_OK)
      return nm_fail(err, NM_ENOMEM, "%s: out of memory", path);
    ssize_t got = read(fd, out->ptr + out->len, 4096);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return nm_fail(err, NM_EIO, "%s: cannot be read: %s", path, strerror(errno));
    if (got == 0) return NM_OK;
    out->len += (size_t)got;
    total += (size_t)got;
    if (total > max_bytes)
      return nm_fail(err, NM_ELIMIT, "%s: larger than %zu bytes", path, max_bytes);
  }
}

int nm_file_read(struct nm_text path, size_t max_bytes, struct nm_buffer *out, struct stat *found,
                 struct nm_error *err)
{
  char name[PATH_MAX];
  struct stat info;
  if (path.len == 0 || path.len >= sizeof name || memchr(path.ptr, '\0', path.len))
    return nm_fail(err, NM_EIO, "%.*s: not a path", NM_TEXT_ARG(path));
  snprintf(name, sizeof name, "%.*s", NM_TEXT_ARG(path));

  /* O_NONBLOCK: a fifo under that name must not hold the thread. */
  int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return nm_fail(err, NM_EIO, "%s: cannot be opened: %s", name, strerror(errno));
  int rc = NM_OK;
  size_t before = out->len;
  if (fstat(fd, &info) != 0) rc = nm_fail(err, NM_EIO, "%s: %s", name, strerror(errno));
  else if (!S_ISREG(info.st_mode)) rc = nm_fail(err, NM_EIO, "%s: not a regular file", name);
  else rc = read_all(fd, name, max_bytes, out, err);
  close(fd);
  if (rc != NM_OK) out->len = before;
  else if (found) *found = info;
  return rc;
}
