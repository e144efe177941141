// corod against a gRPC server in Python that keeps real generators.
#include <grpcpp/channel.h>
#include <stdlib.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "client/load/messages.h"
#include "tests/bench/comparison.h"
#include "tests/bench/load.h"

namespace corod::bench {
namespace {

constexpr std::uint64_t kSessions = 1'000;
constexpr char kKind[] = "ephemeral";

// It has no Drive to make them with.
void CreateOnPython(const std::shared_ptr<grpc::Channel>& channel) {
  std::vector<grpc::ByteBuffer> requests;
  v1::CreateRequest request;
  for (std::uint64_t i = 0; i < kSessions; ++i) {
    request.set_session_id(SessionId(kKind, i));
    requests.push_back(load::Serialized(request));
  }
  Fine(load::UnaryLoad(channel, requests, {.method = "/corod.v1.CoroutineService/Create"}).RunOnce());
}

}  // namespace

void CompareWithPython(const Settings& settings, Report& report) {
  TemporaryDirectory directory(settings.directory);
  const ServerProcess corod(CorodCommand(settings, directory.NewPath("data"), {}), directory.NewPath("log"));
  const ServerProcess python(
      {"/usr/bin/env", "PYTHONPATH=" + settings.python_stubs, settings.python, "-B", settings.python_server},
      directory.NewPath("log"));
  const auto corod_channel = Connect(corod.address()), python_channel = Connect(python.address());
  CreateAveragers(corod_channel, kKind, kSessions, v1::DURABILITY_EPHEMERAL);
  CreateOnPython(python_channel);
  CompareRates(
      settings, report,
      {.name = "send_to_python",
       .what =
           absl::StrFormat("unary Send at %d outstanding: corod to a Python server around generators", kOutstanding),
       .goal = Goal{Goal::Is::kAtLeast, 5}},
      AsFastAsItCan("send_beside_python", "unary Send, corod", SendLoad(corod_channel, kKind, kSessions), settings),
      AsFastAsItCan("send_python", "unary Send, Python", SendLoad(python_channel, kKind, kSessions), settings));
}

}  // namespace corod::bench
