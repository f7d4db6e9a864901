/* frames.h - the log's frames of one transaction go to the disk in one piece.  Room-private.
 *
 * SQLite writes each frame as two writes, its head and its page.  They are gathered here as long as
 * they follow each other, and written with the page that ends a commit at the latest: whoever reads
 * the log reads commits only, so that nobody looks for what is still held back.  Whatever else is
 * asked of the file comes after what was held back.
 */
#pragma once

#include "store/file.h"
#include "store/sums.h"

enum { NM_FRAME_HEAD_BYTES = 24, NM_FRAME_BYTES = NM_FRAME_HEAD_BYTES + NM_PAGE_BYTES };

extern const struct nm_file_kind nm_frames_file; /* a log */
