-- The life of a tenant's generations: listed, shown, gone back to, pinned until the file changes.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local loop = require("spec.support.loop")
local uv = require("luv")

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

  --- The rules as they are, with another key for their first message, in a file of an operator's.
  local function draft(from, to)
    local text = story.daemon.read("rules/acme.lua"):gsub('notification_key = "' .. from .. '"',
                                                          'notification_key = "' .. to .. '"')
    story.daemon.write("draft.lua", text)
    return text
  end

  it("are published by a command: proven, written, serving; what is wrong changes nothing", function()
    local before, text = story.daemon.read("rules/acme.lua"), draft("106", "206")
    local tried = story.daemon.cli("rules", "publish", "acme", "draft.lua", "--dry-run")
    assert.equal(0, tried.code, tried.err)
    assert.matches("would serve in place of", tried.out)
    assert.equal(before, story.daemon.read("rules/acme.lua"))

    local published = story.daemon.cli("rules", "publish", "acme", "draft.lua")
    assert.equal(0, published.code, published.err)
    assert.matches("rules/acme.lua is written", published.out)
    assert.equal(text, story.daemon.read("rules/acme.lua"))
    assert.equal("206", send())
    assert.same({ "active", "older" }, listed())
    assert.matches("as before", story.daemon.cli("rules", "publish", "acme", "draft.lua").out)

    story.daemon.write("draft.lua", text:gsub('"welcome"', '"welcom"'))
    local wrong = story.daemon.cli("rules", "publish", "acme", "draft.lua")
    assert.equal(1, wrong.code)
    assert.matches("did you mean", wrong.err)
    assert.equal(text, story.daemon.read("rules/acme.lua"))
    assert.equal("206", send())

    local audit = story.daemon.ask("audit", "list").items
    assert.equal(422, audit[1].status)
    assert.equal("PUT /api/v1/rules/{tenant}", audit[1].route)
    assert.equal(200, audit[3].status)
    story.daemon.kill() -- what was published is there after the start
    story.daemon.start()
    assert.equal("206", send())
  end)

  it("are published over a rollback, and not over what somebody else published meanwhile", function()
    edit("106", "206")
    assert.equal(0, story.daemon.cli("rules", "rollback", "acme").code)
    local old = story.daemon.ask("rules", "list").items[1].digest
    story.daemon.write("draft.lua", story.daemon.read("rules/acme.lua")) -- what the rollback left
    assert.equal(0, story.daemon.cli("rules", "publish", "acme", "draft.lua").code)
    assert.equal("206", send())
    assert.equal("active", listed()[1])

    local late = story.daemon.cli("rules", "publish", "acme", "draft.lua", "--if-digest", old:sub(1, 12))
    assert.equal(1, late.code)
    assert.matches("published meanwhile", late.err)
    local answer = http.request({ url = "unix:" .. story.daemon.path .. "/netmove.sock|/api/v1/rules/acme",
                                  method = "PUT", body = { source = "return 1" },
                                  headers = { ["If-Match"] = '"' .. old .. '"' } })
    assert.equal(412, answer.status)
    assert.equal(1, story.daemon.cli("rules", "publish", "nobody", "draft.lua").code)
    assert.equal(3, story.daemon.cli("rules", "publish", "acme", "missing.lua").code)
  end)

  it("are not published through a link, nor where the folder takes nothing", function()
    local text = draft("106", "206")
    assert(os.rename(story.daemon.path .. "/rules/acme.lua", story.daemon.path .. "/elsewhere.lua"))
    assert(uv.fs_symlink("../elsewhere.lua", story.daemon.path .. "/rules/acme.lua"))
    local linked = story.daemon.cli("rules", "publish", "acme", "draft.lua")
    assert.equal(1, linked.code)
    assert.matches("is a link", linked.err)
    assert.are_not.equal(text, story.daemon.read("elsewhere.lua"))
    assert(os.rename(story.daemon.path .. "/rules", story.daemon.path .. "/gone"))
    assert.are_not.equal(0, story.daemon.cli("rules", "publish", "acme", "draft.lua").code)
    assert.equal("106", send())
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
