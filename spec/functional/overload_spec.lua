-- More than it can take: whoever is refused hears it at once and when to come back, what was acknowledged is
-- delivered, and once it is over everybody is served.

local daemon = require("spec.support.daemon")
local faults = require("spec.support.faults")
local ledger = require("spec.support.ledger")
local loop = require("spec.support.loop")
local sender = require("spec.support.sender")
local uv = require("luv")

local is_long = os.getenv("NETMOVE_LONG") == "1"
local refusals = is_long and 20000 or 600

describe("overload", function()
  local story, fault

  after_each(function()
    if story then story.close(true) end
    if fault then fault.close() end
    story, fault = nil, nil
  end)

  local function settle(acknowledged)
    loop.await("the queue to empty", function()
      local status = story.daemon.ask("status")
      return status.waiting_messages == 0 and status.waiting_events == 0
    end, 120000)
    story.daemon.stop()
    ledger.check(story, { acknowledged = acknowledged, is_ended = true, start_max_ms = 60000, repeated_max = 0 })
  end

  it("of a disk that is too slow is answered 503 at once; it is over when it is over", function()
    if not faults.can() then return pending("the faults' library is not built") end
    fault = faults.new()
    story = daemon.story({ env = fault.env, public = "limits = { requests = 32 }" })
    local acknowledged = {}
    local crowd = sender.new({ acknowledged = acknowledged, prefix = "O", pause_ms = 1 })
    fault.set("sync_delay_ms", 60)
    crowd.start(story.daemon.listen, 160)
    loop.await("refusals and answers", function()
      return (crowd.statuses[503] or 0) >= refusals and crowd.acknowledged > 0
    end, 120000)
    assert.is_true(tonumber(crowd.last_refusal.headers["retry-after"]) >= 1)
    local word = crowd.last_refusal.json().error.code
    assert.is_true(word == "overloaded" or word == "busy", word)
    assert.is_table(story.daemon.ask("status"))
    fault.set("sync_delay_ms", 0)
    crowd.stop()
    loop.await("the last answers", function() return crowd.open == 0 end)

    -- Over: an honest caller is not refused any more.
    local honest = sender.new({ acknowledged = acknowledged, prefix = "H", pause_ms = 1 })
    honest.start(story.daemon.listen, 2)
    loop.await("honest callers", function() return honest.acknowledged >= 100 end)
    honest.stop()
    loop.await("their answers", function() return honest.open == 0 end)
    for status in pairs(honest.statuses) do assert.equal(200, status) end
    for status in pairs(crowd.statuses) do assert.is_true(status == 200 or status == 503, tostring(status)) end
    settle(acknowledged)
    print(("# %d acknowledged and delivered, %d refused"):format(crowd.acknowledged + honest.acknowledged,
                                                                   crowd.statuses[503]))
  end)

  it("of one tenant is answered 429 with the time to wait, and another tenant is served", function()
    story = daemon.story()
    local text = story.daemon.read("tenants/acme.lua")
    story.daemon.write("rules/other.lua", (story.daemon.read("rules/acme.lua"):gsub('name = "acme"', 'name = "other"')))
    story.daemon.ask("reload")
    story.daemon.write("tenants/other.lua", (text:gsub('name = "acme"', 'name = "other"')
      :gsub("acme%-app%-key", "other-app-key"):gsub('"netmera%-key"', '"other-key"')))
    story.netmera.post("settings", { keys = { "netmera-key", "other-key" } })
    story.daemon.cli("tenant", "apply", "tenants/other.lua") -- its listeners are acme's: a conflict, which is shown
    story.daemon.write("tenants/acme.lua", (text:gsub('restApiKey = "rest%-key",', "%0 inbound = { rate = 50 },")))
    local applied = story.daemon.cli("tenant", "apply", "tenants/acme.lua")
    assert.equal(0, applied.code, applied.err)
    local acknowledged = {}
    local flood = sender.new({ acknowledged = acknowledged, prefix = "A" })
    local honest = sender.new({ acknowledged = acknowledged, prefix = "B", app_key = "other-app-key", pause_ms = 5 })
    flood.start(story.daemon.listen, 8)
    honest.start(story.daemon.listen, 2)
    loop.await("refusals and honest callers", function()
      return (flood.statuses[429] or 0) >= refusals and honest.acknowledged >= 50
    end, 120000)
    assert.is_true(tonumber(flood.last_refusal.headers["retry-after"]) >= 1)
    flood.stop()
    honest.stop()
    loop.await("the last answers", function() return flood.open + honest.open == 0 end)
    for status in pairs(honest.statuses) do assert.equal(200, status) end
    loop.await("the queue to empty", function()
      local status = story.daemon.ask("status")
      return status.waiting_messages == 0 and status.waiting_events == 0
    end)
    story.daemon.stop()
    ledger.check(story, { acknowledged = acknowledged, is_ended = true, start_max_ms = 60000, repeated_max = 0,
                          prefixes = { acme = "A", other = "B" } }, { acme = "netmera-key", other = "other-key" })
  end)

  --- CPU time of the daemon in ms.
  local function cpu_ms()
    local file = assert(io.open("/proc/" .. story.daemon.process.pid .. "/stat"))
    local user, system = file:read("a"):match("%) " .. ("%S+ "):rep(11) .. "(%d+) (%d+)")
    file:close()
    return (tonumber(user) + tonumber(system)) * 10
  end

  it("of a lane does not make it spin when a retry is due and there is no room", function()
    story = daemon.story({ provider = ", batch = 1, concurrency = 1, retry = { first_s = 1, most_s = 1 }" })
    story.netmera.faults({
      { name = "once", match = { path = "sendNotification", times = 1 }, ["do"] = { status = 500 } },
      { name = "slow", match = { path = "sendNotification" }, ["do"] = { delayMs = 600000 } },
    })
    local first
    for i = 1, 8 do
      local answer = story.daemon.event({ EventTypeID = 11, CampaignID = "o", ChannelID = 459, TemplateID = 1201,
                                          CustomerID = "S" .. i })
      first = first or answer.json().id
    end
    local due_ms = loop.await("the first one's retry", function()
      local message = (story.daemon.ask("explain", first).messages or {})[1]
      for _, wait in ipairs(message and story.daemon.ask("explain", message.id).waits or {}) do
        if wait.cause == "retry schedule" then return wait.until_ms end
      end
    end)
    loop.await("its time", function() return os.time() * 1000 > due_ms end)
    local from, began = cpu_ms(), uv.hrtime()
    loop.await("a moment to pass", function() return uv.hrtime() - began > 900e6 end)
    local used = cpu_ms() - from
    assert.is_true(used < 450, used .. " ms of CPU in 900 ms")
    story.daemon.kill()
  end)
end)
