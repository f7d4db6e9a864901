-- The document of the admin API against its table of routes, and against what the daemon really answers: every
-- route is asked, and every answer checked.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local json = require("spec.support.json")
local loop = require("spec.support.loop")
local routes = require("spec.support.routes")
local schema = require("spec.support.schema")

local function each_operation(document, see)
  for path, methods in pairs(document.paths) do
    for method, operation in pairs(methods) do see(method:upper() .. " " .. path, operation) end
  end
end

describe("openapi.json", function()
  local document = json.decode(routes.read("src/api/openapi.json"))

  it("tells of every route of the table, and of no other", function()
    local wanted, told = {}, {}
    for _, route in ipairs(routes.all()) do
      wanted[route.method .. " " .. route.path] = route.role:lower()
    end
    assert.is_true(#routes.all() > 40)
    each_operation(document, function(name, operation) told[name] = operation["x-role"] end)
    assert.same(wanted, told)
  end)

  it("names every parameter of a path, and refers to nothing that is not there", function()
    each_operation(document, function(name, operation)
      local named = {}
      for _, parameter in ipairs(operation.parameters or {}) do
        if parameter["in"] == "path" then named[#named + 1] = parameter.name end
      end
      local wanted = {}
      for parameter in name:gmatch("{(%w+)}") do wanted[#wanted + 1] = parameter end
      assert.same(wanted, named, name)
      assert.is_not_nil(operation.responses.default, name)
      assert.is_true(#operation.summary > 0, name)
    end)
    for target in routes.read("src/api/openapi.json"):gmatch('"%$ref": "#/([^"]+)"') do
      local at = document
      for part in target:gmatch("[^/]+") do at = assert(at[part], target) end
    end
  end)
end)

describe("the admin API", function()
  local story, document, seen
  after_each(function() story.close(true) end)

  local function operation_of(method, path)
    local exact = document.paths[path]
    if exact and exact[method:lower()] then return exact[method:lower()], method .. " " .. path end
    for pattern, methods in pairs(document.paths) do
      local lua = "^" .. pattern:gsub("%p", "%%%0"):gsub("%%{%w+%%}", "[^/]+") .. "$"
      if path:find(lua) and methods[method:lower()] then
        return methods[method:lower()], method .. " " .. pattern
      end
    end
    error("the document has no " .. method .. " " .. path)
  end

  --- Asks, and holds the answer against the document.
  local function ask(method, target, body)
    local path = "/api/v1" .. target:gsub("%?.*$", "")
    local operation, name = operation_of(method, path)
    local answer = assert(http.request({ url = "unix:" .. story.daemon.path .. "/netmove.sock|/api/v1" .. target,
                                         method = method, body = body,
                                         headers = body and { ["Content-Type"] = "application/json" } }))
    local status = tostring(answer.status)
    local response = operation.responses[status] or document.components.responses.Refused
    if operation.responses[status] then seen[name] = true
    else assert.is_true(answer.status >= 400, name .. ": " .. status) end
    local value = json.decode(answer.body)
    assert.equal("", schema.problems(value, response.content["application/json"].schema, document),
                 name .. ": " .. answer.body)
    if body and answer.status < 300 and operation.requestBody then
      local sent = json.decode(type(body) == "string" and body or json.encode(body))
      assert.equal("", schema.problems(sent, operation.requestBody.content["application/json"].schema, document), name)
    end
    return value, answer.status
  end

  it("answers every route as its document says", function()
    story = daemon.story({ apply = false })
    local write = story.daemon.write
    function story.daemon.write(name, text) -- one channel alone: 50 calls in 10 s have to do
      write(name, (text:gsub(", { id = 481.-}", "", 1)))
    end
    assert.equal(0, story.daemon.apply(story, { provider = ", rate = 20" }).code)
    document = json.decode(assert(http.request({
      url = "unix:" .. story.daemon.path .. "/netmove.sock|/api/v1/openapi.json" })).body)
    seen = {}
    -- something of each kind: a run under way, a message, an update, a profile, things held
    story.optimove.post("campaigns", { campaign = 1, count = 200, channel = 459, templates = { 1201 } })
    story.optimove.post("execute", { campaign = 1, channel = 459 })
    story.optimove.post("trigger", { campaign = "s", channel = 459, template = 1201, customer = "C1" })
    http.json({ url = story.daemon.url .. "/profiles/acme-app-key/C1", method = "PUT",
                headers = { ["X-netmera-api-key"] = "rest-key" }, body = { email = "c1@example.com" } })
    http.json({ url = story.daemon.url .. "/hooks/acme-app-key/events", method = "POST",
                headers = { ["X-netmera-api-key"] = "rest-key" },
                body = { type = "EVENT", name = "PURCHASE", extId = "C1", attributes = { total = 5 } } })
    story.netmera.reaches("deliveries=1")
    local held = {}
    for i = 1, 3 do held[i] = story.daemon.event({ EventTypeID = 99, CampaignID = "h" .. i }).json().id end
    loop.await("what is held", function() return #story.daemon.ask("queue", "list").items >= 3 end)
    loop.await("the update's end", function() return #ask("GET", "/updates").items > 0 end)

    ask("GET", "/openapi.json")
    ask("GET", "/tenants")
    local tenant = ask("GET", "/tenants/acme")
    ask("GET", "/tenants/nobody")
    ask("PUT", "/tenants/acme?dry_run=1", json.encode(tenant.document))
    ask("PUT", "/tenants/acme", { name = "acme" })
    local connector = ask("GET", "/tenants/acme/connector")
    ask("PUT", "/tenants/acme/connector", json.encode(connector))
    ask("PUT", "/tenants/acme/connector", { baseURL = "x" })
    ask("PUT", "/tenants/acme/hooks", json.encode((ask("GET", "/tenants/acme/hooks"))))
    ask("GET", "/tenants/acme/profiles?limit=1")
    ask("GET", "/tenants/acme/profiles/C1")
    ask("GET", "/tenants/acme/profiles/nobody")
    ask("GET", "/connector/acme/plan")
    ask("POST", "/connector/acme/apply")
    ask("GET", "/connector/acme/status")
    ask("POST", "/connector/acme/test")
    ask("POST", "/connector/acme/rotate")
    ask("GET", "/providers")
    ask("POST", "/providers/acme/netmera/test")
    ask("POST", "/providers/acme/nobody/test")
    ask("GET", "/queue?tenant=acme&limit=2")
    ask("GET", "/queue?limit=none")
    ask("GET", "/queue/shape")
    ask("GET", "/queue/" .. held[1])
    ask("GET", "/queue/1")
    ask("POST", "/queue/drop", { ids = { held[1] } })
    ask("POST", "/queue/retry", { ids = { held[2] } })
    ask("POST", "/queue/retry", { ids = { "17" } })
    ask("GET", "/erasures")
    ask("GET", "/imports")
    ask("GET", "/events?state=held")
    ask("GET", "/events?state=nonsense")
    ask("GET", "/events/" .. held[3])
    local messages = ask("GET", "/messages?customer=C1").items
    assert.is_true(#messages >= 1)
    assert.equal("C1", ask("GET", "/messages/" .. messages[1].id).customer)
    ask("GET", "/messages/" .. held[3])
    local run = ask("GET", "/runs").items[1].id
    ask("GET", "/runs/" .. run)
    ask("POST", "/runs/" .. run .. "/pause")
    ask("POST", "/runs/" .. run .. "/repin")
    ask("POST", "/runs/" .. run .. "/release")
    ask("POST", "/runs/" .. run .. "/cancel")
    ask("POST", "/runs/" .. run .. "/pause")
    ask("POST", "/explain", { tenant = "acme", event = { EventTypeID = 11, CampaignID = "1", ChannelID = 459,
                                                         TemplateID = 1201, CustomerID = "C1" } })
    ask("POST", "/explain", { tenant = "nobody" })
    ask("GET", "/explain/" .. held[3])
    ask("GET", "/explain/" .. messages[1].id)
    ask("GET", "/rules")
    ask("GET", "/rules/acme")
    ask("POST", "/rules/acme/rollback")
    ask("PUT", "/rules/acme?dry_run=1", { source = story.daemon.read("rules/acme.lua") })
    ask("PUT", "/rules/acme", { source = "return 1" })
    ask("PUT", "/rules/acme", { source = story.daemon.read("rules/acme.lua") .. "\n-- by the API\n" })
    ask("PUT", "/rules/acme", { text = "x" })
    story.daemon.write("rules/acme.lua", story.daemon.read("rules/acme.lua") .. "\n-- another one\n")
    ask("POST", "/reload")
    ask("POST", "/rules/acme/rollback")
    ask("POST", "/tokens", { name = "x", role = "viewer", tenant = "acme", expires_in_s = 60 })
    ask("POST", "/tokens", { role = "king" })
    ask("DELETE", "/tokens/" .. ask("GET", "/tokens").items[1].id)
    ask("DELETE", "/tokens/17")
    ask("GET", "/status")
    ask("GET", "/log")
    ask("PUT", "/log", { level = "info" })
    ask("PUT", "/log", { level = "loud" })
    ask("DELETE", "/tenants/acme")
    ask("GET", "/audit")

    local missing = {}
    each_operation(document, function(name) if not seen[name] then missing[#missing + 1] = name end end)
    table.sort(missing)
    assert.equal("", table.concat(missing, "\n"), "never answered as the document says")
  end)
end)
