-- The life of the process: stop, reload, upgrade, and what it takes over from who started it.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local loop = require("spec.support.loop")
local process = require("spec.support.process")
local traffic = require("spec.support.traffic")
local uv = require("luv")

local program = os.getenv("NETMOVE") or "build/netmove"

describe("the process", function()
  local story

  --- The fakes are slow to start and not always needed.
  local function open(options) story = daemon.story(options) end

  after_each(function()
    if story then story.close(true) end
    story = nil
  end)

  local function logged(pattern)
    return loop.await("a line in the log: " .. pattern, function()
      for i = #story.daemon.process.err, 1, -1 do
        local found = story.daemon.process.err[i]:match(pattern)
        if found then return found end
      end
    end)
  end

  local function count_logged(text)
    local count = 0
    for _, line in ipairs(story.daemon.process.err) do
      if line:find(text, 1, true) then count = count + 1 end
    end
    return count
  end

  local function replace_program(text)
    story.daemon.write("netmove.new", text)
    assert(uv.fs_chmod(story.daemon.path .. "/netmove.new", 493))
    assert(uv.fs_rename(story.daemon.path .. "/netmove.new", story.daemon.program))
  end

  --- Everything acknowledged has gone out.
  local function expect_delivered(acknowledged)
    loop.await("the queue to empty", function()
      local status = story.daemon.ask("status")
      return status.waiting_messages == 0 and status.waiting_events == 0
    end)
    local delivered, missing = {}, {}
    for _, row in ipairs(story.netmera.rows("recipients")) do delivered[row.extId] = true end
    for customer, id in pairs(acknowledged) do
      if not delivered[customer] then missing[#missing + 1] = customer .. " (" .. id .. ")" end
    end
    assert.same({}, missing)
  end

  local function end_traffic(callers)
    callers.stop()
    loop.await("the last answers", function() return callers.open == 0 end)
  end

  --- Ends the process that took over, which is nobody's child.
  local function stop_successor(pid)
    uv.kill(pid, "sigterm")
    loop.await("the end of the new process", function() return story.daemon.process.err.is_closed end)
  end

  -- ---- stop ----

  -- Once a stop waited until Optimove took the look at the listeners that it had refused for pace: half a minute.
  it("does not wait for a key that Optimove paces when it stops", function()
    open()
    story.daemon.kill()
    story.optimove.post("reset", { only = { "ledger" } })
    story.optimove.faults({ { name = "paced", match = { path = "GetRegisteredEventListeners" },
                              ["do"] = { status = 429, headers = { ["Retry-After"] = "20" } } } })
    story.daemon.start()
    loop.await("a refused look", function() return story.optimove.get("faults")[1].applied > 0 end)
    story.daemon.stop()
    assert.equal(1, story.optimove.get("faults")[1].applied)
    assert.equal(0, count_logged("no answer yet"))
  end)

  it("stops under traffic with every request answered, and keeps all that was acknowledged", function()
    open()
    local callers = traffic.start({ listen = story.daemon.listen, ends_when_refused = true })
    loop.await("traffic", function() return callers.answered > 200 end)
    story.daemon.process.kill("sigterm")
    assert.equal(0, story.daemon.process.wait())
    loop.await("the callers' end", function() return callers.open == 0 end)
    -- Between our last look at the door and its closing the system may let one in.
    assert.is_true(#callers.lost <= 1, #callers.lost .. " lost")
    assert.is_true(callers.refused > 0)
    assert.same({}, callers.others)
    assert.equal(0, count_logged("with work in flight"))
    story.daemon.start()
    expect_delivered(callers.acknowledged)
  end)

  -- The first message of a provider made its lane while the engine was ending, which then waited for it for 30 s.
  it("stops at once in the moment of the first message", function()
    for _ = 1, 5 do
      open()
      for i = 1, 2 do
        story.daemon.event({ EventTypeID = 11, CampaignID = "first", ChannelID = 459, TemplateID = 1201,
                             CustomerID = "F" .. i })
      end
      story.daemon.stop()
      for _, line in ipairs(story.daemon.process.err) do assert.is_nil(line:find("with work in flight", 1, true)) end
      story.close()
      story = nil
    end
  end)

  it("stops in its time though a provider hangs, and writes down what it does not know", function()
    open({ settings = "stop_max = 3," })
    story.netmera.faults({ { match = { path = "sendNotification" }, ["do"] = { hang = true } } })
    assert.equal(200, story.daemon.event({ EventTypeID = 11, CampaignID = "h", ChannelID = 459, TemplateID = 1201,
                                           CustomerID = "hangs" }).status)
    story.netmera.reaches("requests=1")
    local began = uv.hrtime()
    story.daemon.process.kill("sigterm")
    assert.equal(0, story.daemon.process.wait())
    assert.is_true((uv.hrtime() - began) / 1e9 < 25, "it took far longer than stop_max")
    assert.equal(0, count_logged("with work in flight"))
    assert.equal(1, count_logged("their outcome is unknown"))
  end)

  it("cuts off a caller who does not come to an end, and stops whole", function()
    open({ settings = "stop_max = 3," })
    local host, port = story.daemon.listen:match("^([^:]+):(%d+)$")
    local slow = http.connect({ host = host, port = tonumber(port) })
    slow.write("POST /optimove/event/acme-app-key HTTP/1.1\r\nHost: x\r\nX-netmera-api-key: rest-key\r\n" ..
               "Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n")
    loop.await("the invitation", function() return slow.received:find("100 Continue", 1, true) end)
    story.daemon.process.kill("sigterm")
    assert.equal(0, story.daemon.process.wait())
    assert.equal(1, count_logged("are cut off"))
    assert.equal(0, count_logged("with work in flight"))
    story.daemon.start()
    assert.equal(0, count_logged("was not closed"))
    slow.close()
  end)

  -- ---- settings ----

  it("touches nothing where its settings are wrong", function()
    story = { daemon = daemon.folder({ rules = false }), close = function() story.daemon.remove() end }
    local wrong = {
      { 'stor = "sqlite:other.db",', 3, "stor" },
      { 'master_key = secret "file:missing.key",', 3, "missing.key" },
      { 'user = "nobody-of-this-name",', 3, "nobody-of-this-name" },
      { 'public = { listen = "0.0.0.0:0" },', 3, "public.listen" },
    }
    local function files()
      local names = {}
      for name in uv.fs_scandir_next, assert(uv.fs_scandir(story.daemon.path)) do names[#names + 1] = name end
      table.sort(names)
      return names
    end
    local before = files()
    for _, case in ipairs(wrong) do
      story.daemon.settings = case[1]
      story.daemon.configure()
      local result = story.daemon.cli("serve")
      assert.equal(case[2], result.code, case[1])
      assert.matches(case[3], result.err, 1, true)
    end
    story.daemon.settings = ""
    story.daemon.configure()
    local result = story.daemon.cli("serve", "--listen", "nowhere")
    assert.equal(2, result.code)
    assert.same(before, files())
  end)

  it("takes a new log level while it runs, and says what waits for a start", function()
    open({ apply = false })
    assert.equal(0, count_logged('"level":"debug"'))
    story.daemon.settings = 'log = { level = "debug" }, stop_max = 7,'
    story.daemon.configure()
    story.daemon.process.kill("sighup")
    logged("log.level is changed")
    logged("stop_max is changed in the file and holds with the next start")

    story.daemon.settings = 'log = { level = "info" }, stop_max = 7,'
    story.daemon.configure()
    local verdict = story.daemon.ask("reload")
    assert.same({ "log.level" }, verdict.settings.applied)
    assert.is_truthy(table.concat(verdict.settings.restart, " "):find("stop_max", 1, true))

    story.daemon.settings = "stop_max = 0,"
    story.daemon.configure()
    story.daemon.process.kill("sighup")
    logged("settings are as before: netmove.lua: stop_max: found 0; expected a whole number")
    story.daemon.settings = ""
    story.daemon.configure()
    assert.equal(0, story.daemon.cli("reload").code)
  end)

  it("says who has the store", function()
    open({ apply = false })
    local second = story.daemon.cli("serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    assert.equal(3, second.code)
    assert.matches("netmove.db is in use by process " .. story.daemon.process.pid, second.err, 1, true)
  end)

  it("gives up root for the user of its settings", function()
    if uv.getuid() ~= 0 then pending("only root can become somebody else") return end
    story = { daemon = daemon.folder({ rules = false, settings = 'user = "nobody",' }) }
    story.close = function() story.daemon.remove() end
    os.execute("chown -R nobody '" .. story.daemon.path .. "'")
    story.daemon.start()
    local status = assert(io.open("/proc/" .. story.daemon.process.pid .. "/status")):read("a")
    local uid = io.popen("id -u nobody"):read("n")
    assert.matches("Uid:%s" .. ("%d\t%d\t%d\t%d"):format(uid, uid, uid, uid), status)
    assert.matches("CapEff:%s0+\n", status)
    assert.equal(uid, uv.fs_stat(story.daemon.path .. "/netmove.sock").uid)
    assert.equal(uid, uv.fs_stat(story.daemon.path .. "/netmove.db").uid)
    local limits = io.open("/proc/" .. story.daemon.process.pid .. "/limits"):read("a")
    assert.matches("Max core file size%s+0%s+0", limits)
    story.daemon.stop()
  end)

  -- ---- upgrade ----

  it("hands sockets and store to the program now on disk without losing a request", function()
    open({ own_program = true })
    local old = story.daemon.process.pid
    local callers = traffic.start({ listen = story.daemon.listen })
    loop.await("traffic", function() return callers.answered > 200 end)
    replace_program("#!/bin/sh\nls -l /proc/$$/fd >fds.txt\nexec '" .. program .. "' \"$@\"\n")
    story.daemon.process.kill("sigusr2")
    local pid = tonumber(logged("handed over to process (%d+)", 60000))
    loop.await("the end of the old process", function() return story.daemon.process.exit_code end)
    assert.equal(0, story.daemon.process.exit_code)
    local before = callers.answered
    loop.await("traffic of the new process", function() return callers.answered > before + 200 end)
    end_traffic(callers)
    assert.equal(0, callers.refused)
    assert.same({}, callers.lost)
    assert.same({}, callers.others)

    assert.are_not.equal(old, pid)
    assert.equal(tostring(pid), story.daemon.read("netmove.db.lock"):match("%d+"))
    assert.equal(2, count_logged('"message":"ready"'))
    assert.equal(0, count_logged("was not closed"))
    expect_delivered(callers.acknowledged)
    stop_successor(pid)
    assert.is_nil(uv.fs_stat(story.daemon.path .. "/netmove.sock"))
  end)

  it("hands on the doors and the line, and no other descriptor", function()
    story = { daemon = daemon.folder({ own_program = true }), close = function() story.daemon.remove() end }
    local function numbers(name)
      local found = {}
      for number in story.daemon.read(name):gmatch(" (%d+) %->") do found[tonumber(number)] = true end
      return found
    end
    -- What this test itself was started with is passed on to everybody.
    story.daemon.write("list", "#!/bin/sh\nls -l /proc/$$/fd >before.txt\n")
    process.run({ command = "sh", args = { "list" }, cwd = story.daemon.path })
    story.daemon.start()
    replace_program("#!/bin/sh\nls -l /proc/$$/fd >fds.txt\nexit 1\n")
    story.daemon.process.kill("sigusr2")
    logged("the new version does not take over")
    local before, found, extra = numbers("before.txt"), numbers("fds.txt"), {}
    for number in pairs(found) do
      if number > 6 and not before[number] then extra[#extra + 1] = number end
    end
    assert.is_true(found[3] and found[4] and found[5] and found[6])
    assert.same({}, extra)
    story.daemon.stop()
  end)

  local broken = {
    ["ends at once"] = "#!/bin/sh\nexit 9\n",
    ["is no program"] = "\0\1\2\3 not a program",
    ["talks nonsense"] = "#!/bin/sh\necho this is not the word that was to be said >&3\nread x <&3\n",
  }
  for what, text in pairs(broken) do
    it("goes on serving where the new program " .. what, function()
      open({ own_program = true })
      local callers = traffic.start({ listen = story.daemon.listen })
      replace_program(text)
      story.daemon.process.kill("sigusr2")
      logged("the new version does not take over")
      local before = callers.answered
      loop.await("traffic", function() return callers.answered > before + 100 end)
      end_traffic(callers)
      assert.equal(0, callers.refused)
      assert.same({}, callers.lost)
      assert.is_nil(story.daemon.process.exit_code)
      expect_delivered(callers.acknowledged)
    end)
  end

  it("starts itself again where the new program takes the store and fails", function()
    open({ own_program = true })
    local callers = traffic.start({ listen = story.daemon.listen })
    loop.await("traffic", function() return callers.answered > 100 end)
    replace_program("#!/bin/sh\necho prepared >&3\nread word <&3\necho $word >said.txt\nexit 9\n")
    story.daemon.process.kill("sigusr2")
    loop.await("it to be ready again", function() return count_logged('"message":"ready"') == 2 end)
    assert.equal("go\n", story.daemon.read("said.txt"))
    assert.is_nil(story.daemon.process.exit_code)
    local before = callers.answered
    loop.await("traffic", function() return callers.answered > before + 100 end)
    end_traffic(callers)
    assert.equal(0, callers.refused)
    assert.same({}, callers.lost)
    assert.equal(tostring(story.daemon.process.pid), story.daemon.read("netmove.db.lock"):match("%d+"))

    -- And the next one, which is whole, is taken from where it always lay.
    replace_program("#!/bin/sh\nexec '" .. program .. "' \"$@\"\n")
    story.daemon.process.kill("sigusr2")
    local pid = tonumber(logged("handed over to process (%d+)", 60000))
    loop.await("the end of the old process", function() return story.daemon.process.exit_code end)
    expect_delivered(callers.acknowledged)
    stop_successor(pid)
  end)

  it("refuses a new program's settings before it lets go of anything", function()
    open({ apply = false, own_program = true })
    story.daemon.settings = "stop_max = 0,"
    story.daemon.configure()
    story.daemon.process.kill("sigusr2")
    logged("the new version does not take over: it ended with code 3")
    assert.equal(0, count_logged("finishing what is in flight"))
    assert.equal(200, http.request({ url = story.daemon.url .. "/healthz" }).status)
    story.daemon.settings = ""
  end)

  it("takes over where the old process is killed on its way", function()
    open({ own_program = true })
    story.netmera.faults({ { match = { path = "sendNotification", nth = 1 }, ["do"] = { hang = true } } })
    local acknowledged = {}
    acknowledged.hangs = story.daemon.event({ EventTypeID = 11, CampaignID = "h", ChannelID = 459,
                                              TemplateID = 1201, CustomerID = "hangs" }).json().id
    story.netmera.reaches("requests=1")
    story.daemon.process.kill("sigusr2")
    local pid = tonumber(logged("process (%d+) is prepared"))
    acknowledged.later = story.daemon.event({ EventTypeID = 11, CampaignID = "h", ChannelID = 459,
                                              TemplateID = 1201, CustomerID = "later" }).json().id
    story.daemon.process.kill("sigkill")
    loop.await("the new one to be ready", function() return count_logged('"message":"ready"') == 2 end)
    expect_delivered(acknowledged)
    stop_successor(pid)
  end)

  it("stops where SIGTERM comes while it hands over", function()
    open({ own_program = true })
    replace_program("#!/bin/sh\necho prepared >&3\nread word <&3\nexec sleep 100\n")
    story.daemon.process.kill("sigusr2")
    logged("takes the store")
    story.daemon.process.kill("sigterm")
    assert.equal(0, story.daemon.process.wait())
    assert.equal(0, count_logged("starting this version again"))
    story.daemon.program = program
    story.daemon.start()
  end)

  -- ---- sockets of a supervisor ----

  it("serves on sockets that a supervisor had opened, by their names", function()
    story = { daemon = daemon.folder({ rules = false }), close = function() story.daemon.remove() end }
    local sockets, ports = {}, {}
    for i = 1, 2 do
      sockets[i] = uv.new_tcp("inet")
      sockets[i]:bind("127.0.0.1", 0)
      ports[i] = sockets[i]:getsockname().port
    end
    story.daemon.process = process.start({
      command = "sh", cwd = story.daemon.path, descriptors = { sockets[1]:fileno(), sockets[2]:fileno() },
      args = { "-c", "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=admin:public exec '" .. program ..
                     "' serve --config netmove.lua" } })
    logged('"message":"(ready)"')
    for _, socket in ipairs(sockets) do socket:close() end
    assert.equal(ports[2], tonumber(logged('"message":"public on 127.0.0.1:(%d+)"')))
    assert.equal(404, http.request({ url = ("http://127.0.0.1:%d/metrics"):format(ports[2]) }).status)
    assert.equal(200, http.request({ url = ("http://127.0.0.1:%d/metrics"):format(ports[1]) }).status)
    story.daemon.stop()
  end)

  it("refuses sockets whose names it does not know", function()
    story = { daemon = daemon.folder({ rules = false }), close = function() story.daemon.remove() end }
    local socket = uv.new_tcp("inet")
    socket:bind("127.0.0.1", 0)
    local started = process.start({
      command = "sh", cwd = story.daemon.path, descriptors = { socket:fileno(), socket:fileno() },
      args = { "-c", "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=public:web exec '" .. program ..
                     "' serve --config netmove.lua" } })
    socket:close()
    assert.equal(3, (started.wait()))
    assert.matches('found "web"; expected public, admin or commands', table.concat(started.err, "\n"), 1, true)
  end)
end)
