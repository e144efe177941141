#ifndef COROD_TESTS_UNIT_LUA_LIBRARY_STATE_H_
#define COROD_TESTS_UNIT_LUA_LIBRARY_STATE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "server/lua/libraries.h"
#include "server/lua/meter.h"

namespace corod::lua {

// A Lua with all of its own libraries or, instead of some of them, ours, which are metered.
class LibraryState {
 public:
  enum class Libraries : std::uint8_t { kOurs, kStock };

  explicit LibraryState(Libraries libraries = Libraries::kOurs) : state_(lua_newstate(Allocate, this)) {
    *static_cast<Meter**>(lua_getextraspace(state_)) = &meter;
    luaL_openlibs(state_);
    if (libraries == Libraries::kOurs) {
      Replace("string", PushStringLibrary);
      Replace("utf8", PushUtf8Library);
      lua_pushliteral(state_, "");
      lua_getmetatable(state_, -1);
      lua_getglobal(state_, "string");
      lua_setfield(state_, -2, "__index");
      lua_pop(state_, 2);
    }
    Allow(kUnlimited, kUnlimited);
  }
  ~LibraryState() { lua_close(state_); }
  LibraryState(const LibraryState&) = delete;
  LibraryState& operator=(const LibraryState&) = delete;

  lua_State* get() const { return state_; }

  // What ours may use from here on.
  void Allow(std::uint64_t instructions, std::size_t memory) {
    meter = {.instructions = instructions, .memory = memory};
    lua_sethook(state_, CountInstructions, LUA_MASKCOUNT, kHookInterval);
  }

  // What a chunk returns, or the one text "error: ..."; with "abort: ..." if the meter ended it.
  std::vector<std::string> Run(const std::string& chunk) {
    lua_settop(state_, 0);
    const bool failed = luaL_loadbuffer(state_, chunk.data(), chunk.size(), "=chunk") != LUA_OK ||
                        lua_pcall(state_, 0, LUA_MULTRET, 0) != LUA_OK;
    return TakeResults(failed);
  }

  // All on the stack as texts that tell types apart; pops it.
  std::vector<std::string> TakeResults(bool failed) {
    std::vector<std::string> results;
    if (meter.abort != Abort::kNone) {
      results.emplace_back(meter.abort == Abort::kMemory ? "abort: memory" : "abort: instructions");
    } else if (failed) {
      results.push_back("error: " + Show(-1));
    } else {
      for (int i = 1; i <= lua_gettop(state_); ++i) results.push_back(Show(i));
    }
    lua_settop(state_, 0);
    return results;
  }

  static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max() / 2;

  Meter meter;
  std::size_t lua_bytes = 0;  // that Lua has allocated so far

 private:
  static constexpr int kHookInterval = 1000;

  void Replace(const char* name, void (*push)(lua_State*)) {
    push(state_);
    luaL_getsubtable(state_, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(state_, -2);
    lua_setfield(state_, -2, name);
    lua_pop(state_, 1);
    lua_setglobal(state_, name);
  }

  // Numbers as numerals that tell floats from integers and are exact; texts in quotes.
  std::string Show(int index) const {
    switch (lua_type(state_, index)) {
      case LUA_TSTRING: {
        std::size_t size = 0;
        const char* const bytes = lua_tolstring(state_, index, &size);
        return "'" + std::string(bytes, size) + "'";
      }
      case LUA_TNUMBER: {
        char text[64];
        std::snprintf(text, sizeof text, "%a", lua_tonumber(state_, index));
        return lua_isinteger(state_, index) != 0 ? std::to_string(lua_tointeger(state_, index)) : text;
      }
      case LUA_TBOOLEAN:
        return lua_toboolean(state_, index) != 0 ? "true" : "false";
      default:
        return luaL_typename(state_, index);
    }
  }

  static void CountInstructions(lua_State* state, lua_Debug*) {
    Meter& meter = MeterOf(state);
    if (meter.abort != Abort::kNone) RaiseAbort(state, meter.abort);
    Charge(state, kHookInterval);
  }

  static void* Allocate(void* self, void* block, std::size_t old_size, std::size_t new_size) {
    if (new_size == 0) {
      std::free(block);
      return nullptr;
    }
    // Of a new block, the size that it had is a type.
    const std::size_t had = block == nullptr ? 0 : old_size;
    if (new_size > had) static_cast<LibraryState*>(self)->lua_bytes += new_size - had;
    return std::realloc(block, new_size);
  }

  lua_State* const state_;
};

}  // namespace corod::lua

#endif  // COROD_TESTS_UNIT_LUA_LIBRARY_STATE_H_
