#include "server/coroutine/utf8.h"

#include <string>
#include <string_view>

#include "gtest/gtest.h"

namespace corod {
namespace {

void ExpectDecoded(std::string_view text, char32_t code_point, int size) {
  const Utf8Character decoded = DecodeUtf8(text);
  EXPECT_TRUE(decoded.valid);
  EXPECT_EQ(decoded.code_point, code_point);
  EXPECT_EQ(decoded.size, size);
}

void ExpectInvalid(std::string_view text) {
  const Utf8Character decoded = DecodeUtf8(text);
  EXPECT_FALSE(decoded.valid);
  EXPECT_EQ(decoded.code_point, static_cast<unsigned char>(text[0]));
  EXPECT_EQ(decoded.size, 1);
  EXPECT_FALSE(IsUtf8(text));
}

TEST(Utf8Test, TheEndsOfEveryLengthAreDecoded) {
  using namespace std::string_view_literals;
  ExpectDecoded("\0"sv, 0x0, 1);
  ExpectDecoded("\x7f", 0x7f, 1);
  ExpectDecoded("\xc2\x80", 0x80, 2);
  ExpectDecoded("\xdf\xbf", 0x7ff, 2);
  ExpectDecoded("\xe0\xa0\x80", 0x800, 3);
  ExpectDecoded("\xed\x9f\xbf", 0xd7ff, 3);
  ExpectDecoded("\xee\x80\x80", 0xe000, 3);
  ExpectDecoded("\xef\xbf\xbf", 0xffff, 3);
  ExpectDecoded("\xf0\x90\x80\x80", 0x10000, 4);
  ExpectDecoded("\xf4\x8f\xbf\xbf", 0x10ffff, 4);
}

TEST(Utf8Test, OnlyTheFirstCharacterIsDecoded) { ExpectDecoded("\u00e9\xff", 0xe9, 2); }

TEST(Utf8Test, OverlongFormsAreInvalid) {
  for (const char* text :
       {"\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf"}) {
    ExpectInvalid(text);
  }
}

TEST(Utf8Test, SurrogatesAreInvalid) {
  ExpectInvalid("\xed\xa0\x80");
  ExpectInvalid("\xed\xbf\xbf");
}

TEST(Utf8Test, WhatIsAboveTheLastCodePointIsInvalid) {
  for (const char* text : {"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xff"}) ExpectInvalid(text);
}

TEST(Utf8Test, WhatBreaksOffOrBeginsInTheMiddleIsInvalid) {
  for (const char* text : {"\x80", "\xbf", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xc3(", "\xe2(\xa1", "\xe2\x82("}) {
    ExpectInvalid(text);
  }
}

TEST(Utf8Test, IsUtf8LooksAtAllOfTheText) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("h\u00e9llo \u65e5\u672c \U0001f600"));
  EXPECT_TRUE(IsUtf8(std::string(1000, 'a') + "\u00e9"));
  EXPECT_FALSE(IsUtf8(std::string(1000, 'a') + "\xe9"));
}

TEST(Utf8Test, ACompleteTextIsItsOwnPrefix) {
  for (const std::string text : {"", "a", "\u00e9", "a\u20ac", "\U0001f600"})
    EXPECT_EQ(CompleteUtf8Prefix(text), text.size());
}

TEST(Utf8Test, TheBeginningOfACharacterIsLeftForLater) {
  for (const std::string character : {"\u00e9", "\u20ac", "\U0001f600"}) {
    for (std::size_t taken = 1; taken < character.size(); ++taken) {
      EXPECT_EQ(CompleteUtf8Prefix("ab" + character.substr(0, taken)), 2u) << character << taken;
      EXPECT_EQ(CompleteUtf8Prefix(character.substr(0, taken)), 0u) << character << taken;
    }
  }
}

TEST(Utf8Test, WhatCanNeverBecomeValidIsNotWaitedFor) {
  for (const std::string text :
       {"\xff", "a\x80", "\x80\x80\x80\x80", "\xe0\x80", "\xed\xa0", "\xf4\x90", "\xc0", "\xf5\x80"}) {
    EXPECT_EQ(CompleteUtf8Prefix(text), text.size());
  }
}

}  // namespace
}  // namespace corod
