-- What several tenants share in rules/lib is edited while the daemon runs.

local daemon = require("spec.support.daemon")
local loop = require("spec.support.loop")
local uv = require("luv")

local RULES = [[
local shared = use("shared")
return tenant {
  name = "acme",
  messages = { hello = push { notification_key = shared.key } },
  channels = { [459] = "push" },
  templates = { [1201] = "hello" },
  events = { [11] = send_template, [1] = shared.step },
}
]]

local SHARED = 'return { key = "%s", step = drop("step of %s") }'

describe("a library in rules/lib", function()
  local story
  before_each(function()
    story = daemon.story()
    uv.fs_mkdir(story.daemon.path .. "/rules/lib", 448)
    story.daemon.write("rules/lib/shared.lua", SHARED:format("501", "one"))
    story.daemon.write("rules/acme.lua", RULES)
    story.daemon.ask("reload")
  end)
  after_each(function() story.close() end)

  local count = 0
  local function send()
    count = count + 1
    local before = story.netmera.ledger().recipients
    story.optimove.post("trigger", { campaign = "r", channel = 459, template = 1201, customer = "L" .. count })
    story.netmera.reaches("recipients=" .. before + 1)
    return story.netmera.rows("deliveries?extId=L" .. count)[1].key
  end

  local function active() return story.daemon.ask("rules", "list").items[1] end

  local function logged(pattern)
    return loop.await("a line in the log: " .. pattern, function()
      for i = #story.daemon.process.err, 1, -1 do
        if story.daemon.process.err[i]:find(pattern) then return story.daemon.process.err[i] end
      end
    end)
  end

  it("is followed a moment after it was saved, and goes back with the tenant's file", function()
    assert.equal("501", send())
    local first = active().digest
    story.daemon.write("rules/lib/shared.lua", SHARED:format("502", "two"))
    loop.await("another generation", function() return active().digest ~= first end)
    assert.equal("502", send())

    local shown = story.daemon.cli("rules", "show", "acme").out
    assert.matches("%-%-%- netmove: acme.lua, %d+ bytes\nlocal shared", shown)
    assert.matches("%-%-%- netmove: lib/shared.lua, %d+ bytes\nreturn { key = \"502\"", shown)

    story.daemon.ask("rules", "rollback", "acme")
    loop.await("the first generation", function() return active().digest == first end)
    assert.equal("501", send())
    story.daemon.write("rules/lib/shared.lua", SHARED:format("503", "three"))
    loop.await("a third generation", function() return active().digest ~= first end)
    assert.equal("503", send())
  end)

  it("that is broken is refused with its own file and line, and over a restart the old one serves on", function()
    assert.equal("501", send())
    story.daemon.write("rules/lib/shared.lua", 'local x = 1\nreturn { key = "9", step = dorp("x") }')
    logged('rules/lib/shared.lua:2: unknown word ."dorp." %(did you mean ."drop."%?%)')
    assert.equal("501", send())
    local check = story.daemon.cli("check", "rules")
    assert.equal(1, check.code)
    assert.equal(1, select(2, check.err:gsub("dorp", "")), check.err)
    assert.matches("2 files checked, 2 wrong", check.out)
    assert.not_matches("traceback", check.err)
    story.daemon.write("rules/lib/shared.lua", "local x\nreturn { x = x + 1 }")
    assert.not_matches("traceback", story.daemon.cli("check", "rules").err)
    assert.matches("shared.lua:2: attempt.-stack traceback:.-shared.lua:2: in",
      story.daemon.cli("check", "--trace", "rules").err)
    uv.fs_unlink(story.daemon.path .. "/rules/lib/shared.lua")
    story.daemon.kill()
    story.daemon.start()
    assert.equal("501", send())
  end)
end)
