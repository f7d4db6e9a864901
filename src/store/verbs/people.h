/* people.h - profiles; and erasure: a person is taken out of everything that is kept. */
#pragma once

#include "store/verbs/events.h"

struct nm_store_profile {
  struct nm_text ext_id;
  struct nm_text body;   /* JSON object; empty = no such profile */
  int64_t version;       /* 0 = no such profile */
  unsigned unsubscribed; /* saving: bits 1u << channel that they want no more, for Optimove */
};

/* Saves a profile whose version is still the expected one (0 = new), else NM_ECONFLICT; with its
 * event, where there is one, in the same transaction. */
struct nm_store_profile_save {
  struct nm_store_request request;
  int64_t tenant_id;
  struct nm_store_profile profile; /* version: expected; out: the new one */
  struct nm_store_arrival *arrival; /* NULL = no event */
  bool restores; /* one who was erased may be kept again; else NM_EDENIED */
};

/* Many profiles in one transaction, each as above; one that is not taken leaves the others. */
struct nm_profile_item {
  struct nm_store_profile profile;
  struct nm_store_arrival *arrivals; /* its events, in order */
  size_t arrival_count;
  int rc;                            /* out: NM_OK, NM_ECONFLICT, NM_EDENIED (was erased) */
};

struct nm_store_profiles_save {
  struct nm_store_request request;
  int64_t tenant_id;
  struct nm_profile_item *items;
  size_t count;
  bool restores;
};

struct nm_store_profiles_load {
  struct nm_store_request request;
  int64_t tenant_id;
  struct nm_store_profile *profiles; /* ext_id in, body and version out; one query for all */
  size_t count;
};

/* The profile goes at once, the rest by ERASE_STEP, and a keyed hash stays: nothing is sent to that
 * person, and nothing of theirs is kept, from now on.  The same person again while the job is open:
 * the first job. */
struct nm_store_erase {
  struct nm_store_request request;
  int64_t tenant_id;
  struct nm_text ext_id;
  int64_t id;         /* out: the job's */
  bool had_profile;   /* out */
  bool was_open;      /* out: the job was there already */
};

struct nm_erased_person {
  int64_t tenant_id;
  struct nm_text customer;
};

struct nm_stopped_message {
  int64_t tenant_id, run_id; /* 0 = a single one */
};

/* Sweeps on for some milliseconds; jobs that are open go together.  Where the sweep has ended,
 * `needs_scrub` says that NM_STORE_SCRUB is to be asked, and then this with `was_scrubbed`. */
struct nm_store_erase_step {
  struct nm_store_request request;
  bool was_scrubbed;
  int64_t traces;     /* what the scrub found; -1 = it did not look */
  bool is_more;       /* out: ask again */
  bool needs_scrub;   /* out */
  struct nm_stopped_message *stopped; /* out: messages that waited and were stopped */
  size_t stopped_count;
  struct nm_erased_person *people; /* out: of the pass under way, until its end is near */
  size_t people_count;
  struct nm_text needles; /* out, with needs_scrub: JSON array of texts for the scrub */
};

/* Puts the whole log into the database and truncates it, then looks whether any page of the file
 * still holds one of the needles. */
struct nm_store_scrub {
  struct nm_store_request request;
  struct nm_text needles; /* JSON array; empty = do not look */
  int64_t traces;         /* out: pages with a needle; -1 = not looked */
};
