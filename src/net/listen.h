/* listen.h - an address that accepts streams: "127.0.0.1:8443", "[::1]:0", "unix:var/netmove.sock",
 * or "fd:N", a stream socket that is bound already.
 *
 * Accepting never spins: without a file descriptor, or at connections_max, it rests until a
 * connection closes or a moment has passed; who knocks meanwhile waits in the system's backlog.
 * Loop thread only.
 */
#pragma once

#include <uv.h>

#include "net/network.h"
#include "net/stream.h"
#include "net/tls.h"

struct nm_listener;

struct nm_listener_options {
  int connections_max; /* streams open at once */

  /* Of one address (one /64 of IPv6); above it a connection is closed as it comes.  0: off. */
  int per_address_max;
  const struct nm_networks *exempt; /* from that, lent; may be NULL */

  struct nm_tls *tls; /* lent; NULL: plain */

  /* A stream came; takes it: attend, start, and close it some day. */
  void (*on_stream)(void *data, struct nm_stream *stream);

  /* No connection or file descriptor is left: close one that can be spared.  May be NULL. */
  void (*on_full)(void *data);

  void *data;
};

/* Binds and listens without a loop: callers wait in the backlog until the descriptor is opened as
 * "fd:N".  Gives *out, close-on-exec.  A unix socket's file is as nm_listener_open says, and the
 * caller's to remove. */
NM_MUST_CHECK int nm_listener_bind(int *out, struct nm_text address, struct nm_error *err);

/* Listens.  A unix socket gets mode 0600; a file left by a dead process is replaced, one on which
 * somebody answers is not (NM_ECONFLICT), nor is anything but a socket.  Ignores SIGPIPE for the
 * process: a peer that has gone must not end it.  "fd:N" is taken, also on failure once it proved
 * to be a stream socket; its file, if any, is never removed.  Borrows what options points to. Gives
 * *out. */
NM_MUST_CHECK int nm_listener_open(struct nm_listener **out, uv_loop_t *loop,
                                   struct nm_text address,
                                   const struct nm_listener_options *options, struct nm_error *err);

/* Raises the process's soft limit of file descriptors as far as it may, and gives how many of the
 * `wanted` connections there is room for: NM_NET_OTHER_FILES_MIN are left for everything else. */
int nm_listener_room(int wanted);

/* The address it really listens on ("127.0.0.1:41733"); lent as long as it lives. */
struct nm_text nm_listener_address(const struct nm_listener *listener);

/* Takes whom the system has let in already, as far as there is room: before a close that is to turn
 * nobody away. */
void nm_listener_take_waiting(struct nm_listener *listener);

/* Stops listening at once and removes its socket file.  Its streams live on; on_closed is called
 * when the last of them is gone, and the listener with it. */
void nm_listener_close(struct nm_listener *listener, void (*on_closed)(void *data), void *data);
