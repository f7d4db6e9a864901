--- The file that `netmove init TENANT` writes: small, whole, and commented, so that its
-- author changes what stands there instead of starting from nothing.

local starter = {}

local find, gsub = string.find, string.gsub

local TEXT = [=[
--- @TENANT@: what Optimove may have us send, and what we tell Optimove.
--
-- Save this file and a moment later the next event follows it.  A file with a mistake never
-- goes live: the one before it goes on serving, and you are told what is wrong.
--
--   netmove check rules/@TENANT@.lua
--
-- Numbers are Optimove's, names are yours.  The manual is rules/README.md.

local messages = {
  -- A message has content of its own: {name} is the customer's, or what stands after the bar ...
  welcome = push {
    title = "Welcome, {first_name|friend}",
    body = "Good to see you.",
    expires_in = hours(6),
  },

  -- ... or names a definition of Netmera's, with the values that fill it in.
  order_shipped = sms {
    notification_key = "108",
    params = { order = "{order_no|your order}" },
    message_type = "N",
  },
}

-- Nobody is written to at night: what comes then waits for the morning.
local quiet = quiet_between("22:00", "09:00")

return tenant {
  name = "@TENANT@",
  time_zone = "Europe/Istanbul",
  messages = messages,

  -- Optimove's channel ids, and what each is.
  channels = { [459] = "push", [481] = "sms" },

  -- Optimove's template ids, and the message that each stands for.
  templates = {
    [1201] = "welcome",
    [1202] = "order_shipped",
  },

  -- What to do, by Optimove's event type: a step, or a list of steps; the first to answer decides.
  events = {
    [11] = { quiet, send_template },                      -- one customer
    [13] = { quiet, for_each_recipient(send_template) },  -- a whole campaign
    [4] = cancel_campaign,                                -- whatever is not sent yet
  },

  -- What to tell Optimove when something happens.  Every key but CustomerID is a RealFieldName.
  hooks = {
    PURCHASE = update_customer {
      CustomerID = from("extId"),
      LAST_PURCHASE_DATE = from("time"):as("date"),
      LAST_PURCHASE_TOTAL = from("attributes.total"):as("number"),
      FAVOURITE_STORE = from("attributes.store"):default("online"),
    },
  },

  -- Events, and what must come of them.  Run on every load: a file that breaks its own examples
  -- never goes live.  Only the keys named in `gives` are compared.
  examples = {
    { given = { EventTypeID = 11, CampaignID = 7, ChannelID = 459, TemplateID = 1201,
                CustomerID = "42", attributes = { first_name = "Ada" } },
      gives = { effect = "send", message = "welcome", to = "42",
                content = { title = "Welcome, Ada" } } },

    { at = "23:30",
      given = { EventTypeID = 11, CampaignID = 7, ChannelID = 459, TemplateID = 1201,
                CustomerID = "42" },
      gives = { effect = "delay", until_time = "09:00" } },

    { given = { EventTypeID = 11, CampaignID = 7, ChannelID = 459, TemplateID = 9999,
                CustomerID = "42" },
      gives = hold("template 9999 is not mapped") },

    { given = { EventTypeID = 13, CampaignID = 7, ChannelID = 481 },
      gives = { effect = "expand", campaign = "7", channel_id = 481 } },

    { given = { EventTypeID = 4, CampaignID = 7 },
      gives = { effect = "cancel", campaign = "7" } },

    { given = { name = "PURCHASE", extId = "42", time = "2024-05-01 10:11:12",
                attributes = { total = 120.5 } },
      gives = { effect = "update", customer = "42",
                attributes = { LAST_PURCHASE_DATE = "2024-05-01", LAST_PURCHASE_TOTAL = 120.5,
                               FAVOURITE_STORE = "online" } } },
  },
}
]=]

--- The text of a new rules file.
---@param tenant_name string  letters, digits, "_" and "-"
---@return string? text
---@return string? message
function starter.text(tenant_name)
  if type(tenant_name) ~= "string" or not find(tenant_name, "^%w[%w_-]*$") then
    return nil, 'expected a name of letters, digits, "_" and "-"'
  end
  return (gsub(TEXT, "@TENANT@", tenant_name))
end

return starter
