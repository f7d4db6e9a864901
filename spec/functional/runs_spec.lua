-- What a person does to a run: pause, release, repin; rows that its rules held are played again, once.

local daemon = require("spec.support.daemon")
local loop = require("spec.support.loop")

local function campaign(story, options)
  options.channel = 459
  options.templates = options.templates or { 1201 }
  story.optimove.post("campaigns", options)
  story.optimove.post("execute", { campaign = options.campaign, channel = 459 })
  return loop.await("the run", function()
    local run = story.daemon.ask("run", "list").items[1]
    return run and run.id
  end)
end

local function run_is(story, id, state)
  return loop.await("a run that is " .. state, function()
    local run = story.daemon.ask("run", "show", id)
    return run.state == state and run
  end)
end

local function small_pages(story, rows)
  story.optimove.faults({ { match = { path = "ExecutionDetails" }, ["do"] = { shortPages = rows } } })
end

local function edit_rules(story, from, to)
  local text, count = story.daemon.read("rules/acme.lua"):gsub(from, to)
  assert(count > 0, from)
  story.daemon.write("rules/acme.lua", (text:gsub("examples = {.*$", "}\n")))
  story.daemon.ask("reload")
end

describe("run pause", function()
  local story
  after_each(function() story.close(true) end)

  it("stops expanding and sending until the release, over a kill -9 too", function()
    story = daemon.story({ provider = ", rate = 30" })
    local id = campaign(story, { campaign = 1, count = 800 })
    story.netmera.reaches("deliveries=20")
    local going = loop.await("its rate", function()
      local shown = story.daemon.ask("run", "show", id)
      return shown.left_ms and shown
    end)
    assert.is_true(going.rate_per_s > 0 and going.progress.rate_per_s == going.rate_per_s)
    assert.matches("time left +%d+", story.daemon.cli("run", "show", id).out)
    local paused = story.daemon.ask("run", "pause", id)
    assert.equal("paused", paused.state)
    loop.await("what was in flight to end", function()
      local status = story.daemon.ask("status")
      return status.engine.sends == 0 and status.waiting_messages == 0
    end)
    local before = story.netmera.ledger().deliveries
    assert.is_true(before < 800, before .. " went out")
    local shown = story.daemon.ask("run", "show", id)
    assert.equal("paused", shown.state)
    assert.is_true(shown.is_parked)
    assert.equal(before, shown.sent)

    story.daemon.kill()
    story.daemon.start()
    story.optimove.post("trigger", { campaign = "other", channel = 459, template = 1201, customer = "SINGLE" })
    story.netmera.reaches("deliveries=" .. before + 1)
    story.netmera.reaches("requests=1&quietMs=700")
    assert.equal(before + 1, story.netmera.ledger().deliveries, "only the single message went out")

    story.daemon.apply(story, { provider = ", rate = 2000" })
    assert.equal("paused", story.daemon.ask("run", "release", id).was)
    story.netmera.reaches("deliveries=801")
    local run = run_is(story, id, "done")
    assert.equal(800, run.sent)
    assert.equal(0, story.netmera.ledger().repeated)
  end)

  it("leaves the messages to a cancel, and refuses what is over", function()
    story = daemon.story({ provider = ", rate = 5" })
    local id = campaign(story, { campaign = 2, count = 100 })
    story.netmera.reaches("deliveries=1")
    story.daemon.ask("run", "pause", id)
    story.optimove.post("cancel", { campaign = 2 })
    local run = run_is(story, id, "cancelled")
    assert.equal(run.made, run.sent + run.stopped)
    assert.equal(0, run.waiting)
    local refused = story.daemon.cli("run", "pause", id)
    assert.equal(1, refused.code)
    assert.matches("is cancelled", refused.err)
    assert.equal(1, story.daemon.cli("run", "release", id).code)
    assert.equal(1, story.daemon.cli("run", "pause", "4711").code)
  end)
end)

describe("run repin", function()
  local story
  after_each(function() story.close(true) end)

  it("gives the rest of a run to the rules that serve now, from the next page on", function()
    story = daemon.story({ provider = ", rate = 2" })
    small_pages(story, 100)
    local id = campaign(story, { campaign = 3, count = 300 })
    story.netmera.reaches("deliveries=1")
    edit_rules(story, '%[1201%] = "welcome"', '[1201] = "cart_reminder"')
    local repinned = story.daemon.ask("run", "repin", id)
    assert.is_true(repinned.is_changed)
    assert.is_true(repinned.page >= 1 and repinned.page <= 2, repinned.page)

    story.daemon.kill()
    story.daemon.start()
    story.daemon.apply(story, { provider = ", rate = 2000" })
    story.netmera.reaches("recipients=300")
    local counts = {}
    for _, row in ipairs(story.netmera.rows("deliveries?limit=1000")) do
      counts[row.key] = (counts[row.key] or 0) + 1
    end
    assert.equal(300 - repinned.page * 100, counts["107"])
    assert.equal(1, story.daemon.cli("run", "repin", run_is(story, id, "done").id).code)
  end)
end)

describe("a run", function()
  local story
  after_each(function() story.close(true) end)

  it("keeps the rules that it began with, over a restart, until its end", function()
    story = daemon.story({ provider = ", rate = 2" })
    small_pages(story, 100)
    local id = campaign(story, { campaign = 6, count = 200 })
    story.netmera.reaches("deliveries=1")
    edit_rules(story, '%[1201%] = "welcome"', '[1201] = "cart_reminder"')
    story.daemon.kill()
    story.daemon.start()
    story.daemon.apply(story, { provider = ", rate = 2000" })
    run_is(story, id, "done")
    assert.is_nil(story.netmera.ledger().byKey["107"])
    story.optimove.post("trigger", { campaign = "g", channel = 459, template = 1201, customer = "NEW" })
    story.netmera.reaches("deliveries=1&key=107")
  end)
end)

describe("rows that the rules held", function()
  local story
  after_each(function() story.close(true) end)

  it("are played again by run release once the reason is mended, and not twice", function()
    story = daemon.story()
    small_pages(story, 700)
    local id = campaign(story, { campaign = 4, count = 2000, templates = { 1201, 4711 } })
    local run = run_is(story, id, "done")
    assert.equal(1000, run.held)
    assert.equal(1000, run.sent)
    assert.equal(1000, story.daemon.ask("run", "release", id).rows)
    assert.equal(1000, run_is(story, id, "done").held, "nothing was mended yet")

    edit_rules(story, '%[1201%] = "welcome",', '%0 [4711] = "welcome",')
    assert.equal(1000, story.daemon.ask("run", "release", id).rows)
    story.netmera.reaches("deliveries=2000")
    run = run_is(story, id, "done")
    assert.equal(0, run.held)
    assert.equal(0, #run.holds)
    assert.equal(2000, run.made)
    assert.equal(2000, run.sent)
    assert.equal(0, story.netmera.ledger().repeated)
    local refused = story.daemon.cli("run", "release", id)
    assert.equal(1, refused.code)
    assert.matches("nothing to release", refused.err)
  end)

  it("are played once each over a kill -9 in the middle", function()
    story = daemon.story({ provider = ", rate = 400" })
    local id = campaign(story, { campaign = 5, count = 900, templates = { 4711 } })
    assert.equal(900, run_is(story, id, "done").held)
    edit_rules(story, '%[1201%] = "welcome",', '%0 [4711] = "welcome",')
    story.daemon.ask("run", "release", id)
    story.netmera.reaches("deliveries=40")
    story.daemon.kill()
    story.daemon.start()
    story.netmera.reaches("recipients=900")
    local run = run_is(story, id, "done")
    assert.equal(900, run.made)
    assert.equal(0, run.held)
    assert.equal(900, run.sent)
  end)
end)
