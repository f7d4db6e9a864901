--- What an unknown word stands for while a file is read: it swallows whatever is done
-- with it, so that one misspelt word does not hide the mistakes after it.

local unknown = {}

local error, getmetatable, rawget, rawset, setmetatable =
  error, getmetatable, rawget, rawset, setmetatable

local PATIENCE = 1000 -- uses before reading stops: a loop over an unknown word has no end

--- Raised when patience ends; the book already says why.
unknown.enough = {}

local unknown_mt = {}

local function swallow(self)
  local thing = getmetatable(self) == unknown_mt and self
  if thing then
    local uses = (rawget(thing, "uses") or 0) + 1
    if uses > PATIENCE then error(unknown.enough, 0) end
    rawset(thing, "uses", uses)
    return thing
  end
  return unknown.new()
end

for _, event in next, {
  "index", "call", "add", "sub", "mul", "div", "mod", "pow", "unm", "idiv", "band", "bor",
  "bxor", "bnot", "shl", "shr", "concat",
} do
  unknown_mt["__" .. event] = swallow
end

unknown_mt.__newindex = function() end
unknown_mt.__len = function() return 0 end
unknown_mt.__lt = function() return false end
unknown_mt.__le = function() return false end
unknown_mt.__tostring = function() return "an unknown word" end

---@return table
function unknown.new()
  return setmetatable({}, unknown_mt)
end

---@param value any
---@return boolean
function unknown.is(value)
  return getmetatable(value) == unknown_mt
end

return unknown
