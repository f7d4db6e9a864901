--- netmove as a side of a bench: a fresh daemon on the core under test, its tenant applied.

local daemon = require("spec.support.daemon")
local measure = require("spec.benches.measure")
local world = require("spec.support.world")

local netmove_side = {}

local loopback = [[
return {
  name = "acme", appKey = "acme-app-key", restApiKey = "rest-key",
  optimove = { baseUrl = %q, apiKey = "optimove-key", status = "ACTIVE",
    channels = { { id = 459, name = "Push", kind = "push" }, { id = 481, name = "SMS", kind = "sms" } },
    params = { { realFieldName = "FIRST_NAME", name = "first_name" } } },
  providers = { loopback = { adapter = "loopback" } },
  channels = { push = { "loopback" }, sms = { "loopback" } },
}
]]

--- Starts one; deliveries go to `netmera_url`, or nowhere (loopback) without it.  `provider` is the text of
--- more settings of the provider.
---@return table { daemon, optimove, pid, url, finish() }
function netmove_side.start(netmera_url, provider)
  local self = { optimove = world.optimove() }
  self.daemon = daemon.folder().start()
  self.pid = self.daemon.process.pid
  self.url = self.daemon.url

  local applied
  if netmera_url then
    applied = self.daemon.apply({ optimove = self.optimove, netmera = { url = netmera_url } }, { provider = provider })
  else
    self.daemon.write("tenants/acme.lua", loopback:format(self.optimove.url))
    applied = self.daemon.cli("--json", "tenant", "apply", "tenants/acme.lua")
  end
  if applied.code ~= 0 then error("tenant apply: " .. applied.out .. applied.err, 0) end

  --- A counter of /metrics, all its labels together.
  function self.metric(name)
    local http = require("spec.support.http")
    local total = 0
    for line in http.request({ url = self.daemon.admin_url .. "/metrics" }).body:gmatch("[^\n]+") do
      local value = line:match("^" .. name .. "[%s{].-([%d.e+]+)$")
      if value then total = total + tonumber(value) end
    end
    return total
  end

  function self.finish()
    self.daemon.kill()
    self.optimove.close()
    self.daemon.remove()
  end

  return self
end

--- What a load did to it: figures every work shows.
function netmove_side.figures(load, seen, pids)
  local resident = 0
  for _, pid in ipairs(pids) do resident = resident + measure.resident_mb(pid) end
  return { per_s = load.per_s, p50_ms = load.p50_ms, p99_ms = load.p99_ms, failed = load.failed,
           cpu_us = seen.cpu_s / load.accepted * 1e6, resident_mb = resident, foreign = seen.foreign }
end

return netmove_side
