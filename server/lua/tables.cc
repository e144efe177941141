#include "server/lua/tables.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <string_view>
#include <vector>

#include "server/lua/key_order.h"
#include "server/lua/metatables.h"
#include "server/lua/meter.h"

namespace corod::lua {
namespace {

// What a function here needs of the stack, with all that it calls.
constexpr int kStack = 20;

// What a new key takes beside its instruction: it goes into three tables.
constexpr std::uint64_t kKeyInstructions = 40;

// Scripts have no light userdata but null, and what tables hold under others (metatables.h) is not for them.
void CheckNotHidden(lua_State* state, int key) {
  if (lua_islightuserdata(state, key) && lua_touserdata(state, key) != nullptr) {
    luaL_error(state, "table index is light userdata");
  }
}

// For the key and the value on the top, which it pops: sets the key, which the table lacks. `fresh`: it never had it.
void SetAbsent(lua_State* state, int table, bool fresh) {
  const int value = lua_gettop(state);
  const int key = value - 1;
  bool event = false;
  switch (lua_type(state, key)) {
    case LUA_TNIL:
      luaL_error(state, "table index is nil");
      break;
    case LUA_TNUMBER: {
      int exact = 0;
      const lua_Integer integer = lua_tointegerx(state, key, &exact);
      if (exact != 0) {
        if (lua_isnil(state, value)) break;
        if (AddItem(state, table, integer)) {
          lua_pop(state, 1);
          return;
        }
        // As Lua does with a float.
        lua_pushinteger(state, integer);
        lua_replace(state, key);
      } else if (std::isnan(lua_tonumber(state, key))) {
        luaL_error(state, "table index is NaN");
      }
      break;
    }
    case LUA_TSTRING:
      event = IsEvent(state, key);
      break;
    case LUA_TLIGHTUSERDATA:
      CheckNotHidden(state, key);
      break;
    default:
      break;
  }
  if (event) {
    const std::string_view name = lua_tostring(state, key);
    if ((name == "__gc" || name == "__mode") && !lua_isnil(state, value)) {
      luaL_error(state, "tables cannot have a field '%s'", lua_tostring(state, key));
    }
    lua_pushvalue(state, key);
    const bool there = PushEvent(state, table) != LUA_TNIL;
    lua_settop(state, value);
    if (!there && lua_isnil(state, value)) {
      lua_settop(state, key - 1);
      return;
    }
    if (!there) {
      ChargeMemory(state, kKeyBytes);
      AddKey(state, table, key, fresh);
    }
    SetEvent(state, table);
    return;
  }
  if (lua_isnil(state, value)) {
    lua_settop(state, key - 1);
    return;
  }
  Charge(state, kKeyInstructions);
  ChargeMemory(state, kKeyBytes);
  AddKey(state, table, key, fresh);
  lua_rawset(state, table);
}

// For the key and the value on the top: sets the key (and pops them) if the table has it, as Lua would by itself.
bool SetPresent(lua_State* state, int table) {
  CheckNotHidden(state, -2);
  lua_pushvalue(state, -2);
  const bool there = lua_rawget(state, table) != LUA_TNIL;
  lua_pop(state, 1);
  if (there) lua_rawset(state, table);
  return there;
}

int NextFunction(lua_State* state) {
  luaL_checktype(state, 1, LUA_TTABLE);
  lua_settop(state, 2);
  const Next next = PushNext(state, 1, 2);
  if (next == Next::kEntry) return 2;
  // A read-only table is empty itself.
  if (PushShared(state, 1)) {
    lua_replace(state, 1);
    return NextFunction(state);
  }
  if (next == Next::kUnknownKey) return luaL_error(state, "invalid key to 'next'");
  lua_pushnil(state);
  return 1;
}

int FinishPairs(lua_State*, int, lua_KContext) { return 3; }

int Pairs(lua_State* state) {
  luaL_checkany(state, 1);
  if (luaL_getmetafield(state, 1, "__pairs") == LUA_TNIL) {
    lua_pushcfunction(state, NextFunction);
    lua_pushvalue(state, 1);
    lua_pushnil(state);
    return 3;
  }
  lua_pushvalue(state, 1);
  lua_callk(state, 1, 3, 0, FinishPairs);
  return FinishPairs(state, LUA_OK, 0);
}

int NextItem(lua_State* state) {
  const auto item = static_cast<lua_Integer>(static_cast<lua_Unsigned>(luaL_checkinteger(state, 2)) + 1);
  lua_pushinteger(state, item);
  return lua_geti(state, 1, item) == LUA_TNIL ? 1 : 2;
}

int Ipairs(lua_State* state) {
  luaL_checkany(state, 1);
  lua_pushcfunction(state, NextItem);
  lua_pushvalue(state, 1);
  lua_pushinteger(state, 0);
  return 3;
}

int RawSet(lua_State* state) {
  luaL_checktype(state, 1, LUA_TTABLE);
  luaL_checkany(state, 2);
  luaL_checkany(state, 3);
  lua_settop(state, 3);
  Set(state, 1);
  return 1;
}

int RawGet(lua_State* state) {
  luaL_checktype(state, 1, LUA_TTABLE);
  luaL_checkany(state, 2);
  lua_settop(state, 2);
  if (PushSeen(state, 1) == LUA_TNIL && PushShared(state, 1)) {
    lua_pushvalue(state, 2);
    PushSeen(state, 4);
  }
  return 1;
}

int RawLen(lua_State* state) {
  const int type = lua_type(state, 1);
  luaL_argexpected(state, type == LUA_TTABLE || type == LUA_TSTRING, 1, "table or string");
  lua_pushinteger(state, type == LUA_TTABLE ? LengthOf(state, 1) : static_cast<lua_Integer>(lua_rawlen(state, 1)));
  return 1;
}

int RawEqual(lua_State* state) {
  luaL_checkany(state, 1);
  luaL_checkany(state, 2);
  lua_pushboolean(state, lua_rawequal(state, 1, 2));
  return 1;
}

int GetMetatable(lua_State* state) {
  luaL_checkany(state, 1);
  if (lua_istable(state, 1)) {
    PushVisibleMetatable(state, 1);
  } else {
    lua_pushnil(state);
  }
  return 1;
}

int SetMetatable(lua_State* state) {
  luaL_checktype(state, 1, LUA_TTABLE);
  const int type = lua_type(state, 2);
  luaL_argexpected(state, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
  if (PushShared(state, 1) || luaL_getmetafield(state, 1, "__metatable") != LUA_TNIL) {
    return luaL_error(state, "cannot change a protected metatable");
  }
  lua_settop(state, 2);
  if (type == LUA_TNIL) {
    ClearMetatable(state, 1);
  } else if (PushShared(state, 2)) {
    return luaL_error(state, "a read-only table cannot be a metatable");
  } else {
    UseMetatable(state, 1, 2);
  }
  lua_settop(state, 1);
  return 1;
}

// list(...): nil becomes null, so that there are no gaps.
int MakeList(lua_State* state) {
  const int count = lua_gettop(state);
  Charge(state, static_cast<std::uint64_t>(count));
  ChargeMemory(state, kTableBytes + (kItemBytes * static_cast<std::size_t>(count)));
  lua_createtable(state, count, 0);
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_setmetatable(state, -2);
  lua_insert(state, 1);
  for (int i = count; i >= 1; --i) {
    if (lua_isnil(state, -1)) {
      lua_pop(state, 1);
      lua_pushlightuserdata(state, nullptr);
    }
    lua_rawseti(state, 1, i);
  }
  SetItems(state, 1, count);
  return 1;
}

// map(t)
int MakeMap(lua_State* state) {
  luaL_checktype(state, 1, LUA_TTABLE);
  if (PushShared(state, 1)) return luaL_error(state, "the table is read-only");
  lua_settop(state, 1);
  if (!HasOrder(state, 1)) {
    ChargeMemory(state, kKeyBytes);
    MakeOrder(state, 1, 0);
  }
  return 1;
}

// __list{...}: makes the table that Lua has just constructed one of ours.
int TakeList(lua_State* state) {
  luaL_checktype(state, 1, LUA_TTABLE);
  lua_settop(state, 1);
  if (lua_getmetatable(state, 1)) {
    // A script calls this by itself.
    lua_settop(state, 1);
    return 1;
  }
  // Some may be nil, so this need not be the last; but Lua looks for others only behind it.
  auto last = static_cast<lua_Integer>(lua_rawlen(state, 1));
  if (last == 0) {
    lua_pushnil(state);
  } else {
    lua_pushinteger(state, last);
  }
  while (lua_next(state, 1)) {
    lua_pop(state, 1);
    if (lua_isinteger(state, -1)) last = std::max(last, lua_tointeger(state, -1));
  }
  Charge(state, static_cast<std::uint64_t>(last));
  ChargeMemory(state, kTableBytes + (kItemBytes * static_cast<std::size_t>(last)));
  SetItems(state, 1, last);
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_setmetatable(state, 1);
  return 1;
}

// __map({key, value, ...}, pairs, first, ...): a table of the pairs, and of what follows `first` from that index on.
int TakeMap(lua_State* state) {
  luaL_checktype(state, 1, LUA_TTABLE);
  const lua_Integer pairs = luaL_checkinteger(state, 2);
  const int extras = std::max(lua_gettop(state) - 3, 0);
  const lua_Integer first = extras > 0 ? luaL_checkinteger(state, 3) : 1;
  luaL_argcheck(state, pairs >= 0 && pairs <= INT_MAX / 2, 2, "out of range");
  Charge(state, static_cast<std::uint64_t>(pairs) + static_cast<std::uint64_t>(extras));
  ChargeMemory(state, kTableBytes);
  // Those that are there, but for some nil at the end.
  const auto room =
      static_cast<int>(std::min<lua_Integer>(pairs, static_cast<lua_Integer>(lua_rawlen(state, 1) / 2) + 1));
  lua_createtable(state, extras, room + 1);
  const int table = lua_gettop(state);
  MakeOrder(state, table, room);
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_setmetatable(state, table);
  bool fresh = true;
  for (lua_Integer i = 1; i <= pairs; ++i) {
    lua_rawgeti(state, 1, (2 * i) - 1);
    // {x = 1, x = nil, x = 2}
    if (lua_rawgeti(state, 1, 2 * i) == LUA_TNIL) fresh = false;
    if (!SetPresent(state, table)) SetAbsent(state, table, fresh);
  }
  for (int i = 0; i < extras; ++i) {
    // Beyond the last integer it goes on as Lua's do.
    lua_pushinteger(state, static_cast<lua_Integer>(static_cast<lua_Unsigned>(first) + static_cast<lua_Unsigned>(i)));
    lua_pushvalue(state, 4 + i);
    if (!SetPresent(state, table)) SetAbsent(state, table, false);
  }
  return 1;
}

struct Function {
  const char* name;
  lua_CFunction function;
  Hidden upvalue = Hidden::kNoKey;  // the metatable of the tables that it makes, if it makes any
};
constexpr Function kFunctions[] = {
    {"pairs", Pairs},
    {"next", NextFunction},
    {"ipairs", Ipairs},
    {"rawset", RawSet},
    {"rawget", RawGet},
    {"rawlen", RawLen},
    {"rawequal", RawEqual},
    {"setmetatable", SetMetatable},
    {"getmetatable", GetMetatable},
    {"list", MakeList, Hidden::kListMeta},
    {"map", MakeMap},
    {"__list", TakeList, Hidden::kListMeta},
    {"__map", TakeMap, Hidden::kOrderedMeta},
};

}  // namespace

int NewIndex(lua_State* state) {
  SetAbsent(state, 1, false);
  return 0;
}

int Length(lua_State* state) {
  lua_pushinteger(state, LengthOf(state, 1));
  return 1;
}

void OpenTables(lua_State* state) { OpenMetatables(state); }

void NewList(lua_State* state, int items) {
  luaL_checkstack(state, kStack, nullptr);
  ChargeMemory(state, kTableBytes);
  lua_createtable(state, items, 0);
  PushMetatable(state, Hidden::kListMeta);
  lua_setmetatable(state, -2);
  SetItems(state, lua_gettop(state), items);
}

void NewMap(lua_State* state, int items) {
  luaL_checkstack(state, kStack, nullptr);
  ChargeMemory(state, kTableBytes);
  lua_createtable(state, 0, items + 1);
  MakeOrder(state, lua_gettop(state), items);
  PushMetatable(state, Hidden::kOrderedMeta);
  lua_setmetatable(state, -2);
}

bool IsMap(lua_State* state, int index) {
  luaL_checkstack(state, kStack, nullptr);
  index = lua_absindex(state, index);
  if (HasOrder(state, index)) return true;
  if (!PushShared(state, index)) return false;
  lua_pop(state, 1);
  return true;
}

void Set(lua_State* state, int index) {
  luaL_checkstack(state, kStack, nullptr);
  index = lua_absindex(state, index);
  if (SetPresent(state, index)) return;
  if (PushShared(state, index)) RaiseReadOnly(state, -3);
  SetAbsent(state, index, false);
}

lua_Integer LengthOf(lua_State* state, int index) {
  luaL_checkstack(state, kStack, nullptr);
  index = lua_absindex(state, index);
  lua_Integer length = Border(state, index);
  if (length == 0 && PushShared(state, index)) {
    length = Border(state, lua_gettop(state));
    lua_pop(state, 1);
  }
  return length;
}

bool NextEntry(lua_State* state, int index, lua_Integer* position) {
  luaL_checkstack(state, kStack, nullptr);
  index = lua_absindex(state, index);
  Place place = PushEntryBehind(state, index, *position);
  if (place == 0 && PushShared(state, index)) {
    const int shared = lua_gettop(state);
    place = PushEntryBehind(state, shared, *position);
    lua_remove(state, shared);
  }
  if (place != 0) *position = place;
  return place != 0;
}

void SetSharedMetatable(lua_State* state) {
  luaL_checkstack(state, kStack, nullptr);
  lua_pushboolean(state, 0);
  lua_setfield(state, -2, "__metatable");
  const int metatable = lua_gettop(state);
  UseMetatable(state, metatable - 1, metatable);
  ShareMetatable(state, metatable - 1);
  lua_settop(state, metatable - 1);
}

void NewReadOnly(lua_State* state) {
  luaL_checkstack(state, kStack, nullptr);
  // What was set past us has no order. It gets that of its names.
  const int shared = lua_gettop(state) - 1;
  if (!HasOrder(state, shared)) {
    std::vector<std::string_view> names;
    lua_pushnil(state);
    while (lua_next(state, shared)) {
      lua_pop(state, 1);
      if (lua_type(state, -1) == LUA_TSTRING) names.emplace_back(lua_tostring(state, -1));
    }
    std::ranges::sort(names);
    for (const std::string_view name : names) {
      lua_pushlstring(state, name.data(), name.size());
      AddKey(state, shared, lua_gettop(state), true);
      lua_pop(state, 1);
    }
    MakeOrder(state, shared, 0);
  }
  MakeReadOnly(state);
}

void AddTableFunctions(lua_State* state) {
  luaL_checkstack(state, kStack, nullptr);
  const int table = lua_gettop(state);
  bool ordered = HasOrder(state, table);
  if (lua_getmetatable(state, table)) {
    ordered = true;
    lua_pop(state, 1);
  }
  for (const Function& each : kFunctions) {
    lua_pushstring(state, each.name);
    if (ordered) AddKey(state, table, lua_gettop(state), false);
    if (each.upvalue != Hidden::kNoKey) PushMetatable(state, each.upvalue);
    lua_pushcclosure(state, each.function, each.upvalue != Hidden::kNoKey ? 1 : 0);
    lua_rawset(state, table);
  }
}

}  // namespace corod::lua
