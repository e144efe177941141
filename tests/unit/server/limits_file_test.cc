#include "server/limits_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace corod {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::StartsWith;

constexpr std::uint64_t kNone = NamespaceLimits::kNone;

NamespaceLimits Limits(std::uint64_t sessions, std::uint64_t commands, std::uint64_t streams) {
  return {.sessions = sessions, .commands_per_second = commands, .streams = streams};
}

LimitsOfAll Read(std::string_view text) {
  const absl::StatusOr<LimitsOfAll> limits = ParseLimits(text, "limits");
  EXPECT_TRUE(limits.ok()) << limits.status();
  return limits.ok() ? *limits : LimitsOfAll();
}

// What is told of a text that will not do.
std::string Refused(std::string_view text) {
  const absl::Status status = ParseLimits(text, "a file").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  EXPECT_THAT(std::string(status.message()), testing::Not(HasSubstr("\n")));
  return std::string(status.message());
}

TEST(LimitsFileTest, EveryLimitIsRead) {
  const LimitsOfAll all = Read("team-a sessions=1 commands=2 streams=3\n");
  EXPECT_THAT(all.by_namespace, ElementsAre(Pair("team-a", Limits(1, 2, 3))));
  EXPECT_EQ(all.others, NamespaceLimits());
}

TEST(LimitsFileTest, WhatIsLeftOutHasNoLimit) {
  const LimitsOfAll all = Read("a streams=0\nb commands=7\nc sessions=0\nd\n");
  EXPECT_THAT(all.by_namespace,
              ElementsAre(Pair("a", Limits(kNone, kNone, 0)), Pair("b", Limits(kNone, 7, kNone)),
                          Pair("c", Limits(0, kNone, kNone)), Pair("d", Limits(kNone, kNone, kNone))));
}

TEST(LimitsFileTest, AStarIsForAllOthers) {
  const LimitsOfAll all = Read("a sessions=1\n* sessions=2\n");
  EXPECT_EQ(all.others, Limits(2, kNone, kNone));
  EXPECT_THAT(all.by_namespace, ElementsAre(Pair("a", Limits(1, kNone, kNone))));
}

TEST(LimitsFileTest, CommentsAndSpaceAreSkipped) {
  const LimitsOfAll all = Read("# sessions=0\n\n \t\r\n  a\tsessions=1   streams=2# commands=3\r\nb sessions=4");
  EXPECT_THAT(all.by_namespace, ElementsAre(Pair("a", Limits(1, kNone, 2)), Pair("b", Limits(4, kNone, kNone))));
}

TEST(LimitsFileTest, AnEmptyFileLimitsNothing) {
  const LimitsOfAll all = Read("");
  EXPECT_THAT(all.by_namespace, IsEmpty());
  EXPECT_EQ(all.others, NamespaceLimits());
}

TEST(LimitsFileTest, RefusalsNameTheFileAndTheLine) {
  EXPECT_THAT(Refused("a sessions=1\n\n# c\nb sessions\n"), StartsWith("a file:4: "));
}

TEST(LimitsFileTest, WhatIsNoLimitIsRefused) {
  EXPECT_THAT(Refused("a space=1"), HasSubstr("there is no limit 'space'"));
  EXPECT_THAT(Refused("a sessions"), HasSubstr("write sessions=1000"));
  for (const char* number : {"", "-1", "1.5", "1e3", "many", "0x10", "99999999999999999999", "18446744073709551615"}) {
    EXPECT_THAT(Refused(std::string("a commands=") + number), HasSubstr("write commands=1000")) << number;
  }
  EXPECT_THAT(Refused("a sessions = 1"), HasSubstr("write sessions=1000"));
  EXPECT_THAT(Refused("a commands=0"), HasSubstr("write 1 at least"));
}

TEST(LimitsFileTest, WhatIsSaidTwiceIsRefused) {
  EXPECT_THAT(Refused("a sessions=1 sessions=1"), HasSubstr("'sessions' is said twice"));
  EXPECT_THAT(Refused("a sessions=1\na streams=1"), HasSubstr("two lines for 'a'"));
  EXPECT_THAT(Refused("*\n* sessions=1"), HasSubstr("two lines for '*'"));
}

TEST(LimitsFileTest, WhatIsNoNamespaceIsRefused) {
  for (const char* name : {"A", "a_b", "-a", "a-", "sessions=1", "a/b", "\xff"}) {
    EXPECT_THAT(Refused(std::string(name) + " streams=1"), HasSubstr("is no namespace")) << name;
  }
}

TEST(LimitsFileTest, BytesMayHaveAUnit) {
  const auto journal = [](const std::string& text) {
    return Read("a journal=" + text).by_namespace["a"].journal_bytes;
  };
  EXPECT_EQ(Read("a memory=3MiB").by_namespace["a"].memory_bytes, std::uint64_t{3} << 20);
  EXPECT_EQ(journal("0"), 0u);
  EXPECT_EQ(journal("1000"), 1'000u);
  EXPECT_EQ(journal("2KiB"), 2'048u);
  EXPECT_EQ(journal("3MiB"), std::uint64_t{3} << 20);
  EXPECT_EQ(journal("10GiB"), std::uint64_t{10} << 30);
  EXPECT_EQ(journal("1TiB"), std::uint64_t{1} << 40);
  for (const char* wrong : {"GiB", "1GB", "1.5GiB", "-1KiB", "20000000TiB", "1KiBKiB"}) {
    EXPECT_THAT(Refused(std::string("a journal=") + wrong), HasSubstr("write journal=10GiB")) << wrong;
  }
  EXPECT_THAT(Refused("a sessions=1KiB"), HasSubstr("write sessions=1000"));
}

}  // namespace
}  // namespace corod
