--- `matches(text, pattern)`: patterns that cannot run without end.
--
-- `*` stands for any text, `?` for one character, `[a-z]` and `[^a-z]` for one of a class,
-- `%d %a %l %u %w %s` for a digit, letter, small letter, capital, letter or digit, space;
-- a `+` after a class means one or more of it; `%*` is a star itself.  A pattern covers the
-- whole text.  Characters are those of UTF-8.
--
-- All ways of matching are followed at once, one bit each in one integer, so the work is
-- one round a character whatever the pattern (Baeza-Yates and Gonnet's Shift-And).

local patterns = {}

local pairs, type = pairs, type
local byte, char_of, find, sub = string.byte, string.char, string.find, string.sub

local LONGEST = 62 -- characters and classes of a pattern: as many as bits fit an integer
local LONGEST_TEXT = 64 * 1024 -- bytes

patterns.LONGEST = LONGEST

-- The character of UTF-8 at a place: its bytes, and where the next begins.  A byte that
-- begins none stands for itself.
local function character(text, at)
  local first = byte(text, at)
  if first < 0xC2 or first > 0xF4 then return sub(text, at, at), at + 1 end
  local stop = find(text, "[^\x80-\xBF]", at + 1) or #text + 1
  local size = first < 0xE0 and 2 or first < 0xF0 and 3 or 4
  if stop > at + size then stop = at + size end
  return sub(text, at, stop - 1), stop
end

local function range(first, last, into)
  for code = byte(first), byte(last) do into[char_of(code)] = true end
  return into
end

-- The named classes: ASCII, as nothing else has an order that everybody means.
local named = {
  d = range("0", "9", {}),
  l = range("a", "z", {}),
  u = range("A", "Z", {}),
  a = range("A", "Z", range("a", "z", {})),
  w = range("0", "9", range("A", "Z", range("a", "z", {}))),
  s = { [" "] = true, ["\t"] = true, ["\n"] = true, ["\r"] = true, ["\v"] = true, ["\f"] = true },
}

patterns.classes = named

-- A class or an escaped character after "%".
local function read_escape(pattern, at)
  if at > #pattern then return nil, 'a "%" at its end (a percent sign itself is "%%")' end
  local char, after = character(pattern, at)
  if named[char] then return named[char], after, true end
  if find(char, "^%w$") then
    return nil, '"%' .. char .. '" is no class (known: %a, %d, %l, %s, %u, %w)'
  end
  return { [char] = true }, after, false
end

local function add_range(set, first, last)
  if #first > 1 or #last > 1 then
    return "a range such as [a-z] is of ASCII characters; write the others one by one"
  elseif first > last then
    return 'the range "' .. first .. "-" .. last .. '" is the wrong way round'
  end
  range(first, last, set)
end

-- What stands in brackets: { set, negated }.
local function read_class(pattern, at)
  local set, negated = {}, false
  if sub(pattern, at, at) == "^" then negated, at = true, at + 1 end
  local start = at
  while true do
    if at > #pattern then return nil, 'a "[" without its "]" (a bracket itself is "%[")' end
    local char, after = character(pattern, at)
    if char == "]" and at > start then return { set = set, negated = negated }, after end
    if char == "]" then return nil, "an empty class [] (a bracket itself is \"%]\")" end
    if char == "%" then
      local inner
      inner, after = read_escape(pattern, after)
      if not inner then return nil, after end
      for one in pairs(inner) do set[one] = true end
    elseif sub(pattern, after, after) == "-" and sub(pattern, after + 1, after + 1) ~= "]"
      and after < #pattern then
      local last
      last, after = character(pattern, after + 1)
      local wrong = add_range(set, char, last)
      if wrong then return nil, wrong end
    else
      set[char] = true
    end
    at = after
  end
end

-- One item of a pattern: { set, negated, class }, or "*".
local function read_item(pattern, at)
  local char, after = character(pattern, at)
  if char == "*" then return "*", after end
  if char == "?" then return { set = {}, negated = true }, after end
  if char == "[" then
    local item, wrong_or_after = read_class(pattern, after)
    if item then item.class = true end
    return item, wrong_or_after
  end
  if char == "%" then
    local set, wrong_or_after, class = read_escape(pattern, after)
    return set and { set = set, negated = false, class = class }, wrong_or_after
  end
  return { set = { [char] = true }, negated = false }, after
end

-- Adds a bit to what some, or all but some, characters allow.
local function allow(table, item, bit)
  for char in pairs(item.set) do
    if not table.known[char] then
      table.known[char] = true
      table[char] = table.others
    end
    if not item.negated then table[char] = table[char] | bit end
  end
  if item.negated then
    for char in pairs(table.known) do
      if not item.set[char] then table[char] = table[char] | bit end
    end
    table.others = table.others | bit
  end
end

---@class netmove.pattern
---@field go table    by character: from which states it leads to the next
---@field stay table  by character: in which states it leads nowhere and is allowed
---@field ends integer

--- Compiles a pattern.
---@param pattern string
---@return netmove.pattern?
---@return string? message
function patterns.compile(pattern)
  local go = { others = 0, known = {} }
  local stay = { others = 0, known = {} }
  local count, at, last = 0, 1, nil
  while at <= #pattern do
    if sub(pattern, at, at) == "+" and last and last.class then
      allow(stay, last, 1 << count)
      at, last = at + 1, nil
    else
      local item, after = read_item(pattern, at)
      if not item then return nil, after end
      if item == "*" then
        allow(stay, { set = {}, negated = true }, 1 << count)
      else
        if count == LONGEST then
          return nil, "longer than " .. LONGEST .. " characters beside its stars"
        end
        allow(go, item, 1 << count)
        count = count + 1
      end
      last, at = type(item) == "table" and item or nil, after
    end
  end
  go.known, stay.known = nil, nil
  return { go = go, stay = stay, ends = 1 << count }
end

--- Whether a text is covered by a compiled pattern.
---@param text string
---@param compiled netmove.pattern
---@return boolean?
---@return string? wrong
function patterns.match(text, compiled)
  if #text > LONGEST_TEXT then
    return nil, "a text longer than " .. LONGEST_TEXT .. " bytes"
  end
  local go, stay, states, at = compiled.go, compiled.stay, 1, 1
  while at <= #text and states ~= 0 do
    local char
    char, at = character(text, at)
    states = (states & (go[char] or go.others)) << 1 | states & (stay[char] or stay.others)
  end
  return states & compiled.ends ~= 0
end

return patterns
