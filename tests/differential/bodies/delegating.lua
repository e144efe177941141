-- yield from: what it can delegate to is a coroutine of the catalog, which is made for it.

function talk(name)
  local _ <close> = finally(function() log(name .. " finally") end)
  local value
  while not value do
    xpcall(function()
      if yield(name) == "x" then
        value = name .. " value"
      else
        log(name .. " got")
      end
    end, except("ValueError", function(e) log(name .. " " .. described(e)) end))
  end
  return value
end

-- Delegates to `sub`.
function around(sub, arguments, name)
  local _ <close> = finally(function() log(name .. " finally") end)
  local result = delegate(sub, arguments)
  log(name .. " goes on")
  yield(list(name, result))
end

local talks = {sub = "talk", arguments = {name = "a"}, name = "b"}
local talks_deeper = {sub = "around", arguments = talks, name = "c"}

function delegate_()
  return delegate("around", talks)
end

function delegate_two_deep()
  delegate("around", talks_deeper)
  return "end"
end

function delegate_three_deep()
  yield("first")
  delegate("around", {sub = "around", arguments = talks_deeper, name = "d"})
end

function delegate_again_and_again()
  while true do
    local result = delegate("returns_what_is_sent")
    log("again")
    yield(list("result", result))
  end
end

function delegate_and_catch()
  while true do
    local value
    xpcall(function() value = delegate("talk", {name = "a"}) end, function(e)
      if not isinstance(e, "LookupError") and not isinstance(e, "RuntimeError") then error(e) end
      value = caught(e)
    end)
    yield(value)
  end
end

function delegate_and_raise_from()
  xpcall(delegate, function(e)
    if isinstance(e, "KeyError") then raise_from(e, "RuntimeError", "of the delegator") end
    raise("TypeError", "of the delegator")
  end, "talk", {name = "a"})
end

function exit_kept()
  local _, left = xpcall(yield, except("GeneratorExit", function() return "of the sub" end), 1)
  return left
end

function delegate_and_both_return_on_exit()
  local ok, left = xpcall(delegate, except("GeneratorExit", caught), "exit_kept")
  if not ok then return left end
end

function delegate_to_one_that_ignores_exit()
  delegate("around", {sub = "exit_ignored_once", name = "o"})
end

function stubborn()
  local n = 0
  while true do
    xpcall(yield, except("GeneratorExit", function()
      n = n + 1
      log("ignores " .. n)
    end), n)
  end
end

function delegate_to_one_that_always_ignores_exit()
  local value
  xpcall(delegate, except("RuntimeError", function(e) value = caught(e) end), "around", {sub = "stubborn", name = "o"})
  yield(value)
end

function failing()
  local _ <close> = finally(function() raise("ValueError", "boom") end)
  yield(1)
  yield(2)
end

function delegate_to_one_that_raises_in_finally()
  while true do
    local _, value = xpcall(delegate, except("ValueError", caught), "failing")
    yield(value)
  end
end

function returning_level(name, sub, arguments)
  local ok, left = xpcall(delegate, function(e)
    if isinstance(e, "GeneratorExit") then return name end
    if isinstance(e, "Exception") then return {name, e} end
    error(e)
  end, sub, arguments)
  if not ok then return left end
end

function delegate_where_every_level_returns_on_exit()
  local inner = {name = "a", sub = "exit_raises"}
  return list("c", (delegate("returning_level", {name = "b", sub = "returning_level", arguments = inner})))
end
