/* Libraries: found beside a tenant's file, kept with it in one text (a bundle), found there again.
 *
 * A bundle is a row of parts, the tenant's file first; each begins with a line that a person can
 * read:
 *
 *     --- netmove: acme.lua, 1234 bytes
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/limits.h"
#include "rules/internal.h"
#include "script/file.h"

static const struct nm_text mark = { "--- netmove: ", 13 };
static const struct nm_text after_size = { " bytes", 6 };

/* ---- bundles --------------------------------------------------------------------------------- */

/* The next part of a bundle; false where none stands there. */
static bool cut_part(struct nm_text *rest, struct nm_text *name, struct nm_text *source)
{
  struct nm_text line, after, size;
  int64_t bytes;
  if (!nm_text_starts_with(*rest, mark) || !nm_text_cut(*rest, '\n', &line, &after)) return false;
  line = (struct nm_text){ line.ptr + mark.len, line.len - mark.len };
  if (!nm_text_cut(line, ',', name, &size) || size.len <= 1 + after_size.len)
    return false;
  size = (struct nm_text){ size.ptr + 1, size.len - 1 - after_size.len };
  if (!nm_text_to_i64(size, &bytes) || bytes < 0 || (uint64_t)bytes >= after.len) return false;
  *source = (struct nm_text){ after.ptr, (size_t)bytes };
  *rest = (struct nm_text){ after.ptr + bytes + 1, after.len - (size_t)bytes - 1 };
  return true;
}

bool nm_rules_bundle_read(struct nm_text source, struct nm_rules_bundle *out)
{
  struct nm_text name, rest = source;
  if (!cut_part(&rest, &name, &out->main)) return false;
  out->rest = rest;
  return true;
}

/* "lib/texts.lua" is the library texts. */
static bool is_library_part(struct nm_text part, struct nm_text library)
{
  static const struct nm_text folder = { "lib/", 4 }, end = { ".lua", 4 };
  return part.len == folder.len + library.len + end.len && nm_text_starts_with(part, folder) &&
         memcmp(part.ptr + folder.len, library.ptr, library.len) == 0;
}

static int read_from_bundle(void *data, struct nm_text name, struct nm_arena *arena,
                            struct nm_text *source, struct nm_error *err)
{
  const struct nm_rules_bundle *bundle = data;
  struct nm_text part, rest = bundle->rest;
  (void)arena;
  (void)err;
  while (cut_part(&rest, &part, source))
    if (is_library_part(part, name)) return NM_OK;
  return NM_ENOTFOUND;
}

static size_t list_nothing(void *data, struct nm_arena *arena, struct nm_text *names, size_t max)
{
  (void)data;
  (void)arena;
  (void)names;
  (void)max;
  return 0;
}

struct nm_script_libraries nm_rules_bundle_libraries(struct nm_rules_bundle *bundle)
{
  return (struct nm_script_libraries){ bundle, false, read_from_bundle, list_nothing };
}

static int add_part(struct nm_buffer *out, struct nm_text name, const char *folder,
                    const char *end, struct nm_text source)
{
  char line[PATH_MAX + 64];
  int len = snprintf(line, sizeof line, "%s%s%.*s%s, %zu bytes\n", mark.ptr, folder,
                     NM_TEXT_ARG(name), end, source.len);
  int rc = len > 0 && len < (int)sizeof line ? nm_buffer_append(out, line, (size_t)len) : NM_ELIMIT;
  if (!rc && source.len > 0) rc = nm_buffer_append(out, source.ptr, source.len);
  return rc ? rc : nm_buffer_append(out, "\n", 1);
}

int nm_rules_bundle_make(struct nm_rules_libraries *libraries, struct nm_text file,
                         struct nm_text source)
{
  struct nm_buffer out;
  libraries->bundle = source;
  if (libraries->count == 0) return NM_OK;
  for (size_t i = file.len; i > 0; i--)
    if (file.ptr[i - 1] == '/') {
      file = (struct nm_text){ file.ptr + i, file.len - i };
      break;
    }
  nm_buffer_init(&out, NM_RULES_BUNDLE_MAX_BYTES + (NM_RULES_LIBRARIES_MAX + 1) * PATH_MAX);
  int rc = add_part(&out, file, "", "", source);
  for (size_t i = 0; i < libraries->count && !rc; i++)
    rc = add_part(&out, libraries->items[i].name, "lib/", ".lua", libraries->items[i].source);
  if (!rc) libraries->bundle = nm_arena_copy(libraries->arena, nm_buffer_text(&out));
  if (!libraries->bundle.ptr) rc = NM_ENOMEM;
  nm_buffer_deinit(&out);
  return rc;
}

/* ---- beside a file --------------------------------------------------------------------------- */

/* "rules/acme.lua" and "texts" into "rules/lib/texts.lua"; without a name the folder. */
static bool path_of(struct nm_text file, struct nm_text name, char out[PATH_MAX])
{
  size_t len = file.len;
  while (len > 0 && file.ptr[len - 1] != '/') len--;
  int written = snprintf(out, PATH_MAX, "%.*slib%s%.*s%s", (int)len, file.ptr,
                         name.len > 0 ? "/" : "", NM_TEXT_ARG(name), name.len > 0 ? ".lua" : "");
  return written > 0 && written < PATH_MAX;
}

/* Whether a real path lies below the real folder of the tenant's file: a link must not lead out. */
static bool is_within(struct nm_text file, const char *real)
{
  char folder[PATH_MAX], top[PATH_MAX];
  size_t len = file.len;
  while (len > 0 && file.ptr[len - 1] != '/') len--;
  int written = snprintf(folder, sizeof folder, "%.*s", (int)len, len > 0 ? file.ptr : "");
  if (written < 0 || written >= PATH_MAX || !realpath(written > 0 ? folder : ".", top))
    return false;
  size_t top_len = strlen(top);
  return strncmp(real, top, top_len) == 0 && (real[top_len] == '/' || top[top_len - 1] == '/');
}

static bool is_moving(const struct stat *found, int64_t still_ms)
{
  int64_t changed_ms = (int64_t)found->st_ctim.tv_sec * 1000 + found->st_ctim.tv_nsec / 1000000;
  int64_t age_ms = nm_clock_wall_ms() - changed_ms;
  return age_ms >= 0 && age_ms < still_ms; /* a clock that is ahead of ours must not hold us up */
}

int nm_rules_library_path(struct nm_text file, const char *path, char real[PATH_MAX],
                          struct nm_error *err)
{
  if (!realpath(path, real)) {
    if (errno == ENOENT || errno == ENOTDIR) return NM_ENOTFOUND;
    return nm_fail(err, NM_EIO, "%s: %s", path, strerror(errno));
  }
  if (is_within(file, real)) return NM_OK;
  return nm_fail(err, NM_EDENIED, "%s: a link that leads out of the folder of rules", path);
}

static int read_file(struct nm_rules_beside *beside, const char *path, struct nm_text *source,
                     struct nm_error *err)
{
  struct nm_rules_libraries *libraries = beside->libraries;
  char real[PATH_MAX];
  struct nm_buffer bytes;
  struct stat found;
  int rc = nm_rules_library_path(beside->file, path, real, err);
  if (rc) return rc;
  nm_buffer_init(&bytes, NM_RULES_SOURCE_MAX_BYTES + 8192);
  rc = nm_file_read(nm_text_from(real), NM_RULES_SOURCE_MAX_BYTES, &bytes, &found, err);
  if (!rc && libraries->bytes + bytes.len > NM_RULES_BUNDLE_MAX_BYTES)
    rc = nm_fail(err, NM_ELIMIT, "%s: with it, file and libraries are larger than %d bytes", path,
                 NM_RULES_BUNDLE_MAX_BYTES);
  if (!rc) {
    if (is_moving(&found, libraries->still_ms)) libraries->is_moving = true;
    libraries->bytes += bytes.len;
    *source = nm_arena_copy(libraries->arena, nm_buffer_text(&bytes));
    if (!source->ptr) rc = nm_fail(err, NM_ENOMEM, "%s: out of memory", path);
  }
  nm_buffer_deinit(&bytes);
  return rc;
}

static int read_beside(void *data, struct nm_text name, struct nm_arena *arena,
                       struct nm_text *source, struct nm_error *err)
{
  struct nm_rules_beside *beside = data;
  struct nm_rules_libraries *libraries = beside->libraries;
  char path[PATH_MAX];
  (void)arena;
  if (libraries->count == NM_RULES_LIBRARIES_MAX)
    return nm_fail(err, NM_ELIMIT, "more than %d libraries", NM_RULES_LIBRARIES_MAX);
  struct nm_rules_library *item = &libraries->items[libraries->count];
  if (!path_of(beside->file, name, path)) return NM_ENOTFOUND;
  item->name = nm_arena_copy(libraries->arena, name);
  if (!item->name.ptr) return nm_fail(err, NM_ENOMEM, "out of memory");
  libraries->count++;
  item->source = (struct nm_text){ "", 0 };
  int rc = read_file(beside, path, source, err);
  item->is_found = rc == NM_OK;
  if (rc == NM_OK) item->source = *source;
  return rc;
}

static size_t list_beside(void *data, struct nm_arena *arena, struct nm_text *names, size_t max)
{
  const struct nm_rules_beside *beside = data;
  char path[PATH_MAX];
  const struct dirent *entry;
  size_t count = 0;
  DIR *folder = path_of(beside->file, (struct nm_text){ "", 0 }, path) ? opendir(path) : NULL;
  (void)arena;
  if (!folder) return 0;
  while (count < max && (entry = readdir(folder)) != NULL) {
    size_t len = strlen(entry->d_name);
    if (len <= 4 || entry->d_name[0] == '.' || strcmp(entry->d_name + len - 4, ".lua") != 0)
      continue;
    names[count] = nm_arena_copy(beside->libraries->arena,
                                 (struct nm_text){ entry->d_name, len - 4 });
    if (names[count].ptr) count++;
  }
  closedir(folder);
  return count;
}

struct nm_script_libraries nm_rules_beside_libraries(struct nm_rules_beside *beside)
{
  return (struct nm_script_libraries){ beside, false, read_beside, list_beside };
}
