-- People: erased from everything that is kept; brought in by the million; a change of theirs is an event.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local json = require("spec.support.json")
local loop = require("spec.support.loop")

local is_long = os.getenv("NETMOVE_LONG") == "1"

local story
local key = { ["X-netmera-api-key"] = "rest-key" }

local function profile_url(ext_id) return story.daemon.url .. "/profiles/acme-app-key/" .. ext_id end

local function put(ext_id, body, query)
  return http.request({ url = profile_url(ext_id) .. (query or ""), method = "PUT", headers = key, body = body })
end

local function get(ext_id) return http.request({ url = profile_url(ext_id), headers = key }) end

local function erase(ext_id)
  return http.request({ url = profile_url(ext_id), method = "DELETE", headers = key })
end

local function job(id)
  return http.request({ url = story.daemon.url .. "/profiles/acme-app-key/erasures/" .. id, headers = key })
end

local function fire(events)
  return http.request({ url = story.daemon.url .. "/hooks/acme-app-key/events", headers = key, body = events })
end

local function purchase(customer, total)
  return { type = "EVENT", name = "PURCHASE", extId = customer, attributes = { total = total, note = customer } }
end

--- The files of the store that hold the text somewhere in their bytes.
local function files_with(text)
  local found = {}
  for _, name in ipairs({ "netmove.db", "netmove.db-wal", "netmove.db-shm" }) do
    local file = io.open(story.daemon.path .. "/" .. name, "rb")
    local bytes = file and file:read("a") or ""
    if file then file:close() end
    if bytes:find(text, 1, true) then found[#found + 1] = name end
  end
  return table.concat(found, " ")
end

local function await_job(id)
  return loop.await("the erasure to end", function()
    local answer = job(id)
    if answer.status ~= 200 then error("job: " .. answer.status .. " " .. answer.body) end
    local now = answer.json()
    return now.state == "done" and now
  end)
end

describe("a person who is erased", function()
  after_each(function() story.close(true) end)

  local person, email, phone = "Erase-Me-74311", "erase.me.74311@example.test", "+905327431174"

  --- Everything that can name somebody: a profile, events, a campaign's page, messages that went, wait
  --- and died, updates that were made and refused, Optimove's word on them.
  local function fill()
    story.optimove.post("settings", { updates = { unknownCustomers = { person, "other" } } })
    put(person, { email = email, msisdn = phone, devices = { { kind = "ios", token = "token-74311-74311" } },
                  attributes = { rfm_score = 1, city = email } })
    put("bystander", { attributes = { rfm_score = 7 } })
    fire({ purchase(person, 1), purchase("other", 2), purchase("bystander", 3) })
    story.daemon.event({ EventTypeID = 11, CampaignID = 5, ChannelID = 459, TemplateID = 1201,
                         CustomerID = person, notes = email })
    story.daemon.event({ EventTypeID = 11, CampaignID = 5, ChannelID = 459, TemplateID = 9999, CustomerID = person })
    local rows = {}
    for i = 1, 40 do
      rows[i] = { CustomerID = i == 17 and person or "people-" .. i, TemplateID = 1201,
                  ScheduleTime = "2036-01-01 10:00:00",
                  attributes = { FIRST_NAME = i == 17 and email or "Ada" } }
    end
    story.optimove.post("campaigns", { campaign = 6, channel = 459, rows = rows })
    story.optimove.post("execute", { campaign = 6, channel = 459 })
    story.netmera.reaches("deliveries=1")
    story.optimove.reaches("callbacks=1")
    loop.await("the dead update", function()
      for _, item in ipairs(story.daemon.ask("queue", "list").items) do
        if item.kind == "update" and item.customer == person then return true end
      end
    end)
    loop.await("the page", function()
      local run = story.daemon.ask("run", "list").items[1]
      return run and run.rows_fetched == 40
    end)
  end

  it("is in no file of the store any more, nor in anything that is shown", function()
    story = daemon.story()
    fill()
    assert.matches("netmove", files_with(person))
    local answer = erase(person)
    assert.equal(202, answer.status)
    local done = await_job(answer.json().job)
    assert.is_true(done.erased >= 6, "only " .. done.erased .. " rows were theirs")
    assert.equal(0, done.traces)
    for _, text in ipairs({ person, email, phone:sub(2), "token-74311" }) do
      assert.equal("", files_with(text), text .. " is left")
    end
    assert.equal(404, get(person).status)
    assert.equal(200, get("bystander").status)
    local other = story.daemon.ask("queue", "list").items
    local names = {}
    for _, item in ipairs(other) do
      assert.not_equal(person, item.customer)
      names[item.customer or ""] = true
    end
    assert.is_true(names.other)
    for _, line in ipairs(story.daemon.process.err) do
      assert.is_nil(line:find(person, 1, true), line)
      assert.is_nil(line:find(email, 1, true), line)
    end
  end)

  it("is erased to the end though the daemon is killed in the middle", function()
    story = daemon.story()
    fill()
    local id = erase(person).json().job
    story.daemon.kill()
    story.daemon.start()
    await_job(id)
    assert.equal("", files_with(person))
    assert.equal("", files_with(email))
  end)

  it("gets nothing any more, whoever names them, until somebody restores them", function()
    story = daemon.story()
    assert.equal(201, put(person, { email = email }).status)
    local id = erase(person).json().job
    await_job(id)
    local event = { EventTypeID = 11, CampaignID = 5, ChannelID = 459, TemplateID = 1201, CustomerID = person }
    local told = story.daemon.event(event).json()
    local dropped = loop.await("the event to be dropped", function()
      local shown = story.daemon.ask("queue", "show", told.id)
      return shown.state == "dropped" and shown
    end)
    assert.equal("erased", dropped.reason)
    assert.is_nil(json.encode(dropped):find(person, 1, true))
    -- in a campaign the others are sent to
    story.optimove.post("campaigns", { campaign = 7, channel = 459, rows = {
      { CustomerID = "a", TemplateID = 1201 }, { CustomerID = person, TemplateID = 1201 },
      { CustomerID = "b", TemplateID = 1201 } } })
    story.optimove.post("execute", { campaign = 7, channel = 459 })
    story.netmera.reaches("deliveries=2")
    loop.await("the run's end", function()
      local run = story.daemon.ask("run", "list").items[1]
      return run.state == "done" and run.sent == 2 and run.stopped == 1
    end)
    fire({ purchase(person, 1), purchase("c", 2) })
    story.optimove.reaches("callbacks=1")
    assert.equal(0, #story.optimove.rows("updates?customer=" .. person))

    local refused = put(person, { email = email })
    assert.equal(409, refused.status)
    assert.equal("erased", refused.json().error.code)
    assert.equal(201, put(person, { email = email }, "?restore=on").status)
    story.daemon.event({ EventTypeID = 11, CampaignID = 5, ChannelID = 459, TemplateID = 1201,
                         CustomerID = person, TimeStamp = "2026-01-01 10:00:00" })
    story.netmera.reaches("deliveries=3")
  end)

  it("who was never known is erased as well; a wrong key erases nobody", function()
    story = daemon.story()
    assert.equal(401, http.request({ url = profile_url("x"), method = "DELETE" }).status)
    await_job(erase("never-seen-74311").json().job)
    assert.equal("", files_with("never-seen-74311"))
    assert.equal(404, job("12345").status)
  end)
end)

describe("many profiles in one POST", function()
  after_each(function() story.close(true) end)

  local function bulk(lines, query)
    local headers = { ["X-netmera-api-key"] = "rest-key", ["Content-Type"] = "application/x-ndjson" }
    return http.request({ url = story.daemon.url .. "/profiles/acme-app-key" .. (query or ""), method = "POST",
                          headers = headers, body = table.concat(lines, "\n") .. "\n", timeout_ms = 600000 })
  end

  local function imports()
    local url = "unix:" .. story.daemon.path .. "/netmove.sock|/api/v1/imports"
    return http.json({ url = url }).items
  end

  local function memory_kb()
    local file = assert(io.open("/proc/" .. story.daemon.process.pid .. "/status"))
    local text = file:read("a")
    file:close()
    return tonumber(text:match("VmRSS:%s+(%d+)"))
  end

  it("are merged line by line, and a wrong line is told by its number", function()
    story = daemon.story()
    local answer = bulk({
      '{"extId":"a","email":"a@example.test","attributes":{"rfm_score":1}}',
      '{"extId":"b","email":"no address"}',
      'this is no JSON',
      '',
      '{"extId":7,"attributes":{"rfm_score":2}}',
      '{"email":"nobody@example.test"}',
      '{"extId":"a","attributes":{"rfm_score":3,"city":"Izmir"}}',
      '{"extId":"a","attributes":{"city":"Izmir"}}',
    })
    assert.equal(200, answer.status)
    local told = answer.json()
    assert.same({ 7, 2, 2, 0, 3, 3 }, { told.lines, told.created, told.updated, told.unchanged, told.failed,
                                         told.events })
    local numbers = {}
    for i, row in ipairs(told.errors) do numbers[i] = row.line end
    assert.same({ 2, 3, 6 }, numbers)
    assert.equal("email", told.errors[1].field)
    assert.equal("done", imports()[1].state)
    assert.equal("acme", imports()[1].tenant)
    assert.equal(7, imports()[1].lines)
    local profile = get("a").json()
    assert.equal("a@example.test", profile.email)
    assert.same({ rfm_score = 3, city = "Izmir" }, profile.attributes)
    assert.equal(2, get("7").json().attributes.rfm_score)
    assert.equal(404, get("b").status)
    -- each change is an event, and the last value reaches Optimove
    loop.await("both scores", function()
      local a = story.optimove.rows("updates?customer=a&field=RFM_SCORE")[1]
      local seven = story.optimove.rows("updates?customer=7&field=RFM_SCORE")[1]
      return a and tostring(a.value) == "3" and seven and tostring(seven.value) == "2"
    end)
    -- the same again changes nothing
    local again = bulk({ '{"extId":"a","attributes":{"city":"Izmir"}}' }).json()
    assert.same({ 1, 0 }, { again.unchanged, again.events })
  end)

  it("go in whatever their number, in the memory of a few", function()
    story = daemon.story()
    local count = is_long and 1000000 or 20000
    local function lines(first, last)
      local text = {}
      for i = first, last do
        text[#text + 1] = ('{"extId":"P%d","email":"p%d@example.test","attributes":{"first_name":"Ada","n":%d}}')
          :format(i, i, i)
      end
      return text
    end
    assert.equal(2000, bulk(lines(1, 2000), "?hooks=off").json().created)
    local before = memory_kb()
    local many = lines(2001, count)
    local started = os.time()
    local told = bulk(many, "?hooks=off").json()
    assert.equal(count - 2000, told.created)
    assert.equal(0, told.events)
    assert.equal(0, told.failed)
    local rise = memory_kb() - before
    print(("# %d profiles in %d s, memory rose by %d KiB from %d KiB"):format(count, os.time() - started, rise, before))
    if (os.getenv("NETMOVE_SANITIZE") or "") == "" then assert.is_true(rise < 48 * 1024, rise .. " KiB more") end
    assert.equal("p" .. count .. "@example.test", get("P" .. count).json().email)
    assert.equal(0, #story.daemon.ask("queue", "list").items)
  end)

  it("stay as far as they came when the daemon is killed; all of it again is the rest", function()
    story = daemon.story()
    local text = {}
    for i = 1, 3000 do text[i] = ('{"extId":"K%d","attributes":{"n":%d}}'):format(i, i) end
    text[1500] = '{"extId":"K1500","attributes":{"n":"' .. ("x"):rep(60000) .. '"}}'
    local host, port = story.daemon.listen:match("^(.*):(%d+)$")
    local caller = http.connect({ host = host, port = tonumber(port) })
    local body = table.concat(text, "\n") .. "\n"
    caller.write("POST /profiles/acme-app-key?hooks=off HTTP/1.1\r\nHost: x\r\nX-netmera-api-key: rest-key\r\n" ..
                 "Content-Type: application/x-ndjson\r\nContent-Length: 100000000\r\n\r\n" .. body ..
                 ("\n"):rep(300000))
    loop.await("some of them", function() return get("K1000").status == 200 end)
    local now = imports()[1]
    assert.equal("under way", now.state)
    assert.is_true(now.lines >= 1000)
    story.daemon.kill()
    caller.close()
    story.daemon.start()
    assert.equal(200, get("K1000").status)
    local told = bulk(text, "?hooks=off").json()
    assert.equal(3000, told.created + told.unchanged)
    assert.is_true(told.unchanged >= 1000)
  end)

  it("need the tenant's key, and leave who was erased alone", function()
    story = daemon.story()
    local refused = http.request({ url = story.daemon.url .. "/profiles/acme-app-key", method = "POST",
                                   headers = { ["Content-Type"] = "application/x-ndjson" },
                                   body = ('{"extId":"x"}\n'):rep(50000) })
    assert.equal(401, refused.status)
    await_job(erase("gone").json().job)
    local told = bulk({ '{"extId":"gone","attributes":{"a":1}}', '{"extId":"here"}' }).json()
    assert.equal(1, told.failed)
    assert.equal(1, told.created)
    assert.matches("erased", told.errors[1].message)
    assert.equal(1, bulk({ '{"extId":"gone"}' }, "?restore=on").json().created)
  end)
end)
