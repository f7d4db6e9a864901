--- Frequency caps: how often a customer may get a message, those of a channel, or those of a
-- category of the tenant's own.  Here they are read and go along with each send; who counts is
-- the daemon.

local problems = require "netmove.problems"
local unknown = require "netmove.unknown"

local caps = {}

local error, getmetatable, ipairs, next, rawget, rawset, type =
  error, getmetatable, ipairs, next, rawget, rawset, type
local mtype = math.type

local MOST = 1000000

local pers = problems.set { "hour", "day", "week", "month" }
local kinds = problems.set { "push", "sms", "email" }

local EXPECTED = 'expected { 3, per = "day" }, or a list of such'

-- One cap as { max, per }, or nothing and what is wrong.
local function read_one(given)
  if type(given) ~= "table" or getmetatable(given) then
    return nil, EXPECTED .. ", got " .. problems.quote(given)
  end
  local wrong
  problems.closed(given, { [1] = true, per = true }, function(message) wrong = wrong or message end)
  if wrong then return nil, wrong .. ", " .. EXPECTED end
  local max, per = given[1], given.per
  if mtype(max) ~= "integer" or max < 1 or max > MOST then
    return nil, "expected how many as a whole number of 1 or more, as in { 3, per = \"day\" }, got "
      .. problems.quote(max)
  elseif not pers[per] then
    return nil, "per: " .. (per == nil and 'expected "hour", "day", "week" or "month"'
      or "unknown time " .. problems.quote(per) .. problems.hint(per, pers))
  end
  return { max = max, per = per }
end

-- A cap, or a list of caps, as a list.
local function read(given)
  if type(given) == "table" and not getmetatable(given) and type(given[1]) == "table" then
    local list = {}
    for _, key in ipairs(problems.sorted_keys(given)) do
      if mtype(key) ~= "integer" then
        return nil, "unknown key " .. problems.quote(key) .. ", " .. EXPECTED
      end
      local one, wrong = read_one(given[key])
      if not one then return nil, wrong end
      list[#list + 1] = one
    end
    return list
  end
  local one, wrong = read_one(given)
  return one and { one }, wrong
end

--- Reads what a message says of its own caps: `cap` and `category`.
---@param message table  gets `own_caps` (a list, a function or false) and `category_of_caps`
---@param given table
---@param report fun(text: string)
function caps.of_message(message, given, report)
  local cap, category = given.cap, given.category
  local uncalled = problems.uncalled(message.book, cap)
  if uncalled then
    report("cap: " .. uncalled)
  elseif type(cap) == "function" or cap == false then
    message.own_caps = cap
  elseif cap ~= nil and not unknown.is(cap) then
    local list, wrong = read(cap)
    if not list then report("cap: " .. wrong) end
    message.own_caps = list
  end
  if category ~= nil and not unknown.is(category) then
    if type(category) ~= "string" or category == "" then
      report("category: expected the name of one in caps, got " .. problems.quote(category))
    elseif kinds[category] then
      report("category: " .. problems.quote(category) .. " is a channel, whose caps count anyway")
    else
      message.category_of_caps = category
    end
  end
end

-- Of the tenant: channels' and categories' caps by name.
local function read_all(state, given)
  local all = {}
  for _, name in ipairs(problems.sorted_keys(given)) do
    local label = "caps" .. problems.index(name)
    if type(name) ~= "string" then
      problems.add(state.book, label, "caps are those of a channel or of a category, as in "
        .. "caps = { push = { 3, per = \"day\" } }")
    elseif not unknown.is(given[name]) then
      local list, wrong = read(given[name])
      if wrong then problems.add(state.book, label, wrong) end
      all[name] = list or {}
    end
  end
  return all
end

local function append(list, scope, own)
  for _, cap in ipairs(own or {}) do
    list[#list + 1] = { scope = scope, max = cap.max, per = cap.per }
  end
end

-- Names that nothing goes by: a category without messages, a message's category without caps.
local function check_names(state, all)
  local used = {}
  for _, name in ipairs(problems.sorted_keys(state.messages)) do
    local category = rawget(state.messages[name], "category_of_caps")
    if category then
      used[category] = true
      if not all[category] then
        local known = {}
        for word in next, all do known[word] = not kinds[word] or nil end
        problems.add(state.book, "messages." .. name .. ".category", "no caps of the name "
          .. problems.quote(category) .. problems.hint(category, known))
      end
    end
  end
  for _, name in ipairs(problems.sorted_keys(all)) do
    if not kinds[name] and not used[name] then
      local known = {}
      for word in next, used do known[word] = true end
      for word in next, kinds do known[word] = true end
      problems.add(state.book, "caps" .. problems.index(name),
        "no message has the category " .. problems.quote(name) .. problems.hint(name, known))
    end
  end
end

--- Reads a tenant's `caps` and gives each message all that hold for it.
---@param state table  with its messages
---@param given table
function caps.read(state, given)
  local all = read_all(state, given)
  check_names(state, all)
  for name, message in next, state.messages do
    local list, own = {}, rawget(message, "own_caps")
    local category = rawget(message, "category_of_caps")
    if type(own) == "table" then append(list, "message " .. name, own) end
    if category then append(list, "category " .. category, all[category]) end
    if own ~= false then append(list, "channel " .. message.kind, all[message.kind]) end
    if list[1] or type(own) == "function" then rawset(message, "caps", list) end
  end
end

--- The caps of one send, or nothing.
---@param message table
---@param event table
---@param ctx table
---@return table[]?
function caps.of_send(message, event, ctx)
  local list, own = rawget(message, "caps"), rawget(message, "own_caps")
  if type(own) ~= "function" then return list end
  local given = own(event, ctx)
  local out = {}
  if given then
    local read_own, wrong = read(given)
    if wrong then error("message " .. message.name .. ": cap: " .. wrong, 0) end
    append(out, "message " .. message.name, read_own)
  end
  for _, cap in ipairs(list) do out[#out + 1] = cap end
  return out[1] and out or nil
end

return caps
