-- track_event { }: an event of the customer's, told to Optimove in real time; all { }.

package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local support = require "support"
local conversions = require "netmove.conversions"

local function track(inside, event)
  event = event or {}
  event.extId = event.extId or "42"
  return support.hook("track_event { " .. inside .. " }", event)
end

local BASE = 'event = "cart_filled", customer = from("extId")'

describe("track_event", function()
  it("gives an event with its context", function()
    local effects = track(BASE .. ', context = { worth = from("attributes.worth"):as("number"), is_new = true, '
      .. 'shop = function(event) return event.attributes.shop:upper() end, none = from("attributes.none") }',
      { time = "2024-05-01T10:11:12Z", attributes = { worth = "99.5", shop = "kadikoy" } })
    assert.same({ {
      effect = "track", event = "cart_filled", customer = "42", timestamp = "2024-05-01 10:11:12.000 UTC",
      context = { worth = 99.5, is_new = true, shop = "KADIKOY" },
    } }, effects)
  end)

  it("takes every part from a function", function()
    local effects = track([[event = function(e) return "did_" .. e.attributes.what end,
      visitor = function() return 7 end, timestamp = function() return 1714558272094 end]],
      { attributes = { what = "this" } })
    assert.same({ {
      effect = "track", event = "did_this", visitor = "7", timestamp = "2024-05-01 10:11:12.094 UTC", context = {},
    } }, effects)
  end)

  it("happened now where nothing says when", function()
    assert.equal("2024-01-15 12:00:00.000 UTC", track(BASE)[1].timestamp)
  end)

  for of, expected in pairs {
    ['event = "x", customer = from("nobody")'] = "track_event: customer: the event has none",
    ['event = from("attributes.what"), customer = from("extId")'] =
      'track_event: event: expected a name such as "cart_filled", got "Cart Filled"',
    [BASE .. ', timestamp = from("attributes.what")'] = 'track_event: timestamp: "Cart Filled" is not a time',
    [BASE .. ', context = { a = from("attributes.long") }'] =
      "track_event: context.a: a text of 256 characters; Optimove takes 255",
    [BASE .. ', context = { a = from("attributes.list") }'] =
      "track_event: context.a: expected a text, number or boolean, got a table",
    [BASE .. ', context = { a = from("attributes.what"):as("number") }'] =
      'track_event: context.a: "Cart Filled" is not a number',
  } do
    it("holds: " .. expected, function()
      assert.same({ { effect = "hold", reason = expected } },
        track(of, { attributes = { what = "Cart Filled", long = ("ü"):rep(256), list = { 1 } } }))
    end)
  end

  it("takes 255 characters, however many bytes they are", function()
    local text = ("ü"):rep(255)
    assert.equal(text, track(BASE .. ', context = { a = from("attributes.a") }',
      { attributes = { a = text } })[1].context.a)
  end)

  it("fails where a function gives what cannot be told", function()
    local effects, failure = track(BASE .. ", context = { a = function() return {} end }")
    assert.is_nil(effects)
    assert.matches("track_event: context.a: expected a text, number or boolean, got a table", failure.message)
  end)

  it("may be returned by a function, with ids as they are", function()
    local effects = support.hook([[function(event)
      return track_event { event = "bought", customer = event.extId, context = { total = event.attributes.total } }
    end]], { extId = "42", attributes = { total = 12 } })
    assert.same({ total = 12 }, effects[1].context)
    assert.equal("42", effects[1].customer)
  end)
end)

describe("all", function()
  it("gives what each of its steps gives, in their order", function()
    local effects = support.hook([[all {
      update_customer { CustomerID = from("extId"), A = 1 },
      function(event) if event.attributes.silent then return end return drop("heard") end,
      { when(from("attributes.vip"), update_customer { CustomerID = from("extId"), VIP = true }),
        track_event { event = "plain", customer = from("extId") } },
    }]], { extId = "42", attributes = { silent = true } })
    assert.equal(2, #effects)
    assert.equal("update", effects[1].effect)
    assert.equal("plain", effects[2].event)
  end)

  it("leaves it to the next step where none of its steps says anything", function()
    local effects = support.hook('{ all { function() end, function() end }, drop("next") }')
    assert.same({ { effect = "drop", reason = "next" } }, effects)
  end)
end)

describe("a moment", function()
  local function instant(y, m, d, h, min, s) return table.concat({ y, m, d, h, min, s }, " ") end
  for value, expected in pairs {
    ["2024-05-01T10:11:12.345Z"] = 1714558272000, ["2024-05-01T13:11:12+03:00"] = 1714558272000,
    ["2024-05-01 10:11:12"] = "2024 5 1 10 11 12", ["2024-05-01 10:11"] = "2024 5 1 10 11 0",
    ["2024-05-01"] = "2024 5 1 0 0 0", ["1714558272094"] = 1714558272094, [1714558272094] = 1714558272094,
    ["2024-02-30 10:11"] = false, ["2024-05-01 25:00"] = false, ["noon"] = false, [12] = false, [true] = false,
  } do
    it("of " .. tostring(value) .. " is " .. tostring(expected), function()
      assert.equal(expected or nil, conversions.moment(value, instant))
    end)
  end

  it("without a zone is in UTC", function()
    assert.equal(1714558272000, conversions.moment("2024-05-01 10:11:12"))
    assert.equal("2024-05-01 10:11:12.000 UTC", conversions.stamp(1714558272000))
    assert.equal("1999-12-31 23:59:59.999 UTC", conversions.stamp(946684799999))
  end)
end)
