--- Effects: what a rule decides, as plain tables.

local problems = require "netmove.problems"
local unknown = require "netmove.unknown"

local effects = {}

local ipairs, next, pairs, type = ipairs, next, pairs, type
local byte, find = string.byte, string.find
local mtype = math.type

-- field = { kind, required }
local shapes = {
  send = {
    channel = { "text", true }, message = { "text", true }, to = { "text", true },
    customer = { "text" }, campaign = { "text" }, template = { "integer" },
    channel_id = { "integer" }, content = { "table", true }, expires_in_ms = { "integer" },
    quiet = { "table" }, missing = { "table" }, caps = { "table" },
  },
  expand = {
    campaign = { "text", true }, channel_id = { "integer", true }, quiet = { "table" },
  },
  cancel = { campaign = { "text", true }, channel_id = { "integer" } },
  delay = { until_time = { "clock", true } },
  hold = { reason = { "text", true } },
  drop = { reason = { "text", true } },
  update = { customer = { "text", true }, attributes = { "attributes", true } },
  track = {
    event = { "text", true }, customer = { "text" }, visitor = { "text" },
    timestamp = { "text", true }, context = { "context" },
  },
}

for _, shape in pairs(shapes) do shape.effect = { "text", true } end

--- The keys of each effect: { kind, required }.
effects.shapes = shapes

--- Every key that some effect has.
effects.keys = {}
for _, shape in pairs(shapes) do
  for key in pairs(shape) do effects.keys[key] = true end
end

--- The effects by name.
effects.names = {}
for name in pairs(shapes) do effects.names[name] = true end

local function is_context(value)
  if type(value) ~= "table" then return false end
  for name, inner in next, value do
    if type(name) ~= "string" or not problems.is_scalar(inner) then return false end
  end
  return true
end

local function is_attributes(value)
  return is_context(value) and next(value) ~= nil
end

local kinds = {
  text = { "a text", function(v) return type(v) == "string" and v ~= "" end },
  integer = { "a whole number", function(v) return mtype(v) == "integer" end },
  table = { "a table", function(v) return type(v) == "table" end },
  clock = { 'a time such as "09:00"', function(v) return effects.minute_of(v) ~= nil end },
  attributes = { 'names with text, number or boolean, as in { CITY = "Izmir" }', is_attributes },
  context = { 'names with text, number or boolean, as in { opt_in = true }', is_context },
}

--- The minute of the day of "HH:MM".
---@param text any
---@return integer?
function effects.minute_of(text)
  if type(text) ~= "string" or not find(text, "^[0-2]%d:[0-5]%d$") then return nil end
  local a, b, _, d, e = byte(text, 1, 5)
  local minute = ((a - 48) * 10 + b - 48) * 60 + (d - 48) * 10 + e - 48
  if minute < 24 * 60 then return minute end
end

local function is_good(effect, shape)
  for key, value in next, effect do
    local field = shape[key]
    if not field or not kinds[field[1]][2](value) then return false end
  end
  for key, field in next, shape do
    if field[2] and effect[key] == nil then return false end
  end
  return true
end

--- Checks an effect that an author's function returned.
---@param effect table
---@return string? wrong
function effects.check(effect)
  local name = effect.effect
  local shape = shapes[name]
  if not shape then
    return "unknown effect " .. problems.quote(name) .. problems.hint(name, effects.names)
  end
  if name == "track" and (effect.customer == nil) == (effect.visitor == nil) then
    return "track: expected a customer or a visitor, and not both"
  end
  if is_good(effect, shape) then return nil end
  if name == "send" and effect.content == nil then
    return "a send is made by send(message, event, ctx)"
  end
  local wrong
  problems.closed(effect, shape, function(message) wrong = wrong or name .. ": " .. message end)
  if wrong then return wrong end
  for _, key in ipairs(problems.sorted_keys(shape)) do
    local kind, value = kinds[shape[key][1]], effect[key]
    if value == nil and shape[key][2] then
      return name .. ": no " .. key .. ", expected " .. kind[1]
    elseif value ~= nil and not kind[2](value) then
      return name .. ": " .. key .. ": expected " .. kind[1] .. ", got " .. problems.quote(value)
    end
  end
end

---@param reason string
---@return table
function effects.hold(reason)
  return { effect = "hold", reason = reason }
end

---@param reason string
---@return table
function effects.drop(reason)
  return { effect = "drop", reason = reason }
end

--- The words `hold` and `drop`.
---@param book netmove.book
---@return table<string, function>
function effects.words(book)
  local function giving(name, why)
    return function(reason)
      if type(reason) ~= "string" or not find(reason, "%S") then
        if not unknown.is(reason) then
          problems.misuse(book, name .. ": expected a reason as text, got "
            .. problems.quote(reason) .. "; " .. why)
        end
        reason = "no reason given"
      end
      return { effect = name, reason = reason }
    end
  end
  return {
    hold = giving("hold", "say what a person should look at"),
    drop = giving("drop", "say why it is right that nothing happens"),
  }
end

return effects
