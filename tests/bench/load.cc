#include "tests/bench/load.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cpp/service_error.h"
#include "client/load/messages.h"
#include "corod/v1/catalog_service.grpc.pb.h"
#include "tests/bench/failure.h"

namespace corod::bench {
namespace {

// Far more than anything takes.
constexpr absl::Duration kCallLimit = absl::Minutes(2);

// Fails with what is wrong.
void Require(const absl::Status& status, const std::string& what) {
  if (status.ok()) return;
  const std::string reason = client::ErrorOf(status).reason;
  throw Failure(absl::StrCat(what, " failed: ", reason, reason.empty() ? "" : ": ", status.message()));
}

}  // namespace

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

load::Found Fine(absl::StatusOr<load::Found> found) {
  Require(found.status(), "a load");
  if (found->commands == 0) throw Failure("a load was too short for one answer");
  return *std::move(found);
}

std::shared_ptr<load::UnaryLoad> SendLoad(const std::shared_ptr<grpc::Channel>& channel, const std::string& kind,
                                          std::uint64_t sessions, load::UnaryLoad::Options options) {
  load::Deck deck(sessions);
  options.method = kSend;
  options.check = &load::CheckSendResponse;
  return std::make_shared<load::UnaryLoad>(
      channel, load::SendRequests(sessions, deck, [&kind](std::uint64_t number) { return SessionId(kind, number); }),
      std::move(options));
}

std::shared_ptr<load::DriveLoad> DriveBy(std::size_t batch, const std::shared_ptr<grpc::Channel>& channel,
                                         const std::string& kind, std::uint64_t sessions, std::uint64_t pool) {
  load::DriveLoad::Options options{.batch = batch, .streams = 1, .outstanding = batch >= 1'000 ? 2 : 16};
  if (batch == 1) options = {.batch = 1, .streams = 8, .outstanding = kOutstanding / 8};
  return Drive(options, channel, kind, sessions, pool);
}

std::shared_ptr<load::DriveLoad> Drive(const load::DriveLoad::Options& options,
                                       const std::shared_ptr<grpc::Channel>& channel, const std::string& kind,
                                       std::uint64_t sessions, std::uint64_t pool) {
  load::Deck deck(sessions);
  const std::size_t messages = std::max<std::size_t>(1, std::max(pool, sessions) / options.batch);
  return std::make_shared<load::DriveLoad>(
      channel,
      load::DriveRequests(messages, options.batch, deck,
                          [&kind](std::uint64_t number) { return SessionId(kind, number); }),
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
  *request.mutable_value() = load::AnInteger();
  v1::SendResponse response;
  const absl::Time started = absl::Now();
  const grpc::Status status = stub.Send(&context, request, &response);
  const absl::Duration took = absl::Now() - started;
  if (!status.ok()) throw Failure("a Send failed: " + status.error_message());
  if (!response.outcome().has_yielded()) throw Failure("a Send was not answered with a value");
  return took;
}

void Drive(const std::shared_ptr<grpc::Channel>& channel, std::uint64_t count,
           const std::function<void(std::uint64_t number, v1::Command& command)>& make,
           const load::SendOptions& options) {
  Require(load::SendOnce(channel, count, make, options).status, "a Drive stream");
}

void CreateSessions(const std::shared_ptr<grpc::Channel>& channel, const std::string& coroutine,
                    const std::string& kind, std::uint64_t count, v1::Durability durability) {
  v1::CreateRequest model;
  model.set_coroutine(coroutine);
  model.set_prime(true);
  model.set_durability(durability);
  const auto id_of = [&kind](std::uint64_t number) { return SessionId(kind, number); };
  Require(load::CreateSessions(channel, count, model, id_of).status, "making sessions");
}

void CreateAveragers(const std::shared_ptr<grpc::Channel>& channel, const std::string& kind, std::uint64_t count,
                     v1::Durability durability) {
  CreateSessions(channel, "averager", kind, count, durability);
}

void DefineScript(const std::shared_ptr<grpc::Channel>& channel, const std::string& name, const std::string& source) {
  v1::DefineCoroutineRequest request;
  request.mutable_coroutine()->set_name(name);
  request.mutable_coroutine()->set_source(source);
  v1::DefineCoroutineResponse response;
  grpc::ClientContext context;
  const grpc::Status status = v1::CatalogService::NewStub(channel)->DefineCoroutine(&context, request, &response);
  if (!status.ok()) throw Failure(absl::StrCat(name, " cannot be defined: ", status.error_message()));
}

}  // namespace corod::bench
