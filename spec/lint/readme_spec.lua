-- What the guides show works, and where they point there is something.

local netmove = require "netmove"
local tree = require "spec.lint.tree"

local host = { known_zone = function(name) return name == "Europe/Istanbul" or name == "UTC" end }

describe("the front page", function()
  it("shows rules that load and pass their own examples", function()
    local shown = 0
    for source in tree.read("README.md"):gmatch("```lua\n(.-)```") do
      local rules, mistakes = netmove.load(source, "README.md", host)
      if not rules then
        local lines = {}
        for i, mistake in ipairs(mistakes) do
          lines[i] = netmove.format_problem("README.md", mistake)
        end
        error(table.concat(lines, "\n"), 0)
      end
      assert.is_true(rules.examples > 0, "the rules shown have no example")
      shown = shown + 1
    end
    assert.equal(1, shown)
  end)
end)

describe("guides", function()
  it("point only to what is there", function()
    local offences = {}
    for _, path in ipairs(tree.files(".", "%.md")) do
      local folder = path:match("^(.*)/[^/]+$") or "."
      for link in tree.read(path):gmatch("%]%(([^)#%s]+)[^)]*%)") do
        if not link:find("^%a+:") and not tree.kind(folder .. "/" .. link) then
          offences[#offences + 1] = path .. ": there is no " .. link
        end
      end
    end
    tree.expect_none(offences)
  end)
end)
