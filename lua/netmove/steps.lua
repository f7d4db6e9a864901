--- The steps that stand for what campaigns and hooks ask: for_each_recipient,
-- cancel_campaign, quiet_between, update_customer.

local effects = require "netmove.effects"
local problems = require "netmove.problems"
local runner = require "netmove.runner"
local texts = require "netmove.texts"
local unknown = require "netmove.unknown"
local values = require "netmove.values"

local steps = {}

local error, getmetatable, ipairs, next, type = error, getmetatable, ipairs, next, type

local hold, drop = effects.hold, effects.drop

local function for_each_word(state)
  local function run(self, event, ctx)
    if ctx.recipient then return runner.run(state, self.inner, event, ctx, true) end
    if event.CampaignID == nil then return hold("the event names no CampaignID") end
    if event.ChannelID == nil then return hold("the event names no ChannelID") end
    return { effect = "expand", campaign = event.CampaignID, channel_id = event.ChannelID }
  end
  return function(step)
    local inner, line = runner.inner(state, "for_each_recipient", "for_each_recipient", step)
    for i = 1, #inner do
      if inner[i].wraps then
        problems.misuse(state.book, "for_each_recipient inside for_each_recipient")
      end
    end
    return runner.step {
      book = state.book, name = "for_each_recipient", run = run, inner = inner, line = line,
      wraps = true, -- its quiet hours are those of the whole entry
    }
  end
end

local function cancel_campaign(state)
  return runner.step {
    book = state.book,
    name = "cancel_campaign",
    decides = true,
    run = function(_, event)
      if event.CampaignID == nil then return hold("the event names no CampaignID") end
      return { effect = "cancel", campaign = event.CampaignID, channel_id = event.ChannelID }
    end,
  }
end

local function quiet_word(state)
  local function run(self, _, ctx)
    local quiet = self.quiet
    state.quiet = quiet
    if ctx.recipient then return nil end -- travels along; checked before each send
    local from, to, minute = quiet.from, quiet.to, ctx.minute
    local inside
    if from < to then
      inside = minute >= from and minute < to
    else
      inside = minute >= from or minute < to
    end
    if inside then return { effect = "delay", until_time = self.until_time } end
  end
  return function(from, to)
    local minutes = {}
    for i, time in ipairs { from or false, to or false } do
      minutes[i] = effects.minute_of(time)
      if not minutes[i] and not unknown.is(time) then
        problems.misuse(state.book, 'quiet_between: expected a time such as "22:00", got '
          .. problems.quote(time or nil))
      end
    end
    if minutes[1] and minutes[1] == minutes[2] then
      problems.misuse(state.book, "quiet_between: from and to are the same time, "
        .. problems.quote(from))
    end
    return runner.step {
      book = state.book, name = "quiet_between", run = run,
      quiet = { from = minutes[1] or 0, to = minutes[2] or 0 },
      until_time = to, line = problems.where(state.book),
    }
  end
end

local function add_renamed(attributes, renamed, event)
  local source = texts.walk(event, renamed.keys)
  if type(source) ~= "table" then return end
  for from, to in next, renamed.names do
    local value = source[from]
    if problems.is_scalar(value) then attributes[to] = value end
  end
end

local function run_update(self, event, ctx)
  local id, wrong = values.resolve(self.customer, event, ctx)
  local customer = texts.plain(id)
  if wrong or not customer then
    return hold("update_customer: " .. (wrong or "the event has no CustomerID to use"))
  end
  local attributes = {}
  for _, renamed in ipairs(self.renamed) do add_renamed(attributes, renamed, event) end
  for name, from in next, self.fields do
    local value, why = values.resolve(from, event, ctx)
    if why then return hold("update_customer: " .. name .. ": " .. why) end
    if value ~= nil then
      if not problems.is_scalar(value) then
        why = "update_customer: " .. name .. ": expected a text, number or boolean, got "
          .. problems.quote(value)
        if type(from) == "function" then error(why, 0) end
        return hold(why)
      end
      attributes[name] = value
    end
  end
  if next(attributes) == nil then return drop("nothing to update") end
  return { effect = "update", customer = customer, attributes = attributes }
end

local function is_value(value)
  return problems.is_scalar(value) or values.is(value)
end

-- Names of what holds a customer's id, never ids themselves.
local ids = problems.set { "extId", "CustomerID" }

local function update_word(state)
  local book = state.book
  local function wrong(message) problems.misuse(book, "update_customer: " .. message) end
  return function(given)
    local step = {
      book = book, name = "update_customer", run = run_update, fields = {}, renamed = {},
      decides = true,
    }
    if type(given) ~= "table" or getmetatable(given) then
      if not unknown.is(given) then
        wrong("expected a table, as in update_customer { }, got " .. problems.quote(given))
      end
      return runner.step(step)
    end
    for _, name in ipairs(problems.sorted_keys(given)) do
      local value = given[name]
      if unknown.is(value) then
        step.fields[name] = nil
      elseif values.is_renamed(value) and type(name) == "number" then
        step.renamed[#step.renamed + 1] = value
      elseif type(name) ~= "string" then
        wrong("expected NAME = value or renamed(...), got " .. problems.quote(value))
      elseif problems.uncalled(book, value) then
        wrong(name .. ": " .. problems.uncalled(book, value))
      elseif not is_value(value) then
        wrong(name .. ": expected a text, number, boolean, from(...) or a function, got "
          .. problems.quote(value)
          .. (values.is_renamed(value) and ", which stands without a name" or ""))
      elseif name == "CustomerID" then
        step.customer = value
        if book.open and ids[value] then
          wrong("CustomerID: " .. problems.quote(value) .. " is a text, the same for every event; "
            .. "write from(" .. problems.quote(value) .. ")")
        end
      else
        step.fields[name] = value
      end
    end
    if book.open and given.CustomerID == nil then
      wrong("no CustomerID" .. (problems.nearest("CustomerID", given)
        and " (found " .. problems.quote(problems.nearest("CustomerID", given)) .. ")" or ""))
    end
    if book.open and next(step.fields) == nil and #step.renamed == 0 and given.CustomerID ~= nil
      and #problems.sorted_keys(given) == 1 then
      wrong("names nothing to update")
    end
    return runner.step(step)
  end
end

--- The words for these steps.
---@param state table
---@return table<string, any>
function steps.words(state)
  return {
    for_each_recipient = for_each_word(state),
    cancel_campaign = cancel_campaign(state),
    quiet_between = quiet_word(state),
    update_customer = update_word(state),
  }
end

return steps
