--- As much of JSON Schema as src/api/openapi.json uses; a keyword that is not here is an error, so that
--- nothing is taken for checked that is not.

local json = require("spec.support.json")

local schema = {}

local ignored = { description = true }

local function kind_of(value)
  if value == json.null then return "null" end
  local kind = type(value)
  if kind == "table" then return (#value > 0 or next(value) == nil) and "array" or "object" end
  if kind == "number" then return math.type(value) == "integer" and "integer" or "number" end
  return kind
end

local function is_type(value, wanted)
  local kind = kind_of(value)
  if kind == wanted then return true end
  if wanted == "number" then return kind == "integer" end
  return wanted == "object" and kind == "array" and next(value) == nil -- cjson: {} and [] are the same
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do if not same(value, b[key]) then return false end end
  for key in pairs(b) do if a[key] == nil then return false end end
  return true
end

--- "^nm_[A-Za-z0-9_-]{43}$" and the like as a Lua pattern.
local function matches(text, pattern)
  local translated = pattern:gsub("%[A%-Za%-z0%-9_%-%]{(%d+)}", function(count)
    return ("[%w_-]"):rep(tonumber(count))
  end)
  return text:find(translated) ~= nil
end

local check -- (value, schema, at, problems, root)

local keywords = {}

function keywords.type(value, wanted, at, problems)
  if not is_type(value, wanted) then problems[#problems + 1] = at .. ": " .. kind_of(value) .. ", not " .. wanted end
end

function keywords.enum(value, wanted, at, problems)
  for _, one in ipairs(wanted) do if same(one, value) then return end end
  problems[#problems + 1] = at .. ": " .. tostring(value) .. " is none of its words"
end

keywords["const"] = function(value, wanted, at, problems)
  if not same(value, wanted) then problems[#problems + 1] = at .. ": " .. tostring(value) end
end

function keywords.pattern(value, wanted, at, problems)
  if type(value) == "string" and not matches(value, wanted) then
    problems[#problems + 1] = at .. ": " .. value .. " does not match " .. wanted
  end
end

function keywords.minimum(value, wanted, at, problems)
  if type(value) == "number" and value < wanted then problems[#problems + 1] = at .. ": below " .. wanted end
end

function keywords.maxLength(value, wanted, at, problems)
  if type(value) == "string" and #value > wanted then problems[#problems + 1] = at .. ": too long" end
end

function keywords.required(value, wanted, at, problems)
  if type(value) ~= "table" then return end
  for _, key in ipairs(wanted) do
    if value[key] == nil then problems[#problems + 1] = at .. ": " .. key .. " is missing" end
  end
end

function keywords.properties(value, wanted, at, problems, root)
  if type(value) ~= "table" then return end
  for key, part in pairs(wanted) do
    if value[key] ~= nil then check(value[key], part, at .. "." .. key, problems, root) end
  end
end

function keywords.additionalProperties(value, wanted, at, problems, root, whole)
  if type(value) ~= "table" then return end
  for key, item in pairs(value) do
    if not (whole.properties and whole.properties[key]) then
      if wanted == false then problems[#problems + 1] = at .. ": no such key: " .. tostring(key)
      else check(item, wanted, at .. "." .. tostring(key), problems, root) end
    end
  end
end

function keywords.items(value, wanted, at, problems, root)
  if type(value) ~= "table" then return end
  for i, item in ipairs(value) do check(item, wanted, at .. "[" .. i .. "]", problems, root) end
end

local function count(value)
  local n = 0
  for _ in pairs(value) do n = n + 1 end
  return n
end

function keywords.minItems(value, wanted, at, problems)
  if type(value) == "table" and #value < wanted then problems[#problems + 1] = at .. ": too few" end
end

function keywords.maxItems(value, wanted, at, problems)
  if type(value) == "table" and #value > wanted then problems[#problems + 1] = at .. ": too many" end
end

function keywords.maxProperties(value, wanted, at, problems)
  if type(value) == "table" and count(value) > wanted then problems[#problems + 1] = at .. ": too many keys" end
end

function keywords.allOf(value, wanted, at, problems, root)
  for _, part in ipairs(wanted) do check(value, part, at, problems, root) end
end

function keywords.oneOf(value, wanted, at, problems, root)
  for _, part in ipairs(wanted) do
    local found = {}
    check(value, part, at, found, root)
    if #found == 0 then return end
  end
  problems[#problems + 1] = at .. ": none of its kinds"
end

keywords["$ref"] = function(value, wanted, at, problems, root)
  local target = root
  for name in wanted:gmatch("[^#/]+") do target = assert(target[name], "there is no " .. wanted) end
  check(value, target, at, problems, root)
end

check = function(value, part, at, problems, root)
  for keyword, wanted in pairs(part) do
    if not ignored[keyword] then
      local look = assert(keywords[keyword], "schema: this checker does not know " .. keyword)
      look(value, wanted, at, problems, root, part)
    end
  end
end

--- What is wrong with a value, a line each; "" where it is right.
function schema.problems(value, part, root)
  local problems = {}
  check(value, part, "$", problems, root)
  return table.concat(problems, "\n")
end

return schema
