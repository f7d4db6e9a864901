--- Steps and how they are run: the first that returns something decides.

local chunk = require "netmove.chunk"
local effects = require "netmove.effects"
local messages = require "netmove.messages"
local problems = require "netmove.problems"
local unknown = require "netmove.unknown"

local runner = {}

local error, getmetatable, ipairs, pairs, setmetatable, type =
  error, getmetatable, ipairs, pairs, setmetatable, type
local move = table.move

local DEEPEST = 8 -- steps that return steps
local INNERMOST = 16 -- steps inside steps

--- The context that a word was called with, or that of the event that is being run.
---@param book netmove.book
---@param ctx any
---@return table
function runner.context(book, ctx)
  return type(ctx) == "table" and ctx.minute and ctx or book.ctx
end

-- A step of ours: { name, run = function(self, event, ctx) }.  It can be called like an
-- author's own function.
local step_mt = { __name = "step" }

step_mt.__call = function(self, event, ctx)
  if type(event) ~= "table" or self.book.open then
    problems.misuse(self.book, self.name .. " is a step: write it without ()")
    return unknown.new()
  end
  return self.run(self, event, runner.context(self.book, ctx))
end

step_mt.__newindex = function(self)
  problems.misuse(self.book, self.name .. " is a step and cannot be changed")
end

---@param step table  { book, name, run, ... }
---@return table
function runner.step(step)
  return setmetatable(step, step_mt)
end

---@param value any
---@return boolean
function runner.is_step(value)
  return type(value) == "function" or getmetatable(value) == step_mt
end

local function call_author(self, event, ctx)
  return self.call(event, ctx)
end

-- `hold` and `drop` need no function around them: they are the same for every event.
local always = { hold = true, drop = true }

local function give_effect(self)
  return { effect = self.name, reason = self.reason }
end

-- Why something is no step, in words that help.
local function not_a_step(value, book)
  local words = book.words or {}
  if type(value) == "string" then
    local hint = "a message is sent by send(" .. problems.quote(value) .. ")"
    for _, name in pairs { "send_template", "cancel_campaign" } do
      if value == name then hint = "write " .. name .. " without quotes" end
    end
    return "expected a step, got " .. problems.quote(value) .. "; " .. hint
  elseif type(value) == "function" then
    local name = words[value]
    if name == "for_each_recipient" then
      return "for_each_recipient needs its step: for_each_recipient(send_template)"
    end
    return name and name .. " is not a step by itself: call it"
  elseif messages.is(value) then
    return 'expected a step, got a message: write send("its name"), or send_template'
  elseif type(value) == "table" and value.effect ~= nil then
    return "expected a step, got an effect: write a function that returns it"
  end
  return "expected a step, got " .. problems.quote(value)
end

---@class netmove.entry
---@field label string   "events[11]"
---@field quiet table?   { from, to } in minutes

local function add_step(state, entry, value, label)
  local before = entry[#entry]
  if before and before.decides then
    problems.add(state.book, label, "never reached: " .. before.name .. " before it always decides")
  end
  if unknown.is(value) then
    entry.is_unknown = true
    return
  end
  if getmetatable(value) == step_mt then
    entry[#entry + 1] = value
    local quiet = value.quiet or value.wraps and value.inner.quiet
    if quiet and entry.quiet and quiet ~= entry.quiet then
      problems.add(state.book, label, "a second quiet_between in one entry", value.line)
    end
    entry.quiet = entry.quiet or quiet
    return
  end
  if type(value) == "table" and not getmetatable(value) and always[value.effect] then
    local wrong = effects.check(value)
    if wrong then problems.add(state.book, label, wrong) end
    entry[#entry + 1] = {
      name = value.effect, run = give_effect, reason = value.reason, decides = true,
    }
    return
  end
  local wrong = not_a_step(value, state.book)
  if not runner.is_step(value) or state.words[value] then
    problems.add(state.book, label, wrong)
    return
  end
  entry[#entry + 1] = {
    name = "function", run = call_author, call = value,
    author = true, line = problems.line_of(state.book, chunk.line(value)), label = label,
  }
end

--- Makes an entry of a step or a list of steps.
---@param state table
---@param label string
---@param value any
---@return netmove.entry
function runner.entry(state, label, value)
  local entry = { label = label }
  if type(value) ~= "table" or getmetatable(value) or value.effect ~= nil then
    add_step(state, entry, value, label)
    return entry
  end
  local count = 0
  for _, key in ipairs(problems.sorted_keys(value)) do
    if type(key) ~= "number" then
      problems.add(state.book, label, "unknown key " .. problems.quote(key)
        .. ", expected a list of steps")
    else
      count = count + 1
      if key ~= count then
        problems.add(state.book, label, "no step at place " .. count .. " of the list")
        count = key
      end
      add_step(state, entry, value[key], label .. problems.index(key))
    end
  end
  if count == 0 then problems.add(state.book, label, "no step") end
  return entry
end

--- Whether an entry of events or hooks can come to a decision; a mistake if not.
---@param state table
---@param entry netmove.entry
function runner.must_decide(state, entry)
  if #entry == 0 or entry.is_unknown then return end
  for i = 1, #entry do
    if not entry[i].quiet then return end
  end
  problems.add(state.book, entry.label, "only quiet hours, and no step that decides", entry[1].line)
end

--- Makes the entry of a step that holds others, while the file is read.  Its line is told
-- now: later there is only the entry.
---@param state table
---@param word string   the step that holds them
---@param label string
---@param value any
---@return netmove.entry
---@return integer? line
function runner.inner(state, word, label, value)
  local book = state.book
  if not book.open then error(word .. " is made while the file is read", 3) end
  if value == nil then
    problems.misuse(book, label .. ": expected a step, got nil")
    value = unknown.new()
  end
  local line, first = problems.where(book), #book.list + 1
  local entry = runner.entry(state, label, value)
  for i = first, #book.list do book.list[i].line = book.list[i].line or line end
  return entry, line
end

local function refuse(step, message)
  return problems.raise { line = step.line, entry = step.label, message = message }
end

local function check_effect(state, step, effect)
  if type(effect) ~= "table" or getmetatable(effect) then
    local what = messages.is(effect) and "a message; write send(name, event, ctx)"
      or problems.quote(effect)
    refuse(step, "a step returns an effect, a list of effects, a step or nothing; got " .. what)
  end
  local wrong = effects.check(effect)
  if not wrong and effect.effect == "send" and not state.messages[effect.message] then
    wrong = "no message named " .. problems.quote(effect.message)
      .. problems.hint(effect.message, state.messages)
  end
  if wrong then refuse(step, wrong) end
end

-- A list may hold steps of ours, such as send("name"), among its effects.
local function unfold(state, list, event, ctx)
  local out
  for i = 1, #list do
    local one = list[i]
    if getmetatable(one) == step_mt then
      out = out or move(list, 1, i - 1, 1, {})
      if state.explaining then
        state.trace[#state.trace + 1] = {
          step = one.name, index = i, answered = true, line = one.line, of = one,
        }
      end
      one = one.run(one, event, ctx) or {}
      if one.effect then one = { one } end
      for j = 1, #one do out[#out + 1] = one[j] end
    elseif out then
      out[#out + 1] = one
    end
  end
  return out or list
end

-- What an author's function returned, as a list of effects.
local function check(state, step, answer, event, ctx)
  if type(answer) == "table" and not getmetatable(answer) and answer.effect == nil then
    if answer[1] == nil then
      refuse(step, "a step returned a table that is neither an effect nor a list of effects")
    end
    answer = unfold(state, answer, event, ctx)
    for i = 1, #answer do check_effect(state, step, answer[i]) end
    return answer[1] and answer or nil
  end
  check_effect(state, step, answer)
  return { answer }
end

-- Runs the steps that a step returned, until there are effects, or nothing.
local function settle(state, step, answer, event, ctx, index)
  for _ = 1, DEEPEST do
    if getmetatable(answer) == step_mt then
      state.trace[#state.trace + 1] = {
        step = answer.name, index = index, answered = false, line = answer.line,
        of = state.explaining and answer or nil,
      }
      answer = answer.run(answer, event, ctx)
    elseif type(answer) == "function" then
      answer = answer(event, ctx)
    else
      return check(state, step, answer, event, ctx)
    end
    if not answer then return nil end
    state.trace[#state.trace].answered = true
  end
  return refuse(step, "steps that return steps, more than " .. DEEPEST .. " deep")
end

--- Runs steps that are all authors' functions.
---@param state table
---@param entry table  with `authors`, the steps
---@param event table
---@param ctx table
---@return table[]?  effects
function runner.authors(state, entry, event, ctx)
  local authors = entry.authors
  for i = 1, #authors do
    local step = authors[i]
    state.running, state.at = step, i
    local answer = step.call(event, ctx)
    if answer then
      state.trace[#state.trace + 1] = { step = step.name, index = i, answered = false }
      answer = settle(state, step, answer, event, ctx, i)
      if answer then return answer end
    end
  end
end

--- Runs an entry over one event.
---@param state table
---@param entry netmove.entry
---@param event table
---@param ctx table
---@param inner boolean?  inside another step
---@return table[]?  effects
function runner.run(state, entry, event, ctx, inner)
  local trace = state.trace
  if inner then
    state.depth = state.depth + 1
    if state.depth > INNERMOST then
      refuse(state.running, "steps inside steps, more than " .. INNERMOST .. " deep")
    end
  end
  for i = 1, #entry do
    local step = entry[i]
    local mark = {
      step = step.name, index = i, answered = false, line = step.line,
      of = state.explaining and step or nil, -- for origins.lua
    }
    trace[#trace + 1] = mark
    state.running = step
    if not inner then state.at = i end
    local answer = step.run(step, event, ctx)
    if answer then
      if step.author then
        answer = settle(state, step, answer, event, ctx, i)
      elseif answer.effect then
        answer = { answer }
      end
      if answer then
        mark.answered = true
        if inner then state.depth = state.depth - 1 end
        return answer
      end
    end
  end
  if inner then state.depth = state.depth - 1 end
end

return runner
