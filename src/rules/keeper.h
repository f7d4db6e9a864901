/* keeper.h - the life of generations between the folder, the store and the engine.
 *
 * At start it proves what the store holds and publishes it, then looks at the folder; afterwards
 * each changed file is loaded, proven, saved and only then published.  A file that does not prove
 * itself is reported, and what was published before goes on serving.  Main thread only.
 */
#pragma once

#include "rules/rules.h"
#include "store/store.h"
#include "tenants/tenants.h"

struct nm_rules_keeper;

struct nm_rules_keeper_env {
  uv_loop_t *loop;
  struct nm_port *home; /* of this loop: the store's answers come here */
  struct nm_store *store;
  struct nm_tenants *tenants;
  struct nm_text folder;
  /* Takes a generation that is saved; it goes to the engine. */
  void (*publish)(void *data, struct nm_generation *generation);
  /* Once: everything that can serve at start was published. */
  void (*on_ready)(void *data);
  void *data;
};

NM_MUST_CHECK int nm_rules_keeper_open(struct nm_rules_keeper **out,
                                       const struct nm_rules_keeper_env *env, struct nm_error *err);

/* A tenant was saved: rules that waited for one of its name are taken up. */
void nm_rules_keeper_adopt(struct nm_rules_keeper *keeper, struct nm_text tenant);

/* Looks at the folder now; done gets an array of
 * {"file","tenant","verdict","digest","problems":[text]}, verdict "active", "pinned", "waits for
 * its tenant" or "refused".  Borrowed for the call. */
void nm_rules_keeper_reload(struct nm_rules_keeper *keeper,
                            void (*done)(void *data, const json_t *verdicts), void *data);

/* Makes an older generation serve: `generation` 0 = the one that served before this.  It stays
 * until the file's digest is another than now (semantics.md, Rules and runs).  done once: rc,
 * error, and
 * {"tenant","generation","digest","was"}, borrowed. */
void nm_rules_keeper_rollback(struct nm_rules_keeper *keeper, struct nm_text tenant,
                              int64_t generation,
                              void (*done)(void *data, int rc, const struct nm_error *err,
                                           const json_t *answer),
                              void *data);

/* Rules that an operator brings: proven beside the libraries of the folder, written to the tenant's
 * file as a whole, saved, published.  They serve also where a rollback had pinned others.  Borrowed
 * for the call. */
struct nm_rules_publish {
  struct nm_text tenant, source;
  struct nm_text if_digest; /* only where this one serves, "none" = nothing does; empty = whatever
                             * does */
  bool is_dry_run;          /* only proven */
  /* Once.  {"tenant","file","status","digest","was","problems":[text],"warnings":[text]}, borrowed;
   * status "active", "proven" (a dry run), "refused", or "changed": others serve now than if_digest
   * says. NM_ECONFLICT: the file is a link.  NM_EIO: it could not be written, or not saved. */
  void (*done)(void *data, int rc, const struct nm_error *err, const json_t *answer);
  void *data;
};
void nm_rules_keeper_publish(struct nm_rules_keeper *keeper, const struct nm_rules_publish *what);

void nm_rules_keeper_close(struct nm_rules_keeper *keeper, void (*on_closed)(void *data),
                           void *data);
