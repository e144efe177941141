// Drive: order, failures and what comes behind them, messages that cannot be read, the end of a stream.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/unit/rpc/drive_test_base.h"

namespace corod::rpc {
namespace {

using testing::ElementsAre;

// With ephemeral sessions, and with durable ones, whose answers come many at a time.
class DriveTest : public DriveTestBase, public testing::WithParamInterface<Journaling> {
 protected:
  DriveTest() : DriveTestBase(GetParam(), GetParam() == Journaling::kNone ? Scopes::kNone : Scopes::kAroundTasks) {}
};
INSTANTIATE_TEST_SUITE_P(Sessions, DriveTest, testing::Values(Journaling::kNone, Journaling::kDurable),
                         [](const auto& info) { return info.param == Journaling::kNone ? "ephemeral" : "durable"; });
// What is started when it was handed to the journal is not dropped, so this is about ephemeral ones alone.
using EphemeralDriveTest = DriveTestBase;

TEST_P(DriveTest, RepliesOfEachSessionComeInItsOrder) {
  for (const char* id : {"a", "b", "c"}) Prime("counter", id);
  Stream stream(*stub_);
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(stream.Write({NextOf("a"), NextOf("b"), NextOf("c")}));
  std::map<std::uint64_t, std::int64_t> last;
  for (const v1::Reply& reply : stream.Read(600)) {
    std::int64_t& previous = last.try_emplace(reply.tag() % 3, 1).first->second;
    ASSERT_EQ(reply.outcome().yielded().integer(), previous + 1);
    previous = reply.outcome().yielded().integer();
  }
  EXPECT_TRUE(stream.HalfClose().ok());
}

// Some are taken at once and some through a lane, from two streams at the same time: on each stream those of a session
// keep their order, and each step is taken once.
TEST_P(DriveTest, CommandsThatGoDifferentWaysKeepTheirOrder) {
  constexpr int kSessions = 5;
  constexpr int kMessages = 200;
  const auto id_of = [](unsigned session) { return "session-" + std::to_string(session); };
  for (unsigned session = 0; session < kSessions; ++session) Prime("echo", id_of(session));
  struct Sent {
    unsigned session;
    std::int64_t value;
  };
  std::array<std::map<unsigned, std::vector<Step>>, 2> steps;
  const auto drive = [&](unsigned number) {
    std::mt19937 random(number);
    Stream stream(*stub_);
    std::vector<Sent> all;
    for (int message = 0; message < kMessages; ++message) {
      std::vector<v1::Command> commands;
      const std::size_t count = 1 + random() % 50;
      unsigned previous = kSessions;
      for (std::size_t i = 0; i < count; ++i) {
        const unsigned session = previous < kSessions && random() % 8 == 0 ? previous : random() % kSessions;
        const auto value = static_cast<std::int64_t>(all.size());
        v1::Command command = SendTo(session == previous && random() % 2 ? "" : id_of(session), value);
        if (random() % 8 == 0) command.set_request_id(std::to_string(number) + "/" + std::to_string(value));
        if (random() % 16 == 0) {  // a value that is not plain
          v1::Value item = command.send();
          *command.mutable_send()->mutable_list()->add_items() = item;
        }
        commands.push_back(command);
        all.push_back({session, value});
        previous = session;
      }
      ASSERT_TRUE(stream.Write(commands));
    }
    std::map<unsigned, std::int64_t> last;
    for (const v1::Reply& reply : stream.Read(all.size())) {
      ASSERT_EQ(reply.result_case(), v1::Reply::kOutcome) << reply.DebugString();
      const v1::Value& yielded = reply.outcome().yielded();
      const Sent& sent = all[reply.tag() - 1];
      ASSERT_EQ(yielded.has_list() ? yielded.list().items(0).integer() : yielded.integer(), sent.value);
      ASSERT_GT(sent.value, last.try_emplace(sent.session, -1).first->second);
      last[sent.session] = sent.value;
      steps[number][sent.session].push_back(reply.outcome().step());
    }
    EXPECT_TRUE(stream.HalfClose().ok());
  };
  std::thread other([&] { drive(1); });
  drive(0);
  other.join();
  for (unsigned session = 0; session < kSessions; ++session) {
    std::vector<Step> taken;
    for (std::map<unsigned, std::vector<Step>>& of : steps) {
      EXPECT_TRUE(std::is_sorted(of[session].begin(), of[session].end()));
      taken.insert(taken.end(), of[session].begin(), of[session].end());
    }
    std::sort(taken.begin(), taken.end());
    Step next = 2;
    for (const Step step : taken) ASSERT_EQ(step, next++);
  }
}

class ScopedDriveTest : public DriveTestBase {
 protected:
  ScopedDriveTest() : DriveTestBase(Journaling::kNone, Scopes::kAroundTasks) {}
};

// The first of all commands: with it the test has the session.
class FirstCommand : public Command {
 public:
  FirstCommand() { bounded_by_sender = true; }
  void Finish(absl::StatusOr<Reply> reply) override { EXPECT_TRUE(reply.ok()) << reply.status(); }
};

TEST_F(ScopedDriveTest, RepliesThatAreGivenTogetherAreOneMessage) {
  constexpr int kCommands = 100;
  for (const char* id : {"a", "b", "other"}) Prime("echo", id);
  std::array<SessionPtr, 2> sessions = {sessions_->FindLive("a"), sessions_->FindLive("b")};
  std::array<FirstCommand, 2> first;
  for (std::size_t i = 0; i < 2; ++i) {
    bool runs = false;
    ASSERT_TRUE(sessions[i]->Enqueue(&first[i], runs));
    ASSERT_TRUE(runs);
  }
  Stream stream(*stub_);
  ASSERT_TRUE(stream.Write(std::vector<v1::Command>(kCommands, SendTo("a", 1))));
  ASSERT_TRUE(stream.Write(std::vector<v1::Command>(kCommands, SendTo("b", 1))));
  ASSERT_TRUE(stream.Write({SendTo("other", 1)}));
  ASSERT_EQ(stream.Read(1).at(0).tag(), 2u * kCommands + 1);  // so the other messages are through
  ASSERT_EQ(stream.messages(), 1u);
  const std::size_t scopes = executor_.count(), messages = stream.messages();
  executor_.Run([&sessions] {
    for (SessionPtr& session : sessions) std::exchange(session, SessionPtr())->Release();
  });
  EXPECT_EQ(stream.Read(2 * kCommands).size(), 2u * kCommands);
  // One scope, unless the machine is too busy for the sessions to be known as quick; and one more message if gRPC says
  // only meanwhile that the one before was written.
  EXPECT_LE(stream.messages() - messages, executor_.count() - scopes + 1);
  EXPECT_TRUE(stream.HalfClose().ok());
}

TEST_P(DriveTest, CreateAndSendsBehindItArePipelined) {
  EXPECT_THAT(Answers({CreateOf(NewSession("echo", "s")), SendTo("s", 1), SendTo("s", 2), CloseOf("s")}),
              ElementsAre("created", "2", "3", "4"));
}

TEST_P(DriveTest, CommandWithoutSessionIsForTheOneBeforeIt) {
  Prime("echo", "a");
  EXPECT_THAT(Answers({CreateOf(NewSession("echo", "")), SendTo("", 1), SendTo("a", 1), SendTo("", 2)}),
              ElementsAre("created", "2", "2", "3"));
}

TEST_P(DriveTest, FirstCommandWithoutSessionIsRefused) {
  EXPECT_THAT(Answers({SendTo("", 1)}), ElementsAre("INVALID_SESSION_ID"));
}

TEST_P(DriveTest, BehindAFailureAllFailUntilOneResumes) {
  Prime("echo", "s");
  EXPECT_THAT(Answers({SendTo("s", 1), AtStep(SendTo("s", 2), 9), SendTo("s", 3), CloseOf("s"),
                       Resuming(SendTo("s", 4)), SendTo("s", 5)}),
              ElementsAre("2", "STEP_MISMATCH", "PREDECESSOR_FAILED", "PREDECESSOR_FAILED", "3", "4"));
}

TEST_P(DriveTest, FailureIsRememberedOverMessages) {
  Prime("echo", "s");
  Stream stream(*stub_);
  ASSERT_TRUE(stream.Write({AtStep(SendTo("s", 1), 9)}));
  ASSERT_EQ(BriefOf(stream.Read(1).at(0)), "STEP_MISMATCH");
  ASSERT_TRUE(stream.Write({SendTo("s", 2)}));
  EXPECT_EQ(BriefOf(stream.Read(1).at(0)), "PREDECESSOR_FAILED");
}

TEST_P(DriveTest, FailureOfOneSessionIsNoneOfAnother) {
  Prime("echo", "a");
  EXPECT_THAT(Answers({SendTo("nobody", 1), SendTo("a", 1), SendTo("nobody", 2), SendTo("a", 2)}),
              ElementsAre("SESSION_NOT_FOUND", "2", "PREDECESSOR_FAILED", "3"));
}

TEST_P(DriveTest, FailureOnOneStreamIsNoneOnAnother) {
  Prime("echo", "s");
  ASSERT_THAT(Answers({AtStep(SendTo("s", 1), 9)}), ElementsAre("STEP_MISMATCH"));
  EXPECT_THAT(Answers({SendTo("s", 1)}), ElementsAre("2"));
}

TEST_P(DriveTest, OutcomeThatIsRaisedIsNoFailure) {
  Prime("echo", "s");
  v1::Command thrown;
  thrown.set_session_id("s");
  thrown.mutable_throw_()->set_type("ValueError");
  EXPECT_THAT(Answers({thrown, SendTo("s", 1)}), ElementsAre("2", "3"));
}

TEST_P(DriveTest, SendsBehindACreateThatFailsFail) {
  EXPECT_THAT(Answers({CreateOf(NewSession("nothing", "s")), SendTo("s", 1)}),
              ElementsAre("COROUTINE_NOT_FOUND", "PREDECESSOR_FAILED"));
}

TEST_P(DriveTest, CreateWaitsForWhatStandsBeforeIt) {
  Prime("blocking", "s");
  v1::CreateRequest again = NewSession("counter", "s");
  again.set_if_exists(v1::IF_EXISTS_REPLACE_FINISHED);
  Stream stream(*stub_);
  ASSERT_TRUE(stream.Write({BlockOf("s"), CloseOf("s"), CreateOf(again), NextOf("s")}));
  probe_.gate.WaitForArrivals(1);
  probe_.gate.Open();
  std::vector<std::string> answers;
  for (const v1::Reply& reply : stream.Read(4)) answers.push_back(BriefOf(reply));
  EXPECT_THAT(answers, ElementsAre("2", "3", "created", "2"));
}

TEST_P(DriveTest, CreateWithIdsInTheCommandIsRefused) {
  v1::Command create = CreateOf(NewSession("echo", "s"));
  create.set_request_id("r");
  EXPECT_THAT(Answers({create}), ElementsAre("INVALID_ARGUMENTS"));
}

TEST_P(DriveTest, CommandWithoutOperationIsRefused) {
  v1::Command nothing;
  nothing.set_session_id("s");
  EXPECT_THAT(Answers({nothing}), ElementsAre("INVALID_ARGUMENTS"));
}

TEST_P(DriveTest, CommandThatIsTooDeepIsRefusedAmongGoodOnes) {
  for (const char* id : {"a", "b"}) Prime("echo", id);
  for (const int depth : {25, 1'000}) {
    v1::Command deep;
    deep.set_session_id("a");
    *deep.mutable_send() = Nested(depth);
    EXPECT_THAT(Answers({SendTo("a", 1), deep, SendTo("b", 1), SendTo("a", 2), Resuming(SendTo("a", 3))}),
                ElementsAre(testing::Not("VALUE_TOO_DEEP"), "VALUE_TOO_DEEP", testing::Not("PREDECESSOR_FAILED"),
                            "PREDECESSOR_FAILED", testing::Not("PREDECESSOR_FAILED")));
  }
  EXPECT_EQ(Get("a").steps(), 5u);
  EXPECT_EQ(Get("b").steps(), 3u);
}

TEST_P(DriveTest, CreateThatIsTooDeepFailsNobodyElsesCommands) {
  Prime("echo", "a");
  v1::Command deep = CreateOf(NewSession("returns_at_once", ""));
  (*deep.mutable_create()->mutable_arguments())["value"] = Nested(1'000);
  EXPECT_THAT(Answers({SendTo("a", 1), deep, SendTo("", 2), SendTo("a", 3), deep}),
              ElementsAre("2", "VALUE_TOO_DEEP", "PREDECESSOR_FAILED", "3", "VALUE_TOO_DEEP"));
}

TEST_P(DriveTest, QuietReplyHasNoValue) {
  Prime("echo", "s");
  v1::Command quiet = SendTo("s", 1);
  quiet.set_quiet(true);
  Stream stream(*stub_);
  ASSERT_TRUE(stream.Write({quiet}));
  const v1::Reply reply = stream.Read(1).at(0);
  EXPECT_EQ(reply.outcome().result_case(), v1::Outcome::kYielded);
  EXPECT_EQ(reply.outcome().yielded().kind_case(), v1::Value::KIND_NOT_SET);
}

TEST_P(DriveTest, CommandSentAgainIsAnsweredAsBefore) {
  Prime("counter", "s");
  v1::Command next = NextOf("s");
  next.set_request_id("r");
  ASSERT_THAT(Answers({next}), ElementsAre("2"));
  Stream stream(*stub_);
  ASSERT_TRUE(stream.Write({next, NextOf("s")}));
  const std::vector<v1::Reply> replies = stream.Read(2);
  EXPECT_TRUE(replies.at(0).replayed());
  EXPECT_EQ(replies.at(0).outcome().step(), 2u);
  EXPECT_EQ(replies.at(1).outcome().step(), 3u);
}

// The end of a stream.

TEST_P(DriveTest, HalfCloseAnswersAllThatWasSent) {
  Prime("counter", "s");
  Stream stream(*stub_);
  ASSERT_TRUE(stream.Write(std::vector<v1::Command>(500, NextOf("s"))));
  EXPECT_TRUE(stream.HalfClose().ok());
  EXPECT_EQ(stream.unread().size(), 500u);
}

TEST_P(DriveTest, StreamWithoutCommandsEndsWell) {
  Stream stream(*stub_);
  EXPECT_TRUE(stream.HalfClose().ok());
  EXPECT_TRUE(stream.unread().empty());
}

TEST_F(EphemeralDriveTest, BrokenStreamDropsWhatHasNotStartedSoThatAPrefixHasRun) {
  constexpr int kCommands = 1'000;
  Prime("blocking", "s");
  {
    Stream stream(*stub_);
    std::vector<v1::Command> commands = {BlockOf("s")};
    for (int i = 1; i < kCommands; ++i) commands.push_back(SendTo("s", i));
    ASSERT_TRUE(stream.Write(commands));
    probe_.gate.WaitForArrivals(1);
    stream.Cancel();
  }
  for (int i = 0; i < 300; ++i) Get("s");  // the server hears of the end before these, on the same connection
  probe_.gate.Open();
  v1::SendRequest behind;
  behind.set_session_id("s");
  v1::Outcome outcome;
  ASSERT_TRUE(Send(behind, &outcome).ok());
  EXPECT_GT(outcome.step(), 2u) << "the step that was running is complete";
  EXPECT_LT(outcome.step(), static_cast<Step>(kCommands)) << "the others were dropped";
}

TEST_P(DriveTest, MoreThanIsTakenAtOnceIsAnsweredInTheEnd) {
  constexpr int kCommands = 5'000;
  Prime("blocking", "s");
  Stream stream(*stub_);
  std::thread writer([&] {
    v1::Command large = BlockOf("s");
    large.mutable_send()->set_text(std::string(10'000, 'x'));
    ASSERT_TRUE(stream.Write({BlockOf("s")}));
    for (int i = 1; i < kCommands; ++i) ASSERT_TRUE(stream.Write({large}));
  });
  probe_.gate.WaitForArrivals(1);
  probe_.gate.Open();
  const std::vector<v1::Reply> replies = stream.Read(kCommands);
  writer.join();
  ASSERT_EQ(replies.size(), static_cast<std::size_t>(kCommands));
  for (int i = 0; i < kCommands; ++i) {
    ASSERT_EQ(replies[i].tag(), static_cast<std::uint64_t>(i + 1));
    ASSERT_EQ(BriefOf(replies[i]), std::to_string(i + 2));
  }
  EXPECT_TRUE(stream.HalfClose().ok());
}

TEST_P(DriveTest, MessageOfManyCommandsIsAnsweredInMessagesThatAClientTakes) {
  Prime("echo", "s");
  v1::Command large = SendTo("s", 0);
  large.mutable_send()->set_text(std::string(300'000, 'x'));
  Stream stream(*stub_);
  ASSERT_TRUE(stream.Write(std::vector<v1::Command>(40, large)));  // 12 MB; a client reads messages of 4 MB
  EXPECT_EQ(stream.Read(40).size(), 40u);
}

}  // namespace
}  // namespace corod::rpc
