-- 11, 13 and 4 from Optimove to Netmera, counted by the fakes' own ledgers.

local daemon = require("spec.support.daemon")
local loop = require("spec.support.loop")
local uv = require("luv")

local is_slow = (os.getenv("NETMOVE_SANITIZE") or "") ~= ""

describe("a single send (11)", function()
  local story
  before_each(function() story = daemon.story() end)
  after_each(function() story.close() end)

  it("becomes one push with the message that the rules name", function()
    story.optimove.post("trigger", { campaign = "a1B2", channel = 459, template = 1201,
                                     customer = "C7", fields = { first_name = "Ada" } })
    story.netmera.reaches("deliveries=1")
    local row = story.netmera.rows("deliveries?extId=C7")[1]
    assert.equal("106", row.key)
    assert.same({ name = "Ada" }, row.params)
  end)

  it("is sent once however often Optimove repeats the notice", function()
    story.optimove.post("trigger", { campaign = "a1B2", channel = 459, template = 1201,
                                     customer = "C7", duplicates = 5, together = true,
                                     withTimeStamp = true })
    story.optimove.post("trigger", { campaign = "a1B2", channel = 459, template = 1201,
                                     customer = "C8" })
    story.netmera.reaches("deliveries=2")
    assert.equal(0, story.netmera.ledger().repeated)
  end)

  it("is held with a reason where its template is not mapped, and sent once that is mended", function()
    story.optimove.post("trigger", { campaign = "x", channel = 459, template = 4711, customer = "C1" })
    local held = loop.await("the held event", function()
      return story.daemon.ask("queue", "list").items[1]
    end)
    assert.equal("template 4711 is not mapped", held.reason)
    local text = story.daemon.read("rules/acme.lua"):gsub("%[1201%] = \"welcome\",",
                                                          "%0\n    [4711] = \"welcome\",")
    story.daemon.write("rules/acme.lua", text)
    story.daemon.ask("reload")
    assert.equal(0, story.daemon.cli("queue", "retry", held.id).code)
    story.netmera.reaches("deliveries=1")
  end)
end)

describe("a campaign (13)", function()
  local story
  after_each(function() story.close() end)

  local function run_is(state)
    return loop.await("a run that is " .. state, function()
      for _, run in ipairs(story.daemon.ask("run", "list").items) do
        if run.state == state then return run end
      end
    end, 120000)
  end

  it("reaches each of 20,000 recipients exactly once", function()
    story = daemon.story()
    local count = is_slow and 5000 or 20000
    story.optimove.post("campaigns", { campaign = 7, channel = 459, templates = { 1201, 1202 },
                                       count = count, attributes = { FIRST_NAME = { "Ada", "Can" } } })
    story.optimove.post("execute", { campaign = 7, channel = 459, duplicates = 2 })
    story.netmera.reaches("deliveries=" .. count .. "&quietMs=200", 180000)
    local ledger = story.netmera.ledger()
    assert.equal(count, ledger.recipients)
    assert.equal(0, ledger.repeated)
    assert.is_true(ledger.largestRequest <= 1000)
    assert.equal(0, story.optimove.ledger().violations)
    local run = run_is("done")
    assert.equal(count, run.made)
    assert.equal(count, run.sent)
  end)

  it("sends once what comes on two pages, and nothing to the control group", function()
    story = daemon.story()
    local campaign = story.optimove.post("campaigns", { campaign = 8, channel = 459,
      templates = { 1201 }, count = 2000, repeatEvery = 100, controlEvery = 10 })
    story.optimove.faults({ { match = { path = "ExecutionDetails", nth = 2 }, ["do"] = { repeatRows = 50 } },
                            { match = { path = "ExecutionDetails" }, ["do"] = { shortPages = 700 } } })
    story.optimove.post("execute", { campaign = 8, channel = 459 })
    local run = run_is("done")
    local ledger = story.netmera.ledger()
    assert.equal(campaign.customers, ledger.recipients)
    assert.equal(0, ledger.repeated)
    assert.equal(campaign.customers, run.sent)
    assert.is_true(run.repeated > 0)
  end)

  it("goes on over Optimove's refusals, errors in a 200 and lost answers", function()
    story = daemon.story()
    story.optimove.post("campaigns", { campaign = 9, channel = 459, templates = { 1201 }, count = 3000 })
    story.optimove.faults({
      { match = { path = "ExecutionDetails", nth = 1 }, ["do"] = { status = 500, body = "oops" } },
      { match = { path = "ExecutionDetails", nth = 2 }, ["do"] = { close = "midbody" } },
      { match = { path = "ExecutionDetails", nth = 3 }, ["do"] = { status = 429 } },
      { match = { path = "ExecutionDetails" }, ["do"] = { shortPages = 1000 } },
    })
    story.optimove.post("execute", { campaign = 9, channel = 459 })
    story.netmera.reaches("deliveries=3000", 120000)
    assert.equal(0, story.netmera.ledger().repeated)
    run_is("done")
  end)

  it("parks rows until their ScheduleTime", function()
    story = daemon.story()
    local seconds = uv.gettimeofday()
    story.optimove.post("campaigns", { campaign = 10, channel = 459, templates = { 1201 }, count = 20,
                                       scheduleTime = { inSeconds = 3, everyRows = 10, stepSeconds = 2 } })
    story.optimove.post("execute", { campaign = 10, channel = 459 })
    story.netmera.reaches("deliveries=20")
    assert.equal(0, story.netmera.ledger().repeated)
    local late = 0
    for _, row in ipairs(story.netmera.rows("recipients")) do
      local after_s = row.firstAt / 1000 - seconds
      assert.is_true(after_s >= 3, row.extId .. " was sent after " .. after_s .. " s")
      if after_s >= 5 then late = late + 1 end
    end
    assert.is_true(late >= 10, late .. " of the ten later ones were sent at their time")
  end)

  it("holds rows that the rules hold as counted marks, not as messages", function()
    story = daemon.story()
    story.optimove.post("campaigns", { campaign = 11, channel = 459, templates = { 1201, 4711 }, count = 100 })
    story.optimove.post("execute", { campaign = 11, channel = 459 })
    local run = run_is("done")
    assert.equal(50, run.held)
    assert.equal(50, run.sent)
    local shown = story.daemon.ask("run", "show", run.id)
    assert.equal("template 4711 is not mapped", shown.holds[1].reason)
    assert.equal(50, shown.holds[1].count)
  end)

  it("is held for release when the same campaign comes a second time within 12 hours", function()
    story = daemon.story()
    story.optimove.post("campaigns", { campaign = 12, channel = 459, templates = { 1201 }, count = 10 })
    story.optimove.post("execute", { campaign = 12, channel = 459, timeStamp = "2030-01-01 10:00:00" })
    run_is("done")
    story.optimove.post("execute", { campaign = 12, channel = 459, timeStamp = "2030-01-01 11:00:00" })
    local second = run_is("held")
    assert.is_string(second.reason)
    assert.equal(10, story.netmera.ledger().deliveries)
  end)
end)

describe("a cancel (4)", function()
  local story
  after_each(function() story.close() end)

  local function fenced()
    return loop.await("a fenced run", function()
      for _, run in ipairs(story.daemon.ask("run", "list").items) do
        if run.state == "cancelled" then return run end
      end
    end)
  end

  --- The provider's ledger, the run and Optimove's people agree about a campaign that was cancelled.
  local function expect_fenced(run, promised)
    story.netmera.reaches("requests=1&quietMs=500")
    local shown = loop.await("the end of what was in flight", function()
      local now = story.daemon.ask("run", "show", run.id)
      return now.messages.waiting == 0 and now
    end)
    local ledger = story.netmera.ledger("deliveredAfter=" .. tostring(shown.fenced_at_ms))
    assert.is_true(ledger.deliveredAfter <= shown.in_flight_at_fence,
                   ledger.deliveredAfter .. " began after the fence, " ..
                   shown.in_flight_at_fence .. " were in flight")
    assert.is_true(ledger.deliveries < promised, "all of them went out")
    assert.equal(ledger.deliveries, shown.sent)
    assert.equal(shown.made, shown.sent + shown.stopped)
    assert.equal(0, ledger.repeated)
    return ledger, shown
  end

  local cancelled_at = os.getenv("NETMOVE_LONG") == "1" and { 1, 10, 25, 50, 75, 90 } or { 10, 50, 90 }
  local promised = os.getenv("NETMOVE_LONG") == "1" and 100000 or 4000
  -- The last of them are due in an hour: however slow the machine is, the 4 finds something to stop.
  local function due_later(count) return { everyRows = count, stepSeconds = 3600 } end
  for _, percent in ipairs(cancelled_at) do
    it("stops a campaign at " .. percent .. " %: nothing starts after the fence, and the counts agree", function()
      story = daemon.story({ provider = ", rate = " .. promised // 2 })
      story.netmera.post("settings", { latencyMs = 20 })
      story.optimove.post("campaigns", { campaign = 20, channel = 459, templates = { 1201 }, count = promised,
                                         scheduleTime = due_later(promised * 95 // 100) })
      story.optimove.post("execute", { campaign = 20, channel = 459 })
      story.netmera.reaches("deliveries=" .. promised * percent // 100)
      story.optimove.post("cancel", { campaign = 20 })
      expect_fenced(fenced(), promised)
    end)
  end

  it("stops a campaign whose pages still come: no page is asked for, nobody of them is written to", function()
    story = daemon.story()
    story.optimove.faults({ { match = { path = "ExecutionDetails" }, ["do"] = { shortPages = 300, delayMs = 400 } } })
    story.optimove.post("campaigns", { campaign = 24, channel = 459, templates = { 1201 }, count = 30000 })
    story.optimove.post("execute", { campaign = 24, channel = 459 })
    story.netmera.reaches("deliveries=300")
    story.optimove.post("cancel", { campaign = 24 })
    local _, shown = expect_fenced(fenced(), 30000)
    assert.is_false(shown.progress.is_fetched)
    -- A page that was under way may come, no other one.
    local pages = story.daemon.ask("run", "show", shown.id).pages_fetched
    assert.is_true(pages - shown.pages_fetched <= 1)
  end)

  it("that was recorded holds over a kill -9 before its fence: nothing is sent after the restart", function()
    story = daemon.story({ provider = ", rate = 1000" })
    story.optimove.post("campaigns", { campaign = 25, channel = 459, templates = { 1201 }, count = 5000,
                                       scheduleTime = due_later(4000) })
    story.daemon.stop()
    story.daemon.start({ NETMOVE_END_AT = "fence_begun:1" })
    story.optimove.post("execute", { campaign = 25, channel = 459 })
    story.netmera.reaches("deliveries=500")
    story.optimove.post("cancel", { campaign = 25, wait = false })
    loop.await("the end between record and fence", function() return story.daemon.process.exit_code end)
    story.daemon.process.wait()
    story.netmera.reaches("requests=1&quietMs=300")
    local before = story.netmera.ledger().deliveries
    story.daemon.start()
    fenced()
    -- Whoever comes last has been overtaken by nobody of the campaign.
    story.optimove.post("trigger", { campaign = 26, channel = 459, template = 1201, customer = "last" })
    story.netmera.reaches("deliveries=" .. before + 1)
    story.netmera.reaches("requests=1&quietMs=500")
    assert.equal(before + 1, story.netmera.ledger().deliveries)
    assert.equal(0, story.netmera.ledger().repeated)
  end)

  it("wins even if it arrives before its trigger", function()
    story = daemon.story()
    story.optimove.post("campaigns", { campaign = 21, channel = 459, templates = { 1201 }, count = 100 })
    local stamp = "2030-01-01 10:00:00"
    story.daemon.event({ EventTypeID = 4, CampaignID = 21, TimeStamp = stamp })
    story.optimove.post("execute", { campaign = 21, channel = 459, timeStamp = stamp })
    fenced()
    story.optimove.post("trigger", { campaign = 22, channel = 459, template = 1201, customer = "after" })
    story.netmera.reaches("deliveries=1")
    assert.equal(1, story.netmera.ledger().deliveries)
  end)

  it("leaves a later trigger of the same campaign alone", function()
    story = daemon.story()
    story.optimove.post("campaigns", { campaign = 23, channel = 459, templates = { 1201 }, count = 10 })
    story.daemon.event({ EventTypeID = 4, CampaignID = 23, TimeStamp = "2030-01-01 10:00:00" })
    story.optimove.post("execute", { campaign = 23, channel = 459, timeStamp = "2030-01-01 10:00:01" })
    story.netmera.reaches("deliveries=10")
  end)
end)
