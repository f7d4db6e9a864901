-- Saving a tenant: its listeners appear at Optimove by themselves and never stay behind.

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
