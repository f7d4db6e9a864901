#include "script/versions.h"

#include <stdio.h>

#include <lauxlib.h>
#include <lua-cjson.h>
#include <lua.h>

void nm_script_versions(char *lua, size_t lua_size, char *cjson, size_t cjson_size)
{
  snprintf(lua, lua_size, "%s.%s.%s", LUA_VERSION_MAJOR, LUA_VERSION_MINOR, LUA_VERSION_RELEASE);
  snprintf(cjson, cjson_size, "?");
  lua_State *L = luaL_newstate();
  if (!L) return;
  lua_pushcfunction(L, luaopen_cjson); /* stack: open */
  if (lua_pcall(L, 0, 1, 0) == LUA_OK && lua_getfield(L, -1, "_VERSION") == LUA_TSTRING)
    snprintf(cjson, cjson_size, "%s", lua_tostring(L, -1));
  lua_close(L);
}
