#include "tests/bench/load.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/load/messages.h"
#include "server/base/mutex.h"
#include "tests/bench/failure.h"

namespace corod::bench {
namespace {

// Far more than anything takes.
constexpr absl::Duration kCallLimit = absl::Minutes(2);

void SetValue(v1::Value* value) { value->set_integer(7); }

}  // namespace

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

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

load::Found Fine(absl::StatusOr<load::Found> found) {
  if (!found.ok()) throw Failure("a load failed: " + std::string(found.status().message()));
  if (found->commands == 0) throw Failure("a load was too short for one answer");
  return *std::move(found);
}

std::shared_ptr<load::UnaryLoad> SendLoad(const std::shared_ptr<grpc::Channel>& channel, const std::string& kind,
                                          std::uint64_t sessions) {
  load::Deck deck(sessions);
  return std::make_shared<load::UnaryLoad>(
      channel, load::SendRequests(sessions, deck, [&kind](std::uint64_t number) { return SessionId(kind, number); }),
      load::UnaryLoad::Options{.method = kSend, .check = &load::CheckSendResponse, .outstanding = kOutstanding});
}

std::shared_ptr<load::DriveLoad> DriveBy(std::size_t batch, const std::shared_ptr<grpc::Channel>& channel,
                                         const std::string& kind, std::uint64_t sessions, std::uint64_t pool) {
  load::Deck deck(sessions);
  const std::size_t messages = std::max<std::size_t>(1, std::max(pool, sessions) / batch);
  load::DriveLoad::Options options{.batch = batch, .streams = 1, .outstanding = batch >= 1'000 ? 2 : 16};
  if (batch == 1) options = {.batch = 1, .streams = 8, .outstanding = kOutstanding / 8};
  return std::make_shared<load::DriveLoad>(
      channel,
      load::DriveRequests(messages, batch, deck, [&kind](std::uint64_t number) { return SessionId(kind, number); }),
      options);
}

void AddRates(const Contestant& contestant, Report& report) {
  report.Add({.name = contestant.name, .what = "  " + contestant.what, .unit = "/s", .rounds = contestant.rounds});
}

void CompareRates(const Settings& settings, Report& report, Figure ratio, Contestant of, Contestant to) {
  TakeTurns(settings.rounds, {&of, &to});
  ratio.rounds = Ratios(of, to);
  report.Add(std::move(ratio));
  AddRates(to, report);
  AddRates(of, report);
}

absl::Duration TimeOneSend(v1::CoroutineService::Stub& stub, const std::string& session_id) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kCallLimit));
  v1::SendRequest request;
  request.set_session_id(session_id);
  SetValue(request.mutable_value());
  v1::SendResponse response;
  const absl::Time started = absl::Now();
  const grpc::Status status = stub.Send(&context, request, &response);
  const absl::Duration took = absl::Now() - started;
  if (!status.ok()) throw Failure("a Send failed: " + status.error_message());
  if (!response.outcome().has_yielded()) throw Failure("a Send was not answered with a value");
  return took;
}

void Drive(const std::shared_ptr<grpc::Channel>& channel, std::uint64_t count,
           const std::function<void(std::uint64_t number, v1::Command& command)>& make, DriveOptions options) {
  const auto stub = v1::CoroutineService::NewStub(channel);
  grpc::ClientContext context;
  const auto stream = stub->Drive(&context);
  Mutex mutex;
  CondVar changed;
  std::uint64_t replied = 0;
  std::string error;
  bool ended = false;
  std::thread reader([&] {
    v1::DriveResponse response;
    while (stream->Read(&response)) {
      const MutexLock lock(mutex);
      for (const v1::Reply& reply : response.replies()) {
        const bool raised = reply.outcome().has_raised();
        if (reply.has_failure() || raised) error = raised ? "a step raised" : reply.failure().message();
      }
      replied += static_cast<std::uint64_t>(response.replies_size());
      changed.NotifyAll();
    }
    const MutexLock lock(mutex);
    ended = true;
    changed.NotifyAll();
  });
  std::uint64_t sent = 0;
  bool works = true;
  while (works && sent < count) {
    const std::uint64_t next = std::min(options.in_message, count - sent);
    {
      const MutexLock lock(mutex);
      while (!ended && error.empty() && sent + next > replied + options.outstanding) changed.Wait(mutex);
      works = !ended && error.empty();
    }
    v1::DriveRequest request;
    for (std::uint64_t i = 0; i < next; ++i) make(sent + i, *request.add_commands());
    works = works && stream->Write(request);
    sent += next;
  }
  stream->WritesDone();
  reader.join();
  const grpc::Status status = stream->Finish();
  if (!error.empty() || !status.ok() || replied != count) {
    throw Failure("a Drive stream failed: " + (error.empty() ? status.error_message() : error));
  }
}

void CreateAveragers(const std::shared_ptr<grpc::Channel>& channel, const std::string& kind, std::uint64_t count,
                     v1::Durability durability) {
  Drive(channel, count, [&](std::uint64_t number, v1::Command& command) {
    v1::CreateRequest& create = *command.mutable_create();
    create.set_coroutine("averager");
    create.set_session_id(SessionId(kind, number));
    create.set_prime(true);
    create.set_durability(durability);
  });
}

}  // namespace corod::bench
