-- Saving a connector: listeners appear at Optimove by themselves and never stay behind.

local daemon = require("spec.support.daemon")
local loop = require("spec.support.loop")

describe("tenant apply", function()
  local story
  after_each(function() story.close(true) end)

  local function pairs_at_optimove()
    local found = {}
    for _, listener in ipairs(story.optimove.ledger().listeners) do
      found[#found + 1] = listener.EventTypeID .. "/" .. tostring(listener.ChannelID or "-")
    end
    table.sort(found)
    return found
  end

  local wanted = { "11/459", "11/481", "13/459", "13/481", "4/-" }

  it("registers 11 and 13 for each channel and 4 once, and says so", function()
    story = daemon.story({ apply = false })
    local applied = story.daemon.apply(story)
    assert.equal(0, applied.code, applied.out .. applied.err)
    assert.matches("registered 13 for channel 459", applied.out)
    assert.same(wanted, pairs_at_optimove())
    for _, listener in ipairs(story.optimove.ledger().listeners) do
      assert.matches("^" .. story.daemon.url:gsub("%p", "%%%0") .. "/optimove/event/acme%-app%-key%?k=",
                     listener.ListenerURL)
    end
  end)

  it("changes nothing when it is applied again", function()
    story = daemon.story()
    local calls = story.optimove.ledger().calls.RegisterEventListener["200"]
    assert.equal(0, story.daemon.apply(story).code)
    assert.equal(calls, story.optimove.ledger().calls.RegisterEventListener["200"])
    assert.same(wanted, pairs_at_optimove())
  end)

  it("leaves no stale listener behind after a step that failed", function()
    story = daemon.story({ apply = false })
    story.optimove.faults({ { match = { path = "RegisterEventListener", after = 2 },
                              ["do"] = { raw = "Something went wrong" } } })
    local first = story.daemon.apply(story)
    assert.equal(1, first.code)
    story.optimove.faults({})
    local second = story.daemon.apply(story)
    assert.equal(0, second.code, second.out .. second.err)
    assert.same(wanted, pairs_at_optimove())
  end)

  it("takes a channel's listeners away with the channel", function()
    story = daemon.story()
    local text = story.daemon.read("tenants/acme.lua"):gsub(", { id = 481.-}", "")
    story.daemon.write("tenants/acme.lua", text)
    local applied = story.daemon.cli("tenant", "apply", "tenants/acme.lua")
    assert.equal(0, applied.code, applied.out .. applied.err)
    assert.same({ "11/459", "13/459", "4/-" }, pairs_at_optimove())
  end)

  it("refuses a key that Optimove refuses", function()
    story = daemon.story({ apply = false })
    story.optimove.post("settings", { keys = { { key = "another", kind = "admin" } } })
    local applied = story.daemon.apply(story)
    assert.equal(1, applied.code)
    assert.matches("refuses this key", applied.out .. applied.err)
    assert.equal(0, #story.daemon.ask("tenant", "list").items)
  end)

  it("saves with a warning when Optimove does not answer, and goes on by itself", function()
    story = daemon.story({ apply = false })
    story.optimove.post("down", { ms = 2000 })
    local applied = story.daemon.apply(story)
    assert.is_true(applied.code == 1 or applied.code == 0)
    loop.await("the listeners", function()
      local is_up, found = pcall(pairs_at_optimove) -- it does not answer at first
      return is_up and #found == 5
    end)
  end)

  it("leaves somebody else's URL alone and says so", function()
    story = daemon.story({ apply = false })
    local http = require("spec.support.http")
    http.json({ url = story.optimove.url .. "/_world/settings", body = { reregister = "duplicate" } })
    http.request({ url = story.optimove.url .. "/General/RegisterEventListener",
                   headers = { ["X-API-KEY"] = "optimove-key" },
                   body = { EventTypeID = 13, ChannelID = 459, ListenerURL = "https://other.example/x" } })
    local applied = story.daemon.apply(story)
    assert.equal(1, applied.code)
    assert.matches("somebody else", applied.out)
    local theirs = 0
    for _, listener in ipairs(story.optimove.ledger().listeners) do
      if listener.ListenerURL == "https://other.example/x" then theirs = theirs + 1 end
    end
    assert.equal(1, theirs)
  end)

  it("says all that is wrong with a file at once, and changes nothing", function()
    story = daemon.story()
    local text = story.daemon.read("tenants/acme.lua"):gsub("baseUrl", "baseURL", 1):gsub("hooks", "hoks")
    story.daemon.write("tenants/acme.lua", text)
    local applied = story.daemon.cli("tenant", "apply", "tenants/acme.lua")
    assert.equal(1, applied.code)
    assert.matches('did you mean "baseUrl"', applied.out .. applied.err)
    assert.matches('did you mean "hooks"', applied.out .. applied.err)
    assert.same(wanted, pairs_at_optimove())
  end)

  it("shows a tenant without its secrets", function()
    story = daemon.story()
    local shown = story.daemon.cli("--json", "tenant", "show", "acme")
    assert.equal(0, shown.code)
    assert.is_nil(shown.out:find("optimove-key", 1, true))
    assert.is_nil(shown.out:find("netmera-key", 1, true))
    assert.is_nil(shown.out:find("rest-key", 1, true))
    local file = assert(io.popen("grep -c -a -e optimove-key -e netmera-key '" ..
                                 story.daemon.path .. "'/netmove.db*"))
    assert.matches(":0", file:read("a"))
    file:close()
  end)

  it("is there again after a restart, with the same secrets and URLs", function()
    story = daemon.story()
    local before = story.optimove.ledger().listeners
    story.daemon.stop()
    story.daemon.start()
    story.optimove.post("trigger", { campaign = "r", channel = 459, template = 1201, customer = "C1" })
    story.netmera.reaches("deliveries=1")
    assert.same(before, story.optimove.ledger().listeners)
  end)
end)

describe("connector", function()
  local story
  after_each(function() story.close(true) end)

  local http = require("spec.support.http")

  local function register(listener)
    local answer = http.request({ url = story.optimove.url .. "/General/RegisterEventListener",
                                  headers = { ["X-API-KEY"] = "optimove-key" }, body = listener })
    assert.equal(200, answer.status)
  end

  local function find(event_type, channel)
    local found = {}
    for _, listener in ipairs(story.optimove.ledger().listeners) do
      if listener.EventTypeID == event_type and listener.ChannelID == channel then
        found[#found + 1] = listener.ListenerURL
      end
    end
    return found
  end

  local function post_to(url)
    return http.request({ url = url, body = { EventTypeID = 4, CampaignID = "c" } }).status
  end

  it("plan names what is missing, stale, an orphan and a conflict, with reasons", function()
    story = daemon.story()
    story.optimove.post("settings", { reregister = "duplicate" })
    local ours = find(13, 459)[1]
    http.request({ url = story.optimove.url .. "/General/UnregisterEventListener",
                   headers = { ["X-API-KEY"] = "optimove-key" }, body = { EventTypeID = 4 } })
    register({ EventTypeID = 13, ChannelID = 459, ListenerURL = ours:gsub("k=[^&]+", "k=another") })
    register({ EventTypeID = 13, ChannelID = 504, ListenerURL = ours })
    register({ EventTypeID = 2, ListenerURL = "http://once.example/optimove/event/old?" .. ours:match("%?(.*)") })
    register({ EventTypeID = 11, ChannelID = 459, ListenerURL = "https://other.example/x?secret=1" })
    local plan = story.daemon.cli("connector", "plan", "acme")
    assert.equal(1, plan.code)
    assert.matches("missing: listener 4 for all channels", plan.out, 1, true)
    assert.matches("stale: listener 13 for channel 459 (Push): it is there more than once", plan.out, 1, true)
    assert.matches("orphan: listener 13 for channel 504: its channel is none of ours now", plan.out, 1, true)
    assert.matches("orphan: listener 2 for all channels: nothing routes this type", plan.out, 1, true)
    assert.matches("conflict: listener 11 for channel 459 (Push): somebody else's URL is registered there",
                   plan.out, 1, true)
    assert.matches("(https://other.example/x)", plan.out, 1, true)
    assert.is_nil(plan.out:find("secret=1", 1, true))
    local kinds = {}
    for _, finding in ipairs(require("spec.support.json").decode(
                               story.daemon.cli("--json", "connector", "plan", "acme").out).findings) do
      kinds[#kinds + 1] = finding.kind
    end
    assert.same({ "orphan", "orphan", "conflict", "stale", "missing" }, kinds)

    local applied = story.daemon.cli("connector", "apply", "acme")
    assert.equal(1, applied.code, applied.out .. applied.err)
    assert.same({ ours }, find(13, 459))
    assert.same({}, find(13, 504))
    assert.equal(1, #find(4))
    assert.equal(2, #find(11, 459))
    assert.matches("conflict", story.daemon.cli("connector", "status", "acme").out)

    local taken = story.daemon.cli("connector", "apply", "acme", "--take-over")
    assert.equal(0, taken.code, taken.out .. taken.err)
    assert.equal(1, #find(11, 459))
    assert.matches("all as wanted", taken.out)
    assert.equal(0, story.daemon.cli("connector", "plan", "acme").code)
    assert.equal(0, story.daemon.cli("connector", "status", "acme").code)
  end)

  it("replaces an old URL without a gap where registering over it does", function()
    story = daemon.story()
    local calls = story.optimove.ledger().calls
    assert.is_nil(calls.UnregisterEventListener)
    local rotated = story.daemon.cli("connector", "rotate", "acme")
    assert.equal(0, rotated.code, rotated.out .. rotated.err)
    assert.is_nil(story.optimove.ledger().calls.UnregisterEventListener)
    assert.equal(5, #story.optimove.ledger().listeners)
  end)

  it("rotate keeps both secrets valid until it is finished", function()
    story = daemon.story()
    local first = find(4)[1]
    assert.equal(0, story.daemon.cli("connector", "rotate", "acme").code)
    local second = find(4)[1]
    assert.are_not.equal(first, second)
    assert.equal(200, post_to(first))
    assert.equal(200, post_to(second))
    assert.equal(0, story.daemon.cli("connector", "rotate", "acme", "--finish").code)
    assert.equal(401, post_to(first))
    assert.equal(200, post_to(second))
    local again = story.daemon.cli("connector", "rotate", "acme", "--finish")
    assert.equal(1, again.code)
    assert.matches("no rotation is under way", again.err)
    story.daemon.stop()
    story.daemon.start()
    assert.equal(200, post_to(second:gsub("^http://[^/]+", story.daemon.url)))
  end)

  it("rotate drops no secret that a listener may still carry, unless it is forced", function()
    story = daemon.story()
    local first = find(4)[1]
    story.optimove.faults({ { match = { path = "General/" }, ["do"] = { status = 500 } } })
    assert.equal(1, story.daemon.cli("connector", "rotate", "acme").code)
    local second = story.daemon.cli("connector", "rotate", "acme")
    assert.equal(1, second.code)
    assert.matches("may still carry the older secret", second.err)
    assert.equal(200, post_to(first))
    assert.equal(1, story.daemon.cli("connector", "rotate", "acme", "--finish", "--force").code)
    assert.equal(401, post_to(first))
    story.optimove.faults({})
    assert.equal(0, story.daemon.cli("connector", "apply", "acme").code)
    assert.equal(200, post_to(find(4)[1]))
  end)

  it("finds drift by itself, at the tenant's pace, and mends it", function()
    story = daemon.story({ optimove = " checkEvery = 1," })
    story.optimove.post("reset", { only = { "listeners" } })
    loop.await("the listeners to come back", function() return #story.optimove.ledger().listeners == 5 end)
    loop.await("a word in the log", function()
      for _, line in ipairs(story.daemon.process.err) do
        if line:find("mended drift", 1, true) then return true end
      end
    end)
  end)

  it("calls nothing while it is INACTIVE, but looks when a person asks", function()
    story = daemon.story({ status = "INACTIVE", optimove = " checkEvery = 1," })
    assert.equal(0, story.optimove.ledger().requests)
    local applied = story.daemon.cli("connector", "apply", "acme")
    assert.equal(1, applied.code)
    assert.matches("INACTIVE", applied.err)
    assert.equal(0, story.optimove.ledger().requests)
    local plan = story.daemon.cli("connector", "plan", "acme")
    assert.equal(1, plan.code)
    assert.matches("missing: listener 13 for channel 459", plan.out, 1, true)
    assert.equal(0, story.daemon.cli("connector", "test", "acme").code)
    assert.equal(0, #story.optimove.ledger().listeners)
    assert.matches("INACTIVE", story.daemon.cli("connector", "status", "acme").out)
  end)

  it("keeps listeners by its own journal where the key may not list them", function()
    story = daemon.story({ apply = false })
    story.optimove.faults({ { match = { path = "GetRegisteredEventListeners" },
                              ["do"] = { status = 403, body = "Forbidden" } } })
    local applied = story.daemon.apply(story)
    assert.equal(0, applied.code, applied.out .. applied.err)
    assert.matches("our journal tells instead", applied.out)
    assert.equal(5, #story.optimove.ledger().listeners)
    local calls = story.optimove.ledger().calls.RegisterEventListener["200"]
    assert.equal(0, story.daemon.apply(story).code)
    assert.equal(calls, story.optimove.ledger().calls.RegisterEventListener["200"])
  end)

  it("test says in plain words what is wrong", function()
    story = daemon.story()
    local function says(code, ...)
      local result = story.daemon.cli("connector", "test", "acme")
      for _, words in ipairs({ ... }) do assert.matches(words, result.out .. result.err, 1, true) end
      assert.equal(code, result.code, result.out .. result.err)
    end
    local function on(path, act) story.optimove.faults({ { match = { path = path }, ["do"] = act } }) end

    says(0, "takes the key and lists 5 listeners", "Optimove knows all 2 channels",
         "Optimove has no attribute FIRST_NAME (params)",
         "which is no address of the internet: set public.url", "our own URL answers from this machine")
    on("GetRegistered", { status = 401, body = '"Unauthorized"' })
    says(1, "Optimove refuses this key (401)")
    on("GetExecutionChannels", { status = 403, body = "Forbidden" })
    says(0, "this kind of key (optimove.apiKey) may not call GetExecutionChannels (403)")
    on("GetRegistered", { status = 429, body = "{}" })
    says(1, "too many calls (429)")
    on("GetRegistered", { status = 500, body = "oops" })
    says(1, "Optimove has trouble of its own")
    on("GetRegistered", { raw = "Nope" })
    says(1, "something else than a list")
    story.optimove.faults({})
    story.optimove.post("settings", { channels = { { id = 459, name = "Push" } } })
    says(0, "Optimove does not know channel 481 (SMS)")
    assert.equal(5, #story.optimove.ledger().listeners)

    local function moved(url)
      local text = story.daemon.read("tenants/acme.lua"):gsub('baseUrl = "[^"]*"', 'baseUrl = "' .. url .. '"', 1)
      story.daemon.write("tenants/acme.lua", text)
      return story.daemon.cli("tenant", "apply", "tenants/acme.lua", "--force")
    end
    moved("http://127.0.0.1:1")
    says(1, "nothing answers at 127.0.0.1:1 (connection refused): is baseUrl right")
    moved("http://no-such-name.invalid")
    says(1, "the name no-such-name.invalid is not found: is baseUrl right")
    moved("http://10.1.2.3:8080")
    says(1, "may not be called from here")
  end)
end)

describe("an account at Optimove that the tenant leaves", function()
  local world = require("spec.support.world")
  local http = require("spec.support.http")
  local story, second

  before_each(function() second = world.optimove({ "--key", "second-key" }) end)
  after_each(function()
    second.close()
    story.close(true)
  end)

  --- Saves the tenant with another place or key.
  local function move(from, to)
    local text = story.daemon.read("tenants/acme.lua"):gsub(from:gsub("%p", "%%%0"), to, 1)
    story.daemon.write("tenants/acme.lua", text)
    return story.daemon.cli("tenant", "apply", "tenants/acme.lua")
  end

  local function move_to_second()
    local text = story.daemon.read("tenants/acme.lua"):gsub('apiKey = "optimove%-key"', 'apiKey = "second-key"', 1)
    story.daemon.write("tenants/acme.lua", text)
    return move(story.optimove.url, second.url)
  end

  it("keeps none of our listeners, and those of others", function()
    story = daemon.story()
    http.request({ url = story.optimove.url .. "/General/RegisterEventListener",
                   headers = { ["X-API-KEY"] = "optimove-key" },
                   body = { EventTypeID = 2, ListenerURL = "https://elsewhere.example.com/x" } })
    local moved = move_to_second()
    assert.equal(0, moved.code, moved.out .. moved.err)
    assert.equal(5, #second.ledger().listeners)
    local left = story.optimove.ledger().listeners
    assert.equal(1, #left)
    assert.equal(2, left[1].EventTypeID)
    assert.matches("old account", moved.out)
    assert.matches("nothing to do", story.daemon.cli("connector", "plan", "acme").out)
  end)

  it("is not asked for the rest of a campaign of the old one, over a kill -9 too, until a person says so", function()
    story = daemon.story()
    story.optimove.faults({ { match = { path = "ExecutionDetails", after = 1 }, ["do"] = { hang = true } },
                            { match = { path = "ExecutionDetails" }, ["do"] = { shortPages = 5 } } })
    story.optimove.post("campaigns", { campaign = 77, channel = 459, templates = { 1201 }, count = 20 })
    second.post("campaigns", { campaign = 77, channel = 459, templates = { 1201 }, count = 40 })
    story.optimove.post("execute", { campaign = 77, channel = 459 })
    local run = loop.await("its first page", function()
      local run = story.daemon.ask("run", "list").items[1]
      return run and run.rows_fetched > 0 and run
    end)
    move_to_second()
    story.daemon.kill()
    story.daemon.start()
    local held = story.daemon.ask("run", "show", run.id)
    assert.equal("held", held.state)
    assert.matches("has left the account", held.reason)
    assert.is_nil(second.ledger().calls.GetCustomerExecutionDetailsByCampaign)
    story.daemon.ask("run", "release", run.id)
    loop.await("the rest, from the new account", function()
      return story.daemon.ask("run", "show", run.id).state == "done"
    end)
  end)

  local push = ' = push { notification_key = "1" }, '
  local function rules(messages, templates)
    return ([[
      return tenant {
        name = "acme", time_zone = "UTC",
        messages = { %s },
        channels = { [459] = "push" },
        templates = { %s },
        events = { [11] = send_template },
      }
    ]]):format(messages, templates)
  end

  local function templates_of(optimove)
    local found = {}
    for _, row in ipairs(optimove.ledger().templates) do
      found[#found + 1] = ("%d/%d=%s"):format(row.ChannelID, row.TemplateID, row.TemplateName)
    end
    table.sort(found)
    return table.concat(found, " ")
  end

  it("keeps none of our templates, and those of others; plan shows them until then", function()
    local many = {}
    for id = 1, 150 do many[id] = ("[%d] = \"one\""):format(id) end
    story = daemon.story({ rules = rules("one" .. push, table.concat(many, ", ")) })
    http.request({ url = story.optimove.url .. "/Integrations/AddChannelTemplates?ChannelID=459",
                   headers = { ["X-API-KEY"] = "optimove-key" },
                   body = { { TemplateID = 900, TemplateName = "theirs" } } })
    story.optimove.faults({ { match = { path = "DeleteChannelTemplates", nth = 2 },
                              ["do"] = { status = 500, body = "away" } },
                            { match = { path = "DeleteChannelTemplates", after = 2 },
                              ["do"] = { status = 500, body = "away" } } })
    local moved = move_to_second()
    assert.equal(1, moved.code, moved.out .. moved.err)
    assert.equal(150, #second.ledger().templates)
    assert.equal(51, #story.optimove.ledger().templates)
    local plan = story.daemon.cli("connector", "plan", "acme")
    assert.equal(1, plan.code)
    assert.matches("old account: template 101 (one) on channel 459 (Push) at the old account " .. story.optimove.url ..
                   ": ours, and the tenant has left", plan.out, 1, true)
    story.daemon.kill()
    story.daemon.start()
    story.optimove.faults({})
    loop.await("the old account to be empty of ours", function()
      return templates_of(story.optimove) == "459/900=theirs"
    end, 60000)
    loop.await("the end", function() return story.daemon.cli("connector", "plan", "acme").code == 0 end)
    assert.equal(150, #second.ledger().templates)
  end)

  it("and does not let go of our templates is told of, and the rest goes on", function()
    story = daemon.story()
    story.optimove.faults({ { match = { path = "DeleteChannelTemplates" },
                              ["do"] = { status = 403, body = "Forbidden" } } })
    local moved = move_to_second()
    assert.equal(0, moved.code, moved.out .. moved.err)
    assert.matches("templates of channel 459 (Push) at the old account " .. story.optimove.url ..
                   " are not as wanted: DeleteChannelTemplates: 403 Forbidden", moved.out, 1, true)
    assert.equal(0, #story.optimove.ledger().listeners)
    assert.equal(0, story.daemon.cli("connector", "plan", "acme").code)
  end)

  --- A world whose Optimove takes two keys of one account.
  local function with_two_keys(text)
    story = { optimove = world.optimove({ "--key", "optimove-key", "--key", "other-key" }), netmera = world.netmera() }
    story.daemon = daemon.folder()
    if text then story.daemon.write("rules/acme.lua", text) end
    story.daemon.start()
    function story.close()
      story.daemon.stop()
      story.optimove.close()
      story.netmera.close()
      story.daemon.remove()
    end
    assert.equal(0, story.daemon.apply(story).code)
  end

  for _, is_barred in ipairs({ false, true }) do
    it("that is the same one under another key keeps our templates, which stay ours" ..
       (is_barred and ", also where it lists nothing" or ""), function()
      with_two_keys(rules("one" .. push, '[1] = "one", [2] = "one"'))
      if is_barred then
        story.optimove.faults({ { match = { path = "/Get" }, ["do"] = { status = 403, body = "Forbidden" } } })
      end
      local moved = move('apiKey = "optimove-key"', 'apiKey = "other-key"')
      assert.equal(0, moved.code, moved.out .. moved.err)
      assert.is_nil(story.optimove.ledger().calls.DeleteChannelTemplates)
      story.daemon.write("rules/acme.lua", rules("uno" .. push, '[1] = "uno"'))
      assert.equal(0, story.daemon.cli("reload").code)
      loop.await("the templates", function() return templates_of(story.optimove) == "459/1=uno" end)
    end)
  end

  it("that is the same one under another key has its listeners replaced without a gap", function()
    with_two_keys()
    local moved = move('apiKey = "optimove-key"', 'apiKey = "other-key"')
    assert.equal(0, moved.code, moved.out .. moved.err)
    local ledger = story.optimove.ledger()
    assert.equal(5, #ledger.listeners)
    assert.is_nil(ledger.calls.UnregisterEventListener)
    assert.equal(0, story.daemon.cli("connector", "plan", "acme").code)
  end)

  it("and is away is cleared when it comes back, and plan says so until then", function()
    story = daemon.story()
    story.optimove.faults({ { match = { path = "/General" }, ["do"] = { status = 500, body = "away" } } })
    local moved = move_to_second()
    assert.equal(1, moved.code, moved.out .. moved.err)
    assert.equal(5, #second.ledger().listeners)
    assert.equal(5, #story.optimove.ledger().listeners)
    local plan = story.daemon.cli("connector", "plan", "acme")
    assert.equal(1, plan.code)
    assert.matches("old account", plan.out)
    story.daemon.kill() -- what was kept of the old account survives
    story.daemon.start()
    story.optimove.faults({})
    loop.await("the old account to be empty", function() return #story.optimove.ledger().listeners == 0 end)
    loop.await("the end", function() return story.daemon.cli("connector", "plan", "acme").code == 0 end)
    assert.equal(5, #second.ledger().listeners)
  end)

  it("and refuses the old key is told of; a person has to look there", function()
    story = daemon.story()
    story.optimove.post("settings", { keys = { { key = "nobodys", kind = "admin" } } })
    local moved = move_to_second()
    assert.matches("may stay behind", moved.out .. moved.err)
    assert.equal(5, #second.ledger().listeners)
    assert.matches("may stay behind", story.daemon.cli("connector", "plan", "acme").out)
  end)
end)

describe("templates", function()
  local story
  after_each(function() story.close(true) end)

  local http = require("spec.support.http")
  local json = require("spec.support.json")
  local key = { ["X-API-KEY"] = "optimove-key" }

  local function at_optimove(channel)
    local found = {}
    for _, row in ipairs(http.json({ headers = key,
        url = story.optimove.url .. "/Integrations/GetChannelTemplates?ChannelID=" .. channel })) do
      found[#found + 1] = row.TemplateID .. "=" .. row.TemplateName
    end
    table.sort(found)
    return found
  end

  local function add(channel, id, name)
    local answer = http.request({ headers = key, body = { { TemplateID = id, TemplateName = name } },
      url = story.optimove.url .. "/Integrations/AddChannelTemplates?ChannelID=" .. channel })
    assert.equal(200, answer.status)
  end

  --- New rules; what is asked of Optimove to see what came of them does not count against its window.
  local function publish(text)
    story.optimove.post("settings", { rateLimit = json.null })
    story.daemon.write("rules/acme.lua", text)
    assert.equal(0, story.daemon.cli("reload").code)
  end

  local rules = [[
    return tenant {
      name = "acme", time_zone = "UTC",
      messages = { %s },
      channels = { [459] = "push", [481] = "sms" },
      templates = { %s },
      events = { [11] = send_template },
    }
  ]]
  local push, sms = ' = push { notification_key = "1" }, ', ' = sms { notification_key = "2", message_type = "N" }, '

  it("of the rules are put under each channel of their kind, when the tenant is applied", function()
    story = daemon.story()
    assert.same({ "1201=welcome", "1202=cart_reminder" }, at_optimove(459))
    assert.same({ "1203=order_shipped" }, at_optimove(481))
    assert.equal(0, story.daemon.cli("connector", "plan", "acme").code)
  end)

  it("follow the rules; only those that we added are renamed or deleted", function()
    story = daemon.story({ apply = false, rules = rules:format("one" .. push .. "two" .. sms,
                                                               '[1] = "one", [2] = "two", [3] = "one"') })
    story.optimove.post("settings", { rateLimit = json.null }) -- we look with the daemon's own key
    add(459, 3, "theirs of old")
    add(459, 77, "theirs too")
    assert.equal(0, story.daemon.apply(story).code)
    assert.same({ "1=one", "3=theirs of old", "77=theirs too" }, at_optimove(459))
    assert.same({ "2=two" }, at_optimove(481))
    publish(rules:format("uno" .. push, '[1] = "uno", [4] = "uno"'))
    loop.await("the templates", function()
      return table.concat(at_optimove(459), " ") == "1=uno 3=theirs of old 4=uno 77=theirs too" and
        #at_optimove(481) == 0
    end)
    loop.await("the end", function() return story.daemon.cli("connector", "status", "acme").code == 0 end)
    assert.equal(0, story.daemon.cli("connector", "plan", "acme").code)
  end)

  it("are shown by plan and settled after a crash, a hundred a call", function()
    local ids = {}
    for id = 1, 250 do ids[id] = ("[%d] = \"one\""):format(id) end
    story = daemon.story({ apply = false, rules = rules:format("one" .. push, table.concat(ids, ", ")) })
    story.optimove.faults({ { match = { path = "AddChannelTemplates", nth = 2 },
                              ["do"] = { delayMs = 60000 } } })
    local process = require("spec.support.process")
    story.daemon.write("tenants/acme.lua", "")
    local asked
    do -- applied without waiting: the daemon dies while the second hundred is on its way
      local world = { optimove = story.optimove, netmera = story.netmera }
      local cli = story.daemon.cli
      story.daemon.cli = function(...)
        asked = process.start({ command = os.getenv("NETMOVE") or "build/netmove", cwd = story.daemon.path,
                                args = { "--config", "netmove.lua", ... } })
        return { code = 0 }
      end
      story.daemon.apply(world)
      story.daemon.cli = cli
    end
    loop.await("the second hundred", function()
      return story.optimove.get("faults")[1].applied == 1
    end)
    story.daemon.kill()
    asked.wait()
    story.optimove.faults({})
    story.daemon.start()
    loop.await("all templates", function() return #at_optimove(459) == 250 end)
    loop.await("the end", function() return story.daemon.cli("connector", "status", "acme").code == 0 end)
    story.optimove.post("reset", { only = { "templates" } })
    local plan = json.decode(story.daemon.cli("--json", "connector", "plan", "acme").out)
    assert.equal(250, #plan.findings)
    assert.equal("template", plan.findings[1].what)
    assert.equal("missing", plan.findings[1].kind)
    publish(rules:format("one" .. push, '[1] = "one"'))
    loop.await("what is wanted", function()
      return story.daemon.cli("connector", "status", "acme").code == 0 and #at_optimove(459) == 1
    end)
  end)

  it("and channels that Optimove refuses to tell of are a warning, not a failure", function()
    story = daemon.story({ apply = false })
    story.optimove.faults({ { match = { path = "Templates" }, ["do"] = { status = 403, body = "Forbidden" } },
                            { match = { path = "GetExecutionChannels" }, ["do"] = { status = 403 } } })
    local applied = story.daemon.apply(story)
    assert.equal(0, applied.code, applied.out .. applied.err)
    assert.matches("AddChannelTemplates: 403", applied.out)
    assert.matches("GetExecutionChannels: 403", applied.out)
    story.optimove.faults({})
    story.optimove.post("settings", { channels = { { id = 459, name = "Push" } } })
    local again = story.daemon.cli("connector", "apply", "acme")
    assert.equal(0, again.code, again.out .. again.err)
    assert.matches("Optimove does not know channel 481 (SMS)", again.out, 1, true)
    assert.same({ "1201=welcome", "1202=cart_reminder" }, at_optimove(459))
  end)
end)
