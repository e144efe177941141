#ifndef COROD_SERVER_LUA_TABLES_H_
#define COROD_SERVER_LUA_TABLES_H_

#include "server/lua/lua_api.h"

// Tables that know the order in which their keys came.
//
// Lua's own order of a table depends on addresses and on a seed that each state draws, so a script that saw it would
// answer differently when its log is run again. Every table that a script can reach therefore has a metatable whose
// __newindex (which Lua calls for keys that are not there) records the key. `pairs` and `next` go first through the
// items by their numbers, then through the other keys in the order in which they came; a key that was set to nil and
// comes again is the last. Items are 1, 2, ... as far as each came behind the one before it; one that was set to nil
// is skipped, and has its place back when it comes again. When a table gets ever more items and most of the earlier
// ones are gone, as in a queue, those behind the first gap count as other keys from then on.
//
// `#` of a table that has never had other keys is Lua's, which for one with gaps depends also on what was read of it:
// read such tables from C++ only as part of a step. `#` of any other is a border that depends on nothing but what was
// set, and where `#` was asked for.
//
// What a script gives to setmetatable is not what Lua then uses as the metatable (metatables.h): lua_getmetatable and
// luaL_getmetafield find the metamethods, and a raw look into the script's table does not.
namespace corod::lua {

// Makes the functions below usable in this state (and all that share its memory), and the metatables of tables.
void OpenTables(lua_State* state);

// In what follows the state runs a session's code (meter.h), but for OpenTables, NewReadOnly, AddTableFunctions and
// PushTableLibrary.

// Pushes an empty table. Room for so many items is made; they can be set with lua_rawseti, too.
void NewList(lua_State* state, int items = 0);
// The same, to be a map even while it is empty.
void NewMap(lua_State* state, int items = 0);

// The table at `index` is a map: it was made as one, or has had a key that was neither the one behind its last item nor
// in front of it.
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

// Gives the table below the top the metatable on the top (a map with the metamethods), which it pops. No script can see
// or change it, so that it may be that of many sessions' tables: lua_getmetatable pushes what lua_setmetatable takes.
void SetSharedMetatable(lua_State* state);

// Makes the table on the top of the stack the one that scripts see in place of a shared one: an empty table through
// which they can read and go through `shared` (popped, below it), and which raises an error when something is set. What
// has been set in `shared` by raw access has the order of its names.
void NewReadOnly(lua_State* state);

// Adds to the table on the top: pairs, next, ipairs, rawset, rawget, rawlen, rawequal, setmetatable, getmetatable,
// list, map; and __list, __map, which source.h's rewriting calls.
void AddTableFunctions(lua_State* state);

// Pushes the library `table`: concat, insert, move, pack, remove, sort (stable), unpack. As in Lua, what sort calls
// cannot yield.
void PushTableLibrary(lua_State* state);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_TABLES_H_
