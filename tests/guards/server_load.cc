// Takes steps at a server, so many and no more: it makes the sessions, takes steps until all is in its usual way,
// prints "ready", waits for a line, takes each step that is to be measured, prints how many response messages they came
// in, and waits for the end of its input.
//
// Usage: corod_guard_load ADDRESS unary|drive BATCH MESSAGES SESSIONS ephemeral|durable
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/load/drive_load.h"
#include "client/load/messages.h"
#include "client/load/unary_load.h"
#include "corod/v1/coroutine_service.grpc.pb.h"

namespace corod::guards {
namespace {

constexpr std::size_t kWarmUp = 100;  // messages

// As clients name them.
std::string SessionId(std::uint64_t number) {
  std::string id = "5f0c9a52-7d1e-4b53-9f0a-000000000000";
  for (std::size_t at = id.size(); number != 0; number /= 10) id[--at] = static_cast<char>('0' + number % 10);
  return id;
}

struct Options {
  std::string address;
  bool drive = false;
  std::size_t batch = 1;
  std::size_t messages = 0;
  std::uint64_t sessions = 1;
  v1::Durability durability = v1::DURABILITY_EPHEMERAL;
};

void CreateSessions(const std::shared_ptr<grpc::Channel>& channel, const Options& options) {
  const auto stub = v1::CoroutineService::NewStub(channel);
  for (std::uint64_t number = 0; number < options.sessions; ++number) {
    v1::CreateRequest request;
    request.set_coroutine("averager");
    request.set_session_id(SessionId(number));
    request.set_prime(true);
    request.set_durability(options.durability);
    grpc::ClientContext context;
    v1::CreateResponse response;
    const grpc::Status status = stub->Create(&context, request, &response);
    if (!status.ok()) throw std::runtime_error("a Create failed: " + status.error_message());
  }
}

// One message at a time; how many the answers came in.
std::uint64_t TakeSteps(const std::shared_ptr<grpc::Channel>& channel, const Options& options, std::size_t messages) {
  load::Deck deck(options.sessions);
  absl::StatusOr<load::Found> found;
  if (options.drive) {
    load::DriveLoad load(channel, load::DriveRequests(messages, options.batch, deck, SessionId),
                         {.batch = options.batch, .streams = 1, .outstanding = 1});
    found = load.RunOnce();
  } else {
    load::UnaryLoad load(
        channel, load::SendRequests(messages, deck, SessionId),
        {.method = "/corod.v1.CoroutineService/Send", .check = &load::CheckSendResponse, .outstanding = 1});
    found = load.RunOnce();
  }
  if (!found.ok()) throw std::runtime_error(std::string(found.status().message()));
  if (found->commands != messages * options.batch) throw std::runtime_error("a reply is missing");
  return found->messages;
}

void Run(const Options& options) {
  const auto channel = grpc::CreateChannel(options.address, grpc::InsecureChannelCredentials());
  CreateSessions(channel, options);
  TakeSteps(channel, options, kWarmUp);
  std::string line;
  std::cout << "ready" << std::endl;
  std::getline(std::cin, line);
  std::cout << TakeSteps(channel, options, options.messages) << std::endl;
  std::getline(std::cin, line);
}

}  // namespace
}  // namespace corod::guards

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  const corod::guards::Options options{
      .address = argv[1],
      .drive = std::string_view(argv[2]) == "drive",
      .batch = std::strtoull(argv[3], nullptr, 10),
      .messages = std::strtoull(argv[4], nullptr, 10),
      .sessions = std::strtoull(argv[5], nullptr, 10),
      .durability =
          std::string_view(argv[6]) == "durable" ? corod::v1::DURABILITY_DURABLE : corod::v1::DURABILITY_EPHEMERAL,
  };
  try {
    corod::guards::Run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "corod_guard_load: %s\n", error.what());
    return 1;
  }
  return 0;
}
