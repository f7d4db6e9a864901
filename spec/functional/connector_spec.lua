-- A connector's listeners: plan, replacing, rotation, drift, and what is wrong.

local daemon = require("spec.support.daemon")
local loop = require("spec.support.loop")

describe("connector", function()
  local story
  after_each(function() story.close(true) end)

  local http = require("spec.support.http")

  local function register(listener)
    local answer = http.request({ url = story.optimove.url .. "/General/RegisterEventListener",
                                  headers = { ["X-API-KEY"] = "optimove-key" }, body = listener })
    assert.equal(200, answer.status)
  end

  local function find(event_type, channel)
    local found = {}
    for _, listener in ipairs(story.optimove.ledger().listeners) do
      if listener.EventTypeID == event_type and listener.ChannelID == channel then
        found[#found + 1] = listener.ListenerURL
      end
    end
    return found
  end

  local function post_to(url)
    return http.request({ url = url, body = { EventTypeID = 4, CampaignID = "c" } }).status
  end

  it("plan names what is missing, stale, an orphan and a conflict, with reasons", function()
    story = daemon.story()
    story.optimove.post("settings", { reregister = "duplicate" })
    local ours = find(13, 459)[1]
    http.request({ url = story.optimove.url .. "/General/UnregisterEventListener",
                   headers = { ["X-API-KEY"] = "optimove-key" }, body = { EventTypeID = 4 } })
    register({ EventTypeID = 13, ChannelID = 459, ListenerURL = ours:gsub("k=[^&]+", "k=another") })
    register({ EventTypeID = 13, ChannelID = 504, ListenerURL = ours })
    register({ EventTypeID = 2, ListenerURL = "http://once.example/optimove/event/old?" .. ours:match("%?(.*)") })
    register({ EventTypeID = 11, ChannelID = 459, ListenerURL = "https://other.example/x?secret=1" })
    local plan = story.daemon.cli("connector", "plan", "acme")
    assert.equal(1, plan.code)
    assert.matches("missing: listener 4 for all channels", plan.out, 1, true)
    assert.matches("stale: listener 13 for channel 459 (Push): it is there more than once", plan.out, 1, true)
    assert.matches("orphan: listener 13 for channel 504: its channel is none of ours now", plan.out, 1, true)
    assert.matches("orphan: listener 2 for all channels: nothing routes this type", plan.out, 1, true)
    assert.matches("conflict: listener 11 for channel 459 (Push): somebody else's URL is registered there",
                   plan.out, 1, true)
    assert.matches("(https://other.example/x)", plan.out, 1, true)
    assert.is_nil(plan.out:find("secret=1", 1, true))
    local kinds = {}
    for _, finding in ipairs(require("spec.support.json").decode(
                               story.daemon.cli("--json", "connector", "plan", "acme").out).findings) do
      kinds[#kinds + 1] = finding.kind
    end
    assert.same({ "orphan", "orphan", "conflict", "stale", "missing" }, kinds)

    local applied = story.daemon.cli("connector", "apply", "acme")
    assert.equal(1, applied.code, applied.out .. applied.err)
    assert.same({ ours }, find(13, 459))
    assert.same({}, find(13, 504))
    assert.equal(1, #find(4))
    assert.equal(2, #find(11, 459))
    assert.matches("conflict", story.daemon.cli("connector", "status", "acme").out)

    local taken = story.daemon.cli("connector", "apply", "acme", "--take-over")
    assert.equal(0, taken.code, taken.out .. taken.err)
    assert.equal(1, #find(11, 459))
    assert.matches("all as wanted", taken.out)
    assert.equal(0, story.daemon.cli("connector", "plan", "acme").code)
    assert.equal(0, story.daemon.cli("connector", "status", "acme").code)
  end)

  it("replaces an old URL without a gap where registering over it does", function()
    story = daemon.story()
    local calls = story.optimove.ledger().calls
    assert.is_nil(calls.UnregisterEventListener)
    local rotated = story.daemon.cli("connector", "rotate", "acme")
    assert.equal(0, rotated.code, rotated.out .. rotated.err)
    assert.is_nil(story.optimove.ledger().calls.UnregisterEventListener)
    assert.equal(5, #story.optimove.ledger().listeners)
  end)

  it("rotate keeps both secrets valid until it is finished", function()
    story = daemon.story()
    local first = find(4)[1]
    assert.equal(0, story.daemon.cli("connector", "rotate", "acme").code)
    local second = find(4)[1]
    assert.are_not.equal(first, second)
    assert.equal(200, post_to(first))
    assert.equal(200, post_to(second))
    assert.equal(0, story.daemon.cli("connector", "rotate", "acme", "--finish").code)
    assert.equal(401, post_to(first))
    assert.equal(200, post_to(second))
    local again = story.daemon.cli("connector", "rotate", "acme", "--finish")
    assert.equal(1, again.code)
    assert.matches("no rotation is under way", again.err)
    story.daemon.stop()
    story.daemon.start()
    assert.equal(200, post_to(second:gsub("^http://[^/]+", story.daemon.url)))
  end)

  it("rotate drops no secret that a listener may still carry, unless it is forced", function()
    story = daemon.story()
    local first = find(4)[1]
    story.optimove.faults({ { match = { path = "General/" }, ["do"] = { status = 500 } } })
    assert.equal(1, story.daemon.cli("connector", "rotate", "acme").code)
    local second = story.daemon.cli("connector", "rotate", "acme")
    assert.equal(1, second.code)
    assert.matches("may still carry the older secret", second.err)
    assert.equal(200, post_to(first))
    assert.equal(1, story.daemon.cli("connector", "rotate", "acme", "--finish", "--force").code)
    assert.equal(401, post_to(first))
    story.optimove.faults({})
    assert.equal(0, story.daemon.cli("connector", "apply", "acme").code)
    assert.equal(200, post_to(find(4)[1]))
  end)

  it("finds drift by itself, at the tenant's pace, and mends it", function()
    story = daemon.story({ optimove = " checkEvery = 1," })
    story.optimove.post("reset", { only = { "listeners" } })
    loop.await("the listeners to come back", function() return #story.optimove.ledger().listeners == 5 end)
    loop.await("a word in the log", function()
      for _, line in ipairs(story.daemon.process.err) do
        if line:find("mended drift", 1, true) then return true end
      end
    end)
  end)

  it("calls nothing while it is INACTIVE, but looks when a person asks", function()
    story = daemon.story({ status = "INACTIVE", optimove = " checkEvery = 1," })
    assert.equal(0, story.optimove.ledger().requests)
    local applied = story.daemon.cli("connector", "apply", "acme")
    assert.equal(1, applied.code)
    assert.matches("INACTIVE", applied.err)
    assert.equal(0, story.optimove.ledger().requests)
    local plan = story.daemon.cli("connector", "plan", "acme")
    assert.equal(1, plan.code)
    assert.matches("missing: listener 13 for channel 459", plan.out, 1, true)
    assert.equal(0, story.daemon.cli("connector", "test", "acme").code)
    assert.equal(0, #story.optimove.ledger().listeners)
    assert.matches("INACTIVE", story.daemon.cli("connector", "status", "acme").out)
  end)

  it("keeps listeners by its own journal where the key may not list them", function()
    story = daemon.story({ apply = false })
    story.optimove.faults({ { match = { path = "GetRegisteredEventListeners" },
                              ["do"] = { status = 403, body = "Forbidden" } } })
    local applied = story.daemon.apply(story)
    assert.equal(0, applied.code, applied.out .. applied.err)
    assert.matches("our journal tells instead", applied.out)
    assert.equal(5, #story.optimove.ledger().listeners)
    local calls = story.optimove.ledger().calls.RegisterEventListener["200"]
    assert.equal(0, story.daemon.apply(story).code)
    assert.equal(calls, story.optimove.ledger().calls.RegisterEventListener["200"])
  end)

  it("test says in plain words what is wrong", function()
    story = daemon.story()
    local function says(code, ...)
      local result = story.daemon.cli("connector", "test", "acme")
      for _, words in ipairs({ ... }) do assert.matches(words, result.out .. result.err, 1, true) end
      assert.equal(code, result.code, result.out .. result.err)
    end
    local function on(path, act) story.optimove.faults({ { match = { path = path }, ["do"] = act } }) end

    says(0, "takes the key and lists 5 listeners", "Optimove knows all 2 channels",
         "Optimove has no attribute FIRST_NAME (params)",
         "which is no address of the internet: set public.url", "our own URL answers from this machine")
    on("GetRegistered", { status = 401, body = '"Unauthorized"' })
    says(1, "Optimove refuses this key (401)")
    on("GetExecutionChannels", { status = 403, body = "Forbidden" })
    says(0, "this kind of key (optimove.apiKey) may not call GetExecutionChannels (403)")
    on("GetRegistered", { status = 429, body = "{}" })
    says(1, "too many calls (429)")
    on("GetRegistered", { status = 500, body = "oops" })
    says(1, "Optimove has trouble of its own")
    on("GetRegistered", { raw = "Nope" })
    says(1, "something else than a list")
    story.optimove.faults({})
    story.optimove.post("settings", { channels = { { id = 459, name = "Push" } } })
    says(0, "Optimove does not know channel 481 (SMS)")
    assert.equal(5, #story.optimove.ledger().listeners)

    local function moved(url)
      local text = story.daemon.read("tenants/acme.lua"):gsub('baseUrl = "[^"]*"', 'baseUrl = "' .. url .. '"', 1)
      story.daemon.write("tenants/acme.lua", text)
      return story.daemon.cli("tenant", "apply", "tenants/acme.lua", "--force")
    end
    moved("http://127.0.0.1:1")
    says(1, "nothing answers at 127.0.0.1:1 (connection refused): is baseUrl right")
    moved("http://no-such-name.invalid")
    says(1, "the name no-such-name.invalid is not found: is baseUrl right")
    moved("http://10.1.2.3:8080")
    says(1, "may not be called from here")
  end)
end)
