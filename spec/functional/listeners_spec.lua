-- The failure matrix of listeners: each step of a reconciliation fails in each way, with the daemon
-- killed and not; in the end Optimove holds exactly what is wanted, and our journal says the same.
--
-- Every 11th combination runs always, all of them with NETMOVE_LONG=1.

local daemon = require("spec.support.daemon")
local json = require("spec.support.json")
local loop = require("spec.support.loop")
local process = require("spec.support.process")
local world = require("spec.support.world")

local is_long = os.getenv("NETMOVE_LONG") == "1"

--- Ways to fail: what the fault does; `work` says whether Optimove does what was asked all the same.
local failures = {
  { name = "a 500", act = { status = 500, body = "trouble" } },
  { name = "a 500 after the work", act = { status = 500, body = "trouble", work = true } },
  { name = "an error in a 200", act = { raw = "Something went wrong" } },
  { name = "an error in a 200 after the work", act = { raw = "Something went wrong", work = true } },
  { name = "a 429", act = { status = 429, body = "slower" } },
  { name = "garbage", act = { garbage = true } },
  { name = "garbage without the work", act = { garbage = true, work = false } },
  { name = "a close before the work", act = { close = "before" } },
  { name = "a close after the work", act = { close = "after" } },
  { name = "half an answer", act = { close = "midbody", reset = true } },
  { name = "no answer", act = { hang = true, work = false } },
  { name = "no answer after the work", act = { hang = true } },
}

local list, register, unregister =
  "GetRegisteredEventListeners", "/RegisterEventListener", "UnregisterEventListener"

local all_pairs = { "11/459", "11/481", "13/459", "13/481", "4/-" }
local push_pairs = { "11/459", "13/459", "4/-" }

local optimove, story

local function key_of(listener)
  return listener.ListenerURL:match("[?&]k=([^&]+)")
end

local function apply(changes)
  local text = story.tenant
  for from, to in pairs(changes or {}) do text = text:gsub(from, to) end
  story.daemon.write("tenants/acme.lua", text)
  return { command = story.program, cwd = story.daemon.path,
           args = { "--config", "netmove.lua", "tenant", "apply", "tenants/acme.lua" } }
end

local function command(...)
  return { command = story.program, cwd = story.daemon.path,
           args = { "--config", "netmove.lua", ... } }
end

--- What is done while something fails: `base` says that its listeners are there before it, `act` gives the
--- command (a restart has none), `steps` are the calls that can fail.
local scenarios = {
  { name = "a first save", is_first = true, pairs = all_pairs, -- its first list is the look at the key
    act = function() return apply() end,
    steps = { { list, 1 }, { list, 2 }, { list, 3 }, { register, 2 } } },
  { name = "a save that makes it ACTIVE", pairs = all_pairs,
    act = function() return apply() end,
    steps = { { list, 1 }, { list, 2 }, { register, 1 }, { register, 3 }, { register, 5 } } },
  { name = "a channel's removal", base = true, pairs = push_pairs,
    act = function() return apply({ [", { id = 481.-}"] = "" }) end,
    steps = { { list, 1 }, { list, 2 }, { unregister, 1 }, { unregister, 2 } } },
  { name = "a change of our URL", base = true, pairs = all_pairs, is_restart = true,
    steps = { { list, 1 }, { list, 2 }, { register, 1 }, { register, 4 } } },
  { name = "a change of our URL where listeners add up", base = true, pairs = all_pairs,
    is_restart = true, settings = { reregister = "duplicate" },
    steps = { { list, 2 }, { register, 2 }, { unregister, 1 }, { register, 6 }, { unregister, 5 } } },
  { name = "a rotation", base = true, pairs = all_pairs, has_new_key = true,
    act = function() return command("connector", "rotate", "acme") end,
    steps = { { list, 1 }, { list, 2 }, { register, 1 }, { register, 5 } } },
  { name = "a rotation without the list", base = true, pairs = all_pairs, has_new_key = true,
    is_list_barred = true,
    act = function() return command("connector", "rotate", "acme") end,
    steps = { { unregister, 1 }, { register, 1 }, { unregister, 4 }, { register, 5 } } },
}

local barred = { name = "barred", match = { path = list }, ["do"] = { status = 403, body = "Forbidden" } }

--- Gives the listeners where they are exactly those wanted, each once, with our present URL.
local function are_right(scenario, before)
  local held = optimove.ledger().listeners
  local found, prefix, key = {}, story.daemon.url .. "/optimove/event/acme-app-key?", nil
  for _, listener in ipairs(held) do
    if listener.ListenerURL:sub(1, #prefix) ~= prefix then return false end
    key = key or key_of(listener)
    if key_of(listener) ~= key then return false end
    found[#found + 1] = listener.EventTypeID .. "/" .. tostring(listener.ChannelID or "-")
  end
  table.sort(found)
  if table.concat(found, " ") ~= table.concat(scenario.pairs, " ") then return false end
  return not (scenario.has_new_key and before[1] and key_of(before[1]) == key)
end

local function faults_applied()
  local applied = 0
  for _, fault in ipairs(optimove.get("faults")) do
    if fault.name ~= "barred" then applied = applied + fault.applied end
  end
  return applied
end

local function open(scenario)
  optimove.post("reset")
  local settings = { rateLimit = json.null }
  for name, value in pairs(scenario.settings or {}) do settings[name] = value end
  optimove.post("settings", settings)
  story = { daemon = daemon.folder(), program = os.getenv("NETMOVE") or "build/netmove" }
  story.daemon.start()
  local made = story.daemon.apply({ optimove = optimove, netmera = { url = "http://127.0.0.1:1" } }, {
    optimove = " timeout = 1,", status = scenario.base and "ACTIVE" or "INACTIVE",
    name = scenario.is_first and "other", app_key = scenario.is_first and "other-app-key" })
  assert.equal(0, made.code, made.out .. made.err)
  story.tenant = story.daemon.read("tenants/acme.lua"):gsub("INACTIVE", "ACTIVE", 1)
    :gsub('"other', '"acme')
end

--- Runs the scenario with its step failing; the daemon dies at that moment where `is_killed`.
local function run(scenario, step, failure, is_killed)
  open(scenario)
  local before = optimove.ledger().listeners
  local faults = { { match = { path = step[1], nth = step[2] }, ["do"] = failure.act } }
  if scenario.is_list_barred then faults[2] = barred end
  optimove.faults(faults)

  local asked
  if scenario.is_restart then
    story.daemon.stop()
    story.daemon.listen = "127.0.0.1:0"
    story.daemon.start()
  else
    asked = process.start(scenario.act())
  end
  loop.await("the step to fail", function() return faults_applied() > 0 end, 20000)
  if is_killed then
    story.daemon.kill()
    if asked then asked.wait() end
    story.daemon.start()
  elseif asked then
    asked.wait(45000)
  end
  -- an operator whose command found no daemon says it again
  if is_killed and asked and not are_right(scenario, before) then process.run(scenario.act()) end

  loop.await("exactly the wanted listeners", function() return are_right(scenario, before) end, 40000)
  loop.await("the end of reconciling", function()
    return story.daemon.cli("connector", "status", "acme").code == 0
  end, 40000)
  local plan = story.daemon.cli("connector", "plan", "acme")
  assert.equal(0, plan.code, plan.out .. plan.err)
  assert.matches("nothing to do", plan.out)

  -- with the list barred our journal answers: it must claim no more and no less
  optimove.faults({ barred })
  local claimed = story.daemon.cli("connector", "plan", "acme")
  assert.equal(0, claimed.code, claimed.out .. claimed.err)
  assert.is_true(are_right(scenario, before))
  local told = optimove.post("cancel", { campaign = "c1" })
  assert.equal(1, told.notified)
  assert.equal(200, told.notifications[1].status)
end

describe("listeners after", function()
  setup(function() optimove = world.optimove() end)
  teardown(function() optimove.close() end)
  after_each(function()
    if not story then return end
    if not story.daemon.process.exit_code then story.daemon.stop() end
    story.daemon.remove()
    story = nil
  end)

  local number = 0
  for _, scenario in ipairs(scenarios) do
    for _, step in ipairs(scenario.steps) do
      for _, failure in ipairs(failures) do
        for _, is_killed in ipairs({ false, true }) do
          number = number + 1
          if is_long or number % 11 == 0 then
            it(("%s whose %s %d meets %s%s"):format(scenario.name, step[1]:gsub("^/", ""), step[2],
                                                    failure.name, is_killed and ", killed" or ""),
               function() run(scenario, step, failure, is_killed) end)
          end
        end
      end
    end
  end
end)
