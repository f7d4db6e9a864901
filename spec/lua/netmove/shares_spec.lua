package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local shares = require "netmove.shares"
local support = require "support"

local ctx, event = support.ctx, support.event

describe("the place of a person", function()
  -- The published test vectors of FNV-1a and of MurmurHash3's fmix64.
  for text, hash in pairs {
    [""] = 0xcbf29ce484222325, a = 0xaf63dc4c8601ec8c, foobar = 0x85944171f73967e8,
  } do
    it("rests on FNV-1a of " .. ("%q"):format(text), function()
      assert.equal(hash, shares.fnv1a(text))
    end)
  end

  it("is stirred as MurmurHash3 does", function()
    assert.equal(0, shares.stir(0))
    assert.equal(0xb456bcfc34c2cb2c, shares.stir(1))
    assert.equal(0x64b5720b4b825f21, shares.stir(-1))
  end)

  -- Never to be changed: people have been dealt into running tests by these.
  for _, case in ipairs {
    { "spring", "42", 147 }, { "spring", "43", 8219 }, { "autumn", "42", 3199 }, { "spring", "", 8137 },
    { "spring", "şükrü@örnek.com", 7362 }, { "", "42", 1395 }, { "a", "b", 6698 },
  } do
    it("of " .. case[2] .. " under " .. case[1] .. " is the same for ever", function()
      assert.equal(case[3], shares.place(shares.salted(case[1]), case[2]))
    end)
  end

  it("keeps salt and id apart", function()
    assert.not_equal(shares.fnv1a("c", shares.salted("ab")), shares.fnv1a("bc", shares.salted("a")))
  end)

  it("deals running numbers evenly, and anew under each salt", function()
    local function deal(salt)
      local salted, halves, tenths = shares.salted(salt), {}, {}
      for i = 0, 9 do tenths[i] = 0 end
      for id = 1, 20000 do
        local place = shares.place(salted, tostring(id))
        halves[id] = place < 5000
        tenths[place // 1000] = tenths[place // 1000] + 1
      end
      return halves, tenths
    end
    local a, tenths = deal("a")
    for i = 0, 9 do assert.near(2000, tenths[i], 170) end -- four times the standard deviation
    local b, both = deal("b"), 0
    for id = 1, 20000 do both = both + (a[id] and b[id] and 1 or 0) end
    assert.near(5000, both, 250)
  end)
end)

describe("split", function()
  local halves = support.rules [[events = { [11] = {
    split { salt = "spring",
      { 50, drop("first") },
      { 30, function(event) return drop("second of " .. event.CustomerID) end },
      { 20 },
    },
    drop("the next step"),
  } }]]

  local function reason(rules, customer)
    return rules.evaluate(event { CustomerID = customer }, ctx())[1].reason
  end

  it("sends each person down one way, by the place", function()
    local seen = {}
    for id = 1, 300 do
      local place = shares.place(shares.salted("spring"), tostring(id))
      local expected = place < 5000 and "first" or place < 8000 and "second of " .. id
        or "the next step"
      assert.equal(expected, reason(halves, tostring(id)))
      seen[expected:sub(1, 3)] = true
    end
    assert.same({ fir = true, sec = true, the = true }, seen)
  end)

  it("tells in the trace which share it was", function()
    local _, trace = halves.evaluate(event { CustomerID = "42" }, ctx())
    local share = shares.place(shares.salted("spring"), "42")
    share = share < 5000 and 1 or share < 8000 and 2 or 3
    assert.equal("split", trace[1].step)
    assert.equal(share, trace[1].share)
  end)

  it("knows customers of hooks, too, and numbers as text", function()
    local rules = support.rules [[hooks = { E = split { salt = "s", { 100, drop("all") } } }]]
    assert.equal("all", rules.evaluate({ name = "E", extId = 42 }, ctx())[1].reason)
  end)

  it("holds what names no customer", function()
    assert.equal("split: the event names no customer", reason(halves, ""))
  end)

  it("may stand inside for_each_recipient, and hold lists of steps", function()
    local rules = support.rules [[events = { [13] = for_each_recipient(split { salt = "s",
      { 100, { function() end, drop("second") } },
    }) }]]
    assert.equal("second",
      rules.evaluate(event { EventTypeID = 13 }, ctx { recipient = true })[1].reason)
  end)

  it("takes thirds", function()
    assert.is_table(support.rules [[events = { [11] = split { salt = "s",
      { 33.33, drop("a") }, { 33.33, drop("b") }, { 33.34, drop("c") } } }]])
  end)
end)
