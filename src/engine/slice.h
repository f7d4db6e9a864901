/* slice.h - rows of a page that are expanded in one transaction.  Between expand.c and slice.c. */
#pragma once

#include "engine/runs.h"

enum { NM_SLICE_REASONS_MAX = 50 }; /* what is held for others is counted together */

struct nm_slice_row {
  int64_t number;
  struct nm_recipient recipient;
  struct nm_text trouble; /* it cannot be used; empty = it can */
  size_t mark;            /* held, as marks[mark - 1] says; 0 = not held */
};

struct nm_slice {
  struct nm_running *run;
  struct nm_generation *generation; /* whose rules it asks; one reference */
  int64_t mark_id;          /* 0 = rows at the cursor; else the rows of this mark, played again */
  int64_t mark_page;
  struct nm_call *expand;   /* its arena holds all that the slice makes */
  struct nm_call *profiles; /* NULL until they are here */
  struct nm_slice_row *rows;
  size_t row_count, next;
  size_t message_capacity;
  struct nm_hold_mark marks[NM_SLICE_REASONS_MAX + 1]; /* their rows once all have been asked about */
  size_t mark_count;
  char *mark_rows; /* what the marks' rows borrow */
  int overruns;
  bool is_page_end, is_ready; /* rules may run */
};

static inline struct nm_arena *nm_slice_arena(const struct nm_slice *slice)
{
  return slice->expand->u.head.arena;
}

/* Asks the rules about one row: it becomes messages, a mark of what is held, or counts as
 * skipped. */
void nm_slice_run_rules(struct nm_slice *slice, size_t at);

/* Writes into each mark which rows it holds, as the store keeps them. */
void nm_slice_end_marks(struct nm_slice *slice);
