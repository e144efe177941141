// Drive: order, failures and what comes behind them, messages that cannot be read, the end of a stream.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/unit/rpc/rpc_test_base.h"

namespace corod::rpc {
namespace {

using testing::ElementsAre;

v1::Command SendTo(const std::string& id, std::int64_t value) {
  v1::Command command;
  command.set_session_id(id);
  command.mutable_send()->set_integer(value);
  return command;
}
v1::SendRequest UnarySendTo(const std::string& id, std::int64_t value) {
  v1::SendRequest request;
  request.set_session_id(id);
  request.mutable_value()->set_integer(value);
  return request;
}
v1::Command NextOf(const std::string& id) {
  v1::Command command;
  command.set_session_id(id);
  command.mutable_send();
  return command;
}
v1::Command BlockOf(const std::string& id) {
  v1::Command command;
  command.set_session_id(id);
  command.mutable_send()->set_text("block");
  return command;
}
v1::Command CloseOf(const std::string& id) {
  v1::Command command;
  command.set_session_id(id);
  command.mutable_close();
  return command;
}
v1::Command CreateOf(v1::CreateRequest request) {
  v1::Command command;
  *command.mutable_create() = std::move(request);
  return command;
}
v1::Command AtStep(v1::Command command, Step step) {
  command.set_expected_step(step);
  return command;
}
v1::Command Resuming(v1::Command command) {
  command.set_resume(true);
  return command;
}

// "2" for a step, "REASON" for a failure.
std::string BriefOf(const v1::Reply& reply) {
  switch (reply.result_case()) {
    case v1::Reply::kOutcome:
      return std::to_string(reply.outcome().step());
    case v1::Reply::kCreated:
      return "created";
    case v1::Reply::kFailure:
      return reply.failure().reason();
    case v1::Reply::RESULT_NOT_SET:
      break;
  }
  return "nothing";
}

class DriveTest : public RpcTest {
 protected:
  // One Drive call. Commands are tagged 1, 2, 3, ... as they are written.
  class Stream {
   public:
    explicit Stream(v1::CoroutineService::Stub& stub) : call_(stub.Drive(&context_)) {}

    // In one message.
    bool Write(const std::vector<v1::Command>& commands) {
      v1::DriveRequest request;
      for (const v1::Command& command : commands) {
        v1::Command* to = request.add_commands();
        *to = command;
        to->set_tag(++written_);
      }
      return call_->Write(request);
    }
    // The replies to all that was written, by tag, in the order in which they came.
    std::vector<v1::Reply> Read(std::size_t count) {
      while (replies_.size() < count) {
        v1::DriveResponse response;
        if (!call_->Read(&response)) {
          ADD_FAILURE() << "the stream ended after " << replies_.size() << " replies";
          break;
        }
        for (const v1::Reply& reply : response.replies()) replies_.push_back(reply);
      }
      return std::exchange(replies_, {});
    }
    grpc::Status HalfClose() {
      call_->WritesDone();
      v1::DriveResponse response;
      while (call_->Read(&response)) {
        for (const v1::Reply& reply : response.replies()) replies_.push_back(reply);
      }
      return call_->Finish();
    }
    void Cancel() {
      context_.TryCancel();
      EXPECT_EQ(call_->Finish().error_code(), grpc::CANCELLED);
    }
    std::vector<v1::Reply>& unread() { return replies_; }

   private:
    grpc::ClientContext context_;
    std::unique_ptr<grpc::ClientReaderWriter<v1::DriveRequest, v1::DriveResponse>> call_;
    std::uint64_t written_ = 0;
    std::vector<v1::Reply> replies_;
  };

  // `echo` and `counter` are known to be quick, so that their Sends are taken at once.
  void SetUp() override {
    for (const char* name : {"echo", "counter"}) {
      Prime(name, name);
      for (int i = 0; i < 40; ++i) ASSERT_TRUE(Send(UnarySendTo(name, i)).ok());
    }
  }

  // What each command of one message got, in the order of the commands.
  std::vector<std::string> Answers(const std::vector<v1::Command>& commands) {
    Stream stream(*stub_);
    stream.Write(commands);
    std::vector<std::string> answers(commands.size());
    for (const v1::Reply& reply : stream.Read(commands.size())) answers[reply.tag() - 1] = BriefOf(reply);
    EXPECT_TRUE(stream.HalfClose().ok());
    return answers;
  }
};

TEST_F(DriveTest, RepliesOfEachSessionComeInItsOrder) {
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
TEST_F(DriveTest, CommandsThatGoDifferentWaysKeepTheirOrder) {
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

TEST_F(DriveTest, CreateAndSendsBehindItArePipelined) {
  EXPECT_THAT(Answers({CreateOf(NewSession("echo", "s")), SendTo("s", 1), SendTo("s", 2), CloseOf("s")}),
              ElementsAre("created", "2", "3", "4"));
}

TEST_F(DriveTest, CommandWithoutSessionIsForTheOneBeforeIt) {
  Prime("echo", "a");
  EXPECT_THAT(Answers({CreateOf(NewSession("echo", "")), SendTo("", 1), SendTo("a", 1), SendTo("", 2)}),
              ElementsAre("created", "2", "2", "3"));
}

TEST_F(DriveTest, FirstCommandWithoutSessionIsRefused) {
  EXPECT_THAT(Answers({SendTo("", 1)}), ElementsAre("INVALID_SESSION_ID"));
}

TEST_F(DriveTest, BehindAFailureAllFailUntilOneResumes) {
  Prime("echo", "s");
  EXPECT_THAT(Answers({SendTo("s", 1), AtStep(SendTo("s", 2), 9), SendTo("s", 3), CloseOf("s"),
                       Resuming(SendTo("s", 4)), SendTo("s", 5)}),
              ElementsAre("2", "STEP_MISMATCH", "PREDECESSOR_FAILED", "PREDECESSOR_FAILED", "3", "4"));
}

TEST_F(DriveTest, FailureIsRememberedOverMessages) {
  Prime("echo", "s");
  Stream stream(*stub_);
  ASSERT_TRUE(stream.Write({AtStep(SendTo("s", 1), 9)}));
  ASSERT_EQ(BriefOf(stream.Read(1).at(0)), "STEP_MISMATCH");
  ASSERT_TRUE(stream.Write({SendTo("s", 2)}));
  EXPECT_EQ(BriefOf(stream.Read(1).at(0)), "PREDECESSOR_FAILED");
}

TEST_F(DriveTest, FailureOfOneSessionIsNoneOfAnother) {
  Prime("echo", "a");
  EXPECT_THAT(Answers({SendTo("nobody", 1), SendTo("a", 1), SendTo("nobody", 2), SendTo("a", 2)}),
              ElementsAre("SESSION_NOT_FOUND", "2", "PREDECESSOR_FAILED", "3"));
}

TEST_F(DriveTest, FailureOnOneStreamIsNoneOnAnother) {
  Prime("echo", "s");
  ASSERT_THAT(Answers({AtStep(SendTo("s", 1), 9)}), ElementsAre("STEP_MISMATCH"));
  EXPECT_THAT(Answers({SendTo("s", 1)}), ElementsAre("2"));
}

TEST_F(DriveTest, OutcomeThatIsRaisedIsNoFailure) {
  Prime("echo", "s");
  v1::Command thrown;
  thrown.set_session_id("s");
  thrown.mutable_throw_()->set_type("ValueError");
  EXPECT_THAT(Answers({thrown, SendTo("s", 1)}), ElementsAre("2", "3"));
}

TEST_F(DriveTest, SendsBehindACreateThatFailsFail) {
  EXPECT_THAT(Answers({CreateOf(NewSession("nothing", "s")), SendTo("s", 1)}),
              ElementsAre("COROUTINE_NOT_FOUND", "PREDECESSOR_FAILED"));
}

TEST_F(DriveTest, CreateWaitsForWhatStandsBeforeIt) {
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

TEST_F(DriveTest, CreateWithIdsInTheCommandIsRefused) {
  v1::Command create = CreateOf(NewSession("echo", "s"));
  create.set_request_id("r");
  EXPECT_THAT(Answers({create}), ElementsAre("INVALID_ARGUMENTS"));
}

TEST_F(DriveTest, CommandWithoutOperationIsRefused) {
  v1::Command nothing;
  nothing.set_session_id("s");
  EXPECT_THAT(Answers({nothing}), ElementsAre("INVALID_ARGUMENTS"));
}

TEST_F(DriveTest, CommandThatIsTooDeepIsRefusedAmongGoodOnes) {
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

TEST_F(DriveTest, CreateThatIsTooDeepFailsNobodyElsesCommands) {
  Prime("echo", "a");
  v1::Command deep = CreateOf(NewSession("returns_at_once", ""));
  (*deep.mutable_create()->mutable_arguments())["value"] = Nested(1'000);
  EXPECT_THAT(Answers({SendTo("a", 1), deep, SendTo("", 2), SendTo("a", 3), deep}),
              ElementsAre("2", "VALUE_TOO_DEEP", "PREDECESSOR_FAILED", "3", "VALUE_TOO_DEEP"));
}

TEST_F(DriveTest, QuietReplyHasNoValue) {
  Prime("echo", "s");
  v1::Command quiet = SendTo("s", 1);
  quiet.set_quiet(true);
  Stream stream(*stub_);
  ASSERT_TRUE(stream.Write({quiet}));
  const v1::Reply reply = stream.Read(1).at(0);
  EXPECT_EQ(reply.outcome().result_case(), v1::Outcome::kYielded);
  EXPECT_EQ(reply.outcome().yielded().kind_case(), v1::Value::KIND_NOT_SET);
}

TEST_F(DriveTest, CommandSentAgainIsAnsweredAsBefore) {
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

TEST_F(DriveTest, HalfCloseAnswersAllThatWasSent) {
  Prime("counter", "s");
  Stream stream(*stub_);
  ASSERT_TRUE(stream.Write(std::vector<v1::Command>(500, NextOf("s"))));
  EXPECT_TRUE(stream.HalfClose().ok());
  EXPECT_EQ(stream.unread().size(), 500u);
}

TEST_F(DriveTest, StreamWithoutCommandsEndsWell) {
  Stream stream(*stub_);
  EXPECT_TRUE(stream.HalfClose().ok());
  EXPECT_TRUE(stream.unread().empty());
}

TEST_F(DriveTest, BrokenStreamDropsWhatHasNotStartedSoThatAPrefixHasRun) {
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

TEST_F(DriveTest, MoreThanIsTakenAtOnceIsAnsweredInTheEnd) {
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

TEST_F(DriveTest, MessageOfManyCommandsIsAnsweredInMessagesThatAClientTakes) {
  Prime("echo", "s");
  v1::Command large = SendTo("s", 0);
  large.mutable_send()->set_text(std::string(300'000, 'x'));
  Stream stream(*stub_);
  ASSERT_TRUE(stream.Write(std::vector<v1::Command>(40, large)));  // 12 MB; a client reads messages of 4 MB
  EXPECT_EQ(stream.Read(40).size(), 40u);
}

}  // namespace
}  // namespace corod::rpc
