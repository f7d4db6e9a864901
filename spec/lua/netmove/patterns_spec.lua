package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local patterns = require "netmove.patterns"

local function matches(text, pattern)
  return patterns.match(text, assert(patterns.compile(pattern)))
end

describe("a pattern", function()
  for pattern, cases in pairs {
    [""] = { yes = { "" }, no = { "a" } },
    ["abc"] = { yes = { "abc" }, no = { "ab", "abcd", "ABC", "" } },
    ["*"] = { yes = { "", "a", "şğü" }, no = {} },
    ["a*"] = { yes = { "a", "ab", "aaa" }, no = { "", "ba" } },
    ["*a"] = { yes = { "a", "ba", "aba" }, no = { "", "ab" } },
    ["*ab*"] = { yes = { "ab", "xaby", "aab" }, no = { "a-b" } },
    ["a*b*c"] = { yes = { "abc", "a1b2c", "abcbc" }, no = { "acb", "ab" } },
    ["a**b"] = { yes = { "ab", "axb" }, no = { "a" } },
    ["?"] = { yes = { "a", "ş", "€", "😀" }, no = { "", "ab" } },
    ["?at"] = { yes = { "cat", "şat" }, no = { "at", "chat" } },
    ["34???"] = { yes = { "34123", "34abc" }, no = { "3412", "341234" } },
    ["*ç*"] = { yes = { "ç", "açb" }, no = { "c" } },
    ["[abc]"] = { yes = { "a", "c" }, no = { "d", "", "ab" } },
    ["[a-c0-2]x"] = { yes = { "bx", "1x" }, no = { "dx", "3x" } },
    ["[^0-9]"] = { yes = { "a", "ş" }, no = { "5", "" } },
    ["[ıiİI]stanbul"] = { yes = { "ıstanbul", "istanbul", "İstanbul" }, no = { "stanbul" } },
    ["[^ıi]"] = { yes = { "a", "I" }, no = { "ı", "i" } },
    ["[a-]"] = { yes = { "a", "-" }, no = { "b" } },
    ["[-a]"] = { yes = { "a", "-" }, no = { "b" } },
    ["[%]%d]"] = { yes = { "]", "7" }, no = { "a", "%" } },
    ["%d%d"] = { yes = { "42" }, no = { "4", "4a" } },
    ["%a%l%u%w%s"] = { yes = { "ZzZ9 " }, no = { "9zZ9 ", "ZZZ9 " } },
    ["%d+"] = { yes = { "4", "42", "000" }, no = { "", "4a", "a4" } },
    ["[A-Z]+-%d+"] = { yes = { "AB-12", "A-1" }, no = { "-1", "A-", "AB12" } },
    ["%d+5"] = { yes = { "15", "555" }, no = { "5", "51" } },
    ["%d*"] = { yes = { "1", "1abc" }, no = { "a1" } },
    ["+90*"] = { yes = { "+90555" }, no = { "90555" } },
    ["a+"] = { yes = { "a+" }, no = { "a", "aa" } },
    ["%d+%+"] = { yes = { "12+" }, no = { "12" } },
    ["%d++"] = { yes = { "12+" }, no = { "12" } },
    ["100%%"] = { yes = { "100%" }, no = { "100" } },
    ["%*%?%["] = { yes = { "*?[" }, no = { "abc" } },
    ["a.c^$()"] = { yes = { "a.c^$()" }, no = { "abc" } },
    [("a"):rep(62)] = { yes = { ("a"):rep(62) }, no = { ("a"):rep(61), ("a"):rep(63) } },
    ["*" .. ("?"):rep(62) .. "*"] = { yes = { ("x"):rep(62), ("x"):rep(99) }, no = { ("x"):rep(61) } },
  } do
    for _, text in ipairs(cases.yes) do
      it(("%q covers %q"):format(pattern, text), function() assert.is_true(matches(text, pattern)) end)
    end
    for _, text in ipairs(cases.no) do
      it(("%q does not cover %q"):format(pattern, text), function()
        assert.is_false(matches(text, pattern))
      end)
    end
  end

  for pattern, wrong in pairs {
    ["[abc"] = 'a "[" without its "]" (a bracket itself is "%[")',
    ["["] = 'a "[" without its "]" (a bracket itself is "%[")',
    ["[a-"] = 'a "[" without its "]" (a bracket itself is "%[")',
    ["[]"] = 'an empty class [] (a bracket itself is "%]")',
    ["[^]"] = 'an empty class [] (a bracket itself is "%]")',
    ["[z-a]"] = 'the range "z-a" is the wrong way round',
    ["[ç-ş]"] = "a range such as [a-z] is of ASCII characters; write the others one by one",
    ["a%"] = 'a "%" at its end (a percent sign itself is "%%")',
    ["%x"] = '"%x" is no class (known: %a, %d, %l, %s, %u, %w)',
    ["[%D]"] = '"%D" is no class (known: %a, %d, %l, %s, %u, %w)',
    [("a"):rep(63)] = "longer than 62 characters beside its stars",
  } do
    it("is refused: " .. pattern:sub(1, 20), function()
      local compiled, message = patterns.compile(pattern)
      assert.is_nil(compiled)
      assert.equal(wrong, message)
    end)
  end

  it("takes the bytes of broken UTF-8 as they are", function()
    assert.is_true(matches("\xFF\x80\xC3", "???"))
    assert.is_true(matches("\xE2\x82a", "?a"))
    assert.is_true(matches("\xC3\xA7\x80\x80", "ç??"))
    assert.is_true(matches("\xC3", "*"))
  end)

  it("agrees with Lua's own where both say the same", function()
    local seed = 7
    local function random(n) seed = seed * 1103515245 + 12345 & 0x7fffffff return seed // 65536 % n + 1 end
    local parts = { { "a", "a" }, { "b", "b" }, { "*", ".*" }, { "?", "." }, { "[ab]", "[ab]" },
      { "[^a]", "[^a]" }, { "[ab]+", "[ab]+" }, { "[^b]+", "[^b]+" } }
    for _ = 1, 3000 do
      local ours, theirs, text = "", "^", ""
      for _ = 1, random(6) do
        local part = parts[random(#parts)]
        ours, theirs = ours .. part[1], theirs .. part[2]
      end
      for _ = 1, random(9) - 1 do text = text .. ("abc"):sub(random(3)):sub(1, 1) end
      local expected = text:find(theirs .. "$") ~= nil
      assert.equal(expected, matches(text, ours), ours .. " on " .. text)
    end
  end)

  it("takes one round a character, whatever the pattern", function()
    local rounds = 0
    local text = ("a"):rep(20000)
    local compiled = patterns.compile(("*a"):rep(30) .. "b")
    debug.sethook(function() rounds = rounds + 1 end, "", 1000)
    local found = patterns.match(text, compiled)
    debug.sethook()
    assert.is_false(found)
    assert.is_true(rounds < 20000 * 40 / 1000, rounds .. " thousand instructions")
  end)

  it("refuses texts without end", function()
    assert.same({ nil, "a text longer than 65536 bytes" },
      { patterns.match(("a"):rep(65537), patterns.compile("a*")) })
  end)
end)
