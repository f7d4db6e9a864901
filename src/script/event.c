/* event.c - an event from its bytes into the table that rules see, in one pass.
 *
 * What nm_event_for_rules makes is what has to stand there; this is the short way for the shapes
 * that nearly all events have.  Anything else takes the long way, so there is one place that
 * decides and one that is fast; spec/c/test_script_event.c compares them. */
#include <lauxlib.h>
#include <strings.h>

#include "base/limits.h"
#include "script/internal.h"

enum own {
  OWN_NONE = 0, /* a key of the sender's */
  OWN_AS_IS,    /* one of Optimove's that stands as it came */
  OWN_TYPE,
  OWN_CHANNEL,
  OWN_TEMPLATE,
  OWN_CAMPAIGN,
  OWN_CUSTOMER,
  OWN_ACTION,
  OWN_ATTRIBUTES,
  OWN_RARE, /* needs more than a copy */
};

static const struct known {
  const char *name;
  size_t len;
  enum own own;
} known_keys[] = {
  { "EventTypeID", 11, OWN_TYPE },     { "ChannelID", 9, OWN_CHANNEL },
  { "TemplateID", 10, OWN_TEMPLATE },  { "CampaignID", 10, OWN_CAMPAIGN },
  { "CustomerID", 10, OWN_CUSTOMER },  { "TimeStamp", 9, OWN_AS_IS },
  { "attributes", 10, OWN_ATTRIBUTES },{ "ActionID", 8, OWN_ACTION },
  { "Notes", 5, OWN_AS_IS },           { "PromoCode", 9, OWN_RARE },
  { "ScheduleTime", 12, OWN_AS_IS },   { "ScheduledTime", 13, OWN_RARE },
};

/* A key in another letter case than Optimove's is rare, too. */
static enum own own_of(struct nm_text key)
{
  if (key.len < 5 || key.len > 13) return OWN_NONE;
  for (size_t i = 0; i < sizeof known_keys / sizeof *known_keys; i++) {
    const struct known *known = &known_keys[i];
    if (known->len != key.len || ((known->name[0] ^ key.ptr[0]) & ~0x20) != 0) continue;
    if (memcmp(known->name, key.ptr, key.len) == 0) return known->own;
    if (strncasecmp(known->name, key.ptr, key.len) == 0) return OWN_RARE;
  }
  return OWN_NONE;
}

static size_t behind(const struct nm_json_node *nodes, size_t at)
{
  return nodes[at].kind >= NM_JSON_ARRAY ? nodes[at].end : at + 1;
}

/* Whether the member can be copied, or left out because the event itself says it. */
static bool is_common(const struct nm_event *event, enum own own, const struct nm_json_node *value)
{
  if (value->kind == NM_JSON_NULL) return own != OWN_RARE;
  switch (own) {
  case OWN_TYPE: return event->type != 0;
  case OWN_CHANNEL: return event->channel_id != 0;
  case OWN_TEMPLATE: return event->template_id != 0;
  case OWN_CAMPAIGN: return event->campaign.len > 0;
  case OWN_CUSTOMER: return event->customer.len > 0;
  case OWN_ACTION: return value->kind == NM_JSON_INTEGER;
  case OWN_RARE: return false;
  default: return true;
  }
}

static bool is_common_campaign(const struct nm_event *event, const struct nm_json_tape *tape)
{
  size_t at = 1;
  for (uint32_t i = 0; i < tape->nodes[0].count; i++) {
    if (!is_common(event, own_of(tape->nodes[at].text), &tape->nodes[at + 1])) return false;
    at = behind(tape->nodes, at + 1);
  }
  return true;
}

static const struct nm_json_node *find(const struct nm_json_tape *tape, const char *key)
{
  struct nm_text wanted = nm_text_from(key);
  size_t at = 1;
  for (uint32_t i = 0; i < tape->nodes[0].count; i++) {
    if (nm_text_equal(tape->nodes[at].text, wanted)) return &tape->nodes[at + 1];
    at = behind(tape->nodes, at + 1);
  }
  return NULL;
}

static bool is_text(const struct nm_json_node *node, const char *text)
{
  return node && node->kind == NM_JSON_TEXT && nm_text_equal(node->text, nm_text_from(text));
}

/* One that says its type, and whose names came as text. */
static bool is_common_hook(const struct nm_json_tape *tape)
{
  static const char *const texts[] = { "name", "extId", "id" };
  const struct nm_json_node *type = find(tape, "type");
  if (is_text(type, "PROFILE")) {
    const struct nm_json_node *changes = find(tape, "changes");
    if (!changes || changes->kind == NM_JSON_NULL) return false;
  } else if (!is_text(type, "EVENT") && !is_text(type, "MESSAGE_LOG")) {
    return false;
  }
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    const struct nm_json_node *node = find(tape, texts[i]);
    if (node && node->kind != NM_JSON_TEXT) return false;
  }
  return true;
}

bool nm_event_tape_read(struct nm_json_tape *tape, const struct nm_event *event,
                        struct nm_arena *arena)
{
  bool is_hook = event->kind == NM_EVENT_HOOK;
  if (!is_hook && event->kind != NM_EVENT_CAMPAIGN) return false;
  if (!nm_json_tape_read(tape, event->body, arena)) return false;
  return is_hook ? is_common_hook(tape) : is_common_campaign(event, tape);
}

/* ---- into Lua, which may throw --------------------------------------------------------------- */

static size_t push_node(lua_State *L, const struct nm_json_node *nodes, size_t at);

/* Gives the node behind. */
static size_t push_object(lua_State *L, const struct nm_json_node *nodes, size_t at)
{
  uint32_t count = nodes[at].count;
  lua_createtable(L, 0, (int)count);                                  /* stack: table */
  at++;
  for (uint32_t i = 0; i < count; i++) {
    if (nodes[at + 1].kind == NM_JSON_NULL) {
      at += 2;
      continue;
    }
    lua_pushlstring(L, nodes[at].text.ptr, nodes[at].text.len);       /* stack: table, key */
    at = push_node(L, nodes, at + 1);                                 /* stack: table, key, value */
    lua_rawset(L, -3);                                                /* stack: table */
  }
  return at;
}

static size_t push_array(lua_State *L, const struct nm_json_node *nodes, size_t at)
{
  uint32_t count = nodes[at].count;
  lua_createtable(L, (int)count, 0);                                  /* stack: table */
  at++;
  for (uint32_t i = 1; i <= count; i++) {
    at = push_node(L, nodes, at);                                     /* stack: table, value */
    lua_rawseti(L, -2, (lua_Integer)i);                               /* stack: table */
  }
  return at;
}

static size_t push_node(lua_State *L, const struct nm_json_node *nodes, size_t at)
{
  const struct nm_json_node *node = &nodes[at];
  luaL_checkstack(L, 3, "event");
  switch (node->kind) {
  case NM_JSON_TEXT: lua_pushlstring(L, node->text.ptr, node->text.len); return at + 1;
  case NM_JSON_INTEGER: lua_pushinteger(L, node->integer); return at + 1;
  case NM_JSON_REAL: lua_pushnumber(L, node->real); return at + 1;
  case NM_JSON_TRUE:
  case NM_JSON_FALSE: lua_pushboolean(L, node->kind == NM_JSON_TRUE); return at + 1;
  case NM_JSON_ARRAY: return push_array(L, nodes, at);
  case NM_JSON_OBJECT: return push_object(L, nodes, at);
  default: lua_pushnil(L); return at + 1;
  }
}

void nm_push_nodes(lua_State *L, const struct nm_json_node *nodes)
{
  push_node(L, nodes, 0);
}

static void set_text(lua_State *L, const char *key, struct nm_text text)
{
  if (text.len == 0) return;
  lua_pushlstring(L, text.ptr, text.len);
  lua_setfield(L, -2, key);
}

static void set_number(lua_State *L, const char *key, int64_t number)
{
  if (number == 0) return;
  lua_pushinteger(L, number);
  lua_setfield(L, -2, key);
}

static void set_ids(lua_State *L, const struct nm_event *event)
{
  if (event->kind == NM_EVENT_HOOK) {
    set_text(L, "name", event->name);
    set_text(L, "extId", event->customer);
    set_text(L, "id", event->foreign_id);
    return;
  }
  set_number(L, "EventTypeID", event->type);
  set_number(L, "ChannelID", event->channel_id);
  set_number(L, "TemplateID", event->template_id);
  set_text(L, "CampaignID", event->campaign);
  set_text(L, "CustomerID", event->customer);
}

/* A member that set_ids tells. */
static bool is_told(const struct nm_event *event, struct nm_text key)
{
  if (event->kind == NM_EVENT_HOOK) return false;
  enum own own = own_of(key);
  return own >= OWN_TYPE && own <= OWN_CUSTOMER;
}

void nm_push_event(lua_State *L, const struct nm_event *event, const struct nm_json_tape *tape)
{
  const struct nm_json_node *nodes = tape->nodes;
  uint32_t count = nodes[0].count;
  bool has_attributes = false;
  size_t at = 1;
  lua_createtable(L, 0, (int)count + 3);                              /* stack: event */
  for (uint32_t i = 0; i < count; i++) {
    struct nm_text key = nodes[at].text;
    const struct nm_json_node *value = &nodes[at + 1];
    bool is_attributes = key.len == 10 && memcmp(key.ptr, "attributes", 10) == 0;
    if (value->kind == NM_JSON_NULL || is_told(event, key) ||
        (is_attributes && value->kind != NM_JSON_OBJECT)) {
      at = behind(nodes, at + 1);
      continue;
    }
    has_attributes = has_attributes || is_attributes;
    lua_pushlstring(L, key.ptr, key.len);                             /* stack: event, key */
    at = push_node(L, nodes, at + 1);                                 /* stack: event, key, value */
    lua_rawset(L, -3);                                                /* stack: event */
  }
  set_ids(L, event);
  if (has_attributes) return;
  lua_createtable(L, 0, 0);
  lua_setfield(L, -2, "attributes");
}
