--- Messages: `push { }`, `sms { }`, `email { }`.
--
-- Each is compiled once, when the file is read, to a plan: its fields, each with the
-- function that renders it.  Rendering makes no closure.

local caps = require "netmove.caps"
local fields = require "netmove.fields"
local problems = require "netmove.problems"
local unknown = require "netmove.unknown"
local values = require "netmove.values"

local messages = {}

local error, getmetatable, ipairs, next, rawget, setmetatable, type =
  error, getmetatable, ipairs, next, rawget, setmetatable, type

-- Fields in the order in which they are rendered: { name, kind, about }.
local everywhere = {
  { "notification_key", "key", "the Netmera definition that carries it" },
  { "params", "map", "values for that definition" },
  { "to", "address", "an address instead of the one in the profile" },
  { "expires_in", "duration", "not worth sending any more after this long" },
  { "cap", "caps", "how often a customer may get it" },
  { "category", "caps", "whose caps count for it, too" },
}

--- The keys of each kind of message.
messages.fields = {
  push = {
    { "title", "text", "the line in bold" },
    { "body", "text", "what it says" },
    { "opens", "text", "where a tap leads" },
    { "data", "map", "values for the app itself" },
  },
  sms = {
    { "text", "text", "what it says" },
    { "sender", "text", "the name or number that people see" },
    { "message_type", "choice", "IYS: N notification, C campaign", { N = true, C = true } },
    { "recipient_type", "choice", "IYS: B person, T merchant", { B = true, T = true } },
  },
  email = {
    { "subject", "text", "the subject line" },
    { "text", "text", "the plain body" },
    { "html", "html", "the HTML body; values are escaped" },
    { "view", "text", "the file that holds the body" },
    { "unsubscribe", "flag", "false: without the one-click unsubscribe headers" },
  },
}

for _, own in next, messages.fields do
  for _, field in ipairs(everywhere) do own[#own + 1] = field end
end

-- One of these is needed, in order of preference; then what the message says is missing.
local enough = {
  push = { { "notification_key" }, { "body" }, { "title" } },
  sms = { { "notification_key" }, { "text" } },
  email = {
    { "notification_key" },
    { "subject", "text" }, { "subject", "html" }, { "subject", "view" },
  },
}

local lacking = {
  push = "a push has neither body nor notification_key",
  sms = "an sms has neither text nor notification_key",
  email = "an email has neither notification_key nor subject with text, html or view",
}

--- "a push", "an sms", as messages say it.
messages.articles = { push = "a push", sms = "an sms", email = "an email" }

local message_mt = { __name = "message" }

message_mt.__index = function(self, name)
  problems.misuse(self.book, "a message has nothing to read: " .. problems.quote(name))
  return unknown.new()
end
message_mt.__newindex = function(self, name)
  problems.misuse(self.book, "a message cannot be changed: " .. problems.quote(name))
end

---@param value any
---@return boolean
function messages.is(value)
  return getmetatable(value) == message_mt
end

-- Authors hold messages, and messages hold no table of ours that others share.
local function own(field)
  local choices = field[4] and {}
  for choice, known in next, field[4] or {} do choices[choice] = known end
  return { field[1], field[2], field[3], choices }
end

local function compile_field(message, field, value, report)
  local step = { name = field[1], field = own(field) }
  local uncalled = problems.uncalled(message.book, value)
  if uncalled then return report(step.name .. ": " .. uncalled) end
  if values.is(value) then
    step.get, step.from, step.accept = fields.get_value, value, fields.accept[field[2]]
  else
    local wrong
    step.get, step.from, wrong = fields.compile[field[2]](value, field)
    if not step.get then
      wrong = wrong or "expected " .. step.from .. ", got " .. problems.quote(value)
      return report(step.name .. ": " .. wrong)
    end
  end
  message.plan[#message.plan + 1] = step
end

local function has_enough(kind, given)
  for _, keys in ipairs(enough[kind]) do
    local all = true
    for _, key in ipairs(keys) do all = all and given[key] ~= nil end
    if all then return true end
  end
  return false
end

local function new_message(book, kind, given)
  local message = { book = book, kind = kind, name = false, plan = {}, notes = {} }
  local function report(text)
    message.notes[#message.notes + 1] = problems.misuse(book, kind .. ": " .. text)
  end
  if type(given) ~= "table" then
    report("expected a table, as in " .. kind .. " { }, got " .. problems.quote(given))
    given = nil
  elseif unknown.is(given) then
    given = nil
  end
  if given then
    local known = {}
    for _, field in ipairs(messages.fields[kind]) do
      known[field[1]] = true
      local value = given[field[1]]
      if value ~= nil and not unknown.is(value) and field[2] ~= "caps" then
        compile_field(message, field, value, report)
      end
    end
    problems.closed(given, known, report)
    caps.of_message(message, given, report)
    if #message.notes == 0 and not has_enough(kind, given) then report(lacking[kind]) end
    if given.params ~= nil and given.notification_key == nil then
      report("params go with notification_key")
    end
  end
  return setmetatable(message, message_mt)
end

--- The message under its name; a copy if it already has another.
---@param message table
---@param name string
---@return table
function messages.named(message, name)
  if not message.name then
    message.name = name
    return message
  end
  return setmetatable({
    book = message.book, kind = message.kind, name = name, plan = message.plan, notes = {},
    own_caps = rawget(message, "own_caps"), category_of_caps = rawget(message, "category_of_caps"),
  }, message_mt)
end

--- Renders a message for one event.
---@param message table
---@param event table
---@param ctx table
---@return table? content
---@return string? to_or_why  the address that the message names, or why there is no content
---@return integer? expires_in_ms
---@return string[]? missing  names in texts that have no value
function messages.render(message, event, ctx)
  local content, lost, to, expires_in = {}, {}, nil, nil
  local plan = message.plan
  for i = 1, #plan do
    local step = plan[i]
    local value, wrong = step.get(step.from, event, ctx, lost)
    if wrong then return nil, wrong .. " in message " .. message.name end
    if value ~= nil and step.accept then
      local accepted, expected = step.accept(value, step.field)
      if accepted == nil then
        error("message " .. message.name .. ": " .. step.name .. ": expected " .. expected
          .. ", got " .. problems.quote(value), 0)
      end
      value = accepted
    end
    if step.name == "to" then
      to = value
    elseif step.name == "expires_in" then
      expires_in = value
    else
      content[step.name] = value
    end
  end
  return content, to, expires_in, lost[1] and lost
end

--- The words `push`, `sms` and `email`.
---@param book netmove.book
---@return table<string, fun(given: table): table>
function messages.words(book)
  local words = {}
  for kind in next, messages.fields do
    words[kind] = function(given) return new_message(book, kind, given) end
  end
  return words
end

return messages
