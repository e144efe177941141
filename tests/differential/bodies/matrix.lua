-- Every way a sub ends, by every way its delegator takes it.

local function until_x()
  while yield("sub") ~= "x" do end
end

function matrix_sub(kind)
  if kind == "returns" then  -- in its finally
    pcall(until_x)
    return "sub"
  end
  local _ <close> = finally(function()
    if kind == "logs" then log("sub") end
    if kind == "raises_exception" then raise("ValueError", "sub") end
    if kind == "raises_exit" then raise("GeneratorExit", "sub") end
    if kind == "raises_stop" then raise("StopIteration", "sub") end
    if kind == "raises_interrupt" then raise("KeyboardInterrupt", "sub") end
    if kind == "yields" then yield("cleanup of the sub") end
  end)
  until_x()
  return "value of the sub"
end

function matrix_outer(sub, kind)
  local value
  local function delegates()
    value = delegate("matrix_sub", {kind = sub})
  end
  local function catches(e)
    value = caught(e)
  end
  if kind == "plain" then
    delegates()
  elseif kind == "catches_exceptions" then
    xpcall(delegates, except("Exception", catches))
  elseif kind == "catches_all" then
    xpcall(delegates, catches)
  elseif kind == "logs" then
    local _ <close> = finally(function() log("outer") end)
    delegates()
  elseif kind == "replaces" then
    xpcall(delegates, except("Exception", function() raise("RuntimeError", "outer") end))
  elseif not pcall(delegates) then
    return "outer"
  end
  yield(list("after", value))
end
