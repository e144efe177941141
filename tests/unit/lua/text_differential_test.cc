// The libraries of texts against Lua's own: the same calls, drawn at random, have the same results and messages.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tests/unit/lua/library_state.h"

namespace corod::lua {
namespace {

// Values that are made in each state of its own, and functions that call the library: for what returns functions.
constexpr const char* kPrelude = R"lua(
  local function collect(results, ...)
    if (...) == nil then return false end
    for i = 1, select("#", ...) do results[#results + 1] = (select(i, ...)) end
    results[#results + 1] = ";"
    return true
  end
  function gmatch(...)
    local next, results = string.gmatch(...), {}
    for _ = 1, 12 do if not collect(results, next()) then break end end
    return table.unpack(results)
  end
  function codes(...)
    local results = {}
    for place, code in utf8.codes(...) do collect(results, place, code) end
    return table.unpack(results)
  end
  function next_code(text, place, lax) return (utf8.codes("", lax))(text, place) end
  made = {
    {a = "x", b = 1, ab = false, ["1"] = 2.5, [""] = "-", A = "%1", [1] = "one", [2] = 2},
    setmetatable({}, {__index = function(_, key) return key .. key end}),
    setmetatable({}, {__index = function(_, key) error("no " .. key) end}),
    {a = {}, b = print, A = true},
    function(...) return (...) end,
    function(...) return select("#", ...) .. table.concat({...}, ",") end,
    function(a) if a == "b" then return false end return nil end,
    function(a) return a == "b" and {} or 12 end,
    function(a) error("not " .. a, 0) end,
    function(a) return #a == 1 and "%0" or 0.1 end,
    function(a, b) return b end,
    setmetatable({}, {__tostring = function() return "shown" end}),
    setmetatable({}, {__tostring = function() return 7 end}),
    setmetatable({}, {__tostring = function() return {} end}),
    setmetatable({}, {__tostring = function() error("cannot") end}),
    string.upper,
  }
)lua";
constexpr int kMade = 16;

struct Made {
  int index = 0;
};
using Argument = std::variant<std::monostate, bool, lua_Integer, lua_Number, std::string, Made>;

struct Call {
  std::string library = {};  // or "_G"
  std::string function = {};
  std::vector<Argument> arguments = {};
};

std::string Describe(const Call& call) {
  std::string text = call.library + "." + call.function + "(";
  for (const Argument& argument : call.arguments) {
    if (const auto* const bytes = std::get_if<std::string>(&argument)) {
      text += '"';
      for (const char c : *bytes) {
        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
          text += c;
        } else {
          char escape[8];
          std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
          text += escape;
        }
      }
      text += '"';
    } else if (const auto* const integer = std::get_if<lua_Integer>(&argument)) {
      text += std::to_string(*integer);
    } else if (const auto* const number = std::get_if<lua_Number>(&argument)) {
      char hexadecimal[64];
      std::snprintf(hexadecimal, sizeof hexadecimal, "%a", *number);
      text += hexadecimal;
    } else if (const auto* const made = std::get_if<Made>(&argument)) {
      text += "made[" + std::to_string(made->index) + "]";
    } else if (const auto* const boolean = std::get_if<bool>(&argument)) {
      text += *boolean ? "true" : "false";
    } else {
      text += "nil";
    }
    text += ", ";
  }
  return text + ")";
}

std::vector<std::string> Perform(LibraryState& in, const Call& call) {
  lua_State* const state = in.get();
  lua_getglobal(state, call.library.c_str());
  lua_getfield(state, -1, call.function.c_str());
  lua_replace(state, -2);
  for (const Argument& argument : call.arguments) {
    if (const auto* const bytes = std::get_if<std::string>(&argument)) {
      lua_pushlstring(state, bytes->data(), bytes->size());
    } else if (const auto* const integer = std::get_if<lua_Integer>(&argument)) {
      lua_pushinteger(state, *integer);
    } else if (const auto* const number = std::get_if<lua_Number>(&argument)) {
      lua_pushnumber(state, *number);
    } else if (const auto* const made = std::get_if<Made>(&argument)) {
      lua_getglobal(state, "made");
      lua_geti(state, -1, made->index);
      lua_replace(state, -2);
    } else if (const auto* const boolean = std::get_if<bool>(&argument)) {
      lua_pushboolean(state, *boolean ? 1 : 0);
    } else {
      lua_pushnil(state);
    }
  }
  return in.TakeResults(lua_pcall(state, static_cast<int>(call.arguments.size()), LUA_MULTRET, 0) != LUA_OK);
}

// Draws calls: short texts of few characters, so that patterns meet them; some arguments are of a wrong type or
// missing.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}

  std::uint64_t Below(std::uint64_t bound) { return random_() % bound; }
  bool OneIn(std::uint64_t n) { return Below(n) == 0; }
  lua_Integer Between(lua_Integer low, lua_Integer high) {
    return low + static_cast<lua_Integer>(Below(static_cast<std::uint64_t>(high - low) + 1));
  }

  template <typename T>
  T From(std::initializer_list<T> choices) {
    return choices.begin()[Below(choices.size())];
  }
  char From(std::string_view choices) { return choices[Below(choices.size())]; }

  std::string Text(std::string_view alphabet, std::uint64_t longest) {
    std::string text(Below(longest + 1), '\0');
    for (char& c : text) c = From(alphabet);
    return text;
  }
  std::string Subject() {
    static constexpr std::string_view kAlphabet("aaaabbbbABz01_ .,()[]%^$-+*?\"\\\n\t\r\0\x1f\x7f\x80\xe9\xff", 40);
    return OneIn(3) ? Text("ab", 14) : Text(kAlphabet, 16);
  }

  std::string Set() {
    std::string set = OneIn(3) ? "[^" : "[";
    for (std::uint64_t i = 1 + Below(3); i > 0; --i) {
      switch (Below(6)) {
        case 0:
          set += From("ab01"), set += '-', set += From("abz9");
          break;
        case 1:
          set += '%', set += From("adlswuxpcgADW%]-^z");
          break;
        case 2:
          set += From("]^-%[");
          break;
        default:
          set += From(std::string_view("abAB1_ \0\xe9", 9));
      }
    }
    if (!OneIn(20)) set += ']';
    return set;
  }

  std::string Pattern() {
    std::string pattern = OneIn(6) ? "^" : "";
    int open = 0;
    for (std::uint64_t i = 1 + Below(6); i > 0; --i) {
      bool repeatable = true;
      switch (Below(16)) {
        case 0:
          pattern += '.';
          break;
        case 1:
        case 2:
          pattern += '%', pattern += From("aacdglpsuwxzACDGLPSUWXZ.%()-");
          break;
        case 3:
        case 4:
          pattern += Set();
          break;
        case 5:
        case 6:
          pattern += OneIn(4) ? "()" : (++open, "(");
          repeatable = false;
          break;
        case 7:
        case 8:
          if (open == 0 && !OneIn(8)) continue;
          --open;
          pattern += ')';
          repeatable = false;
          break;
        case 9:
          pattern += '%', pattern += From("11112230");
          break;
        case 10:
          pattern += From({"%b()", "%bab", "%baa", "%b[]"});
          break;
        case 11:
          pattern += From({"%f", "%f", "%f["}), pattern += Set();
          break;
        default:
          pattern += From(std::string_view("aaabbbABz01_ ,\0\n\xe9", 17));
      }
      if (repeatable && OneIn(3)) pattern += From("*+-?");
    }
    while (open-- > 0 && !OneIn(12)) pattern += ')';
    if (OneIn(6)) pattern += '$';
    if (OneIn(10)) Spoil(pattern);
    return pattern;
  }

  // One that matches some of the text, unless it is spoilt.
  std::string PatternFor(std::string_view text) {
    std::string pattern = OneIn(8) ? "^" : "";
    text.remove_prefix(pattern.empty() ? Below(text.size() + 1) : 0);
    int open = 0;
    for (const char c : text.substr(0, 1 + Below(5))) {
      if (OneIn(4)) pattern += OneIn(4) ? "()" : (++open, "(");
      switch (Below(6)) {
        case 0:
          pattern += '.';
          break;
        case 1:
          pattern += c >= 'a' && c <= 'z' ? From({"%a", "%l", "%w", "[a-z]", "%D"}) : "%L";
          break;
        case 2:
          pattern += std::string("[") + (c == '%' || c == ']' || c == '^' ? "%" : "") + c + Text("ab", 1) + "]";
          break;
        default:
          if (std::string_view("^$()%.[]*+-?").find(c) != std::string_view::npos) pattern += '%';
          pattern += c;
      }
      if (OneIn(3)) pattern += From("*+-?");
      if (open > 0 && OneIn(3)) --open, pattern += ')';
    }
    while (open-- > 0) pattern += ')';
    if (OneIn(10)) pattern += From({"%1", "%2", "$", "%f[%A]", "%b()"});
    if (OneIn(20)) Spoil(pattern);
    return pattern;
  }

  // Cuts a text, or changes, adds or removes one of its characters.
  void Spoil(std::string& text) {
    static constexpr std::string_view kAny("%[](){}^$*+-?.a1\0", 17);
    const std::size_t at = Below(text.size() + 1);
    switch (Below(4)) {
      case 0:
        text.resize(at);
        break;
      case 1:
        text.insert(at, 1, From(kAny));
        break;
      case 2:
        if (at < text.size()) text[at] = From(kAny);
        break;
      default:
        if (at < text.size()) text.erase(at, 1);
    }
  }

  std::string Replacement() {
    std::string replacement;
    for (std::uint64_t i = Below(4); i > 0; --i) {
      switch (Below(5)) {
        case 0:
          replacement += '%', replacement += From("0001111223459%");
          break;
        case 1:
          replacement += '%', replacement += OneIn(6) ? From("a(") : '1';
          break;
        default:
          replacement += Text("ab-\\", 3);
      }
    }
    if (OneIn(40)) replacement += '%';
    return replacement;
  }

  std::string Utf8() {
    std::string text;
    for (std::uint64_t i = Below(6); i > 0; --i) {
      switch (Below(12)) {
        case 0:
          text += "\u00e9";
          break;
        case 1:
          text += "\u20ac";
          break;
        case 2:
          text += "\U0001f600";
          break;
        case 3:
          text += "\U0010ffff";
          break;
        case 4:
          text += From({"\xed\xa0\x80", "\xed\x9f\xbf", "\xed\xbf\xbf", "\xee\x80\x80"});
          break;
        case 5:
          text += From({"\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"});
          break;
        case 6:
          text += From({"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xc1\xbf", "\xe0\x9f\xbf"});
          break;
        case 7:
          text += From({"\xfd\xbf\xbf\xbf\xbf\xbf", "\xfe\xbf\xbf\xbf\xbf\xbf\xbf", "\xff", "\xfb\xbf\xbf"});
          break;
        case 8:
          if (OneIn(3)) text += From(std::string_view("\x80\xbf\xc3\xe2\xf0", 5));
          break;
        default:
          text += From(std::string_view("abc\0\x7f", 5));
      }
    }
    return text;
  }

  lua_Number Float() {
    switch (Below(6)) {
      case 0:
        return From({0.0, -0.0, 1.0, 0.1, -1.5, 1e15, 1e16, 123456789012345.0, 1e100, 5e-324, 1.7976931348623157e308});
      case 1:
        return From({std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
                     std::numeric_limits<double>::quiet_NaN(), 0x1p63, -0x1p63, 0x1p62, 9007199254740993.0});
      case 2:
        return static_cast<lua_Number>(Between(-1000, 1000)) / 8;
      case 3:
        return static_cast<lua_Number>(Between(-20, 20));
      default: {
        const auto number = std::bit_cast<lua_Number>(random_());
        return std::isnan(number) ? 0.5 : number;
      }
    }
  }
  lua_Integer Integer() {
    switch (Below(4)) {
      case 0:
        return From({std::numeric_limits<lua_Integer>::min(), std::numeric_limits<lua_Integer>::max(), lua_Integer{-1},
                     lua_Integer{0}, lua_Integer{1} << 31, lua_Integer{255}, lua_Integer{256}});
      case 1:
        return static_cast<lua_Integer>(random_());
      default:
        return Between(-130, 130);
    }
  }

  // Of any type. What is shown by its address is not among them.
  Argument Any() {
    switch (Below(9)) {
      case 0:
        return std::monostate();
      case 1:
        return OneIn(2);
      case 2:
        return Float();
      case 3:
        return From({"12", "0x10", " 7 ", "1e1", "-3", "2.5", "x", "9223372036854775808", "1e", "nan"});
      case 4:
        return Subject();
      default:
        return Integer();
    }
  }
  Argument Position() {
    if (OneIn(30)) return Any();
    if (OneIn(15)) return Integer();
    if (OneIn(15)) return static_cast<lua_Number>(Between(-5, 5));
    return Between(-18, 18);
  }
  Argument Often(Argument usual) { return OneIn(60) ? Any() : std::move(usual); }

  Call ForPatterns() {
    Call call;
    std::vector<Argument>& arguments = call.arguments;
    const std::string subject = Subject();
    arguments = {Often(subject), Often(OneIn(2) ? Pattern() : PatternFor(subject))};
    call.library = "string";
    switch (Below(4)) {
      case 0:
        call.function = "find";
        if (OneIn(2)) arguments.push_back(OneIn(2) ? Position() : std::monostate());
        if (arguments.size() == 3 && OneIn(3)) arguments.push_back(OneIn(2) ? Argument(true) : Any());
        break;
      case 1:
        call.function = "match";
        if (OneIn(3)) arguments.push_back(Position());
        break;
      case 2:
        call.library = "_G";
        call.function = "gmatch";
        if (OneIn(3)) arguments.push_back(Position());
        break;
      default:
        call.function = "gsub";
        if (OneIn(3)) {
          arguments.push_back(Made{static_cast<int>(Between(1, kMade))});
        } else {
          arguments.push_back(Often(Replacement()));
        }
        if (OneIn(3)) arguments.push_back(OneIn(4) ? Position() : Between(-1, 4));
    }
    if (OneIn(100)) arguments.pop_back();
    return call;
  }

  // An item of a format, and the value for it.
  std::string Conversion(Argument& value) {
    std::string item = "%";
    if (OneIn(2)) item += Text("-+ #0", OneIn(8) ? 24 : 2);
    if (OneIn(2)) item += std::to_string(Below(OneIn(10) ? 2000 : 100));
    if (OneIn(2)) item += '.', item += OneIn(5) ? "" : std::to_string(Below(OneIn(10) ? 2000 : 100));
    if (OneIn(30)) Spoil(item);
    const char letter =
        OneIn(30) ? From(std::string_view("bhjklnrtvwyzBCDFILSU.* \0\xe9", 25)) : From("cdiuoxXaAeEfgGqsddsss");
    if (std::string_view("cdiuoxX").find(letter) != std::string_view::npos) {
      value = OneIn(6) ? Any() : Integer();
      if (OneIn(10)) value = static_cast<lua_Number>(Between(-300, 300));
    } else if (std::string_view("aAeEfgG").find(letter) != std::string_view::npos) {
      value = OneIn(6) ? Any() : Float();
    } else if (letter == 's') {
      value = OneIn(3) ? Argument(Made{static_cast<int>(Between(12, 15))}) : OneIn(4) ? Text("xyz", 130) : Any();
    } else {
      value = Any();
    }
    return item + letter;
  }

  Call ForFormat() {
    Call call{.library = "string", .function = "format", .arguments = {""}};
    std::string format;
    for (std::uint64_t i = 1 + Below(3); i > 0; --i) {
      Argument value;
      format += OneIn(3) ? Text(std::string_view("ab \0", 4), 3) : "";
      format += OneIn(20) ? "%%" : Conversion(value);
      if (!OneIn(60)) call.arguments.push_back(std::move(value));
    }
    if (OneIn(60)) format += '%';
    call.arguments[0] = format;
    return call;
  }

  Call ForBytes() {
    Call call{.library = "string", .arguments = {Often(Subject())}};
    std::vector<Argument>& arguments = call.arguments;
    call.function = From({"byte", "sub", "rep", "char", "len", "lower", "upper", "reverse"});
    if (call.function == "char") {
      arguments.clear();
      for (std::uint64_t i = Below(5); i > 0; --i) arguments.push_back(OneIn(10) ? Integer() : Between(0, 255));
    } else if (call.function == "rep") {
      if (OneIn(10)) {
        arguments[0] = "ab";
        arguments.push_back(lua_Integer{1} << Between(31, 62));  // of nothing, Lua would make so many copies
      } else {
        arguments.push_back(OneIn(30) ? Argument("x") : Argument(Between(-1, 9)));
      }
      if (OneIn(2)) arguments.push_back(Often(Subject()));
    } else {
      for (std::uint64_t i = Below(3); i > 0; --i) arguments.push_back(Position());
    }
    if (OneIn(100) && !arguments.empty()) arguments.pop_back();
    return call;
  }

  Call ForUtf8() {
    Call call{.library = "utf8", .arguments = {Often(Utf8())}};
    std::vector<Argument>& arguments = call.arguments;
    call.function = From({"len", "codepoint", "offset", "char", "codes", "next_code"});
    if (call.function == "char") {
      arguments.clear();
      for (std::uint64_t i = Below(4); i > 0; --i) {
        arguments.push_back(OneIn(10)  ? Integer()
                            : OneIn(3) ? Between(0, 0x80000000)
                                       : Between(0, lua_Integer{1} << Between(5, 31)));
      }
    } else if (call.function == "codes" || call.function == "next_code") {
      call.library = "_G";
      if (call.function == "next_code") arguments.push_back(OneIn(20) ? Any() : Between(-1, 12));
      if (OneIn(2)) arguments.push_back(OneIn(2));
    } else if (call.function == "offset") {
      arguments.push_back(Often(Between(-7, 7)));
      if (OneIn(2)) arguments.push_back(OneIn(8) ? Position() : Between(-8, 9));
    } else {
      for (std::uint64_t i = Below(3); i > 0; --i) {
        arguments.push_back(OneIn(8) ? Position() : OneIn(8) ? std::monostate() : Argument(Between(-8, 9)));
      }
      if (arguments.size() == 3 && OneIn(2)) arguments.push_back(OneIn(3) ? Any() : Argument(true));
    }
    return call;
  }

 private:
  std::mt19937_64 random_;
};

class TextDifferentialTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ours_.Run(kPrelude);
    stock_.Run(kPrelude);
  }

  // False: it takes too long to be compared.
  [[nodiscard]] bool Compare(const Call& call) {
    ours_.Allow(30'000, 1'000'000);
    const std::vector<std::string> ours = Perform(ours_, call);
    if (ours_.meter.abort != Abort::kNone) return false;
    const std::vector<std::string> stock = Perform(stock_, call);
    failed_ += ours.size() == 1 && ours[0].starts_with("error: ");
    if (ours != stock && !IsKnownDifference(call, ours)) {
      ADD_FAILURE() << Describe(call) << "\nours:  " << ::testing::PrintToString(ours)
                    << "\nLua's: " << ::testing::PrintToString(stock);
    }
    return true;
  }

  // Lua 5.4.4's `codes` does not see continuation bytes that belong to no character, ours does as 5.4.6's.
  bool IsKnownDifference(const Call& call, const std::vector<std::string>& ours) {
    if (call.function != "codes" && call.function != "next_code") return false;
    ++differed_;
    return IsInvalidCode(ours) && !IsValidUtf8(call);
  }

  static bool IsInvalidCode(const std::vector<std::string>& results) {
    return results.size() == 1 && results[0].find("invalid UTF-8 code") != std::string::npos;
  }

  // Of a call of `codes` or `next_code`: `len` can count its text's characters.
  bool IsValidUtf8(const Call& call) {
    const Argument lax = call.arguments.size() > 1 ? call.arguments.back() : Argument(false);
    return Perform(stock_, {"utf8", "len", {call.arguments[0], lua_Integer{1}, lua_Integer{-1}, lax}})[0] != "nil";
  }

  LibraryState ours_;
  LibraryState stock_{LibraryState::Libraries::kStock};
  int failed_ = 0;
  int differed_ = 0;
};

TEST_F(TextDifferentialTest, Patterns) {
  Draw draw(1);
  int skipped = 0;
  for (int i = 0; i < 150'000 && !HasFailure(); ++i) skipped += Compare(draw.ForPatterns()) ? 0 : 1;
  EXPECT_LT(skipped, 500);
  EXPECT_GT(failed_, 10'000);
  EXPECT_LT(failed_, 50'000);
}

TEST_F(TextDifferentialTest, Formats) {
  Draw draw(2);
  for (int i = 0; i < 80'000 && !HasFailure(); ++i) ASSERT_TRUE(Compare(draw.ForFormat()));
  EXPECT_GT(failed_, 10'000);
  EXPECT_LT(failed_, 60'000);
}

TEST_F(TextDifferentialTest, Bytes) {
  Draw draw(3);
  for (int i = 0; i < 40'000 && !HasFailure(); ++i) ASSERT_TRUE(Compare(draw.ForBytes()));
  EXPECT_LT(failed_, 10'000);
}

TEST_F(TextDifferentialTest, Utf8) {
  Draw draw(4);
  for (int i = 0; i < 80'000 && !HasFailure(); ++i) {
    const Call call = draw.ForUtf8();
    ASSERT_TRUE(Compare(call));
    if (call.function == "codes" && IsValidUtf8(call)) EXPECT_FALSE(IsInvalidCode(Perform(ours_, call)));
  }
  EXPECT_LT(failed_, 40'000);
  EXPECT_GT(differed_, 100);
}

// PushText and Lua's tostring.
TEST_F(TextDifferentialTest, NumbersAsText) {
  Draw draw(5);
  for (int i = 0; i < 50'000 && !HasFailure(); ++i) {
    lua_State* const state = stock_.get();
    if (i % 2 == 0) {
      lua_pushnumber(state, draw.Float());
    } else {
      lua_pushinteger(state, draw.Integer());
    }
    PushText(state, 1);
    luaL_tolstring(state, 1, nullptr);
    EXPECT_STREQ(lua_tostring(state, 2), lua_tostring(state, 3));
    lua_settop(state, 0);
  }
}

}  // namespace
}  // namespace corod::lua
