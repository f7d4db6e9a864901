--- Acme Retail: what Optimove may have us send, and what we tell Optimove.
--
-- Numbers are Optimove's, names are ours.  Netmera holds the texts; a message says which
-- definition carries it, and with what.  The manual is README.md beside this file.

local messages = {
  welcome = push {
    notification_key = "106",
    params = { name = "{first_name|friend}" },
  },
  cart_reminder = push {
    notification_key = "107",
    params = { name = "{first_name|friend}", items = "{cart.count|some}" },
    expires_in = hours(6),
  },
  order_shipped = sms {
    notification_key = "108",
    params = { order = "{order_no|your order}" },
    message_type = "N",
  },
}

-- Optimove sorts customers into segments by the size of what they buy.
local function basket_size(event)
  local total = from("attributes.total"):as("number"):default(0)(event)
  return total >= 500 and "large" or total >= 100 and "medium" or "small"
end

return tenant {
  name = "acme",
  time_zone = "Europe/Istanbul",
  messages = messages,

  channels = { [459] = "push", [481] = "sms" },

  templates = {
    [1201] = "welcome",
    [1202] = "cart_reminder",
    [1203] = "order_shipped",
  },

  events = {
    [11] = send_template,                        -- one customer
    [13] = for_each_recipient(send_template),    -- a whole campaign
    [4] = cancel_campaign,                       -- whatever is not sent yet
  },

  -- Every key but CustomerID is a RealFieldName.
  hooks = {
    PURCHASE = update_customer {
      CustomerID = from("extId"),
      LAST_PURCHASE_DATE = from("time"):as("date"),
      LAST_PURCHASE_TOTAL = from("attributes.total"):as("number"),
      FAVOURITE_STORE = from("attributes.store"):default("online"),
      BASKET_SIZE = basket_size,
    },

    PROFILE_ATTRIBUTE_CHANGE = update_customer {
      CustomerID = from("extId"),
      renamed("changes", { email = "EMAIL", rfm_score = "RFM_SCORE" }),
    },
  },

  -- The web shop's webhook, POST /hooks/APPKEY/in/shop, is a purchase like any other.
  inbound = {
    shop = {
      name = "PURCHASE",
      id = from("json.order"),
      extId = from("json.buyer.id"),
      attributes = { total = from("json.total"), store = "web" },
    },
  },

  -- Run on every load: a file that breaks its own examples never goes live.
  examples = {
    { given = { EventTypeID = 11, CampaignID = 7, ChannelID = 459, TemplateID = 1201,
                CustomerID = "42", attributes = { first_name = "Ada" } },
      gives = { effect = "send", channel = "push", to = "42", message = "welcome",
                content = { notification_key = "106", params = { name = "Ada" } } } },

    { given = { EventTypeID = 11, CampaignID = 7, ChannelID = 481, TemplateID = 1201,
                CustomerID = "42" },
      gives = hold("message welcome is a push, channel 481 is sms") },

    { given = { EventTypeID = 11, CampaignID = 7, ChannelID = 459, TemplateID = 9999,
                CustomerID = "42" },
      gives = hold("template 9999 is not mapped") },

    { given = { EventTypeID = 13, CampaignID = 7, ChannelID = 459 },
      gives = { effect = "expand", campaign = "7", channel_id = 459 } },

    { given = { EventTypeID = 4, CampaignID = 7 },
      gives = { effect = "cancel", campaign = "7" } },

    { given = { name = "PURCHASE", extId = "42", time = "2024-05-01T10:11:12Z",
                attributes = { total = 120.5, store = "Kadikoy" } },
      gives = { effect = "update", customer = "42",
                attributes = { LAST_PURCHASE_DATE = "2024-05-01", LAST_PURCHASE_TOTAL = 120.5,
                               FAVOURITE_STORE = "Kadikoy", BASKET_SIZE = "medium" } } },

    { given = { inbound = "shop", json = { order = "A-1", buyer = { id = 42 }, total = 99.5 } },
      gives = { name = "PURCHASE", extId = 42, attributes = { total = 99.5, store = "web" } } },

    { given = { name = "PROFILE_ATTRIBUTE_CHANGE", extId = "42", changes = { rfm_score = 8 } },
      gives = { effect = "update", customer = "42", attributes = { RFM_SCORE = 8 } } },
  },
}
