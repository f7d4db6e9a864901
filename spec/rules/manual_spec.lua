-- Every Lua example of the rule authors' manual and recipes works, or fails as it says there.

package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local netmove = require "netmove"
local support = require "support"
local conversions = require "netmove.conversions"
local examples = require "netmove.examples"
local messages = require "netmove.messages"
local patterns = require "netmove.patterns"
local templates = require "netmove.templates"
local tenant = require "netmove.tenant"
local values = require "netmove.values"
local words = require "netmove.words"

local manual = support.read("rules/README.md")
local recipes = support.read("rules/recipes.md")

-- Blocks of code: { kind, text, line }.
local function blocks(page)
  local list, block, line = {}, nil, 0
  for text in (page .. "\n"):gmatch("(.-)\n") do
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

-- What a page saves as a library: ```lua lib/name.lua
local libraries = {}
for _, page in ipairs { manual, recipes } do
  for _, block in ipairs(blocks(page)) do
    local name = block.kind:match("^lua lib/([%w_]+)%.lua$")
    if name then libraries[name] = block.text end
  end
end
local host = { known_zone = support.host.known_zone, library = function(name) return libraries[name] end }

local function check(text)
  local rules, found = netmove.load(text, "rules/acme.lua", host)
  if rules then return "" end
  local lines = {}
  for i, p in ipairs(found) do lines[i] = netmove.format_problem("rules/acme.lua", p) end
  return table.concat(lines, "\n")
end

-- A heading as links name it.
local function anchor(heading)
  return "#" .. heading:lower():gsub("[^%w%s_-]", ""):gsub(" ", "-")
end

-- Links within a page, or to the other, that lead nowhere.
local function lost_links(page)
  local headings, lost = {}, {}
  for _, text in ipairs { manual, recipes } do
    for heading in ("\n" .. text):gmatch("\n#+ ([^\n]+)") do headings[anchor(heading)] = true end
  end
  for file, target in page:gmatch("%]%(([%w./]*)(#?[^)]*)%)") do
    if target ~= "" and not headings[target] or file ~= "" and not io.open("rules/" .. file) then
      lost[#lost + 1] = file .. target
    end
  end
  return lost
end

-- Runs a spec of a tenant's as busted would, but at once.
local function run_spec(text)
  local env = setmetatable({}, { __index = _G })
  local ran = 0
  env.describe = function(_, f) f() end
  env.it = function(_, f) ran = ran + 1 f() end
  assert(load(text, "=manual", "t", env))()
  return ran
end

describe("the recipes", function()
  for _, block in ipairs(blocks(recipes)) do
    if block.kind == "lua" then
      it("work at line " .. block.line, function() assert.equal("", check(source(block))) end)
    end
  end

  it("prove themselves", function()
    for _, block in ipairs(blocks(recipes)) do
      if not block.kind:match("^lua lib/") then
        assert.equal("lua", block.kind)
        local rules = assert(netmove.load(source(block), "rules/acme.lua", host))
        assert.is_true(rules.examples >= 2, block.line)
      end
    end
  end)

  it("lead somewhere", function() assert.same({}, lost_links(recipes)) end)
end)

describe("the manual", function()
  local all = blocks(manual)

  for i, block in ipairs(all) do
    if block.kind == "lua" then
      it("works at line " .. block.line, function() assert.equal("", check(source(block))) end)
    elseif block.kind == "lua spec" then
      it("runs its spec at line " .. block.line, function()
        assert.is_true(run_spec(block.text) > 0)
      end)
    elseif block.kind == "lua broken" then
      it("fails as it says at line " .. block.line, function()
        assert.equal("", all[i + 1].kind)
        assert.equal(all[i + 1].text, check(source(block)))
      end)
    end
  end

  it("leads somewhere", function() assert.same({}, lost_links(manual)) end)

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

  it("shows every method of from, every key of a tenant, an example and templates", function()
    local code = {}
    for _, block in ipairs(all) do code[#code + 1] = block.text end
    code = table.concat(code, "\n")
    for name in pairs(values.methods) do assert.truthy(code:find(":" .. name .. "%f[^%w_]"), name) end
    for _, keys in ipairs { tenant.keys, examples.keys, templates.keys.tenant } do
      for name in pairs(keys) do assert.truthy(code:find("%f[%w_]" .. name .. " = "), name) end
    end
    for class in pairs(patterns.classes) do assert.truthy(manual:find("%" .. class, 1, true), class) end
    for kind in pairs(conversions.names) do assert.truthy(manual:find('"' .. kind .. '"', 1, true), kind) end
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
