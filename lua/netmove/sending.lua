--- The words that make a message of an event: `send_template` and `send`.

local caps = require "netmove.caps"
local effects = require "netmove.effects"
local messages = require "netmove.messages"
local problems = require "netmove.problems"
local runner = require "netmove.runner"
local templates = require "netmove.templates"
local texts = require "netmove.texts"
local unknown = require "netmove.unknown"

local sending = {}

local tostring, type = tostring, type

local caps_of, hold, find_template = caps.of_send, effects.hold, templates.find

local function make_send(message, event, ctx)
  local content, to, expires_in, missing = messages.render(message, event, ctx)
  if not content then return hold(to) end
  local customer = texts.plain(event.CustomerID or event.extId)
  to = to or customer
  if not to then
    return hold("message " .. message.name .. " has nobody to go to: the event has no CustomerID")
  end
  return {
    effect = "send",
    channel = message.kind,
    message = message.name,
    to = to,
    customer = customer,
    template = event.TemplateID,
    campaign = event.CampaignID,
    channel_id = event.ChannelID,
    content = content,
    expires_in_ms = expires_in,
    caps = caps_of(message, event, ctx),
    missing = missing,
  }
end

local function find_message(state, name)
  local message = messages.is(name) and name or state.messages[name]
  if not message then
    problems.misuse(state.book, "no message named " .. problems.quote(name)
      .. problems.hint(name, state.messages))
  elseif not message.name then
    problems.misuse(state.book, "this message is not in messages")
  end
  return message
end

local function run_send(self, event, ctx)
  return make_send(find_message(self.state, self.message), event, ctx)
end

-- send(message) is a step; while the file is read its name waits for the messages.
local function sending_step(state, name)
  local book, line = state.book, nil
  if book.open then
    line = problems.where(book)
    if type(name) == "string" or messages.is(name) then
      state.sends[#state.sends + 1] = { name = name, line = line }
    elseif not unknown.is(name) then
      problems.misuse(book, "send: expected the name of a message, got " .. problems.quote(name))
    end
  end
  return runner.step {
    book = book, state = state, name = "send", run = run_send, message = name, line = line,
    decides = true,
  }
end

-- send(message) is a step; send(message, event, ctx) is what it gives.
local function send_word(state)
  local book = state.book
  return function(name, event, ctx)
    if event == nil and ctx == nil then return sending_step(state, name) end
    if book.open then
      problems.misuse(book, "send with an event is used inside a function; as a step write "
        .. "send(name)")
      return unknown.new()
    elseif type(event) ~= "table" then
      problems.misuse(book, "send: expected (message, event, ctx), got "
        .. problems.quote(event) .. " for the event")
    end
    return make_send(find_message(state, name), event, runner.context(book, ctx))
  end
end

local function send_template(state)
  return runner.step {
    book = state.book,
    name = "send_template",
    decides = true,
    run = function(_, event, ctx)
      local template, channel = event.TemplateID, event.ChannelID
      if template == nil then return hold("the event names no TemplateID") end
      local message = find_template(state.templates, event)
      if not message then return hold("template " .. tostring(template) .. " is not mapped") end
      if channel == nil then return hold("the event names no ChannelID") end
      local kind = state.channels[channel]
      if not kind then return hold("channel " .. tostring(channel) .. " is not known") end
      if message.kind ~= kind then
        return hold("message " .. message.name .. " is " .. messages.articles[message.kind]
          .. ", channel " .. tostring(channel) .. " is " .. kind)
      end
      return make_send(message, event, ctx)
    end,
  }
end

--- The words `send` and `send_template`.
---@param state table
---@return table<string, any>
function sending.words(state)
  return { send = send_word(state), send_template = send_template(state) }
end

return sending
