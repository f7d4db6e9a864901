--- Examples: events that a file says what it makes of, run whenever it is loaded.

local conversions = require "netmove.conversions"
local effects = require "netmove.effects"
local inbound = require "netmove.inbound"
local problems = require "netmove.problems"
local texts = require "netmove.texts"
local unknown = require "netmove.unknown"

local examples = {}

local getmetatable, ipairs, pairs, tonumber, type = getmetatable, ipairs, pairs, tonumber, type
local lower = string.lower
local mtype, tointeger = math.type, math.tointeger
local concat, format = table.concat, string.format

-- Without `at` and `on` it is noon on a Monday.
local NOON, MONDAY = 12 * 60, "2024-01-15"
local DEEPEST = 32 -- tables inside tables
local DAY_MS = 24 * 60 * 60 * 1000

local keys = problems.set { "given", "gives", "at", "on", "recipient" }
local event_keys = problems.set {
  "EventTypeID", "CampaignID", "ChannelID", "TemplateID", "CustomerID", "TimeStamp",
  "PromoCode", "Notes",
}
--- The keys of an example, and those of Optimove's events.
examples.keys, examples.event_keys = keys, event_keys

local integers = { "EventTypeID", "ChannelID", "TemplateID" }
local identities = { "CampaignID", "CustomerID", "extId" }

local spelling = {}
for key in pairs(event_keys) do spelling[lower(key)] = key end

local function copy(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for key, inner in pairs(value) do out[key] = copy(inner) end
  return out
end

-- The same as check_plain without a word, for what mostly is.
local function is_plain(value, depth)
  local kind = type(value)
  if kind ~= "table" then return kind ~= "function" end
  if depth == 0 or getmetatable(value) then return false end
  for key, inner in next, value do
    if type(key) ~= "string" and mtype(key) ~= "integer" then return false end
    if not is_plain(inner, depth - 1) then return false end
  end
  return true
end

-- Events and effects are plain data: names or numbers, with texts, numbers, booleans, tables.
local function check_plain(value, path, report, depth)
  if unknown.is(value) then return false end
  local kind = type(value)
  if kind == "function" or kind == "table" and getmetatable(value) then
    report(path .. ": expected plain data, got " .. problems.quote(value))
    return false
  elseif kind ~= "table" then
    return true
  elseif depth == 0 then
    report(path .. ": tables inside tables, more than " .. DEEPEST .. " deep")
    return false
  end
  for _, key in ipairs(problems.sorted_keys(value)) do
    if type(key) ~= "string" and mtype(key) ~= "integer" then
      report(path .. ": expected names and whole numbers as keys, got " .. problems.quote(key))
      return false
    end
    if not check_plain(value[key], path .. problems.index(key), report, depth - 1) then
      return false
    end
  end
  return true
end

-- The type of an event that does not say it, as on the wire.
local function infer(event)
  if event.EventTypeID ~= nil then return end
  if event.name ~= nil or event.type ~= nil then
    event.name = event.name or event.type == "PROFILE" and "PROFILE_ATTRIBUTE_CHANGE" or event.type
    event.type = event.type or event.name == "PROFILE_ATTRIBUTE_CHANGE" and "PROFILE"
      or event.name == "MESSAGE_LOG" and event.name or "EVENT"
  elseif event.CustomerID ~= nil then
    event.EventTypeID = 11
  elseif event.CampaignID ~= nil and event.ChannelID ~= nil then
    event.EventTypeID = 13
  else
    return 'given: neither EventTypeID nor name: what event is it?'
  end
end

-- A request of another program's: { inbound = "survey", json = { ... } }.
local function request(given, report)
  local out = copy(given)
  if type(given.inbound) ~= "string" then
    report("given.inbound: expected the name of an inbound, got " .. problems.quote(given.inbound))
  end
  for _, key in ipairs(problems.sorted_keys(given)) do
    if key ~= "inbound" and not inbound.request_keys[key] then
      report("given: unknown key " .. problems.quote(key)
        .. problems.hint(key, inbound.request_keys))
    end
  end
  for _, key in ipairs { "query", "form", "headers", "json" } do
    if given[key] ~= nil and type(given[key]) ~= "table" then
      report("given." .. key .. ": expected a table, got " .. problems.quote(given[key]))
    end
  end
  out.type, out.name, out.inbound = "INBOUND", given.inbound, nil
  return out
end

-- The keys in another letter case than Optimove's, in order; mostly none.
local function misspelt(given)
  local found
  for key in next, given do
    local own = type(key) == "string" and spelling[lower(key)]
    if own and own ~= key then
      found = found or {}
      found[key] = true
    end
  end
  return found and problems.sorted_keys(found) or {}
end

--- What `given` is on the wire: ids as text, numbers as numbers.
---@param given table
---@param report fun(message: string)
---@return table event
function examples.event(given, report)
  if not is_plain(given, DEEPEST) and not check_plain(given, "given", report, DEEPEST) then
    return {}
  end
  if given.inbound ~= nil then return request(given, report) end
  local event, known_type = copy(given), given.EventTypeID ~= nil
  for _, key in ipairs(misspelt(given)) do
    local own = type(key) == "string" and spelling[lower(key)]
    if own and own ~= key then
      known_type = known_type or own == "EventTypeID"
      report("given: " .. problems.quote(key) .. " is spelt " .. problems.quote(own) .. " here")
    end
  end
  for _, key in ipairs(integers) do
    local value = event[key]
    if value ~= nil and mtype(value) ~= "integer" then
      event[key] = tointeger(tonumber(value))
      if event[key] == nil then
        report("given: " .. key .. ": expected a whole number, got " .. problems.quote(value))
      end
    end
  end
  for _, key in ipairs(identities) do
    if type(event[key]) == "number" then event[key] = texts.plain(event[key]) end
  end
  local wrong = infer(event)
  if wrong and not known_type then report(wrong) end
  return event
end

local function check_gives(gives, report)
  problems.closed(gives, effects.keys, function(message) report("gives: " .. message) end)
  local name = gives.effect
  if name ~= nil and not effects.names[name] then
    report("gives: unknown effect " .. problems.quote(name) .. problems.hint(name, effects.names))
  end
end

--- What `gives` names, as a list of effects.
---@param gives table
---@param report fun(message: string)
---@param is_inbound boolean?  it names events, whose keys are their own
---@return table[]
function examples.effects(gives, report, is_inbound)
  if not is_plain(gives, DEEPEST) and not check_plain(gives, "gives", report, DEEPEST) then
    return {}
  end
  if gives[1] == nil and #problems.sorted_keys(gives) > 0 then
    if not is_inbound or gives.effect ~= nil then check_gives(gives, report) end
    return { gives }
  end
  for i, one in ipairs(gives) do
    if type(one) == "table" and not getmetatable(one) then
      if not is_inbound or one.effect ~= nil then check_gives(one, report) end
    else
      report("gives[" .. i .. "]: expected an effect, got " .. problems.quote(one))
    end
  end
  return gives
end

--- When an example happens: `at` a minute of the day, `on` a date, told as the daemon would.
-- Nobody knows the zone here, so the moment is the one that is written, in UTC.
---@param at any
---@param on any
---@param is_recipient boolean
---@param report fun(message: string)
---@return table? ctx
function examples.moment(at, on, is_recipient, report)
  local minute = at == nil and NOON or effects.minute_of(at)
  local date = on == nil and MONDAY or type(on) == "string" and #on == 10 and conversions.date(on)
  if not minute then
    report('at: expected a time such as "23:30", got ' .. problems.quote(at))
  end
  if not date then
    report('on: expected a date such as "2024-12-31", got ' .. problems.quote(on))
  end
  if minute and date then
    local day = conversions.day(date)
    return {
      minute = minute, date = date, weekday = (day + 3) % 7 + 1,
      now_ms = day * DAY_MS + minute * 60000, recipient = is_recipient or nil,
    }
  end
end

local function read_one(book, i, example)
  local label, before = "example " .. i, #book.list
  local function report(message) problems.add(book, label, message) end
  if type(example) ~= "table" or getmetatable(example) then
    if not unknown.is(example) then
      report("expected { given = { }, gives = { } }, got " .. problems.quote(example))
    end
    return nil
  end
  problems.closed(example, keys, report)
  if example.recipient ~= nil and type(example.recipient) ~= "boolean" then
    report("recipient: expected true or false, got " .. problems.quote(example.recipient))
  end
  local read = { label = label, recipient = example.recipient == true }
  for _, key in ipairs { "given", "gives" } do
    local value = example[key]
    if type(value) ~= "table" or getmetatable(value) then
      if not unknown.is(value) then
        report(key .. ": expected a table, got " .. problems.quote(value))
      end
      return nil
    end
  end
  read.ctx = examples.moment(example.at, example.on, read.recipient, report)
  read.given = examples.event(example.given, report)
  read.gives = examples.effects(example.gives, report, example.given.inbound ~= nil)
  if #book.list == before then return read end
end

--- Reads the list of examples; what is wrong with one goes into the book.
---@param book netmove.book
---@param given table
---@return table[]
function examples.read(book, given)
  local list = {}
  if given.given ~= nil then
    problems.add(book, "examples", "expected a list of examples, as in "
      .. "examples = { { given = { }, gives = { } } }")
    return list
  end
  for _, key in ipairs(problems.sorted_keys(given)) do
    if mtype(key) ~= "integer" then
      problems.add(book, "examples", "unknown key " .. problems.quote(key)
        .. ", expected a list of examples")
    else
      list[#list + 1] = read_one(book, key, given[key])
    end
  end
  return list
end

local function show_value(value)
  if type(value) ~= "table" then return problems.quote(value) end
  local parts = {}
  for _, key in ipairs(problems.sorted_keys(value)) do
    local name = type(key) == "string" and key or "[" .. problems.quote(key) .. "]"
    parts[#parts + 1] = name .. "=" .. show_value(value[key])
  end
  return "{" .. concat(parts, ", ") .. "}"
end

-- `{campaign="7", channel_id=16, effect=expand}`; inner tables only if they were asked about.
local function show(effect, asked)
  local parts = {}
  for _, key in ipairs(problems.sorted_keys(effect)) do
    local value = effect[key]
    if key == "effect" then
      parts[#parts + 1] = "effect=" .. value
    elseif type(value) ~= "table" or asked[key] ~= nil then
      parts[#parts + 1] = key .. "=" .. show_value(value)
    end
  end
  return "{" .. concat(parts, ", ") .. "}"
end

local function agrees(got, expected)
  for key, want in next, expected do
    local have = got[key]
    if type(want) == "table" and type(have) == "table" then
      if not agrees(have, want) then return false end
    elseif want ~= have then
      return false
    end
  end
  return true
end

-- Notes every named key that differs.
local function differ(got, expected, path, found)
  for _, key in ipairs(problems.sorted_keys(expected)) do
    local want, have = expected[key], got[key]
    local name = path .. (path == "" and type(key) == "string" and key or problems.index(key))
    if type(want) == "table" and type(have) == "table" then
      differ(have, want, name, found)
    elseif want ~= have then
      found[#found + 1] = name .. "="
        .. (key == "effect" and type(want) == "string" and want or show_value(want))
    end
  end
  return found
end

local function show_all(list, expected)
  local parts = {}
  for i, effect in ipairs(list) do parts[i] = show(effect, expected[i] or {}) end
  return #parts > 0 and concat(parts, ", ") or "no effect"
end

--- How effects differ from those that were expected, or nothing.
---@param got table[]
---@param expected table[]
---@return string?
function examples.compare(got, expected)
  if got[1] and got[1].effect == "become" then
    local events = {}
    for i, effect in ipairs(got) do events[i] = effect.event end
    got = events
  end
  if #got ~= #expected then
    local wanted = #expected == 0 and "no effect" or #expected == 1 and "one effect"
      or #expected .. " effects"
    return "got " .. show_all(got, expected) .. ", expected " .. wanted
  end
  local found = {}
  for i = 1, #got do
    if not agrees(got[i], expected[i]) then
      differ(got[i], expected[i], #got > 1 and "[" .. i .. "]" or "", found)
    end
  end
  if #found > 0 then
    return "got " .. show_all(got, expected) .. ", expected " .. concat(found, ", ")
  end
end

-- Says so where one example used over half of what an event may use.
local function costly(host, instructions, microseconds)
  if instructions * 2 > host.instructions_max then
    return format("used %d of the %d instructions that one event may use", instructions,
      host.instructions_max)
  elseif microseconds * 2 > host.microseconds_max then
    return format("used %.1f of the %.1f ms of CPU time that one event may use",
      microseconds / 1000, host.microseconds_max / 1000)
  end
end

--- Runs the examples; what differs or throws goes into the book.
---@param book netmove.book
---@param evaluate fun(event: table, ctx: table): table?, table
---@param list table[]
---@param host table  what measures: spent(), instructions_max, microseconds_max; may have none
---@return string[] warnings  of those that used over half of what one event may use
function examples.run(book, evaluate, list, host)
  local warnings = {}
  local spent = host.spent
  for _, example in ipairs(list) do
    if spent then spent() end
    local got, failure = evaluate(copy(example.given), copy(example.ctx))
    if spent then
      local text = costly(host, spent())
      if text then warnings[#warnings + 1] = book.chunk .. ": " .. example.label .. ": " .. text end
    end
    if got then
      local difference = examples.compare(got, example.gives)
      if difference then problems.add(book, example.label, difference) end
    else
      local p = failure.problem
      local message = p.entry and p.entry .. ": " .. p.message or p.message
      problems.add(book, example.label, message, p.line)
    end
  end
  return warnings
end

return examples
