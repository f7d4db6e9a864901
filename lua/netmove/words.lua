--- The allow list: every word that rules may use.  What is not here does not exist for them.

local choices = require "netmove.choices"
local conditions = require "netmove.conditions"
local effects = require "netmove.effects"
local json = require "netmove.json"
local messages = require "netmove.messages"
local sending = require "netmove.sending"
local sharing = require "netmove.sharing"
local steps = require "netmove.steps"
local tenant = require "netmove.tenant"
local tracking = require "netmove.tracking"
local values = require "netmove.values"

local words = {}

local error, pairs, type = error, pairs, type
local rep = string.rep

local LONGEST_TEXT = 64 * 1024 -- what string.rep may make

local function bounded_rep(text, n, separator)
  if type(text) ~= "string" or type(n) ~= "number" then error("rep: expected (text, n)", 2) end
  if n * (#text + #(separator or "")) > LONGEST_TEXT then
    error("rep: longer than " .. LONGEST_TEXT .. " bytes", 2)
  end
  return rep(text, n, separator)
end

--- The safe parts of Lua.
words.lua = {
  ipairs = ipairs, pairs = pairs, next = next, select = select, type = type,
  tostring = tostring, tonumber = tonumber, error = error, assert = assert,
}

--- The libraries, member by member.
words.libraries = {
  math = {
    abs = math.abs, ceil = math.ceil, floor = math.floor, fmod = math.fmod, modf = math.modf,
    huge = math.huge, pi = math.pi, sqrt = math.sqrt, exp = math.exp, log = math.log,
    sin = math.sin, cos = math.cos, tan = math.tan, asin = math.asin, acos = math.acos,
    atan = math.atan, deg = math.deg, rad = math.rad, max = math.max, min = math.min,
    tointeger = math.tointeger, type = math.type, ult = math.ult,
    maxinteger = math.maxinteger, mininteger = math.mininteger,
  },
  string = {
    lower = string.lower, upper = string.upper, sub = string.sub, len = string.len,
    byte = string.byte, char = string.char, reverse = string.reverse, format = string.format,
    rep = bounded_rep,
  },
  table = {
    insert = table.insert, remove = table.remove, concat = table.concat, sort = table.sort,
    unpack = table.unpack,
  },
  json = { decode = json.decode, encode = json.encode },
}

--- The libraries for one load: authors may get hold of what a load holds.
---@return table<string, table<string, any>>
function words.copies()
  local copies = {}
  for name, members in pairs(words.libraries) do
    local copy = {}
    for key, member in pairs(members) do copy[key] = member end
    copies[name] = copy
  end
  return copies
end

--- Our own words, made for one load.
---@param state table
---@return table<string, any>
function words.new(state)
  local book, all = state.book, {}
  for _, own in pairs {
    messages.words(book), values.words(state), conditions.words(state), effects.words(book),
    steps.words(state), sending.words(state), choices.words(state), tenant.words(book),
    tracking.words(state), sharing.words(state), words.lua,
  } do
    for name, word in pairs(own) do all[name] = word end
  end
  return all
end

return words
