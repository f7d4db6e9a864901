-- What editors are told of the words is what the words are.

package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local support = require "support"
local conversions = require "netmove.conversions"
local effects = require "netmove.effects"
local examples = require "netmove.examples"
local messages = require "netmove.messages"
local problems = require "netmove.problems"
local templates = require "netmove.templates"
local tenant = require "netmove.tenant"
local tracking = require "netmove.tracking"
local values = require "netmove.values"
local words = require "netmove.words"

-- Globals, classes with their fields { name = { optional, about } }, methods, aliases.
local function read_meta()
  local meta = { globals = {}, classes = {}, aliases = {}, methods = {}, types = {} }
  local class
  for line in support.read("lua/meta/words.lua"):gmatch("[^\n]*") do
    local name = line:match("^function ([%a_]+)%(") or line:match("^([%a_]+) = ")
    if name then meta.globals[name] = true end
    local library, member = line:match("^function ([%a_]+)%.([%a_]+)%(")
    if library then meta.globals[library .. "." .. member] = true end
    name = line:match("^function from_path:([%a_]+)%(")
    if name then meta.methods[name] = true end
    name = line:match("^%-%-%-@class %(exact%) ([%w_.]+)") or line:match("^%-%-%-@class ([%w_.]+)")
    if name then
      class = {}
      meta.classes[name], meta.types[name] = class, true
    end
    local field, optional, rest = line:match("^%-%-%-@field ([%a_]+)(%??) (.*)$")
    if field then class[field] = { optional = optional == "?", about = rest:match("# (.*)$") } end
    local alias, as = line:match("^%-%-%-@alias ([%w_.]+) (.*)$")
    if alias then meta.aliases[alias], meta.types[alias] = as, true end
  end
  return meta
end

local meta = read_meta()

local function names(t)
  local set = {}
  for name in pairs(t) do if type(name) == "string" then set[name] = true end end
  return set
end

describe("the definitions for editors", function()
  it("name every word, and no other", function()
    local known = {}
    for name in pairs(words.new { book = { open = true, list = {} } }) do
      if not words.lua[name] then known[name] = true end
    end
    for name in pairs(words.libraries.json) do known["json." .. name] = true end
    known.json = true
    assert.same(known, meta.globals)
  end)

  for kind, fields in pairs(messages.fields) do
    it("name every key of " .. kind .. ", with what it is for", function()
      local known = {}
      for _, field in ipairs(fields) do known[field[1]] = { optional = true, about = field[3] } end
      assert.same(known, meta.classes["netmove." .. kind])
    end)
  end

  for name, shape in pairs(effects.shapes) do
    it("name every key of the effect " .. name .. ", and which it cannot do without", function()
      local known, told = {}, {}
      for key, field in pairs(shape) do known[key] = not field[2] end
      for key, field in pairs(meta.classes["netmove." .. name]) do told[key] = field.optional end
      assert.same(known, told)
    end)
  end

  for class, known in pairs {
    tenant = tenant.keys, example = examples.keys, templates = templates.keys.tenant,
    ctx = problems.set { "now_ms", "minute", "weekday", "date", "recipient" },
    split = { salt = true }, customer = { CustomerID = true }, track_event = tracking.keys,
  } do
    it("name every key of " .. class, function()
      assert.same(names(known), names(meta.classes["netmove." .. class]))
    end)
  end

  it("name what an event has on the wire", function()
    local fields = meta.classes["netmove.event"]
    for key in pairs(examples.event_keys) do assert.is_table(fields[key], key) end
  end)

  it("name the methods of from, and its conversions", function()
    assert.same(names(values.methods), meta.methods)
    local told = {}
    for kind in meta.aliases["netmove.conversion"]:gmatch('"(%a+)"') do told[kind] = true end
    assert.same(names(conversions.names), told)
  end)

  it("use only types that they define", function()
    for name in support.read("lua/meta/words.lua"):gmatch("netmove%.[%w_]+") do
      assert.is_true(meta.types[name], name)
    end
  end)

  it("are Lua that does nothing", function()
    local env = {}
    assert(loadfile("lua/meta/words.lua", "t", env))()
    assert.is_nil(env.send_template)
    assert.is_nil(env.push {})
  end)
end)
