#include "server/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "tests/unit/base/temporary_files.h"

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

  const TemporaryFolder folder_;
  const std::string file_ = folder_.Put("file", "");
};

TEST_F(FlagsTest, WithoutFlagsAreTheDefaults) {
  const Flags flags = Good({});
  EXPECT_EQ(flags.listen, "127.0.0.1:7117");
  EXPECT_EQ(flags.log_levels, ParseLogLevels("info").value());
  EXPECT_EQ(flags.log_format, LogFormat::kText);
  EXPECT_FALSE(flags.insecure);
  EXPECT_FALSE(flags.tls.IsOn());
  EXPECT_TRUE(flags.tls.requires_client);
  EXPECT_EQ(flags.identities + flags.jwks + flags.limits + flags.metrics, "");
  EXPECT_EQ(flags.connections.max_message_bytes, std::size_t{64} << 20);
  EXPECT_EQ(flags.connections.max_calls, 1'000u);
  EXPECT_EQ(flags.connections.max_age, absl::InfiniteDuration());
  EXPECT_EQ(flags.drain_timeout, absl::Seconds(30));
  EXPECT_EQ(flags.sessions.max_sessions, 1'000'000u);
  EXPECT_EQ(flags.sessions.idle_timeout, absl::Hours(1));
  EXPECT_EQ(flags.sessions.retention, absl::Minutes(5));
}

TEST_F(FlagsTest, EveryFlagIsRead) {
  const Flags flags =
      Good({"--listen", "0.0.0.0:0", "--journal=memory", "--data-dir", "/tmp", "--max-sessions", "7",
            "--idle-timeout=90s", "--retention", "1h30m", "--log-level", "debug,audit=off", "--log-format", "json",
            "--metrics", "127.0.0.1:9090", "--insecure", "--drain-timeout", "5s"});
  EXPECT_EQ(flags.listen, "0.0.0.0:0");
  EXPECT_EQ(flags.log_levels, ParseLogLevels("debug,audit=off").value());
  EXPECT_EQ(flags.log_format, LogFormat::kJson);
  EXPECT_EQ(flags.metrics, "127.0.0.1:9090");
  EXPECT_TRUE(flags.insecure);
  EXPECT_EQ(flags.drain_timeout, absl::Seconds(5));
  EXPECT_EQ(flags.sessions.max_sessions, 7u);
  EXPECT_EQ(flags.sessions.idle_timeout, absl::Seconds(90));
  EXPECT_EQ(flags.sessions.retention, absl::Minutes(90));
}

TEST_F(FlagsTest, ListenTakesAHostAndAPort) {
  for (const char* address : {"localhost:1", "[::1]:7117", "example.org:65535"})
    EXPECT_EQ(Good({"--listen", address}).listen, address);
}

TEST_F(FlagsTest, ListenWithoutHostOrPortIsRefused) {
  for (const char* address : {"", "7117", ":7117", "localhost:", "localhost:x", "localhost:65536", "localhost:123456",
                              "localhost:-1", "unix:/run/corod.sock:1", "unix-abstract:corod:1"}) {
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

TEST_F(FlagsTest, LogLevelOfAnAreaThatIsNotThereIsRefused) {
  for (const char* text : {"", "loud=debug", "info,journal=", "journal=info=debug"}) {
    EXPECT_THAT(Bad({"--log-level", text}), HasSubstr("--log-level")) << text;
  }
}

TEST_F(FlagsTest, WhoMayCallIsSaidByFiles) {
  const Flags flags = Good({"--tls-cert",
                            file_,
                            "--tls-key",
                            file_,
                            "--tls-client-ca",
                            file_,
                            "--tls-client-auth",
                            "optional",
                            "--identities",
                            file_,
                            "--limits",
                            file_,
                            "--jwks",
                            file_,
                            "--jwt-issuer",
                            "me",
                            "--jwt-audience",
                            "you",
                            "--jwt-namespace-claim",
                            "n",
                            "--jwt-role-claim",
                            "r"});
  EXPECT_TRUE(flags.tls.IsOn());
  EXPECT_EQ(flags.tls.certificate, file_);
  EXPECT_EQ(flags.tls.key, file_);
  EXPECT_EQ(flags.tls.client_ca, file_);
  EXPECT_FALSE(flags.tls.requires_client);
  EXPECT_EQ(flags.identities, file_);
  EXPECT_EQ(flags.limits, file_);
  EXPECT_EQ(flags.jwks, file_);
  EXPECT_EQ(flags.tokens.issuer, "me");
  EXPECT_EQ(flags.tokens.audience, "you");
  EXPECT_EQ(flags.tokens.namespace_claim, "n");
  EXPECT_EQ(flags.tokens.role_claim, "r");
}

TEST_F(FlagsTest, FileThatIsNotThereIsRefused) {
  for (const std::string flag : {"--identities", "--limits", "--jwks", "--tls-cert", "--tls-key", "--tls-client-ca"}) {
    const std::string line = Bad({flag, "/no/such/file"});
    EXPECT_THAT(line, HasSubstr(flag));
    EXPECT_THAT(line, HasSubstr("there is no file '/no/such/file'"));
    EXPECT_THAT(Bad({flag, "/tmp"}), HasSubstr("there is no file '/tmp'"));
  }
}

TEST_F(FlagsTest, FlagsThatGoTogetherAreMissed) {
  EXPECT_THAT(Bad({"--tls-cert", file_}), HasSubstr("--tls-key"));
  EXPECT_THAT(Bad({"--tls-key", file_}), HasSubstr("--tls-cert"));
  EXPECT_THAT(Bad({"--tls-client-ca", file_}), HasSubstr("--tls-cert"));
  EXPECT_THAT(Bad({"--tls-client-auth", "optional"}), HasSubstr("--tls-client-ca"));
  EXPECT_THAT(Bad({"--jwks", file_, "--jwt-issuer", "me"}), HasSubstr("--jwt-audience"));
  EXPECT_THAT(Bad({"--jwks", file_, "--jwt-audience", "you"}), HasSubstr("--jwt-issuer"));
  EXPECT_THAT(Bad({"--jwt-issuer", "me"}), HasSubstr("--jwks"));
  EXPECT_THAT(Bad({"--jwt-role-claim", "r"}), HasSubstr("--jwks"));
}

TEST_F(FlagsTest, UnknownChoicesAreRefused) {
  EXPECT_THAT(Bad({"--log-format", "xml"}), HasSubstr("--log-format"));
  EXPECT_THAT(Bad({"--metrics", "9090"}), HasSubstr("--metrics"));
  EXPECT_THAT(Bad({"--sync", "sometimes"}), HasSubstr("--sync"));
  EXPECT_THAT(Bad({"--tls-cert", file_, "--tls-key", file_, "--tls-client-ca", file_, "--tls-client-auth", "maybe"}),
              HasSubstr("--tls-client-auth"));
}

TEST_F(FlagsTest, ConnectionsHaveLimits) {
  const Flags::Connections limits =
      Good({"--max-message-bytes", "8MiB", "--max-connection-calls", "3", "--max-connection-memory", "1GiB",
            "--min-ping-interval", "1s", "--ping-after", "2s", "--ping-timeout", "3s", "--max-connection-age", "4s",
            "--max-connection-age-grace", "5s"})
          .connections;
  EXPECT_EQ(limits.max_message_bytes, std::size_t{8} << 20);
  EXPECT_EQ(limits.max_calls, 3u);
  EXPECT_EQ(limits.max_memory, std::size_t{1} << 30);
  EXPECT_EQ(limits.min_ping, absl::Seconds(1));
  EXPECT_EQ(limits.ping_after, absl::Seconds(2));
  EXPECT_EQ(limits.ping_timeout, absl::Seconds(3));
  EXPECT_EQ(limits.max_age, absl::Seconds(4));
  EXPECT_EQ(limits.max_age_grace, absl::Seconds(5));
  EXPECT_EQ(Good({"--max-connection-age", "0"}).connections.max_age, absl::InfiniteDuration());
  for (const char* bytes : {"0", "4095", "2GiB", "many"}) {
    EXPECT_THAT(Bad({"--max-message-bytes", bytes}), HasSubstr("--max-message-bytes")) << bytes;
  }
  EXPECT_THAT(Bad({"--max-connection-calls", "0"}), HasSubstr("--max-connection-calls"));
  EXPECT_THAT(Bad({"--max-connection-memory", "1MiB"}), HasSubstr("--max-connection-memory"));
}

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
  for (const char* flag : {"--listen",
                           "--journal",
                           "--data-dir",
                           "--max-sessions",
                           "--idle-timeout",
                           "--retention",
                           "--log-level",
                           "--version",
                           "--insecure",
                           "--tls-cert",
                           "--tls-key",
                           "--tls-client-ca",
                           "--tls-client-auth",
                           "--identities",
                           "--jwks",
                           "--jwt-issuer",
                           "--jwt-audience",
                           "--limits",
                           "--metrics",
                           "--log-format",
                           "backup DIR",
                           "token NAME NAMESPACE ROLE"}) {
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
