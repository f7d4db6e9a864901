-- What a recipient costs does not grow with their number, and memory stays flat: CPU time of the daemon for each
-- message of a campaign, at sizes far apart.  Deliveries go nowhere (loopback), so that it is the daemon's own.
-- 4,000 and 16,000 always; up to 10,000,000 with NETMOVE_LONG=1 (NETMOVE_RECIPIENTS sets the largest).

local daemon = require("spec.support.daemon")
local loop = require("spec.support.loop")
local uv = require("luv")
local world = require("spec.support.world")

local is_long = os.getenv("NETMOVE_LONG") == "1"
local is_slow = (os.getenv("NETMOVE_SANITIZE") or "") ~= ""
local largest = tonumber(os.getenv("NETMOVE_RECIPIENTS") or "") or 10000000

local tenant = [[
return {
  name = "acme", appKey = "acme-app-key", restApiKey = "rest-key",
  optimove = { baseUrl = %q, apiKey = "optimove-key", status = "ACTIVE",
    channels = { { id = 459, name = "Push", kind = "push" }, { id = 481, name = "SMS", kind = "sms" } },
    params = { { realFieldName = "FIRST_NAME", name = "first_name" } } },
  providers = { loopback = { adapter = "loopback" } },
  channels = { push = { "loopback" }, sms = { "loopback" } },
}
]]

--- Of all its threads, in billionths of a second: the ticks of /proc/PID/stat are as long as a small campaign.
local function cpu_us(pid)
  local threads = assert(io.popen("cat /proc/" .. pid .. "/task/*/schedstat"))
  local ns = 0
  for line in threads:lines() do ns = ns + tonumber(line:match("^%d+")) end
  threads:close()
  return ns / 1000
end

local function peak_mb(pid)
  local file = assert(io.open("/proc/" .. pid .. "/status"))
  local kb = file:read("a"):match("VmHWM:%s*(%d+)")
  file:close()
  return tonumber(kb) / 1024
end

describe("a recipient of a campaign", function()
  local optimove, folder

  --- A daemon of its own for each size; gives CPU time a message and the most memory it had.
  local function cost_of(people)
    optimove = world.optimove()
    folder = daemon.folder().start()
    folder.write("tenants/acme.lua", tenant:format(optimove.url))
    assert.equal(0, folder.cli("tenant", "apply", "tenants/acme.lua").code)
    optimove.post("campaigns", { campaign = 7, channel = 459, templates = { 1201 }, count = people,
                                 attributes = { FIRST_NAME = { "Ada", "Can", "Eda", "Ege" } } })
    local pid = folder.process.pid
    local before = cpu_us(pid)
    optimove.post("execute", { campaign = 7, channel = 459 })
    local run = loop.await("the end of " .. people, function()
      local found = folder.ask("run", "list").items[1]
      return found and found.state == "done" and found
    end, 60000 + people)
    local cost, peak = (cpu_us(pid) - before) / people, peak_mb(pid)
    assert.equal(people, run.sent)
    local disk = 0
    for _, name in ipairs({ "netmove.db", "netmove.db-wal" }) do
      disk = disk + uv.fs_stat(folder.path .. "/" .. name).size
    end
    folder.kill()
    optimove.close()
    folder.remove()
    return cost, peak, disk / people
  end

  it("costs the same of few and of many, and memory stays flat", function()
    local sizes = { 4000, 16000 }
    if is_long then
      sizes = { 10000 }
      while sizes[#sizes] * 10 <= largest do sizes[#sizes + 1] = sizes[#sizes] * 10 end
    end
    local least, first_peak
    for _, people in ipairs(sizes) do
      local cost, peak, disk = cost_of(people)
      print(("# %d recipients: %.1f us of CPU time each, %.0f MB at most, %.0f bytes of disk each"):format(
        people, cost, peak, disk))
      least, first_peak = least or cost, first_peak or peak
      -- The first run also pays for what is made once.
      assert.is_true(cost <= least * (is_long and 1.5 or 2),
                     people .. " cost " .. cost .. " us each, the first " .. least)
      if not is_slow then
        assert.is_true(peak <= (is_long and 300 or first_peak + 64), people .. " took " .. peak .. " MB")
      end
    end
  end)
end)
