/* scan.h - stepping over JSON where it stands: for pages of which the rows matter one by one, and
 * bodies of which a member or two.
 *
 * As strict as nm_json_parse, with three exceptions that are the caller's: that the bytes are UTF-8
 * (nm_text_is_utf8), what an escape or a number means, and that no key comes twice.  Allocates
 * nothing; tape.h reads what is to be looked into.  Any thread.
 */
#pragma once

#include "base/error.h"
#include "base/text.h"

struct nm_scan {
  const char *at, *end;
  const char *why; /* NULL until something was not JSON: then what was expected */
};

enum nm_scan_kind {
  NM_SCAN_NOTHING = 0, /* no value begins here */
  NM_SCAN_OBJECT = 1,
  NM_SCAN_ARRAY = 2,
  NM_SCAN_STRING = 3,
  NM_SCAN_NUMBER = 4,
  NM_SCAN_TRUE = 5,
  NM_SCAN_FALSE = 6,
  NM_SCAN_NULL = 7,
};

static inline struct nm_scan nm_scan_over(struct nm_text text)
{
  return (struct nm_scan){ text.ptr, text.ptr ? text.ptr + text.len : NULL, NULL };
}

/* What begins behind the blanks. */
enum nm_scan_kind nm_scan_kind(struct nm_scan *scan);

/* Moves behind one value, whatever it is; *raw are its bytes. */
bool nm_scan_value(struct nm_scan *scan, struct nm_text *raw);

/* Steps into an object or array; then member by member or element by element, until false: at its
 * end, or where `why` is set.  Each value must be read before the next one is asked for.  A key is
 * undecoded, without its quotes. */
bool nm_scan_enter(struct nm_scan *scan);
bool nm_scan_member(struct nm_scan *scan, bool *is_first, struct nm_text *key);
bool nm_scan_element(struct nm_scan *scan, bool *is_first);

/* True where nothing but blanks is left. */
bool nm_scan_is_end(struct nm_scan *scan);
