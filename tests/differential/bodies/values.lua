-- Values through next, send and return.

function echo()
  local value
  while true do value = yield(value) end
end

function count()
  local n = 0
  while true do
    local sent = yield(n)
    n = math.type(sent) == "integer" and 0 or n + 1
  end
end

-- Of any number; raises what C functions of Python's raise for anything else.
local function number(value)
  if math.type(value) then return value + 0.0 end
  if type(value) == "boolean" then return value and 1.0 or 0.0 end
  raise("TypeError", "must be real number, not " .. kind(value))
end

function accumulate()
  local total = 0.0
  while true do total = total + number(yield(total)) end
end

function thrice()
  yield()
  yield()
  yield()
end

function returns_what_is_sent()
  return yield("first")
end

function returns_at_once()
  return 9
end

function raises_at_once()
  raise("KeyError", "k")
end

function collect()
  local items = {}
  while true do
    local sent = yield(items)
    if sent == "x" then return {items = items} end
    if sent == nil then sent = null end
    items[#items + 1] = sent
  end
end

function by_type()
  local seen = map{}
  while true do
    local sent = yield(seen)
    if sent == "x" then
      seen.int = nil
    else
      local name = kind(sent)
      if sent == nil then sent = null end
      seen[name] = sent
    end
  end
end

function exceptions_as_values()
  local result
  while true do
    local sent = yield(result)
    if isinstance(sent, "BaseException") then error(sent) end
    if type(sent) == "boolean" or math.type(sent) == "integer" then
      result = new("ValueError", sent)
    else
      result = new("KeyError", "made", 1)
    end
  end
end
