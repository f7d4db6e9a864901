--- A plain HTTP/1.1 caller over TCP or a unix socket, and a raw one that sends any bytes.

local json = require("spec.support.json")
local loop = require("spec.support.loop")
local uv = require("luv")

local http = {}

local function split_url(url)
  local socket, path = url:match("^unix:([^|]+)|(/.*)$")
  if socket then return { socket = socket }, path end
  local host, port, rest = url:match("^http://([^:/]+):(%d+)(.*)$")
  assert(host, "no URL of ours: " .. url)
  return { host = host, port = tonumber(port) }, rest == "" and "/" or rest
end

--- Opens a connection: an object with write(bytes), received, is_closed, close().
function http.connect(address)
  local connection = { received = "", is_closed = false, is_open = false }
  local handle = address.socket and uv.new_pipe(false) or uv.new_tcp()
  local function on_connected(err)
    if err then
      connection.error, connection.is_closed = err, true
      if not handle:is_closing() then handle:close() end
      return
    end
    connection.is_open = true
    handle:read_start(function(read_err, bytes)
      if bytes then
        connection.received = connection.received .. bytes
      else
        connection.error, connection.is_closed = read_err, true
        if not handle:is_closing() then handle:close() end
      end
    end)
  end
  if address.from then assert(handle:bind(address.from, 0)) end -- 127.0.0.0/8 is all ours
  if address.socket then handle:connect(address.socket, on_connected)
  else handle:connect(address.host, address.port, on_connected) end
  function connection.write(bytes) if not handle:is_closing() then handle:write(bytes) end end
  function connection.stop_reading() handle:read_stop() end
  function connection.close()
    if not handle:is_closing() then handle:close() end
    connection.is_closed = true
  end
  loop.await("a connection", function() return connection.is_open or connection.is_closed end)
  return connection
end

local function unchunk(bytes)
  local out, at = {}, 1
  while true do
    local line_end = bytes:find("\r\n", at, true)
    if not line_end then return nil end
    local size = tonumber(bytes:sub(at, line_end - 1):match("^%x+"), 16)
    if #bytes < line_end + 1 + size + 2 then return nil end
    if size == 0 then return table.concat(out), line_end + 4 end
    out[#out + 1] = bytes:sub(line_end + 2, line_end + 1 + size)
    at = line_end + 2 + size + 2
  end
end

--- The first whole answer in `bytes`, and where the next begins; nil while it is not whole.
---@return table|nil answer { status, headers, body, json() }
function http.parse(bytes, is_closed, is_head)
  local head_end = bytes:find("\r\n\r\n", 1, true)
  if not head_end then return nil end
  local head = bytes:sub(1, head_end - 1)
  local answer = { status = tonumber(head:match("^HTTP/1%.%d (%d%d%d)")), headers = {}, head = head }
  for name, value in head:gmatch("\r\n([^:\r\n]+):[ \t]*([^\r\n]*)") do
    answer.headers[name:lower()] = value
  end
  if answer.status == 100 then return http.parse(bytes:sub(head_end + 4), is_closed, is_head) end
  local rest = bytes:sub(head_end + 4)
  local next_at
  local length = tonumber(answer.headers["content-length"])
  if is_head or answer.status == 204 or answer.status == 304 then
    answer.body, next_at = "", head_end + 4
  elseif answer.headers["transfer-encoding"] == "chunked" then
    answer.body, next_at = unchunk(rest)
    if not answer.body then return nil end
    next_at = head_end + 3 + next_at
  elseif length then
    if #rest < length then return nil end
    answer.body, next_at = rest:sub(1, length), head_end + 4 + length
  elseif is_closed then
    answer.body, next_at = rest, #bytes + 1
  else
    return nil
  end
  function answer.json() return json.decode(answer.body) end
  return answer, next_at
end

--- Sends bytes as they are and waits for `count` (1) answers.
function http.raw(url, bytes, count, timeout_ms)
  local address = split_url(url)
  local connection = http.connect(address)
  connection.write(bytes)
  local answers = {}
  loop.await("an answer", function()
    local left = connection.received
    answers = {}
    while true do
      local answer, next_at = http.parse(left, connection.is_closed)
      if not answer then break end
      answers[#answers + 1] = answer
      left = left:sub(next_at)
    end
    return #answers >= (count or 1) or connection.is_closed
  end, timeout_ms)
  return answers, connection
end

--- One request on a connection of its own.
---@param request { url: string, method?: string, headers?: table, body?: string|table, timeout_ms?: integer,
---  from?: string }
function http.request(request)
  local address, path = split_url(request.url)
  address.from = request.from
  local body = request.body
  local headers = { ["Host"] = address.host and (address.host .. ":" .. address.port) or "netmove",
                    ["Connection"] = "close" }
  if type(body) == "table" then
    body = json.encode(body)
    headers["Content-Type"] = "application/json"
  end
  for name, value in pairs(request.headers or {}) do headers[name] = value end
  if body then headers["Content-Length"] = tostring(#body) end
  local method = request.method or (body and "POST" or "GET")
  local lines = { method .. " " .. path .. " HTTP/1.1" }
  for name, value in pairs(headers) do if value then lines[#lines + 1] = name .. ": " .. value end end
  local connection = http.connect(address)
  if connection.error then return nil, connection.error end
  connection.write(table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or ""))
  local answer
  loop.await("the answer to " .. method .. " " .. path, function()
    answer = http.parse(connection.received, connection.is_closed, method == "HEAD")
    return answer or connection.is_closed
  end, request.timeout_ms)
  connection.close()
  if not answer then return nil, connection.error or "closed without an answer" end
  return answer
end

--- A JSON answer that must be a 2xx.
function http.json(request)
  local answer, why = http.request(request)
  if not answer then error(request.url .. ": " .. tostring(why), 2) end
  if answer.status < 200 or answer.status > 299 then
    error(request.url .. ": " .. answer.status .. " " .. answer.body, 2)
  end
  return json.decode(answer.body)
end

return http
