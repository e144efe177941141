// corod against what gRPC alone does: a bare echo of the same messages.
#include <grpcpp/channel.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/bench/comparison.h"
#include "tests/bench/load.h"

namespace corod::bench {
namespace {

constexpr std::uint64_t kSessions = 1'000;
constexpr char kKind[] = "ephemeral";

// corod with its sessions, and the echo.
struct Pair {
  explicit Pair(const Settings& settings)
      : directory(settings.directory),
        corod_process(CorodCommand(settings, directory.NewPath("data"), {}), directory.NewPath("log")),
        echo_process({settings.echo}, directory.NewPath("log")),
        corod(Connect(corod_process.address())),
        echo(Connect(echo_process.address())) {
    CreateAveragers(corod, kKind, kSessions, v1::DURABILITY_EPHEMERAL);
  }

  TemporaryDirectory directory;
  ServerProcess corod_process, echo_process;
  const std::shared_ptr<grpc::Channel> corod, echo;
};

}  // namespace

void CompareSendWithEcho(const Settings& settings, Report& report) {
  const Pair pair(settings);
  CompareRates(
      settings, report,
      {.name = "send_to_echo",
       .what = absl::StrFormat("unary Send at %d outstanding: corod (ephemeral) to the bare echo", kOutstanding),
       .goal = Goal{Goal::Is::kAtLeast, 0.95}},
      AsFastAsItCan("send_corod", "unary Send, corod", SendLoad(pair.corod, kKind, kSessions), settings),
      AsFastAsItCan("send_echo", "unary Send, echo", SendLoad(pair.echo, kKind, kSessions), settings));
}

void CompareDriveWithEcho(const Settings& settings, Report& report) {
  const Pair pair(settings);
  struct Batch {
    std::size_t size;
    std::optional<double> goal;
  };
  for (const Batch& batch : {Batch{1, 0.95}, Batch{100, 0.8}, Batch{1'000, std::nullopt}}) {
    const std::string name = absl::StrCat("drive", batch.size), what = absl::StrFormat("Drive by %d", batch.size);
    Figure ratio{.name = name + "_to_echo",
                 .what = absl::StrFormat("%s over %d sessions: corod (ephemeral) to the bare echo", what, kSessions)};
    if (batch.goal) ratio.goal = Goal{Goal::Is::kAtLeast, *batch.goal};
    CompareRates(
        settings, report, ratio,
        AsFastAsItCan(name + "_corod", what + ", corod", DriveBy(batch.size, pair.corod, kKind, kSessions), settings),
        AsFastAsItCan(name + "_echo", what + ", echo", DriveBy(batch.size, pair.echo, kKind, kSessions), settings));
  }
}

void CompareLatencyWithEcho(const Settings& settings, Report& report) {
  const Pair pair(settings);
  const auto corod = SendLoad(pair.corod, kKind, kSessions), echo = SendLoad(pair.echo, kKind, kSessions);
  std::vector<double> highest;
  for (int round = 0; round <= settings.rounds; ++round) highest.push_back(Fine(corod->Run(settings.turn)).rate());
  const double rate = *std::max_element(highest.begin(), highest.end()) / 2;
  const auto side = [&](const std::string& name, const std::shared_ptr<load::UnaryLoad>& load,
                        std::vector<double>& p50) {
    return Contestant{.name = "send_p99_" + name, .what = "p99, " + name, .run = [&, load] {
                        const load::Found found = Fine(load->RunAtRate(settings.turn, rate));
                        p50.push_back(absl::ToDoubleMilliseconds(found.latencies.Quantile(0.5)));
                        return absl::ToDoubleMilliseconds(found.latencies.Quantile(0.99));
                      }};
  };
  std::vector<double> corod_p50, echo_p50;
  Contestant of = side("corod", corod, corod_p50), to = side("echo", echo, echo_p50);
  TakeTurns(settings.rounds, {&of, &to});
  for (std::vector<double>* p50 : {&corod_p50, &echo_p50}) p50->erase(p50->begin());  // of the turn before the first
  report.Add({.name = "send_p99_to_echo",
              .what = "p99 of unary Send at half of corod's highest rate: corod to the bare echo",
              .rounds = Ratios(of, to),
              .goal = Goal{Goal::Is::kAtMost, 1.2}});
  report.Add({.name = "send_p99_rate", .what = "  calls asked for", .unit = "/s", .rounds = {rate}});
  for (const auto& [contestant, p50] : {std::pair(&to, &echo_p50), std::pair(&of, &corod_p50)}) {
    report.Add({.name = contestant->name, .what = "  " + contestant->what, .unit = "ms", .rounds = contestant->rounds});
    report.Add({.name = contestant->name + "_p50", .what = "    p50", .unit = "ms", .rounds = *p50});
  }
}

}  // namespace corod::bench
