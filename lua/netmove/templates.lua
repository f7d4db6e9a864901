--- `templates`: which message a template of Optimove's stands for.
--
-- By its number; in a campaign or on a channel otherwise; and `default` for all others.  The
-- campaign is asked first, then the channel, then the tenant's own numbers; each gives what
-- it has for the number, else its default.

local messages = require "netmove.messages"
local problems = require "netmove.problems"
local texts = require "netmove.texts"
local unknown = require "netmove.unknown"

local templates = {}

local getmetatable, ipairs, next, type = getmetatable, ipairs, next, type
local tonumber, tostring = tonumber, tostring
local mtype = math.type

--- Keys beside the numbers, by where a table stands.
templates.keys = {
  tenant = { default = true, in_campaign = true, on_channel = true },
  campaign = { default = true, on_channel = true },
  channel = { default = true },
}

---@class netmove.templates
---@field ids table<integer, table>       messages
---@field default table?                  a message
---@field campaigns table<string, netmove.templates>?
---@field channels table<integer, netmove.templates>?

--- The message for an event's template.
---@param map netmove.templates
---@param event table
---@return table? message
function templates.find(map, event)
  local inner = map.campaigns and map.campaigns[event.CampaignID]
  local found = inner and templates.find(inner, event)
  if found then return found end
  inner = map.channels and map.channels[event.ChannelID]
  found = inner and templates.find(inner, event)
  return found or map.ids[event.TemplateID] or map.default
end

-- A message by its name, or by itself; it must suit the channel that it stands under.
local function message_of(state, value, label, channel)
  local book, wrong = state.book, nil
  local message = messages.is(value) and value or state.messages[value]
  if messages.is(value) then
    if not value.name then wrong = "this message is not in messages" end
  elseif type(value) ~= "string" then
    wrong = "expected the name of a message, got " .. problems.quote(value)
    if unknown.is(value) then return nil end
  elseif state.named[value] == nil then
    wrong = "no message named " .. problems.quote(value) .. problems.hint(value, state.named)
  end
  local kind = channel and state.channels[channel]
  if not wrong and message and kind and message.kind ~= kind then
    wrong = "message " .. message.name .. " is " .. messages.articles[message.kind]
      .. ", channel " .. tostring(channel) .. " is " .. kind
  end
  if wrong then
    problems.add(book, label, wrong)
    return nil
  end
  return message
end

local read

-- A table of messages, or one name for whatever template it is.
local function read_inner(state, value, label, place, channel)
  if type(value) == "table" and not getmetatable(value) then
    return read(state, value, label, place, channel)
  end
  return { ids = {}, default = message_of(state, value, label, channel) }
end

local function part(state, given, label, shape)
  if given == nil or unknown.is(given) then return nil end
  if type(given) == "table" and not getmetatable(given) then return given end
  problems.add(state.book, label, "expected " .. shape .. ", got " .. problems.quote(given))
end

local function read_campaigns(state, given, label)
  given = part(state, given, label, 'messages by campaign, as in { ["7"] = "name" }')
  if not given then return nil end
  local campaigns = {}
  for _, key in ipairs(problems.sorted_keys(given)) do
    local at = label .. problems.index(key)
    local id = (type(key) == "string" or mtype(key) == "integer") and texts.plain(key)
    if not id then
      problems.add(state.book, at, "a campaign id is a text, got " .. problems.quote(key))
    elseif campaigns[id] then
      problems.add(state.book, at, "campaign " .. id .. " stands here twice")
    end
    local inner = read_inner(state, given[key], at, "campaign")
    if id then campaigns[id] = inner end
  end
  return campaigns
end

local function read_channels(state, given, label)
  given = part(state, given, label, 'messages by channel, as in { [15] = "name" }')
  if not given then return nil end
  local channels = {}
  for _, key in ipairs(problems.sorted_keys(given)) do
    local at = label .. problems.index(key)
    local id = problems.integer_key(state.book, "a channel id", at, key)
    if id and not state.channels[id] and state.listed[id] == nil then
      problems.add(state.book, at, "channel " .. tostring(id) .. " is not in channels"
        .. problems.hint(id, state.channels))
    end
    local inner = read_inner(state, given[key], at, "channel", id)
    if id then channels[id] = inner end
  end
  return channels
end

local function read_ids(state, given, label, place, channel)
  local ids, known = {}, templates.keys[place]
  for _, key in ipairs(problems.sorted_keys(given)) do
    local at = label .. problems.index(key)
    if type(key) == "string" and mtype(tonumber(key)) ~= "integer" then
      if not known[key] and mtype(given[key]) == "integer" then
        problems.add(state.book, at, "the wrong way round (write [" .. given[key] .. "] = "
          .. problems.quote(key) .. ")")
      elseif not known[key] then
        problems.add(state.book, label, "unknown key " .. problems.quote(key)
          .. problems.hint(key, known))
      end
    else
      local id = problems.integer_key(state.book, "a template id", at, key)
      if id then ids[id] = message_of(state, given[key], at, channel) end
    end
  end
  return ids
end

read = function(state, given, label, place, channel)
  local map, known = { ids = read_ids(state, given, label, place, channel) }, templates.keys[place]
  if given.default ~= nil then
    map.default = message_of(state, given.default, label .. ".default", channel)
  end
  if known.on_channel then
    map.channels = read_channels(state, given.on_channel, label .. ".on_channel")
  end
  if known.in_campaign then
    map.campaigns = read_campaigns(state, given.in_campaign, label .. ".in_campaign")
  end
  return map
end

--- Reads a tenant's `templates`; what is wrong goes into the book.
---@param state table  with messages and channels already read
---@param given table
---@return netmove.templates
function templates.read(state, given)
  return read(state, given, "templates", "tenant")
end

--- Every template's number with the name of a message that it stands for: the tenant's own
-- where it has one.
---@param map netmove.templates
---@param names table<integer, string>?
---@return table<integer, string>
function templates.names(map, names)
  names = names or {}
  for id, message in next, map.ids do names[id] = names[id] or message.name end
  for _, inner in ipairs { map.channels or {}, map.campaigns or {} } do
    for _, key in ipairs(problems.sorted_keys(inner)) do templates.names(inner[key], names) end
  end
  return names
end

return templates
