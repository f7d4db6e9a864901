--- The kinds of fields that messages have: how a constant is compiled when the file is read,
-- and how each is rendered for an event.

local problems = require "netmove.problems"
local texts = require "netmove.texts"
local unknown = require "netmove.unknown"
local values = require "netmove.values"

local fields = {}

local error, ipairs, next, type = error, ipairs, next, type
local concat = table.concat
local mtype = math.type

local MINUTE = 60 * 1000

-- Getters: (argument, event, ctx, lost) -> value | nil | nil, why there is none.  Names in
-- texts that have no value are added to `lost`.

local function get_constant(value)
  return value
end

local function get_text(text, event, _, lost)
  return texts.render(text, event, lost)
end

local function get_html(text, event, _, lost)
  return texts.render(text, event, lost, true)
end

-- Half an address is none.
local function get_address(text, event)
  local lost = {}
  local address = texts.render(text, event, lost)
  if lost[1] then return nil, "no value for {" .. lost[1] .. "}" end
  return address
end

---@return any value
---@return string? wrong
function fields.get_value(value, event, ctx)
  local found, wrong, missing = values.resolve(value, event, ctx)
  if missing then return nil, "no value for " .. missing end
  return found, wrong
end

local function get_map(map, event, ctx, lost)
  local out = {}
  for i = 1, #map do
    local field = map[i]
    local value, wrong = field.get(field.from, event, ctx, lost)
    if wrong then return nil, wrong end
    if value ~= nil and not problems.is_scalar(value) then
      error(map.label .. problems.index(field.name) .. ": expected a text, number or boolean, got "
        .. problems.quote(value), 0)
    end
    out[field.name] = value
  end
  return out
end

--- The getters of constants and texts, for whoever compiles them further.
fields.getters = {
  constant = get_constant, text = get_text, html = get_html, address = get_address, map = get_map,
}

-- Compilers of constants by kind: (value, field) -> getter, argument | nil, expected.

fields.compile = {}
local compile = fields.compile

function compile.text(value)
  if type(value) == "number" then return get_constant, texts.plain(value) end
  if type(value) ~= "string" then return nil, "a text" end
  local text, wrong = texts.compile(value)
  if not text then return nil, nil, wrong end
  if type(text) == "string" then return get_constant, text end
  return get_text, text
end

function compile.html(value)
  local get, from, wrong = compile.text(value)
  return get == get_text and get_html or get, from, wrong
end

function compile.address(value)
  local get, from, wrong = compile.text(value)
  return get == get_text and get_address or get, from, wrong
end

function compile.key(value)
  if mtype(value) == "integer" then return get_constant, texts.plain(value) end
  if type(value) ~= "string" or value == "" then return nil, 'a key such as "106"' end
  return get_constant, value
end

function compile.flag(value)
  if type(value) ~= "boolean" then return nil, "true or false" end
  return get_constant, value
end

function compile.duration(value)
  if mtype(value) ~= "integer" or value < MINUTE then
    return nil, "a time such as hours(6), a minute or more"
  end
  return get_constant, value
end

local function choices(field)
  local names = {}
  for _, name in ipairs(problems.sorted_keys(field[4])) do
    names[#names + 1] = problems.quote(name)
  end
  return concat(names, " or ")
end

function compile.choice(value, field)
  if field[4][value] then return get_constant, value end
  return nil, choices(field)
end

function compile.map(value, field)
  if type(value) ~= "table" then return nil, "a table of names and values" end
  local map = { label = field[1] }
  for _, name in ipairs(problems.sorted_keys(value)) do
    local inner = value[name]
    if type(name) ~= "string" then return nil, "names and values, as in { name = \"x\" }" end
    if type(inner) == "boolean" or type(inner) == "number" then
      map[#map + 1] = { name = name, get = get_constant, from = inner }
    elseif values.is(inner) then
      map[#map + 1] = { name = name, get = fields.get_value, from = inner }
    elseif not unknown.is(inner) then
      local get, from, wrong = compile.text(inner)
      if wrong then return nil, nil, name .. ": " .. wrong end
      if not get then return nil, from .. " for " .. problems.quote(name) end
      map[#map + 1] = { name = name, get = get, from = from }
    end
  end
  return get_map, map
end

-- What a function or a `from` gave, made what the field needs; or nil, what was expected.
fields.accept = {}
local accept = fields.accept

function accept.text(value)
  if value == "" then return value end
  return texts.plain(value), "a text"
end
accept.html = accept.text
accept.address = accept.text
accept.key = accept.text

function accept.flag(value)
  if type(value) == "boolean" then return value end
  return nil, "true or false"
end

function accept.duration(value)
  if mtype(value) == "integer" and value >= MINUTE then return value end
  return nil, "a time such as hours(6), a minute or more"
end

function accept.choice(value, field)
  if field[4][value] then return value end
  return nil, choices(field)
end

function accept.map(value)
  if type(value) ~= "table" then return nil, "a table of names and values" end
  for name, inner in next, value do
    if type(name) ~= "string" or not problems.is_scalar(inner) then
      return nil, "a table of names and values"
    end
  end
  return value
end

return fields
