-- From Netmera's side to Optimove: hooks, profiles, coalescing, callbacks, INACTIVE.

local json = require("spec.support.json")
local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local loop = require("spec.support.loop")

describe("an event on Netmera's side", function()
  local story
  after_each(function() story.close(true) end)

  local function fire(events, as)
    return story.netmera.post("fire", { url = story.daemon.url, appKey = "acme-app-key",
                                        apiKey = "rest-key", events = events, as = as or "array" })
  end

  local function purchase(customer, total, extra)
    local event = { type = "EVENT", name = "PURCHASE", extId = customer,
                    time = "2026-11-23T09:30:00Z", attributes = { total = total } }
    for name, value in pairs(extra or {}) do event[name] = value end
    return event
  end

  local function value_of(customer, field)
    local rows = story.optimove.rows("updates?customer=" .. customer .. "&field=" .. field)
    return rows[1] and rows[1].value
  end

  it("becomes an attribute update with CustomerID, RealFieldName and Value", function()
    story = daemon.story()
    assert.same({ ["200"] = 1 }, fire({ purchase("C1", 120.5) }).byStatus)
    story.optimove.reaches("values=4&callbacks=1")
    assert.equal("2026-11-23", value_of("C1", "LAST_PURCHASE_DATE"))
    assert.equal("120.5", tostring(value_of("C1", "LAST_PURCHASE_TOTAL")))
    assert.equal("medium", value_of("C1", "BASKET_SIZE"))
  end)

  it("coalesces: many customers in one call, the last value of each", function()
    story = daemon.story()
    local events = {}
    for i = 1, 500 do events[#events + 1] = purchase("C" .. (i % 100), i) end
    fire(events)
    loop.await("the last value", function()
      return tostring(value_of("C99", "LAST_PURCHASE_TOTAL")) == "499"
    end, 60000)
    local updates = story.optimove.ledger().updates
    assert.is_true(updates.calls < 50, updates.calls .. " calls for 100 customers")
    assert.equal(0, updates.overlapping)
  end)

  it("counts once when it comes twice", function()
    story = daemon.story()
    fire({ purchase("C1", 1, { id = "e1" }) })
    local again = fire({ purchase("C1", 2, { id = "e1" }) })
    assert.same({ ["200"] = 1 }, again.byStatus)
    story.optimove.reaches("values=4&callbacks=1")
    assert.equal("1", tostring(value_of("C1", "LAST_PURCHASE_TOTAL")))
  end)

  it("is recorded as skipped while the connector is INACTIVE; nothing is called", function()
    story = daemon.story({ status = "INACTIVE" })
    fire({ purchase("C1", 1) })
    local answer = story.daemon.event({ EventTypeID = 11, CampaignID = 1, ChannelID = 459,
                                        TemplateID = 1201, CustomerID = "C1" })
    assert.equal(200, answer.status)
    loop.await("the held 11", function()
      local item = story.daemon.ask("queue", "list").items[1]
      return item and item.reason:find("INACTIVE")
    end)
    assert.equal(0, story.optimove.ledger().requests)
    assert.equal(0, story.netmera.ledger().requests)
  end)

  it("makes a dead letter of the one customer that Optimove does not know", function()
    story = daemon.story()
    story.optimove.post("settings", { updates = { unknownCustomers = { "C2" } } })
    fire({ purchase("C1", 1), purchase("C2", 2) })
    local item = loop.await("the dead update", function()
      for _, row in ipairs(story.daemon.ask("queue", "list").items) do
        if row.state == "dead" then return row end
      end
    end)
    assert.matches("INVALID_CUSTOMER", item.reason)
    assert.equal("1", tostring(value_of("C1", "LAST_PURCHASE_TOTAL")))
  end)

  it("stays within 50 calls in 10 seconds for a key", function()
    story = daemon.story()
    for i = 1, 80 do fire({ purchase("C" .. i, i) }, "single") end
    story.optimove.reaches("values=320", 60000)
    local ledger = story.optimove.ledger()
    assert.equal(0, ledger.violations)
  end)

  it("is refused whole when one of a batch is wrong", function()
    story = daemon.story()
    local answer = http.request({
      url = story.daemon.url .. "/hooks/acme-app-key/events",
      headers = { ["X-netmera-api-key"] = "rest-key" },
      body = { purchase("C1", 1), { type = "EVENT", extId = "C2" } },
    })
    assert.equal(400, answer.status)
    assert.equal(0, story.optimove.ledger().updates.calls)
  end)

  it("PUT of a profile is 201, then 200, and a changed attribute becomes an update", function()
    story = daemon.story()
    local url = story.daemon.url .. "/profiles/acme-app-key/C9"
    local headers = { ["X-netmera-api-key"] = "rest-key", ["Content-Type"] = "application/json" }
    local function put(body)
      return http.request({ url = url, method = "PUT", headers = headers, body = json.encode(body) })
    end
    assert.equal(201, put({ email = "a@example.test", attributes = { rfm_score = 7 } }).status)
    assert.equal(200, put({ attributes = { rfm_score = 8 } }).status)
    story.optimove.reaches("values=1")
    loop.await("the last value", function() return tostring(value_of("C9", "RFM_SCORE")) == "8" end)
    local profile = http.request({ url = url, headers = headers }).json()
    assert.equal("a@example.test", profile.email)
    assert.equal(8, profile.attributes.rfm_score)
    assert.equal(404, http.request({ url = url .. "x", headers = headers }).status)
  end)

  --- acme's rules with more hooks, and its tenant with these.
  local function story_with(rules, hooks, options)
    local file = assert(io.open((os.getenv("NETMOVE_SOURCE") or ".") .. "/rules/acme.lua"))
    local text = file:read("a"):gsub("\n  hooks = {\n", "\n  hooks = {\n" .. rules, 1)
    file:close()
    story = daemon.story({ rules = text, apply = false })
    story.daemon.apply(story, options)
    local changed = story.daemon.read("tenants/acme.lua"):gsub("\n  hooks = {", "\n  hooks = { " .. hooks, 1)
    story.daemon.write("tenants/acme.lua", changed)
    local applied = story.daemon.cli("--json", "tenant", "apply", "tenants/acme.lua")
    assert.equal(0, applied.code, applied.out .. applied.err)
  end

  local function welcome(customer)
    return story.daemon.event({ EventTypeID = 11, CampaignID = 7, ChannelID = 459, TemplateID = 1201,
                                CustomerID = customer, TimeStamp = "2026-11-23 10:00:00" })
  end

  it("is also what became of a message of ours, where a hook asks for it", function()
    story_with([[
    MESSAGE_LOG = update_customer {
      CustomerID = from("extId"),
      LAST_MESSAGE = from("attributes.message"),
      LAST_MESSAGE_STATUS = from("attributes.status"),
      LAST_MESSAGE_CHANNEL = from("attributes.channel"),
    },
]], [[{ type = "OPTIMOVE", event = "MESSAGE_LOG" },]])
    story.netmera.faults({ { match = { path = "sendNotification", extId = "Bad" },
                             ["do"] = { status = 400, body = { error = "no such thing" } } } })
    welcome("Good")
    loop.await("the word of the good one", function() return value_of("Good", "LAST_MESSAGE_STATUS") end)
    welcome("Bad")
    loop.await("the word of the bad one", function() return value_of("Bad", "LAST_MESSAGE_STATUS") end)
    assert.equal("SENT", value_of("Good", "LAST_MESSAGE_STATUS"))
    assert.equal("FAILED", value_of("Bad", "LAST_MESSAGE_STATUS"))
    assert.equal("welcome", value_of("Good", "LAST_MESSAGE"))
    assert.equal("PUSH", value_of("Good", "LAST_MESSAGE_CHANNEL"))
  end)

  it("about a message of ours makes no message: that would never end", function()
    story_with([[
    MESSAGE_LOG = send("welcome"),
]], [[{ type = "OPTIMOVE", event = "MESSAGE_LOG" },]])
    welcome("Loop")
    story.netmera.reaches("deliveries=1")
    local held = loop.await("the held event", function()
      for _, item in ipairs(story.daemon.ask("queue", "list").items) do
        if item.name == "MESSAGE_LOG" then return item end
      end
    end)
    assert.matches("never end", held.reason)
    assert.equal(1, story.netmera.ledger().deliveries)
  end)

  it("is recorded with what is missing: hook, rule, or an ACTIVE status; or held, if the hook says so", function()
    story_with([[
    QUIET = update_customer { CustomerID = from("extId"), A = "1" },
    KEPT = update_customer { CustomerID = from("extId"), A = "1" },
]], [[{ type = "OPTIMOVE", event = "QUIET", status = "INACTIVE" },
      { type = "OPTIMOVE", event = "KEPT", status = "INACTIVE", inactive = "hold" },
      { type = "OPTIMOVE", event = "RULELESS" },]])
    local answer = http.request({ url = story.daemon.url .. "/hooks/acme-app-key/events",
      headers = { ["X-netmera-api-key"] = "rest-key" },
      body = { { type = "EVENT", name = "QUIET", extId = "a" }, { type = "EVENT", name = "RULELESS", extId = "a" },
               { type = "EVENT", name = "NOBODYS", extId = "a" }, { type = "EVENT", name = "KEPT", extId = "a" } } })
    local ids = answer.json().ids
    local wanted = { { "skipped", "hook QUIET is INACTIVE" }, { "skipped", "no rule for hook RULELESS" },
                     { "skipped", "no hook of the name NOBODYS" }, { "held", "hook KEPT is INACTIVE" } }
    for i, pair in ipairs(wanted) do
      local shown = loop.await("event " .. i, function()
        local now = story.daemon.ask("queue", "show", ids[i])
        return now.state ~= "new" and now
      end)
      assert.equal(pair[1], shown.state)
      assert.matches(pair[2], shown.reason)
    end
    assert.equal(0, story.optimove.ledger().updates.calls)
  end)

  --- A story whose Optimove takes other keys.
  local function begin_with(optimove_options)
    local world = require("spec.support.world")
    story = { optimove = world.optimove(optimove_options), netmera = world.netmera() }
    story.daemon = daemon.folder().start()
    function story.close()
      story.daemon.stop()
      story.optimove.close()
      story.netmera.close()
      story.daemon.remove()
    end
    story.daemon.apply(story)
  end

  -- A buffer of 512 bytes once held it, and what lay behind the buffer went out too.
  it("goes by a key of any length", function()
    local key = ("k"):rep(700)
    begin_with({ "--key", key })
    story.daemon.write("tenants/acme.lua", (story.daemon.read("tenants/acme.lua"):gsub("optimove%-key", key, 1)))
    local applied = story.daemon.cli("tenant", "apply", "tenants/acme.lua")
    assert.equal(0, applied.code, applied.out .. applied.err)
    fire({ purchase("C1", 7) })
    story.optimove.reaches("values=1")
    assert.equal("7", tostring(value_of("C1", "LAST_PURCHASE_TOTAL")))
  end)

  it("goes by a second key where the first one may not call that function", function()
    begin_with({ "--thirdparty-key", "third-key" })
    local function apply(keys)
      story.daemon.write("tenants/acme.lua", (story.daemon.read("tenants/acme.lua")
        :gsub('apiKey = "optimove%-key",', keys, 1)))
      return story.daemon.cli("tenant", "apply", "tenants/acme.lua")
    end
    apply('apiKey = "third-key",')
    fire({ purchase("C1", 7) })
    loop.await("the refusal in the log", function()
      return table.concat(story.daemon.process.err, "\n"):find("optimove.apiKey may not update customers", 1, true)
    end)
    local told = story.daemon.cli("connector", "test", "acme")
    assert.matches("adminApiKey", told.out)
    -- the second key is there: what waited goes at once, though its time had been put off
    local text = story.daemon.read("tenants/acme.lua"):gsub('apiKey = "third%-key",',
      'apiKey = "third-key", adminApiKey = "optimove-key",', 1)
    story.daemon.write("tenants/acme.lua", text)
    local applied = story.daemon.cli("tenant", "apply", "tenants/acme.lua")
    assert.equal(0, applied.code, applied.out .. applied.err)
    story.optimove.reaches("values=4&callbacks=1")
    assert.equal("7", tostring(value_of("C1", "LAST_PURCHASE_TOTAL")))
    told = story.daemon.cli("connector", "test", "acme")
    assert.matches("asked with optimove.adminApiKey", told.out)
    local shown = story.daemon.cli("tenant", "show", "acme")
    assert.is_nil((shown.out .. applied.out):find("optimove-key", 1, true))
  end)

  local signed_up = [[
    SIGNED_UP = track_event {
      event = "newsletter_signup", customer = from("extId"),
      context = { opt_in = true, source = from("attributes.source"):default("app") },
    },
]]
  local signed_up_hook = [[{ type = "OPTIMOVE", event = "SIGNED_UP" },]]

  --- A story whose tenant has an endpoint for real-time events.
  local function realtime_story(extra)
    story_with(signed_up, signed_up_hook, {})
    story.optimove.post("settings", { realtime = { token = "the-token" } })
    local text = story.daemon.read("tenants/acme.lua"):gsub('apiKey = "optimove%-key",', ('apiKey = "optimove-key", ' ..
      'realtime = { url = %q, tenant = 999, token = "the-token"%s },'):format(story.optimove.url .. "/reportServer",
                                                                           extra or ""), 1)
    story.daemon.write("tenants/acme.lua", text)
    local applied = story.daemon.cli("tenant", "apply", "tenants/acme.lua")
    assert.equal(0, applied.code, applied.out .. applied.err)
  end

  local function sign_up(customer, id)
    return fire({ { type = "EVENT", name = "SIGNED_UP", extId = customer, id = id, time = "2026-11-23T09:30:00Z",
                    attributes = { source = "shop" } } })
  end

  it("goes to Optimove in real time where its rule says so, signed, each once", function()
    realtime_story()
    story.optimove.faults({
      { match = { path = "reportServer", nth = 1 }, ["do"] = { status = 500, body = "trouble" } },
      { match = { path = "reportServer", nth = 3 }, ["do"] = { status = 429, headers = { ["Retry-After"] = "1" } } },
    })
    for i = 1, 5 do sign_up("R" .. i, "s" .. i) end
    sign_up("R5", "s5")
    story.optimove.reaches("tracked=5", 30000)
    local event = story.optimove.rows("tracked?customer=R3")[1]
    assert.equal("newsletter_signup", event.event)
    assert.equal(999, event.tenant)
    assert.equal("2026-11-23 09:30:00.000 UTC", event.timestamp)
    assert.same({ opt_in = true, source = "shop" }, event.context)
    local told = story.optimove.ledger().realtime
    assert.equal(0, told.repeated)
    assert.equal(0, #story.daemon.ask("queue", "list").items)
  end)

  it("becomes a dead letter in Optimove's own words where it is refused, and goes once that is mended", function()
    realtime_story()
    story.optimove.post("settings", { realtime = { token = "the-token", events = { "other" } } })
    sign_up("R1", "x1")
    local dead = loop.await("the dead letter", function()
      local item = story.daemon.ask("queue", "list").items[1]
      return item and item.state == "dead" and item
    end)
    assert.matches("newsletter_signup is not configured", dead.reason)
    assert.equal("newsletter_signup", dead.name)
    story.optimove.post("settings", { realtime = { token = "the-token", events = json.null } })
    assert.equal(0, story.daemon.cli("queue", "retry", dead.id).code)
    story.optimove.reaches("tracked=1")
    -- a wrong signature stops the lane, not the events
    story.optimove.post("settings", { realtime = { token = "another" } })
    sign_up("R2", "x2")
    loop.await("the refusal in the log", function()
      return table.concat(story.daemon.process.err, "\n"):find("refuses our key", 1, true)
    end)
    assert.equal(0, #story.daemon.ask("queue", "list").items)
  end)

  it("is held where the tenant has no endpoint for real-time events", function()
    story_with(signed_up, signed_up_hook)
    sign_up("R1")
    local held = loop.await("the held event", function() return story.daemon.ask("queue", "list").items[1] end)
    assert.matches("no optimove.realtime", held.reason)
  end)
end)
