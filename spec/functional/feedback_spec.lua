-- What Optimove is asked and told of campaigns that it executed.

local json = require("spec.support.json")
local daemon = require("spec.support.daemon")
local loop = require("spec.support.loop")

describe("catch-up", function()
  local story
  after_each(function() story.close(true) end)

  local function status()
    return json.decode(story.daemon.cli("--json", "connector", "status", "acme").out).catch_up
  end

  local function begin(mode)
    story = daemon.story({ optimove = (' checkEvery = 1, catchUp = %q, catchUpAfter = 1,'):format(mode) })
    story.optimove.post("campaigns", { campaign = 70, channel = 459, templates = { 1201 }, count = 5 })
    loop.await("the first look, which learns what was there", function()
      return status().last_look_at
    end)
  end

  local function held()
    for _, item in ipairs(story.daemon.ask("queue", "list").items) do
      if item.reason:find("catch-up", 1, true) then return item end
    end
  end

  it("holds a campaign whose notice never came, until a person releases it", function()
    begin("report")
    story.optimove.post("execute", { campaign = 70, channel = 459, silent = true })
    local item
    loop.await("it to be held", function()
      item = held()
      return item
    end)
    assert.equal("found by catch-up: the campaign was executed, its notice never came", item.reason)
    assert.equal(0, story.netmera.ledger().deliveries)
    assert.equal(1, status().missed)
    assert.equal(0, story.daemon.cli("queue", "retry", item.id).code)
    story.netmera.reaches("deliveries=5")
    assert.equal(1, #story.daemon.ask("run", "list").items)
  end)

  it("runs it where the tenant says so, once", function()
    begin("run")
    story.optimove.post("execute", { campaign = 70, channel = 459, silent = true })
    story.netmera.reaches("deliveries=5")
    local looks = story.optimove.ledger().calls.GetExecutedCampaignsByChannel["200"]
    loop.await("more looks", function()
      return story.optimove.ledger().calls.GetExecutedCampaignsByChannel["200"] >= looks + 8
    end)
    assert.equal(5, story.netmera.ledger().deliveries)
    assert.equal(1, #story.daemon.ask("run", "list").items)
  end)

  it("leaves alone what was noticed, and what was executed before us", function()
    story = daemon.story({ apply = false })
    story.optimove.post("campaigns", { campaign = 71, channel = 459, templates = { 1201 }, count = 3 })
    story.optimove.post("campaigns", { campaign = 72, channel = 459, templates = { 1201 }, count = 3 })
    story.optimove.post("execute", { campaign = 71, channel = 459, silent = true })
    story.daemon.apply(story, { optimove = ' checkEvery = 1, catchUp = "run", catchUpAfter = 1,' })
    loop.await("the first look", function()
      return status().last_look_at
    end)
    story.optimove.post("execute", { campaign = 72, channel = 459 })
    story.netmera.reaches("deliveries=3")
    local looks = story.optimove.ledger().calls.GetExecutedCampaignsByChannel["200"]
    loop.await("more looks", function()
      return story.optimove.ledger().calls.GetExecutedCampaignsByChannel["200"] >= looks + 8
    end)
    assert.equal(0, status().missed)
    assert.equal(3, story.netmera.ledger().deliveries)
  end)

  it("finds what was executed while the daemon was down", function()
    begin("run")
    story.daemon.stop()
    story.optimove.post("execute", { campaign = 70, channel = 459 })
    story.daemon.start()
    story.netmera.reaches("deliveries=5")
  end)

  it("says where the key may not ask, and asks nothing when it is off", function()
    story = daemon.story({ optimove = " checkEvery = 1, catchUpAfter = 1,", apply = false })
    story.optimove.faults({ { match = { path = "GetExecutedCampaigns" },
                              ["do"] = { status = 403, body = "Forbidden" } } })
    story.daemon.apply(story, { optimove = " checkEvery = 1, catchUpAfter = 1," })
    loop.await("the problem to be told", function() return status().problem end)
    assert.matches("GetExecutedCampaignsByChannel: 403", status().problem)
    story.daemon.apply(story, { optimove = ' checkEvery = 1, catchUpAfter = 1, catchUp = "off",' })
    loop.await("catch-up to be off", function()
      return status().mode == "off"
    end)
  end)
end)
