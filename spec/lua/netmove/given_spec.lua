package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local netmove_given = require "netmove.given"

local function with_file(text, use)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  local ran, wrong = pcall(use, path)
  os.remove(path)
  if not ran then error(wrong, 0) end
end

local sample = netmove_given.rules("spec/fixtures/rules/style_sample.lua")
local given, hold = sample.given, sample.hold
local single = { EventTypeID = 11, CampaignID = 7, ChannelID = 15, TemplateID = 1201, CustomerID = 42 }

-- The message of the failure, and whether it is told of the caller's line.
local function failure(f)
  local ran, message = pcall(f)
  assert.is_false(ran)
  local here, rest = message:match("^[^ ]*spec/lua/netmove/given_spec.lua:%d+: (.*)$")
  assert.is_string(here, message)
  return here, rest
end

describe("given(event)", function()
  it("gives what the rules make of it", function()
    given(single):gives { effect = "send", message = "cart_reminder", to = "42" }
    given { EventTypeID = 11, CampaignID = 7, ChannelID = 15, TemplateID = 9, CustomerID = 42 }
      :gives(hold("template 9 is not mapped"))
    given { name = "LOGIN" }:gives {}
  end)

  it("gives it at a time, on a day, for a recipient", function()
    given(single):at("23:30"):gives { effect = "delay", until_time = "09:00" }
    given(single):at("23:30"):for_a_recipient():gives { effect = "send" }
    local effects, trace = given(single):on("2024-05-04"):effects()
    assert.equal("send", effects[1].effect)
    assert.equal("quiet_between", trace[1].step)
  end)

  it("may be asked again, and leaves the event as it was", function()
    local case = given(single)
    case:gives { effect = "send" }
    case:gives { effect = "send" }
    assert.equal(7, single.CampaignID)
    assert.is_nil(single.attributes)
  end)

  it("fails with what differs, on the line that asked", function()
    assert.equal('got {campaign="7", effect=cancel}, expected campaign="8"', failure(function()
      given { EventTypeID = 4, CampaignID = 7 }:gives { effect = "cancel", campaign = "8" }
    end))
    assert.equal("got no effect, expected one effect", failure(function()
      given { name = "LOGIN" }:gives { effect = "send" }
    end))
  end)

  it("fails on mistakes in the spec itself", function()
    assert.equal('gives: unknown effect "sned" (did you mean "send"?)', failure(function()
      given(single):gives { effect = "sned" }
    end))
    assert.equal('at: expected a time such as "23:30", got "25:00"', failure(function()
      given(single):at("25:00"):gives {}
    end))
    assert.equal('on: expected a date such as "2024-12-31", got "31.12.2024"', failure(function()
      given(single):on("31.12.2024"):effects()
    end))
    assert.equal("given: neither EventTypeID nor name: what event is it?", failure(function()
      given { TemplateID = 1 }:gives {}
    end))
    assert.equal("given: expected an event, got 7", failure(function() given(7) end))
    assert.equal("gives: expected an effect or a list of them, got nil",
      failure(function() given(single):gives() end))
  end)

  it("fails where the rules fail, or says that they should", function()
    local broken = { name = "PURCHASE", extId = "42" }
    assert.matches("style_sample.lua:34: attempt to perform arithmetic",
      failure(function() given(broken):gives {} end))
    given(broken):fails("attempt to perform arithmetic")
    assert.equal('got no error, expected an error with "x"',
      failure(function() given(single):fails("x") end))
  end)
end)

describe("a file of rules", function()
  it("that is not there, or has mistakes, fails with all of them", function()
    assert.matches("nosuch.lua: No such file", failure(function()
      netmove_given.rules("nosuch.lua")
    end))
    with_file("return tenant { name = 7, tempaltes = {} }", function(path)
      local message = failure(function() netmove_given.rules(path) end)
      for _, part in ipairs { "name: expected", 'unknown key "tempaltes"' } do
        assert.matches(part, message, 1, true)
      end
    end)
  end)
end)
