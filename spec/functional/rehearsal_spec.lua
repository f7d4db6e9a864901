-- The whole of it: a large campaign with faults switched on in the world, a kill -9 in its middle, and another
-- tenant's single messages flowing.  At the end Optimove's ledger, our records and the provider's agree to the unit.
-- NETMOVE_RECIPIENTS sets the size; spec/run --long takes a million.
--
-- How long the singles take is measured in turns: the run goes, the run is paused, and so on to its end, so that
-- whatever else the machine has to do falls on both alike.  The singles have a world of their own: a fake that is busy
-- with the campaign's pages would be what is slow.  What was under way while the daemon was dead or starting is told
-- apart; that is downtime.  Nothing is asserted of times: the figures are for a person, and for benches/README.md.

local daemon = require("spec.support.daemon")
local ledger = require("spec.support.ledger")
local loop = require("spec.support.loop")
local sender = require("spec.support.sender")
local world = require("spec.support.world")
local uv = require("luv")

local is_long = os.getenv("NETMOVE_LONG") == "1"
local is_slow = (os.getenv("NETMOVE_SANITIZE") or "") ~= ""
local people = tonumber(os.getenv("NETMOVE_RECIPIENTS") or "") or is_long and 1000000 or is_slow and 8000 or 20000
local connections = is_slow and 2 or 4 -- of the singles' sender
local turn = { going = is_long and 1200 or 80, paused = is_long and 400 or 40 } -- so many singles each
local settling_ms = is_long and 300 or 50 -- after the run was paused or released it counts for neither

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

local function now_ms()
  local seconds, micros = uv.gettimeofday()
  return seconds * 1000 + micros / 1000
end

--- The value that so large a share of a sorted list does not exceed.
local function at(list, share) return list[math.max(1, math.ceil(#list * share))] or 0 end

--- "p50 3.1 ms, p90 4.0 ms, p99 9.2 ms, p99.9 12.0 ms of 200"
local function spread(list)
  table.sort(list)
  return ("p50 %.1f ms, p90 %.1f ms, p99 %.1f ms, p99.9 %.1f ms of %d"):format(
    at(list, 0.5), at(list, 0.9), at(list, 0.99), at(list, 0.999), #list)
end

describe("the rehearsal", function()
  local story
  after_each(function()
    for _, other in ipairs(story.others or {}) do other.close() end
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

  --- A second tenant with worlds and rules of its own.
  local function move_in()
    local optimove, netmera = world.optimove(), world.netmera()
    story.others, story.netmeras = { optimove, netmera }, { other = netmera }
    netmera.post("settings", { keys = { "netmera-key" }, latencyMs = 2 })
    story.daemon.write("rules/other.lua", (story.daemon.read("rules/acme.lua"):gsub('name = "acme"', 'name = "other"')))
    story.daemon.ask("reload")
    local applied = story.daemon.apply({ optimove = optimove, netmera = netmera },
                                       { name = "other", app_key = "other-app-key" })
    assert.equal(0, applied.code, applied.out .. applied.err)
  end

  --- Lets the run go and pauses it, by turns of so many singles; `look` is called again and again until it is
  --- true.  `turns` gets who went when.
  local function take_turns(singles, turns, look, timeout_ms)
    local function begin(name, run_id)
      local command = name == "paused" and "pause" or "release"
      local is_told = not run_id or story.daemon.cli("run", command, run_id).code == 0
      if not is_told then name = "going" end -- it is at its end
      turns[#turns + 1] = { name = name, from_ms = now_ms(), count = singles.acknowledged }
    end
    begin("going")
    loop.await("the run", function()
      local now = turns[#turns]
      if look() then return true end
      if singles.acknowledged - now.count < turn[now.name] then return false end
      begin(now.name == "going" and "paused" or "going", story.daemon.ask("run", "list").items[1].id)
    end, timeout_ms)
    if turns[#turns].name == "paused" then begin("going", story.daemon.ask("run", "list").items[1].id) end
    turns[#turns].to_ms = now_ms()
    for i = 1, #turns - 1 do turns[i].to_ms = turns[i].to_ms or turns[i + 1].from_ms end
  end

  --- How long singles took from being posted to being delivered, by whose turn it was.
  local function single_waits(sent_at, turns, down)
    local waits = { going = {}, paused = {}, down = {} }
    for _, row in ipairs(story.netmeras.other.rows("recipients")) do
      local sent_ms = sent_at[row.extId]
      local wait_ms = row.firstAt - sent_ms
      if sent_ms < down.to_ms and row.firstAt > down.from_ms then
        table.insert(waits.down, wait_ms)
      else
        for _, one in ipairs(turns) do
          if sent_ms >= one.from_ms + settling_ms and sent_ms < one.to_ms then
            table.insert(waits[one.name], wait_ms)
          end
        end
      end
    end
    return waits
  end

  it("brings a campaign of " .. people .. " to its end, to the unit", function()
    local peak_mb = 0
    story = daemon.story({ provider = ", retry = { first_s = 1, most_s = " .. (is_long and 30 or 2) .. " }" })
    move_in()
    story.netmera.post("settings", { keys = { "netmera-key" }, latencyMs = 2 })

    local acknowledged, sent_at, turns = {}, {}, {}
    local singles = sender.new({ acknowledged = acknowledged, prefix = "D", app_key = "other-app-key", pause_ms = 20,
                                 sent_at = sent_at })
    singles.start(story.daemon.listen, connections)
    loop.await("the first singles", function() return singles.acknowledged >= turn.paused end, 600000)
    local began = uv.hrtime()
    switch_faults_on()
    local campaign = story.optimove.post("campaigns", { campaign = 90, channel = 459, templates = { 1201, 1202 },
      count = people, controlEvery = 500, attributes = { FIRST_NAME = { "Ada", "Can" } } })
    story.optimove.post("execute", { campaign = 90, channel = 459, duplicates = 1 })
    loop.await("a run", function() return story.daemon.ask("run", "list").items[1] end)

    local function watch()
      peak_mb = math.max(peak_mb, resident_mb(story.daemon.process.pid))
    end
    local half, timeout_ms = people // 2, 300000 + people * 3
    take_turns(singles, turns, now_and_then(function()
      watch()
      return story.netmera.ledger("apiKey=netmera-key").recipients >= half
    end), timeout_ms)
    local down = { from_ms = now_ms() }
    story.daemon.kill()
    story.daemon.start()
    down.to_ms = now_ms()
    singles.start(story.daemon.listen, connections)

    local run
    take_turns(singles, turns, now_and_then(function()
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
                                  { acme = "netmera-key", other = "netmera-key" })
    local provider = story.netmera.ledger("apiKey=netmera-key")
    assert.equal(campaign.customers, run.sent + run.dead)
    assert.equal(0, run.dead)
    assert.equal(campaign.customers, provider.recipients)
    assert.equal(0, story.optimove.ledger().violations)
    assert.is_true(singles.acknowledged <= story.netmeras.other.ledger().recipients)
    local waits = single_waits(sent_at, turns, down)
    local beside, alone = spread(waits.going), spread(waits.paused)
    print(("# %d people in %.0f s: %d at Optimove = %d sent = %d at the provider; %d sent twice (%d lost answers)")
          :format(people, took_s, campaign.customers, run.sent, provider.recipients, repeated, lost))
    print(("# most memory %d MB"):format(peak_mb))
    print(("# singles of another tenant: run paused %s"):format(alone))
    print(("#                            run going  %s"):format(beside))
    print(("#                            times p50 %.2f, p90 %.2f, p99 %.2f, p99.9 %.2f"):format(
      at(waits.going, 0.5) / at(waits.paused, 0.5), at(waits.going, 0.9) / at(waits.paused, 0.9),
      at(waits.going, 0.99) / at(waits.paused, 0.99), at(waits.going, 0.999) / at(waits.paused, 0.999)))
    print(("#                            under way while the daemon was dead or starting (%.0f ms): %s"):format(
      down.to_ms - down.from_ms, spread(waits.down)))
  end)
end)
