#include "script/data.h"

#include <lauxlib.h>

#include "base/limits.h"
#include "script/file.h"
#include "script/internal.h"

/* The chunk goes by a short name that no path can spoil; messages get the real one back. */
static const char chunk_name[] = "=data";
static const char chunk_mark[] = "data:";

struct data_call {
  struct nm_text source, path;
  enum nm_secrets secrets;
  struct nm_arena *arena; /* holds what is read out of Lua */
  struct nm_problems *problems;
  struct nm_value value;
  int line; /* of the secret that is being resolved */
};

static struct data_call *call_of(lua_State *L)
{
  return lua_touserdata(L, lua_upvalueindex(1));
}

static int unknown_word(lua_State *L)
{
  const char *name = lua_tostring(L, 2);
  return luaL_error(L, "unknown word \"%s\": this file knows only secret; texts stand in quotes",
                    name ? name : luaL_typename(L, 2));
}

static int set_global(lua_State *L)
{
  const char *name = lua_tostring(L, 2);
  return luaL_error(L, "setting the global \"%s\": write local %s", name ? name : "?",
                    name ? name : "?");
}

static int line_of_caller(lua_State *L)
{
  lua_Debug frame;
  if (!lua_getstack(L, 1, &frame) || !lua_getinfo(L, "l", &frame)) return 0;
  return frame.currentline;
}

/* secret "env:NAME": a table that names it, or its value. */
static int secret(lua_State *L)
{
  struct data_call *call = call_of(L);
  struct nm_text reference, value;
  struct nm_error err;
  if (lua_type(L, 1) != LUA_TSTRING)
    return luaL_error(L, "secret takes a text such as \"env:NAME\" or \"file:PATH\"");
  reference.ptr = lua_tolstring(L, 1, &reference.len);
  if (!nm_text_starts_with(reference, NM_TEXT("env:")) &&
      !nm_text_starts_with(reference, NM_TEXT("file:")))
    return luaL_error(L, "secret \"%s\": expected \"env:NAME\" or \"file:PATH\"", reference.ptr);
  if (call->secrets == NM_SECRETS_KEEP) {
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, "secret");
    return 1;
  }
  if (nm_secret_resolve(reference, call->arena, &value, &err) != NM_OK) {
    nm_problems_add(call->problems, "%.*s:%d: %s", NM_TEXT_ARG(call->path), line_of_caller(L),
                    err.text);
    value = NM_TEXT("");
  }
  lua_pushlstring(L, value.ptr, value.len);
  return 1;
}

static void push_closure(lua_State *L, lua_CFunction f, struct data_call *call)
{
  lua_pushlightuserdata(L, call);
  lua_pushcclosure(L, f, 1);
}

/* Pushes the file's environment: an empty table whose metatable knows the one word. */
static void push_environment(lua_State *L, struct data_call *call)
{
  lua_newtable(L);                       /* stack: env */
  lua_createtable(L, 0, 1);              /* stack: env, words */
  push_closure(L, secret, call);
  lua_setfield(L, -2, "secret");
  lua_createtable(L, 0, 1);              /* stack: env, words, words' metatable */
  lua_pushcfunction(L, unknown_word);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);               /* stack: env, words */
  lua_createtable(L, 0, 2);              /* stack: env, words, metatable */
  lua_insert(L, -2);                     /* stack: env, metatable, words */
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, set_global);
  lua_setfield(L, -2, "__newindex");
  lua_setmetatable(L, -2);               /* stack: env */
}

static int data_protected(lua_State *L)
{
  struct data_call *call = lua_touserdata(L, 1);
  if (luaL_loadbufferx(L, call->source.ptr, call->source.len, chunk_name, "t") != LUA_OK)
    return lua_error(L);                 /* stack: call, chunk */
  push_environment(L, call);             /* stack: call, chunk, env */
  lua_setupvalue(L, 2, 1);               /* stack: call, chunk */
  lua_call(L, 0, 1);                     /* stack: call, value */
  nm_read_value(L, 2, call->arena, &call->value);
  return 0;
}

/* `data:12: message` becomes `config/netmove.lua:12: message`. */
static void add_raised(struct nm_problems *problems, struct nm_text path, const char *message)
{
  size_t mark = sizeof chunk_mark - 1;
  if (strncmp(message, chunk_mark, mark) == 0)
    nm_problems_add(problems, "%.*s:%s", NM_TEXT_ARG(path), message + mark);
  else
    nm_problems_add(problems, "%.*s: %s", NM_TEXT_ARG(path), message);
}

static int evaluate(struct data_call *call)
{
  static const struct nm_budget budget = { 0, NM_RULES_LOAD_CPU_MAX_MS };
  struct nm_state state;
  struct nm_error err;
  int rc = nm_state_open(&state, NM_STATE_BARE, NM_RULES_STATE_MAX_BYTES, &err);
  if (rc == NM_OK) {
    rc = nm_state_call(&state, data_protected, call, &budget, NULL, NULL, &err);
    nm_state_close(&state);
  }
  if (rc != NM_OK) add_raised(call->problems, call->path, err.text);
  return rc;
}

static int make_json(struct data_call *call, json_t **out)
{
  struct nm_error err;
  if (call->value.kind != NM_VALUE_TABLE) {
    nm_problems_add(call->problems, "%.*s: the file returns %s; expected return { ... }",
                    NM_TEXT_ARG(call->path), nm_value_kind_name(&call->value));
    return NM_EINVAL;
  }
  int rc = nm_value_to_json(&call->value, out, &err);
  if (rc != NM_OK) nm_problems_add(call->problems, "%.*s: %s", NM_TEXT_ARG(call->path), err.text);
  return rc;
}

int nm_data_load(json_t **out, struct nm_text path, enum nm_secrets secrets,
                 struct nm_problems *problems)
{
  static const unsigned char byte_order_mark[] = { 0xef, 0xbb, 0xbf };
  struct nm_buffer source;
  struct nm_error err;
  json_t *made = NULL;
  size_t problems_before = problems->count;
  struct data_call call = { .path = path, .secrets = secrets, .problems = problems };
  nm_buffer_init(&source, NM_DATA_FILE_MAX_BYTES + 8192);
  int rc = nm_file_read(path, NM_DATA_FILE_MAX_BYTES, &source, NULL, &err);
  if (rc != NM_OK) {
    nm_problems_add(problems, "%s", err.text);
    goto out;
  }
  call.source = nm_buffer_text(&source);
  if (source.len >= 3 && memcmp(source.ptr, byte_order_mark, 3) == 0)
    call.source = (struct nm_text){ source.ptr + 3, source.len - 3 };
  call.arena = nm_arena_create(NM_RULES_STATE_MAX_BYTES);
  if (!call.arena) {
    rc = NM_ENOMEM;
    nm_problems_add(problems, "%.*s: out of memory", NM_TEXT_ARG(path));
    goto out;
  }
  rc = evaluate(&call);
  if (rc == NM_OK) rc = make_json(&call, &made);
  if (problems->count > problems_before) rc = rc == NM_EIO ? rc : NM_EINVAL;
  if (rc == NM_OK) *out = made;
  else json_decref(made);
out:
  nm_arena_destroy(call.arena);
  nm_buffer_deinit(&source);
  return rc;
}
