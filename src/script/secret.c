#include <stdlib.h>

#include "base/limits.h"
#include "script/data.h"
#include "script/file.h"

static int resolve_variable(struct nm_text name, struct nm_arena *arena, struct nm_text *out,
                            struct nm_error *err)
{
  struct nm_text key = nm_arena_copy(arena, name);
  if (!key.ptr) return nm_fail(err, NM_ENOMEM, "out of memory");
  const char *value = memchr(key.ptr, '\0', key.len) ? NULL : getenv(key.ptr);
  if (!value || !*value)
    return nm_fail(err, NM_ENOTFOUND, "secret \"env:%.*s\": %s in this environment",
                   NM_TEXT_ARG(name), value ? "empty" : "not set");
  struct nm_text copy = nm_arena_copy(arena, nm_text_from(value));
  if (!copy.ptr) return nm_fail(err, NM_ENOMEM, "out of memory");
  *out = copy;
  return NM_OK;
}

static int resolve_file(struct nm_text path, struct nm_arena *arena, struct nm_text *out,
                        struct nm_error *err)
{
  struct nm_buffer bytes;
  struct nm_error why;
  nm_buffer_init(&bytes, NM_SECRET_MAX_BYTES + 8192);
  int rc = nm_file_read(path, NM_SECRET_MAX_BYTES, &bytes, NULL, &why);
  if (rc != NM_OK) {
    const char *reason = strchr(why.text, ':'); /* the path is named already */
    rc = nm_fail(err, rc, "secret \"file:%.*s\"%s", NM_TEXT_ARG(path), reason ? reason : "");
  } else {
    if (bytes.len > 0 && bytes.ptr[bytes.len - 1] == '\n') bytes.len--;
    if (bytes.len > 0 && bytes.ptr[bytes.len - 1] == '\r') bytes.len--;
    struct nm_text copy = nm_arena_copy(arena, nm_buffer_text(&bytes));
    if (bytes.len == 0)
      rc = nm_fail(err, NM_EINVAL, "secret \"file:%.*s\": empty", NM_TEXT_ARG(path));
    else if (!copy.ptr) rc = nm_fail(err, NM_ENOMEM, "out of memory");
    else *out = copy;
  }
  if (bytes.ptr) explicit_bzero(bytes.ptr, bytes.capacity);
  nm_buffer_deinit(&bytes);
  return rc;
}

int nm_secret_resolve(struct nm_text reference, struct nm_arena *arena, struct nm_text *out,
                      struct nm_error *err)
{
  static const struct nm_text env = { "env:", 4 }, file = { "file:", 5 };
  if (nm_text_starts_with(reference, env))
    return resolve_variable((struct nm_text){ reference.ptr + 4, reference.len - 4 }, arena, out,
                            err);
  if (nm_text_starts_with(reference, file))
    return resolve_file((struct nm_text){ reference.ptr + 5, reference.len - 5 }, arena, out, err);
  return nm_fail(err, NM_EINVAL, "a secret is named \"env:NAME\" or \"file:PATH\"");
}
