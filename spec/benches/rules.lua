--- An event through its rules against the same mapping by hand; and what a thousand tenants cost.

local measure = require("spec.benches.measure")

local EVENTS, TENANTS = "100000", "1000"

local function watched(key, program, args)
  return function(context)
    local look = measure.watch({})
    local words = {}
    for i, word in ipairs(args) do words[i] = word:gsub("^@", context.source .. "/") end
    local answer = measure.run(measure.test_core, program:gsub("^@", context.build .. "/"), words)
    local seen = look()
    local sample = { foreign = seen.foreign }
    if key then sample[key] = answer.us return sample end
    for name, value in pairs(answer) do sample[name] = value end
    return sample
  end
end

return {
  name = "rules",
  about = "event 11 from its bytes to its effect, content as JSON, limits on, CPU time; " .. TENANTS ..
    " tenants with rules/acme.lua each, proven on its examples; their reload",
  sides = {
    { name = "netmove's rules", play = watched("us", "@bench_rules", { "run", "@rules/acme.lua", EVENTS }) },
    { name = "plain Lua + lua-cjson",
      play = watched("us", "lua5.4", { "@spec/benches/mapping.lua", "events", EVENTS }) },
    { name = "rules with a function", play = watched("us", "@bench_rules",
      { "own", "@spec/fixtures/rules/function.lua", EVENTS }) },
    { name = "plain Lua, the same", play = watched("us", "lua5.4", { "@spec/benches/mapping.lua", "own", EVENTS }) },
    { name = TENANTS .. " tenants", play = watched(nil, "@bench_rules", { "tenants", "@rules/acme.lua", TENANTS }) },
  },
  figures = {
    { key = "us", label = "us an event", format = "%.2f" },
    { key = "idle_kib", label = "KiB a tenant, no events", format = "%.0f" },
    { key = "tenant_kib", label = "KiB a tenant, serving", format = "%.0f" },
    { key = "load_s", label = "s to load all", format = "%.2f" },
    { key = "reload_s", label = "s to reload all", format = "%.2f" },
    { key = "longest_ms", label = "ms the slowest event" },
  },
  ratios = { { label = "an event through the rules to the mapping by hand", of = "netmove's rules",
               to = "plain Lua + lua-cjson", key = "us", aim = "at most 1.2" },
             { label = "the same with a function of the author's before it", of = "rules with a function",
               to = "plain Lua, the same", key = "us", aim = "at most 1.2" } },
}
