/* seen.h - who was in a run already: (customer, template) as 64 bits of a keyed hash, 8 to 16 bytes
 * a person, so that a million recipients are 16 MiB.  Pure.
 *
 * Two persons share a hash once in some 40 million runs of a million; the key keeps anybody from
 * arranging it.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

enum { NM_SEEN_KEY_BYTES = 16 };

struct nm_seen {
  uint64_t *slots;
  size_t capacity, count;
  uint64_t *old; /* half as large, moved into `slots` a few at a time; NULL = all of it is there */
  size_t moved;  /* of its slots */
  unsigned char key[NM_SEEN_KEY_BYTES];
};

void nm_seen_init(struct nm_seen *seen); /* with a key of its own */
void nm_seen_deinit(struct nm_seen *seen);

/* Adds a pair; *was_there says whether it stood there before. */
NM_MUST_CHECK int nm_seen_add(struct nm_seen *seen, struct nm_text customer, int64_t template_id,
                              bool *was_there);
