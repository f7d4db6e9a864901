--- cjson gives every number as a float; whole ones become integers again.

local cjson = require("cjson")

local json = { encode = cjson.encode, null = cjson.null }

local function normalise(value)
  if type(value) == "number" then return math.tointeger(value) or value end
  if type(value) == "table" then
    for key, item in pairs(value) do value[key] = normalise(item) end
  end
  return value
end

function json.decode(text) return normalise(cjson.decode(text)) end

return json
