--- Where each value came from: for `netmove explain`, after the rules have run.
--
-- Looks at the steps and messages that answered, and asks the event again what they asked it.
-- Rows are { name, value, from, path, as, at }; `from` is "event", "profile", "rules" (written
-- there), "default", "function" or "nothing".

local problems = require "netmove.problems"
local chunk = require "netmove.chunk"
local texts = require "netmove.texts"
local values = require "netmove.values"

local origins = {}

local getmetatable, ipairs, next, pcall, rawget, type =
  getmetatable, ipairs, next, pcall, rawget, type
local format, sub = string.format, string.sub
local concat = table.concat

local LONGEST = 500 -- bytes of a value that are shown
local MOST = 200 -- rows of one step

local function shown(value)
  if type(value) == "string" and #value > LONGEST then return sub(value, 1, LONGEST) .. "..." end
  if problems.is_scalar(value) then return value end
end

--- "rules/acme.lua:12", as a person looks it up.
---@param book netmove.book
---@param line integer?
---@return string?
function origins.place(book, line)
  if not line then return nil end
  local number, file = problems.plain_line(book, line)
  return format("%s:%d", file, number)
end

local function line_of(look, f)
  return origins.place(look.book, problems.line_of(look.book, chunk.line(f)))
end

local function add(look, row)
  if #look.rows < MOST then look.rows[#look.rows + 1] = row end
end

-- What kind of value it is, and where it looks.
local function describe(look, row, value)
  if type(value) == "function" then
    row.from, row.at = "function", line_of(look, value)
    return
  end
  local about = values.describe(value)
  if not about then
    row.from = "rules"
  elseif about.kind == "condition" then
    describe(look, row, about.of)
    row.as = row.as and row.as .. ", a condition" or "a condition"
  else
    local found = texts.walk(look.event, about.keys)
    row.path = about.path
    row.as = about.ops[1] and concat(about.ops, ", ") or nil
    row.from = about.keys[1] == "user" and "profile" or "event"
    if found == nil or found == "" or type(found) == "userdata" then
      row.from, row.as = about.has_default and "default" or "nothing", nil
    elseif about.has_default and row.value == nil then
      row.from = "default"
    end
  end
end

local function add_value(look, name, value)
  local row = { name = name }
  local ran, found = pcall(values.resolve, value, look.event, look.ctx)
  if ran then row.value = shown(found) end
  describe(look, row, value)
  add(look, row)
end

local function add_text(look, name, text)
  local rendered = texts.render(text, look.event, {})
  add(look, { name = name, value = shown(rendered), from = "rules" })
  for _, ref in ipairs(texts.references(text)) do
    local value, from, path = texts.locate(ref, look.event)
    add(look, {
      name = name .. " {" .. ref.name .. "}", value = shown(value), from = from, path = path,
    })
  end
end

-- A field of a message, or of a map in one.
local function add_field(look, name, from)
  if values.is(from) then
    add_value(look, name, from)
  elseif texts.references(from) then
    add_text(look, name, from)
  elseif type(from) == "table" and not getmetatable(from) then
    for _, inner in ipairs(from) do
      add_field(look, name .. problems.index(inner.name), inner.from)
    end
  else
    add(look, { name = name, value = shown(from), from = "rules" })
  end
end

local function add_message(look, message, prefix)
  for _, step in ipairs(message.plan) do add_field(look, prefix .. step.name, step.from) end
end

local function add_renamed(look, renamed)
  local source = texts.walk(look.event, renamed.keys)
  if type(source) ~= "table" then return end
  for _, from in ipairs(problems.sorted_keys(renamed.names)) do
    if problems.is_scalar(source[from]) then
      add(look, { name = renamed.names[from], value = shown(source[from]), as = "renamed",
                  from = renamed.keys[1] == "user" and "profile" or "event",
                  path = concat(renamed.keys, ".") .. "." .. from })
    end
  end
end

-- What a step of ours is made of, by its name.
local of_step = {}

function of_step.update_customer(look, step)
  if rawget(step, "customer") ~= nil then add_value(look, "CustomerID", step.customer) end
  for _, renamed in ipairs(step.renamed) do add_renamed(look, renamed) end
  for _, name in ipairs(problems.sorted_keys(step.fields)) do
    add_value(look, name, step.fields[name])
  end
end

function of_step.track_event(look, step)
  for _, name in ipairs { "event", "customer", "visitor", "timestamp" } do
    local value = rawget(step, name)
    if value ~= nil then add_value(look, name, value) end
  end
  for _, name in ipairs(problems.sorted_keys(step.context)) do
    add_value(look, "context." .. name, step.context[name])
  end
end

local function rows_of(state, event, ctx, fill)
  local look = { book = state.book, event = event, ctx = ctx, rows = {} }
  fill(look)
  if next(look.rows) then return look.rows end
end

-- The messages of what was sent, under the step that sent them.
local function add_sends(state, mark, list, event, ctx)
  local sends = 0
  for _, effect in ipairs(list) do sends = sends + (effect.effect == "send" and 1 or 0) end
  if sends == 0 or not mark then return end
  mark.values = rows_of(state, event, ctx, function(look)
    for _, effect in ipairs(list) do
      local message = effect.effect == "send" and state.messages[effect.message]
      if message then add_message(look, message, sends > 1 and effect.message .. "." or "") end
    end
  end)
end

local function explain(state, entry, trace, list, event, ctx)
  local file, last = state.book.chunk, nil
  for _, mark in ipairs(trace) do
    local step, fill = mark.of, of_step[mark.step]
    mark.at = origins.place(state.book, mark.line)
    if not mark.at and step and entry[mark.index] == step then
      local label = #entry > 1 and entry.label .. "[" .. mark.index .. "]" or entry.label
      mark.at = file .. ": " .. label
    end
    mark.line = mark.line and problems.plain_line(state.book, mark.line)
    if step and fill and mark.answered then
      mark.values = rows_of(state, event, ctx, function(look) fill(look, step) end)
    end
    if mark.answered then last = mark end
  end
  add_sends(state, last, list, event, ctx)
end

local function explain_inbound(state, trace, request, ctx)
  for _, mark in ipairs(trace) do
    local entry = state.inbound[request.name]
    mark.at = origins.place(state.book, mark.line) or state.book.chunk .. ": " .. entry.label
    mark.line = mark.line and problems.plain_line(state.book, mark.line)
    if entry.event then
      mark.values = rows_of(state, request, ctx, function(look)
        local function add_all(given, prefix)
          for _, key in ipairs(problems.sorted_keys(given)) do
            local value = given[key]
            local name = prefix == "" and key or prefix .. problems.index(key)
            if type(value) == "table" and not values.is(value) then
              add_all(value, name)
            else
              add_value(look, name, value)
            end
          end
        end
        add_all(entry.event, "")
      end)
    end
  end
end

--- Completes a trace: each step with its place, those that answered with their values.  What
-- cannot be told is left out.
---@param state table
---@param entry table|false  the entry that ran; false of an inbound
---@param trace table[]      marks, with the step itself in `of`
---@param list table[]       effects
---@param event table
---@param ctx table
function origins.complete(state, entry, trace, list, event, ctx)
  if entry then
    pcall(explain, state, entry, trace, list, event, ctx)
  else
    pcall(explain_inbound, state, trace, event, ctx)
  end
  for _, mark in ipairs(trace) do mark.of = nil end
end

return origins
