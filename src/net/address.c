#include "net/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <unistd.h>

static const char UNIX_PREFIX[] = "unix:", FD_PREFIX[] = "fd:";

static int fail_errno(struct nm_error *err, struct nm_text address, const char *doing, int number)
{
  int code = number == EADDRINUSE ? NM_ECONFLICT : number == EACCES ? NM_EDENIED : NM_EIO;
  const char *hint = number == EADDRINUSE ? "; is another netmove running?" : "";
  return nm_fail(err, code, "cannot %s %.*s: %s%s", doing, NM_TEXT_ARG(address), strerror(number),
                 hint);
}

/* ---- unix sockets ---------------------------------------------------------------------------- */

/* Makes the path free: removes a socket file on which nobody answers. */
static int clear_stale(struct nm_text address, const struct sockaddr_un *at, struct nm_error *err)
{
  struct stat found;
  if (lstat(at->sun_path, &found)) {
    return errno == ENOENT ? NM_OK : fail_errno(err, address, "look at", errno);
  }
  if (!S_ISSOCK(found.st_mode)) {
    return nm_fail(err, NM_ECONFLICT, "%s exists and is not a socket; name another path",
                   at->sun_path);
  }

  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail_errno(err, address, "try", errno);
  int rc = connect(fd, (const struct sockaddr *)at, sizeof *at) ? errno : 0;
  close(fd);
  if (rc != ECONNREFUSED && rc != ENOENT) {
    return nm_fail(err, NM_ECONFLICT, "somebody answers on %s; is another netmove running?",
                   at->sun_path);
  }
  if (unlink(at->sun_path) && errno != ENOENT) {
    return fail_errno(err, address, "replace the stale", errno);
  }
  return NM_OK;
}

static int bind_unix(struct nm_bound *out, struct nm_text address, struct nm_error *err)
{
  struct sockaddr_un at = { .sun_family = AF_UNIX };
  struct nm_text path = { address.ptr + strlen(UNIX_PREFIX), address.len - strlen(UNIX_PREFIX) };
  if (path.len == 0 || path.len >= sizeof at.sun_path || memchr(path.ptr, '\0', path.len)) {
    return nm_fail(err, NM_EINVAL, "the path in %.*s must have 1 to %zu bytes",
                   NM_TEXT_ARG(address), sizeof at.sun_path - 1);
  }
  memcpy(at.sun_path, path.ptr, path.len);

  int rc = clear_stale(address, &at, err);
  if (rc) return rc;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail_errno(err, address, "open a socket for", errno);

  /* The mode of the socket itself becomes the file's: never, not for a moment, open to others, and
   * without touching the umask of the other threads. */
  struct stat made;
  if (fchmod(fd, 0600) || bind(fd, (struct sockaddr *)&at, sizeof at) ||
      lstat(at.sun_path, &made)) {
    rc = fail_errno(err, address, "listen on", errno);
    close(fd);
    return rc;
  }
  *out = (struct nm_bound){
    .fd = fd, .is_unix = true, .device = made.st_dev, .inode = made.st_ino
  };
  snprintf(out->address, sizeof out->address, "%.*s", NM_TEXT_ARG(address));
  return NM_OK;
}

void nm_net_unlink(const struct nm_bound *bound)
{
  struct stat found;
  const char *path = bound->address + strlen(UNIX_PREFIX);
  if (!bound->is_unix || lstat(path, &found)) return;
  if (found.st_dev == bound->device && found.st_ino == bound->inode) unlink(path);
}

/* ---- TCP ------------------------------------------------------------------------------------- */

/* Cuts "host:port" or "[v6]:port" into NUL-terminated pieces. */
static int cut_tcp(struct nm_text address, char *host, size_t host_size, char port[6],
                   struct nm_error *err)
{
  size_t colon = address.len;
  while (colon > 0 && address.ptr[colon - 1] != ':') colon--;
  struct nm_text name = { address.ptr, colon > 0 ? colon - 1 : 0 };
  struct nm_text digits = { address.ptr + colon, address.len - colon };
  bool is_bracketed = name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']';
  if (is_bracketed) name = (struct nm_text){ name.ptr + 1, name.len - 2 };

  int64_t number;
  bool is_good = colon > 0 && name.len > 0 && name.len < host_size && digits.len <= 5 &&
                 nm_text_to_i64(digits, &number) && number >= 0 && number <= 65535 &&
                 digits.ptr[0] != '-' && !memchr(name.ptr, '\0', name.len) &&
                 (is_bracketed || !memchr(name.ptr, ':', name.len));
  if (!is_good) {
    return nm_fail(err, NM_EINVAL,
                   "'%.*s' is no address; write 127.0.0.1:8443, [::1]:8443 or unix:PATH",
                   NM_TEXT_ARG(address));
  }
  memcpy(host, name.ptr, name.len);
  host[name.len] = '\0';
  snprintf(port, 6, "%d", (int)number);
  return NM_OK;
}

static void write_address(struct nm_bound *bound)
{
  struct sockaddr_storage at = { 0 };
  socklen_t len = sizeof at;
  char host[INET6_ADDRSTRLEN] = "?";
  if (getsockname(bound->fd, (struct sockaddr *)&at, &len)) return;
  if (at.ss_family == AF_INET6) {
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&at;
    inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
    snprintf(bound->address, sizeof bound->address, "[%s]:%d", host, ntohs(v6->sin6_port));
  } else {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&at;
    inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
    snprintf(bound->address, sizeof bound->address, "%s:%d", host, ntohs(v4->sin_port));
  }
}

static int bind_tcp(struct nm_bound *out, struct nm_text address, struct nm_error *err)
{
  char host[256], port[6];
  int rc = cut_tcp(address, host, sizeof host, port, err);
  if (rc) return rc;

  struct addrinfo *found = NULL;
  struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
  int why = getaddrinfo(host, port, &hints, &found);
  if (why) {
    return nm_fail(err, NM_EINVAL, "cannot listen on %.*s: %s", NM_TEXT_ARG(address),
                   gai_strerror(why));
  }
  int yes = 1;
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    rc = fail_errno(err, address, "open a socket for", errno);
  } else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) ||
             bind(fd, found->ai_addr, found->ai_addrlen)) {
    rc = fail_errno(err, address, "listen on", errno);
    close(fd);
  } else {
    *out = (struct nm_bound){ .fd = fd };
    write_address(out);
  }
  freeaddrinfo(found);
  return rc;
}

/* ---- sockets that are open already ----------------------------------------------------------- */

static void write_unix_address(struct nm_bound *bound)
{
  struct sockaddr_un at = { 0 };
  socklen_t len = sizeof at;
  if (getsockname(bound->fd, (struct sockaddr *)&at, &len)) return;
  at.sun_path[sizeof at.sun_path - 1] = '\0';
  snprintf(bound->address, sizeof bound->address, "%s%s", UNIX_PREFIX, at.sun_path);
}

/* Takes a socket that somebody else bound.  Its file, if it has one, is theirs to remove: without
 * device and inode nm_net_unlink does nothing. */
static int adopt(struct nm_bound *out, struct nm_text address, struct nm_error *err)
{
  struct nm_text digits = { address.ptr + strlen(FD_PREFIX), address.len - strlen(FD_PREFIX) };
  int64_t fd;
  int type = 0, family = 0;
  socklen_t type_len = sizeof type, family_len = sizeof family;
  if (!nm_text_to_i64(digits, &fd) || fd < 0 || fd > INT32_MAX)
    return nm_fail(err, NM_EINVAL, "'%.*s' names no descriptor", NM_TEXT_ARG(address));
  if (getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &type_len) ||
      getsockopt((int)fd, SOL_SOCKET, SO_DOMAIN, &family, &family_len))
    return nm_fail(err, NM_EINVAL, "%.*s is no socket: %s", NM_TEXT_ARG(address), strerror(errno));
  bool is_known = family == AF_INET || family == AF_INET6 || family == AF_UNIX;
  if (type != SOCK_STREAM || !is_known)
    return nm_fail(err, NM_EINVAL, "%.*s is no stream socket (TCP or unix)", NM_TEXT_ARG(address));
  int flags = fcntl((int)fd, F_GETFL);
  if (flags < 0 || fcntl((int)fd, F_SETFL, flags | O_NONBLOCK) ||
      fcntl((int)fd, F_SETFD, FD_CLOEXEC))
    return fail_errno(err, address, "use", errno);
  *out = (struct nm_bound){ .fd = (int)fd, .is_unix = family == AF_UNIX };
  if (out->is_unix) write_unix_address(out);
  else write_address(out);
  return NM_OK;
}

int nm_net_bind(struct nm_bound *out, struct nm_text address, struct nm_error *err)
{
  if (nm_text_starts_with(address, nm_text_from(FD_PREFIX))) return adopt(out, address, err);
  return nm_text_starts_with(address, nm_text_from(UNIX_PREFIX)) ? bind_unix(out, address, err)
                                                                 : bind_tcp(out, address, err);
}

void nm_net_peer_text(char out[NM_STREAM_PEER_MAX_BYTES], const struct sockaddr *peer)
{
  out[0] = '\0';
  if (peer->sa_family == AF_INET) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;
    inet_ntop(AF_INET, &v4->sin_addr, out, NM_STREAM_PEER_MAX_BYTES);
  } else if (peer->sa_family == AF_INET6) {
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)peer)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(v6)) {
      inet_ntop(AF_INET, v6->s6_addr + 12, out, NM_STREAM_PEER_MAX_BYTES);
    } else {
      inet_ntop(AF_INET6, v6, out, NM_STREAM_PEER_MAX_BYTES);
    }
  } else {
    snprintf(out, NM_STREAM_PEER_MAX_BYTES, "unix");
  }
}
