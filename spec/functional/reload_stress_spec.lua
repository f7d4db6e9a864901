-- Rules are changed again and again under traffic: nothing that was acknowledged is lost, every message is made
-- by one version whole, and memory stays as it was.  50 versions always, 2,000 with NETMOVE_LONG=1.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local ledger = require("spec.support.ledger")
local loop = require("spec.support.loop")
local sender = require("spec.support.sender")

local is_long = os.getenv("NETMOVE_LONG") == "1"
local is_sanitized = (os.getenv("NETMOVE_SANITIZE") or "") ~= ""
local versions = is_long and 2000 or 50
local warm_up = versions // 5
--- Events leave something in the store's caches, with or without reloads; a version that stayed would leave 10 KiB,
--- and 300 if it had served.
local growth_max_kib, growth_max_kib_an_event, growth_max_kib_a_version = 4096, 1, 1

--- Every value of its message says the version; half of them are made by an author's function, and every third
--- has a library beside it that says it, too.
local function rules(version)
  local label = version % 3 == 0 and 'use("version").label' or '"' .. version .. '"'
  return ([[
local label = %s
return tenant {
  name = "acme",
  time_zone = "Europe/Istanbul",
  messages = {
    welcome = push { notification_key = "%d", params = { first = "%d", made = label, name = "{first_name|friend}" } },
    other = push {
      notification_key = "%d",
      params = { first = "%d", made = function() return label end, name = "{first_name|friend}" },
    },
  },
  channels = { [459] = "push" },
  templates = { [1201] = "%s" },
  events = { [11] = send_template },
  examples = {
    { given = { EventTypeID = 11, CampaignID = 7, ChannelID = 459, TemplateID = 1201, CustomerID = "42" },
      gives = { effect = "send", content = { notification_key = "%d", params = { made = "%d" } } } },
  },
}
]]):format(label, version, version, version, version, version % 2 == 0 and "welcome" or "other", version, version)
end

describe("rules that change under traffic", function()
  local story
  after_each(function() story.close() end)

  it("lose nothing and make no message by halves, " .. versions .. " times", function()
    story = daemon.story({ rules = rules(1) })
    local acknowledged, version_of, delivered = {}, {}, {}
    local traffic = sender.new({ acknowledged = acknowledged, pause_ms = is_long and 20 or 2 })

    local function admin(method, path)
      local answer = assert(http.request({ url = "unix:" .. story.daemon.path .. "/netmove.sock|/api/v1" .. path,
                                           method = method }))
      assert(answer.status == 200, path .. ": " .. answer.status .. " " .. answer.body)
      return answer.json()
    end

    local function resident_kib()
      local file = assert(io.open("/proc/" .. story.daemon.process.pid .. "/status"))
      local text = file:read("a")
      file:close()
      return tonumber(text:match("VmRSS:%s+(%d+)"))
    end

    --- Netmera's ledger keeps its last 1,000 requests.
    local function note_deliveries()
      for _, row in ipairs(story.netmera.rows("deliveries")) do delivered[row.extId] = row end
    end

    local function note_active(version)
      for _, row in ipairs(admin("GET", "/rules").items) do
        if row.is_active then version_of[tostring(row.id)] = version end
      end
    end

    --- Saves and waits for the verdict, then for traffic that this version answered for.
    local function save(version)
      if version % 3 == 0 then
        story.daemon.write("rules/lib/version.lua", 'return { label = "' .. version .. '" }')
      end
      story.daemon.write("rules/acme.lua", rules(version))
      local verdict = admin("POST", "/reload").rules[1]
      assert(verdict.verdict == "active", tostring(verdict.verdict) .. ": " .. table.concat(verdict.problems, "\n"))
      note_active(version)
      local wanted = traffic.acknowledged + 3
      loop.await("traffic", function() return traffic.acknowledged >= wanted end)
      if version % 10 == 0 then note_deliveries() end
    end

    assert(require("luv").fs_mkdir(story.daemon.path .. "/rules/lib", 448))
    note_active(1)
    traffic.start(story.daemon.listen, is_long and 2 or 8)
    local warm_kib, most_kib, warm_events
    for version = 2, versions + 1 do
      save(version)
      if version == warm_up then warm_kib, warm_events = resident_kib(), traffic.acknowledged end
      if version > warm_up then most_kib = math.max(most_kib or 0, resident_kib()) end
    end
    traffic.stop()
    loop.await("the senders' last answers", function() return traffic.open == 0 end)
    loop.await("the queue to empty", function()
      local status = admin("GET", "/status")
      return status.waiting_messages == 0 and status.waiting_events == 0
    end, 180000)
    note_deliveries()
    story.daemon.stop()

    ledger.check(story, { acknowledged = acknowledged, is_ended = true, repeated_max = 0, prefixes = { acme = "K" },
                          start_max_ms = 60000 })
    local seen, count = {}, 0
    local pipe = assert(io.popen("sqlite3 -readonly '" .. story.daemon.path ..
                                 "/netmove.db' 'SELECT customer, generation_id FROM messages'"))
    for line in pipe:lines() do
      local customer, id = line:match("^(.*)|(%d+)$")
      local row = delivered[customer]
      if row then
        local key, params = row.key, row.params
        assert(key == params.first and key == params.made, "two versions made the message of " .. customer)
        assert(tostring(version_of[id]) == key, "generation " .. id .. " is version " .. tostring(version_of[id]) ..
               ", its message is of " .. key)
        seen[key], count = true, count + 1
      end
    end
    assert(pipe:close())
    local made_by = 0
    for _ in pairs(seen) do made_by = made_by + 1 end
    assert.is_true(count >= traffic.acknowledged * 9 // 10, count .. " messages of " .. traffic.acknowledged)
    assert.is_true(made_by >= versions * 9 // 10, made_by .. " versions made a message")
    if not is_sanitized then
      local may_grow_kib = growth_max_kib + growth_max_kib_a_version * (versions - warm_up) +
                           growth_max_kib_an_event * (traffic.acknowledged - warm_events)
      assert.is_true(most_kib - warm_kib <= may_grow_kib,
                     ("memory grew from %d to %d KiB"):format(warm_kib, most_kib))
    end
    print(("# %d versions, %d messages of %d of them, %d acknowledged, %d KiB after %d, at most %d later"):format(
      versions, count, made_by, traffic.acknowledged, warm_kib, warm_up, most_kib))
  end)
end)
