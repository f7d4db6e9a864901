-- Templates of the rules, put under Optimove's channels.

local daemon = require("spec.support.daemon")
local loop = require("spec.support.loop")

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
