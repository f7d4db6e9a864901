/* internal.h - what the files of rules/ share. */
#pragma once

#include <limits.h>
#include <pthread.h>

#include "rules/rules.h"
#include "script/script.h"

/* The latest overruns on real traffic, as a ring. */
struct nm_rules_overruns {
  int64_t at_ms[NM_RULES_OVERRUNS_MAX];
  size_t count;
  int suspensions;
  int64_t until_ms; /* 0 = never suspended, INT64_MAX = until another version serves */
};

struct nm_rules {
  struct nm_script *script; /* NULL until the first event */
  struct nm_text file, source; /* what was proven; a bundle where it uses libraries */
  bool is_slow;             /* to be opened */
  bool sleeps;              /* awake now, and closed where no event comes for long */
  struct nm_rules *next_awake;
  pthread_t served_by;
  struct nm_arena *arena; /* holds these and the facts */
  struct nm_rules_facts facts;
  struct nm_rules_cost cost;
  struct nm_rules_entry *entries; /* two for each event type, then the hooks */
  size_t entry_count;
  size_t told_bytes;        /* of its state, as the metric has it */
  struct nm_rules_overruns overruns;
};

/* facts.c: what the file says of itself, out of what loading found. */
NM_MUST_CHECK int nm_rules_read_facts(struct nm_rules *rules, const struct nm_value *found,
                                      struct nm_error *err);

/* awake.c: opens the state of proven rules, or makes sure that it is open, before an event;
 * NM_ENOMEM, NM_ELIMIT.  Closes it; closes those of this thread that had no event for long, and
 * counts them. */
NM_MUST_CHECK int nm_rules_open_state(struct nm_rules *rules, struct nm_error *err);
NM_MUST_CHECK int nm_rules_wake(struct nm_rules *rules, struct nm_error *err);
void nm_rules_close_state(struct nm_rules *rules);
size_t nm_rules_let_sleep(int64_t now_ms);

/* cost.c: what the last call took goes to the rules and to the entry that answered (NULL: to
 * none). */
NM_MUST_CHECK int nm_rules_make_entries(struct nm_rules *rules);
struct nm_rules_entry *nm_rules_find_entry(struct nm_rules *rules, const struct nm_event *event,
                                           bool is_recipient);
void nm_rules_note_cost(struct nm_rules *rules, struct nm_rules_entry *entry);
void nm_rules_forget_cost(struct nm_rules *rules);

/* effects.c: what a rule gave, as the rest of the daemon reads it. */
NM_MUST_CHECK int nm_rules_read_effects(const struct nm_value *given, struct nm_arena *arena,
                                        struct nm_effects *out, struct nm_error *err);

/* libraries.c: a source as the parts of a bundle.  False where it is a plain file. */
struct nm_rules_bundle {
  struct nm_text main;
  struct nm_text rest; /* the libraries' parts */
};
bool nm_rules_bundle_read(struct nm_text source, struct nm_rules_bundle *out);
struct nm_script_libraries nm_rules_bundle_libraries(struct nm_rules_bundle *bundle);

/* Looks beside a file; the struct borrows both. */
struct nm_rules_beside {
  struct nm_rules_libraries *libraries;
  struct nm_text file;
};
struct nm_script_libraries nm_rules_beside_libraries(struct nm_rules_beside *beside);
/* Whether what a path names lies below the folder of the tenant's file; NM_ENOTFOUND,
 * NM_EDENIED. */
NM_MUST_CHECK int nm_rules_library_path(struct nm_text file, const char *path, char real[PATH_MAX],
                                        struct nm_error *err);
NM_MUST_CHECK int nm_rules_bundle_make(struct nm_rules_libraries *libraries, struct nm_text file,
                                       struct nm_text source);

/* load.c */
void nm_rules_digest(struct nm_text source, char out[NM_RULES_DIGEST_BYTES + 1]);
