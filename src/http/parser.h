/* parser.h - one request out of bytes, however they were cut on the way.
 *
 * The guard finds the end of the head; llhttp then reads the whole head at once; our own checks
 * follow; the body is counted or read as chunks.  Where a message begins and ends never depends on
 * how the bytes were split, and never goes beyond one message.
 */
#pragma once

#include "base/buffer.h"
#include "http/chunked.h"
#include "http/guard.h"

enum nm_http_step {
  NM_HTTP_STEP_MORE = 0, /* all bytes are used, feed more */
  NM_HTTP_STEP_HEAD = 1, /* the head is read: look at it, call nm_http_parser_take_body, feed on */
  NM_HTTP_STEP_DONE = 2, /* the message ends behind the bytes used */
  NM_HTTP_STEP_BAD = 3,  /* see `fault`; nothing that follows on this connection can be trusted */
};

/* A refusal in the words of the contract. */
struct nm_http_fault {
  int status; /* 0: none */
  const char *code;
  const char *message;
};

enum { NM_HTTP_FIELDS_FEW = 20, NM_HTTP_REUSED_MAX_BYTES = 4096 };

struct nm_http_field {
  struct nm_text name, value;
};

struct nm_http_parser {
  struct nm_http_guard guard;
  struct nm_http_chunked chunked;
  struct nm_buffer head; /* the bytes of the head; what follows points into it */
  struct nm_buffer body;
  struct nm_text method, target;
  struct nm_http_field *fields; /* `few`, or allocated */
  unsigned field_count;
  bool is_head_done;
  bool is_1_0, keeps_alive, is_chunked;
  bool drops_body;
  bool is_body_taken_away; /* in pieces: its limit counts what came, not what is here */
  uint64_t left;      /* of a body with Content-Length */
  uint64_t body_seen; /* bytes of body that came, kept or dropped */
  struct nm_http_fault fault;
  struct nm_http_field few[NM_HTTP_FIELDS_FEW];
};

void nm_http_parser_init(struct nm_http_parser *parser, size_t head_max_bytes);
void nm_http_parser_deinit(struct nm_http_parser *parser);

/* As deinit and init, but keeps the memory for the next request where it is not much; then true. */
bool nm_http_parser_reuse(struct nm_http_parser *parser, size_t head_max_bytes);

/* Feeds bytes of the connection; *used of them belong to this message.  With
 * NM_HTTP_STEP_HEAD, call again even if no bytes are left: there may be no body. */
enum nm_http_step nm_http_parser_feed(struct nm_http_parser *parser, struct nm_text bytes,
                                      size_t *used);

/* After NM_HTTP_STEP_HEAD: how much body is allowed (413 above), and whether it is thrown away. */
void nm_http_parser_take_body(struct nm_http_parser *parser, size_t max_bytes, bool drops);

/* True where a body follows the head. */
bool nm_http_parser_has_body(const struct nm_http_parser *parser);

/* The first header of that name in any case; NULL when missing.  *count, if not NULL: how many. */
const struct nm_http_field *nm_http_parser_field(const struct nm_http_parser *parser,
                                                 struct nm_text name, unsigned *count);
