package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local support = require "support"

local ctx, event = support.ctx, support.event

local rules = support.rules [[
  messages = {
    welcome = push { body = "w" }, cart = push { body = "c" }, spring = push { body = "s" },
    spring_cart = push { body = "sc" }, plain = push { body = "p" },
    welcome_sms = sms { text = "w" }, plain_sms = sms { text = "p" }, spring_sms = sms { text = "s" },
    mail = email { subject = "m", text = "m" },
  },
  channels = { [15] = "push", [16] = "sms", [17] = "email" },
  templates = {
    [1] = "welcome",
    [2] = "cart",
    on_channel = {
      [16] = { [1] = "welcome_sms", default = "plain_sms" },
      [17] = "mail",
    },
    in_campaign = {
      ["7"] = { [2] = "spring_cart", default = "spring", on_channel = { [16] = "spring_sms" } },
      [8] = { [1] = "cart" },
    },
    default = "plain",
  },
  events = { [11] = send_template },
]]

describe("a template stands for a message", function()
  local function message(template, channel, campaign)
    local effects = rules.evaluate(
      event { TemplateID = template, ChannelID = channel, CampaignID = campaign }, ctx())
    return effects[1].message or effects[1].reason
  end

  for _, case in ipairs {
    { "by its number", 1, 15, "1", "welcome" },
    { "by its number on that channel", 1, 16, "1", "welcome_sms" },
    { "by what the channel has for the others", 2, 16, "1", "plain_sms" },
    { "by the one that a channel always has", 1, 17, "1", "mail" },
    { "by its number in that campaign", 2, 15, "7", "spring_cart" },
    { "by what the campaign has for the others", 1, 15, "7", "spring" },
    { "by what the campaign has on that channel", 2, 16, "7", "spring_sms" },
    { "by a campaign whose number is written as a number", 1, 15, "8", "cart" },
    { "by its own number where the campaign says nothing", 2, 15, "8", "cart" },
    { "by its channel where the campaign says nothing", 2, 16, "8", "plain_sms" },
    { "by the default", 99, 15, "1", "plain" },
    { "but only on its channel", 1, 99, "1", "channel 99 is not known" },
  } do
    it(case[1], function() assert.equal(case[5], message(case[2], case[3], case[4])) end)
  end

  it("never where the event names none", function()
    local given = event()
    given.TemplateID = nil
    assert.equal("the event names no TemplateID", rules.evaluate(given, ctx())[1].reason)
  end)

  it("and all numbers are told, once, for whoever keeps them in step", function()
    assert.same({ [1] = "welcome", [2] = "cart" }, rules.templates)
    local nested = support.rules [[messages = { a = push { body = "x" } }, channels = { [15] = "push" },
      templates = { on_channel = { [15] = { [5] = "a" } }, in_campaign = { c = { [6] = "a" } } }]]
    assert.same({ [5] = "a", [6] = "a" }, nested.templates)
  end)
end)
