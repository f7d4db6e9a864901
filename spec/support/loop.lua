--- Waiting for conditions on libuv's loop; the one place where a test's time passes.

local uv = require("luv")

local loop = {}

local scheduled = setmetatable({}, { __mode = "k" }) -- coroutines of side_by_side

--- In one of several tasks: the others go on meanwhile.
local function await_beside(what, is_true, until_ms)
  while true do
    local answer = is_true()
    if answer then return answer end
    if uv.now() > until_ms then error("waited in vain for " .. what, 3) end
    coroutine.yield()
  end
end

--- Runs the loop until `is_true` returns something true, which is returned; an error that names
--- `what` when `timeout_ms` (60 s, which only a red test waits for) has passed.  Another figure is for what takes
--- longer, or for a promise about time; a busy machine is four times slower.
---@param what string
---@param is_true fun(): any
---@param timeout_ms? integer
function loop.await(what, is_true, timeout_ms)
  local until_ms = uv.now() + (timeout_ms or 60000)
  if scheduled[coroutine.running()] then return await_beside(what, is_true, until_ms) end
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

--- Runs tasks, `width` of them at a time: whenever one waits, the others go on.  Gives for each true, or
--- what went wrong.
---@param width integer
---@param tasks fun()[]
---@return (true|string)[]
function loop.side_by_side(width, tasks)
  local results, active, at = {}, {}, 0
  local tick = uv.new_timer()
  tick:start(5, 5, function() end)
  repeat
    while #active < width and at < #tasks do
      at = at + 1
      local task = coroutine.create(tasks[at])
      scheduled[task] = true
      active[#active + 1] = { task = task, number = at }
    end
    for i = #active, 1, -1 do
      local one = active[i]
      local ok, why = coroutine.resume(one.task)
      if not ok then results[one.number] = debug.traceback(one.task, tostring(why)) end
      if coroutine.status(one.task) == "dead" then
        results[one.number] = results[one.number] or true
        table.remove(active, i)
      end
    end
    uv.run("once")
  until #active == 0 and at == #tasks
  tick:close()
  uv.run("nowait")
  return results
end

return loop
