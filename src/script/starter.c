#include "script/starter.h"

#include "base/limits.h"
#include "script/internal.h"

struct starter_call {
  struct nm_text tenant;
  struct nm_arena *arena;
  struct nm_text out;
};

/* Runs under nm_state_call. */
static int make_text(lua_State *L)
{
  struct starter_call *call = lua_touserdata(L, 1);
  struct nm_text made;
  lua_getglobal(L, "require");
  lua_pushliteral(L, "netmove.starter");
  lua_call(L, 1, 1);                                       /* stack: call, starter */
  lua_getfield(L, 2, "text");
  lua_pushlstring(L, call->tenant.ptr, call->tenant.len);
  lua_call(L, 1, 1);                                       /* stack: call, starter, text */
  made.ptr = lua_tolstring(L, -1, &made.len);
  if (made.ptr) call->out = nm_arena_copy(call->arena, made);
  return 0;
}

int nm_script_starter(struct nm_text tenant, struct nm_arena *arena, struct nm_text *out,
                      struct nm_error *err)
{
  static const struct nm_budget budget = { 0, NM_RULES_LOAD_CPU_MAX_MS };
  struct starter_call call = { tenant, arena, { NULL, 0 } };
  struct nm_state state;
  int rc = nm_state_open(&state, NM_STATE_RULES, NM_RULES_STATE_MAX_BYTES, err);
  if (rc) return rc;
  rc = nm_state_call(&state, make_text, &call, &budget, NULL, NULL, err);
  nm_state_close(&state);
  if (rc) return rc;
  if (!call.out.ptr) return nm_fail(err, NM_EINTERNAL, "the starter file could not be made");
  *out = call.out;
  return NM_OK;
}
