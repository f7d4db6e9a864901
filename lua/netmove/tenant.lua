--- `tenant { }`: the whole of a file, checked key by key and made ready to run.

local caps = require "netmove.caps"
local inbound = require "netmove.inbound"
local messages = require "netmove.messages"
local problems = require "netmove.problems"
local runner = require "netmove.runner"
local templates = require "netmove.templates"
local unknown = require "netmove.unknown"

local tenant = {}

local find, upper = string.find, string.upper
local getmetatable, ipairs, next, setmetatable, type =
  getmetatable, ipairs, next, setmetatable, type
local mtype = math.type
local sort = table.sort

local keys = problems.set {
  "name", "time_zone", "messages", "caps", "channels", "templates", "events", "hooks", "inbound",
  "examples",
}

--- The keys of `tenant { }`.
tenant.keys = keys

local kinds = problems.set { "push", "sms", "email" }

-- Zones that a misspelt one is compared with; which exist is the host's to say.
local zones = problems.set {
  "UTC", "Europe/Istanbul", "Europe/London", "Europe/Paris", "Europe/Berlin", "Europe/Madrid",
  "Europe/Rome", "Europe/Amsterdam", "Europe/Athens", "Europe/Bucharest", "Europe/Sofia",
  "Europe/Moscow", "Europe/Warsaw", "Europe/Kyiv", "Asia/Baku", "Asia/Dubai", "Asia/Riyadh",
  "Asia/Tashkent", "Asia/Almaty", "Asia/Jerusalem", "Asia/Kolkata", "Asia/Singapore",
  "Asia/Tokyo", "Africa/Cairo", "Africa/Johannesburg", "America/New_York", "America/Chicago",
  "America/Denver", "America/Los_Angeles", "America/Sao_Paulo", "America/Toronto",
  "Australia/Sydney",
}

local CAMPAIGN = 13 -- the event type of a whole campaign

local tenant_mt = { __name = "tenant" }

--- The word `tenant`: marks a table as what the file returns.
---@param book netmove.book
---@return table<string, function>
function tenant.words(book)
  return {
    tenant = function(given)
      if type(given) ~= "table" or getmetatable(given) then
        if not unknown.is(given) then
          problems.misuse(book, "tenant: expected a table, as in tenant { }, got "
            .. problems.quote(given))
        end
        given = nil
      end
      return setmetatable({ given = given }, tenant_mt)
    end,
  }
end

---@param value any
---@return boolean
function tenant.is(value)
  return getmetatable(value) == tenant_mt
end

-- A part of the tenant that must be a table; empty where it is not.
local function part(book, given, name, shape)
  local value = given[name]
  if value == nil or unknown.is(value) then return {} end
  if type(value) ~= "table" or getmetatable(value) then
    problems.add(book, name, "expected " .. shape .. ", got " .. problems.quote(value))
    return {}
  end
  return value
end

local function check_name(book, name)
  if unknown.is(name) then return "" end
  if type(name) ~= "string" or not find(name, "^[%w][%w_-]*$") then
    problems.add(book, "name", 'expected a name of letters, digits, "_" and "-", got '
      .. problems.quote(name))
    return ""
  end
  return name
end

local function check_zone(book, zone, host)
  if zone == nil or unknown.is(zone) then return "UTC" end
  if type(zone) ~= "string" then
    problems.add(book, "time_zone", 'expected a name such as "Europe/Istanbul", got '
      .. problems.quote(zone))
    return "UTC"
  end
  local known
  if host.known_zone then
    known = host.known_zone(zone)
  else
    known = zones[zone] or find(zone, "^%u%l+/[%u][%w_/+-]+$") ~= nil
  end
  if not known then
    local hint = problems.nearest(zone, zones) and problems.hint(zone, zones)
      or ' (expected a name such as "Europe/Istanbul")'
    problems.add(book, "time_zone", "unknown time zone " .. problems.quote(zone) .. hint)
  end
  return zone
end

-- Tells the day of a moment in the tenant's zone, where the host can.
local function zone_days(zone, host)
  local zone_date = host.zone_date
  return zone_date and function(ms) return zone_date(zone, ms) end
end

-- Reads a time on the tenant's clock, where the host can.
local function zone_instants(zone, host)
  local instant = host.zone_instant
  return instant and function(...) return instant(zone, ...) end
end

local function add_messages(state, given)
  for _, name in ipairs(problems.sorted_keys(given)) do
    local message = given[name]
    local label = "messages" .. problems.index(name)
    if messages.is(message) then
      for _, note in ipairs(message.notes) do note.entry = note.entry or label end
      if type(name) ~= "string" then
        problems.add(state.book, label, "a message needs a name, as in messages = { welcome = "
          .. message.kind .. " { } }")
      else
        state.messages[name] = messages.named(message, name)
      end
    elseif not unknown.is(message) then
      problems.add(state.book, label, "expected push { }, sms { } or email { }, got "
        .. problems.quote(message))
    end
  end
end

local function add_channels(state, given)
  for _, id in ipairs(problems.sorted_keys(given)) do
    local kind = given[id]
    local label = "channels" .. problems.index(id)
    if kinds[id] and mtype(kind) == "integer" then
      problems.add(state.book, label, "the wrong way round (write [" .. kind .. "] = "
        .. problems.quote(id) .. ")")
    elseif problems.integer_key(state.book, "a channel id", label, id) then
      if kinds[kind] then
        state.channels[id] = kind
      elseif not unknown.is(kind) then
        problems.add(state.book, label, "unknown kind of channel " .. problems.quote(kind)
          .. problems.hint(kind, kinds))
      end
    end
  end
end

-- An unknown word that is the name of a message wants its quotes.
local function name_unquoted(book, complete)
  for _, p in ipairs(book.list) do
    local name = p.unknown
    if name and complete[name] ~= nil and not find(p.message, "did you mean", 1, true) then
      p.message = p.message .. " (a message is named in quotes: " .. problems.quote(name) .. ")"
    end
  end
end

-- Names that send("name") uses: checked here, as messages come after steps in many files.
local function check_sends(state)
  local complete = state.named
  for _, sent in ipairs(state.sends) do
    local name, wrong = sent.name, nil
    if messages.is(name) then
      if not name.name then wrong = "send: this message is not in messages" end
    elseif complete[name] == nil then
      wrong = "send: no message named " .. problems.quote(name) .. problems.hint(name, complete)
    end
    if wrong then problems.add(state.book, nil, wrong, sent.line) end
  end
end

-- A whole campaign names no template: its recipients do.
local function must_expand(state, entry)
  for i = 1, #entry do
    local step = entry[i]
    if step.author or step.wraps then return end
    if step.name == "send_template" then
      problems.add(state.book, entry.label, "a whole campaign: write "
        .. "for_each_recipient(send_template)")
      return
    end
  end
end

-- The two names that are Netmera's own; all others are the tenant's.
local function misspelt_hook(name)
  for _, own in ipairs { "MESSAGE_LOG", "PROFILE_ATTRIBUTE_CHANGE" } do
    local longer = #name - #own
    local is_near = name ~= own and longer >= -2 and longer <= 2
    if is_near and problems.distance(upper(name), own) <= 2 then return own end
  end
end

local function add_events(state, given)
  for _, id in ipairs(problems.sorted_keys(given)) do
    local label = "events" .. problems.index(id)
    local integer = problems.integer_key(state.book, "an event type", label, id)
    local entry = runner.entry(state, label, given[id])
    runner.must_decide(state, entry)
    if id == CAMPAIGN then must_expand(state, entry) end
    if integer then state.events[id] = entry end
  end
end

local function add_hooks(state, given)
  for _, name in ipairs(problems.sorted_keys(given)) do
    local label = "hooks" .. problems.index(name)
    if type(name) ~= "string" then
      problems.add(state.book, label, "a hook is named by its event, as in PURCHASE = ..., got "
        .. problems.quote(name))
    else
      local near = misspelt_hook(name)
      if near then
        problems.add(state.book, label, "no such event (did you mean " .. problems.quote(near)
          .. "?)")
      end
      state.hooks[name] = runner.entry(state, label, given[name])
      runner.must_decide(state, state.hooks[name])
    end
  end
end

local function sorted(t)
  local list = {}
  for key in next, t do list[#list + 1] = key end
  sort(list)
  return list
end

local function kinds_of(all)
  local of = {}
  for name, message in next, all do of[name] = message.kind end
  return of
end

--- Checks what the file returned, and fills `state` with what runs it.
---@param state table
---@param returned any
---@param host table
---@return table? rules  name, time_zone and tables to compare; nil if there is no tenant
---@return table? list   the examples
function tenant.build(state, returned, host)
  local book = state.book
  if not tenant.is(returned) then
    if not unknown.is(returned) then
      local got = returned == nil and "nothing" or problems.quote(returned)
      problems.add(book, nil, "the file returns " .. got .. ", expected return tenant { ... }")
    end
    return nil
  end
  local given = returned.given
  if not given then return nil end
  problems.closed(given, keys, function(message) problems.add(book, "tenant", message) end)
  local named = part(book, given, "messages", "a table of messages by name")
  local rules = { name = check_name(book, given.name) }
  rules.time_zone = check_zone(book, given.time_zone, host)
  state.day_of = zone_days(rules.time_zone, host)
  state.instant = zone_instants(rules.time_zone, host)
  state.named, state.listed = named, part(book, given, "channels", "kinds by channel id")
  add_messages(state, named)
  caps.read(state, part(book, given, "caps", "caps by channel or category"))
  add_channels(state, state.listed)
  state.templates = templates.read(state, part(book, given, "templates", "messages by template id"))
  if not host.is_alone then check_sends(state) end
  name_unquoted(book, named)
  add_events(state, part(book, given, "events", "steps by event type"))
  add_hooks(state, part(book, given, "hooks", "steps by event name"))
  state.inbound = inbound.read(state, part(book, given, "inbound", "functions by name"))
  local list = {}
  -- What has proven itself before goes without them.
  if not host.is_known then
    local examples = require "netmove.examples"
    list = examples.read(book, part(book, given, "examples", "a list of examples"))
  end
  state.named, state.listed, state.sends = nil, nil, nil -- of use while the file is read
  rules.channels = state.channels
  rules.templates = templates.names(state.templates)
  rules.messages = kinds_of(state.messages)
  rules.event_types = sorted(state.events)
  rules.hooks_named = sorted(state.hooks)
  rules.inbound_named = sorted(state.inbound)
  rules.examples = #list
  return rules, list
end

return tenant
