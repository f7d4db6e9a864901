#include "script/versions.h"

#include <stdio.h>

#include "base/limits.h"
#include "script/internal.h"

struct versions_call {
  char *cjson;
  size_t cjson_size;
};

static int read_versions(lua_State *L)
{
  const struct versions_call *call = lua_touserdata(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson");
  lua_call(L, 1, 1);                              /* stack: call, cjson */
  if (lua_getfield(L, 2, "_VERSION") == LUA_TSTRING)
    snprintf(call->cjson, call->cjson_size, "%s", lua_tostring(L, -1));
  return 0;
}

void nm_script_versions(char *lua, size_t lua_size, char *cjson, size_t cjson_size)
{
  static const struct nm_budget budget = { 0, NM_RULES_LOAD_CPU_MAX_MS };
  struct versions_call call = { cjson, cjson_size };
  struct nm_state state;
  snprintf(lua, lua_size, "%s.%s.%s", LUA_VERSION_MAJOR, LUA_VERSION_MINOR, LUA_VERSION_RELEASE);
  snprintf(cjson, cjson_size, "?");
  if (nm_state_open(&state, NM_STATE_RULES, NM_RULES_STATE_MAX_BYTES, NULL) != NM_OK) return;
  /* Without it the version stays unknown, and that is all. */
  (void)!nm_state_call(&state, read_versions, &call, &budget, NULL, NULL, NULL);
  nm_state_close(&state);
}
