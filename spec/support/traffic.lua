--- Callers who post campaign events without a pause, on connections of their own or kept open, and who know what
--- became of each request.

local json = require("spec.support.json")
local http = require("spec.support.http")
local uv = require("luv")

local traffic = {}

local function head(body, closes)
  return "POST /optimove/event/acme-app-key HTTP/1.1\r\nHost: x\r\nX-netmera-api-key: rest-key\r\n" ..
         "Content-Type: application/json\r\n" .. (closes and "Connection: close\r\n" or "") ..
         "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

--- Starts `count` callers of each kind against "127.0.0.1:port".  They go on until stop(); what is counted:
--- acknowledged (customer to id), answered, refused (connections), lost (requests without an answer, when it
--- is not `may_be_refused` any more).
---@param options { listen: string, count?: integer }
function traffic.start(options)
  local self = { acknowledged = {}, sent = 0, answered = 0, refused = 0, lost = {}, others = {}, open = 0,
                 is_running = true }
  local host, port = options.listen:match("^([^:]+):(%d+)$")
  local call

  --- One connection; `keeps` it for more requests.
  function call(keeps)
    local tcp = uv.new_tcp()
    local received, customer = "", nil
    self.open = self.open + 1

    local function post()
      self.sent = self.sent + 1
      customer = "T" .. self.sent
      received = ""
      tcp:write(head(json.encode({ EventTypeID = 11, CampaignID = "t", ChannelID = 459, TemplateID = 1201,
                                   CustomerID = customer, TimeStamp = "2026-11-23 10:00:00" }), not keeps))
    end

    local function again()
      if not tcp:is_closing() then tcp:close() end
      self.open = self.open - 1
      if self.is_running then call(keeps) end
    end

    local function take(answer)
      self.answered = self.answered + 1
      if answer.status == 200 then self.acknowledged[customer] = answer.json().id
      else self.others[#self.others + 1] = answer.status .. " " .. answer.body end
      customer = nil
    end

    tcp:connect(host, tonumber(port), function(err)
      if err then
        self.refused = self.refused + 1
        self.is_running = self.is_running and not options.ends_when_refused
        return again()
      end
      post()
      tcp:read_start(function(_, bytes)
        if not bytes then
          if customer then self.lost[#self.lost + 1] = customer end
          return again()
        end
        received = received .. bytes
        local answer = http.parse(received)
        if not answer then return end
        take(answer)
        local is_last = answer.headers.connection == "close"
        if not self.is_running then
          tcp:close()
          self.open = self.open - 1
        elseif keeps and not is_last then
          post()
        else
          again()
        end
      end)
    end)
  end

  --- No more requests; wait for open == 0 to have every answer.
  function self.stop() self.is_running = false end

  for _ = 1, options.count or 4 do
    call(true)
    call(false)
  end
  return self
end

return traffic
