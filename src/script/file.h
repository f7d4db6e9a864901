/* file.h - a whole file, read once through one descriptor. */
#pragma once

#include <sys/stat.h>

#include "base/buffer.h"

/* Appends the file to out and, where it is not NULL, says what it was when it was opened.  Regular
 * files only. NM_EIO (err names the path and why), NM_ELIMIT above max_bytes, NM_ENOMEM. */
NM_MUST_CHECK int nm_file_read(struct nm_text path, size_t max_bytes, struct nm_buffer *out,
                               struct stat *found, struct nm_error *err);
