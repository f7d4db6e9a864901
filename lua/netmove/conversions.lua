--- The kinds that `:as` knows.  Each takes what was found and gives the value, or nil.

local conversions = {}

local tonumber, type = tonumber, type
local find, format, match = string.find, string.format, string.match
local floor, tointeger = math.floor, math.tointeger

local plain = require("netmove.texts").plain

local DAY_MS = 24 * 60 * 60 * 1000
local EARLIEST_MS = 100000000000 -- March 1973; anything smaller was meant in seconds
local MONTHS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

--- How messages call them.
conversions.names = {
  text = "a text",
  number = "a number",
  integer = "a whole number",
  boolean = "true or false",
  date = "a date",
}

function conversions.text(value)
  return plain(value)
end

function conversions.number(value)
  if type(value) == "number" then return value end
  if type(value) ~= "string" or not find(value, "^%s*[+-]?%.?%d[%d.]*[eE]?[+-]?%d*%s*$") then
    return nil
  end
  return tonumber(value)
end

function conversions.integer(value)
  local number = conversions.number(value)
  return number and tointeger(number)
end

local truths = { ["true"] = true, ["1"] = true, ["false"] = false, ["0"] = false }

function conversions.boolean(value)
  if type(value) == "boolean" then return value end
  return truths[plain(value) or ""]
end

local function is_leap(year)
  return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
end

-- The date of a day counted from 1970 (H. Hinnant's days-from-civil, backwards).
local function date_of_day(days)
  days = days + 719468
  local era = days // 146097
  local of_era = days - era * 146097
  local year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
  local of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
  local shifted = (5 * of_year + 2) // 153 -- months from March
  local day = of_year - (153 * shifted + 2) // 5 + 1
  local month = shifted < 10 and shifted + 3 or shifted - 9
  local year = year_of_era + era * 400 + (month <= 2 and 1 or 0)
  return format("%04d-%02d-%02d", year, month, day)
end

--- "YYYY-MM-DD" of an ISO 8601 time, of "YYYY-MM-DD HH:MM:SS" (the day as written), or of
-- milliseconds since 1970 (the day in UTC).
function conversions.date(value)
  if type(value) == "string" and not find(value, "^%d+$") then
    local year, month, day, rest = match(value, "^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$")
    if not year or rest ~= "" and not find(rest, "^[T ]%d%d:%d%d") then return nil end
    local y, m, d = tonumber(year), tonumber(month), tonumber(day)
    local last = m == 2 and is_leap(y) and 29 or MONTHS[m]
    if not last or d < 1 or d > last then return nil end
    return year .. "-" .. month .. "-" .. day
  end
  local ms = conversions.number(value)
  if not ms or ms < EARLIEST_MS or ms > 253402300799999 then return nil end
  return date_of_day(floor(ms / DAY_MS))
end

return conversions
