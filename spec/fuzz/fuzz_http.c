/* links: http */
/* fuzz_http.c - libFuzzer on the request parser: however the bytes are cut, the same messages.
 *
 * The first byte says how many cuts (at most 8), the next ones where; the rest is the connection.
 */
#include <stdlib.h>

#include "http_transcript.h"

enum { CUTS_MAX = 8, BYTES_MAX = 8192 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
  if (len < 1 + CUTS_MAX || len > BYTES_MAX) return 0;
  size_t count = data[0] % (CUTS_MAX + 1), cuts[CUTS_MAX];
  struct nm_text bytes = { (const char *)data + 1 + CUTS_MAX, len - 1 - CUTS_MAX };
  for (size_t i = 0; i < count; i++) {
    cuts[i] = (size_t)data[1 + i] * bytes.len / 255;
    for (size_t k = i; k > 0 && cuts[k] < cuts[k - 1]; k--) {
      size_t swap = cuts[k];
      cuts[k] = cuts[k - 1];
      cuts[k - 1] = swap;
    }
  }
  struct nm_buffer whole, said;
  nm_buffer_init(&whole, 1024 * 1024);
  nm_buffer_init(&said, 1024 * 1024);
  transcript(&whole, bytes, NULL, 0);
  transcript(&said, bytes, cuts, count);
  nm_require(nm_text_equal(nm_buffer_text(&whole), nm_buffer_text(&said)));
  nm_buffer_deinit(&whole);
  nm_buffer_deinit(&said);
  return 0;
}
