// coroctl bench, against a service that does what each test says. What is measured says nothing here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <set>
#include <utility>

#include "client/cli/coroctl.h"
#include "tests/unit/client/fake_service.h"
#include "tests/unit/client/run_coroctl.h"

namespace corod::cli {
namespace {

using client::Raised;
using client::Returned;
using client::Yielded;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Lt;
using ::testing::MatchesRegex;
using ::testing::SizeIs;
using ::testing::StartsWith;

class BenchTest : public ::testing::Test {
 protected:
  BenchTest() {
    v1::Coroutine averager;
    averager.set_name("averager");
    service_.script().catalog = {averager};
    service_.script().session.set_coroutine("averager");
    service_.script().session.set_version(1);
    service_.script().session.set_durability(v1::DURABILITY_EPHEMERAL);
    service_.script().on_command = &Answer;
  }

  // Makes what is to be made, and yields what is sent.
  static v1::Reply Answer(const v1::Command& command) {
    v1::Reply reply;
    if (command.has_create()) {
      reply.mutable_created()->mutable_session()->set_session_id(command.create().session_id());
      *reply.mutable_created()->mutable_outcome() = Yielded(1, v1::Value());
    } else {
      *reply.mutable_outcome() = Yielded(2, command.send());
    }
    return reply;
  }
  static v1::Reply Refused(int code, const std::string& reason) {
    v1::Reply reply;
    reply.mutable_failure()->set_code(code);
    reply.mutable_failure()->set_reason(reason);
    reply.mutable_failure()->set_message("no");
    return reply;
  }

  // With three sessions and for a moment, unless `arguments` say otherwise.
  Ran Bench(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {"--server", service_.address(), "bench"});
    for (const auto& [option, value] : {std::pair("--sessions", "3"), std::pair("--duration", "20ms")}) {
      if (std::find(arguments.begin(), arguments.end(), option) != arguments.end()) continue;
      arguments.insert(arguments.end(), {option, value});
    }
    return RunCoroctl(arguments);
  }

  std::vector<v1::CreateRequest> Creates() const {
    std::vector<v1::CreateRequest> creates;
    for (const v1::Command& command : service_.requests().commands) {
      if (command.has_create()) creates.push_back(command.create());
    }
    return creates;
  }
  std::vector<v1::Command> SentOnDrive() const {
    std::vector<v1::Command> sent;
    for (const v1::Command& command : service_.requests().commands) {
      if (command.has_send()) sent.push_back(command);
    }
    return sent;
  }
  // That `count` sessions were to be made, and just those deleted, each once.
  std::set<std::string> ExpectAllDeleted(std::size_t count = 3) const {
    std::set<std::string> made, deleted;
    for (const v1::CreateRequest& create : Creates()) made.insert(create.session_id());
    for (const v1::DeleteRequest& remove : service_.requests().remove) deleted.insert(remove.session_id());
    EXPECT_THAT(made, SizeIs(count));
    EXPECT_EQ(deleted, made);
    EXPECT_THAT(service_.requests().remove, SizeIs(count));
    return made;
  }

  client::FakeService service_;
};

constexpr char kText[] =
    "sessions      3 of averager version 1, ephemeral\n"
    "load          LOAD\n"
    "commands      [1-9][0-9]* in [0-9.]+ s\n"
    "throughput    [0-9]+ commands/s\n"
    "latency p50   [0-9.]+ ms\n"
    "latency p90   [0-9.]+ ms\n"
    "latency p99   [0-9.]+ ms\n"
    "latency p99.9 [0-9.]+ ms\n"
    "latency max   [0-9.]+ ms\n";

std::string TextOf(const std::string& load) {
  std::string text = kText;
  return text.replace(text.find("LOAD"), 4, load);
}

TEST_F(BenchTest, MakesSessionsSendsToThemAndDeletesThem) {
  const Ran ran = Bench();
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.out, MatchesRegex(TextOf("unary, 64 calls outstanding")));
  const std::set<std::string> ids = ExpectAllDeleted();
  for (const v1::CreateRequest& create : Creates()) {
    EXPECT_EQ(create.coroutine(), "averager");
    EXPECT_TRUE(create.prime());
    EXPECT_EQ(create.durability(), v1::DURABILITY_UNSPECIFIED);
    EXPECT_EQ(create.idle_timeout().seconds(), 600);  // of those that cannot be deleted
  }
  std::set<std::string> used;
  for (const v1::SendRequest& send : service_.requests().send) {
    used.insert(send.session_id());
    EXPECT_EQ(send.value().integer(), 7);
  }
  EXPECT_EQ(used, ids);
}

TEST_F(BenchTest, IdsAreUuidsOfTheirRun) {
  client::FakeWorld world;
  std::set<std::string> prefixes;
  for (int run = 0; run < 2; ++run) {
    RunCoroctl({"--server", service_.address(), "bench", "--sessions", "3", "--duration", "1ms"}, Io{},
               world.dependencies);
  }
  for (const v1::CreateRequest& create : Creates()) {
    EXPECT_THAT(create.session_id(),
                MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
    prefixes.insert(create.session_id().substr(0, 8));
  }
  EXPECT_THAT(prefixes, SizeIs(2));
}

TEST_F(BenchTest, DriveSendsInMessages) {
  const Ran ran = Bench({"--mode", "drive", "--batch", "10", "--outstanding", "2", "--streams", "3"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out,
              MatchesRegex(TextOf("drive, messages of 10 commands, 2 messages outstanding on each of 3 streams")));
  EXPECT_THAT(service_.requests().send, IsEmpty());
  EXPECT_EQ(SentOnDrive().size() % 10, 0u);
  EXPECT_EQ(service_.requests().drive_calls, 1 + 3 + 3);  // making sessions, warming up, measuring
  ExpectAllDeleted();
}

TEST_F(BenchTest, ARateIsKept) {
  const Ran ran = Bench({"--rate", "250"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, MatchesRegex(TextOf("unary, 250 calls a second")));
  EXPECT_THAT(ran.out, HasSubstr("\ncommands      5 in "));
  EXPECT_THAT(service_.requests().send, SizeIs(5 + 5));  // warming up, measuring
}

TEST_F(BenchTest, AsksForWhatItIsTold) {
  service_.script().catalog[0].set_name("sliding_window");
  Bench({"sliding_window", "size=3", "--durable", "--label", "a=b", "--value", "[1, 2]"});
  const v1::CreateRequest create = Creates().at(0);
  EXPECT_EQ(create.coroutine(), "sliding_window");
  EXPECT_EQ(create.arguments().at("size").integer(), 3);
  EXPECT_EQ(create.durability(), v1::DURABILITY_DURABLE);
  EXPECT_EQ(create.labels().at("a"), "b");
  EXPECT_THAT(service_.requests().send.at(0).value().list().items(), SizeIs(2));
}

TEST_F(BenchTest, JsonIsOneObject) {
  const std::string latencies =
      "\"latency_ms\": \\{\"p50\": [0-9.]+, \"p90\": [0-9.]+, \"p99\": [0-9.]+, \"p99.9\": [0-9.]+, \"max\": "
      "[0-9.]+\\}";
  const auto json = [&](const std::string& load) {
    return "\\{\"coroutine\": \"averager\", \"version\": 1, \"durability\": \"ephemeral\", \"sessions\": 3, " + load +
           ", \"commands\": [0-9]+, \"seconds\": [0-9.]+, \"commands_per_second\": [0-9.]+, " + latencies + "\\}\n";
  };
  EXPECT_THAT(Bench({"--json"}).out, MatchesRegex(json("\"mode\": \"unary\", \"outstanding\": 64")));
  EXPECT_THAT(Bench({"--output", "json", "--rate", "500"}).out,
              MatchesRegex(json("\"mode\": \"unary\", \"rate\": 500")));
  EXPECT_THAT(Bench({"--json", "--mode", "drive"}).out,
              MatchesRegex(json("\"mode\": \"drive\", \"batch\": 100, \"streams\": 1, \"outstanding\": 8")));
}

TEST_F(BenchTest, UnknownCoroutineMakesNothing) {
  const Ran ran = Bench({"nothing"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_EQ(ran.err, "coroctl: NOT_FOUND COROUTINE_NOT_FOUND: there is none\n");
  EXPECT_THAT(Creates(), IsEmpty());
}

TEST_F(BenchTest, RefusedCreateIsToldAndTheOthersAreDeleted) {
  service_.script().on_command = [made = 0](const v1::Command& command) mutable {
    return ++made == 2 ? Refused(8, "TOO_MANY_SESSIONS") : Answer(command);
  };
  const Ran ran = Bench();
  EXPECT_EQ(ran.status, 3);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "coroctl: RESOURCE_EXHAUSTED TOO_MANY_SESSIONS: no\n");
  EXPECT_THAT(service_.requests().send, IsEmpty());
  ExpectAllDeleted();
}

TEST_F(BenchTest, ACoroutineThatRaisesAtOnceIsTold) {
  service_.script().on_command = [](const v1::Command& command) {
    v1::Reply reply = Answer(command);
    *reply.mutable_created()->mutable_outcome() = Raised(1, "ValueError", "no");
    return reply;
  };
  const Ran ran = Bench();
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.err, "coroctl: a coroutine raised ValueError: no\n");
  ExpectAllDeleted();
}

TEST_F(BenchTest, WhatIsNoYieldEndsTheLoad) {
  service_.script().on_step = [](std::uint64_t step, const v1::Value& sent) {
    return step == 5 ? Raised(step, "TypeError", "no") : Yielded(step, sent);
  };
  const Ran unary = Bench({"--duration", "1h"});
  EXPECT_EQ(unary.status, 1);
  EXPECT_EQ(unary.out, "");
  EXPECT_EQ(unary.err, "coroctl: a coroutine raised TypeError: no\n");
  ExpectAllDeleted();
}

TEST_F(BenchTest, WhatIsNoYieldEndsTheLoadOnDrive) {
  service_.script().on_command = [](const v1::Command& command) {
    v1::Reply reply = Answer(command);
    if (command.has_send()) *reply.mutable_outcome() = Returned(2, v1::Value());
    return reply;
  };
  const Ran ran = Bench({"--mode", "drive", "--duration", "1h"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.err, "coroctl: a coroutine returned\n");
  ExpectAllDeleted();
}

TEST_F(BenchTest, RefusedCommandEndsTheLoad) {
  service_.script().on_command = [](const v1::Command& command) {
    return command.has_send() ? Refused(8, "QUEUE_FULL") : Answer(command);
  };
  const Ran ran = Bench({"--mode", "drive", "--duration", "1h"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_EQ(ran.err, "coroctl: RESOURCE_EXHAUSTED QUEUE_FULL: no\n");
  ExpectAllDeleted();
}

TEST_F(BenchTest, SessionsThatAreGoneNeedNoDeleting) {
  service_.script().on_step = [this](std::uint64_t step, const v1::Value& sent) {
    service_.script().failure = {.code = 5, .reason = "SESSION_NOT_FOUND", .message = "gone"};
    service_.script().failures = 100;
    return Yielded(step, sent);
  };
  const Ran ran = Bench({"--outstanding", "1", "--duration", "1h"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_EQ(ran.err, "coroctl: NOT_FOUND SESSION_NOT_FOUND: gone\n");
  ExpectAllDeleted();
}

TEST_F(BenchTest, SessionsThatCannotBeDeletedAreTold) {
  service_.script().on_step = [this](std::uint64_t step, const v1::Value& sent) {
    service_.script().failure = {.code = 7, .reason = "SOME_REASON", .message = "no"};
    service_.script().failures = 100;
    return Yielded(step, sent);
  };
  const Ran ran = Bench({"--outstanding", "1", "--duration", "1h"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_THAT(ran.err,
              AllOf(StartsWith("coroctl: PERMISSION_DENIED SOME_REASON: no\n"
                               "coroctl: cannot delete the sessions, whose ids begin with "),
                    HasSubstr(": PERMISSION_DENIED SOME_REASON: no; those that are still there close when they "
                              "have been idle for 1h10m\n")));
}

TEST_F(BenchTest, InterruptShowsWhatWasMeasuredAndDeletes) {
  // At this rate two calls warm up, and the third is the first that counts.
  service_.script().on_step = [](std::uint64_t step, const v1::Value& sent) {
    if (step == 3) kill(getpid(), SIGINT);
    return Yielded(step, sent);
  };
  const Ran ran = Bench({"--rate", "4", "--duration", "1h"});
  EXPECT_EQ(ran.status, 128 + SIGINT);
  EXPECT_EQ(ran.err, "");
  EXPECT_THAT(ran.out, MatchesRegex(TextOf("unary, 4 calls a second")));
  ExpectAllDeleted();
}

TEST_F(BenchTest, InterruptOnDriveDeletes) {
  service_.script().on_command = [first = true](const v1::Command& command) mutable {
    if (command.has_send() && std::exchange(first, false)) kill(getpid(), SIGTERM);
    return Answer(command);
  };
  const Ran ran = Bench({"--mode", "drive", "--duration", "1h"});
  EXPECT_EQ(ran.status, 128 + SIGTERM);
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.out, "");
  ExpectAllDeleted();
}

TEST_F(BenchTest, InterruptWhileTheSessionsAreMadeSendsNothing) {
  service_.script().on_command = [first = true](const v1::Command& command) mutable {
    if (std::exchange(first, false)) kill(getpid(), SIGINT);
    return Answer(command);
  };
  // More than could be made before the signal is noticed.
  const Ran ran = Bench({"--sessions", "1000000"});
  EXPECT_EQ(ran.status, 128 + SIGINT);
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(service_.requests().send, IsEmpty());
  EXPECT_THAT(service_.requests().get, IsEmpty());
  EXPECT_THAT(Creates().size(), Lt(1'000'000u));
  ExpectAllDeleted(Creates().size());
}

TEST_F(BenchTest, BrokenStdoutDeletesTheSessions) {
  std::array<int, 2> ends;
  ASSERT_EQ(pipe(ends.data()), 0);
  close(ends[0]);
  const MemoryFile err;
  const int status = cli::Run({"--server", service_.address(), "bench", "--sessions", "3", "--duration", "1ms"},
                              Io{.out = ends[1], .err = err.fd()}, client::FakeWorld().dependencies);
  close(ends[1]);
  EXPECT_EQ(status, 128 + SIGPIPE);
  EXPECT_EQ(err.Contents(), "");
  ExpectAllDeleted();
}

}  // namespace
}  // namespace corod::cli
