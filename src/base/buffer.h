/* buffer.h - a growing run of bytes that cannot be made without a maximum. */
#pragma once

#include "base/error.h"
#include "base/text.h"

struct nm_buffer {
  char *ptr;
  size_t len;
  size_t capacity;
  size_t max_bytes;
};

void nm_buffer_init(struct nm_buffer *buffer, size_t max_bytes);
void nm_buffer_deinit(struct nm_buffer *buffer); /* frees; may be used again after init */

/* Appends; NM_ELIMIT above the maximum, NM_ENOMEM, and the buffer is then as it was. */
NM_MUST_CHECK int nm_buffer_append(struct nm_buffer *buffer, const void *bytes, size_t len);
NM_MUST_CHECK int nm_buffer_append_text(struct nm_buffer *buffer, struct nm_text text);
/* Percent-encoded (nm_text_put_escaped). */
NM_MUST_CHECK int nm_buffer_append_escaped(struct nm_buffer *buffer, struct nm_text text);
NM_PRINTF(2, 3)
NM_MUST_CHECK int nm_buffer_appendf(struct nm_buffer *buffer, const char *format, ...);

/* Makes room for len more bytes at ptr + len without changing what is there. */
NM_MUST_CHECK int nm_buffer_reserve(struct nm_buffer *buffer, size_t len);

/* Drops the first len bytes (moves the rest). */
void nm_buffer_consume(struct nm_buffer *buffer, size_t len);

static inline void nm_buffer_clear(struct nm_buffer *buffer)
{
  buffer->len = 0;
}

/* What is in it; borrows, valid until the next change. */
static inline struct nm_text nm_buffer_text(const struct nm_buffer *buffer)
{
  return (struct nm_text){ buffer->ptr, buffer->len };
}
