/* chunked.h - the strict reader of chunked bodies.
 *
 * llhttp reads them loosely unless compiled otherwise ("3\r\nabcXX0" passes), and the system's
 * library is not ours to compile; so the framing of bodies is read here, to the letter.
 */
#pragma once

#include <stdint.h>

#include "base/text.h"

enum nm_http_chunked_verdict {
  NM_HTTP_CHUNKED_MORE = 0, /* all bytes are used */
  NM_HTTP_CHUNKED_DATA = 1, /* *data is the next piece of the body */
  NM_HTTP_CHUNKED_END = 2,  /* the body ends behind the bytes used */
  NM_HTTP_CHUNKED_BAD = 3,  /* not chunked encoding, a trailer, or extensions without end */
};

/* Kept across reads; all zero at the beginning of a body. */
struct nm_http_chunked {
  uint64_t left;            /* of the chunk: while its size is read, what was read of it */
  unsigned digits;          /* of the size */
  unsigned extension_bytes; /* of the whole body */
  unsigned state;
};

/* Reads on until there is a piece of body, an end or a fault; *used says how far it came. */
enum nm_http_chunked_verdict nm_http_chunked_feed(struct nm_http_chunked *chunked,
                                                  struct nm_text bytes, size_t *used,
                                                  struct nm_text *data);
