--- Shared by the specs of `lua/`; they run from the top of the tree.

local netmove = require "netmove"

local support = {}

local zones = { ["Europe/Istanbul"] = true, UTC = true }
support.host = { known_zone = function(name) return zones[name] or false end }

function support.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

--- Loads a whole file from its text; the rules, or the lines its author would see.
function support.load(source, name, libraries)
  name = name or "t.lua"
  local host = support.host
  if libraries then
    host = {
      known_zone = host.known_zone,
      library = function(of) return libraries[of] end,
      libraries = function()
        local names = {}
        for of in pairs(libraries) do names[#names + 1] = of end
        return names
      end,
    }
  end
  local rules, mistakes = netmove.load(source, name, host)
  if rules then return rules end
  local lines = {}
  for i, p in ipairs(mistakes) do lines[i] = netmove.format_problem(name, p) end
  return nil, lines
end

--- The same for the inside of `tenant { name = "t", ... }`.
function support.tenant(inside)
  return support.load('return tenant { name = "t", ' .. inside .. " }")
end

--- Rules that must load.
function support.rules(inside)
  local rules, lines = support.tenant(inside)
  if not rules then error(table.concat(lines, "\n"), 2) end
  return rules
end

--- What a hook function's text gives for an event.
function support.hook(text, event, more)
  local rules = support.rules("hooks = { E = " .. text .. " }" .. (more and ", " .. more or ""))
  event = event or {}
  event.name = "E"
  return rules.evaluate(event, support.ctx())
end

--- Noon on a Monday, unless told otherwise.
function support.ctx(more)
  local ctx = { now_ms = 1705320000000, minute = 720, weekday = 1, date = "2024-01-15" }
  for key, value in pairs(more or {}) do ctx[key] = value end
  return ctx
end

--- A campaign event with what most of them have.
function support.event(more)
  local event = {
    EventTypeID = 11, CampaignID = "7", ChannelID = 15, TemplateID = 1201, CustomerID = "42",
    attributes = {}, user = { attributes = {} },
  }
  for key, value in pairs(more or {}) do event[key] = value end
  return event
end

return support
