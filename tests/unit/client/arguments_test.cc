#include "client/cli/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace corod::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

using Words = std::vector<std::string>;

Invocation Parsed(const Words& words) {
  std::variant<Invocation, Answer> parsed = ParseArguments(words);
  if (const Answer* answer = std::get_if<Answer>(&parsed)) ADD_FAILURE() << answer->text;
  return std::holds_alternative<Invocation>(parsed) ? std::get<Invocation>(parsed) : Invocation();
}

template <typename Arguments>
Arguments ParsedAs(const Words& words) {
  const Invocation invocation = Parsed(words);
  EXPECT_TRUE(std::holds_alternative<Arguments>(invocation.command));
  return std::get<Arguments>(invocation.command);
}

Value SentValue(const std::string& text) { return ParsedAs<SendArguments>({"send", "s1", text}).value; }

// What is told of wrong usage.
std::string Refused(const Words& words) {
  std::variant<Invocation, Answer> parsed = ParseArguments(words);
  if (std::holds_alternative<Invocation>(parsed)) {
    ADD_FAILURE() << "accepted";
    return "";
  }
  EXPECT_EQ(std::get<Answer>(parsed).exit_code, 2);
  return std::get<Answer>(parsed).text;
}

TEST(ArgumentsTest, CreateTakesEverything) {
  const auto create = ParsedAs<CreateArguments>({"create",
                                                 "sliding_window",
                                                 "size=3",
                                                 "name=a=b",
                                                 "--id",
                                                 "w1",
                                                 "--prime",
                                                 "--label",
                                                 "a=1",
                                                 "--label",
                                                 "b=",
                                                 "--idle-timeout",
                                                 "10m",
                                                 "--if-exists",
                                                 "replace-finished",
                                                 "--request-id",
                                                 "r",
                                                 "--version",
                                                 "2",
                                                 "--durability",
                                                 "durable"});
  EXPECT_EQ(create.coroutine, "sliding_window");
  EXPECT_EQ(create.arguments, (Map{{"size", 3}, {"name", "a=b"}}));
  EXPECT_EQ(create.session_id, "w1");
  EXPECT_TRUE(create.prime);
  EXPECT_THAT(create.labels, ElementsAre(Pair("a", "1"), Pair("b", "")));
  EXPECT_EQ(create.idle_timeout, absl::Minutes(10));
  EXPECT_EQ(create.if_exists, v1::IF_EXISTS_REPLACE_FINISHED);
  EXPECT_EQ(create.request_id, "r");
  EXPECT_EQ(create.version, 2u);
  EXPECT_EQ(create.durability, v1::DURABILITY_DURABLE);
}

TEST(ArgumentsTest, ALabelDoesNotSwallowWhatFollows) {
  const auto create = ParsedAs<CreateArguments>({"create", "--label", "a=1", "averager", "x=2"});
  EXPECT_EQ(create.coroutine, "averager");
  EXPECT_EQ(create.arguments, (Map{{"x", 2}}));
}

TEST(ArgumentsTest, ValuesAreJsonOrText) {
  EXPECT_EQ(SentValue("10"), Value(10));
  EXPECT_EQ(SentValue("10.0"), Value(10.0));
  EXPECT_EQ(SentValue("a"), Value("a"));
  EXPECT_EQ(SentValue("\"10\""), Value("10"));
  EXPECT_EQ(SentValue(""), Value(""));
  EXPECT_EQ(SentValue("list"), Value("list"));
  EXPECT_EQ(SentValue("{\"b\": 1, \"a\": [2]}"), Value(Map{{"b", 1}, {"a", List{Value(2)}}}));
}

TEST(ArgumentsTest, ValuesThatLookLikeOptionsOrListsArriveWhole) {
  EXPECT_EQ(SentValue("-5"), Value(-5));
  EXPECT_EQ(SentValue("-0.5"), Value(-0.5));
  EXPECT_EQ(SentValue("-"), Value("-"));
  EXPECT_EQ(SentValue("[1,2]"), Value(List{Value(1), Value(2)}));
  const auto raise = ParsedAs<ThrowArguments>({"throw", "s1", "E", "[1,2]", "-5", "x"});
  EXPECT_EQ(raise.exception.arguments(), (List{Value(List{Value(1), Value(2)}), Value(-5), Value("x")}));
  EXPECT_EQ(ParsedAs<SendArguments>({"send", "s1", "--", "--text"}).value, Value("--text"));
}

TEST(ArgumentsTest, ThrowMakesTheExceptionThatPythonWould) {
  const auto one = ParsedAs<ThrowArguments>({"throw", "s1", "KeyError", "k"});
  EXPECT_EQ(one.exception.type(), "KeyError");
  EXPECT_EQ(one.exception.message(), "'k'");
  const auto own = ParsedAs<ThrowArguments>({"throw", "s1", "mine.Error", "--base", "OSError", "--base", "Exception"});
  EXPECT_THAT(own.exception.bases(), ElementsAre("OSError", "Exception"));
  const auto whole =
      ParsedAs<ThrowArguments>({"throw", "s1", R"({"$exception": {"type": "E", "cause": {"type": "KeyError"}}})"});
  EXPECT_EQ(whole.exception.cause()->type(), "KeyError");
}

TEST(ArgumentsTest, StepsTakeTheirOptions) {
  const auto next = ParsedAs<SendArguments>({"next", "s1", "--expected-step", "7", "--request-id", "r", "--quiet"});
  EXPECT_EQ(next.value, Value());
  EXPECT_EQ(next.step.expected_step, 7u);
  EXPECT_EQ(next.step.request_id, "r");
  EXPECT_TRUE(next.step.quiet);
  EXPECT_TRUE(ParsedAs<CloseArguments>({"close", "s1", "--force"}).force);
  EXPECT_EQ(ParsedAs<DeleteArguments>({"delete", "s1", "--uid", "u"}).uid, "u");
}

TEST(ArgumentsTest, GlobalOptionsStandBeforeOrAfterTheCommand) {
  for (const Words& words : {Words{"--output", "json", "--server", "h:1", "--timeout", "5s", "get", "s1"},
                             Words{"get", "s1", "--output", "json", "--server", "h:1", "--timeout", "5"}}) {
    const Invocation invocation = Parsed(words);
    EXPECT_EQ(invocation.global.format, Format::kJson);
    EXPECT_EQ(invocation.global.server, "h:1");
    EXPECT_EQ(invocation.global.timeout, absl::Seconds(5));
  }
}

TEST(ArgumentsTest, ServerHasADefaultPort) {
  EXPECT_EQ(Parsed({"list", "--server", "example"}).global.server, "example:7117");
  EXPECT_EQ(Parsed({"list", "--server", "unix:/tmp/socket"}).global.server, "unix:/tmp/socket");
}

TEST(ArgumentsTest, ServerComesFromTheEnvironment) {
  unsetenv("COROD_SERVER");
  EXPECT_EQ(Parsed({"list"}).global.server, "127.0.0.1:7117");
  setenv("COROD_SERVER", "elsewhere:1", 1);
  EXPECT_EQ(Parsed({"list"}).global.server, "elsewhere:1");
  EXPECT_EQ(Parsed({"list", "--server", "here:2"}).global.server, "here:2");
  unsetenv("COROD_SERVER");
}

TEST(ArgumentsTest, WithoutFlagsNothingIsEncryptedOrTold) {
  const client::SecurityOptions security = Parsed({"list"}).global.security;
  EXPECT_FALSE(security.tls);
  EXPECT_EQ(security.token_file, "");
}

TEST(ArgumentsTest, EachFlagOfTlsTurnsItOn) {
  EXPECT_TRUE(Parsed({"--tls", "list"}).global.security.tls);
  EXPECT_EQ(Parsed({"list", "--tls-ca", "ca"}).global.security.tls.value().ca_file, "ca");
  EXPECT_EQ(Parsed({"list", "--tls-server-name", "n"}).global.security.tls.value().server_name, "n");
  const client::TlsOptions tls = Parsed({"list", "--tls-cert", "c", "--tls-key", "k"}).global.security.tls.value();
  EXPECT_EQ(tls.certificate_file, "c");
  EXPECT_EQ(tls.key_file, "k");
  EXPECT_THAT(Refused({"list", "--tls-cert", "c"}), HasSubstr("--tls-key"));
  EXPECT_THAT(Refused({"list", "--tls-key", "k"}), HasSubstr("--tls-cert"));
}

TEST(ArgumentsTest, ATokenIsNoFlag) {
  EXPECT_EQ(Parsed({"list", "--token-file", "t"}).global.security.token_file, "t");
  EXPECT_THAT(Refused({"--token", "t", "list"}), HasSubstr("not expected: t --token"));
}

TEST(ArgumentsTest, SecurityComesFromTheEnvironment) {
  setenv("COROD_TLS_CA", "ca", 1);
  setenv("COROD_TOKEN_FILE", "token", 1);
  const client::SecurityOptions security = Parsed({"list"}).global.security;
  EXPECT_EQ(security.tls.value().ca_file, "ca");
  EXPECT_EQ(security.token_file, "token");
  // Not over the server's own socket, where neither is spoken.
  const client::SecurityOptions over_socket = Parsed({"--server", "unix:s", "list"}).global.security;
  EXPECT_FALSE(over_socket.tls);
  EXPECT_EQ(over_socket.token_file, "");
  unsetenv("COROD_TLS_CA");
  unsetenv("COROD_TOKEN_FILE");
}

TEST(ArgumentsTest, LogLevelTakesAnAreaAndALevel) {
  EXPECT_EQ(ParsedAs<LogLevelArguments>({"log-level"}).area, "");
  const auto level = ParsedAs<LogLevelArguments>({"log-level", "journal", "debug"});
  EXPECT_EQ(level.area, "journal");
  EXPECT_EQ(level.level, "debug");
  EXPECT_EQ(ParsedAs<HealthArguments>({"health", "--service", "s"}).service, "s");
}

TEST(ArgumentsTest, TimeoutZeroIsForEver) {
  EXPECT_EQ(Parsed({"list", "--timeout", "0"}).global.timeout, absl::InfiniteDuration());
}

TEST(ArgumentsTest, PipeTakesItsOptions) {
  const auto pipe = ParsedAs<PipeArguments>(
      {"pipe", "csv_parser", "header=true", "--last", "--first", "--as", "bytes", "--keep-ends"});
  EXPECT_EQ(pipe.create.arguments, (Map{{"header", true}}));
  EXPECT_TRUE(pipe.feed.last);
  EXPECT_TRUE(pipe.feed.first);
  EXPECT_TRUE(pipe.feed.keep_ends);
  EXPECT_EQ(pipe.feed.send_as, SendAs::kBytes);
}

TEST(ArgumentsTest, ListTakesItsFilters) {
  const auto list = ParsedAs<ListArguments>(
      {"list", "--coroutine", "averager", "--state", "suspended", "--label", "a=1", "--limit", "5"});
  EXPECT_EQ(list.coroutine, "averager");
  EXPECT_EQ(list.state, v1::STATE_SUSPENDED);
  EXPECT_THAT(list.labels, ElementsAre(Pair("a", "1")));
  EXPECT_EQ(list.limit, 5u);
}

TEST(ArgumentsTest, ListAsksForProblems) {
  EXPECT_TRUE(ParsedAs<ListArguments>({"list", "--problem"}).has_problem);
  EXPECT_FALSE(ParsedAs<ListArguments>({"list"}).has_problem);
}

TEST(ArgumentsTest, DurabilityHasShortForms) {
  EXPECT_EQ(ParsedAs<CreateArguments>({"create", "averager", "--durable"}).durability, v1::DURABILITY_DURABLE);
  EXPECT_EQ(ParsedAs<CreateArguments>({"create", "averager", "--ephemeral"}).durability, v1::DURABILITY_EPHEMERAL);
  EXPECT_EQ(ParsedAs<CreateArguments>({"create", "averager"}).durability, v1::DURABILITY_UNSPECIFIED);
}

TEST(ArgumentsTest, WatchAndHistoryTakeTheirSteps) {
  const auto watch = ParsedAs<WatchArguments>({"watch", "s1", "--from", "0", "--time"});
  EXPECT_EQ(watch.kind, WatchArguments::Kind::kWatch);
  EXPECT_EQ(watch.session_id, "s1");
  EXPECT_EQ(watch.from, 0u);
  EXPECT_EQ(watch.times, Times::kShown);
  EXPECT_EQ(ParsedAs<WatchArguments>({"watch", "s1"}).from, std::nullopt);
  const auto history = ParsedAs<WatchArguments>({"history", "s1", "--from", "2", "--to", "5"});
  EXPECT_EQ(history.kind, WatchArguments::Kind::kHistory);
  EXPECT_EQ(history.from, 2u);
  EXPECT_EQ(history.to, 5u);
  EXPECT_EQ(Parsed({"watch", "s1", "--json"}).global.format, Format::kJson);
}

TEST(ArgumentsTest, ForkTakesItsOptions) {
  const auto fork = ParsedAs<ForkArguments>({"fork", "s1", "s2", "--at", "0", "--label", "a=1", "--request-id", "r"});
  EXPECT_EQ(fork.session_id, "s1");
  EXPECT_EQ(fork.new_session_id, "s2");
  EXPECT_EQ(fork.at_step, 0u);
  EXPECT_THAT(fork.labels, ElementsAre(Pair("a", "1")));
  EXPECT_EQ(fork.request_id, "r");
  EXPECT_EQ(ParsedAs<ForkArguments>({"fork", "s1"}).at_step, std::nullopt);
}

TEST(ArgumentsTest, ExportAndImportMeanTheStandardStreamsWithoutAFile) {
  EXPECT_EQ(ParsedAs<ExportArguments>({"export", "s1"}).file, "-");
  EXPECT_EQ(ParsedAs<ExportArguments>({"export", "s1", "-o", "f"}).file, "f");
  EXPECT_EQ(ParsedAs<ImportArguments>({"import"}).file, "-");
  EXPECT_EQ(ParsedAs<ImportArguments>({"import", "-"}).file, "-");
  const auto import = ParsedAs<ImportArguments>({"import", "f", "--id", "s2"});
  EXPECT_EQ(import.file, "f");
  EXPECT_EQ(import.session_id, "s2");
}

TEST(ArgumentsTest, BenchHasDefaultsForEachMode) {
  const auto unary = ParsedAs<BenchArguments>({"bench"});
  EXPECT_EQ(unary.mode, BenchArguments::Mode::kUnary);
  EXPECT_EQ(unary.create.coroutine, "averager");
  EXPECT_EQ(unary.create.durability, v1::DURABILITY_UNSPECIFIED);
  EXPECT_EQ(unary.value, Value(7));
  EXPECT_EQ(unary.sessions, 1'000u);
  EXPECT_EQ(unary.outstanding, 64);
  EXPECT_EQ(unary.rate, std::nullopt);
  EXPECT_EQ(unary.duration, absl::Seconds(5));
  const auto drive = ParsedAs<BenchArguments>({"bench", "--mode", "drive"});
  EXPECT_EQ(drive.mode, BenchArguments::Mode::kDrive);
  EXPECT_EQ(drive.batch, 100u);
  EXPECT_EQ(drive.streams, 1);
  EXPECT_EQ(drive.outstanding, 8);
}

TEST(ArgumentsTest, BenchTakesItsOptions) {
  const auto drive = ParsedAs<BenchArguments>({"bench", "sliding_window", "size=3", "--ephemeral", "--mode", "drive",
                                               "--batch", "7", "--streams", "2", "--outstanding", "3", "--sessions",
                                               "9", "--duration", "0.5", "--value", "[1]"});
  EXPECT_EQ(drive.create.coroutine, "sliding_window");
  EXPECT_EQ(drive.create.arguments, (Map{{"size", 3}}));
  EXPECT_EQ(drive.create.durability, v1::DURABILITY_EPHEMERAL);
  EXPECT_EQ(drive.batch, 7u);
  EXPECT_EQ(drive.streams, 2);
  EXPECT_EQ(drive.outstanding, 3);
  EXPECT_EQ(drive.sessions, 9u);
  EXPECT_EQ(drive.duration, absl::Milliseconds(500));
  EXPECT_EQ(drive.value, Value(List{Value(1)}));
  EXPECT_EQ(ParsedAs<BenchArguments>({"bench", "--rate", "25"}).rate, 25);
  EXPECT_EQ(ParsedAs<BenchArguments>({"bench", "--value", "-5"}).value, Value(-5));
  EXPECT_EQ(Parsed({"bench", "--json"}).global.format, Format::kJson);
}

TEST(ArgumentsTest, WrongUsageIsOneLineThatNamesTheHelp) {
  const std::vector<std::pair<Words, std::string>> cases = {
      {{}, "coroctl: a command is required; see coroctl --help"},
      {{"levitate"}, "coroctl: there is no command levitate; see coroctl --help"},
      {{"creat", "averager"}, "coroctl: there is no command creat (did you mean create?); see coroctl --help"},
      {{"hist", "s1"}, "coroctl: there is no command hist (did you mean history?); see coroctl --help"},
      {{"--output", "json", "ls"}, "there is no command ls (did you mean list?)"},
      {{"--bogus"}, "there is no option --bogus"},
      {{"watch"}, "ID is required; see coroctl watch --help"},
      {{"watch", "s1", "--from", "x"}, "--from = x"},
      {{"history", "s1", "--from", "4", "--to", "3"}, "--to lies before --from"},
      {{"export", "s1", "-o", ""}, "-o needs the name of a file"},
      {{"create", "averager", "--durable", "--ephemeral"}, "excludes"},
      {{"create", "averager", "--durable", "--durability", "durable"}, "excludes"},
      {{"send"}, "coroctl: ID is required; see coroctl send --help"},
      {{"send", "s1"}, "VALUE is required"},
      {{"send", "s1", "1", "2"}, "not expected: 2"},
      {{"send", "s1", "99999999999999999999"}, "beyond 64 bits"},
      {{"send", "s1", "[1,"}, "not JSON"},
      {{"send", "s1", "1", "--expected-step", "-5"}, "--expected-step = -5"},
      {{"send", "s1", "\xff"}, "not UTF-8"},
      {{"create", "averager", "3"}, "3: an argument is written name=value"},
      {{"create", "averager", "=3"}, "written name=value"},
      {{"create", "averager", "a=1", "a=2"}, "a is given twice"},
      {{"create", "averager", "a={"}, "a: { begins as JSON"},
      {{"create", "averager", "--label", "x"}, "a label is written name=value"},
      {{"create", "averager", "--idle-timeout", "-1s"}, "-1s is no duration"},
      {{"create", "averager", "--if-exists", "maybe"}, "maybe not in"},
      {{"create", "averager", "--bogus"}, "not expected: --bogus"},
      {{"throw", "s1", "{}"}, "TYPE is the name of a class"},
      {{"throw", "s1", ""}, "TYPE must not be empty"},
      {{"list", "--state", "asleep"}, "asleep not in"},
      {{"list", "--timeout", "soon"}, "soon is no duration"},
      {{"list", "--server", ""}, "--server needs an address"},
      {{"pipe", "averager", "--chunks", "--as", "text"}, "excludes"},
      {{"--output", "xml", "list"}, "xml not in"},
      {{"bench", "--mode", "fast"}, "fast not in"},
      {{"bench", "--batch", "10"}, "--batch goes with --mode drive"},
      {{"bench", "--streams", "2"}, "--streams goes with --mode drive"},
      {{"bench", "--mode", "drive", "--rate", "5"}, "--rate goes with --mode unary"},
      {{"bench", "--rate", "5", "--outstanding", "2"}, "excludes"},
      {{"bench", "--rate", "-5"}, "-5 not in range"},
      {{"bench", "--sessions", "0"}, "0 not in range"},
      {{"bench", "--duration", "0"}, "--duration must be more than 0"},
      {{"bench", "--duration", "soon"}, "soon is no duration"},
      {{"bench", "--value", "{"}, "--value: { begins as JSON"},
  };
  for (const auto& [words, message] : cases) {
    EXPECT_THAT(Refused(words), AllOf(HasSubstr("coroctl: "), HasSubstr(message), HasSubstr("; see coroctl"),
                                      Not(HasSubstr("\n")), Not(HasSubstr("\x1f"))));
  }
}

TEST(ArgumentsTest, HelpHasExamplesForEachCommand) {
  for (const char* command : {"create", "send", "next", "throw", "close", "delete", "get", "list", "catalog", "pipe",
                              "watch", "history", "fork", "export", "import", "bench"}) {
    const std::variant<Invocation, Answer> parsed = ParseArguments({command, "--help"});
    ASSERT_TRUE(std::holds_alternative<Answer>(parsed)) << command;
    EXPECT_EQ(std::get<Answer>(parsed).exit_code, 0);
    EXPECT_THAT(std::get<Answer>(parsed).text, AllOf(HasSubstr("Usage: coroctl " + std::string(command)),
                                                     HasSubstr("Examples:\n  "), HasSubstr("coroctl ")));
  }
}

TEST(ArgumentsTest, VersionIsTold) {
  const std::variant<Invocation, Answer> parsed = ParseArguments({"--version"});
  ASSERT_TRUE(std::holds_alternative<Answer>(parsed));
  EXPECT_THAT(std::get<Answer>(parsed).text, HasSubstr("coroctl "));
  EXPECT_EQ(std::get<Answer>(parsed).exit_code, 0);
}

}  // namespace
}  // namespace corod::cli
