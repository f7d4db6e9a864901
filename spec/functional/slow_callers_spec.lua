-- Slow and hostile callers beside honest ones: the honest ones must not notice.
--
-- How long honest requests take is compared within one run, with the others and without them, so that a
-- slow machine changes nothing; they are reads, which no disk holds up.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local loop = require("spec.support.loop")
local process = require("spec.support.process")
local uv = require("luv")

local is_long = os.getenv("NETMOVE_LONG") == "1"
local is_sanitized = (os.getenv("NETMOVE_SANITIZE") or "") ~= ""

local kept = {} -- every handle, to the end: luv does not like them collected while the loop still knows them

describe("slow callers", function()
  local story
  local opened -- handles of this test

  before_each(function() opened = {} end)

  after_each(function()
    for _, handle in ipairs(opened) do
      if not handle:is_closing() then handle:close() end
    end
    if story then story.close() end
    story = nil
  end)

  -- ---- callers ---------------------------------------------------------------------------------

  local function keep(handle)
    opened[#opened + 1] = handle
    kept[#kept + 1] = handle
    return handle
  end

  --- Opens a connection; `on_bytes` hears what comes, `on_open` that it stands.
  local function connect(address, on_open, on_bytes)
    local host, port = address:match("^(.*):(%d+)$")
    local tcp = keep(uv.new_tcp())
    local self = { tcp = tcp, is_open = false, is_closed = false, bytes = 0 }
    function self.close()
      if not tcp:is_closing() then tcp:close() end
      self.is_closed = true
    end
    function self.write(bytes) if not tcp:is_closing() then tcp:write(bytes) end end
    tcp:connect(host, tonumber(port), function(err)
      if err then
        self.error = err
        self.close()
        return
      end
      if tcp:is_closing() then return end
      self.is_open = true
      if on_bytes then
        tcp:read_start(function(_, bytes)
          if not bytes then
            self.close()
          else
            self.bytes = self.bytes + #bytes
          end
          on_bytes(self, bytes)
        end)
      end
      if on_open then on_open(self) end
    end)
    return self
  end

  local function event(serial)
    local body = '{"EventTypeID":99,"CampaignID":7,"note":"' .. serial .. '"}'
    return "POST /optimove/event/acme-app-key HTTP/1.1\r\nHost: x\r\nX-netmera-api-key: rest-key\r\n" ..
           "Content-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
  end

  local read = "GET /profiles/acme-app-key/somebody HTTP/1.1\r\nHost: x\r\nX-netmera-api-key: rest-key\r\n\r\n"

  --- A daemon with a profile to read.
  local function serve(public)
    story = daemon.story({ public = public })
    local put = http.request({ url = story.daemon.url .. "/profiles/acme-app-key/somebody", method = "PUT",
                               headers = { ["X-netmera-api-key"] = "rest-key" }, body = { email = "a@example.com" } })
    assert.equal(201, put.status, put.body)
  end

  local health = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

  --- One request after another on each of `count` connections: every `every_ms` on each, or (0) as soon
  --- as the last is answered; each tenth on a connection of its own, whose making counts too.
  local function honest(count, request, every_ms)
    local self = { times = {}, times_of = {}, statuses = {}, failures = 0, serial = 0, waiting = 0, is_running = true }

    local function caller(at)
      local connection, began, received
      local asked = 0
      local timer = keep(uv.new_timer())
      local ask

      local function on_bytes(from, bytes)
        if from ~= connection then return end
        if not bytes then
          connection = nil
          if began then self.failures, self.waiting, began = self.failures + 1, self.waiting - 1, nil end
          return
        end
        received = received .. bytes
        local answer = http.parse(received, false)
        if not answer then return end
        local took, of_status = (uv.hrtime() - began) / 1e6, self.times_of[answer.status] or {}
        self.times[#self.times + 1], of_status[#of_status + 1] = took, took
        self.times_of[answer.status] = of_status
        self.statuses[answer.status] = (self.statuses[answer.status] or 0) + 1
        self.last, self.waiting, began = answer, self.waiting - 1, nil
        if every_ms > 0 then timer:start(every_ms, 0, ask) else ask() end
      end

      function ask()
        if not self.is_running then return end
        self.serial, self.waiting = self.serial + 1, self.waiting + 1
        began, received = uv.hrtime(), ""
        local bytes = type(request) == "function" and request(self.serial) or request
        asked = asked + 1
        if connection and asked % 10 > 0 then
          connection.write(bytes)
          return
        end
        if connection then
          local old = connection
          connection = nil
          old.close()
        end
        connection = connect(story.daemon.listen, function(new) new.write(bytes) end, on_bytes)
      end

      timer:start(every_ms > 0 and math.floor(at * every_ms / count) or 0, 0, ask)
    end

    for i = 1, count do caller(i - 1) end

    --- No further request; waits for the answers that are due.
    function self.stop()
      self.is_running = false
      loop.await("the last answers", function() return self.waiting == 0 end)
    end
    return self
  end

  local function quantile(times, part)
    local sorted = table.move(times, 1, #times, 1, {})
    table.sort(sorted)
    return sorted[math.ceil(#sorted * part)] or math.huge
  end

  --- The 99th percentile of each run of `size` answers, and of those the median: one hiccup of a busy machine
  --- spoils one run and not the figure.
  local function typical_p99(times, size)
    local runs = {}
    for from = 1, #times - size + 1, size do
      runs[#runs + 1] = quantile(table.move(times, from, from + size - 1, 1, {}), 0.99)
    end
    table.sort(runs)
    return runs[math.ceil(#runs / 2)]
  end

  --- The 99th percentile of so many honest reads, all of which must be answered 200; events pass too.
  local function measure(requests)
    local callers = honest(8, read, 0)
    loop.await(requests .. " honest answers", function() return #callers.times >= requests end)
    callers.stop()
    assert.equal(0, callers.failures)
    assert.equal(#callers.times, callers.statuses[200])
    assert.equal(200, story.daemon.event({ EventTypeID = 99, at = uv.hrtime() }).status)
    return typical_p99(callers.times, 100)
  end

  local function count_closed(callers)
    local count = 0
    for _, caller in ipairs(callers) do count = count + (caller.is_closed and 1 or 0) end
    return count
  end

  --- `count` callers of a kind; each says `first`, then a byte of `drip` every 100 ms.
  local function slow(count, first, drip)
    local callers = {}
    for i = 1, count do
      callers[i] = connect(story.daemon.listen, function(self) self.write(first) end, function() end)
    end
    loop.await("slow callers", function()
      for _, caller in ipairs(callers) do
        if not caller.is_open and not caller.is_closed then return false end
      end
      return true
    end)
    if drip then
      local timer = keep(uv.new_timer())
      timer:start(100, 100, function()
        for _, caller in ipairs(callers) do caller.write(drip) end
      end)
    end
    return callers
  end

  -- ---- 300 of each kind ------------------------------------------------------------------------

  local function is_untouched(name, before, with)
    print(("# %s: p99 %.1f ms without, %.1f ms with them"):format(name, before, with))
    assert.is_true(with <= before * 4 + 200, ("p99 rose from %.1f to %.1f ms"):format(before, with))
  end

  local slow_kinds = {
    { "slow heads", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ", "a" },
    { "slow bodies", "POST /optimove/event/acme-app-key HTTP/1.1\r\nHost: x\r\nX-netmera-api-key: rest-key\r\n" ..
                     "Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n{", " " },
    { "slow chunks", "POST /optimove/event/acme-app-key HTTP/1.1\r\nHost: x\r\nX-netmera-api-key: rest-key\r\n" ..
                     "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n" },
    { "silent ones", "", nil },
    { "idle ones", health, nil },
  }

  it("leave honest ones alone, 300 of each kind", function()
    serve("limits = { head = 300, body = 300, idle = 300, write = 300 }") -- they stay as long as it takes
    local before = measure(900)
    for _, kind in ipairs(slow_kinds) do
      local callers = slow(300, kind[2], kind[3])
      is_untouched(kind[1], before, measure(900))
      assert.equal(0, count_closed(callers))
      for _, caller in ipairs(callers) do caller.close() end
    end
  end)

  it("who do not read their answers leave honest ones alone", function()
    serve()
    local attributes = {}
    for i = 1, 400 do attributes[i] = ('"a%d":"%s"'):format(i, ("x"):rep(120)) end
    local put = http.request({ url = story.daemon.url .. "/profiles/acme-app-key/big", method = "PUT",
                               headers = { ["X-netmera-api-key"] = "rest-key",
                                           ["Content-Type"] = "application/json" },
                               body = '{"attributes":{' .. table.concat(attributes, ",") .. "}}" })
    assert.equal(201, put.status, put.body)
    local before = measure(900)
    local get = "GET /profiles/acme-app-key/big HTTP/1.1\r\nHost: x\r\nX-netmera-api-key: rest-key\r\n\r\n"
    local callers = slow(100, "", nil)
    for _, caller in ipairs(callers) do
      caller.tcp:read_stop()
      caller.write(get:rep(100)) -- 5 MB of answers that nobody takes
    end
    local function requests()
      local metrics = http.request({ url = story.daemon.admin_url .. "/metrics" }).body
      return tonumber(metrics:match("\nnetmove_http_requests_total (%d+)"))
    end
    local seen, began = requests(), uv.hrtime()
    loop.await("every way to be full", function()
      if uv.hrtime() - began < 500e6 then return false end
      local before_that = seen
      seen, began = requests(), uv.hrtime()
      return seen - before_that <= 1
    end)
    assert.is_true(seen < 100 * 100, "they were all answered")
    is_untouched("who do not read", before, measure(900))
  end)

  it("get only their time: head, body and idle", function()
    story = daemon.story({ public = "limits = { head = 1, body = 1, idle = 1, write = 1 }" })
    for _, kind in ipairs(slow_kinds) do
      local callers = slow(5, kind[2], kind[3])
      loop.await(kind[1] .. " to be closed", function() return count_closed(callers) == 5 end, 25000) -- unset: 30 s
      for _, caller in ipairs(callers) do
        if kind[3] then assert.is_true(caller.bytes > 0, kind[1] .. " were told nothing") end -- 408
      end
    end
  end)

  it("who take up every place make room", function()
    story = daemon.story({ public = "limits = { connections = 150 }" })
    for _, kind in ipairs(slow_kinds) do
      local callers = slow(300, kind[2], kind[3])
      for i = 1, 20 do
        local answer = http.request({ url = story.daemon.url .. "/healthz" })
        assert.equal(200, answer and answer.status, kind[1] .. ", honest caller " .. i)
      end
      for _, caller in ipairs(callers) do caller.close() end
      loop.await("them to be gone", function()
        local metrics = http.request({ url = story.daemon.admin_url .. "/metrics" }).body
        return tonumber(metrics:match("\nnetmove_connections (%d+)")) <= 1
      end)
    end
  end)

  it("of one address get so many connections and no more", function()
    story = daemon.story({ public = "limits = { per_address = 5 }" })
    local callers = slow(8, health, nil)
    loop.await("three to be refused", function() return count_closed(callers) == 3 end)
    local metrics = http.request({ url = story.daemon.admin_url .. "/metrics" }).body
    assert.matches("netmove_connections_refused_total 3", metrics)
    for _, caller in ipairs(callers) do caller.close() end
    loop.await("room again", function()
      local answer = http.request({ url = story.daemon.url .. "/healthz" })
      return answer and answer.status == 200
    end)
  end)

  -- ---- more than there is ----------------------------------------------------------------------

  --- CPU time of the daemon in ms.
  local function cpu_ms()
    local file = assert(io.open("/proc/" .. story.daemon.process.pid .. "/stat"))
    local user, system = file:read("a"):match("%) " .. ("%S+ "):rep(11) .. "(%d+) (%d+)")
    file:close()
    return (tonumber(user) + tonumber(system)) * 10
  end

  it("who use up the descriptors make it neither spin nor stay down", function()
    story = daemon.story()
    local fds = 0
    for _ in uv.fs_scandir_next, uv.fs_scandir("/proc/" .. story.daemon.process.pid .. "/fd") do fds = fds + 1 end
    local limited = process.run({ command = "prlimit", args = {
      "--pid", tostring(story.daemon.process.pid), "--nofile=" .. fds + 20 .. ":" .. fds + 20 } })
    assert.equal(0, limited.code, limited.err)

    local callers = slow(100, "GET /healthz HTTP/1.1\r\n", nil)
    local from, began = cpu_ms(), uv.hrtime()
    loop.await("a moment to pass", function() return uv.hrtime() - began > 900e6 end)
    local used = cpu_ms() - from
    assert.is_true(used <= (is_sanitized and 400 or 150), used .. " ms of CPU in 900 ms of waiting")
    for i = 1, 5 do -- those who say nothing whole make room here too
      local answer = http.request({ url = story.daemon.url .. "/healthz" })
      assert.equal(200, answer and answer.status, "honest caller " .. i)
    end
    for _, caller in ipairs(callers) do caller.close() end
    assert.equal(200, story.daemon.event({ EventTypeID = 99, n = 1 }).status)
    story.daemon.stop()
    assert.is_true(#story.daemon.process.err < 200, "it filled its log")
  end)

  it("who bring more than it can take are told so at once, and all is well a second later", function()
    story = daemon.story({ public = "limits = { requests = 8 }" })
    local flood = honest(256, event, 0)
    loop.await("a flood", function()
      return (flood.statuses[200] or 0) >= 200 and (flood.statuses[503] or 0) >= 200
    end)
    flood.stop()
    assert.equal(0, flood.failures)
    local taken, told = flood.statuses[200] or 0, flood.statuses[503] or 0
    local refused_ms, taken_ms = quantile(flood.times_of[503], 0.5), quantile(flood.times_of[200], 0.5)
    print(("# %d taken in %.1f ms, %d told to come again in %.1f ms"):format(taken, taken_ms, told, refused_ms))
    assert.equal(#flood.times, taken + told)
    assert.is_true(refused_ms <= taken_ms * 2 + 20, "they waited to be refused")
    local began = uv.hrtime()
    loop.await("a moment to pass", function() return uv.hrtime() - began > 1e9 end)
    for i = 1, 20 do assert.equal(200, story.daemon.event({ EventTypeID = 99, n = i }).status) end
  end)

  it("are told when to come again", function()
    story = daemon.story({ public = "limits = { requests = 1 }" })
    local flood, refusal = honest(32, event, 0), nil
    loop.await("a refusal", function()
      if flood.last and flood.last.status == 503 then refusal = flood.last end
      return refusal
    end)
    flood.stop()
    assert.equal("1", refusal.headers["retry-after"])
    assert.equal("overloaded", refusal.json().error.code)
  end)

  -- ---- many ------------------------------------------------------------------------------------

  it("may be many: idle and active ones cost little memory and no time", function()
    local idle, active = is_long and 10000 or 1000, is_long and 1000 or 100
    local a_second = is_long and 500 or 200
    serve("limits = { idle = 300 }")

    local function rate(count)
      local callers = honest(count, read, math.floor(count * 1000 / a_second))
      loop.await("traffic of " .. count, function() return #callers.times >= a_second * 9 end)
      callers.stop()
      assert.equal(0, callers.failures)
      return typical_p99(callers.times, a_second)
    end

    local before = rate(64)
    local callers = {}
    while #callers < idle do
      for _, caller in ipairs(slow(500, health, nil)) do callers[#callers + 1] = caller end
    end
    local with = rate(active)
    local status = assert(io.open("/proc/" .. story.daemon.process.pid .. "/status"))
    local rss_mb = tonumber(status:read("a"):match("VmRSS:%s+(%d+)")) / 1024
    status:close()
    print(("# %d idle, %d active: %.0f MB, p99 %.1f ms; 64 alone: %.1f ms"):format(#callers, active, rss_mb,
                                                                                with, before))
    assert.equal(0, count_closed(callers))
    assert.is_true(with <= before * 2 + 100, ("p99 rose from %.1f to %.1f ms"):format(before, with))
    if not is_sanitized then assert.is_true(rss_mb <= 150, rss_mb .. " MB") end
  end)
end)
