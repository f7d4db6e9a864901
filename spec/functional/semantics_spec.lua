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
