-- explain of a message: every wait with its cause, every attempt; and one id that leads through the log.

local daemon = require("spec.support.daemon")
local json = require("spec.support.json")
local loop = require("spec.support.loop")

describe("explain of a message", function()
  local story
  after_each(function() story.close(true) end)

  --- The message of a customer, once there is one.
  local function message_of(customer)
    return loop.await("the message of " .. customer, function()
      local rows = story.netmera.rows("requests?path=sendNotification&contains=" .. customer)
      local event = #rows > 0 and story.event_of[customer]
      local shown = event and story.daemon.ask("explain", event)
      return shown and shown.messages and shown.messages[1] and shown.messages[1].id
    end)
  end

  --- Posts an 11 of our own, so that its id is known.
  local function send(customer)
    story.event_of = story.event_of or {}
    story.event_of[customer] = story.daemon.event({ EventTypeID = 11, CampaignID = "w", ChannelID = 459,
      TemplateID = 1201, CustomerID = customer }).json().id
  end

  local function waits(id, cause)
    return loop.await("a wait: " .. cause, function()
      for _, wait in ipairs(story.daemon.ask("explain", id).waits) do
        if wait.cause == cause then return wait end
      end
    end)
  end

  local function fault(what, match)
    match = match or {}
    match.path = "sendNotification"
    story.netmera.faults({ { match = match, ["do"] = what } })
  end

  it("tells of the retry schedule, and afterwards of each wait and attempt", function()
    story = daemon.story({ provider = ', retry = { first_s = 2, most_s = 2 }' })
    fault({ status = 500, body = { code = 2001, error = "Internal" } }, { times = 1 })
    send("C1")
    local id = message_of("C1")
    local wait = waits(id, "retry schedule")
    assert.matches("500", wait.text)
    assert.is_true(wait.until_ms > wait.from_ms)
    story.netmera.reaches("deliveries=1")
    local shown = loop.await("its end", function()
      local answer = story.daemon.ask("explain", id)
      return answer.message.state == "sent" and answer
    end)
    assert.equal(2, #shown.message.attempts_made)
    assert.equal("retry", shown.message.attempts_made[1].outcome)
    assert.equal("retry schedule", shown.waits[1].cause)
    assert.equal(1, #shown.waits)
    assert.matches("WAIT +WHY", story.daemon.cli("explain", id).out)
  end)

  it("tells of a throttled lane, a refused key and a host that cannot be reached", function()
    story = daemon.story()
    fault({ status = 429, headers = { ["Retry-After"] = "600" }, body = { code = 1 } })
    send("C2")
    assert.matches("429", waits(message_of("C2"), "throttled").text)
    send("C3")
    fault({ status = 401, body = { code = 1 } })
    story.daemon.apply(story, { provider = ", rate = 50" })
    local id = loop.await("C3's message", function()
      local shown = story.daemon.ask("explain", story.event_of.C3)
      return shown.messages and shown.messages[1] and shown.messages[1].id
    end)
    waits(id, "key refused")
    story.netmera.close()
    story.daemon.apply(story, { provider = ", rate = 60" })
    send("C4")
    local other = loop.await("C4's message", function()
      local shown = story.daemon.ask("explain", story.event_of.C4)
      return shown.messages and shown.messages[1] and shown.messages[1].id
    end)
    loop.await("a breaker that is open", function()
      send("C5")
      for _, wait in ipairs(story.daemon.ask("explain", other).waits) do
        if wait.cause == "breaker open" or wait.cause == "retry schedule" then return wait end
      end
    end)
    story.netmera.open()
  end)

  it("tells of order, of the rate, and of a paused run", function()
    story = daemon.story({ provider = ', order = "recipient", rate = 1' })
    fault({ status = 500, body = { code = 2001, error = "Internal" }, headers = { ["Retry-After"] = "300" } },
          { extId = "C6" })
    send("C6")
    message_of("C6")
    story.event_of.second = story.daemon.event({ EventTypeID = 11, CampaignID = "w", ChannelID = 459,
      TemplateID = 1202, CustomerID = "C6" }).json().id
    local second = loop.await("the second message", function()
      local shown = story.daemon.ask("explain", story.event_of.second)
      return shown.messages and shown.messages[1] and shown.messages[1].id
    end)
    waits(second, "order")

    story.optimove.post("campaigns", { campaign = 9, channel = 459, templates = { 1201 }, count = 50 })
    story.optimove.post("execute", { campaign = 9, channel = 459 })
    local run = loop.await("a run with messages", function()
      local run = story.daemon.ask("run", "list").items[1]
      return run and run.made > 20 and run.id -- of 50: a rate of 1 expands some 30 ahead
    end)
    local shape = loop.await("what waits", function() return story.daemon.ask("queue", "shape").items[1] end)
    assert.is_true(shape.total > 10)
    story.daemon.ask("run", "pause", run)
    local sql = "SELECT id FROM messages WHERE state = 6 ORDER BY id DESC LIMIT 1"
    local id = loop.await("a paused message", function()
      local handle = assert(io.popen(("sqlite3 -readonly %s/netmove.db %q 2>/dev/null"):format(story.daemon.path, sql)))
      local text = handle:read("l")
      handle:close()
      return text
    end)
    assert.matches("run release", waits(id, "paused").text)
    story.daemon.ask("run", "release", run)
    waits(id, "rate")
  end)
end)

describe("an event's id", function()
  local story
  after_each(function() story.close(true) end)

  it("is followed in the log from its first byte to its last attempt", function()
    story = daemon.story({ settings = 'log = { level = "debug" },' })
    story.netmera.faults({ { match = { path = "sendNotification", times = 1 },
                             ["do"] = { status = 500, body = { code = 2001, error = "Internal" } } } })
    local id = story.daemon.event({ EventTypeID = 11, CampaignID = "l", ChannelID = 459, TemplateID = 1201,
                                    CustomerID = "C1" }).json().id
    story.netmera.reaches("deliveries=1")
    local seen = loop.await("its last line", function()
      local found = {}
      for _, line in ipairs(story.daemon.process.err) do
        local entry = line:sub(1, 1) == "{" and json.decode(line)
        if entry and tostring(entry.event) == id then found[#found + 1] = entry end
      end
      return #found > 0 and found[#found].message:find("sent", 1, true) and found
    end)
    local words = {}
    for _, entry in ipairs(seen) do words[#words + 1] = entry.room .. ": " .. entry.message end
    local text = table.concat(words, "\n")
    assert.matches("api: event of type 11 is accepted", text)
    assert.matches("event is planned", text)
    assert.matches("retry by netmera", text)
    assert.matches("engine: accepted by netmera: sent", text)
  end)
end)
