package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local json = require "netmove.json"

describe("json", function()
  it("keeps whole numbers whole and drops nulls", function()
    local value = json.decode('{"a":1,"b":[1.5,2],"c":null,"d":{"e":-0.0}}')
    assert.equal("integer", math.type(value.a))
    assert.equal("float", math.type(value.b[1]))
    assert.equal("integer", math.type(value.b[2]))
    assert.is_nil(value.c)
  end)

  it("says what is wrong with bad JSON instead of failing", function()
    for _, text in ipairs { "{", "[1,]", "NaN", "[Infinity]", "nope", "", ("["):rep(100) } do
      local value, message = json.decode(text)
      assert.is_nil(value)
      assert.matches("^not JSON: ", message)
    end
    assert.same({ nil, "no text to read JSON from" }, { json.decode(nil) })
  end)

  it("writes what it can write exactly", function()
    assert.equal('[1,2,{"x":3.5}]', json.encode { 1, 2, { x = 3.5 } })
    assert.has_error(function() json.encode(123456789012345) end)
    assert.has_error(function() json.encode { f = print } end)
    assert.has_error(function() json.encode(0 / 0) end)
    local loop = {}
    loop[1] = loop
    assert.has_error(function() json.encode(loop) end)
  end)
end)
