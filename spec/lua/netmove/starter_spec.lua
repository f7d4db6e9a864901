package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local netmove = require "netmove"
local starter = require "netmove.starter"
local support = require "support"

describe("the file that a tenant starts with", function()
  for _, name in ipairs { "acme", "Mega-Market_2", "7", ("a"):rep(63) } do
    it("proves itself for " .. name:sub(1, 20), function()
      local rules, found = netmove.load(starter.text(name), "rules/" .. name .. ".lua", support.host)
      assert.is_nil(found and netmove.format_problem("x", found[1]))
      assert.equal(name, rules.name)
      assert.equal(6, rules.examples)
      assert.same({ 4, 11, 13 }, rules.event_types)
      assert.same({ "PURCHASE" }, rules.hooks_named)
    end)
  end

  it("has an example of each of its routes and templates", function()
    local text = starter.text("acme")
    local examples = text:match("examples = (%b{})")
    for id in text:match("events = (%b{})"):gmatch("%[(%d+)%]") do
      assert.truthy(examples:find("EventTypeID = " .. id .. ",", 1, true), id)
    end
  end)

  it("is lines that fit a screen, without a trace of its template", function()
    local text = starter.text("acme")
    assert.is_nil(text:find("@", 1, true))
    for line in text:gmatch("[^\n]+") do
      assert.is_true(#line <= 100, line)
      assert.is_nil(line:find("%s$"), line)
    end
    assert.equal("\n", text:sub(-1))
  end)

  for _, name in ipairs { "", "a b", "../x", "a@b", "-x", 'a"', "ş", 7 } do
    it("is not made for " .. tostring(name), function()
      local text, message = starter.text(name)
      assert.is_nil(text)
      assert.equal('expected a name of letters, digits, "_" and "-"', message)
    end)
  end
end)
