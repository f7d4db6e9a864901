-- The wall clock jumps: what people named (a due time, quiet hours, a deadline, a window) follows it, durations do not,
-- and nothing comes in a burst.  Each test is one case of B4's tenth; those that are not `small` need NETMOVE_LONG.

local daemon = require("spec.support.daemon")
local faults = require("spec.support.faults")
local http = require("spec.support.http")
local ledger = require("spec.support.ledger")
local loop = require("spec.support.loop")
local sender = require("spec.support.sender")
local uv = require("luv")

local MINUTE, HOUR, DAY, YEAR = 60 * 1000, 3600 * 1000, 24 * 3600 * 1000, 365 * 24 * 3600 * 1000
local is_long = os.getenv("NETMOVE_LONG") == "1"
local small = true

--- The real clock's milliseconds, which is not the daemon's.
local function real_ms()
  local seconds, micros = uv.gettimeofday()
  return seconds * 1000 + micros // 1000
end

local function utc_ms(year, month, day, hour, minute)
  return (os.time({ year = year, month = month, day = day, hour = hour, min = minute, isdst = false }) +
          os.difftime(os.time(os.date("*t", 86400)), os.time(os.date("!*t", 86400)))) * 1000
end

--- What jumps, by name: milliseconds to add.
local function to(ms) return function() return ms - real_ms() end end
local JUMPS = {
  ["a second ahead"] = 1000, ["a second back"] = -1000,
  ["an hour ahead"] = HOUR, ["an hour back"] = -HOUR,
  ["a day ahead"] = DAY, ["a day back"] = -DAY,
  ["ten years ahead"] = 10 * YEAR, ["ten years back"] = -10 * YEAR,
  ["to a second before a time in seconds needs a 32nd bit"] = to((1 << 31) * 1000 - 1000),
  ["to where a clock without a battery begins"] = to(10 * 1000),
}

describe("a wall clock that jumps", function()
  local story, fault

  local function begin(options)
    options = options or {}
    fault = faults.new()
    options.env = fault.env
    story = daemon.story(options)
  end

  after_each(function()
    if story then story.close(true) end
    if fault then fault.close() end
    story, fault = nil, nil
  end)

  local function case(name, is_small, body)
    if not (is_small or is_long) then return end
    it(name, function()
      if not faults.can() then return pending("the faults' library is not built") end
      body()
    end)
  end

  local function jump(by) fault.set("clock_ms", type(by) == "function" and by() or by) end

  --- The same, with nobody watching.
  local function jump_over_a_restart(by)
    story.daemon.kill()
    jump(by)
    story.daemon.start()
  end

  local function now_ms() return real_ms() + fault.get("clock_ms") end

  local serial = 0
  local function send(customer, more)
    local event = { EventTypeID = 11, CampaignID = "c", ChannelID = 459, TemplateID = 1201, CustomerID = customer }
    for name, value in pairs(more or {}) do event[name] = value end
    local answer = story.daemon.event(event).json()
    return answer.id, answer.status
  end

  --- Another message comes and goes: its lane has looked at the clock.
  local function look()
    serial = serial + 1
    local goal = story.netmera.ledger().deliveries + 1
    send("look-" .. serial)
    story.netmera.reaches("deliveries=" .. goal)
  end

  local function tries(customer)
    return #story.netmera.rows("requests?path=sendNotification&contains=" .. customer)
  end

  local function fails_once(what, more)
    what.status, what.body = what.status or 500, { code = 2001, error = "Internal" }
    local match = { path = "sendNotification" }
    for name, value in pairs(more or {}) do match[name] = value end
    story.netmera.faults({ { match = match, ["do"] = what } })
  end

  local function message_of(event, is_wanted)
    return loop.await("the message", function()
      local messages = story.daemon.ask("explain", event).messages
      return messages and messages[1] and is_wanted(messages[1]) and messages[1]
    end)
  end

  local function event_is(id, state)
    return loop.await("an event that is " .. state, function()
      local event = story.daemon.ask("explain", id).event
      return event.state == state and event
    end)
  end

  local function run_is(campaign, state)
    return loop.await("a run that is " .. state, function()
      for _, run in ipairs(story.daemon.ask("run", "list").items) do
        if run.campaign == tostring(campaign) and run.state == state then return run end
      end
    end)
  end

  --- Nothing has gone out by the time that all else is done.
  local function nothing_goes(deliveries)
    loop.await("an idle engine", function()
      local lane = story.daemon.ask("status").engine.lanes[1]
      return not lane or lane.in_flight == 0 and lane.ready == 0
    end)
    assert.equal(deliveries or 0, story.netmera.ledger().deliveries)
  end

  -- ---- a campaign under way ---------------------------------------------------------------------------------

  --- `disturb` is called when a third is out; `goes_on` may disturb again while the rest goes.
  local function campaign_case(name, is_small, disturb)
    case(name .. " stops no campaign and makes no burst", is_small, function()
      begin({ provider = ", rate = 800" })
      local people = 1200
      story.optimove.post("campaigns", { campaign = 70, channel = 459, templates = { 1201 }, count = people })
      story.optimove.post("execute", { campaign = 70, channel = 459 })
      local acknowledged = {}
      local traffic = sender.new({ acknowledged = acknowledged, pause_ms = 20 })
      traffic.start(story.daemon.listen, 2)
      story.netmera.reaches("recipients=" .. people // 3)
      disturb(function(by) -- events meanwhile
        local goal = traffic.acknowledged + by
        loop.await("events after the jump", function() return traffic.acknowledged >= goal end)
      end)
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

  for name, by in pairs(JUMPS) do
    campaign_case(name, name == "a day ahead" or name == "a day back", function(goes_on)
      jump(by)
      goes_on(10)
    end)
  end
  campaign_case("to and fro by a day, twenty times,", not small, function(goes_on)
    for i = 1, 20 do
      jump(i % 2 == 0 and DAY or -DAY)
      goes_on(2)
    end
  end)
  campaign_case("back by one second again and again, as leap seconds would,", not small, function(goes_on)
    for i = 1, 10 do
      jump(-1000 * i)
      goes_on(2)
    end
  end)
  campaign_case("not at all, but stands still,", not small, function(goes_on)
    fault.set("clock_is_ms", real_ms())
    goes_on(10)
    fault.set("clock_is_ms", 0)
  end)
  for name, ppm in pairs({ fast = 100000, slow = -100000 }) do
    campaign_case("not at all, but is a tenth too " .. name .. ",", not small, function(goes_on)
      fault.set("clock_since_ms", real_ms())
      fault.set("clock_ppm", ppm)
      goes_on(20)
    end)
  end

  -- ---- retries ----------------------------------------------------------------------------------------------

  for name, by in pairs(JUMPS) do
    case(name .. " tries each once more that was to be tried soon, and no more", not small, function()
      begin({ provider = ", retry = { first_s = 3, most_s = 3 }, batch = 1" })
      fails_once({}, { times = 3 })
      local ids = {}
      for i = 1, 3 do ids[i] = send("R" .. i) end
      for _, id in ipairs(ids) do message_of(id, function(message) return message.attempts > 0 end) end
      jump(by)
      look()
      story.netmera.reaches("recipients=4")
      assert.equal(3 + 3 + 1, story.netmera.ledger().requests)
    end)
  end

  for name, by in pairs({ ["an hour ahead"] = HOUR, ["an hour back"] = -HOUR, ["a day ahead"] = DAY,
                          ["a day back"] = -DAY }) do
    case(name .. " leaves a wait that a provider asked for as long as it is", by == DAY or by == -DAY, function()
      begin()
      fails_once({ headers = { ["Retry-After"] = "600" } }, { extId = "W1" })
      local id = send("W1")
      message_of(id, function(message) return message.attempts == 1 end)
      look() -- the clock has been seen since
      jump(by)
      look()
      look()
      local message = message_of(id, function() return true end)
      local left_ms = message.due_at_ms - now_ms()
      assert.is_true(left_ms > 400000 and left_ms <= 600000, left_ms .. " ms left")
      assert.equal(1, tries("W1"))
    end)
  end

  for name, by in pairs({ ["a day ahead"] = DAY, ["a day back"] = -DAY }) do
    case(name .. " wakes no lane that was told to rest, and keeps none resting", by < 0, function()
      begin()
      story.netmera.faults({ { match = { path = "sendNotification", times = 1 },
        ["do"] = { status = 429, headers = { ["Retry-After"] = "1" }, body = { code = 1 } } } })
      local id = send("T1")
      message_of(id, function(message) return message.attempts_made and #message.attempts_made == 1 end)
      jump(by)
      send("T2")
      story.netmera.reaches("recipients=2")
      local rows = story.netmera.rows("requests?path=sendNotification")
      assert.is_true(rows[2].at - rows[1].at >= 900, rows[2].at - rows[1].at .. " ms later")
    end)

    case(name .. " closes no breaker before its time, and keeps none open", not small, function()
      begin({ provider = ", retry = { first_s = 0.2, most_s = 1 }" })
      story.netmera.post("down", { ms = 2500 })
      for i = 1, 20 do send("B" .. i) end
      loop.await("a host that cannot be reached", function()
        local lane = story.daemon.ask("status").engine.lanes[1]
        return lane and lane.unreachable
      end)
      jump(by)
      loop.await("Netmera to be up again", function() return (pcall(story.netmera.ledger)) end)
      story.netmera.reaches("recipients=20")
      assert.equal(20, story.netmera.ledger().deliveries)
    end)

    case(name .. " gives nothing up that was tried a moment ago", by > 0, function()
      begin({ provider = ", retry = { first_s = 2, most_s = 2, give_up_s = 3600 }" })
      fails_once({}, { extId = "G1", times = 2 })
      local id = send("G1")
      message_of(id, function(message) return message.attempts == 1 end)
      jump(by)
      message_of(id, function(message) return message.state ~= "waiting" end)
      assert.equal(3, tries("G1"))
      assert.equal(1, story.netmera.ledger().deliveries)
    end)

    case(name .. " sends nothing twice that is in flight", not small, function()
      begin()
      fails_once({ delayMs = 1500, status = 200 }, { times = 1 })
      local id = send("F1")
      loop.await("it to be in flight", function() return story.netmera.ledger().inFlight.now == 1 end)
      jump(by)
      look()
      message_of(id, function(message) return message.state == "sent" end)
      assert.equal(1, tries("F1"))
    end)

    case(name .. " asks Optimove no faster", not small, function()
      begin()
      story.optimove.post("settings", { pageCap = 100, rateLimit = { requests = 50, windowMs = 3000 } })
      story.optimove.post("campaigns", { campaign = 75, channel = 459, templates = { 1201 }, count = 5000 })
      story.optimove.post("execute", { campaign = 75, channel = 459 })
      story.netmera.reaches("recipients=500")
      jump(by)
      story.netmera.reaches("recipients=5000", 120000)
      run_is(75, "done")
      assert.equal(0, story.optimove.ledger().violations)
      assert.equal(0, story.optimove.ledger().pages["75/459"].rowsServedTwice)
    end)

    case(name .. " repeats no update whose callback is on its way", not small, function()
      begin()
      story.optimove.post("settings", { updates = { callbackDelayMs = 1500 } })
      http.request({ url = story.daemon.url .. "/hooks/acme-app-key/events",
                     headers = { ["X-netmera-api-key"] = "rest-key" },
                     body = { type = "EVENT", name = "PURCHASE", extId = "U1", attributes = { total = 1 } } })
      story.optimove.reaches("updates=1")
      jump(by)
      http.request({ url = story.daemon.url .. "/hooks/acme-app-key/events",
                     headers = { ["X-netmera-api-key"] = "rest-key" },
                     body = { type = "EVENT", name = "PURCHASE", extId = "U2", attributes = { total = 1 } } })
      loop.await("settled batches", function()
        local status = story.daemon.ask("status")
        return status.unsettled_batches == 0 and status.waiting_updates == 0 and status.waiting_events == 0
      end)
      assert.equal(2, story.optimove.ledger().updates.calls)
    end)
  end

  -- ---- what people named ------------------------------------------------------------------------------------

  local function park(campaign)
    begin()
    story.optimove.post("campaigns", { campaign = campaign, channel = 459, templates = { 1201 }, count = 5,
                                       scheduleTime = { inSeconds = 7200 } })
    story.optimove.post("execute", { campaign = campaign, channel = 459 })
    loop.await("the run to be fetched", function()
      local run = story.daemon.ask("run", "list").items[1]
      return run and run.is_fetched
    end)
    nothing_goes()
  end

  case("past a ScheduleTime over a restart brings it forward, and ids rise all the same", small, function()
    park(71)
    jump_over_a_restart(3 * HOUR)
    story.netmera.reaches("deliveries=5")
    local before = math.tointeger(tonumber((send("C1"))))
    jump(-DAY)
    assert.is_true(math.tointeger(tonumber((send("C2")))) > before)
  end)
  case("past a ScheduleTime is seen within a minute", not small, function()
    park(72)
    jump(3 * HOUR)
    story.netmera.reaches("deliveries=5", 240000)
  end)
  for name, by in pairs({ ["ahead, but not to a ScheduleTime,"] = HOUR, ["back from a ScheduleTime"] = -DAY }) do
    case(name .. " lets it wait", not small, function()
      park(73)
      jump(by)
      look()
      nothing_goes(1)
      jump_over_a_restart(by)
      look()
      nothing_goes(2)
      jump_over_a_restart(3 * HOUR)
      story.netmera.reaches("recipients=7")
    end)
  end

  --- Acme's rules whose single messages are quiet between two minutes of the day in a zone.
  local function quiet(from, to_minute, zone)
    local file = assert(io.open((os.getenv("NETMOVE_SOURCE") or ".") .. "/rules/acme.lua"))
    local text = file:read("a")
    file:close()
    text = text:gsub('time_zone = "Europe/Istanbul"', ("time_zone = %q"):format(zone or "UTC"))
    text = text:gsub("%[11%] = send_template,", ('[11] = { quiet_between(%q, %q), send_template },')
                       :format(from, to_minute))
    return (text:gsub("examples = {.*$", "}\n"))
  end
  local function clock(minutes) return os.date("!%H:%M", os.time() + minutes * 60) end

  case("out of quiet hours over a restart lets go what they held", not small, function()
    begin({ rules = quiet(clock(-10), clock(60)) })
    event_is(send("Q1"), "delayed")
    jump_over_a_restart(2 * HOUR)
    story.netmera.reaches("recipients=1")
  end)
  case("into quiet hours holds what comes", not small, function()
    begin({ rules = quiet(clock(60), clock(180)) })
    send("Q1")
    story.netmera.reaches("recipients=1")
    jump(2 * HOUR)
    event_is(send("Q2"), "delayed")
    jump(0)
    send("Q3")
    story.netmera.reaches("recipients=2")
    assert.equal(0, tries("Q2"))
  end)
  case("in quiet hours moves their end with it", not small, function()
    begin({ rules = quiet(clock(-60), clock(60)) })
    local id = send("Q1")
    local due_at_ms = event_is(id, "delayed").due_at_ms
    jump_over_a_restart(30 * MINUTE)
    assert.equal(due_at_ms, event_is(id, "delayed").due_at_ms)
    assert.equal(0, story.netmera.ledger().deliveries)
  end)
  case("over the hour that a spring night leaves out skips its quiet hours", not small, function()
    begin({ rules = quiet("02:00", "03:00", "Europe/Berlin") })
    jump(to(utc_ms(2026, 3, 29, 0, 50)))
    send("D1")
    story.netmera.reaches("recipients=1")
    jump(to(utc_ms(2026, 3, 29, 1, 5)))
    send("D2")
    story.netmera.reaches("recipients=2")
  end)
  case("within the hour that an autumn night has twice is quiet both times", not small, function()
    begin({ rules = quiet("02:00", "03:00", "Europe/Berlin") })
    jump(to(utc_ms(2026, 10, 25, 0, 30))) -- 02:30 for the first time
    local first = event_is(send("D1"), "delayed")
    jump(to(utc_ms(2026, 10, 25, 1, 30))) -- and for the second
    local second = event_is(send("D2"), "delayed")
    assert.equal(utc_ms(2026, 10, 25, 2, 0), first.due_at_ms)
    assert.equal(utc_ms(2026, 10, 25, 2, 0), second.due_at_ms)
    jump_over_a_restart(to(utc_ms(2026, 10, 25, 2, 1)))
    story.netmera.reaches("recipients=2")
  end)

  for name, by in pairs({ ["past a deadline"] = HOUR, ["past a deadline by years"] = 10 * YEAR,
                          ["back from a deadline"] = -HOUR }) do
    case(name .. (by > 0 and " ends what waits" or " leaves what waits"), not small, function()
      local file = assert(io.open((os.getenv("NETMOVE_SOURCE") or ".") .. "/rules/acme.lua"))
      local rules = file:read("a"):gsub('params = { name = "{first_name|friend}" },\n  },',
        'params = { name = "{first_name|friend}" }, expires_in = minutes(20),\n  },', 1):gsub("examples = {.*$", "}\n")
      file:close()
      begin({ rules = rules })
      fails_once({ headers = { ["Retry-After"] = "600" } }, { extId = "X1" })
      local id = send("X1")
      message_of(id, function(message) return message.attempts == 1 end)
      jump_over_a_restart(by)
      look()
      if by > 0 then
        message_of(id, function(message) return message.state == "expired" end)
      else
        assert.equal("waiting", message_of(id, function() return true end).state)
      end
      assert.equal(1, tries("X1"))
    end)
  end

  -- ---- windows ----------------------------------------------------------------------------------------------

  local function execute(campaign, stamp)
    story.optimove.post("campaigns", { campaign = campaign, channel = 459, templates = { 1201 }, count = 5 })
    story.optimove.post("execute", { campaign = campaign, channel = 459, timeStamp = stamp })
  end

  for name, of in pairs({
    ["by 11 hours ahead keeps a campaign from being repeated"] = { 11 * HOUR, "held" },
    ["by 13 hours ahead lets a campaign be repeated"] = { 13 * HOUR, "done" },
    ["by an hour back keeps a campaign from being repeated"] = { -HOUR, "held" },
    ["by 11 hours over a restart keeps a campaign from being repeated"] = { 11 * HOUR, "held", true },
    ["by 13 hours over a restart lets a campaign be repeated"] = { 13 * HOUR, "done", true },
  }) do
    case(name, not small, function()
      begin()
      execute(80, "2026-11-23 10:00:00")
      run_is(80, "done")
      story.netmera.reaches("deliveries=5")
      local change = of[3] and jump_over_a_restart or jump
      change(of[1])
      execute(80, "2026-11-23 11:00:00")
      if of[2] == "held" then
        run_is(80, "held")
        nothing_goes(5)
      else
        story.netmera.reaches("deliveries=10")
      end
    end)
  end

  for name, of in pairs({
    ["by 47 hours ahead keeps what came twice one event"] = { 47 * HOUR, "duplicate" },
    ["by 49 hours ahead makes what came before an event of its own"] = { 49 * HOUR, "accepted" },
    ["by 47 hours over a restart keeps what came twice one event"] = { 47 * HOUR, "duplicate", true },
    ["by 49 hours over a restart makes what came before an event of its own"] = { 49 * HOUR, "accepted", true },
    ["by a day back over a restart keeps what came twice one event"] = { -DAY, "duplicate", true },
    ["by 50 seconds ahead keeps what came twice without a time one event"] = { 50 * 1000, "duplicate", false, true },
    ["by 70 seconds ahead makes what came twice without a time two"] = { 70 * 1000, "accepted", false, true },
  }) do
    case(name, of[1] == 47 * HOUR and of[3], function()
      begin()
      local stamp = not of[4] and { TimeStamp = "2030-01-01 10:00:00" } or nil
      local _, first = send("C1", stamp)
      assert.equal("accepted", first)
      local change = of[3] and jump_over_a_restart or jump
      change(of[1])
      local _, second = send("C1", stamp)
      assert.equal(of[2], second)
    end)
  end

  for name, of in pairs({
    ["by 47 hours ahead keeps a cancel that came first"] = { 47 * HOUR, true },
    ["by 47 hours over a restart keeps a cancel that came first"] = { 47 * HOUR, true, true },
    ["by a day back over a restart keeps a cancel that came first"] = { -DAY, true, true },
    ["by 49 hours ahead forgets a cancel that came first"] = { 49 * HOUR, false },
  }) do
    case(name, of[1] == 47 * HOUR and not of[3], function()
      begin()
      story.optimove.post("campaigns", { campaign = 90, channel = 459, templates = { 1201 }, count = 5 })
      local cancel = story.daemon.event({ EventTypeID = 4, CampaignID = 90, ChannelID = 459,
                                          TimeStamp = "2026-11-23 10:00:00" }).json().id
      event_is(cancel, "planned")
      local change = of[3] and jump_over_a_restart or jump
      change(of[1])
      execute(90, "2026-11-23 09:00:00")
      if of[2] then
        run_is(90, "cancelled")
        nothing_goes()
      else
        story.netmera.reaches("deliveries=5")
      end
    end)
  end

  for name, of in pairs({ ["by two hours ahead empties an hour's ceiling"] = { 2 * HOUR, "done" },
                          ["by an hour back does not empty an hour's ceiling"] = { -HOUR, "held" } }) do
    case(name, not small, function()
      begin()
      local text = story.daemon.read("tenants/acme.lua"):gsub("  hooks = ", "  guard = { hour = 8 },\n  hooks = ", 1)
      story.daemon.write("tenants/acme.lua", text)
      story.daemon.ask("tenant", "apply", "tenants/acme.lua")
      execute(81)
      run_is(81, "done")
      jump(of[1])
      execute(82)
      run_is(82, of[2])
    end)
  end

  case("past the end of a token refuses it, and back takes it again", not small, function()
    begin()
    local token = story.daemon.ask("token", "create", "--role", "viewer", "--name", "v", "--expires", "1h").token
    local function status()
      return http.request({ url = story.daemon.admin_url .. "/api/v1/status",
                            headers = { Authorization = "Bearer " .. token } }).status
    end
    assert.equal(200, status())
    jump(2 * HOUR)
    assert.equal(401, status())
    jump(-DAY)
    assert.equal(200, status())
  end)
end)
