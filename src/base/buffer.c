#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAPACITY_BYTES = 256 };

void nm_buffer_init(struct nm_buffer *buffer, size_t max_bytes)
{
  *buffer = (struct nm_buffer){ .max_bytes = max_bytes };
}

void nm_buffer_deinit(struct nm_buffer *buffer)
{
  free(buffer->ptr);
  nm_buffer_init(buffer, buffer->max_bytes);
}

int nm_buffer_reserve(struct nm_buffer *buffer, size_t len)
{
  if (len > buffer->max_bytes - buffer->len) return NM_ELIMIT;
  size_t needed = buffer->len + len;
  if (needed <= buffer->capacity) return NM_OK;

  size_t capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY_BYTES;
  while (capacity < needed) capacity *= 2;
  if (capacity > buffer->max_bytes) capacity = buffer->max_bytes;
  char *grown = realloc(buffer->ptr, capacity);
  if (!grown) return NM_ENOMEM;
  buffer->ptr = grown;
  buffer->capacity = capacity;
  return NM_OK;
}

int nm_buffer_append(struct nm_buffer *buffer, const void *bytes, size_t len)
{
  if (len == 0) return NM_OK;
  int rc = nm_buffer_reserve(buffer, len);
  if (rc) return rc;
  memcpy(buffer->ptr + buffer->len, bytes, len);
  buffer->len += len;
  return NM_OK;
}

int nm_buffer_append_text(struct nm_buffer *buffer, struct nm_text text)
{
  return nm_buffer_append(buffer, text.ptr, text.len);
}

int nm_buffer_append_escaped(struct nm_buffer *buffer, struct nm_text text)
{
  if (text.len == 0) return NM_OK;
  int rc = nm_buffer_reserve(buffer, nm_text_put_escaped(NULL, text));
  if (!rc) buffer->len += nm_text_put_escaped(buffer->ptr + buffer->len, text);
  return rc;
}

int nm_buffer_appendf(struct nm_buffer *buffer, const char *format, ...)
{
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int needed = vsnprintf(NULL, 0, format, args);
  va_end(args);

  int rc = needed < 0 ? NM_EINVAL : nm_buffer_reserve(buffer, (size_t)needed + 1);
  if (!rc) {
    vsnprintf(buffer->ptr + buffer->len, (size_t)needed + 1, format, again);
    buffer->len += (size_t)needed;
  }
  va_end(again);
  return rc;
}

void nm_buffer_consume(struct nm_buffer *buffer, size_t len)
{
  nm_require(len <= buffer->len);
  if (len == 0) return;
  memmove(buffer->ptr, buffer->ptr + len, buffer->len - len);
  buffer->len -= len;
}
