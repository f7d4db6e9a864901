package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local support = require "support"
local words = require "netmove.words"

-- What an author sees when the expression is used in a function that an example reaches,
-- and in one that nothing reaches.
local function reached(expression)
  return select(2, support.tenant("hooks = { E = function(event) local x = " .. expression
    .. " return drop('done') end }, examples = { { given = { name = 'E' }, gives = {} } }"))
end

local function unreached(statement)
  return select(2, support.tenant("hooks = { E = function(event) " .. statement .. " end }"))
end

describe("the sandbox", function()
  for _, name in ipairs {
    "io", "os", "debug", "package", "require", "load", "loadstring", "dofile", "pcall", "xpcall",
    "getmetatable", "setmetatable", "rawget", "rawset", "rawequal", "rawlen", "coroutine",
    "collectgarbage", "print", "_G", "_VERSION", "utf8", "arg", "warn",
  } do
    it("has no " .. name .. ", and says so even where it is not reached", function()
      local lines = unreached("if event.never then return " .. name .. " end")
      assert.equal(1, #lines)
      assert.matches('^t.lua:1: .*"' .. name .. '"', lines[1])
    end)
  end

  for _, name in ipairs {
    "string.find", "string.match", "string.gmatch", "string.gsub", "string.dump", "string.pack",
    "math.random", "math.randomseed", "table.move", "table.pack", "json.null",
  } do
    it("has no " .. name, function()
      local lines = unreached("return " .. name)
      assert.equal(1, #lines)
      assert.matches(name, lines[1], 1, true)
    end)
  end

  for _, method in ipairs { "find", "match", "gmatch", "gsub", "dump" } do
    it("gives texts no method " .. method, function()
      local lines = reached("event.name:" .. method .. "('x')")
      assert.matches('"string.' .. method .. '"', lines[1], 1, true)
    end)
  end

  it("gives texts the safe methods", function()
    assert.equal("EVENT", support.hook(
      "function(event) return drop((event.name .. 'vent'):upper()) end")[1].reason)
  end)

  it("refuses every way of setting a global", function()
    for _, statement in ipairs {
      "x = 1", "push = 1", "function x() end", "local function f() x = 1 end return f",
    } do
      assert.equal(1, #unreached(statement), statement)
    end
    assert.matches("setting the global", unreached("x = 1")[1])
    assert.matches("setting the global", reached("(function() local e = _ENV e.x = 1 end)()")[1])
  end)

  it("keeps libraries, messages and steps as they are", function()
    for _, statement in ipairs {
      "string.lower = 1", "math.pi = 3", "json.decode = nil", "table.insert(string, 1)",
      "send_template.line = 1", "push { body = 'x' }.kind2 = 1", "from('x').kind2 = 1",
    } do
      local lines = reached("(function() " .. statement .. " end)()")
      assert.equal(1, #(lines or {}), statement)
      assert.not_matches("got {effect=drop", lines[1], 1, true)
    end
  end)

  it("bounds what string.rep makes", function()
    assert.equal("t.lua:1: example 1: rep: longer than 65536 bytes",
      reached("string.rep('x', 1000000)")[1])
    local effects = support.hook("function() return drop(string.rep('x', 65536)) end")
    assert.equal(65536, #effects[1].reason)
    for _, bad in ipairs { "('xy'):rep(40000)", "('x'):rep(40000, 'y')", "('x'):rep(1e300)" } do
      assert.matches("rep: longer", reached(bad)[1])
    end
  end)

  it("stops a loop over an unknown word", function()
    for _, loop in ipairs {
      "for x in nosuch() do end", "for _, x in ipairs(nosuch) do end",
      "for _, x in pairs(nosuch) do end", "repeat local x = nosuch.y until x.z == 1",
    } do
      local _, lines = support.load(loop)
      assert.equal('t.lua:1: unknown word "nosuch"', lines[1])
    end
  end)

  it("swallows whatever is done with an unknown word", function()
    local _, lines = support.load([[
local x = nosuch
local y = x + 1 .. "a" .. -x * 2 // 3 | 4
if x < 3 or x <= 4 or #x > 3 then x.y.z = 4 end
local z = x(1)(2).three:four()
return tenant { name = "t", messages = { a = x, b = push(x) }, events = { [1] = y, [2] = { z } },
  channels = { [1] = x }, templates = { [1] = x }, time_zone = x, hooks = x, examples = { x },
}]])
    assert.same({ 't.lua:1: unknown word "nosuch"' }, lines)
  end)
end)

describe("the words", function()
  it("are those that luacheck knows", function()
    local config = {}
    local files = setmetatable({}, { __index = function(t, k) t[k] = {} return t[k] end })
    config.files = files
    load(support.read(".luacheckrc"), "@.luacheckrc", "t", config)()
    local linted = {}
    for key, value in pairs(files["rules"].read_globals) do
      if type(key) == "number" then
        linted[value] = true
      else
        for _, field in ipairs(value.fields) do linted[key .. "." .. field] = true end
      end
    end
    local known = {}
    local state = { book = { open = true, list = {} } }
    for name in pairs(words.new(state)) do known[name] = true end
    for library, members in pairs(words.libraries) do
      for name in pairs(members) do known[library .. "." .. name] = true end
    end
    assert.same(known, linted)
  end)
end)
