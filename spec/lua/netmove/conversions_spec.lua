package.path = "lua/?.lua;spec/lua/?.lua;" .. package.path

local conversions = require "netmove.conversions"

describe("a conversion", function()
  local cases = {
    text = { { 7, "7" }, { 7.0, "7" }, { true, "true" }, { "x", "x" }, { {}, nil } },
    number = {
      { "12.5", 12.5 }, { " 7 ", 7 }, { "-1e3", -1000.0 }, { ".5", 0.5 }, { 7, 7 },
      { "12,5", nil }, { "0x10", nil }, { "", nil }, { "nan", nil }, { "1.2.3", nil },
      { true, nil }, { {}, nil },
    },
    integer = { { "12", 12 }, { 12.0, 12 }, { "12.0", 12 }, { 12.5, nil }, { "x", nil } },
    boolean = {
      { true, true }, { "false", false }, { "1", true }, { 0, false }, { "yes", nil }, { 2, nil },
    },
    date = {
      { "2024-05-01T23:59:59Z", "2024-05-01" }, { "2024-05-01T10:00:00.123+03:00", "2024-05-01" },
      { "2024-05-01 10:11:12", "2024-05-01" }, { "2024-05-01", "2024-05-01" },
      { 1714558272000, "2024-05-01" }, { "1714558272000", "2024-05-01" },
      { 1709164800000, "2024-02-29" }, { 951782400000, "2000-02-29" },
      { 253402300799999, "9999-12-31" }, { 1714558272000.0, "2024-05-01" },
      { "2024-02-29", "2024-02-29" }, { "2023-02-29", nil }, { "1900-02-29", nil },
      { "2024-13-01", nil }, { "2024-00-01", nil }, { "2024-04-31", nil }, { "2024-04-00", nil },
      { 1714558272, nil }, { "1.5.2024", nil }, { "2024-05-01x", nil }, { true, nil },
    },
  }
  for kind, list in pairs(cases) do
    for _, case in ipairs(list) do
      it("to " .. kind .. " of " .. tostring(case[1]) .. " is " .. tostring(case[2]), function()
        local value = conversions[kind](case[1])
        assert.equal(case[2], value)
        assert.equal(math.type(case[2]), math.type(value))
      end)
    end
  end
end)
