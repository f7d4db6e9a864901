#include "doors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/listen.h"

enum { LISTEN_FDS_START = 3 };

static const char UNIX_PREFIX[] = "unix:", CONTROL[] = "NETMOVE_CONTROL";

static const struct {
  const char *name;     /* among LISTEN_FDNAMES */
  const char *variable; /* of the process before us */
} known[NM_DOORS_COUNT] = {
  [NM_DOOR_PUBLIC] = { "public", "NETMOVE_PUBLIC" },
  [NM_DOOR_ADMIN] = { "admin", "NETMOVE_ADMIN" },
  [NM_DOOR_COMMANDS] = { "commands", "NETMOVE_COMMANDS" },
};

static void shut(struct nm_door *door)
{
  if (door->fd >= 0) close(door->fd);
  *door = (struct nm_door){ .fd = -1 };
}

/* Remembers which file the name of a unix socket means now. */
static void know_file(struct nm_door *door)
{
  struct stat found;
  if (strncmp(door->address, UNIX_PREFIX, strlen(UNIX_PREFIX)) != 0) return;
  if (lstat(door->address + strlen(UNIX_PREFIX), &found)) return;
  door->device = found.st_dev;
  door->inode = found.st_ino;
}

/* ---- what we were given ---------------------------------------------------------------------- */

static int take(struct nm_door *door, int fd, const char *who, struct nm_error *err)
{
  struct stat about;
  if (door->fd >= 0) return nm_fail(err, NM_EINVAL, "%s names one socket twice", who);
  if (fstat(fd, &about) || !S_ISSOCK(about.st_mode) || fcntl(fd, F_SETFD, FD_CLOEXEC))
    return nm_fail(err, NM_EINVAL, "%s: descriptor %d is no socket", who, fd);
  door->fd = fd;
  return NM_OK;
}

static int kind_of(struct nm_text name, int64_t count)
{
  for (int kind = 0; kind < NM_DOORS_COUNT; kind++)
    if (nm_text_equal(name, nm_text_from(known[kind].name))) return kind;
  return count == 1 ? NM_DOOR_PUBLIC : -1; /* one socket, and its unit gave it no name of ours */
}

static int inherit_from_supervisor(struct nm_doors *doors, struct nm_error *err)
{
  const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
  const char *names = getenv("LISTEN_FDNAMES");
  struct nm_text name, rest = nm_text_from(names ? names : "");
  int64_t number, count;
  if (!pid || !fds || !nm_text_to_i64(nm_text_from(pid), &number) || number != getpid())
    return NM_OK;
  if (!nm_text_to_i64(nm_text_from(fds), &count) || count < 0 || count > NM_DOORS_COUNT)
    return nm_fail(err, NM_EINVAL, "LISTEN_FDS: found \"%.20s\"; expected 0 to %d", fds,
                   NM_DOORS_COUNT);
  for (int i = 0; i < count; i++) {
    nm_text_cut(rest, ':', &name, &rest);
    int kind = kind_of(name, count);
    if (kind < 0)
      return nm_fail(err, NM_EINVAL,
                     "LISTEN_FDNAMES: found \"%.*s\"; expected public, admin or commands "
                     "(FileDescriptorName= of the socket's unit)",
                     NM_TEXT_ARG(name));
    int rc = take(&doors->at[kind], LISTEN_FDS_START + i, "LISTEN_FDS", err);
    if (rc) return rc;
    doors->at[kind].is_borrowed = true;
  }
  return NM_OK;
}

/* "3 0 127.0.0.1:8080": descriptor, is it borrowed, the address it was bound for. */
static int inherit_door(struct nm_door *door, const char *variable, struct nm_error *err)
{
  const char *value = getenv(variable);
  struct nm_text fd, rest, borrowed;
  int64_t number;
  if (!value) return NM_OK;
  struct nm_text address = NM_TEXT("");
  if (!nm_text_cut(nm_text_from(value), ' ', &fd, &rest) ||
      !nm_text_cut(rest, ' ', &borrowed, &address) || !nm_text_to_i64(fd, &number) || number < 0 ||
      number > INT32_MAX || address.len >= sizeof door->address)
    return nm_fail(err, NM_EINVAL, "%s cannot be read", variable);
  int rc = take(door, (int)number, variable, err);
  if (rc) return rc;
  door->is_borrowed = nm_text_equal(borrowed, NM_TEXT("1"));
  snprintf(door->address, sizeof door->address, "%.*s", NM_TEXT_ARG(address));
  if (!door->is_borrowed) know_file(door);
  return NM_OK;
}

static int inherit_control(int *control, struct nm_error *err)
{
  const char *value = getenv(CONTROL);
  struct nm_door line = { .fd = -1 };
  int64_t number;
  if (!value) return NM_OK;
  if (!nm_text_to_i64(nm_text_from(value), &number) || number < 0 || number > INT32_MAX)
    return nm_fail(err, NM_EINVAL, "%s cannot be read", CONTROL);
  int rc = take(&line, (int)number, CONTROL, err);
  if (!rc) *control = line.fd;
  return rc;
}

bool nm_doors_is_ours(const char *variable)
{
  static const char *const OTHERS[] = { CONTROL, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES" };
  size_t len = strcspn(variable, "=");
  struct nm_text name = { variable, len };
  for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++)
    if (nm_text_equal(name, nm_text_from(OTHERS[i]))) return true;
  for (int kind = 0; kind < NM_DOORS_COUNT; kind++)
    if (nm_text_equal(name, nm_text_from(known[kind].variable))) return true;
  return false;
}

int nm_doors_inherit(struct nm_doors *doors, int *control, struct nm_error *err)
{
  *control = -1;
  for (int kind = 0; kind < NM_DOORS_COUNT; kind++) doors->at[kind] = (struct nm_door){ .fd = -1 };
  int rc = inherit_from_supervisor(doors, err);
  for (int kind = 0; kind < NM_DOORS_COUNT && !rc; kind++)
    rc = inherit_door(&doors->at[kind], known[kind].variable, err);
  if (!rc) rc = inherit_control(control, err);
  for (int kind = 0; kind < NM_DOORS_COUNT; kind++) unsetenv(known[kind].variable);
  unsetenv(CONTROL);
  unsetenv("LISTEN_PID");
  unsetenv("LISTEN_FDS");
  unsetenv("LISTEN_FDNAMES");
  return rc;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int open_one(struct nm_door *door, struct nm_text wanted, struct nm_error *err)
{
  if (door->fd >= 0 && door->is_borrowed) return NM_OK;
  if (door->fd >= 0 && nm_text_equal(nm_text_from(door->address), wanted)) return NM_OK;
  shut(door);
  if (wanted.len == 0) return NM_OK;
  if (wanted.len >= sizeof door->address)
    return nm_fail(err, NM_EINVAL, "the address %.60s... is too long", wanted.ptr);
  int rc = nm_listener_bind(&door->fd, wanted, err);
  if (rc) return rc;
  snprintf(door->address, sizeof door->address, "%.*s", NM_TEXT_ARG(wanted));
  know_file(door);
  return NM_OK;
}

int nm_doors_open(struct nm_doors *doors, const struct nm_settings *settings, struct nm_error *err)
{
  char socket[NM_DOOR_ADDRESS_MAX_BYTES];
  int len =
      snprintf(socket, sizeof socket, "%s%.*s", UNIX_PREFIX, NM_TEXT_ARG(settings->admin_socket));
  if (len < 0 || (size_t)len >= sizeof socket)
    return nm_fail(err, NM_EINVAL, "admin.socket is longer than a socket's name may be");
  int rc = open_one(&doors->at[NM_DOOR_PUBLIC], settings->public_listen, err);
  if (!rc) rc = open_one(&doors->at[NM_DOOR_ADMIN], settings->admin_listen, err);
  return rc ? rc : open_one(&doors->at[NM_DOOR_COMMANDS], nm_text_from(socket), err);
}

bool nm_doors_copy(const struct nm_doors *doors, enum nm_door_kind kind, char out[32])
{
  int fd = doors->at[kind].fd;
  if (fd >= 0) fd = fcntl(fd, F_DUPFD_CLOEXEC, LISTEN_FDS_START);
  snprintf(out, 32, "fd:%d", fd);
  return doors->at[kind].fd >= 0;
}

int nm_doors_give(const struct nm_doors *doors, uid_t uid, gid_t gid, struct nm_error *err)
{
  for (int kind = 0; kind < NM_DOORS_COUNT; kind++) {
    const struct nm_door *door = &doors->at[kind];
    const char *path = door->address + strlen(UNIX_PREFIX);
    if (door->inode == 0) continue;
    if (lchown(path, uid, gid))
      return nm_fail(err, NM_EDENIED, "%s cannot be given away: %s", path, strerror(errno));
  }
  return NM_OK;
}

static void remove_file(const struct nm_door *door)
{
  const char *path = door->address + strlen(UNIX_PREFIX);
  struct stat found;
  if (door->inode == 0 || lstat(path, &found)) return;
  if (found.st_dev == door->device && found.st_ino == door->inode) unlink(path);
}

void nm_doors_close(struct nm_doors *doors)
{
  for (int kind = 0; kind < NM_DOORS_COUNT; kind++) {
    struct nm_door *door = &doors->at[kind];
    if (door->fd < 0 || door->is_borrowed) continue;
    remove_file(door);
    shut(door);
  }
}

void nm_doors_write(const struct nm_doors *doors, enum nm_door_kind kind, int fd, char *out,
                    size_t size)
{
  const struct nm_door *door = &doors->at[kind];
  snprintf(out, size, "%s=%d %d %s", known[kind].variable, fd, door->is_borrowed, door->address);
}
