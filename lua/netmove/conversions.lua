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

-- The day counted from 1970 of a date (the same, forwards).
local function day_of_date(y, m, d)
  if m <= 2 then y = y - 1 end
  local era = y // 400
  local of_era = y - era * 400
  local of_year = (153 * (m > 2 and m - 3 or m + 9) + 2) // 5 + d - 1
  return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
end

-- The moment that an ISO 8601 time with its own offset names; nothing without offset.
local function moment_of(y, m, d, rest)
  local hour, minute, after = match(rest, "^[T ](%d%d):(%d%d)(.*)$")
  local second, more = match(after, "^:(%d%d)(.*)$")
  if second then after = more end
  after = match(after, "^[.,]%d+(.*)$") or after
  local offset
  if after == "Z" or after == "z" then
    offset = 0
  else
    local sign, h, min = match(after, "^([+-])(%d%d):?(%d?%d?)$")
    if not sign then return nil end
    offset = (h * 60 + (tonumber(min) or 0)) * (sign == "-" and -1 or 1)
  end
  return tointeger(day_of_date(y, m, d) * DAY_MS
    + ((hour * 60 + minute - offset) * 60 + (second or 0)) * 1000)
end

--- The moment, in milliseconds since 1970, that a time names: by itself, or on the tenant's clock
-- as `instant` reads it (in UTC without it).
---@param value any
---@param instant (fun(year, month, day, hour, minute, second): integer)?
---@return integer?
function conversions.moment(value, instant)
  if type(value) == "string" and not find(value, "^%d+$") then
    local date = conversions.date(value)
    if not date then return nil end
    local year, month, day, rest = match(value, "^(%d+)%-(%d+)%-(%d+)(.*)$")
    local y, m, d = tointeger(year), tointeger(month), tointeger(day)
    local ms = rest ~= "" and moment_of(y, m, d, rest)
    if ms then return ms end
    local hour, minute, second = match(rest, "^[T ](%d%d):(%d%d):?(%d?%d?)")
    local h, min, s = tointeger(hour) or 0, tointeger(minute) or 0, tointeger(second) or 0
    if h > 23 or min > 59 or s > 60 then return nil end
    if instant then return instant(y, m, d, h, min, s) end
    return day_of_date(y, m, d) * DAY_MS + ((h * 60 + min) * 60 + s) * 1000
  end
  local ms = conversions.number(value)
  if not ms or ms < EARLIEST_MS or ms > 253402300799999 then return nil end
  return floor(ms)
end

--- "2020-04-12 17:32:06.094 UTC", as Optimove writes a moment.
---@param ms integer
---@return string
function conversions.stamp(ms)
  local of_day = ms % DAY_MS
  return format("%s %02d:%02d:%02d.%03d UTC", date_of_day(ms // DAY_MS), of_day // 3600000,
    of_day // 60000 % 60, of_day // 1000 % 60, of_day % 1000)
end

--- The day, counted from 1970, of "YYYY-MM-DD".
---@param date string
---@return integer
function conversions.day(date)
  local y, m, d = match(date, "^(%d+)-(%d+)-(%d+)$")
  return day_of_date(tointeger(y), tointeger(m), tointeger(d))
end

--- "YYYY-MM-DD" of an ISO 8601 time, of "YYYY-MM-DD HH:MM:SS", or of milliseconds since 1970.
-- What names a moment (an offset, a "Z", milliseconds) gives the day in the tenant's zone
-- where `day_of` tells it; else the day as written, or in UTC.
---@param value any
---@param day_of (fun(ms: integer): string)?
---@return string?
function conversions.date(value, day_of)
  if type(value) == "string" and not find(value, "^%d+$") then
    local year, month, day, rest = match(value, "^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$")
    if not year or rest ~= "" and not find(rest, "^[T ]%d%d:%d%d") then return nil end
    local y, m, d = tonumber(year), tonumber(month), tonumber(day)
    local last = m == 2 and is_leap(y) and 29 or MONTHS[m]
    if not last or d < 1 or d > last then return nil end
    local ms = day_of and rest ~= "" and moment_of(y, m, d, rest)
    return ms and day_of(ms) or year .. "-" .. month .. "-" .. day
  end
  local ms = conversions.number(value)
  if not ms or ms < EARLIEST_MS or ms > 253402300799999 then return nil end
  return day_of and day_of(floor(ms)) or date_of_day(floor(ms / DAY_MS))
end

return conversions
