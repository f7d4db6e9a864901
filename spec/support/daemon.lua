--- A real netmove in a folder of its own: settings, rules and a tenant made for the test.

local json = require("spec.support.json")
local http = require("spec.support.http")
local loop = require("spec.support.loop")
local process = require("spec.support.process")
local uv = require("luv")

local daemon = {}

local program = os.getenv("NETMOVE") or "build/netmove"
local source = os.getenv("NETMOVE_SOURCE") or "."

local function write(path, text)
  local part = path .. ".part"
  local file = assert(io.open(part, "w"))
  file:write(text)
  file:close()
  assert(os.rename(part, path))
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("a")
  file:close()
  return text
end

local settings = [[
return {
  public = { listen = %q%s },
  admin = { listen = %q, socket = "netmove.sock" },
  store = "sqlite:netmove.db",
  rules = "rules",
  outbound = { allow = { "127.0.0.0/8" } },
  %s
}
]]

local tenant = [[
return {
  name = %q, appKey = %q, restApiKey = "rest-key",
  optimove = {
    baseUrl = %q, apiKey = "optimove-key", status = %q,%s
    channels = { { id = 459, name = "Push", kind = "push" }, { id = 481, name = "SMS", kind = "sms" } },
    params   = { { realFieldName = "FIRST_NAME", name = "first_name" } },
  },
  providers = { netmera = { adapter = "netmera", baseUrl = %q, apiKey = "netmera-key"%s } },
  channels = { push = { "netmera" }, sms = { "netmera" }, email = { "netmera" } },
  hooks = { { type = "OPTIMOVE", event = "PURCHASE", status = "ACTIVE" },
            { type = "OPTIMOVE", event = "PROFILE_ATTRIBUTE_CHANGE", status = "ACTIVE" } },
}
]]

--- Makes a folder with settings and rules (acme's own, unless `rules` gives another text); starts nothing.
--- `public` is the text of more settings under public, `settings` lines of more settings, `files` how many
--- files the daemon may open, `env` its environment; with `own_program` the folder has a copy of the program.
---@param options? { rules?: string|false, public?: string, settings?: string, files?: integer,
---  own_program?: boolean, env?: table }
function daemon.folder(options)
  options = options or {}
  local self = { path = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/netmove-spec-XXXXXX")),
                 listen = "127.0.0.1:0", admin = "127.0.0.1:0", settings = options.settings or "",
                 program = program, starts_ms = {} }
  uv.fs_mkdir(self.path .. "/rules", 448)
  uv.fs_mkdir(self.path .. "/tenants", 448)
  if options.rules ~= false then
    write(self.path .. "/rules/acme.lua", options.rules or read(source .. "/rules/acme.lua"))
  end

  function self.write(name, text) write(self.path .. "/" .. name, text) end
  function self.read(name) return read(self.path .. "/" .. name) end

  local function configure()
    local public = options.public and ", " .. options.public or ""
    write(self.path .. "/netmove.lua", settings:format(self.listen, public, self.admin, self.settings))
  end
  configure()
  self.configure = configure
  if options.own_program then
    self.program = self.path .. "/netmove"
    assert(uv.fs_copyfile(program, self.program))
  end

  --- Runs a command; gives { code, out, err }.
  function self.cli(...)
    return process.run({ command = program, args = { "--config", "netmove.lua", ... }, cwd = self.path })
  end

  --- As cli, but must exit 0; with --json its answer is decoded.
  function self.ask(...)
    local result = self.cli("--json", ...)
    assert(result.code == 0, table.concat({ ... }, " ") .. ": exit " .. tostring(result.code) .. "\n" ..
           result.out .. "\n" .. result.err)
    return json.decode(result.out)
  end

  local function find_line(pattern)
    for _, line in ipairs(self.process.err) do
      local found = line:match(pattern)
      if found then return found end
    end
  end

  --- Starts `serve` and waits until it is ready.
  function self.start(env)
    configure()
    local command, args = self.program, { "serve", "--config", "netmove.lua" }
    if options.files then
      command = "sh"
      args = { "-c", 'ulimit -n "$0"; exec "$@"', tostring(options.files), self.program, table.unpack(args) }
    end
    local began = uv.hrtime()
    self.process = process.start({ command = command, args = args, cwd = self.path, env = env or options.env })
    loop.await("netmove to be ready", function()
      return find_line('"message":"(ready)"') or self.process.exit_code
    end)
    if self.process.exit_code then
      error("netmove ended: " .. table.concat(self.process.err, "\n"), 2)
    end
    self.starts_ms[#self.starts_ms + 1] = (uv.hrtime() - began) // 1000000
    self.listen = assert(find_line('"message":"public on ([%d.:]+)"'), "no public address in the log")
    self.admin = assert(find_line('"message":"admin on ([%d.:]+)"'), "no admin address in the log")
    self.url = ((options.public or ""):find("tls = ", 1, true) and "https://" or "http://") .. self.listen
    self.admin_url = "http://" .. self.admin
    return self
  end

  --- Ends it as SIGKILL does.
  function self.kill()
    self.process.kill("sigkill")
    self.process.wait()
  end

  --- Ends it as an operator would; it must exit 0.
  function self.stop()
    self.process.kill("sigterm")
    local code, signal = self.process.wait()
    if code ~= 0 then
      error("netmove ended with " .. code .. " (signal " .. tostring(signal) .. "):\n" ..
            table.concat(self.process.err, "\n"), 2)
    end
  end

  --- Lines at error level of this start.
  function self.errors()
    local found = {}
    for _, line in ipairs(self.process.err) do
      if line:find('"level":"error"', 1, true) then found[#found + 1] = line end
    end
    return found
  end

  --- Writes tenants/acme.lua for this world and applies it.
  ---@param world { optimove: table, netmera: table }
  function self.apply(world, changes)
    changes = changes or {}
    self.write("tenants/acme.lua", tenant:format(
      changes.name or "acme", changes.app_key or "acme-app-key", world.optimove.url,
      changes.status or "ACTIVE", changes.optimove or "", world.netmera.url, changes.provider or ""))
    return self.cli("--json", "tenant", "apply", "tenants/acme.lua")
  end

  --- POSTs a campaign event with the header key.
  function self.event(body, headers)
    local all = { ["X-netmera-api-key"] = "rest-key" }
    for name, value in pairs(headers or {}) do all[name] = value end
    return http.request({ url = self.url .. "/optimove/event/acme-app-key", body = body, headers = all })
  end

  --- Removes the folder; the daemon must have ended.
  function self.remove()
    assert(self.path:find("/netmove-spec-", 1, true))
    os.execute("rm -rf '" .. self.path .. "'")
  end

  return self
end

--- A whole set: both fakes, a daemon that is ready, the tenant applied.
function daemon.story(options)
  local world = require("spec.support.world")
  local story = { optimove = world.optimove(), netmera = world.netmera() }
  story.daemon = daemon.folder(options).start()
  if not (options and options.apply == false) then
    local applied = story.daemon.apply(story, options)
    assert(applied.code == 0, applied.out .. applied.err)
  end

  --- Ends everything; the daemon must stop cleanly and have logged no error.
  function story.close(expects_errors)
    if not story.daemon.process.exit_code then story.daemon.stop() end
    local errors = story.daemon.errors()
    story.optimove.close()
    story.netmera.close()
    story.daemon.remove()
    if not expects_errors and #errors > 0 then error("logged:\n" .. table.concat(errors, "\n"), 2) end
  end

  return story
end

return daemon
