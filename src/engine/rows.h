/* rows.h - walks over the rows of a stored page without reading it whole: a page is one JSON array,
 * and only the row at hand is parsed.  Pure. */
#pragma once

#include "base/error.h"
#include "base/text.h"

struct nm_rows {
  struct nm_text body;
  size_t at;
  int64_t number; /* of the row that comes next, from 0 */
};

/* Borrows body.  NM_EINVAL where it is no array. */
NM_MUST_CHECK int nm_rows_open(struct nm_rows *rows, struct nm_text body);

/* The next row's bytes; false at the end (or where the array is broken off). */
bool nm_rows_next(struct nm_rows *rows, struct nm_text *row);

/* Passes rows until `number` comes next; false where there are not so many. */
bool nm_rows_skip_to(struct nm_rows *rows, int64_t number);
