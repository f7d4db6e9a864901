/* scrub.h - finding a person in texts of others.  Pure; room-private. */
#pragma once

#include "base/limits.h"
#include "json/json.h"

/* Jobs of one pass, and what is looked for: each person has an id, an e-mail address, a number written in two ways, and devices. */
enum { NM_ERASE_PEOPLE_MAX = 16 };
enum { NM_NEEDLES_MAX = NM_ERASE_PEOPLE_MAX * (NM_PROFILE_DEVICES_MAX + 4), NM_NEEDLE_MIN_BYTES = 6 };


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
 * texts that hold an address.  *is_changed is set where something was replaced.  NM_ENOMEM: the
 * document may be half done. */
NM_MUST_CHECK int nm_needles_scrub(const struct nm_needles *needles, int64_t tenant_id,
                                   json_t *document, bool *is_changed);

/* What is worth looking for in the bytes of a file: a JSON array of texts; gives.  NULL without
 * memory: all of them or nothing. */
json_t *nm_needles_for_file(const struct nm_needles *needles);
