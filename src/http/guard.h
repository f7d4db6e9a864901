/* guard.h - the strict scanner before the parser: where a head ends, and that nothing in it could
 * be read in two ways.
 *
 * llhttp forgives a bare CR, a bare LF, folding and more, and what one side forgives and the other
 * does not is how requests are smuggled.  So every byte of a head passes here first.
 */
#pragma once

#include <stddef.h>

enum nm_http_guard_verdict {
  NM_HTTP_GUARD_MORE = 0,      /* all good so far, the head goes on */
  NM_HTTP_GUARD_END = 1,       /* the head ends behind the bytes used */
  NM_HTTP_GUARD_BAD = 2,       /* CR without LF, LF without CR, NUL, folding: 400 */
  NM_HTTP_GUARD_TOO_LARGE = 3, /* 431 */
};

/* Kept across reads; all zero but max_bytes at the beginning of a head. */
struct nm_http_guard {
  size_t max_bytes;
  size_t bytes; /* of this head so far */
  unsigned lines;
  unsigned state;
};

/* Scans the next bytes; *used of them belong to the head. */
enum nm_http_guard_verdict nm_http_guard_scan(struct nm_http_guard *guard, const char *bytes,
                                              size_t len, size_t *used);
