#include "server/auth/token_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/unit/auth/keys.h"

namespace corod {
namespace {

std::shared_ptr<const Identity> Ada() { return std::make_shared<const Identity>(Identity{"ada", "a", Role::kDrive}); }

TEST(TokenCacheTest, RemembersUntilItExpires) {
  TokenCache cache(100);
  const Digest token = Sha256("token");
  const std::shared_ptr<const Identity> ada = Ada();
  EXPECT_EQ(cache.Find(token, kNow), nullptr);
  cache.Add(token, ada, kNow + absl::Seconds(10), kNow);
  EXPECT_EQ(cache.Find(token, kNow), ada);
  EXPECT_EQ(cache.Find(Sha256("another"), kNow), nullptr);
  EXPECT_EQ(cache.Find(token, kNow + absl::Seconds(10) - absl::Nanoseconds(1)), ada);
  EXPECT_EQ(cache.size(), 1u);
  EXPECT_EQ(cache.Find(token, kNow + absl::Seconds(10)), nullptr);
  EXPECT_EQ(cache.size(), 0u) << "what has expired goes when it is met";
}

TEST(TokenCacheTest, TheSameTokenIsHeldOnce) {
  TokenCache cache(100);
  const Digest token = Sha256("token");
  cache.Add(token, Ada(), kNow + absl::Seconds(1), kNow);
  cache.Add(token, Ada(), kNow + absl::Seconds(9), kNow);
  EXPECT_EQ(cache.size(), 1u);
  EXPECT_NE(cache.Find(token, kNow + absl::Seconds(5)), nullptr);
}

TEST(TokenCacheTest, IsBounded) {
  constexpr std::size_t kSize = 160;
  TokenCache cache(kSize);
  for (int i = 0; i < 5000; ++i) {
    const Digest token = Sha256(std::to_string(i));
    cache.Add(token, Ada(), kNow + absl::Seconds(10), kNow);
    EXPECT_NE(cache.Find(token, kNow), nullptr) << "the newest is there, at " << i;
  }
  EXPECT_EQ(cache.size(), kSize);
}

TEST(TokenCacheTest, WhatHasExpiredMakesRoomFirst) {
  TokenCache cache(160);
  int added = 0;
  for (; cache.size() < 160; ++added) {
    cache.Add(Sha256(std::to_string(added)), Ada(), kNow + absl::Seconds(1), kNow);
  }
  // One of those that stay in every part of it.
  const absl::Time later = kNow + absl::Seconds(1);
  for (int i = 0; i < 160; ++i) cache.Add(Sha256("late" + std::to_string(i)), Ada(), kNow + absl::Hours(1), later);
  EXPECT_LT(cache.size(), 161u);
  for (int i = 0; i < added; ++i) EXPECT_EQ(cache.Find(Sha256(std::to_string(i)), later), nullptr) << i;
}

}  // namespace
}  // namespace corod
