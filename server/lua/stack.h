#ifndef COROD_SERVER_LUA_STACK_H_
#define COROD_SERVER_LUA_STACK_H_

#include <cstddef>

#include "server/lua/lua_api.h"

// The stacks of Lua's threads. Lua lets each grow to 16 MiB, without a word to whoever counts memory: when it grows and
// shrinks depends on the collector.
namespace corod::lua {

// What the thread's stack takes, with the records of its calls, by what is on it.
std::size_t StackBytes(lua_State* thread);

// Charges the session whose code the thread runs for what its stack has grown to. To be called whenever the thread
// stops in favour of another one, so that only the one that runs is not counted, and now and then.
void ChargeStack(lua_State* thread);

// From one activation to the one that called it; false: there is none. In constant time, as lua_getstack is not.
bool GoToCaller(lua_Debug* activation);

// Both can be told of this thread, which has room for some values.
bool KnowsStack(lua_State* thread);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_STACK_H_
