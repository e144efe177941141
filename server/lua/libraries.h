#ifndef COROD_SERVER_LUA_LIBRARIES_H_
#define COROD_SERVER_LUA_LIBRARIES_H_

#include "server/lua/lua_api.h"

// The libraries that scripts see, in place of Lua's own: the same functions with the same results, but deterministic
// (no addresses, no order of hashes, no locale), within the budget of a step (meter.h), and without what reaches out of
// the script. Each pushes a table of functions. As in Lua, what gsub calls cannot yield.
namespace corod::lua {

// byte, char, find, format, gmatch, gsub, len, lower, match, rep, reverse, sub, upper.
void PushStringLibrary(lua_State* state);

// char, charpattern, codes, codepoint, len, offset.
void PushUtf8Library(lua_State* state);

// Lua's without random and randomseed. What is not exact by IEEE 754 is correctly rounded (mathematics.h).
void PushMathLibrary(lua_State* state);

// create, close, isyieldable, resume, running, status, wrap, yield. What ends a step ends it also from within.
void PushCoroutineLibrary(lua_State* state);

// All that scripts find without having defined it. Opened once for all states that share a memory. `more`: adds to the
// table that it is called with; nullptr: nothing.
void OpenLibraries(lua_State* state, lua_CFunction more);
// Pushes an empty table of globals, behind which that stands.
void PushGlobals(lua_State* state);
// Pushes __list and __map (tables.h), which rewritten sources call.
void PushConstructors(lua_State* state);

// As tostring does, for any value, without its __tostring: pushes the text of the value at `index`. Of what Lua shows
// by its address, the type's name alone.
void PushText(lua_State* state, int index);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_LIBRARIES_H_
