#include "server/lua/metatables.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <string_view>

#include "server/lua/exceptions.h"
#include "server/lua/meter.h"

namespace corod::lua {
namespace {

constexpr auto kEvents = std::to_array<std::string_view>(
    {"__add",  "__band",     "__bnot",  "__bor", "__bxor", "__call", "__close",     "__concat",   "__div",  "__eq",
     "__gc",   "__idiv",     "__index", "__le",  "__len",  "__lt",   "__metatable", "__mod",      "__mode", "__mul",
     "__name", "__newindex", "__pairs", "__pow", "__shl",  "__shr",  "__sub",       "__tostring", "__unm"});
static_assert(std::ranges::is_sorted(kEvents));

// How far Lua follows one __index to the next.
constexpr int kMaxIndexChain = 2000;

void* Key(Hidden what) { return std::bit_cast<void*>(what); }

// REQUIRES: a string.
std::string_view TextAt(lua_State* state, int index) {
  std::size_t size = 0;
  const char* text = lua_tolstring(state, index, &size);
  return {text, size};
}

bool Is(lua_State* state, int index, lua_CFunction function) { return lua_tocfunction(state, index) == function; }

// Raw field of a metatable: pushes it and returns its type.
int PushField(lua_State* state, int metatable, const char* name) {
  metatable = lua_absindex(state, metatable);
  lua_pushstring(state, name);
  return lua_rawget(state, metatable);
}

void SetField(lua_State* state, int metatable, const char* name, lua_CFunction function) {
  metatable = lua_absindex(state, metatable);
  lua_pushstring(state, name);
  lua_pushcfunction(state, function);
  lua_rawset(state, metatable);
}

int Finish(lua_State*, int status, lua_KContext results) {
  static_cast<void>(status);
  return static_cast<int>(results);
}

// The __index of a metatable whose tables may have shadows: events are looked for there, and then what scripts set as
// __index is followed, as Lua would.
int IndexThrough(lua_State* state) {
  lua_settop(state, 2);
  const bool event = IsEvent(state, 2);
  for (int i = 0; i < kMaxIndexChain; ++i) {
    // The value that is indexed is the first one.
    if (!lua_istable(state, 1)) {
      lua_gettable(state, 1);
      return 1;
    }
    lua_pushvalue(state, 2);
    if (lua_rawget(state, 1) != LUA_TNIL || !lua_getmetatable(state, 1)) return 1;
    if (PushField(state, -1, "__index") != LUA_TNIL && Is(state, -1, IndexThrough)) {
      lua_pushvalue(state, 2);
      if (event && PushEvent(state, 1) != LUA_TNIL) return 1;
      PushHidden(state, 4, Hidden::kIndex);
    }
    if (lua_isnil(state, -1)) return 1;
    if (lua_isfunction(state, -1)) {
      lua_pushvalue(state, 1);
      lua_pushvalue(state, 2);
      lua_callk(state, 2, 1, 1, Finish);
      return 1;
    }
    lua_replace(state, 1);
    lua_settop(state, 2);
  }
  return luaL_error(state, "'__index' chain too long; possible loop");
}

// The __newindex that goes with it, where scripts have set one.
int NewIndexThrough(lua_State* state) {
  if (IsEvent(state, 2)) {
    // One that is there is overwritten; Lua would not ask the script's __newindex.
    lua_pushvalue(state, 2);
    const bool there = PushEvent(state, 1) != LUA_TNIL;
    lua_settop(state, 3);
    if (there) {
      SetEvent(state, 1);
      return 0;
    }
  }
  lua_getmetatable(state, 1);
  PushHidden(state, 4, Hidden::kNewIndex);
  if (lua_isfunction(state, -1)) {
    lua_replace(state, 4);
    lua_rotate(state, 1, 1);
    lua_callk(state, 3, 0, 0, Finish);
    return 0;
  }
  lua_pushvalue(state, 2);
  lua_pushvalue(state, 3);
  lua_settable(state, 5);
  return 0;
}

int Closed(lua_State* state, int /*status*/, lua_KContext /*context*/) {
  SetHandled(state, 3);
  return 0;
}

// The __close of a metatable: what the value is closed for is being handled meanwhile.
int CloseThrough(lua_State* state) {
  lua_settop(state, 2);
  PushHandled(state);
  lua_getmetatable(state, 1);
  PushHidden(state, 4, Hidden::kClose);
  lua_pushvalue(state, 1);
  lua_pushvalue(state, 2);
  if (!lua_isnil(state, 2)) HandleTop(state);
  lua_callk(state, 2, 0, 0, &Closed);
  return Closed(state, LUA_OK, 0);
}

int RefuseToSet(lua_State* state) { RaiseReadOnly(state, 2); }

// The events of a table that has a shadow (on the top) are asked for through us.
void WatchEvents(lua_State* state) {
  const int shadow = lua_gettop(state);
  PushField(state, shadow, "__index");
  if (Is(state, -1, IndexThrough)) {
    lua_pop(state, 1);
    return;
  }
  SetHidden(state, shadow, Hidden::kIndex);
  SetField(state, shadow, "__index", IndexThrough);
  PushField(state, shadow, "__newindex");
  if (Is(state, -1, NewIndex)) {
    lua_pop(state, 1);
    return;
  }
  SetHidden(state, shadow, Hidden::kNewIndex);
  SetField(state, shadow, "__newindex", NewIndexThrough);
}

// Pushes the shadow of a table, which is made if there is none.
void PushShadow(lua_State* state, int table) {
  if (PushHidden(state, table, Hidden::kShadow) != LUA_TNIL) return;
  lua_pop(state, 1);
  ChargeMemory(state, kTableBytes);
  lua_createtable(state, 0, 4);
  lua_pushvalue(state, table);
  SetHidden(state, -2, Hidden::kOwner);
  SetField(state, -1, "__newindex", NewIndex);
  SetField(state, -1, "__len", Length);
  lua_pushvalue(state, -1);
  SetHidden(state, table, Hidden::kShadow);
}

bool Has(lua_State* state, int table, Hidden what, int type) {
  const bool has = PushHidden(state, table, what) == type;
  lua_pop(state, 1);
  return has;
}

// The metatable on the top is of those that scripts did not give, and not of a read-only table.
bool IsOurs(lua_State* state) {
  return !Has(state, -1, Hidden::kOwner, LUA_TTABLE) && !Has(state, -1, Hidden::kShared, LUA_TTABLE);
}

// Gives the table a metatable of its own, like the one on the top, whose place it takes there.
void TakeCopy(lua_State* state, int table) {
  const int common = lua_gettop(state);
  ChargeMemory(state, kTableBytes);
  lua_createtable(state, 0, 8);
  lua_pushnil(state);
  while (lua_next(state, common)) {
    lua_pushvalue(state, -2);
    lua_insert(state, -2);
    lua_rawset(state, common + 1);
  }
  lua_pushnil(state);
  SetHidden(state, common + 1, Hidden::kCommon);
  lua_pushvalue(state, -1);
  lua_setmetatable(state, table);
  lua_replace(state, common);
}

}  // namespace

int PushHidden(lua_State* state, int table, Hidden what) { return lua_rawgetp(state, table, Key(what)); }
void SetHidden(lua_State* state, int table, Hidden what) { lua_rawsetp(state, table, Key(what)); }

void PushMetatable(lua_State* state, Hidden which) { PushHidden(state, LUA_REGISTRYINDEX, which); }

void OpenMetatables(lua_State* state) {
  for (const Hidden what : {Hidden::kListMeta, Hidden::kOrderedMeta, Hidden::kShadowedMeta}) {
    lua_createtable(state, 0, 4);
    SetField(state, -1, "__newindex", NewIndex);
    if (what != Hidden::kListMeta) SetField(state, -1, "__len", Length);
    if (what == Hidden::kShadowedMeta) SetField(state, -1, "__index", IndexThrough);
    SetHidden(state, LUA_REGISTRYINDEX, what);
  }
}

bool IsEvent(lua_State* state, int index) {
  if (lua_type(state, index) != LUA_TSTRING) return false;
  const std::string_view text = TextAt(state, index);
  return text.starts_with("__") && std::ranges::binary_search(kEvents, text);
}

int PushEvent(lua_State* state, int table) {
  const int name = lua_gettop(state);
  if (PushHidden(state, table, Hidden::kShadow) == LUA_TNIL) return LUA_TNIL;
  lua_pushvalue(state, name);
  lua_rawget(state, -2);
  lua_remove(state, -2);
  // Ours are nobody else's business.
  if (Is(state, -1, IndexThrough) || Is(state, -1, NewIndexThrough)) {
    lua_pop(state, 1);
    PushHidden(state, table, Hidden::kShadow);
    PushHidden(state, -1, TextAt(state, name) == "__index" ? Hidden::kIndex : Hidden::kNewIndex);
    lua_remove(state, -2);
  } else if (Is(state, -1, CloseThrough)) {
    lua_pop(state, 1);
    PushHidden(state, table, Hidden::kShadow);
    PushHidden(state, -1, Hidden::kClose);
    lua_remove(state, -2);
  } else if (Is(state, -1, NewIndex) || Is(state, -1, Length)) {
    lua_pop(state, 1);
    lua_pushnil(state);
  }
  return lua_type(state, -1);
}

void SetEvent(lua_State* state, int table) {
  const int value = lua_gettop(state);
  const int name = value - 1;
  const std::string_view text = TextAt(state, name);
  // Lua follows one __call to the next in one instruction, and moves all arguments each time.
  if (text == "__call" && lua_istable(state, value)) luaL_error(state, "'__call' must be a function");
  PushShadow(state, table);
  const bool through = PushField(state, -1, "__index") != LUA_TNIL && Is(state, -1, IndexThrough);
  lua_pop(state, 1);
  if (text == "__index" && through) {
    lua_pushvalue(state, value);
    SetHidden(state, -2, Hidden::kIndex);
  } else if (text == "__newindex" && through) {
    SetField(state, -1, "__newindex", lua_isnil(state, value) ? NewIndex : NewIndexThrough);
    lua_pushvalue(state, value);
    SetHidden(state, -2, Hidden::kNewIndex);
  } else {
    const bool closes = text == "__close" && (lua_isfunction(state, value) || lua_istable(state, value));
    if (text == "__close") {
      lua_pushvalue(state, value);
      SetHidden(state, -2, Hidden::kClose);
    }
    lua_pushvalue(state, name);
    lua_pushvalue(state, value);
    if (closes) {
      lua_pop(state, 1);
      lua_pushcfunction(state, CloseThrough);
    } else if (lua_isnil(state, value) && (text == "__newindex" || text == "__len")) {
      lua_pop(state, 1);
      lua_pushcfunction(state, text == "__len" ? Length : NewIndex);
    }
    lua_rawset(state, -3);
  }
  // From now on Lua has to ask for them.
  if (lua_getmetatable(state, table)) {
    if (!IsOurs(state)) {
      if (Has(state, -1, Hidden::kCommon, LUA_TBOOLEAN)) TakeCopy(state, table);
      WatchEvents(state);
    } else {
      PushMetatable(state, Hidden::kShadowedMeta);
      lua_setmetatable(state, table);
    }
  }
  lua_settop(state, name - 1);
}

void ClearMetatable(lua_State* state, int table) {
  Hidden which = Hidden::kListMeta;
  if (Has(state, table, Hidden::kShadow, LUA_TTABLE)) {
    which = Hidden::kShadowedMeta;
  } else if (Has(state, table, Hidden::kOrder, LUA_TUSERDATA)) {
    which = Hidden::kOrderedMeta;
  }
  PushMetatable(state, which);
  lua_setmetatable(state, table);
}

void UseMetatable(lua_State* state, int table, int metatable) {
  PushShadow(state, metatable);
  if (Has(state, table, Hidden::kShadow, LUA_TTABLE)) WatchEvents(state);
  lua_setmetatable(state, table);
}

void RefreshMetatable(lua_State* state, int table) {
  if (!lua_getmetatable(state, table)) return;
  PushMetatable(state, Hidden::kListMeta);
  if (lua_rawequal(state, -1, -2)) {
    PushMetatable(state, Hidden::kOrderedMeta);
    lua_setmetatable(state, table);
  }
  lua_pop(state, 2);
}

void ShareMetatable(lua_State* state, int table) {
  lua_getmetatable(state, table);
  lua_pushboolean(state, 1);
  SetHidden(state, -2, Hidden::kCommon);
  lua_pop(state, 1);
}

void PushVisibleMetatable(lua_State* state, int table) {
  if (!lua_getmetatable(state, table)) {
    lua_pushnil(state);
    return;
  }
  if (PushHidden(state, -1, Hidden::kOwner) != LUA_TNIL) {
    if (PushField(state, -2, "__metatable") != LUA_TNIL) {
      lua_remove(state, -2);
    } else {
      lua_pop(state, 1);
    }
  }
  lua_remove(state, -2);
}

void MakeReadOnly(lua_State* state) {
  const int table = lua_gettop(state);
  lua_createtable(state, 0, 4);
  lua_pushvalue(state, table - 1);
  lua_setfield(state, -2, "__index");
  SetField(state, -1, "__newindex", RefuseToSet);
  SetField(state, -1, "__len", Length);
  lua_pushvalue(state, table - 1);
  SetHidden(state, -2, Hidden::kShared);
  lua_setmetatable(state, table);
  lua_remove(state, table - 1);
}

bool PushShared(lua_State* state, int table) {
  if (!lua_getmetatable(state, table)) return false;
  const bool found = PushHidden(state, -1, Hidden::kShared) != LUA_TNIL;
  lua_remove(state, -2);
  if (!found) lua_pop(state, 1);
  return found;
}

void RaiseReadOnly(lua_State* state, int index) {
  if (lua_type(state, index) == LUA_TSTRING) {
    luaL_error(state, "cannot set '%s': the table is read-only", lua_tostring(state, index));
  }
  luaL_error(state, "cannot set a field: the table is read-only");
  __builtin_unreachable();
}

}  // namespace corod::lua
