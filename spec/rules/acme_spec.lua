-- The tenant that the quickstart plays: as a tenant's own specs would say it.

package.path = "lua/?.lua;" .. package.path

local acme = require("netmove.given").rules("rules/acme.lua")
local given, hold, drop = acme.given, acme.hold, acme.drop

local function single(more)
  local event = {
    EventTypeID = 11, CampaignID = 7, ChannelID = 459, TemplateID = 1201, CustomerID = "42",
  }
  for key, value in pairs(more or {}) do event[key] = value end
  return event
end

local function purchase(attributes)
  return { name = "PURCHASE", extId = "42", time = "2024-05-01T10:11:12Z", attributes = attributes }
end

describe("rules/acme.lua", function()
  it("says what it is", function()
    assert.equal("acme", acme.rules.name)
    assert.same({ [459] = "push", [481] = "sms" }, acme.rules.channels)
    assert.same({ 4, 11, 13 }, acme.rules.event_types)
    assert.is_true(acme.rules.examples >= 7)
  end)

  it("sends by Netmera's definitions, with nothing missing, whatever is known of a customer", function()
    for template, name in pairs(acme.rules.templates) do
      local channel = acme.rules.messages[name] == "push" and 459 or 481
      local effects = given(single { TemplateID = template, ChannelID = channel }):effects()
      assert.equal("send", effects[1].effect)
      assert.is_string(effects[1].content.notification_key)
      assert.is_nil(effects[1].missing)
    end
  end)

  it("sends at every hour: the quickstart is played at night, too", function()
    for hour = 0, 23 do
      local case = given(single()):at(("%02d:00"):format(hour))
      case:gives { effect = "send" }
      assert.is_nil(case:effects()[1].quiet)
    end
  end)

  it("makes one push of each recipient of a campaign", function()
    given(single { EventTypeID = 13, attributes = { first_name = "Ada" } }):for_a_recipient()
      :gives { effect = "send", to = "42", content = { params = { name = "Ada" } } }
  end)

  it("holds what it does not know", function()
    given(single { TemplateID = 9999 }):gives(hold("template 9999 is not mapped"))
    given(single { ChannelID = 481 }):gives(hold("message welcome is a push, channel 481 is sms"))
    given { EventTypeID = 99, CampaignID = 7 }:gives(hold("event type 99 is not routed"))
  end)

  for total, size in pairs { [0] = "small", [100] = "medium", [499.99] = "medium", [500] = "large" } do
    it("calls a basket of " .. total .. " " .. size, function()
      given(purchase { total = total }):gives { effect = "update",
        attributes = { BASKET_SIZE = size, FAVOURITE_STORE = "online" } }
    end)
  end

  it("has nothing to tell of a change that Optimove does not keep", function()
    given { name = "PROFILE_ATTRIBUTE_CHANGE", extId = "42", changes = { shoe_size = 39 } }
      :gives(drop("nothing to update"))
  end)
end)
