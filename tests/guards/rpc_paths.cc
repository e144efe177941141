// With messages: what gRPC calls, bytes in and bytes out, without a socket.
#include <grpcpp/impl/grpc_library.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/load/messages.h"
#include "corod/v1/coroutine_service.pb.h"
#include "server/rpc/coroutine_service.h"
#include "tests/guards/path.h"
#include "tests/guards/world.h"

namespace corod::guards {
namespace {

constexpr std::int64_t kSent = 7;

// As clients name them.
std::string SessionId(std::size_t number) {
  std::string id = "5f0c9a52-7d1e-4b53-9f0a-0123456789ab";
  id[0] = static_cast<char>('0' + number / 10);
  id[1] = static_cast<char>('0' + number % 10);
  return id;
}

// The end of a Drive call that gRPC holds. A write is done when all that was under way has been answered.
class Stream final : public grpc::ServerCallbackReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Stream(World& world, rpc::CoroutineService& service) : world_(world), reactor_(service.Drive(&context_)) {
    BindReactor(reactor_);
  }
  ~Stream() override {
    reactor_->OnReadDone(false);
    reactor_->OnDone();
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Returns when all is written.
  void Exchange(const grpc::ByteBuffer& request) {
    Require(reading_ != nullptr, "the stream does not read");
    *std::exchange(reading_, nullptr) = request;
    reactor_->OnReadDone(true);
    world_.RunAll();
    while (writing_) {
      last_ = *std::exchange(writing_, nullptr);
      reactor_->OnWriteDone(true);
      world_.RunAll();
    }
  }
  std::uint64_t messages() const { return messages_; }
  // REQUIRES: there was one.
  grpc::ByteBuffer& last() { return last_; }

  void Read(grpc::ByteBuffer* message) override { reading_ = message; }
  void Write(const grpc::ByteBuffer* message, grpc::WriteOptions) override {
    ++messages_;
    writing_ = message;
  }
  void WriteAndFinish(const grpc::ByteBuffer* message, grpc::WriteOptions options, grpc::Status) override {
    Write(message, options);
  }
  void SendInitialMetadata() override {}
  void Finish(grpc::Status) override {}

 private:
  grpc::internal::ServerReactor* reactor() override { return reactor_; }
  void CallOnDone() override {}

  World& world_;
  grpc::CallbackServerContext context_;
  grpc::ByteBuffer* reading_ = nullptr;
  const grpc::ByteBuffer* writing_ = nullptr;
  grpc::ByteBuffer last_;
  std::uint64_t messages_ = 0;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* const reactor_;
};

// CoroutineService::Drive: one message at a time with `batch` commands, for so many sessions by turns.
class Drive : public Path {
 public:
  Drive(Durability durability, std::size_t batch, std::size_t sessions) : batch_(batch) {
    for (std::size_t i = 0; i < sessions; ++i) world_.Create(SessionId(i), durability);
    v1::DriveRequest request;
    for (std::size_t i = 0; i < batch; ++i) {
      v1::Command& command = *request.add_commands();
      command.set_tag(i + 1);
      command.set_session_id(SessionId(i % sessions));
      command.mutable_send()->set_integer(kSent);
    }
    request_ = load::Serialized(request);
    for (int i = 0; i < 100; ++i)
      stream_.Exchange(request_);  // coroutines that are known to be quick take a shorter way
  }

  void Go(int times) override {
    const std::uint64_t before = stream_.messages();
    for (int i = 0; i < times; ++i) stream_.Exchange(request_);
    const absl::StatusOr<std::size_t> replies = load::CountReplies(stream_.last());
    Require(replies.ok(), "a step failed");
    const bool all_in_one = stream_.messages() - before == static_cast<std::uint64_t>(times);
    Require(!all_in_one || *replies == batch_, "a reply is missing");
  }

  Counts counts() const override { return {.appends = world_.appends(), .messages = stream_.messages()}; }

 private:
  World world_;
  rpc::OpenStreams streams_{absl::Seconds(30)};
  rpc::Access access_{nullptr, world_.sessions().accounts()};
  rpc::CoroutineService service_{world_.sessions(), access_, streams_};
  Stream stream_{world_, service_};
  const std::size_t batch_;
  grpc::ByteBuffer request_;
};

}  // namespace

std::vector<NamedPath> RpcPaths() {
  using Has = NamedPath::Has;
  const auto drive = [](Durability durability, std::size_t batch, std::size_t sessions) {
    return [=] { return std::make_unique<Drive>(durability, batch, sessions); };
  };
  std::vector<NamedPath> paths;
  paths.push_back({.name = "drive_1",
                   .times = 2'000,
                   .steps = 1,
                   .has = Has::kMessages,
                   .make = drive(Durability::kEphemeral, 1, 1)});
  paths.push_back({.name = "drive_100",
                   .times = 20,
                   .steps = 100,
                   .has = Has::kMessages,
                   .make = drive(Durability::kEphemeral, 100, 100)});
  paths.push_back({.name = "drive_100_durable",
                   .times = 20,
                   .steps = 100,
                   .has = Has::kBoth,
                   .make = drive(Durability::kDurable, 100, 100)});
  paths.push_back({.name = "drive_100_durable_one_session",
                   .times = 20,
                   .steps = 100,
                   .has = Has::kBoth,
                   .make = drive(Durability::kDurable, 100, 1)});
  return paths;
}

}  // namespace corod::guards
