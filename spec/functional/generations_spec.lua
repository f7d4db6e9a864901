-- The life of a tenant's generations: listed, shown, gone back to, pinned until the file changes.

local daemon = require("spec.support.daemon")
local loop = require("spec.support.loop")

describe("generations", function()
  local story
  before_each(function() story = daemon.story() end)
  after_each(function() story.close() end)

  local count = 0
  --- Sends one push; gives the notification key it carried.
  local function send()
    count = count + 1
    local customer = "G" .. count
    story.optimove.post("trigger", { campaign = "g", channel = 459, template = 1201, customer = customer })
    local row = loop.await("the push", function()
      return story.netmera.rows("deliveries?extId=" .. customer)[1]
    end)
    return row.key
  end

  --- Gives the rules another key for their first message, and waits until that serves.
  local function edit(from, to)
    local text = story.daemon.read("rules/acme.lua")
    story.daemon.write("rules/acme.lua", (text:gsub('notification_key = "' .. from .. '"',
                                                    'notification_key = "' .. to .. '"')))
    story.daemon.ask("reload")
  end

  local function listed()
    local states = {}
    for _, row in ipairs(story.daemon.ask("rules", "list").items) do
      states[#states + 1] = row.is_active and (row.pinned_over ~= "" and "pinned" or "active") or "older"
    end
    return states
  end

  it("are listed, the serving one first, and their source is shown", function()
    edit("106", "206")
    assert.same({ "active", "older" }, listed())
    local shown = story.daemon.cli("rules", "show", "acme")
    assert.equal(0, shown.code)
    assert.equal(story.daemon.read("rules/acme.lua"), shown.out .. "\n")
    assert.equal(1, story.daemon.cli("rules", "show", "acme", "--generation", "ffffffffffff").code)
    assert.equal(1, story.daemon.cli("rules", "show", "nobody").code)
  end)

  it("can be gone back to, over a restart, until the file changes", function()
    assert.equal("106", send())
    edit("106", "206")
    assert.equal("206", send())

    local back = story.daemon.cli("rules", "rollback", "acme")
    assert.equal(0, back.code, back.err)
    assert.equal("106", send())
    assert.same({ "pinned", "older" }, listed())

    story.daemon.ask("reload")
    assert.equal("106", send())
    story.daemon.stop()
    story.daemon.start()
    assert.equal("106", send())
    assert.matches("pinned", story.daemon.cli("rules", "list").out)

    edit("206", "306")
    assert.equal("306", send())
    assert.equal("active", listed()[1])
  end)

  it("cannot be gone back to where there is none before", function()
    local back = story.daemon.cli("rules", "rollback", "acme")
    assert.equal(1, back.code)
    assert.matches("no generation before", back.err)
    assert.equal(1, story.daemon.cli("rules", "rollback", "nobody").code)
    assert.equal(1, story.daemon.cli("rules", "rollback", "acme", "--to", "12").code)
  end)
end)

describe("netmove init", function()
  it("writes a starter that proves itself, and never over a file", function()
    local folder = daemon.folder()
    local first = folder.cli("init", "fresh")
    assert.equal(0, first.code, first.err)
    assert.equal(0, folder.cli("check", "rules/fresh.lua").code)
    assert.equal(1, folder.cli("init", "fresh").code)
    assert.equal(2, folder.cli("init", "../evil").code)
    folder.remove()
  end)
end)
