-- A yield inside an except or finally block.

function handling_once()
  local value = "ready"
  while true do
    xpcall(function() value = yield(value) end, except("ValueError", function(e)
      value = yield({"handling", e.message})
      if value == "x" then error() end
    end))
  end
end

function handling_again_and_again()
  local value = "ready"
  while true do
    xpcall(function() value = yield(value) end, except("Exception", function(e) value = yield(caught(e)) end))
  end
end

function handling_nested()
  xpcall(yield, except("Exception", function(a)
    xpcall(yield, except("Exception", function(b)
      yield({"b", b})
      error()
    end), {"a", a.message})
    yield("in a")
    error()
  end), "outside")
end

function handling_nested_and_left()
  local value = "ready"
  while true do
    xpcall(function() value = yield(value) end, except("Exception", function(a)
      xpcall(function() value = yield({"a", a}) end, except("Exception", function(b) value = yield({"b", b}) end))
      value = yield(list("a again", value))
    end))
  end
end

function handling_and_raise_new()
  xpcall(yield, except("Exception", function(e)
    local value = yield(2)
    if value == "x" then raise_from(e, "KeyError", "late") end
    raise("KeyError", "late")
  end), 1)
end

function handling_an_exit()
  local n = 0
  xpcall(yield, except("GeneratorExit", function()
    while n < 3 do
      n = n + 1
      yield(n)
    end
    error()
  end), n)
end

function handling_in_finally()
  local _ <close> = finally(function()
    local _ <close> = finally(function() yield("second") end)
    yield("first")
  end)
  yield(1)
end

-- Turns every error into another; on "y" raises one of its own.
function chaining(name)
  local value
  local ok, returned = xpcall(function()
    local sent = yield(name)
    while sent ~= "y" do
      if sent == "x" then return name .. " value" end
      sent = yield(sent)
    end
  end, function(e)
    if isinstance(e, "ValueError") then
      log(described(e))
      raise("LookupError", name)
    end
    if not isinstance(e, "LookupError") then error(e) end
    value = caught(e)
  end)
  if returned then return returned end
  if ok then raise("KeyError", name) end
  yield(value)
  raise("RuntimeError", name)
end

function handling_and_delegating()
  local value = "ready"
  while true do
    xpcall(function() value = yield(value) end, except("Exception", function()
      value = delegate("chaining", {name = "sub"})
    end))
  end
end

function middle()
  local result
  xpcall(function() result = delegate("chaining", {name = "sub"}) end, except("LookupError", function(e)
    yield(caught(e))
    result = delegate("chaining", {name = "second sub"})
  end))
  return result
end

function handling_and_delegating_deeper()
  local value = "ready"
  while true do
    xpcall(function() value = yield(value) end, except("Exception", function() value = delegate("middle") end))
  end
end

function handling_middle()
  local _, result = xpcall(raise, except("TypeError", function()
    delegate("chaining", {name = "sub"})
    return delegate("around", {sub = "chaining", arguments = {name = "second sub"}, name = "o"})
  end), "TypeError", "of the middle")
  return result
end

function handling_at_each_level()
  while true do
    local value
    xpcall(raise, except("KeyError", function()
      xpcall(function() value = delegate("handling_middle") end,
             except("LookupError", function(e) value = caught(e) end))
    end), "KeyError", "of the top")
    yield(value)
  end
end

function delegating_in_finally()
  local _ <close> = finally(function() delegate("chaining", {name = "sub"}) end)
  yield(1)
end
