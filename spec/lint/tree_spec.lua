-- The tree itself: what stands at the top, what each room brings, what must not be written in.

local tree = require "spec.lint.tree"

local at_top = {
  ["CMakeLists.txt"] = true, ["README.md"] = true, LICENSE = true, src = true, lua = true,
  rules = true, config = true, spec = true, examples = true,
}

-- Written in pieces, so that this file is none of its own offences.
local machines = {
  "/wo" .. "rk/", "/fa" .. "rm/", "/ro" .. "ot/", "/ho" .. "me/%l", "/Us" .. "ers/",
}
local unfinished = { "TO" .. "DO", "FIX" .. "ME", "X" .. "XX" }

local function is_text(path)
  return path:find("%.[chl]$") or path:find("%.lua$") or path:find("%.m?js$") or path:find("%.md$")
    or path:find("%.cmake$") or path:find("%.txt$") or path:find("%.def$")
    or path:find("%.json$") or path:find("%.service$") or not path:find("%.[^/]+$")
end

local function each_text_line(see)
  for _, path in ipairs(tree.files(".")) do
    if is_text(path) and path ~= "LICENSE" then
      tree.each_line(tree.read(path), function(line, number)
        see(path, line, path .. ":" .. number .. ": ")
      end)
    end
  end
end

describe("the top level", function()
  it("holds only what has its place there", function()
    local offences = {}
    for _, name in ipairs(tree.names(".")) do
      if not at_top[name] and name:sub(1, 1) ~= "." then
        offences[#offences + 1] = name .. ": guides go to src, rules or spec, everything else into "
          .. "a room"
      end
    end
    tree.expect_none(offences)
  end)

  it("has what a newcomer looks for", function()
    for _, path in ipairs { "README.md", "LICENSE", "examples/quickstart", "examples/README.md",
                            "spec/run", "src/README.md", "spec/README.md" } do
      assert.equal("file", tree.kind(path), path .. " is missing")
    end
  end)
end)

describe("a room", function()
  it("has a README of a page", function()
    local offences = {}
    for _, name in ipairs(tree.names("src")) do
      local folder = "src/" .. name
      if tree.kind(folder) == "directory" then
        local path = folder .. "/README.md"
        if not tree.kind(path) then
          offences[#offences + 1] = path .. ": missing; what the room owns, promises, must not do"
        else
          local _, lines = tree.read(path):gsub("\n", "")
          if lines > 80 then
            offences[#offences + 1] = path .. ": " .. lines .. " lines, over a page"
          end
        end
      end
    end
    tree.expect_none(offences)
  end)
end)

describe("no file", function()
  it("names a folder of somebody's machine", function()
    local offences = {}
    each_text_line(function(_, line, at)
      for _, machine in ipairs(machines) do
        if line:find(machine) then offences[#offences + 1] = at .. line:sub(1, 80) end
      end
    end)
    tree.expect_none(offences)
  end)

  it("is left unfinished", function()
    local offences = {}
    each_text_line(function(path, line, at)
      for _, word in ipairs(unfinished) do
        if not path:find("%.md$") and line:find("%f[%w_]" .. word .. "%f[^%w_]") then
          offences[#offences + 1] = at .. line:sub(1, 80)
        end
      end
    end)
    tree.expect_none(offences)
  end)
end)
