/* internal.h - what the files of this room share.  NB: no other room includes this.
 *
 * Three threads: the writer owns struct nm_writer, the reader and the checkpointer a connection
 * each.  What is in memory only (claims, recent keys) changes with the transaction that caused it:
 * every change is noted in `pending` and undone when that transaction does not reach the disk.
 */
#pragma once

#include <sqlite3.h>

#include "base/limits.h"
#include "store/fresh.h"
#include "store/store.h"

/* ---- backends -------------------------------------------------------------------------------- */

struct nm_store { /* first in the struct of a backend */
  int (*submit)(struct nm_store *store, struct nm_store_request *request);
  void (*close)(struct nm_store *store);
  void (*set_person_key)(struct nm_store *store, const unsigned char *key);
  bool (*is_sound)(struct nm_store *store);
};

/* Borrows path and options, gives *out. */
NM_MUST_CHECK int nm_sqlite_open(struct nm_store **out, struct nm_text path,
                                 const struct nm_store_options *options, struct nm_error *err);

/* ---- one connection (db.c) ------------------------------------------------------------------- */

enum { NM_DB_STATEMENTS_MAX = 1024 }; /* a power of two above twice the texts that one thread uses */

struct nm_db {
  sqlite3 *handle;
  int failure;           /* SQLite's code of the first failure since begin; 0 = none */
  struct nm_error error; /* and what it said */
  struct {
    const char *sql; /* compared by address: every text is a literal */
    sqlite3_stmt *stmt;
  } cached[NM_DB_STATEMENTS_MAX];
};

enum nm_value_kind { NM_VALUE_NUMBER = 0, NM_VALUE_TEXT = 1, NM_VALUE_BLOB = 2 };

struct nm_value {
  enum nm_value_kind kind;
  int64_t number;
  struct nm_text text;
};

#define NM_I(x) ((struct nm_value){ .kind = NM_VALUE_NUMBER, .number = (int64_t)(x) })
#define NM_T(x) ((struct nm_value){ .kind = NM_VALUE_TEXT, .text = (x) })
#define NM_B(x) ((struct nm_value){ .kind = NM_VALUE_BLOB, .text = (x) })

#define NM_VALUES(...)                                                                             \
  (const struct nm_value[]){ __VA_ARGS__ },                                                        \
    sizeof((const struct nm_value[]){ __VA_ARGS__ }) / sizeof(struct nm_value)

/* Runs one statement to its end; the macros bind values from ?1 on. */
#define nm_db_run(db, sql, ...) nm_db_run_values(db, sql, NM_VALUES(__VA_ARGS__))
/* Starts a statement whose rows nm_db_step() gives. */
#define nm_db_find(db, out, sql, ...) nm_db_find_values(db, out, sql, NM_VALUES(__VA_ARGS__))

NM_MUST_CHECK int nm_db_open(struct nm_db *db, const char *path, int busy_timeout_ms,
                             struct nm_error *err);
void nm_db_close(struct nm_db *db);

/* All return 0 or NM_E..., with db->failure and db->error set. */
NM_MUST_CHECK int nm_db_exec(struct nm_db *db, const char *sql);
NM_MUST_CHECK int nm_db_run_values(struct nm_db *db, const char *sql, const struct nm_value *values,
                                   size_t count);
NM_MUST_CHECK int nm_db_find_values(struct nm_db *db, sqlite3_stmt **out, const char *sql,
                                    const struct nm_value *values, size_t count);

/* 1 = a row is there, 0 = no more, else NM_E... */
NM_MUST_CHECK int nm_db_step(struct nm_db *db, sqlite3_stmt *stmt);

/* The number in the first column of the first row; `otherwise` where there is none. */
NM_MUST_CHECK int nm_db_number_values(struct nm_db *db, int64_t *out, int64_t otherwise,
                                      const char *sql, const struct nm_value *values, size_t count);
#define nm_db_number(db, out, otherwise, sql, ...)                                                 \
  nm_db_number_values(db, out, otherwise, sql, NM_VALUES(__VA_ARGS__))

/* Several rows a statement: opening a table and its indexes costs as much as writing a row.  The
 * texts stand for themselves, as those of all statements. */
struct nm_db_insert {
  size_t columns; /* values of one row */
  const char *one, *four, *sixteen;
};

#define NM_DB_ROWS_4(row) row ", " row ", " row ", " row
#define NM_DB_ROWS_16(row)                                                                         \
  NM_DB_ROWS_4(row) ", " NM_DB_ROWS_4(row) ", " NM_DB_ROWS_4(row) ", " NM_DB_ROWS_4(row)
#define NM_DB_INSERT(columns, head, row)                                                           \
  { columns, head row, head NM_DB_ROWS_4(row), head NM_DB_ROWS_16(row) }

NM_MUST_CHECK int nm_db_insert(struct nm_db *db, const struct nm_db_insert *insert,
                               const struct nm_value *values, size_t rows);

static inline int64_t nm_db_changes(const struct nm_db *db)
{
  return sqlite3_changes64(db->handle);
}

/* Reading a row into an arena; is_short tells afterwards that memory did not do. */
struct nm_row {
  sqlite3_stmt *stmt;
  struct nm_arena *arena;
  bool is_short;
};

struct nm_text nm_row_text(struct nm_row *row, int column);
static inline int64_t nm_row_i64(struct nm_row *row, int column)
{
  return sqlite3_column_int64(row->stmt, column);
}

/* Without memory of its own, which sqlite3_column_text() needs; until the next step or reset. */
static inline struct nm_text nm_column_text(sqlite3_stmt *stmt, int column)
{
  const char *bytes = sqlite3_column_blob(stmt, column);
  return (struct nm_text){ bytes, bytes ? (size_t)sqlite3_column_bytes(stmt, column) : 0 };
}

/* ---- schema (schema.c) ----------------------------------------------------------------------- */

/* Checks what is there and brings it to our version. */
NM_MUST_CHECK int nm_schema_migrate(struct nm_db *db, const char *path, struct nm_error *err);

/* ---- what the writer knows by heart ---------------------------------------------------------- */

/* The map from identity to event (recent.c). */
struct nm_key {
  uint64_t a, b; /* b is never 0 */
};

struct nm_recent_entry {
  struct nm_key key;
  int64_t id;
  int64_t until_ms;
};

struct nm_recent {
  struct nm_recent_entry *slots;
  size_t capacity, count;
};

struct nm_key nm_recent_key(int64_t tenant_id, enum nm_event_kind kind, struct nm_text identity);
/* The first event of that identity whose window holds `now_ms`; 0 = none. */
/* Asks memory for the key's place. */
void nm_recent_prefetch(const struct nm_recent *recent, struct nm_key key);
int64_t nm_recent_find(const struct nm_recent *recent, struct nm_key key, int64_t now_ms);
NM_MUST_CHECK int nm_recent_add(struct nm_recent *recent, struct nm_key key, int64_t id,
                                int64_t until_ms, int64_t now_ms);
void nm_recent_remove(struct nm_recent *recent, struct nm_key key);
void nm_recent_deinit(struct nm_recent *recent);

/* Ids that somebody works on (claims.c). */
struct nm_claim {
  int64_t id;
  int64_t run_id;
  int64_t lane;   /* a message's, by its number in `fresh`; 0 = unknown */
  bool is_fenced; /* a cancel came while it was out */
  bool is_parked; /* its run was paused while it was out */
};

struct nm_claims {
  struct nm_claim *slots;
  size_t capacity, count;
};

struct nm_claim *nm_claims_find(const struct nm_claims *claims, int64_t id);
NM_MUST_CHECK int nm_claims_add(struct nm_claims *claims, int64_t id, int64_t run_id);
void nm_claims_remove(struct nm_claims *claims, int64_t id);
void nm_claims_deinit(struct nm_claims *claims);

/* What to do when the transaction is on disk, or is not (pending.c). */
enum nm_pending_kind {
  NM_PENDING_RECENT_ADDED = 0, /* undo: forget the key */
  NM_PENDING_CLAIMED = 1,      /* undo: let go */
  NM_PENDING_RELEASED = 2,     /* done: let go */
  NM_PENDING_FENCED = 3,       /* undo: clear the mark */
  NM_PENDING_STATE = 4,        /* undo: put the asker's enum back */
  NM_PENDING_NUMBER = 5,       /* undo: put the asker's number back */
  NM_PENDING_PARKED = 6,       /* undo: turn the mark around */
};

struct nm_pending {
  enum nm_pending_kind kind;
  struct nm_claims *claims;
  int64_t id;
  struct nm_key key;
  enum nm_message_state *state;
  enum nm_message_state was;
  int64_t *number;
  int64_t number_was;
};

/* An event of this transaction that is not written yet: those of several callers are written
 * together, before anything else is done and before the commit (events.c). */
enum { NM_ARRIVED_MAX = 16 };

struct nm_arrived {
  const struct nm_store_arrival *arrival; /* its asker's */
  int64_t id;
  struct nm_key key;
};

/* The key of an event whose turn comes: made early, so that its place in memory is on its way. */
struct nm_expected {
  const struct nm_store_arrival *arrival; /* NULL: none */
  struct nm_key key;
};

enum { NM_TOMBSTONE_BITS = 8192 }; /* which campaigns may have been cancelled */
enum { NM_RETAIN_TABLES = 9 };

struct nm_writer {
  struct nm_db db;
  struct nm_fresh *fresh; /* NULL: everything is read from the tables */
  int64_t last_id;
  int64_t wall_seen_ms; /* the latest that a lease was told (wall.c) */
  int64_t wall_lead_ms; /* of the wall clock before the monotonic one */
  bool is_dense; /* ids follow each other without a gap, whatever the clock says */
  struct nm_recent recent;
  struct nm_claims events, messages, batches;
  struct nm_pending *pending;
  size_t pending_count, pending_capacity;
  struct nm_arrived arrived[NM_ARRIVED_MAX];
  size_t arrived_count;
  struct nm_expected expected, expected_next;
  uint64_t cancelled[NM_TOMBSTONE_BITS / 64]; /* hashes of tombstones' campaigns; grows only */
  unsigned work;                           /* of this transaction */
  int64_t retain_after[NM_RETAIN_TABLES]; /* how far the sweep of each table is */
  int retain_table;                       /* the next call begins with this one */
  unsigned char person_key[NM_PERSON_KEY_BYTES];
  bool has_suppressed;                    /* somebody was erased: everybody is looked at */
};

NM_MUST_CHECK int nm_writer_init(struct nm_writer *writer); /* the connection is open */
void nm_writer_deinit(struct nm_writer *writer);            /* and closes it */

/* The next id of the one sequence. */
int64_t nm_writer_id(struct nm_writer *writer);

NM_MUST_CHECK int nm_writer_note(struct nm_writer *writer, struct nm_pending pending);
NM_MUST_CHECK int nm_writer_claim(struct nm_writer *writer, struct nm_claims *claims, int64_t id,
                                  int64_t run_id);
NM_MUST_CHECK int nm_writer_release(struct nm_writer *writer, struct nm_claims *claims, int64_t id);
/* Sets what is both input and output of a request. */
NM_MUST_CHECK int nm_writer_set(struct nm_writer *writer, int64_t *number, int64_t value);
void nm_writer_keep(struct nm_writer *writer);
void nm_writer_undo(struct nm_writer *writer, size_t from);

/* Stops what a fence of an earlier process left waiting because it was in flight. */
NM_MUST_CHECK int nm_writer_recover(struct nm_writer *writer);
/* Mend due times after the wall clock was set: before each transaction; before a lease, which is
 * told a clock; and where it went back while nobody watched. */
void nm_writer_watch_clock(struct nm_writer *writer);
NM_MUST_CHECK int nm_writer_see_step(struct nm_writer *writer);
NM_MUST_CHECK int nm_writer_see_clock(struct nm_writer *writer, int64_t now_ms);
NM_MUST_CHECK int nm_writer_recover_clock(struct nm_writer *writer, int64_t now_ms);

/* ---- verbs of the writer --------------------------------------------------------------------- */

/* The request after the one that is run now; NULL = none. */
void nm_writer_expect(struct nm_writer *writer, const struct nm_store_request *next);
int nm_writer_accept(struct nm_writer *writer, struct nm_store_accept *accept);
int nm_writer_arrive(struct nm_writer *writer, struct nm_store_arrival *arrival);
/* Writes what `accept` has put together. */
NM_MUST_CHECK int nm_writer_write_arrived(struct nm_writer *writer);
int nm_writer_take(struct nm_writer *writer, struct nm_store_take *take);
int nm_writer_plan(struct nm_writer *writer, struct nm_store_plan *plan);
int nm_writer_lease(struct nm_writer *writer, struct nm_store_lease *lease);
int nm_writer_find_tried(struct nm_writer *writer, struct nm_store_lease *lease);
int nm_writer_finish(struct nm_writer *writer, struct nm_store_finish *finish);
int nm_writer_page_save(struct nm_writer *writer, struct nm_store_page_save *save);
int nm_writer_expand(struct nm_writer *writer, struct nm_store_expand *expand);
int nm_writer_run_set(struct nm_writer *writer, struct nm_store_run_set *set);
int nm_writer_fence(struct nm_writer *writer, struct nm_store_fence *fence);
int nm_writer_run_release(struct nm_writer *writer, struct nm_store_run_release *release);
int nm_writer_run_check(struct nm_writer *writer, struct nm_store_run_check *check);
int nm_writer_run_repin(struct nm_writer *writer, struct nm_store_run_repin *repin);
int nm_writer_batch_take(struct nm_writer *writer, struct nm_store_batch_take *take);
int nm_writer_batch_finish(struct nm_writer *writer, struct nm_store_batch_finish *finish);
int nm_writer_tenant_save(struct nm_writer *writer, struct nm_store_tenant_save *save);
int nm_writer_generation_save(struct nm_writer *writer, struct nm_store_generation_save *save);
int nm_writer_profile_save(struct nm_writer *writer, struct nm_store_profile_save *save);
int nm_writer_listener_save(struct nm_writer *writer, struct nm_store_listener_save *save);
int nm_writer_templates_save(struct nm_writer *writer, struct nm_store_templates_save *save);
int nm_writer_catch_up(struct nm_writer *writer, struct nm_store_catch_up *look);
int nm_writer_preferences_done(struct nm_writer *writer, struct nm_store_preferences_done *done);
int nm_writer_facts_save(struct nm_writer *writer, struct nm_store_facts_save *save);
int nm_writer_facts_take(struct nm_writer *writer, struct nm_store_facts_take *take);
/* Figures of the runs begun before then are told to nobody any more: their account was left. */
int nm_writer_facts_leave(struct nm_writer *writer, int64_t tenant_id, int64_t before_id);
int nm_writer_facts_finish(struct nm_writer *writer, struct nm_store_facts_finish *finish);
int nm_writer_retry(struct nm_writer *writer, struct nm_store_retry *retry);
int nm_writer_drop(struct nm_writer *writer, struct nm_store_retry *drop);
int nm_writer_retain(struct nm_writer *writer, struct nm_store_retain *retain);
int nm_writer_tenant_remove(struct nm_writer *writer, struct nm_store_tenant_remove *remove);
int nm_writer_token_save(struct nm_writer *writer, struct nm_store_token_save *save);
int nm_writer_token_drop(struct nm_writer *writer, struct nm_store_token_drop *drop);
int nm_writer_token_used(struct nm_writer *writer, struct nm_store_token_used *used);
int nm_writer_audit(struct nm_writer *writer, struct nm_store_audit *audit);

/* Ends a line in the transaction of what it tells of. */
NM_MUST_CHECK int nm_writer_audit_end(struct nm_writer *writer,
                                      const struct nm_store_audit_end *end);
int nm_writer_profiles_save(struct nm_writer *writer, struct nm_store_profiles_save *save);
int nm_writer_account_forget(struct nm_writer *writer, struct nm_store_account_forget *forget);
int nm_writer_retire_account(struct nm_writer *writer, int64_t tenant_id, bool keeps_host);
int nm_reader_accounts_load(struct nm_db *db, struct nm_store_accounts_load *load);
int nm_writer_erase(struct nm_writer *writer, struct nm_store_erase *erase);
int nm_writer_erase_step(struct nm_writer *writer, struct nm_store_erase_step *step);

/* ---- people who were erased (suppress.c) ----------------------------------------------------- */

enum { NM_PERSON_HASH_BYTES = 16 };

#define NM_ERASED_REASON "erased"
#define NM_ERASED_BODY "{\"erased\":true}"

void nm_person_hash(const struct nm_writer *writer, int64_t tenant_id, struct nm_text customer,
                    unsigned char out[NM_PERSON_HASH_BYTES]);
/* 1 = erased, 0 = not, else NM_E... */
NM_MUST_CHECK int nm_writer_is_suppressed(struct nm_writer *writer, int64_t tenant_id,
                                          struct nm_text customer);
NM_MUST_CHECK int nm_writer_lift_suppression(struct nm_writer *writer, int64_t tenant_id,
                                             struct nm_text customer);
/* An event about somebody who was erased is dropped, and nothing of it is kept. */
NM_MUST_CHECK int nm_writer_suppress_plan(struct nm_writer *writer, struct nm_plan *plan,
                                          bool *is_suppressed);
NM_MUST_CHECK int nm_writer_blank_event(struct nm_writer *writer, int64_t event_id);
NM_MUST_CHECK int nm_writer_blank_message(struct nm_writer *writer, int64_t message_id);

/* ---- frequency caps (caps.c) ----------------------------------------------------------------- */

/* Counts what is to be made and marks what may not be; of a plan that comes to nothing the state. */
NM_MUST_CHECK int nm_writer_cap_plan(struct nm_writer *writer, struct nm_plan *plan,
                                     struct nm_arena *arena);
NM_MUST_CHECK int nm_writer_cap_expand(struct nm_writer *writer, struct nm_store_expand *expand,
                                       int64_t *capped);
/* Deletes at most *left counts of windows that have ended; 1 where there may be more. */
int nm_writer_retain_caps(struct nm_writer *writer, int64_t now_ms, int64_t *left);

/* Pieces that several verbs use. */
NM_MUST_CHECK int nm_writer_add_preferences(struct nm_writer *writer, int64_t tenant_id,
                                            const struct nm_store_profile *profile);
/* By what the providers' reports know the messages of a run. */
NM_MUST_CHECK int nm_writer_note_keys(struct nm_writer *writer,
                                      const struct nm_store_expand *expand);
NM_MUST_CHECK int nm_writer_recover_facts(struct nm_writer *writer, int64_t now_ms);
/* State and run of a message that is held or dead; 1 = it is, 0 = there is none such. */
NM_MUST_CHECK int nm_writer_find_stuck(struct nm_writer *writer, int64_t id, int64_t *state,
                                       int64_t *run_id);
int nm_writer_add_message(struct nm_writer *writer, struct nm_message *message, int64_t stamp_ms);

/* Messages of one request that have their ids and are not in the table yet: they go there several a
 * statement, since opening the table and its indexes costs as much as writing a row. */
enum { NM_MADE_MAX = 16 };

struct nm_made_row {
  const struct nm_message *message;
  int64_t stamp_ms, made_at_ms;
};

struct nm_made {
  size_t count;
  struct nm_made_row rows[NM_MADE_MAX];
};

/* Borrows the message until it is written. */
int nm_writer_make_message(struct nm_writer *writer, struct nm_made *made,
                           struct nm_message *message, int64_t stamp_ms);
int nm_writer_write_made(struct nm_writer *writer, struct nm_made *made);
/* Its id and times, and word of it to those who wait for work. */
void nm_writer_begin_message(struct nm_writer *writer, struct nm_message *message, int64_t now_ms);
/* All messages of a slice; how many of them wait, and how many do not. */
NM_MUST_CHECK int nm_writer_add_slice(struct nm_writer *writer, struct nm_store_expand *expand,
                                      int64_t *open, int64_t *stopped);
/* What waits of the run ?1; for messages INDEXED BY messages_waiting. */
#define NM_WAITS_OF_RUN                                                                            \
  "state = 0 AND tenant_id = (SELECT tenant_id FROM runs WHERE id = ?1) AND priority = 1"          \
  " AND run_id = ?1"
/* How a message went out that did so at its first try: outcome and code as one number, never 0. */
#define NM_SENT_AS(outcome, code) (((int64_t)(code) << 4) + (int64_t)(outcome) + 1)
int nm_writer_add_update(struct nm_writer *writer, const struct nm_plan *plan,
                         struct nm_update *update);
int nm_writer_add_run(struct nm_writer *writer, const struct nm_plan *plan,
                      struct nm_arena *arena);
int nm_writer_cancel(struct nm_writer *writer, const struct nm_plan *plan, struct nm_arena *arena);
/* Puts what waits of a run aside, and back; what is out follows with its finish. */
NM_MUST_CHECK int nm_writer_park(struct nm_writer *writer, int64_t run_id);
NM_MUST_CHECK int nm_writer_unpark(struct nm_writer *writer, int64_t run_id);
NM_MUST_CHECK int nm_writer_load_tombstones(struct nm_writer *writer);
/* 1 where a tombstone covers what this event triggered, 0 where none does, else NM_E... */
int nm_writer_is_cancelled(struct nm_writer *writer, const struct nm_plan *plan,
                           struct nm_text campaign, int64_t channel_id, int64_t triggered_at_ms);

/* ---- verbs of the reader --------------------------------------------------------------------- */

/* Compresses the page on the reader's thread, off the commit path. */
int nm_pages_pack(struct nm_store_page_save *save);
void nm_pages_forget(struct nm_store_page_save *save); /* frees what pack made */

int nm_reader_resume(struct nm_db *db, struct nm_store_resume *resume);
int nm_reader_page_load(struct nm_db *db, struct nm_store_page_load *load);
int nm_reader_mark_load(struct nm_db *db, struct nm_store_mark_load *load);
int nm_reader_tenants_load(struct nm_db *db, struct nm_store_tenants_load *load);
int nm_reader_generations_load(struct nm_db *db, struct nm_store_generations_load *load);
int nm_reader_profiles_load(struct nm_db *db, struct nm_store_profiles_load *load);
int nm_reader_listeners_load(struct nm_db *db, struct nm_store_listeners_load *load);
int nm_reader_templates_load(struct nm_db *db, struct nm_store_templates_load *load);
int nm_reader_preferences_load(struct nm_db *db, struct nm_store_preferences_load *load);
int nm_reader_tally(struct nm_db *db, struct nm_store_tally *tally);
int nm_reader_tokens_load(struct nm_db *db, struct nm_store_tokens_load *load);
int nm_reader_query(struct nm_db *db, struct nm_store_query *query);

/* ---- rows ------------------------------------------------------------------------------------ */

/* States of a row of `updates`. */
enum nm_update_state {
  NM_UPDATE_WAITING = 0,
  NM_UPDATE_BLOCKED = 1, /* its customer stands in an unsettled batch */
  NM_UPDATE_BATCHED = 2,
  NM_UPDATE_DEAD = 3,
  NM_UPDATE_DONE = 4,
};

#define NM_EVENT_COLUMNS                                                                           \
  "id, tenant_id, received_at, kind, type, channel_id, template_id, campaign, customer, stamp, "   \
  "name, foreign_id, body"
#define NM_MESSAGE_COLUMNS                                                                         \
  "id, tenant_id, event_id, run_id, generation_id, state, priority, channel, channel_id, "         \
  "template_id, campaign, customer, address, name, provider, content, stamp, reason, "             \
  "triggered_at, created_at, due_at, expires_at, quiet_from, quiet_to, attempts, first_attempt_at"
#define NM_RUN_COLUMNS                                                                             \
  "id, tenant_id, event_id, generation_id, channel_id, state, campaign, stamp, reason, "           \
  "quiet_from, quiet_to, triggered_at, created_at, fenced_at, rows_fetched, pages_fetched, "       \
  "is_fetched, cursor_page, cursor_row, made, repeated, skipped, held, sent, dead, stopped, "      \
  "expired, in_flight_at_fence, is_parked, repin_generation_id, repin_page, play_until, "          \
  "is_released, checked_at"

void nm_row_event(struct nm_row *row, struct nm_event *out);
void nm_row_message(struct nm_row *row, struct nm_message *out);
void nm_row_run(struct nm_row *row, struct nm_run *out);
