-- What an author holds (values, messages, steps) are tables of ours that he can look into.  Files are
-- proven one after the other in one state: nothing that he can reach may be shared with the next.

local netmove = require "netmove"
local support = require "spec.lua.support"
local words = require "netmove.words"

-- Every table that the library's modules reach, by fields, upvalues and metatables.
local function of_library()
  local found, seen = {}, {}
  local function look(value, path)
    if type(value) == "table" then
      if found[value] then return end
      found[value] = path
      for key, inner in next, value do
        look(key, path .. ".key")
        look(inner, path .. "." .. tostring(key))
      end
      look(debug.getmetatable(value), path .. ".mt")
    elseif type(value) == "function" and not seen[value] then
      seen[value] = true
      for i = 1, 255 do
        local name, inner = debug.getupvalue(value, i)
        if not name then break end
        if name ~= "_ENV" then look(inner, path .. "^" .. name) end
      end
    end
  end
  found[_G] = "_G"
  for name, module in pairs(package.loaded) do
    if name:find("^netmove") then look(module, name) end
  end
  return found
end

local file = [[
local v = from("a.b"):as("date"):renamed({ a = "b" }):joined():default("x")
local c, r = one_of(v, "a"), renamed("changes", { a = "b" })
local m = push { title = "{a|b}", body = v, data = { a = 1, b = v }, expires_in = hours(2) }
local s = sms { text = "x", message_type = "N", recipient_type = "B" }
local e = email { subject = "s", text = "t", unsubscribe = false }
LEAK { v, c, r, m, s, e, quiet_between("22:00", "09:00"), for_each_recipient(send_template),
       send_template, send("m"), cancel_campaign, update_customer { CustomerID = v, A = v, r },
       when(c, send_template), hold("x"), drop("y"), from, push, tenant, json, string, math, table, _ENV,
       starts_with(v, "a"), matches(v, "a*") }
return tenant {
  name = "t", messages = { m = m, s = s, e = e }, channels = { [15] = "push" }, templates = { [1] = "m" },
  events = { [11] = function(event, ctx) LEAK { event, ctx, send("m", event, ctx) } return send_template end },
  examples = { { given = { EventTypeID = 11, ChannelID = 15, TemplateID = 1, CustomerID = "1",
                           attributes = { a = { b = "2024-01-01" } } },
                 gives = { effect = "send" } } },
}
]]

describe("what authors can reach", function()
  it("is no table that another load shares", function()
    local held = {}
    words.lua.LEAK = function(list) held[#held + 1] = list end
    local library = of_library()
    local rules, mistakes = netmove.load(file, "t.lua", support.host)
    words.lua.LEAK = nil
    assert.is_truthy(rules, mistakes and mistakes[1] and mistakes[1].message)
    local seen, count, shared = {}, 0, {}
    local function look(value, path)
      if type(value) ~= "table" or seen[value] then return end
      seen[value] = true
      count = count + 1
      if library[value] then
        shared[#shared + 1] = path .. " is " .. library[value]
        return
      end
      for key, inner in next, value do
        look(key, path .. ".key")
        look(inner, path .. "." .. tostring(key))
      end
    end
    for _, list in ipairs(held) do
      for place, value in next, list do look(value, tostring(place)) end
    end
    assert.same({}, shared)
    assert.is_true(count > 60 and #held == 2)
  end)
end)
