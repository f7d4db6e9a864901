-- Why: which step of which line answered, what its values are and where they came from.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local json = require("spec.support.json")
local loop = require("spec.support.loop")

local RULES = [[
local shared = use("shared")
return tenant {
  name = "acme",
  time_zone = "Europe/Istanbul",
  messages = {
    hello = push {
      notification_key = "106",
      params = {
        name = "{first_name|friend} from {city}",
        total = from("attributes.total"):as("number"):default(0),
        tier = function(event) return event.attributes.tier or "none" end,
      },
      cap = { 3, per = "day" },
    },
  },
  channels = { [459] = "push" },
  templates = { [1201] = "hello" },
  events = { [11] = { shared.adults_only, send_template } },
  hooks = {
    PURCHASE = all {
      update_customer { CustomerID = from("extId"), STORE = from("attributes.store"):default("online"),
        renamed("attributes", { score = "SCORE" }) },
      function(event) if event.attributes.big then return drop("told by hand") end end,
    },
  },
  inbound = { survey = { name = "SURVEY_DONE", extId = from("json.user"), attributes = { score = from("query.s") } } },
}
]]

local SHARED = [[
return {
  adults_only = function(event)
    if event.attributes.age and event.attributes.age < 18 then return drop("too young") end
  end,
}
]]

describe("explain", function()
  local story
  before_each(function()
    story = daemon.story()
    require("luv").fs_mkdir(story.daemon.path .. "/rules/lib", 448)
    story.daemon.write("rules/lib/shared.lua", SHARED)
    story.daemon.write("rules/acme.lua", RULES)
    story.daemon.ask("reload")
  end)
  after_each(function() story.close() end)

  local function of_file(event)
    story.daemon.write("event.json", json.encode(event))
    return story.daemon.ask("explain", "--tenant", "acme", "--event", "event.json"),
      story.daemon.cli("explain", "--tenant", "acme", "--event", "event.json").out
  end

  local function by_name(values)
    local found = {}
    for _, value in ipairs(values) do found[value.name] = value end
    return found
  end

  it("tells of an event in a file which step answered, where each value came from, and who would take it", function()
    http.request({ url = story.daemon.url .. "/profiles/acme-app-key/C1", method = "PUT",
                   headers = { ["X-netmera-api-key"] = "rest-key" },
                   body = { attributes = { city = "Izmir" } } })
    local answer, text = of_file({ EventTypeID = 11, CampaignID = "7", ChannelID = 459, TemplateID = 1201,
                                   CustomerID = "C1", attributes = { total = "12.50", tier = "gold" } })
    assert.equal("planned", answer.state)
    assert.is_true(answer.has_profile)
    assert.equal("rules/lib/shared.lua:2", answer.trace[1].at)
    assert.is_false(answer.trace[1].answered)
    assert.equal("rules/acme.lua: events[11][2]", answer.trace[2].at)
    assert.is_true(answer.trace[2].answered)
    local values = by_name(answer.trace[2].values)
    assert.equal("friend from Izmir", values["params.name"].value)
    assert.equal("default", values["params.name {first_name}"].from)
    assert.equal("profile", values["params.name {city}"].from)
    assert.equal("user.attributes.city", values["params.name {city}"].path)
    assert.same({ name = "params.total", value = 12.5, from = "event", path = "attributes.total", as = "as number" },
      values["params.total"])
    assert.equal("rules/acme.lua:11", values["params.tier"].at)
    assert.equal("gold", values["params.tier"].value)
    assert.same({ { scope = "message hello", max = 3, per = "day" } }, answer.effects[1].caps)
    assert.same({ { provider = "netmera", is_chosen = true } }, answer.messages[1].chain)
    assert.matches("step 2  send_template +answered %(rules/acme.lua: events%[11%]%[2%]%)", text)
    assert.matches("params.total +12.5 +attributes.total of the event, as number", text)
    assert.matches("message hello by netmera %(chosen%)", text)
    assert.matches("so it would be planned", text)
  end)

  it("tells of hooks, of steps side by side, and of what answered nothing", function()
    local answer = of_file({ name = "PURCHASE", extId = "C2", attributes = { score = 7, big = true } })
    local update = answer.trace[2]
    assert.equal("update_customer", update.step)
    local values = by_name(update.values)
    assert.equal("default", values.STORE.from)
    assert.equal("online", values.STORE.value)
    assert.same({ name = "SCORE", value = 7, from = "event", path = "attributes.score", as = "renamed" }, values.SCORE)
    assert.equal("rules/acme.lua:23", answer.trace[3].at)
    assert.equal("update", answer.effects[1].effect)
    assert.equal("drop", answer.effects[2].effect)
    answer = of_file({ EventTypeID = 11, CampaignID = "7", ChannelID = 459, TemplateID = 1201, CustomerID = "C1",
                       attributes = { age = 12 } })
    assert.equal("dropped", answer.state)
    assert.is_true(answer.trace[1].answered)
    assert.is_nil(answer.trace[2])
  end)

  it("tells of a webhook what it becomes, and of a recorded one what it became", function()
    local answer = of_file({ inbound = "survey", json = { user = 42 }, query = { s = "9" } })
    assert.same({ name = "SURVEY_DONE", extId = 42, attributes = { score = "9" } }, answer.effects[1].event)
    assert.equal("rules/acme.lua: inbound.survey", answer.trace[1].at)
    assert.equal("query.s", by_name(answer.trace[1].values)["attributes.score"].path)
    local posted = http.request({ url = story.daemon.url .. "/hooks/acme-app-key/in/survey?s=8", method = "POST",
      headers = { ["X-netmera-api-key"] = "rest-key" }, body = { user = "C9" } })
    local id = json.decode(posted.body).id
    local shown = loop.await("what it became", function()
      local found = story.daemon.ask("explain", id)
      return found.became and #found.became > 0 and found
    end)
    assert.equal("C9", shown.became[1].customer)
    assert.equal("8", shown.now.effects[1].event.attributes.score)
    local child = story.daemon.ask("explain", shown.became[1].id)
    assert.equal(id, child.event.origin_id)
    local text = story.daemon.cli("explain", id).out
    assert.matches(shown.became[1].id .. "%s+hook.-SURVEY_DONE%s+C9", text)
  end)

  it("plays an event as one recipient of a campaign", function()
    story.daemon.write("rules/acme.lua", (RULES:gsub("events = { %[11%]", "events = { [13] = for_each_recipient { "
      .. "when(from('attributes.out'), drop('out')), send_template }, [11]")))
    story.daemon.ask("reload")
    local row = { EventTypeID = 13, CampaignID = "7", ChannelID = 459, TemplateID = 1201, CustomerID = "C1" }
    story.daemon.write("row.json", json.encode(row))
    local whole = story.daemon.ask("explain", "--tenant", "acme", "--event", "row.json")
    assert.equal("expand", whole.effects[1].effect)
    local one = story.daemon.ask("explain", "--tenant", "acme", "--event", "row.json", "--recipient")
    assert.equal("planned", one.state)
    assert.equal("send", one.effects[1].effect)
    assert.equal("netmera", one.messages[1].chain[1].provider)
    assert.equal("send_template", one.trace[#one.trace].step)
    row.attributes = { out = true }
    story.daemon.write("row.json", json.encode(row))
    one = story.daemon.ask("explain", "--tenant", "acme", "--event", "row.json", "--recipient")
    assert.equal("dropped", one.state)
    assert.equal("out", one.reason)
  end)

  it("says where a rule fails", function()
    story.daemon.write("rules/lib/shared.lua", (SHARED:gsub("event.attributes.age and ", "")))
    story.daemon.ask("reload")
    local answer = of_file({ EventTypeID = 11, CampaignID = "7", ChannelID = 459, TemplateID = 1201,
                             CustomerID = "C1" })
    assert.equal("held", answer.state)
    assert.matches("^rules/lib/shared.lua:3: attempt to compare nil with number", answer.reason)
  end)
end)
