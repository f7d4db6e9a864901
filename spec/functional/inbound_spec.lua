-- Another program's webhook, in any shape, becomes events of ours.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local json = require("spec.support.json")
local loop = require("spec.support.loop")

local RULES = [[
return tenant {
  name = "acme",
  time_zone = "Europe/Istanbul",
  messages = { thanks = push { notification_key = "106", params = { score = "{score|none}" } } },
  channels = { [459] = "push" },
  templates = { [1201] = "thanks" },
  events = { [11] = send_template, [4] = cancel_campaign },
  hooks = {
    PURCHASE = update_customer { CustomerID = from("extId"), LAST_TOTAL = from("attributes.total"):as("number") },
  },
  inbound = {
    shop = { name = "PURCHASE", extId = from("json.buyer.id"), attributes = { total = from("json.total") } },
    survey = function(request)
      if request.form.test == "yes" then return drop("a test") end
      return { CampaignID = "web", ChannelID = 459, TemplateID = 1201, CustomerID = request.form.user,
               attributes = { score = request.form.score } }
    end,
    stop = function(request) return { EventTypeID = 4, CampaignID = request.query.campaign } end,
    batch = function(request)
      local events = {}
      for i, one in ipairs(request.json) do
        events[i] = { name = "PURCHASE", extId = one.id, id = one.order, attributes = { total = one.total } }
      end
      return events
    end,
    broken = function(request) return { EventTypeID = 11, CampaignID = request.json.lost.id } end,
    nobody = { extId = from("json.user"), attributes = { a = 1 }, name = from("json.name") },
  },
  examples = {
    { given = { inbound = "shop", json = { buyer = { id = 42 }, total = "12.5" } },
      gives = { name = "PURCHASE", extId = 42, attributes = { total = "12.5" } } },
    { given = { inbound = "survey", form = { test = "yes" } }, gives = drop("a test") },
  },
}
]]

describe("a webhook from elsewhere", function()
  local story
  before_each(function()
    story = daemon.story()
    story.daemon.write("rules/acme.lua", RULES)
    story.daemon.ask("reload")
  end)
  after_each(function() story.close() end)

  local function call(name, options)
    options = options or {}
    local headers = { ["X-netmera-api-key"] = options.key or "rest-key" }
    if options.type then headers["Content-Type"] = options.type end
    local answer = http.request({
      url = story.daemon.url .. "/hooks/acme-app-key/in/" .. name, method = options.method or "POST",
      headers = headers, body = options.body or "",
    })
    return answer, answer.status == 200 and json.decode(answer.body) or answer.body
  end

  local function settled(id)
    return loop.await("event " .. id .. " to be looked at", function()
      local event = story.daemon.ask("queue", "show", id)
      return event.state ~= "new" and event
    end)
  end

  it("in JSON becomes a hook event, and an update at Optimove", function()
    local _, answer = call("shop", { type = "application/json", body = '{"buyer":{"id":42},"total":"99.5"}' })
    assert.equal("accepted", answer.status)
    local event = settled(answer.id)
    assert.equal("planned", event.state)
    assert.equal("inbound", event.event_kind)
    assert.equal("shop", event.name)
    assert.equal(1, #event.became)
    assert.equal("hook", event.became[1].event_kind)
    assert.equal("42", event.became[1].customer)
    assert.equal(answer.id, event.became[1].origin_id)
    story.optimove.reaches("updates=1")
    local _, again = call("shop", { type = "application/json", body = '{"buyer":{"id":42},"total":"99.5"}' })
    assert.same({ id = answer.id, status = "duplicate" }, again)
  end)

  it("as a form becomes a campaign event, and a push", function()
    local _, answer = call("survey", { type = "application/x-www-form-urlencoded; charset=utf-8",
                                       body = "user=C7&score=9+of+10" })
    story.netmera.reaches("recipients=1")
    assert.equal("106", story.netmera.rows("deliveries?extId=C7")[1].key)
    assert.equal("campaign", settled(answer.id).became[1].event_kind)
    _, answer = call("survey", { type = "application/x-www-form-urlencoded", body = "test=yes" })
    local event = settled(answer.id)
    assert.equal("dropped", event.state)
    assert.equal("a test", event.reason)
  end)

  it("by GET becomes a stop, and the secret of the address is kept nowhere", function()
    local answer = http.request({ url = story.daemon.url .. "/hooks/acme-app-key/in/stop?campaign=77&k=nonsense" })
    assert.equal(401, answer.status)
    local _, taken = call("stop?campaign=77&k=nonsense", { method = "GET" })
    local event = settled(taken.id)
    assert.equal("planned", event.state)
    assert.equal(4, event.became[1].type)
    assert.equal("77", event.became[1].campaign)
    assert.not_matches("nonsense", event.body)
    assert.not_matches("rest%-key", event.body)
  end)

  it("with several events becomes all of them, each known again by its own id", function()
    local _, answer = call("batch", { type = "application/json",
      body = '[{"id":"A","order":"o1","total":1},{"id":"B","order":"o2","total":2},'
        .. '{"id":"A","order":"o1","total":1}]' })
    local event = settled(answer.id)
    assert.equal(2, #event.became)
    assert.equal("o1", event.became[1].foreign_id)
    assert.equal("B", event.became[2].customer)
  end)

  it("that no rule knows, or that its rule cannot read, is held with the reason, and played again", function()
    local _, answer = call("shpo", { type = "application/json", body = '{"buyer":{"id":1},"total":1}' })
    local event = settled(answer.id)
    assert.equal("held", event.state)
    assert.equal('no inbound named "shpo" (did you mean "shop"?)', event.reason)
    local _, broken = call("broken", { type = "application/json", body = "{}" })
    assert.matches("^rules/acme.lua:%d+: attempt to index a nil value", settled(broken.id).reason)
    local _, nobody = call("nobody", { type = "application/json", body = '{"user":7}' })
    assert.equal("inbound nobody made no event: name is missing: which event was it?", settled(nobody.id).reason)

    story.daemon.write("rules/acme.lua",
      (RULES:gsub("shop = {", "shpo = {"):gsub('inbound = "shop"', 'inbound = "shpo"')))
    story.daemon.ask("reload")
    story.daemon.ask("queue", "retry", answer.id)
    loop.await("the held one to be played", function() return settled(answer.id).state == "planned" end)
    story.daemon.kill()
    story.daemon.start()
    assert.equal("1", settled(answer.id).became[1].customer)
  end)

  it("in a shape that cannot be kept is refused, and nothing is stored", function()
    assert.equal(400, call("shop", { type = "application/json", body = "{" }).status)
    assert.equal(400, call("shop", { body = "\xFF\xFE" }).status)
    assert.equal(404, call("sh.op").status)
    assert.equal(404, call("shop/more").status)
    assert.equal(405, call("shop", { method = "PUT" }).status)
    assert.equal(413, call("shop", { body = ("x"):rep(70000) }).status)
    assert.equal(401, call("shop", { key = "other" }).status)
    assert.equal(0, #story.daemon.ask("queue", "list").items)
  end)
end)
