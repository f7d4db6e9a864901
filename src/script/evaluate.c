/* evaluate.c - one event through a tenant's rules. */
#include <lauxlib.h>

#include "base/limits.h"
#include "script/internal.h"

/* Their addresses name rules.evaluate and rules.serve in the registry. */
static const char evaluate_key, serve_key;

static const struct nm_budget budget = { NM_RULES_CALL_INSTRUCTIONS_MAX, NM_RULES_CALL_CPU_MAX_MS };

void nm_evaluate_keep(lua_State *L, int rules)
{
  lua_getfield(L, rules, "evaluate");
  luaL_checktype(L, -1, LUA_TFUNCTION);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &evaluate_key);
  lua_getfield(L, rules, "serve");
  luaL_checktype(L, -1, LUA_TFUNCTION);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &serve_key);
}

static void write_digits(char *at, int digits, int value)
{
  for (int i = digits - 1; i >= 0; i--, value /= 10) at[i] = (char)('0' + value % 10);
}

static void push_date(lua_State *L, const struct nm_script_context *context)
{
  char date[] = "YYYY-MM-DD";
  write_digits(date, 4, context->year);
  write_digits(date + 5, 2, context->month);
  write_digits(date + 8, 2, context->day);
  lua_pushlstring(L, date, sizeof date - 1);
}

/* The library caught an error of the author's, or one of Lua's on his behalf. */
static int explain_failure(struct nm_script *script, const struct nm_value *failure,
                           struct nm_error *err)
{
  struct nm_text message = nm_value_text(failure, "message");
  if (script->state.is_starved || script->state.used_bytes > script->state.max_bytes / 4)
    nm_state_collect(&script->state);
  if (message.ptr && script->state.is_starved && strstr(message.ptr, "not enough memory"))
    return nm_fail(err, NM_ELIMIT, "needs more than its %zu KiB of memory",
                   script->state.max_bytes / 1024);
  size_t len = strcspn(message.ptr ? message.ptr : "", "\n");
  return nm_fail(err, NM_EINVAL, "%.*s", (int)len, message.ptr ? message.ptr : "");
}

/* What a call took, and why it failed where it did; rc is that of nm_state_call. */
static int settle(struct nm_script *script, int rc, const struct nm_value *effects,
                  const struct nm_value *failure, struct nm_error *err)
{
  script->cost = (struct nm_script_cost){ script->state.instructions,
                                          nm_budget_cpu_ns(&script->state),
                                          script->state.peak_bytes, false };
  if (rc == NM_OK && effects->kind != NM_VALUE_TABLE) rc = explain_failure(script, failure, err);
  script->cost.is_overrun = rc == NM_ELIMIT && script->state.overrun != NM_OVERRUN_ROOM;
  return rc;
}

/* ---- with all that is to be known of it ------------------------------------------------------ */

struct evaluate_call {
  const json_t *event;
  const struct nm_script_context *context;
  struct nm_arena *arena;
  struct nm_value effects, trace;
};

/* A table of its own for each call: what a rule writes into it must not reach the next event. */
static void push_context(lua_State *L, const struct nm_script_context *context)
{
  lua_createtable(L, 0, 5);                   /* stack: ctx */
  lua_pushinteger(L, context->now_ms);
  lua_setfield(L, -2, "now_ms");
  lua_pushinteger(L, context->minute);
  lua_setfield(L, -2, "minute");
  lua_pushinteger(L, context->weekday);
  lua_setfield(L, -2, "weekday");
  push_date(L, context);
  lua_setfield(L, -2, "date");
  lua_pushboolean(L, context->is_recipient);
  lua_setfield(L, -2, "recipient");
  if (!context->wants_values) return;
  lua_pushboolean(L, true);
  lua_setfield(L, -2, "explain"); /* the library takes it away before a rule runs */
}

static int evaluate_protected(lua_State *L)
{
  struct evaluate_call *call = lua_touserdata(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &evaluate_key); /* stack: call, evaluate */
  nm_push_json(L, call->event);                     /* stack: call, evaluate, event */
  push_context(L, call->context);                   /* stack: call, evaluate, event, ctx */
  lua_call(L, 2, 2);                                /* stack: call, effects, trace */
  nm_read_value(L, 2, call->arena, &call->effects);
  nm_read_value(L, 3, call->arena, &call->trace);
  return 0;
}

int nm_script_evaluate(struct nm_script *script, const json_t *event,
                       const struct nm_script_context *context, struct nm_arena *arena,
                       struct nm_value *effects, struct nm_value *trace, struct nm_error *err)
{
  struct evaluate_call call = { .event = event, .context = context, .arena = arena };
  int rc = nm_state_call(&script->state, evaluate_protected, &call, &budget, NULL, NULL, err);
  rc = settle(script, rc, &call.effects, &call.trace, err);
  if (rc != NM_OK) return rc;
  *effects = call.effects;
  *trace = call.trace;
  return NM_OK;
}

/* ---- for traffic ----------------------------------------------------------------------------- */

struct serve_call {
  const struct nm_script_event *event;
  const struct nm_json_tape *tape; /* NULL where another stands for it */
  const json_t *json;              /* the same the long way */
  const struct nm_script_context *context;
  struct nm_arena *arena;
  struct nm_script_answer *out;
};

/* The places of what serve gives for a send, behind the call itself. */
enum {
  AT_CHANNEL = 2,
  AT_MESSAGE,
  AT_CUSTOMER,
  AT_TEMPLATE,
  AT_CAMPAIGN,
  AT_CHANNEL_ID,
  AT_CONTENT,
  AT_EXPIRES,
  AT_QUIET_FROM,
  AT_QUIET_TO,
  AT_END,
};

static struct nm_text text_at(lua_State *L, int index)
{
  struct nm_text text = { NULL, 0 };
  if (lua_type(L, index) == LUA_TSTRING) text.ptr = lua_tolstring(L, index, &text.len);
  return text;
}

static void read_send(lua_State *L, struct nm_arena *arena, struct nm_script_send *out)
{
  struct nm_text *const texts[] = { &out->channel, &out->message, &out->customer, &out->campaign,
                                    &out->content };
  static const int places[] = { AT_CHANNEL, AT_MESSAGE, AT_CUSTOMER, AT_CAMPAIGN, AT_CONTENT };
  size_t total = 0;
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    *texts[i] = text_at(L, places[i]);
    total += texts[i]->len + 1;
  }
  char *at = nm_arena_alloc(arena, total);
  if (!at) nm_budget_overrun(L, NM_OVERRUN_ROOM);
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    if (!texts[i]->ptr) continue;
    memcpy(at, texts[i]->ptr, texts[i]->len);
    texts[i]->ptr = at;
    at += texts[i]->len + 1; /* zeroed: a NUL stands behind each */
  }
  out->template_id = lua_isinteger(L, AT_TEMPLATE) ? lua_tointeger(L, AT_TEMPLATE) : 0;
  out->channel_id = lua_isinteger(L, AT_CHANNEL_ID) ? lua_tointeger(L, AT_CHANNEL_ID) : 0;
  out->expires_in_ms = lua_tointeger(L, AT_EXPIRES);
  out->quiet_from = (int)lua_tointeger(L, AT_QUIET_FROM);
  out->quiet_to = (int)lua_tointeger(L, AT_QUIET_TO);
}

static void push_subject(lua_State *L, const struct serve_call *call)
{
  if (call->event->row) nm_push_nodes(L, call->event->row);
  else if (call->tape) nm_push_event(L, call->event->event, call->tape);
  else nm_push_json(L, call->json);
  if (!call->event->profile) return;
  nm_push_json(L, call->event->profile);
  lua_setfield(L, -2, "user");
}

static int serve_protected(lua_State *L)
{
  struct serve_call *call = lua_touserdata(L, 1);
  struct nm_script_answer *out = call->out;
  luaL_checkstack(L, 16, "event");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &serve_key);  /* stack: call, serve */
  push_subject(L, call);                          /* stack: call, serve, event */
  lua_pushinteger(L, call->context->now_ms);
  lua_pushinteger(L, call->context->minute);
  lua_pushinteger(L, call->context->weekday);
  push_date(L, call->context);
  lua_pushboolean(L, call->context->is_recipient);
  lua_call(L, 6, AT_END - AT_CHANNEL);            /* stack: call, as many as there are places */
  out->is_send = lua_type(L, AT_CHANNEL) == LUA_TSTRING;
  if (out->is_send) {
    read_send(L, call->arena, &out->send);
    return 0;
  }
  nm_read_value(L, 2, call->arena, &out->effects);
  if (out->effects.kind != NM_VALUE_TABLE) nm_read_value(L, 3, call->arena, &out->failure);
  return 0;
}

int nm_script_serve(struct nm_script *script, const struct nm_script_event *event,
                    const struct nm_script_context *context, struct nm_arena *arena,
                    struct nm_script_answer *out, struct nm_error *err)
{
  static const struct nm_value sent = { .kind = NM_VALUE_TABLE };
  struct nm_json_tape tape;
  struct serve_call call = { .event = event, .context = context, .arena = arena, .out = out };
  json_t *slow = NULL;
  int rc = NM_OK;
  if (!event->row && nm_event_tape_read(&tape, event->event, arena)) {
    call.tape = &tape;
  } else if (!event->row) {
    rc = nm_event_for_rules(event->event, &slow, err);
    if (rc != NM_OK) return rc;
    call.json = slow;
  }
  out->effects.kind = out->failure.kind = NM_VALUE_NIL;
  rc = nm_state_call(&script->state, serve_protected, &call, &budget, NULL, NULL, err);
  rc = settle(script, rc, rc == NM_OK && out->is_send ? &sent : &out->effects, &out->failure, err);
  json_decref(slow);
  return rc;
}
