#include "client/cpp/drive_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <set>
#include <thread>

#include "tests/unit/client/fake_service.h"
#include "tests/unit/client/fake_world.h"

namespace corod::client {
namespace {

using ::testing::SizeIs;

class DriveStreamTest : public ::testing::Test {
 protected:
  std::shared_ptr<Connection> Connect(ConnectionOptions options = {}) {
    return *Connection::Make(OpenChannel(service_.address()), options, world_.dependencies);
  }

  static v1::Command Sending(std::int64_t integer, std::uint64_t tag = 0) {
    v1::Command command;
    command.set_session_id("s1");
    command.set_tag(tag);
    *command.mutable_send() = IntegerValue(integer);
    return command;
  }

  // Pushes `count` commands, ends the stream and returns the integers that were yielded.
  static std::vector<std::int64_t> Echo(DriveStream& stream, int count) {
    std::thread pusher([&] {
      for (int i = 0; i < count; ++i) EXPECT_TRUE(stream.Push(Sending(i)).ok());
      stream.End();
    });
    std::vector<std::int64_t> yielded;
    while (true) {
      absl::StatusOr<std::optional<v1::Reply>> reply = stream.Read();
      EXPECT_TRUE(reply.ok()) << reply.status();
      if (!reply.ok() || !*reply) break;
      yielded.push_back((*reply)->outcome().yielded().integer());
    }
    pusher.join();
    return yielded;
  }

  static std::vector<std::int64_t> UpTo(int count) {
    std::vector<std::int64_t> integers;
    for (int i = 0; i < count; ++i) integers.push_back(i);
    return integers;
  }

  FakeService service_;
  FakeWorld world_;
};

TEST_F(DriveStreamTest, RepliesComeInOrderAndThenTheEnd) {
  DriveStream stream(Connect());
  EXPECT_EQ(Echo(stream, 5000), UpTo(5000));
  EXPECT_EQ(service_.requests().drive_calls, 1);
}

TEST_F(DriveStreamTest, StreamWithoutCommandsEnds) {
  DriveStream stream(Connect());
  EXPECT_THAT(Echo(stream, 0), SizeIs(0));
}

TEST_F(DriveStreamTest, TagIsTheCallersOwn) {
  DriveStream stream(Connect());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(stream.Push(Sending(i, 42)).ok());
  for (int i = 0; i < 3; ++i) EXPECT_EQ((**stream.Read()).tag(), 42u);
}

TEST_F(DriveStreamTest, OneThreadMayPushAndRead) {
  DriveStream stream(Connect());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(stream.Push(Sending(i)).ok());
    EXPECT_EQ((**stream.Read()).outcome().yielded().integer(), i);
  }
}

TEST_F(DriveStreamTest, PushWaitsWhileTooManyAreUnderWay) {
  DriveStream stream(Connect(), {.max_commands = 2});
  std::atomic<int> pushed = 0;
  std::latch third(1);
  ASSERT_TRUE(stream.Push(Sending(0)).ok());
  ASSERT_TRUE(stream.Push(Sending(1)).ok());
  std::thread pusher([&] {
    EXPECT_TRUE(stream.Push(Sending(2)).ok());
    pushed = 1;
    third.count_down();
  });
  EXPECT_EQ(pushed, 0);
  ASSERT_TRUE(stream.Read().ok());
  third.wait();
  pusher.join();
  EXPECT_EQ(pushed, 1);
}

TEST_F(DriveStreamTest, CommandWithoutASessionGoesToThatOfTheOneBefore) {
  DriveStream stream(Connect());
  ASSERT_TRUE(stream.Push(Sending(0)).ok());
  v1::Command command = Sending(1);
  command.clear_session_id();
  ASSERT_TRUE(stream.Push(command).ok());
  ASSERT_TRUE(stream.Read().ok());
  ASSERT_TRUE(stream.Read().ok());
  EXPECT_EQ(service_.requests().commands.at(1).session_id(), "s1");
}

TEST_F(DriveStreamTest, EveryCommandHasARequestIdOfItsOwn) {
  DriveStream stream(Connect());
  Echo(stream, 100);
  std::set<std::string> ids;
  for (const v1::Command& command : service_.requests().commands) ids.insert(command.request_id());
  EXPECT_THAT(ids, SizeIs(100));
  EXPECT_EQ(ids.count(""), 0u);
}

TEST_F(DriveStreamTest, BrokenStreamGoesOnWithWhatHasNoReply) {
  service_.script().break_drive_after = {10, 0, 7};
  DriveStream stream(Connect());
  EXPECT_EQ(Echo(stream, 100), UpTo(100));
  EXPECT_EQ(service_.requests().drive_calls, 4);
  std::set<std::string> ids;
  for (const v1::Command& command : service_.requests().commands) ids.insert(command.request_id());
  EXPECT_THAT(ids, SizeIs(100));
}

TEST_F(DriveStreamTest, StreamThatKeepsBreakingGivesUp) {
  service_.script().break_drive_after = std::vector<int>(100, 0);
  ConnectionOptions options;
  options.retry.max_attempts = 3;
  DriveStream stream(Connect(options));
  ASSERT_TRUE(stream.Push(Sending(0)).ok());
  EXPECT_TRUE(absl::IsUnavailable(stream.Read().status()));
  EXPECT_TRUE(absl::IsUnavailable(stream.Push(Sending(1))));
  EXPECT_EQ(service_.requests().drive_calls, 3);
  EXPECT_THAT(world_.sleeper->slept(), SizeIs(2));
  EXPECT_THAT(world_.sleeper->awaited(), SizeIs(2)) << "what broke has to connect again";
}

TEST_F(DriveStreamTest, BrokenStreamWithoutRequestIdsEnds) {
  service_.script().break_drive_after = {0};
  ConnectionOptions options;
  options.request_ids = RequestIds::kAsGiven;
  DriveStream stream(Connect(options));
  ASSERT_TRUE(stream.Push(Sending(0)).ok());
  EXPECT_TRUE(absl::IsUnavailable(stream.Read().status()));
}

TEST_F(DriveStreamTest, BrokenStreamEndsWhenACommandWasRefused) {
  service_.script().on_command = [](const v1::Command&) {
    v1::Reply reply;
    reply.mutable_failure()->set_code(10);
    reply.mutable_failure()->set_reason("STEP_MISMATCH");
    return reply;
  };
  service_.script().break_drive_after = {1};
  DriveStream stream(Connect());
  ASSERT_TRUE(stream.Push(Sending(0)).ok());
  ASSERT_TRUE(stream.Push(Sending(1)).ok());
  EXPECT_EQ((**stream.Read()).failure().reason(), "STEP_MISMATCH");
  EXPECT_TRUE(absl::IsUnavailable(stream.Read().status()));
  EXPECT_EQ(service_.requests().drive_calls, 1);
}

TEST_F(DriveStreamTest, WhatFollowsACreateFollowsItOverABreak) {
  service_.script().on_command = [](const v1::Command& command) {
    v1::Reply reply;
    if (command.has_create()) reply.mutable_created()->mutable_session()->set_session_id("made");
    if (command.has_send()) *reply.mutable_outcome() = Yielded(1, command.send());
    return reply;
  };
  service_.script().break_drive_after = {1};
  DriveStream stream(Connect());
  v1::Command create;
  create.mutable_create()->set_coroutine("averager");
  ASSERT_TRUE(stream.Push(create).ok());
  v1::Command command = Sending(1);
  command.clear_session_id();
  ASSERT_TRUE(stream.Push(command).ok());
  stream.End();
  EXPECT_TRUE((**stream.Read()).has_created());
  EXPECT_EQ((**stream.Read()).outcome().yielded().integer(), 1);
  EXPECT_FALSE((*stream.Read()).has_value());
  EXPECT_EQ(service_.requests().commands.back().session_id(), "made");
}

TEST_F(DriveStreamTest, CancelEndsAReadAndAPushThatWait) {
  // The service goes on for a while after the test's end.
  const auto reached = std::make_shared<std::latch>(1);
  const auto released = std::make_shared<std::latch>(1);
  service_.script().on_step = [=](std::uint64_t step, const v1::Value& sent) {
    reached->count_down();
    released->wait();
    return Yielded(step, sent);
  };
  DriveStream stream(Connect(), {.max_commands = 1});
  ASSERT_TRUE(stream.Push(Sending(0)).ok());
  std::thread pusher([&] { EXPECT_TRUE(absl::IsCancelled(stream.Push(Sending(1)))); });
  std::thread reader([&] { EXPECT_TRUE(absl::IsCancelled(stream.Read().status())); });
  reached->wait();
  stream.Cancel();
  pusher.join();
  reader.join();
  released->count_down();
}

TEST_F(DriveStreamTest, StreamMayGoWhileCommandsAreUnderWay) {
  DriveStream stream(Connect());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(stream.Push(Sending(i)).ok());
}

TEST_F(DriveStreamTest, LargeCommandsTravelOneByOne) {
  DriveStream stream(Connect(), {.max_bytes = std::size_t{1} << 20});
  std::thread pusher([&] {
    for (int i = 0; i < 20; ++i) {
      v1::Command command = Sending(0);
      *command.mutable_send() = TextValue(std::string(400'000, 'x'));
      EXPECT_TRUE(stream.Push(command).ok());
    }
    stream.End();
  });
  int replies = 0;
  for (absl::StatusOr<std::optional<v1::Reply>> reply = stream.Read(); reply.ok() && *reply; reply = stream.Read())
    ++replies;
  pusher.join();
  EXPECT_EQ(replies, 20);
}

}  // namespace
}  // namespace corod::client
