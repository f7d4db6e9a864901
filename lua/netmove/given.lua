--- For a tenant's own specs: what its rules make of an event, without a daemon.
--
--     local acme = require("netmove.given").rules("rules/acme.lua")
--
--     it("welcomes people", function()
--       acme.given { EventTypeID = 11, ... }:gives { effect = "send", message = "welcome" }
--     end)
--
-- Works under busted and anything else that takes an error for a failure.  Reads files: this
-- is not for rules, and no part of the daemon loads it.

local effects = require "netmove.effects"
local examples = require "netmove.examples"
local netmove = require "netmove"
local problems = require "netmove.problems"

local given = {}

local concat = table.concat

local DEEP = 3 -- the author's line, from inside a method's `must`

local function must(complaints)
  if complaints[1] then error(concat(complaints, "\n"), DEEP) end
end

local function reporter()
  local complaints = {}
  return complaints, function(message) complaints[#complaints + 1] = message end
end

---@class netmove.case
---@field private rules table
---@field private event table
local case = {}
case.__index = case

--- At that time of the day; it is noon otherwise.
---@param time string  "23:30"
---@return netmove.case
function case:at(time)
  self.time = time
  return self
end

--- On that day; it is a Monday otherwise.
---@param date string  "2024-12-31"
---@return netmove.case
function case:on(date)
  self.date = date
  return self
end

--- As one recipient of a campaign.
---@return netmove.case
function case:for_a_recipient()
  self.is_recipient = true
  return self
end

-- Effects and trace, or the error that the author's function raised.
local function run(self)
  local complaints, report = reporter()
  local event = examples.event(self.event, report)
  local ctx = examples.moment(self.time, self.date, self.is_recipient or false, report)
  if complaints[1] then return nil, complaints end
  local got, trace = self.rules.evaluate(event, ctx)
  if not got then return nil, { trace.message } end
  return got, trace
end

--- The effects as they are, for whatever else is to be asked of them.
---@return table[] effects
---@return table[] trace  the steps that were run
function case:effects()
  local got, trace_or_complaints = run(self)
  if not got then must(trace_or_complaints) end
  return got, trace_or_complaints
end

--- One effect or a list of them; only the keys that are named are compared.
---@param expected table
function case:gives(expected)
  local complaints, report = reporter()
  if type(expected) ~= "table" then
    report("gives: expected an effect or a list of them, got " .. problems.quote(expected))
    must(complaints)
  end
  expected = examples.effects(expected, report, self.event.inbound ~= nil)
  must(complaints)
  local got, wrong = run(self)
  if not got then must(wrong) end
  report(examples.compare(got, expected))
  must(complaints)
end

--- Fails with a message in which that text stands.
---@param text string
function case:fails(text)
  local got, wrong = run(self)
  local said = got and "no error" or concat(wrong, "\n")
  if got or not said:find(text, 1, true) then
    must { "got " .. said .. ", expected an error with " .. problems.quote(text) }
  end
end

local function text_of(path)
  local file, wrong = io.open(path, "rb")
  if not file then return nil, wrong end
  local source = file:read("a")
  file:close()
  return source
end

-- What is asked of us while a file is loaded: by whoever calls, else the libraries beside it.
local function host_of(path, own)
  local host = {}
  for key, value in pairs(own or {}) do host[key] = value end
  host.library = host.library or function(name)
    return (text_of((path:match("^(.*/)[^/]*$") or "") .. "lib/" .. name .. ".lua"))
  end
  return host
end

--- Loads a tenant's file; every mistake of it is in the error.
---@param path string
---@param host table?  as for netmove.load
---@return table tenant  given, hold, drop, and rules as netmove.load gives them
function given.rules(path, host)
  local source, wrong = text_of(path)
  if not source then error(wrong, 2) end
  local rules, found = netmove.load(source, path, host_of(path, host))
  if not rules then
    local lines = {}
    for i, p in ipairs(found) do lines[i] = netmove.format_problem(path, p) end
    error("\n" .. concat(lines, "\n"), 2)
  end
  return {
    rules = rules,
    hold = effects.hold,
    drop = effects.drop,
    given = function(event)
      if type(event) ~= "table" then
        error("given: expected an event, got " .. problems.quote(event), 2)
      end
      return setmetatable({ rules = rules, event = event }, case)
    end,
  }
end

return given
