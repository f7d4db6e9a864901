-- What the house does not call, each with what to call instead.

local tree = require "spec.lint.tree"

local instead = {
  strcpy = "struct nm_text, or snprintf into a sized buffer",
  strcat = "nm_buffer_append",
  sprintf = "snprintf",
  vsprintf = "vsnprintf",
  gets = "fgets, or nm_buffer with a maximum",
  atoi = "nm_text_to_i64 (it says when it is no number)",
  strtok = "nm_text_cut",
  assert = "nm_require (aborts, always on) or nm_expect (returns false, counts)",
}

local pauses = { "sleep", "usleep", "nanosleep", "uv_sleep" }

local function each_line_of_c(with_tests, see)
  for _, path in ipairs(tree.c_files(with_tests)) do
    tree.each_line(tree.bare_c(tree.read(path)), function(line, number)
      see(path, line, path .. ":" .. number .. ": ")
    end)
  end
end

local function calls(line, name) return line:find("%f[%w_]" .. name .. "%s*%(") end

describe("C", function()
  it("calls nothing that the house forbids", function()
    local offences = {}
    each_line_of_c(true, function(_, line, at)
      for name, better in pairs(instead) do
        if calls(line, name) then
          offences[#offences + 1] = at .. name .. ": use " .. better
        end
      end
    end)
    tree.expect_none(offences)
  end)

  it("enters Lua by nm_state_call alone", function()
    local offences = {}
    each_line_of_c(false, function(path, line, at)
      if path ~= "src/script/call.c" and (calls(line, "lua_pcallk?") or calls(line, "luaL_dofile")
          or calls(line, "luaL_dostring")) then
        offences[#offences + 1] = at .. "a bare protected call: use nm_state_call, which brings a "
          .. "traceback, a budget and a clean stack"
      end
    end)
    tree.expect_none(offences)
  end)

  it("does not typedef a struct", function()
    local offences = {}
    each_line_of_c(false, function(_, line, at)
      if line:find("typedef%s+struct") or line:find("typedef%s+enum") then
        offences[#offences + 1] = at .. "a struct is a struct: write `struct nm_thing`"
      end
    end)
    tree.expect_none(offences)
  end)

  it("does not sleep in a test", function()
    local offences = {}
    each_line_of_c(true, function(path, line, at)
      for _, name in ipairs(pauses) do
        if path:find("^spec/") and calls(line, name) then
          offences[#offences + 1] = at .. name .. ": wait for a condition, never for a time"
        end
      end
    end)
    tree.expect_none(offences)
  end)
end)

describe("the reader of C", function()
  it("blanks comments and texts and keeps every line where it was", function()
    local bare = tree.bare_c('a("gets(\\"x"); /* atoi(\n */ b(\'"\'); // strcpy(\nc / d;')
    assert.is_nil(bare:find("gets"))
    assert.is_nil(bare:find("atoi"))
    assert.is_nil(bare:find("strcpy"))
    assert.equal(3, select(2, bare:gsub("\n", "")) + 1)
    assert.is_truthy(bare:find("b%(%s+%);"))
    assert.is_truthy(bare:find("c / d;", 1, true))
  end)
end)
