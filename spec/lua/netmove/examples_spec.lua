package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local support = require "support"

-- What the author sees for one example of a file with these entries.
local function try(entries, example)
  local rules, lines = support.tenant(entries .. ", examples = { " .. example .. " }")
  return rules and "passes" or table.concat(lines, "\n")
end

local cancel = "events = { [4] = cancel_campaign }"
local see = [[events = { [11] = function(event, ctx)
  return drop(event.CustomerID .. "/" .. math.type(event.TemplateID) .. "/" .. ctx.minute)
end }]]

describe("an example", function()
  it("compares only the keys it names, inner ones too", function()
    assert.equal("passes",
      try(cancel, "{ given = { EventTypeID = 4, CampaignID = 7 }, gives = { effect = 'cancel' } }"))
    local update = "hooks = { E = update_customer { CustomerID = 'x', A = 1, B = 2 } }"
    assert.equal("passes", try(update, "{ given = { name = 'E' }, gives = { attributes = { A = 1 } } }"))
    assert.equal('t.lua: example 1: got {attributes={A=1, B=2}, customer="x", effect=update}, '
      .. "expected attributes.A=3",
      try(update, "{ given = { name = 'E' }, gives = { attributes = { A = 3 } } }"))
  end)

  it("turns ids into text and numbers, as on the wire", function()
    assert.equal("passes", try(see, [[{ given = { EventTypeID = "11", TemplateID = "5", CustomerID = 42.0 },
      gives = drop("42/integer/720") }]]))
  end)

  it("infers what event it is, as on the wire", function()
    assert.equal("passes", try(see, [[{ given = { TemplateID = 5, CustomerID = 42 },
      gives = drop("42/integer/720") }]]))
    assert.equal("passes", try("events = { [13] = for_each_recipient(send_template) }",
      "{ given = { CampaignID = 7, ChannelID = 5 }, gives = { effect = 'expand', campaign = '7' } }"))
    assert.equal("passes", try("hooks = { E = function(event) return drop(event.type) end }",
      "{ given = { name = 'E' }, gives = drop('EVENT') }"))
    assert.equal("passes", try("hooks = { PROFILE_ATTRIBUTE_CHANGE = function(e) return drop(e.name) end }",
      "{ given = { type = 'PROFILE' }, gives = drop('PROFILE_ATTRIBUTE_CHANGE') }"))
  end)

  it("has its own time", function()
    assert.equal("passes", try(see, [[{ at = "23:30", given = { TemplateID = 5, CustomerID = 42 },
      gives = drop("42/integer/1410") }]]))
  end)

  it("has its own day", function()
    local day = [[events = { [11] = function(event, ctx)
      return drop(ctx.date .. "/" .. ctx.weekday .. "/" .. ctx.minute .. "/" .. ctx.now_ms)
    end }]]
    for on, seen in pairs {
      ["2024-01-15"] = "2024-01-15/1/720/1705320000000", ["2024-05-05"] = "2024-05-05/7/720/1714910400000",
      ["2024-02-29"] = "2024-02-29/4/720/1709208000000", ["1999-12-31"] = "1999-12-31/5/720/946641600000",
    } do
      assert.equal("passes", try(day, ("{ on = %q, given = { TemplateID = 5, CustomerID = 42 }, gives = drop(%q) }")
        :format(on, seen)))
    end
  end)

  it("can be one recipient of a campaign", function()
    assert.equal("passes", try("events = { [13] = for_each_recipient(function() return drop('row') end) }",
      "{ recipient = true, given = { EventTypeID = 13, CustomerID = 1 }, gives = drop('row') }"))
  end)

  it("counts effects", function()
    local two = "hooks = { E = function() return { drop('a'), drop('b') } end }"
    assert.equal("passes", try(two, "{ given = { name = 'E' }, gives = { drop('a'), drop('b') } }"))
    assert.equal('t.lua: example 1: got {effect=drop, reason="a"}, {effect=drop, reason="b"}, expected one effect',
      try(two, "{ given = { name = 'E' }, gives = drop('a') }"))
    assert.equal('t.lua: example 1: got {effect=drop, reason="a"}, {effect=drop, reason="b"}, '
      .. 'expected [2].reason="c"',
      try(two, "{ given = { name = 'E' }, gives = { drop('a'), drop('c') } }"))
    assert.equal("t.lua: example 1: got no effect, expected one effect",
      try(two, "{ given = { name = 'F' }, gives = drop('a') }"))
    assert.equal("passes", try(two, "{ given = { name = 'F' }, gives = {} }"))
  end)

  it("has an end", function()
    local _, lines = support.load([[local loop = { EventTypeID = 4 } loop.loop = loop
return tenant { name = "t", examples = {
  { given = loop, gives = {} }, { given = { EventTypeID = 4 }, gives = loop },
} }]])
    assert.matches("^t.lua: example 1: given.loop.*: tables inside tables, more than 32 deep$", lines[1])
    assert.matches("^t.lua: example 2: gives.loop.*: tables inside tables, more than 32 deep$", lines[2])
  end)

  it("is given a copy, so that no example changes another", function()
    local rules = assert(support.load([[
local shared = { name = "E", attributes = { n = 1 } }
return tenant { name = "t", hooks = { E = function(event)
  event.attributes.n = event.attributes.n + 1
  return drop(tostring(event.attributes.n))
end }, examples = { { given = shared, gives = drop("2") }, { given = shared, gives = drop("2") } } }]]))
    assert.equal(2, rules.examples)
  end)
end)
