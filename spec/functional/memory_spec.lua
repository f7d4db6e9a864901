-- One allocation of the whole daemon fails, or a row of them, or all from then on: ours, Lua's, SQLite's, OpenSSL's,
-- libcurl's, libuv's or jansson's (spec/support/scarce.c).  It goes on, or it ends with a word; what it acknowledged
-- is there after the next start.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local ledger = require("spec.support.ledger")
local loop = require("spec.support.loop")
local scarce = require("spec.support.scarce")

local is_slow = (os.getenv("NETMOVE_SANITIZE") or "") ~= ""
local lives = tonumber(os.getenv("NETMOVE_INJECTIONS") or os.getenv("NETMOVE_LONG") == "1" and 1000
                       or is_slow and 20 or 40)
local starts = os.getenv("NETMOVE_LONG") == "1" and 60 or is_slow and 6 or 12 -- of each source
local FOR_EVER = 1 << 40
local WIDTHS = { 1, 1, 20, 1, FOR_EVER }
local SIGABRT, SIGTERM = 6, 15

describe("want of memory", function()
  local story, memory, acknowledged, serial, token, complaints
  after_each(function()
    story.close(true)
    memory.close()
  end)

  local function has_ended() return story.daemon.process.exit_code end

  --- The answer, where one came.
  local function ask(request)
    if has_ended() then return nil end
    local ok, answer = pcall(http.request, request)
    return ok and answer or nil
  end

  local function post(event)
    local answer = ask({ url = story.daemon.url .. "/optimove/event/acme-app-key", body = event,
                         headers = { ["X-netmera-api-key"] = "rest-key" } })
    if not answer or answer.status ~= 200 then return end
    local id = answer.json().id
    acknowledged[id] = event.CustomerID or "campaign " .. event.CampaignID
    return id
  end

  local function fire_hook()
    ask({ url = story.daemon.url .. "/hooks/acme-app-key/event", headers = { ["X-netmera-api-key"] = "rest-key" },
          body = { id = "hook-" .. serial, type = "EVENT", name = "PURCHASE", extId = "H" .. serial,
                   attributes = { total = serial } } })
  end

  local function admin(method, path)
    return ask({ url = story.daemon.admin_url .. "/api/v1/" .. path, method = method,
                 headers = { Authorization = "Bearer " .. token } })
  end

  --- Something of everything that the daemon does.
  local function live()
    local single = post({ EventTypeID = 11, CampaignID = "k", ChannelID = 459, TemplateID = 1201,
                          CustomerID = "S" .. serial, TimeStamp = "2026-11-23 10:00:00", first_name = "Ada" })
    for _, campaign in ipairs({ serial * 2, serial * 2 + 1 }) do
      story.optimove.post("campaigns", { campaign = campaign, channel = 459, templates = { 1201 }, count = 20,
                                         customerPrefix = "P" .. campaign .. "-" })
      post({ EventTypeID = 13, CampaignID = campaign, ChannelID = 459 })
    end
    post({ EventTypeID = 4, CampaignID = serial * 2 + 1, ChannelID = 459 })
    fire_hook()
    story.daemon.write("rules/acme.lua", story.daemon.read("rules/acme.lua"):gsub("\n%-%- version %d+\n$", "") ..
                       "\n-- version " .. serial .. "\n")
    admin("POST", "reload")
    if not has_ended() then story.daemon.apply(story, { provider = ", rate = " .. 50000 + serial }) end
    if single then admin("GET", "explain/" .. single) end
    admin("GET", "status")
  end

  local function judge(what, is_up)
    local code, signal = story.daemon.process.exit_code, story.daemon.process.exit_signal
    local said = table.concat(story.daemon.process.err, "\n")
    local has_reason = said:find('"message":"must not be: ', 1, true)
      or said:find('"message":"the process ends by signal 6', 1, true)
    local is_well = signal == 0 and code == 0 or signal == SIGTERM and not is_up -- not yet listening to it
    local is_refused = said:find("netmove serve: ", 1, true) or said:find("memory", 1, true)
    local is_own = signal == SIGABRT and has_reason or signal == 0 and is_refused
    local is_bad = said:find("runtime error", 1, true) or not has_reason and said:find("Sanitizer", 1, true)
    if is_bad or not (is_well or is_own) then
      complaints[#complaints + 1] = ("%s: code %d, signal %d:\n%s"):format(what, code, signal, said)
    end
    return not is_well
  end

  --- One life of the daemon; where it ended itself, it must have said why.  Gives whether it did.
  local function run_life(source, first, width)
    local what = ("%d of %s from %d on"):format(width, scarce.SOURCES[source], first)
    story.daemon.listen, story.daemon.admin = "127.0.0.1:0", "127.0.0.1:0"
    memory.reset()
    memory.fail(source, first, width)
    local is_up, why = pcall(story.daemon.start)
    if not (is_up or has_ended()) then complaints[#complaints + 1] = what .. ": neither up nor ended: " .. why end
    if is_up then live() end
    story.daemon.process.kill("sigterm")
    story.daemon.process.wait()
    return judge(what, is_up)
  end

  --- A start that had no memory for rules of old holds the runs that began with them, for a person to say.
  local function release_runs()
    for _, run in ipairs(story.daemon.ask("run", "list", "--limit", "10000").items) do
      if run.state == "held" then
        story.daemon.ask("run", "repin", run.id)
        story.daemon.ask("run", "release", run.id)
      end
    end
  end

  -- Once all failed from the third one of the process on, it ended with 3 and without a word: the word had no memory.
  it("from the beginning on is said", function()
    memory, complaints = scarce.new(), {}
    story = daemon.story({ env = memory.env, apply = false })
    story.daemon.stop()
    for source = 1, 3 do
      for first = 0, starts - 1 do
        local what = ("all of %s from %d on"):format(scarce.SOURCES[source], first)
        memory.reset()
        memory.fail(source, first, FOR_EVER)
        local is_up = pcall(story.daemon.start)
        story.daemon.process.kill("sigterm")
        story.daemon.process.wait()
        judge(what, is_up)
        assert(memory.failed() > 0, what)
      end
    end
    assert(#complaints == 0, table.concat(complaints, "\n"))
  end)

  it("is survived or said, " .. lives .. " times, and nothing that was acknowledged is lost", function()
    memory, acknowledged, serial, complaints = scarce.new(), {}, 0, {}
    story = daemon.story({ env = memory.env })
    story.optimove.post("settings", { rateLimit = { requests = 100000, windowMs = 10000 } })
    token = story.daemon.ask("token", "create", "--role", "admin", "--name", "ann").token
    story.daemon.stop()
    run_life(0, 0, 0)
    local calls, met, ended = {}, 0, 0
    for source in pairs(scarce.SOURCES) do calls[source] = memory.calls(source) end
    math.randomseed(tonumber(os.getenv("NETMOVE_SEED") or 20261123))
    for life = 1, lives do
      serial = life
      local source = life % 4
      local first = math.floor((life - math.random()) * calls[source] / lives)
      if run_life(source, first, WIDTHS[life % #WIDTHS + 1]) then ended = ended + 1 end
      if memory.failed() > 0 then met = met + 1 end
    end
    memory.reset()
    assert(#complaints == 0, table.concat(complaints, "\n"))
    story.daemon.start()
    assert.equal("active", admin("POST", "reload").json().rules[1].verdict)
    release_runs()
    loop.await("the queue to empty", function()
      local status = story.daemon.ask("status")
      return status.waiting_messages == 0 and status.waiting_events == 0 and status.delayed_events == 0
        and status.open_runs == 0
    end, 180000)
    story.daemon.stop()
    assert.is_true(met > lives // 2)
    local count = 0
    for _ in pairs(acknowledged) do count = count + 1 end
    assert.is_true(count >= lives // 4)
    local repeated = ledger.check(story, { acknowledged = acknowledged, is_ended = true, start_max_ms = 60000,
                                           repeated_max = lives * 42 })
    print(("# %d lives, %d met one of some %d allocations, %d ended themselves; %d acknowledged, 0 lost, %d sent twice")
      :format(lives, met, calls[0], ended, count, repeated))
  end)
end)
