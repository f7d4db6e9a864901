-- What an operator sees: ready or not and why, metrics, and a log that nobody has to read.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local json = require("spec.support.json")
local loop = require("spec.support.loop")
local process = require("spec.support.process")
local uv = require("luv")

local program = os.getenv("NETMOVE") or "build/netmove"

describe("health", function()
  local story
  after_each(function() if story then story.close(story.expects_errors) end story = nil end)

  local function ready()
    local answer = http.request({ url = story.daemon.admin_url .. "/readyz" })
    return answer.status, answer.json()
  end

  local function find_line(lines, pattern)
    for _, line in ipairs(lines) do
      if line:match(pattern) then return line:match(pattern) end
    end
  end

  local function log_levels(body)
    return http.request({ url = "unix:" .. story.daemon.path .. "/netmove.sock|/api/v1/log",
                          method = body and "PUT" or "GET", body = body })
  end

  it("is ready, and says what a 2xx means, how old the oldest is, how much disk is left", function()
    story = daemon.story()
    local status, body = ready()
    assert.equal(200, status)
    assert.equal("ready", body.status)
    assert.equal("2xx means fsynced", body.durability)
    assert.same({}, body.reasons)
    assert.is_true(body.disk_left_bytes > 0)
    assert.is_true(body.disk_left_minutes == json.null or body.disk_left_minutes >= 0)
    assert.equal(0, body.oldest_undelivered_ms)
    story.netmera.post("settings", { latencyMs = 60000 })
    story.daemon.event({ EventTypeID = 11, CampaignID = 7, ChannelID = 459, TemplateID = 1201, CustomerID = "42" })
    loop.await("an undelivered message that gets older", function()
      local _, now = ready()
      return now.oldest_undelivered_ms > 0
    end)
    story.netmera.post("settings", { latencyMs = 0 })
    story.daemon.kill() -- what was in flight has no answer for a minute
    story.expects_errors = true
  end)

  it("is not ready once the disk refuses, acknowledges nothing more, and has lost nothing", function()
    story = daemon.story({ apply = true })
    story.expects_errors = true
    story.daemon.stop()
    -- Files may grow to 3 MB, as if the disk were full then; SIGXFSZ is ignored, so writes fail.
    local small = process.start({
      command = "sh", cwd = story.daemon.path,
      args = { "-c", "trap '' XFSZ; ulimit -f 6000; exec \"$0\" serve --config netmove.lua", program } })
    story.daemon.process = small
    loop.await("it to be ready", function()
      return find_line(small.err, '"message":"(ready)"') or small.exit_code
    end)
    assert.is_nil(small.exit_code, table.concat(small.err, "\n"))
    story.daemon.url = "http://" .. find_line(small.err, '"public on ([%d.:]+)"')
    story.daemon.admin_url = "http://" .. find_line(small.err, '"admin on ([%d.:]+)"')
    assert.equal(200, (ready()))

    local taken, filler = {}, ("x"):rep(60000)
    local refused = loop.await("a refusal", function()
      local answer = story.daemon.event({ EventTypeID = 99, n = #taken, filler = filler })
      if answer.status == 200 then taken[#taken + 1] = answer.json().id return nil end
      return answer
    end)
    assert.equal(503, refused.status)
    assert.equal("1", refused.headers["retry-after"])
    local status, body = ready()
    assert.equal(503, status)
    assert.equal("not ready", body.status)
    assert.is_true(#body.reasons > 0, json.encode(body))
    assert.equal(200, http.request({ url = story.daemon.url .. "/healthz" }).status) -- it lives

    story.daemon.kill()
    story.daemon.start()
    assert.equal(200, (ready()))
    assert.is_true(#taken > 0)
    for _, id in ipairs(taken) do assert.equal(0, story.daemon.cli("explain", id).code, id) end
  end)

  it("has metrics with help, type and no row twice", function()
    story = daemon.story()
    local answer = http.request({ url = story.daemon.admin_url .. "/metrics" })
    assert.matches("^text/plain; version=0%.0%.4", answer.headers["content-type"])
    local helps, types, rows, family = {}, {}, {}, nil
    for line in answer.body:gmatch("[^\n]+") do
      local help, kind = line:match("^# HELP ([%w_]+) ."), line:match("^# TYPE ([%w_]+) %a+$")
      if help then
        assert.is_nil(helps[help], line)
        helps[help] = true
      elseif kind then
        assert.is_nil(types[kind], line)
        types[kind], family = line:match("%a+$"), kind
      else
        local name, labels, value = line:match("^([%w_]+)({?[^ ]*) (%-?[%d.]+)$")
        assert.equal(family, name, line)
        assert.is_true(helps[name] and types[name] ~= nil, line)
        assert.is_nil(rows[name .. labels], line)
        rows[name .. labels] = tonumber(value)
        if types[name] == "counter" then assert.matches("_total$", name) end
      end
    end
    assert.equal(0, rows.netmove_unexpected_total)
  end)

  it("has metrics that promtool finds nothing wrong with", function()
    if os.execute("command -v promtool >/dev/null 2>&1") ~= true then
      pending("promtool (package prometheus) is not installed")
      return
    end
    story = daemon.story({ provider = ", rate = 7.5" })
    story.optimove.post("trigger", { campaign = "m", channel = 459, template = 1201, customer = "C1" })
    story.netmera.reaches("deliveries=1")
    local metrics = http.request({ url = story.daemon.admin_url .. "/metrics" }).body
    for _, line in ipairs({ 'netmove_lane_messages{tenant="acme",provider="netmera",place="ready"} 0',
                            'netmove_lane_rate{tenant="acme",provider="netmera"} 7.5',
                            'netmove_lane_well{tenant="acme",provider="netmera"} 1',
                            'netmove_breaker_open{host="http://127.0.0.1:',
                            'netmove_runs{state="active"} 0', 'netmove_engine_stage{stage="leased"}',
                            'netmove_queue{kind="message",state="dead"} 0', "netmove_oldest_waiting_seconds" }) do
      assert.is_truthy(metrics:find(line, 1, true), line .. " in\n" .. metrics)
    end
    story.daemon.write("metrics.txt", metrics)
    local checked = process.run({ command = "sh", cwd = story.daemon.path,
                                  args = { "-c", "promtool check metrics < metrics.txt" } })
    assert.equal(0, checked.code, checked.out .. checked.err)
    assert.equal("", checked.out .. checked.err)
  end)

  it("gives a room another log level while it runs, on the socket alone", function()
    story = daemon.story()
    local function has_debug_of(room)
      return find_line(story.daemon.process.err, '"level":"debug","room":"(' .. room .. ')"')
    end
    assert.equal("info", log_levels().json().level)
    local changed = log_levels({ room = "engine", level = "debug" })
    assert.equal(200, changed.status, changed.body)
    assert.same({ engine = "debug" }, changed.json().rooms)
    story.daemon.event({ EventTypeID = 11, CampaignID = 7, ChannelID = 459, TemplateID = 1201, CustomerID = "42" })
    loop.await("what the engine says at debug", function() return has_debug_of("engine") end)
    assert.same({}, log_levels({ room = "engine", level = "default" }).json().rooms)
    assert.equal("warn", log_levels({ level = "warn" }).json().level)

    local unknown = log_levels({ room = "enigne", level = "debug" })
    assert.equal(400, unknown.status)
    assert.matches('did you mean \\"engine\\"?', unknown.body, 1, true)
    assert.equal("room", unknown.json().error.field)
    assert.matches('did you mean \\"debug\\"?', log_levels({ room = "engine", level = "debog" }).body, 1, true)
    assert.matches('did you mean \\"level\\"?', log_levels({ levle = "info" }).body, 1, true)
    assert.equal(400, log_levels({ room = 7, level = "info" }).status)
    assert.equal(400, log_levels({ room = "engine" }).status)
    assert.equal(401, http.request({ url = story.daemon.admin_url .. "/api/v1/log" }).status)
  end)

  it("goes on although nobody reads its log, and says what that cost", function()
    story = daemon.story()
    story.daemon.stop()
    local err, lines, rest, code = uv.new_pipe(false), {}, "", nil
    local function read()
      err:read_start(function(_, bytes)
        rest = rest .. (bytes or "")
        for line in rest:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
        rest = rest:match("([^\n]*)$")
      end)
    end
    local handle, pid
    handle, pid = uv.spawn(program, { args = { "serve", "--config", "netmove.lua" }, cwd = story.daemon.path,
                                      stdio = { nil, nil, err } }, function(status) code = status handle:close() end)
    read()
    loop.await("it to be ready", function() return find_line(lines, '"(ready)"') end)
    err:read_stop()

    local url = "http://" .. find_line(lines, '"public on ([%d.:]+)"')
    local request = "POST /optimove/event/acme-app-key HTTP/1.1\r\nHost: x\r\nX-netmera-api-key: rest-key\r\n" ..
                    "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    local events = 8000 -- of a line each, far more than a pipe and the buffers hold
    for first = 1, events, 200 do
      local bytes = {}
      for i = first, first + 199 do
        local body = '{"EventTypeID":99,"CampaignID":"c","n":' .. i .. "}"
        bytes[#bytes + 1] = request:format(#body, body)
      end
      local answers, connection = http.raw(url, table.concat(bytes), 200, 30000)
      connection.close()
      assert.equal(200, #answers)
    end
    loop.await("all to be planned", function()
      return story.daemon.ask("status").waiting_events == 0
    end)

    read()
    loop.await("the line that says how many were lost", function()
      return find_line(lines, '"message":"(%d+) lines were lost')
    end)
    local lost, planned = tonumber(find_line(lines, '"message":"(%d+) lines were lost')), 0
    uv.kill(pid, "sigterm")
    loop.await("its end", function() return code end)
    loop.await("its last line", function() return find_line(lines, '"message":"(stopped)"') end)
    for _, line in ipairs(lines) do
      if line:find('"message":"event is held', 1, true) then planned = planned + 1 end
    end
    assert.equal(0, code)
    assert.is_true(planned < events)
    assert.is_true(planned + lost >= events)
    err:close()
    story.daemon.start()
  end)
end)
