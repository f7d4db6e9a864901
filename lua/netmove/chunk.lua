--- What a compiled file tells before it is run: every global it touches, with its line.
--
-- Lua finds an unknown name only when it is reached, perhaps at night, in a branch that no
-- example takes.  The compiler has already listed those names, so we read its list.  The
-- layout read here is that of Lua 5.4 (`ldump.c`); for any other this module says nothing
-- and the sandbox still catches unknown names as they are reached.

local chunk = {}

local pcall, select, type = pcall, select, type
local byte, dump, sub, unpack = string.byte, string.dump, string.sub, string.unpack
local sort = table.sort

local HEADER = "\27Lua\x54\0\x19\x93\r\n\x1a\n\4\8\8"
local HEADER_SIZE = #HEADER + 8 + 8 + 1 -- then a test integer, a test float, an upvalue count

local GETTABUP, GETFIELD, SETTABUP = 11, 14, 15
local INTEGER, FLOAT, SHORT, LONG = 0x03, 0x13, 0x04, 0x14
local ABSOLUTE = -0x80 -- in the line table: look the line up instead of adding

-- Numbers have seven bits a byte, the last byte marked.
local function read_size(s, at)
  local size = 0
  while true do
    local b = byte(s, at)
    at = at + 1
    size = size << 7 | b & 0x7f
    if b & 0x80 ~= 0 then return size, at end
  end
end

local function read_text(s, at)
  local size
  size, at = read_size(s, at)
  if size == 0 then return nil, at end
  return sub(s, at, at + size - 2), at + size - 1
end

local function read_constants(s, at)
  local n
  n, at = read_size(s, at)
  local constants = {}
  for i = 0, n - 1 do
    local kind = byte(s, at)
    at = at + 1
    if kind == SHORT or kind == LONG then
      constants[i], at = read_text(s, at)
    elseif kind == INTEGER or kind == FLOAT then
      at = at + 8
    end
  end
  return constants, at
end

-- Which of a function's upvalues are the environment, given its parent's.
local function read_upvalues(s, at, outer)
  local n
  n, at = read_size(s, at)
  local env = {}
  for i = 0, n - 1 do
    local in_stack, index = byte(s, at, at + 1)
    env[i] = outer and in_stack == 0 and outer[index] or not outer and i == 0
    at = at + 3
  end
  return env, at
end

local function read_lines(s, at, first)
  local n, deltas
  n, at = read_size(s, at)
  deltas, at = at, at + n
  local absolute, marks = {}
  marks, at = read_size(s, at)
  for _ = 1, marks do
    local pc, line
    pc, at = read_size(s, at)
    line, at = read_size(s, at)
    absolute[pc] = line
  end
  local lines, line = {}, first
  for pc = 0, n - 1 do
    local delta = unpack("i1", s, deltas + pc)
    line = delta == ABSOLUTE and absolute[pc] or line + delta
    lines[pc] = line
  end
  return lines, at
end

local function skip_names(s, at)
  local n
  n, at = read_size(s, at)
  for _ = 1, n do -- local variables: name, first and last instruction
    at = select(2, read_text(s, at))
    at = select(2, read_size(s, at))
    at = select(2, read_size(s, at))
  end
  n, at = read_size(s, at)
  for _ = 1, n do at = select(2, read_text(s, at)) end -- upvalues
  return at
end

-- What the instructions do with the environment.
local function scan(s, code, count, constants, env, lines, found)
  local held, name_held -- the register that holds a global just read, and its name
  for pc = 0, count - 1 do
    local instruction = unpack("<I4", s, code + pc * 4)
    local op, a = instruction & 0x7f, instruction >> 7 & 0xff
    local b, c = instruction >> 16 & 0xff, instruction >> 24 & 0xff
    if op == GETTABUP and env[b] then
      found[#found + 1] = { name = constants[c], line = lines[pc] }
      held, name_held = a, constants[c]
    elseif op == GETFIELD and held == b then
      found[#found + 1] = { name = name_held, field = constants[c], line = lines[pc] }
      held = nil
    else
      if op == SETTABUP and env[a] then
        found[#found + 1] = { name = constants[b], line = lines[pc], set = true }
      end
      held = nil
    end
  end
end

local function read_function(s, at, outer, found)
  local first, count, code, constants, env, protos, lines
  at = select(2, read_text(s, at)) -- source
  first, at = read_size(s, at)
  at = select(2, read_size(s, at)) -- last line
  at = at + 3 -- parameters, vararg, stack size
  count, at = read_size(s, at)
  code, at = at, at + count * 4
  constants, at = read_constants(s, at)
  env, at = read_upvalues(s, at, outer)
  protos, at = read_size(s, at)
  for _ = 1, protos do at = read_function(s, at, env, found) end
  lines, at = read_lines(s, at, first)
  scan(s, code, count, constants, env, lines, found)
  return skip_names(s, at)
end

---@class netmove.global
---@field name string
---@field field string?  of `name.field`
---@field line integer
---@field set boolean?   written, not read

--- Every use of a global in a compiled file, or nil where we cannot tell.
---@param main function
---@return netmove.global[]?
function chunk.globals(main)
  if not dump then return nil end
  local s = dump(main)
  if sub(s, 1, #HEADER) ~= HEADER then return nil end
  local found = {}
  if not pcall(read_function, s, HEADER_SIZE + 1, nil, found) then return nil end
  sort(found, function(a, b)
    if a.line ~= b.line then return a.line < b.line end
    if a.name ~= b.name then return a.name < b.name end
    return (a.field or "") < (b.field or "")
  end)
  return found
end

--- The line on which a function of the author begins.
---@param f function
---@return integer?
---@return string? source  the name of its chunk
function chunk.line(f)
  if not dump or type(f) ~= "function" then return nil end
  local dumped, s = pcall(dump, f)
  if not dumped or sub(s, 1, #HEADER) ~= HEADER then return nil end
  local source, at = read_text(s, HEADER_SIZE + 1)
  return (read_size(s, at)), source
end

return chunk
