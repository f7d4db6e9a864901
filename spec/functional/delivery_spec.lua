-- What a provider may answer, and what becomes of the message.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local loop = require("spec.support.loop")
local uv = require("luv")

local story

local function fault(what, match)
  match = match or {}
  match.path = "sendNotification"
  story.netmera.faults({ { match = match, ["do"] = what } })
end

--- A second tenant with acme's accounts: its listeners stay acme's, a conflict that is no matter here.
local function add_other()
  story.daemon.write("rules/other.lua",
                     (story.daemon.read("rules/acme.lua"):gsub('name = "acme"', 'name = "other"')))
  story.daemon.ask("reload")
  assert.is_true(story.daemon.apply(story, { name = "other", app_key = "other-key" }).code <= 1)
end

describe("delivery by netmera", function()
  before_each(function() story = daemon.story() end)
  after_each(function() story.close(true) end)

  local function send(customer)
    story.optimove.post("trigger", { campaign = "d", channel = 459, template = 1201, customer = customer })
  end

  local function dead()
    return loop.await("a dead letter", function()
      for _, item in ipairs(story.daemon.ask("queue", "list").items) do
        if item.state == "dead" then return item end
      end
    end)
  end

  it("tries again after a 500 and after a closed connection with nothing done", function()
    fault({ status = 500, error = nil, body = { code = 2001, error = "Internal" } }, { nth = 1 })
    send("C1")
    story.netmera.reaches("deliveries=1")
    assert.equal(0, story.netmera.ledger().repeated)
  end)

  it("keeps what a permanent error says as the dead letter's reason, and sends it when asked", function()
    fault({ error = "400/2101" })
    send("C2")
    local item = dead()
    assert.matches("2101", item.reason)
    assert.equal(0, story.netmera.ledger().deliveries)
    fault({ delayMs = 1 })
    assert.equal(0, story.daemon.cli("queue", "retry", item.id).code)
    story.netmera.reaches("deliveries=1")
  end)

  it("honours Retry-After", function()
    fault({ status = 429, headers = { ["Retry-After"] = "2" } }, { nth = 1 })
    send("C3")
    story.netmera.reaches("requests=1")
    local before = os.time()
    story.netmera.reaches("deliveries=1")
    assert.is_true(os.time() - before >= 1)
  end)

  it("sends again where the answer was lost, and says so in explain", function()
    fault({ close = "after" }, { nth = 1 })
    send("C4")
    story.netmera.reaches("deliveries=2")
    local rows = story.netmera.rows("recipients")
    assert.equal("C4", rows[1].extId)
    assert.equal(2, rows[1].count)
  end)

  it("splits a batch whose refusal names one person", function()
    story.netmera.post("settings", { unknown = { answer = "refuse", extIds = { "C5" } } })
    story.optimove.post("campaigns", { campaign = 30, channel = 459, templates = { 1201 }, count = 10 })
    story.optimove.post("execute", { campaign = 30, channel = 459 })
    story.netmera.reaches("deliveries=9")
    assert.matches("5016", dead().reason)
    assert.equal(0, story.netmera.ledger().repeated)
  end)

  it("waits for a provider that is down, and loses nothing", function()
    story.netmera.post("down", { ms = 1500 })
    for i = 1, 20 do send("D" .. i) end
    loop.await("Netmera to be up again", function() return (pcall(story.netmera.ledger)) end)
    story.netmera.reaches("recipients=20")
    assert.equal(0, story.netmera.ledger().repeated)
  end)
end)

describe("a provider's settings", function()
  after_each(function() story.close(true) end)

  local function send(customer)
    return story.daemon.event({ EventTypeID = 11, CampaignID = "d", ChannelID = 459, TemplateID = 1201,
                                CustomerID = customer }).json().id
  end

  --- The message that an event made, once `is_wanted` says so.
  local function message(event, is_wanted)
    return loop.await("the message", function()
      local shown = story.daemon.ask("explain", event)
      local found = shown.messages and shown.messages[1]
      return found and is_wanted(found) and found
    end)
  end

  it("rate is messages a second, and no burst goes beyond it", function()
    story = daemon.story({ provider = ", rate = 100" })
    story.optimove.post("campaigns", { campaign = 1, channel = 459, templates = { 1201 }, count = 250 })
    story.optimove.post("execute", { campaign = 1, channel = 459 })
    story.netmera.reaches("deliveries=250")
    local most = story.netmera.get("ledger/rate?windowMs=1000").most
    assert.is_true(most <= 200, most .. " within a second")
  end)

  it("being throttled uses up no attempt", function()
    story = daemon.story()
    fault({ status = 429, headers = { ["Retry-After"] = "0" }, body = { code = 1 } }, { times = 3 })
    local sent = message(send("T1"), function(found) return found.state == "sent" end)
    assert.equal(1, sent.attempts)
    assert.equal(4, #sent.attempts_made)
    assert.equal("throttled", sent.attempts_made[1].outcome)
  end)

  --- Milliseconds of CPU time that the daemon has used.
  local function cpu_ms()
    local file = assert(io.open("/proc/" .. story.daemon.process.pid .. "/stat"))
    local user, system = file:read("a"):match("%) %S+" .. (" %S+"):rep(10) .. " (%d+) (%d+)")
    file:close()
    return (tonumber(user) + tonumber(system)) * 10
  end

  -- A retry that came due while its lane rested once had the engine turn round and round until the rest was over.
  it("a lane that rests costs nothing, though something of it is due", function()
    story = daemon.story({ provider = ", batch = 1" })
    story.netmera.faults({
      { match = { path = "sendNotification", extId = "D1" },
        ["do"] = { status = 500, headers = { ["Retry-After"] = "1" }, body = { code = 2001 } } },
      { match = { path = "sendNotification", extId = "D2" },
        ["do"] = { status = 429, headers = { ["Retry-After"] = "600" }, body = { code = 1 } } } })
    message(send("D1"), function(found) return found.attempts > 0 end)
    message(send("D2"), function(found) return found.attempts_made and #found.attempts_made > 0 end)
    local before_ms, began = cpu_ms(), uv.hrtime()
    story.netmera.reaches("requests=2&quietMs=2500")
    local used_ms, passed_ms = cpu_ms() - before_ms, (uv.hrtime() - began) // 1000000
    assert.is_true(used_ms < passed_ms // 8, used_ms .. " ms of CPU time in " .. passed_ms .. " ms")
  end)

  it('unknown = "hold" keeps a lost answer for a person', function()
    story = daemon.story({ provider = ', unknown = "hold"' })
    fault({ close = "after" }, { times = 1 })
    local held = message(send("U1"), function(found) return found.state == "held" end)
    assert.equal("unknown", held.attempts_made[1].outcome)
    story.daemon.ask("queue", "retry", held.id)
    story.netmera.reaches("deliveries=2")
  end)

  it("retry says when it is given up, counted from the first attempt", function()
    story = daemon.story({ provider = ", retry = { first_s = 0.2, most_s = 0.3, give_up_s = 1 }" })
    fault({ status = 500, body = { code = 2001, error = "Internal" } })
    local dead = message(send("R1"), function(found) return found.state == "dead" end)
    assert.matches("^given up after %d+ attempts in %d s: 500", dead.reason)
    assert.is_true(dead.attempts >= 2)
    local first, last = dead.attempts_made[1], dead.attempts_made[#dead.attempts_made]
    assert.is_true(last.ended_at_ms - first.started_at_ms >= 1000)
  end)

  it("trouble gives a provider fewer sends at a time, and quick answers more again, to its concurrency", function()
    story = daemon.story({ provider = ", concurrency = 3, retry = { first_s = 0.02, most_s = 0.05 }" })
    local count = 0
    local function until_allowed(wanted)
      loop.await(wanted .. " sends at a time", function()
        count = count + 1
        send("W" .. count)
        for _, lane in ipairs(story.daemon.ask("status").engine.lanes) do
          if lane.sends_allowed == wanted then return true end
        end
      end)
    end
    until_allowed(3)
    fault({ status = 500, body = { code = 2001, error = "Internal" } })
    until_allowed(1)
    fault({ delayMs = 1 })
    until_allowed(3)
  end)

  it("batch is how many people one call may carry", function()
    story = daemon.story({ provider = ", batch = 3" })
    story.optimove.post("campaigns", { campaign = 31, channel = 459, templates = { 1201 }, count = 40 })
    story.optimove.post("execute", { campaign = 31, channel = 459 })
    story.netmera.reaches("recipients=40")
    assert.is_true(story.netmera.ledger().largestRequest <= 3)
  end)

  it("a quota of the account holds every tenant's lane that uses it", function()
    story = daemon.story()
    add_other()
    http.request({ url = story.daemon.url .. "/optimove/event/other-key",
                   headers = { ["X-netmera-api-key"] = "rest-key" },
                   body = { EventTypeID = 11, CampaignID = "q", ChannelID = 459, TemplateID = 1201,
                            CustomerID = "O1" } })
    story.netmera.reaches("deliveries=1")
    fault({ status = 400, body = { code = 5022, error = "quota" } }, { times = 1 })
    send("A1")
    local other = loop.await("the rest of the other lane", function()
      for _, lane in ipairs(story.daemon.ask("status").engine.lanes) do
        if lane.tenant == "other" and lane.reason then return lane end -- it stays until its next success
      end
    end)
    assert.matches("quota", other.reason)
    story.netmera.reaches("deliveries=2") -- and it goes on
  end)

  it("an unreachable host opens the breaker for every tenant that uses it, and no attempt is used up", function()
    story = daemon.story()
    add_other()
    story.netmera.close()
    local first = send("B1")
    for i = 2, 6 do send("B" .. i) end
    loop.await("the breaker of both lanes", function()
      send("B" .. math.random(1000000))
      local count = 0
      for _, lane in ipairs(story.daemon.ask("status").engine.lanes) do
        if lane.unreachable then count = count + 1 end
      end
      return count > 0
    end)
    local waiting = message(first, function(found) return #(found.attempts_made or {}) > 0 end)
    assert.equal(0, waiting.attempts)
    http.request({ url = story.daemon.url .. "/optimove/event/other-key",
                   headers = { ["X-netmera-api-key"] = "rest-key" },
                   body = { EventTypeID = 11, CampaignID = "d", ChannelID = 459, TemplateID = 1201,
                            CustomerID = "O1" } })
    loop.await("the other tenant's lane behind the same breaker", function()
      for _, lane in ipairs(story.daemon.ask("status").engine.lanes) do
        if lane.tenant == "other" then return lane.unreachable end
      end
    end)
    story.netmera.open()
  end)
end)
