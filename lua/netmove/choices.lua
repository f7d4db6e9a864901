--- Steps that choose between steps: `when`, `split` and `all`.

local effects = require "netmove.effects"
local problems = require "netmove.problems"
local runner = require "netmove.runner"
local shares = require "netmove.shares"
local texts = require "netmove.texts"
local unknown = require "netmove.unknown"
local values = require "netmove.values"

local choices = {}

local getmetatable, ipairs, pairs, type = getmetatable, ipairs, pairs, type
local find, format = string.find, string.format
local floor, mtype = math.floor, math.type

local WHOLE = 100 -- percent

local function when_word(state)
  local book = state.book

  local function run(self, event, ctx)
    local is_so, wrong = values.resolve(self.condition, event, ctx)
    if wrong then return effects.hold("when: " .. wrong) end
    if is_so then return runner.run(state, self.inner, event, ctx, true) end
  end

  return function(condition, step)
    local uncalled = problems.uncalled(book, condition)
    if uncalled then
      problems.misuse(book, "when: " .. uncalled)
    elseif not values.is(condition) and not unknown.is(condition) then
      problems.misuse(book, 'when: expected a condition such as one_of(from("attributes.tier"), '
        .. '"gold") or a function, got ' .. problems.quote(condition))
    end
    local inner, line = runner.inner(state, "when", "when", step)
    return runner.step {
      book = book, name = "when", run = run, condition = condition, inner = inner, line = line,
    }
  end
end

-- Percent in hundredths, or nothing.
local function places_of(percent)
  if type(percent) ~= "number" or not (percent > 0 and percent <= WHOLE) then return nil end
  local places = floor(percent * 100 + 0.5)
  if places < 1 or (percent * 100 - places) ^ 2 > 1e-12 then return nil end
  return places
end

local function run_split(self, event, ctx)
  local customer = texts.plain(event.CustomerID or event.extId)
  if not customer then return effects.hold("split: the event names no customer") end
  local place = shares.place(self.salted, customer)
  local list, index = self.shares, 1
  while place >= list[index].ends do index = index + 1 end
  local trace = self.state.trace
  trace[#trace].share = index
  local inner = list[index].inner
  if inner then return runner.run(self.state, inner, event, ctx, true) end
end

-- One share: { percent, step }, or { percent } for those who go on to the next step.
local function read_share(state, i, given, report)
  if type(given) ~= "table" or getmetatable(given) or given.effect ~= nil then
    if not unknown.is(given) then
      local got = type(given) == "table" and not getmetatable(given) and "an effect"
      report("expected shares such as { 50, step }, got " .. (got or problems.quote(given)))
    end
    return nil
  end
  local label = "split[" .. i .. "]"
  for _, key in ipairs(problems.sorted_keys(given)) do
    if key ~= 1 and key ~= 2 then
      problems.misuse(state.book, label .. ": unknown key " .. problems.quote(key)
        .. ", expected { percent, step }")
    end
  end
  local places = places_of(given[1])
  if not places and not unknown.is(given[1]) then
    problems.misuse(state.book, label .. ": expected a percent above 0 with at most two digits "
      .. "after its point, got " .. problems.quote(given[1]))
  end
  local inner
  if given[2] ~= nil then inner = runner.inner(state, "split", label, given[2]) end
  return places, inner
end

local function check_salt(salt, report)
  if unknown.is(salt) then return "" end
  if type(salt) == "string" and find(salt, "%S") then return salt end
  report((salt == nil and "no salt" or "salt: got " .. problems.quote(salt))
    .. ', expected a text of its own such as salt = "spring test": each deals people anew')
  return ""
end

local function read_shares(state, given, report)
  local list, sum, whole = {}, 0, true
  for i, share in ipairs(given) do
    local places, inner = read_share(state, i, share, report)
    whole = whole and places ~= nil
    sum = sum + (places or 0)
    list[i] = { ends = sum, inner = inner }
  end
  if #list == 0 then
    report("no shares, expected two or more such as { 50, step }")
  elseif whole and sum ~= shares.PLACES then
    report("the shares add up to " .. format("%.14g", sum / 100) .. ", expected 100; { 10 } "
      .. "without a step goes on to the next")
  end
  return list
end

local function split_word(state)
  local book = state.book
  return function(given)
    local function report(message) problems.misuse(book, "split: " .. message) end
    if type(given) ~= "table" or getmetatable(given) then
      if not unknown.is(given) then
        report("expected a table, as in split { salt = \"x\", { 50, step }, { 50, step } }, got "
          .. problems.quote(given))
      end
      return unknown.new()
    end
    for key in pairs(given) do
      if key ~= "salt" and mtype(key) ~= "integer" then
        report("unknown key " .. problems.quote(key) .. problems.hint(key, { salt = true }))
      end
    end
    local salt = check_salt(given.salt, report)
    return runner.step {
      book = book, state = state, name = "split", run = run_split,
      salted = shares.salted(salt), shares = read_shares(state, given, report),
      line = problems.where(book),
    }
  end
end

local function run_all(self, event, ctx)
  local list = {}
  for _, inner in ipairs(self.parts) do
    for _, effect in ipairs(runner.run(self.state, inner, event, ctx, true) or {}) do
      list[#list + 1] = effect
    end
  end
  if list[1] then return list end
end

local function all_word(state)
  local book = state.book
  return function(given)
    local step = { book = book, state = state, name = "all", run = run_all, parts = {} }
    if type(given) ~= "table" or getmetatable(given) or given.effect ~= nil then
      if not unknown.is(given) then
        local is_effect = type(given) == "table" and not getmetatable(given)
        problems.misuse(book, "all: expected a list of steps, as in all { step, step }, got "
          .. (is_effect and "an effect" or problems.quote(given)))
      end
      return unknown.new()
    end
    for _, key in ipairs(problems.sorted_keys(given)) do
      if mtype(key) ~= "integer" then
        problems.misuse(book, "all: unknown key " .. problems.quote(key)
          .. ", expected a list of steps")
      else
        step.parts[#step.parts + 1], step.line =
          runner.inner(state, "all", "all" .. problems.index(key), given[key])
      end
    end
    if #step.parts == 0 then problems.misuse(book, "all: no step") end
    return runner.step(step)
  end
end

--- The words `when`, `split` and `all`.
---@param state table
---@return table<string, function>
function choices.words(state)
  return { when = when_word(state), split = split_word(state), all = all_word(state) }
end

return choices
