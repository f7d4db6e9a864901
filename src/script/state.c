#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

#include "script/internal.h"

_Thread_local int64_t nm_state_allocations_left = -1;

static bool is_refused(void)
{
  if (nm_state_allocations_left < 0) return false;
  if (nm_state_allocations_left == 0) return true;
  nm_state_allocations_left--;
  return false;
}

static void *on_alloc(void *ud, void *ptr, size_t old_size, size_t new_size)
{
  struct nm_state *state = ud;
  size_t old = ptr ? old_size : 0; /* without ptr, old_size is a kind of object */
  if (new_size == 0) {
    free(ptr);
    state->used_bytes -= old;
    return NULL;
  }
  if (new_size > old && (new_size - old > state->max_bytes - state->used_bytes || is_refused())) {
    state->is_starved = true;
    return NULL;
  }
  void *made = realloc(ptr, new_size);
  if (!made && new_size <= old) made = ptr; /* Lua counts on shrinking to work */
  if (made) state->used_bytes = state->used_bytes - old + new_size;
  if (state->used_bytes > state->peak_bytes) state->peak_bytes = state->used_bytes;
  return made;
}

/* Nothing in this room calls Lua unprotected. */
static int on_panic(lua_State *L)
{
  (void)L;
  nm_require_failed("an unprotected call into Lua failed", __FILE__, __LINE__);
}

struct nm_state *nm_state_of(lua_State *L)
{
  struct nm_state *state;
  memcpy(&state, lua_getextraspace(L), sizeof state);
  return state;
}

/* What no module of ours needs; the words for rules are a further, shorter list (lua/). */
static const char *const withheld[] = { "collectgarbage", "dofile", "loadfile", "print", "warn" };

static int open_libraries(lua_State *L)
{
  static const luaL_Reg libraries[] = {
    { LUA_GNAME, luaopen_base },         { LUA_STRLIBNAME, luaopen_string },
    { LUA_TABLIBNAME, luaopen_table },   { LUA_MATHLIBNAME, luaopen_math },
    { LUA_UTF8LIBNAME, luaopen_utf8 },
  };
  for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
    luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
    lua_pop(L, 1);
  }
  for (size_t i = 0; i < sizeof withheld / sizeof *withheld; i++) {
    lua_pushnil(L);
    lua_setglobal(L, withheld[i]);
  }
  nm_guards_open(L);
  nm_modules_open(L);
  return 0;
}

int nm_state_open(struct nm_state *state, enum nm_state_kind kind, size_t max_bytes,
                  struct nm_error *err)
{
  static const struct nm_budget unhurried = { 0, 1000 };
  *state = (struct nm_state){ .max_bytes = max_bytes };
  state->L = lua_newstate(on_alloc, state);
  if (!state->L) return nm_fail(err, NM_ENOMEM, "no memory for a Lua state");
  memcpy(lua_getextraspace(state->L), &state, sizeof state);
  lua_atpanic(state->L, on_panic);
  if (kind == NM_STATE_BARE) return NM_OK;
  int rc = nm_state_call(state, open_libraries, NULL, &unhurried, NULL, NULL, err);
  if (rc != NM_OK) nm_state_close(state);
  return rc;
}

/* A stack that has grown far shrinks by half a collection.  Nothing in these states has a
 * finaliser, so this cannot throw. */
void nm_state_collect(struct nm_state *state)
{
  enum { ROUNDS_MAX = 32, WORTH_BYTES = 2048 };
  size_t before = SIZE_MAX;
  for (int i = 0; i < ROUNDS_MAX && before - state->used_bytes > WORTH_BYTES; i++) {
    before = state->used_bytes;
    lua_gc(state->L, LUA_GCCOLLECT);
  }
}

void nm_state_close(struct nm_state *state)
{
  if (!state->L) return;
  lua_close(state->L);
  state->L = NULL;
}
