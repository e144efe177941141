-- GeneratorExit.

function exit_returns()
  local _, left = xpcall(function()
    yield(1)
    yield(2)
  end, except("GeneratorExit", function() return "bye" end))
  return left
end

function exit_ignored_once()
  local value = "not closed"
  xpcall(yield, except("GeneratorExit", function(e) value = caught(e) end), 1)
  yield(value)
  return "after"
end

function exit_ignored_always()
  local n = 0
  while true do
    xpcall(yield, except("GeneratorExit", function() n = n + 1 end), n)
  end
end

function exit_raises()
  xpcall(yield, except("GeneratorExit", function() raise("TypeError", "fie!") end), 1)
end

function exit_raises_a_fresh_one()
  xpcall(yield, except("GeneratorExit", function() raise("GeneratorExit", "mine") end), 1)
end

function exit_raises_from()
  xpcall(yield, except("GeneratorExit", function(e) raise_from(e, "RuntimeError", "closing") end), 1)
end

function exit_falls_out()
  do
    local _ <close> = finally(function() log("finally") end)
    xpcall(yield, except("Exception", function() log("not for an exit") end), 1)
  end
  return 0
end
