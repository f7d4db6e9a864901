--- Plays works in rounds, every side of a round in turn, and prints a table of medians.
-- Started by spec/bench.

local cjson = require("cjson")
local measure = require("spec.benches.measure")
local uv = require("luv")

local works = { "intake", "path", "campaign", "rules", "memory" }
local usage = [[
spec/bench [WORK ...] [--rounds N] [--seconds S] [--recipients N] [--spread] [--json]

Works: ]] .. table.concat(works, ", ") .. [[; without one, all of them.
  --rounds N       each side so many times, taking turns (3)
  --seconds S      each load for so long (5)
  --recipients N   of the campaign (200000)
  --spread         programs under test on all cores, not on one
  --json           the table as JSON on stdout, progress on stderr]]

local function give_up(code, text)
  io.stderr:write(text, "\n")
  os.exit(code)
end

local function read_options(words)
  local options = { rounds = 3, seconds = 5, recipients = 200000, works = {} }
  local at = 1
  while at <= #words do
    local word = words[at]
    local name = word:match("^%-%-(%a+)$")
    if name == "json" or name == "spread" then options[name] = true
    elseif name == "help" or word == "-h" then
      print(usage)
      os.exit(0)
    elseif name == "rounds" or name == "seconds" or name == "recipients" then
      at = at + 1
      options[name] = math.tointeger(tonumber(words[at]))
      if not options[name] or options[name] < 1 then
        give_up(2, "spec/bench: " .. word .. " wants a number, not " .. tostring(words[at]))
      end
    elseif table.concat(works, " "):find("%f[%w]" .. word .. "%f[%W]") and word:find("^%a+$") then
      options.works[#options.works + 1] = word
    else
      give_up(2, "spec/bench: unknown work or option " .. word .. "\n" .. usage)
    end
    at = at + 1
  end
  if #options.works == 0 then options.works = works end
  return options
end

local options = read_options(arg)
if options.spread then
  measure.test_core = "0-" .. measure.cores - 1
  uv.os_setenv("BENCH_CORE", measure.test_core)
end
local to = options.json and io.stderr or io.stdout

local function say(text)
  to:write(text, "\n")
  to:flush()
end

local context = {
  here = os.getenv("NETMOVE_SOURCE") .. "/spec/benches", source = os.getenv("NETMOVE_SOURCE"),
  peers = os.getenv("NETMOVE_SOURCE") .. "/build/peers",
  build = os.getenv("BENCH_BUILD"), options = options,
  folder = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/var/tmp") .. "/netmove-bench-XXXXXX")),
}

local function forget(path) os.execute("rm -rf '" .. path .. "'") end

--- A name for a file or a customer that no round had before.
local count = 0
function context.fresh(what)
  count = count + 1
  return what .. count
end

local function figure_text(figure, value)
  return value and (figure.format or "%.1f"):format(value) or "-"
end

--- Each side in turn, the other way round in every second round.
local function play(work)
  local samples = {}
  for _, side in ipairs(work.sides) do samples[side.name] = {} end
  for round = 1, options.rounds do
    for place = 1, #work.sides do
      local side = work.sides[round % 2 == 1 and place or #work.sides + 1 - place]
      if round == 1 or not side.is_once then
        local sample = side.play(context)
        table.insert(samples[side.name], sample)
        local said = {}
        for _, figure in ipairs(work.figures) do
          if sample[figure.key] then
            said[#said + 1] = figure.label .. " " .. figure_text(figure, sample[figure.key])
          end
        end
        say(("  round %d of %d  %-22s %s  (foreign CPU %.0f %%)"):format(
          round, options.rounds, side.name, table.concat(said, ", "), (sample.foreign or 0) * 100))
      end
    end
  end
  return samples
end

local function spread(figure, list)
  local values = {}
  for _, sample in ipairs(list) do values[#values + 1] = sample[figure.key] end
  if #values == 0 then return nil end
  return measure.median(values)
end

--- Rounds of both sides are pairs: the median of their ratios, not the ratio of medians.
local function ratio(rule, samples)
  local ratios = {}
  for i, ours in ipairs(samples[rule.of]) do
    local theirs = samples[rule.to][i]
    if theirs then ratios[#ratios + 1] = ours[rule.key] / theirs[rule.to_key or rule.key] end
  end
  return measure.median(ratios)
end

local function print_table(work, samples)
  local line = { ("%-24s"):format(work.name) }
  for _, figure in ipairs(work.figures) do line[#line + 1] = ("%26s"):format(figure.label) end
  say("")
  say(table.concat(line))
  local rows = {}
  for _, side in ipairs(work.sides) do
    line = { ("%-24s"):format(side.name) }
    local row = { side = side.name, figures = {} }
    for _, figure in ipairs(work.figures) do
      local middle, least, most = spread(figure, samples[side.name])
      local text = figure_text(figure, middle)
      if middle and #samples[side.name] > 1 then
        text = text .. (" [%s..%s]"):format(figure_text(figure, least), figure_text(figure, most))
      end
      line[#line + 1] = ("%26s"):format(text)
      if middle then row.figures[figure.key] = { median = middle, min = least, max = most } end
    end
    say(table.concat(line))
    rows[#rows + 1] = row
  end
  local ratios = {}
  for _, rule in ipairs(work.ratios or {}) do
    local middle, least, most = ratio(rule, samples)
    say(("  %s: %.2f [%.2f..%.2f]%s"):format(rule.label, middle, least, most, rule.aim and ", aim " .. rule.aim or ""))
    ratios[#ratios + 1] = { label = rule.label, median = middle, min = least, max = most, aim = rule.aim }
  end
  say("")
  return { work = work.name, rows = rows, ratios = ratios }
end

local function main()
  local all = {}
  say(("%d cores; under test on core %s, everything else on core %d; %d rounds"):format(
    measure.cores, measure.test_core, measure.other_core, options.rounds))
  if measure.cores < 2 then say("one core only: load and program share it, ratios mean little") end
  for _, name in ipairs(options.works) do
    local work = require("spec.benches." .. name)
    say(work.name .. ": " .. work.about)
    all[#all + 1] = print_table(work, play(work))
  end
  if options.json then print(cjson.encode(all)) end
end

local is_done, why = xpcall(main, function(err)
  return os.getenv("BENCH_TRACE") and debug.traceback(err) or err
end)
measure.end_all()
forget(context.folder)
if not is_done then give_up(1, "spec/bench: " .. tostring(why)) end
