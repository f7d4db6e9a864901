/* write.c - a rules file is written as a whole: beside it, onto the disk, then in its place. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rules/keeper_internal.h"

enum { MODE_OF_NEW = 0644 };

static bool write_all(int fd, struct nm_text source)
{
  while (source.len > 0) {
    ssize_t written = write(fd, source.ptr, source.len);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    source.ptr += written;
    source.len -= (size_t)written;
  }
  return true;
}

/* The name is on the disk only with its folder. */
static bool sync_folder(const char *path)
{
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%s", path);
  char *slash = strrchr(folder, '/');
  if (!slash) return false;
  *slash = '\0';
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool is_synced = fd >= 0 && fsync(fd) == 0;
  if (fd >= 0) close(fd);
  return is_synced;
}

/* "rules/.acme.lua.part": the watch looks at no name that begins with a dot. */
static bool part_of(char out[PATH_MAX], const char *path)
{
  const char *slash = strrchr(path, '/');
  if (!slash) return false;
  int len = snprintf(out, PATH_MAX, "%.*s/.%s.part", (int)(slash - path), path, slash + 1);
  return len > 0 && len < PATH_MAX;
}

int nm_rules_file_write(const char *path, struct nm_text source, struct nm_error *err)
{
  char part[PATH_MAX];
  struct stat found;
  mode_t mode = MODE_OF_NEW;
  if (!part_of(part, path)) return nm_fail(err, NM_ELIMIT, "%s: its path is too long", path);
  if (lstat(path, &found) == 0) {
    if (S_ISLNK(found.st_mode))
      return nm_fail(err, NM_ECONFLICT, "%s is a link: change the file that it leads to", path);
    mode = found.st_mode & 07777;
  }
  int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  bool is_there = fd >= 0;
  bool is_written = is_there && write_all(fd, source) && fchmod(fd, mode) == 0 && fsync(fd) == 0;
  int why = errno;
  if (is_there && close(fd) != 0 && is_written) {
    why = errno;
    is_written = false;
  }
  if (is_written && rename(part, path) != 0) {
    why = errno;
    is_written = false;
  }
  if (is_written && sync_folder(path)) return NM_OK;
  if (is_written) return nm_fail(err, NM_EIO, "%s: its folder could not be synced", path);
  if (is_there) unlink(part);
  return nm_fail(err, NM_EIO, "%s cannot be written: %s", path, strerror(why));
}
