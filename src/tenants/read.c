#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "tenants/internal.h"

enum { MESSAGE_MAX_BYTES = 640, PATH_MAX_BYTES = 320, SHOWN_MAX_BYTES = 64 };

void nm_tenant_complain(struct nm_tenant_reader *reader, const char *path, const char *format, ...)
{
  char message[MESSAGE_MAX_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  nm_problems_add(reader->problems, "%s: %s: %s", reader->where, path, message);
}

const char *nm_tenant_path(struct nm_tenant_reader *reader, const char *format, ...)
{
  char path[PATH_MAX_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(path, sizeof path, format, args);
  va_end(args);
  struct nm_text copy = nm_arena_copy(reader->problems->arena, nm_text_from(path));
  return copy.ptr ? copy.ptr : "?";
}

const char *nm_tenant_kind(const json_t *value)
{
  if (!value) return "nothing";
  switch (json_typeof(value)) {
  case JSON_OBJECT: return "a table";
  case JSON_ARRAY: return "a list";
  case JSON_STRING: return "text";
  case JSON_INTEGER:
  case JSON_REAL: return "a number";
  case JSON_TRUE:
  case JSON_FALSE: return "a boolean";
  default: return "nothing";
  }
}

static const char *path_of(struct nm_tenant_reader *reader, const char *path, const char *key)
{
  return *path ? nm_tenant_path(reader, "%s.%s", path, key) : key;
}

/* What was found, cut for a line. */
static const char *shown(struct nm_text found, char out[SHOWN_MAX_BYTES])
{
  snprintf(out, SHOWN_MAX_BYTES, "%.*s", NM_TEXT_ARG(found));
  return out;
}

void nm_tenant_check_keys(struct nm_tenant_reader *reader, const char *path, const json_t *table,
                          const char *const *known, size_t count)
{
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)table, key, value) {
    bool is_known = false;
    for (size_t i = 0; i < count && !is_known; i++)
      is_known = nm_text_equal(nm_text_from(key), nm_text_from(known[i]));
    if (is_known) continue;
    char word[SHOWN_MAX_BYTES];
    const char *nearest = nm_nearest(nm_text_from(key), known, count);
    const char *at = *path ? path : "tenant";
    if (nearest)
      nm_tenant_complain(reader, at, "unknown key \"%s\" (did you mean \"%s\"?)",
                         shown(nm_text_from(key), word), nearest);
    else nm_tenant_complain(reader, at, "unknown key \"%s\"", shown(nm_text_from(key), word));
  }
}

static bool is_empty(const json_t *value)
{
  return (json_is_object(value) && json_object_size(value) == 0) ||
         (json_is_array(value) && json_array_size(value) == 0);
}

const json_t *nm_tenant_table(struct nm_tenant_reader *reader, const char *path,
                              const json_t *value)
{
  if (json_is_object(value)) return value;
  if (!is_empty(value))
    nm_tenant_complain(reader, path, "expected a table with names as keys, got %s",
                       nm_tenant_kind(value));
  return NULL;
}

const json_t *nm_tenant_list(struct nm_tenant_reader *reader, const char *path, const json_t *value,
                             size_t max)
{
  if (!json_is_array(value)) {
    if (!is_empty(value))
      nm_tenant_complain(reader, path, "expected a list, got %s", nm_tenant_kind(value));
    return NULL;
  }
  if (json_array_size(value) > max) {
    nm_tenant_complain(reader, path, "%zu entries, at most %zu are allowed", json_array_size(value),
                       max);
    return NULL;
  }
  return value;
}

static bool is_reference(const json_t *value)
{
  return json_is_object(value) && json_object_size(value) == 1 &&
         json_is_string(json_object_get(value, "secret"));
}

static bool has_controls(struct nm_text text)
{
  for (size_t i = 0; i < text.len; i++)
    if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) return true;
  return false;
}

struct nm_text nm_tenant_text(struct nm_tenant_reader *reader, const char *path,
                              const json_t *table, const char *key, bool is_required, bool *is_open)
{
  const json_t *value = json_object_get(table, key);
  const char *at = path_of(reader, path, key);

  if (value && !json_is_null(value)) return nm_tenant_text_of(reader, at, value, is_open);
  if (is_open) *is_open = false;
  if (is_required) nm_tenant_complain(reader, at, "is missing");
  return (struct nm_text){ NULL, 0 };
}

struct nm_text nm_tenant_text_of(struct nm_tenant_reader *reader, const char *at,
                                 const json_t *value, bool *is_open)
{
  const struct nm_text none = { NULL, 0 };

  if (is_open) *is_open = false;
  if (is_reference(value) && reader->may_lack_secrets) {
    if (is_open) *is_open = true;
    return nm_arena_copy(reader->arena, NM_TEXT("unresolved"));
  }
  if (is_reference(value)) {
    nm_tenant_complain(reader, at,
                       "the secret is not resolved: the command that reads the file does so");
    return none;
  }
  if (!json_is_string(value)) {
    nm_tenant_complain(reader, at, "expected text, got %s", nm_tenant_kind(value));
    return none;
  }
  struct nm_text text = nm_json_string_of(value);
  if (text.len == 0) nm_tenant_complain(reader, at, "is empty");
  else if (text.len > NM_TENANT_TEXT_MAX_BYTES)
    nm_tenant_complain(reader, at, "%zu bytes, at most %d are allowed", text.len,
                       NM_TENANT_TEXT_MAX_BYTES);
  else if (has_controls(text))
    nm_tenant_complain(reader, at, "holds a line break or another control character");
  else return nm_arena_copy(reader->arena, text);
  return none;
}

size_t nm_tenant_word(struct nm_tenant_reader *reader, const char *path, const json_t *table,
                      const char *key, const char *const *words, size_t count)
{
  const json_t *value = json_object_get(table, key);
  if (!value || json_is_null(value)) return 0;
  const char *at = path_of(reader, path, key);
  char expected[256] = "";
  for (size_t i = 0, len = 0; i < count && len < sizeof expected; i++) {
    int n = snprintf(expected + len, sizeof expected - len, "%s\"%s\"", i ? ", " : "", words[i]);
    len += n > 0 ? (size_t)n : 0;
  }
  if (!json_is_string(value)) {
    nm_tenant_complain(reader, at, "expected one of %s, got %s", expected, nm_tenant_kind(value));
    return 0;
  }
  struct nm_text word = nm_json_string(table, key);
  for (size_t i = 0; i < count; i++)
    if (nm_text_equal(word, nm_text_from(words[i]))) return i;
  char found[SHOWN_MAX_BYTES];
  const char *nearest = nm_nearest(word, words, count);
  if (nearest)
    nm_tenant_complain(reader, at, "\"%s\" is none of %s (did you mean \"%s\"?)",
                       shown(word, found), expected, nearest);
  else nm_tenant_complain(reader, at, "\"%s\" is none of %s", shown(word, found), expected);
  return 0;
}

bool nm_tenant_number(struct nm_tenant_reader *reader, const char *at, const json_t *value,
                      double max, double *out)
{
  double number = json_is_number(value) ? json_number_value(value) : 0;
  if (!json_is_number(value))
    nm_tenant_complain(reader, at, "expected a number, got %s", nm_tenant_kind(value));
  else if (!(number > 0) || number > max)
    nm_tenant_complain(reader, at, "%g is not above 0 and at most %.0f", number, max);
  else {
    *out = number;
    return true;
  }
  return false;
}
