--- JSON inside text, such as Optimove's `Notes`: lua-cjson, strict, with whole numbers whole.

local cjson = require "cjson"

local json = {}

local error, next, pcall, type = error, next, pcall, type
local floor, tointeger, abs = math.floor, math.tointeger, math.abs

local DEPTH = 64
local EXACT = 2 ^ 53 -- beyond it a float no longer counts by one
local FOURTEEN_DIGITS = 1e14 -- lua-cjson writes no more, and says nothing

local strict = cjson.new()
strict.decode_invalid_numbers(false)
strict.encode_invalid_numbers(false)
strict.decode_max_depth(DEPTH)
strict.encode_max_depth(DEPTH)
strict.encode_sparse_array(false, 2, 64)

-- 1.0 becomes 1; a null is nothing.
local function normalise(value)
  local kind = type(value)
  if kind == "number" then
    if value == floor(value) and abs(value) <= EXACT then return tointeger(value) end
  elseif kind == "userdata" then
    return nil
  elseif kind == "table" then
    for key, inner in next, value do value[key] = normalise(inner) end
  end
  return value
end

local function check(value, depth)
  local kind = type(value)
  if kind == "number" and abs(value) >= FOURTEEN_DIGITS then
    error("json.encode: a number of more than 14 digits would be cut; make it text", 0)
  elseif kind == "table" then
    if depth > DEPTH then error("json.encode: deeper than " .. DEPTH .. " levels", 0) end
    for _, inner in next, value do check(inner, depth + 1) end
  end
end

--- Reads JSON; bad JSON is an expected failure, not an error.
---@param text string?
---@return any
---@return string? message
function json.decode(text)
  if type(text) ~= "string" then return nil, "no text to read JSON from" end
  local read, value = pcall(strict.decode, text)
  if not read then return nil, "not JSON: " .. value end
  return normalise(value)
end

--- Writes JSON.  An empty table is `{}`.
---@param value any
---@return string
function json.encode(value)
  local good, message = pcall(check, value, 1)
  if not good then error(message, 2) end
  local wrote, text = pcall(strict.encode, value)
  if not wrote then error("json.encode: " .. text, 2) end
  return text
end

return json
