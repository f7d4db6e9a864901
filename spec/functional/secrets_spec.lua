-- A hundred canaries are planted as secrets and as people's data; then every place that could sing is
-- searched.  Secrets: nowhere but where they are used.  People's data: not in the log above debug, not
-- in metrics, not in answers to others, not in refusals.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local json = require("spec.support.json")
local loop = require("spec.support.loop")
local process = require("spec.support.process")
local world = require("spec.support.world")

local program = os.getenv("NETMOVE") or "build/netmove"
local providers = 30

local rules = [[
return tenant {
  name = "acme",
  messages = {
    welcome = push { notification_key = "106", params = { name = "{first_name|friend}", code = "{code|none}" } },
  },
  channels = { [459] = "push" },
  templates = { [1201] = "welcome" },
  events = { [11] = send_template, [13] = for_each_recipient(send_template), [4] = cancel_campaign },
  hooks = {
    PURCHASE = update_customer {
      CustomerID = from("extId"),
      FAVOURITE_STORE = from("attributes.store"),
      LAST_PURCHASE_TOTAL = from("attributes.total"):as("number"),
    },
    PROFILE_ATTRIBUTE_CHANGE = update_customer {
      CustomerID = from("extId"), renamed("changes", { email = "EMAIL" }),
    },
  },
}
]]

describe("a canary", function()
  local self, canaries, env
  setup(function() math.randomseed(20261123) end)

  --- A value that occurs nowhere by accident.  kind: "secret" or "person".
  local function plant(kind, what)
    local value = ("cnry%s%08x%08x"):format(what, math.random(0, 0xffffffff), math.random(0, 0xffffffff))
    canaries[#canaries + 1] = { kind = kind, what = what, value = value }
    return value
  end

  local function plant_in_environment(what)
    local name = "CANARY_" .. what:upper()
    env[name] = plant("secret", what)
    return ("secret %q"):format("env:" .. name), env[name]
  end

  --- Fails with each kind of canary that is heard in the text, and a line of it.
  local function expect_silence(place, text, kind)
    local heard, kinds = {}, {}
    for _, canary in ipairs(canaries) do
      local at = (not kind or canary.kind == kind) and not kinds[canary.what] and text:find(canary.value, 1, true)
      if at then
        kinds[canary.what] = true
        heard[#heard + 1] = ("%s: ...%s..."):format(canary.what, text:sub(math.max(1, at - 120), at + 60))
      end
    end
    if #heard > 0 then error(place .. " shows\n" .. table.concat(heard, "\n"), 2) end
  end

  local function cli(...)
    return process.run({ command = program, args = { "--config", "netmove.lua", ... }, cwd = self.folder.path,
                         env = env })
  end

  local function write_tenant(header_keys, optimove_key)
    local list, chain = {}, {}
    for i = 1, providers do
      local key = i == 1 and self.netmera_key or (plant_in_environment("provider" .. i))
      list[i] = ("n%d = { adapter = \"netmera\", baseUrl = %q, apiKey = %s }"):format(i, self.netmera.url, key)
      chain[i] = ("%q"):format("n" .. i)
    end
    self.folder.write("tenants/acme.lua", ([[
      return {
        name = "acme", appKey = "acme-app-key", restApiKeys = { %s },
        optimove = { baseUrl = %q, apiKey = %s, status = "ACTIVE",
                     channels = { { id = 459, name = "Push", kind = "push" } },
                     params = { { realFieldName = "FIRST_NAME", name = "first_name" } } },
        providers = { %s },
        channels = { push = { %s } },
        hooks = { { type = "OPTIMOVE", event = "PURCHASE", status = "ACTIVE" },
                  { type = "OPTIMOVE", event = "PROFILE_ATTRIBUTE_CHANGE", status = "ACTIVE" } },
      }]]):format(header_keys, self.optimove.url, optimove_key, table.concat(list, ",\n"), table.concat(chain, ", ")))
  end

  before_each(function()
    canaries, env = {}, {}
    local optimove_key, optimove_value = plant_in_environment("optimove")
    local netmera_key, netmera_value = plant_in_environment("provider1")
    local new, new_value = plant_in_environment("newheader")
    local old, old_value = plant_in_environment("oldheader")
    self = { netmera_key = netmera_key, keys = { new_value, old_value },
             optimove = world.optimove({ "--key", optimove_value }),
             netmera = world.netmera({ "--key", netmera_value }), refusals = {} }
    -- A key is 32 bytes in hex: it cannot carry a word of ours.
    local master = {}
    for i = 1, 8 do master[i] = ("%08x"):format(math.random(0, 0xffffffff)) end
    env.CANARY_MASTER = table.concat(master)
    canaries[#canaries + 1] = { kind = "secret", what = "masterkey", value = env.CANARY_MASTER }
    self.folder = daemon.folder({ rules = rules })
    write_tenant(new .. ", " .. old, optimove_key)
  end)

  after_each(function()
    if self.serving and not self.serving.exit_code then self.folder.kill() end
    self.optimove.close()
    self.netmera.close()
    self.folder.remove()
  end)

  local function serve(level)
    self.folder.write("netmove.lua", ([[
      return { public = { listen = "127.0.0.1:0" }, admin = { listen = "127.0.0.1:0", socket = "netmove.sock" },
               store = "sqlite:netmove.db", rules = "rules", log = { level = %q },
               master_key = secret "env:CANARY_MASTER",
               outbound = { allow = { "127.0.0.0/8" } } }]]):format(level))
    local serving = process.start({ command = program, args = { "serve", "--config", "netmove.lua" },
                                    cwd = self.folder.path, env = env })
    self.serving, self.folder.process = serving, serving
    local function find(pattern)
      for _, line in ipairs(serving.err) do if line:match(pattern) then return line:match(pattern) end end
    end
    loop.await("it to be ready", function() return find('"(ready)"') or serving.exit_code end)
    assert.is_nil(serving.exit_code, table.concat(serving.err, "\n"))
    self.url = "http://" .. find('"public on ([%d.:]+)"')
    self.admin_url = "http://" .. find('"admin on ([%d.:]+)"')
  end

  local function call(path, body, headers, method)
    local all = { ["X-netmera-api-key"] = self.keys[1] }
    for name, value in pairs(headers or {}) do all[name] = value end
    if type(body) == "string" then all["Content-Type"] = all["Content-Type"] or "application/json" end
    local answer = assert(http.request({ url = self.url .. path, body = body, headers = all, method = method }))
    if answer.status >= 400 then self.refusals[#self.refusals + 1] = answer.head .. "\n" .. answer.body end
    return answer
  end

  local function event(fields, headers)
    return call("/optimove/event/acme-app-key", fields, headers)
  end

  --- Everything that goes right: events, a run, hooks, profiles, and a message that dies.
  local function play_what_goes_right()
    for i = 1, 10 do
      local answer = event({ EventTypeID = 11, CampaignID = 7, ChannelID = 459, TemplateID = 1201,
                             CustomerID = plant("person", "customer"), first_name = plant("person", "firstname"),
                             code = plant("person", "param") }, { ["X-netmera-api-key"] = self.keys[i % 2 + 1] })
      assert.equal(200, answer.status, answer.body)
    end
    self.netmera.reaches("deliveries=10")
    -- A provider that names the person in its refusal.
    local dead = plant("person", "refusedcustomer")
    self.netmera.faults({ { match = { path = "sendNotification", extId = dead },
                            ["do"] = { status = 400, body = { code = 2101, error = "no user " .. dead } } } })
    event({ EventTypeID = 11, CampaignID = 7, ChannelID = 459, TemplateID = 1201, CustomerID = dead })
    loop.await("a dead letter", function()
      return cli("--json", "queue", "list").out:find('"dead"', 1, true)
    end)
    -- An event that is held.
    event({ EventTypeID = 11, CampaignID = 7, ChannelID = 459, TemplateID = 9999,
            CustomerID = plant("person", "heldcustomer"), note = plant("person", "note") })
    local hooks = {}
    for i = 1, 5 do
      hooks[i] = { type = "EVENT", name = "PURCHASE", extId = plant("person", "extid"), id = "h" .. i .. self.url,
                   attributes = { store = plant("person", "attribute"),
                                  total = i == 5 and plant("person", "nonumber") or i } }
    end
    assert.equal(200, call("/hooks/acme-app-key/events", json.encode(hooks)).status)
    for _ = 1, 4 do
      local answer = call("/profiles/acme-app-key/" .. plant("person", "profile"), {
        email = plant("person", "mail") .. "@example.com", msisdn = "+4915" .. math.random(10000000, 99999999),
        devices = { { kind = "android", token = plant("person", "token") } },
        attributes = { nick = plant("person", "nick") },
      }, nil, "PUT")
      assert.is_true(answer.status == 200 or answer.status == 201, answer.body)
    end
    self.optimove.reaches("values=8")
    -- An Optimove that names the person in its refusal.
    local unknown = plant("person", "unknowncustomer")
    self.optimove.faults({ { match = { path = "UpdateCustomerAttributes", extId = unknown, nth = 1 },
                             ["do"] = { status = 400, body = "Customer " .. unknown .. " does not exist" } } })
    call("/hooks/acme-app-key/events", json.encode({ type = "EVENT", name = "PURCHASE", extId = unknown,
                                                     attributes = { store = "x", total = 1 } }))
    loop.await("the refusal", function()
      for _, fault in ipairs(self.optimove.get("faults")) do if fault.applied > 0 then return true end end
    end)
    self.optimove.post("campaigns", { campaign = 70, channel = 459, templates = { 1201 }, count = 20 })
    self.optimove.post("execute", { campaign = 70, channel = 459 })
    self.netmera.reaches("deliveries=30")
  end

  --- Everything that is refused, with something in it that must not be repeated.
  local function play_what_is_refused()
    for i = 1, 6 do
      local guess = plant("secret", "guess")
      local answer = i % 2 == 0 and event({ EventTypeID = 99 }, { ["X-netmera-api-key"] = guess }) or
                     call("/optimove/event/acme-app-key?k=" .. guess, { EventTypeID = 99 },
                          { ["X-netmera-api-key"] = false })
      assert.equal(401, answer.status)
    end
    local bad = {
      '{"EventTypeID":"%s"}', '{"EventTypeID":11,"CampaignID":["%s"]}', '{"%s":1}', '{"EventTypeID":11,"a":"%s",}',
      '{"EventTypeID":11,"x":"%s","X":1}', '["%s"]', '%s', '{"EventTypeID":11,"ChannelID":"%s"}',
    }
    for _, body in ipairs(bad) do
      assert.equal(400, event(body:format(plant("person", "badbody"))).status, body)
    end
    assert.equal(400, call("/hooks/acme-app-key/events", ('[{"type":"%s"}]'):format(plant("person", "badhook"))).status)
    assert.equal(400, call("/profiles/acme-app-key/x", ('{"email":7,"devices":[{"kind":"%s"}]}'):format(
      plant("person", "badprofile")), nil, "PUT").status)
    assert.equal(404, call("/" .. plant("person", "path"), { a = 1 }).status)
    assert.equal(404, call("/profiles/acme-app-key/" .. plant("person", "nobody"), nil, nil, "GET").status)
    assert.equal(415, event("x", { ["Content-Type"] = "text/" .. plant("person", "type") }).status)
    assert.equal(401, call("/optimove/event/" .. plant("person", "appkey"), { EventTypeID = 99 }).status)
  end

  --- What operators see, by every command and route.
  local function what_operators_see()
    local parts = {}
    local function add(result)
      parts[#parts + 1] = (result.out or "") .. (result.err or "") .. (result.body or "") .. (result.head or "")
      return result
    end
    for _, words in ipairs {
      { "tenant", "list" }, { "tenant", "show", "acme" }, { "status" }, { "queue", "list" }, { "queue", "shape" },
      { "run", "list" }, { "connector", "plan", "acme" }, { "connector", "status", "acme" }, { "rules", "list" },
      { "reload" }, { "tenant", "apply", "--dry-run", "tenants/acme.lua" }, { "tenant", "apply", "tenants/acme.lua" },
      { "check", "tenants/acme.lua", "rules" }, { "token", "list" }, { "audit", "list" }, { "provider", "list" },
      { "provider", "test", "acme", "n1" },
    } do
      add(cli(table.unpack(words)))
      add(cli("--json", table.unpack(words)))
    end
    local socket = "unix:" .. self.folder.path .. "/netmove.sock|"
    local file = assert(io.open((os.getenv("NETMOVE_SOURCE") or ".") .. "/src/api/routes.def"))
    local routes, asked = file:read("a"), 0
    file:close()
    for path in routes:gmatch('%(GET, "([^"]+)"') do
      if not path:find("{id}", 1, true) and not path:find("/plan", 1, true) then -- 50 calls in 10 s at Optimove
        local answer, why = http.request({ url = socket .. path:gsub("{tenant}", "acme"):gsub("{%w+}", "nobody") })
        add(assert(answer, path .. ": " .. tostring(why)))
        asked = asked + 1
      end
    end
    assert.is_true(asked > 20)
    return table.concat(parts, "\n")
  end

  --- A token that is right, and guesses; from then on they are canaries too.
  local function play_with_tokens()
    local made = json.decode(cli("--json", "token", "create", "--role", "admin", "--name", "canary").out)
    canaries[#canaries + 1] = { kind = "secret", what = "admintoken", value = made.token }
    for _, token in ipairs { made.token, plant("secret", "tokenguess"), "nm_" .. plant("secret", "tokenguess") } do
      local answer = assert(http.request({ url = self.admin_url .. "/api/v1/tenants", from = "127.0.3.1",
                                           headers = { Authorization = "Bearer " .. token } }))
      self.refusals[#self.refusals + 1] = answer.head .. answer.body
    end
  end

  local function log_of(serving) return table.concat(serving.err, "\n") end

  local function url_secrets()
    local value = self.optimove.ledger().listeners[1].ListenerURL:match("[?&]k=([^&]+)")
    canaries[#canaries + 1] = { kind = "secret", what = "urlsecret", value = value }
    return value
  end

  local function files_of_the_store()
    local parts = {}
    for _, name in ipairs { "netmove.db", "netmove.db-wal" } do
      local file = io.open(self.folder.path .. "/" .. name, "rb")
      if file then parts[#parts + 1] = file:read("a") file:close() end
    end
    return table.concat(parts)
  end

  local function play(level)
    serve(level)
    local applied = cli("tenant", "apply", "tenants/acme.lua")
    assert.equal(0, applied.code, applied.out .. applied.err)
    expect_silence("tenant apply", applied.out .. applied.err)
    assert.is_string(url_secrets())
    play_what_goes_right()
    play_what_is_refused()
    play_with_tokens()
    assert.is_true(#canaries >= 100, #canaries .. " canaries")
  end

  it("sings nowhere at level info", function()
    play("info")
    expect_silence("a refusal", table.concat(self.refusals, "\n"))
    expect_silence("metrics", http.request({ url = self.admin_url .. "/metrics" }).body)
    expect_silence("readyz", http.request({ url = self.admin_url .. "/readyz" }).body)
    expect_silence("a command or an admin route", what_operators_see(), "secret")
    local file = assert(io.open("/proc/" .. self.serving.pid .. "/cmdline", "rb"))
    expect_silence("the arguments of the process", file:read("a"))
    file:close()
    local stored = files_of_the_store()
    assert.is_true(#stored > 0 and stored:find("acme-app-key", 1, true) ~= nil)
    expect_silence("the store", stored, "secret")
    self.folder.stop()
    expect_silence("the store", files_of_the_store(), "secret")
    expect_silence("the log", log_of(self.serving))
    assert.matches('"message":"stopped"', log_of(self.serving))
  end)

  it("is not repeated when Optimove says it back", function()
    serve("debug")
    local key = env.CANARY_OPTIMOVE
    for _, status in ipairs { 401, 403, 500 } do
      self.optimove.faults({ { match = { path = "/" }, ["do"] = { status = status, body = "bad key " .. key } } })
      local applied = cli("tenant", "apply", "tenants/acme.lua")
      assert.equal(1, applied.code, applied.out .. applied.err)
      expect_silence("tenant apply", applied.out .. applied.err)
      expect_silence("a command", what_operators_see(), "secret")
    end
    self.folder.kill()
    expect_silence("the log", log_of(self.serving), "secret")
  end)

  it("that is a secret does not sing at level debug either", function()
    play("debug")
    what_operators_see()
    self.folder.stop()
    assert.matches('"level":"debug"', log_of(self.serving))
    expect_silence("the log", log_of(self.serving), "secret")
  end)
end)
