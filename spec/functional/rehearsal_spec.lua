-- The whole of it: a large campaign with faults switched on in the world, a kill -9 in its middle, and another
-- tenant's single messages flowing.  At the end Optimove's ledger, our records and the provider's agree to the unit.
-- NETMOVE_RECIPIENTS sets the size; spec/run --long takes a million.

local daemon = require("spec.support.daemon")
local ledger = require("spec.support.ledger")
local loop = require("spec.support.loop")
local sender = require("spec.support.sender")
local world = require("spec.support.world")
local uv = require("luv")

local is_long = os.getenv("NETMOVE_LONG") == "1"
local is_slow = (os.getenv("NETMOVE_SANITIZE") or "") ~= ""
local people = tonumber(os.getenv("NETMOVE_RECIPIENTS") or "") or is_long and 1000000 or is_slow and 8000 or 20000
local singles_alone = is_long and 500 or 100

--- Resident memory of a process in MB.
local function resident_mb(pid)
  local file = io.open("/proc/" .. pid .. "/status")
  local kb = file and file:read("a"):match("VmRSS:%s*(%d+)")
  if file then file:close() end
  return (tonumber(kb) or 0) // 1024
end

--- Asks only so often, that asking is no load of its own.
local function now_and_then(is_true)
  local next_at = 0
  return function()
    if uv.now() < next_at then return false end
    local answer = is_true()
    next_at = uv.now() + 200
    return answer
  end
end

--- "p50 3 ms, p99 9 ms of 200"
local function spread(list)
  table.sort(list)
  local function at(share) return list[math.max(1, math.ceil(#list * share))] or 0 end
  return ("p50 %d ms, p99 %d ms of %d"):format(at(0.5), at(0.99), #list)
end

describe("the rehearsal", function()
  local story
  after_each(function()
    if story.other then story.other.close() end
    story.close(true)
  end)

  --- Faults of everyday: refusals, lost answers, pages that are late, short or repeated.
  local function switch_faults_on()
    story.netmera.faults({
      { name = "lost", match = { apiKey = "netmera-key", every = 40, after = 3 }, ["do"] = { close = "after" } },
      { name = "cut", match = { apiKey = "netmera-key", every = 45, after = 2 },
        ["do"] = { close = "before", reset = true } },
      { name = "internal", match = { apiKey = "netmera-key", every = 30, after = 1 },
        ["do"] = { error = "500/2001" } },
      { name = "too many", match = { apiKey = "netmera-key", every = 50, after = 4 }, ["do"] = { status = 429 } },
      { name = "slow", match = { apiKey = "netmera-key", every = 35 }, ["do"] = { delayMs = { 50, 300 } } },
    })
    story.optimove.faults({
      { name = "refused", match = { path = "ExecutionDetails", every = 9 }, ["do"] = { status = 500 } },
      { name = "half", match = { path = "ExecutionDetails", every = 8 }, ["do"] = { close = "midbody" } },
      { name = "short", match = { path = "ExecutionDetails", every = 7 }, ["do"] = { shortPages = 0.6 } },
      { name = "repeated", match = { path = "ExecutionDetails", every = 5 }, ["do"] = { repeatRows = 50 } },
    })
  end

  --- How long singles took from being posted to being delivered, by the provider's clock: those from `first` on,
  --- up to the one before `last`.
  local function single_waits(sent_at, first, last)
    local waits = {}
    for _, row in ipairs(story.netmera.rows("recipients?apiKey=other-key")) do
      local number = tonumber(row.extId:match("-(%d+)$"))
      if number >= first and number < last then waits[#waits + 1] = row.firstAt - sent_at[row.extId] end
    end
    return waits
  end

  it("brings a campaign of " .. people .. " to its end, to the unit", function()
    local peak_mb = 0
    story = daemon.story({ provider = ", retry = { first_s = 1, most_s = 30 }" })
    story.other = world.optimove()
    story.netmera.post("settings", { keys = { "netmera-key", "other-key" }, latencyMs = 2 })
    story.daemon.write("rules/other.lua", (story.daemon.read("rules/acme.lua"):gsub('name = "acme"', 'name = "other"')))
    story.daemon.ask("reload")
    local text = story.daemon.read("tenants/acme.lua")
    text = text:gsub('name = "acme"', 'name = "other"'):gsub("acme%-app%-key", "other-app-key")
               :gsub('"netmera%-key"', '"other-key"'):gsub(story.optimove.url:gsub("%p", "%%%0"), story.other.url)
    story.daemon.write("tenants/other.lua", text)
    assert.equal(0, story.daemon.cli("tenant", "apply", "tenants/other.lua").code)

    local acknowledged, sent_at = {}, {}
    local singles = sender.new({ acknowledged = acknowledged, prefix = "D", app_key = "other-app-key", pause_ms = 20,
                                 sent_at = sent_at })
    singles.start(story.daemon.listen, 2)
    loop.await("singles alone", function() return singles.acknowledged >= singles_alone end, 600000)
    local began, first = uv.hrtime(), singles.sent
    switch_faults_on()
    local campaign = story.optimove.post("campaigns", { campaign = 90, channel = 459, templates = { 1201, 1202 },
      count = people, controlEvery = 500, attributes = { FIRST_NAME = { "Ada", "Can" } } })
    story.optimove.post("execute", { campaign = 90, channel = 459, duplicates = 1 })

    local function watch()
      peak_mb = math.max(peak_mb, resident_mb(story.daemon.process.pid))
    end
    local half, timeout_ms = people // 2, 180000 + people * 3
    loop.await("the middle of the campaign", now_and_then(function()
      watch()
      return story.netmera.ledger("apiKey=netmera-key").recipients >= half
    end), timeout_ms)
    local killed = singles.sent
    story.daemon.kill()
    story.daemon.start()
    singles.start(story.daemon.listen, 2)

    local run
    loop.await("the run's end", now_and_then(function()
      watch()
      run = story.daemon.ask("run", "list").items[1]
      return run.state == "done"
    end), timeout_ms)
    local took_s = (uv.hrtime() - began) / 1e9
    singles.stop()
    loop.await("the last answers", function() return singles.open == 0 end)
    loop.await("the singles", function() return story.daemon.ask("status").waiting_messages == 0 end, 120000)
    story.daemon.stop()

    -- Lost answers may go again: what a fault hit, and what was in flight at the kill.
    local lost = 0
    for _, fault in ipairs(story.netmera.get("faults")) do
      if fault.name == "lost" then lost = fault.applied end
    end
    local repeated = ledger.check(story, { acknowledged = acknowledged, is_ended = true, start_max_ms = 60000,
                                           repeated_max = ledger.in_flight_max + lost * 1000,
                                           prefixes = { acme = "C", other = "D" } },
                                  { acme = "netmera-key", other = "other-key" })
    local provider = story.netmera.ledger("apiKey=netmera-key")
    assert.equal(campaign.customers, run.sent + run.dead)
    assert.equal(0, run.dead)
    assert.equal(campaign.customers, provider.recipients)
    assert.equal(0, story.optimove.ledger().violations)
    assert.equal(singles.acknowledged <= #story.netmera.rows("recipients?apiKey=other-key"), true)
    print(("# %d people in %.0f s: %d at Optimove = %d sent = %d at the provider; %d sent twice (%d lost answers)")
          :format(people, took_s, campaign.customers, run.sent, provider.recipients, repeated, lost))
    print(("# singles of another tenant: alone %s, beside the campaign %s; most memory %d MB"):format(
      spread(single_waits(sent_at, 1, first)), spread(single_waits(sent_at, first, killed - 2)), peak_mb))
  end)
end)
