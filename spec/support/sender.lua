--- Senders who post single sends (11) over kept connections, whatever becomes of the daemon, and who note what each
--- was told.

local json = require("spec.support.json")
local http = require("spec.support.http")
local uv = require("luv")

local sender = {}

--- `acknowledged` gets id to customer for each 2xx.  Customers are prefix-serial-number, or, with `persons`, one
--- of so many whose events are numbered (first_name) and posted one after the other.  With `pause_ms` a connection
--- rests so long between two; `sent_at` gets customer to the moment of posting, in milliseconds.
---@param options { acknowledged: table, prefix?: string, app_key?: string, key?: string, persons?: integer,
---  pause_ms?: integer, sent_at?: table }
function sender.new(options)
  local self = { sent = 0, statuses = {}, retry_after = {}, open = 0, is_running = false, numbers = {},
                 acknowledged = 0, stamps = 0 }
  local prefix = options.prefix or "K"

  local function event()
    self.sent = self.sent + 1
    local customer, number = prefix .. self.serial .. "-" .. self.sent, self.sent
    return customer, { EventTypeID = 11, CampaignID = "k", ChannelID = 459, TemplateID = 1201, CustomerID = customer,
                       TimeStamp = "2026-11-23 10:00:00", first_name = tostring(number) }
  end

  --- The next of a person's events: another TimeStamp makes it another event.
  local function event_of(person)
    local customer = prefix .. person
    self.sent = self.sent + 1
    self.numbers[customer] = (self.numbers[customer] or 0) + 1
    local number = self.numbers[customer]
    return customer, { EventTypeID = 11, CampaignID = "k", ChannelID = 459, TemplateID = 1201, CustomerID = customer,
                       TimeStamp = ("2026-11-%02d %02d:%02d:00"):format(1 + number // 1440 % 28, number // 60 % 24,
                                                                         number % 60),
                       first_name = tostring(number) }
  end

  local function bytes_of(body)
    local text = json.encode(body)
    return "POST /optimove/event/" .. (options.app_key or "acme-app-key") .. " HTTP/1.1\r\nHost: x\r\n" ..
           "X-netmera-api-key: " .. (options.key or "rest-key") .. "\r\nContent-Type: application/json\r\n" ..
           "Content-Length: " .. #text .. "\r\n\r\n" .. text
  end

  --- One connection; its person's events come from it alone.
  local function connect(host, port, person)
    local tcp = uv.new_tcp()
    local received, customer = "", nil
    self.open = self.open + 1

    local function finish()
      if tcp:is_closing() then return end
      tcp:close()
      self.open = self.open - 1
    end

    local function post()
      local body
      if person then customer, body = event_of(person) else customer, body = event() end
      if options.sent_at then
        local seconds, micros = uv.gettimeofday()
        options.sent_at[customer] = seconds * 1000 + micros / 1000
      end
      tcp:write(bytes_of(body))
    end

    local function go_on()
      if not options.pause_ms then return post() end
      local rest = uv.new_timer()
      rest:start(options.pause_ms, 0, function()
        rest:close()
        if not self.is_running then finish() elseif not tcp:is_closing() then post() end
      end)
    end

    local function take(answer)
      self.statuses[answer.status] = (self.statuses[answer.status] or 0) + 1
      if answer.status == 200 then
        self.acknowledged = self.acknowledged + 1
        options.acknowledged[answer.json().id] = customer
      else
        self.last_refusal = answer
      end
    end

    tcp:connect(host, port, function(err)
      if err then return finish() end
      post()
      tcp:read_start(function(_, bytes)
        if not bytes then return finish() end
        received = received .. bytes
        local answer, next_at = http.parse(received)
        if not answer then return end
        received = received:sub(next_at)
        take(answer)
        if self.is_running and answer.headers.connection ~= "close" then go_on() else finish() end
      end)
    end)
  end

  --- Opens `count` (8) connections to a daemon that has just started; they end with it, or at stop().
  function self.start(listen, count)
    local host, port = listen:match("^([^:]+):(%d+)$")
    self.is_running = true
    self.stamps = self.stamps + 1
    self.serial = tostring(self.stamps)
    for i = 1, options.persons or count or 8 do connect(host, tonumber(port), options.persons and i) end
  end

  --- No more requests; wait for open == 0 to have every answer.
  function self.stop() self.is_running = false end

  return self
end

return sender
