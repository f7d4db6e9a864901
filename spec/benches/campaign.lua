--- A campaign through its rules to a provider that takes batches, against the least that such work can be: the
-- mapping in bare Lua, then as many rows through bare SQLite.

local measure = require("spec.benches.measure")
local netmove_side = require("spec.benches.netmove_side")
local world = require("spec.support.world")
local uv = require("luv")

local RUN_MAX_MS = 1800000

local function campaign_of(recipients)
  return { campaign = 7, channel = 459, templates = { 1201 }, count = recipients, customerPrefix = "C",
           attributes = { FIRST_NAME = { "Ada", "Can", "Eda", "Ege" } } }
end

local function ours(context)
  local recipients = context.options.recipients
  local netmera = world.netmera()
  local side = netmove_side.start(netmera.url)
  side.optimove.post("campaigns", campaign_of(recipients))
  measure.forget_peak(side.pid)
  local look = measure.watch({ side.pid }, { side.optimove.process.pid, netmera.process.pid })
  side.optimove.post("execute", { campaign = 7, channel = 459 })
  netmera.reaches("deliveries=" .. recipients, RUN_MAX_MS)
  local seen = look()
  local ledger = netmera.ledger()
  if ledger.deliveries ~= recipients or ledger.recipients ~= recipients then
    error(("%d recipients, %d deliveries to %d people"):format(recipients, ledger.deliveries, ledger.recipients), 0)
  end
  local sample = { seconds = seen.seconds, per_s = recipients / seen.seconds,
    cpu_us = seen.cpu_s / recipients * 1e6, peak_mb = measure.peak_mb(side.pid), foreign = seen.foreign,
    disk_mb = (uv.fs_stat(side.daemon.path .. "/netmove.db").size) / 1048576 }
  side.finish()
  netmera.close()
  return sample
end

local function bare(context)
  local recipients = context.options.recipients
  local file = context.folder .. "/" .. context.fresh("rows") .. ".db"
  local look = measure.watch({})
  local job = measure.run(measure.test_core, "lua5.4",
    { context.here .. "/mapping.lua", "rows", tostring(recipients) })
  local rows = measure.run(measure.test_core, context.build .. "/bench_rows", { file, tostring(recipients) })
  local seen = look()
  local seconds = job.seconds + rows.insert_s + rows.finish_s
  local disk_mb = uv.fs_stat(file).size / 1048576
  uv.fs_unlink(file)
  return { seconds = seconds, per_s = recipients / seconds, foreign = seen.foreign, disk_mb = disk_mb,
           cpu_us = seen.ended_s / recipients * 1e6 }
end

return {
  name = "campaign",
  about = "one event 13 to the last delivery of all its recipients, counted by the fake Netmera; " ..
    "bare = the mapping in plain Lua, then as many rows into SQLite and marked as sent, 1024 a commit; over 500,000 " ..
    "it is Optimove's 50 calls in 10 s that pace it: look at the CPU then",
  sides = { { name = "netmove", play = ours }, { name = "bare Lua + bare SQLite", play = bare } },
  figures = {
    { key = "seconds", label = "seconds", format = "%.2f" }, { key = "per_s", label = "recipients/s", format = "%.0f" },
    { key = "cpu_us", label = "cpu us each" }, { key = "peak_mb", label = "peak resident MB", format = "%.0f" },
    { key = "disk_mb", label = "disk MB", format = "%.0f" },
  },
  ratios = { { label = "time of netmove to the bare loops", of = "netmove", to = "bare Lua + bare SQLite",
               key = "seconds", aim = "at most 2" },
             { label = "cpu of netmove to that of the bare loops", of = "netmove", to = "bare Lua + bare SQLite",
               key = "cpu_us" } },
}
