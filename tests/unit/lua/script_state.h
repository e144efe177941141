#ifndef COROD_TESTS_UNIT_LUA_SCRIPT_STATE_H_
#define COROD_TESTS_UNIT_LUA_SCRIPT_STATE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "server/lua/lua_api.h"
#include "server/lua/meter.h"
#include "server/lua/tables.h"

namespace corod::lua {

// A universe of its own: Lua's libraries, with our tables in place of its own unless it is to be `stock`. There, too,
// scripts can call __list, __map and list.
class ScriptState {
 public:
  enum class Kind : std::uint8_t { kOurs, kStock };

  explicit ScriptState(Kind kind = Kind::kOurs) : state_(luaL_newstate(), lua_close) {
    *static_cast<Meter**>(lua_getextraspace(get())) = &meter_;
    luaL_openlibs(get());
    if (kind == Kind::kStock) {
      Run(R"(
        function __list(t) return t end
        function __map(t, n, first, ...)
          local map = {}
          for i = 1, n do map[t[2 * i - 1]] = t[2 * i] end
          for i = 1, select('#', ...) do map[first + i - 1] = (select(i, ...)) end
          return map
        end
        null = setmetatable({}, {__tostring = function() return "null" end})
        function list(...)
          local t = {}
          for i = 1, select('#', ...) do local v = (select(i, ...)) if v == nil then v = null end t[i] = v end
          return t
        end
        function map(t) return t end
      )");
    } else {
      Run("base_next = next");  // Lua's own
      OpenTables(get());
      lua_pushglobaltable(get());
      AddTableFunctions(get());
      lua_pop(get(), 1);
      PushTableLibrary(get());
      // Where Lua looks for names of functions.
      luaL_getsubtable(get(), LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
      lua_pushvalue(get(), -2);
      lua_setfield(get(), -2, "table");
      lua_pop(get(), 1);
      lua_newtable(get());
      NewReadOnly(get());
      lua_setglobal(get(), "table");
      lua_pushlightuserdata(get(), nullptr);
      lua_setglobal(get(), "null");
    }
    // show(...): what the values are, tables with their keys in order.
    Run(R"(
      local function one(v, depth)
        if type(v) ~= "table" then return type(v) == "string" and v or type(v) == "userdata" and "null" or tostring(v) end
        if v == null then return "null" end
        if depth == 0 then return "{...}" end
        local out = ""
        for k, each in pairs(v) do
          out = out .. (out == "" and "" or " ") .. one(k, depth - 1) .. "=" .. one(each, depth - 1)
        end
        return "{" .. out .. "}"
      end
      function show(...)
        local out = ""
        for i = 1, select("#", ...) do out = out .. (i == 1 and "" or " ") .. one((select(i, ...)), 3) end
        return out
      end
      function keys(t)
        local out = ""
        for k in pairs(t) do out = out .. (out == "" and "" or " ") .. one(k, 1) end
        return out
      end
      -- What f raises, without where.
      function fails(f, ...)
        local ok, what = pcall(f, ...)
        if ok then return "no error" end
        return type(what) == "string" and what:gsub("^[^ ]*:%d+: ", "") or "error " .. show(what)
      end
    )");
  }

  lua_State* get() const { return state_.get(); }
  Meter& meter() { return meter_; }

  // What the script returns, as show() puts it; or its error.
  std::string Run(const std::string& script) {
    lua_State* state = get();
    lua_settop(state, 0);
    lua_getglobal(state, "show");
    if (luaL_loadbuffer(state, script.data(), script.size(), "=script") != LUA_OK ||
        lua_pcall(state, 0, LUA_MULTRET, 0) != LUA_OK) {
      return std::string("error: ") + (lua_isstring(state, -1) ? lua_tostring(state, -1) : "?");
    }
    if (!lua_isfunction(state, 1)) return "";
    if (lua_pcall(state, lua_gettop(state) - 1, 1, 0) != LUA_OK)
      return std::string("error: ") + lua_tostring(state, -1);
    std::size_t size = 0;
    const char* text = lua_tolstring(state, -1, &size);
    return {text, size};
  }

  // Bytes that Lua has allocated.
  std::size_t Allocated() const {
    return (static_cast<std::size_t>(lua_gc(get(), LUA_GCCOUNT)) * 1024) +
           static_cast<std::size_t>(lua_gc(get(), LUA_GCCOUNTB));
  }

 private:
  static constexpr std::size_t kPlenty = std::size_t{1} << 50;

  Meter meter_{.instructions = kPlenty, .memory = kPlenty};
  std::unique_ptr<lua_State, void (*)(lua_State*)> state_;
};

}  // namespace corod::lua

#endif  // COROD_TESTS_UNIT_LUA_SCRIPT_STATE_H_
