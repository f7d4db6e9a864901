--- `track_event`: an event of the customer's, told to Optimove in real time.

local conversions = require "netmove.conversions"
local effects = require "netmove.effects"
local problems = require "netmove.problems"
local runner = require "netmove.runner"
local texts = require "netmove.texts"
local unknown = require "netmove.unknown"
local values = require "netmove.values"

local tracking = {}

local error, getmetatable, ipairs, next, type = error, getmetatable, ipairs, next, type
local find, format = string.find, string.format
local mtype = math.type
local utf8_len = utf8 and utf8.len

local hold = effects.hold

local LONGEST_TEXT = 255 -- characters of one text of the context, as Optimove takes them

--- The keys of `track_event { }`.
tracking.keys = problems.set { "event", "customer", "visitor", "timestamp", "context" }

local function is_name(value)
  return type(value) == "string" and #value <= LONGEST_TEXT and find(value, "^[a-z][a-z0-9_]*$")
end

-- Why a value cannot stand in a context.
local function unfit(value)
  if not problems.is_scalar(value) then
    return "expected a text, number or boolean, got " .. problems.quote(value)
  elseif type(value) == "string" then
    local length = utf8_len and utf8_len(value) or #value
    if length > LONGEST_TEXT then
      return format("a text of %d characters; Optimove takes %d", length, LONGEST_TEXT)
    end
  end
end

local function refuse(from, why)
  why = "track_event: " .. why
  if type(from) == "function" then error(why, 0) end
  return hold(why)
end

-- When it happened: as asked for, else the event's own time, else now.
local function stamp_of(self, event, ctx)
  local state, found = self.state, event.time
  if self.timestamp ~= nil then
    local wrong
    found, wrong = values.resolve(self.timestamp, event, ctx)
    if wrong then return nil, wrong end
  end
  if found == nil or found == "" then return conversions.stamp(ctx.now_ms) end
  local ms = conversions.moment(found, state.instant)
  if not ms then return nil, problems.quote(found) .. " is not a time" end
  return conversions.stamp(ms)
end

local function context_of(self, event, ctx)
  local context = {}
  for name, from in next, self.context do
    local value, wrong = values.resolve(from, event, ctx)
    if value ~= nil and not wrong then wrong = unfit(value) end
    if wrong then return nil, refuse(from, "context." .. name .. ": " .. wrong) end
    context[name] = value
  end
  return context
end

local function run_track(self, event, ctx)
  local who = self.visitor ~= nil and "visitor" or "customer"
  local id, wrong = values.resolve(self[who], event, ctx)
  local person = texts.plain(id)
  if wrong or not person then
    return refuse(self[who], who .. ": " .. (wrong or "the event has none"))
  end
  local name
  name, wrong = values.resolve(self.event, event, ctx)
  if wrong or not is_name(name) then
    return refuse(self.event, "event: " .. (wrong or "expected a name such as \"cart_filled\", got "
      .. problems.quote(name)))
  end
  local timestamp
  timestamp, wrong = stamp_of(self, event, ctx)
  if not timestamp then return refuse(self.timestamp, "timestamp: " .. wrong) end
  local context, held = context_of(self, event, ctx)
  if not context then return held end
  return {
    effect = "track", event = name, [who] = person, timestamp = timestamp, context = context,
  }
end

local function read_context(step, given, wrong)
  if given == nil or unknown.is(given) then return end
  if type(given) ~= "table" or getmetatable(given) then
    return wrong("context: expected names and values, as in { total = 12 }, got "
      .. problems.quote(given))
  end
  for _, name in ipairs(problems.sorted_keys(given)) do
    local value = given[name]
    local at = "context" .. problems.index(name) .. ": "
    local uncalled = problems.uncalled(step.book, value)
    if not is_name(name) then
      wrong("context: a name is of small letters, digits and \"_\", as in opt_in, got "
        .. problems.quote(name))
    elseif uncalled then
      wrong(at .. uncalled)
    elseif values.is(value) then
      step.context[name] = value
    elseif not unknown.is(value) then
      local why = unfit(value)
      if why then wrong(at .. why) end
      step.context[name] = value
    end
  end
end

-- A value, or a plain one that `is_fine` takes.
local function read_value(step, given, key, wrong, expected, is_fine)
  local value = given[key]
  if value == nil or unknown.is(value) then return end
  local uncalled = problems.uncalled(step.book, value)
  if uncalled then return wrong(key .. ": " .. uncalled) end
  if not values.is(value) and not is_fine(value) then
    return wrong(key .. ": expected " .. expected .. ", got " .. problems.quote(value))
  end
  step[key] = value
end

local function is_time(value)
  return conversions.moment(value) ~= nil
end

local function is_person() return false end

-- While the file is read a person is never written out: it would be the same for every event.
local function is_id(value)
  return mtype(value) == "integer" or type(value) == "string" and value ~= ""
end

local function track_word(state)
  local book = state.book
  local function wrong(message) problems.misuse(book, "track_event: " .. message) end
  return function(given)
    local step = {
      book = book, state = state, name = "track_event", run = run_track, context = {},
      line = book.open and problems.where(book) or nil, decides = true,
    }
    if type(given) ~= "table" or getmetatable(given) then
      if not unknown.is(given) then
        wrong("expected a table, as in track_event { event = \"cart_filled\", customer = "
          .. "from(\"extId\") }, got " .. problems.quote(given))
      end
      return runner.step(step)
    end
    problems.closed(given, tracking.keys, wrong)
    read_value(step, given, "event", wrong,
      "Optimove's name of the event, of small letters, digits and \"_\"", is_name)
    local person = book.open and is_person or is_id
    read_value(step, given, "customer", wrong, 'from("extId") or a function', person)
    read_value(step, given, "visitor", wrong, 'from("attributes.visitor") or a function', person)
    read_value(step, given, "timestamp", wrong, "a time such as from(\"time\")", is_time)
    read_context(step, given.context, wrong)
    if given.event == nil then wrong("no event, expected Optimove's name of it") end
    if (given.customer == nil) == (given.visitor == nil) then
      wrong("expected a customer or a visitor, and not both")
    end
    return runner.step(step)
  end
end

--- The word `track_event`.
---@param state table
---@return table<string, function>
function tracking.words(state)
  return { track_event = track_word(state) }
end

return tracking
