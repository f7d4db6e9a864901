--- Mistakes in a rules file: how they are collected, worded and shown.
--
-- One load has one book.  While the file is being read a misused word writes into the
-- book and the reading goes on, so that the author sees every mistake at once.  Once the
-- rules are live the same misuse raises an error that names file and line.

local problems = {}

local error, pcall, tonumber, tostring, type = error, pcall, tonumber, tostring, type
local getmetatable, ipairs, load, next, pairs, setmetatable =
  getmetatable, ipairs, load, next, pairs, setmetatable
local byte, find, format, gsub = string.byte, string.find, string.format, string.gsub
local lower, match, sub = string.lower, string.match, string.sub
local concat, sort = table.concat, table.sort
local mtype, floor, huge, min = math.type, math.floor, math.huge, math.min

local LONGEST_WORD = 64 -- words longer than this are not compared letter by letter
local SHORTEST_PART = 4 -- letters of a word that says something inside another
local LONGEST_QUOTE = 60
local LONGEST_LIST = 12 -- known words that a message lists when none is near
local FRAMES = 24 -- how far up the stack the author's line is looked for
local LINES = 1 << 32 -- a line of a library counts from its file's number times this

---@class netmove.problem
---@field entry string?   where in the tenant: "templates[1202]"
---@field line integer?   where in the file; of a library, with its number: see `plain_line`
---@field file string?    of a library; nothing for the tenant's own file
---@field message string  what was found, what was expected, the nearest known word
---@field trace string?   for developers only; never shown by itself

---@class netmove.book
---@field chunk string   the file's name
---@field files { name: string, shown: string }[]  the tenant's own at 0, then libraries; `shown`
--                        is the name as Lua prefixes it to its own messages
---@field open boolean   true while the file is being read
---@field list netmove.problem[]
---@field ctx table?   of the event that is being run: for words that are called without it
---@field words table<function, string>?  the words that are functions, by what they are

--- Keys of a table in an order that does not change from run to run.
---@param t table
---@return any[]
function problems.sorted_keys(t)
  local keys = {}
  for key in next, t do keys[#keys + 1] = key end
  sort(keys, function(a, b)
    local ta, tb = type(a), type(b)
    if ta ~= tb then return ta < tb end
    if ta == "number" or ta == "string" then return a < b end
    return tostring(a) < tostring(b)
  end)
  return keys
end

--- A value as an author would write it, short enough for one line.
---@param value any
---@return string
function problems.quote(value)
  local kind = type(value)
  if kind == "string" then
    local text = gsub(value, "[%c\"\\]", function(c)
      if c == "\n" then return "\\n" end
      if c == '"' or c == "\\" then return "\\" .. c end
      return format("\\%d", byte(c))
    end)
    if #text > LONGEST_QUOTE then text = sub(text, 1, LONGEST_QUOTE) .. "..." end
    return '"' .. text .. '"'
  elseif kind == "number" or kind == "boolean" or kind == "nil" then
    return tostring(value)
  end
  local mt = kind == "table" and getmetatable(value)
  local name = type(mt) == "table" and mt.__name or kind
  return find(name, "(", 1, true) and name or "a " .. name
end

--- `[1202]`, `.name` or `["two words"]`, as the author would index it.
---@param key any
---@return string
function problems.index(key)
  if type(key) == "string" then
    if find(key, "^[%a_][%w_]*$") then return "." .. key end
    return "[" .. problems.quote(key) .. "]"
  end
  return "[" .. tostring(key) .. "]"
end

--- Letters to add, drop, change or swap to get from a to b.
---@param a string
---@param b string
---@return integer
function problems.distance(a, b)
  local la, lb = #a, #b
  local before, last, row = {}, {}, {}
  for j = 0, lb do last[j] = j end
  for i = 1, la do
    row[0] = i
    for j = 1, lb do
      local same = byte(a, i) == byte(b, j)
      local cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and byte(a, i) == byte(b, j - 1) and byte(a, i - 1) == byte(b, j) then
        cost = min(cost, before[j - 2] + 1)
      end
      row[j] = cost
    end
    before, last, row = last, row, before
  end
  return last[lb]
end

-- The shortest known word of which the other is a part, or the longest that is a part of it:
-- "expires" for "expires_in".
local function kindred(wanted, known)
  local best, least = nil, huge
  if #wanted < SHORTEST_PART then return nil end
  for _, candidate in ipairs(problems.sorted_keys(known)) do
    local other = type(candidate) == "string" and lower(candidate) or ""
    local is_part = #other >= SHORTEST_PART
      and (find(other, wanted, 1, true) or find(wanted, other, 1, true))
    local d = #other > #wanted and #other - #wanted or #wanted - #other
    if is_part and d < least then best, least = candidate, d end
  end
  return best
end

--- The known word nearest to a misspelt one.
---@param word any
---@param known table<string, any>  words are its keys
---@return string?
function problems.nearest(word, known)
  if type(word) ~= "string" or #word > LONGEST_WORD then return nil end
  local wanted = lower(word)
  local best, least = nil, floor(#word / 3) + 1
  for _, candidate in ipairs(problems.sorted_keys(known)) do
    if type(candidate) == "string" and #candidate <= LONGEST_WORD then
      local d = problems.distance(wanted, lower(candidate))
      if d < least then best, least = candidate, d end
    end
  end
  return best or kindred(wanted, known)
end

--- ` (did you mean "order_shipped"?)`, or the known words if none is near and they are few.
---@param word any
---@param known table<string, any>
---@return string
function problems.hint(word, known)
  local best = problems.nearest(word, known)
  if best then return ' (did you mean "' .. best .. '"?)' end
  local names = {}
  for _, name in ipairs(problems.sorted_keys(known)) do names[#names + 1] = tostring(name) end
  if #names == 0 or #names > LONGEST_LIST then return "" end
  return " (known: " .. concat(names, ", ") .. ")"
end

-- Lua shortens long names in its messages: ask it how.
local function shown_as(name)
  local _, position = pcall(load("error('', 1)", "@" .. name, "t", { error = error }))
  return sub(position, 1, -5)
end

---@param chunkname string
---@return netmove.book
function problems.book(chunkname)
  local name = sub(chunkname, 1, 1) == "@" and sub(chunkname, 2) or chunkname
  local own = { name = name, shown = shown_as(name) }
  return { chunk = name, files = { [0] = own }, open = true, list = {} }
end

--- One more file of the same load: a library.
---@param book netmove.book
---@param name string
---@return integer number
function problems.add_file(book, name)
  book.files[#book.files + 1] = { name = name, shown = shown_as(name) }
  return #book.files
end

--- A line of the file of that number, as a problem or a step carries it.
---@param line integer?
---@param number integer  0 for the tenant's own file, whose lines are plain
---@return integer?
function problems.line_in(line, number)
  return line and line + number * LINES
end

--- The same for a function's first line and the name of its chunk.
---@param book netmove.book
---@param line integer?
---@param source string?  "@rules/lib/texts.lua"
---@return integer?
function problems.line_of(book, line, source)
  for number = 1, source and #book.files or 0 do
    if source == "@" .. book.files[number].name then return problems.line_in(line, number) end
  end
  return line
end

--- What a person reads of a line: its number, and the file that it is in.
---@param book netmove.book
---@param line integer?
---@return integer?
---@return string file
function problems.plain_line(book, line)
  local file = book.files[line and line // LINES or 0] or book.files[0]
  return line and line % LINES, file.name
end

--- The number of the file that a line is in.
---@param line integer
---@return integer
function problems.file_of(line)
  return line // LINES
end

-- Names the library that a problem stands in.
local function named(book, p)
  local number = p.line and p.line // LINES or 0
  if number > 0 then p.file = book.files[number].name end
  return p
end

problems.named = named

--- Splits `rules/acme.lua:12: message` into its line and the rest.
---@param book netmove.book
---@param message any
---@return integer? line
---@return string message
function problems.split(book, message)
  if type(message) ~= "string" then
    return nil, "an error that is " .. problems.quote(message) .. ", not text"
  end
  for number = 0, #book.files do
    local shown = book.files[number].shown
    if sub(message, 1, #shown + 1) == shown .. ":" then
      local line, rest = match(sub(message, #shown + 2), "^(%d+): ?(.*)$")
      if line then return problems.line_in(tonumber(line), number), rest end
    end
  end
  return nil, message
end

--- The line of the author's file that is being run, if any.
---@param book netmove.book
---@return integer?
function problems.where(book)
  for level = 3, FRAMES do
    local _, position = pcall(error, "", level)
    local line = problems.split(book, position)
    if line then return line end
  end
end

---@param book netmove.book
---@param entry string?
---@param message string
---@param line integer?
---@return netmove.problem
function problems.add(book, entry, message, line)
  for _, p in ipairs(book.list) do
    if p.line == line and p.message == message and p.entry == entry then return p end
  end
  local p = named(book, { entry = entry, line = line, message = message })
  book.list[#book.list + 1] = p
  return p
end

local raised_mt = {}

--- Raises a problem; `netmove.evaluate` catches it.
---@param p netmove.problem
function problems.raise(p)
  return error(setmetatable(p, raised_mt), 0)
end

---@param value any
---@return boolean
function problems.is_raised(value)
  return getmetatable(value) == raised_mt
end

--- A word was misused: noted while the file is read, raised once the rules are live.
---@param book netmove.book
---@param message string
---@return netmove.problem
function problems.misuse(book, message)
  local line = problems.where(book)
  if book.open then return problems.add(book, nil, message, line) end
  return problems.raise { line = line, message = message }
end

--- All mistakes: those with a line in the order of the file, then the others as found.
---@param book netmove.book
---@return netmove.problem[]
function problems.all(book)
  local place = {}
  for i, p in ipairs(book.list) do place[p] = i end
  sort(book.list, function(a, b)
    local la, lb = a.line or huge, b.line or huge
    if la ~= lb then return la < lb end
    return place[a] < place[b]
  end)
  return book.list
end

--- `FILE:LINE: ENTRY: message`, without what is not known.
---@param chunkname string
---@param p netmove.problem
---@return string
function problems.format(chunkname, p)
  local name = p.file or (sub(chunkname, 1, 1) == "@" and sub(chunkname, 2) or chunkname)
  if p.line then name = name .. ":" .. tostring(p.line % LINES) end
  if p.entry then name = name .. ": " .. p.entry end
  return name .. ": " .. p.message
end

--- Reports every key of a closed table that is not known.
---@param given table
---@param known table<string, any>
---@param report fun(message: string)
function problems.closed(given, known, report)
  local is_closed = true
  for key in next, given do is_closed = is_closed and known[key] ~= nil end
  if is_closed then return end
  for _, key in ipairs(problems.sorted_keys(given)) do
    if known[key] == nil then
      report("unknown key " .. problems.quote(key) .. problems.hint(key, known))
    end
  end
end

--- An integer key, or nothing and a problem.
---@param book netmove.book
---@param what string   "a template id"
---@param label string
---@param key any
---@return integer?
function problems.integer_key(book, what, label, key)
  if mtype(key) == "integer" then return key end
  local message = what .. " is an integer, got " .. problems.quote(key)
  if type(key) == "string" and mtype(tonumber(key)) == "integer" then
    message = message .. " (write [" .. key .. "])"
  end
  problems.add(book, label, message)
end

--- The name of a word of ours that stands where what it gives should stand, as `hours` for
-- `hours(6)`.
---@param book netmove.book
---@param value any
---@return string?
function problems.uncalled(book, value)
  local name = type(value) == "function" and book.words and book.words[value]
  return name and problems.quote(name) .. " is a word to be called, as in " .. name .. "(...)"
end

--- True for text, whole and broken numbers and booleans: what may travel as a value.
---@param value any
---@return boolean
function problems.is_scalar(value)
  local kind = type(value)
  if kind == "number" then
    return mtype(value) == "integer" or (value == value and value ~= 1 / 0 and value ~= -1 / 0)
  end
  return kind == "string" or kind == "boolean"
end

--- The set of a list's words, for `nearest` and `closed`.
---@param words string[]
---@return table<string, boolean>
function problems.set(words)
  local set = {}
  for _, word in pairs(words) do set[word] = true end
  return set
end

return problems
