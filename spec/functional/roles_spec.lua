-- Who may ask what: every route of src/api/routes.def, with every role, for every tenant, and without a
-- token.  A route that is added there is asked here.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local json = require("spec.support.json")
local routes = require("spec.support.routes")

local ranks = { VIEWER = 1, OPERATOR = 2, ADMIN = 3 }

describe("the admin API over the network", function()
  local self, ids, tokens

  local function tenant(name)
    return ([[return { name = %q, appKey = "%s-app-key", restApiKey = "%s-rest-key",
      providers = { log = { adapter = "loopback" } }, channels = { push = { "log" } } }]])
      :format(name, name, name)
  end

  --- An event that its rules do not route is held: a thing of the tenant's in the queue.
  local function hold_one(name)
    local answer = http.json({ url = self.url .. "/optimove/event/" .. name .. "-app-key",
                               headers = { ["X-netmera-api-key"] = name .. "-rest-key" },
                               body = { EventTypeID = 99, CampaignID = "c" .. name } })
    return answer.id
  end

  setup(function()
    self = daemon.folder({ rules = false }).start()
    ids, tokens = {}, {}
    for _, name in ipairs({ "acme", "zebra" }) do
      self.write("tenants/" .. name .. ".lua", tenant(name))
      self.ask("tenant", "apply", "tenants/" .. name .. ".lua")
      ids[name] = hold_one(name)
    end
    for role in pairs(ranks) do
      for _, whose in ipairs({ "all", "acme", "zebra" }) do
        local words = { "token", "create", "--role", role:lower(), "--name", role:lower() .. " of " .. whose }
        if whose ~= "all" then words[#words + 1], words[#words + 2] = "--tenant", whose end
        tokens[#tokens + 1] = { role = role, whose = whose, secret = self.ask(table.unpack(words)).token }
      end
    end
  end)
  teardown(function()
    self.stop()
    self.remove()
  end)

  --- Asks a route about acme's things.
  local function ask(route, headers, from)
    local path = route.path:gsub("{tenant}", "acme"):gsub("{id}", ids.acme):gsub("{%w+}", "none")
    local body
    if route.method == "DELETE" and route.of == "TENANT" then path = path .. "?dry_run=1" end -- it is asked on
    if route.method == "POST" and route.of == "LIST" then
      body = { ids = { ids.acme }, tenant = "acme", event = { EventTypeID = 11 }, role = "viewer" }
      if route.path:find("tokens", 1, true) then body.ids, body.event = nil, nil end
    elseif route.method == "PUT" then
      body = { wrong = true }
    end
    return http.request({ url = self.admin_url .. path, method = route.method, headers = headers, body = body,
                          from = from })
  end

  --- Answers as if it were not there; a 404 of another kind is what the route itself has to say.
  local function is_stranger(body)
    for _, words in ipairs({ "there is no tenant of this name", "there is nothing of this id",
                             "one of the ids names nothing", "there is no token" }) do
      if body:find(words, 1, true) then return true end
    end
    return false
  end

  --- What a token may expect: 403, 404, or "in" for whatever the route has to say to somebody who may ask.
  local function expected(route, token)
    if ranks[token.role] < ranks[route.role] then return 403 end
    if token.whose == "all" or token.whose == "acme" then
      return token.whose ~= "all" and route.of == "DAEMON" and 403 or "in"
    end
    if route.of == "DAEMON" then return 403 end
    if route.of == "TENANT" or route.of == "THING" then return 404 end
    return route.method == "GET" and "in" or 404
  end

  it("lets each role ask what is its own, and nobody beyond a tenant", function()
    local wrong, asked = {}, 0
    for _, route in ipairs(routes.all()) do
      for _, token in ipairs(tokens) do
        local answer = assert(ask(route, { Authorization = "Bearer " .. token.secret }))
        local wanted, status = expected(route, token), answer.status
        asked = asked + 1
        local is_token = route.path:find("tokens/", 1, true) ~= nil -- whatever it is asked, the id is none
        local is_right = status == wanted and (wanted ~= 404 or is_stranger(answer.body))
          or wanted == "in" and status ~= 401 and status ~= 403 and (is_token or not is_stranger(answer.body))
        if not is_right then
          wrong[#wrong + 1] = ("%s %s with %s of %s: %d, not %s: %s"):format(
            route.method, route.path, token.role, token.whose, status, wanted, answer.body)
        end
        local whole = answer.body
        if token.whose == "acme" and whole:find("zebra", 1, true) or whole:find(ids.zebra, 1, true)
           and token.whose == "acme" then
          wrong[#wrong + 1] = ("%s %s shows another tenant to %s: %s"):format(
            route.method, route.path, token.whose, whole)
        end
      end
    end
    assert.equal("", table.concat(wrong, "\n"))
    assert.is_true(asked >= 9 * 30)
  end)

  -- A handler once went on with a request that it had refused: no tenant of this name.
  it("says of what is not there that it is not there, on every route", function()
    local token = self.ask("token", "create", "--role", "admin", "--name", "asker").token
    for _, route in ipairs(routes.all()) do
      if route.of == "TENANT" or route.of == "THING" then
        local path = route.path:gsub("{tenant}", "nobody"):gsub("{id}", "17"):gsub("{%w+}", "none")
        local body = route.method == "PUT" and { name = "nobody" } or nil
        local answer = assert(http.request({
          url = self.admin_url .. path, method = route.method, body = body,
          headers = { Authorization = "Bearer " .. token } }))
        local is_new = route.method == "PUT" and route.path:find("{tenant}$") -- it would be made
        assert.equal(is_new and 400 or 404, answer.status, route.method .. " " .. path .. ": " .. answer.body)
      end
    end
  end)

  it("asks for a token on every route, and says the same whatever is wrong with it", function()
    local bodies, host = {}, 1
    for i, route in ipairs(routes.all()) do
      if i % 3 == 1 then host = host + 1 end -- the fourth wrong one of an address waits
      local headers = i % 3 == 1 and {} or i % 3 == 2 and { Authorization = "Bearer nm_wrong" }
        or { Authorization = "Basic " .. tokens[1].secret }
      local answer = assert(ask(route, headers, "127.0.1." .. host))
      assert.equal(401, answer.status, route.method .. " " .. route.path)
      assert.equal("Bearer", answer.headers["www-authenticate"])
      bodies[answer.body] = true
    end
    local kinds = 0
    for _ in pairs(bodies) do kinds = kinds + 1 end
    assert.equal(1, kinds)
    for _, path in ipairs({ "/healthz", "/readyz", "/metrics" }) do
      assert.equal(200, http.request({ url = self.admin_url .. path }).status)
    end
  end)

  it("takes no token any more that was revoked, or whose time is over", function()
    local made = self.ask("token", "create", "--name", "short", "--expires", "1s")
    local gone = self.ask("token", "create", "--name", "gone")
    local function status(token)
      return http.request({ url = self.admin_url .. "/api/v1/tenants", from = "127.0.2.1",
                            headers = { Authorization = "bearer " .. token } }).status
    end
    assert.equal(200, status(gone.token))
    assert.equal(0, self.cli("token", "revoke", "gone").code)
    assert.equal(401, status(gone.token))
    require("spec.support.loop").await("its end", function()
      return status(made.token) == 401
    end)
    for _, item in ipairs(self.ask("token", "list").items) do
      assert.is_nil(item.token)
      assert.are_not.equal("gone", item.name)
    end
    assert.equal(1, self.cli("token", "revoke", "gone").code)
  end)

  it("keeps tokens over a restart, but not in its store", function()
    local token = tokens[1].secret
    self.stop()
    local file = assert(io.popen("grep -c -a -F -e '" .. token .. "' '" .. self.path .. "'/netmove.db*"))
    assert.is_nil(file:read("a"):find(":[1-9]"))
    file:close()
    self.start()
    local answer = http.request({ url = self.admin_url .. "/api/v1/tenants",
                                  headers = { Authorization = "Bearer " .. token } })
    assert.equal(200, answer.status)
    assert.is_not_nil(json.decode(answer.body).items)
  end)
end)
