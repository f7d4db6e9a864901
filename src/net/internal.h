/* internal.h - what the files of net/ share. */
#pragma once

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/buffer.h"
#include "net/crowd.h"
#include "net/listen.h"

enum {
  NM_NET_READ_BUFFER_BYTES = 16 * 1024, /* one a listener, lent to the stream that reads */
  NM_NET_ADDRESS_MAX_BYTES = 160,
};

/* ---- address.c: the text of an address and the socket for it --------------------------------- */

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

/* ---- socket.c: an accepted socket as a stream ------------------------------------------------ */

/* Takes fd (closed on failure too).  Gives *out. */
NM_MUST_CHECK int nm_socket_stream_create(struct nm_stream **out, struct nm_listener *listener,
                                          int fd, bool is_unix);

/* The stream's count in the crowd, given back when it is gone. */
void nm_socket_stream_count(struct nm_stream *stream, struct nm_crowd_place *place);

/* ---- tls_files.c: files into a context ------------------------------------------------------- */

/* Gives *out; paths end in NUL.  Any thread. */
NM_MUST_CHECK int nm_tls_context_create(SSL_CTX **out, const struct nm_tls_options *options,
                                        struct nm_error *err);

/* ---- tls_tickets.c --------------------------------------------------------------------------- */

struct nm_tls_ticket_key {
  unsigned char name[16], cipher[32], mac[32];
};

struct nm_tls_tickets {
  struct nm_tls_ticket_key keys[2]; /* the current one and the one before */
  unsigned count;
};

/* A new key; the one before the last is forgotten. */
NM_MUST_CHECK int nm_tls_tickets_rotate(struct nm_tls_tickets *tickets);

/* Lends the tickets to the context, for as long as a connection of it lives. */
void nm_tls_tickets_serve(struct nm_tls_tickets *tickets, SSL_CTX *context);

/* ---- tls.c ----------------------------------------------------------------------------------- */

/* A session with the certificate in force; NULL without memory. */
SSL *nm_tls_session(struct nm_tls *tls);

/* What happens every NM_TLS_TICKET_KEY_MS; tests do not wait so long. */
NM_MUST_CHECK int nm_tls_rotate(struct nm_tls *tls);

/* ---- tls_stream.c: TLS over another stream --------------------------------------------------- */

/* What the TLS streams of a listener share. */
struct nm_tls_layer;

NM_MUST_CHECK int nm_tls_layer_open(struct nm_tls_layer **out, uv_loop_t *loop,
                                    struct nm_tls *tls);
/* After the last stream is gone. */
void nm_tls_layer_close(struct nm_tls_layer *layer, void (*on_closed)(void *data), void *data);

/* Takes `under` unless it fails.  Gives *out. */
NM_MUST_CHECK int nm_tls_stream_create(struct nm_stream **out, struct nm_tls_layer *layer,
                                       struct nm_stream *under);

/* ---- listen.c, for socket.c ------------------------------------------------------------------ */

uv_loop_t *nm_listener_loop(const struct nm_listener *listener);
char *nm_listener_read_buffer(struct nm_listener *listener);
void nm_listener_stream_gone(struct nm_listener *listener, struct nm_crowd_place *place);
