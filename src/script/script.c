#include "script/script.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/zone.h"
#include "script/internal.h"

enum { LIBRARIES_LISTED_MAX = 256 };

struct load_call {
  struct nm_text file, source;
  const struct nm_script_libraries *libraries;
  struct nm_arena *arena;
  struct nm_value *found;
  bool serves; /* they have proven themselves before; the state will serve them and nothing else */
  bool is_proven;
  int64_t instructions_seen, cpu_seen_ns; /* by spent() */
};

/* The load that is under way.  Rules that get hold of a function of it may call it afterwards. */
static struct load_call *of_load(lua_State *L)
{
  struct load_call *call = nm_state_of(L)->loading;
  if (!call) luaL_error(L, "only while a file is loaded");
  return call;
}

static int known_zone(lua_State *L)
{
  const struct nm_zone *zone;
  struct nm_text name;
  name.ptr = luaL_checklstring(L, 1, &name.len);
  lua_pushboolean(L, nm_zone_find(&zone, name) == NM_OK);
  return 1;
}

/* zone_date(zone, ms): the day that a clock of the zone shows then. */
static int zone_date(lua_State *L)
{
  const struct nm_zone *zone;
  struct nm_local local;
  struct nm_text name;
  name.ptr = luaL_checklstring(L, 1, &name.len);
  lua_Integer ms = luaL_checkinteger(L, 2);
  if (nm_zone_find(&zone, name)) return 0;
  nm_zone_local(zone, ms, &local);
  lua_pushfstring(L, "%d-%s%d-%s%d", local.year, local.month < 10 ? "0" : "", local.month,
                  local.day < 10 ? "0" : "", local.day);
  return 1;
}

/* zone_instant(zone, y, m, d, hour, minute, second): the moment at which its clock shows that. */
static int zone_instant(lua_State *L)
{
  const struct nm_zone *zone;
  struct nm_text name;
  int part[6];
  name.ptr = luaL_checklstring(L, 1, &name.len);
  for (int i = 0; i < 6; i++) {
    lua_Integer value = luaL_checkinteger(L, 2 + i);
    luaL_argcheck(L, value >= 0 && value <= 9999, 2 + i, "out of range");
    part[i] = (int)value;
  }
  if (nm_zone_find(&zone, name)) return 0;
  lua_pushinteger(L, nm_zone_instant(zone, part[0], part[1], part[2], part[3], part[4], part[5]));
  return 1;
}

/* traceback(): where the code stands, for developers. */
static int traceback(lua_State *L)
{
  luaL_traceback(L, L, NULL, 1);
  return 1;
}

/* spent(): instructions and microseconds of CPU since it was called last; for what examples
 * cost. */
static int spent(lua_State *L)
{
  struct load_call *call = of_load(L);
  const struct nm_state *state = nm_state_of(L);
  int64_t now_ns = nm_clock_thread_cpu_ns();
  lua_pushinteger(L, state->instructions - call->instructions_seen);
  lua_pushinteger(L, (now_ns - call->cpu_seen_ns) / 1000);
  call->instructions_seen = state->instructions;
  call->cpu_seen_ns = now_ns;
  return 2;
}

/* library(name): its text, or nil and why; nil alone where there is none. */
static int read_library(lua_State *L)
{
  const struct load_call *call = of_load(L);
  struct nm_text name, source = { NULL, 0 };
  struct nm_error err = { 0, "" };
  name.ptr = luaL_checklstring(L, 1, &name.len);
  if (!call->libraries) return 0;
  int rc = call->libraries->read(call->libraries->data, name, call->arena, &source, &err);
  if (rc == NM_OK) {
    lua_pushlstring(L, source.ptr ? source.ptr : "", source.len);
    return 1;
  }
  lua_pushnil(L);
  if (rc == NM_ENOTFOUND) return 1;
  lua_pushstring(L, err.text);
  return 2;
}

static int list_libraries(lua_State *L)
{
  const struct load_call *call = of_load(L);
  struct nm_text names[LIBRARIES_LISTED_MAX];
  if (!call->libraries) return 0;
  size_t count =
      call->libraries->list(call->libraries->data, call->arena, names, LIBRARIES_LISTED_MAX);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_pushlstring(L, names[i].ptr, names[i].len);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* What the library may ask of us while it loads. */
static void push_host(lua_State *L, struct load_call *call)
{
  lua_createtable(L, 0, 9);
  if (call->libraries) {
    lua_pushcfunction(L, read_library);
    lua_setfield(L, -2, "library");
    lua_pushcfunction(L, list_libraries);
    lua_setfield(L, -2, "libraries");
    lua_pushboolean(L, call->libraries->is_alone);
    lua_setfield(L, -2, "is_alone");
  }
  lua_pushcfunction(L, known_zone);
  lua_setfield(L, -2, "known_zone");
  lua_pushcfunction(L, zone_date);
  lua_setfield(L, -2, "zone_date");
  lua_pushcfunction(L, traceback);
  lua_setfield(L, -2, "traceback");
  lua_pushcfunction(L, zone_instant);
  lua_setfield(L, -2, "zone_instant");
  lua_pushcfunction(L, spent);
  lua_setfield(L, -2, "spent");
  lua_pushcfunction(L, nm_json_text_inside);
  lua_setfield(L, -2, "json_text");
  lua_pushboolean(L, call->serves);
  lua_setfield(L, -2, "is_known");
  lua_pushboolean(L, call->serves);
  lua_setfield(L, -2, "stays");
  lua_pushinteger(L, NM_RULES_CALL_INSTRUCTIONS_MAX);
  lua_setfield(L, -2, "instructions_max");
  lua_pushinteger(L, NM_RULES_CALL_CPU_MAX_MS * 1000);
  lua_setfield(L, -2, "microseconds_max");
}

/* Gives each problem at `problems` its line for people. */
static void format_problems(lua_State *L, int library, int problems, struct nm_text file)
{
  /* stack in the loop: ..., problem */
  for (lua_Integer i = 1; lua_rawgeti(L, problems, i) == LUA_TTABLE; i++) {
    lua_getfield(L, library, "format_problem");
    lua_pushlstring(L, file.ptr, file.len);
    lua_pushvalue(L, -3);
    lua_call(L, 2, 1); /* stack: ..., problem, text */
    lua_setfield(L, -2, "text");
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static int load_protected(lua_State *L)
{
  struct load_call *call = lua_touserdata(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "netmove");
  lua_call(L, 1, 1);                                          /* stack: call, library */
  lua_getfield(L, 2, "load");
  lua_pushlstring(L, call->source.ptr ? call->source.ptr : "", call->source.len);
  lua_pushlstring(L, call->file.ptr, call->file.len);
  push_host(L, call);
  lua_call(L, 3, 2); /* stack: call, library, rules, problems */
  call->is_proven = lua_istable(L, 3);
  if (!call->is_proven) {
    luaL_checktype(L, 4, LUA_TTABLE);
    format_problems(L, 2, 4, call->file);
    nm_read_value(L, 4, call->arena, call->found);
    return 0;
  }
  if (call->found) nm_read_value(L, 3, call->arena, call->found);
  if (!call->serves) return 0;
  nm_evaluate_keep(L, 3);
  nm_modules_forget(L);
  return 0;
}

static int load_into(struct nm_state *state, struct load_call *call, struct nm_error *err)
{
  static const struct nm_budget budget = { 0, NM_RULES_LOAD_CPU_MAX_MS };
  state->loading = call;
  int rc = nm_state_call(state, load_protected, call, &budget, NULL, NULL, err);
  state->loading = NULL;
  if (rc == NM_EINVAL) rc = NM_EINTERNAL; /* raised by our library, not a mistake of the author's */
  return rc;
}

static int load_script(struct nm_script **out, struct load_call *call, struct nm_error *err)
{
  struct nm_script *script = calloc(1, sizeof *script);
  if (!script) return nm_fail(err, NM_ENOMEM, "out of memory");
  int rc = nm_state_open(&script->state, NM_STATE_RULES, NM_RULES_STATE_MAX_BYTES, err);
  /* Nearly all that loading makes stays; at the limit Lua collects all the same. */
  if (rc == NM_OK) lua_gc(script->state.L, LUA_GCSTOP);
  if (rc == NM_OK) rc = load_into(&script->state, call, err);
  if (rc == NM_OK && call->is_proven) {
    lua_gc(script->state.L, LUA_GCRESTART);
    (void)nm_script_memory(script, true);
    *out = script;
  } else {
    nm_script_destroy(script);
  }
  return rc;
}

int nm_script_prove_in(struct nm_state *state, struct nm_script_proof *proof, struct nm_error *err)
{
  struct load_call call = { .file = proof->file, .source = proof->source,
                            .libraries = proof->libraries, .arena = proof->arena,
                            .found = proof->found };
  int rc = load_into(state, &call, err);
  proof->is_proven = call.is_proven;
  return rc;
}

int nm_script_open(struct nm_script **out, struct nm_text file, struct nm_text source,
                   const struct nm_script_libraries *libraries, struct nm_arena *arena,
                   struct nm_error *err)
{
  struct nm_value problems = { .kind = NM_VALUE_NIL };
  struct load_call call = { .file = file, .source = source, .libraries = libraries,
                            .arena = arena, .found = &problems, .serves = true };
  int rc = load_script(out, &call, err);
  if (rc != NM_OK || call.is_proven) return rc;
  struct nm_text text = { NULL, 0 };
  if (problems.kind == NM_VALUE_TABLE && problems.table.count > 0)
    text = nm_value_text(&problems.table.entries[0].value, "text");
  return nm_fail(err, NM_EINTERNAL, "proven, and not right any more: %.*s", NM_TEXT_ARG(text));
}

void nm_script_destroy(struct nm_script *script)
{
  if (!script) return;
  nm_state_close(&script->state);
  free(script);
}

struct nm_script_cost nm_script_cost(const struct nm_script *script)
{
  return script->cost;
}

int64_t nm_script_called_ms(const struct nm_script *script)
{
  return script->state.started_mono_ns / 1000000;
}

size_t nm_script_memory(struct nm_script *script, bool collect)
{
  if (collect) nm_state_collect(&script->state);
  return script->state.used_bytes;
}
