--- The short way for what nearly every event asks: one message, made without its author's code.
--
-- When a file is live, each entry and message that holds only words of ours is compiled to what
-- the daemon takes at once: the message's content as JSON, with holes for what the event holds.
-- Authors' functions may stand before it in an entry; mostly they have nothing to say.
-- Whatever does not go smoothly (a name on hold, quiet hours, a value that is missing) takes the
-- long way, `evaluate`, which is the one that says what is right; a spec compares the two.

local effects = require "netmove.effects"
local fields = require "netmove.fields"
local messages = require "netmove.messages"
local problems = require "netmove.problems"
local runner = require "netmove.runner"
local templates = require "netmove.templates"
local texts = require "netmove.texts"
local values = require "netmove.values"

local serving = {}

local getmetatable, ipairs, next, tostring, type = getmetatable, ipairs, next, tostring, type
local byte, find, format, gsub = string.byte, string.find, string.format, string.gsub
local concat, sort = table.concat, table.sort
local mtype = math.type
local utf8_len = utf8.len
local getters, hold = fields.getters, effects.hold
local plain, walk, find_template = texts.plain, texts.walk, templates.find

-- Everything that a message and an entry may hold here; with anything else they go the long way.
local message_keys = problems.set { "book", "kind", "name", "plan", "notes" }
local entry_keys = problems.set { "label", "quiet", "line" }

local HTML = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }
local SHORT = { [8] = "\\b", [9] = "\\t", [10] = "\\n", [12] = "\\f", [13] = "\\r" }

-- A text as it stands between quotes in JSON; nil where it is none.  The host does it quicker.
local function escape_here(text)
  if not utf8_len(text) or find(text, "\0", 1, true) then return nil end
  return (gsub(text, '[%c"\\]', function(c)
    local code = byte(c)
    if c == '"' or c == "\\" then return "\\" .. c end
    return code < 32 and (SHORT[code] or format("\\u%04x", code)) or c
  end))
end

local escape = escape_here

-- ---- holes: functions of (event, attributes, theirs) that give a piece of JSON, or nil ----

local function name_hole(ref, is_html)
  local single, keys, fallback = ref.single, ref.keys, ref.fallback or ""
  local quote = escape
  local function finish(value)
    if not value then return quote(fallback) end
    if is_html then value = gsub(value, "[&<>\"']", HTML) end
    return quote(value)
  end
  if single and not is_html then
    return function(event, attributes, theirs)
      local value = attributes[single]
      if type(value) == "string" and value ~= "" then return quote(value) end
      return finish(plain(value) or theirs and plain(theirs[single]) or plain(event[single]))
    end
  end
  return function(event, attributes, theirs)
    return finish(plain(walk(attributes, keys)) or plain(walk(theirs, keys))
      or plain(walk(event, keys)))
  end
end

-- What a value holds, as JSON; a broken number's digits are not ours to write.
local function value_hole(step)
  local from, accept, field = step.from, step.accept, step.field
  local quote = escape
  return function(event)
    local found, wrong, missing = values.resolve(from, event)
    if found == nil or wrong or missing then return nil end
    if accept then found = accept(found, field) end
    local kind = type(found)
    if kind == "string" then
      found = quote(found)
      return found and '"' .. found .. '"'
    elseif kind == "boolean" or mtype(found) == "integer" then
      return tostring(found)
    end
  end
end

-- ---- messages: pieces of JSON, joined where two are constant ----

local function add(pieces, piece)
  local last = pieces[#pieces]
  if type(piece) == "string" and type(last) == "string" then
    pieces[#pieces] = last .. piece
  else
    pieces[#pieces + 1] = piece
  end
end

local function add_constant(pieces, value)
  local kind = type(value)
  local text = kind == "string" and escape(value)
  if text then
    add(pieces, '"' .. text .. '"')
  elseif kind == "boolean" or mtype(value) == "integer" then
    add(pieces, tostring(value))
  else
    return false
  end
  return true
end

local function add_text(pieces, text, is_html)
  add(pieces, '"')
  for i = 1, #text do
    local part = text[i]
    if type(part) == "table" then
      if not escape(part.fallback or "") then return false end
      add(pieces, name_hole(part, is_html))
    else
      local literal = escape(part)
      if not literal then return false end
      add(pieces, literal)
    end
  end
  add(pieces, '"')
  return true
end

local add_map

-- False where it cannot be done here.
local function add_field(pieces, step)
  local get = step.get
  if get == getters.constant then return add_constant(pieces, step.from) end
  if get == getters.text then return add_text(pieces, step.from) end
  if get == getters.html then return add_text(pieces, step.from, true) end
  if get == getters.map then return add_map(pieces, step.from) end
  if get ~= fields.get_value or values.has_code(step.from) then return false end
  if step.name == "params" or step.name == "data" then return false end
  add(pieces, value_hole(step))
  return true
end

local function by_name(a, b) return a.name < b.name end

local function add_fields(pieces, list)
  sort(list, by_name)
  add(pieces, "{")
  for i, step in ipairs(list) do
    local name = escape(step.name)
    if not name then return false end
    add(pieces, (i > 1 and "," or "") .. '"' .. name .. '":')
    if not add_field(pieces, step) then return false end
  end
  add(pieces, "}")
  return true
end

add_map = function(pieces, map)
  local list = {}
  for i = 1, #map do list[i] = map[i] end
  return add_fields(pieces, list)
end

-- The function of (event, attributes, theirs) that joins the pieces; nil where one has none.
local function joiner(pieces)
  local a, hole, b, second, c = pieces[1], pieces[2], pieces[3], pieces[4], pieces[5]
  if #pieces == 1 then return function() return a end end
  if #pieces == 3 then
    return function(event, attributes, theirs)
      local text = hole(event, attributes, theirs)
      return text and a .. text .. b
    end
  elseif #pieces == 5 then
    return function(event, attributes, theirs)
      local one, two = hole(event, attributes, theirs), second(event, attributes, theirs)
      return one and two and a .. one .. b .. two .. c
    end
  end
  return function(event, attributes, theirs)
    local out = {}
    for i = 1, #pieces do
      local piece = pieces[i]
      if type(piece) == "function" then
        piece = piece(event, attributes, theirs)
        if not piece then return nil end
      end
      out[i] = piece
    end
    return concat(out)
  end
end

-- A message as { render, expires_in }, or nothing.
local function compile_message(message)
  for key in next, message do
    if not message_keys[key] then return nil end
  end
  local list, expires_in = {}, nil
  for _, step in ipairs(message.plan) do
    if step.name == "expires_in" and step.get == getters.constant then
      expires_in = step.from
    elseif step.name == "to" or step.name == "expires_in" then
      return nil
    else
      list[#list + 1] = step
    end
  end
  local pieces = {}
  if not add_fields(pieces, list) then return nil end
  return { kind = message.kind, name = message.name, render = joiner(pieces),
           expires_in = expires_in }
end

-- ---- entries ----

local function is_quiet(quiet, minute)
  local from, to = quiet.from, quiet.to
  if from < to then return minute >= from and minute < to end
  return minute >= from or minute < to
end

-- The message that a step sends, as a function of the event; nil where it is no such step.
local function chooser(state, step)
  if getmetatable(step) == nil then return nil end
  if step.name == "send_template" then
    local map, channels = state.templates, state.channels
    return function(event)
      local message = find_template(map, event)
      return message and channels[event.ChannelID] == message.kind and message
    end
  elseif step.name == "send" then
    local message = messages.is(step.message) and step.message or state.messages[step.message]
    return function() return message end
  end
end

-- An entry's quiet hours, its authors' steps and its chooser, for rows of a run or for others.
local function compile_entry(state, entry, is_recipient)
  local quiet, choose, quiet_first = entry.quiet, nil, true
  local authors, rest = {}, nil
  for key in next, entry do
    if type(key) ~= "number" and not entry_keys[key] then return nil end
  end
  for i = 1, #entry do
    local step = entry[i]
    if choose then return nil end
    if step.name == "quiet_between" then
      quiet_first = quiet_first and i == 1
    elseif step.name == "for_each_recipient" and is_recipient then
      local inner = compile_entry(state, step.inner, true)
      if not inner then return nil end
      quiet, choose, rest = quiet or inner.quiet, inner.choose, inner.rest[1]
      for _, author in ipairs(inner.authors or {}) do authors[#authors + 1] = author end
    elseif step.author then
      authors[#authors + 1] = step
    else
      choose, rest = chooser(state, step), step
      if not choose then return nil end
    end
  end
  return choose and quiet_first and {
    label = entry.label, quiet = quiet, choose = choose, authors = authors[1] and authors,
    rest = { label = entry.label, quiet = quiet, rest }, -- as an entry: what is left after authors
  }
end

local function compile_all(state, entries)
  local rows, others = {}, {}
  for key, entry in next, entries do
    rows[key], others[key] = compile_entry(state, entry, true), compile_entry(state, entry, false)
  end
  return rows, others
end

--- What the daemon calls for each event.  Gives what `evaluate` does, or for one send to the
-- customer: its channel, message, customer, template, campaign, channel_id, content (as JSON),
-- expires_in_ms, and from when to when it is quiet.
---@param state table
---@param evaluate fun(event: table, ctx: table): table?, table
---@param host table?  `json_text`: what stands between quotes in JSON, or nil
---@param call table   begin(event, ctx); run(entry, event, ctx, by): effects, or nil and a failure
---@return fun(event: table, now_ms: integer, minute: integer, weekday: integer, date: string,
--             recipient: boolean): any, any
function serving.compile(state, evaluate, host, call)
  escape = host and host.json_text or escape_here
  local rows, others = compile_all(state, state.events)
  local begin, run = call.begin, call.run
  local compiled = {} -- by message; false where it goes the long way

  local function find_short(entry, event)
    local message = entry.choose(event)
    if not message then return nil end
    local short = compiled[message]
    if short == nil then
      short = compile_message(message) or false
      compiled[message] = short
    end
    return short
  end

  -- What the authors did to the event stays done, so the long way begins behind them.
  local function go_on(entry, event, ctx)
    local list, failed = run(entry.rest, event, ctx, runner.run)
    if failed then return nil, failed end
    return list or { hold("no step answered") }
  end

  return function(event, now_ms, minute, weekday, date, recipient)
    local entry = (recipient and rows or others)[event.EventTypeID]
    local quiet = entry and entry.quiet
    local is_short = entry and (recipient or not quiet or not is_quiet(quiet, minute))
    local authors, ctx = is_short and entry.authors, nil
    if not is_short or authors then
      ctx = { now_ms = now_ms, minute = minute, weekday = weekday, date = date,
              recipient = recipient }
    end
    if authors then
      begin(event, ctx)
      local list, failed = run(entry, event, ctx, runner.authors)
      if failed then return nil, failed elseif list then return list end
    end
    if is_short then
      local short, customer = find_short(entry, event), event.CustomerID
      local attributes, user = event.attributes, event.user
      local has_all = type(customer) == "string" and customer ~= "" and type(attributes) == "table"
      if short and has_all then
        local theirs = type(user) == "table" and user.attributes
        local content = short.render(event, attributes, type(theirs) == "table" and theirs or nil)
        if content then
          return short.kind, short.name, customer, event.TemplateID, event.CampaignID,
            event.ChannelID, content, short.expires_in, quiet and quiet.from, quiet and quiet.to
        end
      end
    end
    if authors then return go_on(entry, event, ctx) end
    return evaluate(event, ctx or { now_ms = now_ms, minute = minute, weekday = weekday,
                                    date = date, recipient = recipient })
  end
end

return serving
