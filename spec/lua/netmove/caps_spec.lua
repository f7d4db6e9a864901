-- cap, category, caps: how often a customer may be written to.

package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local support = require "support"

local function send(messages, caps, event, name)
  local rules = support.rules("messages = { " .. messages .. " }, caps = { " .. (caps or "") .. " }, "
    .. "events = { [11] = send(\"" .. (name or "a") .. "\") }")
  local effects, failure = rules.evaluate(support.event(event), support.ctx())
  return effects and effects[1], failure
end

describe("a send", function()
  it("has no caps where none are said", function()
    assert.is_nil(send('a = push { body = "x" }').caps)
    assert.is_nil(send('a = push { body = "x" }', 'sms = { 1, per = "day" }').caps)
  end)

  it("has its own, its category's and its channel's", function()
    assert.same({
      { scope = "message a", max = 1, per = "day" }, { scope = "message a", max = 3, per = "month" },
      { scope = "category offers", max = 2, per = "week" }, { scope = "channel push", max = 9, per = "hour" },
    }, send('a = push { body = "x", category = "offers", cap = { { 1, per = "day" }, { 3, per = "month" } } }',
      'push = { 9, per = "hour" }, offers = { 2, per = "week" }').caps)
  end)

  it("may stand outside of its channel's", function()
    assert.is_nil(send('a = push { body = "x", cap = false }', 'push = { 1, per = "day" }').caps)
    assert.same({ { scope = "category offers", max = 2, per = "week" } },
      send('a = push { body = "x", cap = false, category = "offers" }',
        'push = { 1, per = "day" }, offers = { 2, per = "week" }').caps)
  end)

  it("asks a function, each time", function()
    local text = 'a = push { body = "x", cap = function(event) '
      .. 'if event.attributes.vip then return end return { event.attributes.n or 1, per = "day" } end }'
    assert.same({ { scope = "message a", max = 1, per = "day" } }, send(text).caps)
    assert.same({ { scope = "message a", max = 4, per = "day" } }, send(text, "", { attributes = { n = 4 } }).caps)
    assert.is_nil(send(text, "", { attributes = { vip = true } }).caps)
    assert.equal("channel push", send(text, 'push = { 1, per = "day" }', { attributes = { vip = true } }).caps[1].scope)
    local effect, failure = send(text, "", { attributes = { n = "many" } })
    assert.is_nil(effect)
    assert.matches('message a: cap: expected how many as a whole number of 1 or more', failure.message)
  end)

  it("counts under the name that it goes by", function()
    local effect = send('a = push { body = "x", cap = { 1, per = "day" } }, b = push { body = "y" }', "", nil, "b")
    assert.is_nil(effect.caps)
    local rules = support.rules([[hooks = {}, messages = (function()
      local one = push { body = "x", cap = { 1, per = "day" } } return { a = one, b = one } end)(),
      events = { [11] = { function() return { send("a"), send("b") } end } }]])
    local effects = rules.evaluate(support.event(), support.ctx())
    assert.equal("message a", effects[1].caps[1].scope)
    assert.equal("message b", effects[2].caps[1].scope)
  end)
end)
