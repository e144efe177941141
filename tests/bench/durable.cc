// What durability costs: unary Sends to durable sessions against the same to ephemeral ones.
#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/strings/str_format.h"
#include "tests/bench/comparison.h"
#include "tests/bench/load.h"

namespace corod::bench {
namespace {

constexpr std::uint64_t kSessions = 1'000;

Contestant Sends(const std::shared_ptr<grpc::Channel>& channel, const Settings& settings, const std::string& kind,
                 v1::Durability durability) {
  CreateAveragers(channel, kind, kSessions, durability);
  return AsFastAsItCan("send_" + kind, "unary Send, " + kind, SendLoad(channel, kind, kSessions), settings);
}

}  // namespace

void CompareDurable(const Settings& settings, Report& report) {
  TemporaryDirectory directory(settings.directory);
  ServerProcess server(CorodCommand(settings, directory.NewPath("data"), {}), directory.NewPath("log"));
  const auto channel = Connect(server.address());
  CompareRates(
      settings, report,
      {.name = "durable_send_ratio",
       .what = absl::StrFormat("unary Send at %d outstanding: durable (--sync always) to ephemeral", kOutstanding),
       .goal = Goal{Goal::Is::kAtLeast, 0.8}},
      Sends(channel, settings, "durable", v1::DURABILITY_DURABLE),
      Sends(channel, settings, "ephemeral", v1::DURABILITY_EPHEMERAL));
}

}  // namespace corod::bench
