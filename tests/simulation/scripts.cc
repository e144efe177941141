#include "tests/simulation/scripts.h"

#include "server/coroutine/value.h"

namespace corod {
namespace {

struct Script {
  const char* name;
  const char* source;  // behind `local K <const> = ...`, on the same line
};

constexpr Script kScripts[] = {
    {"lua_adder", R"(return function()
  local total = 0
  while true do
    local n = yield(total)
    if math.type(n) ~= "integer" then error("no integer") end
    total = total + n * K
  end
end)"},
    // Begins anew when a ValueError is thrown in, twice.
    {"lua_careful", R"(return function()
  local said, steps = {}, 0
  finally(function() if #said % 2 == 0 then error{type = "KeyError", message = "even"} end end)
  local function round()
    local _ <close> = finally(function(e) said[#said + 1] = e.type end)
    while true do
      steps = steps + 1
      yield(steps * K)
    end
  end
  while true do
    local _, e = pcall(round)
    if e.type == "GeneratorExit" then return said end
    if #said == 3 then error(e) end
  end
end)"},
    {"lua_unit", R"(return function(start)
  local sum = 0
  for _ = 1, 2 do
    local n = yield(start + sum + 1000 * K)
    if math.type(n) ~= "integer" then error{type = "TypeError", message = "no integer"} end
    sum = sum + n
  end
  return sum
end)"},
    {"lua_deputy", R"(return function()
  local done = 0
  yield("ready")
  while true do
    local ok, sum = pcall(delegate, "lua_unit", {start = done})
    if not ok and (sum.type == "GeneratorExit" or sum.type == "LookupError") then error(sum) end
    done = done + (ok and sum or 1)
  end
end)"},
    {"lua_clerk", R"(return function()
  local sum = 0
  while true do
    local ok, n = pcall(delegate, "obedient")
    if not ok and n.type ~= "ValueError" then error(n) end
    sum = sum + K * (ok and n or -1)
    yield(sum)
  end
end)"},
    {"lua_keeper", R"(return {
  state = {total = 0, seen = {}},
  run = function(state)
    while true do
      local seen = state.seen
      local ok, n = pcall(yield, list(state.total, #seen, seen[#seen], K))
      if not ok then
        if n.type ~= "ValueError" then error(n) end
        state.total, state.seen = -state.total, {}
      else
        if math.type(n) ~= "integer" then error{type = "TypeError", message = "no integer"} end
        state.total = state.total + K * n
        if #seen == 3 then table.remove(seen, 1) end
        seen[#seen + 1] = n
      end
    end
  end,
})"},
    {"lua_raiser", R"(return function()
  local out
  while true do
    local order = yield(out)
    if type(order) ~= "table" then error("no order") end
    if order["return"] then return order["return"] * K end
    if order.raise then
      local _, e = pcall(error, {type = "ValueError", message = "inner"})
      error{type = "KeyError", message = "k" .. order.raise * K, cause = e}
    end
    out = order.yield * K
  end
end)"},
    {"lua_spread", R"(return function()
  local out
  while true do
    local n = yield(out)
    out = math.type(n) == "integer" and {n, n * K} or nil
  end
end)"},
    {"lua_chain", R"(return function()
  local hash, out = 0, nil
  while true do
    local ok, v = pcall(yield, out)
    if ok then
      hash = (hash * 31 + v) % 65521
      out = hash
    elseif v.type == "ValueError" then
      out = -1
    else
      return hash
    end
  end
end)"},
};

}  // namespace

const std::vector<ScriptedKind>& ScriptedKinds() {
  static const auto* const kinds = new std::vector<ScriptedKind>{
      {"lua_adder", "lua_adder", "lua_adder", nullptr},
      {"lua_careful", "lua_careful", "lua_careful", nullptr},
      {"lua_clerk", "lua_clerk", "lua_clerk", nullptr},
      {"lua_deputy", "lua_deputy", "lua_unit", "lua_deputy"},
      {"lua_keeper", "lua_keeper", "lua_keeper", nullptr},
      {"lua_raiser", "lua_raiser", "lua_raiser", nullptr},
      {"spreading_pipeline", "pipeline", "lua_spread", "lua_chain"},
      {"tallying_pipeline", "pipeline", "lua_adder", nullptr},
  };
  return *kinds;
}

const ScriptedKind* FindScriptedKind(std::string_view name) {
  for (const ScriptedKind& kind : ScriptedKinds()) {
    if (name == kind.name) return &kind;
  }
  return nullptr;
}

Map ArgumentsOf(const ScriptedKind& kind) {
  const std::string_view name = kind.name;
  if (name == "spreading_pipeline") {
    const Map spread{{"coroutine", "lua_spread"}, {"each", true}};
    return {{"stages", List{spread, Map{{"coroutine", "averager"}}, Map{{"coroutine", "lua_chain"}}}},
            {"collect", true}};
  }
  if (name == "tallying_pipeline") {
    return {{"stages", List{Map{{"coroutine", "tallying"}}, Map{{"coroutine", "lua_adder"}}}}};
  }
  return {};
}

std::string SourceOf(std::string_view script, std::int64_t variant) {
  for (const Script& known : kScripts) {
    if (script == known.name) return "local K <const> = " + std::to_string(variant) + " " + known.source;
  }
  return {};
}

}  // namespace corod
