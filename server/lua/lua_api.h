#ifndef COROD_SERVER_LUA_LUA_API_H_
#define COROD_SERVER_LUA_LUA_API_H_

// Lua 5.4, the build of it that raises errors as C++ exceptions: a C++ function that Lua calls may hold objects with
// destructors while it calls Lua, but for calls that may yield (resumption.h). Nobody catches what Lua throws (no
// `catch (...)` around a call of Lua's).
#include <lua.hpp>  // IWYU pragma: export

#endif  // COROD_SERVER_LUA_LUA_API_H_
