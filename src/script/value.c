#include "script/value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_MAX_BYTES = 32 };

bool nm_value_is_list(const struct nm_value *value)
{
  if (value->kind != NM_VALUE_TABLE || value->table.count == 0) return false;
  /* Sorted without doubles: n keys that end in n and begin with 1 are 1..n. */
  const struct nm_entry *entries = value->table.entries;
  const struct nm_value *last = &entries[value->table.count - 1].key;
  return entries[0].key.kind == NM_VALUE_INTEGER && entries[0].key.integer == 1 &&
         last->kind == NM_VALUE_INTEGER && last->integer == (int64_t)value->table.count;
}

const struct nm_value *nm_value_get(const struct nm_value *table, const char *key)
{
  struct nm_text wanted = nm_text_from(key);
  if (!table || table->kind != NM_VALUE_TABLE) return NULL;
  for (size_t i = 0; i < table->table.count; i++) {
    const struct nm_entry *entry = &table->table.entries[i];
    if (entry->key.kind == NM_VALUE_TEXT && nm_text_equal(entry->key.text, wanted))
      return &entry->value;
  }
  return NULL;
}

struct nm_text nm_value_text(const struct nm_value *table, const char *key)
{
  const struct nm_value *value = nm_value_get(table, key);
  if (!value || value->kind != NM_VALUE_TEXT) return (struct nm_text){ NULL, 0 };
  return value->text;
}

int64_t nm_value_integer(const struct nm_value *table, const char *key, int64_t otherwise)
{
  const struct nm_value *value = nm_value_get(table, key);
  return value && value->kind == NM_VALUE_INTEGER ? value->integer : otherwise;
}

const char *nm_value_kind_name(const struct nm_value *value)
{
  switch (value->kind) {
  case NM_VALUE_BOOLEAN: return value->boolean ? "true" : "false";
  case NM_VALUE_INTEGER:
  case NM_VALUE_NUMBER: return "a number";
  case NM_VALUE_TEXT: return "text";
  case NM_VALUE_TABLE: return "a table";
  case NM_VALUE_OTHER: return value->text.ptr;
  default: return "nothing";
  }
}

static size_t format_number(const struct nm_value *value, char out[NUMBER_MAX_BYTES])
{
  int len = 0;
  if (value->kind == NM_VALUE_INTEGER) {
    len = snprintf(out, NUMBER_MAX_BYTES, "%" PRId64, value->integer);
  } else if (value->number == floor(value->number) && fabs(value->number) < 1e15) {
    len = snprintf(out, NUMBER_MAX_BYTES, "%" PRId64, (int64_t)value->number);
  } else {
    for (int digits = 15; digits <= 17; digits++) {
      len = snprintf(out, NUMBER_MAX_BYTES, "%.*g", digits, value->number);
      if (strtod(out, NULL) == value->number) break;
    }
  }
  return (size_t)len;
}

struct nm_text nm_value_number_text(struct nm_arena *arena, const struct nm_value *number)
{
  char text[NUMBER_MAX_BYTES];
  size_t len = format_number(number, text);
  return nm_arena_copy(arena, (struct nm_text){ text, len });
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Where we are in a value, for messages. */
struct place {
  const struct place *outer;
  const struct nm_value *key;
};

static size_t place_text(const struct place *place, char *out, size_t max)
{
  if (!place) return 0;
  size_t len = place_text(place->outer, out, max);
  const struct nm_value *key = place->key;
  int more = 0;
  if (key->kind == NM_VALUE_INTEGER)
    more = snprintf(out + len, max - len, "[%" PRId64 "]", key->integer);
  else
    more = snprintf(out + len, max - len, "%s%.*s", len > 0 ? "." : "", (int)key->text.len,
                    key->text.ptr);
  return more < 0 || len + (size_t)more >= max ? max - 1 : len + (size_t)more;
}

static int refuse(const struct place *place, struct nm_error *err, const char *found)
{
  char path[160] = "";
  size_t len = place_text(place, path, sizeof path);
  return nm_fail(err, NM_EINVAL, "%s%s%s; expected text, number, boolean or table", path,
                 len > 0 ? ": " : "", found);
}

static int write_string(struct nm_buffer *out, struct nm_text text)
{
  static const char hex[] = "0123456789abcdef";
  int rc = nm_buffer_reserve(out, text.len * 6 + 2); /* \u001f is the longest form */
  if (rc != NM_OK) return rc;
  char *at = out->ptr + out->len;
  *at++ = '"';
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    unsigned char byte = (unsigned char)c;
    const char *names = "btn\vfr"; /* 8 to 13; 11 has no short form */
    if (c == '"' || c == '\\') {
      *at++ = '\\';
      *at++ = c;
    } else if (byte >= 0x20) {
      *at++ = c;
    } else if (byte >= 8 && byte <= 13 && byte != 11) {
      *at++ = '\\';
      *at++ = names[byte - 8];
    } else {
      memcpy(at, "\\u00", 4);
      at[4] = hex[byte >> 4];
      at[5] = hex[byte & 15];
      at += 6;
    }
  }
  *at++ = '"';
  out->len = (size_t)(at - out->ptr);
  return NM_OK;
}

static int write_value(struct nm_buffer *out, const struct nm_value *value,
                       const struct place *outer, struct nm_error *err);

static int write_table(struct nm_buffer *out, const struct nm_value *value,
                       const struct place *outer, struct nm_error *err)
{
  bool is_list = nm_value_is_list(value);
  int rc = nm_buffer_append(out, is_list ? "[" : "{", 1);
  for (size_t i = 0; i < value->table.count && rc == NM_OK; i++) {
    const struct nm_entry *entry = &value->table.entries[i];
    struct place place = { outer, &entry->key };
    if (i > 0) rc = nm_buffer_append(out, ",", 1);
    if (!is_list && rc == NM_OK) {
      if (entry->key.kind != NM_VALUE_TEXT || !nm_text_is_utf8(entry->key.text))
        return refuse(&place, err, "a number beside names as key, or a gap in a list");
      rc = write_string(out, entry->key.text);
      if (rc == NM_OK) rc = nm_buffer_append(out, ":", 1);
    }
    if (rc == NM_OK) rc = write_value(out, &entry->value, &place, err);
  }
  if (rc == NM_OK) rc = nm_buffer_append(out, is_list ? "]" : "}", 1);
  return rc;
}

static int write_value(struct nm_buffer *out, const struct nm_value *value,
                       const struct place *outer, struct nm_error *err)
{
  char number[NUMBER_MAX_BYTES];
  switch (value->kind) {
  case NM_VALUE_BOOLEAN:
    return nm_buffer_append_text(out, value->boolean ? NM_TEXT("true") : NM_TEXT("false"));
  case NM_VALUE_NUMBER:
    if (!isfinite(value->number)) return refuse(outer, err, "a number without an end");
    return nm_buffer_append(out, number, format_number(value, number));
  case NM_VALUE_INTEGER: return nm_buffer_append(out, number, format_number(value, number));
  case NM_VALUE_TEXT:
    if (!nm_text_is_utf8(value->text)) return refuse(outer, err, "text that is not UTF-8");
    return write_string(out, value->text);
  case NM_VALUE_TABLE: return write_table(out, value, outer, err);
  case NM_VALUE_NIL: return nm_buffer_append_text(out, NM_TEXT("null"));
  default: return refuse(outer, err, nm_value_kind_name(value));
  }
}

int nm_value_json_text(const struct nm_value *value, struct nm_arena *arena, struct nm_text *out,
                       struct nm_error *err)
{
  struct nm_buffer buffer;
  nm_buffer_init(&buffer, 8 * 1024 * 1024);
  int rc = write_value(&buffer, value, NULL, err);
  if (rc == NM_OK) {
    struct nm_text copy = nm_arena_copy(arena, nm_buffer_text(&buffer));
    if (copy.ptr) *out = copy;
    else rc = NM_ENOMEM;
  }
  if (rc == NM_ENOMEM || rc == NM_ELIMIT) rc = nm_fail(err, NM_ENOMEM, "no room for what it gave");
  nm_buffer_deinit(&buffer);
  return rc;
}

static json_t *make(const struct nm_value *value, const struct place *outer, struct nm_error *err);

static json_t *make_table(const struct nm_value *value, const struct place *outer,
                          struct nm_error *err)
{
  bool is_list = nm_value_is_list(value);
  json_t *made = is_list ? json_array() : json_object();
  for (size_t i = 0; made && i < value->table.count; i++) {
    const struct nm_entry *entry = &value->table.entries[i];
    struct place place = { outer, &entry->key };
    bool has_key = is_list ||
                   (entry->key.kind == NM_VALUE_TEXT && nm_text_is_utf8(entry->key.text));
    json_t *member = NULL;
    if (has_key) member = make(&entry->value, &place, err);
    else (void)refuse(&place, err, "a number beside names as key, or a gap in a list");
    int failed = !member || (is_list ? json_array_append_new(made, member)
                                     : json_object_set_new(made, entry->key.text.ptr, member));
    if (failed) {
      json_decref(made);
      return NULL;
    }
  }
  return made;
}

static json_t *make(const struct nm_value *value, const struct place *outer, struct nm_error *err)
{
  switch (value->kind) {
  case NM_VALUE_NIL: return json_null();
  case NM_VALUE_BOOLEAN: return json_boolean(value->boolean);
  case NM_VALUE_INTEGER: return json_integer(value->integer);
  case NM_VALUE_TABLE: return make_table(value, outer, err);
  case NM_VALUE_NUMBER:
    if (isfinite(value->number)) return json_real(value->number);
    (void)refuse(outer, err, "a number without an end");
    return NULL;
  case NM_VALUE_TEXT:
    if (nm_text_is_utf8(value->text)) return json_stringn(value->text.ptr, value->text.len);
    (void)refuse(outer, err, "text that is not UTF-8");
    return NULL;
  default:
    (void)refuse(outer, err, nm_value_kind_name(value));
    return NULL;
  }
}

int nm_value_to_json(const struct nm_value *value, json_t **out, struct nm_error *err)
{
  struct nm_error why = { 0, "" };
  json_t *made = make(value, NULL, &why);
  if (!made)
    return nm_fail(err, why.code ? why.code : NM_ENOMEM, "%s",
                   why.code ? why.text : "out of memory");
  *out = made;
  return NM_OK;
}
