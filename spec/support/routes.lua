--- The rows of src/api/routes.def, and other files of the tree as text.

local routes = {}

local source = os.getenv("NETMOVE_SOURCE") or "."

---@param path string from the top of the tree
---@return string
function routes.read(path)
  local file = assert(io.open(source .. "/" .. path))
  local text = file:read("a")
  file:close()
  return text
end

--- Every route of the admin API that asks for a role: { method, path, role, of, does }.
---@return table[]
function routes.all()
  local found = {}
  for args in routes.read("src/api/routes.def"):gmatch("\nROUTE(%b())") do
    local method, path, role, of, does =
      args:match('^%((%u+), "([^"]+)", [^,]+, [^,]+, (%u+), (%u+), (%u+), [%w_]+%)$')
    assert(method, "a row of routes.def that this cannot read: " .. args)
    found[#found + 1] = { method = method, path = path, role = role, of = of, does = does }
  end
  return found
end

return routes
