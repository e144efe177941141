-- finally and with.

local function until_x()
  local value = "ready"
  while value ~= "x" do value = yield(value) end
  return "done"
end

function finally_logs()
  local _ <close> = finally(function() log("finally") end)
  local value = "ready"
  while value ~= "x" do value = yield(value) end
  return "done"
end

function finally_raises()
  local _ <close> = finally(function() raise("RuntimeError", "in finally") end)
  return until_x()
end

function finally_returns()  -- a finalizer cannot do that
  pcall(until_x)
  return "swallowed"
end

function finally_yields()
  local _ <close> = finally(function()
    log("finally")
    yield("cleanup")
  end)
  return until_x()
end

function finally_nested()
  finally(function() log("out") end)
  finally(function() log("in") end)
  yield(1)
  yield(2)
end

function finally_overrides()
  local _ <close> = finally(function() log("out") end)
  xpcall(function()
    local _ <close> = finally(function()
      log("in")
      raise("KeyError", "in")
    end)
    yield(1)
  end, except("KeyError", function(e)
    log(described(e))
    raise("LookupError", "out")
  end))
end

function with_statement()
  local value = "ready"
  while value ~= "stop" do
    log("enter")
    local ok = xpcall(function() value = yield(value) end, function(e)
      log("exit " .. e.type)
      if not isinstance(e, "LookupError") then error(e) end
    end)
    if ok then log("exit") end
  end
  return "end"
end
