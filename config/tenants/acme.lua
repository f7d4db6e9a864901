--- Acme as code: who it is, its account at Optimove, and what delivers its messages.
--
-- Apply it with `netmove tenant apply config/tenants/acme.lua`; add --dry-run to see first what would
-- change.  What its events mean is another file: rules/acme.lua.
--
-- secret "env:NAME" takes a value from the environment of the command that reads this file, and
-- secret "file:PATH" from a file.  So nothing secret stands here; the daemon keeps secrets encrypted.

return {
  -- The name is used in commands, files and logs; the appKey stands in public URLs and is no secret.
  -- Whoever posts to us shows restApiKey in the header X-netmera-api-key.
  name = "acme", appKey = "acme-app-key", restApiKey = secret "env:ACME_REST_KEY",

  optimove = {
    baseUrl = "https://api5.optimove.net", apiKey = secret "env:ACME_OPTIMOVE_KEY", status = "ACTIVE",
    -- Optimove's channel ids, and what kind of channel each is.  Listeners are registered for each.
    channels = { { id = 459, name = "Push", kind = "push" }, { id = 481, name = "SMS", kind = "sms" } },
    -- What is asked for with a campaign's recipients: EMAIL arrives as event.attributes.email.
    params   = { { realFieldName = "EMAIL", name = "email" }, { realFieldName = "RFM_SCORE", name = "rfm_score" } },
    -- timeZone = "Europe/Istanbul",  -- reads Optimove's times; UTC without it
    -- repeat = "allow" lifts the hold on a second run of a campaign within 12 hours; it is a word of
    -- Lua's, so it is written ["repeat"] = "allow".
    -- catchUp = "run" also sends campaigns whose notice never came, once it is catchUpAfter = 600
    -- seconds late; without it they are held for a person ("off": nobody asks).
    -- What became of a run is told to Optimove once, metricsAfter = 3600 seconds after its end, as
    -- campaign metrics; metrics = "off" keeps it to ourselves. unsubscribeMode = 2 (Optimove's
    -- CommunicationMode; ask them which) also tells it who wants no more messages on a channel.
  },

  -- Each may also say rate (messages a second), unknown = "hold" (do not send again where the answer
  -- was lost), order = "recipient" (never two messages of one person at a time), concurrency (sends
  -- at a time, at most) and retry = { first_s = 2, most_s = 900, give_up_s = 86400 }.
  providers = {
    netmera = { adapter = "netmera", baseUrl = "https://restapi.netmera.com", apiKey = secret "env:ACME_NETMERA_KEY" },
  },
  channels = { push = { "netmera" }, sms = { "netmera" }, email = { "netmera" } },   -- first healthy one wins

  -- A run of more recipients, an hour with more messages, or a run five times as large or as small as
  -- the last of its template waits for a person (`netmove run release`).  Off until set.
  -- guard = { run = 500000, hour = 1000000, differs = 5 },

  -- Which of Netmera's events become attribute updates at Optimove; each needs a rule of its name in
  -- rules/acme.lua.  event = "MESSAGE_LOG" is there too.
  hooks = {
    { type = "OPTIMOVE", event = "PURCHASE", status = "ACTIVE" },
    { type = "OPTIMOVE", event = "PROFILE_ATTRIBUTE_CHANGE", status = "ACTIVE" },
  },
}
