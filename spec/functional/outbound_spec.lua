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
    story.optimove.reaches("values=400", 60000)
    loop.await("quiet", function() return value_of("C99", "LAST_PURCHASE_TOTAL") end)
    assert.equal("499", tostring(value_of("C99", "LAST_PURCHASE_TOTAL")))
    local updates = story.optimove.ledger().updates
    assert.is_true(updates.calls <= 5, updates.calls .. " calls")
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
end)
