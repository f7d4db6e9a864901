-- Loading and evaluating as the C side does.

package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local netmove = require "netmove"
local support = require "support"

local ctx, event = support.ctx, support.event

local function sample()
  return assert(netmove.load(support.read("spec/fixtures/rules/style_sample.lua"),
    "rules/acme.lua", support.host))
end

describe("the sample tenant of the house style", function()
  it("loads unchanged and passes its five examples", function()
    assert.equal(5, sample().examples)
  end)

  it("tells what must be synchronised and compared", function()
    local rules = sample()
    assert.equal("acme", rules.name)
    assert.equal("Europe/Istanbul", rules.time_zone)
    assert.same({ [15] = "push", [16] = "sms", [17] = "email" }, rules.channels)
    assert.same({ [1201] = "cart_reminder", [1202] = "order_shipped", [1203] = "win_back" },
      rules.templates)
    assert.same({ cart_reminder = "push", order_shipped = "sms", win_back = "email" },
      rules.messages)
    assert.same({ "CART_ABANDONED", "PROFILE_ATTRIBUTE_CHANGE", "PURCHASE" }, rules.hooks_named)
    assert.same({ 4, 11, 13 }, rules.event_types)
  end)

  it("sends one push, rendered, with its quiet hours", function()
    local effects, trace = sample().evaluate(
      event { attributes = { first_name = "Ada", cart = { count = 3 } } }, ctx())
    assert.same({
      {
        effect = "send", channel = "push", message = "cart_reminder", to = "42", customer = "42",
        template = 1201, campaign = "7", channel_id = 15, expires_in_ms = 21600000,
        quiet = { from = 1320, to = 540 },
        content = {
          title = "Ada, your cart is waiting",
          body = "3 items, kept until tonight.",
          opens = "acme://cart?campaign=7",
        },
      },
    }, effects)
    assert.same({
      { step = "quiet_between", index = 1, answered = false, line = 23 },
      { step = "function", index = 2, answered = false, line = 27 },
      { step = "send_template", index = 3, answered = true },
    }, trace)
  end)

  it("sends two messages where its function says so", function()
    local effects = sample().evaluate(
      event { TemplateID = 1203, attributes = { tier = "gold" } }, ctx())
    assert.equal(2, #effects)
    assert.equal("email", effects[1].channel)
    assert.equal("push", effects[2].channel)
    assert.same({ from = 1320, to = 540 }, effects[2].quiet)
  end)

  it("expands a campaign, and sends to each of its recipients, at night too", function()
    local notice = event { EventTypeID = 13, TemplateID = nil, CustomerID = nil }
    notice.TemplateID, notice.CustomerID = nil, nil
    assert.same(
      { { effect = "expand", campaign = "7", channel_id = 15, quiet = { from = 1320, to = 540 } } },
      (sample().evaluate(notice, ctx())))
    local effects, trace = sample().evaluate(event { EventTypeID = 13 },
      ctx { recipient = true, minute = 1400 })
    assert.equal("send", effects[1].effect)
    assert.same({ from = 1320, to = 540 }, effects[1].quiet)
    assert.equal("send_template", trace[3].step)
  end)

  it("makes updates of hook events", function()
    local effects = sample().evaluate({
      type = "EVENT", name = "PURCHASE", extId = "42", time = "2024-05-01T10:11:12Z",
      attributes = {},
      user = { attributes = { recency = 4, frequency = 4, monetary = 5, total_spent = "99.5" } },
    }, ctx())
    assert.same({
      { effect = "update", customer = "42", attributes = {
        LAST_PURCHASE_DATE = "2024-05-01", LIFETIME_VALUE = 99.5, FAVOURITE_STORE = "online",
        RFM_SEGMENT = "champion",
      } },
    }, effects)
  end)

  it("runs the step that a hook's function returns", function()
    local function cart(price)
      return sample().evaluate({ type = "EVENT", name = "CART_ABANDONED", extId = "42",
        attributes = { lines = { { price = price, quantity = 2 } } } }, ctx())
    end
    assert.same({ { effect = "drop", reason = "too small to mention" } }, (cart(10)))
    local effects, trace = cart(30)
    assert.same({ effect = "update", customer = "42", attributes = { CART_VALUE = 60 } }, effects[1])
    assert.same({ "function", "update_customer" }, { trace[1].step, trace[2].step })
    assert.is_true(trace[1].answered and trace[2].answered)
  end)

  it("says where its function failed, without a traceback", function()
    local effects, failure = sample().evaluate({ name = "PURCHASE", extId = "42" }, ctx())
    assert.is_nil(effects)
    assert.equal(1, failure.step)
    assert.equal("rules/acme.lua:34: attempt to perform arithmetic on a nil value "
      .. "(field 'recency')", failure.message)
  end)
end)

describe("evaluate", function()
  it("holds an event type that is not routed", function()
    assert.same({ { effect = "hold", reason = "event type 99 is not routed" } },
      (sample().evaluate(event { EventTypeID = 99 }, ctx())))
  end)

  it("gives nothing for a hook event without a rule, and says so", function()
    local effects, trace = sample().evaluate({ type = "EVENT", name = "LOGIN" }, ctx())
    assert.same({}, effects)
    assert.equal("no rule named LOGIN", trace[1].step)
  end)

  it("routes message logs and profile changes by name", function()
    local rules = support.rules([[hooks = {
      MESSAGE_LOG = function() return drop("log") end,
      PROFILE_ATTRIBUTE_CHANGE = function() return drop("profile") end,
    }]])
    local log = rules.evaluate({ type = "MESSAGE_LOG", name = "MESSAGE_LOG" }, ctx())
    assert.equal("log", log[1].reason)
    local profile = rules.evaluate({ type = "PROFILE", name = "PROFILE_ATTRIBUTE_CHANGE" }, ctx())
    assert.equal("profile", profile[1].reason)
  end)

  it("holds where no step answered; false counts as nothing", function()
    assert.same({ { effect = "hold", reason = "no step answered" } },
      (support.hook("{ function() end, function() return false end }")))
  end)

  it("gives functions the tables that they may count on", function()
    local effects = support.hook([[function(event)
      return drop(type(event.user.attributes) .. type(event.attributes) .. type(event.changes))
    end]])
    assert.equal("tabletabletable", effects[1].reason)
  end)

  it("gives functions the time in ctx", function()
    local effects = support.hook(
      "function(_, ctx) return drop(ctx.date .. ctx.weekday .. ctx.minute) end")
    assert.equal("2024-01-151720", effects[1].reason)
  end)

  it("gives the same effects each time", function()
    local rules = sample()
    local first = rules.evaluate(event(), ctx())
    rules.evaluate(event { EventTypeID = 13 }, ctx { minute = 1400 })
    assert.same(first, (rules.evaluate(event(), ctx())))
  end)

  it("keeps two loaded files apart", function()
    local a = support.rules('hooks = { E = function() return drop("a") end }')
    local b = support.rules('hooks = { E = function() return drop("b") end }')
    assert.equal("a", a.evaluate({ name = "E" }, ctx())[1].reason)
    assert.equal("b", b.evaluate({ name = "E" }, ctx())[1].reason)
  end)

  it("leaves texts as they were for whoever shares the state", function()
    support.hook("function() error('x') end")
    assert.equal(1, ("abc"):find("a"))
    assert.is_table(getmetatable(""))
  end)
end)

-- The daemon's state has neither io, os, debug nor coroutines, and texts without methods.
describe("a bare state", function()
  it("is enough", function()
    local script = [[
package.path = "lua/?.lua;" .. package.path
local read, exit, out = io.open, os.exit, print
local source = read("spec/fixtures/rules/style_sample.lua"):read("a")
require "cjson"
io, os, debug, coroutine = nil, nil, nil, nil
package.loadlib = nil
getmetatable("").__index = nil
local netmove = require "netmove"
local rules, mistakes = netmove.load(source, "x", {})
if not rules then out(netmove.format_problem("x", mistakes[1])) exit(1) end
local broken = string.gsub(source, "1201", "'x'")
local _, found = netmove.load(broken, "x", {})
out(#rules.evaluate({ EventTypeID = 4, CampaignID = "7" }, { minute = 1 }), #found)
]]
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(script)
    file:close()
    local pipe = io.popen("lua5.4 " .. path .. " 2>&1")
    local answer = pipe:read("a")
    pipe:close()
    os.remove(path)
    assert.equal("1\t3\n", answer)
  end)
end)
