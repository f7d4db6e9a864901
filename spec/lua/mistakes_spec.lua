-- Every mistake of spec/fixtures/rules/mistakes.txt gives exactly the lines written there.

package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local support = require "support"

local function read_mistakes()
  local list = {}
  for line in support.read("spec/fixtures/rules/mistakes.txt"):gmatch("[^\n]+") do
    if line:sub(1, 2) == "  " then
      table.insert(list[#list].lines, line:sub(3))
    elseif line:sub(1, 1) ~= "#" then
      list[#list + 1] = { inside = line, lines = {} }
    end
  end
  return list
end

describe("a mistake", function()
  for _, mistake in ipairs(read_mistakes()) do
    it("is named: " .. mistake.inside, function()
      local inside = mistake.inside
      if not inside:find("^name =") then inside = 'name = "t", ' .. inside end
      local rules, lines = support.load("return tenant { " .. inside .. " }")
      assert.is_nil(rules)
      assert.same(mistake.lines, lines)
    end)
  end

  it("does not hide the others", function()
    local _, lines = support.load([[
local messages = {
  cart = psuh { body = "x" },
  order = sms { txt = "x" },
}
local function later(event) return hodl("x") end
total = 1
return tenant {
  name = "t",
  time_zone = "Europe/Instanbul",
  messages = messages,
  tempaltes = {},
  templates = { [1201] = "cart", [1202] = "ordre", ["1203"] = "order" },
  channels = { [15] = "pusch" },
  events = { [11] = {}, [13] = for_each_recipient(send_template()) },
  hooks = { PURCHASE = update_customer { NAME = from("x"):as("nubmer") } },
  examples = { { given = {}, gives = { effect = "sent" } } },
}
]])
    assert.same({
      't.lua:2: unknown word "psuh" (did you mean "push"?)',
      't.lua:3: messages.order: sms: unknown key "txt" (did you mean "text"?)',
      't.lua:5: unknown word "hodl" (did you mean "hold"?)',
      't.lua:6: setting the global "total": write local total',
      "t.lua:14: send_template is a step: write it without ()",
      't.lua:15: unknown conversion "nubmer" (did you mean "number"?)',
      "t.lua:15: update_customer: no CustomerID",
      't.lua: tenant: unknown key "tempaltes" (did you mean "templates"?)',
      't.lua: time_zone: unknown time zone "Europe/Instanbul" (did you mean "Europe/Istanbul"?)',
      't.lua: channels[15]: unknown kind of channel "pusch" (did you mean "push"?)',
      't.lua: templates[1202]: no message named "ordre" (did you mean "order"?)',
      't.lua: templates["1203"]: a template id is an integer, got "1203" (write [1203])',
      "t.lua: events[11]: no step",
      "t.lua: example 1: given: neither EventTypeID nor name: what event is it?",
      't.lua: example 1: gives: unknown effect "sent" (did you mean "send"?)',
    }, lines)
  end)

  it("does not hide eighty others of as many kinds", function()
    local _, lines = support.load(support.read("spec/fixtures/rules/broken/fifty.lua"), "fifty.lua")
    assert.same(support.read("spec/fixtures/rules/broken/fifty.txt"), table.concat(lines, "\n") .. "\n")
    assert.is_true(#lines >= 80)
  end)

  it("is told without a traceback, and with what may help, wherever it stands", function()
    for _, mistake in ipairs(read_mistakes()) do
      for _, line in ipairs(mistake.lines) do
        assert.matches("^t.lua:", line)
        assert.not_matches("traceback", line)
        assert.not_matches("netmove/", line, 1, true)
      end
    end
  end)

  it("comes in the same order each time", function()
    local source = support.read("spec/fixtures/rules/style_sample.lua")
      :gsub("1201", "'x'"):gsub("title", "titel"):gsub("from%(", "form(")
    local _, first = support.load(source)
    for _ = 1, 5 do assert.same(first, select(2, support.load(source))) end
  end)
end)

describe("a file", function()
  local files = {
    { "", "t.lua: the file returns nothing, expected return tenant { ... }" },
    { "return 7", "t.lua: the file returns 7, expected return tenant { ... }" },
    { "tenant { name = 't' }", "t.lua: the file returns nothing, expected return tenant { ... }" },
    { "return tenant(7)", "t.lua: tenant: expected a table, as in tenant { }, got 7" },
    { "return tenant {", "t.lua:1: unexpected symbol near <eof>" },
    { "local a\nlocal b = = 1", "t.lua:2: unexpected symbol near '='" },
    { "return tenant { events = { 11: send_template } }", "t.lua:1: '}' expected near ':' "
      .. "(in a table write name = value, [11] = value)" },
    { "return tenant { events = { 11 = send_template } }", "t.lua:1: '}' expected near '=' "
      .. '(a key that is no name stands in brackets: [11] = value, ["two words"] = value)' },
    { "return tenant {\n  name = 't'\n  messages = {},\n}", "t.lua:3: '}' expected (to close '{' at line 1) "
      .. "near 'messages' (is a comma missing before it?)" },
    { "local x = 1 if x != 2 then end", "t.lua:1: 'then' expected near '!' "
      .. "(not equal is written ~=, and not is written not)" },
    { "local x = a && b", 't.lua:1: unexpected symbol near \'&\' (and is written "and")' },
    { "local x = a || b", 't.lua:1: unexpected symbol near \'|\' (or is written "or")' },
    { "local x = 1 x += 1", "t.lua:1: syntax error near '+' (write x = x + 1)" },
    { "// ours\nreturn tenant {}", "t.lua:1: unexpected symbol near '//' (a comment begins with --)" },
    { "/* ours */", "t.lua:1: unexpected symbol near '/' (a comment begins with --)" },
    { "# ours", "t.lua:1: unexpected symbol near '#' (a comment begins with --)" },
    { "local f = function(event) { return 1 }", "t.lua:1: unexpected symbol near '{' "
      .. "(the body of a function stands between its ) and end, without braces)" },
    { "local x = a ? b", "t.lua:1: unexpected symbol near '?' "
      .. '(write condition and "this" or "that")' },
    { "return tenant { name = “acme” }", "t.lua:1: unexpected symbol near '<\\226>' "
      .. "(typographic quotes: write \"\" or '')" },
    { "return tenant { name = 'acme }", "t.lua:1: unfinished string near <eof> "
      .. "(a text ends with its quote, on its line)" },
    { "return { name = 't' }", "t.lua: the file returns a table, expected return tenant { ... }" },
    { "return tenant", "t.lua: the file returns a function, expected return tenant { ... }" },
    { "return push { body = 'x' }", "t.lua: the file returns a message, expected return tenant { ... }" },
    { "local x = nil + 1", "t.lua:1: attempt to perform arithmetic on a nil value" },
    { "error({})", "t.lua: an error that is a table, not text" },
    { "for x in nosuch() do end", 't.lua:1: unknown word "nosuch"' },
    { "\27Lua", "t.lua: attempt to load a binary chunk (mode is 't')" },
  }
  for _, file in ipairs(files) do
    it("is refused: " .. file[1]:gsub("%c", "?"), function()
      local rules, lines = support.load(file[1])
      assert.is_nil(rules)
      assert.same({ file[2] }, lines)
    end)
  end

  it("may begin with a byte order mark", function()
    assert.is_table((support.load("\xEF\xBB\xBFreturn tenant { name = 't' }")))
  end)

  it("keeps its whole name in messages, however long", function()
    local name = "rules/" .. ("long/"):rep(30) .. "acme.lua"
    local _, lines = support.load("local x\nx = y", name)
    assert.equal(name .. ':2: unknown word "y"', lines[1])
    _, lines = support.load("local x\nx = nil + 1", name)
    assert.equal(name .. ":2: attempt to perform arithmetic on a nil value", lines[1])
  end)
end)
