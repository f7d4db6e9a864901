--- Resident memory: idle with one tenant, and the most under a load that leaves nothing waiting.

local measure = require("spec.benches.measure")
local netmove_side = require("spec.benches.netmove_side")

local CONNECTIONS, DELAY_MS = 64, 40 -- about 1,500 events a second

local function idle()
  local side = netmove_side.start()
  local sample = { resident_mb = measure.resident_mb(side.pid), private_mb = measure.private_mb(side.pid), foreign = 0 }
  side.finish()
  return sample
end

local function under_load(context)
  local sink = measure.start(measure.other_core, context.build .. "/bench_sink", { "0" }, { is_server = true })
  local side = netmove_side.start(sink.url)
  measure.forget_peak(side.pid)
  local look = measure.watch({ side.pid }, { side.optimove.process.pid, sink.pid })
  local answer = measure.wrk(context.here, { url = side.url, seconds = context.options.seconds,
    connections = CONNECTIONS, type = 11, tag = context.fresh("R") .. "-", delay_ms = DELAY_MS })
  local seen = look()
  if not measure.sink_reaches(sink.url, answer.accepted, 60000) then error("not all was delivered", 0) end
  local sample = { resident_mb = measure.resident_mb(side.pid), peak_mb = measure.peak_mb(side.pid),
                   private_mb = measure.private_mb(side.pid), per_s = answer.per_s,
                   cpu_us = seen.cpu_s / answer.accepted * 1e6, foreign = seen.foreign }
  side.finish()
  sink.finish()
  return sample
end

return {
  name = "memory",
  about = "aims: idle at most 8 MB, under load without a backlog at most 32 MB",
  sides = { { name = "idle, one tenant", play = idle }, { name = "under load", play = under_load } },
  figures = {
    { key = "resident_mb", label = "resident MB" }, { key = "private_mb", label = "of it private MB" },
    { key = "peak_mb", label = "peak MB" },
    { key = "per_s", label = "events/s", format = "%.0f" }, { key = "cpu_us", label = "cpu us each" },
  },
}
