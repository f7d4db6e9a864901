-- What operators set and do: order and retry of a provider, the queue's shape, drops, runs that are released.

local daemon = require("spec.support.daemon")
local json = require("spec.support.json")
local loop = require("spec.support.loop")

--- Which definitions one person was sent, request by request, refused ones too.
local function tries(story, customer)
  local keys = {}
  for _, row in ipairs(story.netmera.rows("requests?path=sendNotification&contains=" .. customer)) do
    local body = json.decode(row.body)
    for _, part in ipairs(body.target and { body } or body) do
      local ids = part.target.extId
      for _, id in ipairs(type(ids) == "table" and ids or { ids }) do
        if id == customer then keys[#keys + 1] = part.notificationKey end
      end
    end
  end
  return table.concat(keys, " ")
end

local function trigger(story, customer, template)
  story.optimove.post("trigger", { campaign = "o" .. template, channel = 459, template = template,
                                   customer = customer })
end

local function fault(story, customer, times, seconds)
  story.netmera.faults({ {
    match = { path = "sendNotification", extId = customer, times = times },
    ["do"] = { status = 500, body = { code = 2001, error = "Internal" },
               headers = { ["Retry-After"] = tostring(seconds) } } } })
end

describe("a provider with order = \"recipient\"", function()
  local story
  after_each(function() story.close(true) end)

  local function waits(customer)
    loop.await("a first refusal", function() return tries(story, customer) ~= "" end)
  end

  it("lets a retry block that person only, and keeps the order of their messages", function()
    story = daemon.story({ provider = ', order = "recipient"' })
    fault(story, "PERSON1", 1, 2)
    trigger(story, "PERSON1", 1201)
    waits("PERSON1")
    trigger(story, "PERSON1", 1202)
    trigger(story, "PERSON2", 1202)
    story.netmera.reaches("deliveries=1")
    assert.equal("106", tries(story, "PERSON1"))
    story.netmera.reaches("deliveries=3")
    assert.equal("106 106 107", tries(story, "PERSON1"))
  end)

  it("keeps that order over a kill -9", function()
    story = daemon.story({ provider = ', order = "recipient"' })
    fault(story, "PERSON1", 1, 3)
    trigger(story, "PERSON1", 1201)
    waits("PERSON1")
    loop.await("the retry to be stored", function()
      return story.daemon.ask("status").waiting_messages == 1
    end)
    trigger(story, "PERSON1", 1202)
    story.daemon.kill()
    story.daemon.start()
    story.netmera.reaches("deliveries=2")
    assert.equal("106 106 107", tries(story, "PERSON1"))
  end)
end)

describe("a provider with a retry schedule of its own", function()
  local story
  after_each(function() story.close(true) end)

  it("is asked again as soon and as often as that says", function()
    story = daemon.story({ provider = ', retry = { first_s = 0.02, most_s = 0.02 }' })
    story.netmera.faults({ { match = { path = "sendNotification", extId = "PERSON3", times = 8 },
                             ["do"] = { status = 500, body = { code = 2001, error = "Internal" } } } })
    trigger(story, "PERSON3", 1201)
    story.netmera.reaches("deliveries=1")
    -- The default schedule would take minutes.
    assert.equal(9, #story.netmera.rows("requests?path=sendNotification&contains=PERSON3"))
  end)
end)

describe("the queue, by hand", function()
  local story
  after_each(function() story.close(true) end)

  it("shows its shape: what waits by destination and age", function()
    story = daemon.story()
    assert.equal(0, #story.daemon.ask("queue", "shape").items)
    story.netmera.faults({ { match = { path = "sendNotification" },
      ["do"] = { status = 429, headers = { ["Retry-After"] = "600" }, body = { code = 1 } } } })
    trigger(story, "PERSON4", 1201)
    trigger(story, "PERSON5", 1201)
    local row = loop.await("a shape", function()
      local found = story.daemon.ask("queue", "shape").items[1]
      return found and found.kind == "message" and found.total == 2 and found
    end)
    assert.equal("acme", row.tenant)
    assert.equal("netmera", row.destination)
    assert.equal(2, row["5"])
    assert.equal(0, row["10"])
    assert.matches("acme +netmera +2 +2 +0", story.daemon.cli("queue", "shape").out)
  end)

  it("drops what is dead or held, and nothing else", function()
    story = daemon.story()
    story.netmera.faults({ { match = { path = "sendNotification" }, ["do"] = { error = "400/2101" } } })
    trigger(story, "PERSON6", 1201)
    local dead = loop.await("a dead letter", function() return story.daemon.ask("queue", "list").items[1] end)
    assert.equal(1, story.daemon.ask("queue", "drop", dead.id).dropped)
    assert.equal(0, #story.daemon.ask("queue", "list").items)
    local shown = story.daemon.ask("queue", "show", dead.id)
    assert.equal("stopped", shown.state)
    assert.equal("dropped by hand", shown.reason)
    assert.equal(1, story.daemon.cli("queue", "drop", dead.id).code)
    assert.not_equal(0, story.daemon.cli("queue", "retry", dead.id).code)
  end)
end)

describe("a run that is held", function()
  local story
  after_each(function() story.close() end)

  it("runs once it is released", function()
    story = daemon.story()
    story.optimove.post("campaigns", { campaign = 61, channel = 459, templates = { 1201 }, count = 10 })
    story.optimove.post("execute", { campaign = 61, channel = 459, timeStamp = "2030-01-01 10:00:00" })
    story.netmera.reaches("deliveries=10")
    story.optimove.post("execute", { campaign = 61, channel = 459, timeStamp = "2030-01-01 11:00:00" })
    local held = loop.await("a held run", function()
      local run = story.daemon.ask("run", "list").items[1]
      return run and run.state == "held" and run
    end)
    assert.equal("active", story.daemon.ask("run", "release", held.id).state)
    story.netmera.reaches("deliveries=20")
    loop.await("its end", function() return story.daemon.ask("run", "show", held.id).state == "done" end)
    assert.equal(1, story.daemon.cli("run", "release", held.id).code)
  end)
end)
