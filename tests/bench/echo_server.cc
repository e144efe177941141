// What gRPC alone does: a server with corod's Send and Drive that answers each value at once and remembers nothing. It
// is as lean as its messages allow, since a slow one would flatter corod.
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <signal.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "absl/synchronization/mutex.h"
#include "corod/v1/coroutine_service.grpc.pb.h"
#include "server/base/mutex.h"

namespace corod::bench {
namespace {

void Answer(const v1::Value& sent, std::uint64_t step, v1::Outcome* outcome) {
  outcome->set_step(step);
  outcome->mutable_yielded()->set_number(static_cast<double>(sent.integer()));
}

bool Parse(grpc::ByteBuffer& buffer, google::protobuf::MessageLite* message) {
  grpc::Slice slice;
  if (!buffer.TrySingleSlice(&slice).ok() && !buffer.DumpToSingleSlice(&slice).ok()) return false;
  return message->ParseFromArray(slice.begin(), static_cast<int>(slice.size()));
}

grpc::ByteBuffer Serialized(const google::protobuf::MessageLite& message) {
  const std::size_t size = message.ByteSizeLong();
  grpc::Slice slice(size);
  message.SerializeWithCachedSizesToArray(const_cast<std::uint8_t*>(slice.begin()));
  return {&slice, 1};
}

constexpr std::uint64_t kStep = 1'000;

class Stream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Stream() { StartRead(&in_); }

  void OnReadDone(bool ok) override {
    if (!ok) {
      const MutexLock lock(mutex_);
      read_all_ = true;
      if (!writing_) Finish(grpc::Status::OK);
      return;
    }
    if (!Parse(in_, &request_)) {
      Finish({grpc::StatusCode::INVALID_ARGUMENT, "no DriveRequest"});
      return;
    }
    response_.Clear();
    for (const v1::Command& command : request_.commands()) {
      v1::Reply* reply = response_.add_replies();
      reply->set_tag(command.tag());
      Answer(command.send(), ++step_, reply->mutable_outcome());
    }
    {
      const MutexLock lock(mutex_);
      unwritten_.push_back(Serialized(response_));
      if (!writing_) WriteNext();
    }
    StartRead(&in_);
  }

  void OnWriteDone(bool ok) override {
    const MutexLock lock(mutex_);
    writing_ = false;
    if (ok && !unwritten_.empty()) {
      WriteNext();
    } else if (read_all_) {
      Finish(grpc::Status::OK);
    }
  }

  void OnDone() override { delete this; }

 private:
  void WriteNext() {
    out_ = std::move(unwritten_.front());
    unwritten_.pop_front();
    writing_ = true;
    StartWrite(&out_);
  }

  grpc::ByteBuffer in_, out_;
  v1::DriveRequest request_;
  v1::DriveResponse response_;
  std::uint64_t step_ = kStep;
  Mutex mutex_;
  std::deque<grpc::ByteBuffer> unwritten_;
  bool writing_ = false;
  bool read_all_ = false;
};

class Echo final : public v1::CoroutineService::WithRawCallbackMethod_Send<
                       v1::CoroutineService::WithRawCallbackMethod_Drive<v1::CoroutineService::Service>> {
 public:
  grpc::ServerUnaryReactor* Send(grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
                                 grpc::ByteBuffer* out) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    v1::SendRequest request;
    if (!Parse(const_cast<grpc::ByteBuffer&>(*in), &request)) {
      reactor->Finish({grpc::StatusCode::INVALID_ARGUMENT, "no SendRequest"});
      return reactor;
    }
    v1::SendResponse response;
    Answer(request.value(), kStep, response.mutable_outcome());
    *out = Serialized(response);
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Drive(grpc::CallbackServerContext*) override {
    return new Stream;
  }
};

int Main() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // As corod.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  grpc::EnableDefaultHealthCheckService(true);
  Echo echo;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(64 << 20);
  builder.RegisterService(&echo);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server || port == 0) {
    std::fputs("echo: cannot listen\n", stderr);
    return 1;
  }
  std::printf("echo is ready on 127.0.0.1:%d\n", port);
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  server->Shutdown();
  return 0;
}

}  // namespace
}  // namespace corod::bench

int main() { return corod::bench::Main(); }
