/* sums.h - each page of the database carries its sum.  Room-private.
 *
 * SQLite checks no page that it reads: a flipped bit in a row is served as if it had been written.
 * Our way to the file (a VFS over SQLite's own, "netmove") writes a sum into the last 8 bytes of
 * each page of the database and compares it whenever a page is read.  A page that does not fit is
 * SQLITE_IOERR_DATA. The sum holds the page's number too, so that a page written elsewhere is
 * noticed.  A database that was made without room for sums is read as it is.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/error.h"

enum { NM_PAGE_BYTES = 4096, NM_PAGE_SUM_BYTES = 8 };

/* Registers the VFS; its name is for sqlite3_open_v2(). */
const char *nm_sums_vfs(void);

/* Of a page but for its last 8 bytes; never 0. */
uint64_t nm_page_sum(const unsigned char *page, uint64_t number);

/* Lets a new, empty database have room for sums. */
void nm_sums_begin(sqlite3 *handle);

/* Gives sums to pages that another program has put into the database out of the log: they have
 * none. Nobody may have it open. */
NM_MUST_CHECK int nm_sums_adopt(const char *path, struct nm_error *err);
