-- Limits live in one list and say what they count.

local tree = require "spec.lint.tree"

-- Units of measure, and words that say what is counted where no plural does.
local units = { BYTES = true, MS = true, S = true, PAGES = true }
local counted = {
  DEPTH = "levels", MAILBOX = "tasks", GROUP = "requests", TAKE = "events", LEASE = "messages",
  LEASED = "messages", RECENT = "identities", LIST = "entries",
}

local function has_unit(name)
  local thing = name:gsub("_MAX$", ""):gsub("_MIN$", ""):match("_(%u+)$")
  return thing and (units[thing] or counted[thing] or thing:find("%u%uS$")) and true or false
end

local function each_limit(path, see)
  tree.each_line(tree.bare_c(tree.read(path)), function(line, number)
    local name = line:match("^%s+(NM_[%u%d_]+)%s*=")
      or line:match("^%s*#define%s+(NM_[%u%d_]+)%s+%d")
    if name then see(name, path .. ":" .. number .. ": ") end
  end)
end

describe("limits", function()
  it("have their unit in their name", function()
    local offences, seen = {}, 0
    each_limit("src/base/limits.h", function(name, at)
      seen = seen + 1
      if not has_unit(name) then
        offences[#offences + 1] = at .. name .. ": ends neither in a unit (_BYTES, _MS, _S, "
          .. "_PAGES) nor in what it counts (_HEADERS_MAX)"
      end
    end)
    tree.expect_none(offences)
    assert.is_true(seen > 20, "limits.h could not be read")
  end)

  it("are defined once", function()
    local first, offences = {}, {}
    for _, path in ipairs(tree.c_files()) do
      each_limit(path, function(name, at)
        if name:find("_MAX") then
          if first[name] then
            offences[#offences + 1] = at .. name .. " stands at " .. first[name] .. " already"
          end
          first[name] = at
        end
      end)
    end
    tree.expect_none(offences)
  end)
end)
