-- luacheck: a misspelt word fails the lint before it fails the load.
std = "lua54"
max_line_length = 100
exclude_files = { "build*/", "spec/fixtures/rules/broken/" }

files["spec"] = { std = "lua54+busted", max_line_length = 120 }
files["lua/meta"] = { -- definitions for editors: declares the words of rules, and does nothing
  ignore = { "111", "112", "212", "241" }, max_line_length = 130,
}
files["examples"] = { std = "lua54" }

-- What rules may use: `lua/netmove/words.lua`.  A spec compares the two.
local rules = {
  std = "none",
  read_globals = {
    -- messages, steps, effects, values
    "push", "sms", "email", "tenant",
    "send_template", "for_each_recipient", "cancel_campaign", "quiet_between", "update_customer",
    "track_event", "when", "split", "all", "send", "hold", "drop", "use",
    "from", "renamed", "minutes", "hours", "days", "one_of", "starts_with", "matches",
    -- Lua's own
    "ipairs", "pairs", "next", "select", "type", "tostring", "tonumber", "error", "assert",
    math = { fields = {
      "abs", "ceil", "floor", "fmod", "modf", "huge", "pi", "sqrt", "exp", "log", "sin", "cos",
      "tan", "asin", "acos", "atan", "deg", "rad", "max", "min", "tointeger", "type", "ult",
      "maxinteger", "mininteger",
    } },
    string = { fields = {
      "lower", "upper", "sub", "len", "byte", "char", "reverse", "format", "rep",
    } },
    table = { fields = { "insert", "remove", "concat", "sort", "unpack" } },
    json = { fields = { "decode", "encode" } },
  },
}

files["rules"] = rules
files["spec/fixtures/rules"] = {
  std = "none", read_globals = rules.read_globals, max_line_length = 110, -- samples as printed
}
