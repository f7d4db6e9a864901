--- Waiting for conditions on libuv's loop; the one place where a test's time passes.

local uv = require("luv")

local loop = {}

--- Runs the loop until `is_true` returns something true, which is returned; an error that names
--- `what` when `timeout_ms` (10 s) has passed.
---@param what string
---@param is_true fun(): any
---@param timeout_ms? integer
function loop.await(what, is_true, timeout_ms)
  local until_ms = uv.now() + (timeout_ms or 10000)
  local tick = uv.new_timer()
  tick:start(5, 5, function() end) -- so that conditions of other processes are looked at again
  local answer = is_true()
  while not answer do
    uv.run("once")
    answer = is_true()
    if not answer and uv.now() > until_ms then
      tick:close()
      error("waited in vain for " .. what, 2)
    end
  end
  tick:close()
  uv.run("nowait")
  return answer
end

return loop
