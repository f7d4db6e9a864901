#include <lauxlib.h>
#include <lua-cjson.h>
#include <lua.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "script/embedded.h"
#include "script/internal.h"

enum { CODE_MAX_BYTES = 1024 * 1024, STRIPPED = 1 }; /* lines of ours mean nothing to authors */

static const char loaded_key; /* its address names the table of modules that were required */

/* Our own modules, compiled once in this process: every tenant's state needs them all.  Only what
 * we compiled ourselves is ever loaded in this form. */
static struct compiled {
  char *bytes;
  size_t len;
} *compiled; /* as many as modules; behind the lock; what is in a filled row never changes */
static pthread_mutex_t compiled_lock = PTHREAD_MUTEX_INITIALIZER;

static int append_code(lua_State *L, const void *bytes, size_t len, void *data)
{
  (void)L;
  return nm_buffer_append(data, bytes, len);
}

static struct compiled find_compiled(size_t row)
{
  struct compiled found = { NULL, 0 };
  pthread_mutex_lock(&compiled_lock);
  if (compiled) found = compiled[row];
  pthread_mutex_unlock(&compiled_lock);
  return found;
}

/* Keeps the code of the function on top of the stack; without memory it is compiled again. */
static void keep_compiled(lua_State *L, size_t row)
{
  struct nm_buffer code;
  size_t count = 0;
  while (nm_embedded_lua[count].module) count++;
  nm_buffer_init(&code, CODE_MAX_BYTES);
  /* Allocates nothing of Lua's, so it cannot throw. */
  bool is_whole = lua_dump(L, append_code, &code, STRIPPED) == 0;
  size_t len = code.len;
  char *bytes = is_whole && len > 0 ? malloc(len) : NULL; /* it stays: no byte more than it takes */
  if (bytes) memcpy(bytes, code.ptr, len);
  nm_buffer_deinit(&code);
  pthread_mutex_lock(&compiled_lock);
  if (!compiled) compiled = calloc(count, sizeof *compiled);
  if (bytes && compiled && !compiled[row].bytes) {
    compiled[row] = (struct compiled){ bytes, len };
    bytes = NULL;
  }
  pthread_mutex_unlock(&compiled_lock);
  free(bytes);
}

/* Pushes the module's chunk. */
static void push_chunk(lua_State *L, const char *module)
{
  char name[128];
  size_t row = 0;
  if (strcmp(module, "cjson") == 0) {
    lua_pushcfunction(L, luaopen_cjson);
    return;
  }
  while (nm_embedded_lua[row].module && strcmp(nm_embedded_lua[row].module, module) != 0) row++;
  const struct nm_embedded *found = &nm_embedded_lua[row];
  if (!found->module) luaL_error(L, "no module \"%s\" in this program", module);

  snprintf(name, sizeof name, "@lua/%s.lua", module);
  for (char *at = name + 5; *at && strcmp(at, ".lua") != 0; at++)
    if (*at == '.') *at = '/';
  struct compiled code = find_compiled(row);
  int status = code.bytes ? luaL_loadbufferx(L, code.bytes, code.len, name, "b")
                          : luaL_loadbufferx(L, found->begin, (size_t)(found->end - found->begin),
                                             name, "t");
  if (status != LUA_OK) lua_error(L);
  if (!code.bytes) keep_compiled(L, row);
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

void nm_modules_forget(lua_State *L)
{
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &loaded_key);
  lua_pushnil(L);
  lua_setglobal(L, "require");
}

void nm_modules_open(lua_State *L)
{
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &loaded_key);
  lua_pushcfunction(L, require_module);
  lua_setglobal(L, "require");
}
