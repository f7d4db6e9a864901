package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local texts = require "netmove.texts"

local function render(source, event, html)
  event = event or {}
  event.attributes = event.attributes or {}
  event.user = event.user or { attributes = {} }
  local text, wrong = texts.compile(source)
  if not text then return nil, wrong end
  local lost = {}
  return texts.render(text, event, lost, html), lost
end

describe("a text", function()
  it("without names stays as it is", function()
    assert.equal("Hello", (texts.compile("Hello")))
    assert.equal("", (texts.compile("")))
  end)

  it("looks into attributes, then the profile, then the event", function()
    local event = {
      attributes = { a = "1" },
      user = { attributes = { a = "2", b = "2" } },
      a = "3", b = "3", c = "3",
    }
    assert.equal("123", (render("{a}{b}{c}", event)))
  end)

  it("follows dots", function()
    assert.equal("3 of x", (render("{cart.count} of {user.email}",
      { attributes = { cart = { count = 3 } }, user = { email = "x", attributes = {} } })))
  end)

  it("falls back where there is nothing, or an empty text", function()
    assert.equal("Hello friend", (render("Hello {name|friend}")))
    assert.equal("Hello friend", (render("Hello {name|friend}", { name = "" })))
    assert.equal("Hello ", (render("Hello {name|}")))
    assert.equal("a|b", (render("{name|a|b}")))
  end)

  it("is empty at a name without value and fallback, and notes the name", function()
    local text, lost = render("order {order_no} {a.b}.")
    assert.equal("order  .", text)
    assert.same({ "order_no", "a.b" }, lost)
  end)

  it("does not take a table for a value", function()
    assert.equal("none", (render("{cart|none}", { attributes = { cart = { count = 1 } } })))
  end)

  it("writes numbers as people do", function()
    assert.equal("3 3 59.9 -1 true 12345678901",
      (render("{a} {b} {c} {d} {e} {f}",
        { a = 3, b = 3.0, c = 59.9, d = -1, e = true, f = 12345678901 })))
  end)

  it("writes braces doubled", function()
    assert.equal("{name} } {", (render("{{name}} } {{")))
    assert.equal("{x}", (render("{{{a}}}", { a = "x" })))
  end)

  it("escapes values in HTML, not the text itself", function()
    assert.equal("<b>&lt;i&gt; &amp; &quot;&#39;</b>",
      (render("<b>{a}</b>", { a = "<i> & \"'" }, true)))
  end)

  it("does not look for names in values", function()
    assert.equal("{b}", (render("{a}", { a = "{b}", b = "x" })))
  end)

  for source, wrong in pairs {
    ["{a"] = 'a "{" without its "}" (a brace itself is written "{{")',
    ["{a {b}"] = 'a "{" without its "}" (a brace itself is written "{{")',
    ["{}"] = '{}: bad name "": expected names joined by dots, as in user.email',
    ["{|x}"] = '{|x}: bad name "": expected names joined by dots, as in user.email',
    ["{ a }"] = '{ a }: bad name " a ": expected names joined by dots, as in user.email',
    ["{.a}"] = '{.a}: bad name ".a": expected names joined by dots, as in user.email',
  } do
    it("is refused: " .. source, function()
      local text, message = texts.compile(source)
      assert.is_nil(text)
      assert.equal(wrong, message)
    end)
  end
end)
