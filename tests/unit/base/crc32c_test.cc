#include "server/base/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace corod {
namespace {

TEST(Crc32cTest, IsThatOfTheStandard) {  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

TEST(Crc32cTest, GoesOnBehindWhatCameBefore) {
  std::string text;
  for (int i = 0; i < 300; ++i) text.push_back(static_cast<char>(i * 7));
  for (std::size_t at = 0; at <= text.size(); ++at) {
    EXPECT_EQ(Crc32c(std::string_view(text).substr(at), Crc32c(std::string_view(text).substr(0, at))), Crc32c(text));
  }
}

}  // namespace
}  // namespace corod
