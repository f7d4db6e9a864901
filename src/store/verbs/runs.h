/* runs.h - runs: their pages, their rows into messages, and what operators and the guard do to
 * them. */
#pragma once

#include "model/message.h"
#include "model/run.h"
#include "store/verbs/request.h"

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

/* The cursor and the messages of the rows it passed, in one transaction.  NM_ECONFLICT where the
 * run is not active any more: nothing was written. */
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
  int64_t mark_id;             /* not 0: the rows of this mark are played again instead; the cursor
                                * stays where it is, the mark goes, and what is held once more is
                                * marked anew (from_page is the mark's) */
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

/* By hand: the tenant's active generation takes over with the next page (at once where the old one
 * is gone or no row of the page at hand is expanded). */
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
