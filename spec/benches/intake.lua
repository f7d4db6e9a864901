--- Events in, answered when they are on disk: 64 connections, one core.

local measure = require("spec.benches.measure")
local netmove_side = require("spec.benches.netmove_side")

local CONNECTIONS, UNMAPPED = 64, 9999

local function load(context, url, template, pids, others)
  local look = measure.watch(pids, others)
  local answer = measure.wrk(context.here, { url = url, seconds = context.options.seconds,
    connections = CONNECTIONS, type = 11, template = template, tag = context.fresh("R") .. "-" })
  local sample = netmove_side.figures(answer, look(), pids)
  if answer.failed > 0 then error(answer.failed .. " requests failed", 0) end
  return sample
end

local function ours(template)
  return function(context)
    local side = netmove_side.start()
    local commits, accepted = side.metric("netmove_store_commits_total"), side.metric("netmove_events_total")
    local sample = load(context, side.url, template, { side.pid }, { side.optimove.process.pid })
    sample.per_commit = (side.metric("netmove_events_total") - accepted) /
      (side.metric("netmove_store_commits_total") - commits)
    side.finish()
    return sample
  end
end

local function node(context)
  local peer = measure.start(measure.test_core, "node",
    { context.peers .. "/peer.mjs", "--file", context.folder .. "/" .. context.fresh("peer") .. ".db" },
    { is_server = true })
  local sample = load(context, peer.url, 1201, { peer.pid })
  peer.finish()
  return sample
end

return {
  name = "intake",
  about = "POST of events, 200 once durable, " .. CONNECTIONS .. " connections; " ..
    "held = its template is not mapped, sent = event 11 through its rules to the loopback",
  sides = { { name = "netmove, held", play = ours(UNMAPPED) }, { name = "netmove, sent", play = ours(1201) },
            { name = "node+better-sqlite3", play = node } },
  figures = {
    { key = "per_s", label = "accepted/s", format = "%.0f" }, { key = "p50_ms", label = "p50 ms" },
    { key = "p99_ms", label = "p99 ms" }, { key = "cpu_us", label = "cpu us each" },
    { key = "per_commit", label = "events a commit" },
    { key = "resident_mb", label = "resident MB", format = "%.0f" },
  },
  ratios = {
    { label = "accepted/s of netmove (held) to node's", of = "netmove, held", to = "node+better-sqlite3",
      key = "per_s", aim = "2.5" },
    { label = "accepted/s of netmove (sent) to node's", of = "netmove, sent", to = "node+better-sqlite3",
      key = "per_s", aim = "2.5" },
    { label = "cpu an event of netmove (held) to node's", of = "netmove, held", to = "node+better-sqlite3",
      key = "cpu_us" },
  },
}
