--- Faults below a daemon, switched on and off while it runs: spec/support/faults.c is preloaded into it.

local uv = require("luv")

local faults = {}

local library = os.getenv("NETMOVE_FAULTS_LIBRARY")
  or (os.getenv("NETMOVE") or "build/netmove"):match("^(.*)/[^/]*$") .. "/spec/libnetmove_faults.so"

local PLACES = { "clock_ms", "is_full", "syncs_fail", "writes_fail", "sync_delay_ms", "refused", "clock_is_ms",
                 "clock_ppm", "clock_since_ms" }

--- Whether the library was built.
function faults.can() return uv.fs_stat(library) ~= nil end

--- An object with env (for daemon.start), set(name, number) and get(name).  Names: clock_ms (added to the wall
--- clock), is_full (1: the store's files do not grow), syncs_fail and writes_fail (so many of the next fail),
--- sync_delay_ms (a slow disk), clock_is_ms (the wall clock stands still there), clock_ppm and clock_since_ms (it is
--- so much faster since then).
function faults.new()
  local path = os.tmpname()
  local file = assert(io.open(path, "w+b"))
  file:write(("\0"):rep(8 * #PLACES))
  file:flush()
  local self = { env = { LD_PRELOAD = library, NETMOVE_FAULTS = path } }

  local function offset(name)
    for i, place in ipairs(PLACES) do if place == name then return (i - 1) * 8 end end
    error("no fault " .. name)
  end

  function self.set(name, number)
    file:seek("set", offset(name))
    file:write(string.pack("<i8", number))
    file:flush()
  end

  function self.get(name)
    file:flush()
    file:seek("set", offset(name))
    return (string.unpack("<i8", file:read(8)))
  end

  function self.close()
    file:close()
    os.remove(path)
  end

  return self
end

return faults
