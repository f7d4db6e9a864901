-- Where each value came from, as explain tells it.

package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local support = require "support"

local function explain(rules, event, more)
  local ctx = support.ctx(more)
  ctx.explain = true
  local effects, trace = rules.evaluate(event, ctx)
  return trace, effects
end

local function by_name(mark)
  local found = {}
  for _, row in ipairs(mark.values or {}) do found[row.name] = row end
  return found
end

describe("a trace that is explained", function()
  it("has the place of each step, and the values of the one that answered", function()
    local rules = assert(support.load(support.read("spec/fixtures/rules/style_sample.lua"), "rules/acme.lua"))
    local trace = explain(rules, support.event {
      attributes = { first_name = "Ada" }, user = { attributes = { first_name = "Not she" } },
    })
    assert.same({ "rules/acme.lua:23", "rules/acme.lua:27", "rules/acme.lua: events[11][3]" },
      { trace[1].at, trace[2].at, trace[3].at })
    local values = by_name(trace[3])
    assert.same({ name = "title {first_name}", value = "Ada", from = "event", path = "attributes.first_name" },
      values["title {first_name}"])
    assert.same({ name = "body {cart.count}", from = "nothing" }, values["body {cart.count}"])
    assert.same({ name = "title", value = "Ada, your cart is waiting", from = "rules" }, values.title)
    assert.is_nil(trace[1].values)
  end)

  it("tells values of every kind", function()
    local rules = support.rules([[hooks = { E = update_customer { CustomerID = from("extId"),
      A = from("user.attributes.a"):as("integer"), B = from("attributes.b"):default("x"), C = 7,
      D = function(event) return event.attributes.d end, F = from("attributes.none"),
      G = one_of(from("attributes.d"), "y"), H = from("attributes.l"):joined("+"):renamed { ["1+2"] = "both" },
      I = function() error("no") end == nil, renamed("changes", { j = "J", k = "K" }) } }]])
    local values = by_name(explain(rules, { name = "E", extId = "42", attributes = { d = "y", l = { 1, 2 } },
      changes = { j = true }, user = { attributes = { a = "8" } } })[1])
    assert.same({ name = "A", value = 8, from = "profile", path = "user.attributes.a", as = "as integer" }, values.A)
    assert.same({ name = "B", value = "x", from = "default", path = "attributes.b" }, values.B)
    assert.same({ name = "C", value = 7, from = "rules" }, values.C)
    assert.same({ name = "D", value = "y", from = "function", at = "t.lua:3" }, values.D)
    assert.same({ name = "F", from = "nothing", path = "attributes.none" }, values.F)
    assert.same({ name = "G", value = true, from = "event", path = "attributes.d", as = "a condition" }, values.G)
    assert.equal("both", values.H.value)
    assert.equal("joined, renamed", values.H.as)
    assert.same({ name = "J", value = true, from = "event", path = "changes.j", as = "renamed" }, values.J)
    assert.is_nil(values.K)
  end)

  it("tells the parts of several messages apart", function()
    local rules = support.rules([[messages = { a = push { body = "A" }, b = sms { text = "B" } },
      events = { [11] = function() return { send("a"), send("b") } end }]])
    local trace, effects = explain(rules, support.event())
    assert.equal(2, #effects)
    assert.equal("send", trace[#trace].step)
    assert.is_truthy(by_name(trace[#trace])["a.body"])
    assert.is_truthy(by_name(trace[#trace])["b.text"])
  end)

  it("holds nothing of ours, and rules see nothing of it", function()
    local rules = support.rules([[events = { [11] = function(event, ctx)
      return drop(tostring(ctx.explain)) end }]])
    local trace, effects = explain(rules, support.event())
    assert.equal("nil", effects[1].reason)
    for _, mark in ipairs(trace) do assert.is_nil(mark.of) end
  end)

  it("gives the same effects as without", function()
    local rules = assert(support.load(support.read("spec/fixtures/rules/style_sample.lua"), "rules/acme.lua"))
    local _, explained = explain(rules, support.event())
    assert.same((rules.evaluate(support.event(), support.ctx())), explained)
  end)
end)
