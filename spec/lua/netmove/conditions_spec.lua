package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local support = require "support"

local ctx, event = support.ctx, support.event

-- What a value inside a rule gives for an event.
local function value(text, given)
  local effects, failure = support.hook("update_customer { CustomerID = 'x', V = " .. text
    .. ", OTHER = 1 }", given)
  assert(effects, failure.message)
  if effects[1].effect == "hold" then return effects[1].reason end
  return effects[1].attributes.V
end

describe("a condition over a value", function()
  local given = { attributes = { tier = "gold", code = "TEST-12", n = 7, empty = "" } }
  for text, answer in pairs {
    ["one_of(from('attributes.tier'), 'silver', 'gold')"] = true,
    ["one_of(from('attributes.tier'), { 'silver', 'gold' })"] = true,
    ["one_of(from('attributes.tier'), 'silver')"] = false,
    ["one_of(from('attributes.nothing'), 'gold')"] = false,
    ["one_of(from('attributes.n'), 7)"] = true,
    ["one_of(from('attributes.n'), '7')"] = false,
    ["one_of(from('attributes.n'):as('text'), '7')"] = true,
    ["one_of(from('attributes.nothing'):default('gold'), 'gold')"] = true,
    ["one_of(function(event) return event.attributes.tier end, 'gold')"] = true,
    ["starts_with(from('attributes.code'), 'TEST')"] = true,
    ["starts_with(from('attributes.code'), 'test')"] = false,
    ["starts_with(from('attributes.n'), '7')"] = true,
    ["starts_with(from('attributes.nothing'), '')"] = false,
    ["matches(from('attributes.code'), '[A-Z]+-%d+')"] = true,
    ["matches(from('attributes.code'), 'test*')"] = false,
    ["matches(from('attributes.n'), '?')"] = true,
    ["matches(from('attributes'), '*')"] = false,
    ["matches(from('attributes.nothing'), '*')"] = false,
  } do
    it(text .. " is " .. tostring(answer), function()
      assert.equal(answer, value(text, { attributes = given.attributes }))
    end)
  end

  it("holds what cannot be converted", function()
    assert.equal('update_customer: V: "gold" is not a whole number',
      value("one_of(from('attributes.tier'):as('integer'), 1)", { attributes = { tier = "gold" } }))
  end)

  it("holds a text that is longer than matches reads", function()
    assert.equal("update_customer: V: a text longer than 65536 bytes",
      value("matches(from('attributes.x'), '*')", { attributes = { x = ("x"):rep(65537) } }))
  end)
end)

describe("a condition over something plain", function()
  for expression, answer in pairs {
    ["matches('abc', 'a*')"] = "true", ["matches('abc', 'b*')"] = "false",
    ["matches(nil, '*')"] = "false", ["matches('', '*')"] = "true", ["matches(12, '%d%d')"] = "true",
    ["matches({}, '*')"] = "false", ["starts_with(1201, '12')"] = "true",
    ["one_of(1.0, 1)"] = "true", ["one_of('x', {})"] = "false",
  } do
    it(expression .. " is " .. answer, function()
      assert.equal(answer,
        support.hook("function() return drop(tostring(" .. expression .. ")) end")[1].reason)
    end)
  end

  for expression, wrong in pairs {
    ["matches('a', '[')"] = 'matches: pattern "[": a "[" without its "]" (a bracket itself is "%[")',
    ["matches('a', 7)"] = "matches: expected (value, pattern), got 7 for the pattern",
    ["matches('a')"] = "matches: expected (value, pattern), got nil for the pattern",
    ["matches(('x'):rep(65536) .. 'x', '*')"] = "matches: a text longer than 65536 bytes",
    ["starts_with('a', 7)"] = "starts_with: expected (value, text), got 7 for the text",
    ["one_of(from('x'))"] = 'one_of: expected a value and what it may be, as in '
      .. 'one_of(from("attributes.tier"), "gold", "silver")',
  } do
    it("is refused: " .. expression, function()
      local effects, failure = support.hook("function() local x = " .. expression
        .. " return drop(tostring(x)) end")
      assert.is_nil(effects)
      assert.equal("t.lua:1: " .. wrong, failure.message)
    end)
  end

  it("may make any number of patterns, one after the other", function()
    local effects = support.hook([[function()
      local n = 0
      for i = 1, 1000 do if matches("x" .. i, "?" .. i) then n = n + 1 end end
      return drop(tostring(n))
    end]])
    assert.equal("1000", effects[1].reason)
  end)
end)

describe("when", function()
  local rules = support.rules [[
    messages = { vip = push { body = "v" }, usual = push { body = "u" } },
    channels = { [15] = "push" }, templates = { [1201] = "usual" },
    events = { [11] = {
      when(starts_with(from("PromoCode"), "TEST"), drop("a test code")),
      when(one_of(from("attributes.tier"), "gold"), { function() end, send("vip") }),
      when(function(event, ctx) return ctx.weekday == 7 end, hold("not on a Sunday")),
      when(from("attributes.age"):as("integer"), function(event) return drop("aged") end),
      send_template,
    } }]]
  local function answer(more, at)
    local effects, trace = rules.evaluate(event(more), ctx(at))
    return effects[1].reason or effects[1].message, trace
  end

  it("runs its step where the condition holds", function()
    assert.equal("a test code", (answer { PromoCode = "TEST1" }))
    assert.equal("vip", (answer { attributes = { tier = "gold" } }))
    assert.equal("not on a Sunday", (answer({}, { weekday = 7 })))
    assert.equal("aged", (answer { attributes = { age = "18" } }))
  end)

  it("else leaves the event to the next step", function()
    local message, trace = answer {}
    assert.equal("usual", message)
    assert.same({ "when", "when", "when", "when", "send_template" },
      { trace[1].step, trace[2].step, trace[3].step, trace[4].step, trace[5].step })
  end)

  it("makes quiet hours those of some events only", function()
    local some = support.rules [[messages = { m = push { body = "x" } }, hooks = { E = {
      when(from("attributes.marketing"), quiet_between("22:00", "09:00")), send("m"),
    } }]]
    local function first(marketing, at)
      return some.evaluate({ name = "E", extId = "1", attributes = { marketing = marketing } },
        ctx(at))[1]
    end
    assert.same({ effect = "delay", until_time = "09:00" }, first(true, { minute = 1400 }))
    assert.same({ from = 1320, to = 540 }, first(true).quiet)
    assert.same({ from = 1320, to = 540 }, first(true, { minute = 1400, recipient = true }).quiet)
    assert.equal("send", first(false, { minute = 1400 }).effect)
    assert.is_nil(first(false).quiet)
    assert.is_nil(first(nil, { recipient = true }).quiet)
  end)

  it("holds where the condition cannot be told", function()
    assert.equal('when: "x" is not a whole number', (answer { attributes = { age = "x" } }))
  end)
end)

describe("a step inside steps", function()
  it("may be deep, but not without end", function()
    local rules = assert(support.load([[
local function always() return true end
local again
again = when(always, function() return again end)
return tenant { name = "t", hooks = { A = again, B = when(always, when(always, drop("deep"))) } }]]))
    assert.equal("deep", rules.evaluate({ name = "B" }, ctx())[1].reason)
    for _ = 1, 3 do
      local _, failure = rules.evaluate({ name = "A" }, ctx())
      assert.equal("t.lua:3: when: steps inside steps, more than 16 deep", failure.message)
    end
    assert.equal("deep", rules.evaluate({ name = "B" }, ctx())[1].reason)
  end)
end)

describe("hold and drop", function()
  it("stand as steps, new for each event", function()
    local rules = support.rules [[events = { [20] = hold("look"), [21] = { drop("never mind") } }]]
    local first = rules.evaluate({ EventTypeID = 20 }, ctx())[1]
    assert.same({ effect = "hold", reason = "look" }, first)
    first.reason = "changed"
    assert.equal("look", rules.evaluate({ EventTypeID = 20 }, ctx())[1].reason)
    local effects, trace = rules.evaluate({ EventTypeID = 21 }, ctx())
    assert.equal("never mind", effects[1].reason)
    assert.same({ step = "drop", index = 1, answered = true }, trace[1])
  end)
end)

describe("send with a name alone", function()
  it("is a step, wherever its message is written", function()
    local rules = assert(support.load [[
local hello = push { body = "Hi {n|there}" }
return tenant { name = "t", hooks = { A = send("hello"), B = send(hello),
  C = function(event) if event.attributes.n then return send("hello") end end,
}, messages = { hello = hello } }]])
    for _, name in ipairs { "A", "B", "C" } do
      local effects = rules.evaluate({ name = name, extId = "1", attributes = { n = "Ada" } }, ctx())
      assert.same({ "send", "hello", "1", "Hi Ada" },
        { effects[1].effect, effects[1].message, effects[1].to, effects[1].content.body })
    end
  end)

  it("keeps the quiet hours of its entry", function()
    local rules = support.rules [[messages = { m = push { body = "x" } },
      hooks = { E = { quiet_between("22:00", "09:00"), send("m") } }]]
    assert.same({ from = 1320, to = 540 },
      rules.evaluate({ name = "E", extId = "1" }, ctx())[1].quiet)
  end)
end)
