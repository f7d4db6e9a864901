/* internal.h - one sandboxed Lua state: its memory, its budget, and the way in.
 *
 * Private to script/, the only room that knows lua.h.
 */
#pragma once

#include <lua.h>

#include "base/error.h"
#include "json/json.h"
#include "json/tape.h"
#include "model/event.h"
#include "script/script.h"

enum nm_overrun {
  NM_OVERRUN_NONE = 0,
  NM_OVERRUN_INSTRUCTIONS = 1,
  NM_OVERRUN_CPU = 2,
  NM_OVERRUN_VALUES = 3, /* more values than may leave at once */
  NM_OVERRUN_ROOM = 4,   /* more bytes than the arena takes */
};

enum nm_state_kind {
  NM_STATE_BARE = 0,  /* no library at all: settings and tenants as code */
  NM_STATE_RULES = 1, /* base, string, table, math, utf8 and require over what is embedded */
};

/* What one call may use. */
struct nm_budget {
  int64_t instructions; /* 0 = only time counts */
  int64_t cpu_ms;
};

struct nm_state {
  lua_State *L;
  size_t used_bytes, max_bytes;
  size_t peak_bytes;         /* the most that was in use since the budget was armed */
  bool is_hooked;            /* the hook that counts instructions is there */
  bool is_starved;           /* an allocation of the last call was refused */
  /* of the call that is under way, or of the last one */
  struct nm_budget budget;
  int64_t instructions;
  int64_t started_mono_ns, looked_mono_ns;
  int64_t cpu_began_ns;      /* -1 until the call has taken long enough to be worth a look */
  enum nm_overrun overrun;
  void *loading;   /* script.c: the load that is under way; NULL = none */
  char where[160]; /* the author's line when it was noticed: "rules/acme.lua:12: ", or empty */
};

struct nm_script {
  struct nm_state state;
  struct nm_script_cost cost;
};

/* state.c */
NM_MUST_CHECK int nm_state_open(struct nm_state *state, enum nm_state_kind kind, size_t max_bytes,
                                struct nm_error *err); /* the struct must not move */
void nm_state_close(struct nm_state *state);
struct nm_state *nm_state_of(lua_State *L);

/* Gives back all memory that can be given back, after a call that took much. */
void nm_state_collect(struct nm_state *state);

/* For the torture test, of this thread: how many allocations succeed before all later ones fail;
 * negative = no such end. */
extern _Thread_local int64_t nm_state_allocations_left;

/* budget.c */
void nm_budget_arm(struct nm_state *state, const struct nm_budget *budget);
void nm_budget_disarm(struct nm_state *state);
int64_t nm_budget_cpu_ns(const struct nm_state *state); /* of the call that is under way */
_Noreturn void nm_budget_overrun(lua_State *L, enum nm_overrun why); /* throws */

/* modules.c: pushes nothing; sets the global `require`.  May throw. */
void nm_modules_open(lua_State *L);

/* Once nothing will be required any more: what only loading needed may go.  May throw. */
void nm_modules_forget(lua_State *L);

/* guards.c: takes from the libraries what could run for ever inside C.  May throw. */
void nm_guards_open(lua_State *L);

/* call.c.  Runs f under lua_pcall with a traceback and a budget; f finds `call` as light userdata
 * at 1 and owns nothing.  0, NM_EINVAL (the code raised an error), NM_ELIMIT (overran its budget or
 * its memory); err holds the message without traceback.  With an arena *trace gets the traceback.
 */
NM_MUST_CHECK int nm_state_call(struct nm_state *state, lua_CFunction f, void *call,
                                const struct nm_budget *budget, struct nm_arena *arena,
                                struct nm_text *trace, struct nm_error *err);

/* convert.c: the only place where values change language.  Both may throw (inside a call). */

/* Pushes a copy; null is absent, integers stay integers. */
void nm_push_json(lua_State *L, const json_t *value);

/* event.c: the same for an event's own bytes.  Reads them; false where they take the long way over
 * nm_event_for_rules. */
NM_MUST_CHECK bool nm_event_tape_read(struct nm_json_tape *tape, const struct nm_event *event,
                                      struct nm_arena *arena);

/* Pushes what was read, as nm_event_for_rules shows the event.  May throw. */
void nm_push_event(lua_State *L, const struct nm_event *event, const struct nm_json_tape *tape);

/* Pushes the value that stands first, without its nulls.  May throw. */
void nm_push_nodes(lua_State *L, const struct nm_json_node *nodes);

/* quote.c: the host's json_text. */
int nm_json_text_inside(lua_State *L);

/* script.c: one load in a state; found gets what nm_script_prove says. */
struct nm_script_proof {
  struct nm_text file, source;
  const struct nm_script_libraries *libraries;
  struct nm_arena *arena;
  struct nm_value *found;
  bool is_proven;
};
NM_MUST_CHECK int nm_script_prove_in(struct nm_state *state, struct nm_script_proof *proof,
                                     struct nm_error *err);

/* evaluate.c: keeps what runs the rules that stand at `rules`.  May throw. */
void nm_evaluate_keep(lua_State *L, int rules);

/* Copies what stands at index into the arena; throws above its limits. */
void nm_read_value(lua_State *L, int index, struct nm_arena *arena, struct nm_value *out);

