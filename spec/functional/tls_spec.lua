-- TLS at the front door, as curl, openssl and Node see it.

local daemon = require("spec.support.daemon")
local http = require("spec.support.http")
local json = require("spec.support.json")
local loop = require("spec.support.loop")
local process = require("spec.support.process")
local uv = require("luv")

describe("TLS", function()
  local it_runs -- the daemon of this test

  after_each(function()
    if not it_runs then return end
    if it_runs.process and not it_runs.process.exit_code then it_runs.stop() end
    it_runs.remove()
    it_runs = nil
  end)

  local function run(command, ...)
    return process.run({ command = command, args = { ... } })
  end

  local function openssl(...)
    local result = run("openssl", ...)
    assert.equal(0, result.code, result.err)
  end

  --- A self-signed P-256 certificate NAME.crt with NAME.key in the daemon's folder.
  local function certificate(folder, name)
    local path = folder.path .. "/" .. name
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-keyout", path .. ".key", "-out", path .. ".crt", "-subj", "/CN=" .. name,
            "-addext", "subjectAltName=IP:127.0.0.1")
  end

  local function copy(folder, from, to)
    folder.write(to, folder.read(from))
  end

  --- A daemon with server.crt and server.key (`tls` adds keys, `public` stands beside them).
  local function serve(tls, public)
    it_runs = daemon.folder({ public = 'tls = { certificate = "server.crt", key = "server.key"' ..
                                       (tls and ", " .. tls or "") .. " }" .. (public and ", " .. public or "") })
    certificate(it_runs, "server")
    certificate(it_runs, "other")
    return it_runs
  end

  --- curl that trusts NAME.crt; gives the status and all it printed.
  local function curl(name, path, ...)
    local result = run("curl", "-s", "-i", "--max-time", "10", "--cacert", it_runs.path .. "/" .. name .. ".crt",
                       it_runs.url .. path, ...)
    return tonumber(result.out:match("^HTTP/1%.1 (%d+)")) or 0, result.out, result.code
  end

  --- What openssl s_client says of a handshake.
  local function s_client(...)
    local result = run("openssl", "s_client", "-connect", it_runs.listen, "-servername", "localhost", ...)
    return result.out .. "\n" .. result.err, result.code
  end

  --- A line of the log behind the first `from` ones.
  local function log_line(words, from)
    for i = from + 1, #it_runs.process.err do
      if it_runs.process.err[i]:find(words, 1, true) then return true end
    end
  end

  it("serves over 1.2 and 1.3, says http/1.1 and HSTS", function()
    serve().start()
    for _, version in ipairs({ "1.2", "1.3" }) do
      local status, answer = curl("server", "/healthz", "--tlsv" .. version, "--tls-max", version)
      assert.equal(200, status)
      assert.matches("Strict%-Transport%-Security: max%-age=63072000\r\n", answer)
    end
    assert.matches("ALPN protocol: http/1.1", (s_client("-alpn", "h2,http/1.1")))
    assert.matches("no application protocol", (s_client("-alpn", "h2")))
  end)

  it("refuses what is older, and whatever has no forward secrecy", function()
    serve().start()
    local old, code = s_client("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert.are_not.equal(0, code)
    assert.matches("protocol version", old)

    local offered = {}
    for name in run("openssl", "ciphers", "-s", "-tls1_2", "ALL:!PSK:!SRP:@SECLEVEL=0").out:gmatch("[^:\n]+") do
      if not name:find("^TLS_") then
        local _, refused = s_client("-tls1_2", "-cipher", name .. ":@SECLEVEL=0")
        if refused == 0 then offered[#offered + 1] = name end
      end
    end
    table.sort(offered)
    assert.same({ "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                  "ECDHE-ECDSA-CHACHA20-POLY1305" }, offered)
    for name, wanted in pairs({ X25519 = 0, ["P-256"] = 0, ["P-384"] = 0, ["P-521"] = 1, X448 = 1 }) do
      local _, refused = s_client("-tls1_3", "-groups", name)
      assert.equal(wanted, refused == 0 and 0 or 1, name)
    end
  end)

  it("resumes a session, and does not renegotiate", function()
    serve().start()
    local request = [[printf 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' | ]]
    for _, version in ipairs({ "-tls1_2", "-tls1_3" }) do
      local command = request .. "openssl s_client -connect " .. it_runs.listen .. " " .. version .. " -ign_eof "
      local kept = it_runs.path .. "/session"
      assert.matches("\nNew, TLSv1", run("sh", "-c", command .. "-sess_out " .. kept .. " 2>/dev/null").out)
      assert.matches("\nReused, TLSv1", run("sh", "-c", command .. "-sess_in " .. kept .. " 2>/dev/null").out)
    end
    local again = run("sh", "-c", "echo R | openssl s_client -tls1_2 -connect " .. it_runs.listen)
    assert.matches("no renegotiation", again.err)
    assert.is_nil(s_client("-tls1_3"):find("Max Early Data: [1-9]"))
  end)

  it("tells who speaks plain HTTP to it, and answers nothing else", function()
    serve().start()
    local address = it_runs.listen
    local answers, connection = http.raw("http://" .. address, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert.equal(400, answers[1].status)
    assert.equal("https_required", answers[1].json().error.code)
    loop.await("the end", function() return connection.is_closed end)
  end)

  it("hangs up on who takes too long to shake hands", function()
    serve(nil, "limits = { handshake = 1 }").start()
    local host, port = it_runs.listen:match("^(.*):(%d+)$")
    local address = { host = host, port = tonumber(port) }
    local silent, slow = http.connect(address), http.connect(address)
    slow.write("\22\3\1\2\0\1")
    loop.await("both to be hung up on", function() return silent.is_closed and slow.is_closed end)
    assert.equal(200, (curl("server", "/healthz")))
  end)

  it("asks callers for certificates where it is told to", function()
    serve('client_ca = "other.crt"').start()
    local status, _, code = curl("server", "/healthz")
    assert.equal(0, status)
    assert.are_not.equal(0, code)
    local shown = { "--cert", it_runs.path .. "/other.crt", "--key", it_runs.path .. "/other.key" }
    assert.equal(200, (curl("server", "/healthz", table.unpack(shown))))
    shown = { "--cert", it_runs.path .. "/server.crt", "--key", it_runs.path .. "/server.key" }
    assert.equal(0, (curl("server", "/healthz", table.unpack(shown))))
    it_runs.stop()
    it_runs.remove()
    serve('client_ca = "other.crt", client = "optional"').start()
    assert.equal(200, (curl("server", "/healthz")))
  end)

  -- Asks over and over on kept connections until it is told to stop; then says what came of it.
  local traffic = [[
    const https = require("node:https"), fs = require("node:fs");
    const agent = new https.Agent({ keepAlive: true, maxSockets: 4, rejectUnauthorized: false });
    const sockets = new Set(), seen = { ok: 0, failed: [] };
    let running = 4;
    process.on("SIGTERM", () => { running = 0; });
    const ask = () => {
      if (running === 0) return finish();
      const request = https.get(process.argv[1] + "/healthz", { agent }, (answer) => {
        sockets.add(answer.socket);
        answer.resume().on("end", () => {
          if (answer.statusCode === 200) seen.ok++; else seen.failed.push(answer.statusCode);
          ask();
        });
      });
      request.on("error", (error) => { seen.failed.push(error.message); ask(); });
    };
    let done = 0;
    const finish = () => {
      if (++done < 4) return;
      console.log(JSON.stringify({ ok: seen.ok, failed: seen.failed.slice(0, 5), sockets: sockets.size }));
      agent.destroy();
    };
    for (let i = 0; i < 4; i++) ask();
    console.log("started");
  ]]

  it("takes a new certificate under load without dropping a connection, and refuses half of one", function()
    serve().start()
    local asking = process.start({ command = "node", args = { "-e", traffic, it_runs.url } })
    loop.await("traffic", function() return asking.out[1] end)
    for round = 1, 3 do
      local name = "round" .. round
      local lines = #it_runs.process.err
      certificate(it_runs, name)
      copy(it_runs, name .. ".crt", "server.crt") -- half of the pair
      it_runs.process.kill("sighup")
      loop.await("the refusal", function()
        return log_line("the old certificate serves on: the key in server.key does not belong", lines)
      end)
      assert.equal(0, (curl(name, "/healthz")))
      copy(it_runs, name .. ".key", "server.key")
      if round > 1 then it_runs.process.kill("sighup") end -- the first is found without being asked
      loop.await("the new certificate to serve", function() return curl(name, "/healthz") == 200 end)
    end
    asking.kill("sigterm")
    asking.wait()
    local told = json.decode(asking.out[2])
    assert.same({}, told.failed)
    assert.is_true(told.ok > 100, told.ok .. " answers")
    assert.equal(4, told.sockets)
  end)

  it("says before it starts what is wrong with the files", function()
    serve()
    local function refused(words)
      local checked = it_runs.cli("check", "netmove.lua")
      assert.equal(1, checked.code)
      assert.matches(words, checked.out .. checked.err)
      local served = it_runs.cli("serve")
      assert.equal(3, served.code)
      assert.matches(words, served.err)
    end
    assert.equal(0, it_runs.cli("check", "netmove.lua").code)
    copy(it_runs, "other.key", "server.key")
    refused("public.tls: the key in server.key does not belong to the certificate in server.crt")
    os.remove(it_runs.path .. "/server.key")
    refused("public.tls: cannot read server.key: No such file or directory")
    it_runs.write("server.key", "")
    refused("public.tls: server.key has no whole private key")
  end)

  describe("left to a proxy", function()
    local function own_address()
      for _, interface in pairs(uv.interface_addresses()) do
        for _, one in ipairs(interface) do
          if not one.internal and one.family == "inet" then return one.ip end
        end
      end
    end

    it("is refused to who is not that proxy", function()
      local ip = own_address()
      if not ip then
        pending("this machine has no address but loopback")
        return
      end
      local url = 'url = "https://connector.example.com"'
      for network, status in pairs({ ["203.0.113.0/24"] = 403, [ip .. "/32"] = 200 }) do
        it_runs = daemon.folder({ public = url .. ', behind = { "' .. network .. '" }' })
        it_runs.listen = "0.0.0.0:0"
        it_runs.start()
        local port = it_runs.listen:match(":(%d+)$")
        local answer = http.request({ url = "http://" .. ip .. ":" .. port .. "/healthz" })
        assert.equal(status, answer.status, network)
        if status == 403 then assert.equal("https_required", answer.json().error.code) end
        assert.equal(200, http.request({ url = "http://127.0.0.1:" .. port .. "/healthz" }).status)
        it_runs.stop()
        it_runs.remove()
      end
      it_runs = nil
    end)
  end)
end)
