// What is left of a server's work when it is asked for twice as much as it can do.
#include <grpcpp/channel.h>

#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/bench/comparison.h"
#include "tests/bench/load.h"

namespace corod::bench {
namespace {

constexpr std::uint64_t kSessions = 1'000;
constexpr std::size_t kConnections = 4;
// Calls of a connection that are under way: as many as the server takes (--max-connection-calls).
constexpr std::size_t kMostCalls = 1'000;
// Calls of a connection that are under way at the highest load: more, and it is no higher.
constexpr int kPeakCalls = 256;
constexpr double kTimes = 2;

// What came of the load of all connections together.
struct Sum {
  double answered = 0, refused = 0, held_back = 0;  // a second
  load::Latencies latencies;
  std::map<std::string, std::uint64_t> reasons;
};

// Loads that run at the same time, each on a connection of its own.
class Loads {
 public:
  Loads(const std::string& address, const std::string& kind) {
    for (std::size_t i = 0; i < kConnections; ++i) {
      loads_.push_back(SendLoad(Connect(address), kind, kSessions,
                                {.outstanding = kPeakCalls,
                                 .refusal = load::UnaryLoad::Refusal::kIsCounted,
                                 .most_at_rate = kMostCalls,
                                 .beyond = load::UnaryLoad::Beyond::kIsDropped}));
    }
  }

  // As much as they can, kPeakCalls calls at a time each.
  Sum Run(absl::Duration turn) {
    return OfAll([turn](load::UnaryLoad& load) { return load.Run(turn); });
  }
  // `rate` calls a second in all, whatever becomes of those before.
  Sum RunAtRate(absl::Duration turn, double rate) {
    return OfAll([=](load::UnaryLoad& load) { return load.RunAtRate(turn, rate / kConnections); });
  }

 private:
  template <typename RunOne>
  Sum OfAll(RunOne run) {
    std::vector<std::future<absl::StatusOr<load::Found>>> running;
    running.reserve(loads_.size());
    for (const auto& load : loads_) {
      running.push_back(std::async(std::launch::async, [&run, &load] { return run(*load); }));
    }
    Sum sum;
    for (auto& one : running) {
      const load::Found found = Fine(one.get());
      const double seconds = absl::ToDoubleSeconds(found.took);
      sum.answered += found.rate();
      sum.held_back += static_cast<double>(found.dropped) / seconds;
      sum.latencies.Add(found.latencies);
      for (const auto& [reason, count] : found.refused) {
        sum.reasons[reason] += count;
        sum.refused += static_cast<double>(count) / seconds;
      }
    }
    return sum;
  }

  std::vector<std::shared_ptr<load::UnaryLoad>> loads_;
};

void Measure(const Settings& settings, const std::string& address, const std::string& kind, Report& report) {
  Loads loads(address, kind);
  double highest = loads.Run(settings.turn).answered;  // the last time

  std::vector<double> peak_p99, p99, offered, refused, held_back;
  std::map<std::string, std::uint64_t> reasons;
  Contestant peak{.name = kind + "_peak", .what = "as much as it can", .run = [&] {
                    const Sum sum = loads.Run(settings.turn);
                    peak_p99.push_back(absl::ToDoubleMilliseconds(sum.latencies.Quantile(0.99)));
                    return highest = sum.answered;
                  }};
  Contestant overload{.name = kind + "_goodput", .what = "answered when asked for twice that", .run = [&] {
                        const double rate = kTimes * highest;
                        const Sum sum = loads.RunAtRate(settings.turn, rate);
                        offered.push_back(rate);
                        p99.push_back(absl::ToDoubleMilliseconds(sum.latencies.Quantile(0.99)));
                        refused.push_back(sum.refused);
                        held_back.push_back(sum.held_back);
                        for (const auto& [reason, count] : sum.reasons) reasons[reason] += count;
                        return sum.answered;
                      }};
  TakeTurns(settings.rounds, {&peak, &overload});
  for (std::vector<double>* rounds : {&peak_p99, &p99, &offered, &refused, &held_back}) rounds->erase(rounds->begin());
  report.Add({.name = kind + "_goodput_to_peak",
              .what = absl::StrFormat(
                  "unary Send (%s), %g times the highest load offered over %d connections: answered, to peak", kind,
                  kTimes, kConnections),
              .rounds = Ratios(overload, peak),
              .goal = Goal{Goal::Is::kAtLeast, 0.9}});
  report.Add({.name = kind + "_offered", .what = "  calls offered", .unit = "/s", .rounds = offered});
  for (const auto& [contestant, latency] : {std::pair(&peak, &peak_p99), std::pair(&overload, &p99)}) {
    report.Add({.name = contestant->name, .what = "  " + contestant->what, .unit = "/s", .rounds = contestant->rounds});
    report.Add({.name = contestant->name + "_p99", .what = "    p99", .unit = "ms", .rounds = *latency});
  }
  report.Add({.name = kind + "_refused", .what = "  refused", .unit = "/s", .rounds = refused});
  report.Add({.name = kind + "_held_back",
              .what = absl::StrFormat("  not made, as %d calls of the connection were under way", kMostCalls),
              .unit = "/s",
              .rounds = held_back});
  for (const auto& [reason, count] : reasons) report.Note(absl::StrCat(kind, ": refused with ", reason, ": ", count));
}

}  // namespace

void MeasureOverload(const Settings& settings, Report& report) {
  TemporaryDirectory directory(settings.directory);
  ServerProcess server(CorodCommand(settings, directory.NewPath("data"), {}), directory.NewPath("log"));
  const auto channel = Connect(server.address());
  CreateAveragers(channel, "ephemeral", kSessions, v1::DURABILITY_EPHEMERAL);
  CreateAveragers(channel, "durable", kSessions, v1::DURABILITY_DURABLE);
  for (const char* kind : {"ephemeral", "durable"}) Measure(settings, server.address(), kind, report);
}

}  // namespace corod::bench
