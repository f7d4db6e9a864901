package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local problems = require "netmove.problems"

describe("the nearest known word", function()
  local known = problems.set { "order_shipped", "cart_reminder", "push", "sms", "title" }
  for word, near in pairs {
    order_shiped = "order_shipped", psuh = "push", Push = "push", titel = "title", mss = "sms",
  } do
    it("of " .. word .. " is " .. near, function()
      assert.equal(near, problems.nearest(word, known))
    end)
  end

  it("is none where nothing is near", function()
    for _, word in ipairs { "elephant", "x", "", ("push"):rep(100), 7 } do
      assert.is_nil(problems.nearest(word, known))
    end
  end)
end)

describe("a hint", function()
  it("names the nearest, or all of a few, or nothing", function()
    local few = problems.set { "push", "sms" }
    assert.equal(' (did you mean "push"?)', problems.hint("psh", few))
    assert.equal(" (known: push, sms)", problems.hint("elephant", few))
    local many = {}
    for i = 1, 20 do many["word" .. i] = true end
    assert.equal("", problems.hint("elephant", many))
  end)
end)

describe("a quoted value", function()
  for _, case in ipairs {
    { "x", '"x"' }, { 'a"b\\c\nd\0', '"a\\"b\\\\c\\nd\\0"' }, { 7, "7" }, { 1.5, "1.5" },
    { true, "true" }, { {}, "a table" }, { print, "a function" },
    { ("x"):rep(99), '"' .. ("x"):rep(60) .. '..."' },
  } do
    it("is short and on one line: " .. case[2], function()
      assert.equal(case[2], problems.quote(case[1]))
    end)
  end
end)

describe("a problem", function()
  it("shows what is known of its place", function()
    local function show(p) return problems.format("@rules/a.lua", p) end
    assert.equal("rules/a.lua: m", show { message = "m" })
    assert.equal("rules/a.lua:3: m", show { message = "m", line = 3 })
    assert.equal("rules/a.lua: e: m", show { message = "m", entry = "e" })
    assert.equal("rules/a.lua:3: e: m", show { message = "m", line = 3, entry = "e" })
  end)
end)
