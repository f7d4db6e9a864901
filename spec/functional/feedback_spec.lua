-- What Optimove is asked and told of campaigns that it executed.

local json = require("spec.support.json")
local http = require("spec.support.http")
local daemon = require("spec.support.daemon")
local loop = require("spec.support.loop")
local world = require("spec.support.world")

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

  it("learns anew what was there before us at another account", function()
    local second = world.optimove({ "--key", "second-key" })
    finally(second.close)
    begin("run")
    for campaign = 74, 75 do
      second.post("campaigns", { campaign = campaign, channel = 459, templates = { 1201 }, count = 2 })
    end
    second.post("execute", { campaign = 74, channel = 459, silent = true })
    local text = story.daemon.read("tenants/acme.lua"):gsub("optimove%-key", "second-key")
      :gsub(story.optimove.url:gsub("%p", "%%%0"), second.url)
    story.daemon.write("tenants/acme.lua", text)
    assert.equal(0, story.daemon.cli("tenant", "apply", "tenants/acme.lua").code)
    loop.await("looks at the second account", function()
      local calls = second.ledger().calls.GetExecutedCampaignsByChannel
      return calls and calls["200"] >= 12
    end)
    assert.equal(0, status().missed)
    second.post("execute", { campaign = 75, channel = 459, silent = true })
    story.netmera.reaches("deliveries=2")
    assert.equal(2, story.netmera.ledger().deliveries)
    assert.equal(1, #story.daemon.ask("run", "list").items)
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

describe("figures of a run", function()
  local story
  after_each(function() story.close(true) end)

  -- Keys: 1201 is definition 106, 1202 another.
  local function run(count)
    story.optimove.post("campaigns", { campaign = 80, channel = 459, templates = { 1201 }, count = count })
    story.optimove.post("execute", { campaign = 80, channel = 459 })
    story.netmera.reaches("deliveries=" .. count)
  end

  local function figures()
    local found = {}
    local id = story.daemon.ask("run", "list").items[1].id
    for _, figure in ipairs(story.daemon.ask("run", "show", id).figures or {}) do
      found[figure.metric] = figure.state .. " " .. figure.value
    end
    return found
  end

  local function await_figures(wanted)
    local found
    local ok = pcall(loop.await, "the figures", function()
      found = figures()
      for metric, value in pairs(wanted) do
        if found[metric] ~= value then return false end
      end
      return true
    end)
    if not ok then assert.same(wanted, found) end
  end

  local function at_optimove()
    local found = {}
    for _, row in ipairs(story.optimove.ledger().metrics) do
      assert.equal(80, row.CampaignID)
      assert.equal(459, row.ChannelID)
      found[row.MetricID] = { row.TemplateID, row.sum, row.calls }
    end
    return found
  end

  it("are told once it has rested, with what the provider's reports say", function()
    story = daemon.story({ optimove = " metricsAfter = 1," })
    run(30)
    await_figures({ sent = "told 30", delivered = "told 30" })
    assert.same({ [0] = { 1201, 30, 1 }, [1] = { 1201, 30, 1 } }, at_optimove())
    local id = story.daemon.ask("run", "list").items[1].id
    assert.same({ promised = 30, accepted = 30, sent = 30, failed = 0, reported = 30 },
                story.daemon.ask("run", "show", id).counts.told)
    assert.matches("1201 +delivered +30 +told", story.daemon.cli("run", "show", id).out)
  end)

  it("are not told again when the answer was lost", function()
    story = daemon.story({ optimove = " metricsAfter = 1," })
    story.optimove.faults({ { match = { path = "UpdateCampaignMetrics", times = 1 },
                              ["do"] = { close = "after" } } })
    run(5)
    await_figures({ sent = "unknown 5", delivered = "unknown 5" })
    assert.same({ [0] = { 1201, 5, 1 }, [1] = { 1201, 5, 1 } }, at_optimove())
    story.daemon.stop()
    story.daemon.start()
    assert.same({ sent = "unknown 5", delivered = "unknown 5" }, figures())
  end)

  it("are told later where nothing was counted", function()
    story = daemon.story({ optimove = " metricsAfter = 1," })
    story.optimove.faults({ { match = { path = "UpdateCampaignMetrics", times = 2 },
                              ["do"] = { status = 429, headers = { ["Retry-After"] = "1" } } } })
    run(5)
    await_figures({ sent = "told 5", delivered = "told 5" })
    assert.same({ [0] = { 1201, 5, 1 }, [1] = { 1201, 5, 1 } }, at_optimove())
  end)

  it("are told neither twice nor never over a kill -9 in the middle of the call", function()
    story = daemon.story({ optimove = " metricsAfter = 1," })
    story.optimove.faults({ { match = { path = "UpdateCampaignMetrics" }, ["do"] = { hang = true } } })
    run(5)
    await_figures({ sent = "calling 5" })
    loop.await("the call", function() return #story.optimove.ledger().metrics > 0 end)
    story.daemon.kill()
    story.optimove.faults({})
    story.daemon.start()
    await_figures({ sent = "unknown 5", delivered = "unknown 5" })
    assert.same({ [0] = { 1201, 5, 1 }, [1] = { 1201, 5, 1 } }, at_optimove())
  end)

  it("are told to no other account than that of the run", function()
    local second = world.optimove({ "--key", "second-key" })
    finally(second.close)
    story = daemon.story({ optimove = " metricsAfter = 1," })
    story.optimove.faults({ { match = { path = "UpdateCampaignMetrics" }, ["do"] = { status = 403 } } })
    run(5)
    await_figures({ sent = "waiting 5", delivered = "waiting 5" })
    local text = story.daemon.read("tenants/acme.lua"):gsub("optimove%-key", "second-key")
      :gsub(story.optimove.url:gsub("%p", "%%%0"), second.url)
    story.daemon.write("tenants/acme.lua", text)
    assert.equal(0, story.daemon.cli("tenant", "apply", "tenants/acme.lua").code)
    for metric, figure in pairs(figures()) do -- one may have been on its way
      assert.is_true(figure == "refused 5" or figure == "unknown 5", metric .. ": " .. figure)
    end
    second.post("campaigns", { campaign = 81, channel = 459, templates = { 1201 }, count = 3 })
    second.post("execute", { campaign = 81, channel = 459 })
    await_figures({ sent = "told 3" })
    for _, row in ipairs(second.ledger().metrics) do assert.equal(81, row.CampaignID) end
  end)

  it("leave out what the reports cannot tell apart, and nothing is told where it is off", function()
    story = daemon.story({ optimove = " metricsAfter = 1," })
    story.optimove.post("trigger", { campaign = "x", channel = 459, template = 1201, customer = "C9" })
    story.netmera.reaches("deliveries=1")
    story.optimove.post("campaigns", { campaign = 80, channel = 459, templates = { 1201 }, count = 4 })
    story.optimove.post("execute", { campaign = 80, channel = 459 })
    story.netmera.reaches("deliveries=5")
    await_figures({ sent = "told 4" })
    assert.same({ [0] = { 1201, 4, 1 } }, at_optimove())
    local id = story.daemon.ask("run", "list").items[1].id
    assert.equal("the definition was used by others meanwhile",
                 story.daemon.ask("run", "show", id).counts.told.reported_why_not)
    assert.equal(0, story.daemon.apply(story, { optimove = ' metrics = "off",' }).code)
  end)
end)

describe("unsubscribes", function()
  local story
  after_each(function() story.close(true) end)

  local function put(id, permissions, query)
    local url = story.daemon.url .. "/profiles/acme-app-key/" .. id .. (query or "")
    local answer = http.request({ method = "PUT", url = url,
                                  body = json.encode({ permissions = permissions }),
                                  headers = { ["X-netmera-api-key"] = "rest-key",
                                              ["Content-Type"] = "application/json" } })
    assert.is_true(answer.status == 200 or answer.status == 201, answer.body)
  end

  local function told()
    local found = {}
    for _, row in ipairs(story.optimove.rows("preferences")) do
      found[#found + 1] = row.channel .. " " .. row.customer .. " " .. row.mode
    end
    table.sort(found)
    return found
  end

  local function await_told(wanted)
    local ok = pcall(loop.await, "Optimove to know", function()
      local found = told()
      return #found == #wanted and table.concat(found, ",") == table.concat(wanted, ",")
    end)
    if not ok then assert.same(wanted, told()) end
  end

  it("are told to Optimove for the channels of that kind, until it took them", function()
    story = daemon.story({ optimove = " unsubscribeMode = 2," })
    story.optimove.faults({ { match = { path = "SetCustomerChannelPreference", times = 2 },
                              ["do"] = { status = 500 } } })
    put("C1", { push = false, sms = true })
    put("C2", { push = true })
    put("C3", { sms = false })
    put("C4", { push = false }, "?hooks=off") -- an import
    await_told({ "459 C1 2", "481 C3 2" })
    local calls = story.optimove.ledger().calls.SetCustomerChannelPreference["200"]
    put("C1", { push = false, sms = false })
    await_told({ "459 C1 2", "481 C1 2", "481 C3 2" })
    assert.equal(calls + 1, story.optimove.ledger().calls.SetCustomerChannelPreference["200"])
  end)

  it("wait through a kill -9, and are kept to ourselves unless the mode is set", function()
    story = daemon.story({ optimove = " unsubscribeMode = 2," })
    story.optimove.faults({ { match = { path = "SetCustomerChannelPreference" }, ["do"] = { status = 500 } } })
    put("C1", { push = false })
    story.daemon.kill()
    story.optimove.faults({})
    story.daemon.start()
    await_told({ "459 C1 2" })
    assert.equal(0, story.daemon.apply(story).code)
    put("C2", { push = false })
    put("C3", { push = false })
    assert.same({ "459 C1 2" }, told())
  end)
end)
