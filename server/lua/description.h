#ifndef COROD_SERVER_LUA_DESCRIPTION_H_
#define COROD_SERVER_LUA_DESCRIPTION_H_

#include <string>
#include <variant>

#include "server/catalog/definition.h"
#include "server/coroutine/value.h"
#include "server/lua/lua_api.h"

// What a script says of itself. It returns its function, whose parameters are then optional and take any value, or a
// table: `run`, the function; `state`, what a restartable script keeps, which is then the function's first argument;
// `parameters`, a list of names or of tables with name, type, default and documentation; summary, documentation, sends,
// sends_kind, yields, returns, stops_when, all of them texts.
namespace corod::lua {

// As Thread::Main, of a script that is only to be looked at: runs it, and returns a description of what it returns.
int Describe(lua_State* state);

// The definition that a description is, but for name, version and what makes it; or what is wrong with it.
std::variant<Definition, std::string> ReadDescription(const Value& description);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_DESCRIPTION_H_
