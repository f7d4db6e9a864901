--- Conditions: `one_of`, `starts_with`, `matches`.
--
-- Of something plain they answer at once; of a value such as from("attributes.tier") they
-- make a condition: a value that is true or false, for `when` and wherever values may stand.

local patterns = require "netmove.patterns"
local problems = require "netmove.problems"
local texts = require "netmove.texts"
local unknown = require "netmove.unknown"
local values = require "netmove.values"

local conditions = {}

local error, getmetatable, ipairs, select, type = error, getmetatable, ipairs, select, type
local sub = string.sub

local MOST_PATTERNS = 64 -- kept compiled; an author's are constants, and few

local function is_among(found, list)
  for i = 1, #list do
    if list[i] == found then return true end
  end
  return false
end

local function has_prefix(found, prefix)
  local text = texts.plain(found) or found
  return type(text) == "string" and sub(text, 1, #prefix) == prefix
end

local function is_covered(found, compiled)
  local text = found == "" and found or texts.plain(found)
  if not text then return false end
  return patterns.match(text, compiled)
end

-- The list of `one_of`, whichever way it is written.
local function candidates(book, ...)
  local list = ...
  if type(list) ~= "table" or getmetatable(list) then list = { ... } end
  for _, one in ipairs(list) do
    if values.is(one) or type(one) == "table" and not unknown.is(one) then
      problems.misuse(book, "one_of: expected texts or numbers to compare with, got "
        .. problems.quote(one))
      return {}
    end
  end
  return list
end

local function one_of_word(state)
  local book = state.book
  return function(value, ...)
    if select("#", ...) == 0 and (book.open or type(value) == "table") then
      problems.misuse(book, 'one_of: expected a value and what it may be, as in '
        .. 'one_of(from("attributes.tier"), "gold", "silver")')
      return unknown.new()
    end
    if values.is(value) then
      return values.condition(state, value, is_among, candidates(book, ...))
    end
    local list = ...
    if type(list) == "table" then return is_among(value, list) end
    for i = 1, select("#", ...) do
      if (select(i, ...)) == value then return true end
    end
    return false
  end
end

local function starts_with_word(state)
  local book = state.book
  return function(value, prefix)
    if type(prefix) ~= "string" then
      if not unknown.is(prefix) then
        problems.misuse(book, "starts_with: expected (value, text), got " .. problems.quote(prefix)
          .. " for the text")
      end
      return unknown.new()
    end
    if values.is(value) then return values.condition(state, value, has_prefix, prefix) end
    return has_prefix(value, prefix)
  end
end

-- Compiled patterns, so that a function may use one for every event.
local function compiler(book)
  local kept, count = {}, 0
  return function(pattern)
    local compiled = kept[pattern]
    if compiled then return compiled end
    local wrong
    if type(pattern) ~= "string" then
      wrong = "expected (value, pattern), got " .. problems.quote(pattern) .. " for the pattern"
    else
      compiled, wrong = patterns.compile(pattern)
      wrong = wrong and "pattern " .. problems.quote(pattern) .. ": " .. wrong
    end
    if not compiled then
      if not unknown.is(pattern) then problems.misuse(book, "matches: " .. wrong) end
      return nil
    end
    if count == MOST_PATTERNS then kept, count = {}, 0 end
    kept[pattern], count = compiled, count + 1
    return compiled
  end
end

local function matches_word(state)
  local compile = compiler(state.book)
  return function(value, pattern)
    local compiled = compile(pattern)
    if not compiled then return unknown.new() end
    if values.is(value) then return values.condition(state, value, is_covered, compiled) end
    local is_so, wrong = is_covered(value, compiled)
    if wrong then error("matches: " .. wrong, 2) end
    return is_so
  end
end

--- The words `one_of`, `starts_with` and `matches`.
---@param state table
---@return table<string, function>
function conditions.words(state)
  return {
    one_of = one_of_word(state),
    starts_with = starts_with_word(state),
    matches = matches_word(state),
  }
end

return conditions
