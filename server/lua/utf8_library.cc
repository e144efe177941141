#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "server/lua/libraries.h"
#include "server/lua/meter.h"
#include "server/lua/text.h"
#include "server/lua/thread.h"

namespace corod::lua {
namespace {

constexpr std::uint32_t kHighestCode = 0x7fffffff;  // that six bytes hold
constexpr std::uint32_t kHighestCharacter = 0x10ffff;
constexpr const char* kInvalid = "invalid UTF-8 code";
// Bytes that are charged at a time.
constexpr std::size_t kStretch = 256;
// Any byte sequence that is one character, if the text is valid.
constexpr std::string_view kCharacterPattern("[\0-\x7F\xC2-\xFD][\x80-\xBF]*", 14);

bool IsContinuation(unsigned char byte) { return (byte & 0xc0) == 0x80; }

// A byte of the text; zero at its end.
unsigned char ByteAt(std::string_view text, std::size_t i) {
  return i < text.size() ? static_cast<unsigned char>(text[i]) : '\0';
}

struct Decoded {
  std::uint32_t code = 0;
  std::size_t bytes = 0;  // 0: it is invalid
};

// The character that begins at `at`. Unless `lax`, one that Unicode has.
Decoded Decode(std::string_view text, std::size_t at, bool lax) {
  static constexpr std::array<std::uint32_t, 7> kLowest = {0, 0, 0x80, 0x800, 0x10000, 0x200000, 0x4000000};
  const unsigned char first = ByteAt(text, at);
  if (first < 0x80) return {.code = first, .bytes = 1};
  const auto bytes = static_cast<std::size_t>(std::countl_one(first));
  if (bytes < 2 || bytes >= kLowest.size()) return {};
  std::uint32_t code = first & (0x7fU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    const unsigned char next = ByteAt(text, at + i);
    if (!IsContinuation(next)) return {};
    code = (code << 6) | (next & 0x3fU);
  }
  if (code < kLowest[bytes]) return {};
  if (!lax && (code > kHighestCharacter || (code >= 0xd800 && code <= 0xdfff))) return {};
  return {.code = code, .bytes = bytes};
}

// A position that counts from the end if it is negative; 0 if it is before the beginning.
lua_Integer Absolute(lua_Integer position, std::size_t size) {
  const auto signed_size = static_cast<lua_Integer>(size);
  if (position >= 0) return position;
  return position < -signed_size ? 0 : signed_size + position + 1;
}

void AppendEncoded(TextBuffer& out, std::uint32_t code) {
  if (code < 0x80) {
    out.Append(1, static_cast<char>(code));
    return;
  }
  // From the last byte on, until what is left goes into the first one.
  std::array<char, 6> bytes;
  std::size_t begin = bytes.size();
  std::uint32_t room = 0x3f;
  do {
    bytes[--begin] = static_cast<char>(static_cast<unsigned char>(0x80 | (code & 0x3f)));
    code >>= 6;
    room >>= 1;
  } while (code > room);
  bytes[--begin] = static_cast<char>(static_cast<unsigned char>((~room << 1) | code));
  out.Append(std::string_view(bytes.data() + begin, bytes.size() - begin));
}

int Char(lua_State* state) {
  const int arguments = lua_gettop(state);
  Charge(state, static_cast<std::uint64_t>(arguments));
  TextBuffer out(state);
  for (int i = 1; i <= arguments; ++i) {
    const auto code = static_cast<lua_Unsigned>(CheckInteger(state, i));
    luaL_argcheck(state, code <= kHighestCode, i, "value out of range");
    AppendEncoded(out, static_cast<std::uint32_t>(code));
  }
  out.Push();
  return 1;
}

int Codepoint(lua_State* state) {
  const std::string_view text = CheckText(state, 1);
  const lua_Integer begin = Absolute(OptionalInteger(state, 2, 1), text.size());
  const lua_Integer end = Absolute(OptionalInteger(state, 3, begin), text.size());
  const bool lax = lua_toboolean(state, 4) != 0;
  luaL_argcheck(state, begin >= 1, 2, "out of bounds");
  luaL_argcheck(state, end <= static_cast<lua_Integer>(text.size()), 3, "out of bounds");
  if (begin > end) return 0;
  ReserveSlice(state, static_cast<std::size_t>(end - begin) + 1);
  int count = 0;
  for (auto at = static_cast<std::size_t>(begin) - 1; at < static_cast<std::size_t>(end);) {
    const Decoded decoded = Decode(text, at, lax);
    if (decoded.bytes == 0) luaL_error(state, "%s", kInvalid);
    lua_pushinteger(state, decoded.code);
    ++count;
    at += decoded.bytes;
  }
  return count;
}

int Len(lua_State* state) {
  const std::string_view text = CheckText(state, 1);
  const auto size = static_cast<lua_Integer>(text.size());
  const lua_Integer begin = Absolute(OptionalInteger(state, 2, 1), text.size()) - 1;
  const lua_Integer last = Absolute(OptionalInteger(state, 3, -1), text.size()) - 1;
  const bool lax = lua_toboolean(state, 4) != 0;
  luaL_argcheck(state, begin >= 0 && begin <= size, 2, "initial position out of bounds");
  luaL_argcheck(state, last < size, 3, "final position out of bounds");
  const auto end = static_cast<std::size_t>(last + 1);
  auto at = static_cast<std::size_t>(begin);
  lua_Integer count = 0;
  while (at < end) {
    const std::size_t stretch = std::min(end - at, kStretch);
    ChargeInTurns(state, stretch);
    for (const std::size_t stop = at + stretch; at < stop; ++count) {
      const Decoded decoded = Decode(text, at, lax);
      if (decoded.bytes == 0) {
        luaL_pushfail(state);
        lua_pushinteger(state, static_cast<lua_Integer>(at) + 1);
        return 2;
      }
      at += decoded.bytes;
    }
  }
  lua_pushinteger(state, count);
  return 1;
}

// Goes over a text a byte at a time.
class Cursor {
 public:
  Cursor(lua_State* state, std::string_view text, std::size_t at) : state_(state), text_(text), at_(at) {}

  std::size_t at() const { return at_; }
  bool InCharacter() const { return IsContinuation(ByteAt(text_, at_)); }

  void Forth() {
    Step();
    ++at_;
  }
  void Back() {
    Step();
    --at_;
  }

  // To be called at the end: charges the last steps.
  void Pay() { ChargeInTurns(state_, std::exchange(unpaid_, 0)); }

 private:
  void Step() {
    if (++unpaid_ == kStretch) Pay();
  }

  lua_State* const state_;
  const std::string_view text_;
  std::size_t at_;
  std::size_t unpaid_ = 0;
};

int Offset(lua_State* state) {
  const std::string_view text = CheckText(state, 1);
  const auto size = static_cast<lua_Integer>(text.size());
  lua_Integer characters = CheckInteger(state, 2);
  const lua_Integer otherwise = characters >= 0 ? 1 : size + 1;
  const lua_Integer begin = Absolute(OptionalInteger(state, 3, otherwise), text.size()) - 1;
  luaL_argcheck(state, begin >= 0 && begin <= size, 3, "position out of bounds");
  Cursor cursor(state, text, static_cast<std::size_t>(begin));
  if (characters == 0) {
    while (cursor.at() > 0 && cursor.InCharacter()) cursor.Back();
  } else {
    if (cursor.InCharacter()) luaL_error(state, "initial position is a continuation byte");
    for (; characters < 0 && cursor.at() > 0; ++characters) {
      do cursor.Back();
      while (cursor.at() > 0 && cursor.InCharacter());
    }
    for (; characters > 1 && cursor.at() < text.size(); --characters) {
      do cursor.Forth();
      while (cursor.InCharacter());
    }
    if (characters == 1) characters = 0;
  }
  cursor.Pay();
  if (characters == 0) {
    lua_pushinteger(state, static_cast<lua_Integer>(cursor.at()) + 1);
  } else {
    luaL_pushfail(state);
  }
  return 1;
}

// The iterator of codes: text, position of the last character.
template <bool kLax>
int NextOfCodes(lua_State* state) {
  const std::string_view text = CheckText(state, 1);
  Cursor cursor(state, text, static_cast<std::size_t>(ToInteger(state, 2)));
  while (cursor.InCharacter()) cursor.Forth();
  cursor.Pay();
  if (cursor.at() >= text.size()) return 0;
  const Decoded decoded = Decode(text, cursor.at(), kLax);
  if (decoded.bytes == 0 || IsContinuation(ByteAt(text, cursor.at() + decoded.bytes))) {
    luaL_error(state, "%s", kInvalid);
  }
  lua_pushinteger(state, static_cast<lua_Integer>(cursor.at()) + 1);
  lua_pushinteger(state, decoded.code);
  return 2;
}

int Codes(lua_State* state) {
  const bool lax = lua_toboolean(state, 2) != 0;
  const std::string_view text = CheckText(state, 1);
  luaL_argcheck(state, !IsContinuation(ByteAt(text, 0)), 1, kInvalid);
  lua_pushcfunction(state, lax ? NextOfCodes<true> : NextOfCodes<false>);
  lua_pushvalue(state, 1);
  lua_pushinteger(state, 0);
  return 3;
}

}  // namespace

void PushUtf8Library(lua_State* state) {
  static constexpr auto kFunctions = std::to_array<luaL_Reg>({
      {"char", Char},
      {"codepoint", Codepoint},
      {"codes", Codes},
      {"len", Len},
      {"offset", Offset},
      {nullptr, nullptr},
  });
  lua_createtable(state, 0, static_cast<int>(kFunctions.size()));
  luaL_setfuncs(state, kFunctions.data(), 0);
  lua_pushlstring(state, kCharacterPattern.data(), kCharacterPattern.size());
  lua_setfield(state, -2, "charpattern");
}

}  // namespace corod::lua
