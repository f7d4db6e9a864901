/* runs.h - executions of campaigns: pages are fetched soon, expanded late. */
#pragma once

#include "engine/book.h"
#include "engine/rows.h"
#include "engine/seen.h"
#include "engine/speed.h"

struct nm_slice; /* expand.c: the rows that are being expanded */

struct nm_running {
  struct nm_running *next;
  struct nm_book *book;
  struct nm_run row;                /* texts owned by the run */
  struct nm_generation *generation; /* one reference; NULL = it did not come yet */
  struct nm_job job;
  struct nm_alarm alarm;
  size_t busy;                      /* answers that are to come */
  bool is_fenced;                   /* nothing of it is started any more */
  bool is_gone;                     /* freed when its last answer has come */

  /* fetching */
  bool is_fetching;
  int fetch_failures;               /* in a row */
  bool has_reason;                  /* the store shows a reason for its waiting */
  int64_t failing_since_ms, fetch_at_ms; /* monotonic */

  /* the page at hand */
  bool is_loading;
  struct nm_call *page;             /* NULL = none */
  struct nm_rows rows;
  int64_t page_number, page_due_ms;
  int64_t parked_page;              /* whose hour page_due_ms is; -1 = none */

  /* who came already */
  struct nm_seen seen;
  bool is_rebuilt;
  int64_t rebuilt_page;

  /* rows that are played again */
  struct nm_call *mark;             /* NULL = none at hand */
  struct nm_call *mark_page;

  struct nm_generation *repin;      /* takes over at row.repin_page; one reference; NULL = none */
  struct nm_slice *slice;
  int64_t waiting;                  /* messages made that have no end yet */
  struct nm_speed speed;            /* at which they are sent */
};

/* A run that was planned or found at start.  Copies row; takes a reference of generation (may be
 * NULL). */
struct nm_running *nm_run_add(struct nm_book *book, const struct nm_run *row,
                              struct nm_generation *generation);
struct nm_running *nm_run_find(struct nm_book *book, int64_t id);
struct nm_running *nm_run_next(const struct nm_running *run);
const struct nm_run *nm_run_row(const struct nm_running *run);

/* As the store says now: another state, or new to us. */
void nm_run_merge(struct nm_book *book, const struct nm_run *row);

void nm_run_fence(struct nm_running *run);
void nm_run_unfence(struct nm_running *run);
/* It is over: forgotten when its last answer has come. */
void nm_run_over(struct nm_running *run);

/* A message of a run has its end. */
void nm_runs_message_ended(struct nm_book *book, int64_t run_id, enum nm_message_state state);

void nm_runs_offer_generation(struct nm_book *book, const struct nm_generation *generation);
/* Every generation is in: runs that still have none are held. */
void nm_runs_check_generations(struct nm_book *book);

/* Wakes all runs of the tenant. */
void nm_runs_wake(struct nm_book *book);

/* The tenant is at another account: what is still fetched is held, as the store has it already. */
void nm_runs_leave_account(struct nm_book *book);

void nm_runs_close_alarms(struct nm_book *book);
void nm_runs_destroy(struct nm_book *book);

/* ---- between runs.c, fetch.c and expand.c ---------------------------------------------------- */

void nm_run_soon(struct nm_running *run);
/* An answer came: false where the run is over and must be left alone. */
bool nm_run_answered(struct nm_running *run);
/* Another state, in the store and here. */
void nm_run_set(struct nm_running *run, enum nm_run_state state, struct nm_text reason);
struct nm_log_ids nm_run_ids(const struct nm_running *run);
void nm_run_drop_page(struct nm_running *run);
/* True while its channel has room for more messages. */
bool nm_run_has_room(const struct nm_running *run);
/* INACTIVE connectors let runs rest at their pages. */
bool nm_run_pause_inactive(struct nm_running *run);

/* Of which campaign it is, as optimove's functions want it; borrows from the run. */
struct nm_optimove_execution nm_run_execution(const struct nm_running *run);

/* True while rows that the rules held are played again (play.c). */
bool nm_run_play(struct nm_running *run);
void nm_run_drop_mark(struct nm_running *run);
/* One mark's rows become a slice; `rows` stands before the first of `numbers` (expand.c). */
void nm_run_play_mark(struct nm_running *run, const struct nm_store_mark_load *mark,
                      struct nm_rows *rows, const json_t *numbers);
/* Its cursor stands at a page from which another generation takes over. */
void nm_run_turn_page(struct nm_running *run);

/* Something failed that may be better in a moment. */
void nm_run_rest(struct nm_running *run);
/* Ends a run that is expanded and has nothing waiting. */
void nm_runs_check_done(struct nm_running *run);

void nm_run_fetch(struct nm_running *run);
void nm_run_expand(struct nm_running *run);
void nm_run_drop_slice(struct nm_running *run);
