// Streams whose client does not read: told so, then cut off; what they hold is let go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>

#include "tests/unit/rpc/drive_test_base.h"

namespace corod::rpc {
namespace {

const absl::Time kBegin = absl::FromUnixSeconds(3600);
constexpr absl::Duration kTimeout = absl::Seconds(30);  // that of the fixture's streams

TEST(ProgressTest, IsStuckOnlyWhileOneWriteLasts) {
  Progress progress;
  const auto stuck = [&progress](bool writing, int second) {
    return progress.IsStuck(writing, kBegin + absl::Seconds(second), absl::Seconds(10));
  };
  EXPECT_FALSE(stuck(false, 0));
  EXPECT_FALSE(stuck(false, 100)) << "nothing is being written";
  EXPECT_FALSE(stuck(true, 200)) << "it may just have begun";
  progress.Wrote();
  EXPECT_FALSE(stuck(true, 211)) << "another write is under way";
  EXPECT_FALSE(stuck(true, 220));
  EXPECT_TRUE(stuck(true, 221));
  EXPECT_FALSE(stuck(true, 230)) << "asked again after as long a time";
  EXPECT_TRUE(stuck(true, 231));
}

class Looked : public OpenStream {
 public:
  void Look(absl::Time, absl::Duration) override { ++looks; }
  int looks = 0;
};

TEST(OpenStreamsTest, AreLookedAtOnceASecondHoweverOftenThatIsAsked) {
  OpenStreams streams(kTimeout);
  const IntrusivePtr<Looked> stream(new Looked);
  streams.Add(stream.get());
  for (int i = 0; i < 100; ++i) streams.Look(kBegin + i * absl::Milliseconds(20));
  EXPECT_EQ(stream->looks, 2);
  streams.Look(kBegin);
  EXPECT_EQ(stream->looks, 3) << "the clock was set back";
  streams.Remove(stream.get());
  streams.Look(kBegin + absl::Hours(1));
  EXPECT_EQ(stream->looks, 3);
}

class SlowReaderTest : public DriveTestBase {
 protected:
  using Streamed = grpc::ClientReaderWriter<v1::DriveRequest, v1::DriveResponse>;

  static v1::DriveRequest Large(int commands, const std::string& id = "s") {
    v1::DriveRequest request;
    for (int i = 0; i < commands; ++i) {
      v1::Command* command = request.add_commands();
      command->set_session_id(id);
      command->mutable_send()->set_text(std::string(std::size_t{1} << 19, 'x'));
    }
    return request;
  }
  // Looks until a stream has been found stuck: gRPC takes some of what is written before it makes anybody wait.
  template <typename Done>
  void LookUntil(const Done& done) {
    const absl::Time give_up = absl::Now() + absl::Seconds(20);
    for (absl::Time now = kBegin; !done() && absl::Now() < give_up; now += kTimeout) {
      streams_.Look(now);
      std::this_thread::yield();
    }
  }
};

TEST_F(SlowReaderTest, ADriveThatIsNotReadIsToldSoWhenItReadsOn) {
  Prime("echo", "s");
  grpc::ClientContext context;
  const std::unique_ptr<Streamed> call = stub_->Drive(&context);
  ASSERT_TRUE(call->Write(Large(24)));  // 12 MiB of answers
  while (Get("s").steps() < 25) std::this_thread::yield();
  streams_.Look(kBegin);
  streams_.Look(kBegin + kTimeout);  // told; what is being written is all that it still gets
  v1::DriveResponse response;
  int replies = 0;
  while (call->Read(&response)) replies += response.replies_size();
  EXPECT_LT(replies, 24);
  const grpc::Status status = call->Finish();
  EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_EQ(InfoOf(status).reason(), "READER_TOO_SLOW");
  EXPECT_EQ(InfoOf(status).metadata().count("executed"), 0u) << "what it sent was executed";
  EXPECT_EQ(Get("s").steps(), 25u);
}

TEST_F(SlowReaderTest, ADriveThatNeverReadsIsCutOff) {
  Prime("echo", "s");
  grpc::ClientContext context;
  const std::unique_ptr<Streamed> call = stub_->Drive(&context);
  ASSERT_TRUE(call->Write(Large(24)));
  while (Get("s").steps() < 25) std::this_thread::yield();
  const Account& account = sessions_->accounts().Of("default");
  ASSERT_EQ(account.streams(), 1);
  LookUntil([&account] { return account.streams() == 0; });
  EXPECT_EQ(account.streams(), 0) << "the server has let go of it";
  context.TryCancel();
  v1::DriveResponse response;
  while (call->Read(&response)) {
  }
  EXPECT_FALSE(call->Finish().ok());
}

TEST_F(SlowReaderTest, ADriveThatIsReadIsLeftAlone) {
  Prime("echo", "s");
  Stream stream(*stub_);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(stream.Write({SendTo("s", i)}));
    stream.Read(1);
    streams_.Look(kBegin + i * kTimeout);
  }
  ASSERT_TRUE(stream.Write({SendTo("s", 1)}));
  stream.Read(1);
  EXPECT_TRUE(stream.HalfClose().ok());
}

TEST_F(SlowReaderTest, AWatchThatIsNotReadIsToldWhereToGoOn) {
  Prime("echo", "s");
  grpc::ClientContext context;
  v1::WatchRequest request;
  request.set_session_id("s");
  const auto watch = stub_->Watch(&context, request);
  watch->WaitForInitialMetadata();
  v1::SendRequest send;
  send.set_session_id("s");
  send.mutable_value()->set_text(std::string(std::size_t{1} << 19, 'x'));
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(Send(send).ok());
  streams_.Look(kBegin);
  streams_.Look(kBegin + kTimeout);
  v1::WatchResponse response;
  std::uint64_t last = 1;
  while (watch->Read(&response)) {
    EXPECT_EQ(response.event().step(), last + 1);
    last = response.event().step();
  }
  EXPECT_LT(last, 13u);
  const grpc::Status status = watch->Finish();
  EXPECT_EQ(InfoOf(status).reason(), "WATCHER_TOO_SLOW");
  EXPECT_EQ(InfoOf(status).metadata().at("resume_step"), std::to_string(last + 1));
}

TEST_F(SlowReaderTest, StreamsOfANamespaceAreCountedAndLimited) {
  sessions_->accounts().SetLimits({{"default", {.streams = 2}}}, {});
  Prime("echo", "s");
  Account& account = sessions_->accounts().Of("default");
  {
    Stream first(*stub_);
    ASSERT_TRUE(first.Write({SendTo("s", 1)}));
    first.Read(1);
    grpc::ClientContext context;
    v1::WatchRequest request;
    request.set_session_id("s");
    const auto watch = stub_->Watch(&context, request);
    watch->WaitForInitialMetadata();
    EXPECT_EQ(account.streams(), 2);
    grpc::ClientContext refused_context;
    const auto refused = stub_->Drive(&refused_context);
    v1::DriveResponse response;
    EXPECT_FALSE(refused->Read(&response));
    EXPECT_EQ(InfoOf(refused->Finish()).reason(), "TOO_MANY_STREAMS");
    context.TryCancel();
    v1::WatchResponse event;
    while (watch->Read(&event)) {
    }
    static_cast<void>(watch->Finish());
    EXPECT_TRUE(first.HalfClose().ok());
  }
  while (account.streams() > 0) std::this_thread::yield();
  Stream again(*stub_);
  ASSERT_TRUE(again.Write({SendTo("s", 1)}));
  again.Read(1);
  EXPECT_TRUE(again.HalfClose().ok());
}

// What a client's trace is called reaches who watches, from each kind of call.
TEST_F(SlowReaderTest, TheTraceOfACommandReachesWhoWatches) {
  constexpr char kTrace[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  Prime("echo", "s");
  grpc::ClientContext context;
  v1::WatchRequest request;
  request.set_session_id("s");
  const auto watch = stub_->Watch(&context, request);
  watch->WaitForInitialMetadata();
  const auto next = [&watch] {
    v1::WatchResponse response;
    EXPECT_TRUE(watch->Read(&response));
    return response.event().traceparent();
  };
  const auto send_with = [this](const std::string& traceparent) {
    grpc::ClientContext sending;
    sending.AddMetadata("traceparent", traceparent);
    v1::SendResponse response;
    EXPECT_TRUE(stub_->Send(&sending, UnarySendTo("s", 1), &response).ok());
  };
  send_with(kTrace);
  EXPECT_EQ(next(), kTrace);
  EXPECT_TRUE(Send(UnarySendTo("s", 1)).ok());
  EXPECT_EQ(next(), "");
  for (const char* wrong : {"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "00-1-2-3", "x",
                            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"}) {
    send_with(wrong);
    EXPECT_EQ(next(), "") << wrong;
  }
  send_with("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more");  // of a later version
  EXPECT_EQ(next(), "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  {
    grpc::ClientContext driving;
    driving.AddMetadata("traceparent", kTrace);
    const std::unique_ptr<Streamed> call = stub_->Drive(&driving);
    v1::DriveRequest drive;
    *drive.add_commands() = SendTo("s", 1);
    EXPECT_TRUE(call->Write(drive));
    EXPECT_EQ(next(), kTrace);
    call->WritesDone();
    v1::DriveResponse response;
    while (call->Read(&response)) {
    }
    EXPECT_TRUE(call->Finish().ok());
  }
  context.TryCancel();
  v1::WatchResponse response;
  while (watch->Read(&response)) {
  }
  static_cast<void>(watch->Finish());
}

}  // namespace
}  // namespace corod::rpc
