#ifndef COROD_SERVER_LUA_KEY_ORDER_H_
#define COROD_SERVER_LUA_KEY_ORDER_H_

#include <cstdint>

#include "server/lua/lua_api.h"

// What is known of the order of a table's keys, without a look at how Lua holds them; for tables.cc alone.
//
// A table is a list until it gets a key that is neither among its items nor the next one. A list needs no record of its
// order; only of more than a few it says in which range they are, so that those behind a gap are found. Any other table
// has a record: how many items it had as a list, or has got since, and the keys that came otherwise, in that order.
// Lua does not tell us when a key is set to nil, so a record has entries that are dead; it is made anew without them
// when it has to grow.
namespace corod::lua {

// In what follows `table` is an index that stays right when something is pushed.

bool HasOrder(lua_State* state, int table);

// Gives the table a record, if it has none, with room for so many keys.
void MakeOrder(lua_State* state, int table, int room);

// Of a new table whose items 1 to `count` were set past us; some of them may be nil.
void SetItems(lua_State* state, int table, lua_Integer count);

// table[item] = value for the value on the top, which is popped. False (and nothing done): it is no item of the table's
// list. REQUIRES: the table lacks it, and the value is not nil.
bool AddItem(lua_State* state, int table, lua_Integer item);

// Makes the key at `key` the last one. REQUIRES: the table lacks it, and it is no item. It may have been there before,
// unless it is `fresh`.
void AddKey(lua_State* state, int table, int key, bool fresh);

// Pushes what a script finds in the table, without metamethods, under the key on the top (which stays), and returns its
// type.
int PushSeen(lua_State* state, int table);

enum class Next : std::uint8_t { kEntry, kEnd, kUnknownKey };

// Of what comes behind the key at `key` (nil: of the first entry) pushes key and value, above what else it pushes. The
// key is there, or was when the last new key came.
Next PushNext(lua_State* state, int table, int key);

// A place in the order: 0 before all; n at the item n; beyond the items, at another key.
using Place = lua_Integer;

// Pushes key and value of what comes behind the place, and returns its own; 0 (and nothing pushed): nothing does.
// REQUIRES: no key came since the place was told.
Place PushEntryBehind(lua_State* state, int table, Place place);

// A border of the table.
lua_Integer Border(lua_State* state, int table);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_KEY_ORDER_H_
