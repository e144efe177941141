#include "server/base/uuid.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <regex>
#include <set>
#include <string>

#include "server/base/random.h"

namespace corod {
namespace {

// Gives the same bits each time.
class FixedRandom : public Random {
 public:
  explicit FixedRandom(std::uint64_t bits) : bits_(bits) {}
  std::uint64_t Next() override { return bits_; }

 private:
  const std::uint64_t bits_;
};

// import uuid; uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_DNS, "corod"), name)
TEST(UuidTest, NamedIsPythonsUuid5) {
  EXPECT_EQ(NamedUuid(""), "f7912461-9614-5068-b6fa-8dc031754107");
  EXPECT_EQ(NamedUuid("a"), "967d8356-7cb8-564e-b8a1-373cdf574297");
  EXPECT_EQ(NamedUuid("default\n\nrequest-1"), "4a92cd84-7e2e-551b-a13b-4d0236e2bcd8");
  EXPECT_EQ(NamedUuid("\xc3\xa4\xe2\x82\xac"), "4b5df442-f84d-55ac-b900-cf6969edb8a6");
  EXPECT_EQ(NamedUuid(std::string(1000, 'x')), "6201174f-3305-5986-ac11-3ebf6047db82");
}

TEST(UuidTest, NamedIsTheSameEveryTime) {
  EXPECT_EQ(NamedUuid("x"), NamedUuid("x"));
  EXPECT_NE(NamedUuid("x"), NamedUuid("y"));
}

TEST(UuidTest, RandomHasVersionAndVariantWhateverTheBits) {
  for (const std::uint64_t bits : {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{0x0123456789abcdef}}) {
    FixedRandom random(bits);
    const std::string uuid = RandomUuid(random);
    EXPECT_TRUE(
        std::regex_match(uuid, std::regex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")))
        << uuid;
  }
}

TEST(UuidTest, RandomTakesAllItsOtherBitsFromTheSource) {
  FixedRandom zeros(0);
  FixedRandom ones(~std::uint64_t{0});
  EXPECT_EQ(RandomUuid(zeros), "00000000-0000-4000-8000-000000000000");
  EXPECT_EQ(RandomUuid(ones), "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

TEST(UuidTest, RandomFromTheSystemDiffersEachTime) {
  SystemRandom random;
  std::set<std::string> uuids;
  for (int i = 0; i < 1000; ++i) uuids.insert(RandomUuid(random));
  EXPECT_EQ(uuids.size(), 1000u);
}

TEST(UuidTest, OneOfAGroupBeginsWithIt) {
  FixedRandom random(~std::uint64_t{0});
  EXPECT_EQ(UuidIn(0x01234567, random), "01234567-ffff-8fff-bfff-ffffffffffff");
  FixedRandom zeros(0);
  EXPECT_EQ(UuidIn(0xfedcba98, zeros), "fedcba98-0000-8000-8000-000000000000");
}

}  // namespace
}  // namespace corod
