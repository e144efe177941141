#include "server/lua/holdings.h"

#include <string_view>
#include <utility>

#include "server/lua/stack.h"
#include "server/lua/values.h"

namespace corod::lua {
namespace {

constexpr std::size_t kString = 32;
constexpr std::size_t kObject = 64;
constexpr std::size_t kEntry = 40;
constexpr std::size_t kThread = 1'024;
constexpr std::size_t kLevel = 128;

}  // namespace

Holdings::Holdings(lua_State* state, const Objects& shared) : state_(state), shared_(shared) {
  lua_createtable(state_, 0, 0);
  work_ = lua_gettop(state_);
}

Holdings::~Holdings() { lua_settop(state_, work_ - 1); }

void Holdings::Add() {
  const int type = lua_type(state_, -1);
  const void* address = lua_topointer(state_, -1);
  const bool is_object = type == LUA_TTABLE || type == LUA_TFUNCTION || type == LUA_TTHREAD || type == LUA_TUSERDATA;
  if (type == LUA_TSTRING) {
    if (!shared_.contains(address) && found_.insert(address).second) bytes_ += kString + lua_rawlen(state_, -1);
  } else if (is_object && !lua_iscfunction(state_, -1) && !shared_.contains(address) && found_.insert(address).second) {
    lua_rawseti(state_, work_, ++waiting_);
    return;
  }
  lua_pop(state_, 1);
}

std::size_t Holdings::Count() {
  while (waiting_ > 0) {
    lua_rawgeti(state_, work_, waiting_);
    lua_pushnil(state_);
    lua_rawseti(state_, work_, waiting_--);
    switch (lua_type(state_, -1)) {
      case LUA_TTABLE:
        AddTable();
        break;
      case LUA_TFUNCTION:
        AddFunction();
        break;
      case LUA_TTHREAD:
        AddThread(lua_tothread(state_, -1));
        break;
      default:
        AddUserdata();
        break;
    }
    lua_pop(state_, 1);
  }
  return bytes_;
}

void Holdings::AddTable() {
  bytes_ += kObject;
  lua_pushnil(state_);
  while (lua_next(state_, -2) != 0) {
    bytes_ += kEntry;
    Add();
    lua_pushvalue(state_, -1);
    Add();
  }
  if (lua_getmetatable(state_, -1)) Add();
}

void Holdings::AddFunction() {
  bytes_ += kObject;
  for (int i = 1; lua_getupvalue(state_, -1, i); ++i) Add();
}

void Holdings::AddUserdata() {
  bytes_ += kObject + BytesBehind(state_, -1);
  for (int i = 1; lua_getiuservalue(state_, -1, i) != LUA_TNONE; ++i) Add();
  lua_pop(state_, 1);
}

void Holdings::AddThread(lua_State* thread) {
  bytes_ += kThread + StackBytes(thread);
  lua_Debug activation;
  for (bool more = lua_getstack(thread, 0, &activation) != 0; more; more = GoToCaller(&activation)) {
    bytes_ += kLevel;
    lua_getinfo(thread, "f", &activation);
    Take(thread);
    for (int i = 1; const char* name = lua_getlocal(thread, &activation, i); ++i) {
      // Whether a temporary is still there depends on the collector.
      if (name[0] == '(' && std::string_view(name) == "(temporary)") {
        lua_pop(thread, 1);
      } else {
        Take(thread);
      }
    }
  }
}

void Holdings::Take(lua_State* thread) {
  if (thread != state_) lua_xmove(thread, state_, 1);
  Add();
}

Objects ObjectsInRegistry(lua_State* state) {
  lua_rawgeti(state, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  const Objects threads = {lua_topointer(state, -1)};
  lua_pop(state, 1);
  Holdings all(state, threads);
  lua_pushvalue(state, LUA_REGISTRYINDEX);
  all.Add();
  static_cast<void>(all.Count());
  return std::move(all.found());
}

}  // namespace corod::lua
