#include "json/json.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/limits.h"
#include "json/read.h"

/* jansson's own depth limit is far above ours: brackets outside strings are counted before parsing,
 * which is cheap, and keeps its recursion short. */
static bool is_too_deep(struct nm_text text)
{
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    if (in_string) {
      if (c == '\\') i++;
      else if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > NM_JSON_DEPTH_MAX) return true;
    } else if (c == '}' || c == ']') {
      depth--;
    }
  }
  return false;
}

static int parse(json_t **out, struct nm_text text, size_t flags, struct nm_error *err)
{
  json_error_t why = { .text = "" };
  bool is_short;
  json_t *value = nm_json_read(text, (flags & JSON_DECODE_ANY) != 0, &is_short);
  if (value) {
    *out = value;
    return NM_OK;
  }
  if (is_short) return nm_fail(err, NM_ENOMEM, "no memory to read JSON");
  if (is_too_deep(text)) return nm_fail(err, NM_ELIMIT, "nested deeper than %d", NM_JSON_DEPTH_MAX);
  value = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES | flags, &why);
  if (!value && !why.text[0]) return nm_fail(err, NM_ENOMEM, "no memory to read JSON");
  if (!value)
    return nm_fail(err, NM_EINVAL, "not JSON: %s (line %d, column %d)", why.text, why.line, why.column);
  *out = value;
  return NM_OK;
}

int nm_json_parse(json_t **out, struct nm_text text, struct nm_error *err)
{
  return parse(out, text, 0, err);
}

int nm_json_parse_any(json_t **out, struct nm_text text, struct nm_error *err)
{
  return parse(out, text, JSON_DECODE_ANY, err);
}

struct writing {
  struct nm_buffer *out;
  int rc; /* of the buffer */
};

static int append_piece(const char *bytes, size_t len, void *data)
{
  struct writing *writing = data;
  writing->rc = nm_buffer_append(writing->out, bytes, len);
  return writing->rc ? -1 : 0;
}

int nm_json_write(struct nm_buffer *out, const json_t *value)
{
  struct writing writing = { out, NM_OK };
  size_t before = out->len, flags = JSON_COMPACT | JSON_ENCODE_ANY;
  if (json_dump_callback(value, append_piece, &writing, flags) == 0) return NM_OK;
  out->len = before;
  return writing.rc ? writing.rc : NM_ENOMEM; /* it needs some, to find circles */
}

struct nm_text nm_json_text(struct nm_arena *arena, const json_t *value)
{
  size_t len = json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
  char *bytes = len > 0 ? nm_arena_alloc(arena, len + 1) : NULL;
  if (!bytes) return (struct nm_text){ NULL, 0 };
  /* It may fail in the middle for want of memory: half a document is none. */
  if (json_dumpb(value, bytes, len, JSON_COMPACT | JSON_ENCODE_ANY) != len)
    return (struct nm_text){ NULL, 0 };
  return (struct nm_text){ bytes, len };
}

struct nm_text nm_json_string_of(const json_t *value)
{
  return (struct nm_text){ json_string_value(value), json_string_length(value) };
}

struct nm_text nm_json_string(const json_t *object, const char *key)
{
  return nm_json_string_of(json_object_get(object, key));
}

bool nm_json_i64(const json_t *object, const char *key, int64_t *out)
{
  const json_t *value = json_object_get(object, key);
  if (json_is_integer(value)) {
    *out = json_integer_value(value);
    return true;
  }
  return json_is_string(value) && nm_text_to_i64(nm_json_string(object, key), out);
}

int nm_json_set_text(json_t *object, const char *key, struct nm_text value)
{
  json_t *string = json_stringn(value.ptr ? value.ptr : "", value.len);
  if (!string) return nm_text_is_utf8(value) ? NM_ENOMEM : NM_EINVAL;
  return json_object_set_new(object, key, string) ? NM_ENOMEM : NM_OK;
}

int nm_json_set_id(json_t *object, const char *key, int64_t id)
{
  char text[24];
  int len = snprintf(text, sizeof text, "%" PRId64, id);
  return nm_json_set_text(object, key, (struct nm_text){ text, (size_t)len });
}
