--- Starting other programs, reading their lines, ending them.

local loop = require("spec.support.loop")
local uv = require("luv")

local process = {}

local function read_lines(pipe, lines)
  local rest = ""
  pipe:read_start(function(_, bytes)
    if not bytes then
      if rest ~= "" then lines[#lines + 1] = rest end
      rest = ""
      lines.is_closed = true
      if not pipe:is_closing() then pipe:close() end
      return
    end
    rest = rest .. bytes
    for line in rest:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
    rest = rest:match("([^\n]*)$")
  end)
end

local function environment(extra)
  local list = {}
  for name, value in pairs(uv.os_environ()) do
    if not (extra and extra[name] ~= nil) then list[#list + 1] = name .. "=" .. value end
  end
  for name, value in pairs(extra or {}) do if value then list[#list + 1] = name .. "=" .. value end end
  return list
end

--- Starts a program: an object with out, err (arrays of lines), exit_code, signal.  `descriptors` become its
--- 3, 4 and so on.  It ends with us, however we end: no test that is killed leaves its daemons and fakes behind.
---@param options { command: string, args?: string[], env?: table, cwd?: string, descriptors?: integer[] }
function process.start(options)
  local out_pipe, err_pipe = uv.new_pipe(false), uv.new_pipe(false)
  local self = { out = {}, err = {} }
  self.handle, self.pid = uv.spawn("setpriv", {
    args = { "--pdeathsig", "KILL", "--", options.command, table.unpack(options.args or {}) },
    env = environment(options.env), cwd = options.cwd,
    stdio = { nil, out_pipe, err_pipe, table.unpack(options.descriptors or {}) },
  }, function(code, signal)
    self.exit_code, self.exit_signal = code, signal
    self.handle:close()
  end)
  assert(self.handle, "cannot start " .. options.command .. ": " .. tostring(self.pid))
  read_lines(out_pipe, self.out)
  read_lines(err_pipe, self.err)

  function self.kill(signal) if not self.exit_code then self.handle:kill(signal or "sigterm") end end

  --- Waits for its end; gives the exit code and the signal.
  function self.wait(timeout_ms)
    loop.await("the end of " .. options.command, function()
      return self.exit_code and self.out.is_closed and self.err.is_closed
    end, timeout_ms)
    return self.exit_code, self.exit_signal
  end
  return self
end

--- Runs a program to its end: { code, out, err } with both as text.
function process.run(options)
  local self = process.start(options)
  local code = self.wait(options.timeout_ms)
  return { code = code, out = table.concat(self.out, "\n"), err = table.concat(self.err, "\n") }
end

return process
