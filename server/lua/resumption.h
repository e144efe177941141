#ifndef COROD_SERVER_LUA_RESUMPTION_H_
#define COROD_SERVER_LUA_RESUMPTION_H_

#include "server/lua/lua_api.h"

// A yield is what a script does most, and the build of Lua that raises C++ exceptions makes one of each: ten times what
// the rest of a step takes. Those made with these leave Lua with a jump. What they leave behind must hold nothing that
// has a destructor: a library function that calls a function of the script's with a continuation (lua_callk,
// lua_pcallk) has only what is trivial while it does.
namespace corod::lua {

// As lua_resume.
int ResumeState(lua_State* state, lua_State* from, int arguments, int* results);

// As lua_yieldk, in what ResumeState runs. REQUIRES: the caller holds nothing that has a destructor.
[[noreturn]] void YieldState(lua_State* state, int results, lua_KFunction continuation);

// Both can be done in this build of Lua. `state` is one in which nothing runs.
bool KnowsYields(lua_State* state);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_RESUMPTION_H_
