#ifndef COROD_TESTS_UNIT_LUA_SEMANTICS_H_
#define COROD_TESTS_UNIT_LUA_SEMANTICS_H_

#include <string>

#include "server/coroutine/exception.h"
#include "server/lua/lua_api.h"
#include "tests/unit/coroutine/coroutine_fixture.h"
#ifdef COROD_TEST_DROPPED
#include "tests/unit/coroutine/dropped.h"
#endif
#include "tests/unit/lua/driving.h"

namespace corod::lua {

// What scripts leave behind with `log(text)` and `log(exception)`, in order.
inline Log logged;

inline std::string TextField(lua_State* state, int index, const char* name) {
  lua_getfield(state, index, name);
  const char* text = lua_tostring(state, -1);
  std::string copy = text ? text : "nil";
  lua_pop(state, 1);
  return copy;
}

// ChainText of what the script sees.
inline std::string SeenChain(lua_State* state, int index) {
  std::string chain = TextField(state, index, "type");
  const std::string message = TextField(state, index, "message");
  if (!message.empty()) chain += ": " + message;
  if (lua_getfield(state, index, "cause") == LUA_TTABLE) chain += " <cause " + TextField(state, -1, "type") + ">";
  lua_settop(state, index);
  lua_pushvalue(state, index);
  while (lua_getfield(state, -1, "context") == LUA_TTABLE) chain += " <ctx " + TextField(state, -1, "type") + ">";
  lua_settop(state, index);
  return chain;
}

inline int AddLog(lua_State* state) {
  lua_pushcfunction(state, [](lua_State* in) {
    lua_settop(in, 1);
    logged.push_back(lua_istable(in, 1) ? SeenChain(in, 1) : luaL_tolstring(in, 1, nullptr));
    return 0;
  });
  lua_setfield(state, 1, "log");
  return 0;
}

// The fixture of coroutine_test, for bodies that are scripts: `Driven g = MADE(Create(kSource));`. A test that must
// have the coroutine itself stands in semantics_exclusions.cc with the reason.
class SemanticsTest : public CoroutineTest, protected ScriptCatalog {
 protected:
  SemanticsTest() : ScriptCatalog(&AddLog) { logged.clear(); }
};

// A function with a `try: body finally: cleanup`, in each way in which scripts have one. `e` is what cleanup sees.
struct FinallyForm {
  const char* name;
  const char* begin;
  const char* between;

  std::string Around(const std::string& cleanup, const std::string& body) const {
    return begin + cleanup + between + body + " end";
  }
};
inline constexpr FinallyForm kFinallyForms[] = {
    {"finally(f) of a block", "return function(given) local _ <close> = finally(function(e) ", " end) "},
    {"finally(f) of the body", "return function(given) finally(function(e) ", " end) "},
    {"__close", "return function(given) local _ <close> = setmetatable({}, {__close = function(_, e) ", " end}) "},
};

inline Exception ValueErrorV() { return Exception("ValueError", {"v"}); }
inline Exception KeyErrorA() { return Exception("KeyError", {"a"}); }

}  // namespace corod::lua

#endif  // COROD_TESTS_UNIT_LUA_SEMANTICS_H_
