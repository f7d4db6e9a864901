-- The checker of faults is only worth what it notices: each invariant broken once, in evidence made by hand.

local ledger = require("spec.support.ledger")

--- Two tenants: a single message, a campaign of two, a cancelled one.
local function evidence()
  return {
    is_ended = true,
    acknowledged = { ["1"] = "C1", ["2"] = "campaign 7", ["3"] = "D1", ["4"] = "cancel of 8", ["5"] = "C9" },
    events = { ["1"] = { state = 2, type = 11, reason = "" }, ["2"] = { state = 2, type = 13, reason = "" },
               ["3"] = { state = 2, type = 11, reason = "" }, ["4"] = { state = 2, type = 4, reason = "" },
               ["5"] = { state = 3, type = 11, reason = "template 9 is not mapped" },
               ["6"] = { state = 2, type = 13, reason = "" } },
    messages = {
      { id = "11", event_id = "1", run_id = "0", tenant = "acme", customer = "C1", state = 1 },
      { id = "12", event_id = "0", run_id = "21", tenant = "acme", customer = "C2", state = 1 },
      { id = "13", event_id = "0", run_id = "21", tenant = "acme", customer = "C3", state = 2, has_reason = true },
      { id = "14", event_id = "3", run_id = "0", tenant = "other", customer = "D1", state = 1 },
      { id = "15", event_id = "0", run_id = "22", tenant = "acme", customer = "C4", state = 3 },
    },
    runs = {
      { id = "21", event_id = "2", campaign = "7", channel_id = 459, state = 5, rows_fetched = 3,
        made = 2, repeated = 0, skipped = 1, held = 0,
        sent = 1, dead = 1, stopped = 0, expired = 0, open = 0, in_flight_at_fence = 0 },
      { id = "22", event_id = "6", campaign = "8", channel_id = 459, state = 3, rows_fetched = 9,
        made = 1, repeated = 0, skipped = 0, held = 0,
        sent = 0, dead = 0, stopped = 1, expired = 0, open = 0, in_flight_at_fence = 2 },
    },
    delivered = { acme = { C1 = 1, C2 = 2 }, other = { D1 = 1 } },
    prefixes = { acme = "C", other = "D" },
    repeated_max = 1,
    ordered = { { customer = "C1", number = 1 }, { customer = "C1", number = 3 }, { customer = "C1", number = 1 } },
    overlapping = 0,
    optimove_people = { ["7/459"] = 2 },
    after_fence = { ["22"] = 2 },
    integrity = "ok",
    starts_ms = { 90, 120 },
    generations = { { tenant_id = "1", active_of_tenant = 1 } },
    in_force = { accepted = { acme = { "aa", "bb" } }, now = { acme = "bb" } },
  }
end

local mutants = {
  { "I1", "an acknowledged event has vanished", function(e) e.events["1"] = nil end },
  { "I1", "an event still waits at the end", function(e) e.events["1"].state = 0 end },
  { "I1", "an event is held and nobody knows why", function(e) e.events["5"].reason = "" end },
  { "I1", "a planned event made nothing", function(e) e.messages[1].event_id = "99" end },
  { "I1", "a message still waits at the end", function(e)
    e.messages[5].state = 0 e.runs[2].stopped = 0 e.runs[2].open = 1
  end },
  { "I1", "a dead letter has no reason", function(e) e.messages[3].has_reason = false end },
  { "I1", "a sent message never reached the provider", function(e) e.delivered.acme.C1 = nil end },
  { "I1", "a done run passed over a row", function(e) e.runs[1].rows_fetched = 4 end },
  { "I1", "a done run lacks a person of Optimove's", function(e) e.optimove_people["7/459"] = 3 end },
  { "I2", "more went out twice than was in flight", function(e) e.delivered.acme.C2 = 3 end },
  { "I2", "somebody was written to who has no message", function(e) e.delivered.acme.C77 = 1 end },
  { "I3", "a person got the second message first", function(e) e.ordered[4] = { customer = "C1", number = 2 } end },
  { "I3", "two messages to one person overlapped", function(e) e.overlapping = 1 end },
  { "I4", "one tenant's customer went out with another's key", function(e)
    e.messages[4].tenant = "acme" e.delivered.acme.D1, e.delivered.other.D1 = 1, nil
  end },
  { "I5", "the store is damaged", function(e) e.integrity = "row 3 missing from index" end },
  { "I5", "a run counts other than its messages", function(e) e.runs[1].sent = 2 end },
  { "I5", "a run's open count is off", function(e) e.runs[2].open = 1 end },
  { "I6", "a start took too long", function(e) e.starts_ms[3] = 5001 end },
  { "I7", "sending went on after the fence", function(e) e.after_fence["22"] = 3 end },
  { "I8", "rules are in force that nobody accepted", function(e) e.in_force.now.acme = "cc" end },
  { "I8", "a tenant has two active generations", function(e) e.generations[1].active_of_tenant = 2 end },
}

describe("the ledger checker", function()
  it("has nothing to say of what is right", function()
    local complaints, repeated = ledger.judge(evidence())
    assert.same({}, complaints)
    assert.equal(1, repeated)
  end)

  for _, mutant in ipairs(mutants) do
    it("names " .. mutant[1] .. " where " .. mutant[2], function()
      local wrong = evidence()
      mutant[3](wrong)
      local complaints = ledger.judge(wrong)
      assert.is_true(#complaints > 0)
      for _, complaint in ipairs(complaints) do assert.equal(mutant[1], complaint:sub(1, 2), complaint) end
    end)
  end
end)
