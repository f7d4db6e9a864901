--- Want of memory in a daemon, switched on and off while it runs: spec/support/scarce.c is part of a program that
--- was built with tests.

local scarce = {}

local PLACES = { from = 0, to = 1, source = 2, calls = 3, failed = 7 }

--- Those of all, ours, what grows (Lua's too), those of libraries.
scarce.SOURCES = { [0] = "all", "ours", "growing", "libraries" }

--- An object with env (for daemon.start), calls(source), failed(), fail(source, number, count) and reset().
function scarce.new()
  local path = os.tmpname()
  local file = assert(io.open(path, "w+b"))
  local self = { env = { NETMOVE_SCARCE = path } }

  local function set(place, number)
    file:seek("set", 8 * place)
    file:write(string.pack("<i8", number))
    file:flush()
  end

  local function get(place)
    file:flush()
    file:seek("set", 8 * place)
    return (string.unpack("<i8", file:read(8)))
  end

  --- So many were asked for since reset.
  function self.calls(source) return get(PLACES.calls + source) end

  --- And so many were refused.
  function self.failed() return get(PLACES.failed) end

  --- The next `count` fail, once `number` of that source have been asked for since reset.
  function self.fail(source, number, count)
    set(PLACES.source, source)
    set(PLACES.from, number)
    set(PLACES.to, number + count)
  end

  function self.reset()
    for place = 0, 7 do set(place, 0) end
  end

  function self.close()
    file:close()
    os.remove(path)
  end

  self.reset()
  return self
end

return scarce
