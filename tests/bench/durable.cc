// What durability costs: unary Sends to durable sessions against the same to ephemeral ones.
#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/strings/str_format.h"
#include "tests/bench/comparison.h"
#include "tests/bench/load.h"

namespace corod::bench {
namespace {

constexpr int kOutstanding = 64;
constexpr std::uint64_t kSessions = 1'000;

Contestant Sends(const std::shared_ptr<grpc::Channel>& channel, const Settings& settings, const std::string& kind,
                 v1::Durability durability) {
  CreateAveragers(channel, kind, kSessions, durability);
  auto load = std::make_shared<SendLoad>(channel, kOutstanding, [kind](absl::BitGen& random, v1::SendRequest& request) {
    request.set_session_id(SessionId(kind, absl::Uniform<std::uint64_t>(random, 0, kSessions)));
  });
  return {.name = "send_" + kind, .what = "unary Send, " + kind, .run = [load, turn = settings.turn] {
            return load->Run(turn);
          }};
}

}  // namespace

void CompareDurable(const Settings& settings, Report& report) {
  TemporaryDirectory directory(settings.directory);
  ServerProcess server(CorodCommand(settings, directory.NewPath("data"), {}), directory.NewPath("log"));
  const auto channel = Connect(server.address());
  Contestant ephemeral = Sends(channel, settings, "ephemeral", v1::DURABILITY_EPHEMERAL);
  Contestant durable = Sends(channel, settings, "durable", v1::DURABILITY_DURABLE);
  TakeTurns(settings.rounds, {&ephemeral, &durable});
  report.Add(
      {.name = "durable_send_ratio",
       .what = absl::StrFormat("unary Send at %d outstanding: durable (--sync always) to ephemeral", kOutstanding),
       .unit = "",
       .rounds = Ratios(durable, ephemeral),
       .goal = Goal{Goal::Is::kAtLeast, 0.6}});
  for (const Contestant* each : {&ephemeral, &durable}) {
    report.Add({.name = each->name, .what = "  " + each->what, .unit = "/s", .rounds = each->rounds});
  }
}

}  // namespace corod::bench
