-- Wherever a value is expected a plain function of the event will do.

package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local support = require "support"
local messages = require "netmove.messages"

-- What a function may give for a field, by its kind, as an author writes it.
local written = {
  text = '"text of " .. event.CustomerID', html = '"<b>" .. event.CustomerID .. "</b>"', key = '"106"',
  map = '{ a = event.CustomerID }', address = '"to-" .. event.CustomerID', duration = "hours(2)",
  flag = "false", caps = '{ 2, per = "day" }',
}
local gives = {
  text = "text of 42", html = "<b>42</b>", key = "106", map = { a = "42" }, flag = false,
}
local choices = { message_type = "N", recipient_type = "B" }
local enough = {
  push = 'body = "x", notification_key = "1"', sms = 'text = "x", notification_key = "1"',
  email = 'subject = "x", text = "x", notification_key = "1"',
}

local function send(kind, name, value)
  local parts = {}
  for part in enough[kind]:gmatch("[%w_]+ = %b\"\"") do
    if not part:find("^" .. name .. " ") then parts[#parts + 1] = part end
  end
  parts[#parts + 1] = name .. " = function(event, ctx) assert(ctx.minute == 720) return " .. value .. " end"
  local rules = support.rules("messages = { m = " .. kind .. " { " .. table.concat(parts, ", ") .. " } }, "
    .. 'events = { [11] = send("m") }')
  local effects, failure = rules.evaluate(support.event(), support.ctx())
  assert(effects, failure and failure.message)
  return effects[1]
end

describe("a function", function()
  for kind, fields in pairs(messages.fields) do
    for _, field in ipairs(fields) do
      local name, of = field[1], field[2]
      if name ~= "category" then -- a name, known when the file is read
        it("stands for " .. name .. " of " .. kind, function()
          local effect = send(kind, name, choices[name] and '"' .. choices[name] .. '"' or written[of])
          assert.equal("send", effect.effect, effect.reason)
          if name == "to" then
            assert.equal("to-42", effect.to)
          elseif name == "expires_in" then
            assert.equal(7200000, effect.expires_in_ms)
          elseif name == "cap" then
            assert.same({ { scope = "message m", max = 2, per = "day" } }, effect.caps)
          else
            assert.same(choices[name] or gives[of], effect.content[name])
          end
        end)
      end
    end
  end

  it("stands for each value of data and params, of updates, of real-time events, and behind default", function()
    local rules = support.rules([[
      messages = { m = push { body = "x", notification_key = "1", data = { a = function(e) return e.CustomerID end },
        params = { b = function(e) return e.TemplateID end } } },
      events = { [11] = send("m") },
      hooks = {
        U = update_customer { CustomerID = function(e) return e.extId end, A = function(e) return e.attributes.n end,
          B = from("attributes.none"):default(function(e) return e.extId .. "!" end) },
        T = track_event { event = function() return "it" end, customer = function(e) return e.extId end,
          context = { n = function(e) return e.attributes.n end } },
      },
      inbound = { i = { name = function(r) return r.query.n end, extId = function() return "7" end } }]])
    local effect = rules.evaluate(support.event(), support.ctx())[1]
    assert.same({ a = "42" }, effect.content.data)
    assert.same({ b = 1201 }, effect.content.params)
    effect = rules.evaluate({ name = "U", extId = "7", attributes = { n = 3 } }, support.ctx())[1]
    assert.same({ A = 3, B = "7!" }, effect.attributes)
    effect = rules.evaluate({ name = "T", extId = "7", attributes = { n = 3 } }, support.ctx())[1]
    assert.same({ n = 3 }, effect.context)
    effect = rules.evaluate({ type = "INBOUND", name = "i", query = { n = "N" } }, support.ctx())[1]
    assert.same({ name = "N", extId = "7" }, effect.event)
  end)

  it("stands for a condition, and for what a condition looks at", function()
    local rules = support.rules([[events = {
      [1] = { when(function(e) return e.CustomerID == "42" end, drop("a")), drop("b") },
      [2] = { when(one_of(function(e) return e.CustomerID end, "42"), drop("a")), drop("b") },
      [3] = { when(starts_with(function(e) return e.CustomerID end, "4"), drop("a")), drop("b") },
      [4] = { when(matches(function(e) return e.CustomerID end, "%d+"), drop("a")), drop("b") },
    }]])
    for type_id = 1, 4 do
      local effects = rules.evaluate(support.event { EventTypeID = type_id }, support.ctx())
      assert.equal("a", effects[1].reason)
      effects = rules.evaluate(support.event { EventTypeID = type_id, CustomerID = "x" }, support.ctx())
      assert.equal("b", effects[1].reason)
    end
  end)
end)
