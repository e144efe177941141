#include "server/lua/format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <clocale>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>

#include "server/lua/characters.h"
#include "server/lua/meter.h"
#include "server/lua/text.h"

namespace corod::lua {
namespace {

constexpr std::uint64_t kConversionCost = 8;

// Flags, width and precision.
constexpr std::string_view kModifiers = "-+ #0.123456789";
constexpr std::size_t kLongestModifiers = 20;

constexpr std::uint64_t kUsualPrecision = 6;

constexpr std::string_view kTextFlags = "-";
constexpr std::string_view kSignedFlags = "-+ 0";
constexpr std::string_view kUnsignedFlags = "-0";
constexpr std::string_view kBaseFlags = "-#0";
constexpr std::string_view kFloatFlags = "-+ #0";

// What printf writes for one conversion: at most the digits of the largest double and a precision of 99.
using Written = std::array<char, 512>;

// While it exists, printf on this thread writes as in the C locale.
class InCLocale {
 public:
  InCLocale() : outside_(uselocale(CLocale())) {}
  ~InCLocale() { uselocale(outside_); }
  InCLocale(const InCLocale&) = delete;
  InCLocale& operator=(const InCLocale&) = delete;

 private:
  static locale_t CLocale() {
    static const locale_t locale = newlocale(LC_ALL_MASK, "C", nullptr);
    return locale;
  }

  const locale_t outside_;
};

// One item of a format, with what stands between its '%' and its letter.
struct Item {
  std::string_view modifiers;
  char letter;

  // For messages, which end at a zero.
  std::string Text() const { return "%" + std::string(modifiers) + letter; }
};

struct Layout {
  bool left = false;
  std::size_t width = 0;
  std::size_t precision = std::string_view::npos;  // everything
};

// Up to two digits.
std::size_t TakeNumber(std::string_view& text) {
  std::size_t number = 0;
  for (int i = 0; i < 2 && !text.empty() && IsDigit(static_cast<unsigned char>(text.front())); ++i) {
    number = 10 * number + static_cast<std::size_t>(text.front() - '0');
    text.remove_prefix(1);
  }
  return number;
}

// Raises an error if the modifiers are not some of `flags`, a width and a precision, of two digits each.
Layout CheckModifiers(lua_State* state, const Item& item, std::string_view flags, bool may_have_precision = true) {
  const std::size_t flags_end = std::min(item.modifiers.find_first_not_of(flags), item.modifiers.size());
  std::string_view rest = item.modifiers.substr(flags_end);
  Layout layout;
  layout.left = item.modifiers.substr(0, flags_end).find('-') != std::string_view::npos;
  if (!rest.starts_with('0')) {
    layout.width = TakeNumber(rest);
    if (may_have_precision && rest.starts_with('.')) {
      rest.remove_prefix(1);
      layout.precision = TakeNumber(rest);
    }
  }
  if (!rest.empty()) luaL_error(state, "invalid conversion specification: '%s'", item.Text().c_str());
  return layout;
}

void AppendLaidOut(TextBuffer& out, std::string_view text, const Layout& layout) {
  text = text.substr(0, layout.precision);
  const std::size_t padding = layout.width - std::min(layout.width, text.size());
  if (!layout.left) out.Append(padding, ' ');
  out.Append(text);
  if (layout.left) out.Append(padding, ' ');
}

// By printf. `length` is what the type of the value asks for.
template <typename Number>
void AppendPrinted(TextBuffer& out, const Item& item, std::string_view length, Number value) {
  std::string form = "%";
  form.append(item.modifiers).append(length) += item.letter;
  Written written;
  const InCLocale locale;
  const int size = std::snprintf(written.data(), written.size(), form.c_str(), value);
  out.Append(std::string_view(written.data(), static_cast<std::size_t>(size)));
}

void AppendInteger(TextBuffer& out, const Item& item, lua_Integer value) {
  if (item.modifiers.empty() && (item.letter == 'd' || item.letter == 'i')) {
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.begin(), digits.end(), value).ptr;
    out.Append(std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
  } else {
    AppendPrinted(out, item, "ll", static_cast<long long>(value));
  }
}

// All the digits that come are computed.
std::uint64_t CostOfFloat(const Item& item, lua_Number value, std::size_t precision) {
  std::uint64_t digits = precision == std::string_view::npos ? kUsualPrecision : precision;
  if (item.letter == 'f' && std::isfinite(value))
    digits += static_cast<std::uint64_t>(std::max(0, std::ilogb(value))) / 3;
  return 32 + 2 * digits;
}

void AppendFloat(TextBuffer& out, const Item& item, lua_Number value) {
  // The sign of a NaN is the processor's choice.
  AppendPrinted(out, item, "", std::isnan(value) ? std::numeric_limits<lua_Number>::quiet_NaN() : value);
}

// As a literal that Lua reads as this text.
void AppendQuoted(lua_State* state, TextBuffer& out, std::string_view text) {
  Charge(state, text.size() / 2);
  out.Append("\"");
  while (!text.empty()) {
    const auto special = std::find_if(text.begin(), text.end(), [](char c) {
      return c == '"' || c == '\\' || IsControl(static_cast<unsigned char>(c));
    });
    out.Append(text.substr(0, static_cast<std::size_t>(special - text.begin())));
    if (special == text.end()) break;
    const auto c = static_cast<unsigned char>(*special);
    text.remove_prefix(static_cast<std::size_t>(special - text.begin()) + 1);
    out.Append("\\");
    if (c == '"' || c == '\\' || c == '\n') {
      out.Append(1, static_cast<char>(c));
    } else {
      std::string digits = std::to_string(c);
      // All three, if a digit follows.
      if (!text.empty() && IsDigit(static_cast<unsigned char>(text.front()))) digits.insert(0, 3 - digits.size(), '0');
      out.Append(digits);
    }
  }
  out.Append("\"");
}

void AppendLiteral(lua_State* state, TextBuffer& out, int argument) {
  switch (lua_type(state, argument)) {
    case LUA_TSTRING:
      AppendQuoted(state, out, CheckText(state, argument));
      return;
    case LUA_TNUMBER: {
      if (lua_isinteger(state, argument) != 0) {
        const lua_Integer value = lua_tointeger(state, argument);
        // The lowest one cannot be written in decimal.
        const bool lowest = value == std::numeric_limits<lua_Integer>::min();
        AppendInteger(out, {.modifiers = lowest ? "#" : "", .letter = lowest ? 'x' : 'd'}, value);
        return;
      }
      const lua_Number value = lua_tonumber(state, argument);
      if (std::isnan(value)) {
        out.Append("(0/0)");
      } else if (std::isinf(value)) {
        out.Append(value > 0 ? "1e9999" : "-1e9999");
      } else {
        AppendFloat(out, {.modifiers = "", .letter = 'a'}, value);
      }
      return;
    }
    case LUA_TNIL:
      out.Append("nil");
      return;
    case LUA_TBOOLEAN:
      out.Append(lua_toboolean(state, argument) != 0 ? "true" : "false");
      return;
    default:
      luaL_argerror(state, argument, "value has no literal form");
  }
}

void AppendShown(lua_State* state, TextBuffer& out, const Item& item, int argument) {
  PushShownText(state, argument);
  const std::string_view text = CheckText(state, lua_gettop(state));
  if (item.modifiers.empty()) {
    out.Append(text);
  } else {
    Charge(state, text.size() / 16);
    luaL_argcheck(state, text.find('\0') == std::string_view::npos, argument, "string contains zeros");
    AppendLaidOut(out, text, CheckModifiers(state, item, kTextFlags));
  }
  lua_pop(state, 1);
}

void AppendItem(lua_State* state, TextBuffer& out, const Item& item, int argument) {
  Charge(state, kConversionCost);
  switch (item.letter) {
    case 'c': {
      const Layout layout = CheckModifiers(state, item, kTextFlags, /*may_have_precision=*/false);
      const char c = static_cast<char>(static_cast<unsigned char>(CheckInteger(state, argument)));
      AppendLaidOut(out, std::string_view(&c, 1), layout);
      return;
    }
    case 'd':
    case 'i':
    case 'u':
    case 'o':
    case 'x':
    case 'X': {
      const lua_Integer value = CheckInteger(state, argument);
      CheckModifiers(state, item,
                     item.letter == 'd' || item.letter == 'i' ? kSignedFlags
                     : item.letter == 'u'                     ? kUnsignedFlags
                                                              : kBaseFlags);
      AppendInteger(out, item, value);
      return;
    }
    case 'a':
    case 'A':
      // As Lua does it: of these before the value is looked at, of the others after it.
      CheckModifiers(state, item, kFloatFlags);
      [[fallthrough]];
    case 'e':
    case 'E':
    case 'f':
    case 'g':
    case 'G': {
      const lua_Number value = CheckNumber(state, argument);
      Charge(state, CostOfFloat(item, value, CheckModifiers(state, item, kFloatFlags).precision));
      AppendFloat(out, item, value);
      return;
    }
    case 'q':
      if (!item.modifiers.empty()) luaL_error(state, "specifier '%%q' cannot have modifiers");
      AppendLiteral(state, out, argument);
      return;
    case 's':
      AppendShown(state, out, item, argument);
      return;
    default:
      luaL_error(state, "invalid conversion '%s' to 'format'", item.Text().c_str());
  }
}

}  // namespace

int Format(lua_State* state) {
  const int arguments = lua_gettop(state);
  std::string_view rest = CheckText(state, 1);
  int argument = 1;
  TextBuffer out(state);
  while (!rest.empty()) {
    const std::size_t literal = std::min(rest.find('%'), rest.size());
    out.Append(rest.substr(0, literal));
    rest.remove_prefix(literal);
    if (rest.empty()) break;
    rest.remove_prefix(1);
    if (rest.starts_with('%')) {
      Charge(state, 1);
      out.Append("%");
      rest.remove_prefix(1);
      continue;
    }
    if (++argument > arguments) luaL_argerror(state, argument, "no value");
    const std::string_view head = rest.substr(0, kLongestModifiers + 1);
    const std::size_t modifiers = std::min(head.find_first_not_of(kModifiers), head.size());
    if (modifiers > kLongestModifiers) luaL_error(state, "invalid format (too long)");
    const char letter = modifiers < rest.size() ? rest[modifiers] : '\0';
    AppendItem(state, out, {.modifiers = rest.substr(0, modifiers), .letter = letter}, argument);
    rest.remove_prefix(std::min(modifiers + 1, rest.size()));
  }
  out.Push();
  return 1;
}

}  // namespace corod::lua
