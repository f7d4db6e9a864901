--- The checker outside the daemon: from what senders were told, what Optimove's and the provider's ledgers hold
--- and what the store says, it holds the invariants of every fault.
---
---   I1  what was acknowledged ends sent, dead or held with a reason, or still waits; never vanished
---   I2  no more went out twice than was in flight, and nothing went out that is no message of ours
---   I3  a person's messages went out in their order
---   I4  nothing of one tenant went out with another's key
---   I5  the store is whole, in SQLite's eyes and by its own counts
---   I6  the daemon was ready soon after the fault
---   I7  a fenced campaign started nothing after its fence
---   I8  rules and settings in force are the last accepted ones, whole
---
--- `judge` is pure: it looks at evidence and gives the list of what is wrong.  `gather` collects the evidence
--- of a story whose daemon has ended.

local json = require("spec.support.json")

local ledger = {}

--- Numbers of model/message.h, model/run.h and store.h.
local WAITING, SENT, DEAD, STOPPED, HELD, EXPIRED, PAUSED = 0, 1, 2, 3, 4, 5, 6
local EVENT_PLANNED = 2
local RUN_CANCELLED, RUN_DONE = 3, 5

ledger.in_flight_max = 8000 -- of a lane to Netmera: sends_max x batch_max

-- ---- judging ----------------------------------------------------------------------------------------------

local function complainer()
  local complaints, counts = {}, {}
  local function complain(invariant, text, ...)
    counts[invariant] = (counts[invariant] or 0) + 1
    if counts[invariant] <= 5 then complaints[#complaints + 1] = invariant .. ": " .. text:format(...) end
  end
  return complaints, complain
end

local function is_open(message)
  return message.state == WAITING or message.state == PAUSED
end

local function judge_events(evidence, complain)
  local made = {}
  for _, message in ipairs(evidence.messages) do made[message.event_id] = true end
  for _, run in ipairs(evidence.runs) do made[run.event_id] = true end
  for _, id in ipairs(evidence.updated_events or {}) do made[id] = true end
  for id, who in pairs(evidence.acknowledged) do
    local event = evidence.events[id]
    if not event then complain("I1", "%s was acknowledged as %s and has vanished", who, id)
    elseif event.state < EVENT_PLANNED then
      if evidence.is_ended then complain("I1", "%s (%s) still waits for its rules", who, id) end
    elseif event.state > EVENT_PLANNED then
      if event.reason == "" then complain("I1", "%s (%s) is held or dropped without a reason", who, id) end
    elseif not made[id] and event.type ~= 4 then
      complain("I1", "%s (%s) is planned and nothing came of it", who, id)
    end
  end
end

--- What may go out and what did, for each person of a tenant.
local function judge_messages(evidence, complain)
  local persons = {} -- tenant to customer to { messages, sent, open }
  for _, message in ipairs(evidence.messages) do
    local of = persons[message.tenant]
    if not of then of = {} persons[message.tenant] = of end
    local person = of[message.customer]
    if not person then person = { messages = 0, sent = 0 } of[message.customer] = person end
    if message.state ~= STOPPED and message.state ~= EXPIRED then person.messages = person.messages + 1 end
    if message.state == SENT then person.sent = person.sent + 1 end
    if evidence.is_ended and is_open(message) then
      complain("I1", "message %s of %s still waits", message.id, message.customer)
    end
    if (message.state == DEAD or message.state == HELD) and not message.has_reason then
      complain("I1", "message %s is dead or held without a reason", message.id)
    end
    if message.state < WAITING or message.state > PAUSED then
      complain("I5", "message %s has the unknown state %d", message.id, message.state)
    end
  end
  local repeated = 0
  for tenant, delivered in pairs(evidence.delivered) do
    local of = persons[tenant] or {}
    for customer, count in pairs(delivered) do
      local person = of[customer]
      if not person then complain("I2", "%s of %s was written to and is nobody's message", customer, tenant)
      elseif count > person.messages then repeated = repeated + count - person.messages end
    end
    for customer, person in pairs(of) do
      if person.sent > (delivered[customer] or 0) then
        complain("I1", "%s of %s: %d messages are sent, %d went out", customer, tenant, person.sent,
                 delivered[customer] or 0)
      end
    end
  end
  local most = evidence.repeated_max or 0
  if repeated > most then complain("I2", "%d went out twice, at most %d were in flight", repeated, most) end
  return repeated
end

--- First deliveries are in order; what was in flight at a fault may come again, from where it was.
local function judge_order(evidence, complain)
  local last, seen = {}, {}
  for _, delivery in ipairs(evidence.ordered or {}) do
    local most = last[delivery.customer] or 0
    local key = delivery.customer .. " " .. delivery.number
    if delivery.number < most and not seen[key] then
      complain("I3", "%s got %d after %d", delivery.customer, delivery.number, most)
    end
    seen[key] = true
    last[delivery.customer] = math.max(most, delivery.number)
  end
  if (evidence.overlapping or 0) > 0 then
    complain("I3", "%d persons were written to while a message to them was unanswered", evidence.overlapping)
  end
end

local function judge_tenants(evidence, complain)
  for tenant, delivered in pairs(evidence.delivered) do
    local prefix = evidence.prefixes and evidence.prefixes[tenant]
    for customer in pairs(prefix and delivered or {}) do
      if customer:sub(1, #prefix) ~= prefix then complain("I4", "%s went out as one of %s", customer, tenant) end
    end
  end
end

local function judge_runs(evidence, complain)
  local counted = {}
  for _, message in ipairs(evidence.messages) do
    if message.run_id ~= "0" then
      local of = counted[message.run_id]
      if not of then of = { made = 0, [SENT] = 0, [DEAD] = 0, [STOPPED] = 0, [EXPIRED] = 0, open = 0 }
        counted[message.run_id] = of
      end
      of.made = of.made + 1
      if of[message.state] then of[message.state] = of[message.state] + 1 end
      if is_open(message) then of.open = of.open + 1 end
    end
  end
  for _, run in ipairs(evidence.runs) do
    local of = counted[run.id] or { made = 0, [SENT] = 0, [DEAD] = 0, [STOPPED] = 0, [EXPIRED] = 0, open = 0 }
    local function same(name, number, truth)
      if number ~= truth then complain("I5", "run %s says %s %d, its messages %d", run.id, name, number, truth) end
    end
    same("made", run.made, of.made)
    same("sent", run.sent, of[SENT])
    same("dead", run.dead, of[DEAD])
    same("stopped", run.stopped, of[STOPPED])
    same("expired", run.expired, of[EXPIRED])
    same("open", run.open, of.open)
    local passed = run.made + run.repeated + run.skipped + run.held
    if run.state == RUN_DONE and passed ~= run.rows_fetched then
      complain("I1", "run %s passed %d of %d rows", run.id, passed, run.rows_fetched)
    end
    local people = evidence.optimove_people and evidence.optimove_people[run.campaign .. "/" .. run.channel_id]
    if run.state == RUN_DONE and people and people ~= run.made + run.held then
      complain("I1", "run %s made or held %d messages, Optimove has %d people", run.id, run.made + run.held, people)
    end
    local after = evidence.after_fence and evidence.after_fence[run.id]
    if run.state == RUN_CANCELLED and after and after > run.in_flight_at_fence then
      complain("I7", "run %s: %d began after the fence, %d were in flight", run.id, after, run.in_flight_at_fence)
    end
  end
end

local function judge_daemon(evidence, complain)
  if evidence.integrity ~= "ok" then complain("I5", "integrity_check: %s", evidence.integrity) end
  for _, ms in ipairs(evidence.starts_ms or {}) do
    if ms > (evidence.start_max_ms or 5000) then complain("I6", "a start took %d ms", ms) end
  end
  local force = evidence.in_force
  for tenant, accepted in pairs(force and force.accepted or {}) do
    local now = force.now[tenant]
    local is_known = false
    for _, digest in ipairs(accepted) do is_known = is_known or digest == now end
    if not is_known then complain("I8", "%s has %s in force", tenant, tostring(now)) end
  end
  for _, row in ipairs(evidence.generations or {}) do
    if row.active_of_tenant ~= 1 then
      complain("I8", "tenant %s has %d active generations", row.tenant_id, row.active_of_tenant)
    end
  end
end

--- What is wrong, as a list of texts that begin with the invariant's name; and how many went out twice.
---@param evidence table
---@return string[] complaints
---@return integer repeated
function ledger.judge(evidence)
  local complaints, complain = complainer()
  judge_events(evidence, complain)
  local repeated = judge_messages(evidence, complain)
  judge_order(evidence, complain)
  judge_tenants(evidence, complain)
  judge_runs(evidence, complain)
  judge_daemon(evidence, complain)
  return complaints, repeated
end

-- ---- gathering --------------------------------------------------------------------------------------------

local SEPARATOR = "\31"

local function lines_of(command)
  local pipe = assert(io.popen(command))
  return function()
    local line = pipe:read("l")
    if not line then
      assert(pipe:close(), command)
      return nil
    end
    return line
  end
end

--- Calls `see` with each row's columns as texts.
local function query(path, sql, see)
  local command = ("sqlite3 -readonly -separator '%s' '%s' \"%s\""):format(SEPARATOR, path, sql)
  for line in lines_of(command) do
    local columns = {}
    for column in (line .. SEPARATOR):gmatch("([^" .. SEPARATOR .. "]*)" .. SEPARATOR) do
      columns[#columns + 1] = column
    end
    see(table.unpack(columns))
  end
end

local RUN_NUMBERS = { "channel_id", "state", "rows_fetched", "made", "repeated", "skipped", "held", "sent", "dead",
                      "stopped", "expired", "open", "in_flight_at_fence", "fenced_at" }

local function gather_store(evidence, path)
  local tenants = {}
  query(path, "PRAGMA integrity_check", function(word) evidence.integrity = evidence.integrity or word end)
  query(path, "SELECT id, name FROM tenants", function(id, name) tenants[id] = name end)
  query(path, "SELECT id, state, type, reason FROM events", function(id, state, kind, reason)
    evidence.events[id] = { state = tonumber(state), type = tonumber(kind), reason = reason }
  end)
  query(path, "SELECT id, event_id, run_id, tenant_id, customer, state, reason <> '' FROM messages",
        function(id, event_id, run_id, tenant_id, customer, state, has_reason)
    evidence.messages[#evidence.messages + 1] = { id = id, event_id = event_id, run_id = run_id,
      tenant = tenants[tenant_id], customer = customer, state = tonumber(state), has_reason = has_reason == "1" }
  end)
  query(path, "SELECT id, event_id, campaign, " .. table.concat(RUN_NUMBERS, ", ") .. " FROM runs",
        function(id, event_id, campaign, ...)
    local run, numbers = { id = id, event_id = event_id, campaign = campaign }, { ... }
    for i, name in ipairs(RUN_NUMBERS) do run[name] = tonumber(numbers[i]) end
    evidence.runs[#evidence.runs + 1] = run
  end)
  query(path, "SELECT DISTINCT event_id FROM updates", function(id)
    evidence.updated_events[#evidence.updated_events + 1] = id
  end)
  query(path, "SELECT tenant_id, sum(is_active) FROM generations GROUP BY tenant_id", function(id, active)
    evidence.generations[#evidence.generations + 1] = { tenant_id = id, active_of_tenant = tonumber(active) }
  end)
end

local function gather_deliveries(evidence, story, keys)
  for tenant, key in pairs(keys) do
    local delivered = {}
    local netmera = story.netmeras and story.netmeras[tenant] or story.netmera -- one of its own, or the common one
    local url = netmera.url .. "/_world/ledger/recipients?apiKey=" .. key
    for line in lines_of("curl -sf '" .. url .. "'") do
      local row = json.decode(line)
      delivered[row.extId] = row.count
    end
    evidence.delivered[tenant] = delivered
  end
end

--- The evidence of a story whose daemon has ended.  `facts` are put beside it (acknowledged, repeated_max,
--- is_ended, prefixes, ...); `keys` says which provider key is which tenant's.
---@param story table
---@param facts table
---@param keys? table<string, string>
function ledger.gather(story, facts, keys)
  local evidence = { acknowledged = {}, events = {}, messages = {}, runs = {}, updated_events = {},
                     generations = {}, delivered = {}, starts_ms = story.daemon.starts_ms }
  for name, fact in pairs(facts) do evidence[name] = fact end
  gather_store(evidence, story.daemon.path .. "/netmove.db")
  gather_deliveries(evidence, story, keys or { acme = "netmera-key" })
  evidence.optimove_people, evidence.after_fence = {}, {}
  for _, made in ipairs(story.optimove.get("campaigns")) do
    evidence.optimove_people[made.campaign .. "/" .. made.channel] = made.customers
  end
  for _, run in ipairs(evidence.runs) do
    if run.fenced_at > 0 and #evidence.runs == 1 then -- the provider's ledger knows no campaigns
      evidence.after_fence[run.id] = story.netmera.ledger("deliveredAfter=" .. run.fenced_at).deliveredAfter
    end
  end
  return evidence
end

--- Fails with all complaints; gives how many went out twice.
function ledger.check(story, facts, keys)
  local complaints, repeated = ledger.judge(ledger.gather(story, facts, keys))
  if #complaints > 0 then error("the ledgers do not agree:\n  " .. table.concat(complaints, "\n  "), 2) end
  return repeated
end

return ledger
