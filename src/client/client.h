/* client.h - outbound HTTP on a uv loop: libcurl multi.  One client a loop; only on its thread.
 *
 * Never re-sends by itself: no call reaches the wire a second time, so that libcurl reports a lost
 * connection instead of posting again.  No redirects, no proxies of the environment, no
 * protocol but http and https, certificates always verified.  Every address is looked at after the
 * name was resolved (guard.h).
 */
#pragma once

#include <uv.h>

#include "base/arena.h"
#include "base/error.h"

struct nm_client;

/* How a request ended, as far as we can know. */
enum nm_client_end {
  NM_CLIENT_ANSWERED = 0, /* status and body are there */
  NM_CLIENT_UNREACHABLE = 1, /* name, connect or TLS failed: nothing was sent */
  NM_CLIENT_UNKNOWN = 2,  /* something was sent and the answer was lost or never came */
  NM_CLIENT_REFUSED = 3,  /* the address guard or the URL check said no: nothing was sent */
};

struct nm_client_answer {
  enum nm_client_end end;
  int status; /* 0 where there is none; may be there with NM_CLIENT_UNKNOWN, when the head of
               * the answer came whole and its body did not */
  struct nm_text body; /* at most response_max_bytes; more is NM_CLIENT_UNKNOWN with that reason */
  int64_t retry_after_ms;    /* Retry-After as a duration from now, a day at most; -1 = none */
  const char *reason; /* for people: "connection refused"; never NULL, empty where answered */
};

struct nm_client_call {
  const char *method;          /* "GET", "POST", ... */
  struct nm_text url;
  const struct nm_text *headers; /* whole lines "Name: value", without CRLF */
  size_t header_count;
  struct nm_text body;         /* sent where the method is POST or PUT, also when empty */
  int64_t timeout_ms;          /* the whole of it; 0 = 30 s */
  size_t response_max_bytes;   /* 0 = 1 MiB */
  bool wants_http2;            /* over TLS, where the peer offers it; else always HTTP/1.1 */
  void (*done)(void *data, const struct nm_client_answer *answer); /* once; borrows answer */
  void *data;
};

struct nm_client_options {
  /* "127.0.0.0/8", ...: private ranges that may be called.  Borrowed as long as the client lives.
   */
  const struct nm_text *allow;
  size_t allow_count;
  int connections_per_host_max; /* 0 = 64 */
  const char *ca_file;          /* trusted certificates, PEM; NULL = the system's */
};

NM_MUST_CHECK int nm_client_open(struct nm_client **out, uv_loop_t *loop,
                                 const struct nm_client_options *options, struct nm_error *err);

/* Starts a call; copies what it needs of it.  Non-zero: could not even start (method, a header with
 * a line break, closing, no memory), done is not called.  A URL that is no http or https address,
 * or carries a user, a fragment or blanks, is started and ends NM_CLIENT_REFUSED.  done is never
 * called from inside this function. */
NM_MUST_CHECK int nm_client_start(struct nm_client *client, const struct nm_client_call *call,
                                  struct nm_error *err);

/* Calls under way. */
size_t nm_client_active(const struct nm_client *client);

/* Ends every call before it returns (done gets NM_CLIENT_UNKNOWN, or NM_CLIENT_UNREACHABLE where
 * nothing was sent yet); later, when all handles are closed, calls on_closed.  May be called from
 * inside a done. */
void nm_client_close(struct nm_client *client, void (*on_closed)(void *data), void *data);
