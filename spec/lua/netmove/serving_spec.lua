-- The short way and the long way to an effect come to the same.

local cjson = require "cjson"
local support = require "spec.lua.support"

local function decoded(text)
  local json = cjson.new()
  return json.decode(text)
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for key, inner in pairs(value) do out[key] = copy(inner) end
  return out
end

local file = [[
return tenant {
  name = "t",
  messages = {
    plain = push { notification_key = 106, params = { name = "{first_name|friend}" } },
    two = push { title = "{first_name|you}, \"{city|here}\"", body = "Hi {{x}}\n{a.b|}" },
    many = push { title = "{a}{b}{c}{d}", body = "x", data = { n = 1, yes = true, t = "{a|}" } },
    late = sms { text = "{code}", sender = "{s|ACME}", expires_in = hours(2), message_type = "N" },
    typed = sms { text = from("attributes.text"):default("none"), sender = 5 },
    number = push { title = from("attributes.n"):as("number"), body = "b" },
    mapped = push { notification_key = "1", params = { a = from("attributes.a"), b = 1.5 } },
    page = email { subject = "S {name|x}", html = "<b>{name|<i>}</b>" },
    elsewhere = email { subject = "S", text = "t", to = "{address}" },
    made = push { title = function(event) return event.CustomerID .. "!" end, body = "b" },
  },
  channels = { [15] = "push", [16] = "sms", [17] = "email" },
  templates = {
    [1] = "plain", [2] = "two", [3] = "many", [4] = "late", [5] = "typed", [6] = "number",
    [7] = "mapped", [8] = "page", [9] = "elsewhere", [10] = "made",
    in_campaign = { ["9"] = { [1] = "two" } },
  },
  events = {
    [11] = send_template,
    [12] = { quiet_between("22:00", "09:00"), send_template },
    [13] = { quiet_between("22:00", "09:00"), for_each_recipient(send_template) },
    [14] = send("plain"),
    [15] = { function(event) if event.TemplateID == 1 then return drop("one") end end, send_template },
    [16] = { quiet_between("22:00", "09:00"), function(event, ctx)
      event.attributes.first_name = (event.attributes.first_name and "F" or "") .. tostring(ctx.minute)
      if event.TemplateID == 2 then return send("plain", event, ctx) end
      if event.TemplateID == 3 then return { drop("a"), send("plain") } end
      if event.TemplateID == 4 then return send_template end
      if event.TemplateID == 5 then error("five") end
      if event.TemplateID == 6 then return event.nothing.there end
      if event.TemplateID == 7 then event.TemplateID = 1 end
      if event.TemplateID == 8 then event.attributes = nil end
      if event.TemplateID == 9 then event.CustomerID = 5 end
    end, function(event) if event.ChannelID == 18 then return hold("18") end end, send_template },
    [17] = { quiet_between("22:00", "09:00"), for_each_recipient { function(event)
      if event.TemplateID == 2 then return drop("two") end
      event.attributes.city = "C"
    end, send_template } },
    [4] = cancel_campaign,
  },
  hooks = { E = drop("seen") },
}
]]

local attributes = {
  {},
  { first_name = "Ada", city = "\195\135a\"\\\1\n", name = "<&'\">", a = "x", b = 2, c = 2.5, d = true },
  { first_name = "", text = "", code = 7, n = "12.5", address = "a@b.c", a = { b = "deep" } },
  { first_name = { "a", "list" }, text = 3, n = 3, code = "\127/", s = "" },
}

describe("the short way", function()
  local rules = assert(support.load(file))

  local function both(event, at, recipient)
    local ctx = support.ctx { minute = at, recipient = recipient }
    local expected, failure = rules.evaluate(copy(event), copy(ctx))
    local got = table.pack(rules.serve(copy(event), ctx.now_ms, ctx.minute, ctx.weekday, ctx.date,
                                       recipient))
    if type(got[1]) ~= "string" then
      assert.same(expected, got[1])
      if not expected then assert.same(failure.message, got[2].message) end
      return false
    end
    local kind, message, customer, template, campaign, channel_id, content, expires, from, to =
      table.unpack(got, 1, 10)
    local send = expected[1]
    assert.equal(1, #expected)
    assert.same({ "send", send.channel, send.message, send.to, send.customer, send.template, send.campaign,
                  send.channel_id, send.expires_in_ms },
                { "send", kind, message, customer, customer, template, campaign, channel_id, expires })
    assert.same(send.quiet or {}, { from = from, to = to })
    assert.same(send.content, decoded(content))
    return true
  end

  it("comes to what the long way comes to, whatever the event", function()
    local short, long = 0, 0
    for _, type_id in ipairs { 4, 11, 12, 13, 14, 15, 16, 17, 99 } do
      for template = 0, 11 do
        for _, channel in ipairs { 15, 16, 17, 18 } do
          for _, given in ipairs(attributes) do
            for _, at in ipairs { 0, 720, 1400 } do
              for _, recipient in ipairs { false, true } do
                local event = {
                  EventTypeID = type_id, CampaignID = template % 2 == 0 and "9" or "7", CustomerID = "42",
                  ChannelID = channel, TemplateID = template > 0 and template or nil,
                  attributes = copy(given),
                }
                if template == 3 then event.user = { attributes = { a = "theirs", city = "u" } } end
                if both(event, at, recipient) then short = short + 1 else long = long + 1 end
              end
            end
          end
        end
      end
    end
    assert.is_true(short > 1000 and long > 1000, short .. " short, " .. long .. " long")
  end)

  it("is taken for messages with names and fallbacks, on all channels", function()
    for template, channel in pairs { [1] = 15, [2] = 15, [4] = 16, [5] = 16, [8] = 17 } do
      local event = support.event { TemplateID = template, ChannelID = channel }
      assert.is_true(both(event, 720, false), "template " .. template)
    end
  end)

  it("is not taken where an author's function has a say, or an address", function()
    for template, channel in pairs { [9] = 17, [10] = 15, [7] = 15 } do
      local event = support.event { TemplateID = template, ChannelID = channel }
      assert.is_false(both(event, 720, false), "template " .. template)
    end
  end)

  it("is taken behind authors' functions that have nothing to say", function()
    assert.is_true(both(support.event { EventTypeID = 15, TemplateID = 2 }, 720, false))
    assert.is_false(both(support.event { EventTypeID = 15, TemplateID = 1 }, 720, false))
  end)

  it("bears what senders write where a profile would stand", function()
    for _, user in ipairs { 5, "x", { attributes = "x" }, { attributes = { first_name = "U" } } } do
      assert.is_true(both(support.event { TemplateID = 1, user = user }, 720, false))
    end
    assert.is_false(both({ EventTypeID = 11, TemplateID = 1, ChannelID = 15, CustomerID = "1" }, 720, false))
  end)

  it("writes the same JSON for the same event, names in order", function()
    local function content(event)
      return (select(7, rules.serve(event, 0, 720, 1, "2024-01-15", false)))
    end
    local event = support.event { TemplateID = 2 }
    assert.equal('{"body":"Hi {x}\\n","title":"you, \\"here\\""}', content(event))
    event.attributes = { city = "\1" }
    assert.equal('{"body":"Hi {x}\\n","title":"you, \\"\\u0001\\""}', content(event))
  end)

  it("holds an event whose text is not UTF-8 as the long way does", function()
    local event = support.event { TemplateID = 1 }
    event.attributes.first_name = "\255"
    assert.is_table((rules.serve(event, 0, 720, 1, "2024-01-15", false)))
  end)
end)
