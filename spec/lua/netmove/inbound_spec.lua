-- inbound: another program's webhook, made into events.

package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local support = require "support"

local function receive(text, request, name)
  local rules = support.rules("inbound = { it = " .. text .. " }")
  request = request or {}
  request.type, request.name = "INBOUND", name or "it"
  return rules.evaluate(request, support.ctx())
end

local function became(...)
  local effects, failure = receive(...)
  assert(effects, failure and failure.message)
  local events = {}
  for i, effect in ipairs(effects) do
    assert.equal("become", effect.effect)
    events[i] = effect.event
  end
  return events
end

describe("a request", function()
  it("becomes the event that is written, with what its values hold", function()
    assert.same({ { name = "PAID", extId = "42", attributes = { total = 12.5, how = "card", is_new = true } } },
      became([[{ name = "PAID", extId = from("form.user"), nothing = from("query.none"), attributes = {
        total = from("json.total"):as("number"), how = from("query.how"):default("card"), is_new = true,
        none = from("json.none") } }]], { form = { user = "42" }, json = { total = "12.5" } }))
  end)

  it("becomes what a function returns, with values in it, too", function()
    assert.same({ { CustomerID = 42, attributes = { list = { 1, 2 }, upper = "X" } } },
      became([[function(request, ctx)
        assert(ctx.minute == 720)
        return { CustomerID = request.json.id, attributes = { list = from("json.list"),
          upper = function(r) return r.headers["x-a"]:upper() end } }
      end]], { json = { id = 42, list = { 1, 2 } }, headers = { ["x-a"] = "x" } }))
  end)

  it("has its tables, even where it has nothing", function()
    assert.same({ { name = "A", attributes = { empty = "", method = "POST" } } }, became([[function(r)
      assert(not (r.query.a or r.form.a or r.json.a or r.headers.a or r.user or r.attributes))
      return { name = "A", attributes = { empty = r.text, method = r.method } }
    end]]))
  end)

  it("becomes several events, or none with a reason", function()
    assert.same({ { name = "A", extId = "1" }, { name = "B", extId = "2" } },
      became('function() return { { name = "A", extId = "1" }, { name = "B", extId = "2" } } end'))
    assert.same({ { effect = "drop", reason = "a test" } }, receive('function() return drop("a test") end'))
    assert.same({ { effect = "hold", reason = "ask" } }, receive('hold("ask")'))
    assert.same({ { effect = "hold", reason = "inbound it gave no event" } }, receive("function() end"))
    assert.same({ { effect = "hold", reason = 'inbound it: extId: "x" is not a whole number' } },
      receive('{ name = "A", extId = from("query.n"):as("integer") }', { query = { n = "x" } }))
  end)

  it("that nothing is made for is held, with the nearest name", function()
    assert.same({ { effect = "hold", reason = 'no inbound named "its" (did you mean "it"?)' } },
      receive('{ name = "A" }', {}, "its"))
  end)

  for text, wrong in pairs {
    ["function() return 7 end"] = "inbound.it: an inbound function returns an event, a list of events, "
      .. "hold(...) or drop(...); got 7",
    ['function() return { name = "A", attributes = { m = push { body = "x" } } } end'] =
      "inbound.it: attributes.m: expected plain data, got a message",
    ["function() local t = {} t.t = t return t end"] = "tables inside tables, more than 16 deep",
    ["function() local l = {} for i = 1, 201 do l[i] = {} end return l end"] =
      "inbound.it: more than 200 events of one request",
    ["function(r) return r.json.user.id end"] = "attempt to index a nil value",
  } do
    it("fails where its function does: " .. text, function()
      local effects, failure = receive(text)
      assert.is_nil(effects)
      assert.truthy(failure.message:find(wrong, 1, true), failure.message)
    end)
  end

  it("leaves no table behind that could be a list", function()
    assert.same({ { name = "A" } }, became('{ name = "A", attributes = { x = from("json.x") }, changes = {} }'))
  end)
end)

describe("given of a request", function()
  it("is what a tenant's own specs ask", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write('return tenant { name = "t", inbound = { a = { name = "A", extId = from("json.u") } } }')
    file:close()
    local t = require("netmove.given").rules(path)
    os.remove(path)
    t.given { inbound = "a", json = { u = 7 } }:gives { name = "A", extId = 7 }
    t.given { inbound = "b" }:gives { effect = "hold" }
    assert.has_error(function() t.given { inbound = "a", json = { u = 7 } }:gives { extId = 8 } end)
  end)
end)
