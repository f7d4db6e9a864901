#include <lauxlib.h>
#include <stdio.h>

#include "base/clock.h"
#include "script/internal.h"

/* The hook's price is being there, not how often it runs (reference/performance.md, 4), and between
 * two looks C functions may take long over big tables: so it looks often, by a clock that costs
 * nothing, and asks for CPU time, which is a system call, only now and then. */
enum { STEP_INSTRUCTIONS = 100, LOOK_NS = 1000 * 1000 };

/* The innermost line that is the author's, not our library's. */
static void note_place(lua_State *L, struct nm_state *state)
{
  lua_Debug frame;
  for (int level = 0; level < 64 && lua_getstack(L, level, &frame); level++) {
    if (!lua_getinfo(L, "Sl", &frame) || frame.currentline < 0) continue;
    if (strncmp(frame.source, "@lua/", 5) == 0) continue;
    const char *name = *frame.source == '@' || *frame.source == '=' ? frame.source + 1
                                                                    : frame.short_src;
    snprintf(state->where, sizeof state->where, "%s:%d: ", name, frame.currentline);
    return;
  }
}

static enum nm_overrun look(struct nm_state *state)
{
  state->instructions += STEP_INSTRUCTIONS;
  if (state->budget.instructions > 0 && state->instructions > state->budget.instructions)
    return NM_OVERRUN_INSTRUCTIONS;

  int64_t now = nm_clock_mono_ns();
  if (now - state->looked_mono_ns < LOOK_NS) return NM_OVERRUN_NONE;
  state->looked_mono_ns = now;
  /* What went before the first look counts as CPU time: at most one look's length of it was not. */
  if (state->cpu_began_ns < 0) {
    int64_t before = now - state->started_mono_ns;
    state->cpu_began_ns = nm_clock_thread_cpu_ns() - (before < 2 * LOOK_NS ? before : 0);
    return NM_OVERRUN_NONE;
  }
  bool is_late = nm_clock_thread_cpu_ns() - state->cpu_began_ns > state->budget.cpu_ms * 1000000;
  return is_late ? NM_OVERRUN_CPU : NM_OVERRUN_NONE;
}

static void on_count(lua_State *L, lua_Debug *frame)
{
  struct nm_state *state = nm_state_of(L);
  (void)frame;
  if (state->overrun == NM_OVERRUN_NONE) {
    state->overrun = look(state);
    if (state->overrun == NM_OVERRUN_NONE) return;
    note_place(L, state);
  }
  nm_budget_overrun(L, state->overrun);
}

void nm_budget_overrun(lua_State *L, enum nm_overrun why)
{
  nm_state_of(L)->overrun = why;
  /* From now on every instruction raises it again, so that no pcall can swallow it. */
  lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
  lua_pushliteral(L, "out of budget");
  lua_error(L);
  nm_require_failed("lua_error returned", __FILE__, __LINE__);
}

void nm_budget_arm(struct nm_state *state, const struct nm_budget *budget)
{
  state->budget = *budget;
  state->instructions = 0;
  state->peak_bytes = state->used_bytes;
  state->started_mono_ns = state->looked_mono_ns = nm_clock_mono_ns();
  state->cpu_began_ns = -1;
  state->overrun = NM_OVERRUN_NONE;
  state->is_starved = false;
  state->where[0] = '\0';
  /* The hook stays from call to call, and with it what is left of its step: so many short calls add
   * up to what they took, although each is counted in steps. */
  if (state->is_hooked) return;
  lua_sethook(state->L, on_count, LUA_MASKCOUNT, STEP_INSTRUCTIONS);
  state->is_hooked = true;
}

int64_t nm_budget_cpu_ns(const struct nm_state *state)
{
  /* A short call was hardly ever interrupted, so its wall time will do and costs no system call. */
  if (state->cpu_began_ns < 0) return nm_clock_mono_ns() - state->started_mono_ns;
  return nm_clock_thread_cpu_ns() - state->cpu_began_ns;
}

void nm_budget_disarm(struct nm_state *state)
{
  if (state->overrun == NM_OVERRUN_NONE) return;
  lua_sethook(state->L, NULL, 0, 0);
  state->is_hooked = false;
}
