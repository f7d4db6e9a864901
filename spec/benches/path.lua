--- The whole path: events 11 in, their messages out by HTTP to a sink that takes everything.  The peers send
-- one request a message; so does netmove with the provider's `batch = 1`, and beside it as it comes.

local measure = require("spec.benches.measure")
local netmove_side = require("spec.benches.netmove_side")
local http = require("spec.support.http")
local loop = require("spec.support.loop")

local CONNECTIONS, DRAIN_MAX_MS = 64, 300000

-- Delivered a second: from the first request at the sink to the last of all that was accepted.
local function load(context, url, sink, pids, others)
  others = others or {}
  others[#others + 1] = sink.pid
  http.json({ url = sink.url .. "/reset" })
  local look = measure.watch(pids, others)
  local answer = measure.wrk(context.here, { url = url, seconds = context.options.seconds,
    connections = CONNECTIONS, type = 11, tag = context.fresh("R") .. "-" })
  -- what wrk left unread was accepted too, so there may be some more
  local count, seen = measure.sink_reaches(sink.url, answer.accepted, DRAIN_MAX_MS)
  if not count then
    error(("%d accepted, %d delivered after five minutes"):format(answer.accepted, seen.people), 0)
  end
  local watched = look()
  local sample = netmove_side.figures(answer, watched, pids)
  sample.accepted_per_s = answer.per_s
  sample.per_request = count.people / count.requests
  sample.per_s = count.people / math.max(1, count.last_ms - count.first_ms) * 1000
  if answer.failed > 0 then error(answer.failed .. " requests failed", 0) end
  return sample
end

local function with_sink(play)
  return function(context)
    local sink = measure.start(measure.other_core, context.build .. "/bench_sink", { "0" }, { is_server = true })
    local sample = play(context, sink)
    sink.finish()
    return sample
  end
end

local function ours(provider)
  return function(context, sink)
    local side = netmove_side.start(sink.url, provider)
    local sample = load(context, side.url, sink, { side.pid }, { side.optimove.process.pid })
    side.finish()
    return sample
  end
end

local function node(context, sink)
  local peer = measure.start(measure.test_core, "node",
    { context.peers .. "/peer.mjs", "--file", context.folder .. "/" .. context.fresh("peer") .. ".db",
      "--sink", sink.url }, { is_server = true })
  local sample = load(context, peer.url, sink, { peer.pid })
  peer.finish()
  return sample
end

local function bullmq(context, sink)
  local redis_port = measure.free_port()
  local redis = measure.start(measure.test_core, "redis-server", {
    "--port", tostring(redis_port), "--bind", "127.0.0.1", "--dir", context.folder,
    "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--appenddirname",
    context.fresh("redis"), "--maxmemory-policy", "noeviction" })
  loop.await("redis to listen", function()
    if redis.exit_code then error("redis ended: " .. table.concat(redis.out, "\n"), 0) end
    local connection = http.connect({ host = "127.0.0.1", port = redis_port })
    local is_there = connection.is_open
    connection.close()
    return is_there
  end)
  local peer = measure.start(measure.test_core, "node",
    { context.peers .. "/peer_bullmq.mjs", "--redis", tostring(redis_port), "--sink", sink.url },
    { is_server = true })
  local sample = load(context, peer.url, sink, { peer.pid, redis.pid })
  peer.kill("sigkill")
  peer.finish()
  redis.finish()
  return sample
end

return {
  name = "path",
  about = "event 11 in, 200 once durable, HTTP requests out (people a request: 1.0 is one by one); " ..
     CONNECTIONS .. " connections in",
  sides = { { name = "netmove, one by one", play = with_sink(ours(", batch = 1, concurrency = 64")) },
            { name = "netmove, batches", play = with_sink(ours()) },
            { name = "node+sqlite+undici", play = with_sink(node) },
            { name = "node+bullmq+redis", play = with_sink(bullmq) } },
  figures = {
    { key = "per_s", label = "delivered/s", format = "%.0f" },
    { key = "per_request", label = "people a request" },
    { key = "accepted_per_s", label = "accepted/s", format = "%.0f" }, { key = "p99_ms", label = "p99 ms" },
    { key = "cpu_us", label = "cpu us each" }, { key = "resident_mb", label = "resident MB", format = "%.0f" },
  },
  ratios = {
    { label = "delivered/s of netmove (one by one) to node's", of = "netmove, one by one",
      to = "node+sqlite+undici", key = "per_s", aim = "2" },
    { label = "delivered/s of netmove (one by one) to BullMQ's", of = "netmove, one by one",
      to = "node+bullmq+redis", key = "per_s", aim = "5" },
    { label = "delivered/s of netmove (batches) to node's", of = "netmove, batches", to = "node+sqlite+undici",
      key = "per_s" },
    { label = "cpu a message of netmove (one by one) to node's", of = "netmove, one by one",
      to = "node+sqlite+undici", key = "cpu_us" },
  },
}
