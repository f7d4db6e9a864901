-- Every Lua example of the rule authors' manual works, or fails as the manual says.

package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local netmove = require "netmove"
local support = require "support"
local messages = require "netmove.messages"
local words = require "netmove.words"

local manual = support.read("rules/README.md")

-- Blocks of code: { kind, text, line }.
local function blocks()
  local list, block, line = {}, nil, 0
  for text in (manual .. "\n"):gmatch("(.-)\n") do
    line = line + 1
    local fence = text:match("^```(.*)$")
    if fence and not block then
      block = { kind = fence, line = line, lines = {} }
    elseif fence then
      block.text = table.concat(block.lines, "\n")
      list[#list + 1], block = block, nil
    elseif block then
      table.insert(block.lines, text)
    end
  end
  return list
end

-- A block is a whole file, or what stands inside `tenant { }`.
local function source(block)
  if block.text:find("return tenant", 1, true) then return block.text end
  return 'return tenant { name = "acme", ' .. block.text .. " }"
end

local function check(text)
  local rules, found = netmove.load(text, "rules/acme.lua", support.host)
  if rules then return "" end
  local lines = {}
  for i, p in ipairs(found) do lines[i] = netmove.format_problem("rules/acme.lua", p) end
  return table.concat(lines, "\n")
end

describe("the manual", function()
  local all = blocks()

  for i, block in ipairs(all) do
    if block.kind == "lua" then
      it("works at line " .. block.line, function() assert.equal("", check(source(block))) end)
    elseif block.kind == "lua broken" then
      it("fails as it says at line " .. block.line, function()
        assert.equal("", all[i + 1].kind)
        assert.equal(all[i + 1].text, check(source(block)))
      end)
    end
  end

  it("shows every word in an example", function()
    local code = {}
    for _, block in ipairs(all) do code[#code + 1] = block.text end
    code = table.concat(code, "\n")
    for name in pairs(words.new { book = { open = true, list = {} } }) do
      if not words.lua[name] then
        assert.truthy(code:find("%f[%w_]" .. name .. "%f[^%w_]"), "no example of " .. name)
      end
    end
  end)

  it("names every key of every message, and every name that Lua lends", function()
    for kind, fields in pairs(messages.fields) do
      for _, field in ipairs(fields) do
        assert.truthy(manual:find("`" .. field[1] .. "`", 1, true), kind .. " " .. field[1])
      end
    end
    for name in pairs(words.lua) do
      assert.truthy(manual:find("%f[%w]" .. name .. "%f[%W]"), name)
    end
    for _, library in ipairs { "string", "table", "json" } do
      for name in pairs(words.libraries[library]) do
        assert.truthy(manual:find("%f[%w]" .. name .. "%f[%W]"), library .. "." .. name)
      end
    end
  end)
end)
