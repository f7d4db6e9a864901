--- rules/acme.lua's event 11 and the rows of its campaigns, as one would write them by hand: no library of
-- ours, no limits, no checks of types.  What spec/bench measures the rules against.
--
--   lua5.4 mapping.lua events COUNT     decode, map, encode one event at a time
--   lua5.4 mapping.lua own COUNT        the same with what spec/fixtures/rules/function.lua does before it
--   lua5.4 mapping.lua rows COUNT       pages of 10,000 recipients: decode a page, map and encode each row
-- Each prints JSON: us of CPU time for each, and the whole in seconds.

local cjson = require("cjson")

local channels = { [459] = "push", [481] = "sms" }
local templates = { [1201] = "welcome", [1202] = "cart_reminder" }
local messages = {
  welcome = { channel = "push", notification_key = "106", params = { name = "{first_name|friend}" } },
  cart_reminder = { channel = "push", notification_key = "107",
                    params = { name = "{first_name|friend}", items = "{cart.count|some}" } },
}

local function fill(texts, attributes)
  local filled = {}
  for name, text in pairs(texts) do
    filled[name] = text:gsub("{([%w_.]+)|?([^}]*)}", function(field, fallback)
      return tostring(attributes[field] or fallback)
    end)
  end
  return filled
end

local function send(channel_id, template_id, customer, attributes)
  local name = templates[template_id]
  local message = messages[name]
  if not message then return { effect = "hold", reason = "template " .. template_id .. " is not mapped" } end
  local channel = channels[channel_id]
  if message.channel ~= channel then
    return { effect = "hold", reason = name .. " is a " .. message.channel .. ", not a " .. tostring(channel) }
  end
  return { effect = "send", channel = channel, to = customer, message = name,
           content = { notification_key = message.notification_key, params = fill(message.params, attributes) } }
end

local function events(count)
  local bytes = 0
  for i = 0, count - 1 do
    local text = '{"EventTypeID":11,"CampaignID":7,"ChannelID":459,"TemplateID":1201,"CustomerID":"C' .. i ..
      '","TimeStamp":"2030-01-01 10:00:00","attributes":{"first_name":"Ada"}}'
    local event = cjson.decode(text)
    local effect = send(event.ChannelID, event.TemplateID, event.CustomerID, event.attributes)
    bytes = bytes + #cjson.encode(effect)
  end
  return bytes
end

local LINES = ',"lines":[{"price":59.9,"quantity":2},{"price":10,"quantity":1}]'

local function own(count)
  local bytes = 0
  for i = 0, count - 1 do
    local text = '{"EventTypeID":11,"CampaignID":7,"ChannelID":459,"TemplateID":1201,"CustomerID":"C' .. i ..
      '","TimeStamp":"2030-01-01 10:00:00","attributes":{"first_name":"Ada"' .. LINES .. '}}'
    local event = cjson.decode(text)
    local total = 0
    for _, line in ipairs(event.attributes.lines or {}) do total = total + line.price * line.quantity end
    local template = total >= 500 and 1202 or event.TemplateID
    local effect = send(event.ChannelID, template, event.CustomerID, event.attributes)
    bytes = bytes + #cjson.encode(effect)
  end
  return bytes
end

local function page_of(first, rows)
  local list = {}
  for i = 1, rows do
    list[i] = { CustomerID = "C" .. (first + i), ActionID = 49, ChannelID = 459, TemplateID = 1201,
                TemplateName = "Template 1201", CustomerAttributes = { "Ada" } }
  end
  return cjson.encode(list)
end

local function rows(count)
  local bytes, page = 0, page_of(0, math.min(count, 10000))
  local began = os.clock()
  for first = 0, count - 1, 10000 do
    local list = cjson.decode(page)
    for i = 1, math.min(#list, count - first) do
      local row = list[i]
      local effect = send(row.ChannelID, row.TemplateID, row.CustomerID,
                          { first_name = row.CustomerAttributes[1] })
      bytes = bytes + #cjson.encode(effect.content)
    end
  end
  return bytes, os.clock() - began
end

local what, count = arg[1], math.tointeger(tonumber(arg[2]))
local began = os.clock()
local bytes, seconds = ({ rows = rows, own = own, events = events })[what](count)
seconds = seconds or os.clock() - began
print(('{"us":%.4f,"seconds":%.4f,"bytes":%d}'):format(seconds * 1e6 / count, seconds, bytes))
