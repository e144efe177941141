#ifndef COROD_SERVER_LUA_METATABLES_H_
#define COROD_SERVER_LUA_METATABLES_H_

#include <cstddef>
#include <cstdint>

#include "server/lua/lua_api.h"

// What stands between scripts and the metatables of their tables; for tables.cc and key_order.cc alone.
//
// No script can reach a table that Lua uses as a metatable: it would only have to write `mt.__newindex = nil`, which
// Lua does without asking anybody, and new keys would go past us. A table that a script gives to setmetatable has a
// hidden *shadow*, and that is what Lua uses. The fields that mean something to Lua in a metatable, *events* (__index,
// __add, ...), are held in the shadow alone and never in the script's table itself, so Lua has to ask us whenever a
// script reads or sets one; all others are held in the script's table as in any other.
namespace corod::lua {

// What tables hold beside what scripts see lies under light userdata of these bits. Scripts have none but null; and
// where they lie in Lua's hash does not depend on addresses, as it must not in lists, whose `#` is Lua's own.
enum class Hidden : std::uintptr_t {
  kOrder = 1,    // in a table: what is known of the order of its keys (key_order.h)
  kShadow,       // in a table: its shadow
  kOwner,        // in a shadow: the table that it belongs to
  kIndex,        // in a shadow: its __index, where Lua has to ask us first
  kNewIndex,     // in a shadow: its __newindex, likewise
  kClose,        // in a shadow: its __close
  kCommon,       // in a shadow: it is that of tables of many sessions
  kShared,       // in the metatable of a read-only table: what can be read through it
  kNoKey,        // not in a table: stands for a key in an order
  kListMeta,     // in the registry: the metatables of tables that scripts gave none: without an order,
  kOrderedMeta,  // with one,
  kShadowedMeta  // with a shadow.
};

// Pushes what a table holds there, and returns its type.
int PushHidden(lua_State* state, int table, Hidden what);
// Pops what it is to hold there.
void SetHidden(lua_State* state, int table, Hidden what);

// What the meter counts: for a table, for each item that is added to a list, and for each other key.
inline constexpr std::size_t kTableBytes = 120;
inline constexpr std::size_t kItemBytes = 16;
inline constexpr std::size_t kKeyBytes = 80;

// The metamethods of all tables: of new keys, and of `#` where it is not Lua's own.
int NewIndex(lua_State* state);
int Length(lua_State* state);

void OpenMetatables(lua_State* state);

// Pushes one of the metatables that scripts did not give.
void PushMetatable(lua_State* state, Hidden which);

// In what follows `table` and `metatable` are indices that stay right when something is pushed.

// The key at `index` is the name of an event.
bool IsEvent(lua_State* state, int index);

// For the event whose name is on the top (and stays): pushes what a script finds under it in the table, and returns
// its type.
int PushEvent(lua_State* state, int table);
// Pops the name of an event and what it is to be.
void SetEvent(lua_State* state, int table);

// The table is to have the metatable of those that scripts gave none,
void ClearMetatable(lua_State* state, int table);
// or this one.
void UseMetatable(lua_State* state, int table, int metatable);
// If it has the first, it may be another now: the table got an order.
void RefreshMetatable(lua_State* state, int table);
// Its metatable, which no script gave it, is that of many sessions' tables: what one of them does must not change it.
void ShareMetatable(lua_State* state, int table);
// What a script sees as its metatable (pushed).
void PushVisibleMetatable(lua_State* state, int table);

// A metatable for the table on the top, which is empty: to read through it what the table below it holds. Pops that.
void MakeReadOnly(lua_State* state);
// Pushes the table that is read through this one; false (and nothing pushed): it is not read-only.
bool PushShared(lua_State* state, int table);
// Raises the error for setting the key at `index` of such a table.
[[noreturn]] void RaiseReadOnly(lua_State* state, int index);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_METATABLES_H_
