--- What a compiled file tells before it is run: every global it touches, with its line.
--
-- Lua finds an unknown name only when it is reached, perhaps at night, in a branch that no
-- example takes.  The compiler has already listed those names, so we read its list.  The
-- layout read here is that of Lua 5.4 (`ldump.c`); for any other this module says nothing
-- and the sandbox still catches unknown names as they are reached.

local chunk = {}

local pcall, select, type = pcall, select, type
local byte, char, dump, find, sub =
  string.byte, string.char, string.dump, string.find, string.sub
local min = math.min
local sort = table.sort

local HEADER = "\27Lua\x54\0\x19\x93\r\n\x1a\n\4\8\8"
local HEADER_SIZE = #HEADER + 8 + 8 + 1 -- then a test integer, a test float, an upvalue count

local GETTABUP, GETFIELD, SETTABUP = 11, 14, 15
-- How an instruction begins that reads or writes a field of an upvalue: its code has seven bits.
local TOUCHES = "[" .. char(GETTABUP, GETTABUP | 0x80, SETTABUP, SETTABUP | 0x80) .. "]"
local INTEGER, FLOAT, SHORT, LONG = 0x03, 0x13, 0x04, 0x14
local ABSOLUTE = 0x80 -- in the line table: look the line up instead of adding
local PIECE = 50 -- instructions that are read at once

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

-- Where the differences from line to line stand, how many, and the lines that are absolute.
local function read_lines(s, at)
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
  return deltas, n, absolute, at
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

-- The line of each instruction on which something was found; `pcs` ascend.
local function set_lines(s, first, deltas, n, absolute, found, from, pcs)
  local line, pc = first, 0
  for i = from, #found do
    local wanted = pcs[i]
    while pc <= wanted do
      local last = min(pc + PIECE, wanted + 1, n)
      if last == pc then return end -- stripped
      local piece = { byte(s, deltas + pc, deltas + last - 1) }
      for j = 1, last - pc do
        local delta = piece[j]
        if delta == ABSOLUTE then
          line = absolute[pc + j - 1] or line
        else
          line = line + (delta < 128 and delta or delta - 256)
        end
      end
      pc = last
    end
    found[i].line = line
  end
end

-- What the instructions do with the environment.  Few touch it: `find` goes from one to the next.
local function scan(s, code, count, constants, env, found, pcs)
  local all, at = sub(s, code, code + count * 4 - 1), 1
  while true do
    at = find(all, TOUCHES, at)
    if not at then return end
    local off = (at - 1) & 3
    if off == 0 then
      local low, high, b, c = byte(all, at, at + 3)
      local op, a = low & 0x7f, low >> 7 | (high & 0x7f) << 1
      if op == SETTABUP then
        if env[a] then
          found[#found + 1] = { name = constants[b], set = true }
          pcs[#found] = at >> 2
        end
      elseif env[b] then
        local name = constants[c]
        found[#found + 1] = { name = name }
        pcs[#found] = at >> 2
        -- A field of what was just read, in the next instruction?
        local next_low, _, table_at, field = byte(all, at + 4, at + 7)
        if next_low and next_low & 0x7f == GETFIELD and table_at == a then
          found[#found + 1] = { name = name, field = constants[field] }
          pcs[#found] = (at >> 2) + 1
        end
      end
    end
    at = at + 4 - off
  end
end

local function read_function(s, at, outer, found)
  local first, count, code, constants, env, protos, deltas, n, absolute
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
  deltas, n, absolute, at = read_lines(s, at)
  local from, pcs = #found + 1, {}
  scan(s, code, count, constants, env, found, pcs)
  set_lines(s, first, deltas, n, absolute, found, from, pcs)
  return skip_names(s, at)
end

---@class netmove.global
---@field name string
---@field field string?  of `name.field`
---@field line integer
---@field set boolean?   written, not read

--- Every use of a global in a compiled file, or nil where we cannot tell.  Without lines it is
-- several times quicker, and in no order.
---@param main function
---@param without_lines boolean?
---@return netmove.global[]?
function chunk.globals(main, without_lines)
  if not dump then return nil end
  local s = dump(main, without_lines)
  if sub(s, 1, #HEADER) ~= HEADER then return nil end
  local found = {}
  if not pcall(read_function, s, HEADER_SIZE + 1, nil, found) then return nil end
  if without_lines then return found end
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
