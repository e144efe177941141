#include "client/load/sessions.h"

#include <grpcpp/channel.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "client/cpp/service_error.h"
#include "client/load/unary_load.h"
#include "corod/v1/coroutine_service.grpc.pb.h"
#include "server/base/mutex.h"

namespace corod::load {
namespace {

constexpr int kDeletesOutstanding = 64;

bool IsSet(const std::atomic<bool>* flag) { return flag != nullptr && *flag; }

}  // namespace

std::string SessionId(const std::string& kind, std::uint64_t number) {
  // The finalizer of SplitMix64: one to one, so that no id comes twice.
  const auto mix = [](std::uint64_t mixed) {
    mixed += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  };
  std::uint64_t of_kind = 0;
  for (const char letter : kind) of_kind = mix(of_kind ^ static_cast<unsigned char>(letter));
  const std::uint64_t high = mix(number), low = mix(number ^ of_kind);
  return absl::StrFormat("%08x-%04x-4%03x-%04x-%012x", high >> 32, high >> 16 & 0xffff, high & 0xfff,
                         0x8000 | (low >> 48 & 0x3fff), low & 0xffff'ffff'ffff);
}

Sent SendOnce(const std::shared_ptr<grpc::Channel>& channel, std::uint64_t count,
              const std::function<void(std::uint64_t number, v1::Command& command)>& make, const SendOptions& options) {
  const auto stub = v1::CoroutineService::NewStub(channel);
  grpc::ClientContext context;
  const auto stream = stub->Drive(&context);
  Mutex mutex;
  CondVar changed;
  std::uint64_t replied = 0;
  bool ended = false;
  absl::Status error;
  std::thread reader([&] {
    v1::DriveResponse response;
    while (stream->Read(&response)) {
      const MutexLock lock(mutex);
      for (const v1::Reply& reply : response.replies()) error.Update(CheckReply(reply));
      replied += static_cast<std::uint64_t>(response.replies_size());
      changed.NotifyAll();
    }
    const MutexLock lock(mutex);
    ended = true;
    changed.NotifyAll();
  });
  Sent sent;
  while (sent.commands < count && !IsSet(options.stopped)) {
    const std::uint64_t next = std::min(options.in_message, count - sent.commands);
    {
      const MutexLock lock(mutex);
      while (!ended && error.ok() && sent.commands + next > replied + options.outstanding) changed.Wait(mutex);
      if (ended || !error.ok()) break;
    }
    v1::DriveRequest request;
    for (std::uint64_t i = 0; i < next; ++i) make(sent.commands + i, *request.add_commands());
    sent.commands += next;
    if (!stream->Write(request)) break;
  }
  stream->WritesDone();
  reader.join();
  const absl::Status status = client::StatusOf(stream->Finish());
  sent.status = std::move(error);
  sent.status.Update(status);
  if (replied != sent.commands) sent.status.Update(absl::InternalError("the server did not answer every command"));
  return sent;
}

Sent CreateSessions(const std::shared_ptr<grpc::Channel>& channel, std::uint64_t count, const v1::CreateRequest& model,
                    const IdOf& id_of, const SendOptions& options) {
  const auto make = [&](std::uint64_t number, v1::Command& command) {
    *command.mutable_create() = model;
    command.mutable_create()->set_session_id(id_of(number));
  };
  return SendOnce(channel, count, make, options);
}

absl::Status DeleteSessions(const std::shared_ptr<grpc::Channel>& channel, std::uint64_t count, const IdOf& id_of) {
  if (count == 0) return absl::OkStatus();
  std::vector<grpc::ByteBuffer> requests;
  requests.reserve(count);
  v1::DeleteRequest request;
  request.set_force(true);
  for (std::uint64_t number = 0; number < count; ++number) {
    request.set_session_id(id_of(number));
    requests.push_back(Serialized(request));
  }
  UnaryLoad load(channel, std::move(requests),
                 {.method = "/corod.v1.CoroutineService/Delete",
                  .outstanding = kDeletesOutstanding,
                  .absent = UnaryLoad::Absent::kIsFine});
  return load.RunOnce().status();
}

}  // namespace corod::load
