-- except.

function catch_value_error()
  local value = "ready"
  while true do
    xpcall(function() value = yield(value) end, except("ValueError", function(e) value = caught(e) end))
  end
end

function catch_exception()
  local value = "ready"
  while true do
    xpcall(function() value = yield(value) end, except("Exception", function(e) value = caught(e) end))
  end
end

function catch_base_exception()
  local value = "ready"
  while true do
    xpcall(function() value = yield(value) end, function(e) value = caught(e) end)
  end
end

function catch_in_order()
  local value = "ready"
  while true do
    local _, left = xpcall(function() value = yield(value) end, function(e)
      if isinstance(e, "KeyError") then
        value = {"key", e.message}
      elseif isinstance(e, "LookupError") then
        value = {"lookup", e.message}
      elseif isinstance(e, "ValueError") or isinstance(e, "RuntimeError") then
        value = {"value or runtime", e.message}
      elseif isinstance(e, "GeneratorExit") then
        return "exit"
      else
        error(e)
      end
    end)
    if left then return left end
  end
end

function catch_and_return()
  local _, result = xpcall(yield, except("Exception", caught), 1)
  return result
end

function reraise()
  local value = "ready"
  while true do
    xpcall(function() value = yield(value) end, function(e)
      if isinstance(e, "ValueError") then
        log(described(e))
        error()
      end
      error(e)
    end)
  end
end

function raise_new()
  local value = "ready"
  while true do
    xpcall(function() value = yield(value) end, function(e)
      if isinstance(e, "ValueError") then raise("KeyError", "new") end
      raise("ValueError", "from another")
    end)
  end
end

function raise_from_()
  xpcall(yield, function(e)
    if isinstance(e, "ValueError") then raise_from(e, "KeyError", "new") end
    e.cause = {type = "ValueError", arguments = {"cause"}}
    error(e)
  end, 1)
end

function raise_from_none()
  xpcall(yield, except("Exception", function() raise_from(null, "KeyError", "new") end), 1)
end

function raise_what_was_caught_before()
  local before
  local value = "ready"
  while true do
    xpcall(function()
      value = yield(value)
      if value == "x" and before then
        log("raises")
        error(before)
      end
    end, except("Exception", function(e)
      if before and value == "y" then error(before) end
      before = e
      value = caught(e)
    end))
  end
end

function raise_in_turns()
  local first, second = new("ValueError", "first"), new("KeyError", "second")
  local value = "ready"
  while true do
    xpcall(function() value = yield(value) end, function(e)
      local a, b = first, second
      if isinstance(e, "LookupError") then
        a, b = second, first
      elseif not isinstance(e, "ValueError") then
        error(e)
      end
      xpcall(error, function()
        xpcall(error, function(e) value = caught(e) end, b)
      end, a)
    end)
  end
end

function nested_try()
  local value = "ready"
  while true do
    xpcall(function()
      xpcall(function() value = yield(value) end, function(e)
        if isinstance(e, "ValueError") then
          xpcall(raise, function(e) log(described(e)) end, "KeyError", "inner")
          raise("TypeError", "outer")
        end
        if isinstance(e, "KeyError") then raise_from(e, "RuntimeError", "wrapped") end
        error(e)
      end)
    end, function(e)
      if not isinstance(e, "TypeError") and not isinstance(e, "RuntimeError") then error(e) end
      value = caught(e)
    end)
  end
end

function raise_after_the_handler()
  xpcall(yield, except("Exception", function() log("handled") end), 1)
  raise("KeyError", "later")
end

local function raise_chain(length)
  xpcall(raise, function(e)
    if length % 3 == 0 then raise_from(e, "ValueError", "end of part") end
    if length > 1 then raise_chain(length - 1) end
    error()
  end, "KeyError", length)
end

function long_chain()
  local length = 1
  while true do
    xpcall(function()
      local sent = yield(length)
      length = length + 1
      if sent == "x" then raise_chain(length) end
    end, except("Exception", function() raise_chain(length + 3) end))
  end
end
