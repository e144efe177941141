-- Blocks that yield wherever they can, with anything raised there.

-- What was sent says what happens in this place. `kept`: what was caught before.
local function act(kept, command)
  local is = kind(command)
  if isinstance(command, "BaseException") then error(command) end
  if is == "bool" then error() end
  if is == "int" and #kept > 0 then error(kept[#kept]) end
  if is == "float" then raise_from({type = "KeyError", arguments = {command}}, "RuntimeError", "float") end
  if is == "bytes" then raise_from(null, "ValueError", command) end
  if is == "list" then raise("ValueError", table.unpack(command)) end
  if is == "dict" then
    xpcall(raise, except("LookupError", function(e) kept[#kept + 1] = e end), "LookupError", "passing")
  end
  if command == "x" then raise("KeyError", "x") end
  if command == "y" then raise("StopIteration", "y") end
end

-- A place where something is yielded, and then happens what is sent.
local function places()
  local value, kept = "ready", {}
  return {
    at = function(shown)
      value = yield(shown)
      act(kept, value)
    end,
    keep = function(e) kept[#kept + 1] = e end,
    value = function() return value end,
    set = function(new_value) value = new_value end,
  }
end

function anything_in_a_handler()
  local place = places()
  while true do
    xpcall(place.at, except("Exception", function(e)
      place.keep(e)
      place.at(caught(e))
    end), place.value())
  end
end

function anything_in_handlers_of_handlers()
  local place = places()
  while true do
    xpcall(place.at, except("Exception", function(a)
      place.keep(a)
      xpcall(place.at, except("Exception", function(b)
        if isinstance(b, "LookupError") then
          place.keep(b)
          place.at({"b", b})
        else
          xpcall(place.at, except("ValueError", function(c)
            place.set(yield({"d", c}))
            error()
          end), {"c", b})
          act({}, place.value())
        end
      end), {"a", a})
      place.at({"a again", a})
    end), place.value())
  end
end

function anything_in_finally()
  local place = places()
  while place.value() ~= "stop" do
    xpcall(function()
      local _ <close> = finally(function() place.at("finally") end)
      place.at(place.value())
    end, except("Exception", function(e)
      place.keep(e)
      place.set(caught(e))
    end))
  end
end

function anything_in_finally_of_finally()
  local place = places()
  finally(function() place.at(5) end)
  local _ <close> = finally(function()
    do
      local _ <close> = finally(function() place.at(3) end)
      place.at(2)
    end
    place.at(4)
  end)
  place.at(1)
  return "end"
end

function anything_anywhere()
  local place = places()
  while true do
    xpcall(function()
      local _ <close> = finally(function()
        xpcall(place.at, except("KeyError", function(e) place.at({"in finally", e}) end), "finally")
      end)
      xpcall(place.at, except("ValueError", function(e)
        place.keep(e)
        place.at({"value", e})
      end), place.value())
    end, function(e)
      if isinstance(e, "LookupError") then
        place.keep(e)
        local _ <close> = finally(function() log("finally in except") end)
        place.at({"lookup", e})
      elseif isinstance(e, "RuntimeError") then
        place.at({"runtime", e})
      else
        error(e)
      end
    end)
  end
end

function anything_when_it_closes()
  local n = 0
  while n < 3 do
    local _, left = xpcall(function()
      local _ <close> = finally(function()
        log("finally")
        act({}, yield("finally"))
      end)
      local _, left = xpcall(function() act({}, yield(n)) end, except("GeneratorExit", function(e)
        act({e}, yield(caught(e)))
        return "left"
      end))
      return left
    end, function(e)
      if isinstance(e, "ValueError") then
        n = n + 1
      elseif isinstance(e, "GeneratorExit") then
        yield("once more")
        error()
      else
        error(e)
      end
    end)
    if left then return left end
  end
end

function raise_what_is_sent()
  local value = "ready"
  while true do
    value = yield(value)
    local before
    xpcall(function()
      xpcall(raise, except("ValueError", function(e)
        before = e
        error()
      end), "ValueError", value, list(value), {key = value == nil and null or value})
    end, except("ValueError", function(e)
      log(e == before and "the same" or "another")
      value = caught(e)
    end))
  end
end

function raise_again_and_again()
  xpcall(yield, except("Exception", function(first)
    xpcall(function()
      local _ <close> = finally(function() log("finally") end)
      error()
    end, except("Exception", function(second)
      log(first == second and "the same" or "another")
      xpcall(function()
        yield(second)
        raise_from({type = "IndexError", arguments = {"cause"}}, "KeyError", "new")
      end, except("Exception", function(third)
        log(first == third and "the same" or "another")
        log(third.context and described(third.context) or "no context")
        log(third.cause and described(third.cause) or "no cause")
        yield(third)
        error()
      end))
    end))
  end), 1)
end

function exceptions_in_exceptions()
  local value = "ready"
  while true do
    local made = new("KeyError", "made", value)
    xpcall(function() value = yield(value) end, function(e)
      if isinstance(e, "LookupError") then
        xpcall(raise, except("ValueError", function(holds)
          value = yield({holds, holds.arguments[1]})
          if value == "x" then error() end
        end), "ValueError", made, {made})
      elseif isinstance(e, "ValueError") then
        raise("RuntimeError", e)
      else
        error(e)
      end
    end)
  end
end

function raise_from_again()
  local value = "ready"
  while true do
    xpcall(function()
      xpcall(function() value = yield(value) end, function(e)
        if isinstance(e, "ValueError") then e.cause = {type = "KeyError", arguments = {"first"}} end
        if isinstance(e, "LookupError") then e.cause = null end
        error(e)
      end)
    end, except("Exception", function(e)
      value = yield(caught(e))
      if value == "x" then
        e.cause = {type = "IndexError", arguments = {"second"}}
        error(e)
      end
      if value == "y" then error() end
    end))
  end
end

function leave_from_within()
  local place = places()
  finally(function() log("out") end)
  local _ <close> = finally(function()
    log("in")
    place.at(5)
  end)
  local ok, left = xpcall(place.at, function(e)
    if isinstance(e, "ValueError") then
      do
        local _ <close> = finally(function() place.at(3) end)
        place.at(2)
      end
      return {"value", e}
    end
    place.at(4)
    return {"base", e}
  end, 1)
  if not ok then return left end
  return "end"
end

-- Delegates to one more from each of its blocks.
function level(n)
  local value
  local function deeper()
    if n < 3 then value = delegate("level", {n = n + 1}) end
  end
  xpcall(function()
    local _ <close> = finally(function()
      log("finally " .. n)
      if value == nil and n < 3 then
        deeper()
        act({}, value)
      end
    end)
    xpcall(function()
      value = yield(n)
      if value == "x" then deeper() end
      act({}, value)
    end, except("Exception", function(e)
      if isinstance(e, "ValueError") then
        value = yield({"value", n, e})
        deeper()
        act({e}, value)
        return
      end
      deeper()
      act({e}, value)
      value = yield({"other", n, e})
      act({e}, value)
      error()
    end))
  end, except("StopIteration", function() raise("LookupError", "stopped") end))
  return list(n, value)
end

function delegate_from_each_block()
  return delegate("level", {n = 1})
end

function delegate_in_a_handler()
  while true do
    local value
    xpcall(raise, except("IndexError", function()
      xpcall(function() value = delegate("level", {n = 2}) end, except("Exception", function(e)
        value = yield(caught(e))
        act({e}, value)
      end))
    end), "IndexError", "of the top")
    yield(list("after", value))
  end
end
