#ifndef COROD_SERVER_LUA_FORMAT_H_
#define COROD_SERVER_LUA_FORMAT_H_

#include "server/lua/lua_api.h"

namespace corod::lua {

// string.format, without %p. Numbers are written as in the C locale.
int Format(lua_State* state);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_FORMAT_H_
