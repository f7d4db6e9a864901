-- How often a customer may be written to, counted over restarts, in single messages and in runs.

local daemon = require("spec.support.daemon")
local json = require("spec.support.json")
local loop = require("spec.support.loop")

local RULES = [[
return tenant {
  name = "acme",
  time_zone = "Europe/Istanbul",
  messages = {
    offer = push { notification_key = "106", cap = { 1, per = "month" }, category = "ads" },
    news = push { notification_key = "107", category = "ads" },
    code = push { notification_key = "108", cap = false },
  },
  caps = { push = { 2, per = "month" }, ads = { 2, per = "month" } },
  channels = { [459] = "push" },
  templates = { [1201] = "offer", [1202] = "news", [1203] = "code" },
  events = { [11] = send_template, [13] = for_each_recipient(send("news")) },
}
]]

describe("frequency caps", function()
  local story
  before_each(function()
    story = daemon.story()
    story.daemon.write("rules/acme.lua", RULES)
    story.daemon.ask("reload")
  end)
  after_each(function() story.close() end)

  local count = 0
  local function event(template, customer)
    count = count + 1
    local answer = story.daemon.event({ EventTypeID = 11, CampaignID = "c" .. count, ChannelID = 459,
                                        TemplateID = template, CustomerID = customer })
    local id = json.decode(answer.body).id
    return loop.await("event to be looked at", function()
      local found = story.daemon.ask("queue", "show", id)
      return found.state ~= "new" and found
    end)
  end

  it("drop what is too much with the reason, over a restart too, and leave other people alone", function()
    assert.equal("planned", event(1201, "A").state)
    local again = event(1201, "A")
    assert.equal("dropped", again.state)
    assert.equal("cap: 1 a month of message offer", again.reason)
    assert.equal("planned", event(1201, "B").state)
    assert.equal("planned", event(1202, "A").state)
    story.daemon.kill()
    story.daemon.start()
    assert.equal("cap: 2 a month of category ads", event(1202, "A").reason)
    assert.equal("planned", event(1203, "A").state)
    assert.equal("planned", event(1202, "B").state)
    assert.equal("dropped", event(1202, "B").state)
    story.netmera.reaches("deliveries=5")
  end)

  it("count a run's recipients as dropped, with the reason, and never as messages", function()
    local function run_of(campaign, recipients)
      story.optimove.post("campaigns", { campaign = campaign, channel = 459, templates = { 1202 }, count = recipients })
      story.optimove.post("execute", { campaign = campaign, channel = 459 })
      return loop.await("the run to end", function()
        local first = story.daemon.ask("run", "list").items[1]
        return first and first.campaign == campaign and first.state == "done"
          and story.daemon.ask("run", "show", first.id)
      end)
    end
    run_of("71", 20)
    assert.equal(0, #run_of("72", 20).drops)
    local run = run_of("73", 40)
    assert.equal(20, run.made)
    assert.equal(20, run.sent)
    assert.equal(20, run.skipped)
    assert.same({ { count = 20, reason = "cap: 2 a month of category ads" } }, run.drops)
    assert.matches("20%s+cap: 2 a month of category ads", story.daemon.cli("run", "show", run.id).out)
    story.netmera.reaches("deliveries=60")
  end)
end)
