-- Who may call: keys that are replaced, addresses, a tenant's own rate, and guessing that gets slow.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local json = require("spec.support.json")
local loop = require("spec.support.loop")
local process = require("spec.support.process")

describe("who calls", function()
  local story
  after_each(function() if story then story.close() end story = nil end)

  --- Applies acme again, with `restApiKey = ...` replaced and more keys in front of the connector.
  local function apply(keys)
    local text = story.daemon.read("tenants/acme.lua")
    local head, tail = text:match("^(.-appKey = \"acme%-app%-key\", ).-(optimove = {.*)$")
    story.daemon.write("tenants/acme.lua", head .. keys .. ",\n  " .. tail)
    local applied = story.daemon.cli("tenant", "apply", "tenants/acme.lua")
    assert.equal(0, applied.code, applied.out .. applied.err)
    return applied.out
  end

  local serial = 0
  local function event(key, headers, app_key, query)
    serial = serial + 1
    local all = { ["X-netmera-api-key"] = key or false }
    for name, value in pairs(headers or {}) do all[name] = value end
    return http.request({ url = story.daemon.url .. "/optimove/event/" .. (app_key or "acme-app-key") ..
                                (query or ""),
                          body = { EventTypeID = 99, n = serial }, headers = all })
  end

  --- All bytes of an answer but the moment it was given.
  local function bytes_of(answer)
    return (answer.head:gsub("\r\nDate: [^\r]*", "")) .. "\r\n\r\n" .. answer.body
  end

  it("may show the new or the old key while one replaces the other", function()
    story = daemon.story()
    assert.equal(200, event("rest-key").status)
    local told = apply('restApiKeys = { "new-key", "rest-key" }')
    assert.is_nil(told:find("new%-key"))
    assert.matches("restApiKeys: %(new%)", told)
    assert.equal(200, event("rest-key").status)
    assert.equal(200, event("new-key").status)
    story.daemon.kill() -- both are kept
    story.daemon.start()
    assert.equal(200, event("rest-key").status)
    assert.equal(200, event("new-key").status)
    apply('restApiKey = "new-key"')
    assert.equal(401, event("rest-key").status)
    assert.equal(200, event("new-key").status)
  end)

  it("is told the same, whatever is wrong", function()
    story = daemon.story()
    local wrong = {
      event("wrong-key"), event(nil), event("rest-key", nil, "nobody"),
      event(nil, nil, nil, "?k=wrong"), event(nil, nil, "nobody", "?k=wrong"),
    }
    apply('restApiKey = "rest-key", allow = { "203.0.113.0/24" }')
    wrong[#wrong + 1] = event("rest-key") -- right, but from here
    for _, answer in ipairs(wrong) do
      assert.equal(401, answer.status)
      assert.equal(bytes_of(wrong[1]), bytes_of(answer))
    end
    apply('restApiKey = "rest-key", allow = { "203.0.113.0/24", "127.0.0.0/8" }')
    assert.equal(200, event("rest-key").status)
  end)

  it("waits longer for each refusal, and not at all with the right key", function()
    story = daemon.story()
    local host, port = story.daemon.listen:match("^([^:]+):(%d+)$")
    local order, pending = {}, {}
    for i = 1, 8 do
      local connection = http.connect({ host = host, port = tonumber(port) })
      local body = '{"EventTypeID":99}'
      connection.write(("POST /optimove/event/%s HTTP/1.1\r\nHost: x\r\nX-netmera-api-key: %s\r\n" ..
                        "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"):format(
                          i % 2 == 0 and "nobody" or "acme-app-key", i % 2 == 0 and "rest-key" or "guess",
                          #body, body))
      pending[i] = connection
      loop.await("its turn", function() -- so that they come in this order
        return i > 3 or http.parse(connection.received)
      end)
    end
    local function look()
      local left = 0
      for i = 1, #pending do
        if pending[i] and http.parse(pending[i].received) then
          assert.equal(401, http.parse(pending[i].received).status)
          order[#order + 1] = i
          pending[i].close()
          pending[i] = false
        end
        if pending[i] then left = left + 1 end
      end
      return left
    end
    assert.equal(200, event("rest-key").status)
    assert.is_true(look() > 0) -- the right key was not behind them
    loop.await("all refusals", function() return look() == 0 end)
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8 }, order) -- an unknown appKey waits as a wrong key does
    local metrics = http.request({ url = story.daemon.admin_url .. "/metrics" }).body
    assert.matches('netmove_logins_refused_total{reason="key"} 8\n', metrics)
  end)

  it("may send a burst, then a rate, and is told when to come again", function()
    story = daemon.story()
    apply('restApiKey = "rest-key", inbound = { rate = 0.01, burst = 4 }') -- none comes back meanwhile
    for _ = 1, 4 do assert.equal(200, event("rest-key").status) end
    local refused = event("rest-key")
    assert.equal(429, refused.status)
    assert.matches("^[1-9]%d*$", refused.headers["retry-after"])
    assert.equal("too_fast", refused.json().error.code)
    local batch = {}
    for i = 1, 3 do batch[i] = { id = "b" .. i, type = "EVENT", name = "PURCHASE", extId = "1" } end
    local answer = http.request({ url = story.daemon.url .. "/hooks/acme-app-key/events",
                                  headers = { ["X-netmera-api-key"] = "rest-key",
                                              ["Content-Type"] = "application/json" },
                                  body = json.encode(batch) })
    assert.equal(429, answer.status)
    local cancel = http.request({ url = story.daemon.url .. "/optimove/event/acme-app-key",
                                  headers = { ["X-netmera-api-key"] = "rest-key" },
                                  body = { EventTypeID = 4, CampaignID = 7 } })
    assert.equal(200, cancel.status) -- what it stops would go out
    apply('restApiKey = "rest-key", inbound = { rate = 2, burst = 1 }')
    loop.await("the rate to let one through", function() return event("rest-key").status == 200 end)
    apply('restApiKey = "rest-key"')
    for _ = 1, 10 do assert.equal(200, event("rest-key").status) end
  end)

  it("is who the proxy in front of us says, and nobody else may say", function()
    story = daemon.story()
    apply('restApiKey = "rest-key", allow = { "203.0.113.0/24" }')
    local forwarded = { ["X-Forwarded-For"] = "203.0.113.7" }
    assert.equal(401, event("rest-key", forwarded).status) -- 127.0.0.1 is no proxy of ours yet
    story.daemon.stop()
    story.daemon.write("behind.lua", ([[
      return { public = { listen = "127.0.0.1:0", behind = { "127.0.0.0/8" } },
               admin = { listen = "127.0.0.1:0", socket = "netmove.sock" },
               store = "sqlite:netmove.db", rules = "rules",
               outbound = { allow = { "127.0.0.0/8" } } }]]))
    local serving = process.start({ command = os.getenv("NETMOVE") or "build/netmove",
                                    args = { "serve", "--config", "behind.lua" },
                                    cwd = story.daemon.path })
    story.daemon.process = serving
    local function find(pattern)
      for _, line in ipairs(serving.err) do if line:match(pattern) then return line:match(pattern) end end
    end
    loop.await("it to be ready", function() return find('"(ready)"') or serving.exit_code end)
    story.daemon.url = "http://" .. find('"public on ([%d.:]+)"')
    assert.equal(200, event("rest-key", forwarded).status)
    assert.equal(200, event("rest-key", { ["X-Forwarded-For"] = "10.0.0.1, 203.0.113.7" }).status)
    assert.equal(200, event("rest-key", { ["X-Forwarded-For"] = "203.0.113.7, 127.0.0.9" }).status)
    assert.equal(401, event("rest-key", { ["X-Forwarded-For"] = "203.0.113.7, 198.51.100.1" }).status)
    assert.equal(401, event("rest-key", { ["X-Forwarded-For"] = "203.0.113.7, nonsense" }).status)
    assert.equal(401, event("rest-key").status)
  end)
end)
