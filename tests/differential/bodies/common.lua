-- What the scripts share; it stands before each of them. The bodies of a .lua are those of the .py of its name, and in
-- its order: functions that are not local. Each of them is a coroutine of the catalog, so that others can delegate to
-- it. A `try` with its `except` is an xpcall, `finally` is finally(). log(text) leaves a line beside the
-- outcomes, kind(value) is Python's name of its type.

-- The handler of an xpcall that is `except name as e`.
local function except(name, handle)
  return function(e)
    if not isinstance(e, name) then error(e) end
    return handle(e)
  end
end

local function raise(type, ...)
  error{type = type, arguments = list(...)}
end

local function raise_from(cause, type, ...)
  error{type = type, arguments = list(...), cause = cause}
end

-- An exception for later. Not to be called in a handler: what is handled there would become its context.
local function new(type, ...)
  local _, e = pcall(raise, type, ...)
  return e
end

local function caught(e)
  return {"caught", e}
end

local function described(e)
  return e.type .. ":" .. e.message
end
