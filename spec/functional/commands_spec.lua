-- The program as a person at a terminal meets it.

local daemon = require("spec.support.daemon")
local loop = require("spec.support.loop")
local process = require("spec.support.process")

local source = os.getenv("NETMOVE_SOURCE")
local program = os.getenv("NETMOVE")

local function run(...)
  return process.run({ command = program, args = { ... }, cwd = source })
end

describe("netmove without a daemon", function()
  it("explains itself", function()
    local help = run("--help")
    assert.equal(0, help.code)
    for _, command in ipairs({ "serve", "check", "explain", "tenant", "queue", "run", "reload", "version" }) do
      assert.matches(command, help.out)
      local own = run(command, "--help")
      assert.equal(0, own.code, command)
      assert.matches("netmove " .. command, own.out)
    end
  end)

  it("names its libraries", function()
    local version = run("version")
    assert.equal(0, version.code)
    for _, library in ipairs({ "libuv", "OpenSSL", "libcurl", "Lua", "cjson", "jansson", "SQLite",
                               "libsodium", "llhttp" }) do
      assert.matches(library, version.out)
    end
  end)

  it("answers wrong usage with 2 and the nearest command", function()
    local wrong = run("tenat", "list")
    assert.equal(2, wrong.code)
    assert.matches("tenant", wrong.err)
    assert.equal(2, run("queue", "retry").code)
    local option = run("serve", "--lisen", "x")
    assert.equal(2, option.code)
    assert.matches("did you mean --listen?", option.err, 1, true)
    assert.matches("--url needs a value", run("status", "--url").err, 1, true)
    assert.matches("--trace takes no value", run("check", "--trace=1").err, 1, true)
    assert.matches("publish: FILE is missing", run("rules", "publish", "acme").err, 1, true)
    local early = run("queue", "--tenant", "acme", "list")
    assert.equal(2, early.code)
    assert.matches("--tenant comes behind the command", early.err, 1, true)
    assert.matches("expected https://HOST:PORT", run("status", "--url", "nonsense").err, 1, true)
  end)

  it("gives a token to another machine only by https, whatever its name begins with", function()
    for _, url in ipairs({ "http://example.com:9090", "http://127.0.0.1.example.com",
                           "http://localhost:9090@example.com", "http://localhost.example.com" }) do
      local refused = run("status", "--url", url)
      assert.equal(2, refused.code, url)
      assert.matches("not sent in the clear", refused.err, 1, true)
    end
  end)

  it("answers the words that other programs have for help", function()
    assert.equal(run("--help").out, run("help").out)
    assert.equal(run("queue", "--help").out, run("help", "queue").out)
    assert.equal(run("version").out, run("--version").out)
  end)

  it("answers 3 and what to do where no daemon is", function()
    local folder = daemon.folder()
    local result = folder.cli("queue", "list")
    assert.equal(3, result.code)
    assert.matches("netmove serve", result.err)
    folder.remove()
  end)

  it("proves the rules and settings of the repository", function()
    local check = run("check")
    assert.equal(0, check.code, check.out .. check.err)
    assert.equal(0, run("check", "rules/acme.lua").code)
    assert.equal(0, run("check", "spec/fixtures/rules/style_sample.lua").code)
  end)

  it("says what is wrong with a rules file", function()
    local folder = daemon.folder()
    local text = folder.read("rules/acme.lua")
    folder.write("rules/acme.lua", (text:gsub("templates = {", "tempaltes = {", 1)))
    local check = folder.cli("check", "rules")
    assert.equal(1, check.code)
    assert.matches('rules/acme.lua: tenant: unknown key "tempaltes" %(did you mean "templates"%?%)',
                   check.out .. check.err)
    assert.is_nil((check.out .. check.err):find("traceback"))
    folder.write("rules/acme.lua", text .. "\nreturn {{")
    check = folder.cli("check", "rules/acme.lua")
    assert.equal(1, check.code)
    assert.matches("rules/acme.lua:%d+:", check.out .. check.err)
    assert.equal(3, folder.cli("check", "no/such/file.lua").code)
    folder.remove()
  end)

  it("says that there is nothing to check in a folder without Lua files", function()
    local folder = daemon.folder()
    assert(require("luv").fs_mkdir(folder.path .. "/notes", 448))
    folder.write("notes/rules.txt", "later")
    local check = folder.cli("check", "rules", "notes/")
    assert.equal(3, check.code, check.out .. check.err)
    assert.matches("notes: nothing to check", check.err, 1, true)
    assert.equal(3, folder.cli("--json", "check", "notes").code)
    folder.remove()
  end)
end)

describe("netmove with a daemon", function()
  local story
  setup(function() story = daemon.story() end)
  teardown(function() story.close() end)

  it("explains an event from a file as today's rules see it", function()
    story.daemon.write("event.json",
      '{"EventTypeID":11,"CampaignID":7,"ChannelID":459,"TemplateID":1201,"CustomerID":"42"}')
    local result = story.daemon.cli("explain", "--tenant", "acme", "--event", "event.json")
    assert.equal(0, result.code, result.err)
    assert.matches("send", result.out)
    assert.matches("welcome", result.out)
  end)

  it("explains a recorded event: what it became, and each attempt", function()
    local answer = story.daemon.event({ EventTypeID = 11, CampaignID = 7, ChannelID = 459,
                                        TemplateID = 1201, CustomerID = "42" })
    local id = answer.json().id
    story.netmera.reaches("deliveries=1")
    local result = loop.await("the sent message", function()
      local shown = story.daemon.cli("explain", id)
      return shown.code == 0 and shown.out:find("accepted") and shown
    end)
    assert.matches("welcome", result.out)
    assert.equal(1, story.daemon.cli("explain", "1").code)
  end)

  it("lists and shows tenants and runs", function()
    assert.equal("acme", story.daemon.ask("tenant", "list").items[1].name)
    story.optimove.post("campaigns", { campaign = 70, channel = 459, templates = { 1201 }, count = 5 })
    story.optimove.post("execute", { campaign = 70, channel = 459 })
    local run_row = loop.await("the run's end", function()
      local row = story.daemon.ask("run", "list").items[1]
      return row and row.state == "done" and row
    end)
    local shown = story.daemon.cli("run", "show", run_row.id)
    assert.equal(0, shown.code)
    assert.matches("70", shown.out)
    assert.equal(1, story.daemon.cli("run", "show", "12345").code)
    local event = story.daemon.cli("explain", story.daemon.ask("run", "show", run_row.id).event_id)
    assert.equal(0, event.code, event.err)
    assert.matches("\ncampaign +70\n", event.out)
    assert.is_nil(event.out:find("\ntemplate "), event.out) -- a whole campaign names none
  end)

  it("cancels a run by hand", function()
    story.netmera.post("settings", { latencyMs = 300 })
    story.optimove.post("campaigns", { campaign = 71, channel = 459, templates = { 1201 }, count = 30000 })
    story.optimove.post("execute", { campaign = 71, channel = 459 })
    local active = loop.await("the run", function()
      local row = story.daemon.ask("run", "list").items[1]
      return row and row.campaign == "71" and row.made > 0 and row
    end)
    assert.equal(0, story.daemon.cli("run", "cancel", active.id).code)
    local shown = story.daemon.ask("run", "show", active.id)
    assert.equal("cancelled", shown.state)
    assert.is_true(shown.fenced_at_ms > 0)
  end)

  it("refuses a second daemon on the same store and names the first", function()
    local second = story.daemon.cli("serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    assert.equal(3, second.code)
    assert.matches(tostring(story.daemon.process.pid), second.err)
  end)

  it("ends with 0 on SIGTERM", function()
    local folder = daemon.folder().start()
    folder.process.kill("sigterm")
    assert.equal(0, (folder.process.wait()))
    folder.remove()
  end)
end)
