-- A disk that is full and freed, and a disk that fails: what is said, and what is kept.
--
-- Full is first what the faults' library says, then a tmpfs of 160 MiB, where the test may mount one: this file runs
-- itself again in a mount namespace of its own, with NETMOVE_DISK naming the tmpfs, on which all of the daemon lives.
-- It is ready with 64 free, and its log takes up to 72: one of 96 is freed and still too full, and readyz says so.

local daemon = require("spec.support.daemon")
local faults = require("spec.support.faults")
local http = require("spec.support.http")
local ledger = require("spec.support.ledger")
local loop = require("spec.support.loop")
local process = require("spec.support.process")
local sender = require("spec.support.sender")

local is_long = os.getenv("NETMOVE_LONG") == "1"
local cycles = is_long and 20 or 2
local source = os.getenv("NETMOVE_SOURCE") or "."
local tmpfs = os.getenv("NETMOVE_DISK") or nil

describe("the store's disk", function()
  local story, fault, acknowledged, traffic

  before_each(function()
    if not (tmpfs or faults.can()) then return end
    fault = faults.new()
    story = daemon.story({ env = not tmpfs and fault.env })
    acknowledged = {}
    traffic = sender.new({ acknowledged = acknowledged, pause_ms = 2 })
    traffic.start(story.daemon.listen, 4)
  end)

  after_each(function()
    if story then story.close(true) end
    if fault then fault.close() end
  end)

  local function count(status) return traffic.statuses[status] or 0 end

  local function goes_on(by)
    local goal = traffic.acknowledged + by
    loop.await(by .. " more to be acknowledged", function() return traffic.acknowledged >= goal end)
  end

  local function is_refused(by)
    local goal = count(503) + by
    loop.await(by .. " to be refused", function() return count(503) >= goal end)
  end

  local function readyz()
    local answer = assert(http.request({ url = story.daemon.admin_url .. "/readyz" }))
    return answer.status, answer.body
  end

  local function settle()
    traffic.stop()
    loop.await("the last answers", function() return traffic.open == 0 end)
    loop.await("the queue to empty", function()
      local status = story.daemon.ask("status")
      return status.waiting_messages == 0 and status.waiting_events == 0
    end)
    story.daemon.stop()
  end

  --- Takes all that is left.
  local function fill_tmpfs()
    local file = assert(io.open(tmpfs .. "/filler", "a"))
    file:setvbuf("no")
    local piece = ("x"):rep(1 << 20)
    while file:write(piece) do end
    file:close()
  end

  local function fill()
    if not tmpfs then fault.set("is_full", 1) return is_refused(20) end
    local goal = count(503) + 20 -- what a checkpoint gives back is taken too
    loop.await("20 to be refused", function()
      fill_tmpfs()
      return count(503) >= goal
    end)
  end

  local function free()
    if tmpfs then assert(os.remove(tmpfs .. "/filler")) else fault.set("is_full", 0) end
  end

  it("may be full and be freed " .. cycles .. " times: 503, Retry-After, and by itself again", function()
    if not story then return pending("the faults' library is not built") end
    for _ = 1, cycles do
      goes_on(50)
      fill()
      local refusal = traffic.last_refusal
      assert.is_true(tonumber(refusal.headers["retry-after"]) >= 1)
      assert.equal("busy", refusal.json().error.code)
      assert.is_table(story.daemon.ask("status")) -- operators are served meanwhile
      if tmpfs then assert.equal(503, (readyz())) end
      free()
      goes_on(50)
    end
    local is_ready = pcall(loop.await, "it to be ready", function() return readyz() == 200 end)
    if not is_ready then error("it is not ready: " .. select(2, readyz())) end
    settle()
    assert.is_nil(traffic.statuses[500])
    -- What was sent and could not be written down at once is not sent twice.
    ledger.check(story, { acknowledged = acknowledged, is_ended = true, start_max_ms = 60000, repeated_max = 0 })
    print(("# %d acknowledged, %d refused over %d cycles"):format(traffic.acknowledged, count(503), cycles))
  end)

  if tmpfs then return end

  it("may be a real one, of 160 MiB", function()
    if not story then return pending("the faults' library is not built") end
    local function inside(options, script)
      return process.run({ command = "unshare", args = { options, "sh", "-c", script, source, story.daemon.path },
                           timeout_ms = 600000 })
    end
    local mount = 'mkdir "$1/disk" && mount -t tmpfs -o size=160m none "$1/disk" && '
    local options = inside("-m", mount .. "true").code == 0 and "-m" or "-rm"
    os.remove(story.daemon.path .. "/disk")
    local again = 'cd "$0" && export NETMOVE_DISK="$1/disk" && ' ..
      'TMPDIR="$1/disk" exec spec/support/busted spec/functional/disk_spec.lua'
    if options == "-rm" and inside(options, mount .. "true").code ~= 0 then
      return pending("nobody may mount a tmpfs here: full is what the faults' library says")
    end
    os.remove(story.daemon.path .. "/disk")
    settle()
    local result = inside(options, mount .. again)
    assert.equal(0, result.code, result.out .. result.err)
    print("# on a tmpfs: " .. (result.out:match("# ([^\n]*acknowledged[^\n]*)") or result.out))
  end)

  for name, place in pairs({ ["a failed sync"] = "syncs_fail", ["a failed write"] = "writes_fail" }) do
    it("is not trusted after " .. name .. ": nothing is acknowledged until a restart, and readyz says so", function()
      if not faults.can() then return pending("the faults' library is not built") end
      goes_on(50)
      assert.equal(200, (readyz()))
      fault.set(place, 1)
      is_refused(1)
      local before = traffic.acknowledged
      is_refused(50)
      assert.equal(before, traffic.acknowledged)
      assert.is_true(tonumber(traffic.last_refusal.headers["retry-after"]) >= 1)
      local status, body = readyz()
      assert.equal(503, status)
      assert.truthy(body:find("until a restart", 1, true))
      assert.equal(200, assert(http.request({ url = story.daemon.admin_url .. "/healthz" })).status)
      assert.equal(1, fault.get("refused"))
      assert.is_true(#story.daemon.errors() > 0)
      story.daemon.kill()
      story.daemon.start()
      assert.equal(200, (readyz()))
      traffic.start(story.daemon.listen, 4)
      goes_on(20)
      settle()
      ledger.check(story, { acknowledged = acknowledged, is_ended = true, start_max_ms = 60000,
                            repeated_max = ledger.in_flight_max })
    end)
  end
end)
