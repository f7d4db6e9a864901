--- What the lint specs read: files of the tree, and C without its comments and texts.

local lfs = require "lfs"

local tree = {}

tree.top = os.getenv("NETMOVE_SOURCE") or "."

-- What .gitignore names: made here, not written here.
local function is_ignored(name)
  return name:find("^build") or name == "var" or name == "node_modules" or name:find("%.log$")
    or name == ".git"
end

--- The names in a folder of the tree, sorted, without what git ignores.
---@param folder string
---@return string[]
function tree.names(folder)
  local names = {}
  for name in lfs.dir(tree.top .. "/" .. folder) do
    if name ~= "." and name ~= ".." and not is_ignored(name) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

---@param path string
---@return string|nil kind "file", "directory", nil if there is nothing
function tree.kind(path) return lfs.attributes(tree.top .. "/" .. path, "mode") end

--- Every file below a folder whose name ends so, as paths from the top.
---@param folder string
---@param ending? string a pattern for the end of the name
---@return string[]
function tree.files(folder, ending)
  local found = {}
  local function walk(path)
    for _, name in ipairs(tree.names(path)) do
      local inside = path == "." and name or path .. "/" .. name
      if tree.kind(inside) == "directory" then walk(inside)
      elseif not ending or name:find(ending .. "$") then found[#found + 1] = inside end
    end
  end
  if tree.kind(folder) == "directory" then walk(folder) end
  return found
end

---@param path string
---@return string
function tree.read(path)
  local file = assert(io.open(tree.top .. "/" .. path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

--- Calls `see(line, number)` for each line of a text.
function tree.each_line(text, see)
  local number = 0
  for line in (text .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    see(line, number)
  end
end

local function blank(text) return (text:gsub("[^\n]", " ")) end

--- C with comments and what stands between quotes blanked out; lines stay where they are.
---@param source string
---@return string
function tree.bare_c(source)
  local out, at = {}, 1
  while at <= #source do
    local start = source:find("[\"'/]", at)
    if not start then break end
    local two, stop = source:sub(start, start + 1), nil
    if two == "/*" then
      stop = select(2, source:find("*/", start + 2, true)) or #source
    elseif two == "//" then
      stop = (source:find("\n", start, true) or #source + 1) - 1
    elseif two:sub(1, 1) ~= "/" then
      stop = start + 1
      local quote = two:sub(1, 1)
      while stop <= #source and source:sub(stop, stop) ~= quote do
        stop = stop + (source:sub(stop, stop) == "\\" and 2 or 1)
      end
    end
    out[#out + 1] = source:sub(at, start - 1)
    out[#out + 1] = stop and blank(source:sub(start, stop)) or "/"
    at = (stop or start) + 1
  end
  out[#out + 1] = source:sub(at)
  return table.concat(out)
end

--- C and headers of src and, if asked for, of the tests.
---@param with_tests? boolean
---@return string[]
function tree.c_files(with_tests)
  local files = tree.files("src", "%.[ch]")
  if with_tests then
    table.move(tree.files("spec", "%.[ch]"), 1, 9999, #files + 1, files)
  end
  return files
end

--- Fails with every offence on a line of its own.
---@param offences string[]
function tree.expect_none(offences)
  if #offences > 0 then error("\n  " .. table.concat(offences, "\n  "), 2) end
end

return tree
