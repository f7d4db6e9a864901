#include <lauxlib.h>
#include <stdlib.h>

#include "base/limits.h"
#include "script/internal.h"

static void push(lua_State *L, const json_t *value, int depth);

static void push_object(lua_State *L, const json_t *object, int depth)
{
  const char *key;
  json_t *member;
  lua_createtable(L, 0, (int)json_object_size(object)); /* stack: table */
  json_object_foreach((json_t *)object, key, member) {
    if (json_is_null(member)) continue;
    lua_pushstring(L, key);                             /* stack: table, key */
    push(L, member, depth);                             /* stack: table, key, value */
    lua_rawset(L, -3);                                  /* stack: table */
  }
}

static void push(lua_State *L, const json_t *value, int depth)
{
  if (depth > NM_JSON_DEPTH_MAX) luaL_error(L, "nested deeper than %d", NM_JSON_DEPTH_MAX);
  luaL_checkstack(L, 3, "event");
  switch (json_typeof(value)) {
  case JSON_OBJECT: push_object(L, value, depth + 1); return;
  case JSON_ARRAY:
    lua_createtable(L, (int)json_array_size(value), 0); /* stack: table */
    for (size_t i = 0; i < json_array_size(value); i++) {
      push(L, json_array_get(value, i), depth + 1);     /* stack: table, value */
      lua_rawseti(L, -2, (lua_Integer)i + 1);           /* stack: table */
    }
    return;
  case JSON_STRING: lua_pushlstring(L, json_string_value(value), json_string_length(value)); return;
  case JSON_INTEGER: lua_pushinteger(L, json_integer_value(value)); return;
  case JSON_REAL: lua_pushnumber(L, json_real_value(value)); return;
  case JSON_TRUE:
  case JSON_FALSE: lua_pushboolean(L, json_is_true(value)); return;
  default: lua_pushnil(L);
  }
}

void nm_push_json(lua_State *L, const json_t *value)
{
  push(L, value, 0);
}

/* ---- the way back ---------------------------------------------------------------------------- */

struct reading {
  struct nm_arena *arena;
  int values; /* seen so far: tables that hold each other twice could grow without end */
};

static void read_one(lua_State *L, int index, struct reading *reading, int depth,
                     struct nm_value *out);

static int compare_keys(const void *a, const void *b)
{
  const struct nm_value *x = &((const struct nm_entry *)a)->key;
  const struct nm_value *y = &((const struct nm_entry *)b)->key;
  if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
  if (x->kind == NM_VALUE_INTEGER) return (x->integer > y->integer) - (x->integer < y->integer);
  size_t least = x->text.len < y->text.len ? x->text.len : y->text.len;
  int order = memcmp(x->text.ptr, y->text.ptr, least);
  return order ? order : (x->text.len > y->text.len) - (x->text.len < y->text.len);
}

static void read_table(lua_State *L, int index, struct reading *reading, int depth,
                       struct nm_value *out)
{
  size_t count = 0, i = 0;
  if (depth > NM_JSON_DEPTH_MAX) luaL_error(L, "a table nested deeper than %d", NM_JSON_DEPTH_MAX);
  luaL_checkstack(L, 4, "result");
  lua_pushnil(L);                    /* stack: key */
  while (lua_next(L, index)) {       /* stack: key, value */
    count++;
    lua_pop(L, 1);                   /* stack: key */
  }
  struct nm_entry *entries = nm_arena_alloc(reading->arena, (count ? count : 1) * sizeof *entries);
  if (!entries) nm_budget_overrun(L, NM_OVERRUN_ROOM);
  lua_pushnil(L);                    /* stack: key */
  while (lua_next(L, index)) {       /* stack: key, value */
    int kind = lua_type(L, -2);
    if (kind != LUA_TSTRING && !lua_isinteger(L, -2))
      luaL_error(L, "a table with a %s as key; keys are names or whole numbers",
                 lua_typename(L, kind));
    read_one(L, lua_gettop(L) - 1, reading, depth, &entries[i].key);
    read_one(L, lua_gettop(L), reading, depth, &entries[i].value);
    lua_pop(L, 1);                   /* stack: key */
    i++;
  }
  if (count > 1) qsort(entries, count, sizeof *entries, compare_keys);
  out->kind = NM_VALUE_TABLE;
  out->table.entries = entries;
  out->table.count = count;
}

static void read_text(lua_State *L, int index, struct reading *reading, struct nm_value *out)
{
  struct nm_text text;
  text.ptr = lua_tolstring(L, index, &text.len);
  out->kind = NM_VALUE_TEXT;
  out->text = nm_arena_copy(reading->arena, text);
  if (!out->text.ptr) nm_budget_overrun(L, NM_OVERRUN_ROOM);
}

static const char *name_other(int kind)
{
  switch (kind) {
  case LUA_TFUNCTION: return "a function";
  case LUA_TTHREAD: return "a coroutine";
  default: return "userdata";
  }
}

static void read_one(lua_State *L, int index, struct reading *reading, int depth,
                     struct nm_value *out)
{
  int kind = lua_type(L, index);
  if (++reading->values > NM_SCRIPT_VALUES_MAX) nm_budget_overrun(L, NM_OVERRUN_VALUES);
  switch (kind) {
  case LUA_TNIL:
  case LUA_TNONE: out->kind = NM_VALUE_NIL; return;
  case LUA_TBOOLEAN:
    out->kind = NM_VALUE_BOOLEAN;
    out->boolean = lua_toboolean(L, index);
    return;
  case LUA_TNUMBER:
    out->kind = lua_isinteger(L, index) ? NM_VALUE_INTEGER : NM_VALUE_NUMBER;
    if (out->kind == NM_VALUE_INTEGER) out->integer = lua_tointeger(L, index);
    else out->number = lua_tonumber(L, index);
    return;
  case LUA_TSTRING: read_text(L, index, reading, out); return;
  case LUA_TTABLE: read_table(L, index, reading, depth + 1, out); return;
  default:
    out->kind = NM_VALUE_OTHER;
    out->text = nm_text_from(name_other(kind));
  }
}

void nm_read_value(lua_State *L, int index, struct nm_arena *arena, struct nm_value *out)
{
  struct reading reading = { arena, 0 };
  read_one(L, lua_absindex(L, index), &reading, 0, out);
}
