-- What a provider may answer, and what becomes of the message.

local daemon = require("spec.support.daemon")
local loop = require("spec.support.loop")

describe("delivery by netmera", function()
  local story
  before_each(function() story = daemon.story() end)
  after_each(function() story.close(true) end)

  local function send(customer)
    story.optimove.post("trigger", { campaign = "d", channel = 459, template = 1201, customer = customer })
  end

  local function fault(what, match)
    match = match or {}
    match.path = "sendNotification"
    story.netmera.faults({ { match = match, ["do"] = what } })
  end

  local function dead()
    return loop.await("a dead letter", function()
      for _, item in ipairs(story.daemon.ask("queue", "list").items) do
        if item.state == "dead" then return item end
      end
    end, 20000)
  end

  it("tries again after a 500 and after a closed connection with nothing done", function()
    fault({ status = 500, error = nil, body = { code = 2001, error = "Internal" } }, { nth = 1 })
    send("C1")
    story.netmera.reaches("deliveries=1", 30000)
    assert.equal(0, story.netmera.ledger().repeated)
  end)

  it("keeps what a permanent error says as the dead letter's reason, and sends it when asked", function()
    fault({ error = "400/2101" })
    send("C2")
    local item = dead()
    assert.matches("2101", item.reason)
    assert.equal(0, story.netmera.ledger().deliveries)
    fault({ delayMs = 1 })
    assert.equal(0, story.daemon.cli("queue", "retry", item.id).code)
    story.netmera.reaches("deliveries=1")
  end)

  it("honours Retry-After", function()
    fault({ status = 429, headers = { ["Retry-After"] = "2" } }, { nth = 1 })
    send("C3")
    story.netmera.reaches("requests=1")
    local before = os.time()
    story.netmera.reaches("deliveries=1", 30000)
    assert.is_true(os.time() - before >= 1)
  end)

  it("sends again where the answer was lost, and says so in explain", function()
    fault({ close = "after" }, { nth = 1 })
    send("C4")
    story.netmera.reaches("deliveries=2", 30000)
    local rows = story.netmera.rows("recipients")
    assert.equal("C4", rows[1].extId)
    assert.equal(2, rows[1].count)
  end)

  it("splits a batch whose refusal names one person", function()
    story.netmera.post("settings", { unknown = { answer = "refuse", extIds = { "C5" } } })
    story.optimove.post("campaigns", { campaign = 30, channel = 459, templates = { 1201 }, count = 10 })
    story.optimove.post("execute", { campaign = 30, channel = 459 })
    story.netmera.reaches("deliveries=9", 30000)
    assert.matches("5016", dead().reason)
    assert.equal(0, story.netmera.ledger().repeated)
  end)

  it("waits for a provider that is down, and loses nothing", function()
    story.netmera.post("down", { ms = 1500 })
    for i = 1, 20 do send("D" .. i) end
    loop.await("Netmera to be up again", function() return (pcall(story.netmera.ledger)) end)
    story.netmera.reaches("recipients=20", 60000)
    assert.equal(0, story.netmera.ledger().repeated)
  end)
end)
