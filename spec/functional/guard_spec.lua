-- The blast-radius guard: what is larger than its tenant allows waits for a person, before anything of it is sent.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local loop = require("spec.support.loop")

describe("the guard", function()
  local story
  after_each(function() story.close(true) end)

  local function guarded(guard)
    story = daemon.story()
    local text = story.daemon.read("tenants/acme.lua"):gsub("  hooks = ", "  guard = " .. guard .. ",\n  hooks = ", 1)
    story.daemon.write("tenants/acme.lua", text)
    local applied = story.daemon.cli("tenant", "apply", "tenants/acme.lua")
    assert(applied.code == 0, applied.out .. applied.err)
  end

  local function execute(campaign, count)
    story.optimove.post("campaigns", { campaign = campaign, channel = 459, templates = { 1201 }, count = count })
    story.optimove.post("execute", { campaign = campaign, channel = 459 })
    return loop.await("the run of " .. campaign, function()
      local run = story.daemon.ask("run", "list").items[1]
      return run and run.campaign == tostring(campaign) and run.id
    end)
  end

  local function run_is(id, state)
    return loop.await("a run that is " .. state, function()
      local run = story.daemon.ask("run", "show", id)
      return run.state == state and run
    end)
  end

  it("holds a run above its ceiling with its count and a sample, over a restart, until it is released", function()
    guarded("{ run = 100 }")
    run_is(execute(1, 100), "done")
    local id = execute(2, 150)
    local run = run_is(id, "held")
    assert.equal("150 recipients are above the ceiling of 100 a run", run.reason)
    assert.equal(150, run.rows_fetched)
    assert.equal(0, run.made)
    assert.equal(5, #run.sample)
    assert.equal(1201, run.sample[1].template)
    assert.equal("welcome", run.sample[1].message)
    assert.matches("SAMPLE", story.daemon.cli("run", "show", id).out)
    local listed = story.daemon.ask("queue", "list").items[1]
    assert.equal("run", listed.kind)
    assert.equal(run.reason, listed.reason)
    assert.matches("netmove_runs_guarded_total 1", http.request({ url = story.daemon.admin_url .. "/metrics" }).body)
    assert.matches("run release", story.daemon.cli("queue", "retry", id).err)

    story.daemon.stop()
    story.daemon.start()
    assert.equal("held", story.daemon.ask("run", "show", id).state)
    assert.equal(100, story.netmera.ledger().deliveries)
    story.daemon.ask("run", "release", id)
    story.netmera.reaches("deliveries=250")
    run_is(id, "done")
  end)

  it("holds a run that differs wildly from the last of its template", function()
    guarded("{ differs = 3 }")
    run_is(execute(1, 20), "done")
    run_is(execute(2, 50), "done")
    local more = run_is(execute(3, 151), "held")
    assert.equal("151 recipients, and the last run of template 1201 had 50: more than 3 times as many", more.reason)
    local fewer = run_is(execute(4, 16), "held")
    assert.matches("had 50: more than 3 times as few", fewer.reason)
    story.daemon.ask("run", "release", more.id)
    run_is(more.id, "done")
    run_is(execute(5, 400), "done")
  end)

  it("holds what would pass the ceiling of an hour, single messages too, also after a kill -9", function()
    guarded("{ hour = 30 }")
    run_is(execute(1, 20), "done")
    story.daemon.kill()
    story.daemon.start()
    local run = run_is(execute(2, 12), "held")
    assert.equal("12 recipients, with 20 messages made within the hour, are above the ceiling of 30 an hour",
                 run.reason)
    run_is(execute(3, 9), "done")
    for i = 1, 3 do
      story.optimove.post("trigger", { campaign = "s", channel = 459, template = 1201, customer = "S" .. i })
      if i == 1 then story.netmera.reaches("deliveries=30") end
    end
    local held = loop.await("two held events", function()
      local items = {}
      for _, item in ipairs(story.daemon.ask("queue", "list").items) do
        if item.kind == "event" then items[#items + 1] = item end
      end
      return #items == 2 and items
    end)
    assert.equal("tenant acme made 30 messages within an hour, its ceiling", held[1].reason)
    assert.equal(30, story.netmera.ledger().deliveries)
  end)

  it("refuses ceilings that are none", function()
    story = daemon.story()
    local wrong = "  guard = { rum = 5, differs = 1 },\n  hooks = "
    local text = story.daemon.read("tenants/acme.lua"):gsub("  hooks = ", wrong, 1)
    story.daemon.write("tenants/acme.lua", text)
    local refused = story.daemon.cli("check", "tenants/acme.lua")
    assert.equal(1, refused.code)
    assert.matches('guard.*rum.*did you mean "run"', refused.out .. refused.err)
    assert.matches("guard.differs", refused.out .. refused.err)
  end)
end)
