-- What contract.md says of every answer to Optimove, over a real socket.

local json = require("spec.support.json")
local daemon = require("spec.support.daemon")
local http = require("spec.support.http")

describe("the front door", function()
  local story, url

  setup(function()
    story = daemon.story()
    url = story.daemon.url .. "/optimove/event/acme-app-key"
  end)

  teardown(function() story.close() end)

  local function event(fields)
    local body = { EventTypeID = 99, CampaignID = 7 }
    for name, value in pairs(fields or {}) do body[name] = value end
    return body
  end

  local function post(body, headers, where)
    local all = { ["X-netmera-api-key"] = "rest-key", ["Content-Type"] = "application/json" }
    for name, value in pairs(headers or {}) do all[name] = value end
    return http.request({ url = where or url, method = "POST", headers = all,
                          body = type(body) == "table" and json.encode(body) or body })
  end

  local function secret_url()
    for _, listener in ipairs(story.optimove.ledger().listeners) do
      if listener.EventTypeID == 13 then return listener.ListenerURL end
    end
  end

  it("answers 200 with an id, and the same id as a duplicate when it comes again", function()
    local first = post(event({ note = "one" }))
    assert.equal(200, first.status)
    assert.equal("accepted", first.json().status)
    assert.matches("^%d+$", first.json().id)
    local again = post(event({ note = "one" }))
    assert.same({ id = first.json().id, status = "duplicate" }, again.json())
  end)

  it("takes the path under /rest too", function()
    local answer = post(event({ note = "rest" }), nil,
                        story.daemon.url .. "/rest/optimove/event/acme-app-key")
    assert.equal(200, answer.status)
  end)

  it("takes the secret of the URL that it registered instead of the header", function()
    local answer = post(event({ note = "by URL" }), { ["X-netmera-api-key"] = false }, secret_url())
    assert.equal(200, answer.status)
  end)

  it("takes keys in any letter case and ids as numbers or text", function()
    local spellings = {
      '{"EventTypeID":13,"TimeStamp":"2022-09-19 05:04:54","CampaignID":1,"ChannelID":459}',
      '{"eventTypeId":13,"timeStamp":"2022-09-19 05:04:54","campaignId":1,"channelId":459}',
      '{"eventTypeID":"13","timeStamp":"2022-09-19 05:04:54","campaignID":"1","channelID":"459"}',
      '{"campaignID":1,"channelID":459,"TIMESTAMP":"2022-09-19 05:04:54"}',
    }
    local first = post(spellings[1]).json()
    for i = 2, #spellings do
      assert.same({ id = first.id, status = "duplicate" }, post(spellings[i]).json())
    end
  end)

  it("gives an unknown appKey, a missing key and a wrong key the same bytes", function()
    local answers = {
      post(event(), { ["X-netmera-api-key"] = "wrong" }),
      post(event(), { ["X-netmera-api-key"] = false }),
      post(event(), nil, story.daemon.url .. "/optimove/event/nobody"),
      post(event(), nil, (secret_url():gsub("k=[^&]*", "k=wrong"))),
    }
    -- The header key is right in the last one: it is enough.
    assert.equal(200, table.remove(answers).status)
    for _, answer in ipairs(answers) do
      assert.equal(401, answer.status)
      assert.equal(answers[1].body, answer.body)
    end
  end)

  it("names what is wrong with a body and stores nothing", function()
    local wrong = {
      { "not json", nil },
      { "[1]", nil },
      { '{"x":1}', "EventTypeID" },
      { '{"EventTypeID":11,"CampaignID":[1]}', "CampaignID" },
      { '{"EventTypeID":11,"campaignid":1,"CampaignID":1}', "CampaignID" },
      { '{"EventTypeID":1.5,"CampaignID":1}', "EventTypeID" },
      { '{"EventTypeID":13,"CampaignID":1,"ChannelID":"abc"}', "ChannelID" },
    }
    for _, case in ipairs(wrong) do
      local answer = post(case[1])
      assert.equal(400, answer.status, case[1])
      local failure = answer.json().error
      assert.is_string(failure.code)
      assert.is_string(failure.message)
      if case[2] then assert.equal(case[2]:lower(), tostring(failure.field):lower(), case[1]) end
    end
  end)

  it("refuses wrong paths, methods, types and sizes in the contract's order", function()
    assert.equal(404, post(event(), nil, story.daemon.url .. "/optimove/event").status)
    assert.equal(404, post(event(), nil, story.daemon.url .. "/nowhere").status)
    local wrong_method = http.request({ url = url, method = "GET" })
    assert.equal(405, wrong_method.status)
    assert.matches("POST", wrong_method.headers.allow)
    assert.equal(415, post(event(), { ["Content-Type"] = "text/plain" }).status)
    local large = '{"EventTypeID":99,"x":"' .. ("y"):rep(65536) .. '"}'
    assert.equal(413, post(large).status)
    assert.equal(413, post(large, { ["X-netmera-api-key"] = "wrong" }).status)
    local head = { ["X-Filler"] = ("z"):rep(17000) }
    assert.equal(431, post(event(), head).status)
  end)

  it("takes a body of exactly the limit", function()
    local filler = 65536 - #'{"EventTypeID":99,"x":""}'
    local answer = post('{"EventTypeID":99,"x":"' .. ("y"):rep(filler) .. '"}')
    assert.equal(200, answer.status)
  end)

  it("refuses ambiguous HTTP with 400 and closes", function()
    local head = "POST /optimove/event/acme-app-key HTTP/1.1\r\nHost: x\r\n"
    local bad = {
      head .. "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
      head .. "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
      head .. "Host: y\r\nContent-Length: 2\r\n\r\n{}",
      head .. "X-A: b\r\n folded\r\nContent-Length: 2\r\n\r\n{}",
      head .. "X-A:\rx: y\r\nContent-Length: 2\r\n\r\n{}",
      head .. "Content-Length: 2\n\n{}",
      "POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    }
    for _, bytes in ipairs(bad) do
      local answers, connection = http.raw(url, bytes)
      assert.equal(1, #answers, bytes)
      assert.equal(400, answers[1].status, bytes)
      assert.equal("close", answers[1].headers.connection)
      require("spec.support.loop").await("the close", function() return connection.is_closed end)
    end
  end)

  it("answers pipelined requests in order on one connection", function()
    local one = "POST /optimove/event/acme-app-key HTTP/1.1\r\nHost: x\r\nX-netmera-api-key: rest-key\r\n" ..
                "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    local bytes = {}
    for i = 1, 50 do
      local body = '{"EventTypeID":99,"pipelined":' .. i .. "}"
      bytes[#bytes + 1] = one:format(#body, body)
    end
    local answers, connection = http.raw(url, table.concat(bytes), 50)
    connection.close()
    assert.equal(50, #answers)
    local last = 0
    for _, answer in ipairs(answers) do
      local id = math.tointeger(tonumber(answer.json().id))
      assert.is_true(id > last)
      last = id
    end
  end)

  it("records what the rules do not route as held, with the reason", function()
    local id = post(event({ note = "held" })).json().id
    local loop = require("spec.support.loop")
    local row = loop.await("the event in the queue", function()
      for _, item in ipairs(story.daemon.ask("queue", "list").items) do
        if item.id == id then return item end
      end
    end)
    assert.equal("held", row.state)
    assert.equal("event type 99 is not routed", row.reason)
  end)

  it("says that it lives, that it is ready, and its metrics", function()
    assert.equal(200, http.request({ url = story.daemon.url .. "/healthz" }).status)
    assert.equal(200, http.request({ url = story.daemon.admin_url .. "/healthz" }).status)
    local ready = http.json({ url = story.daemon.admin_url .. "/readyz" })
    assert.is_table(ready)
    local metrics = http.request({ url = story.daemon.admin_url .. "/metrics" })
    assert.matches("netmove_events_total{result=\"accepted\"} %d", metrics.body)
    assert.equal(401, http.request({ url = story.daemon.admin_url .. "/api/v1/tenants" }).status)
  end)
end)
