/* tls.h - what a listener needs to speak TLS: certificate, key, tickets, and their renewal.
 *
 * TLS 1.2 and 1.3 as Mozilla's "intermediate" has it, ALPN http/1.1, no renegotiation, no early
 * data.  The files are looked at again by themselves and when asked; what does not fit together
 * (half of a new pair) is refused and the old certificate serves on.  Connections keep the
 * certificate that they began with.  Loop thread only, but for nm_tls_check.
 */
#pragma once

#include <uv.h>

#include "base/error.h"
#include "base/text.h"

struct nm_tls;

enum nm_tls_client {
  NM_TLS_CLIENT_NONE = 0,     /* no certificate is asked for */
  NM_TLS_CLIENT_OPTIONAL = 1, /* one that is shown must be good */
  NM_TLS_CLIENT_REQUIRED = 2,
};

struct nm_tls_options {
  struct nm_text certificate; /* PEM file: ours first, then the chain */
  struct nm_text key;         /* PEM file without a passphrase */
  struct nm_text client_ca;   /* PEM file: who signs callers' certificates */
  enum nm_tls_client client;
};

/* Reads the files and proves that they fit together; err says which one does not and why.  Blocks
 * for the disk.  Any thread. */
NM_MUST_CHECK int nm_tls_check(const struct nm_tls_options *options, struct nm_error *err);

/* The same, and keeps them.  Copies the options.  Gives *out. */
NM_MUST_CHECK int nm_tls_open(struct nm_tls **out, uv_loop_t *loop,
                              const struct nm_tls_options *options, struct nm_error *err);

/* Reads the files again, off the loop, and says in the log what came of it.  By itself it does so
 * every NM_TLS_LOOK_MS where one of them has changed. */
void nm_tls_look(struct nm_tls *tls);

/* After the last listener that uses it is closed. */
void nm_tls_close(struct nm_tls *tls, void (*on_closed)(void *data), void *data);
