#include <algorithm>
#include <array>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "server/lua/characters.h"
#include "server/lua/format.h"
#include "server/lua/libraries.h"
#include "server/lua/meter.h"
#include "server/lua/patterns.h"
#include "server/lua/text.h"
#include "server/lua/thread.h"

namespace corod::lua {
namespace {

// What a call of gsub's replacement costs, besides what it does.
constexpr std::uint64_t kCallCost = 8;
// As long as Lua's own library lets a string be.
constexpr std::size_t kLongestText = INT_MAX;

class LuaHost final : public MatchHost {
 public:
  explicit LuaHost(lua_State* state) : state_(state) {}

  void Spend(std::uint64_t steps) override { ChargeInTurns(state_, steps); }
  [[noreturn]] void Fail(const std::string& message) override {
    luaL_error(state_, "%s", message.c_str());
    __builtin_unreachable();
  }

 private:
  lua_State* const state_;
};

// The place that a script means where a part of a text begins, counted from 1; negative ones count from the end.
std::size_t BeginOf(lua_Integer position, std::size_t size) {
  if (position > 0) return static_cast<std::size_t>(position);
  if (position == 0 || position < -static_cast<lua_Integer>(size)) return 1;
  return size + static_cast<std::size_t>(position) + 1;
}

// The same where it ends, itself included.
std::size_t EndOf(lua_Integer position, std::size_t size) {
  const auto signed_size = static_cast<lua_Integer>(size);
  if (position > signed_size) return size;
  if (position >= 0) return static_cast<std::size_t>(position);
  return position < -signed_size ? 0 : size + static_cast<std::size_t>(position) + 1;
}

int Byte(lua_State* state) {
  const std::string_view text = CheckText(state, 1);
  const lua_Integer position = OptionalInteger(state, 2, 1);
  const std::size_t begin = BeginOf(position, text.size());
  const std::size_t end = EndOf(OptionalInteger(state, 3, position), text.size());
  if (begin > end) return 0;
  const std::string_view slice = text.substr(begin - 1, end - begin + 1);
  ReserveSlice(state, slice.size());
  for (const char c : slice) lua_pushinteger(state, static_cast<unsigned char>(c));
  return static_cast<int>(slice.size());
}

int Char(lua_State* state) {
  const int arguments = lua_gettop(state);
  Charge(state, static_cast<std::uint64_t>(arguments));
  TextBuffer out(state);
  for (int i = 1; i <= arguments; ++i) {
    const auto byte = static_cast<lua_Unsigned>(CheckInteger(state, i));
    luaL_argcheck(state, byte <= UCHAR_MAX, i, "value out of range");
    out.Append(1, static_cast<char>(static_cast<unsigned char>(byte)));
  }
  out.Push();
  return 1;
}

int Len(lua_State* state) {
  lua_pushinteger(state, static_cast<lua_Integer>(CheckText(state, 1).size()));
  return 1;
}

// Pushes the first argument with each of its bytes changed.
template <unsigned char (*kChange)(unsigned char)>
int Mapped(lua_State* state) {
  const std::string_view text = CheckText(state, 1);
  ChargeMemory(state, text.size());
  Charge(state, text.size() / 16);
  std::string mapped(text);
  std::transform(mapped.begin(), mapped.end(), mapped.begin(),
                 [](char c) { return static_cast<char>(kChange(static_cast<unsigned char>(c))); });
  PushBytes(state, mapped);
  return 1;
}

int Rep(lua_State* state) {
  const std::string_view text = CheckText(state, 1);
  const lua_Integer count = CheckInteger(state, 2);
  const std::string_view separator = lua_isnoneornil(state, 3) ? std::string_view() : CheckText(state, 3);
  const std::size_t period = text.size() + separator.size();
  if (count <= 0 || period == 0) {
    lua_pushliteral(state, "");
    return 1;
  }
  const auto times = static_cast<std::size_t>(count);
  if (period > kLongestText / times) luaL_error(state, "resulting string too large");
  const std::size_t size = period * times - separator.size();
  ChargeMemory(state, size);
  Charge(state, size / 16);
  std::string repeated;
  repeated.reserve(size);
  repeated.append(text);
  if (times > 1) repeated.append(separator);
  // What is there ends after a separator, so it may be appended to itself.
  while (repeated.size() < size) repeated.append(repeated, 0, size - repeated.size());
  PushBytes(state, repeated);
  return 1;
}

int Reverse(lua_State* state) {
  const std::string_view text = CheckText(state, 1);
  ChargeMemory(state, text.size());
  Charge(state, text.size() / 16);
  PushBytes(state, std::string(text.rbegin(), text.rend()));
  return 1;
}

int Sub(lua_State* state) {
  const std::string_view text = CheckText(state, 1);
  const std::size_t begin = BeginOf(CheckInteger(state, 2), text.size());
  const std::size_t end = EndOf(OptionalInteger(state, 3, -1), text.size());
  if (begin > end) {
    lua_pushliteral(state, "");
  } else if (begin == 1 && end == text.size()) {
    lua_pushvalue(state, 1);
  } else {
    PushBytes(state, text.substr(begin - 1, end - begin + 1));
  }
  return 1;
}

void PushCapture(lua_State* state, const Matcher& matcher, int index) {
  const Matcher::Captured captured = matcher.Capture(index);
  if (captured.position != 0) {
    lua_pushinteger(state, static_cast<lua_Integer>(captured.position));
  } else {
    PushBytes(state, captured.text);
  }
}

int PushCaptures(lua_State* state, const Matcher& matcher) {
  luaL_checkstack(state, matcher.captures(), "too many captures");
  for (int i = 0; i < matcher.captures(); ++i) PushCapture(state, matcher, i);
  return matcher.captures();
}

// All captures, or the match if the pattern has none.
int PushMatch(lua_State* state, const Matcher& matcher) {
  if (matcher.captures() > 0) return PushCaptures(state, matcher);
  PushBytes(state, matcher.match());
  return 1;
}

// Pushes where a match begins and ends.
void PushPlace(lua_State* state, std::size_t start, std::size_t end) {
  lua_pushinteger(state, static_cast<lua_Integer>(start) + 1);
  lua_pushinteger(state, static_cast<lua_Integer>(end));
}

// A pattern that may be bound to the beginning by a ^.
bool TakeAnchor(std::string_view& pattern) {
  if (!pattern.starts_with('^')) return false;
  pattern.remove_prefix(1);
  return true;
}

int FindIn(lua_State* state, bool find) {
  const std::string_view text = CheckText(state, 1);
  std::string_view pattern = CheckText(state, 2);
  const std::size_t from = BeginOf(OptionalInteger(state, 3, 1), text.size()) - 1;
  if (from > text.size()) {
    luaL_pushfail(state);
    return 1;
  }
  LuaHost host(state);
  if (find) {
    Charge(state, pattern.size() / 16);
    if (lua_toboolean(state, 4) != 0 || IsPlain(pattern)) {
      const std::size_t start = FindPlain(text, pattern, from, host);
      if (start == Matcher::kNowhere) {
        luaL_pushfail(state);
        return 1;
      }
      PushPlace(state, start, start + pattern.size());
      return 2;
    }
  }
  const bool anchored = TakeAnchor(pattern);
  Matcher matcher(text, pattern, host);
  if (!matcher.Find(from, anchored)) {
    luaL_pushfail(state);
    return 1;
  }
  if (!find) return PushMatch(state, matcher);
  PushPlace(state, matcher.start(), matcher.end());
  return 2 + PushCaptures(state, matcher);
}

int Find(lua_State* state) { return FindIn(state, /*find=*/true); }
int Match(lua_State* state) { return FindIn(state, /*find=*/false); }

// What an iterator of gmatch holds: text and pattern, from where on it looks, and where the last match ended or -1.
enum GmatchUpvalue : int { kText = 1, kPattern, kFrom, kLastEnd };

std::string_view UpvalueText(lua_State* state, int upvalue) {
  std::size_t size = 0;
  const char* const bytes = lua_tolstring(state, lua_upvalueindex(upvalue), &size);
  return {bytes, size};
}

int NextOfGmatch(lua_State* state) {
  const auto from = static_cast<std::size_t>(lua_tointeger(state, lua_upvalueindex(kFrom)));
  const lua_Integer last_end = lua_tointeger(state, lua_upvalueindex(kLastEnd));
  LuaHost host(state);
  Matcher matcher(UpvalueText(state, kText), UpvalueText(state, kPattern), host);
  if (!matcher.Find(from, /*only_there=*/false,
                    last_end < 0 ? Matcher::kNowhere : static_cast<std::size_t>(last_end))) {
    return 0;
  }
  for (const int upvalue : {kFrom, kLastEnd}) {
    lua_pushinteger(state, static_cast<lua_Integer>(matcher.end()));
    lua_replace(state, lua_upvalueindex(upvalue));
  }
  return PushMatch(state, matcher);
}

int Gmatch(lua_State* state) {
  const std::string_view text = CheckText(state, 1);
  CheckText(state, 2);
  const std::size_t from = BeginOf(OptionalInteger(state, 3, 1), text.size()) - 1;
  lua_settop(state, 2);
  lua_pushinteger(state, static_cast<lua_Integer>(std::min(from, text.size() + 1)));
  lua_pushinteger(state, -1);
  lua_pushcclosure(state, NextOfGmatch, kLastEnd);
  return 1;
}

// Appends gsub's replacement with what its escapes stand for.
void AppendExpanded(lua_State* state, TextBuffer& out, std::string_view replacement, const Matcher& matcher) {
  while (true) {
    const std::size_t literal = std::min(replacement.find('%'), replacement.size());
    out.Append(replacement.substr(0, literal));
    if (literal == replacement.size()) return;
    Charge(state, 1);
    const char escaped = literal + 1 < replacement.size() ? replacement[literal + 1] : '\0';
    if (escaped == '%') {
      out.Append("%");
    } else if (escaped == '0') {
      out.Append(matcher.match());
    } else if (IsDigit(static_cast<unsigned char>(escaped))) {
      const Matcher::Captured captured = matcher.Capture(escaped - '1');
      out.Append(captured.position == 0 ? captured.text : std::to_string(captured.position));
    } else {
      luaL_error(state, "invalid use of '%%' in replacement string");
    }
    replacement.remove_prefix(literal + 2);
  }
}

// Pushes what the table or the function says that the match is replaced with; false (and nothing pushed) if by nothing.
bool PushReplacement(lua_State* state, const Matcher& matcher) {
  Charge(state, kCallCost);
  if (lua_type(state, 3) == LUA_TFUNCTION) {
    lua_pushvalue(state, 3);
    lua_call(state, PushMatch(state, matcher), 1);
  } else {
    PushCapture(state, matcher, 0);
    lua_gettable(state, 3);
  }
  if (lua_toboolean(state, -1) == 0) {
    lua_pop(state, 1);
    return false;
  }
  if (lua_isstring(state, -1) == 0) luaL_error(state, "invalid replacement value (a %s)", luaL_typename(state, -1));
  return true;
}

int Gsub(lua_State* state) {
  const std::string_view text = CheckText(state, 1);
  std::string_view pattern = CheckText(state, 2);
  const int type = lua_type(state, 3);
  const lua_Integer most = OptionalInteger(state, 4, static_cast<lua_Integer>(text.size()) + 1);
  luaL_argexpected(state, type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TTABLE || type == LUA_TFUNCTION, 3,
                   "string/function/table");
  const bool by_text = type == LUA_TSTRING || type == LUA_TNUMBER;
  const std::string_view replacement = by_text ? CheckText(state, 3) : std::string_view();
  const bool anchored = TakeAnchor(pattern);

  LuaHost host(state);
  Matcher matcher(text, pattern, host);
  TextBuffer out(state);
  bool changed = false;
  std::size_t copied = 0;  // of the text, with its replacements
  std::size_t from = 0;
  std::size_t last_end = Matcher::kNowhere;
  lua_Integer count = 0;
  while (count < most && matcher.Find(from, anchored, last_end)) {
    ++count;
    if (by_text || PushReplacement(state, matcher)) {
      out.Append(text.substr(copied, matcher.start() - copied));
      if (by_text) {
        AppendExpanded(state, out, replacement, matcher);
      } else {
        out.Append(CheckText(state, lua_gettop(state)));
        lua_pop(state, 1);
      }
      changed = true;
      copied = matcher.end();
    }
    from = last_end = matcher.end();
    if (anchored) break;
  }
  if (changed) {
    out.Append(text.substr(copied));
    out.Push();
  } else {
    lua_pushvalue(state, 1);
  }
  lua_pushinteger(state, count);
  return 2;
}

}  // namespace

void PushStringLibrary(lua_State* state) {
  static constexpr auto kFunctions = std::to_array<luaL_Reg>({
      {"byte", Byte},
      {"char", Char},
      {"find", Find},
      {"format", Format},
      {"gmatch", Gmatch},
      {"gsub", Gsub},
      {"len", Len},
      {"lower", Mapped<ToLower>},
      {"match", Match},
      {"rep", Rep},
      {"reverse", Reverse},
      {"sub", Sub},
      {"upper", Mapped<ToUpper>},
      {nullptr, nullptr},
  });
  lua_createtable(state, 0, static_cast<int>(kFunctions.size()) - 1);
  luaL_setfuncs(state, kFunctions.data(), 0);
}

}  // namespace corod::lua
