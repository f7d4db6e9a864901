--- Texts with names in them: `Hello {first_name|friend}`.
--
-- Compiled once at load into segments, rendered per message.  A name is looked for in
-- event.attributes, then in event.user.attributes, then in the event itself.  `{{` and `}}`
-- are braces.

local texts = {}

local getmetatable, setmetatable, tostring, type = getmetatable, setmetatable, tostring, type
local find, format, gsub, sub = string.find, string.format, string.gsub, string.sub
local concat = table.concat
local mtype = math.type

local ESCAPES = {
  ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;",
}

local text_mt = {}

--- A number, text or boolean as it stands in a text: 3.0 is "3", 59.9 is "59.9".
---@param value any
---@return string?  nil for what cannot stand in a text, and for an empty one
function texts.plain(value)
  local kind = type(value)
  if kind == "string" then
    if value ~= "" then return value end
  elseif kind == "number" then
    if mtype(value) == "integer" then return format("%d", value) end
    return format("%.14g", value)
  elseif kind == "boolean" then
    return tostring(value)
  end
end

--- Splits `user.attributes.city` into its keys.
---@param path string
---@return string[]?
---@return string? message
function texts.split_path(path)
  local keys, from = {}, 1
  while true do
    local dot = find(path, ".", from, true)
    local key = sub(path, from, dot and dot - 1)
    if key == "" or find(key, "^%s") or find(key, "%s$") or find(key, "%c") then
      return nil, 'bad name "' .. path .. '": expected names joined by dots, as in user.email'
    end
    keys[#keys + 1] = key
    if not dot then return keys end
    from = dot + 1
  end
end

local function walk(from, keys)
  local value = from
  for i = 1, #keys do
    if type(value) ~= "table" then return nil end
    value = value[keys[i]]
  end
  return value
end

texts.walk = walk

local function look_up(ref, event)
  if ref.single then
    local key = ref.single
    return texts.plain(event.attributes[key])
      or texts.plain(event.user.attributes[key])
      or texts.plain(event[key])
  end
  local keys = ref.keys
  return texts.plain(walk(event.attributes, keys))
    or texts.plain(walk(event.user.attributes, keys))
    or texts.plain(walk(event, keys))
end

--- Where a name's value is: the value, "event", "profile", "default" or "nothing", and its path.
---@param ref table  one of `references`
---@param event table
---@return string? value
---@return string from
---@return string? path
function texts.locate(ref, event)
  local value = texts.plain(walk(event.attributes, ref.keys))
  if value then return value, "event", "attributes." .. ref.name end
  value = texts.plain(walk(event.user.attributes, ref.keys))
  if value then return value, "profile", "user.attributes." .. ref.name end
  value = texts.plain(walk(event, ref.keys))
  if value then return value, ref.keys[1] == "user" and "profile" or "event", ref.name end
  if ref.fallback then return ref.fallback, "default" end
  return nil, "nothing"
end

local function read_name(inner)
  local bar = find(inner, "|", 1, true)
  local name = bar and sub(inner, 1, bar - 1) or inner
  local keys, wrong = texts.split_path(name)
  if not keys then return nil, "{" .. inner .. "}: " .. wrong end
  return {
    name = name,
    keys = keys,
    single = #keys == 1 and keys[1] or nil,
    fallback = bar and sub(inner, bar + 1) or nil,
  }
end

--- Compiles a text: the same text if it names nothing, else segments for `render`.
---@param source string
---@return string|table|nil
---@return string? message
function texts.compile(source)
  local parts, names, literal, at = {}, 0, "", 1
  while true do
    local brace = find(source, "[{}]", at)
    literal = literal .. sub(source, at, brace and brace - 1)
    if not brace then break end
    local char = sub(source, brace, brace)
    if sub(source, brace + 1, brace + 1) == char then
      literal, at = literal .. char, brace + 2
    elseif char == "}" then
      literal, at = literal .. char, brace + 1
    else
      local close = find(source, "[{}]", brace + 1)
      if not close or sub(source, close, close) == "{" then
        return nil, 'a "{" without its "}" (a brace itself is written "{{")'
      end
      local ref, wrong = read_name(sub(source, brace + 1, close - 1))
      if not ref then return nil, wrong end
      if literal ~= "" then parts[#parts + 1] = literal end
      parts[#parts + 1] = ref
      names, literal, at = names + 1, "", close + 1
    end
  end
  if names == 0 then return literal end
  if literal ~= "" then parts[#parts + 1] = literal end
  return setmetatable(parts, text_mt)
end

--- The names in a compiled text; nothing where it is no such text.
---@param text any
---@return table[]?
function texts.references(text)
  if getmetatable(text) ~= text_mt then return nil end
  local refs = {}
  for i = 1, #text do
    if type(text[i]) == "table" then refs[#refs + 1] = text[i] end
  end
  return refs
end

--- Fills a compiled text in.  A name without value and fallback is empty, and is noted.
---@param text string|table
---@param event table
---@param lost string[]   the names that have no value
---@param html boolean?   escape what comes from the event
---@return string
function texts.render(text, event, lost, html)
  if getmetatable(text) ~= text_mt then return text end
  local out = {}
  for i = 1, #text do
    local part = text[i]
    if type(part) == "table" then
      local value = look_up(part, event)
      if value and html then value = gsub(value, "[&<>\"']", ESCAPES) end
      value = value or part.fallback
      if not value then
        lost[#lost + 1] = part.name
        value = ""
      end
      out[i] = value
    else
      out[i] = part
    end
  end
  return concat(out)
end

return texts
