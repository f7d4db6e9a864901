-- kill -9 at random moments under traffic, and at every named one (src/base/points.def).  The checker stands
-- outside the daemon (spec/support/ledger.lua): senders note every 2xx, Netmera's ledger every delivery.

local daemon = require("spec.support.daemon")
local ledger = require("spec.support.ledger")
local loop = require("spec.support.loop")
local sender = require("spec.support.sender")

local is_long = os.getenv("NETMOVE_LONG") == "1"
local is_slow = (os.getenv("NETMOVE_SANITIZE") or "") ~= ""
local random_kills = is_long and 200 or 8
local rounds_of_points = is_long and 5 or 1
local source = os.getenv("NETMOVE_SOURCE") or "."
local start_max_ms = 60000 -- what daemon.start() waits; the figure itself is printed

--- Waits until nothing is left to do, and stops the daemon.
local function settle(story)
  loop.await("the queue to empty", function()
    local status = story.daemon.ask("status")
    return status.waiting_messages == 0 and status.waiting_events == 0 and status.open_runs == 0
  end, 180000)
  story.daemon.stop()
end

local function slowest(list)
  local most = 0
  for _, ms in ipairs(list) do most = math.max(most, ms) end
  return most
end

describe("kill -9", function()
  local story
  after_each(function() story.close(true) end)

  it("loses nothing that was acknowledged, " .. random_kills .. " times at random", function()
    story = daemon.story()
    story.netmera.post("settings", { latencyMs = 5 })
    math.randomseed(20261123)
    local acknowledged = {}
    local traffic = sender.new({ acknowledged = acknowledged })
    for _ = 1, random_kills do
      local target = traffic.sent + math.random(5, 400)
      traffic.start(story.daemon.listen)
      loop.await("traffic", function() return traffic.sent >= target end)
      story.daemon.kill()
      -- Its ports may be somebody else's by now.
      story.daemon.listen, story.daemon.admin = "127.0.0.1:0", "127.0.0.1:0"
      story.daemon.start()
    end
    traffic.stop()
    settle(story)
    assert.is_true(traffic.acknowledged > random_kills * 4, traffic.acknowledged .. " acknowledged")
    local repeated = ledger.check(story, { acknowledged = acknowledged, is_ended = true, start_max_ms = start_max_ms,
                                           repeated_max = random_kills * ledger.in_flight_max,
                                           prefixes = { acme = "K" } })
    print(("# %d acknowledged over %d kills, 0 lost, %d sent twice, slowest start %d ms"):format(
      traffic.acknowledged, random_kills, repeated, slowest(story.daemon.starts_ms)))
  end)

  it("keeps each person's order where a provider is set to it", function()
    story = daemon.story({ provider = ", order = \"recipient\"" })
    local acknowledged, kills = {}, 3
    local traffic = sender.new({ acknowledged = acknowledged, persons = 6 })
    for i = 1, kills do
      traffic.start(story.daemon.listen)
      loop.await("traffic", function() return traffic.acknowledged >= i * 40 end)
      story.daemon.kill()
      story.daemon.start()
    end
    settle(story)
    local ordered = {}
    for _, row in ipairs(story.netmera.rows("deliveries")) do
      ordered[#ordered + 1] = { customer = row.extId, number = tonumber(row.params.name) }
    end
    assert.is_true(#ordered >= kills * 40 and #ordered < 1000, #ordered .. " deliveries")
    ledger.check(story, { acknowledged = acknowledged, is_ended = true, start_max_ms = start_max_ms, ordered = ordered,
                          repeated_max = kills * 6 * 20 })
  end)

  it("leaves no gap in a campaign, and repeats only what was in flight", function()
    story = daemon.story({ provider = ", rate = 1500" })
    local people = is_slow and 3000 or 5000
    story.netmera.post("settings", { latencyMs = 10 })
    story.optimove.post("campaigns", { campaign = 80, channel = 459, templates = { 1201 }, count = people })
    story.optimove.post("execute", { campaign = 80, channel = 459 })
    for i = 1, 3 do
      story.netmera.reaches("deliveries=" .. i * 700)
      story.daemon.kill()
      story.daemon.start()
    end
    story.netmera.reaches("recipients=" .. people, 120000)
    settle(story)
    local repeated = ledger.check(story, { is_ended = true, start_max_ms = start_max_ms, repeated_max = 3 * 4000 })
    print(("# %d people, 3 kills, %d sent twice"):format(people, repeated))
  end)

  -- What makes the daemon pass a point; singles flow all the time.
  local stimuli = {
    campaign = function(serial)
      story.optimove.post("campaigns", { campaign = serial, channel = 459, templates = { 1201 }, count = 1500,
                                         customerPrefix = "P" .. serial .. "-" })
      story.optimove.post("execute", { campaign = serial, channel = 459, wait = false })
    end,
    cancel = function(serial)
      story.optimove.post("campaigns", { campaign = serial, channel = 459, templates = { 1201 }, count = 1500,
                                         customerPrefix = "P" .. serial .. "-" })
      story.optimove.post("execute", { campaign = serial, channel = 459 })
      story.optimove.post("cancel", { campaign = serial, wait = false })
    end,
    refused_page = function(serial)
      story.optimove.faults({ { match = { path = "ExecutionDetails", nth = 1 },
                                ["do"] = { status = 400, body = "no" } } })
      story.optimove.post("campaigns", { campaign = serial, channel = 459, templates = { 1201 }, count = 10 })
      story.optimove.post("execute", { campaign = serial, channel = 459, wait = false })
    end,
    updates = function(serial)
      story.netmera.post("fire", { url = story.daemon.url, appKey = "acme-app-key", apiKey = "rest-key", count = 20,
                                   event = { type = "EVENT", name = "PURCHASE", attributes = { total = 7 } },
                                   as = "array", extIdPrefix = "U" .. serial .. "-" })
    end,
    tenant = function(serial)
      story.daemon.apply(story, { provider = ", rate = " .. 50000 + serial })
    end,
    rules = function(serial)
      story.daemon.write("rules/acme.lua", story.daemon.read("rules/acme.lua") .. "\n-- " .. serial .. "\n")
      story.daemon.cli("reload")
    end,
    listeners = function(serial)
      local text = story.daemon.read("rules/acme.lua"):gsub("\n    %[%d%d%d%d?%] = cancel_campaign,", "")
      text = text:gsub("%[4%] = cancel_campaign,", "%0\n    [" .. 100 + serial .. "] = cancel_campaign,")
      story.daemon.write("rules/acme.lua", text)
      story.daemon.cli("reload")
    end,
    log = function(serial)
      story.optimove.post("campaigns", { campaign = serial, channel = 459, templates = { 1201 }, count = 8000,
                                         customerPrefix = "P" .. serial .. "-" })
      story.optimove.post("execute", { campaign = serial, channel = 459, wait = false })
    end,
  }

  local kinds = { page = "campaign", expand = "campaign", run = "refused_page", fence = "cancel", batch = "updates",
                  tenant = "tenant", generation = "rules", listener = "listeners", checkpoint = "log" }

  local function points()
    local names = {}
    for line in io.lines(source .. "/src/base/points.def") do
      names[#names + 1] = line:match("^NM_POINT_AT%(([%w_]+)%)")
    end
    return names
  end

  it("is survived at each of the named moments", function()
    story = daemon.story()
    -- so many starts ask it for its listeners
    story.optimove.post("settings", { rateLimit = { requests = 100000, windowMs = 10000 } })
    local acknowledged, killed, serial = {}, 0, 0
    local traffic = sender.new({ acknowledged = acknowledged })
    for round = 1, rounds_of_points do
      for _, point in ipairs(points()) do
        serial = serial + 1
        story.daemon.stop()
        -- What comes by all the time is ended at another passage each round.
        local kind = kinds[point:match("^%a+")]
        local passage = not kind and round + 2 or kind == "campaign" and point:find("^expand") and round or 1
        local is_up = pcall(story.daemon.start, { NETMOVE_END_AT = point .. ":" .. passage })
        if is_up then -- else it came by while it took up what was left
          traffic.start(story.daemon.listen, 4)
          if kind then stimuli[kind](serial) end
        end
        loop.await("the end at " .. point, function() return story.daemon.process.exit_code end)
        story.daemon.process.wait()
        assert.equal(9, story.daemon.process.exit_signal, point .. ": " .. table.concat(story.daemon.process.err, "\n"))
        killed = killed + 1
        story.daemon.start()
      end
    end
    story.optimove.faults({})
    settle(story)
    local repeated = ledger.check(story, { acknowledged = acknowledged, is_ended = true, start_max_ms = start_max_ms,
                                           repeated_max = killed * ledger.in_flight_max })
    print(("# %d acknowledged, killed at %d points, %d sent twice, slowest start %d ms"):format(
      traffic.acknowledged, killed, repeated, slowest(story.daemon.starts_ms)))
  end)
end)
