-- Under our .luacheckrc a misspelt word in rules/ fails before any daemon sees it.

package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local support = require "support"

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local said = pipe:read("a")
  return pipe:close() and true or false, said
end

-- What luacheck says of a text, as if it were that file.
local function lint(text, name)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  local is_clean, said = run("luacheck --no-color --no-cache --formatter plain --filename "
    .. (name or "rules/planted.lua") .. " - < " .. path)
  os.remove(path)
  return is_clean, said
end

describe("luacheck of rules", function()
  local is_there = run("command -v luacheck")
  local function only_with_luacheck(name, check)
    it(name, function()
      if not is_there then return pending("luacheck is not installed (examples/install test)") end
      check()
    end)
  end

  only_with_luacheck("has nothing to say of the sample tenant", function()
    local is_clean, said = lint(support.read("spec/fixtures/rules/style_sample.lua"),
      "spec/fixtures/rules/planted.lua")
    assert.is_true(is_clean, said)
  end)

  for text, expected in pairs {
    ["return tenant { messages = { a = psuh { body = 'x' } } }"] =
      ":1:34: accessing undefined variable 'psuh'",
    ["return tenant { events = { [11] = send_templat } }"] =
      "accessing undefined variable 'send_templat'",
    ["return tenant { hooks = { E = function(e) return string.find(e.name, 'x') end } }"] =
      "accessing undefined field 'find' of global 'string'",
    ["return tenant { hooks = { E = function() return drop(os.date()) end } }"] =
      "accessing undefined variable 'os'",
    ["messages = {}\nreturn tenant {}"] = "setting non%-standard global variable 'messages'",
    ["push = 1\nreturn tenant {}"] = "setting read%-only global variable 'push'",
    ["return tenant { name = require('x') }"] = "accessing undefined variable 'require'",
    ["local unused = 1\nreturn tenant {}"] = "unused variable 'unused'",
  } do
    only_with_luacheck("refuses " .. text:gsub("\n", " "), function()
      local is_clean, said = lint(text)
      assert.is_false(is_clean)
      assert.matches(expected, said)
    end)
  end
end)
