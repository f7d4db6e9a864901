-- What wrk runs: event 11 (or another type) for a customer that nobody had before; wrk's own words.
-- luacheck: globals wrk init request delay done

local event_type = os.getenv("BENCH_TYPE")
local template = os.getenv("BENCH_TEMPLATE")
local tag = os.getenv("BENCH_TAG")
local delay_ms = tonumber(os.getenv("BENCH_DELAY_MS"))
local count = 0
local head, middle, tail

function init()
  wrk.method = "POST"
  head = "POST " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port ..
    "\r\nContent-Type: application/json\r\nX-netmera-api-key: rest-key\r\nContent-Length: "
  middle = '{"EventTypeID":' .. event_type .. ',"CampaignID":7,"ChannelID":459,"TemplateID":' .. template .. ',' ..
    '"TimeStamp":"2030-01-01 10:00:00","CustomerID":"' .. tag
  tail = '","attributes":{"first_name":"Ada"}}'
end

function request()
  count = count + 1
  local body = middle .. count .. tail
  return head .. #body .. "\r\n\r\n" .. body
end

if delay_ms > 0 then
  function delay() return delay_ms end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(('{"accepted":%d,"per_s":%.1f,"p50_ms":%.3f,"p99_ms":%.3f,"failed":%d}\n'):format(
    summary.requests - errors.status, (summary.requests - errors.status) / (summary.duration / 1e6),
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
