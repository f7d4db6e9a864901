-- A day of hook events: purchases and changed attributes of many customers, while Optimove fails in every
-- way and the daemon is killed; in the end Optimove has the last value of every attribute of every customer.
--
-- 5,000 events, 100,000 with NETMOVE_LONG=1.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local json = require("spec.support.json")
local loop = require("spec.support.loop")

local is_long = os.getenv("NETMOVE_LONG") == "1"
local events_count = is_long and 100000 or 5000
local customers_count = is_long and 10000 or 500
local batch_size = is_long and 500 or 100
local kills = is_long and 5 or 2

local path = "UpdateCustomerAttributes"
local faults = {
  { match = { path = path, share = 0.06, seed = 1 }, ["do"] = { status = 500, body = "trouble" } },
  { match = { path = path, share = 0.06, seed = 2 }, ["do"] = { status = 500, body = "trouble", work = true } },
  { match = { path = path, share = 0.06, seed = 3 }, ["do"] = { close = "before" } },
  { match = { path = path, share = 0.06, seed = 4 }, ["do"] = { close = "after" } },
  { match = { path = path, share = 0.06, seed = 5 }, ["do"] = { close = "midbody", reset = true } },
  { match = { path = path, share = 0.06, seed = 6 }, ["do"] = { status = 429, body = "slower" } },
  { match = { path = path, share = 0.06, seed = 7 }, ["do"] = { garbage = true } },
  { match = { path = path, share = 0.04, seed = 8 }, ["do"] = { hang = true } },
  { match = { path = path, share = 0.10, seed = 9 }, ["do"] = { delayMs = { 50, 400 } } },
}

describe("a day of hook events", function()
  local story
  after_each(function() story.close(true) end)

  local random = 20261123
  local function draw(n)
    random = (random * 1103515245 + 12345) % 2147483648
    return random // 65536 % n + 1
  end

  local expected = {} -- "customer/FIELD" -> text

  local function expect(customer, field, value) expected[customer .. "/" .. field] = tostring(value) end

  local function make_event(number)
    local customer = "D" .. draw(customers_count)
    if draw(5) == 1 then
      expect(customer, "RFM_SCORE", number)
      return { id = "day-" .. number, type = "PROFILE", name = "PROFILE_ATTRIBUTE_CHANGE", extId = customer,
               changes = { rfm_score = number } }
    end
    local store = "store " .. draw(7)
    expect(customer, "LAST_PURCHASE_TOTAL", number)
    expect(customer, "FAVOURITE_STORE", store)
    expect(customer, "BASKET_SIZE", number >= 500 and "large" or number >= 100 and "medium" or "small")
    return { id = "day-" .. number, type = "EVENT", name = "PURCHASE", extId = customer,
             time = "2026-11-23T09:30:00Z", attributes = { total = number, store = store } }
  end

  local function post(lines)
    return http.request({ url = story.daemon.url .. "/hooks/acme-app-key/events", method = "POST",
                          headers = { ["X-netmera-api-key"] = "rest-key",
                                      ["Content-Type"] = "application/x-ndjson" },
                          body = lines })
  end

  --- Sends a batch until it is taken: the same ids again are the same events.
  local function deliver(lines)
    loop.await("a batch to be taken", function()
      local answer = post(lines)
      return answer and answer.status == 200
    end, 120000)
  end

  --- The daemon dies with a batch on its way, perhaps taken and perhaps not.
  local function deliver_and_kill(lines)
    local host, port = story.daemon.listen:match("^(.*):(%d+)$")
    local caller = http.connect({ host = host, port = tonumber(port) })
    caller.write("POST /hooks/acme-app-key/events HTTP/1.1\r\nHost: x\r\nX-netmera-api-key: rest-key\r\n" ..
                 "Content-Type: application/x-ndjson\r\nContent-Length: " .. #lines .. "\r\n\r\n" .. lines)
    story.daemon.kill()
    caller.close()
    story.daemon.start()
    deliver(lines)
  end

  --- How many values Optimove does not have as they were last.
  local function count_wrong()
    local there, wrong, example = {}, 0, nil
    for _, row in ipairs(story.optimove.rows("updates")) do
      there[row.customer .. "/" .. row.field] = tostring(row.value)
    end
    for name, value in pairs(expected) do
      if there[name] ~= value then
        wrong = wrong + 1
        example = name .. ": " .. tostring(there[name]) .. " instead of " .. value
      end
    end
    return wrong, example
  end

  it("leaves Optimove with the last value of every attribute of every customer", function()
    story = daemon.story({ optimove = " timeout = 1, callbackTimeout = 3," })
    story.optimove.post("settings", { updates = { callback = "twice" } })
    story.optimove.faults(faults)
    local started, batches, number = os.time(), events_count // batch_size, 0
    for batch = 1, batches do
      local lines = {}
      for i = 1, batch_size do
        number = number + 1
        lines[i] = json.encode(make_event(number))
      end
      local text = table.concat(lines, "\n") .. "\n"
      local is_last_breath = batch % (batches // (kills + 1)) == 0 and batch < batches
      if is_last_breath then deliver_and_kill(text) else deliver(text) end
    end
    local sent_s = os.time() - started
    local wrong, example
    local ok, why = pcall(loop.await, "the last values at Optimove", function()
      wrong, example = count_wrong()
      return wrong == 0
    end, is_long and 600000 or 180000)
    local updates = story.optimove.ledger().updates
    local values = 0
    for _ in pairs(expected) do values = values + 1 end
    print(("# %d events of %d customers sent in %d s, %d values right after %d s, %d calls, %d written")
      :format(events_count, customers_count, sent_s, values - wrong, os.time() - started, updates.calls,
              updates.values))
    assert.is_true(ok, tostring(why) .. ": " .. tostring(wrong) .. " wrong, such as " .. tostring(example))
    assert.is_true(updates.largestCall <= 1000)
    assert.equal(0, updates.refused)
    local stuck = story.daemon.ask("queue", "list").items
    assert.equal(0, #stuck, json.encode(stuck[1] or {}))
  end)
end)
