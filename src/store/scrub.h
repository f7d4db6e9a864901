/* scrub.h - finding a person in texts of others.  Pure; room-private. */
#pragma once

#include "json/json.h"

enum { NM_NEEDLES_MAX = 512, NM_NEEDLE_MIN_BYTES = 6 };

/* What a person is known by: ids stand as whole values, addresses anywhere. */
struct nm_needle {
  int64_t tenant_id;
  struct nm_text text;
  bool is_id;
};

struct nm_needles {
  struct nm_needle items[NM_NEEDLES_MAX];
  size_t count;
};

/* True where the bytes hold one of them, not as a part of a longer word; short ids are not looked
 * for in running text. */
bool nm_needles_are_in(const struct nm_needles *needles, int64_t tenant_id, struct nm_text text);

/* Replaces what names one of them in a document of somebody else: values of keys that hold ids, and
 * texts that hold an address.  True where something was replaced. */
bool nm_needles_scrub(const struct nm_needles *needles, int64_t tenant_id, json_t *document);

/* What is worth looking for in the bytes of a file: a JSON array of texts; gives. */
json_t *nm_needles_for_file(const struct nm_needles *needles);
