-- Lines of semantics.md that no other spec tells, on the real daemon.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local loop = require("spec.support.loop")

--- Acme's rules with an edit of its text.
local function rules_with(from, to)
  local file = assert(io.open((os.getenv("NETMOVE_SOURCE") or ".") .. "/rules/acme.lua"))
  local text = file:read("a")
  file:close()
  local at, to_at = text:find(from, 1, true)
  assert(at, from)
  return text:sub(1, at - 1) .. to .. text:sub(to_at + 1)
end

describe("time", function()
  local story
  after_each(function() story.close() end)

  --- "HH:MM" in UTC, so many minutes from now.
  local function clock(minutes) return os.date("!%H:%M", os.time() + minutes * 60) end

  local function quiet_rules(from, to)
    local text = rules_with('time_zone = "Europe/Istanbul"', 'time_zone = "UTC"')
    text = text:gsub("%[11%] = send_template,",
                     ('[11] = { quiet_between(%q, %q), send_template },'):format(from, to))
    text = text:gsub("%[13%] = for_each_recipient%(send_template%),",
                     ('[13] = { quiet_between(%q, %q), for_each_recipient(send_template) },'):format(from, to))
    return (text:gsub("examples = {.*$", "}\n"))
  end

  it("an event in its quiet hours is planned when they end", function()
    story = daemon.story({ rules = quiet_rules(clock(-10), clock(60)) })
    local id = story.daemon.event({ EventTypeID = 11, CampaignID = 1, ChannelID = 459, TemplateID = 1201,
                                    CustomerID = "C1" }).json().id
    local shown = loop.await("the delay", function()
      local answer = story.daemon.ask("explain", id)
      return answer.event.state == "delayed" and answer.event
    end)
    local ahead_s = shown.due_at_ms // 1000 - os.time()
    assert.is_true(ahead_s > 55 * 60 and ahead_s <= 61 * 60, ahead_s .. " s ahead")
    assert.equal(0, story.netmera.ledger().requests)
  end)

  it("a delayed event is still delayed after a kill -9, until the same hour", function()
    story = daemon.story({ rules = quiet_rules(clock(-10), clock(60)) })
    local id = story.daemon.event({ EventTypeID = 11, CampaignID = 1, ChannelID = 459, TemplateID = 1201,
                                    CustomerID = "C1" }).json().id
    local function delayed()
      return loop.await("the delay", function()
        local answer = story.daemon.ask("explain", id)
        return answer.event.state == "delayed" and answer.event
      end)
    end
    local before = delayed()
    story.daemon.kill()
    story.daemon.start()
    assert.equal(before.due_at_ms, delayed().due_at_ms)
    assert.equal(0, story.netmera.ledger().requests)
  end)

  it("quiet hours are looked at again before a send, and hold over a kill -9", function()
    -- Two hours east it is later: quiet hours that are far away here are now there.
    local rules = quiet_rules(clock(110), clock(170))
    story = daemon.story({ rules = rules, provider = ", rate = 1" })
    for i = 1, 4 do
      story.daemon.event({ EventTypeID = 11, CampaignID = 1, ChannelID = 459, TemplateID = 1201,
                           CustomerID = "Q" .. i })
    end
    story.netmera.reaches("deliveries=1")
    story.daemon.write("rules/acme.lua", (rules:gsub('time_zone = "UTC"', 'time_zone = "Etc/GMT-2"')))
    story.daemon.ask("reload")
    local id = story.daemon.event({ EventTypeID = 11, CampaignID = 2, ChannelID = 459, TemplateID = 1201,
                                    CustomerID = "Q5" }).json().id
    loop.await("the delay of a new one", function()
      return story.daemon.ask("explain", id).event.state == "delayed"
    end)
    local before = loop.await("nothing in flight", function()
      local lanes = story.daemon.ask("status").engine.lanes
      return lanes[1].in_flight == 0 and lanes[1].ready == 0 and story.netmera.ledger().deliveries
    end)
    assert.is_true(before < 4, before .. " went out")
    story.daemon.kill()
    story.daemon.start()
    story.netmera.reaches("requests=1&quietMs=1500")
    assert.equal(before, story.netmera.ledger().deliveries)
    assert.equal(4 - before, story.daemon.ask("status").waiting_messages)
  end)

  --- Acme's rules whose welcome expires a minute after it may be sent.
  local function expiring()
    return (rules_with('params = { name = "{first_name|friend}" },\n  },',
                       'params = { name = "{first_name|friend}" }, expires_in = minutes(1),\n  },')
      :gsub("examples = {.*$", "}\n"))
  end

  --- What sqlite3 says of the store's file.
  local function sql(text)
    local handle = assert(io.popen(("sqlite3 '%s/netmove.db' \"%s\""):format(story.daemon.path, text)))
    local answer = handle:read("a")
    handle:close()
    return answer
  end

  it("what expires while it waits is not sent, over a kill -9 too", function()
    story = daemon.story({ rules = expiring() })
    story.netmera.faults({ { match = { path = "sendNotification", times = 1 },
      ["do"] = { status = 500, body = { code = 2001, error = "Internal" }, headers = { ["Retry-After"] = "600" } } } })
    local id = story.daemon.event({ EventTypeID = 11, CampaignID = 1, ChannelID = 459, TemplateID = 1201,
                                    CustomerID = "X1" }).json().id
    local message = loop.await("the first try", function()
      local shown = story.daemon.ask("explain", id)
      return shown.messages and shown.messages[1] and shown.messages[1].attempts == 1 and shown.messages[1]
    end)
    assert.equal(message.expires_at_ms, message.due_at_ms, "it is looked at when it expires, not in ten minutes")
    story.daemon.kill()
    sql("UPDATE messages SET expires_at = expires_at - 61000, due_at = due_at - 61000") -- as if a minute went by
    story.daemon.start()
    local ended = loop.await("its end", function()
      local shown = story.daemon.ask("explain", message.id).message
      return shown.state ~= "waiting" and shown
    end)
    assert.equal("expired", ended.state)
    assert.equal(0, story.netmera.ledger().deliveries)
  end)

  it("expires_in counts from the first moment sending is allowed", function()
    story = daemon.story({ rules = expiring() })
    story.optimove.post("campaigns", { campaign = 3, channel = 459, templates = { 1201 }, count = 20,
                                       scheduleTime = { inSeconds = 0, everyRows = 10, stepSeconds = 600 } })
    story.optimove.post("execute", { campaign = 3, channel = 459 })
    story.netmera.reaches("deliveries=10")
    loop.await("those that wait", function() return story.daemon.ask("run", "list").items[1].made == 20 end)
    assert.equal("10|60000|60000\n", sql("SELECT count(*), min(expires_at - due_at), max(expires_at - due_at)" ..
                                         " FROM messages WHERE due_at > created_at + 60000"))
  end)

  it("outside its quiet hours it goes at once", function()
    story = daemon.story({ rules = quiet_rules(clock(60), clock(120)) })
    story.daemon.event({ EventTypeID = 11, CampaignID = 1, ChannelID = 459, TemplateID = 1201, CustomerID = "C1" })
    story.netmera.reaches("deliveries=1")
  end)
end)

describe("the connector", function()
  local story
  after_each(function() story.close(true) end)

  it('lets a campaign repeat within 12 hours where the tenant says repeat = "allow"', function()
    story = daemon.story({ optimove = ' ["repeat"] = "allow",' })
    story.optimove.post("campaigns", { campaign = 1, channel = 459, templates = { 1201 }, count = 5 })
    story.optimove.post("execute", { campaign = 1, channel = 459, timeStamp = "2030-01-01 10:00:00" })
    story.netmera.reaches("deliveries=5")
    story.optimove.post("execute", { campaign = 1, channel = 459, timeStamp = "2030-01-01 11:00:00" })
    story.netmera.reaches("deliveries=10")
  end)

  it("reads TimeStamps in its own time zone, by the body rather than by the URL", function()
    story = daemon.story()
    local url = story.daemon.url .. "/optimove/event/acme-app-key?t=13"
    local answer = http.request({ url = url, headers = { ["X-netmera-api-key"] = "rest-key" },
                                  body = { EventTypeID = 4, CampaignID = "x" } })
    assert.equal(200, answer.status)
    assert.equal(4, loop.await("the event", function()
      return story.daemon.ask("explain", answer.json().id).event
    end).type)
  end)

  it("obeys 4 while INACTIVE, holds 13, and never lets it go by itself", function()
    story = daemon.story({ status = "INACTIVE" })
    story.daemon.event({ EventTypeID = 13, CampaignID = 5, ChannelID = 459 })
    local held = loop.await("the held 13", function() return story.daemon.ask("queue", "list").items[1] end)
    assert.matches("INACTIVE", held.reason)
    local id = story.daemon.event({ EventTypeID = 4, CampaignID = 5 }).json().id
    loop.await("the obeyed 4", function()
      return story.daemon.ask("explain", id).event.state == "planned"
    end)
    assert.equal(0, story.daemon.apply(story, { status = "ACTIVE" }).code)
    assert.equal("held", story.daemon.ask("explain", held.id).event.state)
  end)
end)

describe("INACTIVE", function()
  local story
  after_each(function() story.close(true) end)

  it("holds 11 and 13, obeys 4, pauses runs at their next page, and a person alone lets them go", function()
    story = daemon.story({ provider = ", rate = 2" })
    story.optimove.faults({ { match = { path = "ExecutionDetails" }, ["do"] = { shortPages = 100 } } })
    for _, campaign in ipairs({ 1, 2 }) do
      story.optimove.post("campaigns", { campaign = campaign, channel = 459, templates = { 1201 }, count = 250 })
    end
    story.optimove.post("execute", { campaign = 1, channel = 459 })
    local run = loop.await("a run whose first page is expanded", function()
      local run = story.daemon.ask("run", "list").items[1]
      return run and run.is_fetched and run.made >= 100 and run
    end)
    assert.equal(0, story.daemon.apply(story, { status = "INACTIVE", provider = ", rate = 2000" }).code)
    local paused = loop.await("the pause", function()
      local shown = story.daemon.ask("run", "show", run.id)
      return shown.state == "paused" and shown
    end)
    assert.matches("INACTIVE", paused.reason)
    assert.is_false(paused.is_parked)
    assert.equal(0, paused.made % 100, "at a page")
    story.netmera.reaches("deliveries=" .. paused.made) -- what was made goes out

    local calls = #story.optimove.rows("requests?limit=1000")
    local one = story.daemon.event({ EventTypeID = 11, CampaignID = "i", ChannelID = 459, TemplateID = 1201,
                                     CustomerID = "I1" }).json().id
    local many = story.daemon.event({ EventTypeID = 13, CampaignID = 2, ChannelID = 459 }).json().id
    for _, id in ipairs({ one, many }) do
      local event = loop.await("a held event", function()
        local event = story.daemon.ask("explain", id).event
        return event.state == "held" and event
      end)
      assert.equal("the connector is INACTIVE", event.reason)
    end
    local cancel = story.daemon.event({ EventTypeID = 4, CampaignID = 4711 }).json().id
    loop.await("the obeyed 4", function() return story.daemon.ask("explain", cancel).event.state == "planned" end)

    assert.equal(0, story.daemon.apply(story, { status = "ACTIVE", provider = ", rate = 2000" }).code)
    story.daemon.stop()
    story.daemon.start()
    assert.equal("paused", story.daemon.ask("run", "show", run.id).state)
    assert.equal("held", story.daemon.ask("explain", one).event.state)
    assert.equal(paused.made, story.netmera.ledger().deliveries)

    story.daemon.ask("run", "release", run.id)
    story.netmera.reaches("deliveries=250")
    story.daemon.ask("queue", "retry", one, many)
    story.netmera.reaches("deliveries=501")
    assert.is_true(calls > 0)
  end)

  it("calls nothing at Optimove meanwhile", function()
    story = daemon.story()
    story.daemon.apply(story, { status = "INACTIVE" })
    local calls = #story.optimove.rows("requests?limit=1000")
    story.optimove.post("campaigns", { campaign = 1, channel = 459, templates = { 1201 }, count = 10 })
    local many = story.daemon.event({ EventTypeID = 13, CampaignID = 1, ChannelID = 459 }).json().id
    http.request({ url = story.daemon.url .. "/hooks/acme-app-key/events",
                   headers = { ["X-netmera-api-key"] = "rest-key" },
                   body = { type = "EVENT", name = "PURCHASE", extId = "C1", attributes = { total = 1 } } })
    loop.await("all that came to be looked at", function()
      return story.daemon.ask("explain", many).event.state == "held" and
             story.daemon.ask("status").waiting_events == 0
    end)
    assert.equal(calls, #story.optimove.rows("requests?limit=1000"))
  end)
end)

describe("an update's callback", function()
  local story
  after_each(function() story.close(true) end)

  it("of a batch that nobody knows is answered 200 and changes nothing", function()
    story = daemon.story()
    local answer = http.request({
      url = story.daemon.url .. "/optimove/callback/acme-app-key?b=4711",
      headers = { ["X-netmera-api-key"] = "rest-key" }, body = { isSuccess = true, requestId = "x" },
    })
    assert.equal(200, answer.status)
    loop.await("an empty queue", function() return story.daemon.ask("status").waiting_events == 0 end)
  end)

  it("that comes twice settles once", function()
    story = daemon.story()
    story.optimove.post("settings", { updates = { callback = "twice" } })
    http.request({ url = story.daemon.url .. "/hooks/acme-app-key/events",
                   headers = { ["X-netmera-api-key"] = "rest-key" },
                   body = { type = "EVENT", name = "PURCHASE", extId = "C1", attributes = { total = 1 } } })
    story.optimove.reaches("callbacks=2")
    loop.await("the settled batch", function()
      local status = story.daemon.ask("status")
      return status.unsettled_batches == 0 and status.waiting_events == 0
    end)
    assert.equal(0, story.daemon.ask("status").dead_updates)
  end)
end)
