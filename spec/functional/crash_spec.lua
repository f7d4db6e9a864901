-- kill -9 at random moments under traffic.  The checker stands outside the daemon: the sender notes every
-- 2xx, Netmera's ledger every delivery.  Each acknowledged event must end delivered, dead-lettered with a
-- reason, held, or still queued; what went out twice must have been in flight at a kill.

local json = require("spec.support.json")
local daemon = require("spec.support.daemon")
local loop = require("spec.support.loop")
local uv = require("luv")

local is_long = os.getenv("NETMOVE_LONG") == "1"
local loops = is_long and 200 or 20

describe("kill -9", function()
  local story
  after_each(function() story.close(true) end)

  --- Sends single events over kept connections until the daemon dies; notes what was acknowledged.
  local function sender(acknowledged)
    local self = { sent = 0, is_running = true }
    local host, port = story.daemon.listen:match("^([^:]+):(%d+)$")
    local function open()
      local tcp = uv.new_tcp()
      local received, waiting = "", nil
      local function post()
        self.sent = self.sent + 1
        waiting = "K" .. self.serial .. "-" .. self.sent
        local body = json.encode({ EventTypeID = 11, CampaignID = "k", ChannelID = 459, TemplateID = 1201,
                                    CustomerID = waiting, TimeStamp = "2026-11-23 10:00:00" })
        tcp:write("POST /optimove/event/acme-app-key HTTP/1.1\r\nHost: x\r\nX-netmera-api-key: rest-key\r\n" ..
                  "Content-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body)
      end
      tcp:connect(host, tonumber(port), function(err)
        if err then tcp:close() return end
        post()
        tcp:read_start(function(_, bytes)
          if not bytes then
            if not tcp:is_closing() then tcp:close() end
            return
          end
          received = received .. bytes
          while received:find('"status":"[^"]+"}') do
            if received:find("^HTTP/1.1 200") then acknowledged[waiting] = received:match('"id":"(%d+)"') end
            received = received:sub(select(2, received:find('"status":"[^"]+"}')) + 1)
            if self.is_running then post() end
          end
        end)
      end)
    end
    function self.start(serial)
      self.serial, self.sent = serial, 0
      for _ = 1, 8 do open() end
    end
    return self
  end

  it("loses nothing that was acknowledged, " .. loops .. " times", function()
    story = daemon.story()
    story.netmera.post("settings", { latencyMs = 5 })
    math.randomseed(20261123)
    local acknowledged = {}
    local traffic = sender(acknowledged)
    for i = 1, loops do
      local target = math.random(5, 400)
      traffic.start(i)
      loop.await("traffic", function() return traffic.sent >= target end, 60000)
      story.daemon.kill()
      story.daemon.start()
    end
    traffic.is_running = false

    local count, missing = 0, {}
    for _ in pairs(acknowledged) do count = count + 1 end
    assert.is_true(count > loops * 4, count .. " acknowledged")
    loop.await("the queue to empty", function()
      return story.daemon.ask("status").waiting_messages == 0 and
             story.daemon.ask("status").waiting_events == 0
    end, 120000)
    local delivered = {}
    for _, row in ipairs(story.netmera.rows("recipients")) do delivered[row.extId] = row.count end
    for customer, id in pairs(acknowledged) do
      if not delivered[customer] then missing[#missing + 1] = customer .. " (" .. id .. ")" end
    end
    assert.same({}, missing)
    -- In flight at a kill: one send of each of the lane's concurrent requests at most.
    local ledger = story.netmera.ledger()
    assert.is_true(ledger.repeated <= loops * 1000, ledger.repeated .. " went out twice")
    print(("# %d acknowledged over %d kills, 0 lost, %d sent twice"):format(count, loops, ledger.repeated))
  end)

  it("leaves no gap in a campaign, and repeats only what was in flight", function()
    story = daemon.story({ provider = ", rate = 1500" })
    local people = 6000
    story.netmera.post("settings", { latencyMs = 10 })
    story.optimove.post("campaigns", { campaign = 80, channel = 459, templates = { 1201 }, count = people })
    story.optimove.post("execute", { campaign = 80, channel = 459 })
    for i = 1, 4 do
      story.netmera.reaches("deliveries=" .. i * 1000, 60000)
      story.daemon.kill()
      story.daemon.start()
    end
    story.netmera.reaches("recipients=" .. people, 120000)
    loop.await("the run's end", function()
      local run = story.daemon.ask("run", "list").items[1]
      return run.state == "done" and run
    end, 60000)
    local run = story.daemon.ask("run", "list").items[1]
    assert.equal(people, run.sent)
    local ledger = story.netmera.ledger()
    assert.equal(people, ledger.recipients)
    assert.is_true(ledger.repeated <= 4 * 4000, ledger.repeated .. " went out twice")
    print(("# %d people, 4 kills, %d sent twice"):format(people, ledger.repeated))
  end)
end)
