package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local support = require "support"

local event, ctx = support.event, support.ctx

local function first(rules, ...)
  local effects, failure = rules.evaluate(...)
  assert(effects, failure.message)
  return effects[1]
end

describe("send_template", function()
  local rules = support.rules([[messages = { m = push { body = "x" } }, templates = { [1201] = "m" },
    channels = { [15] = "push", [16] = "sms" }, events = { [11] = send_template }]])
  for reason, more in pairs {
    ["template 9999 is not mapped"] = { TemplateID = 9999 },
    ["channel 99 is not known"] = { ChannelID = 99 },
    ["message m is a push, channel 16 is sms"] = { ChannelID = 16 },
  } do
    it("holds: " .. reason, function()
      assert.same({ effect = "hold", reason = reason }, first(rules, event(more), ctx()))
    end)
  end

  it("holds what names neither template nor channel", function()
    for _, key in ipairs { "TemplateID", "ChannelID" } do
      local given = event()
      given[key] = nil
      assert.equal("the event names no " .. key, first(rules, given, ctx()).reason)
    end
  end)
end)

describe("cancel_campaign", function()
  local rules = support.rules("events = { [4] = cancel_campaign }")

  it("cancels on one channel, or on all", function()
    assert.same({ effect = "cancel", campaign = "7", channel_id = 15 },
      first(rules, { EventTypeID = 4, CampaignID = "7", ChannelID = 15 }, ctx()))
    assert.same({ effect = "cancel", campaign = "7" },
      first(rules, { EventTypeID = 4, CampaignID = "7" }, ctx()))
  end)

  it("holds what names no campaign", function()
    assert.equal("the event names no CampaignID", first(rules, { EventTypeID = 4 }, ctx()).reason)
  end)
end)

describe("for_each_recipient", function()
  it("takes a list of steps, too, and runs it over each row", function()
    local rules = support.rules([[events = { [13] = for_each_recipient {
      quiet_between("22:00", "09:00"),
      function(event) if event.attributes.tier ~= "gold" then return drop("not gold") end end,
      function() return hold("gold") end,
    } }]])
    assert.same({ effect = "expand", campaign = "7", channel_id = 15,
      quiet = { from = 1320, to = 540 } }, first(rules, event { EventTypeID = 13 }, ctx()))
    local row = ctx { recipient = true, minute = 1400 }
    assert.equal("not gold", first(rules, event { EventTypeID = 13 }, row).reason)
    assert.equal("gold",
      first(rules, event { EventTypeID = 13, attributes = { tier = "gold" } }, row).reason)
  end)

  it("holds what names neither campaign nor channel", function()
    local rules = support.rules("events = { [13] = for_each_recipient(send_template) }")
    assert.equal("the event names no CampaignID", first(rules, { EventTypeID = 13 }, ctx()).reason)
    assert.equal("the event names no ChannelID",
      first(rules, { EventTypeID = 13, CampaignID = "7" }, ctx()).reason)
  end)
end)

describe("quiet_between", function()
  local function quiet(from, to, minute)
    local rules = support.rules(("hooks = { E = { quiet_between(%q, %q), function() "
      .. "return drop('awake') end } }"):format(from, to))
    return first(rules, { name = "E" }, ctx { minute = minute })
  end

  it("delays until its end, over midnight, the end itself being free", function()
    local delay = { effect = "delay", until_time = "09:00" }
    assert.same(delay, quiet("22:00", "09:00", 1320))
    assert.same(delay, quiet("22:00", "09:00", 0))
    assert.same(delay, quiet("22:00", "09:00", 539))
    assert.equal("drop", quiet("22:00", "09:00", 540).effect)
    assert.equal("drop", quiet("22:00", "09:00", 1319).effect)
  end)

  it("and within a day", function()
    assert.equal("drop", quiet("12:00", "14:00", 719).effect)
    assert.equal("delay", quiet("12:00", "14:00", 720).effect)
    assert.equal("delay", quiet("12:00", "14:00", 839).effect)
    assert.equal("drop", quiet("12:00", "14:00", 840).effect)
  end)

  it("travels with what its entry sends, wherever in the entry it stands", function()
    local rules = support.rules([[messages = { m = push { body = "x" } }, hooks = {
      E = { function(e, c) return send("m", e, c) end, quiet_between("22:00", "09:00") },
      F = function(e, c) return send("m", e, c) end,
    }]])
    assert.same({ from = 1320, to = 540 }, first(rules, { name = "E", extId = "1" }, ctx()).quiet)
    assert.is_nil(first(rules, { name = "F", extId = "1" }, ctx()).quiet)
  end)

  it("may be chosen by a function", function()
    local source = [[
local night = quiet_between("22:00", "09:00")
return tenant { name = "t", messages = { m = push { body = "x" } }, hooks = { E = {
  function(event) if not event.attributes.urgent then return night end end,
  function(event, ctx) return send("m", event, ctx) end,
} } }]]
    local rules = assert(support.load(source))
    local late = ctx { minute = 1400 }
    assert.equal("delay", first(rules, { name = "E", extId = "1" }, late).effect)
    assert.same({ from = 1320, to = 540 }, first(rules, { name = "E", extId = "1" }, ctx()).quiet)
    local urgent = first(rules, { name = "E", extId = "1", attributes = { urgent = true } }, late)
    assert.equal("send", urgent.effect)
    assert.is_nil(urgent.quiet)
  end)
end)

describe("update_customer", function()
  local function update(inside, given)
    given = given or {}
    given.extId = given.extId or "42"
    local effects, failure = support.hook("update_customer { CustomerID = from('extId'), "
      .. inside .. " }", given)
    return effects and effects[1], failure
  end

  it("takes constants, from, functions and renamed tables", function()
    local effect = update([[A = 1, B = "x {y}", C = true, D = from("attributes.d"):as("number"),
      E = function(event) return event.name end, renamed("changes", { f = "F", g = "G" }),
      renamed("user.attributes", { h = "H" })]], {
      attributes = { d = "2.5" }, changes = { f = 3, x = 4 }, user = { attributes = { h = "h" } },
    })
    assert.same({ effect = "update", customer = "42",
      attributes = { A = 1, B = "x {y}", C = true, D = 2.5, E = "E", F = 3, H = "h" } }, effect)
  end)

  it("leaves out what has no value, and drops what has none at all", function()
    assert.same({ A = 1 }, update("A = 1, B = from('attributes.b'), C = function() end").attributes)
    assert.same({ effect = "drop", reason = "nothing to update" }, update("B = from('attributes.b')"))
    assert.same({ effect = "drop", reason = "nothing to update" },
      update("renamed('changes', { a = 'A' })", { changes = { b = 1 } }))
  end)

  it("holds what cannot be converted, or is no value", function()
    assert.same({ effect = "hold", reason = 'update_customer: A: "abc" is not a date' },
      update("A = from('attributes.a'):as('date')", { attributes = { a = "abc" } }))
    assert.same({ effect = "hold",
      reason = "update_customer: A: expected a text, number or boolean, got a table" },
      update("A = from('attributes')"))
  end)

  it("holds an event without a customer", function()
    assert.same({ { effect = "hold", reason = "update_customer: the event has no CustomerID to use" } },
      (support.hook("update_customer { CustomerID = from('extId'), A = 1 }", {})))
    assert.same({ { effect = "hold", reason = "update_customer: the event has no CustomerID to use" } },
      (support.hook("function(e) return update_customer { CustomerID = e.extId, A = 1 } end", {})))
  end)

  it("writes the customer's id as text", function()
    assert.equal("42", update("A = 1", { extId = 42 }).customer)
  end)

  it("names a function that gives a table", function()
    local _, failure = update("A = function() return {} end")
    assert.equal("t.lua: hooks.E: update_customer: A: expected a text, number or boolean, got a table",
      failure.message)
  end)
end)

describe("a step that returns steps", function()
  it("is followed, but not for ever", function()
    local rules = assert(support.load([[
local function twice() return function() return cancel_campaign end end
local endless
endless = function() return endless end
return tenant { name = "t", hooks = { A = twice, B = endless } }]]))
    assert.equal("cancel", first(rules, { name = "A", CampaignID = "1" }, ctx()).effect)
    local _, failure = rules.evaluate({ name = "B" }, ctx())
    assert.equal("t.lua:3: hooks.B: steps that return steps, more than 8 deep", failure.message)
  end)
end)

describe("a word of ours that a function calls", function()
  it("knows the time of the event, given ctx or not", function()
    for _, more in ipairs { "event", "event, ctx", "event, {}", "event, 7" } do
      local rules = assert(support.load([[
local quiet = quiet_between("22:00", "09:00")
local late = one_of(function(_, ctx) return ctx.minute end, 1400)
return tenant { name = "t", messages = { m = push { body = function(_, ctx) return ctx.minute end } }, hooks = {
  Q = function(event, ctx) return quiet(]] .. more .. [[) end,
  S = function(event, ctx) return send("m", ]] .. more .. [[) end,
  C = function(event) return late(event) and drop("late") or drop("early") end,
} }]]))
      local late = ctx { minute = 1400 }
      assert.equal("delay", first(rules, { name = "Q" }, late).effect)
      assert.equal("1400", first(rules, { name = "S", extId = "1" }, late).content.body)
      assert.equal("late", first(rules, { name = "C" }, late).reason)
      assert.equal("early", first(rules, { name = "C" }, ctx()).reason)
    end
  end)
end)

describe("a value", function()
  it("answers like a function, too", function()
    local effects = support.hook([[function(event)
      return drop(tostring(from("attributes.n"):as("integer"):default(0)(event) + 1))
    end]], { attributes = { n = "41" } })
    assert.equal("42", effects[1].reason)
  end)

  it("is not changed by as and default", function()
    local rules = assert(support.load([[
local n = from("attributes.n")
local m = n:as("number"):default(5)
return tenant { name = "t", hooks = { E = update_customer { CustomerID = "1", N = n, M = m,
  L = n:default(false), K = from("attributes.k"):default(function(event) return event.name end) } } }
]]))
    assert.same({ M = 5, L = false, K = "E" }, first(rules, { name = "E" }, ctx()).attributes)
    assert.same({ N = "7", M = 7, L = "7", K = "k" }, first(rules,
      { name = "E", attributes = { n = "7", k = "k" } }, ctx()).attributes)
  end)
end)

describe("one_of and starts_with", function()
  for expression, answer in pairs {
    ["one_of('a', 'b', 'a')"] = "true", ["one_of('a', { 'b', 'a' })"] = "true",
    ["one_of('a', 'b')"] = "false", ["one_of(nil, 'b')"] = "false", ["one_of('a')"] = "false",
    ["starts_with('abc', 'ab')"] = "true", ["starts_with('abc', 'bc')"] = "false",
    ["starts_with('abc', '')"] = "true", ["starts_with(nil, 'a')"] = "false",
    ["starts_with('a.c', 'a.')"] = "true", ["starts_with('abc', 'a.')"] = "false",
  } do
    it(expression .. " is " .. answer, function()
      local effects = support.hook("function() return drop(tostring(" .. expression .. ")) end")
      assert.equal(answer, effects[1].reason)
    end)
  end
end)
