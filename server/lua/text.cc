#include "server/lua/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cmath>
#include <cstdint>

#include "server/lua/libraries.h"
#include "server/lua/meter.h"

namespace corod::lua {
namespace {

constexpr std::size_t kFirstRoom = 64;
constexpr std::size_t kStackSlot = 16;  // bytes
// A stack that has grown stays, so that few results ask for nothing most of the time.
constexpr std::size_t kFreeSlots = 1000;
constexpr int kDigits = 14;  // of a float

void PushInteger(lua_State* state, lua_Integer value) {
  std::array<char, 24> text;
  const auto written = std::to_chars(text.begin(), text.end(), value);
  lua_pushlstring(state, text.data(), static_cast<std::size_t>(written.ptr - text.data()));
}

void PushFloat(lua_State* state, lua_Number value) {
  // The sign of a NaN is the processor's choice.
  if (std::isnan(value)) {
    lua_pushliteral(state, "nan");
    return;
  }
  std::array<char, 40> text;
  const auto written = std::to_chars(text.begin(), text.end() - 2, value, std::chars_format::general, kDigits);
  std::size_t size = static_cast<std::size_t>(written.ptr - text.data());
  if (std::string_view(text.data(), size).find_first_not_of("-0123456789") == std::string_view::npos) {
    text[size++] = '.';
    text[size++] = '0';
  }
  lua_pushlstring(state, text.data(), size);
}

// A numeral in a string is read to its end, and more than once.
void ChargeNumeral(lua_State* state, int argument) {
  if (lua_type(state, argument) == LUA_TSTRING) Charge(state, lua_rawlen(state, argument));
}

}  // namespace

void PushText(lua_State* state, int index) {
  switch (lua_type(state, index)) {
    case LUA_TNUMBER:
      if (lua_isinteger(state, index) != 0) {
        PushInteger(state, lua_tointeger(state, index));
      } else {
        PushFloat(state, lua_tonumber(state, index));
      }
      return;
    case LUA_TSTRING:
      lua_pushvalue(state, index);
      return;
    case LUA_TBOOLEAN:
      lua_pushstring(state, lua_toboolean(state, index) != 0 ? "true" : "false");
      return;
    case LUA_TLIGHTUSERDATA:
      lua_pushstring(state, lua_touserdata(state, index) == nullptr ? "null" : luaL_typename(state, index));
      return;
    default:
      lua_pushstring(state, luaL_typename(state, index));
  }
}

void PushShownText(lua_State* state, int index) {
  index = lua_absindex(state, index);
  if (luaL_callmeta(state, index, "__tostring") != 0) {
    if (lua_isstring(state, -1) == 0) luaL_error(state, "'__tostring' must return a string");
    CheckText(state, lua_gettop(state));
    return;
  }
  const int type = lua_type(state, index);
  if (type == LUA_TLIGHTUSERDATA || type > LUA_TSTRING) {
    const int name = luaL_getmetafield(state, index, "__name");
    if (name == LUA_TSTRING) return;
    if (name != LUA_TNIL) lua_pop(state, 1);
  }
  PushText(state, index);
}

std::string_view CheckText(lua_State* state, int argument) {
  if (lua_type(state, argument) == LUA_TNUMBER) {
    PushText(state, argument);
    lua_replace(state, argument);
  }
  std::size_t size = 0;
  const char* const bytes = luaL_checklstring(state, argument, &size);
  return {bytes, size};
}

lua_Integer CheckInteger(lua_State* state, int argument) {
  ChargeNumeral(state, argument);
  return luaL_checkinteger(state, argument);
}

lua_Integer OptionalInteger(lua_State* state, int argument, lua_Integer otherwise) {
  ChargeNumeral(state, argument);
  return luaL_optinteger(state, argument, otherwise);
}

lua_Integer ToInteger(lua_State* state, int argument) {
  ChargeNumeral(state, argument);
  return lua_tointeger(state, argument);
}

lua_Number CheckNumber(lua_State* state, int argument) {
  ChargeNumeral(state, argument);
  return luaL_checknumber(state, argument);
}

void PushBytes(lua_State* state, std::string_view bytes) {
  Charge(state, bytes.size() / 16);
  lua_pushlstring(state, bytes.data(), bytes.size());
}

void ReserveSlice(lua_State* state, std::size_t results) {
  static constexpr const char* kTooLong = "string slice too long";
  if (results >= INT_MAX) luaL_error(state, "%s", kTooLong);
  // Of more than fit, nothing is allocated.
  if (results < LUAI_MAXSTACK) {
    Charge(state, results);
    if (results > kFreeSlots) ChargeMemory(state, results * kStackSlot);
  }
  luaL_checkstack(state, static_cast<int>(results), kTooLong);
}

void TextBuffer::Grow(std::size_t bytes) {
  const std::size_t room = std::max({text_.size() + bytes, 2 * room_, kFirstRoom});
  ChargeMemory(state_, room - room_);
  Charge(state_, (room - room_) / 16);
  text_.reserve(room);
  room_ = room;
}

}  // namespace corod::lua
