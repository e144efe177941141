#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <clocale>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "server/lua/libraries.h"
#include "tests/unit/lua/allocations.h"
#include "tests/unit/lua/library_state.h"

namespace corod::lua {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StringLibraryTest : public ::testing::Test {
 protected:
  std::vector<std::string> Run(const std::string& chunk) { return state_.Run(chunk); }

  // What a chunk spends beyond its own instructions, of which it has less than a thousand.
  std::uint64_t InstructionsOf(const std::string& chunk) {
    state_.Allow(LibraryState::kUnlimited, LibraryState::kUnlimited);
    EXPECT_THAT(Run(chunk), IsEmpty()) << chunk;
    return LibraryState::kUnlimited - state_.meter.instructions;
  }
  std::size_t MemoryOf(const std::string& chunk) {
    state_.Allow(LibraryState::kUnlimited, LibraryState::kUnlimited);
    EXPECT_THAT(Run(chunk), IsEmpty()) << chunk;
    EXPECT_EQ(state_.meter.asked, LibraryState::kUnlimited - state_.meter.memory);
    return state_.meter.asked;
  }

  std::string TextOf(int index) {
    PushText(state_.get(), index);
    EXPECT_EQ(lua_type(state_.get(), -1), LUA_TSTRING);
    std::string text = lua_tostring(state_.get(), -1);
    lua_pop(state_.get(), 1);
    return text;
  }

  LibraryState state_;
};

TEST_F(StringLibraryTest, HasTheseFunctions) {
  EXPECT_THAT(Run("local names = {} for name in pairs(string) do names[#names + 1] = name end table.sort(names) "
                  "return table.concat(names, ' ')"),
              ElementsAre("'byte char find format gmatch gsub len lower match rep reverse sub upper'"));
}

TEST_F(StringLibraryTest, Bytes) {
  EXPECT_THAT(Run("return ('abc'):byte(-1), ('abc'):byte(2, 9), ('abc'):byte(9)"), ElementsAre("99", "98"));
  EXPECT_THAT(Run("return string.char(), string.char(0x61, 0, 255)"), ElementsAre("''", std::string("'a\0\xff'", 5)));
  EXPECT_THAT(Run("return ('aB\\xe9Z'):lower(), ('aB\\xe9z'):upper(), ('abc'):reverse(), #('a'):rep(3, ', ')"),
              ElementsAre("'ab\xe9z'", "'AB\xe9Z'", "'cba'", "7"));
  EXPECT_THAT(Run("return ('abc'):rep(0), ('abc'):rep(-1), (''):rep(1 << 62), (''):rep(3, '.'), ('ab'):rep(4, '-')"),
              ElementsAre("''", "''", "''", "'..'", "'ab-ab-ab-ab'"));
  EXPECT_THAT(
      Run("return ('abc'):sub(-2), ('abc'):sub(2, -2), ('abc'):sub(0), ('abc'):sub(3, 2), string.sub(123.0, 2)"),
      ElementsAre("'bc'", "'b'", "'abc'", "''", "'23.0'"));
}

TEST_F(StringLibraryTest, Matching) {
  EXPECT_THAT(Run("return ('key = value'):find('(%w+)%s*=%s*(%w+)')"), ElementsAre("1", "11", "'key'", "'value'"));
  EXPECT_THAT(Run("return ('a.b'):find('.', 2, true), (('a.b'):find('.', 2)), ('ab'):find('', 3), ('ab'):find('', 4)"),
              ElementsAre("2", "2", "3", "nil"));
  EXPECT_THAT(Run("return ('hello world'):match('^(%w+)'), ('a1'):match('()%d()')"), ElementsAre("'hello'", "2", "3"));
  EXPECT_THAT(Run("local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t + 1] = k .. v end "
                  "for w in ('^a^a'):gmatch('^a') do t[#t + 1] = w end return table.unpack(t)"),
              ElementsAre("'a1'", "'b2'", "'^a'", "'^a'"));
  EXPECT_THAT(Run("local t = {} for place in ('abc'):gmatch('()%w*') do t[#t + 1] = place end return table.unpack(t)"),
              ElementsAre("1"));
  EXPECT_THAT(Run("local one, other = ('abc'):gmatch('.', 2), ('abc'):gmatch('.', -1) "
                  "return one(), other(), other(), one(), (one())"),
              ElementsAre("'b'", "'c'", "nil", "'c'", "nil"));
}

TEST_F(StringLibraryTest, Substituting) {
  EXPECT_THAT(Run("return ('hello world'):gsub('o', '0', 1)"), ElementsAre("'hell0 world'", "1"));
  EXPECT_THAT(Run("return ('abc'):gsub('%w', '%0%0%%')"), ElementsAre("'aa%bb%cc%'", "3"));
  EXPECT_THAT(Run("return ('abc'):gsub('', '-')"), ElementsAre("'-a-b-c-'", "4"));
  EXPECT_THAT(Run("return ('$x $y'):gsub('$(%w)', {x = 1.5, y = false})"), ElementsAre("'1.5 $y'", "2"));
  EXPECT_THAT(Run("return ('abc'):gsub('(a)()', function(a, place) return a .. place end)"),
              ElementsAre("'a2bc'", "1"));
  EXPECT_THAT(Run("return ('abc'):gsub('^.', 'x')"), ElementsAre("'xbc'", "1"));
  EXPECT_THAT(Run("return ('abc'):gsub('.', {a = {}})"),
              ElementsAre("error: 'chunk:1: invalid replacement value (a table)'"));
  EXPECT_THAT(Run("return ('abc'):gsub('b', function() return ('xyz'):gsub('y', '%0%0') end)"),
              ElementsAre("'axyyzc'", "1"));
}

TEST_F(StringLibraryTest, WhatGsubCallsMayRaiseButNotYield) {
  EXPECT_THAT(Run("return pcall(string.gsub, ('a'):rep(1000), '.', function() error({}) end)"),
              ElementsAre("false", "table"));
  EXPECT_THAT(Run("return coroutine.wrap(function() return (('a'):gsub('.', coroutine.yield)) end)()"),
              ElementsAre("error: 'chunk:1: attempt to yield across a C-call boundary'"));
}

TEST_F(StringLibraryTest, FormatShowsNoAddresses) {
  EXPECT_THAT(Run("return ('%s %s %s'):format({}, print, coroutine.create(print))"),
              ElementsAre("'table function thread'"));
  EXPECT_THAT(Run("return ('%5.2s|'):format(setmetatable({}, {__name = 'Point'})), "
                  "('%s'):format(setmetatable({}, {__name = 1}))"),
              ElementsAre("'   Po|'", "'table'"));
  EXPECT_THAT(Run("return ('%s'):format(setmetatable({}, {__name = 'Point', __tostring = function() return 0/0 end}))"),
              ElementsAre("'nan'"));
  EXPECT_THAT(Run("return ('%p'):format({})"), ElementsAre("error: 'chunk:1: invalid conversion '%p' to 'format''"));
}

TEST_F(StringLibraryTest, SignOfNanIsNotSeen) {
  EXPECT_THAT(Run("local nan = 0/0 local other = -nan "
                  "return ('%f %s %g %a %+e'):format(nan, nan, nan, nan, nan), "
                  "('%f %s %g %a %+e'):format(other, other, other, other, other)"),
              ElementsAre("'nan nan nan nan +nan'", "'nan nan nan nan +nan'"));
  EXPECT_THAT(Run("local nan = 0/0 local other = -nan "
                  "return string.rep(nan, 1), string.rep(other, 1), (('x'):gsub('x', {x = nan})), "
                  "(('x'):gsub('x', function() return other end)), (('x'):gsub('x', nan)), (('x'):gsub('x', other))"),
              ElementsAre("'nan'", "'nan'", "'nan'", "'nan'", "'nan'", "'nan'"));
  for (const double nan : {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::quiet_NaN()}) {
    lua_pushnumber(state_.get(), nan);
    EXPECT_EQ(TextOf(-1), "nan");
  }
}

TEST_F(StringLibraryTest, PushText) {
  lua_State* const state = state_.get();
  lua_pushnil(state);
  lua_pushboolean(state, 1);
  lua_pushboolean(state, 0);
  lua_pushlightuserdata(state, nullptr);
  lua_pushlightuserdata(state, this);
  lua_pushinteger(state, std::numeric_limits<lua_Integer>::min());
  lua_pushnumber(state, 3);
  lua_pushnumber(state, -0.0);
  lua_pushnumber(state, 0.1);
  lua_pushnumber(state, 1e15);
  lua_pushnumber(state, -std::numeric_limits<double>::infinity());
  lua_pushliteral(state, "text");
  lua_pushcfunction(state, luaopen_base);
  lua_newthread(state);
  lua_newuserdatauv(state, 0, 0);
  std::vector<std::string> texts;
  for (int i = 1; i <= 15; ++i) texts.push_back(TextOf(i));
  EXPECT_THAT(texts, ElementsAre("nil", "true", "false", "null", "userdata", "-9223372036854775808", "3.0", "-0.0",
                                 "0.1", "1e+15", "-inf", "text", "function", "thread", "userdata"));
  // Its argument is as it was.
  EXPECT_EQ(lua_type(state, 9), LUA_TNUMBER);
}

TEST_F(StringLibraryTest, PushTextHeedsNoMetatable) {
  ASSERT_EQ(luaL_dostring(state_.get(), "return setmetatable({}, {__tostring = print, __name = 'Point'})"), LUA_OK);
  EXPECT_EQ(TextOf(-1), "table");
}

// A locale with a decimal comma, in which the bytes of Latin-1 are letters.
TEST_F(StringLibraryTest, LocaleIsNotSeen) {
  const auto directory =
      std::filesystem::path(::testing::TempDir()) / ("corod_lua_locales_" + std::to_string(getpid()));
  std::filesystem::create_directories(directory);
  const std::string make =
      "localedef -i de_DE -f ISO-8859-1 '" + (directory / "de_DE.ISO-8859-1").string() + "' >/dev/null 2>&1";
  const bool made = std::system(make.c_str()) == 0;
  setenv("LOCPATH", directory.c_str(), 1);
  const bool set = made && std::setlocale(LC_ALL, "de_DE.ISO-8859-1") != nullptr;
  const std::string point = std::localeconv()->decimal_point;
  const std::vector<std::string> texts = Run(
      "return ('%.1f %g %a %q %s'):format(1.5, 1.5, 1.5, 1.5, 1.5), string.rep(1.5, 1), (('x'):gsub('x', {x = 1.5})), "
      "('\\xc4'):lower(), ('\\xe4'):upper(), ('\\xe4'):find('[%a%l%w%p%g]')");
  lua_pushnumber(state_.get(), 1.5);
  const std::string text = TextOf(-1);
  std::setlocale(LC_ALL, "C");
  unsetenv("LOCPATH");
  std::filesystem::remove_all(directory);
  if (!set) GTEST_SKIP() << "there is no localedef, or no source of locales";
  EXPECT_EQ(point, ",");
  EXPECT_THAT(texts, ElementsAre("'1.5 1.5 0x1.8p+0 0x1.8p+0 1.5'", "'1.5'", "'1.5'", "'\xc4'", "'\xe4'", "nil"));
  EXPECT_EQ(text, "1.5");
}

TEST_F(StringLibraryTest, WorkIsChargedInProportion) {
  constexpr std::uint64_t kBytes = 160'000;
  Run("s = ('a'):rep(160000) zeros = ('0'):rep(160000) t = {} for i = 1, 10000 do t[i] = 65 end");
  struct Case {
    const char* chunk;
    std::uint64_t least;
  };
  for (const auto& [chunk, least] : {
           Case{"s:upper()", kBytes / 8},
           {"s:lower()", kBytes / 8},
           {"s:reverse()", kBytes / 8},
           {"s:sub(2)", kBytes / 16 - 1},
           {"s:rep(2)", 2 * kBytes / 8},
           {"('x'):rep(160000)", kBytes / 8},
           {"(''):rep(160000, 'x')", kBytes / 8 - 2},
           {"s:byte(1, 10000)", 10'000},
           {"string.char(table.unpack(t))", 10'000},
           {"s:find('b', 1, true)", kBytes / 16},
           {"s:find('b+')", kBytes},
           {"s:find(s)", kBytes / 8},
           {"s:match('^.*')", kBytes + kBytes / 16},
           {"s:match('^(.-)$')", kBytes + kBytes / 16},
           {"s:gmatch('a*')()", kBytes + kBytes / 16},
           {"s:gsub('b', '')", kBytes},
           {"s:gsub('^a', 'b')", kBytes / 8},
           {"s:gsub('^a', s)", 2 * kBytes / 8},
           {"s:gsub('^a', {a = s})", 2 * kBytes / 8},
           {"s:gsub('^.*', function(a) end)", kBytes + kBytes / 16},
           {"('a'):gsub('a', ('%%'):rep(10000))", 10'000},
           {"s:gsub('b*', string.len)", 9 * kBytes},
           {"('%s'):format(s)", kBytes / 8},
           {"('%.9s'):format(s)", kBytes / 16},
           {"('%q'):format(s)", kBytes / 2 + kBytes / 8},
           {"s:format()", kBytes / 8},
           {"('%%'):rep(10000):format()", 10'000},
           {"('%c'):rep(100):format(table.unpack(t, 1, 100))", 800},
           {"('%.99f'):format(1e308)", 800},
           {"s:rep(zeros)", kBytes},
           {"s:sub(zeros)", kBytes},
           {"s:sub(1, zeros)", kBytes},
           {"('%d'):format(zeros)", kBytes},
           {"('%f'):format(zeros)", kBytes},
           {"pcall(string.byte, s, s)", kBytes},
           {"pcall(string.match, '', '[' .. s)", kBytes},
           {"pcall(string.match, s, '^.*%1')", kBytes},
           {"pcall(string.format, s .. '%d')", kBytes / 16},
           {"pcall(string.gsub, 'a', 'a', s .. '%')", kBytes / 16},
       }) {
    const std::uint64_t spent = InstructionsOf(chunk);
    EXPECT_GE(spent, least) << chunk;
    EXPECT_LE(spent, 5 * least) << chunk;
  }
}

TEST_F(StringLibraryTest, LittleWorkCostsLittle) {
  Run("s = ('a, '):rep(100000)");
  for (const char* chunk : {"s:find(',', 1, true)", "s:find(',')", "s:find(', ', 150000, true)", "s:match('%a', 1000)",
                            "s:byte(5)", "s:sub(1)", "s:sub(7, 9)", "('%d %s'):format(1, 'x')", "s:gsub('a', 'b', 0)",
                            "s:gmatch('%a')()", "('abc'):upper()"}) {
    EXPECT_LE(InstructionsOf(chunk), 64U) << chunk;
  }
}

TEST_F(StringLibraryTest, BuffersAreCharged) {
  Run("s = ('a'):rep(100000)");
  for (const char* chunk : {"s:upper()", "s:lower()", "s:reverse()", "('x'):rep(100000)", "s:gsub('^a', 'b')",
                            "('a'):gsub('a', s)", "('%s'):format(s)", "('%q'):format(s)", "s:format()"}) {
    const std::size_t before = BytesNewed();
    const std::size_t charged = MemoryOf(chunk);
    const std::size_t used = BytesNewed() - before;
    EXPECT_GE(used, 100'000U) << chunk;
    EXPECT_LE(used, 2 * charged + 1000) << chunk;
    EXPECT_LE(charged, 250'000U) << chunk;
  }
  // Room on the stack.
  EXPECT_GE(MemoryOf("s:byte(1, -1)"), 1'600'000U);
  for (const char* chunk :
       {"s:find('b')", "s:match('a*')", "s:sub(2)", "s:gsub('b', 'c')", "s:gsub('a', {})", "s:byte()"}) {
    EXPECT_EQ(MemoryOf(chunk), 0U) << chunk;
  }
}

// Each would run for ages or take all memory.
class HostileTest : public StringLibraryTest {
 protected:
  static constexpr std::uint64_t kInstructions = 1'000'000;
  static constexpr std::size_t kMemory = 4'000'000;

  std::vector<std::string> RunLimited(const std::string& chunk) {
    state_.Allow(kInstructions, kMemory);
    const std::size_t newed_before = BytesNewed();
    const std::size_t lua_before = state_.lua_bytes;
    std::vector<std::string> results = Run(chunk);
    // Small texts, such as messages, are not charged.
    EXPECT_LE(BytesNewed() - newed_before, 2 * kMemory + 8 * kInstructions) << chunk;
    // Strings that a step makes are the allocator's to count, but it cannot copy without being charged.
    EXPECT_LE(state_.lua_bytes - lua_before, kMemory + 32 * kInstructions) << chunk;
    return results;
  }
};

TEST_F(HostileTest, IsEndedByItsInstructions) {
  for (const char* chunk : {
           "return (('a'):rep(30) .. 'b'):find(('a*'):rep(20) .. 'c')",
           "return (('a'):rep(30) .. 'b'):match(('a?'):rep(150) .. ('a'):rep(30))",
           "return ('a'):rep(300):match('(.-)(.-)(.-)(.-)(.-)b')",
           "for _ in ('a'):rep(40):gmatch(('a-'):rep(20) .. 'b') do end",
           "return ('a'):rep(40):gsub('(a*)(a*)(a*)(a*)(a*)%1%2%3b', '')",
           "return ('('):rep(100000):find('%b()')",
           "return ('a'):rep(100000):find('^(.-)(.-)%1%1b')",
           "return ('x'):rep(3000):find('[' .. ('a'):rep(3000) .. ']')",
           "return ('x'):rep(3000):find('%f[' .. ('a'):rep(3000) .. ']')",
           "local s = ('a'):rep(200000) for i = 1, 1e9 do s:find('b', 1, true) end",
           "local s = ('a'):rep(200000) for i = 1, 1e9 do s:find(s .. 'b', 1, true) end",
           "local s = ('a'):rep(1000000) for _ in s:gmatch('.') do end",
           "local s = ('a'):rep(1000000) for _ in s:gmatch('') do end",
           "local s = ('a'):rep(1000000) return s:gsub('', string.len)",
           "local s = ('a'):rep(1000000) return s:gsub('.', {})",
           "local s = 'x' while true do s = s:gsub('.', '%0%0') end",
           "return ('x'):rep(100000):gsub('x', ('%0'):rep(1000))",
           "local s = ('a'):rep(100000) for i = 1, 1e9 do s:sub(2) end",
           "local s = ('a'):rep(20000) for i = 1, 1e9 do s:gsub('$', '') end",
           "local s = ('1'):rep(100000) while true do pcall(string.rep, '', s) end",
           "while true do ('%.99f'):format(1e308) end",
           "while true do pcall(string.find, 'a', '%') end",
           "while true do pcall(string.find, ('a'):rep(30), ('a*'):rep(20) .. 'b') end",
           "return setmetatable({}, {__index = function(_, key) return key:rep(30):find(('a*'):rep(20) .. 'b') end}).a",
           "local t = setmetatable({}, {__tostring = function() while true do end end}) return ('%s'):format(t)",
       }) {
    EXPECT_THAT(RunLimited(chunk), ElementsAre("abort: instructions")) << chunk;
  }
}

TEST_F(HostileTest, IsEndedByItsMemory) {
  for (const char* chunk : {
           "return ('x'):rep(1000000000)",
           "return ('x'):rep(5000000)",
           "return (''):rep(1000000000, 'x')",
           "return ('x'):rep(1000000):rep(2000)",
           "local s = 'x' while true do s = s:rep(2) end",
           "local s = ('x'):rep(100000) return s:gsub('', s)",
           "local s = ('x'):rep(1000000) return ('abcdef'):gsub('.', function() return s end)",
           "local s = ('x'):rep(1000000) return ('abcdef'):gsub('.', setmetatable({}, {__index = function() return s "
           "end}))",
           "local s = ('x'):rep(1000000) return ('%s%s%s%s'):format(s, s, s, s)",
           "local s = ('\\1'):rep(600000) return ('%q%q'):format(s, s)",
           "return ('x'):rep(500000):byte(1, -1)",
           "while true do ('x'):rep(100000):upper() end",
           "while true do ('x'):rep(100000):reverse() end",
           "local item = ('%99s'):rep(200) local t = {} for i = 1, 200 do t[i] = '' end "
           "while true do item:format(table.unpack(t)) end",
           "while true do pcall(string.rep, 'x', 1000000000) end",
       }) {
    EXPECT_THAT(RunLimited(chunk), ElementsAre("abort: memory")) << chunk;
  }
}

TEST_F(HostileTest, IsRefusedWithAnError) {
  EXPECT_THAT(RunLimited("return ('x'):rep(1 << 31)"), ElementsAre("error: 'chunk:1: resulting string too large'"));
  EXPECT_THAT(RunLimited("return ('x'):rep(1 << 62)"), ElementsAre("error: 'chunk:1: resulting string too large'"));
  EXPECT_THAT(RunLimited("return ('x'):rep(1 << 30, 'yz')"),
              ElementsAre("error: 'chunk:1: resulting string too large'"));
  EXPECT_THAT(RunLimited("return ('%99999s'):format('x')"), ElementsAre(HasSubstr("invalid conversion")));
  EXPECT_THAT(RunLimited("return ('%.99999f'):format(1)"), ElementsAre(HasSubstr("invalid conversion")));
  EXPECT_THAT(RunLimited("return ('x'):rep(1000001):byte(1, -1)"),
              ElementsAre("error: 'chunk:1: stack overflow (string slice too long)'"));
  EXPECT_THAT(RunLimited("return ('a'):rep(300):find(('a?'):rep(250))"),
              ElementsAre("error: 'chunk:1: pattern too complex'"));
}

TEST_F(HostileTest, GoesOnWhereTheLimitsAllowIt) {
  EXPECT_THAT(RunLimited("return #('x'):rep(1000000):upper(), select('#', ('x'):rep(10000):byte(1, -1))"),
              ElementsAre("1000000", "10000"));
  EXPECT_THAT(RunLimited("return select(2, ('a'):rep(30000):gsub('a', '%0%0'))"), ElementsAre("30000"));
}

}  // namespace
}  // namespace corod::lua
