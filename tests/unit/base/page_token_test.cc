#include "server/base/page_token.h"

#include <gtest/gtest.h>

#include <cctype>
#include <string>

#include "server/base/failure.h"

namespace corod {
namespace {

TEST(PageTokenTest, GivesItsKeyBack) {
  for (const std::string& key : {std::string("a"), std::string(128, 'x'), std::string("\0\xff", 2), std::string()}) {
    const absl::StatusOr<std::string> read = ReadPageToken(MakePageToken(key, 42), 42);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, key);
  }
}

TEST(PageTokenTest, EmptyTokenIsTheBeginning) {
  const absl::StatusOr<std::string> read = ReadPageToken("", 42);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, "");
}

TEST(PageTokenTest, IsPrintable) {
  for (const char c : MakePageToken(std::string("\0\xff\n", 3), ~0ull)) {
    EXPECT_TRUE(std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_') << c;
  }
}

TEST(PageTokenTest, OfAnotherQueryIsRefused) {
  EXPECT_TRUE(IsFailure(ReadPageToken(MakePageToken("a", 42), 43).status(), Reason::INVALID_PAGE_TOKEN));
}

TEST(PageTokenTest, WhatIsNoTokenIsRefused) {
  const std::string token = MakePageToken("key", 42);
  for (const std::string& bad : {std::string("!"), std::string("YQ"), std::string("key"), token.substr(1),
                                 token.substr(0, token.size() - 2), "x" + token, token + "x", token + token}) {
    EXPECT_TRUE(IsFailure(ReadPageToken(bad, 42).status(), Reason::INVALID_PAGE_TOKEN)) << bad;
  }
}

TEST(PageTokenTest, EveryChangedCharacterIsNoticed) {
  const std::string token = MakePageToken("key", 42);
  for (std::size_t at = 0; at < token.size(); ++at) {
    std::string changed = token;
    changed[at] = changed[at] == 'A' ? 'Q' : 'A';
    const absl::StatusOr<std::string> read = ReadPageToken(changed, 42);
    EXPECT_FALSE(read.ok()) << "at " << at;
  }
}

}  // namespace
}  // namespace corod
