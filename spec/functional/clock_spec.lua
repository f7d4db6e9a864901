-- The wall clock jumps; what people named follows it, durations do not, and nothing comes in a burst.

local daemon = require("spec.support.daemon")
local faults = require("spec.support.faults")
local ledger = require("spec.support.ledger")
local loop = require("spec.support.loop")
local sender = require("spec.support.sender")

local HOUR, DAY = 3600 * 1000, 24 * 3600 * 1000

describe("a wall clock that jumps", function()
  local story, fault

  local function begin(provider)
    if not faults.can() then return false end
    fault = faults.new()
    story = daemon.story({ env = fault.env, provider = provider })
    return true
  end

  after_each(function()
    if story then story.close(true) end
    if fault then fault.close() end
    story, fault = nil, nil
  end)

  local jumps = { ["a day ahead"] = DAY, ["a day back"] = -DAY }
  if os.getenv("NETMOVE_LONG") == "1" then
    for name, ms in pairs({ ["a second"] = 1000, ["an hour"] = HOUR, ["ten years"] = 3652 * DAY }) do
      jumps[name .. " ahead"], jumps[name .. " back"] = ms, -ms
    end
  end
  for name, jump in pairs(jumps) do
    it(name .. " stops no campaign and makes no burst", function()
      if not begin(", rate = 800") then return pending("the faults' library is not built") end
      local people = 1200
      story.optimove.post("campaigns", { campaign = 70, channel = 459, templates = { 1201 }, count = people })
      story.optimove.post("execute", { campaign = 70, channel = 459 })
      local acknowledged = {}
      local traffic = sender.new({ acknowledged = acknowledged, pause_ms = 20 })
      traffic.start(story.daemon.listen, 2)
      story.netmera.reaches("recipients=" .. people // 3)
      fault.set("clock_ms", jump)
      local goal = traffic.acknowledged + 10
      loop.await("events after the jump", function() return traffic.acknowledged >= goal end)
      traffic.stop()
      loop.await("the last answers", function() return traffic.open == 0 end)
      loop.await("everything to be sent", function()
        local status = story.daemon.ask("status")
        return status.open_runs == 0 and status.waiting_messages == 0 and status.waiting_events == 0
      end)
      -- The fake's own clock did not jump: what left in any second, with the depth of the bucket.
      local rate = story.netmera.get("ledger/rate?windowMs=1000")
      assert.is_true(rate.most <= 2 * 800 + 20, rate.most .. " in a second")
      story.daemon.stop()
      ledger.check(story, { acknowledged = acknowledged, is_ended = true, start_max_ms = 60000, repeated_max = 0 })
    end)
  end

  it("keeps what came twice one event", function()
    if not begin() then return pending("the faults' library is not built") end
    local event = { EventTypeID = 11, CampaignID = "d", ChannelID = 459, TemplateID = 1201, CustomerID = "C1",
                    TimeStamp = "2030-01-01 10:00:00" }
    assert.equal("accepted", story.daemon.event(event).json().status)
    for _, jump in ipairs({ HOUR, -HOUR, DAY, -DAY }) do
      fault.set("clock_ms", jump)
      assert.equal("duplicate", story.daemon.event(event).json().status)
    end
    fault.set("clock_ms", 0)
    story.daemon.kill()
    fault.set("clock_ms", -HOUR)
    story.daemon.start()
    assert.equal("duplicate", story.daemon.event(event).json().status)
    story.netmera.reaches("deliveries=1")
  end)

  it("brings forward what was due by it, and ids rise all the same", function()
    if not begin() then return pending("the faults' library is not built") end
    story.optimove.post("campaigns", { campaign = 71, channel = 459, templates = { 1201 }, count = 5,
                                       scheduleTime = { inSeconds = 7200 } })
    story.optimove.post("execute", { campaign = 71, channel = 459 })
    loop.await("the run to be expanded", function()
      local run = story.daemon.ask("run", "list").items[1]
      return run and run.is_fetched
    end)
    assert.equal(0, story.netmera.ledger().deliveries)
    fault.set("clock_ms", 3 * HOUR)
    story.daemon.kill() -- a start reads the clock anew; while it runs it looks once a minute
    story.daemon.start()
    story.netmera.reaches("deliveries=5")
    local function accept(customer)
      return math.tointeger(tonumber(story.daemon.event({ EventTypeID = 11, CampaignID = "e", ChannelID = 459,
        TemplateID = 1201, CustomerID = customer }).json().id))
    end
    local before = accept("C1")
    fault.set("clock_ms", -DAY)
    assert.is_true(accept("C2") > before)
  end)
end)
