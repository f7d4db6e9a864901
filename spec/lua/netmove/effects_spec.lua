package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local support = require "support"

-- What a function's own effect becomes, or the message its author gets.
local function returned(effect)
  local effects, failure = support.hook("function(event, ctx) return " .. effect .. " end",
    { extId = "42", CampaignID = "7" }, "messages = { m = push { body = 'x' } }")
  return effects or failure.message:gsub("^t.lua:1: hooks.E: ", "")
end

describe("an effect that a function writes itself", function()
  for text, effect in pairs {
    ["{ effect = 'delay', until_time = '09:00' }"] = { effect = "delay", until_time = "09:00" },
    ["{ effect = 'delay', until_time = '23:59' }"] = { effect = "delay", until_time = "23:59" },
    ["{ effect = 'cancel', campaign = '7' }"] = { effect = "cancel", campaign = "7" },
    ["{ effect = 'cancel', campaign = '7', channel_id = 3 }"] =
      { effect = "cancel", campaign = "7", channel_id = 3 },
    ["{ effect = 'expand', campaign = '7', channel_id = 3 }"] =
      { effect = "expand", campaign = "7", channel_id = 3 },
    ["{ effect = 'update', customer = '1', attributes = { A = 1, B = 'b', C = false } }"] =
      { effect = "update", customer = "1", attributes = { A = 1, B = "b", C = false } },
    ["hold('x')"] = { effect = "hold", reason = "x" },
  } do
    it("is taken: " .. text, function() assert.same({ effect }, (returned(text))) end)
  end

  for text, wrong in pairs {
    ["{ effect = 'sned' }"] = 'unknown effect "sned" (did you mean "send"?)',
    ["{ effect = 7 }"] = "unknown effect 7 (known: cancel, delay, drop, expand, hold, send, track, update)",
    ["{ effect = 'send', message = 'm' }"] = "a send is made by send(message, event, ctx)",
    ["{ effect = 'send', message = 'n', channel = 'push', to = '1', content = {} }"] =
      'no message named "n" (known: m)',
    ["{ effect = 'delay', until_time = '24:00' }"] =
      'delay: until_time: expected a time such as "09:00", got "24:00"',
    ["{ effect = 'delay' }"] = 'delay: no until_time, expected a time such as "09:00"',
    ["{ effect = 'hold', reason = '' }"] = 'hold: reason: expected a text, got ""',
    ["{ effect = 'cancel', campaign = 7 }"] = "cancel: campaign: expected a text, got 7",
    ["{ effect = 'cancel', campaing = '7' }"] =
      'cancel: unknown key "campaing" (did you mean "campaign"?)',
    ["{ effect = 'expand', campaign = '7' }"] = "expand: no channel_id, expected a whole number",
    ["{ effect = 'expand', campaign = '7', channel_id = 1.5 }"] =
      "expand: channel_id: expected a whole number, got 1.5",
    ["{ effect = 'update', customer = '1', attributes = {} }"] =
      'update: attributes: expected names with text, number or boolean, as in { CITY = "Izmir" }, got a table',
    ["{ effect = 'update', customer = '1', attributes = { 'x' } }"] =
      'update: attributes: expected names with text, number or boolean, as in { CITY = "Izmir" }, got a table',
    ["{ effect = 'update', customer = '1', attributes = { A = 0/0 } }"] =
      'update: attributes: expected names with text, number or boolean, as in { CITY = "Izmir" }, got a table',
    ["{ drop('x'), 7 }"] = "a step returns an effect, a list of effects, a step or nothing; got 7",
    ["push { body = 'x' }"] = "a step returns an effect, a list of effects, a step or nothing; "
      .. "got a message; write send(name, event, ctx)",
    ["send(push { body = 'x' }, event, ctx)"] = "this message is not in messages",
    ["send('m', nil, ctx)"] = "send: expected (message, event, ctx), got nil for the event",
    ["send('m', 'event')"] = 'send: expected (message, event, ctx), got "event" for the event',
    ["send('n')"] = 'no message named "n" (known: m)',
    ["send(push { body = 'x' })"] = "this message is not in messages",
    ["hold(' ')"] = 'hold: expected a reason as text, got " "; say what a person should look at',
    ["drop()"] = "drop: expected a reason as text, got nil; say why it is right that nothing happens",
    ["true"] = "a step returns an effect, a list of effects, a step or nothing; got true",
  } do
    it("is refused: " .. text, function() assert.equal(wrong, (returned(text))) end)
  end

  it("is what send gives", function()
    local effects = returned("send('m', event, ctx)")
    assert.equal("42", effects[1].to)
    assert.equal("m", effects[1].message)
  end)

  it("may be left to the step send(name), alone and in lists", function()
    assert.same(returned("send('m', event, ctx)"), returned("send('m')"))
    local effects = returned("{ drop('a'), send('m'), hold('b'), send('m', event, ctx) }")
    assert.equal(4, #effects)
    assert.same({ "drop", "send", "hold", "send" },
      { effects[1].effect, effects[2].effect, effects[3].effect, effects[4].effect })
  end)
end)
