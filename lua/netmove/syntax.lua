--- What people from other languages meant where Lua says "near '!'".

local syntax = {}

local find, match = string.find, string.match

-- By what the compiler stumbled over.
local stumbled = {
  ["!"] = "not equal is written ~=, and not is written not",
  ["&"] = 'and is written "and"',
  ["|"] = 'or is written "or"',
  ["+"] = "write x = x + 1",
  ["//"] = "a comment begins with --",
  ["/"] = "a comment begins with --",
  ["#"] = "a comment begins with --",
  ["?"] = 'write condition and "this" or "that"',
  ["{"] = "the body of a function stands between its ) and end, without braces",
  ["<\\226>"] = "typographic quotes: write \"\" or ''",
}

-- By the same, where a table was to go on.
local in_table = {
  [":"] = "in a table write name = value, [11] = value",
  ["="] = 'a key that is no name stands in brackets: [11] = value, ["two words"] = value',
}

--- What may help, or nothing.
---@param message string  the compiler's
---@return string?
function syntax.hint(message)
  if find(message, "^unfinished string") then return "a text ends with its quote, on its line" end
  local near = match(message, "near '(.*)'$")
  if not near then return nil end
  if find(message, "^'}' expected") then
    return in_table[near] or stumbled[near] or "is a comma missing before it?"
  end
  return stumbled[near]
end

return syntax
