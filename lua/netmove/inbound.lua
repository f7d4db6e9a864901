--- `inbound`: what another program's webhook says, made into an event of ours.
--
-- An entry is a function of the request that returns an event, or an event whose values are
-- looked up in the request.  What is made goes into the journal like any other event, and the
-- rules of its own name or type decide about it.

local chunk = require "netmove.chunk"
local effects = require "netmove.effects"
local problems = require "netmove.problems"
local unknown = require "netmove.unknown"
local values = require "netmove.values"

local inbound = {}

local getmetatable, ipairs, next, tostring, type = getmetatable, ipairs, next, tostring, type
local find, lower, sub = string.find, string.lower, string.sub
local mtype = math.type

local DEEPEST = 16 -- tables inside tables
local MOST = 200 -- events of one request

local hold = effects.hold

--- What a request has beside its name.
inbound.request_keys = problems.set { "method", "query", "form", "json", "text", "headers" }

local always = { hold = true, drop = true }

-- ---- reading the file -------------------------------------------------------------------------

-- An event written as data: texts, numbers, booleans, values, tables of these.
local function check_event(state, label, value, depth)
  local book = state.book
  local uncalled = problems.uncalled(book, value)
  if uncalled then
    problems.add(book, label, uncalled)
  elseif type(value) == "table" and not getmetatable(value) then
    if depth == DEEPEST then
      problems.add(book, label, "tables inside tables, more than " .. DEEPEST .. " deep")
      return
    end
    for _, key in ipairs(problems.sorted_keys(value)) do
      local at = label .. problems.index(key)
      if type(key) ~= "string" and mtype(key) ~= "integer" then
        problems.add(book, label, "expected names and whole numbers as keys, got "
          .. problems.quote(key))
      else
        check_event(state, at, value[key], depth + 1)
      end
    end
  elseif not problems.is_scalar(value) and not values.is(value) and not unknown.is(value) then
    problems.add(book, label, "expected a text, number, boolean, from(...), a function or a table "
      .. "of these, got " .. problems.quote(value))
  end
end

-- The key of an event that a misspelt one is meant for.
local known = problems.set {
  "EventTypeID", "CampaignID", "ChannelID", "TemplateID", "CustomerID", "TimeStamp", "PromoCode",
  "Notes", "name", "type", "extId", "id", "time", "attributes", "changes",
}

local function is_campaign(event)
  for key in next, event do
    local low = type(key) == "string" and lower(key)
    if low == "eventtypeid" or low == "campaignid" or low == "customerid" then return true end
  end
  return false
end

local function check_whole(state, label, event)
  if is_campaign(event) or event.name ~= nil or event.type ~= nil or event.changes ~= nil then
    return
  end
  local found = ""
  for _, key in ipairs(problems.sorted_keys(event)) do
    local near = problems.nearest(key, known)
    if near and near ~= key then
      found = " (found " .. problems.quote(key) .. ", did you mean " .. problems.quote(near) .. "?)"
    end
  end
  problems.add(state.book, label, "an event has a name, as in { name = \"SURVEY_DONE\", extId = "
    .. "from(\"json.user\") }, or is one of Optimove's, with its CustomerID or CampaignID" .. found)
end

local function read_entry(state, label, value)
  local book = state.book
  local entry = { label = label, name = "inbound" }
  if type(value) == "function" and not state.words[value] then
    entry.call = value
    entry.line = problems.line_of(book, chunk.line(value))
  elseif type(value) == "table" and not getmetatable(value) and always[value.effect] then
    local wrong = effects.check(value)
    if wrong then problems.add(book, label, wrong) end
    entry.effect = value
  elseif type(value) == "table" and not getmetatable(value) and next(value) ~= nil
    and value[1] == nil then
    check_whole(state, label, value)
    check_event(state, label, value, 0)
    entry.event = value
  elseif not unknown.is(value) then
    problems.add(book, label, "expected a function of the request that returns an event, or an "
      .. "event such as { name = \"SURVEY_DONE\", extId = from(\"json.user\") }, got "
      .. (type(value) == "table" and not getmetatable(value)
        and (value[1] == nil and "an empty table" or "a list") or problems.quote(value)))
  end
  return entry
end

--- Reads a tenant's `inbound`; what is wrong goes into the book.
---@param state table
---@param given table
---@return table<string, table>
function inbound.read(state, given)
  local entries = {}
  for _, name in ipairs(problems.sorted_keys(given)) do
    local label = "inbound" .. problems.index(name)
    if type(name) ~= "string" or not find(name, "^[%w][%w_-]*$") or #name > 64 then
      problems.add(state.book, label, 'a name in an address is of letters, digits, "_" and "-", '
        .. "as in survey = function(request) ... end, got " .. problems.quote(name))
    else
      entries[name] = read_entry(state, label, given[name])
    end
  end
  return entries
end

-- ---- one request ------------------------------------------------------------------------------

-- Values into what they hold for this request; what holds nothing is left out.
local function resolve(value, request, ctx, path, depth)
  if type(value) ~= "table" and type(value) ~= "function" then return value end
  if values.is(value) then
    local found, wrong = values.resolve(value, request, ctx)
    if wrong then return nil, path .. ": " .. wrong end
    if type(found) == "table" and depth < DEEPEST then
      return resolve(found, request, ctx, path, depth + 1)
    end
    return found
  end
  if getmetatable(value) or depth == DEEPEST then
    return nil, path .. ": expected plain data, got " .. (getmetatable(value)
      and problems.quote(value) or "tables inside tables, more than " .. DEEPEST .. " deep")
  end
  local out = {}
  for key, inner in next, value do
    local found, wrong = resolve(inner, request, ctx, path .. problems.index(key), depth + 1)
    if wrong then return nil, wrong end
    out[key] = found
  end
  return out
end

-- An empty table could be a list as well, which an event's tables are not.
local function without_empty(event)
  for _, key in ipairs { "attributes", "changes" } do
    if type(event[key]) == "table" and next(event[key]) == nil then event[key] = nil end
  end
  return event
end

local function one_event(given, request, ctx)
  local event, wrong = resolve(given, request, ctx, "", 0)
  if wrong then return nil, (find(wrong, "^%.") and sub(wrong, 2) or wrong) end
  return { effect = "become", event = without_empty(event) }
end

local function refuse(entry, message)
  return problems.raise { line = entry.line, entry = entry.label, message = message }
end

-- What an author's function returned: an event, a list of them, or an effect that says why none.
local function answers(entry, answer)
  if type(answer) ~= "table" or getmetatable(answer) then
    refuse(entry, "an inbound function returns an event, a list of events, hold(...) or drop(...); "
      .. "got " .. problems.quote(answer))
  end
  if always[answer.effect] then
    local wrong = effects.check(answer)
    if wrong then refuse(entry, wrong) end
    return nil, answer
  end
  if answer[1] == nil then return { answer } end
  if #answer > MOST then refuse(entry, "more than " .. MOST .. " events of one request") end
  for _, one in ipairs(answer) do
    if type(one) ~= "table" or getmetatable(one) then
      refuse(entry, "a list of events holds " .. problems.quote(one))
    end
  end
  return answer
end

-- Tables that rules may count on being there.
local function complete(request)
  for _, key in ipairs { "query", "form", "json", "headers" } do
    if type(request[key]) ~= "table" then request[key] = {} end
  end
  if request.text == nil then request.text = "" end
  if request.method == nil then request.method = "POST" end
end

--- What becomes of a request; runs inside the sandbox.
---@param state table
---@param request table  { name, method, query, form, json, text, headers }
---@param ctx table
---@return table[] effects  become, or one hold or drop
function inbound.run(state, request, ctx)
  local name = request.name
  local entry = state.inbound[name]
  if not entry then
    return { hold("no inbound named " .. problems.quote(tostring(name))
      .. problems.hint(name, state.inbound)) }
  end
  local mark = { step = "inbound." .. name, index = 1, answered = false, line = entry.line }
  state.trace[#state.trace + 1] = mark
  state.running, state.at = entry, 1
  complete(request)
  local given = entry.event and { entry.event } or nil
  if entry.call then
    local answer = entry.call(request, ctx)
    if not answer then return { hold("inbound " .. name .. " gave no event") } end
    local why
    given, why = answers(entry, answer)
    if not given then
      mark.answered = true
      return { why }
    end
  elseif entry.effect then
    mark.answered = true
    return { { effect = entry.effect.effect, reason = entry.effect.reason } }
  end
  local list = {}
  for i, one in ipairs(given) do
    local event, wrong = one_event(one, request, ctx)
    if not event then
      if entry.call then refuse(entry, wrong) end
      return { hold("inbound " .. name .. ": " .. wrong) }
    end
    list[i] = event
  end
  mark.answered = true
  return list
end

return inbound
