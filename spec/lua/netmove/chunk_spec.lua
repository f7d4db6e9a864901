package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local chunk = require "netmove.chunk"

local function globals(source)
  local list = {}
  for _, use in ipairs(chunk.globals(assert(load(source, "@x", "t", {})))) do
    list[#list + 1] = (use.set and "set " or "") .. use.name
      .. (use.field and "." .. use.field or "") .. ":" .. use.line
  end
  return table.concat(list, " ")
end

describe("a compiled file", function()
  it("tells the globals it reads and sets, wherever they are", function()
    assert.equal("a:1 b:2 b.c:2 set d:3 e:5", globals [[
local x = a
local function f() return function() return b.c end end
if x then d = 1 end
return f {
  y = e,
}]])
  end)

  it("knows a local named _ENV from the real one", function()
    assert.equal("", globals "local _ENV = {} ; local function f() return a end b = f")
  end)

  it("counts lines over long gaps", function()
    assert.equal("a:1 b:1002", globals("local x = a" .. ("\n"):rep(1001) .. "local y = b"))
  end)

  it("reads all kinds of constants", function()
    assert.equal("f:1 g:2", globals(
      "f(1, 2.5, nil, true, false, 1 << 40, 1e300, 'short', '" .. ("long"):rep(50) .. "')\ng()"))
  end)

  it("tells the line where a function begins", function()
    local f = load("\n\nreturn function()\nend", "@x", "t")()
    assert.equal(3, chunk.line(f))
    assert.is_nil(chunk.line(print))
    assert.is_nil(chunk.line(7))
  end)
end)
