#ifndef COROD_SERVER_LUA_TABLES_H_
#define COROD_SERVER_LUA_TABLES_H_

#include "server/lua/lua_api.h"

// Tables that know the order in which their keys came.
//
// Lua's own order of a table depends on addresses and on a seed that each state draws, so a script that saw it would
// answer differently when its log is run again. Every table that a script can reach therefore has a metatable whose
// __newindex (which Lua calls for keys that are not there) records the key. `pairs` and `next` go first through 1, 2,
// ... up to the first nil, then through the other keys in the order in which they came; a key that was set to nil and
// comes again is the last. `#` of a table whose keys are all integers is Lua's; of any other it is a border that
// depends on nothing but what was done to the table.
namespace corod::lua {

// Makes the functions below usable in this state (and all that share its memory), and the metatables of tables.
void OpenTables(lua_State* state);

// Pushes an empty table. Room for so many items is made.
void NewList(lua_State* state, int items = 0);
// The same, to be a map even while it is empty.
void NewMap(lua_State* state, int items = 0);

// The table at `index` is a map: it was made as one, or has had a key other than 1, 2, ... at its end.
bool IsMap(lua_State* state, int index);

// table[key] = value for the key and the value on the stack, which it pops; without metamethods, in order. Raises an
// error if the key is nil, NaN, or a metamethod that scripts may not have (`__gc`, `__mode`), or the table is
// read-only. Charges memory.
void Set(lua_State* state, int index);

// A border: 0, or an n with t[n] ~= nil and t[n + 1] == nil. Constant time, but for tables with holes.
lua_Integer LengthOf(lua_State* state, int index);

// For going through a table in order from C++: pushes key and value of the entry at `*position` (0: the first) or
// behind it, and moves `*position` behind that; false (and nothing pushed) at the end. REQUIRES: no key is added
// meanwhile.
bool NextEntry(lua_State* state, int index, lua_Integer* position);

// Makes the table on the top of the stack the one that scripts see in place of a shared one: an empty table through
// which they can read and go through `shared` (popped, below it), and which raises an error when something is set.
void NewReadOnly(lua_State* state);

// Adds to the table on the top: pairs, next, ipairs, rawset, rawget, rawlen, rawequal, setmetatable, getmetatable,
// list, map; and __list, __map, which source.h's rewriting calls.
void AddTableFunctions(lua_State* state);

// Pushes the library `table`: concat, insert, move, pack, remove, sort (stable), unpack. As in Lua, what sort calls
// cannot yield.
void PushTableLibrary(lua_State* state);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_TABLES_H_
