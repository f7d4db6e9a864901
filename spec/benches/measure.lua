--- What is measured, and how: programs in sessions of their own on a core of their own, CPU and memory out
-- of /proc, medians of rounds, tables.
--
-- With autogroup scheduling `nice` counts only inside a session, and a stray busy process of another
-- session takes half a core whatever its nice.  So each program under test begins a session (which
-- makes it an autogroup) and is given more weight where we may; what other programs used of the
-- machine meanwhile is printed with every round.

local json = require("spec.support.json")
local http = require("spec.support.http")
local loop = require("spec.support.loop")
local process = require("spec.support.process")
local uv = require("luv")

local measure = { cores = math.max(1, #uv.cpu_info()) }

local ticks_per_s = 100 -- USER_HZ, the unit of /proc on every Linux
local SINK_ASKED_EACH_MS = 25

local function read(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

--- The core of the program under test, and that of whoever plays against it.
measure.test_core = measure.cores - 1
measure.other_core = 0

--- Words that start a command on a core, in a session of its own.
function measure.pinned(core, command, args)
  local words = { "sh", "-c", "echo -10 >/proc/self/autogroup 2>/dev/null; exec \"$@\"", "sh",
                  "taskset", "-c", tostring(core), command }
  for _, word in ipairs(args or {}) do words[#words + 1] = word end
  return "setsid", words
end

--- Starts a program so and waits for its first line, JSON that says its address where `is_server`.
function measure.start(core, command, args, options)
  options = options or {}
  local first, words = measure.pinned(core, command, args)
  local self = process.start({ command = first, args = words, env = options.env, cwd = options.cwd })
  self.core = core
  if options.is_server then
    loop.await(command .. " to listen", function() return self.out[1] or self.exit_code end, 30000)
    if not self.out[1] then error(command .. " ended: " .. table.concat(self.err, "\n"), 0) end
    self.url = json.decode(self.out[1]).url
  end
  function self.finish()
    if not self.exit_code then self.kill("sigterm") end
    self.wait(40000)
  end
  return self
end

--- Runs a program so to its end; gives the JSON of its last line.
function measure.run(core, command, args, options)
  local self = measure.start(core, command, args, options)
  self.wait((options and options.timeout_ms) or 600000)
  if self.exit_code ~= 0 then
    error(command .. ": exit " .. self.exit_code .. "\n" .. table.concat(self.err, "\n"), 0)
  end
  return json.decode(self.out[#self.out])
end

--- Seconds of CPU that a process has used, all its threads, those that ended too.
function measure.cpu_s(pid)
  local text = read("/proc/" .. pid .. "/stat")
  if not text then return 0 end
  local fields = {}
  for word in text:match("%)%s(.*)$"):gmatch("%S+") do fields[#fields + 1] = word end
  return (tonumber(fields[12]) + tonumber(fields[13])) / ticks_per_s
end

local function status_kib(pid, name)
  return tonumber((read("/proc/" .. pid .. "/status") or ""):match(name .. ":%s+(%d+)")) or 0
end

--- Memory that is its own, without pages of files that others may share (libraries).
function measure.private_mb(pid) return status_kib(pid, "RssAnon") / 1024 end

--- Resident memory in MB, and the most since `forget_peak`.
function measure.resident_mb(pid) return status_kib(pid, "VmRSS") / 1024 end
function measure.peak_mb(pid) return status_kib(pid, "VmHWM") / 1024 end
function measure.forget_peak(pid)
  local file = io.open("/proc/" .. pid .. "/clear_refs", "w")
  if file then
    file:write("5")
    file:close()
  end
end

local function machine_busy_s()
  local busy, at = 0, 0
  for word in read("/proc/stat"):match("^cpu%s+([^\n]+)"):gmatch("%d+") do
    at = at + 1
    if at ~= 4 and at ~= 5 and at <= 8 then busy = busy + tonumber(word) end -- not idle, not waiting
  end
  return busy / ticks_per_s
end

-- CPU of children that have ended: of a program that was run, it is only known then.
local function ended_children_s()
  local fields = {}
  for word in read("/proc/self/stat"):match("%)%s(.*)$"):gmatch("%S+") do fields[#fields + 1] = word end
  return (tonumber(fields[14]) + tonumber(fields[15])) / ticks_per_s
end

--- Looks at the clock, the machine and the processes; calling what it gives tells the differences:
-- { seconds, cpu_s = of the pids, ended_s = of programs run to their end, foreign = cores that strangers
-- used }.  `others` are ours too, but not under test; so is whatever ends meanwhile.
function measure.watch(pids, others)
  local function sum(list)
    local total = 0
    for _, pid in ipairs(list or {}) do total = total + measure.cpu_s(pid) end
    return total
  end
  local function rest() return sum(others) + measure.cpu_s(uv.os_getpid()) + ended_children_s() end
  local ended = ended_children_s()
  local began, cpu, ours, busy = uv.hrtime(), sum(pids), rest(), machine_busy_s()
  return function()
    local seconds = (uv.hrtime() - began) / 1e9
    local cpu_s = sum(pids) - cpu
    local foreign = machine_busy_s() - busy - cpu_s - (rest() - ours)
    return { seconds = seconds, cpu_s = cpu_s, ended_s = ended_children_s() - ended,
             foreign = math.max(0, foreign) / seconds }
  end
end

--- wrk from the other core: POSTs made by events.wrk.lua, each body another.
---@param load { url: string, seconds: number, connections: integer, type: integer, tag: string,
---  template?: integer, delay_ms?: integer }
---@return table { accepted, per_s, p50_ms, p99_ms, failed }
function measure.wrk(here, load)
  return measure.run(measure.other_core, "wrk", {
    "-t1", "-c" .. load.connections, "-d" .. load.seconds .. "s", "--timeout", "20s",
    "-s", here .. "/events.wrk.lua", load.url .. "/optimove/event/acme-app-key",
  }, { env = { BENCH_TYPE = tostring(load.type), BENCH_TAG = load.tag,
               BENCH_TEMPLATE = tostring(load.template or 1201),
               BENCH_DELAY_MS = tostring(load.delay_ms or 0) } })
end

--- Waits until a sink has counted so many people; nil where it has not in time.  It is asked now and then: each
-- question takes a port until TIME_WAIT is over, and CPU of the sink's core.
function measure.sink_reaches(url, count, timeout_ms)
  local at, asked_ms
  local is_there = pcall(loop.await, "the sink", function()
    if asked_ms and uv.now() - asked_ms < SINK_ASKED_EACH_MS then return false end
    asked_ms = uv.now()
    at = http.json({ url = url .. "/count" })
    return at.people >= count
  end, timeout_ms)
  return is_there and at or nil, at
end

--- A port that nobody listens on, below those the system gives to whoever connects: a caller who waits for it
-- would sooner or later be given the port itself, and be connected to itself.
function measure.free_port()
  local ephemeral = tonumber((read("/proc/sys/net/ipv4/ip_local_port_range") or "32768"):match("%d+"))
  for _ = 1, 100 do
    local port = math.random(ephemeral // 2, ephemeral - 1)
    local probe = uv.new_tcp()
    local is_free = probe:bind("127.0.0.1", port) and probe:listen(1, function() end)
    probe:close()
    uv.run("nowait")
    if is_free then return port end
  end
  error("no port below " .. ephemeral .. " is free", 0)
end

--- The middle, the least and the most of numbers.
function measure.median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local half = #sorted // 2
  local middle = #sorted % 2 == 1 and sorted[half + 1] or (sorted[half] + sorted[half + 1]) / 2
  return middle, sorted[1], sorted[#sorted]
end

--- Ends whatever is still running; for the end of a bench that failed.
function measure.end_all()
  local pid = uv.os_getpid()
  for child in (read("/proc/" .. pid .. "/task/" .. pid .. "/children") or ""):gmatch("%d+") do
    uv.kill(tonumber(child), "sigkill")
  end
end

return measure
