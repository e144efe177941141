#ifndef COROD_SERVER_LUA_VALUES_H_
#define COROD_SERVER_LUA_VALUES_H_

#include <cstddef>

#include "server/coroutine/value.h"
#include "server/lua/lua_api.h"

// Values as scripts see them (docs/authors.md has the table):
//
//     null         nil by itself, `null` inside a list or a map
//     boolean, integer, number, text      the same
//     blob         what bytes(text) makes; tostring gives the bytes, # their number
//     list         a table with 1, 2, ...
//     map          a table with texts as keys, in their order; map{} if it is empty
//     message      an opaque object
//     exception    a table (exceptions.h)
namespace corod::lua {

// Makes the functions below usable in this state.
void OpenValues(lua_State* state);

// Pushes what a script sees of a value.
void PushValue(lua_State* state, const Value& value);

// What the script's value at `index` is. Raises ValueError for a text that is not UTF-8, a table that is neither list
// nor map, or one that is too deep; TypeError for what is no value (a function, a coroutine).
Value ToValue(lua_State* state, int index);

// What an object that is no table holds beside itself, in bytes.
std::size_t BytesBehind(lua_State* state, int index);
// The same for values that scripts do not see, without the exceptions in them.
std::size_t SizeOf(const Value& value);
std::size_t SizeOf(const List& list);

// Pushes `null`; the name of a value's type.
void PushNull(lua_State* state);
const char* TypeNameOf(lua_State* state, int index);

// Adds to the table on the top: null, bytes, type.
void AddValueFunctions(lua_State* state);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_VALUES_H_
