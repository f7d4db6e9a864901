--- Starts the fake Optimove and the fake Netmera, and asks their ledgers.

local json = require("spec.support.json")
local http = require("spec.support.http")
local loop = require("spec.support.loop")
local process = require("spec.support.process")

local world = {}

local source = os.getenv("NETMOVE_SOURCE") or "."

local function start(name, args)
  local self = { name = name, args = args }

  function self.open(port)
    local words = { source .. "/examples/world/" .. name .. ".mjs", "--port", tostring(port or 0) }
    for _, word in ipairs(args or {}) do words[#words + 1] = word end
    self.process = process.start({ command = "node", args = words })
    loop.await(name .. " to listen", function() return self.process.out[1] or self.process.exit_code end)
    assert(self.process.out[1], table.concat(self.process.err, "\n"))
    self.url = json.decode(self.process.out[1]).url
  end

  --- POSTs to /_world/NAME.
  function self.post(path, body)
    return http.json({ url = self.url .. "/_world/" .. path, body = body or {} })
  end

  function self.faults(list)
    local body = #list == 0 and "[]" or json.encode(list)
    return http.json({ url = self.url .. "/_world/faults", body = body, method = "POST",
                       headers = { ["Content-Type"] = "application/json" } })
  end

  function self.get(path) return http.json({ url = self.url .. "/_world/" .. path }) end

  function self.ledger(query) return self.get("ledger" .. (query and "?" .. query or "")) end

  --- NDJSON of a ledger as an array.
  function self.rows(path)
    local answer = assert(http.request({ url = self.url .. "/_world/ledger/" .. path }))
    local rows = {}
    for line in answer.body:gmatch("[^\n]+") do rows[#rows + 1] = json.decode(line) end
    return rows
  end

  --- Waits until the ledger has reached the figures ("deliveries=5"); fails when it does not.
  function self.reaches(query, timeout_ms)
    local limit = timeout_ms or 60000
    local answer = http.json({ url = self.url .. "/_world/ledger/wait?" .. query .. "&timeoutMs=" .. limit,
                               timeout_ms = limit + 60000 })
    if not answer.reached then
      error(name .. " has not reached " .. query .. ": " .. json.encode(answer), 2)
    end
    return answer
  end

  function self.close()
    self.process.kill("sigkill")
    self.process.wait()
  end

  self.open()
  return self
end

function world.optimove(args) return start("optimove", args) end
function world.netmera(args) return start("netmera", args) end

return world
