package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local netmove = require "netmove"
local support = require "support"

-- What a value inside a rule gives for an event's attributes.
local function value(text, attributes)
  local effects, failure = support.hook("update_customer { CustomerID = 'x', V = " .. text
    .. ", OTHER = 1 }", { attributes = attributes })
  assert(effects, failure.message)
  return effects[1].reason or effects[1].attributes.V
end

describe("joined", function()
  it("makes one text of a list", function()
    assert.equal("a, b, 3", value("from('attributes.l'):joined()", { l = { "a", "b", 3 } }))
    assert.equal("a;b", value("from('attributes.l'):joined(';')", { l = { "a", "", "b" } }))
    assert.equal("one", value("from('attributes.l'):joined()", { l = "one" }))
  end)

  it("has nothing to join in an empty list", function()
    assert.is_nil(value("from('attributes.l'):joined()", { l = {} }))
    assert.equal("none", value("from('attributes.l'):joined():default('none')", { l = {} }))
    assert.is_nil(value("from('attributes.l'):joined()", {}))
  end)

  it("holds lists of lists, and lists without end", function()
    assert.equal("update_customer: V: a list that holds a table",
      value("from('attributes.l'):joined()", { l = { {} } }))
    local long = {}
    for i = 1, 1001 do long[i] = i end
    assert.equal("update_customer: V: a list of more than 1000 values",
      value("from('attributes.l'):joined()", { l = long }))
  end)
end)

describe("renamed", function()
  it("gives other names to what is found", function()
    local text = "from('attributes.t'):renamed { g = 'GOLD', s = 'SILVER', ['3'] = 30, [true] = 1 }"
    assert.equal("GOLD", value(text, { t = "g" }))
    assert.equal(30, value(text, { t = "3" }))
    assert.equal(30, value(text, { t = 3 }))
    assert.equal(1, value(text, { t = true }))
  end)

  it("counts the others as nothing", function()
    assert.is_nil(value("from('attributes.t'):renamed { g = 'GOLD' }", { t = "x" }))
    assert.equal("OTHER",
      value("from('attributes.t'):renamed { g = 'GOLD' }:default('OTHER')", { t = "x" }))
    assert.equal("OTHER",
      value("from('attributes.t'):default('OTHER'):renamed { g = 'GOLD' }", {}))
  end)
end)

describe("operations", function()
  it("are done in the order in which they stand", function()
    assert.equal("many", value("from('attributes.n'):as('integer'):renamed { [7] = 'many' }",
      { n = "7.0" }))
    assert.equal(7, value("from('attributes.n'):renamed { x = '7' }:as('integer')", { n = "x" }))
  end)

  it("leave the value that they start from as it is", function()
    local rules = assert(support.load [[
local n = from("attributes.n")
local a, b = n:renamed { x = "A" }, n:joined()
return tenant { name = "t", hooks = { E = update_customer { CustomerID = "1", A = a, B = b, N = n } } }]])
    assert.same({ A = "A", B = "x", N = "x" },
      rules.evaluate({ name = "E", attributes = { n = "x" } }, support.ctx())[1].attributes)
  end)
end)

describe("a date", function()
  -- A zone three hours ahead, as the daemon would tell it.
  local host = {
    known_zone = support.host.known_zone,
    zone_date = function(zone, ms)
      if zone ~= "Europe/Istanbul" or math.type(ms) ~= "integer" then error("asked wrongly") end
      return os.date("!%Y-%m-%d", ms // 1000 + 3 * 3600)
    end,
  }
  local function day(time, with)
    local rules = assert(netmove.load([[return tenant { name = "t", time_zone = "Europe/Istanbul",
      hooks = { E = update_customer { CustomerID = "1", D = from("time"):as("date") } } }]], "t.lua",
      with or host))
    return rules.evaluate({ name = "E", time = time }, support.ctx())[1].attributes.D
  end

  for time, expected in pairs {
    ["2024-05-01T20:59:59Z"] = "2024-05-01", ["2024-05-01T21:00:00Z"] = "2024-05-02",
    ["2024-05-01T21:00:00.123Z"] = "2024-05-02", ["2024-05-01T23:59+03:00"] = "2024-05-01",
    ["2024-05-01T23:59:59+0300"] = "2024-05-01", ["2024-05-01T23:59:59-05"] = "2024-05-02",
    ["2023-12-31T22:00:00Z"] = "2024-01-01", ["2024-02-28T21:00:00Z"] = "2024-02-29",
    ["2024-05-01T23:30:00"] = "2024-05-01", ["2024-05-01 23:30:00"] = "2024-05-01",
    ["2024-05-01"] = "2024-05-01", ["1714597200000"] = "2024-05-02",
  } do
    it("of " .. time .. " is that of the tenant's zone", function()
      assert.equal(expected, day(time))
    end)
  end

  it("of milliseconds is, too", function()
    assert.equal("2024-05-02", day(1714597200000))
    assert.equal("2024-05-02", day(1714597200000.5))
  end)

  it("is the one written where the host tells no zones", function()
    assert.equal("2024-05-01", day("2024-05-01T23:30:00Z", support.host))
    assert.equal("2024-05-01", day(1714597200000, support.host))
  end)
end)
