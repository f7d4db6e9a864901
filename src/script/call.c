#include <lauxlib.h>
#include <stdio.h>

#include "base/limits.h"
#include "script/internal.h"

static const char traceback_mark[] = "\nstack traceback:";

static int add_traceback(lua_State *L)
{
  if (lua_type(L, 1) != LUA_TSTRING) {
    lua_pushfstring(L, "an error that is a %s, not text", luaL_typename(L, 1));
    lua_replace(L, 1);
  }
  luaL_traceback(L, L, lua_tostring(L, 1), 1);
  return 1;
}

static int explain_overrun(const struct nm_state *state, struct nm_error *err)
{
  switch (state->overrun) {
  case NM_OVERRUN_INSTRUCTIONS:
    return nm_fail(err, NM_ELIMIT, "%sstopped after %lld instructions", state->where,
                   (long long)state->budget.instructions);
  case NM_OVERRUN_VALUES:
    return nm_fail(err, NM_ELIMIT, "gave more than %d values", NM_SCRIPT_VALUES_MAX);
  case NM_OVERRUN_ROOM:
    return nm_fail(err, NM_ELIMIT, "gave more bytes than there is memory for");
  default:
    return nm_fail(err, NM_ELIMIT, "%sstopped after %lld ms of CPU time", state->where,
                   (long long)state->budget.cpu_ms);
  }
}

static int explain_memory(const struct nm_state *state, struct nm_error *err)
{
  return nm_fail(err, NM_ELIMIT, "needs more than its %zu KiB of memory", state->max_bytes / 1024);
}

/* The message is on top of the stack; where it could not be made, Lua has put its own there. */
static int explain(struct nm_state *state, int status, struct nm_arena *arena,
                   struct nm_text *trace, struct nm_error *err)
{
  if (state->overrun != NM_OVERRUN_NONE) return explain_overrun(state, err);
  if (status == LUA_ERRMEM) return explain_memory(state, err);
  const char *text = lua_type(state->L, -1) == LUA_TSTRING ? lua_tostring(state->L, -1) : "error";
  const char *mark = strstr(text, traceback_mark);
  size_t len = mark ? (size_t)(mark - text) : strlen(text);
  if (arena && trace && mark) *trace = nm_arena_copy(arena, nm_text_from(mark + 1));
  return nm_fail(err, NM_EINVAL, "%.*s", (int)len, text);
}

int nm_state_call(struct nm_state *state, lua_CFunction f, void *call,
                  const struct nm_budget *budget, struct nm_arena *arena, struct nm_text *trace,
                  struct nm_error *err)
{
  lua_State *L = state->L;
  int rc = NM_OK;
  /* None of these three allocates. */
  lua_pushcfunction(L, add_traceback);
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, call);          /* stack: handler, f, call */
  nm_budget_arm(state, budget);
  int status = lua_pcall(L, 1, 0, 1);      /* stack: handler [, message] */
  nm_budget_disarm(state);
  if (status != LUA_OK) {
    rc = explain(state, status, arena, trace, err);
    lua_settop(L, 0);
    nm_state_collect(state); /* what the failed call left must not starve the next one */
  }
  lua_settop(L, 0);
  return rc;
}
