/* store.h - the journal and the queue: what came in, what became of it, and what is still to do.
 *
 * One writer thread commits whatever it finds in its mailbox as one transaction (group commit);
 * reader threads with connections of their own serve what only looks.  A request is answered after
 * its transaction is on disk, never before.  Claims on work (take, lease) live in the writer's
 * memory: after a restart everything that has no end is free again.
 *
 * Every request struct (verbs/) begins with a struct nm_store_request.  The asker owns it,
 * everything it points at and the arena that results are made in, until `done` has run on its own
 * loop (base/port.h).  Verbs are the same for SQLite and, later, PostgreSQL.
 *
 * All ids come from one sequence of time-ordered 64-bit integers: an id names one thing, whatever
 * its kind.  Times are wall-clock milliseconds.  What a struct marks "out" is filled by the store,
 * and so are the arrays of the ..._load verbs.
 */
#pragma once

#include "store/verbs/access.h"
#include "store/verbs/events.h"
#include "store/verbs/feedback.h"
#include "store/verbs/messages.h"
#include "store/verbs/people.h"
#include "store/verbs/query.h"
#include "store/verbs/request.h"
#include "store/verbs/runs.h"
#include "store/verbs/tenants.h"
#include "store/verbs/updates.h"
#include "store/verbs/upkeep.h"

struct nm_store;

/* Bits of what there is to do after a commit. */
enum {
  NM_STORE_WORK_EVENTS = 1,
  NM_STORE_WORK_MESSAGES = 2,
  NM_STORE_WORK_UPDATES = 4,
  NM_STORE_WORK_PREFERENCES = 8,
  NM_STORE_WORK_ERASURES = 16,
};

struct nm_store_options {
  struct nm_text url; /* "sqlite:var/netmove.db"; its folder is made */
  /* Called on the writer thread after each commit that left new work; MAY NOT block. */
  void (*on_work)(void *data, unsigned work);
  void *data;
  int64_t max_bytes; /* 0 = as the disk allows; beyond it NM_EFULL, as on a full disk */
  int log_max_pages; /* 0 = NM_STORE_WAL_MAX_PAGES; above so many the log is begun anew */
};

/* Opens, migrates, checks, starts the threads.  A schema newer than ours, a second daemon on the
 * same file (NM_ECONFLICT, err names its process) and a damaged file are refused.  Gives *out. */
NM_MUST_CHECK int nm_store_open(struct nm_store **out, const struct nm_store_options *options,
                                struct nm_error *err);

/* Hands a request over.  NM_EFULL (answer 503), NM_ECLOSED, NM_EIO (a sync failed: nothing is
 * acknowledged any more until restart) leave it with the caller, `done` is then not called. */
NM_MUST_CHECK int nm_store_submit(struct nm_store *store, struct nm_store_request *request);

/* Commits what is in the mailbox, joins the threads, closes.  Other threads have stopped asking. */
void nm_store_close(struct nm_store *store);

/* The key under which erased people are remembered: set once, before the first request. */
enum { NM_PERSON_KEY_BYTES = 32 };
void nm_store_set_person_key(struct nm_store *store, const unsigned char key[NM_PERSON_KEY_BYTES]);

/* For /readyz: true while a commit can be acknowledged. */
bool nm_store_is_sound(struct nm_store *store);
