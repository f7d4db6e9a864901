-- A channel's chain of providers: the first that is well takes the messages.

local daemon = require("spec.support.daemon")
local loop = require("spec.support.loop")
local world = require("spec.support.world")

--- A story with two providers for push: netmera, and after it spare with a world of its own.
local function story_of_two(settings)
  local story = daemon.story({ apply = false })
  story.spare = world.netmera()
  story.daemon.apply(story)

  --- Applies the tenant with more settings for both providers.
  function story.apply(text)
    local provider = ('providers = { netmera = { adapter = "netmera", baseUrl = %q, apiKey = "netmera-key"%s },\n' ..
                      '  spare = { adapter = "netmera", baseUrl = %q, apiKey = "netmera-key"%s } },\n'):format(
                      story.netmera.url, text, story.spare.url, text)
    local file = story.daemon.read("tenants/acme.lua")
    file = file:gsub("providers = .-\n  channels = ", function() return provider .. "  channels = " end)
    file = file:gsub('push = { "netmera" }', 'push = { "netmera", "spare" }')
    story.daemon.write("tenants/acme.lua", file)
    local applied = story.daemon.cli("tenant", "apply", "tenants/acme.lua")
    assert(applied.code == 0, applied.out .. applied.err)
  end
  story.apply(settings or "")

  function story.send(customer)
    story.optimove.post("trigger", { campaign = "f", channel = 459, template = 1201, customer = customer })
  end

  function story.ended()
    story.spare.close()
    story.close(true)
  end
  return story
end

describe("a chain of providers", function()
  local story
  after_each(function() story.ended() end)

  it("goes by the next while the first cannot be reached, and back when it can", function()
    story = story_of_two()
    local port = story.netmera.url:match(":(%d+)$")
    story.send("C0")
    story.netmera.reaches("deliveries=1")
    story.netmera.close()
    for i = 1, 20 do story.send("D" .. i) end
    story.spare.reaches("recipients=20")
    assert.equal(0, story.spare.ledger().repeated)
    assert.matches("netmove_messages_moved_total [1-9]",
                   require("spec.support.http").request({ url = story.daemon.admin_url .. "/metrics" }).body)

    story.netmera.open(port)
    local count = 0
    loop.await("the first to be used again", function()
      count = count + 1
      story.send("E" .. count)
      return story.netmera.ledger().deliveries > 0
    end)
    story.send("LAST")
    loop.await("the last by the first", function()
      return #story.netmera.rows("deliveries?extId=LAST") == 1
    end)
  end)

  it("moves what waits of a campaign when the first delivers nothing any more, each once", function()
    story = story_of_two(", rate = 300, retry = { first_s = 0.05, most_s = 0.2 }")
    story.optimove.post("campaigns", { campaign = 1, channel = 459, templates = { 1201 }, count = 900 })
    story.optimove.post("execute", { campaign = 1, channel = 459 })
    story.netmera.reaches("deliveries=60")
    story.netmera.faults({ { match = { path = "sendNotification" },
                             ["do"] = { status = 500, body = { code = 2001, error = "Internal" } } } })
    local run = loop.await("its end", function()
      local run = story.daemon.ask("run", "list").items[1]
      return run.state == "done" and run
    end)
    assert.equal(900, run.sent)
    local first, next_one = story.netmera.ledger(), story.spare.ledger()
    assert.is_true(next_one.recipients > 0)
    assert.equal(900, first.recipients + next_one.recipients)
    assert.equal(0, first.repeated + next_one.repeated)
  end)

  it("goes by the next where the first refuses our key", function()
    story = story_of_two()
    story.netmera.faults({ { match = { path = "sendNotification" }, ["do"] = { status = 401, body = { code = 1 } } } })
    for i = 1, 5 do story.send("K" .. i) end
    story.spare.reaches("recipients=5")
    local row = story.spare.rows("deliveries?extId=K1")[1]
    assert.equal("106", row.key)
  end)

  it('never sends by the next what may have been sent, where unknown = "hold"', function()
    story = story_of_two(', unknown = "hold"')
    story.netmera.faults({ { match = { path = "sendNotification" }, ["do"] = { close = "after" } } })
    for i = 1, 10 do story.send("U" .. i) end
    loop.await("ten held ones, or sent by the next", function()
      return #story.daemon.ask("queue", "list").items + story.spare.ledger().deliveries == 10
    end)
    local twice = 0
    for _, row in ipairs(story.spare.rows("deliveries")) do
      twice = twice + #story.netmera.rows("deliveries?extId=" .. row.extId)
    end
    assert.equal(0, twice)
  end)
end)
