/* rules.h - turns one recorded event into the effects its tenant's rules ask for.
 *
 * Pure: no clock, no files, no network.  The same rules, event and time always give the same
 * effects, so a recorded event can be played again.  A struct nm_rules is used by one thread at a
 * time (it may be made on one and handed to another).
 */
#pragma once

#include <uv.h>

#include "base/limits.h"
#include "base/problems.h"
#include "base/zone.h"
#include "json/tape.h"
#include "model/effect.h"
#include "model/event.h"

struct nm_rules; /* one tenant's proven rules, in a sandboxed state with limits */

enum { NM_RULES_DIGEST_BYTES = 64 }; /* hex of SHA-256 of the source */

/* Loads a tenant's file and proves it on its own examples.  `file` is what messages name
 * ("rules/acme.lua").  A source is a file, or the bundle of one and the libraries that it used.
 * Borrows all, gives *out.  NM_EINVAL with every mistake in problems. */
NM_MUST_CHECK int nm_rules_load(struct nm_rules **out, struct nm_text file, struct nm_text source,
                                struct nm_problems *problems);

/* One library that a file asked for by `use`. */
struct nm_rules_library {
  struct nm_text name;   /* "texts" */
  struct nm_text source;
  bool is_found;
};

/* The libraries beside a file, in its `lib`: each is read once, when it is asked for. */
struct nm_rules_libraries {
  struct nm_arena *arena;  /* what was read and the bundle live here */
  int64_t still_ms;        /* one that changed within this time is_moving; 0 = never */
  struct nm_rules_library items[NM_RULES_LIBRARIES_MAX]; /* out: also those that are not there */
  size_t count;            /* out */
  size_t bytes;            /* out: of all */
  bool is_moving;          /* out: one may be written right now; load again */
  struct nm_text bundle;   /* out: what was proven as one text; the digest's.  The source itself
                            * where no library was used */
};

/* The same for a file of a folder, whose libraries are read from its `lib`. */
NM_MUST_CHECK int nm_rules_load_file(struct nm_rules **out, struct nm_text file,
                                     struct nm_text source, struct nm_rules_libraries *libraries,
                                     struct nm_problems *problems);

/* Runs a library by itself, as if a tenant used it: its mistakes.  NM_EINVAL with all of them. */
NM_MUST_CHECK int nm_rules_check_library(struct nm_text file, struct nm_problems *problems);
void nm_rules_destroy(struct nm_rules *rules);

struct nm_rules_template {
  int64_t id;
  struct nm_text message;
};

/* What the file says of itself; lives as long as the rules. */
struct nm_rules_facts {
  struct nm_text name;
  char digest[NM_RULES_DIGEST_BYTES + 1];
  const struct nm_zone *zone;       /* the tenant's time_zone */
  const int64_t *channel_ids;
  const enum nm_channel *channel_kinds;
  size_t channel_count;
  const int64_t *template_ids;
  const struct nm_text *template_names;     /* the message that each stands for */
  const enum nm_channel *template_kinds;    /* and that message's channel */
  size_t template_count;
  const struct nm_text *hooks;      /* names with a rule */
  size_t hook_count;
  const int64_t *event_types;       /* EventTypeIDs that are routed */
  size_t event_type_count;
  const struct nm_text *warnings;   /* lines about examples that use over half of a limit */
  size_t warning_count;
};
const struct nm_rules_facts *nm_rules_facts(const struct nm_rules *rules);

struct nm_rules_moment {
  int64_t now_ms;       /* wall clock that the rules are told */
  bool is_recipient;    /* the event is one row of a run */
  bool wants_values;    /* the trace also says where each value came from (nm_rules_run) */
};

/* Runs the rules over one event (nm_event_for_rules(), with `user` added where there is a profile).
 * Borrows everything; effects live in the arena.  NM_EINVAL: the author's code failed, err says
 * where in one line; NM_ELIMIT: it overran its instructions, time or memory.  The state stays
 * usable. */
NM_MUST_CHECK int nm_rules_run(struct nm_rules *rules, const json_t *event,
                               const struct nm_rules_moment *moment, struct nm_arena *arena,
                               struct nm_effects *out, struct nm_error *err);

/* The same for an event by its bytes, with the customer's profile (or NULL) as `user`: what traffic
 * takes, several times cheaper; gives no trace. */
NM_MUST_CHECK int nm_rules_serve(struct nm_rules *rules, const struct nm_event *event,
                                 const json_t *profile, const struct nm_rules_moment *moment,
                                 struct nm_arena *arena, struct nm_effects *out,
                                 struct nm_error *err);

/* As nm_rules_run without a trace: for the rows of a run. */
NM_MUST_CHECK int nm_rules_serve_row(struct nm_rules *rules, const struct nm_json_node *row,
                                     const json_t *profile, const struct nm_rules_moment *moment,
                                     struct nm_arena *arena, struct nm_effects *out,
                                     struct nm_error *err);

/* What these rules took so far, over all events; read on the thread that runs them.  Instructions
 * are counted in hundreds. */
struct nm_rules_cost {
  int64_t calls;
  int64_t overruns; /* calls that were stopped at a limit of theirs */
  int64_t instructions, instructions_max;
  int64_t cpu_ns, cpu_max_ns;
  size_t bytes_max; /* the most that their state had in use */
};
const struct nm_rules_cost *nm_rules_cost(const struct nm_rules *rules);

/* One rule of the file: an entry of its events or hooks. */
struct nm_rules_entry {
  struct nm_text name; /* "events[11]", "events[13], each recipient", "hooks.PURCHASE" */
  struct nm_rules_cost cost;
};

/* Those that traffic has asked so far, in the order of the file's facts; `calls` is 0 for
 * others. */
const struct nm_rules_entry *nm_rules_entries(const struct nm_rules *rules, size_t *count);

enum {
  NM_RULES_OVERRUNS_MAX = 20,
  NM_RULES_OVERRUNS_WITHIN_MS = 60 * 1000,
  NM_RULES_SUSPENDED_MS = 5 * 60 * 1000,
};

/* An event of real traffic has overrun; true where that was the last straw (so many within the
 * time) and the rules are suspended now: the first time for a while, the second time for good.
 * Times are of one monotonic clock. */
bool nm_rules_note_overrun(struct nm_rules *rules, int64_t now_ms);

/* How long they should not be asked; 0 = they may be. */
int64_t nm_rules_suspended_ms(const struct nm_rules *rules, int64_t now_ms);

/* ---- generations ----------------------------------------------------------------------------- */

/* One loaded and proven version of a tenant's rules, counted (runs keep theirs). */
struct nm_generation {
  int64_t id;           /* 0 until saved in the store */
  int64_t tenant_id;
  struct nm_rules *rules;
  struct nm_text source; /* owned */
  bool is_active; /* its tenant's events are planned by it; else only runs that began with it */
  int references;       /* engine thread only, once handed over */
};

/* Copies source; takes rules, with one reference.  NULL when out of memory: rules then stay the
 * caller's. */
struct nm_generation *nm_generation_create(int64_t tenant_id, struct nm_rules *rules,
                                           struct nm_text source);
void nm_generation_unref(struct nm_generation *generation); /* NULL is fine */

/* ---- the folder of rules files --------------------------------------------------------------- */

struct nm_rules_folder;

/* What was found in one file that is new or has changed. */
struct nm_rules_verdict {
  struct nm_text tenant;          /* file name without .lua */
  struct nm_text file;            /* "rules/acme.lua" */
  struct nm_text source;          /* with the libraries that it uses: a bundle */
  struct nm_rules *rules;         /* NULL where it did not prove itself; takes it by setting NULL */
  const struct nm_problems *problems;
};

/* Watches a folder on the loop (file events, with a look every second as a backstop); calls
 * on_verdict for each *.lua in it that is new or whose digest changed, once its content has been
 * still for a moment, and anew where a library of `lib` that it uses changed.  Files in other
 * subfolders do not count.  A missing folder is a warning and is
 * watched for. */
NM_MUST_CHECK int
nm_rules_folder_open(struct nm_rules_folder **out, uv_loop_t *loop, struct nm_text path,
                     void (*on_verdict)(void *data, struct nm_rules_verdict *verdict), void *data,
                     struct nm_error *err);

/* Looks now, at every file whose digest is not the last one seen, or with `all` at every file;
 * on_verdict is called from inside. */
void nm_rules_folder_look(struct nm_rules_folder *folder, bool all);

/* What came of this tenant's file could not be kept: it is proven again by the next look. */
void nm_rules_folder_again(struct nm_rules_folder *folder, struct nm_text tenant);

void nm_rules_folder_close(struct nm_rules_folder *folder, void (*on_closed)(void *data),
                           void *data);
