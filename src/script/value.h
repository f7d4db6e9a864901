/* value.h - what came out of Lua, as plain data in an arena. */
#pragma once

#include "base/arena.h"
#include "json/json.h"

enum nm_value_kind {
  NM_VALUE_NIL = 0,
  NM_VALUE_BOOLEAN = 1,
  NM_VALUE_INTEGER = 2,
  NM_VALUE_NUMBER = 3,
  NM_VALUE_TEXT = 4,
  NM_VALUE_TABLE = 5,
  NM_VALUE_OTHER = 6, /* a function or the like; text says what */
};

struct nm_entry;

struct nm_value {
  enum nm_value_kind kind;
  union {
    bool boolean;
    int64_t integer;
    double number;
    struct nm_text text;
    struct {
      const struct nm_entry *entries; /* whole numbers first, then texts, each ascending */
      size_t count;
    } table;
  };
};

struct nm_entry {
  struct nm_value key; /* integer or text */
  struct nm_value value;
};

/* True for a table with the keys 1, 2 ... n and no others; not for an empty one. */
bool nm_value_is_list(const struct nm_value *value);

/* The member of a table; NULL where there is none. */
const struct nm_value *nm_value_get(const struct nm_value *table, const char *key);

/* A member that is text, else the empty text. */
struct nm_text nm_value_text(const struct nm_value *table, const char *key);

/* A member that is a whole number, else `otherwise`. */
int64_t nm_value_integer(const struct nm_value *table, const char *key, int64_t otherwise);

/* "a function", "text", "a table": for messages. */
const char *nm_value_kind_name(const struct nm_value *value);

/* A number as text: integers without a point, others in the shortest form that reads back. */
struct nm_text nm_value_number_text(struct nm_arena *arena, const struct nm_value *number);

/* Compact JSON in the arena.  NM_EINVAL where a value has no JSON (err names it), NM_ENOMEM. */
NM_MUST_CHECK int nm_value_json_text(const struct nm_value *value, struct nm_arena *arena,
                                     struct nm_text *out, struct nm_error *err);

/* The same as a tree.  Gives *out.  An empty table is {}. */
NM_MUST_CHECK int nm_value_to_json(const struct nm_value *value, json_t **out,
                                   struct nm_error *err);
