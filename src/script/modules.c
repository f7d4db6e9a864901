#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>

#include "script/embedded.h"
#include "script/internal.h"

int luaopen_cjson(lua_State *L); /* lua5.4-cjson has no header */

static const char loaded_key; /* its address names the table of modules that were required */

static const struct nm_embedded *find(const char *module)
{
  const struct nm_embedded *row = nm_embedded_lua;
  while (row->module && strcmp(row->module, module) != 0) row++;
  return row->module ? row : NULL;
}

/* Pushes the module's chunk. */
static void push_chunk(lua_State *L, const char *module)
{
  char name[128];
  if (strcmp(module, "cjson") == 0) {
    lua_pushcfunction(L, luaopen_cjson);
    return;
  }
  const struct nm_embedded *row = find(module);
  if (!row) luaL_error(L, "no module \"%s\" in this program", module);
  snprintf(name, sizeof name, "@lua/%s.lua", module);
  for (char *at = name + 5; *at && strcmp(at, ".lua") != 0; at++)
    if (*at == '.') *at = '/';
  if (luaL_loadbufferx(L, row->begin, (size_t)(row->end - row->begin), name, "t") != LUA_OK)
    lua_error(L);
}

static int require_module(lua_State *L)
{
  const char *module = luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &loaded_key); /* stack: name, loaded */
  if (lua_getfield(L, 2, module) != LUA_TNIL) {   /* stack: name, loaded, module */
    if (lua_isboolean(L, 3)) luaL_error(L, "modules that require each other: \"%s\"", module);
    return 1;
  }
  lua_pushboolean(L, 0);
  lua_setfield(L, 2, module);                     /* being loaded */
  push_chunk(L, module);                          /* stack: name, loaded, nil, chunk */
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);                              /* stack: name, loaded, nil, module */
  lua_pushvalue(L, 4);
  lua_setfield(L, 2, module);
  return 1;
}

void nm_modules_open(lua_State *L)
{
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &loaded_key);
  lua_pushcfunction(L, require_module);
  lua_setglobal(L, "require");
}
