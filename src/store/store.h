/* store.h - the journal and the queue: what came in, what became of it, and what is still to do.
 *
 * One writer thread commits whatever it finds in its mailbox as one transaction (group commit); a
 * reader thread with its own connection serves what only looks.  A request is answered after its
 * transaction is on disk, never before.  Claims on work (take, lease) live in the writer's memory:
 * after a restart everything that has no end is free again.
 *
 * Every request struct begins with a struct nm_store_request.  The asker owns it, everything it
 * points at and the arena that results are made in, until `done` has run on its own loop
 * (base/port.h).  Verbs are the same for SQLite and, later, PostgreSQL.
 *
 * All ids come from one sequence of time-ordered 64-bit integers: an id names one thing, whatever
 * its kind.  Times are wall-clock milliseconds.
 */
#pragma once

#include "base/arena.h"
#include "base/port.h"
#include "json/json.h"
#include "model/event.h"
#include "model/fact.h"
#include "model/message.h"
#include "model/run.h"

struct nm_store;

enum nm_store_verb {
  /* writer */
  NM_STORE_ACCEPT = 0,
  NM_STORE_TAKE,
  NM_STORE_PLAN,
  NM_STORE_LEASE,
  NM_STORE_FINISH,
  NM_STORE_PAGE_SAVE,
  NM_STORE_EXPAND,
  NM_STORE_RUN_SET,
  NM_STORE_FENCE,
  NM_STORE_RUN_RELEASE,
  NM_STORE_RUN_REPIN,
  NM_STORE_RUN_CHECK,
  NM_STORE_BATCH_TAKE,
  NM_STORE_BATCH_FINISH,
  NM_STORE_TENANT_SAVE,
  NM_STORE_GENERATION_SAVE,
  NM_STORE_PROFILE_SAVE,
  NM_STORE_LISTENER_SAVE,
  NM_STORE_TEMPLATES_SAVE,
  NM_STORE_CATCH_UP,
  NM_STORE_FACTS_SAVE,
  NM_STORE_FACTS_TAKE,
  NM_STORE_FACTS_FINISH,
  NM_STORE_PREFERENCES_DONE,
  NM_STORE_RETRY,
  NM_STORE_RETAIN,
  NM_STORE_TENANT_REMOVE,
  NM_STORE_TOKEN_SAVE,
  NM_STORE_TOKEN_DROP,
  NM_STORE_TOKEN_USED,
  NM_STORE_AUDIT,
  NM_STORE_ACCOUNT_FORGET,
  NM_STORE_PROFILES_SAVE,
  NM_STORE_ERASE,
  NM_STORE_ERASE_STEP,
  /* checkpointer */
  NM_STORE_SCRUB,
  /* reader */
  NM_STORE_RESUME,
  NM_STORE_PAGE_LOAD,
  NM_STORE_MARK_LOAD,
  NM_STORE_TENANTS_LOAD,
  NM_STORE_GENERATIONS_LOAD,
  NM_STORE_PROFILES_LOAD,
  NM_STORE_LISTENERS_LOAD,
  NM_STORE_ACCOUNTS_LOAD,
  NM_STORE_TEMPLATES_LOAD,
  NM_STORE_TALLY,
  NM_STORE_PREFERENCES_LOAD,
  NM_STORE_TOKENS_LOAD,
  NM_STORE_QUERY,
};

/* How a line of the audit log ends. */
struct nm_store_audit_end {
  int64_t id;
  const int64_t *tenant_id; /* read when the verb has run (it may make the tenant); NULL = as begun */
  int status;               /* of the answer, as HTTP has them */
  struct nm_text was, became, details; /* never a secret */
};

struct nm_store_request {
  struct nm_task task; /* first: home and done are the asker's */
  enum nm_store_verb verb;
  /* NULL, or: in the transaction of what a verb of the writer did, this line ends.  Where the verb
   * fails nothing of it is written. */
  const struct nm_store_audit_end *audit;
  struct nm_arena *arena; /* results that are texts or arrays live here */
  int rc;
  struct nm_error error;
};

/* Bits of what there is to do after a commit. */
enum { NM_STORE_WORK_EVENTS = 1, NM_STORE_WORK_MESSAGES = 2, NM_STORE_WORK_UPDATES = 4,
       NM_STORE_WORK_PREFERENCES = 8,
       NM_STORE_WORK_ERASURES = 8 };

struct nm_store_options {
  struct nm_text url; /* "sqlite:var/netmove.db"; its folder is made */
  /* Called on the writer thread after each commit that left new work; MAY NOT block. */
  void (*on_work)(void *data, unsigned work);
  void *data;
  int64_t max_bytes; /* 0 = as the disk allows; beyond it NM_EFULL, as on a full disk */
};

/* Opens, migrates, checks, starts both threads.  A schema newer than ours, a second daemon on the
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

/* ---- accept: events into the journal ------------------------------------------------------ */

struct nm_store_arrival {
  struct nm_event event;    /* all but id; tenant_id and received_at_ms filled */
  struct nm_text identity;  /* nm_event_identity() */
  int64_t window_ms;
  int64_t origin_id;        /* the inbound request that it was made of; 0 = none */
  int64_t id;               /* out: its own, or the first one's */
  bool is_duplicate;        /* out */
};

struct nm_store_accept {
  struct nm_store_request request;
  struct nm_store_arrival *arrivals;
  size_t count;
};

/* ---- take: events to be planned ------------------------------------------------------------ */

enum nm_event_state {
  NM_EVENT_NEW = 0,
  NM_EVENT_DELAYED = 1, /* planned anew when due */
  NM_EVENT_PLANNED = 2, /* its effects are in the store */
  NM_EVENT_HELD = 3,    /* a person should look; reason */
  NM_EVENT_DROPPED = 4, /* rightly nothing; reason */
  NM_EVENT_SKIPPED = 5, /* nothing asked for it; reason says what is missing */
};

struct nm_store_take {
  struct nm_store_request request;
  int64_t now_ms;
  size_t max;
  struct nm_event *events; /* out: new or due, 4s first, then by id; claimed until plan */
  size_t count;
  int64_t next_due_ms;     /* out: the earliest delayed one that is not due; 0 = none */
};

/* ---- plan: an event's effects, in one transaction with its own state ------------------------ */

struct nm_cancel {
  struct nm_text campaign;
  int64_t channel_id;      /* 0 = all channels of the campaign */
  struct nm_text stamp;    /* TimeStamp of the 4 */
  int64_t stamp_ms;        /* read in the connector's zone; 0 = none or unreadable */
  int64_t arrived_at_ms;
  size_t in_flight;        /* counted by the engine when it stopped sending */
  int64_t fenced_at_ms;    /* out: when this was committed */
  int64_t *run_ids;        /* out: runs that it stopped */
  size_t run_count;
  int64_t stopped;         /* out: messages stopped, of runs and single ones */
};

struct nm_update {
  int64_t id;
  struct nm_text customer;
  struct nm_text field;
  struct nm_text value;
};

struct nm_plan {
  bool is_capped;             /* out: messages of it are NM_MESSAGE_CAPPED and were not made; `state`
                               * and `reason` say so where nothing else is left of it */
  struct nm_text reason_before; /* the store's own */
  struct nm_store_arrival *arrivals; /* events that an inbound request became: journaled with it */
  size_t arrival_count;
  int64_t event_id;
  int64_t tenant_id;
  enum nm_event_state state;
  struct nm_text reason;
  int64_t due_at_ms;          /* delayed */
  int64_t generation_id;
  struct nm_message *messages; /* out: id and state (stopped where a tombstone covers it) */
  size_t message_count;
  int64_t stamp_ms;           /* the event's TimeStamp as an instant; 0 = none: for tombstones */
  struct nm_run *run;         /* NULL = none; out: id and state.  A second one of the campaign and
                               * channel within run_window_ms is made held, its reason names the
                               * first; a tombstone makes it cancelled */
  int64_t run_window_ms;      /* 12 h; 0 where the tenant allows repetition */
  struct nm_cancel *cancel;   /* NULL = none */
  struct nm_update *updates;  /* coalesced with what waits for the same customer and field */
  size_t update_count;
};

struct nm_store_plan {
  struct nm_store_request request;
  struct nm_plan *plans;
  size_t count;
};

/* ---- lease and finish: messages --------------------------------------------------------------- */

/* One that was tried before and waits. */
struct nm_store_tried {
  int64_t id;
  int64_t due_at_ms;
  struct nm_text customer, address;
};

struct nm_store_lease {
  struct nm_store_request request;
  int64_t tenant_id;
  struct nm_text provider;
  int64_t now_ms;
  size_t max;
  struct nm_message *messages; /* out: due ones by priority, due time, id; claimed until finish */
  size_t count, capacity;
  int64_t next_due_ms;         /* out: 0 = nothing waits beyond these */
  bool want_tried;             /* also all of the lane that have an attempt, due or not, by id */
  struct nm_store_tried *tried; /* out */
  size_t tried_count;
};

struct nm_finish {
  int64_t message_id;
  int64_t run_id;
  enum nm_message_state state; /* waiting again: due_at_ms; sent, dead, held, expired, stopped: the end */
  int64_t due_at_ms;
  int attempts;                /* as they count now */
  bool has_attempt;            /* write an attempt with what follows (never for a lease given back) */
  enum nm_outcome_kind outcome;
  int code;
  struct nm_text reason;
  int64_t started_at_ms, ended_at_ms;
  int64_t first_attempt_ms;    /* of waiting again: as it stands now */
  struct nm_text provider;     /* of waiting again: it moves to this provider's lane; empty = it stays */
  const struct nm_message *message; /* for whoever makes `log`; not the store's */
  struct nm_store_arrival *log; /* journaled with the message's end; NULL = nobody asks */
};

/* A message that a cancel stopped while it was in flight keeps its true outcome (sent) and counts
 * as in flight; one that would wait again becomes stopped. */
struct nm_store_finish {
  struct nm_store_request request;
  const struct nm_finish *items;
  size_t count;
};

/* ---- runs --------------------------------------------------------------------------------------- */

/* A page as Optimove sent it (a JSON array), stored compressed.  NM_ECONFLICT: the run takes none
 * any more (cancelled). */
struct nm_store_page_save {
  struct nm_store_request request;
  int64_t run_id;
  int64_t number;      /* from 0, no gaps */
  int64_t rows;        /* 0: the empty page that ends the list; body is not kept */
  int64_t due_at_ms;   /* earliest ScheduleTime of its rows; 0 = now */
  struct nm_text body;
  void *packed;        /* the store's own: the body compressed off the commit path */
  size_t packed_len;
};

struct nm_store_page_load {
  struct nm_store_request request;
  int64_t run_id;
  int64_t number;
  struct nm_text body; /* out */
  int64_t rows, due_at_ms;
};

/* Rows of one page that the rules held, by reason. */
struct nm_hold_mark {
  struct nm_text reason;
  int64_t count;
  struct nm_text rows; /* JSON array of row numbers in the page */
};

/* The cursor and the messages of the rows it passed, in one transaction.  NM_ECONFLICT where the run
 * is not active any more: nothing was written. */
struct nm_store_expand {
  struct nm_store_request request;
  int64_t run_id;
  int64_t from_page, from_row; /* must be where the cursor stands */
  int64_t to_page, to_row;
  bool is_end;                 /* the run becomes expanded (or done, where nothing waits) */
  struct nm_message *messages; /* out: id */
  size_t message_count;
  int64_t repeated, skipped;
  int64_t capped;              /* out: messages that are NM_MESSAGE_CAPPED and were not made */
  const struct nm_hold_mark *holds;
  size_t hold_count;
  int64_t mark_id;             /* not 0: the rows of this mark are played again instead; the cursor stays
                                * where it is, the mark goes, and what is held once more is marked anew
                                * (from_page is the mark's) */
};

/* The first mark that a release asked to play: up to and with play_until. */
struct nm_store_mark_load {
  struct nm_store_request request;
  int64_t run_id;
  int64_t play_until;
  int64_t mark_id;     /* out: 0 = none is left */
  int64_t page;        /* out */
  int64_t count;       /* out */
  struct nm_text rows; /* out: JSON array of row numbers */
};

/* From one state to another by hand or by the engine; NM_ECONFLICT where it is in neither `from`.
 * Done follows by itself (expand, finish). */
struct nm_store_run_set {
  struct nm_store_request request;
  int64_t run_id;
  unsigned from_states; /* bits 1u << state */
  enum nm_run_state state;
  struct nm_text reason;
  bool is_parking;      /* paused by hand: what waits of it waits with it */
};

/* By hand: a held or paused run begins or goes on; rows that its rules held are played again.
 * NM_ECONFLICT where there is nothing to release. */
struct nm_store_run_release {
  struct nm_store_request request;
  int64_t run_id;
  enum nm_run_state was; /* out */
  int64_t unparked;      /* out: messages that wait again */
  int64_t rows;          /* out: held rows that are played again */
};

/* The guard's look at a run whose recipients are all here, before the first of them is expanded: it
 * passes, or is held with its reason.  NM_ECONFLICT where it is not active. */
struct nm_store_run_check {
  struct nm_store_request request;
  int64_t run_id;
  int64_t template_id;   /* of its first recipient */
  struct nm_text sample; /* JSON, for people */
  int64_t run_max, hour_max; /* 0 = no ceiling */
  double differs;        /* 0 = not compared */
  int64_t made;          /* messages of the tenant within the last hour, without this run's */
  int64_t now_ms;
  int64_t rows;          /* out */
  struct nm_text reason; /* out: why it is held; empty = it passed */
};

/* By hand: the tenant's active generation takes over with the next page (at once where the old one is
 * gone or no row of the page at hand is expanded). */
struct nm_store_run_repin {
  struct nm_store_request request;
  int64_t run_id;
  int64_t generation_id; /* out: the active one */
  int64_t page;          /* out: from this page on */
  bool is_changed;       /* out: false where it has that one already */
};

/* An operator's cancel of one run. */
struct nm_store_fence {
  struct nm_store_request request;
  int64_t run_id;
  size_t in_flight;
  int64_t fenced_at_ms; /* out */
  int64_t stopped;      /* out */
};

/* ---- updates at Optimove --------------------------------------------------------------------------- */

enum nm_batch_state {
  NM_BATCH_SENDING = 0, /* taken; its call may be under way */
  NM_BATCH_SENT = 1,    /* taken by Optimove; its callback is to come by due_at_ms */
  NM_BATCH_RETRY = 2,   /* to be sent again at due_at_ms */
  NM_BATCH_DONE = 3,
  NM_BATCH_DEAD = 4,
};

/* A batch that is due again (RETRY, SENDING left by a crash, SENT without its callback in time), or a
 * new one out of what waits, without customers that stand in an unsettled batch. */
struct nm_store_batch_take {
  struct nm_store_request request;
  int64_t tenant_id;
  int64_t now_ms;
  size_t customers_max, attributes_max;
  bool retries_now;          /* those to be sent again later (RETRY) are due now */
  int64_t batch_id;          /* out: 0 = nothing to do */
  enum nm_batch_state was;   /* out: the state it was found in; SENDING for a new one */
  int attempts;              /* out: calls made so far */
  int repeats;               /* out: how often it was taken again because no callback had come */
  struct nm_update *updates; /* out: sorted by customer, then journal order */
  size_t count;
  int64_t next_due_ms;       /* out: 0 = none */
};

struct nm_batch_error {
  struct nm_text customer; /* empty = all */
  struct nm_text field;    /* empty = all of the customer */
  struct nm_text reason;
};

struct nm_store_batch_finish {
  struct nm_store_request request;
  int64_t tenant_id; /* a batch of another tenant is not found */
  int64_t batch_id;
  enum nm_batch_state state;
  int64_t due_at_ms;
  struct nm_text reason;                /* of dead and retry */
  const struct nm_batch_error *errors;  /* done: those named become dead letters, the rest is done */
  size_t error_count;
};

/* ---- tenants, generations, profiles, listeners ------------------------------------------------------ */

struct nm_store_tenant {
  int64_t id;
  int64_t version;
  struct nm_text name, app_key;
  struct nm_text sealed; /* JSON whose secrets are encrypted (tenants/) */
};

struct nm_store_tenant_save {
  struct nm_store_request request;
  struct nm_store_tenant tenant; /* by name; out: id, version.  NM_ECONFLICT: the appKey is another's */
  int64_t if_id, if_version;     /* it must still be this one; if_version 0 = whatever is there, -1 = there
                                  * must be none.  Else NM_ECONFLICT with is_stale */
  bool is_stale;                 /* out */
  bool retires_account;          /* it leaves its account at Optimove: see struct nm_store_account */
  bool is_new;                   /* out */
};

/* A piece of a tenant's end, a bounded number of rows a call: what waits of it is stopped or dropped
 * with a word; with is_purge all that is kept of it is deleted; at last itself. */
struct nm_store_tenant_remove {
  struct nm_store_request request;
  int64_t tenant_id;
  bool is_purge;
  size_t rows_max;
  int stage;         /* where the next call goes on; 0 at first */
  int64_t after_id;
  int64_t messages;  /* out, added to: how many were stopped */
  bool is_more;      /* out */
};

struct nm_store_tenants_load {
  struct nm_store_request request;
  struct nm_store_tenant *tenants;
  size_t count;
};

struct nm_store_generation {
  int64_t id;
  int64_t tenant_id;
  int64_t created_at_ms;
  bool is_active;
  struct nm_text digest; /* hex */
  struct nm_text source;
  struct nm_text pinned_over; /* digest of the file's version that this one stands in for; empty = it
                               * is not pinned */
};

/* Makes it the active one; the same digest again gives the first one's id.  Keeps the latest
 * NM_STORE_GENERATIONS_MAX and each that an open run still uses. */
struct nm_store_generation_save {
  struct nm_store_request request;
  struct nm_store_generation generation; /* out: id */
};

/* All that are active or that an open run uses, of every tenant; or every one of one tenant, the
 * latest activated first. */
struct nm_store_generations_load {
  struct nm_store_request request;
  int64_t tenant_id; /* 0 = of every tenant */
  struct nm_store_generation *generations;
  size_t count;
};

struct nm_store_profile {
  struct nm_text ext_id;
  struct nm_text body; /* JSON object; empty = no such profile */
  int64_t version;     /* 0 = no such profile */
  unsigned unsubscribed; /* saving: bits 1u << channel that this person wants no more, for Optimove */
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

/* ---- erasure: a person is taken out of everything that is kept --------------------------------- */

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

/* Puts the whole log into the database and truncates it, then looks whether any page of the file still
 * holds one of the needles. */
struct nm_store_scrub {
  struct nm_store_request request;
  struct nm_text needles; /* JSON array; empty = do not look */
  int64_t traces;         /* out: pages with a needle; -1 = not looked */
};

struct nm_store_profiles_load {
  struct nm_store_request request;
  int64_t tenant_id;
  struct nm_store_profile *profiles; /* ext_id in, body and version out; one query for all */
  size_t count;
};

enum nm_listener_state {
  NM_LISTENER_REGISTERING = 0, /* journaled before the call */
  NM_LISTENER_REGISTERED = 1,
  NM_LISTENER_UNREGISTERING = 2,
  NM_LISTENER_GONE = 3,
};

struct nm_store_listener {
  int64_t id;            /* 0 = new */
  int64_t tenant_id;
  int64_t event_type;
  int64_t channel_id;    /* 0 = none */
  struct nm_text url;    /* without its secret */
  int64_t secret_number; /* which secret it carries */
  enum nm_listener_state state;
};

struct nm_store_listener_save {
  struct nm_store_request request;
  struct nm_store_listener listener; /* out: id */
};

struct nm_store_listeners_load {
  struct nm_store_request request;
  int64_t tenant_id;
  int64_t account_id;                  /* 0 = the present account, else one that was left */
  struct nm_store_listener *listeners; /* all but those gone */
  size_t count;
};

/* An account that the tenant has left (another baseUrl or key was saved): its document as it was then,
 * sealed, kept until our listeners and templates there are gone. */
struct nm_store_account {
  int64_t id;
  struct nm_text sealed;
  int64_t saved_at_ms;
};

struct nm_store_accounts_load {
  struct nm_store_request request;
  int64_t tenant_id;
  struct nm_store_account *accounts; /* the one left first comes first */
  size_t count;
};

struct nm_store_account_forget {
  struct nm_store_request request;
  int64_t tenant_id, account_id;
  bool doubts_present;  /* what the journal says of the present account may not be so any more */
  bool keeps_templates; /* it is, or may be, the present account: so are ours there, to be done anew */
};

/* Templates that we put under Optimove's channels; nobody else's stand here. */
enum nm_template_state {
  NM_TEMPLATE_ADDING = 0, /* journaled before the call */
  NM_TEMPLATE_ADDED = 1,
  NM_TEMPLATE_DELETING = 2,
  NM_TEMPLATE_GONE = 3,   /* saving this forgets it */
};

struct nm_store_template {
  int64_t channel_id, template_id; /* Optimove's numbers */
  struct nm_text name;
  enum nm_template_state state;
};

struct nm_store_templates_save {
  struct nm_store_request request;
  int64_t tenant_id;
  int64_t account_id; /* 0 = the present account, else one that was left */
  const struct nm_store_template *templates;
  size_t count;
};

struct nm_store_templates_load {
  struct nm_store_request request;
  int64_t tenant_id;
  int64_t account_id; /* as above */
  struct nm_store_template *templates; /* by channel and number */
  size_t count;
};

/* ---- catch-up: campaigns that were executed and whose notice never came ---------------------------- */

struct nm_store_missed {
  struct nm_store_arrival arrival; /* the notice that is made of it; its stamp is the day.  out: id, 0 =
                                    * none was made */
  int64_t from_ms;                 /* notices from then on are that day's */
};

/* What Optimove names of one channel against the notices that came.  The first look of all only
 * learns what was there before us. */
struct nm_store_catch_up {
  struct nm_store_request request;
  int64_t tenant_id, channel_id;
  int64_t now_ms;
  int64_t after_ms;                  /* so long after it was first seen a notice still may come */
  struct nm_store_missed *campaigns;
  size_t count;
  bool is_first;                     /* out */
  size_t waiting, missed;            /* out: not seen so long; made events of */
};

/* ---- feedback: what became of each run, for Optimove's reports -------------------------------------- */

enum { NM_STORE_TALLIES_MAX = 256 };

/* What a run sent of one template by one provider. */
struct nm_store_count {
  int64_t template_id;
  struct nm_text provider;
  struct nm_text report_key; /* by what the provider's own reports are asked; empty = it has none */
  int64_t sent, dropped;     /* dropped: dead letters and expired ones */
};

/* The next run that has ended and was not told, counted in slices: submitted again while from_id is
 * not 0.  run.id 0: there is none. */
struct nm_store_tally {
  struct nm_store_request request;
  int64_t tenant_id;
  int64_t now_ms, after_ms;      /* so long after its end */
  struct nm_run run;             /* in: id 0 = find one; out: its counts */
  int64_t ended_at_ms;           /* out */
  int64_t from_id;               /* in and out; 0 = counted to the end */
  int64_t next_due_ms;           /* out, where there is none: when the next one has rested; 0 = never */
  struct nm_store_count counts[NM_STORE_TALLIES_MAX]; /* in and out */
  size_t count;
};

/* A run's figures, each once, and the word that `run show` has of them (JSON).  NM_ECONFLICT where it
 * goes on again. */
struct nm_store_facts_save {
  struct nm_store_request request;
  int64_t tenant_id, run_id;
  const struct nm_fact *facts;
  size_t count;
  struct nm_text told;
};

/* Figures that are due, marked as being told before anybody is called. */
struct nm_store_facts_take {
  struct nm_store_request request;
  int64_t tenant_id, now_ms;
  struct nm_fact *facts; /* out */
  size_t count;
  int64_t next_due_ms;   /* out: 0 = none */
};

enum nm_fact_end {
  NM_FACT_TOLD = 0,
  NM_FACT_LATER = 1,   /* nothing was done: again at due_at_ms */
  NM_FACT_UNKNOWN = 2, /* the answer was lost: it is not told again by itself */
  NM_FACT_REFUSED = 3,
};

struct nm_store_facts_finish {
  struct nm_store_request request;
  const struct nm_fact *facts;
  size_t count;
  enum nm_fact_end end;
  int64_t due_at_ms;
  struct nm_text reason;
};

/* ---- tokens of the admin API, and the audit log -------------------------------------------------------- */

struct nm_store_token {
  int64_t id;
  int64_t tenant_id;     /* 0 = the whole daemon */
  int role;              /* the api's number */
  int64_t created_at_ms;
  int64_t expires_at_ms; /* 0 = never */
  int64_t used_at_ms;    /* about; 0 = never */
  struct nm_text name;
  struct nm_text hash;   /* bytes; the token itself is kept nowhere */
};

/* A new one; an empty name becomes "token ID".  NM_ECONFLICT: there is one of this name. */
struct nm_store_token_save {
  struct nm_store_request request;
  struct nm_store_token token; /* out: id, name */
};

/* NM_ENOTFOUND where there is none (of this tenant, unless 0). */
struct nm_store_token_drop {
  struct nm_store_request request;
  int64_t id, tenant_id;
};

struct nm_store_token_used {
  struct nm_store_request request;
  int64_t id, at_ms;
};

struct nm_store_tokens_load {
  struct nm_store_request request;
  struct nm_store_token *tokens; /* out: by id */
  size_t count;
};

/* Begins a line (id 0), or ends it. */
struct nm_store_audit {
  struct nm_store_request request;
  int64_t id;              /* out of a new one */
  int64_t tenant_id;       /* 0 = none */
  int64_t at_ms;
  struct nm_text who, route, thing;
  struct nm_store_audit_end end; /* of one that is there: all but its id */
};

/* ---- unsubscribes: until Optimove knows of them ----------------------------------------------------- */

/* Those of one kind of channel; count 0 = nobody. */
struct nm_store_preferences_load {
  struct nm_store_request request;
  int64_t tenant_id;
  enum nm_channel channel;   /* out */
  struct nm_text *customers; /* out: at most NM_OPTIMOVE_PREFERENCES_MAX */
  size_t count;
  int64_t last_id;           /* out: who says it again later has a higher one */
};

struct nm_store_preferences_done {
  struct nm_store_request request;
  int64_t tenant_id;
  enum nm_channel channel;
  const struct nm_text *customers;
  size_t count;
  int64_t last_id;
};

/* ---- by hand, and looking ------------------------------------------------------------------------------ */

/* Puts held events, held or dead messages and dead updates back to waiting, due now, attempts from 0.
 * An id that is none of these: NM_ENOTFOUND, error names it, and none is changed. */
struct nm_store_retry {
  struct nm_store_request request;
  const int64_t *ids;
  size_t count;
  int64_t now_ms;
  bool is_drop;   /* instead they end, dropped by hand */
  size_t retried; /* out: or dropped */
};

/* Deletes what is older than its age, a bounded number of rows a call. */
struct nm_store_retain {
  struct nm_store_request request;
  int64_t now_ms;
  int64_t events_age_ms, dead_age_ms;
  int64_t audit_age_ms; /* of the audit log; 0 = it is left as it is */
  size_t rows_max;
  bool is_more; /* out */
};

/* What an engine needs at start. */
struct nm_store_lane {
  int64_t tenant_id;
  struct nm_text provider;
};

struct nm_store_resume {
  struct nm_store_request request;
  struct nm_store_lane *lanes; /* out: those with waiting messages */
  size_t lane_count;
  struct nm_run *runs;         /* out: active, paused, expanded and held ones */
  size_t run_count;
  int64_t *update_tenants;     /* out: tenants with waiting updates or unsettled batches */
  size_t update_tenant_count;
};

enum nm_store_query_kind {
  NM_QUERY_QUEUE = 0,  /* args {tenant_id?, limit, before?}: held events, held and dead messages, dead updates,
                        * newest first: [{id, kind, tenant_id, at, state, reason, ...}] */
  NM_QUERY_SHOW = 1,   /* args {id}: whatever has this id, with its event, messages, attempts */
  NM_QUERY_RUNS = 2,   /* args {tenant_id?, limit, before?} */
  NM_QUERY_RUN = 3,    /* args {id}: with holds by reason and messages by state */
  NM_QUERY_STATUS = 4, /* {waiting_events, waiting_messages, oldest_waiting_ms, held, dead, ...} */
  NM_QUERY_EVENT = 5,  /* args {id}: one event with its body, for explain */
  NM_QUERY_GENERATIONS = 6, /* args {tenant_id?}: the latest activated first, without their source */
  NM_QUERY_MADE = 9,   /* args {tenant_id, since_ms}: {singles, recipients} of the tenant since then, for the guard */
  NM_QUERY_ERASURES = 8, /* args {tenant_id?, id?, limit}: jobs, the newest first, without who it is */
  NM_QUERY_SHAPE = 7,  /* args {}: what waits, by tenant and destination: {tenant_id, destination, kind, total,
                        * and counts by age below 5, 10, ... 1280 minutes and above} */
  /* lists, newest first: args {tenant_id?, limit, before?} and what they name */
  NM_QUERY_AUDIT = 20,    /* the audit log */
  NM_QUERY_EVENTS = 21,   /* {state?}: events without their bodies */
  NM_QUERY_MESSAGES = 22, /* {state?, customer?} */
  NM_QUERY_UPDATES = 23,  /* {state?, customer?} */
  NM_QUERY_PROFILES = 24, /* {tenant_id, limit, after?}: by ext_id */
  NM_QUERY_OWNER = 25,    /* args {ids:[...], tenant_id}: {are_all}: every one of the ids names a thing of the
                           * tenant */
};

/* Lists, for people and the API; ids in the answer are text.  Cut at one second. */
struct nm_store_query {
  struct nm_store_request request;
  enum nm_store_query_kind kind;
  const json_t *args;
  json_t *answer; /* gives */
};
