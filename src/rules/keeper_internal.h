/* keeper_internal.h - between keeper.c and keeper_ask.c: what is known of each tenant's rules. */
#pragma once

#include "rules/folder.h"
#include "rules/keeper.h"

struct nm_rules_asked;
struct nm_rules_waiter;

/* One rules file and what became of its latest version. */
struct nm_rules_kept {
  struct nm_rules_kept *next;
  char *name;                             /* "acme" */
  char digest[NM_RULES_DIGEST_BYTES + 1]; /* of the active version; "" = none */
  char coming[NM_RULES_DIGEST_BYTES + 1]; /* of one on its way into the store; "" = none */
  char seen[NM_RULES_DIGEST_BYTES + 1];   /* of the file as it was last proven; "" = never */
  char pinned_over[NM_RULES_DIGEST_BYTES + 1]; /* the active one stands in for this; "" = not pinned */
  json_t *verdict;                        /* as reload answers it */
  struct nm_generation *waiting;          /* proven, but there is no tenant of that name yet */
};

struct nm_rules_keeper {
  struct nm_rules_keeper_env env;
  struct nm_rules_folder *folder;
  struct nm_store_generations_load load;
  struct nm_rules_kept *files;
  struct nm_rules_waiter *waiters;
  int saves; /* and what is read for a rollback */
  int loads; /* of the stored generations, until they came */
  bool is_loading, is_ready, is_closing, is_folder_closed;
  void (*on_closed)(void *data);
  void *closed_data;
};

/* A person who waits for a generation to be saved. */
struct nm_rules_asked {
  bool is_pin; /* it stays until the file's content is another than now */
  /* Once; generation: what serves now, borrowed, or NULL with rc. */
  void (*end)(struct nm_rules_asked *asked, int rc, const struct nm_error *err,
              const struct nm_generation *generation);
};

/* What is known of that name; made where nothing is. */
struct nm_rules_kept *nm_rules_keeper_file(struct nm_rules_keeper *keeper, struct nm_text name);

/* Saves and then publishes it; takes generation.  asked may be NULL. */
void nm_rules_keeper_save(struct nm_rules_keeper *keeper, struct nm_rules_kept *file,
                          struct nm_generation *generation, struct nm_rules_asked *asked);

void nm_rules_keeper_try_to_close(struct nm_rules_keeper *keeper);

/* keeper_ask.c's way to the disk: the tenant's file in the folder, as a whole or not at all.  NM_EIO,
 * NM_ECONFLICT where it is a link. */
NM_MUST_CHECK int nm_rules_file_write(const char *path, struct nm_text source,
                                      struct nm_error *err);
