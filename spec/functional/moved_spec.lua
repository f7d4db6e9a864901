-- A tenant leaves an account at Optimove: nothing of ours stays there, and nothing of others goes.

local daemon = require("spec.support.daemon")
local loop = require("spec.support.loop")

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
