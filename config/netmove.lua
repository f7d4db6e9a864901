-- The daemon's settings.  Everything here may be left out: what it shows is what holds then,
-- and it is enough for a laptop.  Paths are relative to the folder that netmove is started in.

return {
  public = {
    listen = "127.0.0.1:8080",

    -- The address that Optimove and providers call; http://<listen> where nothing is said.
    -- url = "https://connector.example.com",

    -- PEM files; the certificate's chain behind it.  They are read again when they change and on
    -- `netmove reload`; a pair that does not fit is refused and the old one serves on.
    -- tls = {
    --   certificate = "/etc/netmove/tls.crt",
    --   key = "/etc/netmove/tls.key",     -- without a passphrase, readable by whom netmove runs as
    --   client_ca = "/etc/netmove/callers.crt",  -- callers must show a certificate of these
    --   client = "required",              -- or "optional": may show one
    -- },

    -- Proxies that end TLS in front of us: plain HTTP is taken from these networks, and their
    -- X-Forwarded-For believed.  Without it and without tls we listen on loopback only.
    -- behind = { "10.0.0.0/8" },

    -- limits = {
    --   connections = 16384,  -- in all
    --   per_address = 0,      -- 0: as many as there are; a /64 of IPv6 is one address
    --   requests = 4096,      -- taken and not yet answered; above it 503 with Retry-After
    --   handshake = 10,       -- seconds, as all below
    --   head = 30,
    --   body = 60,            -- this and the next: again while 64 KiB move in it
    --   write = 30,
    --   idle = 75,
    -- },
  },

  admin = {
    listen = "127.0.0.1:9090",  -- false: only the socket.  Asks for tokens (netmove token create)
    socket = "var/netmove.sock",  -- asks for none: who may write to the file is an admin
    -- Without it the address must be a loopback one: tokens are not sent in the clear.
    -- tls = { certificate = "/etc/netmove/admin.crt", key = "/etc/netmove/admin.key" },
  },

  store = "sqlite:var/netmove.db",
  rules = "rules",

  -- Encrypts secrets at rest.  Without it one is made beside the store, readable by its owner only.
  -- master_key = secret "file:/etc/netmove/master.key",  -- or "env:NAME"

  -- Private networks that tenants' addresses may name; none where nothing is said.
  -- outbound = { allow = { "127.0.0.0/8" } },

  -- log = { level = "info" },  -- debug, info, warn, error; SIGHUP takes a new one while it runs

  -- A stop waits for answers under way, but no longer than this.
  -- stop_max = 30,  -- seconds

  -- Who to be after a start as root: the addresses are bound, then root is given up for good.
  -- user = "netmove",

  -- How long events with their outcomes, dead letters, and the log of who changed what, are kept.
  -- retention = { events_days = 30, dead_days = 90, audit_days = 365 },
}
