/* engine.h - takes work from the store, runs the rules, expands runs, paces lanes, drives adapters
 * and Optimove's API, and hands outcomes back.  One thread with a loop of its own.
 *
 * The only ways in: the store (what is to do), nm_engine_wake (that there is something), and the
 * control port (what operators ask; model/control.h).
 */
#pragma once

#include "config/config.h"
#include "rules/rules.h"
#include "store/store.h"
#include "tenants/tenants.h"

struct nm_engine;

struct nm_engine_env {
  struct nm_store *store;
  struct nm_tenants *tenants;
  const struct nm_keyring *keyring;
  const struct nm_settings *settings;
  struct nm_text public_url; /* what Optimove calls; its callbacks too */
};

/* Starts the thread; it resumes runs and lanes, plans waiting 4s first, then everything else.
 * Events of a tenant without an active generation are held once `rules_are_in` was said.  Gives
 * *out. */
NM_MUST_CHECK int nm_engine_start(struct nm_engine **out, const struct nm_engine_env *env,
                                  struct nm_error *err);

/* Any thread: there is new work (bits NM_STORE_WORK_*).  Never blocks. */
void nm_engine_wake(struct nm_engine *engine, unsigned work);

/* Where struct nm_control goes. */
struct nm_port *nm_engine_port(struct nm_engine *engine);

/* After a NM_CONTROL_STOP was answered: joins the thread and frees. */
void nm_engine_join(struct nm_engine *engine);
