/* links: script
 *
 * What hostile rules may try, one attack a row: each is refused when the file is loaded or stopped
 * within its budget; the state then serves as before, with its memory back, and another tenant's
 * event costs as many instructions as ever. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "script/internal.h"
#include "script_kit.h"
#include "arena_kit.h"

enum want {
  REFUSED = 0, /* when it is loaded */
  FAILS = 1,   /* when it is run: the author's error */
  STOPPED = 2, /* when it is run, at a limit */
  ENDS = 3,    /* one of the two, by size and machine */
  DROPS = 4, /* is nothing but strange: it runs and drops the event as it says, with nothing left */
};

struct attack {
  enum want want;
  const char *top;  /* of the file; NULL = nothing */
  const char *body; /* of the function for event 1; NULL = harmless */
};

#define SPARSE                                                                                     \
  "local t = {1,2,3,4,[5]=1,[8]=1,[16]=1,[32]=1,[64]=1,[128]=1,[256]=1,[512]=1,[1024]=1,[2048]=1," \
  "[1<<12]=1,[1<<13]=1,[1<<14]=1,[1<<15]=1,[1<<16]=1,[1<<17]=1,[1<<18]=1,[1<<19]=1,[1<<20]=1,"     \
  "[1<<21]=1,[1<<22]=1,[1<<23]=1,[1<<24]=1,[1<<25]=1,[1<<26]=1,[1<<27]=1,[1<<28]=1,[1<<29]=1,"     \
  "[1<<30]=1,[1<<31]=1,[1<<32]=1,[1<<33]=1,[1<<34]=1,[1<<35]=1,[1<<36]=1,[1<<37]=1,[1<<38]=1,"     \
  "[1<<39]=1,[1<<40]=1,[1<<41]=1,[1<<42]=1,[1<<43]=1,[1<<44]=1,[1<<45]=1,[1<<46]=1,[1<<47]=1,"     \
  "[1<<48]=1,[1<<49]=1,[1<<50]=1,[1<<51]=1,[1<<52]=1,[1<<53]=1,[1<<54]=1,[1<<55]=1,[1<<56]=1,"     \
  "[1<<57]=1,[1<<58]=1,[1<<59]=1,[1<<60]=1,[1<<61]=1,[1<<62]=1}"

static const struct attack attacks[] = {
  /* loops without an end */
  { STOPPED, NULL, "while true do end" },
  { STOPPED, NULL, "repeat until false" },
  { STOPPED, NULL, "::again:: goto again" },
  { STOPPED, NULL, "for i = 1, 1e18 do end" },
  { STOPPED, NULL, "for i = 1, math.huge do end" },
  { STOPPED, NULL, "for i = math.mininteger, math.maxinteger do end" },
  { STOPPED, NULL, "for i = 0.1, 1e300, 0.1 do end" },
  { STOPPED, NULL, "for i = math.maxinteger, math.mininteger, -1 do end" },
  { STOPPED, NULL, "local function f() return f() end return f()" },
  { STOPPED, NULL, "local function f(g) return g(g) end return f(f)" },
  { STOPPED, NULL, "local t = { 1 } while next(t) do end" },
  { STOPPED, NULL, "for _ in function() return 1 end do end" },
  { STOPPED, NULL, "for _ in next, { 1 }, nil do while true do end end" },
  { STOPPED, NULL, "local i = 0 while i < 1 / 0 do i = i + 1 end" },
  { STOPPED, NULL,
    "local function a(b) return b() end local function c() return a(c) end return c()" },
  { STOPPED, NULL, "while ipairs(event) do end" },
  { STOPPED, NULL, "while select(\"#\", 1, 2) == 2 do end" },
  { STOPPED, NULL, "local x = 1 while x ~= 0 do x = x * 3 | 1 end" },
  { STOPPED, NULL, "while tostring(event) do end" },
  { STOPPED, NULL, "while not one_of(1, 2) do end" },
  { STOPPED, NULL, "while starts_with(\"ab\", \"a\") do end" },
  { STOPPED, NULL, "while true do matches(\"aaaaaaaa\", \"a*a*a*\") end" },
  { STOPPED, NULL, "while true do from(\"CustomerID\"):as(\"text\")(event) end" },
  { STOPPED, "local s = send(\"m\")", "while true do s(event) end" },
  { STOPPED, NULL, "while true do send(\"m\", event) end" },
  { STOPPED, NULL, "while true do hold(\"x\") drop(\"y\") end" },
  { STOPPED, NULL, "while true do json.decode(\"{}\") end" },
  { STOPPED, NULL, "while true do json.encode({}) end" },
  { STOPPED, NULL, "return function() return function() while true do end end end" },
  { STOPPED, NULL, "return { drop(\"x\"), (function() while true do end end)() }" },
  { STOPPED, "local function spin() while true do end end",
    "return update_customer { CustomerID = spin, A = 1 }(event)" },

  /* swallowing what stops them */
  { REFUSED, "pcall(function() end)", NULL },
  { REFUSED, "xpcall(function() end, function() end)", NULL },
  { FAILS, NULL, "local c <close> = {} while true do end" },
  { STOPPED, NULL, "local c <close> = nil while true do end" },
  { STOPPED, NULL, "local ok = json.decode((\"[\"):rep(50)) while true do end" },
  { STOPPED, NULL, "table.sort({ 3, 2, 1, 5, 4 }, function() while true do end end)" },
  { STOPPED, NULL,
    "local t = {} for i = 1, 2000 do t[i] = i end"
    " table.sort(t, function() while true do end end)" },
  { STOPPED, NULL, "for _ in pairs({ 1, 2 }) do while true do end end" },

  /* memory */
  { STOPPED, NULL, "local t = {} for i = 1, 1e9 do t[i] = { t } end" },
  { STOPPED, NULL, "local t = {} for i = 1, 1e9 do t[i] = i end" },
  { ENDS, NULL, "local t = {} for i = 1, 1e9 do t[\"k\" .. i] = i end" },
  { STOPPED, NULL, "local s = (\"x\"):rep(60000) while true do s = s .. s end" },
  { STOPPED, NULL, "local t, s = {}, (\"x\"):rep(60000) for i = 1, 1e9 do t[#t + 1] = s .. i end" },
  { ENDS, NULL, "local t = {} for i = 1, 1e9 do t[i] = function() return t, i end end" },
  { ENDS, NULL, "local s = \"x\" while true do s = s:upper() .. s:lower() end" },
  { ENDS, NULL, "local s = \"x\" while true do s = s:reverse() .. s end" },
  { ENDS, NULL, "local t = { 1 } while true do t = { t, t, table.unpack(t) } end" },
  { ENDS, NULL, "local s = \"x\" while true do s = json.encode({ s, s }) end" },
  { ENDS, NULL, "local s = \"x\" while true do s = (\"%s%s\"):format(s, s) end" },
  { ENDS, NULL, "local t = {} while true do t[#t + 1] = from(\"a.b\"):default(\"x\") end" },
  { ENDS, NULL,
    "local s = { } for i = 1, 1e6 do s[i] = (\"x\"):rep(1000) end return table.concat(s)" },
  { FAILS, NULL, "return (\"x\"):rep(1e9)" },
  { FAILS, NULL, "return (\"x\"):rep(-1 >> 1)" },
  { FAILS, NULL, "return (\"xx\"):rep(1 << 62)" },
  { FAILS, NULL, "return (\"x\"):rep(1e6, (\"y\"):rep(1e4))" },
  { FAILS, NULL, "return (\"\"):rep(1e9, \"x\")" },
  { FAILS, NULL, "return (\"x\"):rep(0 / 0)" },
  { FAILS, NULL, "return (\"x\"):rep(\"9\")" },
  { FAILS, NULL, "return (\"x\"):rep(1e300)" },
  { FAILS, NULL, "local f = string.rep return f({}, 3)" },

  /* formats, bytes, numbers */
  { FAILS, NULL, "return (\"%99999d\"):format(1)" },
  { FAILS, NULL, "return (\"%.99999f\"):format(1)" },
  { FAILS, NULL, "return (\"%q\"):format({})" },
  { FAILS, NULL, "return (\"%p%n\"):format(event, event)" },
  { FAILS, NULL, "return (\"%s\"):format()" },
  { FAILS, NULL, "return (\"%99.99f\"):format(1e308) + {}" },
  { FAILS, NULL, "return string.char(256)" },
  { FAILS, NULL, "return string.char(-1)" },
  { FAILS, NULL, "return string.byte((\"x\"):rep(60000), 1, -1) + {}" },
  { FAILS, NULL, "return { string.byte((\"x\"):rep(60000) .. (\"y\"):rep(60000), 1, 1e6) }" },
  { FAILS, NULL, "return 1 // 0" },
  { FAILS, NULL, "return 1 % 0" },
  { FAILS, NULL, "return 1 << {} " },
  { FAILS, NULL, "return math.tointeger(2^53) & 1.5" },
  { FAILS, NULL, "return math.fmod(1, 0)" },
  { DROPS, NULL, "return drop(tostring(tonumber((\"9\"):rep(60000))))" },
  { DROPS, NULL, "return drop(tostring(tonumber((\"z\"):rep(60000), 36)))" },
  { FAILS, NULL, "return tonumber(\"1\", 99)" },
  { FAILS, NULL, "return select(-9, 1)" },
  { FAILS, NULL, "return select(0, 1)" },
  { FAILS, NULL, "return next({}, \"nothing\")" },
  { FAILS, NULL, "return next(nil)" },
  { FAILS, NULL, "return ipairs()" },
  { FAILS, NULL, "return math.floor({})" },

  /* lists */
  { FAILS, SPARSE, "table.insert(t, 1, 0)" },
  { FAILS, SPARSE, "table.remove(t, 1)" },
  { FAILS, SPARSE, "table.sort(t)" },
  { FAILS, SPARSE, "return table.concat(t)" },
  { FAILS, SPARSE, "return table.unpack(t)" },
  { STOPPED, SPARSE, "for i = 1, #t do end" },
  { STOPPED, SPARSE, "return t" },
  { FAILS, NULL, "return table.unpack({}, 1, 1e7)" },
  { FAILS, NULL, "return table.unpack({}, math.mininteger, math.maxinteger)" },
  { FAILS, NULL, "return table.unpack({}, 1, math.maxinteger)" },
  { FAILS, NULL, "return table.concat({}, \"x\", 1, 1e15)" },
  { FAILS, NULL, "return table.concat({}, \"x\", math.maxinteger - 1, math.maxinteger)" },
  { FAILS, NULL, "return table.concat({ {} })" },
  { FAILS, NULL, "return table.insert({}, 5, 1)" },
  { FAILS, NULL, "return table.insert({}, 1, 1, 1)" },
  { FAILS, NULL, "return table.insert(nil, 1)" },
  { ENDS, NULL,
    "local t = {} for i = 1, 60000 do t[i] = 1 end"
    " while true do table.insert(t, 1, 0) table.remove(t, 1) end" },
  { ENDS, NULL,
    "local t = {} for i = 1, 60000 do t[i] = -i end while true do table.sort(t)"
    " t[1] = 1 end" },
  { ENDS, NULL,
    "local t = {} for i = 1, 60000 do t[i] = \"x\" end"
    " while true do table.concat(t, \",\") end" },
  { ENDS, NULL,
    "local t = {} for i = 1, 500 do t[i] = i end"
    " table.sort(t, function(a, b) return true end) return 1" },
  { FAILS, NULL,
    "local t = { 3, 1, 2, 5, 4, 9, 8 } table.sort(t, function(a, b) return nil < 1 end)" },
  { FAILS, NULL, "table.sort({ 1, {}, \"x\" })" },
  { STOPPED, NULL,
    "local t = {} for i = 1, 3000 do t[i] = i end table.sort(t, function(a, b)"
    " local s = 0 for i = 1, 1000 do s = s + i end return a > b end)" },

  /* recursion and depth */
  { ENDS, "local function f(n) return 1 + f(n + 1) end", "return f(1)" },
  { ENDS, NULL, "local function f() return tostring(f()) .. \"x\" end return f()" },
  { ENDS, NULL, "local function f(...) return f(1, ...) end return f()" },
  { ENDS, NULL,
    "local function f(n) local a, b, c, d = n, n, n, n return f(n + 1), a, b, c, d end"
    " return f(1)" },
  { FAILS, NULL, "local t = {} for i = 1, 300 do t = { t } end return t" },
  { ENDS, NULL, "local t = {} for i = 1, 40 do t = { t, t } end return t" },
  { FAILS, NULL, "local t = {} t[1] = t return t" },
  { FAILS, NULL, "local t = {} t[1] = t return json.encode(t)" },
  { FAILS, NULL, "local t = {} for i = 1, 200 do t = { t } end return json.encode(t)" },
  { DROPS, NULL, "return drop(tostring(json.decode((\"[\"):rep(30000))))" },
  { DROPS, NULL, "return drop(tostring(json.decode((\"{\\\"a\\\":\"):rep(10000))))" },
  { STOPPED, NULL, "local function f() return { (function() return f() end)() } end return f()" },
  { ENDS, NULL, "local f f = function(event) return f end return f" },
  { FAILS, NULL, "return when(true, drop(\"x\"))(event)" },
  { ENDS, NULL, "local function s(e) return s end return { s, s, s }" },

  /* patterns */
  { REFUSED, "local x = string.find(\"a\", \"a\")", NULL },
  { REFUSED, "local x = string.match(\"a\", \"a\")", NULL },
  { REFUSED, "local x = string.gmatch(\"a\", \"a\")", NULL },
  { REFUSED, "local x = string.gsub(\"a\", \"a\", \"b\")", NULL },
  { FAILS, NULL, "return (\"x\"):find(\"x\")" },
  { FAILS, NULL, "return (\"x\"):gsub(\"x\", \"y\")" },
  { FAILS, NULL, "return (\"x\").gmatch" },
  { ENDS, NULL, "matches((\"a\"):rep(60000), (\"a*\"):rep(30) .. \"b\") while true do end" },
  { ENDS, NULL, "matches((\"a\"):rep(3000), \"*a*a*a*a*a*a*b\") while true do end" },
  { FAILS, NULL, "return matches(\"a\", (\"[\"):rep(1000))" },
  { FAILS, NULL, "return matches(\"a\", {})" },

  /* what is not there */
  { REFUSED, "local x = load", NULL },
  { REFUSED, "local x = loadstring", NULL },
  { REFUSED, "local x = dofile", NULL },
  { REFUSED, "local x = loadfile", NULL },
  { REFUSED, "local x = require", NULL },
  { REFUSED, "local x = getmetatable(\"\").__index", NULL },
  { REFUSED, "setmetatable({}, { __gc = function() while true do end end })", NULL },
  { REFUSED, "setmetatable({}, { __index = function() while true do end end })", NULL },
  { REFUSED, "local x = rawset", NULL },
  { REFUSED, "local x = rawget", NULL },
  { REFUSED, "local x = rawequal", NULL },
  { REFUSED, "local x = rawlen", NULL },
  { REFUSED, "local x = coroutine.wrap(function() end)", NULL },
  { REFUSED, "local x = coroutine.create", NULL },
  { REFUSED, "local x = io.open", NULL },
  { REFUSED, "local x = io.popen(\"id\")", NULL },
  { REFUSED, "local x = os.execute", NULL },
  { REFUSED, "local x = os.time()", NULL },
  { REFUSED, "local x = os.exit()", NULL },
  { REFUSED, "local x = debug.sethook()", NULL },
  { REFUSED, "local x = debug.getregistry()", NULL },
  { REFUSED, "local x = debug.setmetatable", NULL },
  { REFUSED, "local x = package.loaded", NULL },
  { REFUSED, "local x = package.loadlib", NULL },
  { REFUSED, "collectgarbage(\"stop\")", NULL },
  { REFUSED, "local x = _G", NULL },
  { REFUSED, "local x = _G.load", NULL },
  { REFUSED, "local x = _ENV.load", NULL },
  { REFUSED, "local x = _ENV[\"lo\" .. \"ad\"]", NULL },
  { REFUSED, "local x = string.dump", NULL },
  { REFUSED, "local x = string.pack", NULL },
  { REFUSED, "local x = string.unpack", NULL },
  { REFUSED, "local x = utf8", NULL },
  { REFUSED, "local x = math.random()", NULL },
  { REFUSED, "local x = table.move", NULL },
  { REFUSED, "local x = table.pack", NULL },
  { REFUSED, "print(\"x\")", NULL },
  { REFUSED, "warn(\"@on\")", NULL },
  { FAILS, NULL, "return _ENV[\"get\" .. \"metatable\"](\"\")" },
  { FAILS, NULL, "local e = _ENV return e.load" },
  { FAILS, NULL, "local s = \"\" return s.dump" },
  { FAILS, NULL, "return event.load(\"x\")" },

  /* changing what others use */
  { REFUSED, "x = 1", NULL },
  { REFUSED, "function leak() end", NULL },
  { REFUSED, "tostring = nil", NULL },
  { REFUSED, "string.upper = function() return \"x\" end", NULL },
  { REFUSED, "math.pi = 3", NULL },
  { REFUSED, "table.insert(string, 1)", NULL },
  { REFUSED, "json.decode = nil", NULL },
  { REFUSED, "_ENV.x = 1", NULL },
  { REFUSED, "_ENV[\"x\"] = 1", NULL },
  { FAILS, "send_template.run = 1", "return send_template" },
  { REFUSED, "from(\"a\").more = 1", NULL },
  { FAILS, NULL, "local s = string s.upper = 1" },
  { FAILS, NULL, "local e = _ENV e.kept = event" },
  { FAILS, NULL, "(\"x\").y = 1" },
  { DROPS, NULL, "local _ENV = { drop = drop } kept = 1 return drop(\"own\")" },
  { DROPS, NULL, "for k in pairs(_ENV) do return drop(k) end return drop(\"nothing to see\")" },
  { DROPS, NULL, "for k in next, string do return drop(k) end return drop(\"nothing to see\")" },
  { FAILS, NULL, "return tostring(_ENV) + 1" },

  /* what the library holds */
  { FAILS, "local v = from(\"a\")", "return v.state.host.spent()" },
  { FAILS, "local v = from(\"a\")", "return v.state.host.libraries()" },
  { FAILS, "local v = from(\"a\")", "return v.state.host.library(\"x\")" },
  { FAILS, "local v = from(\"a\")", "return v.state.host.json_text({}).x" },
  { FAILS, "local v = from(\"a\")", "v.state.host.zone_date((\"x\"):rep(60000), {})" },
  { FAILS, "local v = from(\"a\")", "return v.keys[1][1]()" },
  { FAILS, "local v = from(\"a\")", "return v.no_such_thing" },
  { FAILS, "local v = from(\"a\")", "return v .. \"x\"" },
  { FAILS, "local v = from(\"a\")", "return #v" },
  { FAILS, "local v = from(\"a\")", "return v:as(\"nothing\")" },

  /* errors that are no text */
  { FAILS, NULL, "error()" },
  { FAILS, NULL, "error(nil)" },
  { FAILS, NULL, "error({})" },
  { FAILS, NULL, "error(function() end)" },
  { FAILS, NULL, "error(event)" },
  { FAILS, NULL, "error((\"x\"):rep(60000))" },
  { FAILS, NULL, "error(\"a\\0b\\nc\")" },
  { FAILS, NULL, "error(\"x\", 1e18)" },
  { FAILS, NULL, "error(\"x\", -5)" },
  { FAILS, NULL, "assert(false, {})" },
  { FAILS, NULL, "assert()" },
  { FAILS, NULL, "error(\"not enough memory\")" },
  { FAILS, NULL, "error(\"out of budget\")" },
  { FAILS, NULL, "local t = {} error(t[t])" },

  /* effects that are none */
  { FAILS, NULL, "return 5" },
  { FAILS, NULL, "return \"drop\"" },
  { FAILS, NULL, "return {}" },
  { FAILS, NULL, "return { effect = \"rm\" }" },
  { FAILS, NULL, "return { effect = \"drop\", reason = \"x\", more = function() end }" },
  { FAILS, NULL, "return { effect = \"drop\", reason = {} }" },
  { FAILS, NULL, "return { effect = \"drop\", reason = \"\" }" },
  { FAILS, NULL, "return { effect = \"update\", customer = \"1\", attributes = { A = 0/0 } }" },
  { FAILS, NULL, "return { effect = \"update\", customer = \"1\", attributes = { A = 1/0 } }" },
  { FAILS, NULL, "return { effect = \"update\", customer = \"1\", attributes = { [1] = 1 } }" },
  { FAILS, NULL, "return { effect = \"update\", customer = \"1\", attributes = event }" },
  { FAILS, NULL, "return { effect = \"send\", channel = \"push\", message = \"m\", to = \"1\" }" },
  { FAILS, NULL,
    "return { effect = \"send\", message = \"none\", channel = \"push\", to = \"1\","
    " content = {} }" },
  { FAILS, NULL, "return { [1.5] = drop(\"x\") }" },
  { FAILS, NULL, "return { drop(\"x\"), 5 }" },
  { FAILS, NULL, "return { drop(\"x\"), { effect = function() end } }" },
  { FAILS, NULL, "return tostring" },
  { FAILS, NULL, "return { [1] = drop(\"x\"), [2] = event }" },
  { FAILS, NULL, "return push { body = \"x\" }" },
  { FAILS, NULL, "return tenant { name = \"b\" }" },
  { ENDS, NULL, "local t = {} for i = 1, 60000 do t[i] = drop(\"x\") end return t" },
  { ENDS, NULL,
    "return { effect = \"drop\", reason = (\"x\"):rep(60000) .. (\"y\"):rep(60000) .. {} }" },

  /* while the file is read */
  { REFUSED, "while true do end", NULL },
  { REFUSED, "local t = {} while true do t[#t + 1] = {} end", NULL },
  { REFUSED, "local function f() return f() .. f() end f()", NULL },
  { REFUSED, "for i = 1, 1e9 do no_such_word(i) end", NULL },
  { REFUSED, "local x <close> = 5", NULL },
  { REFUSED, "goto nowhere", NULL },
  { REFUSED, "local s = (\"x\"):rep(1e9)", NULL },
  { REFUSED, "error({})", NULL },
  { REFUSED, "return tenant", NULL },
  { REFUSED, "]]", NULL },
  { REFUSED, "\x1bLua\x54", NULL },
  { REFUSED, "#!/bin/sh\nlocal x = load", NULL },
  { REFUSED, "local m = push { title = function() while true do end end } return m", NULL },
};

static const struct nm_script_context context = {
    .now_ms = 1000000000000, .year = 2026, .month = 11, .day = 23, .minute = 720, .weekday = 1,
  };

static const char *row_of(const struct attack *attack)
{
  static char text[512];
  snprintf(text, sizeof text, "row %d: %.150s | %.150s", (int)(attack - attacks),
           attack->top ? attack->top : "", attack->body ? attack->body : "");
  return text;
}

/* What one event costs and takes. */
struct run {
  int rc;
  struct nm_script_cost cost;
  struct nm_error err;
  struct nm_script_answer answer;
};

static struct run serve(struct nm_script *script, int64_t type)
{
  const struct nm_event event = {
    .kind = NM_EVENT_CAMPAIGN,
    .type = type,
    .customer = NM_TEXT("42"),
    .body = NM_TEXT("{\"CustomerID\":\"42\",\"attributes\":{\"list\":[1,2,3]}}"),
  };
  const struct nm_script_event subject = { .event = &event };
  struct run run = { .err = { 0, "" } };
  run.rc = nm_script_serve(script, &subject, &context, arena, &run.answer, &run.err);
  run.cost = nm_script_cost(script);
  return run;
}

static int load(struct nm_script **out, const struct attack *attack, struct nm_error *err)
{
  static char source[8192];
  struct nm_value found;
  snprintf(source, sizeof source,
           "%s\nreturn tenant { name = \"a\", messages = { m = push { body = \"b\" } },"
           " events = { [1] = function(event) %s end,"
           " [2] = function() return drop(\"fine\") end } }",
           attack->top ? attack->top : "", attack->body ? attack->body : "return drop(\"x\")");
  int rc = kit_load(out, NM_TEXT("r.lua"), nm_text_from(source), arena, &found, err);
  if (rc == NM_EINVAL)
    snprintf(err->text, sizeof err->text, "%s",
             nm_value_text(&found.table.entries[0].value, "text").ptr);
  return rc;
}

static void is_fine(const struct attack *attack, struct nm_script *script)
{
  struct run run = serve(script, 2);
  if (run.rc != NM_OK || run.answer.is_send)
    fail_msg("%s: then %s", row_of(attack), run.err.text);
  assert_string_equal(nm_value_text(&run.answer.effects.table.entries[0].value, "reason").ptr,
                      "fine");
}

static void check_verdict(const struct attack *attack, const struct run *run)
{
  bool is_good = attack->want == DROPS     ? run->rc == NM_OK
                 : attack->want == FAILS   ? run->rc == NM_EINVAL
                 : attack->want == STOPPED ? run->rc == NM_ELIMIT
                                           : run->rc == NM_EINVAL || run->rc == NM_ELIMIT;
  if (!is_good)
    fail_msg("%s: %d %s", row_of(attack), run->rc, run->err.text);
  if (run->rc != NM_OK && run->err.text[0] == '\0')
    fail_msg("%s: no reason", row_of(attack));
  if (run->cost.instructions > NM_RULES_CALL_INSTRUCTIONS_MAX + 100)
    fail_msg("%s: %lld instructions", row_of(attack), (long long)run->cost.instructions);
  /* 20 ms and what one C function may take, generously, under sanitizers. */
  if (run->cost.cpu_ns > INT64_C(1000000000))
    fail_msg("%s: took %lld ms", row_of(attack), (long long)(run->cost.cpu_ns / 1000000));
  if (run->cost.peak_bytes > NM_RULES_STATE_MAX_BYTES)
    fail_msg("%s: memory", row_of(attack));
}

static void attack_running(const struct attack *attack, struct nm_script *script)
{
  is_fine(attack, script);
  size_t before = nm_script_memory(script, true);
  for (int i = 0; i < 2; i++) {
    struct run run = serve(script, 1);
    check_verdict(attack, &run);
    is_fine(attack, script);
  }
  size_t after = nm_script_memory(script, true);
  /* The table of strings shrinks by halves, while it is emptier than a quarter. */
  if (after > before + 16 * 1024)
    fail_msg("%s: %zu bytes grew to %zu", row_of(attack), before, after);
}

static void every_attack_is_refused_or_stopped(void **state)
{
  static const struct attack neighbour_file = { DROPS, NULL,
                                                "local s = 0 for i = 1, 2000 do s = s + i end"
                                                " return drop(tostring(s))" };
  struct nm_script *neighbour = NULL;
  struct nm_error err = { 0, "" };
  (void)state;
  assert_int_equal(load(&neighbour, &neighbour_file, &err), NM_OK);
  struct run usual = serve(neighbour, 1);
  for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
    const struct attack *attack = &attacks[i];
    struct nm_script *script = NULL;
    nm_arena_reset(arena);
    err.text[0] = '\0';
    int rc = load(&script, attack, &err);
    if ((rc != NM_OK) != (attack->want == REFUSED))
      fail_msg("%s: %d %s", row_of(attack), rc, err.text);
    if (rc != NM_OK && err.text[0] == '\0')
      fail_msg("%s: refused without a reason", row_of(attack));
    if (rc == NM_OK)
      attack_running(attack, script);
    nm_script_destroy(script);

    struct run beside = serve(neighbour, 1);
    assert_int_equal(beside.rc, NM_OK);
    /* Counted in hundreds. */
    assert_true(llabs(beside.cost.instructions - usual.cost.instructions) <= 100);
  }
  nm_script_destroy(neighbour);
}

static void there_are_many_and_no_two_are_the_same(void **state)
{
  size_t count = sizeof attacks / sizeof *attacks;
  (void)state;
  assert_true(count >= 150);
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < i; j++)
      if (nm_text_equal(nm_text_from(attacks[i].top), nm_text_from(attacks[j].top)) &&
          nm_text_equal(nm_text_from(attacks[i].body), nm_text_from(attacks[j].body)))
        fail_msg("%s: twice", row_of(&attacks[i]));
}

/* What a rule writes into its event and its moment is gone with them. */
static void nothing_that_is_written_into_an_event_reaches_the_next(void **state)
{
  static const struct attack attack = {
    DROPS, NULL,
    "local seen = tostring(event.mark) .. tostring(event.attributes.mark) .. "
    "tostring(event.user.mark)"
    " .. tostring(event.attributes.list[4]) event.mark, event.attributes.mark, event.user.mark = "
    "1, 2, 3"
    " event.attributes.list[4] = 4 return drop(seen)"
  };
  struct nm_script *script = NULL;
  struct nm_error err = { 0, "" };
  (void)state;
  assert_int_equal(load(&script, &attack, &err), NM_OK);
  for (int i = 0; i < 3; i++) {
    struct run run = serve(script, 1);
    assert_int_equal(run.rc, NM_OK);
    assert_string_equal(nm_value_text(&run.answer.effects.table.entries[0].value, "reason").ptr,
                        "nilnilnilnil");
  }
  nm_script_destroy(script);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(there_are_many_and_no_two_are_the_same),
    cmocka_unit_test(every_attack_is_refused_or_stopped),
    cmocka_unit_test(nothing_that_is_written_into_an_event_reaches_the_next),
  };
  return cmocka_run_group_tests(tests, arena_begin, arena_end);
}
