--- netmove: reads a tenant's rules file, proves it, and runs it over events.
--
-- Pure: opens nothing, waits for nothing, reads no clock.  Runs without the daemon, which
-- embeds it.

local effects = require "netmove.effects"
local inbound = require "netmove.inbound"
local origins = require "netmove.origins"
local problems = require "netmove.problems"
local reading = require "netmove.reading"
local runner = require "netmove.runner"
local sandbox = require "netmove.sandbox"
local serving = require "netmove.serving"
local tenant = require "netmove.tenant"
local words = require "netmove.words"

local netmove = {}

local pairs, pcall, tostring, type = pairs, pcall, tostring, type

-- What every part of one load shares.
local function new_state(book, host)
  local state = {
    book = book, words = {}, host = host,
    messages = {}, channels = {}, templates = { ids = {} }, events = {}, hooks = {},
    inbound = {},
    sends = {}, -- names that steps send by, with their lines; checked once all are known
    day_of = nil, -- the day of a moment in the tenant's zone
    instant = nil, -- the moment of a time in the tenant's zone
    used = {}, -- libraries, by name
    trace = {}, at = 0, depth = 0, running = nil, quiet = nil,
  }
  local own = words.new(state)
  for name, word in pairs(own) do
    if type(word) == "function" then state.words[word] = name end
  end
  book.words = state.words
  return state, own
end

-- Tables that rules may count on being there.
local function complete(event)
  local user = event.user
  if type(user) ~= "table" then
    user = {}
    event.user = user
  end
  if type(user.attributes) ~= "table" then user.attributes = {} end
  if type(event.attributes) ~= "table" then event.attributes = {} end
  if type(event.changes) ~= "table" then event.changes = {} end
end

local function attach_quiet(list, quiet)
  for i = 1, #list do
    local effect = list[i]
    local name = effect.effect
    if (name == "send" or name == "expand") and not effect.quiet then effect.quiet = quiet end
  end
  return list
end

-- What went wrong in an author's function, with the best place that is known.
local function failure(state, entry, raised)
  local p = raised
  if not problems.is_raised(raised) then
    local line, message = problems.split(state.book, raised)
    p = { line = line, message = message }
  end
  if not p.line then -- a tail call has lost it
    local step = state.running
    p.line, p.entry = step.line, p.entry or step.label or entry.label
  end
  local message = problems.format(state.book.chunk, problems.named(state.book, p))
  return { message = message, step = state.at, problem = p }
end

local receiver = { label = "inbound" } -- the entry of all webhooks

local function run_inbound(state, _, event, ctx)
  return inbound.run(state, event, ctx)
end

-- What every call begins with.
local function begin(state, event, ctx)
  local trace = {}
  state.trace, state.at, state.depth, state.quiet = trace, 0, 0, nil
  state.book.ctx = ctx
  if event.EventTypeID ~= nil or event.type ~= "INBOUND" then complete(event) end
  return trace
end

-- Runs an entry, or what `run` makes of it; its effects, or nil and what failed.
local function run_entry(state, room, entry, event, ctx, run)
  if not state.stays then sandbox.enter(room) end
  local ran, list = pcall(run, state, entry, event, ctx)
  if not state.stays then sandbox.leave() end
  if not ran then return nil, failure(state, entry, list) end
  local quiet = list and (state.quiet or entry.quiet)
  if quiet then attach_quiet(list, quiet) end
  return list
end

local function evaluator(state, room)
  ---@param event table  the rules' own copy
  ---@param ctx table    now_ms, minute, weekday, date, recipient
  ---@return table[]? effects
  ---@return table trace_or_failure
  return function(event, ctx)
    local trace = begin(state, event, ctx)
    local entry
    if event.EventTypeID ~= nil then
      entry = state.events[event.EventTypeID]
      if not entry then
        return { effects.hold("event type " .. tostring(event.EventTypeID) .. " is not routed") },
          trace
      end
    else
      local name = event.name or event.type
      entry = event.type == "INBOUND" and receiver or state.hooks[name]
      if not entry then
        trace[1] = { step = "no rule named " .. tostring(name), index = 0, answered = false }
        return {}, trace
      end
    end
    local wants_values = ctx.explain
    ctx.explain, state.explaining = nil, wants_values
    local list, failed = run_entry(state, room, entry, event, ctx,
      entry == receiver and run_inbound or runner.run)
    state.explaining = nil
    if failed then return nil, failed end
    if wants_values then
      sandbox.enter(room) -- values may be functions of the author's
      origins.complete(state, entry ~= receiver and entry, trace, list or {}, event, ctx)
      sandbox.leave()
    end
    return list or { effects.hold("no step answered") }, trace
  end
end

--- Reads and proves a rules file: all of its mistakes, or rules that have passed their
-- examples.
---@param source string
---@param chunkname string  the file's name, as messages should show it
---@param host table?       { known_zone = fun(name: string): boolean,
--                             zone_date = fun(zone: string, ms: integer): string,
--                             zone_instant = fun(zone, y, m, d, hour, minute, second): integer,
--                             library = fun(name: string): string?, string?,
--                             libraries = fun(): string[] }
---@return table? rules
---@return netmove.problem[]? problems
function netmove.load(source, chunkname, host)
  host = host or {}
  local book = problems.book(chunkname)
  local state, own = new_state(book, host)
  local room = sandbox.new(book, own, words.libraries)
  state.reader = {
    book = book, own = own, libraries = words.copies(), room = room, traceback = host.traceback,
  }
  sandbox.enter(room)
  local whole, returned = reading.run(state.reader, source, 0)
  sandbox.leave()
  if not whole then return nil, problems.all(book) end
  local rules, list = tenant.build(state, returned, host)
  if #book.list > 0 or not rules then return nil, problems.all(book) end
  book.open, state.reader, state.read_library = false, nil, nil
  rules.evaluate = evaluator(state, room)
  rules.warnings = {}
  if not host.is_known then -- what has proven itself before needs no examples again
    rules.warnings = require("netmove.examples").run(book, rules.evaluate, list, host)
  end
  if #book.list > 0 then return nil, problems.all(book) end
  if host.stays then -- nobody else is in this state
    state.stays = true
    sandbox.enter(room)
  end
  rules.serve = serving.compile(state, rules.evaluate, host, {
    begin = function(event, ctx) begin(state, event, ctx) end,
    run = function(entry, event, ctx, by)
      return run_entry(state, room, entry, event, ctx, by)
    end,
  })
  return rules
end

netmove.format_problem = problems.format

return netmove
