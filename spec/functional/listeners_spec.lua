-- The failure matrix of listeners: each step of a reconciliation fails in each way, with the daemon
-- killed and not; in the end Optimove holds exactly what is wanted, and our journal says the same.
--
-- Every step runs always, with some failure; all combinations with NETMOVE_LONG=1.  Cases wait more than they
-- work, so several run side by side.

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

--- A case has what it needs to itself, for several run side by side: `optimove`, `second` where the tenant
--- moves, `daemon`, and `tenant`, the text of what is applied.

local function key_of(listener)
  return listener.ListenerURL:match("[?&]k=([^&]+)")
end

local function apply(case, changes)
  local text = case.tenant
  for from, to in pairs(changes or {}) do text = text:gsub(from, to) end
  case.daemon.write("tenants/acme.lua", text)
  return { command = case.program, cwd = case.daemon.path,
           args = { "--config", "netmove.lua", "tenant", "apply", "tenants/acme.lua" } }
end

local function command(case, ...)
  return { command = case.program, cwd = case.daemon.path,
           args = { "--config", "netmove.lua", ... } }
end

local function move(case)
  return apply(case, { [case.optimove.url:gsub("%p", "%%%0")] = case.second.url })
end

local function change_key(case) return apply(case, { ['"optimove%-key"'] = '"other-key"' }) end

--- What is no UTF-8 got lost on its way into a report, and what was still to do with it; so these steps
--- always meet it.
local function garbled(...)
  local step = { ... }
  step.always = "garbage"
  return step
end

--- What is done while something fails: `base` says that its listeners are there before it, `act` gives the
--- command (a restart has none), `steps` are the calls that can fail, at the second account where the third
--- word says so.
local scenarios = {
  { name = "a first save", is_first = true, pairs = all_pairs, -- its first list is the look at the key
    act = apply,
    steps = { { list, 1 }, { list, 2 }, { list, 3 }, { register, 2 } } },
  { name = "a save that makes it ACTIVE", pairs = all_pairs,
    act = apply,
    steps = { { list, 1 }, { list, 2 }, { register, 1 }, { register, 3 }, { register, 5 } } },
  { name = "a channel's removal", base = true, pairs = push_pairs,
    act = function(case) return apply(case, { [", { id = 481.-}"] = "" }) end,
    steps = { { list, 1 }, { list, 2 }, { unregister, 1 }, { unregister, 2 } } },
  { name = "a change of our URL", base = true, pairs = all_pairs, is_restart = true,
    steps = { { list, 1 }, { list, 2 }, { register, 1 }, { register, 4 } } },
  { name = "a change of our URL where listeners add up", base = true, pairs = all_pairs,
    is_restart = true, settings = { reregister = "duplicate" },
    steps = { { list, 2 }, { register, 2 }, { unregister, 1 }, { register, 6 }, { unregister, 5 } } },
  { name = "a rotation", base = true, pairs = all_pairs, has_new_key = true,
    act = function(case) return command(case, "connector", "rotate", "acme") end,
    steps = { { list, 1 }, { list, 2 }, { register, 1 }, { register, 5 } } },
  { name = "a rotation without the list", base = true, pairs = all_pairs, has_new_key = true,
    is_list_barred = true,
    act = function(case) return command(case, "connector", "rotate", "acme") end,
    steps = { { unregister, 1 }, { register, 1 }, { unregister, 4 }, { register, 5 } } },
  { name = "a move to another account", base = true, pairs = all_pairs, has_new_key = true, moves = true,
    act = move,
    steps = { garbled(list, 1), { unregister, 1 }, { unregister, 4 }, { register, 2, "second" },
              { list, 2 } } },
  { name = "a move away from an account without the list", base = true, pairs = all_pairs, has_new_key = true,
    moves = true, is_list_barred = true,
    act = move,
    steps = { { unregister, 1 }, { unregister, 5 } } },
  { name = "another key of the same account", base = true, pairs = all_pairs, has_new_key = true,
    act = change_key,
    steps = { { list, 2 }, { register, 3 }, garbled(list, 4) } },
  { name = "another key of an account without the list", base = true, pairs = all_pairs, has_new_key = true,
    is_list_barred = true,
    act = change_key,
    steps = { { register, 1 }, { unregister, 2 }, { register, 6 } } },
}

local barred = { name = "barred", match = { path = list }, ["do"] = { status = 403, body = "Forbidden" } }

--- Gives the listeners where they are exactly those wanted, each once, with our present URL.
local function are_right(case, before)
  local scenario = case.scenario
  local held = (scenario.moves and case.second or case.optimove).ledger().listeners
  local found, prefix, key = {}, case.daemon.url .. "/optimove/event/acme-app-key?", nil
  for _, listener in ipairs(held) do
    if listener.ListenerURL:sub(1, #prefix) ~= prefix then return false end
    key = key or key_of(listener)
    if key_of(listener) ~= key then return false end
    found[#found + 1] = listener.EventTypeID .. "/" .. tostring(listener.ChannelID or "-")
  end
  table.sort(found)
  if table.concat(found, " ") ~= table.concat(scenario.pairs, " ") then return false end
  if scenario.moves then -- nothing of ours stays behind
    local left = case.optimove.ledger()
    if #left.listeners + #left.templates > 0 then return false end
  end
  return not (scenario.has_new_key and before[1] and key_of(before[1]) == key)
end

local function faults_applied(server)
  local applied = 0
  for _, fault in ipairs(server.get("faults")) do
    if fault.name ~= "barred" then applied = applied + fault.applied end
  end
  return applied
end

local function prepare(server, scenario)
  server.post("reset")
  local settings = { rateLimit = json.null, keys = { { key = "optimove-key", kind = "admin" },
                                                     { key = "other-key", kind = "admin" } } }
  for name, value in pairs(scenario.settings or {}) do settings[name] = value end
  server.post("settings", settings)
end

local function open(case)
  local scenario = case.scenario
  prepare(case.optimove, scenario)
  if scenario.moves then prepare(case.second, scenario) end
  case.daemon = daemon.folder()
  case.program = case.daemon.program
  case.daemon.start()
  local made = case.daemon.apply({ optimove = case.optimove, netmera = { url = "http://127.0.0.1:1" } }, {
    optimove = " timeout = 1,", status = scenario.base and "ACTIVE" or "INACTIVE",
    name = scenario.is_first and "other", app_key = scenario.is_first and "other-app-key" })
  assert(made.code == 0, made.out .. made.err)
  case.tenant = case.daemon.read("tenants/acme.lua"):gsub("INACTIVE", "ACTIVE", 1)
    :gsub('"other%-app%-key"', '"acme-app-key"'):gsub('"other"', '"acme"')
end

local function expect(is_true, what) if not is_true then error(what, 2) end end

--- Lets the step fail while the scenario plays; the daemon dies at that moment where the case says so.
local function play(case, before)
  local scenario, step = case.scenario, case.step
  local failing = step[3] and case.second or case.optimove
  local faults = { { match = { path = step[1], nth = step[2] }, ["do"] = case.failure.act } }
  if scenario.is_list_barred then
    faults[2] = barred
    if scenario.moves then case.second.faults({ barred }) end
  end
  failing.faults(faults)
  local asked
  if scenario.is_restart then
    case.daemon.stop()
    case.daemon.listen = "127.0.0.1:0"
    case.daemon.start()
  else
    asked = process.start(scenario.act(case))
  end
  loop.await("the step to fail", function() return faults_applied(failing) > 0 end)
  if case.is_killed then
    case.daemon.kill()
    if asked then asked.wait() end
    case.daemon.start()
  elseif asked then
    asked.wait()
  end
  -- an operator whose command found no daemon says it again
  if case.is_killed and asked and not are_right(case, before) then process.run(scenario.act(case)) end
end

--- In the end Optimove holds what is wanted, and plan says so, by the list and by our journal.
local function judge(case, before)
  loop.await("exactly the wanted listeners", function() return are_right(case, before) end, 120000)
  loop.await("the end of reconciling", function()
    return case.daemon.cli("connector", "status", "acme").code == 0
  end, 120000)
  local plan = case.daemon.cli("connector", "plan", "acme")
  expect(plan.code == 0 and plan.out:find("nothing to do", 1, true), plan.out .. plan.err)
  local present = case.scenario.moves and case.second or case.optimove
  present.faults({ barred })
  local claimed = case.daemon.cli("connector", "plan", "acme")
  expect(claimed.code == 0, "by the journal: " .. claimed.out .. claimed.err)
  expect(are_right(case, before), "plan has changed something")
  local told = present.post("cancel", { campaign = "c1" })
  expect(told.notified == 1 and told.notifications[1].status == 200, "a cancel is not taken")
end

local idle = {} -- pairs of fakes that no case uses now

local function run(case)
  local fakes = table.remove(idle) or { optimove = world.optimove() }
  if case.scenario.moves and not fakes.second then fakes.second = world.optimove() end
  case.optimove, case.second = fakes.optimove, fakes.second
  local ok, why = xpcall(function()
    open(case)
    local before = case.optimove.ledger().listeners
    play(case, before)
    judge(case, before)
  end, debug.traceback)
  if case.daemon then
    if case.daemon.process and not case.daemon.process.exit_code then pcall(case.daemon.stop) end
    case.daemon.remove()
  end
  idle[#idle + 1] = fakes
  if not ok then error(why, 0) end
end

--- Every step, with the failures and kills in turn; with NETMOVE_LONG all of them.
local function each_case(see)
  local number = 0
  for _, scenario in ipairs(scenarios) do
    for _, step in ipairs(scenario.steps) do
      number = number + 1
      for f, failure in ipairs(failures) do
        for k, is_killed in ipairs({ false, true }) do
          local is_chosen = f == number * 5 % #failures + 1 and k == number % 2 + 1
          local is_meant = failure.name == step.always and not is_killed
          if is_long or is_chosen or is_meant then
            see({ scenario = scenario, step = step, failure = failure, is_killed = is_killed })
          end
        end
      end
    end
  end
end

describe("listeners after", function()
  local tasks, results, names = {}, {}, {}
  each_case(function(case)
    tasks[#tasks + 1] = function() run(case) end
    names[#names + 1] = ("%s whose %s %d meets %s%s"):format(
      case.scenario.name, case.step[1]:gsub("^/", ""), case.step[2], case.failure.name,
      case.is_killed and ", killed" or "")
  end)

  setup(function() results = loop.side_by_side(6, tasks) end)
  teardown(function()
    for _, fakes in ipairs(idle) do
      fakes.optimove.close()
      if fakes.second then fakes.second.close() end
    end
  end)

  for number, name in ipairs(names) do
    it(name, function() if results[number] ~= true then error(results[number], 0) end end)
  end
end)
