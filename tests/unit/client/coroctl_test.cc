#include "client/cli/coroctl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/client/fake_service.h"
#include "tests/unit/client/run_coroctl.h"

namespace corod::cli {
namespace {

using client::Raised;
using client::Returned;
using client::TextValue;
using client::Yielded;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class CoroctlTest : public ::testing::Test {
 protected:
  Ran Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--server", service_.address()});
    return RunCoroctl(arguments);
  }
  Ran RunJson(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--output", "json"});
    return Run(std::move(arguments));
  }
  void FailWith(client::Refusal failure, int times = 1) {
    service_.script().failures = times;
    service_.script().failure = std::move(failure);
  }

  static v1::Session ASession(const std::string& id) {
    v1::Session session;
    session.set_session_id(id);
    session.set_coroutine("averager");
    session.set_version(1);
    session.set_state(v1::STATE_SUSPENDED);
    session.set_steps(3);
    (*session.mutable_arguments())["window"].set_integer(5);
    (*session.mutable_labels())["floor"] = "3";
    *session.mutable_last_outcome() = Yielded(3, TextValue("x"));
    session.set_durability(v1::DURABILITY_EPHEMERAL);
    session.mutable_idle_timeout()->set_seconds(3600);
    session.mutable_last_used_time()->set_seconds(86400);
    session.set_uid("u1");
    return session;
  }

  client::FakeService service_;
};

TEST_F(CoroctlTest, CreatePrintsIdStateAndOutcome) {
  const Ran plain = Run({"create", "averager"});
  EXPECT_EQ(plain.out, "s1 created\n");
  const Ran primed = Run({"create", "averager", "--prime"});
  EXPECT_EQ(primed.out, "s1 suspended null\n");
  EXPECT_EQ(primed.err, "");
  EXPECT_EQ(primed.status, 0);
}

TEST_F(CoroctlTest, CreateOfACoroutineThatRaisesAtOnce) {
  service_.script().on_create = [](const v1::CreateRequest&) {
    v1::CreateResponse response;
    response.mutable_session()->set_session_id("s1");
    response.mutable_session()->set_state(v1::STATE_CLOSED);
    *response.mutable_outcome() = Raised(1, "ValueError", "no");
    return response;
  };
  const Ran ran = Run({"create", "bad", "--prime"});
  EXPECT_EQ(ran.out, "s1 closed\n");
  EXPECT_EQ(ran.err, "ValueError: no\n");
  EXPECT_EQ(ran.status, 1);
}

TEST_F(CoroctlTest, CreateSaysThatTheSessionExisted) {
  service_.script().on_create = [](const v1::CreateRequest& request) {
    v1::CreateResponse response;
    response.mutable_session()->set_session_id(request.session_id());
    response.mutable_session()->set_state(v1::STATE_SUSPENDED);
    response.set_existed(true);
    return response;
  };
  EXPECT_EQ(Run({"create", "averager", "--id", "room", "--if-exists", "return"}).out, "room suspended existed\n");
}

TEST_F(CoroctlTest, CreateSendsWhatIsAskedFor) {
  Run({"create", "sliding_window", "size=3", "--id", "w", "--idle-timeout", "90s", "--label", "a=b", "--request-id",
       "r"});
  const v1::CreateRequest request = service_.requests().create.at(0);
  EXPECT_EQ(request.coroutine(), "sliding_window");
  EXPECT_EQ(request.arguments().at("size").integer(), 3);
  EXPECT_EQ(request.session_id(), "w");
  EXPECT_EQ(request.idle_timeout().seconds(), 90);
  EXPECT_EQ(request.labels().at("a"), "b");
  EXPECT_EQ(request.request_id(), "r");
  EXPECT_EQ(request.if_exists(), v1::IF_EXISTS_UNSPECIFIED);
  EXPECT_FALSE(request.prime());
}

TEST_F(CoroctlTest, SendPrintsWhatIsYielded) {
  const Ran ran = Run({"send", "room-12", "10.0", "--expected-step", "4"});
  EXPECT_EQ(ran.out, "10.0\n");
  EXPECT_EQ(ran.status, 0);
  const v1::SendRequest request = service_.requests().send.at(0);
  EXPECT_EQ(request.session_id(), "room-12");
  EXPECT_EQ(request.value().number(), 10.0);
  EXPECT_EQ(request.expected_step(), 4u);
  EXPECT_THAT(request.request_id(), SizeIs(36));
}

TEST_F(CoroctlTest, NextSendsNull) {
  EXPECT_EQ(Run({"next", "s1"}).out, "null\n");
  EXPECT_FALSE(service_.requests().send.at(0).value().has_text());
}

TEST_F(CoroctlTest, ReturnedValuesSaySo) {
  service_.script().on_step = [](std::uint64_t step, const v1::Value& sent) { return Returned(step, sent); };
  const Ran ran = Run({"send", "s1", "bye"});
  EXPECT_EQ(ran.out, "returned \"bye\"\n");
  EXPECT_EQ(ran.status, 0);
}

TEST_F(CoroctlTest, RaisedExceptionsGoToStderr) {
  service_.script().on_step = [](std::uint64_t step, const v1::Value&) {
    v1::Outcome outcome = Raised(step, "TypeError", "must be real number, not str");
    *outcome.mutable_raised()->mutable_cause() = Raised(step, "KeyError", "'k'").raised();
    return outcome;
  };
  const Ran ran = Run({"send", "s1", "x"});
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err,
            "KeyError: 'k'\n\nThe above exception was the direct cause of the following exception:\n\n"
            "TypeError: must be real number, not str\n");
  EXPECT_EQ(ran.status, 1);
}

TEST_F(CoroctlTest, JsonHasEveryKindOfOutcomeOnStdout) {
  EXPECT_EQ(RunJson({"send", "s1", "10"}).out, "{\"step\": 1, \"yielded\": 10, \"replayed\": false}\n");
  service_.script().on_step = [](std::uint64_t step, const v1::Value&) { return Raised(step, "TypeError", "no"); };
  const Ran ran = RunJson({"send", "s1", "10"});
  EXPECT_EQ(ran.out,
            "{\"step\": 2, \"raised\": {\"type\": \"TypeError\", \"message\": \"no\"}, \"replayed\": false}\n");
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.status, 1);
}

TEST_F(CoroctlTest, QuietPrintsTheKindAlone) {
  EXPECT_EQ(Run({"send", "s1", "1", "--quiet"}).out, "");
  EXPECT_TRUE(service_.requests().send.at(0).quiet());
  service_.script().on_step = [](std::uint64_t step, const v1::Value&) { return Returned(step, v1::Value()); };
  EXPECT_EQ(Run({"next", "s1", "--quiet"}).out, "returned\n");
  service_.script().on_step = [](std::uint64_t step, const v1::Value&) { return Raised(step, "", ""); };
  const Ran raised = Run({"next", "s1", "--quiet"});
  EXPECT_EQ(raised.status, 1);
  EXPECT_EQ(raised.err, "coroctl: the coroutine raised an exception\n");
}

TEST_F(CoroctlTest, ThrowSendsTheException) {
  Run({"throw", "s1", "ValueError", "out of range"});
  const v1::Exception exception = service_.requests().raise.at(0).exception();
  EXPECT_EQ(exception.type(), "ValueError");
  EXPECT_EQ(exception.message(), "out of range");
  EXPECT_EQ(exception.arguments(0).text(), "out of range");
}

TEST_F(CoroctlTest, CloseAndDeletePrintWhatIsReturned) {
  service_.script().close_outcome = Returned(5, TextValue("rest"));
  EXPECT_EQ(Run({"close", "s1", "--force"}).out, "returned \"rest\"\n");
  EXPECT_TRUE(service_.requests().close.at(0).force());
  EXPECT_EQ(Run({"delete", "s1", "--uid", "u"}).out, "returned \"rest\"\n");
  EXPECT_EQ(service_.requests().remove.at(0).uid(), "u");
}

TEST_F(CoroctlTest, GetShowsTheSession) {
  service_.script().session = ASession("room-12");
  const Ran text = Run({"get", "room-12"});
  EXPECT_THAT(text.out,
              AllOf(StartsWith("session       room-12\n"), HasSubstr("averager version 1"),
                    HasSubstr("{\"window\": 5}"), HasSubstr("suspended"), HasSubstr("yielded \"x\" (step 3)"),
                    HasSubstr("floor=3"), HasSubstr("idle timeout  1h\n"), HasSubstr("1970-01-02T00:00:00Z")));
  const Ran json = RunJson({"get", "room-12"});
  EXPECT_THAT(json.out, AllOf(StartsWith("{\"session_id\": \"room-12\", "), HasSubstr("\"arguments\": {\"window\": 5}"),
                              HasSubstr("\"last_outcome\": {\"step\": 3, \"yielded\": \"x\"}"),
                              HasSubstr("\"labels\": {\"floor\": \"3\"}")));
}

TEST_F(CoroctlTest, ListFollowsItsPages) {
  service_.script().pages.resize(3);
  *service_.script().pages[0].add_sessions() = ASession("a");
  service_.script().pages[0].set_next_page_token("1");
  service_.script().pages[1].set_next_page_token("2");  // a page may be empty
  *service_.script().pages[2].add_sessions() = ASession("b");
  const Ran ran = Run({"list", "--state", "suspended", "--label", "floor=3"});
  EXPECT_THAT(ran.out, AllOf(StartsWith("a "), HasSubstr("\nb "), HasSubstr("averager"), HasSubstr("floor=3")));
  ASSERT_THAT(service_.requests().list, SizeIs(3));
  for (const v1::ListRequest& request : service_.requests().list) {
    EXPECT_EQ(request.state(), v1::STATE_SUSPENDED);
    EXPECT_EQ(request.labels().at("floor"), "3");
  }
}

TEST_F(CoroctlTest, ListStopsAtItsLimit) {
  service_.script().pages.resize(2);
  *service_.script().pages[0].add_sessions() = ASession("a");
  service_.script().pages[0].set_next_page_token("1");
  *service_.script().pages[1].add_sessions() = ASession("b");
  EXPECT_THAT(Run({"list", "--limit", "1"}).out, StartsWith("a "));
  ASSERT_THAT(service_.requests().list, SizeIs(1));
  EXPECT_EQ(service_.requests().list[0].page_size(), 1);
}

TEST_F(CoroctlTest, GetAsksForAStep) {
  service_.script().session = ASession("room-12");
  Run({"get", "room-12"});
  Run({"get", "room-12", "--at", "0"});
  EXPECT_FALSE(service_.requests().get.at(0).has_at_step());
  EXPECT_TRUE(service_.requests().get.at(1).has_at_step());
  EXPECT_EQ(service_.requests().get.at(1).at_step(), 0u);
}

TEST_F(CoroctlTest, DurableSessionsTellWhereTheyAre) {
  v1::Session session = ASession("room-12");
  session.set_durability(v1::DURABILITY_DURABLE);
  session.set_earliest_step(2);
  service_.script().session = session;
  service_.script().pages.resize(1);
  *service_.script().pages[0].add_sessions() = session;
  EXPECT_THAT(Run({"get", "room-12"}).out,
              AllOf(HasSubstr("\ndurability    durable, asleep\n"), HasSubstr("\nsteps         3\nearliest step 2\n")));
  EXPECT_THAT(Run({"list"}).out, HasSubstr("1970-01-02T00:00:00Z  asleep  floor=3\n"));
  service_.script().session.set_live(true);
  service_.script().pages[0].mutable_sessions(0)->set_live(true);
  EXPECT_THAT(Run({"get", "room-12"}).out, HasSubstr("\ndurability    durable, live\n"));
  EXPECT_THAT(Run({"list"}).out, HasSubstr("  durable  floor=3\n"));
}

TEST_F(CoroctlTest, EphemeralSessionsAreNeitherAsleepNorKept) {
  service_.script().session = ASession("room-12");
  service_.script().session.set_earliest_step(4);  // none is kept
  const Ran ran = Run({"get", "room-12"});
  EXPECT_THAT(ran.out, HasSubstr("\ndurability    ephemeral\n"));
  EXPECT_THAT(ran.out, Not(HasSubstr("earliest")));
}

TEST_F(CoroctlTest, ProblemsAreShown) {
  v1::Session session = ASession("room-12");
  session.mutable_problem()->set_code(15);
  session.mutable_problem()->set_reason("REPLAY_DIVERGED");
  session.mutable_problem()->set_message("step 2 yielded 3, not 4");
  service_.script().session = session;
  service_.script().pages.resize(1);
  *service_.script().pages[0].add_sessions() = session;
  EXPECT_THAT(Run({"get", "room-12"}).out,
              HasSubstr("\nproblem       DATA_LOSS REPLAY_DIVERGED: step 2 yielded 3, not 4\n"));
  EXPECT_THAT(Run({"list", "--problem"}).out, HasSubstr("  floor=3  problem: REPLAY_DIVERGED\n"));
  EXPECT_TRUE(service_.requests().list.at(0).has_problem());
}

TEST_F(CoroctlTest, ForkPrintsWhatCreatePrints) {
  service_.script().session = ASession("fork-1");
  const Ran ran = Run({"fork", "room-12"});
  EXPECT_EQ(ran.out, "fork-1 suspended \"x\"\n");
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(Run({"fork", "room-12", "w", "--at", "2", "--label", "a=b"}).out, "w suspended \"x\"\n");
  const std::vector<v1::ForkRequest> forks = service_.requests().fork;
  EXPECT_FALSE(forks.at(0).has_at_step());
  EXPECT_THAT(forks.at(0).request_id(), SizeIs(36));
  EXPECT_EQ(forks.at(1).session_id(), "room-12");
  EXPECT_EQ(forks.at(1).at_step(), 2u);
  EXPECT_EQ(forks.at(1).labels().at("a"), "b");
  EXPECT_THAT(RunJson({"fork", "room-12"}).out, StartsWith("{\"session_id\": \"fork-1\", "));
}

TEST_F(CoroctlTest, ForkOfWhatRaisedIsFine) {
  service_.script().session = ASession("fork-1");
  service_.script().session.set_state(v1::STATE_CLOSED);
  *service_.script().session.mutable_last_outcome() = Raised(3, "ValueError", "no");
  const Ran ran = Run({"fork", "room-12"});
  EXPECT_EQ(ran.out, "fork-1 closed raised ValueError: \"no\"\n");
  EXPECT_EQ(ran.status, 0);
}

TEST_F(CoroctlTest, ForkAtATrimmedStepSaysSo) {
  FailWith({.code = 11, .reason = "HISTORY_TRIMMED", .message = "steps before 5 are not kept"});
  const Ran ran = Run({"fork", "room-12", "--at", "2"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_EQ(ran.err, "coroctl: OUT_OF_RANGE HISTORY_TRIMMED: steps before 5 are not kept\n");
}

TEST_F(CoroctlTest, ForkIsTriedAgainWithTheSameRequestId) {
  service_.script().session = ASession("fork-1");
  FailWith({.code = 14, .reason = "DRAINING"}, 2);
  EXPECT_EQ(Run({"fork", "s1"}).status, 0);
  const std::vector<v1::ForkRequest> forks = service_.requests().fork;
  ASSERT_THAT(forks, SizeIs(3));
  EXPECT_EQ(forks[0].request_id(), forks[2].request_id());
}

TEST_F(CoroctlTest, CatalogListsAndShows) {
  v1::Coroutine coroutine;
  coroutine.set_name("sliding_window");
  coroutine.set_version(1);
  coroutine.set_summary("the last values");
  coroutine.set_documentation("All there is to know.\n");
  coroutine.set_stops_when("the caller closes it");
  v1::Parameter* parameter = coroutine.add_parameters();
  parameter->set_name("size");
  parameter->set_type("integer, at least 1");
  parameter->set_required(true);
  service_.script().catalog = {coroutine};
  EXPECT_THAT(Run({"catalog"}).out, AllOf(StartsWith("sliding_window "), HasSubstr(" the last values\n")));
  EXPECT_THAT(Run({"catalog", "sliding_window"}).out,
              AllOf(HasSubstr("size  (integer, at least 1; required)"), HasSubstr("the caller closes it"),
                    HasSubstr("\nAll there is to know.\n")));
  EXPECT_THAT(RunJson({"catalog"}).out, StartsWith("{\"name\": \"sliding_window\", \"version\": 1, "));
}

TEST_F(CoroctlTest, RefusalsTellCodeReasonAndMessage) {
  FailWith({.code = 5, .reason = "SESSION_NOT_FOUND", .message = "there is no session abc"});
  const Ran ran = Run({"next", "abc"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "coroctl: NOT_FOUND SESSION_NOT_FOUND: there is no session abc\n");
}

TEST_F(CoroctlTest, EveryCommandTellsThatTheServiceFailed) {
  const client::Refusal failure{.code = 7, .reason = "SOME_REASON", .message = "no"};
  const std::vector<std::vector<std::string>> commands = {
      {"create", "a"}, {"send", "s", "1"}, {"next", "s"}, {"throw", "s", "E"}, {"close", "s"},
      {"delete", "s"}, {"get", "s"},       {"list"},      {"catalog", "a"},    {"pipe", "a"},
      {"watch", "s"},  {"history", "s"},   {"fork", "s"}, {"export", "s"},     {"bench"}};
  for (const std::vector<std::string>& command : commands) {
    FailWith(failure);
    const Ran ran = Run(command);
    EXPECT_EQ(ran.status, 3) << command[0];
    EXPECT_EQ(ran.err, "coroctl: PERMISSION_DENIED SOME_REASON: no\n") << command[0];
  }
}

TEST_F(CoroctlTest, UnavailableIsTriedAgainWithTheSameRequestId) {
  FailWith({.code = 14, .reason = "DRAINING"}, 2);
  EXPECT_EQ(Run({"send", "s1", "10"}).status, 0);
  const std::vector<v1::SendRequest> sends = service_.requests().send;
  ASSERT_THAT(sends, SizeIs(3));
  EXPECT_EQ(sends[0].request_id(), sends[2].request_id());
}

TEST_F(CoroctlTest, ServerThatIsNotThereIsNamed) {
  const Ran ran = RunCoroctl({"--server", "127.0.0.1:1", "list"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_THAT(ran.err, AllOf(StartsWith("coroctl: UNAVAILABLE: "), HasSubstr("is corod running at 127.0.0.1:1?")));
}

TEST_F(CoroctlTest, WrongUsageAsksNothingOfTheServer) {
  const Ran ran = Run({"send", "s1", "123456789012345678901234567890"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, AllOf(StartsWith("coroctl: the integer 123456789012345678901234567890 is beyond 64 bits"),
                             HasSubstr("see coroctl send --help\n")));
  EXPECT_THAT(service_.requests().send, IsEmpty());
}

TEST_F(CoroctlTest, HelpGoesToStdout) {
  const Ran ran = Run({"pipe", "--help"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.err, "");
  EXPECT_THAT(ran.out, HasSubstr("Examples:"));
}

}  // namespace
}  // namespace corod::cli
