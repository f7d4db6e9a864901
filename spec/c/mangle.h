/* mangle.h - documents with bytes changed, taken out and doubled, for readers that must agree. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "check.h"

/* The same documents for the same seed. */
static inline void mangle(const char *const *documents, size_t count, unsigned seed,
                          void (*see)(struct nm_text text))
{
  static const char alphabet[] = "{}[]\",:\\u0dDe19-.+ tfnrlasE\n\x01\x80\xc4\xed\xf0";
  char bytes[256];
  for (int round = 0; round < 60000; round++) {
    const char *one = documents[(size_t)round % count];
    size_t len = strlen(one);
    memcpy(bytes, one, len);
    for (int changes = 1 + round % 4; changes > 0; changes--) {
      seed = seed * 1103515245u + 12345u;
      size_t at = (seed >> 8) % len;
      char c = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
      if ((seed >> 4) % 3 == 0 && len > 1) {
        memmove(bytes + at, bytes + at + 1, --len - at);
      } else if ((seed >> 4) % 3 == 1 && len < sizeof bytes) {
        memmove(bytes + at + 1, bytes + at, len++ - at);
        bytes[at] = c;
      } else {
        bytes[at] = c;
      }
    }
    char *exact = malloc(len); /* so that the sanitizer sees a byte too many */
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    see((struct nm_text){ exact, len });
    free(exact);
  }
}
