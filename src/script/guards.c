#include <lauxlib.h>
#include <lualib.h>

#include "base/limits.h"
#include "script/internal.h"

/* Library functions that can run for ever inside C, where no hook looks: each is replaced by one
 * that refuses what would, and else calls it (its first upvalue). */

static int call_guarded(lua_State *L)
{
  int count = lua_gettop(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, count, LUA_MULTRET);
  return lua_gettop(L);
}

/* ("").rep("", 1e15) turns a loop of nothing. */
static int guarded_rep(lua_State *L)
{
  size_t text_len, separator_len;
  luaL_checklstring(L, 1, &text_len);
  luaL_optlstring(L, 3, "", &separator_len);
  if (text_len + separator_len == 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  return call_guarded(L);
}

/* With places 4, 5, 8, 16 ... 2^62 set, #t is 2^62: insert would shift nothing 2^62 times. */
static int guarded_table(lua_State *L)
{
  if (lua_istable(L, 1) && lua_rawlen(L, 1) > NM_SCRIPT_TABLE_PLACES_MAX)
    return luaL_error(L, "a table of more than %d places", NM_SCRIPT_TABLE_PLACES_MAX);
  return call_guarded(L);
}

/* Repetitions that can give back to one another cost the square of the text, or worse. */
static int guarded_pattern(lua_State *L)
{
  size_t text_len, pattern_len;
  luaL_checklstring(L, 1, &text_len);
  const char *pattern = luaL_checklstring(L, 2, &pattern_len);
  int repetitions = 0;
  if (text_len > NM_SCRIPT_PATTERN_TEXT_MAX_BYTES && !lua_toboolean(L, 4)) {
    for (size_t i = 0; i < pattern_len; i++) {
      if (pattern[i] == '%') i++;
      else repetitions += pattern[i] == '*' || pattern[i] == '+' || pattern[i] == '-';
    }
    if (repetitions > 1)
      return luaL_error(L, "a text of %d bytes is too long for a pattern", (int)text_len);
  }
  return call_guarded(L);
}

void nm_guards_open(lua_State *L)
{
  static const struct {
    const char *library, *name;
    lua_CFunction guard;
  } guards[] = {
    { LUA_STRLIBNAME, "rep", guarded_rep },         { LUA_STRLIBNAME, "find", guarded_pattern },
    { LUA_STRLIBNAME, "match", guarded_pattern },   { LUA_STRLIBNAME, "gmatch", guarded_pattern },
    { LUA_STRLIBNAME, "gsub", guarded_pattern },    { LUA_TABLIBNAME, "insert", guarded_table },
    { LUA_TABLIBNAME, "remove", guarded_table },    { LUA_TABLIBNAME, "sort", guarded_table },
    { LUA_TABLIBNAME, "concat", guarded_table },
  };
  for (size_t i = 0; i < sizeof guards / sizeof *guards; i++) {
    lua_getglobal(L, guards[i].library);            /* stack: library */
    lua_getfield(L, -1, guards[i].name);            /* stack: library, function */
    lua_pushcclosure(L, guards[i].guard, 1);        /* stack: library, guard */
    lua_setfield(L, -2, guards[i].name);            /* stack: library */
    lua_pop(L, 1);
  }
  lua_getglobal(L, LUA_TABLIBNAME);
  lua_pushnil(L);
  lua_setfield(L, -2, "move"); /* as insert, and nobody needs it */
  lua_pop(L, 1);
}
