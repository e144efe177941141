-- StopIteration that leaves a body, and PEP 479.

-- iter([1, 2]).__next__
local function one_two()
  local n = 0
  return function()
    if n == 2 then raise("StopIteration") end
    n = n + 1
    return n
  end
end

function stop_raised()
  while true do
    local sent = yield(1)
    if sent ~= nil then raise("StopIteration", sent) end
  end
end

function stop_of_a_user_type()
  local _ <close> = finally(function()
    error{type = "app.Stop", arguments = {"mine"}, bases = {"StopIteration", "Exception", "BaseException"}}
  end)
  yield(1)
end

function stop_of_an_inner_next()
  local next_item = one_two()
  while true do yield(next_item()) end
end

function stop_caught()
  local next_item = one_two()
  while true do
    local _, value = xpcall(next_item, except("StopIteration", caught))
    yield(value)
  end
end

function stop_passes_finally()
  local _ <close> = finally(function() log("finally") end)
  xpcall(function()
    yield(1)
    raise("StopIteration", "z")
  end, except("StopIteration", function(e)
    log(described(e))
    error()
  end))
end

function stop_on_exit()
  xpcall(yield, except("GeneratorExit", function() raise("StopIteration") end), 1)
end

function stop_returned()
  yield(1)
  return new("StopIteration", 2)
end
