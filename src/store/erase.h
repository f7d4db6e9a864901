/* erase.h - one pass of erasing: who, and how far it is.  Room-private. */
#pragma once

#include "store/internal.h"
#include "store/scrub.h"

enum {
  NM_ERASE_STOPPED_MAX = 256, /* messages in one step */
};

struct nm_erase_person {
  int64_t id; /* of the job */
  int64_t tenant_id;
  struct nm_text customer;
  int64_t erased;
};

struct nm_erase_pass {
  struct nm_writer *writer;
  struct nm_arena *arena;
  struct nm_erase_person people[NM_ERASE_PEOPLE_MAX];
  size_t count;
  struct nm_needles needles;
  int64_t stage, after_id;
  int64_t looked; /* rows, in this step */
  struct nm_store_erase_step *step;
};

/* How many stages there are. */
int64_t nm_erase_stages(void);

/* The rows of a stage from pass->after_id on, until until_ns; 1 = there is more of it, 0 = it has
 * ended. */
NM_MUST_CHECK int nm_erase_sweep(struct nm_erase_pass *pass, int64_t until_ns);

/* The person whose id this is; NULL = none of them. */
struct nm_erase_person *nm_erase_find(struct nm_erase_pass *pass, int64_t tenant_id,
                                      struct nm_text customer);

/* Takes the people's rows out of a compressed page (erase_pages.c).  Gives *out (malloc'd) and its
 * lengths where something was changed, else NULL. */
NM_MUST_CHECK int nm_erase_page(struct nm_erase_pass *pass, int64_t tenant_id,
                                struct nm_text packed, int64_t *raw_bytes, void **out,
                                size_t *out_len);
