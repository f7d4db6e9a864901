--- Values: what an author may write wherever a value is expected.
--
-- A value is a text, a number or a boolean; `from(path)`, with `:as`, `:joined`, `:renamed`
-- and `:default`; a condition over one of these (`conditions.lua`); or a function of the
-- event.  `resolve` makes the first of the others.

local conversions = require "netmove.conversions"
local problems = require "netmove.problems"
local texts = require "netmove.texts"
local unknown = require "netmove.unknown"

local values = {}

local error, getmetatable, ipairs, setmetatable, type =
  error, getmetatable, ipairs, setmetatable, type
local sub = string.sub
local concat = table.concat
local floor = math.floor
local pairs, tostring = pairs, tostring

local MINUTE = 60 * 1000
local LONGEST_LIST = 1000 -- what `joined` joins

local value_mt, condition_mt = { __name = "from(...)" }, { __name = "condition" }
local renamed_mt = { __name = "renamed(...)" }

--- What the event holds for a value.
---@param value any
---@param event table
---@param ctx table
---@return any
---@return string? wrong    why it cannot be used
---@return string? missing  the path that led nowhere
function values.resolve(value, event, ctx)
  if type(value) == "function" then return value(event, ctx) end
  local kind = getmetatable(value)
  if kind == condition_mt then
    local found, why = values.resolve(value.of, event, ctx)
    if why then return nil, why end
    return value.test(found, value.with)
  elseif kind ~= value_mt then
    return value
  end
  local found, ops = texts.walk(event, value.keys), value.ops
  if found == "" or type(found) == "userdata" then found = nil end
  for i = 1, #ops do
    if found == nil then break end
    local wrong
    found, wrong = ops[i].run(found, ops[i], value.state)
    if wrong then return nil, wrong end
  end
  if found == nil then
    if not value.has_default then return nil, nil, value.path end
    return (values.resolve(value.fallback, event, ctx))
  end
  return found
end

-- Operations: (found, op, state) -> value, or nil for nothing | nil, why it cannot be.

local function convert(found, op, state)
  local converted = conversions[op.kind](found, state.day_of)
  if converted == nil then
    return nil, problems.quote(found) .. " is not " .. conversions.names[op.kind]
  end
  return converted
end

local function rename(found, op)
  local to = op.names[found]
  if to == nil then to = op.names[texts.plain(found)] end
  return to
end

local function join(found, op)
  if type(found) ~= "table" then return texts.plain(found) end
  local parts = {}
  for i = 1, #found do
    if i > LONGEST_LIST then return nil, "a list of more than " .. LONGEST_LIST .. " values" end
    local part = texts.plain(found[i])
    if not part and found[i] ~= "" then
      return nil, "a list that holds " .. problems.quote(found[i])
    end
    parts[#parts + 1] = part
  end
  if parts[1] then return concat(parts, op.separator) end
end

-- A copy with one operation more, or with another default.
local function made(value, op, has_default, fallback)
  local ops = {}
  for i, one in ipairs(value.ops) do ops[i] = one end
  ops[#ops + 1] = op
  return setmetatable({
    state = value.state, path = value.path, keys = value.keys, ops = ops,
    has_default = has_default, fallback = fallback,
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
      problems.misuse(self.state.book, "unknown conversion " .. problems.quote(kind)
        .. problems.hint(kind, conversions.names))
    end
    return self
  end
  return made(self, { run = convert, kind = kind }, self.has_default, self.fallback)
end

--- Makes one text of a list.
---@param separator string?  ", " if left out
function methods:joined(separator)
  must_be_value(self, "joined")
  if separator == nil then separator = ", " end
  if type(separator) ~= "string" then
    if not unknown.is(separator) then
      problems.misuse(self.state.book, "joined: expected a text to put between, got "
        .. problems.quote(separator))
    end
    return self
  end
  return made(self, { run = join, separator = separator }, self.has_default, self.fallback)
end

--- Other names for what may be found; what is not among them counts as nothing.
---@param names table<string|number|boolean, string|number|boolean>
function methods:renamed(names)
  must_be_value(self, "renamed")
  if type(names) ~= "table" or getmetatable(names) then
    if not unknown.is(names) then
      problems.misuse(self.state.book, "renamed: expected a table of names, got "
        .. problems.quote(names))
    end
    return self
  end
  local copy = {}
  for _, from in ipairs(problems.sorted_keys(names)) do
    local to = names[from]
    if not problems.is_scalar(to) and not unknown.is(to) then
      problems.misuse(self.state.book, "renamed: expected name = value, got "
        .. problems.quote(from) .. " = " .. problems.quote(to))
    else
      copy[from] = to
    end
  end
  return made(self, { run = rename, names = copy }, self.has_default, self.fallback)
end

--- Stands in where nothing is found.
---@param fallback any
function methods:default(fallback)
  must_be_value(self, "default")
  local wrong = problems.uncalled(self.state.book, fallback)
  if fallback == nil then wrong = "expected a value, got nil" end
  if wrong then
    problems.misuse(self.state.book, "default: " .. wrong)
    return self
  end
  return made(self, nil, true, fallback)
end

values.methods = methods

value_mt.__index = function(self, name)
  if methods[name] then return methods[name] end
  problems.misuse(self.state.book, "from has no " .. problems.quote(name)
    .. problems.hint(name, methods))
  return unknown.new()
end

value_mt.__newindex = function(self)
  problems.misuse(self.state.book, "a value cannot be changed; make another with from")
end

local function call(self, event, ctx)
  local book = self.state.book
  if type(event) ~= "table" or book.open then
    problems.misuse(book, "a value is written without (); in a function it takes "
      .. "the event: value(event)")
    return unknown.new()
  end
  local found, wrong = values.resolve(self, event, ctx or book.ctx)
  if wrong then error(wrong, 2) end
  return found
end

value_mt.__call, condition_mt.__call = call, call

-- An event's value is not there yet while the file is read: "x" .. from("a"), from("a") > 5.
local function reckon(a, b)
  local kind = getmetatable(a)
  local self = (kind == value_mt or kind == condition_mt) and a or b
  problems.misuse(self.state.book, getmetatable(self).__name .. " is not yet a text or a number: "
    .. "reckon inside function(event) ... end, or name it in a text, as in \"{name}\"")
  return unknown.new()
end

for _, mt in ipairs { value_mt, condition_mt } do
  for _, event in ipairs {
    "concat", "add", "sub", "mul", "div", "mod", "pow", "unm", "idiv", "lt", "le", "len",
  } do
    mt["__" .. event] = reckon
  end
end

condition_mt.__index = function(self, name)
  problems.misuse(self.state.book, "a condition is true or false and has no "
    .. problems.quote(name))
  return unknown.new()
end

condition_mt.__newindex = value_mt.__newindex

--- A value that is true or false, by what another value holds.
---@param state table
---@param of any
---@param test fun(found: any, with: any): boolean
---@param with any
---@return table
function values.condition(state, of, test, with)
  return setmetatable({ state = state, of = of, test = test, with = with }, condition_mt)
end

---@param value any
---@return boolean
function values.is(value)
  if type(value) == "function" then return true end
  local kind = getmetatable(value)
  return kind == value_mt or kind == condition_mt
end

--- Whether a function of the author's may have to be asked for it.
---@param value any
---@return boolean
function values.has_code(value)
  local kind = getmetatable(value)
  if kind == condition_mt then
    return values.has_code(value.of) or type(value.with) == "function"
  end
  if kind == value_mt then return value.has_default and values.has_code(value.fallback) end
  return type(value) == "function"
end

--- What a value is made of, for `explain`; nothing for one that is written out.
---@param value any
---@return table?  { kind, of } of a condition, { kind, path, keys, ops, has_default } of a from
function values.describe(value)
  local kind = getmetatable(value)
  if kind == condition_mt then return { kind = "condition", of = value.of } end
  if kind ~= value_mt then return nil end
  local ops = {}
  for i, op in ipairs(value.ops) do
    ops[i] = op.kind and "as " .. op.kind or op.names and "renamed" or op.separator and "joined"
      or "by default"
  end
  return { kind = "from", path = value.path, keys = value.keys, ops = ops,
           has_default = value.has_default }
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
  if keys and keys[1] == "event" and keys[2] then
    wrong = problems.quote(path) .. ": paths begin inside the event: write "
      .. problems.quote(sub(path, #"event." + 1))
  elseif keys then
    return keys
  end
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

--- The words about values.
---@param state table
---@return table<string, function>
function values.words(state)
  local book, words = state.book, {}

  ---@param path string  from the event on: "extId", "attributes.store", "user.attributes.city"
  function words.from(path)
    local keys = path_of(book, "from", path)
    return setmetatable({
      state = state, path = tostring(path), keys = keys, ops = {},
      has_default = false, fallback = false,
    }, value_mt)
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
