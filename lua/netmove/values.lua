--- Values: what an author may write wherever a value is expected.
--
-- A value is a text, a number or a boolean; `from(path)` with `:as(kind)` and
-- `:default(value)`; or a function of the event.  `resolve` makes the first of the others.

local conversions = require "netmove.conversions"
local problems = require "netmove.problems"
local texts = require "netmove.texts"
local unknown = require "netmove.unknown"

local values = {}

local error, getmetatable, ipairs, select, setmetatable, type =
  error, getmetatable, ipairs, select, setmetatable, type
local sub = string.sub
local floor = math.floor
local pairs, tostring = pairs, tostring

local MINUTE = 60 * 1000

local value_mt, renamed_mt = {}, {}

--- What the event holds for a value.
---@param value any
---@param event table
---@param ctx table
---@return any
---@return string? wrong    why it cannot be used
---@return string? missing  the path that led nowhere
function values.resolve(value, event, ctx)
  if type(value) == "function" then return value(event, ctx) end
  if getmetatable(value) ~= value_mt then return value end
  local found = texts.walk(event, value.keys)
  if found == nil or found == "" or type(found) == "userdata" then
    if not value.has_default then return nil, nil, value.path end
    return (values.resolve(value.fallback, event, ctx))
  end
  if not value.kind then return found end
  local converted = conversions[value.kind](found)
  if converted == nil then
    return nil, problems.quote(found) .. " is not " .. conversions.names[value.kind]
  end
  return converted
end

local function made(book, path, keys, kind, has_default, fallback)
  return setmetatable({
    book = book, path = path, keys = keys,
    kind = kind, has_default = has_default, fallback = fallback,
  }, value_mt)
end

local function must_be_value(self, method)
  if getmetatable(self) ~= value_mt then error("write :" .. method .. "(...) with a colon", 3) end
end

local methods = {}

--- Converts what is found: "text", "number", "integer", "boolean" or "date".
---@param kind string
function methods:as(kind)
  must_be_value(self, "as")
  if not conversions.names[kind] then
    if not unknown.is(kind) then
      problems.misuse(self.book, "unknown conversion " .. problems.quote(kind)
        .. problems.hint(kind, conversions.names))
    end
    return self
  end
  return made(self.book, self.path, self.keys, kind, self.has_default, self.fallback)
end

--- Stands in where nothing is found.
---@param fallback any
function methods:default(fallback)
  must_be_value(self, "default")
  if fallback == nil then
    problems.misuse(self.book, "default: expected a value, got nil")
    return self
  end
  return made(self.book, self.path, self.keys, self.kind, true, fallback)
end

value_mt.__index = function(self, name)
  if methods[name] then return methods[name] end
  problems.misuse(self.book, "from has no " .. problems.quote(name) .. problems.hint(name, methods))
  return unknown.new()
end

value_mt.__newindex = function(self)
  problems.misuse(self.book, "a value cannot be changed; make another with from")
end

value_mt.__call = function(self, event, ctx)
  local found, wrong = values.resolve(self, event, ctx)
  if wrong then error(wrong, 2) end
  return found
end

---@param value any
---@return boolean
function values.is(value)
  return type(value) == "function" or getmetatable(value) == value_mt
end

---@param value any
---@return boolean
function values.is_renamed(value)
  return getmetatable(value) == renamed_mt
end

local function path_of(book, word, path)
  if type(path) ~= "string" then
    if not unknown.is(path) then
      problems.misuse(book, word .. ": expected a path such as \"attributes.store\", got "
        .. problems.quote(path))
    end
    return {}
  end
  local keys, wrong = texts.split_path(path)
  if keys then return keys end
  problems.misuse(book, word .. ": " .. wrong)
  return {}
end

local function duration(book, word, unit)
  return function(n)
    if type(n) ~= "number" or n <= 0 or n ~= n or n > 3650 * 24 * 60 then
      if not unknown.is(n) then
        problems.misuse(book, word .. ": expected a number above 0, got " .. problems.quote(n))
      end
      return MINUTE
    end
    return floor(n * unit)
  end
end

local function one_of(value, ...)
  local first = ...
  if type(first) == "table" then
    for _, candidate in ipairs(first) do
      if candidate == value then return true end
    end
    return false
  end
  for i = 1, select("#", ...) do
    if (select(i, ...)) == value then return true end
  end
  return false
end

local function starts_with(text, prefix)
  return type(text) == "string" and type(prefix) == "string" and sub(text, 1, #prefix) == prefix
end

--- The words about values.
---@param book netmove.book
---@return table<string, function>
function values.words(book)
  local words = { one_of = one_of, starts_with = starts_with }

  ---@param path string  from the event on: "extId", "attributes.store", "user.attributes.city"
  function words.from(path)
    local keys = path_of(book, "from", path)
    return made(book, tostring(path), keys, false, false, false)
  end

  ---@param path string                   a table of the event: "changes", "attributes"
  ---@param names table<string, string>   its names, and what each is called at Optimove
  function words.renamed(path, names)
    local renamed = { keys = path_of(book, "renamed", path), names = {} }
    if type(names) ~= "table" then
      problems.misuse(book, "renamed: expected a table of names, got " .. problems.quote(names))
      names = {}
    end
    for from, to in pairs(unknown.is(names) and {} or names) do
      if type(from) == "string" and type(to) == "string" then
        renamed.names[from] = to
      else
        problems.misuse(book, "renamed: expected name = \"NAME\", got " .. problems.quote(from)
          .. " = " .. problems.quote(to))
      end
    end
    return setmetatable(renamed, renamed_mt)
  end

  words.minutes = duration(book, "minutes", MINUTE)
  words.hours = duration(book, "hours", 60 * MINUTE)
  words.days = duration(book, "days", 24 * 60 * MINUTE)
  return words
end

return values
