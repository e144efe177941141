#include "server/lua/values.h"

#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "server/coroutine/exception.h"
#include "server/coroutine/limits.h"
#include "server/coroutine/map.h"
#include "server/coroutine/utf8.h"
#include "server/lua/exceptions.h"
#include "server/lua/meter.h"
#include "server/lua/tables.h"
#include "server/lua/universe.h"

namespace corod::lua {
namespace {

// Metatables in the registry stand under the addresses of these.
char blob_key;
char message_key;

constexpr std::uint64_t kBytesAnInstruction = 16;
constexpr std::uint64_t kInstructionsOfValue = 4;
constexpr std::uint64_t kInstructionsOfHeld = 20;
// Of a value: for a list, for a map, and for each entry of that.
constexpr std::size_t kCollectionBytes = 64;

// Deeper than any value that may leave a session; what refuses it names the limit.
const int kMaxDepth = ValueLimits().max_depth + 1;

Value* HeldBy(lua_State* state, int index, const void* key) {
  void* held = lua_touserdata(state, index);
  if (!held || lua_islightuserdata(state, index) || !lua_getmetatable(state, index)) return nullptr;
  lua_rawgetp(state, LUA_REGISTRYINDEX, key);
  const bool is = lua_rawequal(state, -1, -2);
  lua_pop(state, 2);
  return is ? static_cast<Value*>(held) : nullptr;
}

// `bytes`: what it holds beside; the collector does not see that.
void PushHeld(lua_State* state, const Value& value, std::size_t bytes, const void* key) {
  Charge(state, kInstructionsOfHeld);
  ChargeMemory(state, bytes);
  Universe::AddHeldOutside(bytes);
  new (lua_newuserdatauv(state, sizeof(Value), 0)) Value(value);
  lua_rawgetp(state, LUA_REGISTRYINDEX, key);
  lua_setmetatable(state, -2);
}

int FreeHeld(lua_State* state) {
  std::destroy_at(static_cast<Value*>(lua_touserdata(state, 1)));
  return 0;
}

int BlobToText(lua_State* state) {
  const Value* blob = HeldBy(state, 1, &blob_key);
  if (!blob) return luaL_argerror(state, 1, "bytes expected");
  const std::string& bytes = blob->AsBlob();
  Charge(state, bytes.size() / kBytesAnInstruction);
  lua_pushlstring(state, bytes.data(), bytes.size());
  return 1;
}

int BlobLength(lua_State* state) {
  const Value* blob = HeldBy(state, 1, &blob_key);
  if (!blob) return luaL_argerror(state, 1, "bytes expected");
  lua_pushinteger(state, static_cast<lua_Integer>(blob->AsBlob().size()));
  return 1;
}

int SameBlob(lua_State* state) {
  const Value* a = HeldBy(state, 1, &blob_key);
  const Value* b = HeldBy(state, 2, &blob_key);
  if (a && b) Charge(state, a->AsBlob().size() / kBytesAnInstruction);
  lua_pushboolean(state, a && b && *a == *b);
  return 1;
}

// bytes(text): a blob of these bytes.
int Bytes(lua_State* state) {
  if (HeldBy(state, 1, &blob_key)) {
    lua_settop(state, 1);
    return 1;
  }
  std::size_t size = 0;
  const char* bytes = luaL_checklstring(state, 1, &size);
  Charge(state, size / kBytesAnInstruction);
  PushHeld(state, Value::Blob(std::string(bytes, size)), size, &blob_key);
  return 1;
}

int Type(lua_State* state) {
  luaL_checkany(state, 1);
  lua_pushstring(state, TypeNameOf(state, 1));
  return 1;
}

void PushMap(lua_State* state, const Map& map) {
  NewMap(state, static_cast<int>(map.size()));
  for (const Map::Entry& entry : map) {
    lua_pushlstring(state, entry.key.data(), entry.key.size());
    PushValue(state, entry.value);
    if (lua_isnil(state, -1)) {
      lua_pop(state, 1);
      PushNull(state);
    }
    Set(state, -3);
  }
}

void PushList(lua_State* state, const List& list) {
  NewList(state, static_cast<int>(list.size()));
  lua_Integer position = 0;
  for (const Value& item : list) {
    lua_pushinteger(state, ++position);
    PushValue(state, item);
    if (lua_isnil(state, -1)) {
      lua_pop(state, 1);
      PushNull(state);
    }
    Set(state, -3);
  }
}

[[noreturn]] void RaiseValueError(lua_State* state, const std::string& message) {
  RaiseException(state, "ValueError", message);
}

std::string TextAt(lua_State* state, int index) {
  std::size_t size = 0;
  const char* text = lua_tolstring(state, index, &size);
  Charge(state, size / kBytesAnInstruction);
  ChargeMemory(state, size);
  if (!IsUtf8(std::string_view(text, size))) {
    RaiseValueError(state, "a text that is not UTF-8 cannot be handed out; bytes(text) makes bytes of it");
  }
  return {text, size};
}

Value ToValueAt(lua_State* state, int index, int depth);

Value ToMap(lua_State* state, int index, int depth) {
  Map map;
  ChargeMemory(state, kCollectionBytes);
  lua_Integer position = 0;
  while (NextEntry(state, index, &position)) {
    if (lua_type(state, -2) != LUA_TSTRING) {
      RaiseValueError(state, std::string("a table with texts as keys has also ") + TypeNameOf(state, -2) +
                                 " as a key; it must be a list (1, 2, ...) or a map (texts)");
    }
    ChargeMemory(state, kCollectionBytes);
    std::string key = TextAt(state, -2);
    map[key] = ToValueAt(state, lua_gettop(state), depth);
    lua_pop(state, 2);
  }
  return map;
}

Value ToList(lua_State* state, int index, int depth) {
  List list;
  ChargeMemory(state, kCollectionBytes);
  const lua_Integer length = LengthOf(state, index);
  ChargeMemory(state, static_cast<std::size_t>(length) * sizeof(Value));
  Charge(state, static_cast<std::uint64_t>(length));
  list.reserve(static_cast<std::size_t>(length));
  for (lua_Integer i = 1; i <= length; ++i) {
    if (lua_rawgeti(state, index, i) == LUA_TNIL) {
      RaiseValueError(state, "a list has no item " + std::to_string(i) + " of " + std::to_string(length) +
                                 "; null stands for none, and list(...) puts it there");
    }
    list.push_back(ToValueAt(state, lua_gettop(state), depth));
    lua_pop(state, 1);
  }
  return list;
}

Value ToValueAt(lua_State* state, int index, int depth) {
  Charge(state, kInstructionsOfValue);
  switch (lua_type(state, index)) {
    case LUA_TNIL:
      return {};
    case LUA_TBOOLEAN:
      return lua_toboolean(state, index) != 0;
    case LUA_TNUMBER:
      if (lua_isinteger(state, index)) return lua_tointeger(state, index);
      return lua_tonumber(state, index);
    case LUA_TSTRING:
      return TextAt(state, index);
    case LUA_TLIGHTUSERDATA:
      return {};
    case LUA_TTABLE:
      if (depth > kMaxDepth) RaiseValueError(state, "value too deep");
      luaL_checkstack(state, LUA_MINSTACK, "value too deep");
      if (IsException(state, index)) return ToException(state, index);
      return IsMap(state, index) ? ToMap(state, index, depth + 1) : ToList(state, index, depth + 1);
    case LUA_TUSERDATA:
      if (const Value* blob = HeldBy(state, index, &blob_key)) return *blob;
      if (const Value* message = HeldBy(state, index, &message_key)) return *message;
      break;
    default:
      break;
  }
  RaiseException(state, "TypeError", std::string("a ") + TypeNameOf(state, index) + " cannot be handed out");
}

void NewHeldMetatable(lua_State* state, const void* key, const char* name) {
  lua_newtable(state);
  lua_pushcfunction(state, &FreeHeld);
  lua_setfield(state, -2, "__gc");
  lua_pushstring(state, name);
  lua_setfield(state, -2, "__name");
  lua_pushvalue(state, -1);
  lua_rawsetp(state, LUA_REGISTRYINDEX, key);
}

}  // namespace

void OpenValues(lua_State* state) {
  NewHeldMetatable(state, &blob_key, "bytes");
  lua_pushcfunction(state, &BlobToText);
  lua_setfield(state, -2, "__tostring");
  lua_pushcfunction(state, &BlobLength);
  lua_setfield(state, -2, "__len");
  lua_pushcfunction(state, &SameBlob);
  lua_setfield(state, -2, "__eq");
  lua_pop(state, 1);
  NewHeldMetatable(state, &message_key, "message");
  lua_pop(state, 1);
}

std::size_t BytesBehind(lua_State* state, int index) {
  if (const Value* blob = HeldBy(state, index, &blob_key)) return blob->AsBlob().size();
  if (const Value* message = HeldBy(state, index, &message_key)) return message->AsMessage().payload.size();
  return IsExceptionHolder(state, index) ? BytesBehindException(state, index) : 0;
}

std::size_t SizeOf(const Value& value) {
  std::size_t bytes = sizeof(Value);
  switch (value.kind()) {
    case Value::Kind::kText:
      return bytes + value.AsText().size();
    case Value::Kind::kBlob:
      return bytes + value.AsBlob().size();
    case Value::Kind::kMessage:
      return bytes + value.AsMessage().payload.size();
    case Value::Kind::kList:
      return bytes + SizeOf(value.AsList());
    case Value::Kind::kMap:
      for (const Map::Entry& entry : value.AsMap()) bytes += entry.key.size() + SizeOf(entry.value);
      return bytes;
    default:
      return bytes;
  }
}

std::size_t SizeOf(const List& list) {
  std::size_t bytes = 0;
  for (const Value& item : list) bytes += SizeOf(item);
  return bytes;
}

void PushNull(lua_State* state) { lua_pushlightuserdata(state, nullptr); }

const char* TypeNameOf(lua_State* state, int index) {
  if (lua_islightuserdata(state, index)) return "null";
  if (HeldBy(state, index, &blob_key)) return "bytes";
  if (HeldBy(state, index, &message_key)) return "message";
  return luaL_typename(state, index);
}

void PushValue(lua_State* state, const Value& value) {
  Charge(state, 1);
  luaL_checkstack(state, LUA_MINSTACK, "value too deep");
  switch (value.kind()) {
    case Value::Kind::kNull:
      return lua_pushnil(state);
    case Value::Kind::kBoolean:
      return lua_pushboolean(state, value.AsBoolean());
    case Value::Kind::kInteger:
      return lua_pushinteger(state, value.AsInteger());
    case Value::Kind::kNumber:
      return lua_pushnumber(state, value.AsNumber());
    case Value::Kind::kText: {
      const std::string& text = value.AsText();
      Charge(state, text.size() / kBytesAnInstruction);
      lua_pushlstring(state, text.data(), text.size());
      return;
    }
    case Value::Kind::kBlob:
      return PushHeld(state, value, value.AsBlob().size(), &blob_key);
    case Value::Kind::kList:
      return PushList(state, value.AsList());
    case Value::Kind::kMap:
      return PushMap(state, value.AsMap());
    case Value::Kind::kMessage:
      return PushHeld(state, value, value.AsMessage().payload.size(), &message_key);
    case Value::Kind::kException:
      return PushException(state, value.AsException());
  }
}

Value ToValue(lua_State* state, int index) { return ToValueAt(state, lua_absindex(state, index), 1); }

void AddValueFunctions(lua_State* state) {
  PushNull(state);
  lua_setfield(state, -2, "null");
  lua_pushcfunction(state, &Bytes);
  lua_setfield(state, -2, "bytes");
  lua_pushcfunction(state, &Type);
  lua_setfield(state, -2, "type");
}

}  // namespace corod::lua
