#include "server/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

namespace corod {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class FlagsTest : public testing::Test {
 protected:
  static std::variant<Flags, FlagsExit> Parse(const std::vector<std::string>& arguments) {
    std::vector<const char*> argv = {"corod"};
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    return ParseFlags(static_cast<int>(argv.size()), argv.data());
  }
  static Flags Good(const std::vector<std::string>& arguments) {
    const std::variant<Flags, FlagsExit> parsed = Parse(arguments);
    if (const auto* flags = std::get_if<Flags>(&parsed)) return *flags;
    ADD_FAILURE() << std::get<FlagsExit>(parsed).text;
    return {};
  }
  // The one line that a bad command line gets.
  static std::string Bad(const std::vector<std::string>& arguments) {
    const std::variant<Flags, FlagsExit> parsed = Parse(arguments);
    const auto* exit = std::get_if<FlagsExit>(&parsed);
    if (!exit) {
      ADD_FAILURE() << "accepted";
      return "";
    }
    EXPECT_EQ(exit->status, 2);
    EXPECT_EQ(std::count(exit->text.begin(), exit->text.end(), '\n'), 1) << exit->text;
    EXPECT_THAT(exit->text, testing::AllOf(StartsWith("corod: "), testing::EndsWith("\n")));
    return exit->text;
  }
};

TEST_F(FlagsTest, WithoutFlagsAreTheDefaults) {
  const Flags flags = Good({});
  EXPECT_EQ(flags.listen, "127.0.0.1:7117");
  EXPECT_EQ(flags.log_levels, *ParseLogLevels("info"));
  EXPECT_EQ(flags.sessions.max_sessions, 1'000'000u);
  EXPECT_EQ(flags.sessions.idle_timeout, absl::Hours(1));
  EXPECT_EQ(flags.sessions.retention, absl::Minutes(5));
}

TEST_F(FlagsTest, EveryFlagIsRead) {
  const Flags flags = Good({"--listen", "0.0.0.0:0", "--journal=memory", "--data-dir", "/tmp", "--max-sessions", "7",
                            "--idle-timeout=90s", "--retention", "1h30m", "--log-level", "debug"});
  EXPECT_EQ(flags.listen, "0.0.0.0:0");
  EXPECT_EQ(flags.log_levels, *ParseLogLevels("debug"));
  EXPECT_EQ(flags.sessions.max_sessions, 7u);
  EXPECT_EQ(flags.sessions.idle_timeout, absl::Seconds(90));
  EXPECT_EQ(flags.sessions.retention, absl::Minutes(90));
}

TEST_F(FlagsTest, ListenTakesAHostAndAPort) {
  for (const char* address : {"localhost:1", "[::1]:7117", "example.org:65535"})
    EXPECT_EQ(Good({"--listen", address}).listen, address);
}

TEST_F(FlagsTest, ListenWithoutHostOrPortIsRefused) {
  for (const char* address :
       {"", "7117", ":7117", "localhost:", "localhost:x", "localhost:65536", "localhost:123456", "localhost:-1"}) {
    EXPECT_THAT(Bad({"--listen", address}), HasSubstr("--listen")) << address;
  }
}

TEST_F(FlagsTest, IdleTimeoutOfZeroIsNever) {
  EXPECT_EQ(Good({"--idle-timeout", "0"}).sessions.idle_timeout, absl::InfiniteDuration());
}

TEST_F(FlagsTest, RetentionOfZeroIsNone) {
  EXPECT_EQ(Good({"--retention", "0"}).sessions.retention, absl::ZeroDuration());
}

TEST_F(FlagsTest, DurationThatIsNoneIsRefused) {
  for (const std::string flag : {"--idle-timeout", "--retention"}) {
    for (const char* text : {"", "10", "-1s", "ten", "1 h", "1h\n2"})
      EXPECT_THAT(Bad({flag, text}), HasSubstr(flag)) << text;
  }
}

TEST_F(FlagsTest, MaxSessionsOutOfRangeIsRefused) {
  for (const char* text : {"", "0", "-1", "many", "1e3", "1.5", "1000000001", "99999999999999999999"}) {
    EXPECT_THAT(Bad({"--max-sessions", text}), HasSubstr("--max-sessions")) << text;
  }
}

TEST_F(FlagsTest, UnknownJournalIsRefused) { EXPECT_THAT(Bad({"--journal", "paper"}), HasSubstr("--journal")); }

TEST_F(FlagsTest, DataDirThatIsAFileIsRefused) {
  EXPECT_THAT(Bad({"--data-dir", "/etc/passwd"}), HasSubstr("not a directory"));
  EXPECT_EQ(Good({"--data-dir", "/no/such/directory/yet"}).data_dir, "/no/such/directory/yet");
}

TEST_F(FlagsTest, UnknownLogLevelIsRefused) { EXPECT_THAT(Bad({"--log-level", "loud"}), HasSubstr("--log-level")); }

TEST_F(FlagsTest, UnknownFlagOrWordIsRefused) {
  EXPECT_THAT(Bad({"--lisen", "x:1"}), HasSubstr("--lisen"));
  EXPECT_THAT(Bad({"start"}), HasSubstr("start"));
  EXPECT_THAT(Bad({"-v"}), HasSubstr("-v"));
}

TEST_F(FlagsTest, FlagWithoutItsValueOrTwiceIsRefused) {
  EXPECT_THAT(Bad({"--listen"}), HasSubstr("--listen"));
  EXPECT_THAT(Bad({"--listen", "a:1", "--listen", "b:2"}), HasSubstr("--listen"));
}

TEST_F(FlagsTest, LineEndsInABadFlagStayOnOneLine) { EXPECT_THAT(Bad({"--a\nb"}), HasSubstr("--a b")); }

TEST_F(FlagsTest, HelpNamesEveryFlag) {
  const std::variant<Flags, FlagsExit> parsed = Parse({"--help"});
  const auto& exit = std::get<FlagsExit>(parsed);
  EXPECT_EQ(exit.status, 0);
  for (const char* flag : {"--listen", "--journal", "--data-dir", "--max-sessions", "--idle-timeout", "--retention",
                           "--log-level", "--version"}) {
    EXPECT_THAT(exit.text, HasSubstr(flag));
  }
}

TEST_F(FlagsTest, VersionIsOneLine) {
  const std::variant<Flags, FlagsExit> parsed = Parse({"--version"});
  const auto& exit = std::get<FlagsExit>(parsed);
  EXPECT_EQ(exit.status, 0);
  EXPECT_THAT(exit.text, testing::MatchesRegex("corod [0-9.]+\n"));
}

}  // namespace
}  // namespace corod
