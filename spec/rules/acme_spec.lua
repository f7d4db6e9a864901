-- The tenant that the quickstart plays.

package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local netmove = require "netmove"
local support = require "support"

local ctx = support.ctx

local function acme()
  return assert(netmove.load(support.read("rules/acme.lua"), "rules/acme.lua", support.host))
end

describe("rules/acme.lua", function()
  it("proves itself", function()
    local rules = acme()
    assert.equal("acme", rules.name)
    assert.same({ [459] = "push", [481] = "sms" }, rules.channels)
    assert.same({ 4, 11, 13 }, rules.event_types)
    assert.is_true(rules.examples >= 7)
  end)

  it("sends by Netmera's definitions, with nothing missing, whatever is known of a customer", function()
    local rules = acme()
    for template, name in pairs(rules.templates) do
      local channel = rules.messages[name] == "push" and 459 or 481
      local effects = rules.evaluate(support.event { TemplateID = template, ChannelID = channel }, ctx())
      assert.equal("send", effects[1].effect)
      assert.is_string(effects[1].content.notification_key)
      assert.is_nil(effects[1].missing)
    end
  end)

  it("sends at every hour: the quickstart is played at night, too", function()
    for minute = 0, 1439, 60 do
      local effects = acme().evaluate(support.event { ChannelID = 459 }, ctx { minute = minute })
      assert.equal("send", effects[1].effect)
      assert.is_nil(effects[1].quiet)
    end
  end)

  it("makes one push of each recipient of a campaign", function()
    local effects = acme().evaluate(
      support.event { EventTypeID = 13, ChannelID = 459, attributes = { first_name = "Ada" } },
      ctx { recipient = true })
    assert.same({ "42", "Ada" }, { effects[1].to, effects[1].content.params.name })
  end)

  for total, size in pairs { [0] = "small", [100] = "medium", [499.99] = "medium", [500] = "large" } do
    it("calls a basket of " .. total .. " " .. size, function()
      local effects = acme().evaluate({ type = "EVENT", name = "PURCHASE", extId = "42",
        time = "2024-05-01T10:11:12Z", attributes = { total = total } }, ctx())
      assert.equal(size, effects[1].attributes.BASKET_SIZE)
      assert.equal("online", effects[1].attributes.FAVOURITE_STORE)
    end)
  end
end)
