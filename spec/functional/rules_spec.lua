-- A rules file is edited while the daemon runs.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local loop = require("spec.support.loop")

describe("a rules file", function()
  local story
  before_each(function() story = daemon.story() end)
  after_each(function() story.close() end)

  local count = 0
  local function send()
    count = count + 1
    local before = story.netmera.ledger().recipients
    story.optimove.post("trigger", { campaign = "r", channel = 459, template = 1201,
                                     customer = "C" .. count })
    story.netmera.reaches("recipients=" .. before + 1)
    return story.netmera.rows("deliveries?extId=C" .. count)[1].key
  end

  local function logged(pattern)
    return loop.await("a line in the log: " .. pattern, function()
      for i = #story.daemon.process.err, 1, -1 do
        local line = story.daemon.process.err[i]
        if line:find(pattern) then return line end
      end
    end)
  end

  local function edit(from, to)
    local text = story.daemon.read("rules/acme.lua")
    local at, to_at = text:find(from, 1, true)
    assert(at, from .. " is not in the file")
    story.daemon.write("rules/acme.lua", text:sub(1, at - 1) .. to .. text:sub(to_at + 1))
  end

  it("is live a moment after it was saved, without a command", function()
    assert.equal("106", send())
    edit('content = { notification_key = "106"', 'content = { notification_key = "206"')
    edit('notification_key = "106"', 'notification_key = "206"')
    loop.await("two generations", function()
      local _, generations = table.concat(story.daemon.process.err, "\n"):gsub("is active", "")
      return generations >= 2
    end)
    assert.equal("206", send())
  end)

  it("that is broken is refused with file, entry, reason and nearest word, and the old one serves on", function()
    edit('[1202] = "cart_reminder"', '[1202] = "cart_remindr"')
    local line = logged("cart_remindr")
    assert.matches('rules/acme.lua: templates%[1202%]: no message named', line)
    assert.matches('did you mean', line)
    assert.equal("106", send())
    local verdict = story.daemon.cli("reload")
    assert.equal(1, verdict.code)
    assert.matches("cart_remindr", verdict.out .. verdict.err)
  end)

  it("that is broken does not take its tenant down over a restart", function()
    edit('[1202] = "cart_reminder"', '[1202] = "cart_remindr"')
    logged("cart_remindr")
    story.daemon.stop()
    story.daemon.start()
    assert.equal("106", send())
  end)

  it("is followed by events that came after it, by kill and restart too", function()
    edit('content = { notification_key = "106"', 'content = { notification_key = "306"')
    edit('notification_key = "106"', 'notification_key = "306"')
    story.daemon.ask("reload")
    story.daemon.kill()
    story.daemon.start()
    assert.equal("306", send())
  end)

  it("has its cost in the list, of one generation and of everything", function()
    send()
    local cost = story.daemon.ask("rules", "list").items[1].cost
    assert.is_true(cost.calls >= 1 and cost.cpu_us_max >= 1 and cost.bytes_max > 100000)
    assert.equal(0, cost.overruns)
    assert.same(cost, story.daemon.ask("rules", "show", "acme").cost)
    assert.equal("events[11]", cost.rules[1].rule)
    assert.is_true(cost.rules[1].calls >= 1 and cost.rules[1].calls <= cost.calls)
    assert.matches("events%[11%]", story.daemon.cli("rules", "show", "acme", "--cost").out)
    local metrics = http.request({ url = story.daemon.admin_url .. "/metrics" }).body
    assert.matches("netmove_rules_calls_total " .. cost.calls .. "\n", metrics)
    assert.matches("netmove_rules_cpu_total %d%d%d%d", metrics)
    assert.matches("CPU, MEAN AND MOST", story.daemon.cli("rules", "list").out)
  end)

  it("with a dear example is warned of by check, which takes it all the same", function()
    edit("[4] = cancel_campaign,", "[4] = cancel_campaign,\n    [1] = function() "
         .. "for i = 1, 600000 do end return drop('x') end,")
    edit("examples = {", "examples = {\n    { given = { EventTypeID = 1 }, gives = { effect = 'drop' } },")
    local warnings = story.daemon.ask("check", "rules/acme.lua").warnings
    assert.equal(1, #warnings)
    assert.matches("^rules/acme.lua: example 1: used .* that one event may use$", warnings[1])
    local check = story.daemon.cli("check", "rules/acme.lua")
    assert.equal(0, check.code)
    assert.matches("example 1: used .*%(a warning%)", check.err)
    logged("rules/acme.lua: example 1: used ")
  end)

  it("that never ends on an event is stopped, and the event is held with the reason", function()
    edit("[4] = cancel_campaign,", "[4] = cancel_campaign,\n    [1] = function() while true do end end,")
    story.daemon.ask("reload")
    story.daemon.event({ EventTypeID = 1, CampaignID = 7 })
    local held = loop.await("the held event", function()
      return story.daemon.ask("queue", "list").items[1]
    end)
    assert.equal("held", held.state)
    assert.matches("instructions", held.reason)
    assert.equal("106", send())
  end)

  it("that overruns again and again is suspended, and its events wait for the next edit", function()
    edit("[4] = cancel_campaign,", "[4] = cancel_campaign,\n    [1] = function() while true do end end,")
    story.daemon.ask("reload")
    for i = 1, 20 do story.daemon.event({ EventTypeID = 1, CampaignID = i }) end
    assert.matches("rules of acme are suspended after 20 overruns", logged("are suspended"))
    story.daemon.event({ EventTypeID = 1, CampaignID = 21 })
    story.optimove.post("trigger", { campaign = "r", channel = 459, template = 1201, customer = "W" })
    local function waiting() return story.daemon.ask("status").delayed_events end
    loop.await("two events that wait", function() return waiting() == 2 end)
    assert.matches("edit the file", logged("event is delayed.*rules of acme are suspended after 20 overruns"))
    assert.matches("20 overruns", story.daemon.ask("rules", "list").items[1].suspended)
    assert.matches("suspended", story.daemon.cli("rules", "list").out)
    assert.equal(20, story.daemon.ask("rules", "show", "acme").cost.overruns)

    edit("while true do end", "return drop('well')")
    story.netmera.reaches("recipients=1")
    assert.equal("106", story.netmera.rows("deliveries?extId=W")[1].key)
    loop.await("nothing to wait", function() return waiting() == 0 end)
    assert.is_nil(story.daemon.ask("rules", "list").items[1].suspended)
  end)
end)
