#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/unit/lua/allocations.h"
#include "tests/unit/lua/library_state.h"

namespace corod::lua {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Utf8LibraryTest : public ::testing::Test {
 protected:
  std::vector<std::string> Run(const std::string& chunk) { return state_.Run(chunk); }

  LibraryState state_;
};

TEST_F(Utf8LibraryTest, HasTheseMembers) {
  EXPECT_THAT(Run("local names = {} for name in pairs(utf8) do names[#names + 1] = name end table.sort(names) "
                  "return table.concat(names, ' ')"),
              ElementsAre("'char charpattern codepoint codes len offset'"));
  EXPECT_THAT(Run("return utf8.charpattern"), ElementsAre(std::string("'[\0-\x7F\xC2-\xFD][\x80-\xBF]*'", 16)));
}

TEST_F(Utf8LibraryTest, Char) {
  EXPECT_THAT(Run("return utf8.char(), utf8.char(0x61, 0xe9, 0x20ac, 0x1f600)"),
              ElementsAre("''", "'a\u00e9\u20ac\U0001f600'"));
  EXPECT_THAT(Run("return utf8.char(0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x10000)"),
              ElementsAre("'\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80'"));
  EXPECT_THAT(Run("return utf8.char(0x1fffff, 0x200000, 0x3ffffff, 0x4000000, 0x7fffffff)"),
              ElementsAre("'\xf7\xbf\xbf\xbf\xf8\x88\x80\x80\x80\xfb\xbf\xbf\xbf\xbf\xfc\x84\x80\x80\x80\x80"
                          "\xfd\xbf\xbf\xbf\xbf\xbf'"));
  EXPECT_THAT(Run("return select(2, pcall(utf8.char, 0x80000000))"),
              ElementsAre("'bad argument #1 to 'utf8.char' (value out of range)'"));
}

TEST_F(Utf8LibraryTest, WhatIsNotACharacterIsInvalid) {
  for (const char* text :
       {"\\x80", "\\xc3", "\\xc3a", "\\xc0\\x80", "\\xe0\\x9f\\xbf", "\\xf0\\x8f\\xbf\\xbf", "\\xed\\xa0\\x80",
        "\\xf4\\x90\\x80\\x80", "\\xff", "\\xfe\\xbf\\xbf\\xbf\\xbf\\xbf\\xbf", "\\xe2\\x82"}) {
    EXPECT_THAT(Run("return utf8.len('ab" + std::string(text) + "')"), ElementsAre("nil", "3")) << text;
    EXPECT_THAT(Run("return select(2, pcall(utf8.codepoint, '" + std::string(text) + "'))"),
                ElementsAre("'invalid UTF-8 code'"))
        << text;
    EXPECT_THAT(Run("return pcall(function() for _ in utf8.codes('a" + std::string(text) + "') do end end)"),
                ElementsAre("false", "'chunk:1: invalid UTF-8 code'"))
        << text;
  }
  EXPECT_THAT(Run("return utf8.len('\\xed\\xa0\\x80', 1, -1, true), utf8.codepoint('\\u{7fffffff}', 1, 1, true)"),
              ElementsAre("1", "2147483647"));
}

TEST_F(Utf8LibraryTest, Codes) {
  EXPECT_THAT(
      Run("local t = {} for place, code in utf8.codes('a\\u{e9}\\u{1f600}') do t[#t + 1] = place .. ':' .. code end "
          "return table.unpack(t)"),
      ElementsAre("'1:97'", "'2:233'", "'4:128512'"));
  EXPECT_THAT(Run("for place, code in utf8.codes('\\u{200000}', true) do return place, code end"),
              ElementsAre("1", "2097152"));
  EXPECT_THAT(Run("return utf8.codes('\\x80')"),
              ElementsAre("error: 'chunk:1: bad argument #1 to 'codes' (invalid UTF-8 code)'"));
}

// Where 5.4.4 has a bug.
TEST_F(Utf8LibraryTest, CodesSeesContinuationBytesThatBelongToNothing) {
  EXPECT_THAT(
      Run("local n = 0 local done, message = pcall(function() for _ in utf8.codes('ab\\x80c') do n = n + 1 end end) "
          "return n, done, message"),
      ElementsAre("1", "false", "'chunk:1: invalid UTF-8 code'"));
  EXPECT_THAT(Run("for _ in utf8.codes('\\u{e9}\\xbf') do end"), ElementsAre("error: 'chunk:1: invalid UTF-8 code'"));
}

TEST_F(Utf8LibraryTest, Offset) {
  EXPECT_THAT(
      Run("local s = 'a\\u{e9}\\u{1f600}' return utf8.offset(s, 1), utf8.offset(s, 3), utf8.offset(s, 4), "
          "utf8.offset(s, 5), utf8.offset(s, -1), utf8.offset(s, -3), utf8.offset(s, -4), utf8.offset(s, 0, 3)"),
      ElementsAre("1", "4", "8", "nil", "4", "1", "nil", "2"));
  EXPECT_THAT(Run("return utf8.offset('\\x80', 1)"),
              ElementsAre("error: 'chunk:1: initial position is a continuation byte'"));
}

TEST_F(Utf8LibraryTest, WorkIsCharged) {
  Run("s = ('a'):rep(50000) c = ('\\x80'):rep(50000) t = {} for i = 1, 50000 do t[i] = 0x20ac end");
  for (const char* chunk :
       {"utf8.len(s)", "utf8.codepoint(s, 1, -1)", "utf8.offset(s, 49999)", "utf8.offset(s, -50000)",
        "utf8.offset(c, 0, 49999)", "utf8.char(table.unpack(t))", "(utf8.codes(''))(c, 1)"}) {
    state_.Allow(LibraryState::kUnlimited, LibraryState::kUnlimited);
    EXPECT_THAT(Run(chunk), IsEmpty()) << chunk;
    const std::uint64_t spent = LibraryState::kUnlimited - state_.meter.instructions;
    EXPECT_GE(spent, 49'000U) << chunk;
    EXPECT_LE(spent, 100'000U) << chunk;
  }
  for (const char* chunk : {"utf8.offset(s, 10)", "utf8.len(s, 1, 10)", "utf8.len(c)", "utf8.codes(s)(s, 5)"}) {
    state_.Allow(LibraryState::kUnlimited, LibraryState::kUnlimited);
    EXPECT_THAT(Run(chunk), IsEmpty()) << chunk;
    EXPECT_LE(LibraryState::kUnlimited - state_.meter.instructions, 256U) << chunk;
  }
}

TEST_F(Utf8LibraryTest, HostileScriptsAreEnded) {
  const auto run_limited = [this](const std::string& chunk) {
    state_.Allow(1'000'000, 2'000'000);
    const std::size_t before = BytesNewed();
    std::vector<std::string> results = Run(chunk);
    EXPECT_LE(BytesNewed() - before, 4'000'000U);
    return results;
  };
  for (const char* chunk : {
           "local s = ('a'):rep(100000) while true do utf8.len(s) end",
           "local s = ('a'):rep(100000) while true do utf8.offset(s, -100000) end",
           "local s = ('a'):rep(100) while true do utf8.codepoint(s, 1, 100) end",
           "local s = ('\\x80'):rep(100000) local next = utf8.codes('') while true do next(s, 1) end",
           "local s = ('a'):rep(1000000) for _ in utf8.codes(s) do local _ = utf8.len(s, 1, 100) end",
           "local s = ('1'):rep(100000) while true do pcall(utf8.char, s) end",
       }) {
    EXPECT_THAT(run_limited(chunk), ElementsAre("abort: instructions")) << chunk;
  }
  EXPECT_THAT(run_limited("return utf8.codepoint(('a'):rep(500000), 1, -1)"), ElementsAre("abort: memory"));
  EXPECT_THAT(run_limited("return utf8.codepoint(('a'):rep(1000001), 1, -1)"),
              ElementsAre("error: 'chunk:1: stack overflow (string slice too long)'"));
}

}  // namespace
}  // namespace corod::lua
