// Export and Import: that what they hold is bounded, counted, and let go.
#include "server/rpc/transfer_streams.h"

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

TEST(ImportRoomTest, IsForAllTogether) {
  ImportRoom room;
  EXPECT_TRUE(room.Take(ImportRoom::kBytes - 1).ok());
  const absl::Status refused = room.Take(2);
  EXPECT_TRUE(IsFailure(refused, Reason::OVERLOADED)) << refused;
  EXPECT_GT(DetailsOf(refused).retry_delay, absl::ZeroDuration());
  EXPECT_TRUE(room.Take(1).ok()) << "nothing of what was refused was taken";
  EXPECT_FALSE(room.Take(1).ok());
  room.Give(ImportRoom::kBytes);
  EXPECT_TRUE(room.Take(ImportRoom::kBytes).ok());
}

class TransferStreamsTest : public DriveTestBase {
 protected:
  TransferStreamsTest() : DriveTestBase(Journaling::kDurable) {}

  Account& account() { return sessions_->accounts().Of("default"); }
  void AwaitStreams(std::int64_t count) {
    while (account().streams() != count) std::this_thread::yield();
  }
  // A session whose log has 16 MiB.
  void MakeLarge(const std::string& id) {
    v1::CreateRequest request = NewSession("counter", id);
    request.set_durability(v1::DURABILITY_DURABLE);
    ASSERT_TRUE(Create(request).ok());
    v1::SendRequest send;
    send.set_session_id(id);
    send.mutable_value()->set_text(std::string(std::size_t{1} << 19, 'x'));
    for (int i = 0; i < 32; ++i) ASSERT_TRUE(Send(send).ok());
  }
  struct Exported {
    std::size_t bytes = 0;
    grpc::Status status;
  };
  // Exports a large session, looks at the streams for so long by their time, and only then reads.
  Exported ExportSlowly(absl::Duration pause) {
    MakeLarge("large");
    Exported exported;
    // gRPC takes some of what is written before it makes anybody wait, and that takes some time. If it was not enough
    // for the server to see that nobody reads as long as it looked, the next time is longer.
    for (int patience = 16; patience < 16 << 10; patience *= 2) {
      grpc::ClientContext context;
      v1::ExportRequest request;
      request.set_session_id("large");
      const auto stream = stub_->Export(&context, request);
      v1::ExportResponse response;
      EXPECT_TRUE(stream->Read(&response));
      for (absl::Duration past; past < pause; past += absl::Seconds(1)) {
        for (int i = 0; i < patience; ++i) Get("large");
        streams_.Look(kBegin + past);
      }
      exported.bytes = response.chunk().size();
      while (stream->Read(&response)) exported.bytes += response.chunk().size();
      exported.status = stream->Finish();
      AwaitStreams(0);
      const bool was_cut = exported.status.error_code() == grpc::CANCELLED;
      if (!exported.status.ok() && (was_cut || pause < kTimeout * 2)) break;
    }
    return exported;
  }
  static v1::ImportRequest Chunk(std::size_t bytes) {
    v1::ImportRequest request;
    request.set_chunk(std::string(bytes, 'x'));
    return request;
  }
};

TEST_F(TransferStreamsTest, AnExportThatIsNotReadIsToldSoWhenItReadsOn) {
  // Half as long again as it takes to be told, and not twice as long, after which it would be cut off.
  const Exported exported = ExportSlowly(kTimeout * 3 / 2);
  EXPECT_EQ(InfoOf(exported.status).reason(), "READER_TOO_SLOW") << exported.status.error_message();
  EXPECT_LT(exported.bytes, std::size_t{16} << 20);
}

TEST_F(TransferStreamsTest, AnExportThatIsNeverReadIsCutOff) {
  const Exported exported = ExportSlowly(kTimeout * 5 / 2);
  EXPECT_EQ(exported.status.error_code(), grpc::CANCELLED) << exported.status.error_message();
}

TEST_F(TransferStreamsTest, BothAreStreamsOfTheNamespace) {
  sessions_->accounts().SetLimits({{"default", {.streams = 1}}}, {});
  grpc::ClientContext context;
  v1::ImportResponse imported;
  const auto import = stub_->Import(&context, &imported);
  AwaitStreams(1);
  {
    grpc::ClientContext refused;
    v1::ExportRequest request;
    request.set_session_id("counter");
    const auto stream = stub_->Export(&refused, request);
    v1::ExportResponse response;
    EXPECT_FALSE(stream->Read(&response));
    EXPECT_EQ(InfoOf(stream->Finish()).reason(), "TOO_MANY_STREAMS");
  }
  {
    grpc::ClientContext refused;
    const auto second = stub_->Import(&refused, &imported);
    EXPECT_EQ(InfoOf(second->Finish()).reason(), "TOO_MANY_STREAMS");
  }
  EXPECT_EQ(account().streams(), 1);
  import->WritesDone();
  EXPECT_FALSE(import->Finish().ok()) << "that was no file";
  AwaitStreams(0);
}

TEST_F(TransferStreamsTest, AFileThatIsBeingImportedIsCharged) {
  const std::uint64_t before = account().memory();
  grpc::ClientContext context;
  v1::ImportResponse imported;
  const auto import = stub_->Import(&context, &imported);
  ASSERT_TRUE(import->Write(Chunk(100'000)));
  ASSERT_TRUE(import->Write(Chunk(100'000)));
  while (account().memory() < before + 200'000) std::this_thread::yield();
  EXPECT_EQ(account().memory(), before + 200'000);
  sessions_->accounts().SetLimits({{"default", {.memory_bytes = 2 * (before + 200'000)}}}, {});
  // There is room for it, but not in what is for sessions that are there.
  import->Write(Chunk(before + 200'000));
  EXPECT_EQ(InfoOf(import->Finish()).reason(), "MEMORY_LIMIT");
  AwaitStreams(0);
  while (account().memory() != before) std::this_thread::yield();
}

TEST_F(TransferStreamsTest, AClientThatSendsNothingMoreIsToldSo) {
  grpc::ClientContext context;
  v1::ImportResponse imported;
  const auto import = stub_->Import(&context, &imported);
  ASSERT_TRUE(import->Write(Chunk(1000)));
  AwaitStreams(1);
  for (int looks = 0; account().streams() == 1; ++looks) {
    import->Write(Chunk(0));  // is nothing
    streams_.Look(kBegin + kTimeout * looks);
  }
  const grpc::Status status = import->Finish();
  EXPECT_EQ(status.error_code(), grpc::DEADLINE_EXCEEDED);
  EXPECT_THAT(status.error_message(), testing::HasSubstr("send it again"));
}

}  // namespace
}  // namespace corod::rpc
