// coroctl watch and history, against a service that does what each test says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "client/cli/coroctl.h"
#include "tests/unit/client/fake_service.h"
#include "tests/unit/client/run_coroctl.h"

namespace corod::cli {
namespace {

using client::IntegerValue;
using client::Raised;
using client::Returned;
using client::SendEvent;
using client::TextValue;
using client::Yielded;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class HistoryTest : public ::testing::Test {
 protected:
  // A durable session with `steps` steps, of which step N yielded N.
  void Keep(int steps, int earliest = 1) {
    v1::Session& session = service_.script().session;
    session.set_session_id("s1");
    session.set_state(v1::STATE_SUSPENDED);
    session.set_durability(v1::DURABILITY_DURABLE);
    session.set_steps(static_cast<std::uint64_t>(steps));
    session.set_earliest_step(static_cast<std::uint64_t>(earliest));
    for (int step = earliest; step <= steps; ++step)
      Comes(Yielded(static_cast<std::uint64_t>(step), IntegerValue(step)));
  }
  // One more step.
  void Comes(const v1::Outcome& outcome) {
    service_.script().events.push_back(
        SendEvent(IntegerValue(static_cast<std::int64_t>(outcome.step()) * 10), outcome));
  }
  v1::Event& LastEvent() { return service_.script().events.back(); }
  void Finish() {
    service_.script().session.set_state(v1::STATE_CLOSED);
    *service_.script().session.mutable_last_outcome() = LastEvent().outcome();
  }

  Ran Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--server", service_.address()});
    return RunCoroctl(arguments);
  }
  std::vector<std::uint64_t> AskedFor() {
    std::vector<std::uint64_t> steps;
    for (const v1::WatchRequest& request : service_.requests().watch) steps.push_back(request.from_step());
    return steps;
  }

  client::FakeService service_;
};

TEST_F(HistoryTest, WatchPrintsWhatComesUntilTheSessionReturns) {
  Keep(2);
  Comes(Yielded(3, TextValue("a")));
  Comes(Returned(4, IntegerValue(7)));
  service_.script().streams = {{.stays = true}};  // it ends without being told
  const Ran ran = Run({"watch", "s1"});
  EXPECT_EQ(ran.out, "3  send 30 -> \"a\"\n4  send 40 -> returned 7\n");
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(AskedFor(), ElementsAre(3));
}

TEST_F(HistoryTest, EveryOperationIsShownAsItWouldBeWritten) {
  Keep(0);
  Comes(Yielded(1, v1::Value()));
  LastEvent().mutable_create()->set_coroutine("averager");
  Comes(Yielded(2, IntegerValue(0)));
  LastEvent().mutable_send()->Clear();
  Comes(Yielded(3, IntegerValue(0)));
  *LastEvent().mutable_throw_() = Raised(0, "KeyError", "'k'").raised();
  Comes(Raised(4, "RuntimeError", "generator ignored GeneratorExit"));
  LastEvent().mutable_close()->set_force(false);
  LastEvent().set_cause(v1::CLOSE_CAUSE_CLIENT);
  Comes(Returned(5, TextValue("rest")));
  LastEvent().mutable_close()->set_force(true);
  LastEvent().set_cause(v1::CLOSE_CAUSE_IDLE);
  EXPECT_EQ(Run({"watch", "s1", "--from", "1"}).out,
            "1  create -> null\n"
            "2  next -> 0\n"
            "3  throw KeyError: \"'k'\" -> 0\n"
            "4  close -> raised RuntimeError: \"generator ignored GeneratorExit\"\n"
            "5  close --force (idle) -> returned \"rest\"\n");
}

TEST_F(HistoryTest, WatchEndsAfterTheRaiseThatFinishedTheSession) {
  Keep(1);
  Comes(Raised(2, "ValueError", "yielded value too large"));  // does not finish it
  Comes(Raised(3, "TypeError", "must be real number, not str"));
  service_.script().streams = {{.stays = true}};
  const v1::Session before = service_.script().session;
  int gets = 0;
  service_.script().on_get = [&, before](const v1::GetRequest&) {
    v1::Session session = before;
    if (++gets < 3) return session;
    session.set_state(v1::STATE_CLOSED);
    session.mutable_last_outcome()->set_step(3);
    return session;
  };
  const Ran ran = Run({"watch", "s1"});
  EXPECT_EQ(ran.out,
            "2  send 20 -> raised ValueError: \"yielded value too large\"\n"
            "3  send 30 -> raised TypeError: \"must be real number, not str\"\n");
  EXPECT_EQ(ran.status, 0);
}

TEST_F(HistoryTest, WatchOfAFinishedSessionShowsItsStepsAndEnds) {
  Keep(2);
  Comes(Returned(3, v1::Value()));
  service_.script().session.set_steps(3);
  Finish();
  service_.script().streams = {{.stays = true}};
  EXPECT_EQ(Run({"watch", "s1", "--from", "2"}).out, "2  send 20 -> 2\n3  send 30 -> returned null\n");
  const Ran ran = Run({"watch", "s1"});
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "coroctl: session s1 is finished; it has 3 steps\n");
  EXPECT_EQ(ran.status, 0);
}

TEST_F(HistoryTest, WatchFromZeroBeginsWithTheFirstThatIsKept) {
  Keep(4, 3);
  Comes(Returned(5, v1::Value()));
  EXPECT_EQ(Run({"watch", "s1", "--from", "0"}).out, "3  send 30 -> 3\n4  send 40 -> 4\n5  send 50 -> returned null\n");
}

TEST_F(HistoryTest, WatchFromATrimmedStepFails) {
  Keep(4, 3);
  service_.script().streams = {
      {.messages = 0, .end = {.code = 11, .reason = "HISTORY_TRIMMED", .message = "the first kept is 3"}}};
  const Ran ran = Run({"watch", "s1", "--from", "1"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_EQ(ran.err, "coroctl: OUT_OF_RANGE HISTORY_TRIMMED: the first kept is 3\n");
}

TEST_F(HistoryTest, WatchOfAnEphemeralSessionAsksForNoStep) {
  Keep(2, 3);
  service_.script().session.set_durability(v1::DURABILITY_EPHEMERAL);
  Comes(Returned(3, v1::Value()));
  EXPECT_EQ(Run({"watch", "s1"}).out, "3  send 30 -> returned null\n");
  EXPECT_FALSE(service_.requests().watch.at(0).has_from_step());
}

TEST_F(HistoryTest, WatchGoesOnWithoutGapOrRepeat) {
  Keep(1);
  for (std::uint64_t step = 2; step <= 5; ++step) Comes(Yielded(step, v1::Value()));
  Comes(Returned(6, v1::Value()));
  service_.script().streams = {
      {.messages = 0, .end = {.code = 14, .message = "gone"}},
      {.messages = 1, .end = {.code = 8, .reason = "WATCHER_TOO_SLOW", .metadata = {{"resume_step", "3"}}}},
      {.messages = 1, .end = {.code = 14, .message = "gone again"}},
      {.messages = 0, .end = {.code = 14, .message = "still gone"}}};
  const Ran ran = Run({"watch", "s1"});
  EXPECT_EQ(ran.out,
            "2  send 20 -> null\n3  send 30 -> null\n4  send 40 -> null\n5  send 50 -> null\n"
            "6  send 60 -> returned null\n");
  EXPECT_THAT(AskedFor(), ElementsAre(2, 2, 3, 4, 4));
  EXPECT_EQ(ran.status, 0);
  // Once for each time that the server was away.
  EXPECT_THAT(ran.err, HasSubstr("coroctl: UNAVAILABLE: gone (is corod running at "));
  EXPECT_THAT(ran.err, HasSubstr("coroctl: UNAVAILABLE: gone again (is corod running at "));
  EXPECT_EQ(ran.err.find("still gone"), std::string::npos);
  EXPECT_EQ(ran.err.find("WATCHER"), std::string::npos);
}

TEST_F(HistoryTest, WatchGivesUpWhenTheServerStaysAway) {
  Keep(1);
  service_.script().streams.resize(1000, {.messages = 0, .end = {.code = 14, .message = "gone"}});
  const Ran ran = Run({"watch", "s1"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_THAT(service_.requests().watch, SizeIs(32));
}

TEST_F(HistoryTest, WatchEndsWhenTheServiceDoes) {
  Keep(1);
  const Ran ran = Run({"watch", "s1"});
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.status, 0);
}

TEST_F(HistoryTest, InterruptEndsTheWatch) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    client::FakeService service;
    service.script().session.set_steps(0);
    service.script().events = {SendEvent(IntegerValue(1), Yielded(1, IntegerValue(1))),
                               SendEvent(IntegerValue(2), Yielded(2, IntegerValue(2)))};
    service.script().on_event = [signal](const v1::Event& event) {
      if (event.step() == 2) kill(getpid(), signal);
    };
    service.script().streams = {{.stays = true}};
    const Ran ran = RunCoroctl({"--server", service.address(), "watch", "s1"});
    EXPECT_EQ(ran.status, 128 + signal);
    EXPECT_EQ(ran.err, "");
  }
}

TEST_F(HistoryTest, JsonHasEverything) {
  Keep(0);
  Comes(Yielded(1, IntegerValue(5)));
  LastEvent().mutable_time()->set_seconds(86400);
  LastEvent().mutable_time()->set_nanos(250'000'000);
  LastEvent().set_request_id("r");
  Comes(Raised(2, "E", "no"));
  LastEvent().mutable_close();
  LastEvent().set_cause(v1::CLOSE_CAUSE_EXPIRED);
  const std::string expected =
      "{\"step\": 1, \"time\": \"1970-01-02T00:00:00.250Z\", \"send\": 10, \"yielded\": 5, \"request_id\": \"r\"}\n"
      "{\"step\": 2, \"close\": {\"force\": false}, \"cause\": \"expired\", "
      "\"raised\": {\"type\": \"E\", \"message\": \"no\"}}\n";
  EXPECT_EQ(Run({"watch", "s1", "--json"}).out, expected);
  service_.script().session.set_steps(2);
  EXPECT_EQ(Run({"history", "s1", "--output", "json"}).out, expected);
}

TEST_F(HistoryTest, TimesAreShownWhenAskedFor) {
  Keep(1);
  LastEvent().mutable_time()->set_seconds(86400);
  EXPECT_EQ(Run({"history", "s1", "--time"}).out, "1  1970-01-02T00:00:00.000Z  send 10 -> 1\n");
}

TEST_F(HistoryTest, HistoryEndsWithTheStepThatWasTheLast) {
  Keep(3);
  Comes(Yielded(4, v1::Value()));  // has come since
  service_.script().streams = {{.stays = true}};
  const Ran ran = Run({"history", "s1"});
  EXPECT_EQ(ran.out, "1  send 10 -> 1\n2  send 20 -> 2\n3  send 30 -> 3\n");
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.status, 0);
}

TEST_F(HistoryTest, HistoryShowsAPart) {
  Keep(5);
  EXPECT_EQ(Run({"history", "s1", "--from", "2", "--to", "3"}).out, "2  send 20 -> 2\n3  send 30 -> 3\n");
  EXPECT_EQ(Run({"history", "s1", "--from", "5", "--to", "100"}).out, "5  send 50 -> 5\n");
  EXPECT_EQ(Run({"history", "s1", "--from", "6"}).out, "");
  EXPECT_EQ(Run({"history", "s1", "--from", "0", "--to", "1"}).out, "1  send 10 -> 1\n");
}

TEST_F(HistoryTest, HistoryTellsHowMuchIsTrimmed) {
  Keep(5, 4);
  const Ran all = Run({"history", "s1"});
  EXPECT_EQ(all.out, "4  send 40 -> 4\n5  send 50 -> 5\n");
  EXPECT_EQ(all.err, "coroctl: 3 steps before step 4 are no longer kept\n");
  EXPECT_EQ(all.status, 0);
  EXPECT_EQ(Run({"history", "s1", "--from", "3"}).err, "coroctl: 1 step before step 4 is no longer kept\n");
  EXPECT_EQ(Run({"history", "s1", "--from", "4"}).err, "");
  EXPECT_EQ(Run({"history", "s1", "--to", "2"}).err, "coroctl: 2 steps of session s1 are not kept\n");
}

TEST_F(HistoryTest, HistoryOfASessionThatKeepsNothing) {
  Keep(2, 3);
  const Ran ran = Run({"history", "s1"});
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "coroctl: 2 steps of session s1 are not kept\n");
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(service_.requests().watch, IsEmpty());
}

TEST_F(HistoryTest, HistoryOfANewSessionIsEmpty) {
  Keep(0);
  const Ran ran = Run({"history", "s1"});
  EXPECT_EQ(ran.out + ran.err, "");
  EXPECT_EQ(ran.status, 0);
}

TEST_F(HistoryTest, HistoryGoesOnAfterABreak) {
  Keep(3);
  service_.script().streams = {{.messages = 2, .end = {.code = 14, .message = "gone"}}};
  const Ran ran = Run({"history", "s1"});
  EXPECT_EQ(ran.out, "1  send 10 -> 1\n2  send 20 -> 2\n3  send 30 -> 3\n");
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(AskedFor(), ElementsAre(1, 3));
}

TEST_F(HistoryTest, HistoryThatEndsTooSoonFails) {
  Keep(3);
  service_.script().streams = {{.messages = 2}};
  const Ran ran = Run({"history", "s1"});
  EXPECT_EQ(ran.out, "1  send 10 -> 1\n2  send 20 -> 2\n");
  EXPECT_EQ(ran.err, "coroctl: INTERNAL: the server ended the history before step 3\n");
  EXPECT_EQ(ran.status, 3);
}

}  // namespace
}  // namespace corod::cli
