--- Reads one file of a load: the tenant's own, or a library that it uses.

local problems = require "netmove.problems"
local sandbox = require "netmove.sandbox"
local syntax = require "netmove.syntax"
local unknown = require "netmove.unknown"

local reading = {}

local load, xpcall = load, xpcall
local sub = string.sub

local BYTE_ORDER_MARK = "\xEF\xBB\xBF"

--- Compiles and runs a file in the room of its load; what is wrong goes into the book.
---@param reader table   { book, own, libraries, room, traceback }
---@param source string
---@param number integer  of the file in the book
---@return boolean whole
---@return any returned
function reading.run(reader, source, number)
  local book = reader.book
  if sub(source, 1, 3) == BYTE_ORDER_MARK then source = sub(source, 4) end
  local main, wrong = load(source, "@" .. book.files[number].name, "t", reader.room.env)
  if not main then
    local line, message = problems.split(book, wrong)
    local hint = syntax.hint(message)
    problems.add(book, nil, hint and message .. " (" .. hint .. ")" or message, line)
    return false
  end
  sandbox.inspect(book, main, reader.own, reader.libraries, number)
  local traceback, trace = reader.traceback, nil
  local ran, returned = xpcall(main, function(raised)
    trace = traceback and traceback() -- shown only where it is asked for
    return raised
  end)
  if ran then return true, returned end
  if returned ~= unknown.enough then
    local line, message = problems.split(book, returned)
    problems.add(book, nil, message, line).trace = trace
  end
  return false
end

return reading
