-- use "name": what several tenants' files share.

package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local support = require "support"

local function load(source, libraries)
  return support.load(source, "rules/acme.lua", libraries)
end

local function fails(source, libraries)
  local rules, lines = load(source, libraries)
  assert.is_nil(rules)
  return lines
end

local TENANT = [[
local shared = use("shared")
return tenant {
  name = "acme",
  messages = { hello = push { body = "Hello" } },
  channels = { [15] = "push" },
  templates = { [1201] = "hello" },
  events = { [11] = { shared.quiet, shared.no_minors, send_template } },
}
]]

local SHARED = [[
local shared = { quiet = quiet_between("22:00", "09:00") }

function shared.no_minors(event)
  if event.attributes.age < 18 then return drop("too young") end
end

return shared
]]

describe("a library", function()
  it("gives what it returns", function()
    local rules = assert(load(TENANT, { shared = SHARED }))
    local effects = rules.evaluate(support.event { attributes = { age = 12 } }, support.ctx())
    assert.same({ { effect = "drop", reason = "too young" } }, effects)
    effects = rules.evaluate(support.event { attributes = { age = 21 } }, support.ctx { minute = 1390 })
    assert.same({ { effect = "delay", until_time = "09:00" } }, effects)
    effects = rules.evaluate(support.event { attributes = { age = 21 } }, support.ctx())
    assert.equal("send", effects[1].effect)
  end)

  it("is read once a load, however many use it, and may use others", function()
    local asked = {}
    local sources = {
      a = 'return { b = use "b", c = use "c" }', b = 'return { c = use "c" }', c = "return {}",
      check = 'local a, c = use "a", use "c" return { same = a.c == c and a.b.c == c }',
    }
    local host = {
      library = function(name)
        asked[#asked + 1] = name
        return sources[name]
      end,
    }
    local rules = require("netmove").load('local x = use "check" assert(x.same) '
      .. 'return tenant { name = "t" }', "t.lua", host)
    assert.is_table(rules)
    assert.same({ "check", "a", "b", "c" }, asked)
  end)

  it("is of each load alone", function()
    local libraries = { shared = 'local t = { n = 0 } return t' }
    local source = 'local s = use "shared" s.n = s.n + 1 return tenant { name = "t" .. s.n }'
    assert.equal("t1", load(source, libraries).name)
    assert.equal("t1", load(source, libraries).name)
  end)

  it("says its mistakes with its own file and line, beside those of the tenant's file", function()
    assert.same({
      'rules/acme.lua:2: unknown word "psuh" (did you mean "push"?)',
      'rules/lib/shared.lua:2: quiet_between: expected a time such as "22:00", got "9"',
      'rules/lib/shared.lua:3: unknown word "hodl" (did you mean "hold"?)',
      'rules/lib/shared.lua:4: setting the global "total": write local total',
      'rules/acme.lua: tenant: unknown key "tempaltes" (did you mean "templates"?)',
    }, fails([[
local shared = use("shared")
local message = psuh { body = "x" }
return tenant { name = "acme", messages = { m = message }, tempaltes = {},
  hooks = { E = shared.step } }]], { shared = [[
local function step() return drop("x") end
local quiet = quiet_between("22:00", "9")
local function later() return hodl("x") end
total = 1
return { quiet = quiet, later = later, step = step }]] }))
  end)

  it("says where its function failed", function()
    local rules = assert(load(TENANT, { shared = SHARED }))
    local effects, failure = rules.evaluate(support.event(), support.ctx())
    assert.is_nil(effects)
    assert.equal("rules/lib/shared.lua:4: attempt to compare nil with number",
      failure.message)
  end)

  it("names the line of its steps and of messages that are not there", function()
    assert.same({ 'rules/lib/shared.lua:1: send: no message named "hallo" (did you mean "hello"?)' },
      fails([[local s = use("shared")
return tenant { name = "t", messages = { hello = push { body = "x" } }, events = { [11] = s.hi } }]],
        { shared = 'return { hi = send("hallo") }' }))
  end)

  it("fails an example with its line", function()
    local lines = fails((TENANT:gsub("events =", [[examples = { { given = { CustomerID = 1, TemplateID = 1201,
      ChannelID = 15 }, gives = {} } }, events =]])), { shared = SHARED })
    assert.same({ "rules/lib/shared.lua:4: example 1: attempt to compare nil with number" },
      lines)
  end)

  for wrong, expected in pairs {
    ['use("texst")'] = 'rules/acme.lua:1: use: no library "texst": there is no rules/lib/texst.lua '
      .. '(did you mean "texts"?)',
    ['use("../../etc/passwd")'] = "rules/acme.lua:1: use: expected the name of a library, of small "
      .. 'letters, digits and "_", as in use("texts") for lib/texts.lua, got "../../etc/passwd"',
    ['use("Texts")'] = "rules/acme.lua:1: use: expected the name of a library, of small "
      .. 'letters, digits and "_", as in use("texts") for lib/texts.lua, got "Texts"',
    ["use(7)"] = "rules/acme.lua:1: use: expected the name of a library, of small "
      .. 'letters, digits and "_", as in use("texts") for lib/texts.lua, got 7',
    ['use("round")'] = "rules/lib/trip.lua: use: libraries that use each other: round uses trip uses round",
    ['use("self")'] = "rules/lib/self.lua: use: libraries that use each other: self uses self",
    ['use("nothing")'] = "rules/lib/nothing.lua:1: the library returns nil, expected what it shares, as in "
      .. "return { quiet = ... }",
    ['use("tenant_like")'] = "rules/lib/tenant_like.lua:1: the library returns a tenant, expected what it "
      .. "shares, as in return { quiet = ... }",
    ['use("unclosed")'] = "rules/lib/unclosed.lua:1: unexpected symbol near <eof>",
    ['use("raises")'] = "rules/lib/raises.lua:1: attempt to perform arithmetic on a nil value",
    ['require("texts")'] = 'rules/acme.lua:1: "require" is not for rules: what files share stands in rules/lib, '
      .. 'and is had by use("its name")',
  } do
    it("refuses " .. wrong, function()
      assert.same({ expected }, fails("local x = " .. wrong .. ' return tenant { name = x and "t" }', {
        texts = "return {}", round = 'return use("trip")', trip = 'return use("round")',
        self = 'return use("self")', nothing = "local x = 1", unclosed = "return {",
        tenant_like = 'return tenant { name = "x" }', raises = "return { nil + 1 }",
      }))
    end)
  end

  it("refuses libraries without end", function()
    local libraries = {}
    for i = 1, 20 do libraries["l" .. i] = 'return use("l' .. i + 1 .. '")' end
    assert.same({ "rules/lib/l8.lua: use: libraries that use libraries, more than 8 deep" },
      fails('local x = use("l1") return tenant { name = x and "t" }', libraries))
  end)

  it("cannot be asked for once the rules are live", function()
    local rules = assert(load([[return tenant { name = "t",
      hooks = { E = function() return use("shared") end } }]], { shared = SHARED }))
    local effects, failure = rules.evaluate({ name = "E" }, support.ctx())
    assert.is_nil(effects)
    assert.equal('rules/acme.lua:2: hooks.E: use: write local name = use("name") at the top of the file',
      failure.message)
  end)

  it("sees the words of rules and nothing else", function()
    for _, name in ipairs { "io", "os", "load", "setmetatable", "getmetatable", "require", "_G" } do
      assert.is_nil((load('local x = use("l") return tenant { name = x and "t" }',
        { l = "return { " .. name .. " }" })), name)
    end
  end)
end)
