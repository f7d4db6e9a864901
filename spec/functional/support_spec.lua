-- The tests' own tools.

local loop = require("spec.support.loop")
local process = require("spec.support.process")

local starter = [[
local process = require("spec.support.process")
local child = process.start({ command = "tail", args = { "-f", "/dev/null" } })
print(child.pid)
io.stdout:flush()
require("luv").run()
]]

--- Whether setpriv has become what it was to start: before that nobody has asked for the signal.
local function runs(pid, name)
  local comm = assert(io.open("/proc/" .. pid .. "/comm"))
  local text = comm:read("l")
  comm:close()
  return text == name
end

--- Gone, or a zombie that nobody has taken away yet.
local function has_ended(pid)
  local stat = io.open("/proc/" .. pid .. "/stat")
  if not stat then return true end
  local text = stat:read("a")
  stat:close()
  return text:match("%) (%a)") == "Z"
end

describe("a program that a test started", function()
  it("ends with the test, though that is killed", function()
    local test = process.start({ command = "lua5.4", args = { "-e", starter } })
    local pid = loop.await("its number", function() return test.out[1] end)
    loop.await("it to run", function() return runs(pid, "tail") end)
    test.kill("sigkill")
    test.wait()
    loop.await("its end", function() return has_ended(pid) end)
  end)
end)
