#include <algorithm>
#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "server/lua/key_order.h"
#include "server/lua/metatables.h"
#include "server/lua/meter.h"
#include "server/lua/tables.h"
#include "server/lua/text.h"
#include "server/lua/thread.h"

namespace corod::lua {
namespace {

constexpr lua_Integer kMaxUnpacked = 1'000'000;
constexpr std::size_t kBytesPerInstruction = 16;
// Of what is charged at once, others wait for so many items.
constexpr lua_Integer kTurn = 1'024;

// The length of the table that a function is called with, as `#` says.
lua_Integer CheckLength(lua_State* state) {
  luaL_checktype(state, 1, LUA_TTABLE);
  return luaL_len(state, 1);
}

// to[j] = from[i], with metamethods.
void Copy(lua_State* state, int from, lua_Integer i, int to, lua_Integer j) {
  if (i % kTurn == 0) LetOthersThrough();
  lua_geti(state, from, i);
  lua_seti(state, to, j);
}

// Appends a piece of a text that is being built.
void Append(lua_State* state, std::string& text, const char* piece, std::size_t size) {
  Charge(state, size / kBytesPerInstruction);
  ChargeMemory(state, size);
  text.append(piece, size);
}

// Appends the item, with what it was converted to.
void AppendItem(lua_State* state, std::string& text, lua_Integer i) {
  ChargeInTurns(state, 1);
  const int type = lua_geti(state, 1, i);
  if (type != LUA_TSTRING && type != LUA_TNUMBER) {
    luaL_error(state, "invalid value (%s) at index %I in table for 'concat'", luaL_typename(state, -1),
               static_cast<LUAI_UACINT>(i));
  }
  std::size_t size = 0;
  // Lua shows the sign of what is no number, which is not the same on every machine.
  if (type == LUA_TNUMBER && std::isnan(lua_tonumber(state, -1))) {
    lua_pop(state, 1);
    lua_pushliteral(state, "nan");
  }
  const char* piece = lua_tolstring(state, -1, &size);
  Append(state, text, piece, size);
  lua_pop(state, 1);
}

int Concat(lua_State* state) {
  lua_Integer last = CheckLength(state);
  std::size_t separator_size = 0;
  const char* separator = luaL_optlstring(state, 2, "", &separator_size);
  lua_Integer i = OptionalInteger(state, 3, 1);
  last = OptionalInteger(state, 4, last);
  std::string text;
  for (; i < last; ++i) {
    AppendItem(state, text, i);
    Append(state, text, separator, separator_size);
  }
  if (i == last) AppendItem(state, text, i);
  lua_pushlstring(state, text.data(), text.size());
  return 1;
}

int Insert(lua_State* state) {
  // The first that is not there.
  const auto end = static_cast<lua_Integer>(static_cast<lua_Unsigned>(CheckLength(state)) + 1);
  lua_Integer at = end;
  switch (lua_gettop(state)) {
    case 2:
      break;
    case 3:
      at = CheckInteger(state, 2);
      luaL_argcheck(state, static_cast<lua_Unsigned>(at) - 1 < static_cast<lua_Unsigned>(end), 2,
                    "position out of bounds");
      if (at < end) Charge(state, static_cast<std::uint64_t>(end) - static_cast<std::uint64_t>(at));
      for (lua_Integer i = end; i > at; --i) Copy(state, 1, i - 1, 1, i);
      break;
    default:
      return luaL_error(state, "wrong number of arguments to 'insert'");
  }
  lua_seti(state, 1, at);
  return 0;
}

int Remove(lua_State* state) {
  const lua_Integer size = CheckLength(state);
  lua_Integer at = OptionalInteger(state, 2, size);
  if (at != size) {
    luaL_argcheck(state, static_cast<lua_Unsigned>(at) - 1 <= static_cast<lua_Unsigned>(size), 2,
                  "position out of bounds");
  }
  if (at < size) Charge(state, static_cast<std::uint64_t>(size) - static_cast<std::uint64_t>(at));
  lua_geti(state, 1, at);
  for (; at < size; ++at) Copy(state, 1, at + 1, 1, at);
  lua_pushnil(state);
  lua_seti(state, 1, at);
  return 1;
}

int Move(lua_State* state) {
  const lua_Integer first = CheckInteger(state, 2);
  const lua_Integer last = CheckInteger(state, 3);
  const lua_Integer to = CheckInteger(state, 4);
  const int target = lua_isnoneornil(state, 5) ? 1 : 5;
  luaL_checktype(state, 1, LUA_TTABLE);
  luaL_checktype(state, target, LUA_TTABLE);
  if (last >= first) {
    luaL_argcheck(state, first > 0 || last < LUA_MAXINTEGER + first, 3, "too many elements to move");
    const lua_Integer count = last - first + 1;
    luaL_argcheck(state, to <= LUA_MAXINTEGER - count + 1, 4, "destination wrap around");
    Charge(state, 2 * static_cast<std::uint64_t>(count));  // each is read and written, with metamethods
    if (to > last || to <= first || (target != 1 && !lua_compare(state, 1, target, LUA_OPEQ))) {
      for (lua_Integer i = 0; i < count; ++i) Copy(state, 1, first + i, target, to + i);
    } else {
      for (lua_Integer i = count - 1; i >= 0; --i) Copy(state, 1, first + i, target, to + i);
    }
  }
  lua_pushvalue(state, target);
  return 1;
}

int Pack(lua_State* state) {
  const int count = lua_gettop(state);
  Charge(state, static_cast<std::uint64_t>(count));
  ChargeMemory(state, kTableBytes + (kItemBytes * static_cast<std::size_t>(count)));
  lua_createtable(state, count, 2);
  MakeOrder(state, count + 1, 1);
  PushMetatable(state, Hidden::kOrderedMeta);
  lua_setmetatable(state, -2);
  lua_insert(state, 1);
  for (int i = count; i >= 1; --i) lua_rawseti(state, 1, i);
  SetItems(state, 1, count);
  lua_pushliteral(state, "n");
  lua_pushinteger(state, count);
  Set(state, 1);
  return 1;
}

int Unpack(lua_State* state) {
  lua_Integer i = OptionalInteger(state, 2, 1);
  const lua_Integer last = lua_isnoneornil(state, 3) ? luaL_len(state, 1) : CheckInteger(state, 3);
  if (i > last) return 0;
  const std::uint64_t behind_first = static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(i);
  if (behind_first >= kMaxUnpacked) return luaL_error(state, "too many results to unpack");
  const auto count = static_cast<int>(behind_first + 1);
  Charge(state, static_cast<std::uint64_t>(count));
  ChargeMemory(state, kItemBytes * static_cast<std::size_t>(count));
  if (!lua_checkstack(state, count)) return luaL_error(state, "too many results to unpack");
  for (; i < last; ++i) lua_geti(state, 1, i);
  lua_geti(state, 1, last);
  return count;
}

// Merge sort of numbers of items, so that an order that contradicts itself does no harm. The comparison is at index 2
// (or nil), the items in a table at index 3.
class Sorter {
 public:
  Sorter(lua_State* state, std::uint32_t count) : state_(state), order_(count), left_(count / 2) {
    for (std::uint32_t i = 0; i < count; ++i) order_[i] = i + 1;
  }

  // The numbers in the order of their items.
  const std::vector<std::uint32_t>& Sort() {
    Sort(0, order_.size());
    return order_;
  }

 private:
  bool IsLess(std::uint32_t a, std::uint32_t b) {
    ChargeInTurns(state_, 1);
    bool less = false;
    if (lua_isnil(state_, 2)) {
      lua_rawgeti(state_, 3, a);
      lua_rawgeti(state_, 3, b);
      if (lua_type(state_, -1) == LUA_TSTRING && lua_type(state_, -2) == LUA_TSTRING) {
        Charge(state_, std::min(lua_rawlen(state_, -1), lua_rawlen(state_, -2)) / kBytesPerInstruction);
      }
      less = lua_compare(state_, -2, -1, LUA_OPLT) != 0;
      lua_pop(state_, 2);
    } else {
      lua_pushvalue(state_, 2);
      lua_rawgeti(state_, 3, a);
      lua_rawgeti(state_, 3, b);
      lua_call(state_, 2, 1);
      less = lua_toboolean(state_, -1) != 0;
      lua_pop(state_, 1);
    }
    return less;
  }

  void Sort(std::size_t begin, std::size_t end) {
    if (end - begin < 2) return;
    const std::size_t middle = begin + ((end - begin) / 2);
    Sort(begin, middle);
    Sort(middle, end);
    if (!IsLess(order_[middle], order_[middle - 1])) return;
    const std::size_t size = middle - begin;
    std::copy_n(order_.begin() + static_cast<std::ptrdiff_t>(begin), size, left_.begin());
    std::size_t left = 0;
    std::size_t right = middle;
    for (std::size_t to = begin; left < size; ++to) {
      const bool from_right = right < end && IsLess(order_[right], left_[left]);
      order_[to] = from_right ? order_[right++] : left_[left++];
    }
  }

  lua_State* state_;
  std::vector<std::uint32_t> order_;
  std::vector<std::uint32_t> left_;
};

int SortTable(lua_State* state) {
  const lua_Integer count = CheckLength(state);
  if (count < 2) return 0;
  luaL_argcheck(state, count < INT_MAX, 1, "array too big");
  if (!lua_isnoneornil(state, 2)) luaL_checktype(state, 2, LUA_TFUNCTION);
  lua_settop(state, 2);
  Charge(state, static_cast<std::uint64_t>(count) * 2);
  ChargeMemory(state, static_cast<std::size_t>(count) * (kItemBytes + 8));
  lua_createtable(state, static_cast<int>(count), 0);
  for (lua_Integer i = 1; i <= count; ++i) {
    if (i % kTurn == 0) LetOthersThrough();
    lua_geti(state, 1, i);
    lua_rawseti(state, 3, i);
  }
  Sorter sorter(state, static_cast<std::uint32_t>(count));
  lua_Integer at = 0;
  for (const std::uint32_t item : sorter.Sort()) {
    ++at;
    if (at % kTurn == 0) LetOthersThrough();
    if (at == item) continue;
    lua_rawgeti(state, 3, item);
    lua_seti(state, 1, at);
  }
  return 0;
}

}  // namespace

void PushTableLibrary(lua_State* state) {
  static constexpr luaL_Reg kFunctions[] = {
      {"concat", Concat}, {"insert", Insert},  {"move", Move},     {"pack", Pack},
      {"remove", Remove}, {"sort", SortTable}, {"unpack", Unpack}, {nullptr, nullptr},
  };
  luaL_newlib(state, kFunctions);
}

}  // namespace corod::lua
