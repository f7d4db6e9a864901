/* internal.h - what client.c (the loop's side) and call.c (one request) share. */
#pragma once

#include <curl/curl.h>

#include "base/buffer.h"
#include "client/client.h"
#include "net/guard.h"

enum { NM_CLIENT_SHAPE_MAX_BYTES = 32 * 1024 };

/* One request: its easy handle and timer are kept for the next one. */
struct call {
  struct call *prev, *next; /* active, or (next only) idle */
  struct nm_client *client;
  CURL *easy;
  uv_timer_t deadline;
  void (*done)(void *data, const struct nm_client_answer *answer);
  void *data;

  struct nm_buffer shape; /* what the handle is set up for; empty = nothing (call.c) */
  CURLU *url;
  struct curl_slist *headers;
  char *body;
  int64_t timeout_ms;
  bool is_refused;           /* by the URL check, for the reason in guarded; curl never sees it */
  bool is_in_multi;
  bool wants_http2;
  bool is_short;             /* an option had no memory */
  int requests; /* times that curl began to send it: never more than one is let through */
  bool was_guarded;          /* an address was refused, for the reason in guarded */
  bool was_opened;           /* an address was allowed */
  struct nm_error guarded;

  struct nm_buffer answer;
  size_t head_bytes;
  bool is_head_whole;
  bool is_too_large;
  int64_t retry_after_ms;
  char why[CURL_ERROR_SIZE];
  char reason[CURL_ERROR_SIZE + 64];
};

/* libcurl was made with a file of certificates to trust; known once a client was opened. */
extern bool nm_client_has_trust_file;

struct watched; /* a socket of curl's on the loop */

struct nm_client {
  uv_loop_t *loop;
  CURLM *multi;
  uv_timer_t timer;
  bool is_in_timer;
  struct nm_guard guard;
  char *ca_file;
  struct nm_buffer shape; /* of the next call, while it is set up */
  struct call *active;
  struct call *idle; /* the last one that ended first */
  size_t active_count, idle_count;
  struct watched *watched;
  struct watched **by_socket; /* the same, by their numbers */
  struct watched *to_push;    /* those with a request that has not left yet */
  size_t socket_places;
  size_t handles_open;
  bool is_closing;
  void (*on_closed)(void *data);
  void *data;
};

/* call.c */

/* Sets up an easy handle for one request.  On failure the call is as release_call wants it. */
int nm_call_prepare(struct call *call, const struct nm_client_call *wanted, struct nm_error *err);

/* Forgets the request; the easy handle stays, and where `is_well` what it was set up for, too. */
void nm_call_clear(struct call *call, bool is_well);

/* Frees what it keeps between requests. */
void nm_call_deinit(struct call *call);

/* What became of it, given curl's word. */
void nm_call_describe(struct call *call, CURLcode code, struct nm_client_answer *out);

/* client.c */

/* A socket for a connection, on the loop as long as the connection lives.  `is_shared`: several
 * requests may be on it at a time. */
curl_socket_t nm_client_make_socket(struct nm_client *client, const struct curl_sockaddr *address,
                                    bool is_shared);
int nm_client_close_socket(void *client, curl_socket_t socket);
