-- A misspelt word fails here before it fails in a daemon.

local tree = require "spec.lint.tree"

local function run(command)
  local pipe = assert(io.popen("cd '" .. tree.top .. "' && " .. command .. " 2>&1"))
  local said = pipe:read("a")
  return pipe:close() and true or false, said
end

describe("luacheck", function()
  local is_there = run("command -v luacheck")

  it("has nothing to say of lua, rules, spec and examples", function()
    if not is_there then
      return pending("luacheck is not installed (examples/install test)")
    end
    local folders = {}
    for _, name in ipairs { "lua", "rules", "spec", "examples" } do
      if #tree.files(name, "%.lua") > 0 then folders[#folders + 1] = name end
    end
    local is_clean, said = run("luacheck --quiet --no-color " .. table.concat(folders, " "))
    if not is_clean then error("\n" .. said, 0) end
  end)
end)
