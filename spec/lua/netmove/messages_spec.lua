package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local support = require "support"

local event, ctx = support.event, support.ctx

-- What `send_template` makes of one message.
local function send(message, more, of)
  local rules = support.rules("messages = { m = " .. message .. " }, templates = { [1201] = 'm' }, "
    .. "channels = { [15] = 'push', [16] = 'sms', [17] = 'email' }, events = { [11] = send_template }")
  local given = event(more)
  given.ChannelID = ({ push = 15, sms = 16, email = 17 })[of or "push"]
  local effects, failure = rules.evaluate(given, ctx())
  return effects and effects[1], failure
end

describe("a push", function()
  it("carries its own content", function()
    local effect = send([[push { title = "Hi {n}", body = "b", opens = "x://{CampaignID}",
      data = { id = "{CampaignID}", n = 3, flag = true, price = from("attributes.price") } }]],
      { attributes = { n = "Ada", price = 9.5 } })
    assert.same({
      title = "Hi Ada", body = "b", opens = "x://7",
      data = { id = "7", n = 3, flag = true, price = 9.5 },
    }, effect.content)
  end)

  it("or names a Netmera definition", function()
    local effect = send([[push { notification_key = 106, params = { name = "{n|friend}" } }]])
    assert.same({ notification_key = "106", params = { name = "friend" } }, effect.content)
  end)

  it("or both, for a second provider", function()
    local effect = send([[push { notification_key = "106", body = "b" }]])
    assert.same({ notification_key = "106", body = "b" }, effect.content)
  end)

  it("expires after a time", function()
    assert.equal(21600000, send("push { body = 'x', expires_in = hours(6) }").expires_in_ms)
    assert.equal(5400000,
      send("push { body = 'x', expires_in = hours(1) + minutes(30) }").expires_in_ms)
    assert.equal(172800000,
      send("push { body = 'x', expires_in = function() return days(2) end }").expires_in_ms)
  end)
end)

describe("an sms", function()
  it("carries its consent letters", function()
    local effect = send([[sms { text = "x", sender = "ACME", message_type = "C",
      recipient_type = "B" }]], nil, "sms")
    assert.same({ text = "x", sender = "ACME", message_type = "C", recipient_type = "B" },
      effect.content)
    effect = send("sms { text = 'x', message_type = function() return 'N' end }", nil, "sms")
    assert.equal("N", effect.content.message_type)
    local _, failure = send("sms { text = 'x', message_type = function() return 'K' end }", nil, "sms")
    assert.equal('t.lua: events[11]: message m: message_type: expected "C" or "N", got "K"',
      failure.message)
  end)
end)

describe("an email", function()
  it("escapes values in its HTML only", function()
    local effect = send([[email { subject = "{n}", text = "{n}", html = "<b>{n}</b>",
      unsubscribe = false }]], { attributes = { n = "<Ada>" } }, "email")
    assert.same({ subject = "<Ada>", text = "<Ada>", html = "<b>&lt;Ada&gt;</b>",
      unsubscribe = false }, effect.content)
  end)

  it("may be a file", function()
    assert.equal("a.html", send("email { subject = 'x', view = 'a.html' }", nil, "email").content.view)
  end)
end)

describe("to", function()
  it("is the customer unless the message says otherwise", function()
    local plain = send("push { body = 'x' }")
    assert.same({ "42", "42" }, { plain.to, plain.customer })
    local other = send("push { body = 'x', to = '+{phone}' }", { attributes = { phone = 905551112233 } })
    assert.same({ "+905551112233", "42" }, { other.to, other.customer })
  end)

  it("holds rather than using half an address", function()
    assert.same({ effect = "hold", reason = "no value for {phone} in message m" },
      send("push { body = 'x', to = '+90{phone}' }"))
  end)

  it("holds where there is nobody", function()
    assert.same({ effect = "hold",
      reason = "message m has nobody to go to: the event has no CustomerID" },
      send("push { body = 'x' }", { CustomerID = "" }))
  end)
end)

describe("a value in a message", function()
  it("that a text misses is empty, and noted", function()
    local effect = send("push { title = '{a}!', body = 'x', data = { b = '{b}' } }")
    assert.equal("!", effect.content.title)
    assert.same({ "a", "b" }, effect.missing)
    assert.is_nil(send("push { body = 'x' }").missing)
  end)

  it("that `from` misses holds the event", function()
    assert.same({ effect = "hold", reason = "no value for attributes.x in message m" },
      send("push { body = from('attributes.x') }"))
    assert.equal("d", send("push { body = from('attributes.x'):default('d') }").content.body)
  end)

  it("that cannot be converted holds the event", function()
    assert.same({ effect = "hold", reason = '"abc" is not a number in message m' },
      send("push { body = 'x', data = { a = from('attributes.x'):as('number') } }",
        { attributes = { x = "abc" } }))
  end)

  it("may be a function of the event", function()
    local effect = send([[push {
      title = function(event, ctx) return event.CampaignID .. "/" .. ctx.date end,
      body = function() return 7 end,
      opens = function() end,
      data = function() return { a = 1 } end,
    }]])
    assert.same({ title = "7/2024-01-15", body = "7", data = { a = 1 } }, effect.content)
  end)

  for fields, wrong in pairs {
    ["body = function() return {} end"] = "message m: body: expected a text, got a table",
    ["body = 'x', expires_in = function() return 3 end"] =
      "message m: expires_in: expected a time such as hours(6), a minute or more, got 3",
    ["body = 'x', data = function() return 3 end"] =
      "message m: data: expected a table of names and values, got 3",
    ["body = 'x', data = function() return { 1 } end"] =
      "message m: data: expected a table of names and values, got a table",
    ["body = 'x', data = function() return { a = {} } end"] =
      "message m: data: expected a table of names and values, got a table",
    ["body = 'x', data = { a = function() return {} end }"] =
      "data.a: expected a text, number or boolean, got a table",
  } do
    it("that a function gave is checked: " .. fields, function()
      local effect, failure = send("push { " .. fields .. " }")
      assert.is_nil(effect)
      assert.equal("t.lua: events[11]: " .. wrong, failure.message)
    end)
  end
end)
