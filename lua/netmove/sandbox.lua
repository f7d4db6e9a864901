--- The room that rules live in: they see the words of an allow list and nothing else.
--
-- Reading an unknown name, setting any global and changing a library are mistakes.  Strings
-- have only the safe methods while rules run; see `enter` and `leave`.

local chunk = require "netmove.chunk"
local problems = require "netmove.problems"
local unknown = require "netmove.unknown"

local sandbox = {}

local getmetatable, ipairs, pairs, setmetatable, tostring =
  getmetatable, ipairs, pairs, setmetatable, tostring

local strings_mt = getmetatable("")
local outside = strings_mt.__index

local PATTERNS = "patterns can run without end; use matches, starts_with, one_of, sub or len"
local SYSTEM = "rules open nothing and read no clock; time comes in ctx"
local METATABLES = "rules have no metatables"
local NOTHING = "what is not there is nil"
local WITHIN = "it is there inside a function: function(event, ctx) ... end"
local LOADING = 'what files share stands in rules/lib, and is had by use("its name")'

-- What people look for, and why it is not here.
local absent = {
  find = PATTERNS, match = PATTERNS, gmatch = PATTERNS, gsub = PATTERNS,
  io = SYSTEM, os = SYSTEM, debug = SYSTEM, print = "rules print nothing; see `netmove explain`",
  random = "the same event must always give the same effects",
  randomseed = "the same event must always give the same effects",
  getmetatable = METATABLES, setmetatable = METATABLES, rawset = METATABLES, rawget = METATABLES,
  load = LOADING, loadstring = LOADING, dofile = LOADING, loadfile = LOADING, require = LOADING,
  pcall = "an error must reach the person who can mend it",
  xpcall = "an error must reach the person who can mend it",
  null = NOTHING, undefined = NOTHING, None = NOTHING, NULL = NOTHING, NaN = NOTHING,
  True = "write true", TRUE = "write true", False = "write false", FALSE = "write false",
  event = WITHIN, ctx = WITHIN, self = "rules are functions of the event, not objects",
  now = SYSTEM, time = SYSTEM, date = SYSTEM, today = SYSTEM, clock = SYSTEM,
  coroutine = "rules wait for nothing", collectgarbage = "rules have a fixed memory",
}

-- What is said of a name that is not there; `library` is nil for globals.
local function missing(library, name, known)
  local full = library and library .. "." .. tostring(name) or name
  if absent[name] and not known[name] then
    return problems.quote(full) .. " is not for rules: " .. absent[name]
  end
  local what = library and "unknown name " or "unknown word "
  return what .. problems.quote(full) .. problems.hint(name, known)
end

local function setting(library, name)
  if library then
    local full = library .. "." .. tostring(name)
    return "setting " .. problems.quote(full) .. ": libraries stay as they are"
  end
  return "setting the global " .. problems.quote(name) .. ": write local " .. tostring(name)
end

-- A copy that reports the names it does not have.
local function guarded(book, members, library)
  local copy, stand_in = {}, unknown.new()
  for name, member in pairs(members) do copy[name] = member end
  return setmetatable(copy, {
    __index = function(_, name)
      problems.misuse(book, missing(library, name, members))
      return stand_in
    end,
  })
end

-- One that cannot be changed either.
local function sealed(book, members, library)
  return setmetatable({}, {
    __index = guarded(book, members, library),
    __newindex = function(_, name) problems.misuse(book, setting(library, name)) end,
  })
end

---@class netmove.sandbox
---@field env table      the file's _ENV
---@field methods table  what a text answers to, as in ("x"):upper()

---@param book netmove.book
---@param words table<string, any>                        the allow list
---@param libraries table<string, table<string, any>>     its libraries, by name
---@return netmove.sandbox
function sandbox.new(book, words, libraries)
  local known = {}
  for name, word in pairs(words) do known[name] = word end
  for name, members in pairs(libraries) do known[name] = sealed(book, members, name) end
  return {
    env = sealed(book, known),
    methods = guarded(book, libraries.string, "string"),
  }
end

--- Finds unknown names before anything runs, in branches that may never be reached, too.
---@param book netmove.book
---@param main function
---@param words table<string, any>
---@param libraries table<string, table<string, any>>
---@param number integer  of the file
function sandbox.inspect(book, main, words, libraries, number)
  local known = {}
  for name in pairs(words) do known[name] = true end
  for name in pairs(libraries) do known[name] = true end
  local is_good = true
  for _, use in ipairs(chunk.globals(main, true) or {}) do
    local library = libraries[use.name]
    is_good = is_good and not use.set and known[use.name]
      and not (use.field and library and library[use.field] == nil)
  end
  if is_good then return end
  for _, use in ipairs(chunk.globals(main) or {}) do
    local library, line = libraries[use.name], problems.line_in(use.line, number)
    if use.set then
      problems.add(book, nil, setting(nil, use.name), line)
    elseif not known[use.name] then
      problems.add(book, nil, missing(nil, use.name, known), line).unknown = use.name
    elseif use.field and library and library[use.field] == nil then
      problems.add(book, nil, missing(use.name, use.field, library), line)
    end
  end
end

--- From here on every text in this state has only the safe methods.
---@param room netmove.sandbox
function sandbox.enter(room)
  strings_mt.__index = room.methods
  strings_mt.__metatable = false
end

--- The state's own strings again, for whoever shares it with us (tests).
function sandbox.leave()
  strings_mt.__index = outside
  strings_mt.__metatable = nil
end

return sandbox
