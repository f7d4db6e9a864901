-- The admin API: saving a connector, conditions, the log of who changed what, the end of a tenant, TLS.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local json = require("spec.support.json")
local loop = require("spec.support.loop")
local process = require("spec.support.process")

describe("the admin API", function()
  local story, token
  after_each(function() story.close(true) end)

  local function begin(options)
    story = daemon.story(options)
    token = story.daemon.ask("token", "create", "--role", "admin", "--name", "ann").token
  end

  local function call(method, path, body, headers)
    local all = { Authorization = "Bearer " .. token }
    for name, value in pairs(headers or {}) do all[name] = value end
    return assert(http.request({ url = story.daemon.admin_url .. "/api/v1" .. path, method = method, body = body,
                                 headers = all }))
  end

  local function audit(limit)
    return call("GET", "/audit?limit=" .. (limit or 100)).json().items
  end

  local function connector()
    local answer = call("GET", "/tenants/acme/connector")
    return answer.json(), answer.headers.etag
  end

  it("shows a connector without its secret, and takes it back as it was shown", function()
    begin()
    local shown, tag = connector()
    assert.same({ set = true }, shown.apiKey)
    assert.equal(story.optimove.url, shown.baseUrl)
    assert.equal(2, #shown.channels)
    shown.channels[2] = nil
    local saved = call("PUT", "/tenants/acme/connector", shown, { ["If-Match"] = tag })
    assert.equal(200, saved.status, saved.body)
    local report = saved.json()
    assert.equal("applied", report.status)
    assert.matches("channels", table.concat(report.changes, "\n"))
    assert.matches("unregistered 13 for channel 481", table.concat(report.done, "\n"))
    assert.equal(3, #story.optimove.ledger().listeners)
    story.optimove.post("trigger", { campaign = "k", channel = 459, template = 1201, customer = "C1" })
    story.netmera.reaches("deliveries=1")
    assert.equal(0, story.daemon.cli("connector", "test", "acme").code) -- with the key that nobody sent again
  end)

  it("lets no two operators overwrite each other", function()
    begin()
    local shown, tag = connector()
    local first = call("PUT", "/tenants/acme/connector", shown, { ["If-Match"] = tag })
    assert.equal(200, first.status, first.body)
    assert.are_not.equal(tag, first.headers.etag)
    shown.status = "INACTIVE"
    local second = call("PUT", "/tenants/acme/connector", shown, { ["If-Match"] = tag })
    assert.equal(412, second.status)
    assert.matches("somebody else saved it meanwhile", second.body)
    assert.equal("ACTIVE", connector().status)
    assert.equal(200, call("PUT", "/tenants/acme/connector", shown, { ["If-Match"] = "*" }).status)
    assert.equal("INACTIVE", connector().status)
    local whole = call("GET", "/tenants/acme").json()
    assert.equal(412, call("PUT", "/tenants/acme", whole.document, { ["If-None-Match"] = "*" }).status)
    local version = tostring(whole.version - 1)
    local applied = story.daemon.cli("tenant", "apply", "tenants/acme.lua", "--if-version", version)
    assert.equal(1, applied.code)
    assert.matches("somebody saved it meanwhile", applied.err)
    assert.equal(0, story.daemon.cli("tenant", "apply", "tenants/acme.lua", "--if-version",
                                     tostring(whole.version)).code)
  end)

  it("saves no connector that cannot be right, and says why", function()
    begin()
    local shown = connector()
    local function refused(changes, words)
      local body = {}
      for key, value in pairs(shown) do body[key] = value end
      for key, value in pairs(changes) do body[key] = value end
      local answer = call("PUT", "/tenants/acme/connector", body)
      assert.equal(200, answer.status, answer.body)
      assert.equal("refused", answer.json().status)
      assert.matches(words, table.concat(answer.json().warnings, "\n"), 1, true)
      assert.same(shown, (connector()))
    end
    refused({ baseUrl = "http://10.1.2.3:8080" }, "not saved: 10.1.2.3:8080 may not be called from here")
    refused({ channels = { { id = 460, name = "Push", kind = "push" } } },
            "not saved: Optimove does not know channel 460 (Push)")
    story.optimove.post("settings", { keys = { { key = "optimove-key", kind = "admin" } } })
    refused({ apiKey = "mistyped" }, "not saved: Optimove refuses this key (401)")
    local wrong = call("PUT", "/tenants/acme/connector", { baseURL = "x" })
    assert.equal(400, wrong.status)
    assert.matches('did you mean "baseUrl"', table.concat(wrong.json().problems, "\n"), 1, true)
    assert.equal(404, call("PUT", "/tenants/nobody/connector", shown).status)
    local last = audit(5)
    assert.equal("refused", last[1].outcome)
    assert.equal(404, last[1].status)
    assert.equal(400, last[2].status)
    assert.equal(422, last[3].status)
    for _, line in ipairs(last) do assert.is_nil(json.encode(line):find("mistyped", 1, true)) end
  end)

  it("calls nothing at Optimove for a connector that is saved as INACTIVE, until it is ACTIVE again", function()
    begin()
    local shown = connector()
    shown.status = "INACTIVE"
    local before = story.optimove.ledger().requests
    assert.equal("applied", call("PUT", "/tenants/acme/connector", shown).json().status)
    shown.channels[2] = nil
    assert.equal("applied", call("PUT", "/tenants/acme/connector", shown).json().status)
    assert.equal(before, story.optimove.ledger().requests)
    assert.equal(5, #story.optimove.ledger().listeners) -- they stay
    shown.status = "ACTIVE"
    local again = call("PUT", "/tenants/acme/connector", shown)
    assert.equal("applied", again.json().status, again.body)
    assert.equal(3, #story.optimove.ledger().listeners)
  end)

  it("writes down every change, with what was and what became of it", function()
    begin()
    local shown = connector()
    shown.channels[2] = nil
    assert.equal(200, call("PUT", "/tenants/acme/connector", shown).status)
    assert.equal(404, call("POST", "/runs/17/cancel").status)
    assert.equal(200, call("PUT", "/log?dry_run=1", { level = "warn" }).status) -- not what this one knows
    assert.equal(200, call("PUT", "/tenants/acme?dry_run=1", call("GET", "/tenants/acme").json().document).status)
    local lines = audit()
    assert.equal("PUT /api/v1/log", lines[1].route)
    assert.matches("token ann %(%d+%)", lines[1].who)
    assert.same({ level = "warn" }, lines[1].details)
    assert.equal("/api/v1/runs/17/cancel", lines[2].thing)
    assert.equal("refused", lines[2].outcome)
    assert.equal("PUT /api/v1/tenants/{tenant}/connector", lines[3].route)
    assert.equal("acme", lines[3].tenant)
    assert.matches("^version 1, %x+$", lines[3].was)
    assert.matches("^version 2, %x+$", lines[3].became)
    assert.matches("channels", table.concat(lines[3].details, "\n"))
    assert.equal("socket uid " .. require("luv").getuid(), lines[4].who)
    assert.equal("done", lines[4].outcome)
    local older = call("GET", "/audit?limit=2&before=" .. lines[2].id).json().items
    assert.equal(lines[3].id, older[1].id)
    assert.equal(2, #older)
    story.daemon.kill()
    story.daemon.start()
    assert.same(lines[3], call("GET", "/audit?limit=1&before=" .. lines[2].id).json().items[1])
  end)

  it("removes a tenant: its listeners, what waits, itself; a token of it is worth nothing then", function()
    begin()
    local own = story.daemon.ask("token", "create", "--tenant", "acme", "--name", "own").token
    story.netmera.faults({ { ["do"] = { status = 503 } } })
    for i = 1, 5 do
      story.optimove.post("trigger", { campaign = "k", channel = 459, template = 1201, customer = "C" .. i })
    end
    loop.await("messages that wait", function()
      return story.daemon.ask("status").waiting_messages == 5
    end)
    local asked = story.daemon.cli("tenant", "remove", "acme")
    assert.equal(1, asked.code)
    assert.matches("Say --yes if so", asked.err, 1, true)
    local removed = story.daemon.cli("tenant", "remove", "acme", "--yes")
    assert.equal(0, removed.code, removed.out .. removed.err)
    assert.matches("5 messages that waited were stopped", removed.out)
    assert.equal(0, #story.optimove.ledger().listeners)
    assert.same({}, story.daemon.ask("tenant", "list").items)
    assert.equal(0, story.daemon.ask("status").waiting_messages)
    assert.equal(401, story.daemon.event({ EventTypeID = 11 }).status)
    token = own
    assert.equal(401, call("GET", "/tenants").status)
    story.daemon.write("tenants/plain.lua", [[return { name = "plain", appKey = "p", restApiKey = "r",
      providers = { log = { adapter = "loopback" } }, channels = { push = { "log" } } }]])
    assert.equal(0, story.daemon.cli("tenant", "apply", "tenants/plain.lua").code)
    assert.equal(0, story.daemon.cli("tenant", "remove", "plain", "--yes").code)
    local again = story.daemon.apply(story) -- the name and the appKey are free
    assert.equal(0, again.code, again.out .. again.err)
    assert.equal(5, #story.optimove.ledger().listeners)
  end)

  it("removes a tenant in the middle of a run, and nothing of it goes out any more", function()
    begin({ provider = ", rate = 100" })
    story.optimove.faults({ { match = { path = "ExecutionDetails" }, ["do"] = { shortPages = 200 } } })
    story.optimove.post("campaigns", { campaign = 1, count = 3000, channel = 459, templates = { 1201 } })
    story.optimove.post("execute", { campaign = 1, channel = 459 })
    story.netmera.reaches("deliveries=20")
    local run = story.daemon.ask("run", "list").items[1].id
    local removed = story.daemon.cli("tenant", "remove", "acme", "--yes")
    assert.equal(0, removed.code, removed.out .. removed.err)
    story.netmera.reaches("requests=1&quietMs=500")
    assert.is_true(story.netmera.ledger().deliveries < 3000)
    local shown = story.daemon.ask("run", "show", run)
    assert.equal("cancelled", shown.state)
    assert.equal("the tenant was removed", shown.reason)
    local status = story.daemon.ask("status")
    assert.equal(0, status.waiting_messages)
    assert.equal(0, status.open_runs)
    assert.same({}, story.daemon.errors())
    story.daemon.stop()
    story.daemon.start()
    assert.equal(0, story.daemon.ask("status").waiting_messages)
  end)

  it("knows of a change that the daemon did not live to end", function()
    begin()
    story.optimove.faults({ { match = { path = "GetRegisteredEventListeners" }, ["do"] = { delayMs = 60000 } } })
    local asked = process.start({ command = os.getenv("NETMOVE") or "build/netmove", cwd = story.daemon.path,
                                  args = { "--config", "netmove.lua", "connector", "apply", "acme" } })
    loop.await("the look", function() return story.optimove.get("faults")[1].applied > 0 end)
    story.daemon.kill()
    asked.wait()
    story.optimove.faults({})
    story.daemon.start()
    local line = audit(1)[1]
    assert.equal("POST /api/v1/connector/{tenant}/apply", line.route)
    assert.equal("not known", line.outcome)
    assert.equal(0, line.status)
  end)

  it("goes on removing after a restart, until Optimove has forgotten the listeners", function()
    begin()
    story.optimove.faults({ { match = { path = "UnregisterEventListener" }, ["do"] = { status = 500 } } })
    local removed = story.daemon.cli("tenant", "remove", "acme", "--yes")
    assert.equal(1, removed.code)
    assert.equal("leaving", story.daemon.ask("tenant", "list").items[1].connector)
    assert.equal(401, story.daemon.event({ EventTypeID = 11 }).status)
    assert.equal(1, story.daemon.apply(story).code)
    story.daemon.kill()
    story.optimove.faults({})
    story.daemon.start()
    loop.await("its end", function() return #story.daemon.ask("tenant", "list").items == 0 end)
    assert.equal(0, #story.optimove.ledger().listeners)
  end)

  it("removes by force what Optimove cannot be asked to forget, says what stays, and purges", function()
    begin()
    assert.equal(200, story.daemon.event({ EventTypeID = 99, CampaignID = "c" }).status)
    story.optimove.faults({ { match = { path = "UnregisterEventListener" }, ["do"] = { status = 500 } } })
    local removed = story.daemon.cli("tenant", "remove", "acme", "--yes", "--force", "--purge")
    assert.equal(0, removed.code, removed.out .. removed.err)
    assert.matches("stays behind at Optimove: listener 13 for channel 459, http", removed.out)
    assert.same({}, story.daemon.ask("tenant", "list").items)
    assert.same({}, story.daemon.ask("queue", "list").items)
    assert.equal("acme", audit(1)[1].thing:match("tenants/(.*)"))
  end)
end)

describe("the admin listener", function()
  it("speaks TLS to commands that know who signed its certificate", function()
    local self = daemon.folder({ rules = false })
    local made = process.run({ command = "openssl", cwd = self.path, args = {
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-keyout",
      "admin.key", "-out", "admin.crt", "-subj", "/CN=admin", "-addext", "subjectAltName=IP:127.0.0.1" } })
    assert.equal(0, made.code, made.err)
    local configure = self.configure
    function self.configure()
      configure()
      self.write("netmove.lua", (self.read("netmove.lua"):gsub('socket = "netmove.sock"',
        '%0, tls = { certificate = "admin.crt", key = "admin.key" }')))
    end
    self.configure()
    local text = self.read("netmove.lua")
    self.write("netmove.lua", (text:gsub("admin = { listen = \"127.0.0.1", "admin = { listen = \"0.0.0.0")
                                   :gsub(", tls = %b{}", "")))
    local refused = self.cli("reload")
    assert.equal(3, refused.code)
    assert.matches("would show tokens; name a certificate in admin.tls", refused.err, 1, true)
    self.write("netmove.lua", text)
    local start = process.start({ command = self.program, args = { "serve", "--config", "netmove.lua" },
                                  cwd = self.path })
    local admin
    loop.await("netmove to be ready", function()
      for _, line in ipairs(start.err) do
        admin = line:match('"message":"admin on ([%d.:]+)"') or admin
        if line:find('"message":"ready"', 1, true) then return true end
      end
      return start.exit_code
    end)
    local secret = json.decode(self.cli("--json", "token", "create", "--role", "admin").out).token
    self.write("token", secret .. "\n")
    local function ask(...)
      return self.cli("--url", "https://" .. admin, "--token-file", "token", ...)
    end
    local listed = ask("--ca", "admin.crt", "tenant", "list")
    assert.equal(0, listed.code, listed.err)
    assert.matches("no tenants yet", listed.out)
    local stranger = ask("tenant", "list")
    assert.equal(3, stranger.code)
    assert.matches("--ca FILE names who signed", stranger.err, 1, true)
    local clear = self.cli("--url", "http://192.0.2.1:9090", "--token-file", "token", "tenant", "list")
    assert.equal(2, clear.code)
    assert.matches("not sent in the clear", clear.err)
    assert.equal(400, http.request({ url = "http://" .. admin .. "/healthz" }).status)
    start.kill("sigterm")
    assert.equal(0, (start.wait()))
    self.remove()
  end)
end)

describe("provider", function()
  local story
  after_each(function() story.close(true) end)

  it("list names those of each tenant with the channels they carry, without secrets", function()
    story = daemon.story()
    local listed = story.daemon.cli("provider", "list")
    assert.equal(0, listed.code, listed.err)
    assert.matches("acme +netmera +netmera +push, sms, email", listed.out)
    local one = story.daemon.ask("provider", "list", "acme").items[1]
    assert.same({ set = true }, one.settings.apiKey)
    assert.equal(1, story.daemon.cli("provider", "list", "nobody").code)
  end)

  it("test says in plain words what is wrong, and sends nothing", function()
    story = daemon.story()
    local function says(code, words)
      local result = story.daemon.cli("provider", "test", "acme", "netmera")
      assert.matches(words, result.out .. result.err, 1, true)
      assert.equal(code, result.code, result.out .. result.err)
    end
    local function on(act) story.netmera.faults({ { ["do"] = act } }) end
    local function moved(url)
      local text = story.daemon.read("tenants/acme.lua"):gsub('"netmera", baseUrl = "[^"]*"',
                                                              '"netmera", baseUrl = "' .. url .. '"', 1)
      story.daemon.write("tenants/acme.lua", text)
      assert.equal(0, story.daemon.cli("tenant", "apply", "tenants/acme.lua").code)
    end
    says(0, "takes the key")
    on({ status = 403, body = '{"code":2010,"error":"Invalid API key"}' })
    says(1, "the API key is invalid")
    on({ status = 403, body = '{"code":2021,"error":"IP not allowed"}' })
    says(1, "our IP address is not allowed")
    on({ status = 404, body = "nothing here" })
    says(1, "there is no REST API of Netmera at")
    on({ status = 503, body = "" })
    says(0, "has trouble of its own (503)")
    story.netmera.faults({})
    moved("http://127.0.0.1:1")
    says(1, "nothing answers at http://127.0.0.1:1 (connection refused): is baseUrl right")
    moved("http://no-such-name.invalid")
    says(1, "the name of http://no-such-name.invalid is not found")
    moved("http://10.1.2.3")
    says(1, "may not be called from here")
    local unknown = story.daemon.cli("provider", "test", "acme", "nobody")
    assert.equal(1, unknown.code)
    assert.matches('has no provider "nobody"', unknown.err)
    assert.equal(0, story.netmera.ledger().deliveries)
  end)
end)
