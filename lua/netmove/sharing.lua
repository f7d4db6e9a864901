--- `use "name"`: what several tenants' files share, from `lib/name.lua` beside them.
--
-- A library sees the same words as the file that uses it and returns what it has to give,
-- as a rule a table.  It is read once a load, however many use it; who gives its text (a
-- folder, a stored bundle) is the host's business.

local problems = require "netmove.problems"
local reading = require "netmove.reading"
local tenant = require "netmove.tenant"
local unknown = require "netmove.unknown"

local sharing = {}

local ipairs, type = ipairs, type
local find, match = string.find, string.match
local concat = table.concat

local DEEPEST = 8 -- libraries that use libraries

local reading_now = {} -- stands for a library whose own reading has not ended

-- "rules/lib/texts.lua" for the library of a tenant "rules/acme.lua".
local function file_of(book, name)
  return (match(book.chunk, "^(.*/)[^/]*$") or "") .. "lib/" .. name .. ".lua"
end

-- Why no library has that name, with the nearest that there is.
local function no_library(state, name, why)
  local host, known = state.host, {}
  for _, other in ipairs(host.libraries and host.libraries() or {}) do known[other] = true end
  return why or "no library " .. problems.quote(name) .. ": there is no "
    .. file_of(state.book, name) .. problems.hint(name, known)
end

-- "a uses b uses a", from the library that is asked for again.
local function circle(state, name)
  local way, list = state.way, {}
  local inside = false
  for i = 1, #way do
    inside = inside or way[i] == name
    if inside then list[#list + 1] = way[i] end
  end
  list[#list + 1] = name
  return "libraries that use each other: " .. concat(list, " uses ")
end

-- `return use("x")` is a tail call and has lost its line: then the file at least is told.
local function misuse(state, message)
  local book = state.book
  local line = problems.where(book)
  if not book.open or line and problems.file_of(line) == state.file_read then
    return problems.misuse(book, message)
  end
  local p = problems.add(book, nil, message)
  if state.file_read > 0 then p.file = book.files[state.file_read].name end
end

local function read(state, name)
  local book, host = state.book, state.host
  local source, why
  if host.library then source, why = host.library(name) end
  if not source then
    misuse(state, "use: " .. no_library(state, name, why))
    return unknown.new()
  end
  local way, outer = state.way, state.file_read
  local number = problems.add_file(book, file_of(book, name))
  way[#way + 1], state.file_read = name, number
  local whole, returned = reading.run(state.reader, source, number)
  way[#way], state.file_read = nil, outer
  if not whole or unknown.is(returned) then return unknown.new() end
  if returned == nil or tenant.is(returned) then
    problems.add(book, nil, "the library returns " .. problems.quote(returned)
      .. ", expected what it shares, as in return { quiet = ... }", problems.line_in(1, number))
    return unknown.new()
  end
  return returned
end

--- The word `use`.
---@param state table
---@return table<string, function>
function sharing.words(state)
  local book = state.book
  state.way, state.file_read = {}, 0
  state.read_library = read -- until the load ends: all that reads files may go then

  local function use(name)
    if not book.open then
      misuse(state, 'use: write local name = use("name") at the top of the file')
    end
    if type(name) ~= "string" or not find(name, "^[a-z0-9_]+$") or #name > 64 then
      if not unknown.is(name) then
        misuse(state, "use: expected the name of a library, of small letters, digits and "
          .. '"_", as in use("texts") for lib/texts.lua, got ' .. problems.quote(name))
      end
      return unknown.new()
    end
    local used = state.used
    if used[name] == nil then
      if #state.way == DEEPEST then
        misuse(state, "use: libraries that use libraries, more than " .. DEEPEST .. " deep")
        return unknown.new()
      end
      used[name] = reading_now
      used[name] = state.read_library(state, name)
    elseif used[name] == reading_now then
      misuse(state, "use: " .. circle(state, name))
      return unknown.new()
    end
    return used[name]
  end

  return { use = use }
end

return sharing
