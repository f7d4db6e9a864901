/* internal.h - what the files of net/ share. */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "net/listen.h"

enum {
  NM_NET_READ_BUFFER_BYTES = 16 * 1024, /* one a listener, lent to the stream that reads */
  NM_NET_ADDRESS_MAX_BYTES = 160,
};

/* ---- address.c: the text of an address and the socket for it ----------------------------------- */

struct nm_bound {
  int fd;
  bool is_unix;
  char address[NM_NET_ADDRESS_MAX_BYTES]; /* as really bound */
  dev_t device;                           /* of a unix socket's file: removed only if still ours */
  ino_t inode;
};

/* Binds a non-blocking socket; gives out->fd.  Blocks while a host name is looked up. */
NM_MUST_CHECK int nm_net_bind(struct nm_bound *out, struct nm_text address, struct nm_error *err);

/* Removes the file of a unix socket, if it is the one that was bound. */
void nm_net_unlink(const struct nm_bound *bound);

/* "203.0.113.7" of a peer; an IPv4 address inside IPv6 is shown as IPv4. */
void nm_net_peer_text(char out[NM_STREAM_PEER_MAX_BYTES], const struct sockaddr *peer);

/* ---- socket.c: an accepted socket as a stream -------------------------------------------------- */

/* Takes fd (closed on failure too).  Gives *out. */
NM_MUST_CHECK int nm_socket_stream_create(struct nm_stream **out, struct nm_listener *listener,
                                          int fd, bool is_unix);

/* ---- listen.c, for socket.c -------------------------------------------------------------------- */

uv_loop_t *nm_listener_loop(const struct nm_listener *listener);
char *nm_listener_read_buffer(struct nm_listener *listener);
void nm_listener_stream_gone(struct nm_listener *listener);
