-- Rooms include only what stands before them; the walls that order alone does not draw.

local tree = require "spec.lint.tree"

local order = {
  "base", "json", "model", "net", "http", "client", "store", "script", "config", "tenants",
  "profiles", "rules", "optimove", "adapters", "engine", "panel", "api", "cli",
}
local place = {}
for i, room in ipairs(order) do place[room] = i end

-- What only one room may see, with the reason.
local owned = {
  ["^lua%.h$"] = "script", ["^lauxlib%.h$"] = "script", ["^lualib%.h$"] = "script",
}

local function each_include(see)
  for _, path in ipairs(tree.c_files()) do
    local room = path:match("^src/([^/]+)/")
    if room then
      tree.each_line(tree.read(path), function(line, number)
        local ours = line:match('^%s*#%s*include%s+"([^"]+)"')
        local theirs = line:match("^%s*#%s*include%s+<([^>]+)>")
        if ours or theirs then see(path .. ":" .. number .. ": ", room, ours, theirs) end
      end)
    end
  end
end

describe("includes", function()
  it("point only to rooms that stand before", function()
    local offences = {}
    each_include(function(at, room, ours)
      local to = ours and ours:match("^([^/]+)/")
      if to and place[to] and place[room] and place[to] > place[room] then
        offences[#offences + 1] = at .. room .. " stands before " .. to .. " and may not include "
          .. ours .. "; let " .. to .. " hand over what is needed"
      end
    end)
    tree.expect_none(offences)
  end)

  it("name rooms and files that exist", function()
    local offences = {}
    each_include(function(at, room, ours)
      if not ours then return end
      local path = ours:find("/", 1, true) and "src/" .. ours or "src/" .. room .. "/" .. ours
      if not tree.kind(path) then offences[#offences + 1] = at .. "there is no " .. path end
    end)
    for _, name in ipairs(tree.names("src")) do
      if tree.kind("src/" .. name) == "directory" and not place[name] then
        offences[#offences + 1] = "src/" .. name .. ": not in the order of rooms; give it its "
          .. "place in CMakeLists.txt and here"
      end
    end
    tree.expect_none(offences)
  end)

  it("never let api and engine meet: one writes the queue, the other reads it", function()
    local offences = {}
    each_include(function(at, room, ours)
      local to = ours and ours:match("^([^/]+)/")
      if (room == "api" and to == "engine") or (room == "engine" and to == "api") then
        offences[#offences + 1] = at .. room .. " includes " .. ours
          .. "; go by the store, or by model/control.h"
      end
    end)
    tree.expect_none(offences)
  end)

  it("reach lua.h only in src/script", function()
    local offences = {}
    each_include(function(at, room, _, theirs)
      for pattern, owner in pairs(owned) do
        if theirs and theirs:find(pattern) and room ~= owner then
          offences[#offences + 1] = at .. "<" .. theirs .. "> is for src/" .. owner .. " alone"
        end
      end
    end)
    tree.expect_none(offences)
  end)

  it("leave a room's internal.h to the room", function()
    local offences = {}
    each_include(function(at, room, ours)
      local to = ours and ours:match("^([^/]+)/internal%.h$")
      if to and to ~= room then
        offences[#offences + 1] = at .. "private declarations of " .. to
      end
    end)
    tree.expect_none(offences)
  end)

  it("stand in the order that the build links by", function()
    local list = tree.read("CMakeLists.txt"):match("set%(NETMOVE_ROOMS%s+(.-)%)")
    local last = 0
    for room in list:gmatch("%a+") do
      assert.is_truthy(place[room], "CMakeLists.txt: NETMOVE_ROOMS: unknown room " .. room)
      assert.is_true(place[room] > last, "CMakeLists.txt: NETMOVE_ROOMS: " .. room
        .. " stands elsewhere than in spec/lint")
      last = place[room]
    end
  end)
end)
